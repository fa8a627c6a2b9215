//! Undoing a command: its cut-overs are cancelled where they wait, and answered by one cut-over back where they happened.

use patchcord_relay::command;
use patchcord_relay::ids::CutOverId;

use super::change::How;
use super::plan::{Draft, Plan};
use super::record::Record;
use crate::api::{CommandName, CutOverState, EventKind};
use crate::error::{ApiError, ErrorCode};

impl Plan<'_> {
    pub(super) fn rollback(&mut self, of: &str) -> Result<Draft, ApiError> {
        let theirs = |record: &&Record| record.request.as_deref() == Some(of);
        if self.model.records.iter().find(theirs).is_none() {
            return Err(ApiError::new(
                ErrorCode::UnknownId,
                format!("no command with id {of:?} has changed sources in this call, as far as it remembers"),
            ));
        }
        let with = |state| {
            let records = self.model.records.iter().rev().filter(theirs);
            records.filter(|record| record.state == state).cloned().collect::<Vec<_>>()
        };
        let (waiting, done) = (with(CutOverState::Pending), with(CutOverState::Done));
        if waiting.is_empty() && done.is_empty() {
            let message = format!("the command with id {of:?} was cancelled or undone already");
            return Err(ApiError::new(ErrorCode::NothingToUndo, message));
        }
        // The engine decides between cancelling and going back: the trigger may fire before this arrives.
        for record in &waiting {
            let by = self.env.next_cut_over();
            self.tell_engine(command::Command::Rollback { id: record.id, by });
            self.settle(record, CutOverState::Cancelled, None);
        }
        let mut ids: Vec<_> = waiting.iter().map(|record| record.id).collect();
        if !done.is_empty() {
            let Draft::CutOver(by) = self.go_back(&done)? else { return Ok(Draft::CutOver(ids)) };
            for record in &done {
                self.settle(record, CutOverState::RolledBack, by.first().copied());
            }
            ids.splice(0..0, by);
        }
        Ok(Draft::CutOver(ids))
    }

    /// One cut-over to what the parties of `records`, latest first, heard before them.
    fn go_back(&mut self, records: &[Record]) -> Result<Draft, ApiError> {
        let mut after = self.model.legs.clone();
        for record in records {
            for part in &record.parts {
                let leg = after.get_mut(part.leg).ok_or_else(|| {
                    ApiError::new(
                        ErrorCode::LegGone,
                        format!("cut-over {} cannot be undone: a leg that it changed was deleted", record.id.0),
                    )
                })?;
                if leg.changed_by != Some(record.id) {
                    return Err(ApiError::new(
                        ErrorCode::NotTheLatest,
                        format!("cut-over {} cannot be undone: {} was changed since", record.id.0, leg.party),
                    ));
                }
                leg.hearing = part.hearing.clone();
                leg.changed_by = part.changed_by;
            }
        }
        after.forget_the_gone();
        let changed_by: Vec<_> = after.0.iter().map(|leg| leg.changed_by).collect();
        let draft = self.change(after, &How::now(CommandName::Rollback))?;
        // Undone is as if it had never been: what was the latest before may be undone next.
        for (leg, changed_by) in self.model.legs.0.iter_mut().zip(changed_by) {
            leg.changed_by = changed_by;
        }
        Ok(draft)
    }

    fn settle(&mut self, record: &Record, state: CutOverState, by: Option<CutOverId>) {
        if let Some(record) = self.model.records.get_mut(record.id) {
            record.state = state;
        }
        let (cut_over, id) = (record.id.0, record.request.clone());
        if state == CutOverState::Cancelled {
            self.news.push((None, EventKind::CutOverCancelled { cut_over, id: id.clone(), gone: None }));
        }
        self.news.push((None, EventKind::RolledBack { cut_over, id, by: by.map(|by| by.0) }));
    }
}
