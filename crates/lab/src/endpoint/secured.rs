//! An endpoint's end of SRTP (RFC 3711): what it sends is protected, and what it receives must be authentic.

use patchcord_rtp::{Protocol, RtpHeader, classify};
use patchcord_srtp::{
    OVERHEAD_MAX, Receiver, Sender, SessionKeys, SrtpError, protect_rtcp, protect_rtp, rtcp_index, unprotect_rtcp,
    unprotect_rtp,
};

/// Keys and contexts of both directions.
#[derive(Debug)]
pub(super) struct Secured {
    sender: Sender,
    receiver: Receiver,
    wire: Vec<u8>,
}

impl Secured {
    pub(super) fn new(sends: SessionKeys, hears: SessionKeys) -> Self {
        Self { sender: Sender::new(sends), receiver: Receiver::new(hears), wire: Vec::new() }
    }

    /// What travels in place of a packet of RTP.
    pub(super) fn protect(&mut self, header: &RtpHeader, packet: &[u8]) -> Result<&[u8], SrtpError> {
        self.sender.provide();
        let index = self.sender.claim(header)?;
        self.room_for(packet);
        let len = protect_rtp(self.sender.keys(), index, &mut self.wire, packet.len())?;
        Ok(&self.wire[..len])
    }

    /// What travels in place of a compound of RTCP.
    pub(super) fn protect_report(&mut self, compound: &[u8]) -> Result<&[u8], SrtpError> {
        let index = self.sender.claim_rtcp()?;
        self.room_for(compound);
        let len = protect_rtcp(self.sender.keys(), index, &mut self.wire, compound.len())?;
        Ok(&self.wire[..len])
    }

    /// What a datagram says; neither a datagram that is not authentic, nor one that was there before, says anything.
    pub(super) fn unprotect(&mut self, datagram: &[u8]) -> Result<Vec<u8>, SrtpError> {
        let mut plain = datagram.to_vec();
        self.receiver.provide();
        let len = if classify(datagram) == Protocol::Rtcp {
            let (ssrc, index) = rtcp_index(self.receiver.keys(), datagram)?;
            self.receiver.expect_rtcp(ssrc, index)?;
            let len = unprotect_rtcp(self.receiver.keys(), &mut plain)?;
            self.receiver.accept_rtcp(ssrc, index)?;
            len
        } else {
            let header = RtpHeader::read_srtp(datagram).map_err(|_| SrtpError::Malformed)?;
            let index = self.receiver.expect(&header)?;
            let len = unprotect_rtp(self.receiver.keys(), index, &mut plain)?;
            self.receiver.accept(header.ssrc, index)?;
            len
        };
        plain.truncate(len);
        Ok(plain)
    }

    fn room_for(&mut self, packet: &[u8]) {
        self.wire.clear();
        self.wire.extend_from_slice(packet);
        self.wire.resize(packet.len() + OVERHEAD_MAX, 0);
    }
}
