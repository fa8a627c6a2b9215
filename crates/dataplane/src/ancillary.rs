//! What the kernel says beside a datagram: when it arrived, how many were dropped before it, and where it was sent to.

use core::net::SocketAddr;

use crate::address::{self, SOCKADDR_BYTES};

/// Room for the control messages that [`crate::socket::bind`] asks for: a timestamp (16 bytes of header, 16 of timespec)
/// and a drop counter (16 + 4, padded to 24).
pub(crate) const ANCILLARY_BYTES: usize = 56;

/// Room for these and what a socket of many ports reports besides: the address that a datagram was sent to (16 bytes of header,
/// 28 of `sockaddr_in6`, padded to 48).
pub(crate) const ANCILLARY_STEERED_BYTES: usize = ANCILLARY_BYTES + (HEADER_BYTES + SOCKADDR_BYTES).next_multiple_of(8);

const HEADER_BYTES: usize = size_of::<libc::cmsghdr>();

/// The control messages of one datagram.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ancillary {
    /// `SO_TIMESTAMPNS`: wall-clock time of reception, nanoseconds since 1970.
    pub(crate) wall_nanos: Option<u64>,
    /// `SO_RXQ_OVFL`: datagrams that this socket has dropped so far because its queue was full. Left out while it is 0.
    pub(crate) dropped: Option<u32>,
    /// `IP_RECVORIGDSTADDR` and `IPV6_RECVORIGDSTADDR`: the address and port that the datagram was sent to.
    pub(crate) local: Option<SocketAddr>,
}

/// Reads the control messages in `bytes`, the filled part of a `msg_control` buffer. Unknown ones are skipped, and
/// reading ends at the first that contradicts itself.
pub(crate) fn read(mut bytes: &[u8]) -> Ancillary {
    let mut found = Ancillary::default();
    while let Some((kind, data, rest)) = next(bytes) {
        match kind {
            (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS) => found.wall_nanos = timespec_nanos(data),
            (libc::SOL_SOCKET, libc::SO_RXQ_OVFL) => found.dropped = data.first_chunk().map(|c| u32::from_ne_bytes(*c)),
            (libc::SOL_IP, libc::IP_ORIGDSTADDR) | (libc::SOL_IPV6, libc::IPV6_ORIGDSTADDR) => {
                found.local = address::read(data);
            }
            _ => {}
        }
        bytes = rest;
    }
    found
}

type Kind = (libc::c_int, libc::c_int);

/// The first message's level and type, its data, and what lies behind it.
fn next(bytes: &[u8]) -> Option<(Kind, &[u8], &[u8])> {
    let len = usize::from_ne_bytes(*bytes.first_chunk()?);
    let level = i32::from_ne_bytes(*bytes.get(size_of::<usize>()..)?.first_chunk()?);
    let kind = i32::from_ne_bytes(*bytes.get(size_of::<usize>() + 4..)?.first_chunk()?);
    let data = bytes.get(HEADER_BYTES..len)?;
    // CMSG_ALIGN: messages start at multiples of the word size.
    let rest = bytes.get(len.next_multiple_of(size_of::<usize>())..).unwrap_or_default();
    Some(((level, kind), data, rest))
}

fn timespec_nanos(data: &[u8]) -> Option<u64> {
    let seconds = i64::from_ne_bytes(*data.first_chunk()?);
    let nanos = i64::from_ne_bytes(*data.get(8..)?.first_chunk()?);
    u64::try_from(seconds).ok()?.checked_mul(1_000_000_000)?.checked_add(u64::try_from(nanos).ok()?)
}

#[cfg(test)]
mod tests {
    use super::{ANCILLARY_STEERED_BYTES, Ancillary, read};
    use crate::address::RawAddr;

    fn message(level: i32, kind: i32, data: &[u8]) -> Vec<u8> {
        let mut bytes = (16 + data.len()).to_ne_bytes().to_vec();
        bytes.extend(level.to_ne_bytes());
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(data);
        bytes.resize(bytes.len().next_multiple_of(8), 0);
        bytes
    }

    #[test]
    fn both_messages_are_found_behind_an_unknown_one() {
        let mut bytes = message(libc::SOL_IP, 99, &[1, 2, 3]);
        let time = [5_i64.to_ne_bytes(), 7_i64.to_ne_bytes()].concat();
        bytes.extend(message(libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS, &time));
        bytes.extend(message(libc::SOL_SOCKET, libc::SO_RXQ_OVFL, &9_u32.to_ne_bytes()));
        assert_eq!(read(&bytes), Ancillary { wall_nanos: Some(5_000_000_007), dropped: Some(9), local: None });
    }

    #[test]
    fn the_address_that_a_datagram_was_sent_to_is_found() {
        for (text, level, kind) in [
            ("192.0.2.1:5004", libc::SOL_IP, libc::IP_ORIGDSTADDR),
            ("[2001:db8::1]:5004", libc::SOL_IPV6, libc::IPV6_ORIGDSTADDR),
        ] {
            let addr = text.parse().expect("a literal");
            let mut raw = RawAddr::EMPTY;
            raw.set(addr);
            let mut bytes = message(libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS, &[0; 16]);
            bytes.extend(message(libc::SOL_SOCKET, libc::SO_RXQ_OVFL, &[0; 4]));
            bytes.extend(message(level, kind, raw.bytes()));
            assert!(bytes.len() <= ANCILLARY_STEERED_BYTES);
            assert_eq!(read(&bytes).local, Some(addr));
        }
    }

    #[test]
    fn contradictions_end_the_reading() {
        assert_eq!(read(&[]), Ancillary::default());
        // A length of zero must not be an endless loop; one beyond the buffer must not be read.
        assert_eq!(read(&[0; 64]), Ancillary::default());
        let mut bytes = message(libc::SOL_SOCKET, libc::SO_RXQ_OVFL, &9_u32.to_ne_bytes());
        bytes[..8].copy_from_slice(&usize::MAX.to_ne_bytes());
        assert_eq!(read(&bytes), Ancillary::default());
    }
}
