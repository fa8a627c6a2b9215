//! What a check found.

use serde::Serialize;

/// How it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum State {
    /// As it should be.
    Ok,
    /// It works, but less well than it could.
    Warn,
    /// It cannot work like this.
    Fail,
}

impl State {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "FAIL",
        }
    }
}

/// One check's result.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Finding {
    /// What was looked at.
    pub(crate) check: &'static str,
    /// How it stands.
    pub(crate) state: State,
    /// What was seen.
    pub(crate) found: String,
    /// Why that is a problem; `None` where it is none.
    pub(crate) cause: Option<String>,
    /// What to do about it.
    pub(crate) fix: Option<String>,
}

impl Finding {
    pub(crate) fn ok(check: &'static str, found: impl Into<String>) -> Self {
        Self { check, state: State::Ok, found: found.into(), cause: None, fix: None }
    }

    pub(crate) fn warn(
        check: &'static str,
        found: impl Into<String>,
        cause: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        Self { check, state: State::Warn, found: found.into(), cause: Some(cause.into()), fix: Some(fix.into()) }
    }

    pub(crate) fn fail(
        check: &'static str,
        found: impl Into<String>,
        cause: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        Self { state: State::Fail, ..Self::warn(check, found, cause, fix) }
    }
}
