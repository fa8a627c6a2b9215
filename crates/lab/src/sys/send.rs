//! Many datagrams in one system call.

use std::io;
use std::mem;
use std::os::fd::{AsFd, AsRawFd};
use std::ptr;

use socket2::SockAddr;

use super::checked;

/// Pointers for one `sendmmsg`.
pub(crate) struct SendBatch {
    vectors: Vec<libc::iovec>,
    messages: Vec<libc::mmsghdr>,
}

// SAFETY: the pointers are written anew before each call and are not used between two calls.
unsafe impl Send for SendBatch {}

/// One datagram to send.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Outgoing<'a> {
    pub(crate) to: &'a SockAddr,
    pub(crate) bytes: &'a [u8],
}

impl SendBatch {
    pub(crate) fn new() -> Self {
        Self { vectors: Vec::new(), messages: Vec::new() }
    }

    /// Sends the datagrams in order and returns how many the kernel took. An error belongs to the first one that it did not take.
    pub(crate) fn send(&mut self, socket: &impl AsFd, datagrams: &[Outgoing<'_>]) -> io::Result<usize> {
        self.vectors.clear();
        self.messages.clear();
        self.vectors.extend(datagrams.iter().map(|datagram| libc::iovec {
            iov_base: datagram.bytes.as_ptr().cast_mut().cast(),
            iov_len: datagram.bytes.len(),
        }));
        for (datagram, vector) in datagrams.iter().zip(&mut self.vectors) {
            // SAFETY: all zeros are a valid mmsghdr: null pointers with length 0.
            let mut message: libc::mmsghdr = unsafe { mem::zeroed() };
            message.msg_hdr.msg_name = datagram.to.as_ptr().cast_mut().cast();
            message.msg_hdr.msg_namelen = datagram.to.len();
            message.msg_hdr.msg_iov = ptr::from_mut(vector);
            message.msg_hdr.msg_iovlen = 1;
            self.messages.push(message);
        }
        let descriptor = socket.as_fd().as_raw_fd();
        let count = libc::c_uint::try_from(self.messages.len()).unwrap_or(libc::c_uint::MAX);
        // SAFETY: every message points, with the right lengths, to an address and bytes that are borrowed until the call returns;
        // sendmmsg writes nothing but the msg_len fields.
        let sent = checked(unsafe { libc::sendmmsg(descriptor, self.messages.as_mut_ptr(), count, 0) })?;
        Ok(sent as usize)
    }
}
