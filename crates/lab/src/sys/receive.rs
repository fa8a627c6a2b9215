//! Many datagrams in one system call, each with the time at which the kernel got it.

use std::io;
use std::mem;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::os::fd::{AsFd, AsRawFd};
use std::ptr;

use super::checked;

/// Datagrams longer than this are cut off: RTP packets fit an Ethernet frame.
const DATAGRAM_LEN_MAX: usize = 2_048;

/// Room for one `SCM_TIMESTAMPNS` control message, aligned as `cmsghdr` needs it.
type Control = [u64; 8];

/// Buffers for one `recvmmsg`.
pub(crate) struct ReceiveBatch {
    bytes: Vec<[u8; DATAGRAM_LEN_MAX]>,
    names: Vec<libc::sockaddr_storage>,
    controls: Vec<Control>,
    vectors: Vec<libc::iovec>,
    messages: Vec<libc::mmsghdr>,
}

// SAFETY: the pointers in `vectors` and `messages` point into the other fields, are written anew before each call and are not used
// between two calls.
unsafe impl Send for ReceiveBatch {}

/// One received datagram.
#[derive(Debug)]
pub(crate) struct Datagram<'a> {
    /// `None` for an address family other than IP.
    pub(crate) from: Option<SocketAddr>,
    /// When the kernel got it, in nanoseconds since the Unix epoch; `None` unless the socket asks for time stamps.
    pub(crate) kernel_unix_ns: Option<u64>,
    pub(crate) bytes: &'a [u8],
}

impl ReceiveBatch {
    /// Buffers for so many datagrams a call.
    pub(crate) fn new(datagrams: usize) -> Self {
        // SAFETY: all zeros are a valid sockaddr_storage (family AF_UNSPEC).
        let name: libc::sockaddr_storage = unsafe { mem::zeroed() };
        // SAFETY: all zeros are a valid mmsghdr: null pointers with length 0.
        let message: libc::mmsghdr = unsafe { mem::zeroed() };
        Self {
            bytes: vec![[0; DATAGRAM_LEN_MAX]; datagrams],
            names: vec![name; datagrams],
            controls: vec![[0; 8]; datagrams],
            vectors: vec![libc::iovec { iov_base: ptr::null_mut(), iov_len: 0 }; datagrams],
            messages: vec![message; datagrams],
        }
    }

    /// Takes what the socket has, without waiting, and hands each datagram to `each`. Returns how many there were.
    pub(crate) fn receive(&mut self, socket: &impl AsFd, mut each: impl FnMut(Datagram<'_>)) -> io::Result<usize> {
        for index in 0..self.messages.len() {
            self.vectors[index] =
                libc::iovec { iov_base: self.bytes[index].as_mut_ptr().cast(), iov_len: DATAGRAM_LEN_MAX };
            let header = &mut self.messages[index].msg_hdr;
            header.msg_name = (&raw mut self.names[index]).cast();
            header.msg_namelen = size_of::<libc::sockaddr_storage>() as libc::socklen_t;
            header.msg_iov = &raw mut self.vectors[index];
            header.msg_iovlen = 1;
            header.msg_control = self.controls[index].as_mut_ptr().cast();
            header.msg_controllen = size_of::<Control>();
            header.msg_flags = 0;
        }
        let (messages, count) = (self.messages.as_mut_ptr(), self.messages.len() as libc::c_uint);
        let descriptor = socket.as_fd().as_raw_fd();
        // SAFETY: every message has pointers, with their lengths, to buffers of this batch, which is borrowed mutably.
        let received =
            checked(unsafe { libc::recvmmsg(descriptor, messages, count, libc::MSG_DONTWAIT, ptr::null_mut()) });
        let received = match received {
            Ok(received) => received as usize,
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => 0,
            Err(error) => return Err(error),
        };
        for index in 0..received {
            let len = (self.messages[index].msg_len as usize).min(DATAGRAM_LEN_MAX);
            each(Datagram {
                from: address(&self.names[index]),
                kernel_unix_ns: kernel_time(&self.messages[index].msg_hdr),
                bytes: &self.bytes[index][..len],
            });
        }
        Ok(received)
    }
}

/// The `SCM_TIMESTAMPNS` message of a received datagram.
fn kernel_time(header: &libc::msghdr) -> Option<u64> {
    // SAFETY: the header comes from recvmmsg, so its control buffer is valid for the length that the kernel has set.
    let mut message = unsafe { libc::CMSG_FIRSTHDR(header) };
    while !message.is_null() {
        // SAFETY: CMSG_FIRSTHDR and CMSG_NXTHDR return null or a whole header within the control buffer.
        let cmsg = unsafe { *message };
        if (cmsg.cmsg_level, cmsg.cmsg_type) == (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS) {
            // SAFETY: the data follows the header.
            let data = unsafe { libc::CMSG_DATA(message) };
            // SAFETY: a message of this type carries a timespec, which may not be aligned.
            let time = unsafe { data.cast::<libc::timespec>().read_unaligned() };
            return Some(time.tv_sec.cast_unsigned() * 1_000_000_000 + time.tv_nsec.cast_unsigned());
        }
        // SAFETY: as above; the message lies in this header's control buffer.
        message = unsafe { libc::CMSG_NXTHDR(header, message) };
    }
    None
}

/// The sender's address as the kernel has written it.
fn address(name: &libc::sockaddr_storage) -> Option<SocketAddr> {
    match libc::c_int::from(name.ss_family) {
        libc::AF_INET => {
            // SAFETY: a sockaddr_storage is large enough and aligned for the type that its family names.
            let v4 = unsafe { *ptr::from_ref(name).cast::<libc::sockaddr_in>() };
            let ip = Ipv4Addr::from_bits(u32::from_be(v4.sin_addr.s_addr));
            Some(SocketAddr::from((ip, u16::from_be(v4.sin_port))))
        }
        libc::AF_INET6 => {
            // SAFETY: as above.
            let v6 = unsafe { *ptr::from_ref(name).cast::<libc::sockaddr_in6>() };
            let ip = Ipv6Addr::from(v6.sin6_addr.s6_addr);
            Some(SocketAddrV6::new(ip, u16::from_be(v6.sin6_port), v6.sin6_flowinfo, v6.sin6_scope_id).into())
        }
        _ => None,
    }
}

/// Asks the kernel to note when each datagram arrives: see [`Datagram::kernel_unix_ns`].
pub(crate) fn stamp_arrivals(socket: &impl AsFd) -> io::Result<()> {
    let on: libc::c_int = 1;
    let descriptor = socket.as_fd().as_raw_fd();
    let len = size_of_val(&on) as libc::socklen_t;
    // SAFETY: the value is an int, as this option needs it, and lives until the call returns.
    checked(unsafe {
        libc::setsockopt(descriptor, libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, (&raw const on).cast(), len)
    })?;
    Ok(())
}
