//! Packets that one sendmmsg takes.

#![allow(unsafe_code, reason = "sendmmsg takes raw pointers")]

use std::os::fd::RawFd;

use patchcord_relay::Transmit;

use crate::address::RawAddr;
use crate::counters::{Counters, last_errno};

/// Packets that one call may take.
pub(crate) const RUN_MAX: usize = 64;

/// Packets that leave by one socket. A run is filled from index 0 on and sent, over and over.
pub(crate) struct Run {
    headers: [libc::mmsghdr; RUN_MAX],
    vectors: [libc::iovec; RUN_MAX],
    addresses: [RawAddr; RUN_MAX],
}

impl Run {
    pub(crate) fn new() -> Box<Self> {
        // SAFETY: headers and vectors consist of pointers and integers, for which all zeroes means absent, addresses of
        // integers.
        unsafe { Box::<Self>::new_zeroed().assume_init() }
    }

    /// Puts a packet at an index below [`RUN_MAX`], with control messages that are sent beside it (`sendmsg(2)`). Packet and
    /// control messages must stay where they are until the run is sent.
    pub(crate) fn put(&mut self, index: usize, packet: &Transmit<'_>, control: &[u8]) {
        self.addresses[index].set(packet.to);
        self.vectors[index] =
            libc::iovec { iov_base: packet.bytes.as_ptr().cast_mut().cast(), iov_len: packet.bytes.len() };
        let header = &mut self.headers[index].msg_hdr;
        header.msg_control = control.as_ptr().cast_mut().cast();
        header.msg_controllen = control.len();
    }

    /// Sends the first `len` packets. One that cannot be sent is counted and does not hold up those behind it.
    ///
    /// # Safety
    /// The first `len` packets have been put since the last call, and they and their control messages are still borrowed.
    pub(crate) unsafe fn send(&mut self, socket: RawFd, len: usize, counters: &mut Counters) {
        for index in 0..len {
            let header = &mut self.headers[index].msg_hdr;
            header.msg_name = self.addresses[index].as_ptr().cast_mut().cast();
            header.msg_namelen = self.addresses[index].len();
            header.msg_iov = &raw mut self.vectors[index];
            header.msg_iovlen = 1;
        }
        // SAFETY: the headers were just pointed at addresses and vectors of `self`, which nobody touches meanwhile, and the vectors
        // at packets that the caller still borrows.
        unsafe { send_all(socket, &mut self.headers[..len], counters) };
    }
}

/// Sends all messages, in order; how many the kernel took. One that cannot be sent is counted and does not hold up those behind it.
///
/// # Safety
/// What the headers point to must be there for the whole call.
pub(crate) unsafe fn send_all(socket: RawFd, messages: &mut [libc::mmsghdr], counters: &mut Counters) -> usize {
    let (mut done, mut taken) = (0, 0);
    while done < messages.len() {
        let rest = &mut messages[done..];
        // SAFETY: as the caller promised; sendmmsg writes to nothing but the headers' lengths.
        let sent =
            unsafe { libc::sendmmsg(socket, rest.as_mut_ptr(), rest.len() as libc::c_uint, libc::MSG_DONTWAIT as _) };
        match usize::try_from(sent) {
            Ok(sent) => {
                done += sent;
                taken += sent;
            }
            Err(_) => {
                let errno = last_errno();
                if errno != libc::EINTR {
                    counters.send_failed(errno);
                    done += 1;
                }
            }
        }
    }
    taken
}
