//! Sending whole frames by packet sockets (packet(7)): the kernel's routing, its UDP and its IP layer are left out, which is half of
//! what sending costs.

#![allow(unsafe_code, reason = "sendmmsg takes raw pointers")]

use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use nix::sys::socket::{AddressFamily, SockFlag, SockType, setsockopt, socket, sockopt};

use crate::counters::{Counters, Io};
use crate::mmsg::{RUN_MAX, send_all};
use crate::network::frame::{HEADER_MAX, Header};

/// The interfaces that this worker sends frames by.
#[derive(Default)]
pub(super) struct Frames {
    interfaces: Vec<Interface>,
    send_buffer_bytes: usize,
}

/// A packet socket on one interface, and the frames that its next call takes.
struct Interface {
    index: u32,
    socket: OwnedFd,
    run: Box<Run>,
}

struct Run {
    headers: [libc::mmsghdr; RUN_MAX],
    vectors: [[libc::iovec; 2]; RUN_MAX],
    heads: [[u8; HEADER_MAX]; RUN_MAX],
    len: usize,
}

impl Frames {
    pub(super) const fn new(send_buffer_bytes: usize) -> Self {
        Self { interfaces: Vec::new(), send_buffer_bytes }
    }

    /// Opens a socket on an interface unless there is one. Without it packets go by the UDP socket.
    pub(super) fn open(&mut self, index: u32) {
        if self.interfaces.iter().any(|interface| interface.index == index) {
            return;
        }
        match open(index, self.send_buffer_bytes) {
            Ok(socket) => self.interfaces.push(Interface { index, socket, run: Run::new() }),
            Err(error) => {
                tracing::warn!(interface = index, %error, "no packet socket, which takes CAP_NET_RAW: sending by UDP, which costs more");
            }
        }
    }

    /// Puts a packet into the run of an interface; `false` if there is no socket on it.
    ///
    /// # Safety
    /// The payload must be where it is until [`Frames::flush`].
    pub(super) unsafe fn put(&mut self, index: u32, header: &Header, payload: &[u8], counters: &mut Counters) -> bool {
        let Some(interface) = self.interfaces.iter_mut().find(|interface| interface.index == index) else {
            return false;
        };
        if interface.run.len == RUN_MAX {
            interface.run.send(interface.socket.as_raw_fd(), counters);
        }
        interface.run.put(header, payload);
        true
    }

    /// Sends what was put.
    pub(super) fn flush(&mut self, counters: &mut Counters) {
        for Interface { socket, run, .. } in &mut self.interfaces {
            run.send(socket.as_raw_fd(), counters);
        }
    }
}

impl Run {
    fn new() -> Box<Self> {
        // SAFETY: headers and vectors consist of pointers and integers, for which all zeroes means absent, the rest of integers.
        unsafe { Box::<Self>::new_zeroed().assume_init() }
    }

    fn put(&mut self, header: &Header, payload: &[u8]) {
        let head = &mut self.heads[self.len];
        let len = header.write(payload, head);
        self.vectors[self.len] = [
            libc::iovec { iov_base: head.as_mut_ptr().cast(), iov_len: len },
            libc::iovec { iov_base: payload.as_ptr().cast_mut().cast(), iov_len: payload.len() },
        ];
        self.len += 1;
    }

    /// Sends all frames. One that cannot be sent is counted and does not hold up those behind it.
    fn send(&mut self, socket: RawFd, counters: &mut Counters) {
        let len = core::mem::take(&mut self.len);
        for (header, vectors) in self.headers[..len].iter_mut().zip(&mut self.vectors) {
            header.msg_hdr.msg_iov = vectors.as_mut_ptr();
            header.msg_hdr.msg_iovlen = 2;
        }
        // SAFETY: the headers were just pointed at vectors of `self`, and those at heads of `self` and at payloads that are still
        // where they were put.
        let sent = unsafe { send_all(socket, &mut self.headers[..len], counters) };
        counters.add(Io::SentFrames, sent as u64);
    }
}

/// A socket that sends by one interface and receives nothing.
fn open(index: u32, send_buffer_bytes: usize) -> io::Result<OwnedFd> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    // Protocol 0: no packet is copied to it.
    let socket = socket(AddressFamily::Packet, SockType::Raw, flags, None)?;
    let mut addr = libc::sockaddr_ll {
        sll_family: libc::AF_PACKET as libc::c_ushort,
        sll_protocol: 0,
        sll_ifindex: index.try_into().map_err(io::Error::other)?,
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 0,
        sll_addr: [0; 8],
    };
    // SAFETY: `addr` is a sockaddr_ll of that length; the kernel only reads it.
    let bound =
        unsafe { libc::bind(socket.as_raw_fd(), (&raw mut addr).cast(), size_of_val(&addr) as libc::socklen_t) };
    if bound != 0 {
        return Err(io::Error::last_os_error());
    }
    if setsockopt(&socket, sockopt::SndBufForce, &send_buffer_bytes).is_err() {
        let _ = setsockopt(&socket, sockopt::SndBuf, &send_buffer_bytes);
    }
    Ok(socket)
}
