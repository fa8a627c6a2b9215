//! Receive buffers that the kernel picks from: a provided-buffer ring.

#![allow(unsafe_code, reason = "memory shared with the kernel: the buffers, the ring's entries and its tail")]

use core::sync::atomic::{AtomicU16, Ordering};
use std::io;

use io_uring::Submitter;
use io_uring::types::BufRingEntry;

use crate::backend::BUFFER_BYTES;
use crate::mapping::Mapping;

/// The one buffer group of a ring.
pub(super) const GROUP: u16 = 0;

/// Buffers of [`BUFFER_BYTES`] each, numbered from 0. A buffer belongs to the kernel until a completion names it, and to
/// the worker from then until [`Buffers::give_back`] and [`Buffers::publish`].
pub(super) struct Buffers {
    data: Mapping,
    entries: Mapping,
    count: u16,
    /// Entries ever written, modulo 2^16; the kernel knows of those up to the last publication.
    tail: u16,
}

impl Buffers {
    /// Maps `count` buffers and their ring; `count` must be a power of two up to 32768.
    pub(super) fn new(count: u16) -> io::Result<Self> {
        let data = Mapping::new(usize::from(count) * BUFFER_BYTES)?;
        let entries = Mapping::new(usize::from(count) * size_of::<BufRingEntry>())?;
        Ok(Self { data, entries, count, tail: 0 })
    }

    /// Registers the ring and gives all buffers to the kernel.
    pub(super) fn register(&mut self, submitter: &Submitter<'_>) -> io::Result<()> {
        let address = self.entries.at(0).as_ptr() as u64;
        // SAFETY: the mapping is page-aligned, holds `count` entries and lives as long as `self`; whoever owns both drops
        // the ring first.
        unsafe { submitter.register_buf_ring_with_flags(address, self.count, GROUP, 0) }?;
        for id in 0..self.count {
            self.give_back(id);
        }
        self.publish();
        Ok(())
    }

    /// How many there are.
    pub(super) const fn count(&self) -> usize {
        self.count as usize
    }

    /// A buffer that belongs to the worker.
    ///
    /// # Safety
    /// A completion must have named the buffer since it was last given back, and no other reference to it may be alive.
    pub(super) unsafe fn get<'a>(&self, id: u16) -> &'a mut [u8] {
        assert!(id < self.count, "the kernel named buffer {id} of {}", self.count);
        let start = self.data.at(usize::from(id) * BUFFER_BYTES);
        // SAFETY: `id` is below `count`, so the buffer lies within the mapping, is initialised (anonymous pages are zero),
        // and is the caller's alone.
        unsafe { core::slice::from_raw_parts_mut(start.as_ptr(), BUFFER_BYTES) }
    }

    /// Puts a buffer back into the ring; the kernel sees it after [`Buffers::publish`].
    pub(super) fn give_back(&mut self, id: u16) {
        let address = self.data.at(usize::from(id) * BUFFER_BYTES).as_ptr() as u64;
        let slot = usize::from(self.tail & (self.count - 1));
        let entry = self.entries.at(slot * size_of::<BufRingEntry>()).cast::<BufRingEntry>();
        // SAFETY: an entry beyond the published tail is not read by the kernel, which has consumed its former content:
        // there are as many entries as buffers, and this buffer is not in the ring.
        let entry = unsafe { &mut *entry.as_ptr() };
        entry.set_addr(address);
        entry.set_len(BUFFER_BYTES as u32);
        entry.set_bid(id);
        self.tail = self.tail.wrapping_add(1);
    }

    /// Lets the kernel see what was given back.
    pub(super) fn publish(&self) {
        let base = self.entries.at(0).cast::<BufRingEntry>();
        // SAFETY: `base` is the first entry of the ring, where the kernel expects the tail.
        let tail = unsafe { BufRingEntry::tail(base.as_ptr()) };
        // SAFETY: the tail is an aligned u16 that only this thread writes and the kernel reads.
        let tail = unsafe { AtomicU16::from_ptr(tail.cast_mut()) };
        tail.store(self.tail, Ordering::Release);
    }
}
