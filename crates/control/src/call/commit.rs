//! Putting a plan in force, and the answer to it.

use patchcord_relay::ids::CutOverId;
use patchcord_relay::time::MonoTime;

use super::happened::Chore;
use super::plan::{Draft, Plan};
use super::{Call, Inner, Tell};
use crate::api::{Command, CommandAnswer, CutOverResult, CutOverState, Detail, LegDeleted, Outcome, PartyDone};

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
        self.land(call, tell)
    }

    /// The engine applied the batch at `at`: the plan is in force.
    pub(crate) fn commit(
        &mut self,
        call: &Call,
        plan: Plan<'_>,
        at: MonoTime,
        tell: Tell<'_>,
    ) -> (Settled, Vec<Chore>) {
        let plays_before = self.model.plays;
        let Plan { env, model, drafts, news, leases, freed, .. } = plan;
        self.model = model;
        for leg in &mut self.model.legs.0 {
            if let Some(play) = &mut leg.hearing.play
                && play.serial > plays_before
            {
                play.since = at;
            }
        }
        leases.keep();
        for lease in freed {
            env.interfaces.release(lease);
        }
        for (party, kind) in news {
            tell(call.event(at, party, kind));
        }
        let mut chores = self.chores_after_commit(&drafts);
        chores.extend(self.land(call, tell));
        (Settled { drafts }, chores)
    }

    /// Catches up with what the engine told in the meantime.
    fn land(&mut self, call: &Call, tell: Tell<'_>) -> Vec<Chore> {
        self.in_flight = false;
        let put_off = core::mem::take(&mut self.put_off);
        call.changed.notify_waiters();
        put_off.into_iter().flat_map(|(at, event)| self.happened(call, at, event, tell)).collect()
    }

    /// Whether everything that the request will ever have receipts for has them.
    pub(crate) fn is_complete(&self, settled: &Settled) -> bool {
        settled.cut_overs().all(|id| self.model.records.get(id).is_none_or(super::record::Record::is_complete))
    }

    /// The answer to a batch that is in force, as things stand now.
    pub(crate) fn answer(&self, id: &str, commands: &[Command], settled: Settled) -> CommandAnswer {
        let results = commands.iter().zip(settled.drafts).map(|(command, draft)| Outcome {
            command: command.name(),
            detail: match draft {
                Draft::Created(created) => Detail::Created(created),
                Draft::Check(result) => Detail::Check(result),
                Draft::Done(party) => Detail::Done(PartyDone { party }),
                Draft::Deleted { party, cancelled } => {
                    Detail::Deleted(LegDeleted { party, cancelled: cancelled.iter().map(|id| id.0).collect() })
                }
                Draft::CutOver(ids) => Detail::CutOver(self.cut_over_result(&ids)),
            },
        });
        CommandAnswer { id: id.to_owned(), results: results.collect() }
    }

    fn cut_over_result(&self, ids: &[CutOverId]) -> CutOverResult {
        let records: Vec<_> = ids.iter().filter_map(|&id| self.model.records.get(id)).collect();
        CutOverResult {
            cut_over: ids.first().map(|id| id.0),
            state: records.first().map_or(CutOverState::Done, |record| record.state),
            receipts: records.iter().flat_map(|record| record.receipt_views()).collect(),
        }
    }

    /// Times that begin with the commit: those of cut-overs that happened at once or at a given time.
    fn chores_after_commit(&self, drafts: &[Draft]) -> Vec<Chore> {
        let ids = drafts.iter().flat_map(Draft::cut_overs);
        ids.filter_map(|id| self.model.records.get(id)).flat_map(super::record::Record::chores).collect()
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
