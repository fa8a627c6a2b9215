//! Putting a plan in force, and the answer to it.

use std::sync::Arc;

use patchcord_relay::event::Event;
use patchcord_relay::ids::CutOverId;
use patchcord_relay::time::MonoTime;

use super::happened::Chore;
use super::model::{CallModel, Leg};
use super::plan::{Draft, Plan};
use super::record::Record;
use super::{Call, Inner, Tell};
use crate::api::{
    Command, CommandAnswer, CutOverResult, CutOverState, Detail, EventKind, LegDeleted, Outcome, PartyDone, PlayEnd,
    RecordingDone,
};

/// What is left of a plan that is in force: enough to answer.
#[derive(Debug)]
pub(crate) struct Settled {
    drafts: Vec<Draft>,
}

impl Inner {
    /// A batch goes to the engine now: what the engine tells is put off.
    pub(crate) const fn take_off(&mut self) {
        self.in_flight = true;
    }

    /// The batch was refused: the model stays as it was.
    pub(crate) fn give_up(&mut self, call: &Call, tell: Tell<'_>) -> Vec<Chore> {
        let put_off = self.land();
        put_off.into_iter().flat_map(|(at, event)| self.happened(call, at, event, tell)).collect()
    }

    /// The call is part of another one from now on, whose model has its legs already. Gives what the engine told meanwhile.
    pub(crate) fn hand_over(&mut self) -> Vec<(MonoTime, Event)> {
        self.closed = true;
        self.model = CallModel::default();
        self.land()
    }

    /// The engine applied the batch at `at`: the plan is in force.
    pub(crate) fn commit(
        &mut self,
        call: &Call,
        plan: Plan<'_>,
        at: MonoTime,
        tell: Tell<'_>,
    ) -> (Settled, Vec<Chore>) {
        let serials_before = self.model.serials;
        let was_recorded = self.model.recording.is_some();
        let stopped = self.stopped_by(&plan.model);
        let Plan { env, model, drafts, news, leases, freed, associations, ended, discards, .. } = plan;
        self.model = model;
        // A call lives long and changes seldom.
        self.model.legs.0.shrink_to_fit();
        self.model.records.shrink();
        for leg in &mut self.model.legs.0 {
            if let Some(play) = &mut leg.hearing.play
                && play.serial > serials_before
            {
                play.since = at;
            }
        }
        // All calls share the recorder, and few are recorded.
        if was_recorded || self.model.recording.is_some() {
            env.recorder.follow(&call.name, &self.model, discards, at);
        }
        leases.keep();
        for lease in freed {
            env.interfaces.release(lease);
        }
        associations.keep();
        for association in ended {
            env.handshakes.end(association);
        }
        let (before, after): (Vec<_>, Vec<_>) = self.land().into_iter().partition(|(then, _)| *then < at);
        let mut chores = Vec::new();
        for (at, event) in before {
            chores.extend(self.happened(call, at, event, tell));
        }
        for party in stopped {
            tell(call.event(at, Some(party), EventKind::PlayFinished { ended: PlayEnd::Stopped }));
        }
        for (party, kind) in news {
            // What was to be cancelled may have happened just before.
            if !matches!(kind, EventKind::CutOverCancelled { cut_over, .. } if !self.is_cancelled(CutOverId(cut_over)))
            {
                tell(call.event(at, party, kind));
            }
        }
        let ids = drafts.iter().flat_map(Draft::cut_overs);
        chores.extend(ids.filter_map(|id| self.model.records.get(id)).flat_map(Record::chores));
        for (at, event) in after {
            chores.extend(self.happened(call, at, event, tell));
        }
        call.changed.notify_waiters();
        (Settled { drafts }, chores)
    }

    /// The batch is no longer on its way; what the engine told in the meantime is to be caught up with.
    fn land(&mut self) -> Vec<(MonoTime, Event)> {
        self.in_flight = false;
        core::mem::take(&mut self.put_off)
    }

    /// The parties whose prompts are played no longer after this, without having come to their end.
    fn stopped_by(&self, after: &CallModel) -> Vec<Arc<str>> {
        let stopped = |was: &&Leg| after.legs.get(was.id).is_some_and(|will| was.hearing.is_stopped_by(&will.hearing));
        self.model.legs.0.iter().filter(stopped).map(|leg| Arc::clone(&leg.party)).collect()
    }

    fn is_cancelled(&self, id: CutOverId) -> bool {
        self.model.records.get(id).is_none_or(|record| record.state == CutOverState::Cancelled)
    }

    /// Whether everything that the request will ever have receipts for has them.
    pub(crate) fn is_complete(&self, settled: &Settled) -> bool {
        settled.cut_overs().all(|id| self.model.records.is_complete(id, &self.model.legs))
    }

    /// The answer to a batch that is in force, as things stand now.
    pub(crate) fn answer(&self, id: Arc<str>, commands: &[Command], settled: Settled) -> CommandAnswer {
        let results = commands.iter().zip(settled.drafts).map(|(command, draft)| Outcome {
            command: command.name(),
            detail: match draft {
                Draft::Created(created) => Detail::Created(created),
                Draft::Ice(done) => Detail::Ice(done),
                Draft::Srtp(done) => Detail::Srtp(done),
                Draft::Dtls(done) => Detail::Dtls(done),
                Draft::Check(result) => Detail::Check(result),
                Draft::Recording(recording) => Detail::Recording(RecordingDone { recording }),
                Draft::Done(party) => Detail::Done(PartyDone { party }),
                Draft::Deleted { party, cancelled } => Detail::Deleted(LegDeleted {
                    party,
                    cancelled: cancelled.into_iter().filter(|&id| self.is_cancelled(id)).map(|id| id.0).collect(),
                }),
                Draft::CutOver(ids) => Detail::CutOver(self.cut_over_result(&ids)),
            },
        });
        CommandAnswer { id, results: results.collect() }
    }

    fn cut_over_result(&self, ids: &[CutOverId]) -> CutOverResult {
        let records: Vec<_> = ids.iter().filter_map(|&id| self.model.records.get(id)).collect();
        CutOverResult {
            cut_over: ids.first().map(|id| id.0),
            state: records.first().map_or(CutOverState::Done, |record| record.state),
            receipts: records.iter().flat_map(|record| record.receipt_views()).collect(),
        }
    }
}

impl Settled {
    fn cut_overs(&self) -> impl Iterator<Item = CutOverId> {
        self.drafts.iter().flat_map(Draft::cut_overs)
    }
}

impl Draft {
    fn cut_overs(&self) -> impl Iterator<Item = CutOverId> + use<> {
        let ids = if let Self::CutOver(ids) = self { ids.clone() } else { Vec::new() };
        ids.into_iter()
    }
}
