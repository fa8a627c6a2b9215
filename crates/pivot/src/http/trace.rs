//! What was said in a transfer's call, as clients see it.

use core::net::SocketAddr;
use core::time::Duration;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::Json;
use axum::extract::{Path, State};
use patchcord_control::ApiError;
use serde::Serialize;
use utoipa::ToSchema;

use super::{key, unknown, view};
use crate::driver::{CallTrace, Pivot, TraceMessage};

/// The SIP trace of a call: all its dialogs, in the order in which messages were seen.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct TraceView {
    /// Whether there is a trace; where not, `pivot.trace_kib` is 0 or newer calls took its place.
    pub is_kept: bool,
    /// When the call began, milliseconds since 1970: its first message.
    pub began_ms: Option<u64>,
    /// The first and the latest.
    pub messages: Vec<MessageView>,
    /// So many between them are not kept.
    pub left_out: u64,
    /// The index of the message in front of which they are missing.
    pub left_out_at: usize,
}

/// A message of SIP.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct MessageView {
    /// Milliseconds since the call began, with microseconds behind the point.
    pub at_ms: f64,
    /// `in`: the pivot received it; `out`: it sent it.
    pub direction: &'static str,
    /// The party whose dialog it is of.
    #[schema(value_type = String)]
    pub party: Arc<str>,
    /// `udp`, `tcp`, `tls`, `ws`, `wss`.
    pub transport: &'static str,
    /// The pivot's address.
    #[schema(value_type = String)]
    pub local: SocketAddr,
    /// The other's address.
    #[schema(value_type = String)]
    pub remote: SocketAddr,
    /// The request line or status line.
    pub first_line: String,
    /// Its Call-ID.
    #[schema(value_type = String)]
    pub call_id: Arc<str>,
    /// `CSeq`: `1 INVITE`.
    pub cseq: String,
    /// All of it; credentials and keys are masked, and what is no UTF-8 is replaced.
    pub text: String,
}

impl TraceView {
    /// `clock` is when the driver's time began.
    #[must_use]
    pub fn new(trace: Option<&CallTrace>, clock: SystemTime) -> Self {
        let Some(trace) = trace else {
            return Self { is_kept: false, began_ms: None, messages: Vec::new(), left_out: 0, left_out_at: 0 };
        };
        let began = began(trace);
        let since_1970 = |at: Duration| view::ms((clock + at).duration_since(UNIX_EPOCH).unwrap_or_default());
        Self {
            is_kept: true,
            began_ms: trace.messages.first().map(|first| since_1970(first.at)),
            messages: trace.messages.iter().map(|message| MessageView::new(message, began)).collect(),
            left_out: trace.left_out,
            left_out_at: trace.left_out_at,
        }
    }
}

impl MessageView {
    fn new(message: &TraceMessage, began: Duration) -> Self {
        Self {
            at_ms: at_ms(message, began),
            direction: if message.is_outgoing { "out" } else { "in" },
            party: Arc::clone(&message.party),
            transport: message.transport.as_str(),
            local: message.local,
            remote: message.remote,
            first_line: message.first_line().into_owned(),
            call_id: Arc::clone(&message.call_id),
            cseq: message.cseq().into_owned(),
            text: String::from_utf8_lossy(&message.bytes).into_owned(),
        }
    }
}

/// The trace for people: time, arrow, party, and what was said.
pub(super) fn readable(trace: Option<&CallTrace>, call: &str) -> String {
    let Some(trace) = trace else {
        return format!("call {call}: no SIP trace is kept of it (pivot.trace_kib)\n");
    };
    let mut text = format!("call {call}: the pivot is on the left, times are milliseconds since the first message\n");
    let (began, parties) = (began(trace), trace.messages.iter().map(|message| message.party.len()).max().unwrap_or(0));
    for (index, message) in trace.messages.iter().enumerate() {
        if index == trace.left_out_at {
            say_left_out(&mut text, trace);
        }
        let arrow = if message.is_outgoing { "-->" } else { "<--" };
        let (at, party, transport) = (at_ms(message, began), &message.party, message.transport.as_str());
        let (local, remote) = (message.local, message.remote);
        let line = harmless(&message.first_line());
        let _ =
            write!(text, "\n{at:>12.3} {arrow} {party:<parties$}  {line}\n{local} {arrow} {remote} {transport}\n\n");
        for line in String::from_utf8_lossy(&message.bytes).trim_end().lines() {
            let _ = writeln!(text, "    {}", harmless(line));
        }
    }
    if trace.left_out_at >= trace.messages.len() {
        say_left_out(&mut text, trace);
    }
    text
}

fn say_left_out(text: &mut String, trace: &CallTrace) {
    if trace.left_out > 0 {
        let _ = write!(text, "\n... {} messages are not kept ...\n", trace.left_out);
    }
}

/// What a terminal would obey is written as an escape.
fn harmless(line: &str) -> String {
    let escaped = |char: char| match char {
        '\t' => "\t".to_owned(),
        char if char.is_control() => char.escape_default().to_string(),
        char => char.to_string(),
    };
    line.chars().map(escaped).collect()
}

fn began(trace: &CallTrace) -> Duration {
    trace.messages.first().map(|first| first.at).unwrap_or_default()
}

fn at_ms(message: &TraceMessage, began: Duration) -> f64 {
    let us = message.at.saturating_sub(began).as_micros();
    us as f64 / 1000.0
}

/// Shows what was said by SIP in a transfer's call.
#[utoipa::path(
    get, path = "/v1/transfers/{transfer}/trace", tag = "transfers", params(("transfer" = String, Path, description = "Its name")),
    responses((status = 200, body = TraceView), (status = 404, description = "unknown-transfer")), security((), ("token" = []))
)]
pub(super) async fn trace(
    State(pivot): State<Arc<Pivot>>,
    Path(name): Path<String>,
) -> Result<Json<TraceView>, ApiError> {
    let key = key(&pivot, &name)?;
    let kept = pivot
        .book()
        .get(key.call)
        .filter(|kept| kept.transfers.contains_key(&key.transfer))
        .ok_or_else(|| unknown(&name))?;
    Ok(Json(TraceView::new(pivot.traces().of(key.call).as_ref(), kept.clock)))
}
