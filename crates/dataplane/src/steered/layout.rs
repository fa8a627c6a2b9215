//! What user space shares with the BPF programs `steer` and `fast`: as in `bpf/lease.h`.

#![allow(unsafe_code, reason = "that a type is plain bytes is our word")]

use core::mem::offset_of;

use crate::bpf::Plain;

/// Whose port it is (`struct lease`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub(crate) struct Lease {
    /// Index of the socket that receives.
    pub(super) socket: u32,
    /// Time of the window that the program counts in.
    window: u32,
    /// Datagrams in it.
    count: u32,
}

impl Lease {
    /// What comes is dropped: no socket has this index.
    pub(super) const CLOSED: Self = Self::of(u32::MAX);

    pub(crate) const fn of(socket: u32) -> Self {
        Self { socket, window: 0, count: 0 }
    }
}

/// Datagrams that one port may receive in one window of 2^26 ns (`LEASE_WINDOW_DATAGRAMS`).
#[cfg(test)]
pub(crate) const WINDOW_DATAGRAMS: u64 = 4096;

const _: () = assert!(size_of::<Lease>() == 12 && offset_of!(Lease, count) == 8);

// SAFETY: integers without padding between or behind them (the size is asserted above), valid for all bits.
unsafe impl Plain for Lease {}

#[cfg(test)]
mod tests {
    use super::WINDOW_DATAGRAMS;

    #[test]
    fn the_limit_is_that_of_the_program() {
        let header = include_str!("../../bpf/lease.h");
        assert!(header.contains(&format!("#define LEASE_WINDOW_DATAGRAMS {WINDOW_DATAGRAMS}\n")));
    }
}
