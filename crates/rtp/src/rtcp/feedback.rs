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
