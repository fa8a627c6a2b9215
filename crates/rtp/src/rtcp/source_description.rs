//! Who the sources are.

use super::{RtcpPacket, kind, sdes_item, split_u32};
use crate::{RtcpError, Ssrc};

/// A source description, SDES (RFC 3550 6.5).
#[derive(Clone, Copy, Debug)]
pub struct SourceDescription<'a> {
    chunks: &'a [u8],
    count: u8,
}

impl<'a> SourceDescription<'a> {
    /// Views an SDES, and checks all its chunks and items.
    ///
    /// # Errors
    /// The packet is of another type, or a chunk is cut short.
    pub fn parse(packet: &RtcpPacket<'a>) -> Result<Self, RtcpError> {
        packet.expect_kind(kind::SOURCE_DESCRIPTION)?;
        let mut rest = packet.body;
        for _ in 0..packet.count {
            let Some((_, behind)) = SdesChunk::split(rest) else {
                // What is missing is at least a byte.
                return Err(packet.cut_short(packet.body.len() + 1));
            };
            rest = behind;
        }
        Ok(Self { chunks: packet.body, count: packet.count })
    }

    /// The chunks, one for each source.
    #[must_use]
    pub const fn chunks(&self) -> SdesChunks<'a> {
        SdesChunks { rest: self.chunks, left: self.count }
    }

    /// The first CNAME and whose it is.
    #[must_use]
    pub fn cname(&self) -> Option<(Ssrc, &'a [u8])> {
        self.chunks().find_map(|chunk| Some((chunk.ssrc, chunk.cname()?)))
    }
}

/// Iterator over the chunks of a source description.
#[derive(Clone, Debug)]
pub struct SdesChunks<'a> {
    rest: &'a [u8],
    left: u8,
}

impl<'a> Iterator for SdesChunks<'a> {
    type Item = SdesChunk<'a>;

    fn next(&mut self) -> Option<SdesChunk<'a>> {
        self.left = self.left.checked_sub(1)?;
        let (chunk, behind) = SdesChunk::split(self.rest)?;
        self.rest = behind;
        Some(chunk)
    }
}

/// What is said about one source.
#[derive(Clone, Copy, Debug)]
pub struct SdesChunk<'a> {
    /// The source.
    pub ssrc: Ssrc,
    items: &'a [u8],
}

impl<'a> SdesChunk<'a> {
    /// The items.
    #[must_use]
    pub const fn items(&self) -> SdesItems<'a> {
        SdesItems { rest: self.items }
    }

    /// The canonical name: UTF-8 as RFC 3550 6.5 wants it, but that is not checked.
    #[must_use]
    pub fn cname(&self) -> Option<&'a [u8]> {
        self.items().find(|item| item.kind == sdes_item::CNAME).map(|item| item.text)
    }

    /// Takes the first chunk off `bytes`, which begin at a 32-bit boundary of the packet.
    fn split(bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (ssrc, items) = split_u32(bytes)?;
        let mut rest = items;
        // RFC 3550 6.5: the list of items ends with one or more null bytes, up to the next 32-bit boundary. Some senders
        // forget them where the packet ends anyway.
        while rest.first().is_some_and(|&kind| kind != 0) {
            let len = usize::from(*rest.get(1)?);
            rest = rest.get(2 + len..)?;
        }
        let items_len = items.len() - rest.len();
        let chunk_end = 4 + (items_len + 1).next_multiple_of(4);
        let behind = &bytes[chunk_end.min(bytes.len())..];
        let items = &items[..items_len];
        Some((Self { ssrc: Ssrc(ssrc), items }, behind))
    }
}

/// Iterator over the items of a chunk.
#[derive(Clone, Debug)]
pub struct SdesItems<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for SdesItems<'a> {
    type Item = SdesItem<'a>;

    fn next(&mut self) -> Option<SdesItem<'a>> {
        let [kind, len, rest @ ..] = self.rest else { return None };
        let (text, rest) = rest.split_at_checked(usize::from(*len))?;
        self.rest = rest;
        Some(SdesItem { kind: *kind, text })
    }
}

/// One item of a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SdesItem<'a> {
    /// The item's type, one of [`sdes_item`] or any other but 0.
    pub kind: u8,
    /// Its text, at most 255 bytes.
    pub text: &'a [u8],
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Compound;

    /// An SDES packet with this body.
    fn sdes(count: u8, body: &[u8]) -> Vec<u8> {
        [&[0x80 | count, 202, 0, (body.len() / 4) as u8], body].concat()
    }

    fn parse(bytes: &[u8]) -> Result<SourceDescription<'_>, RtcpError> {
        let packet = Compound::parse(bytes)?.packets().next().expect("there is at least one");
        SourceDescription::parse(&packet)
    }

    #[test]
    fn chunks_and_items_are_found_behind_their_padding() -> Result<(), RtcpError> {
        #[rustfmt::skip]
        let bytes = sdes(3, &[
            // Items that end at a boundary: the null byte takes a word of its own.
            0, 0, 0, 1, sdes_item::TOOL, 2, b'p', b'c', 0, 0, 0, 0,
            0, 0, 0, 2, sdes_item::NOTE, 0, sdes_item::CNAME, 1, b'x', 0, 0, 0,
            // No items at all.
            0, 0, 0, 3, 0, 0, 0, 0,
        ]);
        let sdes = parse(&bytes)?;
        let chunks: Vec<_> = sdes.chunks().map(|chunk| (chunk.ssrc.0, chunk.items().count(), chunk.cname())).collect();
        assert_eq!(chunks, [(1, 1, None), (2, 2, Some(&b"x"[..])), (3, 0, None)]);
        assert_eq!(sdes.cname(), Some((Ssrc(2), &b"x"[..])));
        Ok(())
    }

    #[test]
    fn the_last_list_of_items_may_lack_its_end() -> Result<(), RtcpError> {
        let bytes = sdes(1, &[0, 0, 0, 1, sdes_item::CNAME, 2, b'x', b'y']);
        assert_eq!(parse(&bytes)?.cname(), Some((Ssrc(1), &b"xy"[..])));
        // An SSRC alone is a list of nothing.
        assert_eq!(parse(&sdes(1, &[0, 0, 0, 1]))?.chunks().count(), 1);
        Ok(())
    }

    #[test]
    fn chunks_that_are_cut_short_are_refused() {
        let cases: [(u8, &[u8]); 4] = [
            // No chunk; a text that goes beyond; an item without its length; one chunk where two are said.
            (1, &[]),
            (1, &[0, 0, 0, 1, 1, 9, b'x', 0]),
            (1, &[0, 0, 0, 1, 1, 1, b'x', 1]),
            (2, &[0, 0, 0, 1, 0, 0, 0, 0]),
        ];
        for (count, body) in cases {
            let len = body.len();
            let error = parse(&sdes(count, body)).err();
            assert_eq!(error, Some(RtcpError::Body { kind: 202, count, len, need: len + 1 }), "{body:?}");
        }
    }
}
