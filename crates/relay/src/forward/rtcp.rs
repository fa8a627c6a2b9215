//! RTCP: each listener gets reports that speak of the stream it sees, not of the source's own numbering.
//!
//! While nothing was ever cut over, compounds pass as they are. Afterwards a leg's compound is written anew for each
//! listener: sender reports carry the egress SSRC, timestamp and counters; reception reports go back to the leg that
//! they are about, in its numbering; the CNAME stays the one that the listener knows; BYE is swallowed, because the
//! egress outlives its source.

use patchcord_rtp::{
    Bye, Compound, CompoundWriter, Feedback, FeedbackKind, Nack, ReceiverReport, ReportBlock, RtcpError, RtcpPacket,
    RtcpView, SenderInfo, SenderReport, SourceDescription, Ssrc,
};

use crate::command::EgressMode;
use crate::datagram::{Datagram, Verdict};
use crate::ids::Component;
use crate::leg::egress::Egress;
use crate::leg::{NO_SLOT, Slot, SourceSlot};
use crate::player::Player;
use crate::shard::Shard;
use crate::time::MonoTime;
use crate::verdict::DropReason;

/// Room for a rewritten compound: within every path's MTU.
const COMPOUND_LEN_MAX: usize = 1400;
/// A sender report, and the longest CNAME.
const OWN_REPORT_LEN_MAX: usize = 160;
/// Entries of a generic NACK (RFC 4585 6.2.1) that are passed on: 17 packets each.
const NACKS_MAX: usize = 64;

impl Shard {
    pub(super) fn forward_rtcp(&mut self, datagram: &Datagram<'_>, now: MonoTime) -> Verdict {
        let slot = datagram.port.slot();
        let at = slot as usize;
        let cold = &mut self.legs.cold[at];
        if datagram.port.component() == Component::Rtp && !cold.rtcp_muxed {
            return Verdict::Dropped(DropReason::UnexpectedProtocol);
        }
        if !cold.takes_rtcp_from(datagram.port.component(), datagram.from) {
            return Verdict::Dropped(DropReason::ForeignSource);
        }
        let Ok(compound) = Compound::parse(datagram.packet()) else {
            return Verdict::Dropped(DropReason::Malformed);
        };
        cold.rtcp_received += 1;
        if datagram.port.component() == Component::Rtcp {
            // RTCP shows where RTCP is wanted, as RTP does for RTP; its host was checked above.
            cold.remote_rtcp = Some(datagram.from);
        }
        self.legs.catch_up(slot);
        self.note_reports(slot, compound, datagram.arrived);
        let mut sink = self.legs.ingress[at].first_sink;
        while sink != NO_SLOT {
            self.relay_compound(slot, sink, compound, now);
            sink = self.legs.egress[sink as usize].next_sink;
        }
        Verdict::Consumed
    }

    /// Keeps what the party says about the stream that we send it, and what it calls itself.
    fn note_reports(&mut self, slot: Slot, compound: Compound<'_>, arrived: MonoTime) {
        let own = self.legs.egress[slot as usize].ssrc();
        for packet in compound.packets() {
            if let Some(block) = block_of(packet, |block| Some(block.ssrc) == own) {
                let cold = &mut self.legs.cold[slot as usize];
                cold.reported = Some((block.cumulative_lost, block.jitter));
                cold.round_trip.note_block(&block, arrived);
            }
        }
    }

    /// RTCP that passes unread is looked at all the same, for the round trip alone: what is encrypted fits no sender report.
    pub(super) fn note_unread_report(&mut self, slot: Slot, compound: Compound<'_>, arrived: MonoTime, now: MonoTime) {
        for packet in compound.packets() {
            let round_trip = &mut self.legs.cold[slot as usize].round_trip;
            if let Some(block) = block_of(packet, |_| true) {
                round_trip.note_block(&block, arrived);
            }
        }
        let Some(last_sr) = compound.packets().find_map(|packet| sender_report_of(packet, |_| true)) else { return };
        let mut sink = self.legs.ingress[slot as usize].first_sink;
        while sink != NO_SLOT {
            self.legs.cold[sink as usize].round_trip.note_sent(last_sr, now);
            sink = self.legs.egress[sink as usize].next_sink;
        }
    }

    fn relay_compound(&mut self, from: Slot, sink: Slot, compound: Compound<'_>, now: MonoTime) {
        self.legs.catch_up(sink);
        let Some(hop) = self.legs.rtcp_hop(sink) else { return };
        let room = COMPOUND_LEN_MAX.max(compound.as_bytes().len());
        if !self.outbox.has_room(room) {
            self.legs.cold[sink as usize].drops.count(DropReason::OutboxFull);
            return;
        }
        let cname = compound.packets().find_map(cname_of);
        if !self.legs.cold[sink as usize].cname.is_known() {
            let random = self.rng.next_u64();
            self.legs.cold[sink as usize].cname.settle(cname, random);
        }
        let reporter = compound.packets().find_map(|packet| packet.sender_ssrc());
        let translation = Translation { shard: &self.legs, from, sink, reporter };
        let mut scratch = [0; COMPOUND_LEN_MAX];
        let bytes = if translation.is_verbatim(compound, cname) {
            compound.as_bytes()
        } else {
            let len = translation.write(compound, &mut scratch);
            &scratch[..len]
        };
        if !bytes.is_empty() {
            let Some(seal) = self.seal_rtcp(sink) else { return };
            self.outbox.push(hop, bytes.len(), seal, |room| {
                room.copy_from_slice(bytes);
                room.len()
            });
            let source_ssrc = self.legs.egress[sink as usize].source_ssrc();
            let cold = &mut self.legs.cold[sink as usize];
            cold.rtcp_sent += 1;
            if let Some(report) =
                compound.packets().find_map(|packet| sender_report_of(packet, |ssrc| Some(ssrc) == source_ssrc))
            {
                cold.relayed_report = Some(report);
                cold.round_trip.note_sent(report, now);
            }
        }
    }

    /// Sends a listener a sender report of our own, with its CNAME: at a cut-over, and while a player feeds it.
    pub(crate) fn report_to(&mut self, sink: Slot, now: MonoTime) {
        let at = sink as usize;
        self.legs.catch_up(sink);
        let egress = &self.legs.egress[at];
        if egress.mode() == EgressMode::Transparent {
            return;
        }
        let (Some(ssrc), Some(hop), Some(ntp)) = (egress.ssrc(), self.legs.rtcp_hop(sink), self.wallclock_at(now))
        else {
            return;
        };
        let (timestamp, timestamp_at) = egress.clock();
        let rate = match egress.source {
            _ if egress.is_made() => self.audio_clock_rate(sink),
            SourceSlot::Leg(source) => self.legs.ingress[source as usize].clock_rate,
            SourceSlot::Player | SourceSlot::Mix | SourceSlot::Silence => {
                self.legs.cold[at].player.as_ref().map_or(crate::leg::DEFAULT_CLOCK_RATE, Player::clock_rate)
            }
        };
        let elapsed = u128::from(now.nanos_since(timestamp_at)) * u128::from(rate) / 1_000_000_000;
        let rtp_timestamp = timestamp.wrapping_add(elapsed as u32);
        let (packet_count, octet_count) = self.legs.sender_counts(sink);
        let info = SenderInfo { ntp, rtp_timestamp, packet_count, octet_count };
        if !self.outbox.has_room(OWN_REPORT_LEN_MAX) {
            return;
        }
        let cold = &mut self.legs.cold[at];
        if !cold.cname.is_known() {
            cold.cname.settle(None, self.rng.next_u64());
        }
        let cname = cold.cname;
        let Some(seal) = self.seal_rtcp(sink) else { return };
        self.outbox.push(hop, OWN_REPORT_LEN_MAX, seal, |room| {
            let mut writer = CompoundWriter::new(room);
            let written =
                writer.sender_report(ssrc, &info, []).and_then(|()| writer.source_description(ssrc, cname.as_bytes()));
            if written.is_ok() { writer.finish() } else { 0 }
        });
        let cold = &mut self.legs.cold[at];
        cold.rtcp_sent += 1;
        cold.round_trip.note_sent(ntp.middle_32(), now);
    }

    /// Tells a listener that an SSRC has ended (RFC 3550 6.6), after an empty report as a compound must begin.
    pub(crate) fn say_bye(&mut self, sink: Slot, ssrc: Ssrc) {
        let Some(hop) = self.legs.rtcp_hop(sink) else { return };
        let Some(seal) = self.seal_rtcp(sink) else { return };
        let sent = self.outbox.push(hop, OWN_REPORT_LEN_MAX, seal, |room| {
            let mut writer = CompoundWriter::new(room);
            let written = writer.receiver_report(ssrc, []).and_then(|()| writer.bye(ssrc, None));
            if written.is_ok() { writer.finish() } else { 0 }
        });
        self.legs.cold[sink as usize].rtcp_sent += u64::from(sent);
    }
}

fn cname_of(packet: RtcpPacket<'_>) -> Option<&[u8]> {
    match packet.view() {
        Ok(RtcpView::SourceDescription(description)) => description.cname().map(|(_, cname)| cname),
        _ => None,
    }
}

/// What reception reports call a sender report of an SSRC that is wanted: the middle of its NTP time (RFC 3550 6.4.1).
fn sender_report_of(packet: RtcpPacket<'_>, wanted: impl Fn(Ssrc) -> bool) -> Option<u32> {
    match packet.view() {
        Ok(RtcpView::SenderReport(report)) if wanted(report.ssrc) => Some(report.info.ntp.middle_32()),
        _ => None,
    }
}

/// The first report block that is wanted.
fn block_of(packet: RtcpPacket<'_>, wanted: impl Fn(&ReportBlock) -> bool) -> Option<ReportBlock> {
    match packet.view() {
        Ok(RtcpView::SenderReport(report)) => report.report_blocks().find(wanted),
        Ok(RtcpView::ReceiverReport(report)) => report.report_blocks().find(wanted),
        _ => None,
    }
}

/// How one leg's RTCP reads for one of its listeners.
struct Translation<'a> {
    shard: &'a crate::leg::Legs,
    from: Slot,
    sink: Slot,
    /// What the party calls itself in this compound.
    reporter: Option<Ssrc>,
}

impl Translation<'_> {
    /// Nothing was cut over in either direction, the listener knows this SSRC and CNAME, and nobody says good-bye: not a
    /// byte need change.
    fn is_verbatim(&self, compound: Compound<'_>, cname: Option<&[u8]>) -> bool {
        let to = &self.shard.egress[self.sink as usize];
        let back = &self.shard.egress[self.from as usize];
        if to.is_untouched() && !back.is_shifted() {
            return true;
        }
        let is_verbatim = |egress: &Egress| egress.is_verbatim() || egress.ssrc().is_none();
        let reports_pass = back.source == SourceSlot::Leg(self.sink) && is_verbatim(back);
        let hears = to.source_ssrc().or(self.reporter);
        let known = self.shard.cold[self.sink as usize].cname;
        let says_bye = compound.packets().any(|packet| matches!(packet.view(), Ok(RtcpView::Bye(_))));
        is_verbatim(to)
            && reports_pass
            && (self.reporter.is_none() || self.reporter == hears)
            && cname.is_none_or(|cname| cname == known.as_bytes())
            && !says_bye
    }

    /// Writes the compound anew; 0 bytes if nothing of it concerns the listener.
    fn write(&self, compound: Compound<'_>, room: &mut [u8]) -> usize {
        let mut writer = CompoundWriter::new(room);
        let mut described = false;
        for packet in compound.packets() {
            // What no longer fits is left out; what is written stays a valid compound.
            let _written: Result<(), RtcpError> = match packet.view() {
                Ok(RtcpView::SenderReport(report)) => self.sender_report(&mut writer, &report),
                Ok(RtcpView::ReceiverReport(report)) => self.receiver_report(&mut writer, &report),
                Ok(RtcpView::SourceDescription(description)) if !described => {
                    described = self.describes(&description);
                    if described { self.source_description(&mut writer) } else { Ok(()) }
                }
                Ok(RtcpView::Bye(bye)) => self.bye(&mut writer, &bye),
                Ok(RtcpView::Feedback(feedback)) => self.feedback(&mut writer, &feedback),
                // Application packets and extended reports name SSRCs in ways of their own: they would mislead.
                _ => Ok(()),
            };
        }
        writer.finish()
    }

    fn sender_report(&self, writer: &mut CompoundWriter<'_>, report: &SenderReport<'_>) -> Result<(), RtcpError> {
        let egress = &self.shard.egress[self.sink as usize];
        let blocks = report.report_blocks().filter_map(|block| self.report_block(block));
        if egress.source_ssrc() != Some(report.ssrc) {
            // Of a stream that the listener does not hear.
            return writer.receiver_report(self.ssrc(), blocks);
        }
        let (_, timestamp_offset) = egress.offsets();
        let (packet_count, octet_count) = self.shard.sender_counts(self.sink);
        let info = SenderInfo {
            ntp: report.info.ntp,
            rtp_timestamp: report.info.rtp_timestamp.wrapping_add(timestamp_offset),
            packet_count,
            octet_count,
        };
        writer.sender_report(self.ssrc(), &info, blocks)
    }

    fn receiver_report(&self, writer: &mut CompoundWriter<'_>, report: &ReceiverReport<'_>) -> Result<(), RtcpError> {
        writer.receiver_report(self.ssrc(), report.report_blocks().filter_map(|block| self.report_block(block)))
    }

    /// A block about the stream that we send the reporter becomes one about the listener's own stream.
    fn report_block(&self, mut block: ReportBlock) -> Option<ReportBlock> {
        let ssrc = self.known_to_source(block.ssrc)?;
        let (sequence_offset, _) = self.shard.egress[self.from as usize].offsets();
        let reported = (block.extended_highest_sequence as u16).wrapping_sub(sequence_offset);
        // The source's own roll-overs, not those of the egress: the one nearest to what was received of it.
        let received = self.shard.ingress[self.sink as usize].receiver.extended_highest();
        let behind = (received as u16).wrapping_sub(reported) as i16;
        block.ssrc = ssrc;
        block.extended_highest_sequence = received.wrapping_sub(behind as u32);
        if self.shard.cold[self.from as usize].relayed_report != Some(block.last_sr) {
            // Of the relay, or of whoever fed the reporter before: the listener would reckon a round trip from it.
            block.last_sr = 0;
            block.delay_since_last_sr = 0;
        }
        Some(block)
    }

    /// Feedback about the stream that we send the reporter goes to the one who sends it to us, in its numbering.
    fn feedback(&self, writer: &mut CompoundWriter<'_>, feedback: &Feedback<'_>) -> Result<(), RtcpError> {
        let Some(media) = self.known_to_source(feedback.media) else { return Ok(()) };
        let mut fci = [0; NACKS_MAX * Nack::LEN];
        let is_nack = feedback.kind == FeedbackKind::Transport && feedback.format == Feedback::GENERIC_NACK;
        let fci = if is_nack {
            let (sequence_offset, _) = self.shard.egress[self.from as usize].offsets();
            let mut len = 0;
            for (room, mut nack) in fci.chunks_exact_mut(Nack::LEN).zip(feedback.nacks()) {
                nack.packet_id = nack.packet_id.wrapping_add(sequence_offset.wrapping_neg());
                room.copy_from_slice(&nack.write());
                len += Nack::LEN;
            }
            &fci[..len]
        } else {
            feedback.fci
        };
        writer.feedback(feedback.kind, feedback.format, self.ssrc(), media, fci)
    }

    /// What the listener itself calls the stream of which the reporter speaks; `None` if it is not the listener's.
    fn known_to_source(&self, ssrc: Ssrc) -> Option<Ssrc> {
        let back = &self.shard.egress[self.from as usize];
        // What was transcoded has numbers that the one who sent it does not know.
        if back.source != SourceSlot::Leg(self.sink) || back.ssrc() != Some(ssrc) || back.is_made() {
            return None;
        }
        back.source_ssrc()
    }

    fn describes(&self, description: &SourceDescription<'_>) -> bool {
        let source = self.shard.ingress[self.from as usize].receiver.ssrc().or(self.reporter);
        description.chunks().any(|chunk| Some(chunk.ssrc) == source)
    }

    fn source_description(&self, writer: &mut CompoundWriter<'_>) -> Result<(), RtcpError> {
        writer.source_description(self.ssrc(), self.shard.cold[self.sink as usize].cname.as_bytes())
    }

    /// But in continuity mode a stream does end with its source.
    fn bye(&self, writer: &mut CompoundWriter<'_>, bye: &Bye<'_>) -> Result<(), RtcpError> {
        let egress = &self.shard.egress[self.sink as usize];
        let ends = bye.ssrcs().any(|ssrc| egress.source_ssrc() == Some(ssrc));
        if egress.mode() != EgressMode::Continuity && ends { writer.bye(self.ssrc(), None) } else { Ok(()) }
    }

    /// The SSRC by which the listener knows this leg's stream; the party's own while it has sent none.
    fn ssrc(&self) -> Ssrc {
        self.shard.egress[self.sink as usize].ssrc().or(self.reporter).unwrap_or_default()
    }
}
