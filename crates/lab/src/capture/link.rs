//! From a captured frame to the IP packet in it.

use super::Skip;
use super::bytes::Order;

/// The link types that are read, by their numbers in the registry of tcpdump.org.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum LinkType {
    /// BSD loopback: an address family in the byte order of the capturing machine (0), or in network order (108).
    Loopback,
    /// Ethernet, with any number of VLAN tags (1).
    Ethernet,
    /// IPv4 or IPv6 without a link header (101; 12 and 14 in old files; 228 and 229).
    RawIp,
    /// Linux "any" capture, version 1 (113).
    LinuxCooked,
    /// Linux "any" capture, version 2 (276).
    LinuxCooked2,
}

impl LinkType {
    /// The link type of a registry number, if it is one that is read.
    #[must_use]
    pub fn from_registry(number: u32) -> Option<Self> {
        match number {
            0 | 108 => Some(Self::Loopback),
            1 => Some(Self::Ethernet),
            12 | 14 | 101 | 228 | 229 => Some(Self::RawIp),
            113 => Some(Self::LinuxCooked),
            276 => Some(Self::LinuxCooked2),
            _ => None,
        }
    }
}

const ETHERTYPE_IPV4: u16 = 0x0800;
const ETHERTYPE_IPV6: u16 = 0x86dd;
/// 802.1Q, 802.1ad, and the old stacked tag.
const ETHERTYPES_VLAN: [u16; 3] = [0x8100, 0x88a8, 0x9100];

/// Strips the link header. What is left begins with an IP header, or so the link header says.
pub(super) fn network_layer(link: LinkType, frame: &[u8]) -> Result<&[u8], Skip> {
    match link {
        LinkType::RawIp => Ok(frame),
        // The family's number differs between systems (30, 28 or 24 for IPv6): the IP version that follows decides.
        LinkType::Loopback => frame.get(4..).ok_or(Skip::Incomplete),
        LinkType::Ethernet => tagged(frame, 12),
        LinkType::LinuxCooked => tagged(frame, 14),
        LinkType::LinuxCooked2 => {
            let protocol = Order::Big.u16(frame, 0).ok_or(Skip::Incomplete)?;
            let packet = frame.get(20..).ok_or(Skip::Incomplete)?;
            if ETHERTYPES_VLAN.contains(&protocol) { tagged(packet, 2) } else { ip_only(protocol, packet) }
        }
    }
}

/// Follows the chain of VLAN tags from the `EtherType` at an offset.
fn tagged(frame: &[u8], mut at: usize) -> Result<&[u8], Skip> {
    loop {
        let protocol = Order::Big.u16(frame, at).ok_or(Skip::Incomplete)?;
        if !ETHERTYPES_VLAN.contains(&protocol) {
            return ip_only(protocol, &frame[at + 2..]);
        }
        at += 4;
    }
}

fn ip_only(protocol: u16, packet: &[u8]) -> Result<&[u8], Skip> {
    if matches!(protocol, ETHERTYPE_IPV4 | ETHERTYPE_IPV6) { Ok(packet) } else { Err(Skip::NotIp) }
}
