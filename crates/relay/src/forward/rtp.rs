//! RTP: from one leg to those that hear it.

use core::net::SocketAddr;

use patchcord_rtp::{Arrival, PayloadType, RtpHeader, SequenceNumber, Ssrc};

use crate::datagram::{Datagram, Hop, Verdict};
use crate::event::{Event, Receipt};
use crate::ids::{Component, PortId};
use crate::leg::egress::{Egress, Hearing, Incoming, Passed, Splice};
use crate::leg::ice::Opinion;
use crate::leg::latch::Admission;
use crate::leg::{NO_SLOT, Slot};
use crate::outbox::Seal;
use crate::shard::Shard;
use crate::time::MonoTime;
use crate::verdict::DropReason;

/// After a cut-over a packet of the old source is called stale for this long; later ones are just unheard. Longer than
/// any jitter buffer waits.
const STALE_NANOS: u64 = 500_000_000;
/// After a party changed its SSRC, packets under its former one are stragglers while it goes on speaking under the new
/// one: pauses shorter than this do not count. It is longer than any reordering, shorter than a person needs to put a call
/// on hold and take it back.
const STRAGGLER_NANOS: u64 = 100_000_000;

/// What a source's packet is, before any listener's view of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SourcePacket<'a> {
    pub(crate) header: RtpHeader,
    /// The whole packet; empty for a player's, which is put together only when it may leave.
    pub(crate) bytes: &'a [u8],
    /// Length of the whole packet.
    pub(crate) len: usize,
    pub(crate) is_telephone_event: bool,
    /// `None`: look it up when it matters, by the payload type in the source leg's list.
    pub(crate) clock_rate: Option<u32>,
    /// The leg that it comes from; `None` for a player.
    pub(crate) leg: Option<Slot>,
    /// Somebody has made it for its listener.
    pub(crate) is_made: bool,
    pub(crate) now: MonoTime,
}

impl Shard {
    pub(super) fn forward_rtp(&mut self, datagram: &mut Datagram<'_>, now: MonoTime) -> Verdict {
        let slot = datagram.port.slot();
        let at = slot as usize;
        let Ok(header) = RtpHeader::read(datagram.packet()) else {
            return Verdict::Dropped(DropReason::Malformed);
        };
        if !self.legs.ingress[at].is_plain_from(&datagram.from)
            && let Err(reason) = self.admit(slot, datagram.from, Some(&header), now)
        {
            return Verdict::Dropped(reason);
        }
        // A packet that the offload has not taken is not like the others, or something has changed.
        self.legs.descend_from(slot);
        if self.legs.ingress[at].receiver.ssrc() != Some(header.ssrc) && self.is_straggler(slot, header.ssrc, now) {
            let packet = self.source_packet(slot, header, datagram.packet(), now);
            return self.copy_to_translators(slot, &packet, DropReason::StaleAfterCutover);
        }
        let ingress = &mut self.legs.ingress[at];
        let arrival = ingress.receiver.observe(&header, datagram.arrived.as_nanos());
        ingress.bytes += datagram.len as u64;
        ingress.last_packet_at = now;
        let packet = self.source_packet(slot, header, &datagram.bytes[..datagram.len], now);
        if !matches!(arrival, Arrival::InOrder | Arrival::Gap(_))
            && let Some(verdict) = self.note_arrival(slot, arrival, &packet, datagram.arrived)
        {
            return verdict;
        }
        if packet.is_telephone_event && self.legs.cold[at].dtmf_blocked {
            return Verdict::Dropped(DropReason::DtmfBlocked);
        }
        let mut copied = false;
        if self.legs.ingress[at].wants_attention() {
            let ends_event = self.legs.ingress[at].is_awaited() && self.fire_on_first_packet(slot, &packet);
            copied = self.overhear(slot, &packet, datagram.arrived);
            if ends_event {
                return self.copy_to_all(slot, &packet, |_| true, DropReason::NoSink).or_consumed(copied);
            }
        }
        let ingress = &self.legs.ingress[at];
        if !ingress.is_open() {
            return Verdict::Dropped(DropReason::Muted);
        }
        let mut sink = ingress.first_sink;
        if sink == NO_SLOT {
            return if copied { Verdict::Consumed } else { Verdict::Dropped(self.unheard(slot, now)) };
        }
        // All listeners but the last get a copy; the last one gets the datagram itself.
        loop {
            let next = self.legs.egress[sink as usize].next_sink;
            if next == NO_SLOT {
                break;
            }
            copied |= self.copy_to(sink, &packet).is_ok();
            sink = next;
        }
        if self.legs.egress[sink as usize].is_made() {
            return match self.hand_to_transcoder(sink, &packet) {
                Err(reason) if !copied => Verdict::Dropped(reason),
                _ => Verdict::Consumed,
            };
        }
        match self.pass_to(sink, &packet) {
            Ok((header, hop, seal)) => {
                header.rewrite(&mut datagram.bytes[..datagram.len]);
                datagram.seal = seal;
                Verdict::Forwarded(hop)
            }
            Err(reason) => match self.pass_otherwise(sink, &packet, reason) {
                Err(reason) if !copied => Verdict::Dropped(reason),
                _ => Verdict::Consumed,
            },
        }
    }

    #[inline]
    fn source_packet<'a>(&self, slot: Slot, header: RtpHeader, bytes: &'a [u8], now: MonoTime) -> SourcePacket<'a> {
        let is_telephone_event = self.legs.ingress[slot as usize].is_telephone_event(header.payload_type);
        SourcePacket {
            header,
            bytes,
            len: bytes.len(),
            is_telephone_event,
            clock_rate: None,
            leg: Some(slot),
            is_made: false,
            now,
        }
    }

    /// Whether a packet under another SSRC than the party's present one is a late one under its former SSRC; if it is
    /// not, the party changes its SSRC by it.
    #[cold]
    fn is_straggler(&mut self, slot: Slot, ssrc: Ssrc, now: MonoTime) -> bool {
        let ingress = &self.legs.ingress[slot as usize];
        let cold = &mut self.legs.cold[slot as usize];
        let speaks_still = now.nanos_since(ingress.last_packet_at) < STRAGGLER_NANOS;
        if speaks_still && cold.former_ssrc == Some(ssrc) {
            cold.stragglers += 1;
            return true;
        }
        cold.former_ssrc = ingress.receiver.ssrc();
        false
    }

    /// Sends a copy of a source's packet to one listener, or has one made that it understands.
    fn copy_to(&mut self, sink: Slot, packet: &SourcePacket<'_>) -> Result<(), DropReason> {
        if self.legs.egress[sink as usize].is_made() {
            return self.hand_to_transcoder(sink, packet);
        }
        self.send_copy(sink, packet).or_else(|reason| self.pass_otherwise(sink, packet, reason))
    }

    /// Sends a copy of a packet by way of the outbox.
    pub(crate) fn send_copy(&mut self, sink: Slot, packet: &SourcePacket<'_>) -> Result<(), DropReason> {
        let len = packet.bytes.len();
        if self.outbox.has_room(len) {
            let (header, hop, seal) = self.pass_to(sink, packet)?;
            let sent = self.outbox.push(hop, len, seal, |room| {
                room.copy_from_slice(packet.bytes);
                header.rewrite(room);
                len
            });
            if sent {
                return Ok(());
            }
        }
        self.legs.cold[sink as usize].drops.count(DropReason::OutboxFull);
        Err(DropReason::OutboxFull)
    }

    /// What belongs to no stream as the others number it reaches those only to whom packets pass untouched.
    #[cold]
    fn copy_to_translators(&mut self, slot: Slot, packet: &SourcePacket<'_>, otherwise: DropReason) -> Verdict {
        self.copy_to_all(slot, packet, Egress::is_untouched, otherwise)
    }

    /// Sends copies to those listeners that are `wanted`; the datagram itself is used up. `otherwise` is why it is
    /// dropped if there are none.
    #[cold]
    fn copy_to_all(
        &mut self,
        slot: Slot,
        packet: &SourcePacket<'_>,
        wanted: impl Fn(&Egress) -> bool,
        otherwise: DropReason,
    ) -> Verdict {
        let ingress = &self.legs.ingress[slot as usize];
        if !ingress.is_open() {
            return Verdict::Dropped(DropReason::Muted);
        }
        let mut sink = ingress.first_sink;
        if sink == NO_SLOT {
            return Verdict::Dropped(self.unheard(slot, packet.now));
        }
        let mut verdict = Verdict::Dropped(otherwise);
        while sink != NO_SLOT {
            if wanted(&self.legs.egress[sink as usize]) {
                match self.copy_to(sink, packet) {
                    Ok(()) => verdict = Verdict::Consumed,
                    Err(reason) if verdict != Verdict::Consumed => verdict = Verdict::Dropped(reason),
                    Err(_) => {}
                }
            }
            sink = self.legs.egress[sink as usize].next_sink;
        }
        verdict
    }

    /// The header that `packet` must have for one listener, where it goes, and how it is protected; the packet counts as sent.
    #[inline]
    pub(crate) fn pass_to(
        &mut self,
        sink: Slot,
        packet: &SourcePacket<'_>,
    ) -> Result<(RtpHeader, Hop, Seal), DropReason> {
        let at = sink as usize;
        let egress = &self.legs.egress[at];
        if let Some(reason) = egress.obstacle() {
            return Err(reason);
        }
        let payload_type = match egress.hearing {
            // Who transcodes knows the listener's numbers.
            Hearing::AsIs | Hearing::Made => packet.header.payload_type,
            Hearing::Mapped => self.translate(sink, packet.header.payload_type).ok_or(DropReason::PayloadType)?,
        };
        if packet.is_telephone_event {
            self.mind_event_before(sink, packet)?;
        }
        let clock_rate = match (packet.clock_rate, packet.leg) {
            (Some(rate), _) => rate,
            // Only a splice needs the rate; a stream that is followed already gets by without the look-up.
            (None, Some(source)) if !self.legs.egress[at].follows(packet.header.ssrc) => {
                self.legs.cold[source as usize].clock_rate_of(packet.header.payload_type)
            }
            (None, _) => 0,
        };
        let incoming = Incoming { header: &packet.header, payload_type, clock_rate, len: packet.len, now: packet.now };
        let egress = &mut self.legs.egress[at];
        let Passed { header, splice } = egress.pass(&incoming, &mut self.rng)?;
        let hop = Hop { port: PortId::new(sink, Component::Rtp), to: egress.remote().unwrap_or(self.nowhere) };
        let seal = match self.seal(sink, &header) {
            Ok(seal) => seal,
            Err(reason) => {
                self.legs.egress[at].take_back(packet.len);
                return Err(reason);
            }
        };
        if let Some(splice) = splice {
            self.note_splice(sink, packet, &splice);
        }
        if packet.is_telephone_event {
            self.mind_event_after(sink, packet, &header);
        }
        Ok((header, hop, seal))
    }

    /// Whether [`Shard::pass_to`] would send this packet to a listener that has just been given its source.
    pub(crate) fn would_join(&self, sink: Slot, source: Slot, mixed: bool, packet: &SourcePacket<'_>) -> bool {
        let egress = &self.legs.egress[sink as usize];
        let joins_event = packet.is_telephone_event && !packet.header.marker;
        if !egress.is_reachable() || joins_event {
            return false;
        }
        if mixed || self.transcodes(source, sink) {
            return self.is_transcodable(source, packet);
        }
        let (map, number) = (self.map_between(source, sink), packet.header.payload_type);
        map.get(number).is_some() || map.converts(number)
    }

    fn translate(&self, sink: Slot, payload_type: PayloadType) -> Option<PayloadType> {
        self.legs.cold[sink as usize].payload_types.get(payload_type)
    }

    /// Source check of a packet that is not plainly from the settled source.
    pub(super) fn admit(
        &mut self,
        slot: Slot,
        from: SocketAddr,
        header: Option<&RtpHeader>,
        now: MonoTime,
    ) -> Result<(), DropReason> {
        let at = slot as usize;
        self.legs.catch_up(slot);
        let cold = &mut self.legs.cold[at];
        let was_settled = cold.latch.is_settled();
        let before = cold.latch.remote();
        let opinion = cold.ice.as_ref().map_or(Opinion::None, |ice| ice.opinion(Component::Rtp, from));
        let admission = match opinion {
            Opinion::None => cold.latch.admit(from, header, self.legs.ingress[at].last_packet_at(), now),
            Opinion::Valid => cold.latch.admit_valid(from),
            Opinion::Foreign { .. } => cold.latch.admit_settled(from),
        };
        match admission {
            Admission::Foreign => return Err(DropReason::ForeignSource),
            Admission::Accepted => {}
            Admission::Changed => {
                let settled = cold.latch.is_settled() && (!was_settled || before != cold.latch.remote());
                let leg = cold.id;
                self.legs.refresh_flags(slot);
                if settled {
                    self.outbox.event(Event::Latched { leg, source: from });
                }
            }
        }
        if self.legs.cold[at].direction.party_sends() { Ok(()) } else { Err(DropReason::Direction) }
    }

    /// What a packet out of the ordinary means for its listeners; a verdict if it must not reach them as others do.
    #[cold]
    fn note_arrival(
        &mut self,
        slot: Slot,
        arrival: Arrival,
        packet: &SourcePacket<'_>,
        arrived: MonoTime,
    ) -> Option<Verdict> {
        match arrival {
            Arrival::FirstOfSource => self.note_new_source(slot, &packet.header, arrived),
            Arrival::Restarted => {
                // It counts from elsewhere: each listener's next packet continues from what was sent to it.
                let mut sink = self.legs.ingress[slot as usize].first_sink;
                while sink != NO_SLOT {
                    self.legs.egress[sink as usize].restart(packet.header.sequence);
                    sink = self.legs.egress[sink as usize].next_sink;
                }
            }
            Arrival::Reordered => {
                let highest = SequenceNumber(self.legs.ingress[slot as usize].receiver.extended_highest() as u16);
                if packet.header.sequence.distance_from(highest) > 0 {
                    // Out of all range, and ahead: were it passed on, everything behind it would be too old.
                    return Some(self.copy_to_translators(slot, packet, DropReason::TooOld));
                }
            }
            Arrival::InOrder | Arrival::Gap(_) | Arrival::Duplicate => {}
        }
        None
    }

    fn note_new_source(&mut self, slot: Slot, header: &RtpHeader, now: MonoTime) {
        let at = slot as usize;
        let cold = &self.legs.cold[at];
        self.legs.ingress[at].set_clock_rate(cold.clock_rate_of(header.payload_type), now);
        if self.legs.ingress[at].receiver.packets() == 1 {
            self.outbox.event(Event::FirstPacket { leg: cold.id, ssrc: header.ssrc });
        }
    }

    /// Why a packet has no listener: it is late after a cut-over, or nobody was given this source.
    pub(super) fn unheard(&mut self, slot: Slot, now: MonoTime) -> DropReason {
        let Some((sink, id, lost_at)) = self.legs.cold[slot as usize].former_sink else {
            return DropReason::NoSink;
        };
        if now.nanos_since(lost_at) > STALE_NANOS {
            self.legs.cold[slot as usize].former_sink = None;
            return DropReason::NoSink;
        }
        let cold = &mut self.legs.cold[sink as usize];
        if let Some(receipt) = cold.last_receipt.as_mut().filter(|receipt| receipt.id == id) {
            receipt.stale = receipt.stale.saturating_add(1);
        } else if let Some(draft) = cold.draft.as_mut().filter(|draft| draft.id == id) {
            draft.stale = draft.stale.saturating_add(1);
        }
        DropReason::StaleAfterCutover
    }

    /// The first packet of a new source is about to leave: write the receipt, tell whoever listens.
    fn note_splice(&mut self, sink: Slot, packet: &SourcePacket<'_>, splice: &Splice) {
        let now = packet.now;
        self.legs.cold[sink as usize].relayed_report = None;
        if let Some(ssrc) = splice.ended_ssrc {
            let egress = &self.legs.egress[sink as usize];
            let cold = &mut self.legs.cold[sink as usize];
            // This packet is the first of the new SSRC; a telephone-event of the old one has ended with that.
            cold.sent_before_ssrc = (egress.packets - 1, egress.bytes - packet.len as u64);
            cold.event_in_flight = None;
            self.say_bye(sink, ssrc);
        }
        let draft = self.legs.cold[sink as usize].draft.take();
        if let Some(draft) = draft {
            let receipt = Receipt {
                gap_us: splice.gap_nanos.map(|nanos| nanos / 1000),
                seq_step: splice.sequence_step,
                ts_step: splice.timestamp_step,
                ..draft.receipt(self.legs.cold[sink as usize].id, now)
            };
            self.legs.cold[sink as usize].last_receipt = Some(receipt);
            if let Some(gap_us) = receipt.gap_us {
                self.counters.record_gap(gap_us);
            }
            self.outbox.event(Event::CutOver(receipt));
        }
        if let (Some(from), Some(leg)) = (splice.former_source_ssrc, packet.leg) {
            let leg = self.legs.cold[leg as usize].id;
            self.outbox.event(Event::SsrcChanged { leg, from, to: packet.header.ssrc });
        }
        // A source that goes to and fro between formats must not have a report sent with each packet.
        if splice.gap_nanos.is_some() && !splice.is_change {
            // The listener must be able to map the new timestamps to time at once, not seconds later.
            self.report_to(sink, now);
        }
    }

    /// A pending cut-over waits for this leg: do it if its first packet can be relayed. Says whether end packets of a
    /// telephone-event went to the outbox, which this packet must not overtake.
    #[cold]
    fn fire_on_first_packet(&mut self, slot: Slot, packet: &SourcePacket<'_>) -> bool {
        let cold = &self.legs.cold[slot as usize];
        let Some(id) = cold.awaited_by.filter(|_| self.legs.ingress[slot as usize].is_open()) else { return false };
        let Some(record) = self.cut_overs.get(id) else { return false };
        if !record.sinks_of(cold.id).any(|(sink, mixed)| self.would_join(sink, slot, mixed, packet)) {
            return false;
        }
        let hears_event = |(sink, _): (Slot, bool)| {
            self.legs.cold[sink as usize].event_in_flight.is_some() || self.legs.egress[sink as usize].has_key()
        };
        let ends_event = record.sinks_of(cold.id).any(hears_event);
        self.fire(id, packet.now);
        ends_event
    }
}
