//! Relaying what the relay cannot or must not read: SRTP with keys of the parties' own, T.38, anything else over UDP.
//!
//! The source is checked as it is for RTP; then each datagram passes to the listeners as it is, from RTP port to RTP port and
//! from RTCP port to RTCP port. What looks like RTP is counted as RTP.

use core::net::SocketAddr;

use patchcord_rtp::{Arrival, Compound, Protocol, RtpHeader, classify};

use crate::datagram::{Datagram, Hop, Verdict};
use crate::event::Event;
use crate::ids::{Component, PortId};
use crate::leg::{NO_SLOT, Slot};
use crate::outbox::Seal;
use crate::shard::Shard;
use crate::time::MonoTime;
use crate::verdict::DropReason;

impl Shard {
    pub(super) fn forward_opaque(&mut self, datagram: &Datagram<'_>, now: MonoTime) -> Verdict {
        let slot = datagram.port.slot();
        let at = slot as usize;
        let is_rtcp = datagram.port.component() == Component::Rtcp
            || (self.legs.cold[at].rtcp_muxed && classify(datagram.packet()) == Protocol::Rtcp);
        let admitted = if is_rtcp { self.admit_rtcp(slot, datagram) } else { self.admit_media(slot, datagram, now) };
        if let Err(reason) = admitted {
            return Verdict::Dropped(reason);
        }
        if self.legs.ingress[at].is_awaited() {
            self.fire_for_opaque(slot, now);
        }
        if is_rtcp && let Ok(compound) = Compound::parse(datagram.packet()) {
            self.note_unread_report(slot, compound, datagram.arrived, now);
        }
        if !self.legs.ingress[at].is_open() && !is_rtcp {
            return Verdict::Dropped(DropReason::Muted);
        }
        let mut sink = self.legs.ingress[at].first_sink;
        if sink == NO_SLOT {
            return Verdict::Dropped(self.unheard(slot, now));
        }
        let mut verdict = None;
        while sink != NO_SLOT {
            let next = self.legs.egress[sink as usize].next_sink;
            let outcome = self.opaque_hop(sink, is_rtcp).map(|hop| {
                self.note_opaque(sink, datagram.len, is_rtcp, now);
                if next == NO_SLOT {
                    // The last listener gets the datagram itself.
                    return Verdict::Forwarded(hop);
                }
                let copied = self.outbox.push(hop, datagram.len, Seal::Unsealed, |room| {
                    room.copy_from_slice(datagram.packet());
                    room.len()
                });
                if copied { Verdict::Consumed } else { Verdict::Dropped(DropReason::OutboxFull) }
            });
            verdict = match (verdict, outcome) {
                (_, Ok(Verdict::Forwarded(hop))) => Some(Verdict::Forwarded(hop)),
                (Some(Verdict::Consumed), _) | (_, Ok(Verdict::Consumed)) => Some(Verdict::Consumed),
                (_, Ok(other)) => Some(other),
                (_, Err(reason)) => Some(Verdict::Dropped(reason)),
            };
            sink = next;
        }
        verdict.unwrap_or(Verdict::Dropped(DropReason::NoSink))
    }

    fn admit_rtcp(&mut self, slot: Slot, datagram: &Datagram<'_>) -> Result<(), DropReason> {
        let cold = &mut self.legs.cold[slot as usize];
        if !cold.takes_rtcp_from(datagram.port.component(), datagram.from) {
            return Err(DropReason::ForeignSource);
        }
        cold.rtcp_received += 1;
        if datagram.port.component() == Component::Rtcp {
            cold.remote_rtcp = Some(datagram.from);
        }
        Ok(())
    }

    fn admit_media(&mut self, slot: Slot, datagram: &Datagram<'_>, now: MonoTime) -> Result<(), DropReason> {
        let header = RtpHeader::read_srtp(datagram.packet()).ok();
        if !self.legs.ingress[slot as usize].is_plain_from(&datagram.from) {
            self.admit(slot, datagram.from, header.as_ref(), now)?;
        }
        let ingress = &mut self.legs.ingress[slot as usize];
        let is_first = ingress.last_packet_at().is_none();
        ingress.bytes += datagram.len as u64;
        ingress.last_packet_at = now;
        let Some(header) = header.filter(|_| classify(datagram.packet()) == Protocol::Rtp) else { return Ok(()) };
        let arrival = ingress.receiver.observe(&header, datagram.arrived.as_nanos());
        let blocked = ingress.is_telephone_event(header.payload_type) && self.legs.cold[slot as usize].dtmf_blocked;
        if arrival == Arrival::FirstOfSource {
            let cold = &self.legs.cold[slot as usize];
            self.legs.ingress[slot as usize].set_clock_rate(cold.clock_rate_of(header.payload_type), datagram.arrived);
            if is_first {
                self.outbox.event(Event::FirstPacket { leg: cold.id, ssrc: header.ssrc });
            }
        }
        if blocked { Err(DropReason::DtmfBlocked) } else { Ok(()) }
    }

    fn opaque_hop(&self, sink: Slot, is_rtcp: bool) -> Result<Hop, DropReason> {
        if self.legs.egress[sink as usize].is_secured() {
            return Err(DropReason::SrtpRequired);
        }
        if is_rtcp {
            return self.legs.rtcp_hop(sink).ok_or(DropReason::NoRemote);
        }
        let egress = &self.legs.egress[sink as usize];
        if let Some(reason) = egress.obstacle() {
            return Err(reason);
        }
        let to: SocketAddr = egress.remote().unwrap_or(self.nowhere);
        Ok(Hop { port: PortId::new(sink, Component::Rtp), to })
    }

    fn note_opaque(&mut self, sink: Slot, len: usize, is_rtcp: bool, now: MonoTime) {
        let cold = &mut self.legs.cold[sink as usize];
        if is_rtcp {
            cold.rtcp_sent += 1;
            return;
        }
        let draft = cold.draft.take();
        let egress = &mut self.legs.egress[sink as usize];
        egress.packets += 1;
        egress.bytes += len as u64;
        egress.last_sent_at = now;
        if let Some(draft) = draft {
            // Its numbers are the parties' own: there is nothing to be measured but that it flows.
            let receipt = draft.receipt(self.legs.cold[sink as usize].id, now);
            self.legs.cold[sink as usize].last_receipt = Some(receipt);
            self.outbox.event(Event::CutOver(receipt));
        }
    }

    #[cold]
    fn fire_for_opaque(&mut self, slot: Slot, now: MonoTime) {
        if let Some(id) = self.legs.cold[slot as usize].awaited_by {
            self.fire(id, now);
        }
    }
}
