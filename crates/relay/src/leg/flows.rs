//! Which legs' packets are forwarded by the offload instead of the engine, and the way there and back.
//!
//! Whatever is about to read or change what a flow moves calls [`Legs::catch_up`] or [`Legs::descend`] first; that is cheap, and
//! nothing at all while no flow is with the offload.

use core::net::SocketAddr;

use crate::flow::{Flow, Obstacle, Offload, Progress};
use crate::leg::egress::{Hearing, Protection};
use crate::leg::{Legs, NO_SLOT, Slot, SourceSlot};
use crate::verdict::DropReason;

/// The offload, and who is with it.
#[derive(Debug, Default)]
pub(crate) struct Flows {
    offload: Option<Box<dyn Offload>>,
    /// By the slot of the leg that sends. Empty without an offload.
    with_offload: Vec<bool>,
    count: u32,
    pub(crate) counters: FlowCounters,
}

/// What the offload did, as far as the engine has caught up with it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct FlowCounters {
    pub(crate) datagrams: u64,
    pub(crate) forwarded: u64,
    pub(crate) forwarded_bytes: u64,
    /// Flows that the offload has given back and had forwarded something of.
    pub(crate) climbs: u64,
}

impl FlowCounters {
    /// What was sent before and came again.
    pub(crate) const fn duplicates(&self) -> u64 {
        self.datagrams - self.forwarded
    }

    fn between(before: &Progress, after: &Progress) -> Self {
        Self {
            datagrams: after.reception.packets - before.reception.packets,
            forwarded: after.sending.packets - before.sending.packets,
            forwarded_bytes: after.sending.bytes - before.sending.bytes,
            climbs: 0,
        }
    }

    const fn add(&mut self, news: &Self) {
        self.datagrams += news.datagrams;
        self.forwarded += news.forwarded;
        self.forwarded_bytes += news.forwarded_bytes;
        self.climbs += news.climbs;
    }
}

impl Flows {
    pub(crate) fn set_offload(&mut self, offload: Box<dyn Offload>, legs_max: u32) {
        self.with_offload = vec![false; legs_max as usize];
        self.offload = Some(offload);
    }

    #[inline]
    pub(crate) const fn has_offload(&self) -> bool {
        self.offload.is_some()
    }

    #[inline]
    pub(crate) fn has(&self, slot: Slot) -> bool {
        self.count > 0 && self.with_offload[slot as usize]
    }

    pub(crate) const fn count(&self) -> u32 {
        self.count
    }

    /// The leg goes away.
    pub(crate) fn forget(&mut self, slot: Slot) {
        if let Some(offload) = &mut self.offload {
            offload.forget(slot);
        }
    }

    pub(crate) fn has_another(&self, local: SocketAddr) -> bool {
        self.offload.as_ref().is_some_and(|offload| offload.has_another(local))
    }

    pub(crate) fn keep_house(&mut self) {
        if let Some(offload) = &mut self.offload {
            offload.keep_house();
        }
    }

    /// How far the flow of a leg is.
    fn progress(&self, slot: Slot) -> Option<Progress> {
        self.offload.as_ref().filter(|_| self.has(slot))?.progress(slot)
    }
}

impl Legs {
    /// Gives the offload the flow of a leg, if it is one.
    pub(crate) fn climb(&mut self, slot: Slot) -> Result<(), Obstacle> {
        if self.flows.has(slot) {
            return Ok(());
        }
        let flow = self.flow(slot)?;
        let Some(offload) = &mut self.flows.offload else { return Ok(()) };
        offload.begin(slot, &flow)?;
        self.flows.with_offload[slot as usize] = true;
        self.flows.count += 1;
        Ok(())
    }

    /// Takes back the flow that a leg sends and the one that it hears: about to change is something that they depend on.
    #[inline]
    pub(crate) fn descend(&mut self, slot: Slot) {
        if self.flows.count > 0 {
            self.descend_from(slot);
            self.descend_to(slot);
        }
    }

    /// Takes back the flow that a leg sends.
    #[inline]
    pub(crate) fn descend_from(&mut self, slot: Slot) {
        if self.flows.has(slot) {
            self.end_flow(slot);
        }
    }

    /// Takes back the flow that a leg hears.
    pub(crate) fn descend_to(&mut self, sink: Slot) {
        if let Some(source) = self.flow_into(sink) {
            self.end_flow(source);
        }
    }

    /// Takes over how far the flows are that a leg sends and hears.
    pub(crate) fn catch_up(&mut self, slot: Slot) {
        if self.flows.count > 0 {
            for source in [Some(slot), self.flow_into(slot)].into_iter().flatten() {
                if let Some(progress) = self.flows.progress(source) {
                    self.resume(source, &progress);
                }
            }
        }
    }

    /// How far a leg is that sends and hears: its own flow's progress, and that of the flow that it hears.
    /// Each with what the engine has not counted yet.
    pub(crate) fn progress_of(&self, slot: Slot) -> [Option<(Progress, FlowCounters)>; 2] {
        [Some(slot), self.flow_into(slot)].map(|source| {
            let progress = self.flows.progress(source?)?;
            Some((progress, FlowCounters::between(&self.progress_so_far(source?), &progress)))
        })
    }

    /// What the offload did until now.
    pub(crate) fn flow_counters(&self) -> FlowCounters {
        let mut counters = self.flows.counters;
        if self.flows.count > 0 {
            for slot in 0..self.slots_end() {
                if let Some(progress) = self.flows.progress(slot) {
                    counters.add(&FlowCounters::between(&self.progress_so_far(slot), &progress));
                }
            }
        }
        counters
    }

    /// Why the engine forwards a leg's packets; `Ok` if it does not.
    pub(crate) fn obstacle(&self, slot: Slot) -> Result<(), Obstacle> {
        let Some(offload) = &self.flows.offload else { return Err(Obstacle::NotFollowed) };
        if self.flows.has(slot) {
            return offload.progress(slot).map(|_| ()).ok_or(Obstacle::Armed);
        }
        self.flow(slot)?;
        Err(offload.obstacle(slot))
    }

    fn flow_into(&self, sink: Slot) -> Option<Slot> {
        match self.egress.get(sink as usize)?.source {
            SourceSlot::Leg(source) if self.flows.has(source) => Some(source),
            _ => None,
        }
    }

    #[cold]
    fn end_flow(&mut self, slot: Slot) {
        let progress = self.flows.offload.as_mut().and_then(|offload| offload.end(slot));
        if let Some(progress) = progress {
            self.resume(slot, &progress);
            self.flows.counters.climbs += 1;
        }
        self.flows.with_offload[slot as usize] = false;
        self.flows.count -= 1;
    }

    fn resume(&mut self, slot: Slot, progress: &Progress) {
        let news = FlowCounters::between(&self.progress_so_far(slot), progress);
        self.flows.counters.add(&news);
        self.cold[slot as usize].drops.add(DropReason::Duplicate, news.duplicates());
        let ingress = &mut self.ingress[slot as usize];
        ingress.resume(progress);
        let sink = ingress.first_sink;
        self.egress[sink as usize].resume(&progress.sending);
    }

    /// As the engine knows it.
    fn progress_so_far(&self, slot: Slot) -> Progress {
        let ingress = &self.ingress[slot as usize];
        Progress {
            reception: ingress.receiver.reception(),
            bytes: ingress.bytes,
            last_packet_at: ingress.last_packet_at.as_nanos(),
            sending: self
                .egress
                .get(ingress.first_sink as usize)
                .map(super::egress::Egress::sending)
                .unwrap_or_default(),
        }
    }

    /// What a leg sends, as a flow.
    fn flow(&self, slot: Slot) -> Result<Flow, Obstacle> {
        let at = slot as usize;
        let (ingress, cold) = (&self.ingress[at], &self.cold[at]);
        if ingress.is_secured() {
            return Err(Obstacle::Srtp);
        }
        if !ingress.is_live() || ingress.is_opaque() || ingress.is_door() {
            return Err(Obstacle::Unread);
        }
        if ingress.is_awaited() {
            return Err(Obstacle::Awaited);
        }
        if ingress.is_overheard() {
            return Err(Obstacle::Overheard);
        }
        if !ingress.is_open() {
            return Err(Obstacle::Closed);
        }
        let from = ingress.plain_source().ok_or(Obstacle::NotSettled)?;
        let sink = ingress.first_sink;
        if sink == NO_SLOT {
            return Err(Obstacle::NoListener);
        }
        let (egress, hearing) = (&self.egress[sink as usize], &self.cold[sink as usize]);
        if cold.tapped || hearing.tapped {
            return Err(Obstacle::Tapped);
        }
        if egress.next_sink != NO_SLOT {
            return Err(Obstacle::Listeners);
        }
        if egress.is_made() {
            return Err(Obstacle::Transcoded);
        }
        if egress.protection() != Protection::Plain {
            return Err(Obstacle::Srtp);
        }
        if egress.is_untouched() {
            return Err(Obstacle::Transparent);
        }
        let to = egress.remote().filter(|_| egress.obstacle().is_none()).ok_or(Obstacle::ListenerClosed)?;
        let ssrc = ingress.receiver.ssrc().filter(|&ssrc| egress.follows(ssrc)).and_then(|_| egress.ssrc());
        let ssrc = ssrc.ok_or(Obstacle::NotFollowed)?;
        if hearing.event_in_flight.is_some() || hearing.event_skipped.is_some() {
            return Err(Obstacle::TelephoneEvent);
        }
        let (local, sink_local) = (cold.local_rtp, hearing.local_rtp);
        if [local, sink_local].iter().any(|local| local.ip().is_unspecified()) {
            return Err(Obstacle::Wildcard);
        }
        if [from, sink_local, to].iter().any(|addr| addr.is_ipv4() != local.is_ipv4()) {
            return Err(Obstacle::Families);
        }
        let (sequence_offset, timestamp_offset) = egress.offsets();
        Ok(Flow {
            from,
            local,
            sink,
            sink_local,
            to,
            dscp: hearing.dscp,
            payload_types: self.payload_types_of(slot, sink),
            sequence_offset,
            timestamp_offset,
            ssrc,
            progress: self.progress_so_far(slot),
        })
    }

    fn payload_types_of(&self, slot: Slot, sink: Slot) -> [u8; 128] {
        let (ingress, egress) = (&self.ingress[slot as usize], &self.egress[sink as usize]);
        let map = &self.cold[sink as usize].payload_types;
        core::array::from_fn(|number| {
            let Some(payload_type) = patchcord_rtp::PayloadType::new(number as u8) else { return Flow::ENGINE };
            let heard_as = match egress.hearing {
                Hearing::AsIs => Some(payload_type),
                Hearing::Mapped => map.get(payload_type),
                Hearing::Made => None,
            };
            match heard_as {
                Some(heard_as) if !ingress.is_telephone_event(payload_type) => heard_as.get(),
                _ => Flow::ENGINE,
            }
        })
    }
}
