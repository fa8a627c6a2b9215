//! Changing sources: the cut-over, its triggers, and the way back.
//!
//! A cut-over is a list of (sink, new source), done in one step between two packets. Whoever fed a sink before is
//! revoked in the same step, so that a sink has one writer at every moment.

mod rollback;
mod validate;

pub(crate) use validate::Plan;

use std::collections::{BTreeMap, BTreeSet};

use arrayvec::ArrayVec;

use crate::command::{CUT_OVER_CHANGES_MAX, CutOver, Source, SourceChange, Trigger};
use crate::event::{Event, TriggerKind};
use crate::ids::{CutOverId, LegId};
use crate::leg::egress::Hearing;
use crate::leg::formats::PayloadTypeMap;
use crate::leg::{Draft, Slot, SourceSlot, Undo};
use crate::mixing::Mix;
use crate::overlay::{Beneath, Playing};
use crate::shard::Shard;
use crate::time::MonoTime;

/// A cut-over that waits, or that can still be undone.
#[derive(Debug)]
pub(crate) struct Record {
    trigger: Trigger,
    commanded_at: MonoTime,
    /// Emptied when it is done.
    changes: Vec<SourceChange>,
    sinks: ArrayVec<Slot, CUT_OVER_CHANGES_MAX>,
}

impl Record {
    /// Slots of the legs that are to hear `source`, and whether with others.
    pub(crate) fn sinks_of(&self, source: LegId) -> impl Iterator<Item = (Slot, bool)> + '_ {
        let hear = self.changes.iter().zip(&self.sinks).filter(move |(change, _)| change.source.has(source));
        hear.map(|(change, &sink)| (sink, matches!(change.source, Source::Mix(_) | Source::Overlay(_))))
    }

    fn is_void_without(&self, gone: impl Fn(LegId) -> bool) -> bool {
        is_void_without(&self.changes, self.trigger, gone)
    }

    /// Leaves out what was to happen to a leg that is gone.
    fn leave_out(&mut self, sink: LegId) {
        if let Some(index) = self.changes.iter().position(|change| change.sink == sink) {
            self.changes.remove(index);
            self.sinks.remove(index);
        }
    }
}

impl CutOver {
    fn is_void_without(&self, gone: impl Fn(LegId) -> bool) -> bool {
        is_void_without(&self.changes, self.trigger, gone)
    }
}

/// Whether a waiting cut-over comes to nothing when legs go away: one of them was to be heard by a leg that stays, the
/// trigger waits for it, or nobody is left to hear anything new. A leg that was only to be given something else to hear
/// may go: the agent hangs up while the target still rings, and the transferee is connected all the same.
fn is_void_without(changes: &[SourceChange], trigger: Trigger, gone: impl Fn(LegId) -> bool) -> bool {
    let staying = || changes.iter().filter(|change| !gone(change.sink));
    let feeds = |leg: LegId| staying().any(|change| change.source.has(leg));
    let lost_its_trigger = match trigger {
        Trigger::OnFirstPacket { leg } => gone(leg) || !feeds(leg),
        Trigger::AfterPrompt { leg } => gone(leg),
        Trigger::Immediate | Trigger::At(_) | Trigger::OnCommand => false,
    };
    let lost_a_source = staying().any(|change| change.source.is_void_without(&gone));
    lost_its_trigger || lost_a_source || staying().next().is_none()
}

/// All cut-overs that wait or can still be undone. Entries are made by commands only, never on the packet path.
#[derive(Debug, Default)]
pub(crate) struct CutOvers {
    records: BTreeMap<CutOverId, Record>,
    /// Those of `records` that are pending.
    waiting: BTreeSet<CutOverId>,
}

impl CutOvers {
    pub(crate) fn get(&self, id: CutOverId) -> Option<&Record> {
        self.records.get(&id)
    }

    /// Forgets a cut-over that can no longer be undone.
    pub(crate) fn forget(&mut self, id: CutOverId) {
        self.records.remove(&id);
    }

    fn is_pending(&self, id: CutOverId) -> bool {
        self.waiting.contains(&id)
    }

    fn pending(&self) -> impl Iterator<Item = (CutOverId, &Record)> + '_ {
        self.waiting.iter().filter_map(|&id| self.records.get(&id).map(|record| (id, record)))
    }

    /// Pending ones that have a time.
    fn timed(&self) -> impl Iterator<Item = (CutOverId, MonoTime)> + '_ {
        self.pending().filter_map(|(id, record)| match record.trigger {
            Trigger::At(at) => Some((id, at)),
            _ => None,
        })
    }
}

impl Shard {
    /// Starts a cut-over that the batch's validation has accepted.
    pub(crate) fn begin(&mut self, cut_over: &CutOver, now: MonoTime) {
        let sinks = cut_over.changes.iter().filter_map(|change| self.legs.slot(change.sink)).collect();
        let record = Record { trigger: cut_over.trigger, commanded_at: now, changes: cut_over.changes.clone(), sinks };
        self.cut_overs.records.insert(cut_over.id, record);
        self.cut_overs.waiting.insert(cut_over.id);
        if let Trigger::Immediate = cut_over.trigger {
            self.fire(cut_over.id, now);
            return;
        }
        self.mark_pending(cut_over.id, true);
        if let Trigger::At(at) = cut_over.trigger {
            self.next_timed = Some(self.next_timed.map_or(at, |next| next.min(at)));
        }
    }

    /// Does a pending cut-over, all of its changes.
    pub(crate) fn fire(&mut self, id: CutOverId, now: MonoTime) {
        if !self.cut_overs.waiting.remove(&id) {
            return;
        }
        self.mark_pending(id, false);
        let Some(record) = self.cut_overs.records.get_mut(&id) else { return };
        let changes = core::mem::take(&mut record.changes);
        let trigger = record.trigger.kind();
        let draft = Draft { id, trigger, commanded_at: record.commanded_at, switched_at: now, stale: 0 };
        if trigger != TriggerKind::Immediate {
            self.outbox.event(Event::Switched { id });
        }
        for change in &changes {
            if let Some(sink) = self.legs.slot(change.sink) {
                self.switch(sink, &change.source, draft, now);
            }
        }
        self.refresh_ears();
    }

    /// Fires what was to happen by `now`.
    pub(crate) fn fire_timed(&mut self, now: MonoTime) {
        while self.next_timed.is_some_and(|at| at <= now) {
            let due = self.cut_overs.timed().find(|&(_, at)| at <= now);
            if let Some((id, _)) = due {
                self.fire(id, now);
            }
            self.next_timed = self.cut_overs.timed().map(|(_, at)| at).min();
        }
    }

    /// Cancels every pending cut-over that comes to nothing without a leg that is going away, and leaves the leg out of
    /// the others.
    pub(crate) fn do_without(&mut self, leg: LegId) {
        while let Some(id) = self.pending_void_without(leg) {
            self.cancel(id);
            self.outbox.event(Event::CutOverCancelled { id, gone: Some(leg) });
        }
        let CutOvers { records, waiting } = &mut self.cut_overs;
        for id in waiting.iter() {
            if let Some(record) = records.get_mut(id) {
                record.leave_out(leg);
            }
        }
    }

    fn pending_void_without(&self, leg: LegId) -> Option<CutOverId> {
        let void = |record: &Record| record.is_void_without(|other| other == leg);
        self.cut_overs.pending().find(|(_, record)| void(record)).map(|(id, _)| id)
    }

    fn cancel(&mut self, id: CutOverId) {
        self.mark_pending(id, false);
        self.cut_overs.waiting.remove(&id);
        self.cut_overs.forget(id);
        self.next_timed = self.cut_overs.timed().map(|(_, at)| at).min();
    }

    /// Notes at every leg concerned that the cut-over waits, or that it no longer does.
    fn mark_pending(&mut self, id: CutOverId, waits: bool) {
        let mark = waits.then_some(id);
        let Some(record) = self.cut_overs.records.get(&id) else { return };
        let trigger = record.trigger;
        for &sink in &record.sinks {
            let pending = &mut self.legs.cold[sink as usize].pending;
            if waits || *pending == Some(id) {
                *pending = mark;
            }
        }
        match trigger {
            Trigger::OnFirstPacket { leg } => {
                if let Some(source) = self.legs.slot(leg) {
                    self.legs.cold[source as usize].awaited_by = mark;
                    self.legs.ingress[source as usize].set_awaited(waits);
                    self.legs.refresh_flags(source);
                }
            }
            Trigger::AfterPrompt { leg } => {
                if let Some(listener) = self.legs.slot(leg) {
                    self.legs.cold[listener as usize].prompt_awaited_by = mark;
                }
            }
            Trigger::Immediate | Trigger::At(_) | Trigger::OnCommand => {}
        }
    }

    /// Gives one leg a new source.
    fn switch(&mut self, sink: Slot, source: &Source, draft: Draft, now: MonoTime) {
        let at = sink as usize;
        let previous = self.source_of(sink);
        let unchanged = !matches!(source, Source::Player { .. }) && *source == previous;
        if let Some(undo) = self.legs.cold[at].undo.replace(Undo { id: draft.id, previous })
            && undo.id != draft.id
        {
            // One leg of it has moved on: that cut-over can no longer be undone as a whole.
            self.cut_overs.forget(undo.id);
        }
        self.legs.cold[at].draft = None;
        if unchanged {
            self.conclude_without_a_packet(sink, draft);
            return;
        }
        self.end_event_in_flight(sink, now);
        self.release_key(sink, now);
        let going_on = match source {
            Source::Overlay(overlay) => self.legs.take_prompt(sink, overlay.prompt.id),
            _ => None,
        };
        let since = self.goes_on_since(sink, source).unwrap_or(now);
        self.detach(sink, Some((draft.id, now)));
        match source {
            Source::Silence => self.conclude_without_a_packet(sink, draft),
            Source::Leg(source) => {
                let Some(source) = self.legs.slot(*source) else { return };
                self.legs.egress[at].source = SourceSlot::Leg(source);
                self.legs.link(source, sink);
                self.legs.cold[at].draft = Some(draft);
                // Whoever speaks to someone again is not late for whom he spoke to before.
                self.legs.cold[source as usize].former_sink = None;
                self.map_payload_types(sink);
            }
            Source::Mix(talkers) => {
                self.legs.cold[at].draft = Some(draft);
                self.begin_mix(sink, talkers, None, None);
            }
            Source::Overlay(overlay) => {
                self.legs.cold[at].draft = Some(draft);
                let playing = going_on.unwrap_or_else(|| Playing::begin(&overlay.prompt, now));
                let beneath = overlay.under.clone().map(|under| Box::new(Beneath { under, at: since }));
                self.begin_mix(sink, &overlay.talkers, beneath, Some(playing));
            }
            Source::Player { frames, repeat } => {
                self.legs.cold[at].draft = Some(draft);
                if !self.start_player(sink, frames.clone(), *repeat, since, now) {
                    // Its codecs were replaced while the cut-over waited.
                    self.legs.cold[at].draft = None;
                    self.conclude_without_a_packet(sink, draft);
                }
            }
        }
    }

    /// Takes a leg's source away. `by` says which cut-over did it, so that late packets can be told.
    pub(crate) fn detach(&mut self, sink: Slot, by: Option<(CutOverId, MonoTime)>) {
        let at = sink as usize;
        match core::mem::replace(&mut self.legs.egress[at].source, SourceSlot::Silence) {
            SourceSlot::Silence => {}
            SourceSlot::Leg(source) => {
                self.legs.unlink(source, sink);
                self.legs.cold[source as usize].former_sink = by.map(|(id, at)| (sink, id, at));
            }
            SourceSlot::Mix => self.end_mix(sink, by),
            SourceSlot::Player => self.stop_player(sink),
        }
        self.legs.egress[at].splice_next();
        self.end_made(sink);
        self.legs.egress[at].hearing = Hearing::AsIs;
        self.legs.cold[at].event_in_flight = None;
        self.legs.cold[at].event_skipped = None;
    }

    /// Recomputes what a leg's source is to it: its payload types, and whether it has to be transcoded.
    pub(crate) fn map_payload_types(&mut self, sink: Slot) {
        let at = sink as usize;
        let source = match self.legs.egress[at].source {
            SourceSlot::Leg(source) => source,
            SourceSlot::Mix => return self.begin_mix_anew(sink),
            SourceSlot::Silence | SourceSlot::Player => return,
        };
        if self.transcodes(source, sink) {
            self.legs.egress[at].hearing = Hearing::Made;
            self.legs.cold[at].payload_types = PayloadTypeMap::nothing();
            return self.begin_transcoding(source, sink);
        }
        let was_made = self.legs.egress[at].is_made();
        self.end_made(sink);
        if was_made {
            self.legs.egress[at].resume_next();
        }
        let map = self.map_between(source, sink);
        self.prepare_by_packet(source, sink, &map);
        self.legs.egress[at].hearing = if map.is_identity() { Hearing::AsIs } else { Hearing::Mapped };
        self.legs.cold[at].payload_types = map;
    }

    /// What feeds a leg, in the words of the command that would bring it back.
    fn source_of(&self, sink: Slot) -> Source {
        match self.legs.egress[sink as usize].source {
            SourceSlot::Silence => Source::Silence,
            SourceSlot::Leg(source) => Source::Leg(self.legs.cold[source as usize].id),
            SourceSlot::Mix => self.legs.mixes.get(&sink).map_or(Source::Silence, Mix::as_source),
            SourceSlot::Player => {
                let player = self.legs.cold[sink as usize].player.as_ref();
                player.map_or(Source::Silence, crate::player::Player::as_source)
            }
        }
    }

    /// The receipt of a change after which no first packet is to be expected.
    fn conclude_without_a_packet(&mut self, sink: Slot, draft: Draft) {
        let cold = &mut self.legs.cold[sink as usize];
        let receipt = draft.receipt(cold.id, draft.switched_at);
        cold.last_receipt = Some(receipt);
        self.outbox.event(Event::CutOver(receipt));
    }
}

impl Trigger {
    const fn kind(self) -> TriggerKind {
        match self {
            Self::Immediate => TriggerKind::Immediate,
            Self::OnFirstPacket { .. } => TriggerKind::OnFirstPacket,
            Self::At(_) => TriggerKind::At,
            Self::OnCommand => TriggerKind::OnCommand,
            Self::AfterPrompt { .. } => TriggerKind::AfterPrompt,
        }
    }
}
