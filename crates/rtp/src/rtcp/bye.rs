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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Compound;

    fn packet(bytes: &[u8]) -> RtcpPacket<'_> {
        let compound = Compound::parse(bytes).expect("the test's bytes are RTCP");
        compound.packets().next().expect("there is at least one")
    }

    #[test]
    fn bye_tells_sources_and_reason() -> Result<(), RtcpError> {
        let bytes = [0x82, 203, 0, 4, 0, 0, 0, 1, 0, 0, 0, 2, 4, b'd', b'o', b'n', b'e', 0, 0, 0];
        let bye = Bye::parse(&packet(&bytes))?;
        assert_eq!(bye.ssrcs().collect::<Vec<_>>(), [Ssrc(1), Ssrc(2)]);
        assert_eq!(bye.reason(), Some(&b"done"[..]));
        Ok(())
    }

    #[test]
    fn bye_of_nobody_is_one() -> Result<(), RtcpError> {
        let bytes = [0x80, 203, 0, 0];
        let bye = Bye::parse(&packet(&bytes))?;
        assert_eq!((bye.ssrcs().next(), bye.reason()), (None, None));
        assert_eq!(packet(&bytes).sender_ssrc(), None);
        Ok(())
    }

    #[test]
    fn bye_that_is_cut_short_is_refused() {
        let too_many = [0x82, 203, 0, 1, 0, 0, 0, 1];
        let error = Bye::parse(&packet(&too_many)).err();
        assert_eq!(error, Some(RtcpError::Body { kind: 203, count: 2, len: 4, need: 8 }));
        let too_long = [0x81, 203, 0, 2, 0, 0, 0, 1, 4, b'd', b'o', b'n'];
        let error = Bye::parse(&packet(&too_long)).err();
        assert_eq!(error, Some(RtcpError::Body { kind: 203, count: 1, len: 8, need: 9 }));
    }

    #[test]
    fn app_has_subtype_name_and_data() -> Result<(), RtcpError> {
        let bytes = [0x85, 204, 0, 3, 0, 0, 0, 1, b't', b'e', b's', b't', 1, 2, 3, 4];
        let app = App::parse(&packet(&bytes))?;
        assert_eq!((app.subtype, app.ssrc, &app.name, app.data), (5, Ssrc(1), b"test", &[1, 2, 3, 4][..]));
        let error = App::parse(&packet(&[0x85, 204, 0, 1, 0, 0, 0, 1])).err();
        assert_eq!(error, Some(RtcpError::Body { kind: 204, count: 5, len: 4, need: 8 }));
        Ok(())
    }
}
