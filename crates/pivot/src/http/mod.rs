//! Transfers over HTTP: begun, watched and explained. The relay's HTTP front serves it under its own token.

mod begin;
mod timeline;
mod trunks;
mod view;

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
use utoipa::{OpenApi, ToSchema};

pub use self::begin::{BeginTransfer, OnFailName, Show, TransferMethod};
pub use self::view::{CauseView, FailureView, ReceiptOf, TransferView};
use crate::call::{Command, CommandError};
use crate::driver::{Pivot, TransferKey};

#[derive(OpenApi)]
#[openapi(paths(list, show, begin, command, timeline::timeline, trunks::trunks), tags((name = "transfers", description = "Transfers of the pivot")))]
struct Description;

/// What the relay's HTTP front serves besides.
#[must_use]
pub fn extension(pivot: Arc<Pivot>) -> Extension {
    let routes = axum::Router::new()
        .route("/v1/transfers", get(list).post(begin))
        .route("/v1/transfers/{transfer}", get(show))
        .route("/v1/transfers/{transfer}/commands", post(command))
        .route("/v1/transfers/{transfer}/timeline", get(timeline::timeline))
        .route("/v1/trunks", get(trunks::trunks))
        .with_state(pivot);
    Extension { routes, description: Description::openapi() }
}

/// Transfers, the latest first.
#[derive(Debug, Serialize, ToSchema)]
struct TransferList {
    transfers: Vec<TransferView>,
}

/// Lists the transfers that are kept.
#[utoipa::path(get, path = "/v1/transfers", tag = "transfers", responses((status = 200, body = TransferList)), security((), ("token" = [])))]
async fn list(State(pivot): State<Arc<Pivot>>) -> Json<TransferList> {
    let clock = pivot.clock();
    let calls = pivot.book().all();
    let of_call = |(number, kept): &(u64, crate::driver::Kept)| {
        let views = kept.transfers.values().rev().map(|record| TransferView::new(*number, &kept.name, record, clock));
        views.collect::<Vec<_>>()
    };
    Json(TransferList { transfers: calls.iter().rev().flat_map(of_call).collect() })
}

/// Shows a transfer: how it stands, what was heard of it, and why it failed if it did.
#[utoipa::path(
    get, path = "/v1/transfers/{transfer}", tag = "transfers", params(("transfer" = String, Path, description = "Its name")),
    responses((status = 200, body = TransferView), (status = 404, description = "unknown-transfer")), security((), ("token" = []))
)]
async fn show(State(pivot): State<Arc<Pivot>>, Path(name): Path<String>) -> Result<Json<TransferView>, ApiError> {
    let key = key(&name)?;
    let kept = pivot.book().get(key.call).ok_or_else(|| unknown(&name))?;
    let record = kept.transfers.get(&key.transfer).ok_or_else(|| unknown(&name))?;
    Ok(Json(TransferView::new(key.call, &kept.name, record, pivot.clock())))
}

/// What came of a command.
#[derive(Debug, Serialize, ToSchema)]
struct TransferAnswer {
    /// Its name.
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
    Ok((StatusCode::ACCEPTED, Json(TransferAnswer { transfer: key.to_string(), without_effect })).into_response())
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
    let key = key(&name)?;
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
    Ok(Json(TransferAnswer { transfer: key.to_string(), without_effect: Vec::new() }))
}

fn key(name: &str) -> Result<TransferKey, ApiError> {
    name.parse().map_err(|()| unknown(name))
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
