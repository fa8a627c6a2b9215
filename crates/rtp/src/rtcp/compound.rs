//! A datagram of RTCP and the packets in it.

use super::{App, Bye, Feedback, HEADER_LEN, ReceiverReport, SenderReport, SourceDescription, kind};
use crate::{RtcpError, Ssrc};

/// A compound RTCP packet (RFC 3550 6.1), or one of reduced size (RFC 5506), whose packets all fit.
#[derive(Clone, Copy, Debug)]
pub struct Compound<'a> {
    datagram: &'a [u8],
}

impl<'a> Compound<'a> {
    /// Checks that `datagram` is a sequence of one or more RTCP packets.
    ///
    /// Any order and any first packet is taken: RFC 5506 has compounds that do not begin with a report.
    ///
    /// # Errors
    /// A packet is not of version 2, its length goes beyond the end, or there is padding on any but the last
    /// (RFC 3550 A.2).
    pub fn parse(datagram: &'a [u8]) -> Result<Self, RtcpError> {
        let mut rest = datagram;
        loop {
            let at = datagram.len() - rest.len();
            let (packet, behind) = RtcpPacket::split(rest, at)?;
            if behind.is_empty() {
                return Ok(Self { datagram });
            }
            if packet.is_padded() {
                return Err(RtcpError::Padding { at });
            }
            rest = behind;
        }
    }

    /// The packets, in order; there is at least one.
    #[must_use]
    pub const fn packets(&self) -> Packets<'a> {
        Packets { rest: self.datagram }
    }

    /// The compound as it was parsed.
    #[must_use]
    pub const fn as_bytes(&self) -> &'a [u8] {
        self.datagram
    }
}

impl<'a> IntoIterator for Compound<'a> {
    type Item = RtcpPacket<'a>;
    type IntoIter = Packets<'a>;

    fn into_iter(self) -> Packets<'a> {
        self.packets()
    }
}

impl<'a> IntoIterator for &Compound<'a> {
    type Item = RtcpPacket<'a>;
    type IntoIter = Packets<'a>;

    fn into_iter(self) -> Packets<'a> {
        self.packets()
    }
}

/// Iterator over the packets of a compound.
#[derive(Clone, Debug)]
pub struct Packets<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Packets<'a> {
    type Item = RtcpPacket<'a>;

    fn next(&mut self) -> Option<RtcpPacket<'a>> {
        let (packet, behind) = RtcpPacket::split(self.rest, 0).ok()?;
        self.rest = behind;
        Some(packet)
    }
}

/// One RTCP packet, of whatever type (RFC 3550 6.4.1).
///
/// ```text
///  0                   1                   2                   3
///  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |V=2|P|  count  |     kind      |  length in words, less one    |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |                            body ...                           |
/// ```
#[derive(Clone, Copy, Debug)]
pub struct RtcpPacket<'a> {
    /// The packet type, one of [`kind`] or any other.
    pub kind: u8,
    /// The 5 bits that count report blocks, chunks or sources, or are a feedback's format or an APP's subtype.
    pub count: u8,
    /// What follows the header, without padding.
    pub body: &'a [u8],
    bytes: &'a [u8],
}

impl<'a> RtcpPacket<'a> {
    /// The packet with its header and padding.
    #[must_use]
    pub const fn as_bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The source that speaks: the first word of the body in all types but one. `None` if there is no body, as in a BYE
    /// of nobody, and for source descriptions, which have an SSRC for each chunk.
    #[must_use]
    pub fn sender_ssrc(&self) -> Option<Ssrc> {
        if self.kind == kind::SOURCE_DESCRIPTION || (self.kind == kind::BYE && self.count == 0) {
            return None;
        }
        super::split_u32(self.body).map(|(ssrc, _)| Ssrc(ssrc))
    }

    /// The packet as what its type says.
    ///
    /// # Errors
    /// The body is too short for what the count and the lengths in it say.
    pub fn view(&self) -> Result<RtcpView<'a>, RtcpError> {
        match self.kind {
            kind::SENDER_REPORT => SenderReport::parse(self).map(RtcpView::SenderReport),
            kind::RECEIVER_REPORT => ReceiverReport::parse(self).map(RtcpView::ReceiverReport),
            kind::SOURCE_DESCRIPTION => SourceDescription::parse(self).map(RtcpView::SourceDescription),
            kind::BYE => Bye::parse(self).map(RtcpView::Bye),
            kind::APP => App::parse(self).map(RtcpView::App),
            kind::TRANSPORT_FEEDBACK | kind::PAYLOAD_FEEDBACK => Feedback::parse(self).map(RtcpView::Feedback),
            kind::EXTENDED_REPORT => Ok(RtcpView::ExtendedReport(*self)),
            _ => Ok(RtcpView::Other(*self)),
        }
    }

    /// Takes the first packet off `bytes`, which lie at `at` in their compound.
    pub(super) fn split(bytes: &'a [u8], at: usize) -> Result<(Self, &'a [u8]), RtcpError> {
        let len = bytes.len();
        let Some((&[first, kind, l0, l1], _)) = bytes.split_first_chunk::<HEADER_LEN>() else {
            return Err(RtcpError::TooShort { at, len });
        };
        if first >> 6 != 2 {
            return Err(RtcpError::Version { at, version: first >> 6 });
        }
        let said = HEADER_LEN + 4 * usize::from(u16::from_be_bytes([l0, l1]));
        let Some((bytes, rest)) = bytes.split_at_checked(said) else {
            return Err(RtcpError::Length { at, said, len });
        };

        let mut body = &bytes[HEADER_LEN..];
        if first & 0x20 != 0 {
            // RFC 3550 6.4.1: the last byte counts the padding, itself included, in multiples of 4.
            let padding = usize::from(body.last().copied().unwrap_or(0));
            if padding == 0 || !padding.is_multiple_of(4) || padding > body.len() {
                return Err(RtcpError::Padding { at });
            }
            body = &body[..body.len() - padding];
        }
        Ok((Self { kind, count: first & 0x1f, body, bytes }, rest))
    }

    /// The error of a view whose body should have `need` bytes.
    pub(super) const fn cut_short(&self, need: usize) -> RtcpError {
        RtcpError::Body { kind: self.kind, count: self.count, len: self.body.len(), need }
    }

    /// Whether the type is the one a view is for.
    pub(super) const fn expect_kind(&self, kind: u8) -> Result<(), RtcpError> {
        if self.kind == kind { Ok(()) } else { Err(RtcpError::Kind { kind: self.kind }) }
    }

    const fn is_padded(&self) -> bool {
        self.bytes.len() != HEADER_LEN + self.body.len()
    }
}

/// An RTCP packet as what its type says.
#[derive(Clone, Copy, Debug)]
pub enum RtcpView<'a> {
    /// SR.
    SenderReport(SenderReport<'a>),
    /// RR.
    ReceiverReport(ReceiverReport<'a>),
    /// SDES.
    SourceDescription(SourceDescription<'a>),
    /// BYE.
    Bye(Bye<'a>),
    /// APP.
    App(App<'a>),
    /// RTPFB or PSFB (RFC 4585).
    Feedback(Feedback<'a>),
    /// XR (RFC 3611), as it is.
    ExtendedReport(RtcpPacket<'a>),
    /// A type that this crate does not know.
    Other(RtcpPacket<'a>),
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An RR without blocks and a BYE of the same source.
    const COMPOUND: [u8; 16] = [0x80, 201, 0, 1, 0, 0, 0, 7, 0x81, 203, 0, 1, 0, 0, 0, 7];

    fn error(datagram: &[u8]) -> Option<RtcpError> {
        Compound::parse(datagram).err()
    }

    #[test]
    fn packets_come_in_order() -> Result<(), RtcpError> {
        let compound = Compound::parse(&COMPOUND)?;
        let kinds: Vec<_> = compound.packets().map(|packet| (packet.kind, packet.count, packet.body)).collect();
        assert_eq!(kinds, [(201, 0, &[0, 0, 0, 7][..]), (203, 1, &[0, 0, 0, 7][..])]);
        let bytes: Vec<_> = compound.packets().flat_map(|packet| packet.as_bytes()).copied().collect();
        assert_eq!(bytes, COMPOUND);
        assert!(compound.packets().all(|packet| packet.sender_ssrc() == Some(Ssrc(7))));
        Ok(())
    }

    #[test]
    fn reduced_size_needs_no_report_in_front() -> Result<(), RtcpError> {
        let pli = [0x81, 206, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2];
        let packet = Compound::parse(&pli)?.packets().next().expect("there is at least one");
        assert!(matches!(packet.view()?, RtcpView::Feedback(_)));
        Ok(())
    }

    #[test]
    fn what_does_not_fit_is_refused_with_its_place() {
        assert_eq!(error(&[]), Some(RtcpError::TooShort { at: 0, len: 0 }));
        assert_eq!(error(&COMPOUND[..11]), Some(RtcpError::TooShort { at: 8, len: 3 }));
        assert_eq!(error(&COMPOUND[..15]), Some(RtcpError::Length { at: 8, said: 8, len: 7 }));
        let mut other_version = COMPOUND;
        other_version[8] = 0x41;
        assert_eq!(error(&other_version), Some(RtcpError::Version { at: 8, version: 1 }));
    }

    #[test]
    fn padding_is_for_the_last_packet_alone() -> Result<(), RtcpError> {
        let padded = [0xa1, 203, 0, 3, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 8];
        let packet = Compound::parse(&padded)?.packets().next().expect("there is at least one");
        assert_eq!((packet.body, packet.as_bytes().len()), (&[0, 0, 0, 7][..], 16));

        let not_last = [&padded[..], &COMPOUND].concat();
        assert_eq!(error(&not_last), Some(RtcpError::Padding { at: 0 }));
        for count in [0, 3, 5, 16] {
            let mut wrong = padded;
            wrong[15] = count;
            assert_eq!(error(&wrong), Some(RtcpError::Padding { at: 0 }), "{count} bytes of padding");
        }
        Ok(())
    }

    #[test]
    fn views_know_their_types() -> Result<(), RtcpError> {
        let word = [0, 0, 0, 7];
        let view = |kind, body| RtcpPacket { kind, count: 0, body, bytes: &[] }.view();
        assert!(matches!(view(kind::EXTENDED_REPORT, &word)?, RtcpView::ExtendedReport(_)));
        assert!(matches!(view(199, &word)?, RtcpView::Other(_)));
        let need_more = Err(RtcpError::Body { kind: 200, count: 0, len: 4, need: 24 });
        assert_eq!(view(200, &word).map(|_| ()), need_more);
        let rr = Compound::parse(&COMPOUND)?.packets().next().expect("there are two");
        assert_eq!(Bye::parse(&rr).map(|_| ()), Err(RtcpError::Kind { kind: 201 }));
        Ok(())
    }
}
