//! Calls by their Call-ID: found, or made for the first offer.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use patchcord_ng::{Options, reason};

use super::Ng;
use super::refuse::Refused;
use crate::call::Call;
use crate::error::ErrorCode;

impl Ng {
    /// The call, with its gate: nobody else changes it until the guard is dropped.
    pub(super) fn find(&self, options: &Options) -> Result<Arc<Call>, Refused> {
        let name = call_id(options)?;
        self.0.control.find(name).map_err(|_| Refused::from(reason::UNKNOWN_CALL))
    }

    /// The call; a new one if there is none. `true`: it is new.
    pub(super) fn find_or_create(&self, options: &Options) -> Result<(Arc<Call>, bool), Refused> {
        let name = call_id(options)?;
        loop {
            if let Ok(call) = self.0.control.find(name) {
                return Ok((call, false));
            }
            self.must_have_room(options)?;
            match self.0.control.create_named(name) {
                Ok(_) => match self.0.control.find(name) {
                    Ok(call) => return Ok((call, true)),
                    Err(_) => continue,
                },
                Err(error) if error.code == ErrorCode::CallExists => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn must_have_room(&self, options: &Options) -> Result<(), Refused> {
        let max = self.0.config.sessions_max as usize;
        if max == 0 || self.0.control.call_count() < max {
            return Ok(());
        }
        tracing::warn!(max, "no new call: `ng.max_sessions` is reached");
        Err(if options.supports.iter().any(|word| word == "load-limit") {
            Refused::LoadLimit
        } else {
            Refused::from(reason::TOO_MANY_CALLS)
        })
    }
}

pub(super) fn call_id(options: &Options) -> Result<&str, Refused> {
    options.call_id.as_deref().filter(|id| !id.is_empty()).ok_or_else(|| reason::NO_CALL_ID.into())
}

/// What a tag or the like says; an empty one says nothing.
pub(super) fn said(text: Option<&String>) -> Option<&str> {
    text.map(String::as_str).filter(|text| !text.is_empty())
}

/// Unix time in microseconds: the protocol shows it.
pub(super) fn unix_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

/// Unix time in seconds.
pub(super) fn unix_s() -> u64 {
    unix_us() / 1_000_000
}
