//! What a check found.

use serde::Serialize;

/// How it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum State {
    /// As it should be.
    Ok,
    /// The relay works, but less well than it could.
    Warn,
    /// The relay cannot work like this.
    Fail,
}

impl State {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "FAIL",
        }
    }
}

/// One check's result.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Finding {
    /// What was looked at.
    pub(super) check: &'static str,
    /// How it stands.
    pub(super) state: State,
    /// What was seen.
    pub(super) found: String,
    /// Why that is a problem; `None` where it is none.
    pub(super) cause: Option<String>,
    /// What to do about it.
    pub(super) fix: Option<String>,
}

impl Finding {
    pub(super) fn ok(check: &'static str, found: impl Into<String>) -> Self {
        Self { check, state: State::Ok, found: found.into(), cause: None, fix: None }
    }

    pub(super) fn warn(
        check: &'static str,
        found: impl Into<String>,
        cause: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        Self { check, state: State::Warn, found: found.into(), cause: Some(cause.into()), fix: Some(fix.into()) }
    }

    pub(super) fn fail(
        check: &'static str,
        found: impl Into<String>,
        cause: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        Self { state: State::Fail, ..Self::warn(check, found, cause, fix) }
    }
}
