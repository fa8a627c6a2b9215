//! Receiving: epoll, then recvmmsg into the slots of one batch.

#![allow(unsafe_code, reason = "slots are borrowed by hand")]

use std::collections::VecDeque;
use std::io;
use std::net::UdpSocket;
use std::os::fd::{AsFd, AsRawFd, RawFd};

use patchcord_relay::Datagram;
use patchcord_relay::ids::PortId;
use patchcord_relay::time::MonoTime;

use super::epoll::Epoll;
use super::send::Outbound;
use super::slots::Slots;
use crate::backend::{BATCH, Batch};
use crate::clock::Arrival;
use crate::counters::Io;

/// Datagrams from one socket before the next one has its turn.
const TURN: usize = 16;

/// The receiving half.
pub(super) struct Inbound {
    epoll: Epoll,
    slots: Slots,
    events: Box<[libc::epoll_event]>,
    /// Ports that epoll named and that have not had their turn.
    ready: VecDeque<PortId>,
}

impl Inbound {
    pub(super) fn new() -> io::Result<Self> {
        let events = vec![libc::epoll_event { events: 0, u64: 0 }; BATCH].into();
        Ok(Self { epoll: Epoll::new()?, slots: Slots::new()?, events, ready: VecDeque::with_capacity(BATCH) })
    }

    pub(super) fn watch(&self, port: PortId, socket: &UdpSocket) -> io::Result<()> {
        self.epoll.watch(socket.as_fd(), port.index() as u64)
    }

    pub(super) fn forget(&mut self, port: PortId, socket: &UdpSocket) {
        self.ready.retain(|&ready| ready != port);
        self.epoll.forget(socket.as_fd());
    }

    /// Nothing is known to be there; epoll may know more.
    pub(super) fn is_idle(&self) -> bool {
        self.ready.is_empty()
    }

    /// Moves what has arrived into `batch`.
    pub(super) fn fill<'a>(
        &'a mut self,
        outbound: &mut Outbound,
        batch: &mut Batch<'a>,
        arrival: Arrival,
        now: MonoTime,
    ) {
        if self.ready.is_empty() {
            self.ready.extend(self.epoll.ask(&mut self.events).map(|index| PortId::from_index(index as u32)));
        }
        while self.slots.room() > 0 {
            let Some(port) = self.ready.pop_front() else { break };
            let Some(socket) = &outbound.ports[port.index()].socket else { continue };
            for slot in self.slots.receive(socket.as_raw_fd(), TURN, &mut outbound.counters) {
                // SAFETY: the slot was filled just now and is read here only; it is not filled again before `release`, which
                // cannot be called while the batch borrows `self`.
                let received = unsafe { self.slots.get(slot) };
                if let Some(dropped) = received.ancillary.dropped {
                    let seen = core::mem::replace(&mut outbound.ports[port.index()].dropped, dropped);
                    outbound.counters.add(Io::KernelDropped, dropped.wrapping_sub(seen).into());
                }
                let Some(from) = received.from else {
                    outbound.counters.count(Io::ReceiveMalformed);
                    continue;
                };
                outbound.counters.count(Io::Received);
                let arrived = arrival.at(received.ancillary.wall_nanos, now);
                let mut datagram = Datagram::new(port, from, arrived, received.bytes, received.len);
                datagram.truncated = received.truncated;
                batch.push(datagram);
            }
        }
    }

    /// Makes the slots of the last batch ready for the next.
    pub(super) fn release(&mut self) {
        self.slots.release();
    }
}

impl AsRawFd for Inbound {
    fn as_raw_fd(&self) -> RawFd {
        self.epoll.as_raw_fd()
    }
}
