//! What a voice agent is answered: a code for programs, a sentence for developers, and what it may say to the caller.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use patchcord_control::{ApiError, ErrorCode};
use serde::Serialize;
use utoipa::ToSchema;

use super::tool::Unusable;
use crate::call::explain::{By, Failure};
use crate::call::record::{TransferRecord, TransferState};

/// What came of a tool call.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ToolAnswer {
    /// `transfer_started`, `target_answered` (of a warm transfer: the agent talks with it), `transferred`, `busy`, `no_answer`, `declined`, `failed`,
    /// `cancelled`; or why it was not begun: `bad_request`, `bad_target`, `forbidden_target`, `unknown_call`, `not_transferable`, `id_reused`.
    pub(super) code: String,
    /// For the log, or a developer.
    pub(super) sentence: String,
    /// What the agent may say to the caller; empty: nothing, as the caller does not hear it any more.
    pub(super) say: &'static str,
    /// The transfer's name, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) transfer: Option<String>,
    /// Arguments that have no effect, each with why.
    pub(super) warnings: Vec<String>,
}

impl ToolAnswer {
    /// A transfer that was begun, as it stands.
    pub(super) fn of(name: String, record: &TransferRecord, warnings: Vec<String>) -> Self {
        let target = &record.refer_to;
        let code = code_of(record);
        let (say, sentence) = match record.state {
            TransferState::Done => ("", format!("the call was transferred to {target}")),
            TransferState::Consulting | TransferState::Whispering | TransferState::Conferencing => (
                "",
                format!(
                    "{target} has answered and talks with the agent: POST its command complete, conference or cancel next"
                ),
            ),
            TransferState::Cancelled => ("I am still here.", "the transfer was taken back".to_owned()),
            TransferState::Failed | TransferState::Refused => {
                let say = record.failures.last().map_or(FAILED, |last| failed(last).1);
                let why = record.explain().map(|explanation| explanation.sentence.to_string());
                (say, why.unwrap_or_else(|| format!("{target} could not be had")))
            }
            _ => ("I am connecting you now, please stay on the line.", format!("{target} is being called")),
        };
        Self { code: code.to_owned(), sentence, say, transfer: Some(name), warnings }
    }

    /// Nothing was begun.
    pub(super) fn refused(error: &ApiError) -> Self {
        let say = match error.code {
            ErrorCode::BadTarget | ErrorCode::ForbiddenTarget => "I cannot transfer you to that number.",
            _ => "I cannot transfer you right now.",
        };
        let code = error.code.name().replace('-', "_");
        Self { code, sentence: error.message.clone(), say, transfer: None, warnings: Vec::new() }
    }

    /// With its HTTP status.
    pub(super) fn respond(self, status: u16) -> Response {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        (status, Json(self)).into_response()
    }
}

impl From<Unusable> for ApiError {
    fn from(unusable: Unusable) -> Self {
        match unusable {
            Unusable::Arguments(why) => Self::new(ErrorCode::BadRequest, why),
            Unusable::Target(why) => Self::new(ErrorCode::BadTarget, why),
        }
    }
}

/// What a transfer that stands so comes to, for programs: the code of a tool call's answer.
pub(crate) fn code_of(record: &TransferRecord) -> &'static str {
    match record.state {
        TransferState::Done => "transferred",
        TransferState::Consulting | TransferState::Whispering | TransferState::Conferencing => "target_answered",
        TransferState::Cancelled => "cancelled",
        TransferState::Failed | TransferState::Refused => {
            record.failures.last().map_or("failed", |last| failed(last).0)
        }
        _ => "transfer_started",
    }
}

const FAILED: &str = "I could not connect you. Is there anything else that I can do for you?";

/// By the latest target.
fn failed(failure: &Failure) -> (&'static str, &'static str) {
    let no_answer = ("no_answer", "Nobody is answering there. Shall I try again, or can I help you in another way?");
    match (failure.by, failure.status.code) {
        (By::RingTimer | By::Machine | By::Undecided, _) | (By::Response, 408 | 480 | 487) => no_answer,
        (_, 486 | 600) => ("busy", "The line is busy. Shall I try again, or can I help you in another way?"),
        (By::Response, 603 | 607 | 608) => {
            ("declined", "They cannot take the call right now. Can I help you in another way?")
        }
        _ => ("failed", FAILED),
    }
}
