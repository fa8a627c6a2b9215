//! Transfers over HTTP: begun, watched and explained. The relay's HTTP front serves it under its own token.

mod begin;
mod bundle;
mod measures;
mod media;
mod records;
mod timeline;
mod tool;
mod tool_answer;
mod trace;
mod trunks;
mod unknown;
mod view;

use core::time::Duration;
use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use patchcord_control::http::Extension;
use patchcord_control::{ApiError, ErrorCode};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::time::Instant;
use utoipa::{OpenApi, ToSchema};

pub use self::begin::{BeginTransfer, OnFailName, Show, TransferMethod};
pub(crate) use self::bundle::{Evidence, Sources};
pub use self::media::{MediaFactsView, MediaView, PartyMediaView};
pub use self::records::{CallView, ComponentView, document};
pub(crate) use self::tool::CALL_HEADER;
use self::tool::{TransferCall, Wanted};
use self::tool_answer::ToolAnswer;
pub(crate) use self::tool_answer::code_of;
pub use self::trace::{MessageView, TraceView};
pub use self::view::{CauseView, FailureView, ReceiptOf, TransferView, WebhookView};
use crate::call::record::{TransferRecord, TransferState};
use crate::call::{Command, CommandError};
use crate::driver::{Pivot, TransferKey};

#[derive(OpenApi)]
#[openapi(
    paths(
        records::transfers,
        records::transfer,
        begin,
        command,
        timeline::timeline,
        trace::trace,
        bundle::bundle,
        transfer_call,
        records::calls,
        records::call,
        trunks::trunks
    ),
    tags((name = "transfers", description = "Transfers of the pivot"))
)]
struct Description;

/// What the relay's HTTP front serves besides.
#[must_use]
pub fn extension(pivot: Arc<Pivot>) -> Extension {
    let measured = Arc::clone(&pivot);
    let routes = axum::Router::new()
        .route("/v1/transfers", get(records::transfers).post(begin))
        .route("/v1/transfers/{transfer}", get(records::transfer))
        .route("/v1/transfers/{transfer}/commands", post(command))
        .route("/v1/transfers/{transfer}/timeline", get(timeline::timeline))
        .route("/v1/transfers/{transfer}/trace", get(trace::trace))
        .route("/v1/transfers/{transfer}/bundle", get(bundle::bundle))
        .route("/v1/tools/transfer_call", post(transfer_call))
        .route("/v1/records/calls", get(records::calls))
        .route("/v1/records/calls/{record}", get(records::call))
        .route("/v1/trunks", get(trunks::trunks))
        .with_state(pivot);
    Extension { routes, description: Description::openapi(), measures: Some(Arc::new(move || measures::of(&measured))) }
}

/// What came of a command.
#[derive(Debug, Serialize, ToSchema)]
struct TransferAnswer {
    /// Its id.
    transfer: String,
    /// Settings that have no effect in the method.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    without_effect: Vec<&'static str>,
}

/// Begins a transfer.
#[utoipa::path(
    post, path = "/v1/transfers", tag = "transfers", request_body = BeginTransfer,
    responses(
        (status = 202, body = TransferAnswer, description = "It is under way"),
        (status = 400, description = "malformed-json, unknown-field, bad-request"),
        (status = 403, description = "forbidden-target: a rule of the trunk forbids it"),
        (status = 404, description = "unknown-call"),
        (status = 409, description = "not-transferable, id-reused"),
        (status = 422, description = "bad-target"),
    ),
    security((), ("token" = []))
)]
async fn begin(State(pivot): State<Arc<Pivot>>, body: Bytes) -> Result<Response, ApiError> {
    let request: BeginTransfer = read(&body)?;
    let transfer = request.to_command().map_err(|why| ApiError::new(ErrorCode::BadRequest, why))?;
    let without_effect = transfer.without_effect();
    let key = pivot.begin(&request, transfer).await?;
    Ok((StatusCode::ACCEPTED, Json(TransferAnswer { transfer: pivot.book().name_of(key), without_effect }))
        .into_response())
}

/// Transfers a call as a voice agent's tool call has it. The body of every answer has the same fields.
#[utoipa::path(
    post, path = "/v1/tools/transfer_call", tag = "transfers", request_body = TransferCall,
    responses(
        (status = 200, body = ToolAnswer, description = "It is over, or the target of a warm transfer has answered: by `code`"),
        (status = 202, body = ToolAnswer, description = "transfer_started"),
        (status = 400, body = ToolAnswer, description = "bad_request"),
        (status = 403, body = ToolAnswer, description = "forbidden_target"),
        (status = 404, body = ToolAnswer, description = "unknown_call"),
        (status = 409, body = ToolAnswer, description = "not_transferable, id_reused"),
        (status = 422, body = ToolAnswer, description = "bad_target"),
    ),
    security((), ("token" = []))
)]
async fn transfer_call(State(pivot): State<Arc<Pivot>>, body: Bytes) -> Response {
    let answer = call_tool(&pivot, &body).await.unwrap_or_else(|error| {
        let status = error.code.status();
        tracing::info!(code = error.code.name(), why = %error.message, "a tool call was refused");
        (status, ToolAnswer::refused(&error))
    });
    answer.1.respond(answer.0)
}

async fn call_tool(pivot: &Pivot, body: &[u8]) -> Result<(u16, ToolAnswer), ApiError> {
    let Wanted { transfer, wait_ms, mut warnings } = TransferCall::read(body)?.wanted()?;
    let command = transfer.to_command().map_err(|why| ApiError::new(ErrorCode::BadRequest, why))?;
    let of_method = match transfer.method {
        TransferMethod::Invite => "a cold transfer by sip_invite",
        TransferMethod::Refer => "a cold transfer by sip_refer",
        TransferMethod::Warm => "a warm transfer",
    };
    let idle = command.without_effect().into_iter().map(tool::argument);
    warnings.extend(idle.map(|name| format!("{name} has no effect in {of_method}")));
    let key = pivot.begin(&transfer, command).await?;
    let end = Instant::now() + Duration::from_millis(wait_ms.into());
    // What a warm transfer comes to is for the agent to say once the target has answered.
    let is_settled = |record: &TransferRecord| {
        record.state.is_over() || matches!(record.state, TransferState::Consulting | TransferState::Conferencing)
    };
    let record = pivot.book().until(key.call, key.transfer, end, is_settled).await;
    let id = pivot.book().name_of(key);
    let record = record.ok_or_else(|| unknown(&id))?;
    let status = if is_settled(&record) { 200 } else { 202 };
    Ok((status, ToolAnswer::of(id, &record, warnings)))
}

/// What is to become of a transfer.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct TransferCommandRequest {
    /// What.
    command: TransferCommandName,
    /// Of `whisper`: begin or end; absent: begin.
    #[serde(default)]
    on: Option<bool>,
}

/// What can be commanded of a transfer.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
enum TransferCommandName {
    /// The transferee goes back to the transferor.
    Cancel,
    /// The transferor leaves the two others to each other.
    Complete,
    /// All three hear each other.
    Conference,
    /// Transferee and target talk; the transferor is heard by the target alone.
    Whisper,
}

/// Commands something of a transfer that is under way.
#[utoipa::path(
    post, path = "/v1/transfers/{transfer}/commands", tag = "transfers", request_body = TransferCommandRequest,
    params(("transfer" = String, Path, description = "Its name")),
    responses(
        (status = 200, body = TransferAnswer), (status = 400), (status = 404, description = "unknown-transfer"),
        (status = 409, description = "not-transferable: it is not in a state for this"),
    ),
    security((), ("token" = []))
)]
async fn command(
    State(pivot): State<Arc<Pivot>>,
    Path(name): Path<String>,
    body: Bytes,
) -> Result<Json<TransferAnswer>, ApiError> {
    let key = key(&pivot, &name)?;
    let TransferCommandRequest { command, on } = read(&body)?;
    if on.is_some() && !matches!(command, TransferCommandName::Whisper) {
        return Err(ApiError::new(ErrorCode::UnknownField, "`on` is a field of `whisper` alone"));
    }
    let id = key.transfer;
    let command = match command {
        TransferCommandName::Cancel => Command::Cancel(id),
        TransferCommandName::Complete => Command::Complete(id),
        TransferCommandName::Conference => Command::Conference(id),
        TransferCommandName::Whisper => Command::Whisper(id, on.unwrap_or(true)),
    };
    let key = pivot.command(&key, command).await?;
    Ok(Json(TransferAnswer { transfer: pivot.book().name_of(key), without_effect: Vec::new() }))
}

/// A transfer of this process.
fn key(pivot: &Pivot, name: &str) -> Result<TransferKey, ApiError> {
    pivot.book().key_of(name).ok_or_else(|| unknown(name))
}

fn unknown(name: &str) -> ApiError {
    ApiError::new(ErrorCode::UnknownTransfer, format!("there is no transfer {name}; GET /v1/transfers lists them"))
}

/// A JSON body whose unknown fields are refused.
fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(body).map_err(|error| {
        let text = error.to_string();
        let code = match () {
            () if !error.is_data() => ErrorCode::MalformedJson,
            () if text.starts_with("unknown field") => ErrorCode::UnknownField,
            () => ErrorCode::BadRequest,
        };
        ApiError::new(code, format!("body: {text}"))
    })
}

/// An error of a call as one of the API.
#[must_use]
pub fn refused(error: &CommandError) -> ApiError {
    let code = match error {
        CommandError::NoTransfer => ErrorCode::UnknownTransfer,
        CommandError::Method | CommandError::Targets(_) => ErrorCode::BadRequest,
        CommandError::Target(..) => ErrorCode::BadTarget,
        CommandError::Rule(_) => ErrorCode::ForbiddenTarget,
        _ => ErrorCode::NotTransferable,
    };
    ApiError::new(code, error.to_string())
}
