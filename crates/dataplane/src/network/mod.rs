//! The way from this host to a party, for those who build frames themselves: which interface, whose hardware address.
//!
//! The kernel decides that with routes, rules and neighbours, and it is asked for the answer rather than copied: [`netlink`] asks,
//! [`resolver`] keeps the answers true in a thread of its own, and [`hops`] has them where a worker sends. Until there is an answer
//! a worker sends by the UDP socket, which also makes the kernel find out who the neighbour is. [`frame`] builds frames, and [`datagram`]
//! reads them.

pub(crate) mod datagram;
pub(crate) mod frame;
pub(crate) mod hops;
pub(crate) mod links;
pub(crate) mod netdev;
pub(crate) mod netlink;
pub(crate) mod resolver;

use core::net::IpAddr;

/// Hardware address of an Ethernet interface.
pub(crate) type Mac = [u8; 6];

/// From where to where.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Way {
    /// The source address; unspecified: any that the kernel would choose.
    pub(crate) from: IpAddr,
    pub(crate) to: IpAddr,
}

/// The first hop of a way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hop {
    /// Index of the interface that it leaves by.
    pub(crate) interface: u32,
    /// Bytes of the largest IP packet.
    pub(crate) mtu: u32,
    /// Hardware address of that interface.
    pub(crate) near: Mac,
    /// And of the router, or the party itself.
    pub(crate) far: Mac,
}

/// `net.ipv4.ip_default_ttl`; 64 where it cannot be read (RFC 1700).
pub(crate) fn default_ttl() -> u8 {
    let text = std::fs::read_to_string("/proc/sys/net/ipv4/ip_default_ttl");
    text.ok().and_then(|text| text.trim().parse().ok()).unwrap_or(64)
}
