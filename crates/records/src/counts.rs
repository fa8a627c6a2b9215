//! How the records stand.

use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// How the records stand: numbers for whoever watches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// The database takes records, as far as is known.
    pub is_database_up: bool,
    /// Records that the database has taken from this process, those that a former one had left included.
    pub written: u64,
    /// Records that wait for the database, on disk.
    pub waiting: u64,
    /// Octets of these.
    pub waiting_octets: u64,
    /// Records that are in the log alone: queue and database could not take them.
    pub lost: u64,
    /// Records that the database will not have, put beside the queue; and lines of the queue that were damaged.
    pub set_aside: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) is_up: AtomicBool,
    pub(crate) written: AtomicU64,
    pub(crate) lost: AtomicU64,
    pub(crate) set_aside: AtomicU64,
    pub(crate) waiting: AtomicU64,
    pub(crate) waiting_octets: AtomicU64,
}

impl Counts {
    pub(crate) fn waits(&self, records: u64, octets: u64) {
        self.waiting.store(records, Ordering::Relaxed);
        self.waiting_octets.store(if records == 0 { 0 } else { octets }, Ordering::Relaxed);
    }

    pub(crate) fn add(counter: &AtomicU64, count: usize) {
        counter.fetch_add(count as u64, Ordering::Relaxed);
    }
}
