//! Refusals in ng's words. Proxies act on some of them, so that these are said exactly.

use core::fmt;

use patchcord_ng::{Dict, reason};

use super::session::BadTags;
use crate::error::{ApiError, ErrorCode};

/// Why a request is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// An error with this reason.
    Because(String),
    /// An error whose reason proxies know, with what is behind it.
    Known { reason: &'static str, detail: String },
    /// This relay has enough to do: the proxy is to use another one, if it has said that it understands this.
    LoadLimit,
}

impl Refused {
    pub(super) fn reply(&self) -> Dict {
        match self {
            Self::Because(reason) => Dict::new().with("result", "error").with("error-reason", reason.as_str()),
            Self::Known { reason, detail } => {
                let error = Dict::new().with("result", "error").with("error-reason", *reason);
                error.with("error-detail", detail.as_str())
            }
            Self::LoadLimit => Dict::new().with("result", "load limit"),
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Because(reason) => f.write_str(reason),
            Self::Known { reason, detail } => write!(f, "{reason}: {detail}"),
            Self::LoadLimit => f.write_str("load limit"),
        }
    }
}

impl From<&str> for Refused {
    fn from(reason: &str) -> Self {
        Self::Because(reason.to_owned())
    }
}

impl From<ApiError> for Refused {
    fn from(error: ApiError) -> Self {
        let reason = match error.code {
            // Kamailio tries another relay on exactly these texts.
            ErrorCode::PortsExhausted => reason::NO_PORTS,
            ErrorCode::NoRoom | ErrorCode::Draining => reason::TOO_MANY_CALLS,
            ErrorCode::UnknownCall => reason::UNKNOWN_CALL,
            ErrorCode::BadTags => reason::BAD_DIALOGUE,
            _ => return Self::Because(error.message),
        };
        Self::Known { reason, detail: error.message }
    }
}

impl From<BadTags> for ApiError {
    fn from(bad: BadTags) -> Self {
        Self::new(ErrorCode::BadTags, Refused::from(bad).to_string())
    }
}

impl From<BadTags> for Refused {
    fn from(bad: BadTags) -> Self {
        let detail = match bad {
            BadTags::Unknown => "no party of the call has the from-tag",
            BadTags::Association => "the tags are not the two sides of a dialogue",
        };
        Self::Known { reason: reason::BAD_DIALOGUE, detail: detail.to_owned() }
    }
}
