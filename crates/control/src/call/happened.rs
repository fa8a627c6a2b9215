//! What the engine tells on its own, and what it means for the model.

use core::net::SocketAddr;
use core::time::Duration;
use std::sync::Arc;

use patchcord_recording::RecordingId;
use patchcord_relay::detection::{Detection, What};
use patchcord_relay::event::{Event, Receipt};
use patchcord_relay::ids::{CutOverId, LegId};
use patchcord_relay::time::MonoTime;

use super::model::Hearing;
use super::record::{Proof, Record};
use super::{Call, Inner, Tell};
use crate::api::{Answered, CutOverEvent, CutOverState, EventKind, PlayEnd, ReceiptView, Sound, TriggerName};

/// Something that is left to be done about a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Chore {
    /// What was played to the leg is over: put back what it heard before.
    FinishPlay { leg: LegId, serial: u32 },
    /// The party has done what ends what is played to it.
    BargeIn { leg: LegId, serial: u32 },
    /// Something that could have been ended so is not played any more: parties are perhaps listened to for nothing.
    EndListening,
    /// A recording has failed: the call is not recorded any more.
    EndRecording { id: RecordingId },
    /// Delete the old leg of a swap, unless the swap is undone by then.
    DropLeg { leg: LegId, cut_over: CutOverId, after: Duration },
    /// A human has answered for whom this has waited.
    Fire { cut_over: CutOverId },
}

impl Inner {
    /// The engine tells something about the call.
    pub(crate) fn happened(&mut self, call: &Call, at: MonoTime, event: Event, tell: Tell<'_>) -> Vec<Chore> {
        if self.closed {
            return Vec::new();
        }
        if self.in_flight {
            self.put_off.push((at, event));
            return Vec::new();
        }
        match event {
            Event::Switched { id } => return self.switched(call, at, id, tell),
            Event::CutOver(receipt) => return self.proven(call, at, receipt, tell),
            Event::CutOverCancelled { id, gone } => return self.cancelled(call, at, id, gone, tell),
            Event::PlayFinished { leg } => return self.play_finished(call, at, leg, tell),
            Event::Detected { leg, detection } => return self.detected(call, at, leg, &detection, tell),
            Event::Latched { leg, source } => self.plain(call, at, leg, latched(source), tell),
            Event::FirstPacket { leg, ssrc } => {
                self.plain(call, at, leg, EventKind::FirstPacket { ssrc: ssrc.0 }, tell);
            }
            Event::MediaTimeout { leg, silent_ms } => {
                self.plain(call, at, leg, EventKind::MediaTimeout { silent_ms }, tell);
            }
            Event::SsrcChanged { leg, from, to } => {
                self.plain(call, at, leg, EventKind::SsrcChanged { from: from.0, to: to.0 }, tell);
            }
            Event::SrtpFailing { leg, reason, packets } => {
                let failing = EventKind::SrtpFailing { reason: reason.name().to_owned(), packets };
                self.plain(call, at, leg, failing, tell);
            }
            Event::DtmfFinished { leg, sent, tones, dropped } => {
                self.plain(call, at, leg, EventKind::DtmfFinished { sent, tones, dropped }, tell);
            }
            other => tracing::debug!(call = %call.name.name, event = ?other, "the engine told something unknown"),
        }
        Vec::new()
    }

    /// The trigger of a waiting cut-over has fired: the model takes the step that the engine took.
    fn fire(&mut self, call: &Call, at: MonoTime, id: CutOverId, tell: Tell<'_>) -> Vec<Chore> {
        let Some(record) = self.model.records.get_mut(id) else { return Vec::new() };
        if record.state != CutOverState::Pending {
            return Vec::new();
        }
        record.state = CutOverState::Done;
        let legs = &mut self.model.legs;
        let mut chores = record.chores();
        for part in &mut record.parts {
            let Some(leg) = legs.get_mut(part.leg) else { continue };
            if part.settled {
                core::mem::swap(&mut leg.hearing, &mut part.hearing);
                if part.hearing.is_stopped_by(&leg.hearing) {
                    let stopped = EventKind::PlayFinished { ended: PlayEnd::Stopped };
                    tell(call.event(at, Some(Arc::clone(&leg.party)), stopped));
                }
            } else {
                // It loses or gets a peer; what is played to it may have ended since.
                let (peer, conference) = (part.hearing.peer, part.hearing.company().conference);
                part.hearing = leg.hearing.clone();
                leg.hearing.peer = peer;
                leg.hearing.change_company(|company| company.conference = conference);
            }
            part.changed_by = leg.changed_by.replace(id);
            chores.extend(finished(part.leg, &leg.hearing));
            chores.extend((leg.only_barges_in && !leg.may_barge_in()).then_some(Chore::EndListening));
        }
        legs.forget_the_gone();
        call.changed.notify_waiters();
        chores
    }

    fn proven(&mut self, call: &Call, at: MonoTime, receipt: Receipt, tell: Tell<'_>) -> Vec<Chore> {
        let Some(record) = self.model.records.get_mut(receipt.id) else {
            tracing::debug!(call = %call.name.name, cut_over = receipt.id.0, "a receipt for a cut-over that is forgotten");
            return Vec::new();
        };
        let Some(leg) = self.model.legs.get(receipt.sink) else { return Vec::new() };
        let party = Arc::clone(&leg.party);
        let view = ReceiptView::new(Arc::clone(&party), &receipt);
        record.receipts.push(Proof { party: Arc::clone(&party), receipt });
        let told = CutOverEvent {
            cut_over: record.id.0,
            id: record.request.clone(),
            command: record.command,
            receipt: (&view).into(),
        };
        tell(call.event(at, Some(party), EventKind::CutOver(told)));
        call.changed.notify_waiters();
        Vec::new()
    }

    /// A waiting cut-over has happened.
    fn switched(&mut self, call: &Call, at: MonoTime, id: CutOverId, tell: Tell<'_>) -> Vec<Chore> {
        let Some(record) = self.model.records.get_mut(id) else { return Vec::new() };
        if record.state != CutOverState::Cancelled {
            return self.fire(call, at, id, tell);
        }
        // It happened before what was to cancel it reached the engine. A rollback has undone all of it; after the
        // deletion of one of its legs, those that nothing has changed since are as it left them.
        record.state = CutOverState::RolledBack;
        if !record.lost_a_leg {
            return Vec::new();
        }
        record.state = CutOverState::Done;
        for part in &record.parts {
            if let Some(leg) = self.model.legs.get_mut(part.leg)
                && leg.changed_by == part.changed_by
            {
                leg.hearing = part.hearing.clone();
                leg.changed_by = Some(id);
            }
        }
        self.model.legs.forget_the_gone();
        Vec::new()
    }

    fn cancelled(
        &mut self,
        call: &Call,
        at: MonoTime,
        id: CutOverId,
        gone: Option<LegId>,
        tell: Tell<'_>,
    ) -> Vec<Chore> {
        let Some(record) = self.model.records.get_mut(id) else { return Vec::new() };
        if record.state == CutOverState::Pending {
            record.state = CutOverState::Cancelled;
            let gone = gone.and_then(|leg| self.model.legs.get(leg)).map(|leg| Arc::clone(&leg.party));
            let kind = EventKind::CutOverCancelled { cut_over: id.0, id: record.request.clone(), gone };
            tell(call.event(at, None, kind));
        }
        call.changed.notify_waiters();
        // A prompt may have ended while its leg could not be changed.
        let finished = self.model.legs.0.iter().filter_map(|leg| finished(leg.id, &leg.hearing));
        finished.collect()
    }

    fn play_finished(&mut self, call: &Call, at: MonoTime, leg: LegId, tell: Tell<'_>) -> Vec<Chore> {
        let Some(found) = self.model.legs.get_mut(leg) else { return Vec::new() };
        let party = Arc::clone(&found.party);
        let Some(play) = &mut found.hearing.play else { return Vec::new() };
        // The end of something that was played before.
        if at < play.since || !(play.has_an_end() || play.barged_in) || play.finished {
            return Vec::new();
        }
        play.finished = true;
        let ended = if play.barged_in { PlayEnd::BargedIn } else { PlayEnd::Finished };
        let chore = finished(leg, &found.hearing);
        tell(call.event(at, Some(party), EventKind::PlayFinished { ended }));
        let waiting = self
            .model
            .records
            .pending()
            .find(|record| record.awaits(TriggerName::AfterPrompt, leg))
            .map(|record| record.id);
        match waiting {
            Some(id) => self.fire(call, at, id, tell),
            None => chore.into_iter().collect(),
        }
    }

    /// Something was heard of a party, perhaps what a cut-over waits for.
    fn detected(&mut self, call: &Call, at: MonoTime, leg: LegId, detection: &Detection, tell: Tell<'_>) -> Vec<Chore> {
        // What is late is of no interest to anybody any more.
        let Some(found) = self.model.legs.get_mut(leg).filter(|leg| leg.ears.detector.is_some()) else {
            return Vec::new();
        };
        let is_human = detection.what == What::Human;
        if is_human || !found.answered.as_ref().is_some_and(|answered| answered.sound == Sound::Human) {
            let heard = Answered::of(detection, at);
            found.answered = heard.map(Box::new).or_else(|| found.answered.take());
        }
        let mut chores = Vec::new();
        if let Some(play) = &mut found.hearing.play
            && play.ends_by(detection.what)
            && !play.barged_in
        {
            play.barged_in = true;
            chores.push(Chore::BargeIn { leg, serial: play.serial });
        }
        if let Some(kind) = super::detection::event_of(detection) {
            self.plain(call, at, leg, kind, tell);
        }
        let waits = self.model.records.pending().filter(|record| is_human && record.awaits(TriggerName::OnHuman, leg));
        chores.extend(waits.map(|record| Chore::Fire { cut_over: record.id }));
        chores
    }

    fn plain(&self, call: &Call, at: MonoTime, leg: LegId, kind: EventKind, tell: Tell<'_>) {
        if let Some(leg) = self.model.legs.get(leg) {
            tell(call.event(at, Some(Arc::clone(&leg.party)), kind));
        }
    }
}

impl Record {
    /// What is left to be done once the cut-over is in this state.
    pub(super) fn chores(&self) -> Vec<Chore> {
        let cut_over = self.id;
        match self.state {
            CutOverState::Done => {
                let drop = self.drop_old.as_deref().map(|&(leg, ms)| {
                    let after = Duration::from_millis(ms.into());
                    Chore::DropLeg { leg, cut_over, after }
                });
                drop.into_iter().collect()
            }
            CutOverState::Pending | CutOverState::Cancelled | CutOverState::RolledBack => Vec::new(),
        }
    }
}

fn finished(leg: LegId, hearing: &Hearing) -> Option<Chore> {
    let play = hearing.play.as_ref().filter(|play| play.finished)?;
    Some(Chore::FinishPlay { leg, serial: play.serial })
}

const fn latched(source: SocketAddr) -> EventKind {
    EventKind::Latched { source }
}
