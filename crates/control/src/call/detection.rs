//! Finding out what parties say, and what waits for a human.

use patchcord_codec::dtmf::Digit;
use patchcord_relay::command;
use patchcord_relay::detection::{Detection, What};
use patchcord_relay::ids::{CutOverId, LegId};
use patchcord_relay::overhearing::Detecting;

use super::check::is_transcodable;
use super::plan::{Draft, Plan};
use crate::api::{
    ANSWER_TIMEOUT_MS, CutOverState, Detect, EventKind, Sound, Trigger, TriggerName, default_answer_timeout_ms, within,
};
use crate::error::{ApiError, ErrorCode};

impl Plan<'_> {
    /// Listens to the party; once more: it has answered now, and what was heard before does not matter.
    pub(super) fn detect(&mut self, fields: &Detect) -> Result<Draft, ApiError> {
        let (leg, draft) = self.one(&fields.party)?;
        within("answer_timeout_ms", &fields.answer_timeout_ms, &ANSWER_TIMEOUT_MS)
            .map_err(|why| ApiError::new(ErrorCode::BadRequest, why))?;
        self.listen_to(leg, fields.answer_timeout_ms)?;
        Ok(draft)
    }

    pub(super) fn detect_stop(&mut self, party: &str) -> Result<Draft, ApiError> {
        let (leg, draft) = self.one(party)?;
        if let Some(record) = self.model.records.pending().find(|record| record.awaits(TriggerName::OnHuman, leg)) {
            let number = record.id.0;
            let why = format!("cut-over {number} waits for {party} to be a human; roll that back first");
            return Err(ApiError::new(ErrorCode::CutOverPending, why));
        }
        self.overhear(leg, |ears| ears.detector = None);
        Ok(draft)
    }

    fn listen_to(&mut self, leg: LegId, answer_timeout_ms: u16) -> Result<(), ApiError> {
        let Some(found) = self.model.legs.get_mut(leg) else { return Ok(()) };
        if !found.codecs.iter().any(is_transcodable) {
            let why = format!("{} cannot be listened to: none of its formats can be decoded", found.party);
            return Err(ApiError::new(ErrorCode::Incompatible, why));
        }
        found.is_human = false;
        let answers = found.ears.detector.map_or(0, |before| before.answers).wrapping_add(1);
        self.overhear(leg, |ears| ears.detector = Some(Detecting { answer_timeout_ms, answers }));
        Ok(())
    }

    /// What is to wait for `leg` to be a human need not wait if it is known to be one; else it is listened to.
    pub(super) fn trigger_for(&mut self, leg: LegId, trigger: Trigger) -> Result<Trigger, ApiError> {
        let Some(found) = self.model.legs.get(leg).filter(|_| trigger == Trigger::OnHuman) else { return Ok(trigger) };
        if found.is_human {
            return Ok(Trigger::Immediate);
        }
        if found.ears.detector.is_none() {
            self.listen_to(leg, default_answer_timeout_ms())?;
        }
        Ok(trigger)
    }

    /// A human has answered for whom a cut-over has waited.
    pub(crate) fn fire(&mut self, cut_over: CutOverId) -> Result<(), ApiError> {
        let record = self.model.records.get(cut_over);
        if record.is_some_and(|record| record.state == CutOverState::Pending) {
            self.tell_engine(command::Command::Fire { id: cut_over });
        }
        Ok(())
    }
}

/// In the words of the API; `None`: they know nothing of it.
pub(super) fn event_of(detection: &Detection) -> Option<EventKind> {
    let &Detection { what, began_ms_ago, duration_ms, confidence_percent } = detection;
    if let What::Key { event, volume, in_band } = what {
        let digit = Digit::from_event(event)?.as_char().to_string();
        return Some(EventKind::DtmfReceived { digit, duration_ms, volume_dbm0: -i16::from(volume), in_band });
    }
    let hz = if let What::Beep { hz } = what { Some(hz) } else { None };
    Some(EventKind::Detected { sound: Sound::of(what)?, began_ms_ago, duration_ms, confidence_percent, hz })
}
