//! The fixed RTP header: what a relay reads and rewrites in every packet.

use crate::{PayloadType, RtpError, RtpTimestamp, SequenceNumber, Ssrc};

/// Bytes in the fixed header.
pub const RTP_HEADER_LEN: usize = 12;

/// The fixed RTP header (RFC 3550 5.1), without the fields that describe the packet's shape (V, P, X, CC).
///
/// ```text
///  0                   1                   2                   3
///  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |V=2|P|X|  CC   |M|     PT      |       sequence number         |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |                           timestamp                           |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |                             SSRC                              |
/// +=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RtpHeader {
    /// In audio: the first packet of a talk spurt (RFC 3551 4.1).
    pub marker: bool,
    /// The format of the payload.
    pub payload_type: PayloadType,
    /// Counts the packets of the source.
    pub sequence: SequenceNumber,
    /// Sampling instant of the payload's first byte, in units of the format's clock.
    pub timestamp: RtpTimestamp,
    /// The source.
    pub ssrc: Ssrc,
}

impl RtpHeader {
    /// Reads the header of a plain RTP packet, and checks the packet's shape as a whole.
    ///
    /// # Errors
    /// Not version 2, or CSRC list, extension or padding do not fit the datagram (RFC 3550 A.1). Padding may fill all
    /// that follows the header, as in probing packets, but cannot be zero bytes long.
    #[inline]
    pub fn read(datagram: &[u8]) -> Result<Self, RtpError> {
        let header = Self::read_fixed(datagram)?;
        if datagram[0] & 0x3f != 0 {
            Shape::of(datagram, Padding::Plain)?;
        }
        Ok(header)
    }

    /// Reads the header of an SRTP packet, whose padding cannot be checked: it is encrypted (RFC 3711 3.1).
    ///
    /// # Errors
    /// As [`RtpHeader::read`], but for the padding.
    #[inline]
    pub fn read_srtp(datagram: &[u8]) -> Result<Self, RtpError> {
        let header = Self::read_fixed(datagram)?;
        if datagram[0] & 0x1f != 0 {
            Shape::of(datagram, Padding::Encrypted)?;
        }
        Ok(header)
    }

    /// Overwrites marker, payload type, sequence number, timestamp and SSRC in a packet that has been read.
    ///
    /// Everything else stays: version, P, X, CC and all that follows the fixed header. Fewer than 12 bytes, which
    /// [`RtpHeader::read`] never accepts, are left alone.
    #[inline]
    pub fn rewrite(&self, packet: &mut [u8]) {
        if let Some(fixed) = packet.first_chunk_mut::<RTP_HEADER_LEN>() {
            let shape = fixed[0];
            *fixed = self.to_bytes(shape);
        }
    }

    /// Writes a 12-byte header of version 2 without padding, extension and CSRCs; returns 12, or 0 if `out` is shorter.
    #[inline]
    pub fn build(&self, out: &mut [u8]) -> usize {
        let Some(fixed) = out.first_chunk_mut::<RTP_HEADER_LEN>() else { return 0 };
        *fixed = self.to_bytes(0x80);
        RTP_HEADER_LEN
    }

    #[inline]
    fn read_fixed(datagram: &[u8]) -> Result<Self, RtpError> {
        let Some(fixed) = datagram.first_chunk::<RTP_HEADER_LEN>() else {
            return Err(RtpError::TooShort { len: datagram.len() });
        };
        let [shape, format, s0, s1, t0, t1, t2, t3, i0, i1, i2, i3] = *fixed;
        if shape >> 6 != 2 {
            return Err(RtpError::Version { version: shape >> 6 });
        }
        Ok(Self {
            marker: format & 0x80 != 0,
            payload_type: PayloadType::from_header_byte(format),
            sequence: SequenceNumber(u16::from_be_bytes([s0, s1])),
            timestamp: RtpTimestamp(u32::from_be_bytes([t0, t1, t2, t3])),
            ssrc: Ssrc(u32::from_be_bytes([i0, i1, i2, i3])),
        })
    }

    #[inline]
    const fn to_bytes(self, shape: u8) -> [u8; RTP_HEADER_LEN] {
        let [s0, s1] = self.sequence.0.to_be_bytes();
        let [t0, t1, t2, t3] = self.timestamp.0.to_be_bytes();
        let [i0, i1, i2, i3] = self.ssrc.0.to_be_bytes();
        [shape, (self.marker as u8) << 7 | self.payload_type.get(), s0, s1, t0, t1, t2, t3, i0, i1, i2, i3]
    }
}

/// Whether the padding length at the end of the packet can be read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Padding {
    Plain,
    Encrypted,
}

/// Where the parts of a packet lie. All ends are within the datagram and in this order.
#[derive(Clone, Copy)]
pub(crate) struct Shape {
    /// End of the CSRC list.
    pub(crate) csrcs_end: usize,
    /// End of the extension: `csrcs_end` if there is none, at least 4 more if there is one.
    pub(crate) extension_end: usize,
    /// End of the payload, where the padding begins.
    pub(crate) payload_end: usize,
}

impl Shape {
    /// The shape of a datagram whose fixed header has been read.
    pub(crate) fn of(datagram: &[u8], padding: Padding) -> Result<Self, RtpError> {
        let len = datagram.len();
        let Some(&first) = datagram.first() else { return Err(RtpError::TooShort { len }) };

        let count = first & 0x0f;
        let csrcs_end = RTP_HEADER_LEN + 4 * usize::from(count);
        if csrcs_end > len {
            return Err(RtpError::CsrcList { count, len });
        }

        let mut extension_end = csrcs_end;
        if first & 0x10 != 0 {
            // RFC 3550 5.3.1: 16 bits for the profile, 16 bits for the number of 32-bit words that follow.
            let data = csrcs_end + 4;
            let Some(&[_, _, w0, w1]) = datagram.get(csrcs_end..data) else {
                return Err(RtpError::Extension { end: data, len });
            };
            extension_end = data + 4 * usize::from(u16::from_be_bytes([w0, w1]));
            if extension_end > len {
                return Err(RtpError::Extension { end: extension_end, len });
            }
        }

        let mut payload_end = len;
        if first & 0x20 != 0 && padding == Padding::Plain {
            let room = len - extension_end;
            let padding = datagram[len - 1];
            if padding == 0 || usize::from(padding) > room {
                return Err(RtpError::Padding { padding, room });
            }
            payload_end = len - usize::from(padding);
        }
        Ok(Self { csrcs_end, extension_end, payload_end })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: RtpHeader = RtpHeader {
        marker: true,
        payload_type: PayloadType::from_header_byte(101),
        sequence: SequenceNumber(0x0102),
        timestamp: RtpTimestamp(0x0304_0506),
        ssrc: Ssrc(0x0708_090a),
    };
    const BYTES: [u8; 12] = [0x80, 0x80 | 101, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10];

    /// A packet with this first byte and these bytes behind the fixed header.
    fn packet(first: u8, behind: &[u8]) -> Vec<u8> {
        let mut packet = BYTES.to_vec();
        packet[0] = first;
        packet.extend_from_slice(behind);
        packet
    }

    #[test]
    fn fields_lie_where_rfc_3550_puts_them() {
        assert_eq!(RtpHeader::read(&BYTES), Ok(HEADER));
        let mut out = [0xff; 13];
        assert_eq!(HEADER.build(&mut out), 12);
        assert_eq!(out[..12], BYTES);
        assert_eq!(out[12], 0xff);
    }

    #[test]
    fn too_short_for_a_header_is_neither_read_nor_written() {
        assert_eq!(RtpHeader::read(&BYTES[..11]), Err(RtpError::TooShort { len: 11 }));
        let mut out = [0x55; 11];
        assert_eq!(HEADER.build(&mut out), 0);
        HEADER.rewrite(&mut out);
        assert_eq!(out, [0x55; 11]);
    }

    #[test]
    fn other_versions_are_refused() {
        for version in [0, 1, 3] {
            assert_eq!(RtpHeader::read(&packet(version << 6, &[])), Err(RtpError::Version { version }));
        }
    }

    #[test]
    fn csrcs_must_fit() {
        assert_eq!(RtpHeader::read(&packet(0x82, &[0; 8])), Ok(HEADER));
        assert_eq!(RtpHeader::read(&packet(0x82, &[0; 7])), Err(RtpError::CsrcList { count: 2, len: 19 }));
    }

    #[test]
    fn extension_must_fit() {
        assert_eq!(RtpHeader::read(&packet(0x90, &[0xbe, 0xde, 0, 1, 9, 9, 9, 9])), Ok(HEADER));
        let cut = packet(0x90, &[0xbe, 0xde, 0, 1, 9, 9, 9]);
        assert_eq!(RtpHeader::read(&cut), Err(RtpError::Extension { end: 20, len: 19 }));
        assert_eq!(RtpHeader::read_srtp(&cut), Err(RtpError::Extension { end: 20, len: 19 }));
        let cut = packet(0x90, &[0xbe, 0xde, 0]);
        assert_eq!(RtpHeader::read(&cut), Err(RtpError::Extension { end: 16, len: 15 }));
    }

    #[test]
    fn padding_must_fit_and_count_itself() {
        assert_eq!(RtpHeader::read(&packet(0xa0, &[7, 0, 2])), Ok(HEADER));
        // Nothing but padding: what probes for bandwidth sends.
        assert_eq!(RtpHeader::read(&packet(0xa0, &[0, 0, 3])), Ok(HEADER));
        assert_eq!(RtpHeader::read(&packet(0xa0, &[0, 0, 4])), Err(RtpError::Padding { padding: 4, room: 3 }));
        assert_eq!(RtpHeader::read(&packet(0xa0, &[0, 0, 0])), Err(RtpError::Padding { padding: 0, room: 3 }));
        // The last byte of the header is no padding length.
        assert_eq!(RtpHeader::read(&packet(0xa0, &[])), Err(RtpError::Padding { padding: 10, room: 0 }));
        // Padding does not reach into the extension.
        let extension = packet(0xb0, &[0, 0, 0, 0, 1, 3]);
        assert_eq!(RtpHeader::read(&extension), Err(RtpError::Padding { padding: 3, room: 2 }));
    }

    #[test]
    fn encrypted_padding_is_not_looked_at() {
        assert_eq!(RtpHeader::read_srtp(&packet(0xa0, &[0, 0, 200])), Ok(HEADER));
        assert_eq!(RtpHeader::read_srtp(&packet(0xa1, &[0])), Err(RtpError::CsrcList { count: 1, len: 13 }));
    }

    #[test]
    fn rewriting_keeps_the_shape_of_the_packet_and_all_behind_the_header() {
        let mut bytes = packet(0xb1, &[1, 2, 3, 4, 0xbe, 0xde, 0, 0, 0x77, 2, 2]);
        let before = bytes.clone();
        let other = RtpHeader {
            marker: false,
            payload_type: PayloadType::default(),
            sequence: SequenceNumber(0),
            timestamp: RtpTimestamp(1),
            ssrc: Ssrc(2),
        };
        other.rewrite(&mut bytes);
        assert_eq!(bytes[..12], [0xb1, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2]);
        assert_eq!(bytes[12..], before[12..]);
        assert_eq!(RtpHeader::read(&bytes), Ok(other));
    }

    #[test]
    fn errors_say_what_was_wrong() {
        assert_eq!(
            RtpError::Extension { end: 20, len: 19 }.to_string(),
            "the header extension would end at byte 20, but the datagram has 19 bytes"
        );
    }
}
