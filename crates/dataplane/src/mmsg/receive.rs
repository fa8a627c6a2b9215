//! Receiving: epoll, then recvmmsg into the slots of one batch.

#![allow(unsafe_code, reason = "epoll and recvmmsg take raw pointers")]

use core::net::SocketAddr;
use std::collections::VecDeque;
use std::io;
use std::net::UdpSocket;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use patchcord_relay::Datagram;
use patchcord_relay::ids::PortId;
use patchcord_relay::time::MonoTime;

use super::send::Outbound;
use crate::address::{self, SOCKADDR_BYTES};
use crate::ancillary::{self, ANCILLARY_BYTES, Ancillary};
use crate::backend::{BATCH, BUFFER_BYTES, Batch};
use crate::clock::Arrival;
use crate::counters::{Io, last_errno};
use crate::mapping::Mapping;

/// ```text
/// 0       16              48             104   128                  2176
/// | iovec | sender's addr | control data |     | datagram ...         |
/// ```
const NAME_AT: usize = 16;
const CONTROL_AT: usize = 48;
const PAYLOAD_AT: usize = 128;
const SLOT_BYTES: usize = PAYLOAD_AT + BUFFER_BYTES;

/// Datagrams from one socket before the next one has its turn.
const TURN: usize = 16;

/// The receiving half.
pub(super) struct Inbound {
    epoll: OwnedFd,
    /// Slots of one batch; what the headers point to.
    slots: Mapping,
    headers: Box<[libc::mmsghdr]>,
    /// Slots in use.
    filled: usize,
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
        let slots = Mapping::new(BATCH * SLOT_BYTES)?;
        let headers = (0..BATCH).map(|index| header(&slots, index)).collect();
        let events = vec![libc::epoll_event { events: 0, u64: 0 }; BATCH].into();
        Ok(Self { epoll, slots, headers, filled: 0, events, ready: VecDeque::with_capacity(BATCH) })
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
        while self.filled < BATCH {
            let Some(port) = self.ready.pop_front() else { break };
            let Some(socket) = &outbound.ports[port.index()].socket else { continue };
            let first = self.filled;
            match self.receive(socket.as_raw_fd()) {
                Ok(count) => self.filled += count,
                Err(libc::EAGAIN | libc::EINTR) => {}
                Err(errno) => outbound.counters.receive_failed(errno),
            }
            for slot in first..self.filled {
                // SAFETY: the slot was filled just now and is read here only; it is not filled again before `release`, which
                // cannot be called while the batch borrows `self`.
                let bytes = unsafe { self.bytes(slot) };
                let header = &self.headers[slot];
                let (from, ancillary, datagram) = read(bytes, &header.msg_hdr);
                if let Some(dropped) = ancillary.dropped {
                    let seen = core::mem::replace(&mut outbound.ports[port.index()].dropped, dropped);
                    outbound.counters.add(Io::KernelDropped, dropped.wrapping_sub(seen).into());
                }
                let Some(from) = from else {
                    outbound.counters.count(Io::ReceiveMalformed);
                    continue;
                };
                outbound.counters.count(Io::Received);
                let arrived = arrival.at(ancillary.wall_nanos, now);
                let mut datagram = Datagram::new(port, from, arrived, datagram, header.msg_len as usize);
                datagram.truncated = header.msg_hdr.msg_flags & libc::MSG_TRUNC != 0;
                batch.push(datagram);
            }
        }
    }

    /// Makes the slots of the last batch ready for the next.
    pub(super) fn release(&mut self) {
        for header in &mut self.headers[..self.filled] {
            header.msg_hdr.msg_namelen = SOCKADDR_BYTES as libc::socklen_t;
            header.msg_hdr.msg_controllen = ANCILLARY_BYTES;
        }
        self.filled = 0;
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

    /// Fills the next slots from one socket.
    fn receive(&mut self, socket: RawFd) -> Result<usize, i32> {
        let headers = &mut self.headers[self.filled..];
        let room = headers.len().min(TURN) as libc::c_uint;
        // SAFETY: there are `room` headers, and each points to parts of its own slot, which nothing else refers to: slots
        // from `filled` on are in no batch.
        let count = unsafe {
            libc::recvmmsg(socket, headers.as_mut_ptr(), room, libc::MSG_DONTWAIT as _, core::ptr::null_mut())
        };
        usize::try_from(count).map_err(|_| last_errno())
    }

    /// A slot's memory.
    ///
    /// # Safety
    /// The slot must have been filled, and no other reference to it may be alive.
    unsafe fn bytes<'a>(&self, slot: usize) -> &'a mut [u8] {
        let start = self.slots.at(slot * SLOT_BYTES);
        // SAFETY: the slot lies within the mapping, is initialised (anonymous pages are zero), and is the caller's alone.
        unsafe { core::slice::from_raw_parts_mut(start.as_ptr(), SLOT_BYTES) }
    }
}

impl AsRawFd for Inbound {
    fn as_raw_fd(&self) -> RawFd {
        self.epoll.as_raw_fd()
    }
}

fn header(slots: &Mapping, index: usize) -> libc::mmsghdr {
    let at = |offset| slots.at(index * SLOT_BYTES + offset).as_ptr();
    let vector = at(0).cast::<libc::iovec>();
    // SAFETY: slots are multiples of 64 bytes in a page-aligned mapping, so the vector is aligned; nothing refers to it yet.
    unsafe { vector.write(libc::iovec { iov_base: at(PAYLOAD_AT).cast(), iov_len: BUFFER_BYTES }) };
    // SAFETY: mmsghdr consists of pointers and integers, for which all zeroes means absent.
    let mut header: libc::mmsghdr = unsafe { core::mem::zeroed() };
    header.msg_hdr.msg_name = at(NAME_AT).cast();
    header.msg_hdr.msg_namelen = SOCKADDR_BYTES as libc::socklen_t;
    header.msg_hdr.msg_iov = vector;
    header.msg_hdr.msg_iovlen = 1;
    header.msg_hdr.msg_control = at(CONTROL_AT).cast();
    header.msg_hdr.msg_controllen = ANCILLARY_BYTES;
    header
}

/// What recvmmsg has put into a slot: sender, control data, and the buffer that the datagram is in.
fn read<'a>(bytes: &'a mut [u8], header: &libc::msghdr) -> (Option<SocketAddr>, Ancillary, &'a mut [u8]) {
    let (head, payload) = bytes.split_at_mut(PAYLOAD_AT);
    let from = address::read(&head[NAME_AT..NAME_AT + SOCKADDR_BYTES.min(header.msg_namelen as usize)]);
    let ancillary = ancillary::read(&head[CONTROL_AT..CONTROL_AT + ANCILLARY_BYTES.min(header.msg_controllen)]);
    (from, ancillary, payload)
}
