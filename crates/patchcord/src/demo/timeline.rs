//! What happened when: what was commanded, and what the relay said about it.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::Value;

use crate::client::api::Api;
use crate::client::show;
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

    /// Waits for an event of a call that fulfils a condition, now or earlier; `what` names it in the error.
    pub(super) fn wait_for(&self, call: &str, what: &str, condition: impl Fn(&Value) -> bool) -> Result<(), Failure> {
        let deadline = Instant::now() + EVENT_TIMEOUT;
        let mut state = self.lock();
        while !state.events.iter().any(|event| event["call"] == call && condition(event)) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || state.ended {
                return Err(Failure::failed(format!(
                    "call {call}: waited in vain for {what}; is the relay still running? see relay.log"
                )));
            }
            state = self.shared.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        Ok(())
    }

    /// Everything so far, in order.
    pub(super) fn entries(&self) -> Vec<Entry> {
        let mut entries = self.lock().entries.clone();
        entries.sort_by(|a, b| a.at_ms.total_cmp(&b.at_ms));
        entries
    }

    fn happened(&self, event: Value) {
        let text = show::event(&event);
        // The relay's own time in front is of another clock; the call has a column of its own.
        let what = text.split_once(event["event"].as_str().unwrap_or_default()).map_or("", |(_, rest)| rest);
        let call = event["call"].as_str().unwrap_or_default().to_owned();
        let what = what.trim_start().strip_prefix(call.as_str()).unwrap_or(what);
        let what = format!("<- {}  {}", event["event"].as_str().unwrap_or_default(), what.trim());
        let at_ms = self.now_ms();
        let mut state = self.lock();
        state.entries.push(Entry { at_ms, call, what });
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
