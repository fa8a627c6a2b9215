//! The relay's events as they come.

use std::io::{BufRead, BufReader, Read};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

/// An event stream. Events that were waited for are taken; the others stay for those who wait for them.
#[derive(Debug)]
pub struct Events {
    received: Receiver<Value>,
    kept: Vec<Value>,
}

impl Events {
    /// Reads up to the server's first words: every event after that is in the stream.
    pub(crate) fn open(body: ureq::Body) -> Self {
        let mut lines = BufReader::with_capacity(4096, body.into_reader());
        let mut line = String::new();
        lines.read_line(&mut line).expect("the stream begins with a comment");
        assert!(line.starts_with(':'), "an event stream begins with a comment, not with {line:?}");
        let (sender, received) = channel();
        // It ends with the relay, or with the next event after the `Events` are dropped.
        thread::spawn(move || read(lines, &sender));
        Self { received, kept: Vec::new() }
    }

    /// Waits for the first event of that name which has not been taken yet.
    ///
    /// # Panics
    /// If it does not come in time.
    pub fn wait_for(&mut self, name: &str, timeout: Duration) -> Value {
        self.wait_for_that(name, timeout, |_| true)
    }

    /// Waits for the first event of that name which has not been taken yet and fulfils a condition.
    ///
    /// # Panics
    /// If it does not come in time.
    pub fn wait_for_that(&mut self, name: &str, timeout: Duration, condition: impl Fn(&Value) -> bool) -> Value {
        let wanted = |event: &Value| event["event"] == name && condition(event);
        if let Some(at) = self.kept.iter().position(wanted) {
            return self.kept.remove(at);
        }
        let deadline = Instant::now() + timeout;
        loop {
            match self.received.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(event) if wanted(&event) => return event,
                Ok(event) => self.kept.push(event),
                Err(RecvTimeoutError::Timeout) => {
                    panic!("waited {timeout:?} in vain for the event {name}; others came: {:?}", self.kept)
                }
                Err(RecvTimeoutError::Disconnected) => {
                    panic!("the event stream ended before {name}; others came: {:?}", self.kept)
                }
            }
        }
    }

    /// The events that have come and were not taken.
    pub fn others(&mut self) -> &[Value] {
        self.kept.extend(self.received.try_iter());
        &self.kept
    }

    /// Waits until the relay closes the stream.
    ///
    /// # Panics
    /// If it does not in time.
    pub fn wait_for_end(&mut self, timeout: Duration) {
        let deadline = Instant::now() + timeout;
        loop {
            match self.received.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(event) => self.kept.push(event),
                Err(RecvTimeoutError::Timeout) => panic!("the event stream did not end within {timeout:?}"),
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }
}

/// Hands on each event's data. `event:` repeats what the data says: that is checked here.
fn read(mut lines: BufReader<impl Read>, sender: &Sender<Value>) {
    let (mut name, mut data, mut line) = (String::new(), String::new(), String::new());
    while lines.read_line(&mut line).is_ok_and(|len| len > 0) {
        let text = line.trim_end();
        if let Some(value) = text.strip_prefix("event:") {
            value.trim_start().clone_into(&mut name);
        } else if let Some(value) = text.strip_prefix("data:") {
            data.push_str(value.trim_start());
        } else if text.is_empty() && !data.is_empty() {
            let mut event: Value = serde_json::from_str(&data).unwrap_or_else(|error| panic!("{data}: {error}"));
            if event["event"].is_null() {
                event["event"] = name.as_str().into();
            }
            assert_eq!(event["event"], name.as_str(), "{data}");
            if sender.send(event).is_err() {
                return;
            }
            name.clear();
            data.clear();
        }
        line.clear();
    }
}
