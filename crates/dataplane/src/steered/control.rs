//! Control messages: what goes beside every datagram of a port, so that it comes from that port.

use core::net::{IpAddr, SocketAddr};

/// Room for all of them: departure time 24, source address 40 (IPv6), code point 24.
const BYTES: usize = 88;

/// The control messages of one port (`cmsg(3)`), made once and sent with each of its datagrams.
#[derive(Clone, Debug)]
#[repr(C, align(8))]
pub(super) struct Control {
    bytes: [u8; BYTES],
    len: usize,
}

impl Control {
    /// For datagrams from `local`, with a differentiated services code point (RFC 2474).
    pub(super) fn new(local: SocketAddr, dscp: Option<u8>) -> Self {
        let mut control = Self { bytes: [0; BYTES], len: 0 };
        // SCM_TXTIME has the same number. In place of a time to depart at, what the BPF program `egress` makes the source port.
        control.push(libc::SOL_SOCKET, libc::SO_TXTIME, &u64::from(local.port()).to_ne_bytes());
        match local.ip() {
            ip if ip.is_unspecified() => {}
            IpAddr::V4(ip) => {
                // struct in_pktinfo: interface index (any), source address, an address that only receivers see.
                let mut info = [0; 12];
                info[4..8].copy_from_slice(&ip.octets());
                control.push(libc::SOL_IP, libc::IP_PKTINFO, &info);
            }
            IpAddr::V6(ip) => {
                // struct in6_pktinfo: source address, interface index (any).
                let mut info = [0; 20];
                info[..16].copy_from_slice(&ip.octets());
                control.push(libc::SOL_IPV6, libc::IPV6_PKTINFO, &info);
            }
        }
        if let Some(dscp) = dscp {
            // RFC 2474, section 3: the code point is the upper six bits of the former TOS byte.
            let tos = (i32::from(dscp) << 2).to_ne_bytes();
            let (level, kind) =
                if local.is_ipv4() { (libc::SOL_IP, libc::IP_TOS) } else { (libc::SOL_IPV6, libc::IPV6_TCLASS) };
            control.push(level, kind, &tos);
        }
        control
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    fn push(&mut self, level: libc::c_int, kind: libc::c_int, data: &[u8]) {
        const HEADER: usize = size_of::<libc::cmsghdr>();
        let message = &mut self.bytes[self.len..];
        message[..8].copy_from_slice(&(HEADER + data.len()).to_ne_bytes());
        message[8..12].copy_from_slice(&level.to_ne_bytes());
        message[12..16].copy_from_slice(&kind.to_ne_bytes());
        message[HEADER..HEADER + data.len()].copy_from_slice(data);
        // CMSG_ALIGN: the next one starts at a multiple of the word size.
        self.len += (HEADER + data.len()).next_multiple_of(size_of::<usize>());
    }
}

const _: () = assert!(size_of::<libc::cmsghdr>() == 16 && size_of::<usize>() == 8, "64-bit Linux");

#[cfg(test)]
mod tests {
    use super::{BYTES, Control};

    #[test]
    fn there_is_room_for_the_longest() {
        let v6 = Control::new("[2001:db8::1]:5004".parse().expect("a literal"), Some(46));
        assert_eq!(v6.bytes().len(), BYTES);
        let v4 = Control::new("192.0.2.1:5004".parse().expect("a literal"), None);
        assert_eq!(v4.bytes().len(), 24 + 32);
        let any = Control::new("0.0.0.0:5004".parse().expect("a literal"), None);
        assert_eq!(any.bytes().len(), 24);
    }
}
