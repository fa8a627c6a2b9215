//! AF_XDP sockets: the system calls (`Documentation/networking/af_xdp.rst`).

#![allow(unsafe_code, reason = "socket options and addresses that std does not know")]

use core::mem::MaybeUninit;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use super::ring::{Consumer, Descriptor, Layout, Producer};
use crate::counters::last_errno;
use crate::mapping::Mapping;

/// `XDP_MAX_TX_SKB_BUDGET` (Linux 6.17): how many packets one call sends.
const MAX_TX_SKB_BUDGET: libc::c_int = 9;

/// A socket that has no queue of an interface yet.
pub(crate) struct Socket {
    fd: OwnedFd,
    layouts: Layouts,
}

#[derive(Clone, Copy)]
struct Layouts {
    received: Layout,
    sent: Layout,
    fill: Layout,
    completion: Layout,
}

/// How a socket is to be bound.
pub(super) enum Sharing<'a> {
    /// It has registered the memory.
    Own {
        /// Let the driver write into it, if that can be; else packets are copied.
        zero_copy: bool,
    },
    /// The memory is another's. If that has the same queue, so are the fill and the completion ring.
    With(BorrowedFd<'a>),
}

impl Socket {
    /// # Errors
    /// `EAFNOSUPPORT`: the kernel was built without it; `EPERM`: it takes `CAP_NET_RAW`.
    pub(crate) fn new() -> io::Result<Self> {
        // SAFETY: integers alone.
        let fd = unsafe { libc::socket(libc::AF_XDP, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: `fd` was just created and belongs to nobody else.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        let offsets: libc::xdp_mmap_offsets = option(fd.as_fd(), libc::XDP_MMAP_OFFSETS)?;
        let layout = |offset: libc::xdp_ring_offset| Layout {
            producer: offset.producer as usize,
            consumer: offset.consumer as usize,
            entries: offset.desc as usize,
            flags: offset.flags as usize,
        };
        let layouts = Layouts {
            received: layout(offsets.rx),
            sent: layout(offsets.tx),
            fill: layout(offsets.fr),
            completion: layout(offsets.cr),
        };
        Ok(Self { fd, layouts })
    }

    /// Registers memory, of frames of `frame_bytes` each, for this socket and those that share it.
    ///
    /// # Errors
    /// `ENOBUFS`: more than the limit of locked memory (`RLIMIT_MEMLOCK`).
    pub(super) fn register(&self, memory: &Mapping, frame_bytes: u32) -> io::Result<()> {
        let registration = libc::xdp_umem_reg {
            addr: memory.at(0).as_ptr() as u64,
            len: memory.len() as u64,
            chunk_size: frame_bytes,
            headroom: 0,
            flags: 0,
            tx_metadata_len: 0,
        };
        set(self.fd.as_fd(), libc::XDP_UMEM_REG, &registration)
    }

    /// Makes the rings that packets come and go by.
    pub(super) fn rings(&self, len: u32) -> io::Result<(Consumer<Descriptor>, Producer<Descriptor>)> {
        set(self.fd.as_fd(), libc::XDP_RX_RING, &len)?;
        set(self.fd.as_fd(), libc::XDP_TX_RING, &len)?;
        // Whatever it was before, 32 or all that there are.
        let _ = set(self.fd.as_fd(), MAX_TX_SKB_BUDGET, &len);
        let (rx, tx) = (libc::XDP_PGOFF_RX_RING as u64, libc::XDP_PGOFF_TX_RING as u64);
        let received = Consumer::map(self.fd.as_fd(), rx, self.layouts.received, len)?;
        Ok((received, Producer::map(self.fd.as_fd(), tx, self.layouts.sent, len)?))
    }

    /// Makes the rings that frames come and go by, of which a queue has one each.
    pub(super) fn frame_rings(&self, fill_len: u32, completion_len: u32) -> io::Result<(Producer<u64>, Consumer<u64>)> {
        set(self.fd.as_fd(), libc::XDP_UMEM_FILL_RING, &fill_len)?;
        set(self.fd.as_fd(), libc::XDP_UMEM_COMPLETION_RING, &completion_len)?;
        let (fr, cr) = (libc::XDP_UMEM_PGOFF_FILL_RING, libc::XDP_UMEM_PGOFF_COMPLETION_RING);
        let fill = Producer::map(self.fd.as_fd(), fr, self.layouts.fill, fill_len)?;
        Ok((fill, Consumer::map(self.fd.as_fd(), cr, self.layouts.completion, completion_len)?))
    }

    /// # Errors
    /// `EINVAL`: the interface has no such queue; `EBUSY`: another program has it; `EOPNOTSUPP`: the driver cannot.
    pub(super) fn bind(&self, interface: u32, queue: u32, sharing: &Sharing<'_>) -> io::Result<()> {
        // Of those that share a memory only the first says how.
        let (flags, shared) = match sharing {
            Sharing::Own { zero_copy: false } => (libc::XDP_USE_NEED_WAKEUP | libc::XDP_COPY, 0),
            Sharing::Own { zero_copy: true } => (libc::XDP_USE_NEED_WAKEUP, 0),
            Sharing::With(other) => (libc::XDP_SHARED_UMEM, other.as_raw_fd() as u32),
        };
        let address = libc::sockaddr_xdp {
            sxdp_family: libc::AF_XDP as u16,
            sxdp_flags: flags,
            sxdp_ifindex: interface,
            sxdp_queue_id: queue,
            sxdp_shared_umem_fd: shared,
        };
        let len = size_of_val(&address) as libc::socklen_t;
        // SAFETY: a valid address of `len` bytes.
        let result = unsafe { libc::bind(self.fd.as_raw_fd(), (&raw const address).cast(), len) };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    /// Whether packets are copied between the driver and this memory.
    pub(super) fn copies(&self) -> bool {
        /// `XDP_OPTIONS_ZEROCOPY`
        const ZERO_COPY: u32 = 1;
        option::<u32>(self.fd.as_fd(), libc::XDP_OPTIONS).is_ok_and(|options| options & ZERO_COPY == 0)
    }

    /// Packets that the socket has dropped in its life: its ring was full, or there was no frame for them.
    pub(super) fn dropped(&self) -> u64 {
        let statistics: io::Result<libc::xdp_statistics> = option(self.fd.as_fd(), libc::XDP_STATISTICS);
        statistics.map_or(0, |statistics| statistics.rx_dropped + statistics.rx_ring_full)
    }

    /// Has the kernel look at the ring of packets to be sent: all of them if it copies, and then it has done so when this returns. 0, or the
    /// errno.
    pub(super) fn send(&self) -> i32 {
        // SAFETY: no data and no address.
        let result = unsafe {
            libc::sendto(self.fd.as_raw_fd(), core::ptr::null(), 0, libc::MSG_DONTWAIT, core::ptr::null(), 0)
        };
        if result < 0 { last_errno() } else { 0 }
    }

    /// Has the driver look at the fill ring again, which it had found empty.
    pub(super) fn receive(&self) {
        let none = core::ptr::null_mut();
        // SAFETY: no data and no address.
        unsafe { libc::recvfrom(self.fd.as_raw_fd(), none, 0, libc::MSG_DONTWAIT, none.cast(), none.cast()) };
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl AsRawFd for Socket {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}

fn set<T: Copy>(fd: BorrowedFd<'_>, name: libc::c_int, value: &T) -> io::Result<()> {
    let len = size_of::<T>() as libc::socklen_t;
    // SAFETY: `value` is as long as it is said to be, and read only.
    let result = unsafe { libc::setsockopt(fd.as_raw_fd(), libc::SOL_XDP, name, (&raw const *value).cast(), len) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// An option of integers alone.
fn option<T: Copy>(fd: BorrowedFd<'_>, name: libc::c_int) -> io::Result<T> {
    let mut value = MaybeUninit::<T>::zeroed();
    let mut len = size_of::<T>() as libc::socklen_t;
    // SAFETY: there is room for `len` bytes.
    let result =
        unsafe { libc::getsockopt(fd.as_raw_fd(), libc::SOL_XDP, name, value.as_mut_ptr().cast(), &raw mut len) };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: integers, zeroed before the kernel wrote some of them.
    Ok(unsafe { value.assume_init() })
}
