//! Server-sent events, read line by line.

use std::io::{BufRead, BufReader};

use serde_json::Value;

/// The server's events as they come. The stream ends when the server closes it.
pub(crate) struct EventStream {
    lines: BufReader<Box<dyn std::io::Read + Send>>,
}

impl EventStream {
    /// Reads up to the server's first words, `: connected`: every event after that is in the stream.
    pub(crate) fn open(body: ureq::Body) -> std::io::Result<Self> {
        let mut stream = Self { lines: BufReader::with_capacity(4096, Box::new(body.into_reader())) };
        let mut line = String::new();
        stream.lines.read_line(&mut line)?;
        if line.starts_with(':') {
            Ok(stream)
        } else {
            Err(std::io::Error::other(format!("an event stream begins with a comment, not with {line:?}")))
        }
    }
}

impl Iterator for EventStream {
    type Item = Value;

    /// The data of the next event that is JSON.
    fn next(&mut self) -> Option<Value> {
        let mut data = String::new();
        let mut line = String::new();
        loop {
            line.clear();
            if self.lines.read_line(&mut line).ok()? == 0 {
                return None;
            }
            let text = line.trim_end_matches(['\r', '\n']);
            if let Some(part) = text.strip_prefix("data:") {
                data.push_str(part.strip_prefix(' ').unwrap_or(part));
            } else if text.is_empty() && !data.is_empty() {
                if let Ok(value) = serde_json::from_str(&data) {
                    return Some(value);
                }
                data.clear();
            }
        }
    }
}

impl std::fmt::Debug for EventStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("EventStream")
    }
}
