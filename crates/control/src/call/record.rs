//! The cut-overs of a call: those that wait, and the latest of the others with their receipts.

use std::sync::Arc;

use patchcord_relay::event::Receipt;
use patchcord_relay::ids::{CutOverId, LegId};

use super::model::{Company, Heard, Hearing, Legs};
use crate::api::{CommandName, CutOverState, CutOverView, ReceiptView, TriggerName};

/// How many cut-overs that wait no longer are kept for a call.
const FINISHED_MAX: usize = 16;

/// Cut-overs, oldest first.
#[derive(Clone, Debug, Default)]
pub(crate) struct Records {
    list: Vec<Record>,
    /// Commanded so far.
    pub(crate) count: u64,
}

/// A cut-over.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub(crate) id: CutOverId,
    /// The id of the request that commanded it; `None` where the end of a prompt did.
    pub(crate) request: Option<Arc<str>>,
    pub(crate) command: CommandName,
    pub(crate) trigger: TriggerName,
    pub(crate) state: CutOverState,
    /// The legs it changes: as they will be while it waits, as they were before once it is done.
    pub(crate) parts: Box<[Part]>,
    /// One of its legs was deleted while it waited.
    pub(crate) lost_a_leg: bool,
    /// The leg whose prompt it waits for, or whose being a human: as its trigger says.
    pub(crate) awaited: Option<LegId>,
    /// The leg that is deleted after the switch, and how many milliseconds later. Few have one.
    pub(crate) drop_old: Option<Box<(LegId, u32)>>,
    /// Of each part whose source changes, if nothing else changes it before its first packet.
    pub(crate) receipts: Vec<Proof>,
}

/// What a cut-over does with one leg.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    pub(crate) leg: LegId,
    pub(crate) hearing: Hearing,
    /// The leg's latest cut-over before this one.
    pub(crate) changed_by: Option<CutOverId>,
    /// Its source changes; otherwise only what will be heard later.
    pub(crate) sink: bool,
    /// What it hears afterwards does not depend on what is played to it until then.
    pub(crate) settled: bool,
}

/// A receipt, with the party even if its leg is gone.
#[derive(Clone, Debug)]
pub(crate) struct Proof {
    pub(crate) party: Arc<str>,
    pub(crate) receipt: Receipt,
}

impl Records {
    pub(crate) fn push(&mut self, record: Record) {
        self.count += 1;
        self.list.push(record);
        let mut finished = self.list.iter().filter(|record| record.state != CutOverState::Pending).count();
        self.list.retain(|record| {
            let keep = record.state == CutOverState::Pending || finished <= FINISHED_MAX;
            finished -= usize::from(!keep);
            keep
        });
    }

    /// Takes over the cut-overs of another call.
    pub(crate) fn absorb(&mut self, other: Self) {
        self.count += other.count;
        self.list.extend(other.list);
        self.list.sort_by_key(|record| record.id);
    }

    /// Gives back the room for more.
    pub(crate) fn shrink(&mut self) {
        self.list.shrink_to_fit();
    }

    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = &Record> {
        self.list.iter()
    }

    pub(crate) fn get(&self, id: CutOverId) -> Option<&Record> {
        self.list.iter().find(|record| record.id == id)
    }

    pub(crate) fn get_mut(&mut self, id: CutOverId) -> Option<&mut Record> {
        self.list.iter_mut().find(|record| record.id == id)
    }

    /// Whether all receipts of a cut-over are in that will ever come.
    pub(crate) fn is_complete(&self, id: CutOverId, legs: &Legs) -> bool {
        let Some(record) = self.get(id) else { return true };
        match record.state {
            CutOverState::Pending => false,
            CutOverState::Cancelled | CutOverState::RolledBack => true,
            CutOverState::Done => {
                let sinks = record.parts.iter().filter(|part| part.sink);
                let proven = |leg| record.receipts.iter().any(|proof| proof.receipt.sink == leg);
                sinks.map(|part| part.leg).all(|leg| proven(leg) || self.is_overtaken(id, leg, legs))
            }
        }
    }

    /// Whether a leg has another source by now than this cut-over gave it, or none, or is gone: no first packet will come of it.
    fn is_overtaken(&self, id: CutOverId, leg: LegId, legs: &Legs) -> bool {
        let Some(state) = legs.get(leg) else { return true };
        let changes = |later: &Record| {
            later.id > id && later.state == CutOverState::Done && later.part(leg).is_some_and(|part| part.sink)
        };
        legs.heard(state) == Heard::Silence || state.changed_by != Some(id) && self.iter().any(changes)
    }

    /// Those that wait for their trigger.
    pub(crate) fn pending(&self) -> impl Iterator<Item = &Record> {
        self.list.iter().filter(|record| record.state == CutOverState::Pending)
    }

    /// The one that will change this leg.
    pub(crate) fn pending_for(&self, leg: LegId) -> Option<&Record> {
        self.pending().find(|record| record.part(leg).is_some())
    }
}

impl Record {
    pub(crate) fn part(&self, leg: LegId) -> Option<&Part> {
        self.parts.iter().find(|part| part.leg == leg)
    }

    /// Whether this waiting cut-over comes to nothing without the leg, as the engine judges it: the leg was to be heard by
    /// another, its prompt is waited for, or nobody else was to hear anything new.
    pub(crate) fn is_void_without(&self, leg: LegId) -> bool {
        let mut staying = self.parts.iter().filter(|part| part.sink && part.leg != leg).peekable();
        let hears_it = |part: &Part| {
            let Hearing { peer, hold, play, .. } = &part.hearing;
            let Company { conference, monitor, whisper, .. } = part.hearing.company();
            let with = |other: &&Part| other.leg != part.leg && other.hearing.confers(*conference);
            let mut heard: Vec<LegId> = match (monitor, conference) {
                (Some(of), _) => of.to_vec(),
                (None, Some(_)) => self.parts.iter().filter(with).map(|other| other.leg).collect(),
                (None, None) => peer.iter().copied().collect(),
            };
            heard.extend(whisper.iter().map(|whisper| whisper.leg));
            !heard.is_empty() && heard.iter().all(|heard| *heard == leg) && hold.is_none() && play.is_none()
        };
        self.awaits(TriggerName::AfterPrompt, leg) || staying.peek().is_none() || staying.any(hears_it)
    }

    /// Leaves a leg out that is deleted while this waits.
    pub(crate) fn leave_out(&mut self, leg: LegId) {
        self.drop_old = self.drop_old.take().filter(|drop| drop.0 != leg);
    }

    /// Whether it waits for the end of this leg's prompt, or for the leg to be a human.
    pub(crate) fn awaits(&self, trigger: TriggerName, leg: LegId) -> bool {
        self.trigger == trigger && self.awaited == Some(leg)
    }

    pub(crate) fn receipt_views(&self) -> impl Iterator<Item = ReceiptView> {
        self.receipts.iter().map(|proof| ReceiptView::new(Arc::clone(&proof.party), &proof.receipt))
    }

    pub(crate) fn view(&self) -> CutOverView {
        CutOverView {
            cut_over: self.id.0,
            id: self.request.clone(),
            command: self.command,
            state: self.state,
            trigger: self.trigger,
            receipts: self.receipt_views().collect(),
        }
    }
}
