//! Ethernet, IP and UDP headers in front of a payload: RFC 894, RFC 791, RFC 8200, RFC 768.

use core::net::SocketAddr;

use super::Hop;

/// Bytes of the longest header: Ethernet 14, IPv6 40, UDP 8.
pub(crate) const HEADER_MAX: usize = 62;

const ETHERNET_BYTES: usize = 14;
const UDP_BYTES: usize = 8;
const IPPROTO_UDP: u8 = 17;

/// The headers of all datagrams from one port to one party; each differs in its lengths and checksums only.
#[derive(Clone, Debug)]
pub(crate) struct Header {
    bytes: [u8; HEADER_MAX],
    len: u8,
    /// Sum of the IPv4 header's words with total length and checksum 0.
    ip_sum: u32,
    /// Sum of the pseudo header's and the UDP header's words with both lengths and the checksum 0.
    udp_sum: u32,
    mtu: u32,
}

impl Header {
    /// Headers for datagrams by `hop`. `None` if the addresses are not of one family.
    pub(crate) fn new(hop: &Hop, from: SocketAddr, to: SocketAddr, dscp: u8, ttl: u8) -> Option<Self> {
        let mut bytes = [0; HEADER_MAX];
        bytes[..6].copy_from_slice(&hop.far);
        bytes[6..12].copy_from_slice(&hop.near);
        let (ether_type, ip_len) = match (from, to) {
            (SocketAddr::V4(from), SocketAddr::V4(to)) => {
                let ip = &mut bytes[ETHERNET_BYTES..ETHERNET_BYTES + 20];
                ip[0] = 0x45;
                ip[1] = dscp << 2;
                // Identification 0 and "don't fragment": a datagram that is never fragmented needs no name (RFC 6864, 4.1).
                ip[6] = 0x40;
                ip[8] = ttl;
                ip[9] = IPPROTO_UDP;
                ip[12..16].copy_from_slice(&from.ip().octets());
                ip[16..20].copy_from_slice(&to.ip().octets());
                (0x0800_u16, 20)
            }
            (SocketAddr::V6(from), SocketAddr::V6(to)) => {
                let ip = &mut bytes[ETHERNET_BYTES..ETHERNET_BYTES + 40];
                // Version 6, traffic class, flow label 0.
                ip[0] = 0x60 | dscp >> 2;
                ip[1] = (dscp << 2 & 0x0f) << 4;
                ip[6] = IPPROTO_UDP;
                ip[7] = ttl;
                ip[8..24].copy_from_slice(&from.ip().octets());
                ip[24..40].copy_from_slice(&to.ip().octets());
                (0x86dd, 40)
            }
            _ => return None,
        };
        bytes[12..14].copy_from_slice(&ether_type.to_be_bytes());
        let udp = ETHERNET_BYTES + ip_len;
        bytes[udp..udp + 2].copy_from_slice(&from.port().to_be_bytes());
        bytes[udp + 2..udp + 4].copy_from_slice(&to.port().to_be_bytes());
        let (ip_sum, addresses) = if ip_len == 20 {
            (sum(&bytes[ETHERNET_BYTES..udp]), &bytes[ETHERNET_BYTES + 12..udp])
        } else {
            (0, &bytes[ETHERNET_BYTES + 8..udp])
        };
        let udp_sum = sum(addresses) + u32::from(IPPROTO_UDP) + sum(&bytes[udp..udp + 4]);
        Some(Self { bytes, len: (udp + UDP_BYTES) as u8, ip_sum, udp_sum, mtu: hop.mtu })
    }

    /// For whoever writes it otherwise: the headers with lengths and checksums 0, the sums of the IPv4 header's words and of the pseudo
    /// header's and the UDP header's, and the bytes of the longest payload.
    pub(crate) const fn parts(&self) -> (&[u8; HEADER_MAX], u32, u32, u32) {
        let len_max = self.mtu.saturating_sub(self.len as u32 - ETHERNET_BYTES as u32);
        (&self.bytes, self.ip_sum, self.udp_sum, len_max)
    }

    /// Whether a payload of this many bytes fits into one frame.
    pub(crate) const fn fits(&self, payload_len: usize) -> bool {
        self.len as usize - ETHERNET_BYTES + payload_len <= self.mtu as usize
    }

    /// Bytes of the headers.
    pub(crate) const fn len(&self) -> usize {
        self.len as usize
    }

    /// Writes the headers for this payload, which must fit; how many bytes.
    pub(crate) fn write(&self, payload: &[u8], to: &mut [u8; HEADER_MAX]) -> usize {
        let len = usize::from(self.len);
        self.write_to(payload, &mut to[..len]);
        len
    }

    /// As [`Header::write`], to where there are as many bytes as the headers have.
    pub(crate) fn write_to(&self, payload: &[u8], to: &mut [u8]) {
        const V4_BYTES: usize = ETHERNET_BYTES + 20 + UDP_BYTES;
        // Copies of a length that the compiler knows are a few instructions.
        let is_v4 = usize::from(self.len) == V4_BYTES;
        if is_v4 {
            to[..V4_BYTES].copy_from_slice(&self.bytes[..V4_BYTES]);
        } else {
            to[..HEADER_MAX].copy_from_slice(&self.bytes);
        }
        let udp = to.len() - UDP_BYTES;
        let udp_len = (UDP_BYTES + payload.len()) as u16;
        if is_v4 {
            let total = 20 + udp_len;
            to[ETHERNET_BYTES + 2..ETHERNET_BYTES + 4].copy_from_slice(&total.to_be_bytes());
            let checksum = !fold(self.ip_sum + u32::from(total));
            to[ETHERNET_BYTES + 10..ETHERNET_BYTES + 12].copy_from_slice(&checksum.to_be_bytes());
        } else {
            to[ETHERNET_BYTES + 4..ETHERNET_BYTES + 6].copy_from_slice(&udp_len.to_be_bytes());
        }
        to[udp + 4..udp + 6].copy_from_slice(&udp_len.to_be_bytes());
        // The length is in the pseudo header and in the header.
        let checksum = match !fold(self.udp_sum + 2 * u32::from(udp_len) + sum(payload)) {
            // 0 would say that there is none (RFC 768).
            0 => 0xffff,
            checksum => checksum,
        };
        to[udp + 6..udp + 8].copy_from_slice(&checksum.to_be_bytes());
    }
}

/// The ones' complement sum of 16-bit words (RFC 1071), not folded to the end: below 2^17. An odd last byte counts as the upper
/// half of a word.
pub(crate) fn sum(bytes: &[u8]) -> u32 {
    // Words of 32 bits in the machine's order into 64 bits: byte order does not matter until the end (RFC 1071, 2 B), and a
    // carry has room for 2^32 words.
    let (chunks, rest) = bytes.as_chunks::<4>();
    let mut total: u64 = chunks.iter().map(|chunk| u64::from(u32::from_ne_bytes(*chunk))).sum();
    let mut last = [0; 4];
    last[..rest.len()].copy_from_slice(rest);
    total += u64::from(u32::from_ne_bytes(last));
    let total = (total & 0xffff_ffff) + (total >> 32);
    let total = (total & 0xffff_ffff) + (total >> 32);
    let folded = fold((total & 0xffff) as u32 + (total >> 16) as u32);
    u32::from(u16::from_be_bytes(folded.to_ne_bytes()))
}

/// A sum in 16 bits.
pub(crate) const fn fold(sum: u32) -> u16 {
    let sum = (sum & 0xffff) + (sum >> 16);
    ((sum & 0xffff) + (sum >> 16)) as u16
}

#[cfg(test)]
mod tests {
    use super::{HEADER_MAX, Header, fold, sum};
    use crate::network::Hop;
    use core::net::SocketAddr;
    use proptest::prelude::*;

    const HOP: Hop = Hop { interface: 2, mtu: 1500, near: [2, 0, 0, 0, 0, 1], far: [2, 0, 0, 0, 0, 2] };

    fn at(text: &str) -> SocketAddr {
        text.parse().expect("a literal")
    }

    /// The sum as RFC 1071 defines it, word by word.
    fn slowly(bytes: &[u8]) -> u16 {
        let mut total = 0_u32;
        for word in bytes.chunks(2) {
            total += u32::from(u16::from_be_bytes([word[0], word.get(1).copied().unwrap_or(0)]));
            total = (total & 0xffff) + (total >> 16);
        }
        total as u16
    }

    #[test]
    fn the_sum_is_that_of_the_rfc() {
        // RFC 1071, section 3.
        assert_eq!(fold(sum(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7])), 0xddf2);
    }

    proptest! {
        #[test]
        fn sums_agree_with_the_definition(bytes in proptest::collection::vec(any::<u8>(), 0..1500)) {
            prop_assert_eq!(fold(sum(&bytes)), slowly(&bytes));
        }

        #[test]
        fn a_receiver_finds_the_checksums_right(
            payload in proptest::collection::vec(any::<u8>(), 0..1400),
            v6 in any::<bool>(),
            dscp in 0..64_u8,
        ) {
            let (from, to) = if v6 {
                (at("[2001:db8::1]:5004"), at("[2001:db8::2]:65535"))
            } else {
                (at("192.0.2.1:5004"), at("198.51.100.9:65535"))
            };
            let header = Header::new(&HOP, from, to, dscp, 64).expect("one family");
            let mut bytes = [0; HEADER_MAX];
            let len = header.write(&payload, &mut bytes);
            let ip = if v6 { 40 } else { 20 };
            prop_assert_eq!(len, 14 + ip + 8);
            let (addresses, total) = if v6 {
                prop_assert_eq!(u16::from_be_bytes([bytes[14], bytes[15]]) >> 6 & 0x3f, u16::from(dscp));
                (&bytes[22..54], 40 + usize::from(u16::from_be_bytes([bytes[18], bytes[19]])))
            } else {
                prop_assert_eq!(slowly(&bytes[14..34]), 0xffff);
                prop_assert_eq!(bytes[15] >> 2, dscp);
                (&bytes[26..34], usize::from(u16::from_be_bytes([bytes[16], bytes[17]])))
            };
            prop_assert_eq!(total, ip + 8 + payload.len());
            let mut covered = addresses.to_vec();
            covered.extend([0, 17]);
            covered.extend(((8 + payload.len()) as u16).to_be_bytes());
            covered.extend(&bytes[14 + ip..len]);
            covered.extend(&payload);
            prop_assert_eq!(slowly(&covered), 0xffff);
            prop_assert_ne!(&bytes[len - 2..len], &[0, 0]);
        }
    }

    #[test]
    fn what_does_not_fit_is_known_not_to() {
        let header = Header::new(&HOP, at("192.0.2.1:1"), at("192.0.2.2:2"), 0, 64).expect("one family");
        assert!(header.fits(1472) && !header.fits(1473));
        assert!(Header::new(&HOP, at("192.0.2.1:1"), at("[2001:db8::2]:2"), 0, 64).is_none());
    }
}
