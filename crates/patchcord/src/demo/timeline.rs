//! What happened when: what was commanded, and what the relay said about it.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::Value;

use crate::client::api::Api;
use crate::failure::Failure;
use crate::output;

/// How long an event may be waited for. Nothing here takes that long, on any machine.
const EVENT_TIMEOUT: Duration = Duration::from_secs(20);

/// One line.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Entry {
    /// Milliseconds since the demo began.
    pub(super) at_ms: f64,
    /// The call.
    pub(super) call: String,
    /// What happened.
    pub(super) what: String,
}

/// Collects entries from the script and events from the relay. Clones are the same one.
#[derive(Clone, Debug)]
pub(super) struct Timeline {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    started: Instant,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    entries: Vec<Entry>,
    events: Vec<Value>,
    ended: bool,
}

impl Timeline {
    /// Begins to listen to the relay's events; its time begins now.
    pub(super) fn start(api: &Api) -> Result<Self, Failure> {
        let events = api.events(None)?;
        let shared = Arc::new(Shared { started: Instant::now(), state: Mutex::default(), changed: Condvar::new() });
        let timeline = Self { shared };
        let listener = timeline.clone();
        std::thread::Builder::new()
            .name("demo-events".to_owned())
            .spawn(move || {
                for event in events {
                    listener.happened(event);
                }
                listener.lock().ended = true;
                listener.shared.changed.notify_all();
            })
            .map_err(|error| Failure::failed(format!("cannot start a thread: {error}")))?;
        Ok(timeline)
    }

    /// Notes what the script does, and tells a user who watches.
    pub(super) fn note(&self, call: &str, what: &str) {
        let at_ms = self.now_ms();
        if std::io::IsTerminal::is_terminal(&std::io::stderr()) {
            output::tell(&format!("{:7.3} s  {call}: {what}", at_ms / 1e3));
        }
        self.lock().entries.push(Entry { at_ms, call: call.to_owned(), what: what.to_owned() });
    }

    /// Waits for an event of a call that fulfils a condition, now or earlier, and returns it; `what` names it in the error.
    pub(super) fn wait_for(
        &self,
        call: &str,
        what: &str,
        condition: impl Fn(&Value) -> bool,
    ) -> Result<Value, Failure> {
        let deadline = Instant::now() + EVENT_TIMEOUT;
        let mut state = self.lock();
        loop {
            if let Some(event) = state.events.iter().find(|event| event["call"] == call && condition(event)) {
                return Ok(event.clone());
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || state.ended {
                return Err(Failure::failed(format!(
                    "call {call}: waited in vain for {what}; is the relay still running? see relay.log"
                )));
            }
            state = self.shared.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Everything so far, in order.
    pub(super) fn entries(&self) -> Vec<Entry> {
        let mut entries = self.lock().entries.clone();
        entries.sort_by(|a, b| a.at_ms.total_cmp(&b.at_ms));
        entries
    }

    fn happened(&self, event: Value) {
        let call = event["call"].as_str().unwrap_or_default().to_owned();
        let entry = Entry { at_ms: self.now_ms(), call, what: format!("<- {}", told(&event)) };
        let mut state = self.lock();
        state.entries.push(entry);
        state.events.push(event);
        drop(state);
        self.shared.changed.notify_all();
    }

    fn now_ms(&self) -> f64 {
        (self.shared.started.elapsed().as_micros() as f64) / 1e3
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An event of the relay in a few words.
fn told(event: &Value) -> String {
    let word = |field: &str| event[field].as_str().unwrap_or_default();
    let party = word("party");
    match word("event") {
        "cut-over" => {
            let number =
                |field: &str| event[field].as_u64().map_or_else(|| "-".to_owned(), |number| number.to_string());
            let first = event["gap_us"].is_null();
            let receipt = if first {
                "its first packet".to_owned()
            } else {
                format!(
                    "gap {} us, sequence +{}, timestamp +{}",
                    number("gap_us"),
                    number("seq_step"),
                    number("ts_step")
                )
            };
            format!("cut-over ({}) reached the {party}: {receipt}", word("command"))
        }
        "first-packet" => format!("first packet of the {party}, SSRC {:#010x}", event["ssrc"].as_u64().unwrap_or(0)),
        "latched" => format!("the {party} sends from {}", word("source")),
        "leg-created" => format!("leg of the {party} on {}", word("local")),
        "leg-deleted" => format!("leg of the {party} deleted"),
        "cut-over-cancelled" => format!("cut-over ({}) cancelled", word("id")),
        "rolled-back" => format!("{} rolled back", word("id")),
        other if party.is_empty() => other.to_owned(),
        other => format!("{other}: {party}"),
    }
}
