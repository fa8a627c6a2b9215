//! Commands about key presses.

use patchcord_relay::command;

use super::plan::{Draft, Plan};
use crate::api::DtmfSend;
use crate::error::{ApiError, ErrorCode};

impl Plan<'_> {
    pub(super) fn dtmf_send(&mut self, fields: &DtmfSend) -> Result<Draft, ApiError> {
        let (leg, draft) = self.one(&fields.party)?;
        let steps = fields.steps().map_err(|error| ApiError::new(ErrorCode::BadRequest, error))?;
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
