//! Memory that recvmmsg receives into: a slot for each datagram of a batch.

#![allow(unsafe_code, reason = "recvmmsg takes raw pointers, and fills memory behind the compiler's back")]

use core::net::SocketAddr;
use core::ops::Range;
use std::io;
use std::os::fd::RawFd;

use crate::address::{self, SOCKADDR_BYTES};
use crate::ancillary::{self, ANCILLARY_STEERED_BYTES, Ancillary};
use crate::backend::{BATCH, BUFFER_BYTES};
use crate::counters::{Counters, last_errno};
use crate::mapping::Mapping;

/// ```text
/// 0       16              48             152   192                  2240
/// | iovec | sender's addr | control data |     | datagram ...         |
/// ```
const NAME_AT: usize = 16;
const CONTROL_AT: usize = 48;
const PAYLOAD_AT: usize = 192;
const SLOT_BYTES: usize = PAYLOAD_AT + BUFFER_BYTES;

const _: () = assert!(CONTROL_AT + ANCILLARY_STEERED_BYTES <= PAYLOAD_AT);

/// Slots of one batch. They are filled from the first on, by one call or several, and emptied all at once.
pub(crate) struct Slots {
    memory: Mapping,
    /// Point to their slots.
    headers: Box<[libc::mmsghdr]>,
    filled: usize,
}

/// What is in a slot.
pub(crate) struct Received<'a> {
    /// `None`: the kernel's address is of no family that is known here.
    pub(crate) from: Option<SocketAddr>,
    pub(crate) ancillary: Ancillary,
    /// The whole buffer.
    pub(crate) bytes: &'a mut [u8],
    /// How much of it is the datagram.
    pub(crate) len: usize,
    pub(crate) truncated: bool,
}

impl Slots {
    pub(crate) fn new() -> io::Result<Self> {
        let memory = Mapping::new(BATCH * SLOT_BYTES)?;
        let headers = (0..BATCH).map(|index| header(&memory, index)).collect();
        Ok(Self { memory, headers, filled: 0 })
    }

    /// Slots that are empty.
    pub(crate) const fn room(&self) -> usize {
        BATCH - self.filled
    }

    /// Takes datagrams from a socket into the next slots, up to `max`, without waiting; which slots. An error is counted.
    pub(crate) fn receive(&mut self, socket: RawFd, max: usize, counters: &mut Counters) -> Range<usize> {
        let first = self.filled;
        let headers = &mut self.headers[first..];
        let room = headers.len().min(max) as libc::c_uint;
        // SAFETY: there are `room` headers, and each points to parts of its own slot, which nothing else refers to: slots
        // from `filled` on are in no batch.
        let count = unsafe {
            libc::recvmmsg(socket, headers.as_mut_ptr(), room, libc::MSG_DONTWAIT as _, core::ptr::null_mut())
        };
        match usize::try_from(count) {
            Ok(count) => self.filled += count,
            Err(_) => match last_errno() {
                libc::EAGAIN | libc::EINTR => {}
                errno => counters.receive_failed(errno),
            },
        }
        first..self.filled
    }

    /// What is in a slot.
    ///
    /// # Safety
    /// The slot must have been filled since the last [`Slots::release`], and no other reference to it may be alive. It must not
    /// live on to the next one.
    pub(crate) unsafe fn get<'a>(&self, slot: usize) -> Received<'a> {
        debug_assert!(slot < self.filled, "slot {slot} of {}", self.filled);
        let start = self.memory.at(slot * SLOT_BYTES);
        // SAFETY: the slot lies within the mapping, is initialised (anonymous pages are zero), and is the caller's alone.
        let memory = unsafe { core::slice::from_raw_parts_mut(start.as_ptr(), SLOT_BYTES) };
        let (head, bytes) = memory.split_at_mut(PAYLOAD_AT);
        let libc::mmsghdr { msg_hdr: header, msg_len } = &self.headers[slot];
        let control = header.msg_controllen.min(ANCILLARY_STEERED_BYTES);
        Received {
            from: address::read(&head[NAME_AT..NAME_AT + SOCKADDR_BYTES.min(header.msg_namelen as usize)]),
            ancillary: ancillary::read(&head[CONTROL_AT..CONTROL_AT + control]),
            bytes,
            len: *msg_len as usize,
            truncated: header.msg_flags & libc::MSG_TRUNC != 0,
        }
    }

    /// Empties all slots.
    pub(crate) fn release(&mut self) {
        for header in &mut self.headers[..self.filled] {
            header.msg_hdr.msg_namelen = SOCKADDR_BYTES as libc::socklen_t;
            header.msg_hdr.msg_controllen = ANCILLARY_STEERED_BYTES;
        }
        self.filled = 0;
    }
}

fn header(memory: &Mapping, index: usize) -> libc::mmsghdr {
    let at = |offset| memory.at(index * SLOT_BYTES + offset).as_ptr();
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
    header.msg_hdr.msg_controllen = ANCILLARY_STEERED_BYTES;
    header
}
