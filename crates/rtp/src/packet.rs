//! A whole RTP packet as a view.

use crate::header::{Padding, Shape};
use crate::{RTP_HEADER_LEN, RtpError, RtpHeader, Ssrc};

/// An RTP packet (RFC 3550 5.1) as a view over its bytes; what it returns lies within them.
#[derive(Clone, Copy)]
pub struct RtpPacket<'a> {
    header: RtpHeader,
    shape: Shape,
    datagram: &'a [u8],
}

impl<'a> RtpPacket<'a> {
    /// Checks `datagram` as [`RtpHeader::read`] does, and remembers where everything lies.
    ///
    /// # Errors
    /// As [`RtpHeader::read`].
    pub fn parse(datagram: &'a [u8]) -> Result<Self, RtpError> {
        let header = RtpHeader::read(datagram)?;
        let shape = Shape::of(datagram, Padding::Plain)?;
        Ok(Self { header, shape, datagram })
    }

    /// The fixed header.
    #[must_use]
    pub const fn header(&self) -> &RtpHeader {
        &self.header
    }

    /// The sources that were mixed into this packet, 15 at most.
    #[must_use]
    pub fn csrcs(&self) -> Csrcs<'a> {
        Csrcs { words: &self.datagram[RTP_HEADER_LEN..self.shape.csrcs_end] }
    }

    /// The header extension (RFC 3550 5.3.1).
    #[must_use]
    pub fn extension(&self) -> Option<Extension<'a>> {
        let [p0, p1, _, _, data @ ..] = &self.datagram[self.shape.csrcs_end..self.shape.extension_end] else {
            return None;
        };
        Some(Extension { profile: u16::from_be_bytes([*p0, *p1]), data })
    }

    /// The elements of the header extension (RFC 8285); none if there is no extension, or it is of another kind.
    #[must_use]
    pub fn extension_elements(&self) -> ExtensionElements<'a> {
        self.extension().map_or(ExtensionElements::NONE, |extension| extension.elements())
    }

    /// The payload, without padding. It may be empty.
    #[must_use]
    pub fn payload(&self) -> &'a [u8] {
        &self.datagram[self.shape.extension_end..self.shape.payload_end]
    }

    /// Bytes of padding at the end.
    #[must_use]
    pub const fn padding_len(&self) -> usize {
        self.datagram.len() - self.shape.payload_end
    }
}

impl core::fmt::Debug for RtpPacket<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("RtpPacket")
            .field("header", &self.header)
            .field("extension", &self.extension())
            .field("payload_len", &self.payload().len())
            .field("padding_len", &self.padding_len())
            .finish_non_exhaustive()
    }
}

/// Iterator over contributing sources.
#[derive(Clone, Debug)]
pub struct Csrcs<'a> {
    words: &'a [u8],
}

impl Iterator for Csrcs<'_> {
    type Item = Ssrc;

    fn next(&mut self) -> Option<Ssrc> {
        let (word, rest) = self.words.split_first_chunk::<4>()?;
        self.words = rest;
        Some(Ssrc(u32::from_be_bytes(*word)))
    }
}

/// A header extension (RFC 3550 5.3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extension<'a> {
    /// What kind it is, "defined by profile": 0xBEDE and 0x1000 to 0x100f are RFC 8285's.
    pub profile: u16,
    /// What follows the extension's own 4-byte header: whole 32-bit words.
    pub data: &'a [u8],
}

impl<'a> Extension<'a> {
    /// The elements in it (RFC 8285 4.2 and 4.3); none if the extension is of another kind.
    #[must_use]
    pub const fn elements(&self) -> ExtensionElements<'a> {
        let form = match self.profile {
            0xbede => Form::OneByte,
            // The low 4 bits are the application's.
            0x1000..=0x100f => Form::TwoByte,
            _ => return ExtensionElements::NONE,
        };
        ExtensionElements { form, data: self.data }
    }
}

/// An element of an RFC 8285 header extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExtensionElement<'a> {
    /// The local identifier that SDP's `a=extmap` maps to a meaning: 1 to 14, or 1 to 255 in the two-byte form.
    pub id: u8,
    /// 1 to 16 bytes, or 0 to 255 in the two-byte form.
    pub data: &'a [u8],
}

/// Iterator over the elements of a header extension. It ends at the first element that does not fit.
#[derive(Clone, Debug)]
pub struct ExtensionElements<'a> {
    form: Form,
    data: &'a [u8],
}

#[derive(Clone, Copy, Debug)]
enum Form {
    OneByte,
    TwoByte,
}

impl ExtensionElements<'_> {
    const NONE: Self = Self { form: Form::OneByte, data: &[] };
}

impl<'a> Iterator for ExtensionElements<'a> {
    type Item = ExtensionElement<'a>;

    fn next(&mut self) -> Option<ExtensionElement<'a>> {
        // RFC 8285 4.1: a byte of zero is padding, between elements and after the last.
        while let [0, rest @ ..] = self.data {
            self.data = rest;
        }
        // Whatever ends the iteration here ends it for good.
        let data = core::mem::take(&mut self.data);
        let (id, len, rest) = match (self.form, data) {
            (Form::OneByte, [head, rest @ ..]) => (head >> 4, usize::from(head & 0x0f) + 1, rest),
            (Form::TwoByte, [id, len, rest @ ..]) => (*id, usize::from(*len), rest),
            _ => return None,
        };
        // RFC 8285 4.2: at identifier 15, and at 0 with a length, the processing of the whole extension ends.
        if matches!(self.form, Form::OneByte) && (id == 15 || id == 0) {
            return None;
        }
        let (data, rest) = rest.split_at_checked(len)?;
        self.data = rest;
        Some(ExtensionElement { id, data })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(first: u8, behind: &[u8]) -> Vec<u8> {
        [&[first, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3], behind].concat()
    }

    /// The elements of an extension with this profile and these data.
    fn elements(profile: u16, data: &[u8]) -> Vec<(u8, Vec<u8>)> {
        Extension { profile, data }.elements().map(|element| (element.id, element.data.to_vec())).collect()
    }

    #[test]
    fn plain_packet_is_header_and_payload() -> Result<(), RtpError> {
        let bytes = bytes(0x80, b"voice");
        let packet = RtpPacket::parse(&bytes)?;
        assert_eq!(packet.payload(), b"voice");
        assert_eq!((packet.header().sequence.0, packet.padding_len()), (1, 0));
        assert_eq!((packet.csrcs().next(), packet.extension(), packet.extension_elements().next()), (None, None, None));
        Ok(())
    }

    #[test]
    fn each_part_is_found_behind_the_one_before() -> Result<(), RtpError> {
        let behind = [0, 0, 0, 8, 0, 0, 0, 9, 0xab, 0xcd, 0, 1, 1, 2, 3, 4, b'v', 0, 0, 3];
        let bytes = bytes(0xb2, &behind);
        let packet = RtpPacket::parse(&bytes)?;
        assert_eq!(packet.csrcs().collect::<Vec<_>>(), [Ssrc(8), Ssrc(9)]);
        assert_eq!(packet.extension(), Some(Extension { profile: 0xabcd, data: &[1, 2, 3, 4] }));
        assert_eq!((packet.payload(), packet.padding_len()), (&b"v"[..], 3));
        // Not an extension of RFC 8285.
        assert_eq!(packet.extension_elements().next(), None);
        Ok(())
    }

    #[test]
    fn empty_extension_is_an_extension() -> Result<(), RtpError> {
        let bytes = bytes(0x90, &[0xbe, 0xde, 0, 0, 7]);
        let packet = RtpPacket::parse(&bytes)?;
        assert_eq!(packet.extension(), Some(Extension { profile: 0xbede, data: &[] }));
        assert_eq!((packet.extension_elements().next(), packet.payload()), (None, &[7][..]));
        Ok(())
    }

    #[test]
    fn one_byte_elements_may_have_padding_between() {
        let read = elements(0xbede, &[0x10, 0xaa, 0, 0, 0x22, 1, 2, 3]);
        assert_eq!(read, [(1, vec![0xaa]), (2, vec![1, 2, 3])]);
    }

    #[test]
    fn identifier_15_ends_one_byte_elements() {
        assert_eq!(elements(0xbede, &[0x10, 0xaa, 0xf0, 1, 0x20, 2]), [(1, vec![0xaa])]);
    }

    #[test]
    fn identifier_0_with_a_length_ends_one_byte_elements() {
        assert_eq!(elements(0xbede, &[0x10, 0xaa, 0x01, 1, 1, 0x20, 2, 0]), [(1, vec![0xaa])]);
    }

    #[test]
    fn two_byte_elements_may_be_empty_and_long() {
        let mut data = vec![15, 0, 0, 16, 200];
        data.extend([7; 200]);
        assert_eq!(elements(0x100f, &data), [(15, vec![]), (16, vec![7; 200])]);
        assert_eq!(elements(0x1010, &data), []);
    }

    #[test]
    fn an_element_that_does_not_fit_ends_the_elements() {
        assert_eq!(elements(0xbede, &[0x10, 0xaa, 0x23, 1, 2, 3]), [(1, vec![0xaa])]);
        assert_eq!(elements(0x1000, &[1, 1, 0xaa, 2]), [(1, vec![0xaa])]);
        assert_eq!(elements(0x1000, &[1, 4, 1, 2, 3]), []);
    }
}
