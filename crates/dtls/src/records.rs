//! The records of a datagram (RFC 6347 4.1, RFC 9147 4), as far as they can be told apart without keys.

use core::iter;

/// `DTLSPlaintext`: type, version, epoch, sequence number, length.
const PLAIN_HEADER_LEN: usize = 13;

/// The records of a datagram. What is behind the last whole one was cut off or is not DTLS.
///
/// Each is given to the library by itself. It keeps datagrams as they are and goes by their first message, so that it takes one that
/// says less, or more, than another one for the same, and loses the rest.
pub(crate) fn records(datagram: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = datagram;
    iter::from_fn(move || {
        let (record, behind) = rest.split_at(record_len(rest)?);
        rest = behind;
        Some(record)
    })
}

/// Bytes of the first record, if all of it is there.
fn record_len(bytes: &[u8]) -> Option<usize> {
    let field = |at: usize| Some(usize::from(u16::from_be_bytes([*bytes.get(at)?, *bytes.get(at + 1)?])));
    let len = match *bytes.first()? {
        // Change of cipher, alert, handshake, application data, acknowledgement (RFC 9147 4.1).
        20..=23 | 26 => PLAIN_HEADER_LEN + field(PLAIN_HEADER_LEN - 2)?,
        // The unified header: 001, connection id, long sequence number, length, epoch. Nobody has asked for connection ids.
        first @ 32..=63 if first & 0b1_0000 == 0 => {
            let sequence_end = if first & 0b1000 == 0 { 2 } else { 3 };
            if first & 0b100 == 0 {
                // Without a length it goes on to the end of the datagram.
                bytes.len()
            } else {
                sequence_end + 2 + field(sequence_end)?
            }
        }
        _ => return None,
    };
    (len <= bytes.len()).then_some(len)
}

/// A `ClientHello`, or a part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hello {
    /// A client's first message, with its random.
    First([u8; 32]),
    /// With a cookie, or not its beginning.
    Next,
}

/// Which `ClientHello` the record has, if any.
pub(crate) fn hello(record: &[u8]) -> Option<Hello> {
    const HANDSHAKE: u8 = 22;
    const CLIENT_HELLO: u8 = 1;
    let (header, message) = record.split_at_checked(PLAIN_HEADER_LEN)?;
    if header[0] != HANDSHAKE || header[3..5] != [0; 2] || *message.first()? != CLIENT_HELLO {
        return None;
    }
    // Behind type and length: the message's number, the fragment's offset and length (RFC 6347 4.2.2), the version, the random.
    let (number, offset) = (message.get(4..6)?, message.get(6..9)?);
    if number != [0; 2] || offset != [0; 3] {
        return Some(Hello::Next);
    }
    Some(Hello::First(message.get(14..46)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(kind: u8, body: &[u8]) -> Vec<u8> {
        let mut record = vec![kind, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 1, 0, body.len() as u8];
        record.extend(body);
        record
    }

    fn lengths(datagram: &[u8]) -> Vec<usize> {
        records(datagram).map(<[u8]>::len).collect()
    }

    #[test]
    fn a_datagram_is_taken_apart_and_what_is_cut_off_is_dropped() {
        let plain = plain(22, b"hello");
        // A short sequence number and a length; a long one and none, so that it ends where the datagram does.
        let short = [0b0010_0110, 7, 0, 3, 1, 2, 3];
        let long = [0b0010_1011, 7, 7, 1, 2, 3];
        let all = [&plain[..], &short, &long].concat();
        assert_eq!(records(&all).collect::<Vec<_>>(), [&plain[..], &short, &long]);
        for end in 0..18 {
            assert_eq!(lengths(&all[..end]), [0; 0]);
        }
        for end in 18..25 {
            assert_eq!(lengths(&all[..end]), [18]);
        }
    }

    #[test]
    fn what_is_no_record_ends_the_datagram() {
        let hello = plain(22, b"hello");
        assert_eq!(lengths(&[&hello[..], b"garbage", &hello].concat()), [hello.len()]);
        for kind in [0, 19, 24, 25, 27, 31, 48, 63, 64, 128, 255] {
            assert_eq!(lengths(&plain(kind, b"x")), [0; 0], "{kind}");
        }
    }

    #[test]
    fn a_clients_first_message_is_told_from_its_next_ones() {
        let body = |number: u8, offset: u8| {
            let mut body = vec![1, 0, 0, 50, 0, number, 0, 0, offset, 0, 0, 50, 0xfe, 0xfd];
            body.extend([9; 50]);
            body
        };
        assert_eq!(hello(&plain(22, &body(0, 0))), Some(Hello::First([9; 32])));
        assert_eq!(hello(&plain(22, &body(1, 0))), Some(Hello::Next));
        assert_eq!(hello(&plain(22, &body(0, 20))), Some(Hello::Next));
        assert_eq!(hello(&plain(21, &body(0, 0))), None);
        assert_eq!(hello(&plain(22, &[2; 60])), None);
        for end in 0..13 + 46 {
            assert_eq!(hello(&plain(22, &body(0, 0))[..end]), None, "{end}");
        }
    }
}
