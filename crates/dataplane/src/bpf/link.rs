//! A program attached to something.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use aya_obj::generated::{XDP_FLAGS_DRV_MODE, XDP_FLAGS_SKB_MODE, bpf_attach_type};

use super::pins::Pins;
use super::sys::{self, Target};

/// Attached until this is dropped, or the process ends.
#[derive(Debug)]
pub(crate) struct Link {
    fd: OwnedFd,
}

impl Link {
    /// An `sk_lookup` program in a network namespace (`Documentation/bpf/prog_sk_lookup.rst`). It takes `CAP_NET_ADMIN` there.
    pub(crate) fn socket_lookup(program: BorrowedFd<'_>, namespace: BorrowedFd<'_>) -> io::Result<Self> {
        let fd = sys::create_link(program, Target::Descriptor(namespace), bpf_attach_type::BPF_SK_LOOKUP, 0)?;
        Ok(Self { fd })
    }

    /// A classifier behind those that an interface has already, for what leaves by it (tcx, Linux 6.6).
    pub(crate) fn egress(program: BorrowedFd<'_>, interface: u32) -> io::Result<Self> {
        let fd = sys::create_link(program, Target::Interface(interface), bpf_attach_type::BPF_TCX_EGRESS, 0)?;
        Ok(Self { fd })
    }

    /// Lives on under a name.
    pub(crate) fn pin(&self, pins: &Pins, name: &str) -> io::Result<()> {
        pins.put(name, self.fd.as_fd())
    }

    /// One that lives on under a name, with another program from now on.
    ///
    /// # Errors
    /// `ENOLINK`: what it was attached to is gone.
    pub(crate) fn pinned(pins: &Pins, name: &str, program: BorrowedFd<'_>) -> io::Result<Option<Self>> {
        let Some(fd) = pins.get(name)? else { return Ok(None) };
        sys::update_link(fd.as_fd(), program)?;
        Ok(Some(Self { fd }))
    }

    /// An XDP program to an interface that has none: in its driver, or in front of the network stack (generic).
    ///
    /// # Errors
    /// `EBUSY`, `EEXIST`: it has one. `EOPNOTSUPP` and others: its driver runs none.
    pub(crate) fn xdp(program: BorrowedFd<'_>, interface: u32, native: bool) -> io::Result<Self> {
        let flags = if native { XDP_FLAGS_DRV_MODE } else { XDP_FLAGS_SKB_MODE };
        let fd = sys::create_link(program, Target::Interface(interface), bpf_attach_type::BPF_XDP, flags)?;
        Ok(Self { fd })
    }
}
