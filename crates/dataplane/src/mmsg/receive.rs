//! Receiving: epoll, then recvmmsg into the slots of one batch.

#![allow(unsafe_code, reason = "epoll takes raw pointers, and slots are borrowed by hand")]

use std::collections::VecDeque;
use std::io;
use std::net::UdpSocket;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use patchcord_relay::Datagram;
use patchcord_relay::ids::PortId;
use patchcord_relay::time::MonoTime;

use super::send::Outbound;
use super::slots::Slots;
use crate::backend::{BATCH, Batch};
use crate::clock::Arrival;
use crate::counters::Io;

/// Datagrams from one socket before the next one has its turn.
const TURN: usize = 16;

/// The receiving half.
pub(super) struct Inbound {
    epoll: OwnedFd,
    slots: Slots,
    events: Box<[libc::epoll_event]>,
    /// Ports that epoll named and that have not had their turn.
    ready: VecDeque<PortId>,
}

impl Inbound {
    pub(super) fn new() -> io::Result<Self> {
        // SAFETY: epoll_create1 takes an integer and touches no memory.
        let fd = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: `fd` was just created and belongs to nobody else.
        let epoll = unsafe { OwnedFd::from_raw_fd(fd) };
        let events = vec![libc::epoll_event { events: 0, u64: 0 }; BATCH].into();
        Ok(Self { epoll, slots: Slots::new()?, events, ready: VecDeque::with_capacity(BATCH) })
    }

    pub(super) fn watch(&self, port: PortId, socket: &UdpSocket) -> io::Result<()> {
        let mut event = libc::epoll_event { events: libc::EPOLLIN as u32, u64: port.index() as u64 };
        // SAFETY: `event` is a valid epoll_event; the kernel copies it.
        let result =
            unsafe { libc::epoll_ctl(self.epoll.as_raw_fd(), libc::EPOLL_CTL_ADD, socket.as_raw_fd(), &raw mut event) };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    pub(super) fn forget(&mut self, port: PortId, socket: &UdpSocket) {
        self.ready.retain(|&ready| ready != port);
        // SAFETY: EPOLL_CTL_DEL takes no event.
        unsafe {
            libc::epoll_ctl(self.epoll.as_raw_fd(), libc::EPOLL_CTL_DEL, socket.as_raw_fd(), core::ptr::null_mut())
        };
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
            self.ask();
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

    /// Asks epoll. It names sockets that still have something again, behind those that have not been named yet, so that
    /// all have their turn.
    fn ask(&mut self) {
        let (events, capacity) = (self.events.as_mut_ptr(), self.events.len());
        // SAFETY: `events` has room for `capacity` events.
        let count = unsafe { libc::epoll_wait(self.epoll.as_raw_fd(), events, capacity as libc::c_int, 0) };
        let events = &self.events[..usize::try_from(count).unwrap_or(0)];
        self.ready.extend(events.iter().map(|event| PortId::from_index(event.u64 as u32)));
    }
}

impl AsRawFd for Inbound {
    fn as_raw_fd(&self) -> RawFd {
        self.epoll.as_raw_fd()
    }
}
