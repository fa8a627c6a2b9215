//! Records over HTTP: those of this process, and those of former ones as far as they are kept.

use core::time::Duration;
use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use patchcord_control::{ApiError, ErrorCode};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::TransferView;
use crate::driver::{Book, Filter, Kept, Pivot, Question, TransferKey};

/// So many records are given if nobody says how many, and so many at most.
const LIMIT: u32 = 100;
const LIMIT_MAX: u32 = 1000;

/// How long the database may take for an answer.
const PATIENCE: Duration = Duration::from_secs(3);

/// A call that was answered or is over: the parent of its transfers.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct CallView {
    /// Its id, in all processes.
    pub record: String,
    /// What the relay knows it by.
    #[schema(value_type = String)]
    pub call: Arc<str>,
    /// The caller's Call-ID.
    pub call_id: String,
    /// `origination` or `termination`.
    pub direction: &'static str,
    /// Who called.
    pub from: String,
    /// Who was called.
    pub to: String,
    /// The trunk that it came by.
    #[schema(value_type = String)]
    pub from_trunk: Arc<str>,
    /// The trunk that it went by.
    #[schema(value_type = String)]
    pub to_trunk: Arc<str>,
    /// When it came, milliseconds since 1970.
    pub began_ms: u64,
    /// When it was answered.
    pub answered_ms: Option<u64>,
    /// When it was over.
    pub ended_ms: Option<u64>,
    /// Why, if somebody said: `Q.850 16`.
    pub cause: Option<String>,
    /// The SIP code, if it was not answered.
    pub refused: Option<u16>,
    /// The ids of its transfers.
    pub transfers: Vec<String>,
    /// What it and its transfers are billed as; known at its end.
    pub components: Vec<ComponentView>,
}

/// Something that is paid for by time.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ComponentView {
    /// The transfer whose it is; none: the call's own.
    pub transfer: Option<String>,
    /// By which price: `origination` or `termination`.
    pub service: &'static str,
    /// From whom: `A` called, `B` was called, `C` is the target.
    pub from: &'static str,
    /// To whom.
    pub to: &'static str,
    /// Who that is.
    pub from_uri: String,
    /// Likewise.
    pub to_uri: String,
    /// From whom the record is that it belongs to.
    pub log_from: &'static str,
    /// To whom.
    pub log_to: &'static str,
    /// From when it is paid for, milliseconds since 1970.
    pub began_ms: u64,
    /// Until when.
    pub ended_ms: u64,
}

impl CallView {
    /// A call by its id, once it was answered or is over.
    #[must_use]
    pub fn new(id: String, kept: &Kept, components: Vec<ComponentView>) -> Option<Self> {
        let call = kept.call.as_ref()?;
        Some(Self {
            transfers: kept.transfers.keys().map(|transfer| format!("{id}-{}", transfer.0)).collect(),
            record: id,
            call: Arc::clone(&kept.name),
            call_id: call.call_id.to_string(),
            direction: call.direction.as_str(),
            from: call.caller.uri.to_string(),
            to: call.callee.uri.to_string(),
            from_trunk: Arc::clone(&call.caller_trunk),
            to_trunk: Arc::clone(&call.callee_trunk),
            began_ms: kept.at(call.began),
            answered_ms: call.answered.map(|time| kept.at(time)),
            ended_ms: call.ended.map(|time| kept.at(time)),
            cause: call.reason.as_ref().map(|reason| format!("{} {}", reason.protocol, reason.cause)),
            refused: call.refused,
            components,
        })
    }
}

/// Which records are wanted.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Wanted {
    /// So many at most, the latest: 1 to 1000, 100 if absent.
    limit: Option<u32>,
    /// Of the call with this Call-ID, or whose record has this id.
    call: Option<String>,
    /// Transfers in this state.
    state: Option<String>,
    /// That began then or later, milliseconds since 1970.
    from_ms: Option<u64>,
    /// That began before.
    to_ms: Option<u64>,
}

type Asked = Result<Query<Wanted>, QueryRejection>;

fn filter(asked: Asked) -> Result<Filter, ApiError> {
    let Query(Wanted { limit, call, state, from_ms, to_ms }) = asked.map_err(|error| {
        let text = error.body_text();
        let is_unknown = text.contains("unknown field");
        ApiError::new(if is_unknown { ErrorCode::UnknownField } else { ErrorCode::BadRequest }, text)
    })?;
    let limit = limit.unwrap_or(LIMIT);
    if !(1..=LIMIT_MAX).contains(&limit) {
        let text = format!("`limit` is {limit}: 1 to {LIMIT_MAX}; older ones are had by `to_ms`");
        return Err(ApiError::new(ErrorCode::BadRequest, text));
    }
    Ok(Filter { limit, call, state, from_ms, to_ms })
}

/// Transfers, the latest first.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TransferList {
    #[schema(value_type = Vec<TransferView>)]
    transfers: Vec<Value>,
    /// Why those of former processes are missing, if they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    incomplete: Option<String>,
}

/// Calls, the latest first.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct CallList {
    #[schema(value_type = Vec<CallView>)]
    calls: Vec<Value>,
    /// Why those of former processes are missing, if they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    incomplete: Option<String>,
}

/// A call with its transfers.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct CallWithTransfers {
    #[schema(value_type = CallView)]
    call: Value,
    #[schema(value_type = Vec<TransferView>)]
    transfers: Vec<Value>,
}

/// Lists transfers.
#[utoipa::path(
    get, path = "/v1/transfers", tag = "transfers", params(Wanted),
    responses((status = 200, body = TransferList), (status = 400, description = "unknown-field, bad-request")),
    security((), ("token" = []))
)]
pub(super) async fn transfers(State(pivot): State<Arc<Pivot>>, asked: Asked) -> Result<Json<TransferList>, ApiError> {
    let filter = filter(asked)?;
    let book = pivot.book();
    let (transfers, incomplete) = transfers_of(&book, filter).await;
    Ok(Json(TransferList { transfers, incomplete }))
}

/// Shows a transfer: how it stands, what was heard of it, and why it failed if it did.
#[utoipa::path(
    get, path = "/v1/transfers/{transfer}", tag = "transfers", params(("transfer" = String, Path, description = "Its id")),
    responses(
        (status = 200, body = TransferView), (status = 404, description = "unknown-transfer"),
        (status = 503, description = "records-unavailable: it may be a former process's"),
    ),
    security((), ("token" = []))
)]
pub(super) async fn transfer(
    State(pivot): State<Arc<Pivot>>,
    Path(name): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let book = pivot.book();
    if let Some(view) = book.key_of(&name).and_then(|key| book.transfer_view(key)) {
        return Ok(Json(document(&view)));
    }
    let found = find(&book, Question::Transfer(name.clone())).await.map_err(|why| unavailable(&why))?;
    found.into_iter().next().map(Json).ok_or_else(|| super::unknown(&name))
}

/// Lists calls that were answered or are over.
#[utoipa::path(
    get, path = "/v1/records/calls", tag = "transfers", params(Wanted),
    responses((status = 200, body = CallList), (status = 400, description = "unknown-field, bad-request")),
    security((), ("token" = []))
)]
pub(super) async fn calls(State(pivot): State<Arc<Pivot>>, asked: Asked) -> Result<Json<CallList>, ApiError> {
    let filter = filter(asked)?;
    if filter.state.is_some() {
        return Err(ApiError::new(ErrorCode::UnknownField, "`state` is of transfers alone"));
    }
    let book = pivot.book();
    let own = book.calls(&filter).iter().map(document).collect();
    let archived = find(&book, Question::Calls(filter.clone())).await;
    let is_own = |id: &str| book.number_of(id).is_some_and(|number| book.get(number).is_some());
    let (calls, incomplete) = join(own, archived, "record", is_own, filter.limit);
    Ok(Json(CallList { calls, incomplete }))
}

/// Shows a call with its transfers and what they are billed as.
#[utoipa::path(
    get, path = "/v1/records/calls/{record}", tag = "transfers", params(("record" = String, Path, description = "Its id")),
    responses(
        (status = 200, body = CallWithTransfers), (status = 404, description = "unknown-record"),
        (status = 503, description = "records-unavailable: it may be a former process's"),
    ),
    security((), ("token" = []))
)]
pub(super) async fn call(
    State(pivot): State<Arc<Pivot>>,
    Path(id): Path<String>,
) -> Result<Json<CallWithTransfers>, ApiError> {
    let book = pivot.book();
    let unknown = || {
        let text = format!("there is no record of a call {id}; GET /v1/records/calls lists them");
        ApiError::new(ErrorCode::UnknownRecord, text)
    };
    let call = match book.number_of(&id).and_then(|number| book.call_view(number)) {
        Some(view) => document(&view),
        None => {
            let found = find(&book, Question::Call(id.clone())).await.map_err(|why| unavailable(&why))?;
            found.into_iter().next().ok_or_else(unknown)?
        }
    };
    let filter = Filter { limit: LIMIT_MAX, call: Some(id.clone()), ..Filter::default() };
    let (transfers, incomplete) = transfers_of(&book, filter).await;
    match incomplete {
        // All of them are this process's.
        Some(why) if book.number_of(&id).is_none() => Err(unavailable(&why)),
        _ => Ok(Json(CallWithTransfers { call, transfers })),
    }
}

async fn transfers_of(book: &Book, filter: Filter) -> (Vec<Value>, Option<String>) {
    let limit = filter.limit;
    let own = book.transfers(&filter).iter().map(document).collect();
    let mut archived = find(book, Question::Transfers(filter)).await;
    // A list does not say what the media did.
    for one in archived.iter_mut().flatten().filter_map(Value::as_object_mut) {
        one.remove("media");
    }
    let has = |key: TransferKey| book.transfer_view(key).is_some();
    join(own, archived, "transfer", |id| book.key_of(id).is_some_and(has), limit)
}

/// Looks for records of former processes. What is known without the database is not asked for.
async fn find(book: &Book, question: Question) -> Result<Vec<Value>, String> {
    let Some(archive) = book.archive() else { return Ok(Vec::new()) };
    let found = tokio::time::timeout(PATIENCE, archive.find(question)).await;
    found.unwrap_or_else(|_| Err("the database does not answer".to_owned()))
}

/// Those of this process, and those of others: the latest of both. What `is_own` was read above as it stands now.
fn join(
    mut all: Vec<Value>,
    archived: Result<Vec<Value>, String>,
    id: &str,
    is_own: impl Fn(&str) -> bool,
    limit: u32,
) -> (Vec<Value>, Option<String>) {
    let (archived, incomplete) = match archived {
        Ok(archived) => (archived, None),
        Err(why) => (Vec::new(), Some(why)),
    };
    let known: BTreeSet<String> = all.iter().filter_map(|one| Some(one[id].as_str()?.to_owned())).collect();
    let is_new = |one: &Value| one[id].as_str().is_none_or(|id| !known.contains(id) && !is_own(id));
    all.extend(archived.into_iter().filter(is_new));
    // Of the same millisecond those of one process stay in their order.
    all.sort_by_key(|one| core::cmp::Reverse(one["began_ms"].as_u64()));
    all.truncate(limit as usize);
    (all, incomplete)
}

fn unavailable(why: &str) -> ApiError {
    ApiError::new(ErrorCode::RecordsUnavailable, format!("records of former processes cannot be had now: {why}"))
}

/// A view as it is given to clients and to an archive.
#[must_use]
pub fn document(view: &impl Serialize) -> Value {
    // A view has no key that is no text.
    serde_json::to_value(view).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_this_process_knows_beats_what_the_database_has() {
        let one = |id: &str, at: u64, state: &str| json!({ "transfer": id, "began_ms": at, "state": state });
        let own = vec![one("b-2", 30, "done"), one("b-1", 10, "done")];
        let archived = Ok(vec![one("b-2", 30, "ringing"), one("a-1", 20, "done"), one("b-9", 5, "ringing")]);
        let (all, incomplete) = join(own.clone(), archived, "transfer", |id| id == "b-9", 10);
        let ids: Vec<_> = all.iter().map(|one| one["transfer"].as_str().expect("an id")).collect();
        assert_eq!((ids, incomplete), (vec!["b-2", "a-1", "b-1"], None));
        assert_eq!(all[0]["state"], "done");
        let (all, incomplete) = join(own, Err("gone".into()), "transfer", |_| false, 1);
        assert_eq!((all.len(), incomplete.as_deref()), (1, Some("gone")));
    }
}
