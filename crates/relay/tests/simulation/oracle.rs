//! What the relay should be doing, as the commands and events so far say; and what it really sends.

use std::collections::BTreeMap;

use patchcord_relay::Verdict;
use patchcord_relay::command::{Command, EgressMode, Source, SourceChange, Trigger};
use patchcord_relay::event::Event;
use patchcord_relay::ids::{CutOverId, LegId};
use patchcord_relay::media::{Direction, Repeat};
use patchcord_relay::snapshot::SourceSnapshot;
use patchcord_relay::verdict::DropReason;
use patchcord_rtp::{Protocol, RtpPacket, classify};

use crate::ear::{Ear, Hears};
use crate::party::Party;
use crate::support::wire::{HeardRtp, Payload};
use crate::support::{Arriving, PLAYER, World, rtcp};

/// One leg, as commanded.
#[derive(Debug)]
pub(crate) struct Leg {
    pub(crate) ear: Ear,
    pub(crate) direction: Direction,
    pub(crate) muted: bool,
    pub(crate) pending: Option<CutOverId>,
    /// What it heard before its latest cut-over.
    undo: Option<(CutOverId, Hears)>,
    /// The newest packet of its party that arrived: epoch, the number after it, and whether any of that epoch was relayed.
    arrived: (u32, u32, bool),
}

/// How often things happened, so that a run which tests nothing is noticed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) packets: u64,
    /// Of these, what the shard never saw.
    pub(crate) offloaded: u64,
    /// Flows that the offload gave back.
    pub(crate) climbs: u64,
    pub(crate) splices: u64,
    pub(crate) ended_keys: u64,
    pub(crate) switched: u64,
    pub(crate) cancelled: u64,
    pub(crate) receipts: u64,
    pub(crate) reports: u64,
    pub(crate) rolled_back: u64,
    pub(crate) refused: u64,
    pub(crate) stale: u64,
    pub(crate) dialled: u64,
    pub(crate) sounded: u64,
    /// Keys that were cut short, by a switch or because they were stopped.
    pub(crate) cut_short: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Oracle {
    pub(crate) legs: BTreeMap<u64, Leg>,
    /// Cut-overs that wait, with what they will change.
    waiting: BTreeMap<CutOverId, Vec<(u64, Hears)>>,
    pub(crate) tally: Tally,
}

impl Oracle {
    /// The batch was accepted: what it means from now on. Whatever it cancels or fires will be told by events.
    pub(crate) fn obey(&mut self, commands: &[Command]) {
        for command in commands {
            match command {
                Command::AddLeg(spec) => {
                    let leg = Leg {
                        ear: Ear::new(spec.egress_mode),
                        direction: spec.direction,
                        muted: false,
                        pending: None,
                        undo: None,
                        arrived: (0, 0, false),
                    };
                    self.legs.insert(spec.id.0, leg);
                }
                Command::RemoveLeg { leg } => self.remove(leg.0),
                Command::SetMuted { leg, muted } => {
                    self.leg(leg.0).muted = *muted;
                    self.allow_splices(leg.0);
                }
                Command::SetDirection { leg, direction } => {
                    let here = self.leg(leg.0);
                    here.direction = *direction;
                    here.ear.allow_splice();
                    self.allow_splices(leg.0);
                }
                Command::CutOver(cut_over) => {
                    let changes = cut_over.changes.iter().map(|change| (change.sink.0, hears(change))).collect();
                    if cut_over.trigger == Trigger::Immediate {
                        self.switch(cut_over.id, changes);
                    } else {
                        self.wait(cut_over.id, changes);
                    }
                }
                Command::Rollback { id, by } => self.roll_back(*id, *by),
                Command::SetRemote { .. }
                | Command::Relatch { .. }
                | Command::SetTapped { .. }
                | Command::SetOverheard { .. }
                | Command::Fire { .. }
                // Not in the script: tests/contract/playlists.rs.
                | Command::PlayNext { .. }
                | Command::EndPlay { .. }
                | Command::SetCodecs { .. }
                | Command::SetRtcpMux { .. }
                | Command::SetLatch { .. }
                | Command::SetRelaying { .. }
                | Command::StopDtmf { .. }
                | Command::SetIce { .. }
                | Command::SetDoor { .. }
                | Command::SetSrtp { .. }
                | Command::SetDtls { .. }
                | Command::SendDtls { .. }
                | Command::SetDtlsKeys { .. }
                | Command::BlockDtmf { .. } => {}
                Command::SendDtmf { leg, steps } => self.leg(leg.0).ear.expect_keys(steps),
            }
        }
    }

    /// Takes in and judges what one call into the engine brought about.
    pub(crate) fn observe(&mut self, world: &mut World, parties: &BTreeMap<u64, Party>) {
        let events = world.events();
        for event in &events {
            crate::trace(format_args!("{} {event:?}", world.now.as_nanos()));
            match *event {
                Event::Switched { id } => {
                    let changes = self.waiting.remove(&id).expect("what switches has waited");
                    self.end_waiting(id);
                    self.switch(id, changes);
                    self.tally.switched += 1;
                }
                Event::CutOverCancelled { id, gone } => {
                    // A deleted leg is in the model's past already; a rollback was noted when it was commanded.
                    assert!(gone.is_none() || self.waiting.remove(&id).is_some(), "{id} did not wait");
                    self.end_waiting(id);
                    self.tally.cancelled += 1;
                }
                Event::PlayFinished { leg } => {
                    let ear = &mut self.leg(leg.0).ear;
                    assert!(matches!(ear.source, Hears::Player(_, Some(_))), "{leg} hears {:?}", ear.source);
                    ear.hear_from_now_on(Hears::Silence);
                }
                Event::DtmfFinished { leg, sent, tones, dropped } => {
                    self.leg(leg.0).ear.finish_keys(dropped);
                    self.tally.dialled += u64::from(sent - tones);
                    self.tally.sounded += u64::from(tones);
                }
                Event::MediaTimeout { .. } => panic!("nobody has a timeout: {event:?}"),
                _ => {}
            }
        }
        for (leg, heard) in world.take_all() {
            let party = &parties[&leg];
            let (rtp, rtcp): (Vec<_>, Vec<_>) =
                heard.into_iter().partition(|heard| classify(&heard.bytes) == Protocol::Rtp);
            let rtp: Vec<_> = rtp.iter().map(HeardRtp::read).collect();
            self.assert_may_hear(leg, &rtp, party);
            for packet in &rtp {
                crate::trace(format_args!("leg {leg} hears {packet:?}"));
            }
            self.tally.packets += rtp.len() as u64;
            self.leg(leg).ear.receive(rtp);
            for heard in rtcp {
                self.tally.reports += 1;
                self.leg(leg).receive_report(&heard.bytes, party);
            }
            let ear = &self.leg(leg).ear;
            if ear.mode == EgressMode::NewSsrc {
                let ended = ear.ssrcs().len().saturating_sub(1);
                assert_eq!(ear.byes[..], ear.ssrcs()[..ended], "a BYE for each SSRC that ended, and in order");
            }
        }
        for event in &events {
            if let Event::CutOver(receipt) = event
                && let Some(leg) = self.legs.get(&receipt.sink.0)
            {
                leg.ear.assert_tells(receipt);
                self.tally.receipts += 1;
            }
        }
        for leg in self.legs.values_mut() {
            leg.ear.end_of_batch();
        }
    }

    /// Nothing fresh of whom somebody hears is dropped as if it were not.
    pub(crate) fn judge(&mut self, arriving: &Arriving, verdict: Verdict, heard_before: bool) {
        let heard = heard_before && self.legs.values().any(|leg| leg.ear.source == Hears::Leg(arriving.leg));
        let payload = RtpPacket::parse(&arriving.bytes).ok().and_then(|packet| {
            let payload = packet.payload();
            Payload::read(payload).or_else(|| Payload::read(payload.get(4..)?))
        });
        let (Some(payload), Some(leg)) = (payload, self.legs.get_mut(&arriving.leg)) else { return };
        if u64::from(payload.origin) != arriving.leg {
            // While a leg with SRTP learns, whoever has no key is told from the party by that.
            let refused = [DropReason::ForeignSource, DropReason::SrtpUnauthentic, DropReason::SrtpReplayed];
            let is_refused = matches!(verdict, Verdict::Dropped(reason) if refused.contains(&reason));
            assert!(is_refused, "an intruder was let in: {verdict:?}");
            return;
        }
        let (epoch, number, relayed) = leg.arrived;
        let fresh = payload.epoch > epoch || (payload.epoch == epoch && payload.number >= number);
        if !fresh {
            return;
        }
        let relayed_before = relayed && payload.epoch == epoch;
        // Whoever was not let in for long comes back with numbers that look like a restart.
        let let_in = !matches!(verdict, Verdict::Dropped(reason) if reason.precedes_reception());
        let relayed = (relayed_before && let_in) || matches!(verdict, Verdict::Forwarded(_));
        leg.arrived = (payload.epoch, payload.number + 1, relayed);
        if let Verdict::Dropped(reason) = verdict {
            // It takes two packets in a row to tell a restart; until then they are taken for strays.
            let settled = relayed_before;
            let late = [DropReason::TooOld, DropReason::StaleAfterCutover, DropReason::Duplicate];
            assert!(!(heard && settled && late.contains(&reason)), "{reason} though it is fresh: {payload:?}");
            self.tally.stale += u64::from(reason == DropReason::StaleAfterCutover);
        }
    }

    /// Whether anybody hears this leg.
    pub(crate) fn is_heard(&self, leg: u64) -> bool {
        self.legs.values().any(|other| other.ear.source == Hears::Leg(leg))
    }

    /// Holds the relay's own account of itself against what was received.
    pub(crate) fn assert_consistent(&mut self, world: &World) {
        world.assert_balanced();
        assert_eq!(world.shard.worker().legs as usize, self.legs.len());
        for (&id, leg) in &self.legs {
            let snapshot = world.leg(id);
            let source = match leg.ear.source {
                Hears::Silence => SourceSnapshot::Silence,
                Hears::Leg(source) => SourceSnapshot::Leg(LegId(source)),
                Hears::Player(..) => SourceSnapshot::Player,
            };
            assert_eq!(snapshot.source, source, "leg {id}");
            assert_eq!((snapshot.pending, snapshot.muted), (leg.pending, leg.muted), "leg {id}");
            assert_eq!(snapshot.direction, leg.direction, "leg {id}");
            assert_eq!(snapshot.egress.packets, leg.ear.packets, "leg {id}");
            if leg.ear.mode != EgressMode::Transparent {
                let expects = snapshot.egress.ssrc.zip(snapshot.egress.next_sequence);
                assert_eq!(expects.map(|(ssrc, next)| (ssrc.0, next)), leg.ear.expects(), "leg {id}");
            }
        }
    }

    /// At the end: everything that waited is either done, cancelled, or really still waits.
    pub(crate) fn finish(mut self) -> Tally {
        for (id, waiting) in &self.waiting {
            let marked = waiting.iter().all(|(sink, _)| self.legs[sink].pending == Some(*id));
            assert!(marked, "{id} waits, and its legs do not know: {waiting:?}");
        }
        for leg in self.legs.values() {
            self.tally.splices += leg.ear.splices_total;
            self.tally.ended_keys += leg.ear.ended_keys;
            self.tally.cut_short += leg.ear.dialled.cut_short;
        }
        self.tally
    }

    fn leg(&mut self, leg: u64) -> &mut Leg {
        self.legs.get_mut(&leg).expect("the leg exists")
    }

    fn assert_may_hear(&self, leg: u64, rtp: &[HeardRtp], party: &Party) {
        let here = &self.legs[&leg];
        assert!(rtp.is_empty() || here.direction.party_receives(), "leg {leg} may not receive");
        for packet in rtp {
            assert!(party.addresses.contains(&packet.to), "{} is no address of leg {leg}", packet.to);
            let origin = packet.payload.map(|payload| u64::from(payload.origin));
            if let Some(speaker) = origin.and_then(|origin| self.legs.get(&origin)) {
                assert!(!speaker.muted && speaker.direction.party_sends(), "{origin:?} may not be heard");
            }
        }
    }

    fn switch(&mut self, id: CutOverId, changes: Vec<(u64, Hears)>) {
        for (sink, source) in changes {
            let leg = self.leg(sink);
            leg.undo = Some((id, leg.ear.source));
            // The same party again is no change at all.
            if leg.ear.source != source || matches!(source, Hears::Player(..)) {
                leg.ear.hear_from_now_on(source);
                leg.ear.dialled.source_is_replaced();
            }
        }
    }

    fn wait(&mut self, id: CutOverId, changes: Vec<(u64, Hears)>) {
        for (sink, _) in &changes {
            self.leg(*sink).pending = Some(id);
        }
        self.waiting.insert(id, changes);
    }

    fn end_waiting(&mut self, id: CutOverId) {
        for leg in self.legs.values_mut().filter(|leg| leg.pending == Some(id)) {
            leg.pending = None;
        }
    }

    fn roll_back(&mut self, id: CutOverId, by: CutOverId) {
        self.tally.rolled_back += 1;
        if self.waiting.remove(&id).is_some() {
            return;
        }
        let back = |(&sink, leg): (&u64, &Leg)| leg.undo.filter(|undo| undo.0 == id).map(|undo| (sink, undo.1));
        let changes: Vec<_> = self.legs.iter().filter_map(back).collect();
        assert!(!changes.is_empty(), "{id} was rolled back, and nobody had been changed by it");
        self.switch(by, changes);
    }

    fn remove(&mut self, gone: u64) {
        self.legs.remove(&gone);
        // What waits goes on without it, unless an event says that it cannot.
        for changes in self.waiting.values_mut() {
            changes.retain(|(sink, _)| *sink != gone);
        }
        for leg in self.legs.values_mut().filter(|leg| leg.ear.source == Hears::Leg(gone)) {
            leg.ear.hear_from_now_on(Hears::Silence);
        }
    }

    /// Those who hear this leg may find it going on with other numbers.
    fn allow_splices(&mut self, source: u64) {
        for leg in self.legs.values_mut().filter(|leg| leg.ear.source == Hears::Leg(source)) {
            leg.ear.allow_splice();
        }
    }
}

impl Leg {
    fn receive_report(&mut self, bytes: &[u8], party: &Party) {
        let transparent = self.ear.mode == EgressMode::Transparent;
        for block in rtcp::blocks_in(bytes) {
            assert!(
                transparent || party.ssrcs.contains(&block.ssrc.0),
                "a report on somebody else's stream: {block:?}"
            );
        }
        if transparent {
            return;
        }
        if let Some((owner, cname)) = rtcp::cname_in(bytes) {
            let known = self.ear.ssrcs();
            assert!(known.is_empty() || known.contains(&owner.0), "{owner} is none of {known:?}");
            assert_eq!(*self.ear.cname.get_or_insert(cname.clone()), cname, "one CNAME for life");
        }
        let byes = rtcp::byes_in(bytes);
        assert!(byes.is_empty() || self.ear.mode == EgressMode::NewSsrc, "the stream never ends");
        self.ear.byes.extend(byes.iter().map(|ssrc| ssrc.0));
    }
}

fn hears(change: &SourceChange) -> Hears {
    match &change.source {
        Source::Silence => Hears::Silence,
        Source::Leg(leg) => Hears::Leg(leg.0),
        Source::Mix(_) | Source::Overlay(_) => unreachable!("nobody mixes here"),
        Source::Player { frames, repeat } => {
            let clip = Payload::read(frames.payload(0)).expect("a clip of ours").origin - PLAYER;
            let rounds = if let Repeat::Times(rounds) = repeat { Some(*rounds) } else { None };
            Hears::Player(clip, rounds)
        }
    }
}
