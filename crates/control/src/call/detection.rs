//! Finding out what parties say, and what waits for a human.

use patchcord_codec::dtmf::Digit;
use patchcord_relay::command;
use patchcord_relay::detection::{Detection, What};
use patchcord_relay::ids::{CutOverId, LegId};
use patchcord_relay::overhearing::{Detecting, Listening};

use super::check::is_transcodable;
use super::model::Leg;
use super::plan::{Draft, Plan};
use crate::api::{CutOverState, Detect, EventKind, Sound, Trigger, TriggerName};
use crate::error::{ApiError, ErrorCode};

impl Plan<'_> {
    /// Listens to the party; once more: it has answered now, and what was heard before does not matter.
    pub(super) fn detect(&mut self, fields: &Detect) -> Result<Draft, ApiError> {
        let (leg, draft) = self.one(&fields.party)?;
        let detection = fields.over(&self.env.detection);
        detection.check().map_err(|why| ApiError::new(ErrorCode::BadRequest, why))?;
        self.listen_to(leg, detection.listening())?;
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

    fn listen_to(&mut self, leg: LegId, listening: Listening) -> Result<(), ApiError> {
        let Some(found) = self.model.legs.get_mut(leg) else { return Ok(()) };
        found.can_be_listened_to()?;
        found.answered = None;
        found.only_barges_in = false;
        let answers = found.ears.detector.map_or(0, |before| before.answers).wrapping_add(1);
        self.overhear_by(leg, Some(listening), |ears| ears.detector = Some(Detecting { answers }));
        Ok(())
    }

    /// What is to wait for `leg` to be a human need not wait if it is known to be one; else it is listened to.
    pub(super) fn trigger_for(&mut self, leg: LegId, trigger: Trigger) -> Result<Trigger, ApiError> {
        let Some(found) = self.model.legs.get(leg).filter(|_| trigger == Trigger::OnHuman) else { return Ok(trigger) };
        if found.answered.as_ref().is_some_and(|answered| answered.sound == Sound::Human) {
            return Ok(Trigger::Immediate);
        }
        if found.ears.detector.is_none() || found.only_barges_in {
            self.listen_to(leg, self.env.detection.listening())?;
        }
        Ok(trigger)
    }

    /// Has those legs listened to that may end what is played to them, while it is; but not those of which somebody else wants to know
    /// something.
    pub(super) fn listen_for_barge_in(&mut self) {
        let differs = |leg: &&Leg| leg.only_barges_in || leg.may_barge_in();
        let legs: Vec<LegId> = self.model.legs.0.iter().filter(differs).map(|leg| leg.id).collect();
        for id in legs {
            let Some(leg) = self.model.legs.get_mut(id) else { continue };
            let (wanted, listened_to) = (leg.may_barge_in(), leg.ears.detector.is_some());
            if wanted && !listened_to {
                leg.only_barges_in = true;
                let listening = self.env.detection.listening();
                self.overhear_by(id, Some(listening), |ears| ears.detector = Some(Detecting { answers: 0 }));
            } else if !wanted && leg.only_barges_in {
                leg.only_barges_in = false;
                self.overhear(id, |ears| ears.detector = None);
            }
        }
    }

    /// The party has done what ends what is played to it.
    pub(crate) fn barge_in(&mut self, leg: LegId, serial: u32) {
        let play = self.model.legs.get(leg).and_then(|leg| leg.hearing.play.as_ref());
        if play.is_some_and(|play| play.serial == serial && !play.finished) {
            self.tell_engine(command::Command::EndPlay { leg });
        }
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

impl Leg {
    /// # Errors
    /// Nobody can decode what it sends.
    pub(super) fn can_be_listened_to(&self) -> Result<(), ApiError> {
        if self.codecs.iter().any(is_transcodable) {
            return Ok(());
        }
        let why = format!("{} cannot be listened to: none of its formats can be decoded", self.party);
        Err(ApiError::new(ErrorCode::Incompatible, why))
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
