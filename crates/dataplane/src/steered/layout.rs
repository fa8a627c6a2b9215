//! What user space shares with the BPF program `steer`: as in `bpf/steer.h`.

#![allow(unsafe_code, reason = "that a type is plain bytes is our word")]

use core::mem::offset_of;
use core::net::{IpAddr, SocketAddr};

use crate::bpf::Plain;

/// Where a datagram was sent to (`struct steer_port`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub(super) struct PortKey {
    /// IPv4 addresses as IPv4-mapped IPv6 ones (RFC 4291, section 2.5.5.2).
    address: [u8; 16],
    /// Host order.
    port: u16,
    zero: u16,
}

impl From<SocketAddr> for PortKey {
    fn from(addr: SocketAddr) -> Self {
        let address = match addr.ip() {
            IpAddr::V4(v4) => v4.to_ipv6_mapped(),
            IpAddr::V6(v6) => v6,
        };
        Self { address: address.octets(), port: addr.port(), zero: 0 }
    }
}

/// Whose port it is (`struct steer_lease`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub(super) struct Lease {
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

    pub(super) const fn of(socket: u32) -> Self {
        Self { socket, window: 0, count: 0 }
    }
}

/// Datagrams that one port may receive in one window of 2^26 ns (`STEER_WINDOW_DATAGRAMS`).
#[cfg(test)]
pub(crate) const WINDOW_DATAGRAMS: u64 = 4096;

const _: () = assert!(size_of::<PortKey>() == 20 && offset_of!(PortKey, port) == 16);
const _: () = assert!(size_of::<Lease>() == 12 && offset_of!(Lease, count) == 8);

// SAFETY: integers without padding between or behind them (the sizes are asserted above), valid for all bits.
unsafe impl Plain for PortKey {}
// SAFETY: likewise.
unsafe impl Plain for Lease {}

#[cfg(test)]
mod tests {
    use super::{PortKey, WINDOW_DATAGRAMS};

    #[test]
    fn both_families_share_one_spelling() {
        let v4 = PortKey::from("192.0.2.1:5004".parse::<core::net::SocketAddr>().expect("a literal"));
        let v6 = PortKey::from("[::ffff:192.0.2.1]:5004".parse::<core::net::SocketAddr>().expect("a literal"));
        assert_eq!(v4, v6);
        assert_eq!(v4.address[10..], [0xff, 0xff, 192, 0, 2, 1]);
    }

    #[test]
    fn the_limit_is_that_of_the_program() {
        let header = include_str!("../../bpf/steer.h");
        assert!(header.contains(&format!("#define STEER_WINDOW_DATAGRAMS {WINDOW_DATAGRAMS}\n")));
    }
}
