//! The transforms by the keys of a context: one packet in one step, and what a packet may be that the present keys do not open.

use patchcord_rtp::{RtpHeader, Ssrc};

use super::{protect_rtcp, protect_rtp, rtcp_index, unprotect_rtcp, unprotect_rtp};
use crate::context::{Receiver, Sender};
use crate::error::SrtpError;
use crate::index::PacketIndex;

impl Sender {
    /// Claims an index for one packet of RTP and protects it; gives its length.
    ///
    /// # Errors
    /// As [`Sender::claim`] and [`protect_rtp`].
    pub fn protect(&mut self, buffer: &mut [u8], len: usize) -> Result<usize, SrtpError> {
        let packet = buffer.get(..len).ok_or(SrtpError::Malformed)?;
        let header = RtpHeader::read_srtp(packet).map_err(|_| SrtpError::Malformed)?;
        let index = self.claim(&header)?;
        protect_rtp(self.keys(), index, buffer, len)
    }

    /// As [`Sender::protect`], for a compound of RTCP.
    ///
    /// # Errors
    /// As [`Sender::claim_rtcp`] and [`protect_rtcp`].
    pub fn protect_rtcp(&mut self, buffer: &mut [u8], len: usize) -> Result<usize, SrtpError> {
        let index = self.claim_rtcp()?;
        protect_rtcp(self.keys(), index, buffer, len)
    }
}

impl Receiver {
    /// Unprotects one packet of RTP and accepts it; gives the length of the plain one.
    ///
    /// # Errors
    /// As [`Receiver::expect`] and [`Receiver::conclude`]. The packet is as it was, then, unless it is [`SrtpError::Replayed`].
    pub fn unprotect(&mut self, packet: &mut [u8]) -> Result<usize, SrtpError> {
        let header = RtpHeader::read_srtp(packet).map_err(|_| SrtpError::Malformed)?;
        let index = self.expect(&header)?;
        let outcome = unprotect_rtp(self.keys(), index, packet);
        self.conclude(header.ssrc, index, outcome, packet)
    }

    /// Accepts a packet of RTP that the present keys have opened; if they have not, tries what else it may be: of the time before a
    /// re-keying, or of a sender that began to count anew with its new key. Gives the length of the plain packet.
    ///
    /// # Errors
    /// As [`unprotect_rtp`] and [`Receiver::accept`]; the packet must not be used then.
    #[inline]
    pub fn conclude(
        &mut self,
        ssrc: Ssrc,
        index: PacketIndex,
        outcome: Result<usize, SrtpError>,
        packet: &mut [u8],
    ) -> Result<usize, SrtpError> {
        match outcome {
            Ok(len) => {
                self.accept(ssrc, index)?;
                self.settle();
                Ok(len)
            }
            Err(error) => self.open_otherwise(ssrc, index, error, packet),
        }
    }

    #[cold]
    fn open_otherwise(
        &mut self,
        ssrc: Ssrc,
        index: PacketIndex,
        error: SrtpError,
        packet: &mut [u8],
    ) -> Result<usize, SrtpError> {
        let former = self.former_keys().ok_or(error)?;
        if let Ok(len) = unprotect_rtp(former, index, packet) {
            self.accept(ssrc, index)?;
            return Ok(len);
        }
        let anew = PacketIndex::new(0, index.sequence());
        let len = unprotect_rtp(self.keys(), anew, packet)?;
        self.accept_anew(ssrc, anew)?;
        Ok(len)
    }

    /// As [`Receiver::unprotect`], for a compound of RTCP, under the present keys or those before them.
    ///
    /// # Errors
    /// As [`rtcp_index`], [`Receiver::expect_rtcp`] and [`unprotect_rtcp`].
    pub fn unprotect_rtcp(&mut self, packet: &mut [u8]) -> Result<usize, SrtpError> {
        let (ssrc, index) = rtcp_index(self.keys(), packet)?;
        self.expect_rtcp(ssrc, index)?;
        match unprotect_rtcp(self.keys(), packet) {
            Ok(len) => {
                self.accept_rtcp(ssrc, index)?;
                self.settle();
                Ok(len)
            }
            Err(error) => {
                let former = self.former_keys().ok_or(error)?;
                let (ssrc, index) = rtcp_index(former, packet)?;
                self.expect_rtcp(ssrc, index)?;
                let len = unprotect_rtcp(former, packet)?;
                self.accept_rtcp(ssrc, index)?;
                Ok(len)
            }
        }
    }
}
