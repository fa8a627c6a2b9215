//! A local address and port as BPF maps have it for a key: as in `bpf/port.h`.

#![allow(unsafe_code, reason = "that a type is plain bytes is our word")]

use core::mem::offset_of;
use core::net::{IpAddr, SocketAddr};

use crate::bpf::Plain;

/// Where a datagram was sent to (`struct port_key`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub(crate) struct PortKey {
    address: [u8; 16],
    /// Host order.
    port: u16,
    zero: u16,
}

impl From<SocketAddr> for PortKey {
    fn from(addr: SocketAddr) -> Self {
        Self { address: mapped(addr.ip()), port: addr.port(), zero: 0 }
    }
}

/// IPv4 addresses as IPv4-mapped IPv6 ones (RFC 4291, section 2.5.5.2).
pub(crate) fn mapped(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => v6.octets(),
    }
}

const _: () = assert!(size_of::<PortKey>() == 20 && offset_of!(PortKey, port) == 16);

// SAFETY: integers without padding between or behind them (the size is asserted above), valid for all bits.
unsafe impl Plain for PortKey {}

#[cfg(test)]
mod tests {
    use super::PortKey;

    #[test]
    fn both_families_share_one_spelling() {
        let v4 = PortKey::from("192.0.2.1:5004".parse::<core::net::SocketAddr>().expect("a literal"));
        let v6 = PortKey::from("[::ffff:192.0.2.1]:5004".parse::<core::net::SocketAddr>().expect("a literal"));
        assert_eq!(v4, v6);
        assert_eq!(v4.address[10..], [0xff, 0xff, 192, 0, 2, 1]);
    }
}
