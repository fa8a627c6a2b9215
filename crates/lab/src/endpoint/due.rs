//! Something to be done at a time, ordered so that a heap gives the earliest first.

use std::cmp::{Ordering, Reverse};

/// What is due, and when.
#[derive(Debug)]
pub(super) struct Due<T> {
    at_ns: u64,
    /// First come, first served among equal times.
    order: u64,
    pub(super) what: T,
}

impl<T> Due<T> {
    pub(super) const fn at(at_ns: u64, order: u64, what: T) -> Self {
        Self { at_ns, order, what }
    }

    pub(super) const fn at_ns(&self) -> u64 {
        self.at_ns
    }

    const fn key(&self) -> Reverse<(u64, u64)> {
        Reverse((self.at_ns, self.order))
    }
}

impl<T> PartialEq for Due<T> {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl<T> Eq for Due<T> {}

impl<T> PartialOrd for Due<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Due<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key().cmp(&other.key())
    }
}
