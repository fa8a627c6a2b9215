//! Feedback messages (RFC 4585).

use super::{RtcpPacket, kind};
use crate::{RtcpError, SequenceNumber, Ssrc};

/// Which of the two feedback packet types.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FeedbackKind {
    /// Transport layer, RTPFB.
    Transport,
    /// Payload-specific, PSFB.
    Payload,
}

impl FeedbackKind {
    /// The packet type.
    #[must_use]
    pub const fn packet_kind(self) -> u8 {
        match self {
            Self::Transport => kind::TRANSPORT_FEEDBACK,
            Self::Payload => kind::PAYLOAD_FEEDBACK,
        }
    }
}

/// A feedback message (RFC 4585 6.1).
#[derive(Clone, Copy, Debug)]
pub struct Feedback<'a> {
    /// Transport layer or payload-specific.
    pub kind: FeedbackKind,
    /// The format, FMT: 1 is a generic NACK of the transport layer, a picture loss indication of the payload.
    pub format: u8,
    /// Who sends it.
    pub sender: Ssrc,
    /// The source it is about; 0 where the control information names it.
    pub media: Ssrc,
    /// Feedback control information, FCI: whole 32-bit words.
    pub fci: &'a [u8],
}

impl<'a> Feedback<'a> {
    /// FMT of the generic NACK, of the transport layer (RFC 4585 6.2.1).
    pub const GENERIC_NACK: u8 = 1;

    /// Views an RTPFB or PSFB.
    ///
    /// # Errors
    /// The packet is of another type, or has no room for the two SSRCs.
    pub fn parse(packet: &RtcpPacket<'a>) -> Result<Self, RtcpError> {
        let kind = match packet.kind {
            kind::TRANSPORT_FEEDBACK => FeedbackKind::Transport,
            kind::PAYLOAD_FEEDBACK => FeedbackKind::Payload,
            kind => return Err(RtcpError::Kind { kind }),
        };
        let [s0, s1, s2, s3, m0, m1, m2, m3, fci @ ..] = packet.body else { return Err(packet.cut_short(8)) };
        let sender = Ssrc(u32::from_be_bytes([*s0, *s1, *s2, *s3]));
        let media = Ssrc(u32::from_be_bytes([*m0, *m1, *m2, *m3]));
        Ok(Self { kind, format: packet.count, sender, media, fci })
    }

    /// The packets asked for again; none if this is not a generic NACK.
    #[must_use]
    pub fn nacks(&self) -> Nacks<'a> {
        let is_nack = self.kind == FeedbackKind::Transport && self.format == Self::GENERIC_NACK;
        Nacks { fci: if is_nack { self.fci } else { &[] } }
    }
}

/// One entry of a generic NACK (RFC 4585 6.2.1): up to 17 packets that are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Nack {
    /// A missing packet.
    pub packet_id: SequenceNumber,
    /// Bit n is set if packet `packet_id` + n + 1 is missing too.
    pub following: u16,
}

impl Nack {
    /// Bytes of an entry.
    pub const LEN: usize = 4;

    /// Reads an entry.
    #[must_use]
    pub const fn read(bytes: &[u8; Self::LEN]) -> Self {
        let [p0, p1, b0, b1] = *bytes;
        Self { packet_id: SequenceNumber(u16::from_be_bytes([p0, p1])), following: u16::from_be_bytes([b0, b1]) }
    }

    /// Writes the entry.
    #[must_use]
    pub const fn write(&self) -> [u8; Self::LEN] {
        let [p0, p1] = self.packet_id.0.to_be_bytes();
        let [b0, b1] = self.following.to_be_bytes();
        [p0, p1, b0, b1]
    }
}

/// Iterator over the entries of a generic NACK.
#[derive(Clone, Debug)]
pub struct Nacks<'a> {
    fci: &'a [u8],
}

impl Iterator for Nacks<'_> {
    type Item = Nack;

    fn next(&mut self) -> Option<Nack> {
        let (entry, rest) = self.fci.split_first_chunk::<{ Nack::LEN }>()?;
        self.fci = rest;
        Some(Nack::read(entry))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Compound;

    fn parse(bytes: &[u8]) -> Result<Feedback<'_>, RtcpError> {
        Feedback::parse(&Compound::parse(bytes)?.packets().next().expect("there is at least one"))
    }

    #[test]
    fn generic_nack_lists_missing_packets() -> Result<(), RtcpError> {
        let bytes = [0x81, 205, 0, 4, 0, 0, 0, 1, 0, 0, 0, 2, 0xff, 0xff, 0x80, 1, 0, 9, 0, 0];
        let feedback = parse(&bytes)?;
        assert_eq!((feedback.kind, feedback.format), (FeedbackKind::Transport, Feedback::GENERIC_NACK));
        assert_eq!((feedback.sender, feedback.media), (Ssrc(1), Ssrc(2)));
        let nacks: Vec<_> = feedback.nacks().collect();
        let expected = [
            Nack { packet_id: SequenceNumber(0xffff), following: 0x8001 },
            Nack { packet_id: SequenceNumber(9), following: 0 },
        ];
        assert_eq!(nacks, expected);
        assert_eq!(nacks[0].write(), [0xff, 0xff, 0x80, 1]);
        Ok(())
    }

    #[test]
    fn other_feedback_has_no_nacks() -> Result<(), RtcpError> {
        let bytes = [0x81, 206, 0, 3, 0, 0, 0, 1, 0, 0, 0, 2, 1, 2, 3, 4];
        let feedback = parse(&bytes)?;
        assert_eq!((feedback.kind, feedback.nacks().next(), feedback.fci.len()), (FeedbackKind::Payload, None, 4));
        assert_eq!(feedback.kind.packet_kind(), kind::PAYLOAD_FEEDBACK);
        Ok(())
    }

    #[test]
    fn feedback_without_both_sources_is_refused() {
        let error = parse(&[0x81, 205, 0, 1, 0, 0, 0, 1]).err();
        assert_eq!(error, Some(RtcpError::Body { kind: 205, count: 1, len: 4, need: 8 }));
    }
}
