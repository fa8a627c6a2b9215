//! Socket addresses as the kernel lays them out.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4};

/// Bytes of a `sockaddr_in6`, the larger of the two.
pub(crate) const SOCKADDR_BYTES: usize = size_of::<libc::sockaddr_in6>();

/// Room for a `sockaddr_in` or a `sockaddr_in6`, filled byte by byte:
///
/// ```text
///             0       2       4               8                      24        28
/// sockaddr_in | family | port  | address       | 8 zero bytes |
/// sockaddr_in6| family | port  | flow info     | address                | scope   |
/// ```
///
/// Family, flow info and scope are in host order here (flow info is always 0), port and address in network order.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(8))]
pub(crate) struct RawAddr {
    bytes: [u8; SOCKADDR_BYTES],
    len: u32,
}

impl RawAddr {
    pub(crate) const EMPTY: Self = Self { bytes: [0; SOCKADDR_BYTES], len: 0 };

    /// Fills in `addr`.
    pub(crate) fn set(&mut self, addr: SocketAddr) {
        self.bytes[2..4].copy_from_slice(&addr.port().to_be_bytes());
        match addr {
            SocketAddr::V4(v4) => {
                self.bytes[..2].copy_from_slice(&(libc::AF_INET as u16).to_ne_bytes());
                self.bytes[4..8].copy_from_slice(&v4.ip().octets());
                self.bytes[8..16].fill(0);
                self.len = size_of::<libc::sockaddr_in>() as u32;
            }
            SocketAddr::V6(v6) => {
                self.bytes[..2].copy_from_slice(&(libc::AF_INET6 as u16).to_ne_bytes());
                self.bytes[4..8].fill(0);
                self.bytes[8..24].copy_from_slice(&v6.ip().octets());
                self.bytes[24..28].copy_from_slice(&v6.scope_id().to_ne_bytes());
                self.len = SOCKADDR_BYTES as u32;
            }
        }
    }

    /// The address within, as the kernel lays it out.
    #[cfg(test)]
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len as usize]
    }

    /// For `sockaddr` arguments; valid as long as `self` stays where it is.
    pub(crate) const fn as_ptr(&self) -> *const libc::sockaddr {
        self.bytes.as_ptr().cast()
    }

    /// Length of the address within.
    pub(crate) const fn len(&self) -> libc::socklen_t {
        self.len
    }
}

/// Reads an address that the kernel wrote: flow label and scope cleared, IPv4-mapped IPv6 as IPv4, so that one party is
/// always written the same way. `None` if it is neither IPv4 nor IPv6, or cut short.
pub(crate) fn read(bytes: &[u8]) -> Option<SocketAddr> {
    let family = u16::from_ne_bytes(*bytes.first_chunk()?);
    let port = u16::from_be_bytes(*bytes.get(2..)?.first_chunk()?);
    match i32::from(family) {
        libc::AF_INET => {
            let octets: [u8; 4] = *bytes.get(4..)?.first_chunk()?;
            Some(SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::from(octets), port)))
        }
        libc::AF_INET6 => {
            let octets: [u8; 16] = *bytes.get(8..)?.first_chunk()?;
            Some(SocketAddr::new(IpAddr::V6(Ipv6Addr::from(octets)).to_canonical(), port))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{RawAddr, read};
    use core::net::SocketAddr;

    #[test]
    fn addresses_survive_the_trip_through_the_kernels_layout() {
        for text in ["192.0.2.1:5004", "[2001:db8::1]:65535", "0.0.0.0:0", "[::1]:1"] {
            let addr: SocketAddr = text.parse().expect("a literal");
            let mut raw = RawAddr::EMPTY;
            raw.set(addr);
            assert_eq!(read(raw.bytes()), Some(addr));
        }
    }

    #[test]
    fn a_party_has_one_spelling() {
        let mut raw = RawAddr::EMPTY;
        raw.set("[::ffff:192.0.2.7]:9".parse().expect("a literal"));
        assert_eq!(read(&raw.bytes), Some("192.0.2.7:9".parse().expect("a literal")));
        raw.set("[fe80::1%3]:9".parse().expect("a literal"));
        assert_eq!(read(&raw.bytes), Some("[fe80::1]:9".parse().expect("a literal")));
    }

    #[test]
    fn garbage_is_no_address() {
        assert_eq!(read(&[]), None);
        assert_eq!(read(&[0; 28]), None);
        assert_eq!(read(&(libc::AF_INET6 as u16).to_ne_bytes()), None);
    }
}
