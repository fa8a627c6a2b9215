//! Sender and receiver reports.

use super::{ReportBlock, RtcpPacket, kind};
use crate::{NtpTime, RtcpError, RtpTimestamp, Ssrc};

/// Bytes of SSRC and sender information.
const SENDER_FIXED_LEN: usize = 24;

/// The sender information of a sender report (RFC 3550 6.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SenderInfo {
    /// Wall-clock time of the report.
    pub ntp: NtpTime,
    /// The same instant on the media clock.
    pub rtp_timestamp: RtpTimestamp,
    /// Packets sent since the start, modulo 2^32.
    pub packet_count: u32,
    /// Bytes of payload sent since the start, modulo 2^32.
    pub octet_count: u32,
}

/// A sender report, SR (RFC 3550 6.4.1).
#[derive(Clone, Copy, Debug)]
pub struct SenderReport<'a> {
    /// Who sends the report.
    pub ssrc: Ssrc,
    /// What it says about its sending.
    pub info: SenderInfo,
    blocks: &'a [u8],
    /// Profile-specific extensions, usually none (RFC 3550 6.4.3).
    pub extension: &'a [u8],
}

impl<'a> SenderReport<'a> {
    /// Views an SR.
    ///
    /// # Errors
    /// The packet is of another type, or too short for its count of report blocks.
    pub fn parse(packet: &RtcpPacket<'a>) -> Result<Self, RtcpError> {
        packet.expect_kind(kind::SENDER_REPORT)?;
        let (fixed, blocks, extension) = split_blocks::<SENDER_FIXED_LEN>(packet)?;
        let [s0, s1, s2, s3, n0, n1, n2, n3, n4, n5, n6, n7, t0, t1, t2, t3, p0, p1, p2, p3, o0, o1, o2, o3] = *fixed;
        let info = SenderInfo {
            ntp: NtpTime(u64::from_be_bytes([n0, n1, n2, n3, n4, n5, n6, n7])),
            rtp_timestamp: RtpTimestamp(u32::from_be_bytes([t0, t1, t2, t3])),
            packet_count: u32::from_be_bytes([p0, p1, p2, p3]),
            octet_count: u32::from_be_bytes([o0, o1, o2, o3]),
        };
        Ok(Self { ssrc: Ssrc(u32::from_be_bytes([s0, s1, s2, s3])), info, blocks, extension })
    }

    /// What the sender received from others.
    #[must_use]
    pub const fn report_blocks(&self) -> ReportBlocks<'a> {
        ReportBlocks { bytes: self.blocks }
    }
}

/// A receiver report, RR (RFC 3550 6.4.2).
#[derive(Clone, Copy, Debug)]
pub struct ReceiverReport<'a> {
    /// Who sends the report.
    pub ssrc: Ssrc,
    blocks: &'a [u8],
    /// Profile-specific extensions, usually none (RFC 3550 6.4.3).
    pub extension: &'a [u8],
}

impl<'a> ReceiverReport<'a> {
    /// Views an RR.
    ///
    /// # Errors
    /// The packet is of another type, or too short for its count of report blocks.
    pub fn parse(packet: &RtcpPacket<'a>) -> Result<Self, RtcpError> {
        packet.expect_kind(kind::RECEIVER_REPORT)?;
        let (ssrc, blocks, extension) = split_blocks::<4>(packet)?;
        Ok(Self { ssrc: Ssrc(u32::from_be_bytes(*ssrc)), blocks, extension })
    }

    /// What was received.
    #[must_use]
    pub const fn report_blocks(&self) -> ReportBlocks<'a> {
        ReportBlocks { bytes: self.blocks }
    }
}

/// A report's first `FIXED` bytes, its report blocks and what is behind them.
type Parts<'a, const FIXED: usize> = (&'a [u8; FIXED], &'a [u8], &'a [u8]);

fn split_blocks<'a, const FIXED: usize>(packet: &RtcpPacket<'a>) -> Result<Parts<'a, FIXED>, RtcpError> {
    let blocks_len = usize::from(packet.count) * ReportBlock::LEN;
    let need = FIXED + blocks_len;
    let (fixed, rest) = packet.body.split_first_chunk::<FIXED>().ok_or_else(|| packet.cut_short(need))?;
    let (blocks, extension) = rest.split_at_checked(blocks_len).ok_or_else(|| packet.cut_short(need))?;
    Ok((fixed, blocks, extension))
}

/// Iterator over report blocks.
#[derive(Clone, Debug)]
pub struct ReportBlocks<'a> {
    bytes: &'a [u8],
}

impl Iterator for ReportBlocks<'_> {
    type Item = ReportBlock;

    fn next(&mut self) -> Option<ReportBlock> {
        let (block, rest) = self.bytes.split_first_chunk::<{ ReportBlock::LEN }>()?;
        self.bytes = rest;
        Some(ReportBlock::read(block))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let len = self.bytes.len() / ReportBlock::LEN;
        (len, Some(len))
    }
}

impl ExactSizeIterator for ReportBlocks<'_> {}
