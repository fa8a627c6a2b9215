//! From an IP packet to the UDP datagram in it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::Skip;
use super::bytes::{self, Order};

const PROTOCOL_UDP: u8 = 17;
const UDP_HEADER_LEN: usize = 8;

/// A UDP datagram as a view of the captured packet.
pub(super) struct Udp<'a> {
    pub(super) source: SocketAddr,
    pub(super) destination: SocketAddr,
    pub(super) payload: &'a [u8],
}

/// Finds the UDP datagram of an IPv4 or IPv6 packet.
pub(super) fn udp_datagram(packet: &[u8]) -> Result<Udp<'_>, Skip> {
    match packet.first().map(|first| first >> 4) {
        Some(4) => ipv4(packet),
        Some(6) => ipv6(packet),
        Some(_) => Err(Skip::NotIp),
        None => Err(Skip::Incomplete),
    }
}

/// RFC 791 3.1.
fn ipv4(packet: &[u8]) -> Result<Udp<'_>, Skip> {
    let header_len = usize::from(packet[0] & 0x0f) * 4;
    let total_len = usize::from(Order::Big.u16(packet, 2).ok_or(Skip::Incomplete)?);
    let fragment = Order::Big.u16(packet, 6).ok_or(Skip::Incomplete)?;
    let protocol = *packet.get(9).ok_or(Skip::Incomplete)?;
    let source: [u8; 4] = bytes::array(packet, 12).ok_or(Skip::Incomplete)?;
    let destination: [u8; 4] = bytes::array(packet, 16).ok_or(Skip::Incomplete)?;
    if header_len < 20 {
        return Err(Skip::Incomplete);
    }
    // More fragments follow, or this is not the first: RFC 791's MF flag and offset.
    if fragment & 0x3fff != 0 {
        return Err(Skip::Fragment);
    }
    if protocol != PROTOCOL_UDP {
        return Err(Skip::NotUdp);
    }
    // A length of 0 is what a segmentation offload leaves in the header of a packet captured before it.
    let end = if total_len == 0 { packet.len() } else { total_len };
    let segment = packet.get(header_len..end).ok_or(Skip::Incomplete)?;
    udp(segment, Ipv4Addr::from(source).into(), Ipv4Addr::from(destination).into())
}

/// RFC 8200 3 and 4.
fn ipv6(packet: &[u8]) -> Result<Udp<'_>, Skip> {
    let payload_len = usize::from(Order::Big.u16(packet, 4).ok_or(Skip::Incomplete)?);
    let mut next_header = *packet.get(6).ok_or(Skip::Incomplete)?;
    let source: [u8; 16] = bytes::array(packet, 8).ok_or(Skip::Incomplete)?;
    let destination: [u8; 16] = bytes::array(packet, 24).ok_or(Skip::Incomplete)?;
    let payload = packet.get(40..).ok_or(Skip::Incomplete)?;
    let mut rest = if payload_len == 0 { payload } else { payload.get(..payload_len).ok_or(Skip::Incomplete)? };
    loop {
        let extension_len = match next_header {
            PROTOCOL_UDP => {
                return udp(rest, Ipv6Addr::from(source).into(), Ipv6Addr::from(destination).into());
            }
            // Hop-by-hop, routing, destination options, mobility: length in units of 8 bytes, the first not counted.
            0 | 43 | 60 | 135 => (usize::from(*rest.get(1).ok_or(Skip::Incomplete)?) + 1) * 8,
            // Authentication header (RFC 4302 2.2): length in units of 4 bytes, minus 2.
            51 => (usize::from(*rest.get(1).ok_or(Skip::Incomplete)?) + 2) * 4,
            44 => {
                let fragment = Order::Big.u16(rest, 2).ok_or(Skip::Incomplete)?;
                // An "atomic" fragment (RFC 6946) is a whole packet.
                if fragment & 0xfff9 != 0 {
                    return Err(Skip::Fragment);
                }
                8
            }
            _ => return Err(Skip::NotUdp),
        };
        next_header = *rest.first().ok_or(Skip::Incomplete)?;
        rest = rest.get(extension_len..).ok_or(Skip::Incomplete)?;
    }
}

/// RFC 768.
fn udp(segment: &[u8], source: IpAddr, destination: IpAddr) -> Result<Udp<'_>, Skip> {
    let port = |at| Order::Big.u16(segment, at).ok_or(Skip::Incomplete);
    let (source_port, destination_port, len) = (port(0)?, port(2)?, usize::from(port(4)?));
    let payload = segment.get(UDP_HEADER_LEN..len).ok_or(Skip::Incomplete)?;
    Ok(Udp {
        source: SocketAddr::new(source, source_port),
        destination: SocketAddr::new(destination, destination_port),
        payload,
    })
}
