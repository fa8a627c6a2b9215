//! Goodbye and application-defined packets.

use super::{RtcpPacket, kind, split_u32};
use crate::{RtcpError, Ssrc};

/// A goodbye, BYE (RFC 3550 6.6).
#[derive(Clone, Copy, Debug)]
pub struct Bye<'a> {
    ssrcs: &'a [u8],
    reason: Option<&'a [u8]>,
}

impl<'a> Bye<'a> {
    /// Views a BYE.
    ///
    /// # Errors
    /// The packet is of another type, or too short for its count of sources or the length of its reason.
    pub fn parse(packet: &RtcpPacket<'a>) -> Result<Self, RtcpError> {
        packet.expect_kind(kind::BYE)?;
        let ssrcs_len = 4 * usize::from(packet.count);
        let (ssrcs, rest) = packet.body.split_at_checked(ssrcs_len).ok_or_else(|| packet.cut_short(ssrcs_len))?;
        let reason = match *rest {
            [] => None,
            [len, ref text @ ..] => {
                let len = usize::from(len);
                Some(text.get(..len).ok_or_else(|| packet.cut_short(ssrcs_len + 1 + len))?)
            }
        };
        Ok(Self { ssrcs, reason })
    }

    /// The sources that leave.
    #[must_use]
    pub const fn ssrcs(&self) -> Ssrcs<'a> {
        Ssrcs { words: self.ssrcs }
    }

    /// Why they leave: UTF-8 as RFC 3550 wants it, but that is not checked.
    #[must_use]
    pub const fn reason(&self) -> Option<&'a [u8]> {
        self.reason
    }
}

/// Iterator over sources.
#[derive(Clone, Debug)]
pub struct Ssrcs<'a> {
    words: &'a [u8],
}

impl Iterator for Ssrcs<'_> {
    type Item = Ssrc;

    fn next(&mut self) -> Option<Ssrc> {
        let (ssrc, rest) = split_u32(self.words)?;
        self.words = rest;
        Some(Ssrc(ssrc))
    }
}

/// An application-defined packet, APP (RFC 3550 6.7).
#[derive(Clone, Copy, Debug)]
pub struct App<'a> {
    /// 5 bits for the application's use.
    pub subtype: u8,
    /// Who sends it.
    pub ssrc: Ssrc,
    /// Four ASCII letters.
    pub name: [u8; 4],
    /// What the application says: whole 32-bit words.
    pub data: &'a [u8],
}

impl<'a> App<'a> {
    /// Views an APP.
    ///
    /// # Errors
    /// The packet is of another type, or has no room for SSRC and name.
    pub fn parse(packet: &RtcpPacket<'a>) -> Result<Self, RtcpError> {
        packet.expect_kind(kind::APP)?;
        let [s0, s1, s2, s3, n0, n1, n2, n3, data @ ..] = packet.body else { return Err(packet.cut_short(8)) };
        let ssrc = Ssrc(u32::from_be_bytes([*s0, *s1, *s2, *s3]));
        Ok(Self { subtype: packet.count, ssrc, name: [*n0, *n1, *n2, *n3], data })
    }
}
