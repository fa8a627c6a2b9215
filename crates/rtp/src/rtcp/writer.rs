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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Compound, NtpTime, RtcpView, RtpTimestamp};

    const SSRC: Ssrc = Ssrc(0x0102_0304);
    const INFO: SenderInfo =
        SenderInfo { ntp: NtpTime(5 << 32 | 6), rtp_timestamp: RtpTimestamp(7), packet_count: 8, octet_count: 9 };

    fn block(ssrc: u32) -> ReportBlock {
        ReportBlock {
            ssrc: Ssrc(ssrc),
            fraction_lost: 1,
            cumulative_lost: -1,
            extended_highest_sequence: 2,
            jitter: 3,
            last_sr: 4,
            delay_since_last_sr: 5,
        }
    }

    /// Writes every kind of packet, until one fails.
    fn write_all(writer: &mut CompoundWriter<'_>) -> Result<(), RtcpError> {
        writer.sender_report(SSRC, &INFO, [block(1), block(2)])?;
        writer.receiver_report(SSRC, [block(3)])?;
        writer.source_description(SSRC, "a@b")?;
        writer.feedback(FeedbackKind::Transport, 1, SSRC, Ssrc(9), &[0, 1, 0, 0])?;
        writer.raw(&[0x85, 207, 0, 1, 1, 2, 3, 4])?;
        writer.bye(SSRC, Some("gone"))
    }

    #[test]
    fn what_was_written_is_read_back() -> Result<(), RtcpError> {
        let mut buffer = [0xee; 256];
        let mut writer = CompoundWriter::new(&mut buffer);
        write_all(&mut writer)?;
        let len = writer.finish();

        let compound = Compound::parse(&buffer[..len])?;
        let mut packets = compound.packets().map(|packet| packet.view());
        let mut next = || packets.next().expect("six packets were written");
        let RtcpView::SenderReport(sr) = next()? else { panic!("the first is an SR") };
        assert_eq!((sr.ssrc, sr.info), (SSRC, INFO));
        assert!(sr.report_blocks().eq([block(1), block(2)]) && sr.extension.is_empty());
        let RtcpView::ReceiverReport(rr) = next()? else { panic!("the second is an RR") };
        assert!(rr.ssrc == SSRC && rr.report_blocks().eq([block(3)]) && rr.extension.is_empty());
        let RtcpView::SourceDescription(sdes) = next()? else { panic!("the third is an SDES") };
        assert_eq!(sdes.cname(), Some((SSRC, &b"a@b"[..])));
        let RtcpView::Feedback(feedback) = next()? else { panic!("the fourth is feedback") };
        assert_eq!((feedback.format, feedback.media, feedback.fci), (1, Ssrc(9), &[0, 1, 0, 0][..]));
        let RtcpView::ExtendedReport(xr) = next()? else { panic!("the fifth is an XR") };
        assert_eq!((xr.count, xr.body), (5, &[1, 2, 3, 4][..]));
        let RtcpView::Bye(bye) = next()? else { panic!("the sixth is a BYE") };
        assert!(bye.ssrcs().eq([SSRC]) && bye.reason() == Some(b"gone"));
        assert!(packets.next().is_none());
        Ok(())
    }

    #[test]
    fn without_room_the_complete_packets_stay_and_nothing_is_written_behind() {
        let mut buffer = [0; 256];
        let mut writer = CompoundWriter::new(&mut buffer);
        write_all(&mut writer).expect("256 bytes are enough");
        let needed = writer.finish();
        for room in 0..needed {
            let mut short = [0xee; 256];
            let mut writer = CompoundWriter::new(&mut short[..room]);
            let error = write_all(&mut writer).expect_err("there is too little room");
            assert!(matches!(error, RtcpError::NoRoom { need, room } if need > room), "{error}");
            let len = writer.finish();
            assert!(len == 0 || Compound::parse(&short[..len]).is_ok(), "with {room} bytes of room");
            assert_eq!(short[..len], buffer[..len]);
            assert!(short[room..].iter().all(|&byte| byte == 0xee));
        }
    }

    #[test]
    fn texts_fill_up_to_whole_words() -> Result<(), RtcpError> {
        for len in 0..=255 {
            let name = "n".repeat(len);
            let mut buffer = [0xee; 600];
            let mut writer = CompoundWriter::new(&mut buffer);
            writer.source_description(SSRC, &name)?;
            writer.bye(SSRC, Some(&name))?;
            let len = writer.finish();
            let compound = Compound::parse(&buffer[..len])?;
            let mut packets = compound.packets();
            let sdes = packets.next().expect("two were written");
            assert_eq!(sdes.as_bytes().last(), Some(&0), "the list of items has its end");
            let RtcpView::SourceDescription(sdes) = sdes.view()? else { panic!("an SDES was written") };
            assert_eq!(sdes.cname(), Some((SSRC, name.as_bytes())));
            let RtcpView::Bye(bye) = packets.next().expect("two were written").view()? else {
                panic!("a BYE was written")
            };
            assert_eq!(bye.reason(), Some(name.as_bytes()));
        }
        Ok(())
    }

    #[test]
    fn what_the_fields_cannot_say_is_refused() {
        let mut buffer = [0; 2048];
        let mut writer = CompoundWriter::new(&mut buffer);
        let long = "x".repeat(256);
        assert_eq!(writer.source_description(SSRC, &long), Err(RtcpError::TextTooLong { len: 256 }));
        assert_eq!(writer.bye(SSRC, Some(&long)), Err(RtcpError::TextTooLong { len: 256 }));
        assert_eq!(writer.receiver_report(SSRC, (0..32).map(block)), Err(RtcpError::TooManyBlocks));
        assert!(writer.is_empty());
        assert_eq!(writer.receiver_report(SSRC, (0..31).map(block)), Ok(()));
        assert_eq!(writer.len(), 8 + 31 * ReportBlock::LEN);
    }

    #[test]
    fn raw_takes_one_whole_packet_and_leaves_its_padding() -> Result<(), RtcpError> {
        let mut buffer = [0; 64];
        let mut writer = CompoundWriter::new(&mut buffer);
        let two = [0x80, 203, 0, 0, 0x80, 203, 0, 0];
        assert_eq!(writer.raw(&two), Err(RtcpError::NotAPacket { len: 8 }));
        assert_eq!(writer.raw(&two[..3]), Err(RtcpError::NotAPacket { len: 3 }));
        writer.raw(&[0xa1, 203, 0, 2, 0, 0, 0, 1, 0, 0, 0, 4])?;
        writer.raw(&two[..4])?;
        let len = writer.finish();
        assert_eq!(buffer[..len], [0x81, 203, 0, 1, 0, 0, 0, 1, 0x80, 203, 0, 0]);
        Ok(())
    }
}
