//! IP and UDP headers for a datagram that was seen without: RFC 791, RFC 8200, RFC 768.

use core::net::{IpAddr, SocketAddr};

const UDP_BYTES: usize = 8;
const IPPROTO_UDP: u8 = 17;
/// Nobody knows what the packet had.
const TTL: u8 = 64;

/// The packet, checksums and all. `None`: the addresses are not of one family, or it is longer than an IP packet can be.
pub(crate) fn packet(from: SocketAddr, to: SocketAddr, datagram: &[u8]) -> Option<Vec<u8>> {
    let udp_len = u16::try_from(UDP_BYTES + datagram.len()).ok()?;
    let mut packet = Vec::with_capacity(40 + usize::from(udp_len));
    let addresses = match (from.ip(), to.ip()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            let total = udp_len.checked_add(20)?.to_be_bytes();
            packet.extend([0x45, 0, total[0], total[1], 0, 0, 0x40, 0, TTL, IPPROTO_UDP, 0, 0]);
            packet.extend(from.octets().iter().chain(&to.octets()));
            let checksum = !folded(sum(&packet));
            packet[10..12].copy_from_slice(&checksum.to_be_bytes());
            12..20
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            let len = udp_len.to_be_bytes();
            packet.extend([0x60, 0, 0, 0, len[0], len[1], IPPROTO_UDP, TTL]);
            packet.extend(from.octets().iter().chain(&to.octets()));
            8..40
        }
        _ => return None,
    };
    let pseudo = sum(&packet[addresses]) + u32::from(IPPROTO_UDP) + u32::from(udp_len);
    let udp = packet.len();
    for field in [from.port(), to.port(), udp_len, 0] {
        packet.extend(field.to_be_bytes());
    }
    packet.extend(datagram);
    let checksum = match !folded(pseudo + sum(&packet[udp..])) {
        // 0 would say that there is none.
        0 => 0xffff,
        checksum => checksum,
    };
    packet[udp + 6..udp + 8].copy_from_slice(&checksum.to_be_bytes());
    Some(packet)
}

/// The sum of 16-bit words (RFC 1071), of which there are fewer than 2^15.
fn sum(bytes: &[u8]) -> u32 {
    let words = bytes.chunks(2).map(|word| u16::from_be_bytes([word[0], word.get(1).copied().unwrap_or(0)]));
    words.map(u32::from).sum()
}

const fn folded(sum: u32) -> u16 {
    let sum = (sum & 0xffff) + (sum >> 16);
    ((sum & 0xffff) + (sum >> 16)) as u16
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{folded, packet, sum};

    proptest! {
        #[test]
        fn a_receiver_finds_the_checksums_right(datagram in prop::collection::vec(any::<u8>(), 0..1500), v6 in any::<bool>()) {
            let (from, to) = if v6 { ("[2001:db8::1]:5004", "[2001:db8::2]:6") } else { ("192.0.2.1:5004", "192.0.2.2:6") };
            let packet = packet(from.parse().expect("one"), to.parse().expect("one"), &datagram).expect("one family");
            let (addresses, udp) = if v6 { (8, 40) } else { (12, 20) };
            prop_assert_eq!(&packet[udp + 8..], &datagram);
            if !v6 {
                prop_assert_eq!(folded(sum(&packet[..20])), 0xffff);
            }
            let pseudo = sum(&packet[addresses..udp]) + 17 + (8 + datagram.len()) as u32;
            prop_assert_eq!(folded(pseudo + sum(&packet[udp..])), 0xffff);
        }
    }

    #[test]
    fn what_no_packet_can_hold_is_none() {
        let (v4, v6) = ("192.0.2.1:1".parse().expect("one"), "[::1]:1".parse().expect("one"));
        assert_eq!(packet(v4, v6, &[]), None);
        assert_eq!(packet(v4, v4, &[0; 65_508]), None);
        assert!(packet(v4, v4, &[0; 65_507]).is_some());
    }
}
