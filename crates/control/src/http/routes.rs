//! What each path does.

use core::convert::Infallible;
use core::sync::atomic::Ordering;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use tokio_stream::StreamExt as _;
use utoipa::ToSchema;

use super::errors::{Body, ErrorBody, Path, Query};
use crate::api::{
    CallCreated, CallList, CallMerged, CallState, CommandAnswer, CommandBody, CommandRequest, MergeCall, WorkerList,
    read,
};
use crate::control::Control;
use crate::error::ApiError;

/// The body of a request that creates a call; may be empty.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CreateCall {
    /// Its name; absent: one is chosen.
    #[serde(default)]
    call: Option<String>,
    /// The same id again gives the first answer again.
    #[serde(default)]
    id: Option<String>,
    /// Another call, on whose worker it is to live, so that the two can be merged.
    #[serde(default)]
    beside: Option<String>,
}

/// The query of a request that deletes a call.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DeleteCall {
    id: Option<String>,
}

/// Creates a call.
#[utoipa::path(
    post, path = "/v1/calls", tag = "calls", request_body = CreateCall,
    responses(
        (status = 201, body = CallCreated),
        (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
        (status = 404, body = ErrorBody, description = "unknown-call: there is no call `beside`"),
        (status = 409, body = ErrorBody, description = "call-exists, id-reused"),
        (status = 413, body = ErrorBody),
        (status = 503, body = ErrorBody, description = "draining, no-room"),
    ),
    security((), ("token" = []))
)]
pub(super) async fn create_call(State(control): State<Control>, Body(body): Body) -> Result<Response, ApiError> {
    let CreateCall { call, id, beside } =
        if body.trim_ascii().is_empty() { CreateCall::default() } else { read(&body)? };
    let created = control.create_call_beside(call.as_deref(), id.as_deref(), beside.as_deref())?;
    Ok((StatusCode::CREATED, Json(created)).into_response())
}

/// Lists the calls.
#[utoipa::path(
    get, path = "/v1/calls", tag = "calls",
    responses((status = 200, body = CallList), (status = 401, body = ErrorBody)),
    security((), ("token" = []))
)]
pub(super) async fn list_calls(State(control): State<Control>) -> Json<CallList> {
    Json(control.list())
}

/// Shows a call: parties, legs with statistics, bridges, cut-overs with receipts.
#[utoipa::path(
    get, path = "/v1/calls/{call}", tag = "calls", params(("call" = String, Path, description = "The call's name")),
    responses(
        (status = 200, body = CallState),
        (status = 401, body = ErrorBody), (status = 404, body = ErrorBody), (status = 503, body = ErrorBody),
    ),
    security((), ("token" = []))
)]
pub(super) async fn show_call(State(control): State<Control>, Path(call): Path) -> Result<Json<CallState>, ApiError> {
    control.snapshot(&call).await.map(Json)
}

/// Ends a call, frees its ports, and answers with its final state.
#[utoipa::path(
    delete, path = "/v1/calls/{call}", tag = "calls",
    params(
        ("call" = String, Path, description = "The call's name"),
        ("id" = Option<String>, Query, description = "The same id again gives the first answer again"),
    ),
    responses(
        (status = 200, body = CallState),
        (status = 400, body = ErrorBody), (status = 401, body = ErrorBody), (status = 404, body = ErrorBody),
        (status = 409, body = ErrorBody), (status = 503, body = ErrorBody),
    ),
    security((), ("token" = []))
)]
pub(super) async fn delete_call(
    State(control): State<Control>,
    Path(call): Path,
    Query(DeleteCall { id }): Query<DeleteCall>,
) -> Result<Json<Arc<CallState>>, ApiError> {
    control.delete_call(&call, id.as_deref()).await.map(Json)
}

/// Takes another call into this one: all its parties, with their ports and streams as they are. Both names mean the one call then.
#[utoipa::path(
    post, path = "/v1/calls/{call}/merge", tag = "calls",
    params(("call" = String, Path, description = "The name of the call that stays")), request_body = MergeCall,
    responses(
        (status = 200, body = CallMerged),
        (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
        (status = 404, body = ErrorBody, description = "unknown-call, unknown-party"),
        (status = 409, body = ErrorBody, description = "party-exists, same-call, other-worker, id-reused"),
        (status = 413, body = ErrorBody),
        (status = 422, body = ErrorBody, description = "refused: a proxy has made one of them"),
        (status = 503, body = ErrorBody, description = "no-room, worker-unavailable"),
    ),
    security((), ("token" = []))
)]
pub(super) async fn merge(
    State(control): State<Control>,
    Path(call): Path,
    Body(body): Body,
) -> Result<Json<CallMerged>, ApiError> {
    control.merge_calls(&call, read(&body)?).await.map(Json)
}

/// The packets of a call from now on until it ends, as pcapng: all that comes to its ports and leaves from there, as on the wire.
#[utoipa::path(
    get, path = "/v1/calls/{call}/dump", tag = "calls", params(("call" = String, Path, description = "The call's name")),
    responses(
        (status = 200, content_type = "application/x-pcapng", description = "An interface for each party; grows while it is read"),
        (status = 401, body = ErrorBody), (status = 404, body = ErrorBody), (status = 503, body = ErrorBody),
    ),
    security((), ("token" = []))
)]
pub(super) async fn dump(State(control): State<Control>, Path(call): Path) -> Result<Response, ApiError> {
    let pieces = control.dump(&call).await?.map(Ok::<_, Infallible>);
    Ok(([(header::CONTENT_TYPE, "application/x-pcapng")], axum::body::Body::from_stream(pieces)).into_response())
}

/// Executes one bridge command or a batch, as a whole or not at all.
#[utoipa::path(
    post, path = "/v1/calls/{call}/commands", tag = "commands",
    params(("call" = String, Path, description = "The call's name")), request_body = CommandBody,
    responses(
        (status = 200, body = CommandAnswer),
        (status = 400, body = ErrorBody, description = "malformed-json, unknown-field, bad-request"),
        (status = 401, body = ErrorBody),
        (status = 404, body = ErrorBody, description = "unknown-call, unknown-party, unknown-id"),
        (status = 409, body = ErrorBody, description = "id-reused, or the call is not in a state for this"),
        (status = 413, body = ErrorBody),
        (status = 422, body = ErrorBody, description = "refused with a reason"),
        (status = 503, body = ErrorBody, description = "ports-exhausted, no-room, worker-unavailable"),
    ),
    security((), ("token" = []))
)]
pub(super) async fn execute(
    State(control): State<Control>,
    Path(call): Path,
    Body(body): Body,
) -> Result<Json<Arc<CommandAnswer>>, ApiError> {
    control.execute(&call, CommandRequest::from_json(&body)?).await.map(Json)
}

/// Shows the workers: load, batches, latency, drops.
#[utoipa::path(
    get, path = "/v1/workers", tag = "server",
    responses((status = 200, body = WorkerList), (status = 401, body = ErrorBody)),
    security((), ("token" = []))
)]
pub(super) async fn workers(State(control): State<Control>) -> Json<WorkerList> {
    Json(control.workers().await)
}

/// Whether the server is there.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Health {
    /// `ok`, `draining` or `unavailable`.
    status: &'static str,
    /// Workers that did not answer.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    silent_workers: Vec<usize>,
}

/// Alive: the process answers.
#[utoipa::path(get, path = "/healthz", tag = "server", responses((status = 200, body = Health)))]
pub(super) async fn healthz() -> Json<Health> {
    Json(Health { status: "ok", silent_workers: Vec::new() })
}

/// Ready for new calls: not draining, and every worker answers.
#[utoipa::path(
    get, path = "/readyz", tag = "server", responses((status = 200, body = Health), (status = 503, body = Health))
)]
pub(super) async fn readyz(State(control): State<Control>) -> Response {
    if control.0.draining.load(Ordering::Relaxed) {
        let health = Health { status: "draining", silent_workers: Vec::new() };
        return (StatusCode::SERVICE_UNAVAILABLE, Json(health)).into_response();
    }
    let workers = control.workers().await.workers;
    let silent: Vec<_> = workers.iter().filter(|entry| entry.error.is_some()).map(|entry| entry.worker).collect();
    if silent.is_empty() {
        return Json(Health { status: "ok", silent_workers: silent }).into_response();
    }
    let health = Health { status: "unavailable", silent_workers: silent };
    (StatusCode::SERVICE_UNAVAILABLE, Json(health)).into_response()
}
