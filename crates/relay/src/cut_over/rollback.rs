//! The way back: cancel what waits, undo what is done.

use crate::command::{CutOver, Refusal, Source, SourceChange, Trigger};
use crate::event::Event;
use crate::ids::CutOverId;
use crate::shard::Shard;
use crate::time::MonoTime;

impl Shard {
    /// Undoes a cut-over that the batch's validation has found to be undoable.
    pub(crate) fn roll_back(&mut self, id: CutOverId, by: CutOverId, now: MonoTime) {
        if self.cut_overs.is_pending(id) {
            self.cancel(id);
            self.outbox.event(Event::CutOverCancelled { id, gone: None });
        } else if let Ok(changes) = self.way_back(id) {
            self.begin(&CutOver { id: by, changes, trigger: Trigger::Immediate }, now);
        }
    }

    /// The changes that lead back to what was before a done cut-over.
    ///
    /// # Errors
    /// A later cut-over has touched one of its legs, or what fed one before is gone.
    pub(super) fn way_back(&self, id: CutOverId) -> Result<Vec<SourceChange>, Refusal> {
        let record = self.cut_overs.get(id).ok_or(Refusal::NotTheLatest(id))?;
        let back = |&sink: &u32| {
            let cold = &self.legs.cold[sink as usize];
            let undo = cold.undo.as_ref().filter(|undo| undo.id == id).ok_or(Refusal::NotTheLatest(id))?;
            if undo.previous.is_void_without(|leg| self.legs.slot(leg).is_none()) {
                let Source::Leg(source) = undo.previous else { return Err(Refusal::NotTheLatest(id)) };
                return Err(Refusal::UnknownLeg(source));
            }
            Ok(SourceChange { sink: cold.id, source: undo.previous.clone() })
        };
        record.sinks.iter().map(back).collect()
    }
}
