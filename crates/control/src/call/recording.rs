//! Commands about the call's recording.

use std::sync::Arc;

use patchcord_recording::{RecordingId, Spec};
use patchcord_relay::command;
use patchcord_relay::ids::LegId;
use patchcord_relay::overhearing::{Ears, Listening};

use super::model::CallModel;
use super::plan::{Draft, Plan};
use crate::api::RecordStart;
use crate::error::{ApiError, ErrorCode};
use crate::recording::{CallRecording, Wish};

/// What metadata may have beside what they have anyway.
const VALUES_MAX: usize = 32;
const VALUE_BYTES_MAX: usize = 1024;
/// Of a call's name, in that of its recording.
const NAME_BYTES_MAX: usize = 100;

impl Plan<'_> {
    pub(super) fn record_start(&mut self, fields: &RecordStart) -> Result<Draft, ApiError> {
        let config = self.env.recorder.config();
        let call = &self.call.name;
        if config.directory.is_none() {
            let why = "nothing is recorded here: give the server a directory for recordings by `recording.directory`";
            return Err(ApiError::new(ErrorCode::RecordingOff, why));
        }
        if let Some(recording) = &self.model.recording {
            let why = format!("call {call} is recorded already, as {}; stop that first", recording.wish.name);
            return Err(ApiError::new(ErrorCode::AlreadyRecording, why));
        }
        for party in fields.parties.iter().flatten() {
            if !self.has_party(party) {
                return Err(self.unknown_party(party));
            }
        }
        let bad = |why: String| ApiError::new(ErrorCode::BadRequest, why);
        if fields.parties.as_ref().is_some_and(Vec::is_empty) {
            return Err(bad("`parties` is empty: name some, or leave it out to record all".to_owned()));
        }
        let is_long = |(name, value): (&String, &String)| name.len() > VALUE_BYTES_MAX || value.len() > VALUE_BYTES_MAX;
        if fields.values.len() > VALUES_MAX || fields.values.iter().any(is_long) {
            return Err(bad(format!("`values` has at most {VALUES_MAX} entries of {VALUE_BYTES_MAX} bytes")));
        }
        let name = fields.name.clone().unwrap_or_else(|| name_of(call));
        let wish = Wish {
            name: name.into(),
            format: fields.format.unwrap_or(config.format),
            layout: fields.layout.unwrap_or(config.layout),
            // The server's rate is one of its format.
            rate: fields.rate.or(config.rate.filter(|_| fields.format.is_none_or(|format| format == config.format))),
            parties: fields.parties.clone(),
            values: fields.values.clone(),
        };
        let spec = Spec {
            name: wish.name.as_ref().to_owned(),
            format: wish.format.into(),
            layout: wish.layout.into(),
            rate: wish.rate,
            call: String::new(),
            at_ns: 0,
            started: std::time::UNIX_EPOCH,
            values: std::collections::BTreeMap::new(),
        };
        spec.check().map_err(|error| bad(error.to_string()))?;
        let (id, wish) = (self.env.recorder.next_id(), Arc::new(wish));
        let name = Arc::clone(&wish.name);
        self.model.recording = Some(Box::new(CallRecording { id, wish, paused: false }));
        self.keep_recording();
        Ok(Draft::Recording(name))
    }

    pub(super) fn record_pause(&mut self, paused: bool) -> Result<Draft, ApiError> {
        let unknown = self.not_recorded();
        let recording = self.model.recording.as_mut().ok_or(unknown)?;
        recording.paused = paused;
        Ok(Draft::Recording(Arc::clone(&recording.wish.name)))
    }

    pub(super) fn record_stop(&mut self, discard: bool) -> Result<Draft, ApiError> {
        let unknown = self.not_recorded();
        let recording = self.model.recording.take().ok_or(unknown)?;
        if discard {
            self.discards = Some(recording.id);
        }
        self.keep_recording();
        Ok(Draft::Recording(Arc::clone(&recording.wish.name)))
    }

    fn not_recorded(&self) -> ApiError {
        let call = &self.call.name;
        ApiError::new(ErrorCode::NotRecording, format!("call {call} is not recorded; begin with record-start"))
    }

    /// The name of the call.
    pub(crate) fn call_name(&self) -> &str {
        &self.call.name
    }

    /// The writer has given the recording up.
    pub(crate) fn end_recording(&mut self, id: RecordingId) -> Result<(), ApiError> {
        if self.model.recording.as_ref().is_some_and(|recording| recording.id == id) {
            let draft = self.record_stop(false)?;
            self.drafts.push(draft);
        }
        Ok(())
    }

    /// Has the recorder hear those legs that the call's recording is of, and no others.
    pub(crate) fn keep_recording(&mut self) {
        let legs: Vec<LegId> = self.model.legs.0.iter().map(|leg| leg.id).collect();
        legs.into_iter().for_each(|leg| self.record_leg(leg));
    }

    /// Has the recorder hear a leg if the call's recording is of it.
    pub(super) fn record_leg(&mut self, leg: LegId) {
        let recorded = self.model.is_recorded(leg);
        self.overhear(leg, |ears| ears.recorder = recorded);
    }

    /// The recorder is not to hear a party, whatever is recorded of its call.
    pub(crate) fn leave_out_of_recording(&mut self, party: &str) {
        let legs = self.model.legs.0.iter().filter(|leg| leg.media_of(party).is_some());
        let legs: Vec<LegId> = legs.map(|leg| leg.id).collect();
        legs.into_iter().for_each(|leg| self.overhear(leg, |ears| ears.recorder = false));
    }

    /// Changes who hears a leg beside its listeners: all of them, as the engine is told the whole.
    pub(crate) fn overhear(&mut self, leg: LegId, change: impl FnOnce(&mut Ears)) {
        self.overhear_by(leg, None, change);
    }

    /// [`Self::overhear`], with how its detector listens from now on.
    pub(super) fn overhear_by(&mut self, leg: LegId, listening: Option<Listening>, change: impl FnOnce(&mut Ears)) {
        let Some(found) = self.model.legs.get_mut(leg) else { return };
        let before = found.ears;
        change(&mut found.ears);
        let by = found.ears;
        if by != before {
            self.tell_engine(command::Command::SetOverheard { leg, by, listening });
        }
    }
}

impl CallModel {
    /// Whether the call's recording is of this leg.
    fn is_recorded(&self, leg: LegId) -> bool {
        let (Some(recording), Some(leg)) = (&self.recording, self.legs.get(leg)) else { return false };
        let parties = recording.wish.parties.as_ref();
        parties.is_none_or(|parties| parties.iter().any(|party| leg.media_of(party).is_some()))
    }
}

/// A name for the recording of a call of this name, which is anything.
pub(crate) fn name_of(call: &str) -> String {
    let is_tame = |character: char| character.is_alphanumeric() || "-_@+.".contains(character);
    let mut name: String = call.chars().map(|character| if is_tame(character) { character } else { '_' }).collect();
    while name.len() > NAME_BYTES_MAX {
        name.pop();
    }
    if name.starts_with('.') {
        name.replace_range(..1, "_");
    }
    name
}

#[cfg(test)]
mod tests {
    use super::name_of;

    #[test]
    fn every_call_has_a_name_for_its_recording() {
        for (call, name) in [("c-1@host", "c-1@host"), ("../x/y", "_._x_y"), (".", "_"), ("a b\\c", "a_b_c")] {
            assert_eq!(name_of(call), name);
            assert_eq!(patchcord_recording::check_name(name), Ok(()));
        }
        assert_eq!(patchcord_recording::check_name(&name_of(&"ü".repeat(255))), Ok(()));
    }
}
