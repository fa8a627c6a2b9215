//! The memory of an interface's packets, and its queues: what the workers share.

#![allow(unsafe_code, reason = "a queue's rings are given to one worker at a time")]

use core::cell::UnsafeCell;
use core::ops::{Deref, DerefMut};
use core::sync::atomic::{AtomicBool, Ordering};

use crossbeam::queue::ArrayQueue;

use super::ring::{Consumer, Producer};
use crate::mapping::Mapping;

/// Bytes of a frame: 256 that programs may put headers into, and the largest Ethernet frame.
pub(super) const FRAME_BYTES: usize = 2048;

/// The frame that is at this place in the memory.
pub(super) const fn frame_at(at: u64) -> u32 {
    (at / FRAME_BYTES as u64) as u32
}

/// All of it.
pub(super) struct Umem {
    /// Index of the interface.
    pub(super) interface: u32,
    pub(super) memory: Mapping,
    pub(super) queues: Box<[Queue]>,
    /// Frames that nobody has.
    pub(super) spare: ArrayQueue<u32>,
    /// The kernel copies packets, and does so when it is told to. Otherwise the device reads them in its own time.
    pub(super) copies: bool,
}

impl Umem {
    pub(super) fn frames(&self) -> usize {
        self.memory.len() / FRAME_BYTES
    }
}

/// A receive queue of the interface: the rings by which frames come and go. A packet that comes by it is in a frame of its fill ring, to whichever
/// worker it goes.
pub(super) struct Queue {
    taken: AtomicBool,
    rings: UnsafeCell<FrameRings>,
}

pub(super) struct FrameRings {
    pub(super) fill: Producer<u64>,
    pub(super) completion: Consumer<u64>,
}

// SAFETY: whoever gets at the rings has taken the queue, which nobody else can then.
unsafe impl Sync for Queue {}

impl Queue {
    pub(super) const fn new(fill: Producer<u64>, completion: Consumer<u64>) -> Self {
        Self { taken: AtomicBool::new(false), rings: UnsafeCell::new(FrameRings { fill, completion }) }
    }

    /// The rings, unless another worker has them just now. Nobody waits for them.
    pub(super) fn take(&self) -> Option<Taken<'_>> {
        // Not made before it is known to be ours: its end gives the queue back.
        (!self.taken.swap(true, Ordering::Acquire)).then(|| Taken { queue: self })
    }
}

/// A queue's rings, until this is dropped.
pub(super) struct Taken<'a> {
    queue: &'a Queue,
}

impl Deref for Taken<'_> {
    type Target = FrameRings;

    fn deref(&self) -> &FrameRings {
        // SAFETY: the queue is taken, by this.
        unsafe { &*self.queue.rings.get() }
    }
}

impl DerefMut for Taken<'_> {
    fn deref_mut(&mut self) -> &mut FrameRings {
        // SAFETY: the queue is taken, by this.
        unsafe { &mut *self.queue.rings.get() }
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        self.queue.taken.store(false, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::super::ring;
    use super::Queue;

    #[test]
    fn a_queue_is_one_workers_at_a_time_and_nobody_elses_to_give_back() {
        let (fill, _) = ring::tests::ring();
        let (_, completion) = ring::tests::ring();
        let queue = Queue::new(fill, completion);
        let taken = queue.take().expect("nobody has it");
        for _ in 0..3 {
            assert!(queue.take().is_none(), "somebody has it, and who finds that out changes nothing");
        }
        thread::scope(|scope| {
            let other = scope.spawn(|| queue.take().is_none());
            assert!(other.join().expect("no panic"));
        });
        drop(taken);
        assert!(queue.take().is_some());
    }
}
