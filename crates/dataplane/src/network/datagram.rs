//! The UDP datagram in an Ethernet frame: RFC 894, RFC 791, RFC 8200, RFC 768.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use core::ops::Range;

use super::frame::{fold, sum};

/// What a frame says of its datagram.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Headers {
    pub(crate) from: SocketAddr,
    pub(crate) to: SocketAddr,
    /// Where the content is.
    pub(crate) payload: Range<usize>,
}

/// Reads a plain datagram: one in a single fragment, without options or extension headers, which is what `bpf/fast.c` gives to workers. `None` if it is
/// something else, or was changed on its way.
pub(crate) fn read(frame: &[u8]) -> Option<Headers> {
    const ETHERNET_BYTES: usize = 14;
    const UDP_BYTES: usize = 8;
    const IPPROTO_UDP: u8 = 17;
    let (ethernet, packet) = frame.split_at_checked(ETHERNET_BYTES)?;
    let (from, to, addresses, udp) = match ethernet[12..] {
        [0x08, 0x00] => {
            let (ip, udp) = packet.split_first_chunk::<20>()?;
            if ip[0] != 0x45 || ip[9] != IPPROTO_UDP {
                return None;
            }
            let address = |at: usize| IpAddr::V4(Ipv4Addr::new(ip[at], ip[at + 1], ip[at + 2], ip[at + 3]));
            (address(12), address(16), &ip[12..20], udp)
        }
        [0x86, 0xdd] => {
            let (ip, udp) = packet.split_first_chunk::<40>()?;
            if ip[6] != IPPROTO_UDP {
                return None;
            }
            let address = |at: usize| ip[at..].first_chunk::<16>().map(|octets| IpAddr::V6(Ipv6Addr::from(*octets)));
            (address(8)?, address(24)?, &ip[8..40], udp)
        }
        _ => return None,
    };
    let header = udp.first_chunk::<UDP_BYTES>()?;
    let [from_port, to_port, len, checksum] = [0, 2, 4, 6].map(|at| u16::from_be_bytes([header[at], header[at + 1]]));
    let payload_len = usize::from(len).checked_sub(UDP_BYTES)?;
    // There may be padding behind it, for Ethernet's frames have a minimal length.
    let datagram = udp.get(..usize::from(len))?;
    if checksum != 0 {
        let pseudo = fold(sum(addresses) + u32::from(IPPROTO_UDP) + u32::from(len));
        // That of the pseudo header alone: the sender has left it to its device, and the packet has never been on a wire.
        if checksum != pseudo && fold(u32::from(pseudo) + sum(datagram)) != 0xffff {
            return None;
        }
    }
    let start = frame.len() - udp.len() + UDP_BYTES;
    let (from, to) = (SocketAddr::new(from.to_canonical(), from_port), SocketAddr::new(to, to_port));
    Some(Headers { from, to, payload: start..start + payload_len })
}

#[cfg(test)]
mod tests {
    use core::net::SocketAddr;

    use proptest::prelude::*;

    use super::read;
    use crate::network::Hop;
    use crate::network::frame::{HEADER_MAX, Header, fold, sum};

    const HOP: Hop = Hop { interface: 2, mtu: 1500, near: [2, 0, 0, 0, 0, 1], far: [2, 0, 0, 0, 0, 2] };

    fn frame(v6: bool, payload: &[u8]) -> (SocketAddr, SocketAddr, Vec<u8>) {
        let addresses =
            if v6 { ["[2001:db8::1]:5004", "[2001:db8::2]:65535"] } else { ["192.0.2.1:5004", "198.51.100.9:65535"] };
        let [from, to] = addresses.map(|text| text.parse().expect("a literal"));
        let header = Header::new(&HOP, from, to, 46, 64).expect("one family");
        let mut bytes = [0; HEADER_MAX];
        let len = header.write(payload, &mut bytes);
        (from, to, [&bytes[..len], payload].concat())
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(
            payload in proptest::collection::vec(any::<u8>(), 0..1400),
            padding in 0..20_usize,
            v6 in any::<bool>(),
        ) {
            let (from, to, mut frame) = frame(v6, &payload);
            frame.resize(frame.len() + padding, 0);
            let headers = read(&frame).expect("a datagram");
            prop_assert_eq!((headers.from, headers.to), (from, to));
            prop_assert_eq!(&frame[headers.payload], &payload);
        }

        #[test]
        fn what_was_changed_on_its_way_is_not(
            payload in proptest::collection::vec(any::<u8>(), 1..200),
            at in any::<prop::sample::Index>(),
            bit in 0..8_u8,
            v6 in any::<bool>(),
        ) {
            let (_, _, mut frame) = frame(v6, &payload);
            // Ports and content. One in 65,536 looks as if its sender had left the checksum to its device.
            let (addresses, udp) = if v6 { (22, 54) } else { (26, 34) };
            let pseudo = fold(sum(&frame[addresses..udp]) + 17 + 8 + payload.len() as u32);
            prop_assume!(frame[udp + 6..udp + 8] != pseudo.to_be_bytes());
            let at = udp + at.index(frame.len() - udp);
            prop_assume!(!(udp + 4..udp + 8).contains(&at));
            frame[at] ^= 1 << bit;
            prop_assert_eq!(read(&frame), None);
        }

        #[test]
        fn garbage_is_no_datagram_and_no_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&bytes);
        }
    }

    #[test]
    fn a_sender_may_leave_the_checksum_to_its_device_or_have_none() {
        let (_, _, mut frame) = frame(false, b"content");
        // 192.0.2.1, 198.51.100.9, 17, 15.
        let pseudo = 0xc000_u32 + 0x0201 + 0xc633 + 0x6409 + 17 + 15;
        let pseudo = ((pseudo & 0xffff) + (pseudo >> 16)) as u16;
        for checksum in [pseudo, 0] {
            frame[40..42].copy_from_slice(&checksum.to_be_bytes());
            assert!(read(&frame).is_some(), "{checksum:04x}");
        }
        frame[40..42].copy_from_slice(&(pseudo + 1).to_be_bytes());
        assert_eq!(read(&frame), None);
    }
}
