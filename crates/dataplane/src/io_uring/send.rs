//! Sending: one submission queue entry a packet, one system call a batch.

#![allow(unsafe_code, reason = "submission entries point to packets, addresses and message headers")]

use std::net::UdpSocket;
use std::os::fd::AsRawFd;

use io_uring::types::Fd;
use io_uring::{opcode, squeue};
use patchcord_relay::Transmit;
use patchcord_relay::ids::PortId;

use super::ring::Ring;
use super::token::{Generation, Token};
use crate::address::RawAddr;
use crate::backend::Sender;
use crate::counters::{Counters, Io};

/// Packets between two submissions.
const SENDS_MAX: usize = 256;

/// A port's socket and what the ring is doing with it.
#[derive(Debug, Default)]
pub(super) struct Port {
    pub(super) socket: Option<UdpSocket>,
    pub(super) generation: Generation,
    /// A multishot receive is in flight.
    pub(super) armed: bool,
    /// `SO_RXQ_OVFL` as last seen.
    pub(super) dropped: u32,
    /// Something has come, or a receive has ended: until then the socket has had no reason to drop anything.
    pub(super) heard: bool,
}

/// The ring and the sockets, which both directions need, and the sending half.
pub(crate) struct Outbound {
    pub(super) ring: Ring,
    pub(super) ports: Box<[Port]>,
    pub(super) counters: Counters,
    addresses: Box<[RawAddr; SENDS_MAX]>,
    queued: usize,
}

impl Outbound {
    pub(super) fn new(ring: Ring, ports: usize) -> Self {
        Self {
            ring,
            ports: (0..ports).map(|_| Port::default()).collect(),
            counters: Counters::default(),
            addresses: Box::new([RawAddr::EMPTY; SENDS_MAX]),
            queued: 0,
        }
    }

    fn queue(&mut self, packet: &Transmit<'_>) {
        let Some(socket) = self.ports.get(packet.port.index()).and_then(|port| port.socket.as_ref()) else {
            self.counters.count(Io::SendNoPort);
            return;
        };
        let address = &mut self.addresses[self.queued];
        address.set(packet.to);
        let entry = opcode::Send::new(Fd(socket.as_raw_fd()), packet.bytes.as_ptr(), packet.bytes.len() as u32)
            .dest_addr(address.as_ptr())
            .dest_addr_len(address.len())
            // A full send buffer is a drop with a name, not a packet that leaves too late.
            .flags(libc::MSG_DONTWAIT)
            .build()
            .flags(squeue::Flags::SKIP_SUCCESS)
            .user_data(Token::Send.pack());
        // SAFETY: `send` submits before it returns, while the packet is still borrowed; the address is not written again
        // before that either. MSG_DONTWAIT makes the kernel do the send, or fail it, within the submission: nothing is
        // linked, drained or forced to a kernel thread, UDP copies the payload into its own buffer, and a send that would
        // have to wait fails with EAGAIN instead of being kept for later.
        unsafe { self.ring.push(&entry) };
        self.queued += 1;
    }

    fn flush(&mut self) {
        self.ring.submit();
        self.queued = 0;
        let retried = self.ring.take_retried();
        self.counters.add(Io::SubmitRetried, retried);
    }

    /// Forgets the socket, which closes it, and returns it to be asked for its last words.
    pub(super) fn take(&mut self, port: PortId) -> Option<UdpSocket> {
        let port = self.ports.get_mut(port.index())?;
        port.generation = port.generation.next();
        port.socket.take()
    }
}

impl Sender for Outbound {
    fn send<'p>(&mut self, packets: impl Iterator<Item = Transmit<'p>>) {
        for packet in packets {
            if self.queued == SENDS_MAX {
                self.flush();
            }
            self.queue(&packet);
        }
        if self.queued > 0 {
            self.flush();
        }
    }

    fn counters(&mut self) -> &mut Counters {
        &mut self.counters
    }
}
