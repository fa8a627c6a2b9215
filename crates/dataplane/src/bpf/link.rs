//! A program attached to something.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use aya_obj::generated::{XDP_FLAGS_DRV_MODE, XDP_FLAGS_SKB_MODE, bpf_attach_type};

use super::sys::{self, Target};

/// Attached until this is dropped, or the process ends.
#[derive(Debug)]
pub(crate) struct Link {
    _fd: OwnedFd,
}

impl Link {
    /// An `sk_lookup` program in a network namespace (`Documentation/bpf/prog_sk_lookup.rst`). It takes `CAP_NET_ADMIN` there.
    pub(crate) fn socket_lookup(program: BorrowedFd<'_>, namespace: BorrowedFd<'_>) -> io::Result<Self> {
        let fd = sys::create_link(program, Target::Descriptor(namespace), bpf_attach_type::BPF_SK_LOOKUP, 0)?;
        Ok(Self { _fd: fd })
    }

    /// A classifier behind those that an interface has already, for what leaves by it (tcx, Linux 6.6).
    pub(crate) fn egress(program: BorrowedFd<'_>, interface: u32) -> io::Result<Self> {
        let fd = sys::create_link(program, Target::Interface(interface), bpf_attach_type::BPF_TCX_EGRESS, 0)?;
        Ok(Self { _fd: fd })
    }

    /// An XDP program to an interface that has none: in its driver, or in front of the network stack (generic).
    ///
    /// # Errors
    /// `EBUSY`, `EEXIST`: it has one. `EOPNOTSUPP` and others: its driver runs none.
    pub(crate) fn xdp(program: BorrowedFd<'_>, interface: u32, native: bool) -> io::Result<Self> {
        let flags = if native { XDP_FLAGS_DRV_MODE } else { XDP_FLAGS_SKB_MODE };
        let fd = sys::create_link(program, Target::Interface(interface), bpf_attach_type::BPF_XDP, flags)?;
        Ok(Self { _fd: fd })
    }
}
