//! An endpoint's end of SRTP (RFC 3711): what it sends is protected, and what it receives must be authentic.

use patchcord_rtp::{Protocol, classify};
use patchcord_srtp::{OVERHEAD_MAX, Receiver, Sender, SessionKeys, SrtpError};

/// Keys and contexts of both directions.
#[derive(Debug)]
pub(crate) struct Secured {
    sender: Sender,
    receiver: Receiver,
    wire: Vec<u8>,
}

impl Secured {
    pub(crate) fn new(sends: SessionKeys, hears: SessionKeys) -> Self {
        Self { sender: Sender::new(sends), receiver: Receiver::new(hears), wire: Vec::new() }
    }

    /// What travels in place of a packet of RTP, or of a compound of RTCP.
    pub(crate) fn protect(&mut self, packet: &[u8]) -> Result<&[u8], SrtpError> {
        self.sender.provide();
        self.wire.clear();
        self.wire.extend_from_slice(packet);
        self.wire.resize(packet.len() + OVERHEAD_MAX, 0);
        let len = match classify(packet) {
            Protocol::Rtcp => self.sender.protect_rtcp(&mut self.wire, packet.len())?,
            _ => self.sender.protect(&mut self.wire, packet.len())?,
        };
        Ok(&self.wire[..len])
    }

    /// What a datagram says; neither a datagram that is not authentic, nor one that was there before, says anything.
    pub(crate) fn unprotect(&mut self, datagram: &[u8]) -> Result<Vec<u8>, SrtpError> {
        self.receiver.provide();
        let mut plain = datagram.to_vec();
        let len = match classify(datagram) {
            Protocol::Rtcp => self.receiver.unprotect_rtcp(&mut plain)?,
            _ => self.receiver.unprotect(&mut plain)?,
        };
        plain.truncate(len);
        Ok(plain)
    }
}
