//! The rings that an AF_XDP socket shares with the kernel (`Documentation/networking/af_xdp.rst`, "Rings"): each has one producer and one
//! consumer, of which one is the kernel.

#![allow(unsafe_code, reason = "rings are memory that the kernel reads and writes too")]

use core::ptr::NonNull;
use core::sync::atomic::{AtomicU32, Ordering};
use std::io;
use std::os::fd::BorrowedFd;

use crate::mapping::Mapping;

/// Where the parts of a ring are in its mapping (`struct xdp_ring_offset`), in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) producer: usize,
    pub(super) consumer: usize,
    pub(super) entries: usize,
    pub(super) flags: usize,
}

/// What a ring can hold.
///
/// # Safety
/// All bytes are initialised and every value is valid.
pub(super) unsafe trait Entry: Copy {}

/// Where a frame's content begins, in bytes from the beginning of the memory.
// SAFETY: an integer.
unsafe impl Entry for u64 {}

/// What is in a frame (`struct xdp_desc`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub(super) struct Descriptor {
    pub(super) at: u64,
    pub(super) len: u32,
    pub(super) options: u32,
}

const _: () = assert!(size_of::<Descriptor>() == size_of::<libc::xdp_desc>());

// SAFETY: integers without padding.
unsafe impl Entry for Descriptor {}

/// A ring, whichever side we have.
struct Ring<T> {
    producer: NonNull<AtomicU32>,
    consumer: NonNull<AtomicU32>,
    flags: NonNull<AtomicU32>,
    entries: NonNull<T>,
    mask: u32,
    _memory: Mapping,
}

// SAFETY: the memory is the process's, not a thread's, and whoever has the ring has our side of it to itself.
unsafe impl<T: Entry> Send for Ring<T> {}

impl<T: Entry> Ring<T> {
    fn map(socket: BorrowedFd<'_>, page: u64, layout: Layout, len: u32) -> io::Result<Self> {
        assert!(len.is_power_of_two(), "a ring of {len}");
        let bytes = layout.entries + len as usize * size_of::<T>();
        let memory = Mapping::of(socket, page, bytes)?;
        Ok(Self {
            producer: memory.at(layout.producer).cast(),
            consumer: memory.at(layout.consumer).cast(),
            flags: memory.at(layout.flags).cast(),
            entries: memory.at(layout.entries).cast(),
            mask: len - 1,
            _memory: memory,
        })
    }

    const fn producer(&self) -> &AtomicU32 {
        // SAFETY: it lies within the mapping, which lives as long as `self`; the kernel aligns it.
        unsafe { self.producer.as_ref() }
    }

    const fn consumer(&self) -> &AtomicU32 {
        // SAFETY: as `producer`.
        unsafe { self.consumer.as_ref() }
    }

    fn needs_wakeup(&self) -> bool {
        /// `XDP_RING_NEED_WAKEUP`
        const NEED_WAKEUP: u32 = 1;
        // SAFETY: as `producer`.
        unsafe { self.flags.as_ref() }.load(Ordering::Relaxed) & NEED_WAKEUP != 0
    }

    fn entry(&self, number: u32) -> NonNull<T> {
        // SAFETY: the ring has `mask + 1` entries.
        unsafe { self.entries.add((number & self.mask) as usize) }
    }
}

/// The side that fills a ring.
pub(super) struct Producer<T> {
    ring: Ring<T>,
    /// Entries that were put in all, those that are not published yet among them.
    put: u32,
    published: u32,
    /// Of them, those that the consumer had taken when it was last asked.
    taken: u32,
}

impl<T: Entry> Producer<T> {
    /// The ring of `len` entries that a socket has at `page`.
    pub(super) fn map(socket: BorrowedFd<'_>, page: u64, layout: Layout, len: u32) -> io::Result<Self> {
        Ok(Self { ring: Ring::map(socket, page, layout, len)?, put: 0, published: 0, taken: 0 })
    }

    /// How many entries have room, up to `wanted`.
    pub(super) fn room(&mut self, wanted: u32) -> u32 {
        let len = self.ring.mask + 1;
        if len - self.put.wrapping_sub(self.taken) < wanted {
            self.taken = self.ring.consumer().load(Ordering::Acquire);
        }
        (len - self.put.wrapping_sub(self.taken)).min(wanted)
    }

    /// Puts an entry; there must be room.
    pub(super) fn put(&mut self, entry: T) {
        debug_assert!(self.put.wrapping_sub(self.taken) <= self.ring.mask, "a full ring");
        // SAFETY: the consumer does not look at entries that are not published.
        unsafe { self.ring.entry(self.put).write(entry) };
        self.put = self.put.wrapping_add(1);
    }

    /// Shows the consumer what was put; how much it is.
    pub(super) fn publish(&mut self) -> u32 {
        let more = self.put.wrapping_sub(self.published);
        if more > 0 {
            self.ring.producer().store(self.put, Ordering::Release);
            self.published = self.put;
        }
        more
    }

    /// Entries that the consumer has not taken yet.
    pub(super) fn waiting(&mut self) -> u32 {
        self.taken = self.ring.consumer().load(Ordering::Acquire);
        self.published.wrapping_sub(self.taken)
    }

    /// Puts `blank` in the place of what the consumer has not taken but for the first `taken`, which it has: it may know already how much there
    /// is. It must be one that looks only when it is told to, and has returned.
    pub(super) fn blank(&mut self, taken: u32, blank: T, mut each: impl FnMut(T)) {
        for number in taken..self.waiting() {
            let entry = self.ring.entry(self.taken.wrapping_add(number));
            // SAFETY: it was put, and is still there.
            each(unsafe { entry.read() });
            // SAFETY: nobody looks at it meanwhile.
            unsafe { entry.write(blank) };
        }
    }

    /// The kernel wants to be told of what was put.
    pub(super) fn needs_wakeup(&self) -> bool {
        self.ring.needs_wakeup()
    }
}

/// The side that empties a ring.
pub(super) struct Consumer<T> {
    ring: Ring<T>,
    taken: u32,
    /// Entries that the producer had published when it was last asked.
    published: u32,
}

impl<T: Entry> Consumer<T> {
    /// As [`Producer::map`].
    pub(super) fn map(socket: BorrowedFd<'_>, page: u64, layout: Layout, len: u32) -> io::Result<Self> {
        Ok(Self { ring: Ring::map(socket, page, layout, len)?, taken: 0, published: 0 })
    }

    /// Takes up to `max` entries, and gives their places back.
    pub(super) fn take(&mut self, max: usize, mut each: impl FnMut(T)) {
        if (self.published.wrapping_sub(self.taken) as usize) < max {
            self.published = self.ring.producer().load(Ordering::Acquire);
        }
        let count = (self.published.wrapping_sub(self.taken) as usize).min(max) as u32;
        for _ in 0..count {
            // SAFETY: the producer has published it and will not touch it until it is given back.
            each(unsafe { self.ring.entry(self.taken).read() });
            self.taken = self.taken.wrapping_add(1);
        }
        if count > 0 {
            self.ring.consumer().store(self.taken, Ordering::Release);
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::VecDeque;
    use std::fs::File;
    use std::os::fd::{AsFd, FromRawFd, OwnedFd};

    use proptest::prelude::*;

    use super::{Consumer, Layout, Producer};

    const LEN: u32 = 8;
    const BLANK: u64 = u64::MAX;
    const LAYOUT: Layout = Layout { producer: 0, consumer: 64, flags: 68, entries: 128 };

    /// Both sides of one ring.
    pub(crate) fn ring() -> (Producer<u64>, Consumer<u64>) {
        // SAFETY: the name is a C string.
        let memory = unsafe { libc::memfd_create(c"ring".as_ptr(), libc::MFD_CLOEXEC) };
        // SAFETY: the descriptor is new and ours alone.
        let memory = unsafe { OwnedFd::from_raw_fd(memory) };
        File::from(memory.try_clone().expect("a descriptor")).set_len(4096).expect("memory");
        let producer = Producer::map(memory.as_fd(), 0, LAYOUT, LEN).expect("memory");
        (producer, Consumer::map(memory.as_fd(), 0, LAYOUT, LEN).expect("memory"))
    }

    proptest! {
        #[test]
        fn what_is_put_is_taken_once_and_in_order(steps in prop::collection::vec((0_u8..4, 1_u32..10), 0..200)) {
            let (mut producer, mut consumer) = ring();
            let (mut next, mut put, mut published) = (0_u64, VecDeque::new(), VecDeque::new());
            for (step, count) in steps {
                match step {
                    0 => {
                        let room = producer.room(count);
                        let held = put.len() + published.len();
                        prop_assert_eq!(room, count.min(LEN - held as u32));
                        for _ in 0..room {
                            producer.put(next);
                            put.push_back(next);
                            next += 1;
                        }
                    }
                    1 => {
                        prop_assert_eq!(producer.publish() as usize, put.len());
                        published.append(&mut put);
                    }
                    2 => {
                        let mut taken = Vec::new();
                        consumer.take(count as usize, |entry| taken.push(entry));
                        let expected: Vec<u64> = published.drain(..published.len().min(count as usize)).collect();
                        prop_assert_eq!(taken, expected);
                    }
                    _ => {
                        let (mut blanked, first) = (Vec::new(), count.min(published.len() as u32));
                        producer.blank(first, BLANK, |entry| blanked.push(entry));
                        let others = published.iter_mut().skip(first as usize);
                        prop_assert_eq!(blanked, others.map(|entry| core::mem::replace(entry, BLANK)).collect::<Vec<_>>());
                    }
                }
            }
        }
    }
}
