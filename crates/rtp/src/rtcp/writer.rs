//! Writes RTCP into a buffer.

use super::{FeedbackKind, HEADER_LEN, MAX_COUNT, ReportBlock, RtcpPacket, SenderInfo, kind, sdes_item};
use crate::{RtcpError, Ssrc};

/// Fills a buffer with one compound packet (RFC 3550 6.1), without allocating.
///
/// A packet that does not fit leaves the compound as it was before, so that what was written can still be sent.
#[derive(Debug)]
pub struct CompoundWriter<'a> {
    buffer: &'a mut [u8],
    len: usize,
}

impl<'a> CompoundWriter<'a> {
    /// An empty compound in `buffer`.
    #[must_use]
    pub const fn new(buffer: &'a mut [u8]) -> Self {
        Self { buffer, len: 0 }
    }

    /// Appends an SR.
    ///
    /// # Errors
    /// No room, or more than 31 report blocks.
    pub fn sender_report(
        &mut self,
        ssrc: Ssrc,
        info: &SenderInfo,
        blocks: impl IntoIterator<Item = ReportBlock>,
    ) -> Result<(), RtcpError> {
        let mut packet = self.packet();
        packet.put(&ssrc.0.to_be_bytes())?;
        packet.put(&info.ntp.0.to_be_bytes())?;
        packet.put(&info.rtp_timestamp.0.to_be_bytes())?;
        packet.put(&info.packet_count.to_be_bytes())?;
        packet.put(&info.octet_count.to_be_bytes())?;
        let count = packet.put_blocks(blocks)?;
        packet.end(kind::SENDER_REPORT, count)
    }

    /// Appends an RR.
    ///
    /// # Errors
    /// No room, or more than 31 report blocks.
    pub fn receiver_report(
        &mut self,
        ssrc: Ssrc,
        blocks: impl IntoIterator<Item = ReportBlock>,
    ) -> Result<(), RtcpError> {
        let mut packet = self.packet();
        packet.put(&ssrc.0.to_be_bytes())?;
        let count = packet.put_blocks(blocks)?;
        packet.end(kind::RECEIVER_REPORT, count)
    }

    /// Appends an SDES with one chunk: the CNAME of `ssrc`.
    ///
    /// # Errors
    /// No room, or a name of more than 255 bytes.
    pub fn source_description(&mut self, ssrc: Ssrc, cname: impl AsRef<[u8]>) -> Result<(), RtcpError> {
        let mut packet = self.packet();
        packet.put(&ssrc.0.to_be_bytes())?;
        packet.put(&[sdes_item::CNAME])?;
        packet.put_text(cname.as_ref())?;
        // The list of items ends with at least one null byte.
        packet.put(&[0])?;
        packet.end(kind::SOURCE_DESCRIPTION, 1)
    }

    /// Appends a BYE of one source.
    ///
    /// # Errors
    /// No room, or a reason of more than 255 bytes.
    pub fn bye(&mut self, ssrc: Ssrc, reason: Option<&str>) -> Result<(), RtcpError> {
        let mut packet = self.packet();
        packet.put(&ssrc.0.to_be_bytes())?;
        if let Some(reason) = reason {
            packet.put_text(reason.as_bytes())?;
        }
        packet.end(kind::BYE, 1)
    }

    /// Appends a feedback message; `fci` is filled up to whole 32-bit words with zeros.
    ///
    /// # Errors
    /// No room. Of `format` the low 5 bits count.
    pub fn feedback(
        &mut self,
        kind: FeedbackKind,
        format: u8,
        sender: Ssrc,
        media: Ssrc,
        fci: &[u8],
    ) -> Result<(), RtcpError> {
        let mut packet = self.packet();
        packet.put(&sender.0.to_be_bytes())?;
        packet.put(&media.0.to_be_bytes())?;
        packet.put(fci)?;
        packet.end(kind.packet_kind(), format & 0x1f)
    }

    /// Appends a copy of a whole packet, its header included. Padding is left off: only a compound's last packet may
    /// have any (RFC 3550 6.4.1), and more may follow.
    ///
    /// # Errors
    /// No room, or `packet` is not exactly one RTCP packet.
    pub fn raw(&mut self, packet: &[u8]) -> Result<(), RtcpError> {
        let Ok((parsed, [])) = RtcpPacket::split(packet, 0) else {
            return Err(RtcpError::NotAPacket { len: packet.len() });
        };
        let mut copy = self.packet();
        copy.put(parsed.body)?;
        copy.end(parsed.kind, parsed.count)
    }

    /// Bytes written so far.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing was written yet.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Ends the compound; returns how many bytes of the buffer it takes.
    #[must_use]
    pub const fn finish(self) -> usize {
        self.len
    }

    /// Begins a packet behind those that are complete.
    fn packet(&mut self) -> PacketWriter<'_> {
        PacketWriter { room: &mut self.buffer[self.len..], len: HEADER_LEN, compound_len: &mut self.len }
    }
}

/// One packet under construction; it counts for the compound only once it has ended.
struct PacketWriter<'a> {
    room: &'a mut [u8],
    /// Bytes of this packet, its header included, whether or not that was written yet.
    len: usize,
    compound_len: &'a mut usize,
}

impl PacketWriter<'_> {
    fn put(&mut self, bytes: &[u8]) -> Result<(), RtcpError> {
        let end = self.len + bytes.len();
        let room = self.room.len();
        let Some(place) = self.room.get_mut(self.len..end) else {
            return Err(RtcpError::NoRoom { need: end, room });
        };
        place.copy_from_slice(bytes);
        self.len = end;
        Ok(())
    }

    /// A length byte and a text.
    fn put_text(&mut self, text: &[u8]) -> Result<(), RtcpError> {
        let Ok(len) = u8::try_from(text.len()) else { return Err(RtcpError::TextTooLong { len: text.len() }) };
        self.put(&[len])?;
        self.put(text)
    }

    fn put_blocks(&mut self, blocks: impl IntoIterator<Item = ReportBlock>) -> Result<u8, RtcpError> {
        let mut count = 0;
        for block in blocks {
            if usize::from(count) == MAX_COUNT {
                return Err(RtcpError::TooManyBlocks);
            }
            self.put(&block.write())?;
            count += 1;
        }
        Ok(count)
    }

    /// Fills up to a 32-bit boundary and writes the header.
    fn end(mut self, kind: u8, count: u8) -> Result<(), RtcpError> {
        let fill = self.len.next_multiple_of(4) - self.len;
        self.put(&[0; 3][..fill])?;
        let words = self.len / 4 - 1;
        let Ok(words) = u16::try_from(words) else {
            // The length field cannot say more than 2^18 bytes: no buffer for a datagram has as many.
            return Err(RtcpError::NoRoom { need: self.len, room: HEADER_LEN + 4 * usize::from(u16::MAX) });
        };
        let [l0, l1] = words.to_be_bytes();
        let room = self.room.len();
        let Some(header) = self.room.first_chunk_mut::<HEADER_LEN>() else {
            return Err(RtcpError::NoRoom { need: self.len, room });
        };
        *header = [0x80 | count, kind, l0, l1];
        *self.compound_len += self.len;
        Ok(())
    }
}
