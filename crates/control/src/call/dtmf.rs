//! Commands about key presses.

use patchcord_relay::command::{self, DtmfHow};

use super::plan::{Draft, Plan};
use crate::api::{BadKeys, DtmfHowName, DtmfSend};
use crate::error::{ApiError, ErrorCode};
use crate::tones::{Tone, Tones};

impl Plan<'_> {
    pub(super) fn dtmf_send(&mut self, fields: &DtmfSend) -> Result<Draft, ApiError> {
        let (leg, draft) = self.one(&fields.party)?;
        let how = |tone: Tone| {
            if fields.how == DtmfHowName::Event {
                return Some(DtmfHow::Event);
            }
            let codecs = self.model.legs.get(leg).map_or(&[][..], |leg| &leg.codecs);
            match (self.env.tones.frames_for(tone, codecs), fields.how) {
                (Some(frames), DtmfHowName::Tone) => Some(DtmfHow::Tone(frames)),
                (None, DtmfHowName::Tone) => None,
                (Some(frames), _) => Some(DtmfHow::EventOrTone(frames)),
                (None, _) => Some(DtmfHow::Event),
            }
        };
        let steps = fields.steps(how).map_err(|error| match error {
            BadKeys::Fields(error) => ApiError::new(ErrorCode::BadRequest, error),
            BadKeys::NoTone => ApiError::new(ErrorCode::NoDtmf, no_tone(&fields.party)),
        })?;
        self.tell_engine(command::Command::SendDtmf { leg, steps });
        Ok(draft)
    }

    pub(super) fn dtmf_stop(&mut self, party: &str) -> Result<Draft, ApiError> {
        let (leg, draft) = self.one(party)?;
        self.tell_engine(command::Command::StopDtmf { leg });
        Ok(draft)
    }

    pub(super) fn block_dtmf(&mut self, party: &str, blocked: bool) -> Result<Draft, ApiError> {
        let (leg, draft) = self.one(party)?;
        self.tell_engine(command::Command::BlockDtmf { leg, blocked });
        Ok(draft)
    }
}

fn no_tone(party: &str) -> String {
    let formats = Tones::FORMATS;
    format!(
        "{party} cannot be sent key presses as tones: these are made in {formats}, and it has none of them; add one by leg-codecs"
    )
}
