//! Sending: one sendmmsg for neighbouring packets of one port.

#![allow(unsafe_code, reason = "sendmmsg takes raw pointers")]

use std::net::UdpSocket;
use std::os::fd::{AsRawFd, RawFd};

use patchcord_relay::Transmit;

use crate::address::RawAddr;
use crate::backend::Sender;
use crate::counters::{Counters, Io, last_errno};

/// Packets of one port that one call may take.
const RUN_MAX: usize = 64;

/// A port's socket.
#[derive(Debug, Default)]
pub(super) struct Port {
    pub(super) socket: Option<UdpSocket>,
    /// `SO_RXQ_OVFL` as last seen.
    pub(super) dropped: u32,
}

/// The sockets, which both directions need, and the sending half.
pub(crate) struct Outbound {
    pub(super) ports: Box<[Port]>,
    pub(super) counters: Counters,
    run: Box<Run>,
}

/// Packets that leave by one socket.
struct Run {
    headers: [libc::mmsghdr; RUN_MAX],
    vectors: [libc::iovec; RUN_MAX],
    addresses: [RawAddr; RUN_MAX],
}

impl Outbound {
    pub(super) fn new(ports: usize) -> Self {
        // SAFETY: headers and vectors consist of pointers and integers, for which all zeroes means absent, addresses of
        // integers.
        let run = unsafe { Box::<Run>::new_zeroed().assume_init() };
        Self { ports: (0..ports).map(|_| Port::default()).collect(), counters: Counters::default(), run }
    }
}

impl Sender for Outbound {
    fn send<'p>(&mut self, packets: impl Iterator<Item = Transmit<'p>>) {
        let mut packets = packets.peekable();
        while let Some(first) = packets.next() {
            let Some(socket) = self.ports.get(first.port.index()).and_then(|port| port.socket.as_ref()) else {
                self.counters.count(Io::SendNoPort);
                continue;
            };
            let run = &mut *self.run;
            run.put(0, &first);
            let mut len = 1;
            while len < RUN_MAX
                && let Some(packet) = packets.next_if(|packet| packet.port == first.port)
            {
                run.put(len, &packet);
                len += 1;
            }
            run.send(socket.as_raw_fd(), len, &mut self.counters);
        }
    }

    fn counters(&mut self) -> &mut Counters {
        &mut self.counters
    }
}

impl Run {
    fn put(&mut self, index: usize, packet: &Transmit<'_>) {
        self.addresses[index].set(packet.to);
        self.vectors[index] =
            libc::iovec { iov_base: packet.bytes.as_ptr().cast_mut().cast(), iov_len: packet.bytes.len() };
    }

    /// Sends the first `len` packets, which must still be borrowed. One that cannot be sent is counted and does not hold up
    /// those behind it.
    fn send(&mut self, socket: RawFd, len: usize, counters: &mut Counters) {
        for index in 0..len {
            let header = &mut self.headers[index].msg_hdr;
            header.msg_name = self.addresses[index].as_ptr().cast_mut().cast();
            header.msg_namelen = self.addresses[index].len();
            header.msg_iov = &raw mut self.vectors[index];
            header.msg_iovlen = 1;
        }
        let mut done = 0;
        while done < len {
            let rest = &mut self.headers[done..len];
            // SAFETY: the headers were just pointed at addresses and vectors of `self`, which nobody touches meanwhile, and
            // the vectors at packets that the caller still borrows; sendmmsg writes to nothing but the headers' lengths.
            let sent = unsafe {
                libc::sendmmsg(socket, rest.as_mut_ptr(), rest.len() as libc::c_uint, libc::MSG_DONTWAIT as _)
            };
            match usize::try_from(sent) {
                Ok(sent) => done += sent,
                Err(_) => {
                    let errno = last_errno();
                    if errno != libc::EINTR {
                        counters.send_failed(errno);
                        done += 1;
                    }
                }
            }
        }
    }
}
