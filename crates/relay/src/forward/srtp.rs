//! SRTP (RFC 3711) around the packet path: what arrives is unprotected before it is judged, what leaves is protected after it was
//! numbered; both for a whole batch at once.
//!
//! ```text
//! batch -> unprotect what comes from secured legs -> judge each, as ever -> protect what goes to secured legs -> send
//! ```
//!
//! So everything between sees RTP, and a packet that does not authenticate has changed nothing: no latch, no statistics, no
//! replay window.

use arrayvec::ArrayVec;
use patchcord_rtp::{Protocol, RtpHeader, Ssrc, classify};
use patchcord_srtp::{
    PacketIndex, ProtectJob, Sender, SrtpError, UnprotectJob, protect_batch, protect_rtcp, unprotect_batch,
};

use crate::datagram::{Datagram, Verdict};
use crate::event::Event;
use crate::ids::Component;
use crate::leg::Slot;
use crate::leg::ingress::Ingress;
use crate::outbox::{Packet, Seal};
use crate::shard::Shard;
use crate::time::MonoTime;
use crate::verdict::DropReason;

/// Packets whose keys are at work side by side; batches are worked off in pieces of this size.
const PIECE: usize = 32;

/// A packet of RTP that is being unprotected.
#[derive(Clone, Copy, Debug)]
struct Expected {
    /// In its piece.
    at: usize,
    slot: Slot,
    ssrc: Ssrc,
    index: PacketIndex,
}

impl Shard {
    /// Unprotects what has come in from legs with SRTP. What is not authentic has its verdict afterwards.
    pub(super) fn unprotect(&mut self, batch: &mut [Datagram<'_>], now: MonoTime) {
        for piece in batch.chunks_mut(PIECE) {
            let mut expected = ArrayVec::<Expected, PIECE>::new();
            for (at, datagram) in piece.iter_mut().enumerate() {
                match self.expect(datagram, at) {
                    Ok(Some(packet)) => expected.push(packet),
                    Ok(None) => {}
                    Err(reason) => self.refuse_srtp(datagram, reason, now),
                }
            }
            let mut jobs = ArrayVec::<UnprotectJob<'_>, PIECE>::new();
            let mut packets = expected.iter().peekable();
            for (at, datagram) in piece.iter_mut().enumerate() {
                let Some(packet) = packets.next_if(|packet| packet.at == at) else { continue };
                if let Some(receiver) = self.legs.receiver(packet.slot) {
                    jobs.push(UnprotectJob::new(receiver.keys(), packet.index, &mut datagram.bytes[..datagram.len]));
                }
            }
            debug_assert_eq!(jobs.len(), expected.len(), "nothing passes that was not looked at");
            unprotect_batch(&mut jobs);
            let outcomes: ArrayVec<_, PIECE> = jobs.iter().map(|job| job.outcome).collect();
            drop(jobs);
            for (packet, outcome) in expected.iter().zip(outcomes) {
                let datagram = &mut piece[packet.at];
                let bytes = &mut datagram.bytes[..datagram.len];
                let concluded = match self.legs.receiver_mut(packet.slot) {
                    Some(receiver) => receiver.conclude(packet.ssrc, packet.index, outcome, bytes),
                    None => Err(SrtpError::Authentication),
                };
                match concluded {
                    Ok(len) => datagram.len = len,
                    Err(error) => self.refuse_srtp(datagram, reason_of(error), now),
                }
            }
        }
    }

    /// What a datagram has to be, if it is one of SRTP. SRTCP is seldom, and unprotected at once.
    fn expect(&mut self, datagram: &mut Datagram<'_>, at: usize) -> Result<Option<Expected>, DropReason> {
        let slot = datagram.port.slot();
        let is_secured = self.legs.ingress.get(slot as usize).is_some_and(Ingress::is_secured);
        if datagram.verdict != Verdict::Pending || !is_secured || datagram.truncated {
            return Ok(None);
        }
        match classify(datagram.packet()) {
            Protocol::Rtp if datagram.port.component() == Component::Rtp => {
                let ingress = &self.legs.ingress[slot as usize];
                if !ingress.is_plain_from(&datagram.from) && self.legs.cold[slot as usize].is_foreign(datagram.from) {
                    return Err(DropReason::ForeignSource);
                }
                let receiver = self.legs.receiver(slot).ok_or(DropReason::SrtpRequired)?;
                let header = RtpHeader::read_srtp(datagram.packet()).map_err(|_| DropReason::Malformed)?;
                let index = receiver.expect(&header).map_err(reason_of)?;
                Ok(Some(Expected { at, slot, ssrc: header.ssrc, index }))
            }
            Protocol::Rtcp => {
                let cold = &self.legs.cold[slot as usize];
                if !cold.takes_rtcp_from(datagram.port.component(), datagram.from) {
                    return Err(DropReason::ForeignSource);
                }
                let receiver = self.legs.receiver_mut(slot).ok_or(DropReason::SrtpRequired)?;
                datagram.len = receiver.unprotect_rtcp(&mut datagram.bytes[..datagram.len]).map_err(reason_of)?;
                Ok(None)
            }
            _ => Ok(None),
        }
    }

    /// The verdict of a datagram that is not unprotected, and now and then word of it.
    #[cold]
    fn refuse_srtp(&mut self, datagram: &mut Datagram<'_>, reason: DropReason, now: MonoTime) {
        datagram.verdict = Verdict::Dropped(reason);
        let at = datagram.port.slot() as usize;
        if reason == DropReason::ForeignSource {
            return;
        }
        let Some(srtp) = self.legs.srtp.get_mut(at).and_then(Option::as_mut) else { return };
        if let Some(packets) = srtp.note_failure(now) {
            self.outbox.event(Event::SrtpFailing { leg: self.legs.cold[at].id, reason, packets });
        }
    }

    /// How a numbered packet of RTP to a leg is to be protected, if at all. Its index is used from now on.
    pub(crate) fn seal(&mut self, sink: Slot, header: &RtpHeader) -> Result<Seal, DropReason> {
        if !self.legs.egress[sink as usize].is_secured() {
            return Ok(Seal::Unsealed);
        }
        let sender = self.legs.sender_mut(sink).ok_or(DropReason::SrtpRequired)?;
        sender.claim(header).map(Seal::Rtp).map_err(|error| match error {
            SrtpError::IndexUsed => DropReason::Duplicate,
            _ => DropReason::SrtpRequired,
        })
    }

    /// How a compound to a leg is to be protected, if at all; `None`: it must not be sent, for want of a key.
    pub(crate) fn seal_rtcp(&mut self, sink: Slot) -> Option<Seal> {
        if !self.legs.egress[sink as usize].is_secured() {
            return Some(Seal::Unsealed);
        }
        self.legs.sender_mut(sink)?.claim_rtcp().ok().map(Seal::Rtcp)
    }

    /// Protects what is forwarded to legs with SRTP.
    pub(super) fn protect(&mut self, batch: &mut [Datagram<'_>]) {
        for piece in batch.chunks_mut(PIECE) {
            let mut jobs = ArrayVec::<ProtectJob<'_>, PIECE>::new();
            for datagram in piece.iter_mut() {
                let (Verdict::Forwarded(hop), Seal::Rtp(index)) = (datagram.verdict, datagram.seal) else { continue };
                if let Some(sender) = self.legs.sender(hop.port.slot()) {
                    jobs.push(ProtectJob::new(sender.keys(), index, datagram.bytes, datagram.len));
                }
            }
            protect_batch(&mut jobs);
            let outcomes: ArrayVec<_, PIECE> = jobs.iter().map(|job| job.outcome.map(|()| job.len)).collect();
            drop(jobs);
            let sealed = |datagram: &&mut Datagram<'_>| {
                matches!((datagram.verdict, datagram.seal), (Verdict::Forwarded(_), Seal::Rtp(_)))
            };
            for (datagram, outcome) in piece.iter_mut().filter(sealed).zip(outcomes) {
                match outcome {
                    Ok(len) => datagram.len = len,
                    Err(_) => datagram.verdict = Verdict::Dropped(DropReason::Truncated),
                }
            }
        }
    }

    /// Protects what the engine itself has made for legs with SRTP. It has the room for that behind it.
    pub(crate) fn protect_outbox(&mut self) {
        if !self.outbox.has_unsealed() {
            return;
        }
        let (mut added, mut failed) = (0, (0, 0));
        let mut note = |packet: &mut Packet, sealed: Option<usize>| {
            match sealed {
                Some(len) => added += len - packet.len,
                None => failed = (failed.0 + 1, failed.1 + packet.len),
            }
            packet.len = sealed.unwrap_or(0);
            packet.seal = Seal::Unsealed;
        };
        let mut unsealed = self.outbox.unsealed().peekable();
        while unsealed.peek().is_some() {
            let mut packets = ArrayVec::<_, PIECE>::new();
            let mut jobs = ArrayVec::<ProtectJob<'_>, PIECE>::new();
            for (packet, bytes) in unsealed.by_ref().take(PIECE) {
                let keys = self.legs.sender(packet.hop.port.slot()).map(Sender::keys);
                match (packet.seal, keys) {
                    (Seal::Rtp(index), Some(keys)) => {
                        jobs.push(ProtectJob::new(keys, index, bytes, packet.len));
                        packets.push(packet);
                    }
                    (Seal::Rtcp(index), Some(keys)) => {
                        let sealed = protect_rtcp(keys, index, bytes, packet.len).ok();
                        note(packet, sealed);
                    }
                    (_, None) | (Seal::Unsealed, _) => note(packet, None),
                }
            }
            protect_batch(&mut jobs);
            for (packet, job) in packets.into_iter().zip(jobs) {
                note(packet, job.outcome.ok().map(|()| job.len));
            }
        }
        drop(unsealed);
        self.outbox.note_sealed(added, failed);
    }
}

fn reason_of(error: SrtpError) -> DropReason {
    match error {
        SrtpError::Malformed => DropReason::Malformed,
        SrtpError::Replayed | SrtpError::TooOld => DropReason::SrtpReplayed,
        _ => DropReason::SrtpUnauthentic,
    }
}
