//! What a datagram is, by its first bytes.

/// What shares a media port (RFC 7983).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// STUN (RFC 8489), ICE checks too.
    Stun,
    /// ZRTP (RFC 6189).
    Zrtp,
    /// DTLS (RFC 5764).
    Dtls,
    /// TURN channel data (RFC 8656).
    TurnChannel,
    /// RTP or SRTP.
    Rtp,
    /// RTCP or SRTCP.
    Rtcp,
    /// Nothing that belongs on a media port.
    Unknown,
}

/// Tells by the first byte (RFC 7983 7), and RTP from RTCP by the second (RFC 5761 4), what `datagram` is.
///
/// Only ranges are looked at: whether the datagram is valid is for the protocol's own parser to say. QUIC, which RFC
/// 9443 adds to the list, is [`Protocol::Unknown`]: it is no guest of an audio port.
#[must_use]
#[inline]
pub const fn classify(datagram: &[u8]) -> Protocol {
    //                  +----------------+
    //                  |        [0..3] -+--> STUN
    //                  |      [16..19] -+--> ZRTP
    //      datagram -->|      [20..63] -+--> DTLS
    //                  |      [64..79] -+--> TURN channel
    //                  |    [128..191] -+--> RTP or RTCP
    //                  +----------------+
    match *datagram {
        // RTCP's types are 192 to 223; an RTP header has there its marker and a payload type of 64 to 95, which RFC
        // 5761 forbids on a port that carries both.
        [128..=191, 192..=223, ..] => Protocol::Rtcp,
        [128..=191, _, ..] => Protocol::Rtp,
        [0..=3, ..] => Protocol::Stun,
        [16..=19, ..] => Protocol::Zrtp,
        [20..=63, ..] => Protocol::Dtls,
        [64..=79, ..] => Protocol::TurnChannel,
        _ => Protocol::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_first_byte_has_the_protocol_of_rfc_7983() {
        for first in 0..=255_u8 {
            let expected = match first {
                0..=3 => Protocol::Stun,
                16..=19 => Protocol::Zrtp,
                20..=63 => Protocol::Dtls,
                64..=79 => Protocol::TurnChannel,
                128..=191 => Protocol::Rtp,
                4..=15 | 80..=127 | 192..=255 => Protocol::Unknown,
            };
            assert_eq!(classify(&[first, 0, 0, 0]), expected, "first byte {first}");
        }
    }

    #[test]
    fn second_byte_tells_rtcp_from_rtp() {
        for second in 0..=255_u8 {
            let rtcp = (192..=223).contains(&second);
            let expected = if rtcp { Protocol::Rtcp } else { Protocol::Rtp };
            assert_eq!(classify(&[0x80, second]), expected, "second byte {second}");
        }
    }

    #[test]
    fn too_little_to_tell_is_unknown() {
        assert_eq!(classify(&[]), Protocol::Unknown);
        assert_eq!(classify(&[0x80]), Protocol::Unknown);
    }
}
