//! The relay's event stream (WHATWG HTML 9.2, server-sent events), read for as long as the pivot runs.

use core::time::Duration;
use std::sync::Arc;

use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use patchcord_control::api::CallEvent;
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};

use super::Inner;
use crate::webhook::Fault;

/// An event has no more bytes.
const EVENT_LEN_MAX: usize = 256 * 1024;
/// The relay says something every 15 s.
const SILENCE: Duration = Duration::from_secs(45);
/// The pause before the stream is asked for again; each further one is twice as long.
const PAUSE: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// Reads it for ever; says once how the first try went.
pub(super) async fn follow(inner: Arc<Inner>, first: oneshot::Sender<()>) {
    let (mut first, mut pause, mut is_told) = (Some(first), PAUSE, false);
    loop {
        let opened = open(&inner).await;
        let why = match opened {
            Ok(body) => {
                if is_told {
                    tracing::info!(relay = %inner.http.place, "the relay is back: new calls are taken again");
                }
                (pause, is_told) = (PAUSE, false);
                inner.listening.send_replace(true);
                first.take().map(|first| first.send(()));
                let why = read(&inner, body).await;
                inner.listening.send_replace(false);
                why
            }
            Err(Fault::Again(why) | Fault::Final(why)) => why,
        };
        if !is_told && pause > PAUSE || first.is_some() {
            tracing::warn!(relay = %inner.http.place, why, "the relay cannot be had: new calls are answered 503 until it can; \
                look whether it runs, and at `pivot.relay` and `pivot.relay_token`");
            is_told = true;
        }
        first.take().map(|first| first.send(()));
        sleep(pause).await;
        pause = PAUSE_MAX.min(pause * 2);
    }
}

async fn open(inner: &Inner) -> Result<Incoming, Fault> {
    let response = inner.http.stream("/v1/events").await?;
    match response.status().as_u16() {
        200 => {}
        401 => return Err(Fault::Final("it wants another token: `pivot.relay_token` is its `http.token`".to_owned())),
        status => return Err(Fault::Final(format!("it answers {status} for its events"))),
    }
    // What happens from now on is in the stream; what was missed before is looked up.
    inner.catch_up().await.map_err(|error| Fault::Again(error.message))?;
    Ok(response.into_body())
}

/// Why it is over.
async fn read(inner: &Inner, mut body: Incoming) -> String {
    let mut lines = Lines::default();
    loop {
        let bytes = match timeout(SILENCE, body.frame()).await {
            Ok(Some(Ok(frame))) => frame.into_data().unwrap_or_default(),
            Ok(Some(Err(error))) => return format!("its events broke off: {error}"),
            Ok(None) => return "its events ended".to_owned(),
            Err(_) => return "its events are silent".to_owned(),
        };
        match lines.take(&bytes) {
            Ok(events) => events.into_iter().for_each(|event| inner.happened(event)),
            Err(why) => return why.to_owned(),
        }
    }
}

/// Lines of a stream, of which each empty one ends an event.
#[derive(Default)]
struct Lines {
    line: Vec<u8>,
    name: Vec<u8>,
    data: Vec<u8>,
}

impl Lines {
    /// The events that are whole now.
    fn take(&mut self, bytes: &[u8]) -> Result<Vec<CallEvent>, &'static str> {
        let mut events = Vec::new();
        for &byte in bytes {
            if byte != b'\n' {
                self.line.push(byte);
                if self.line.len() + self.data.len() > EVENT_LEN_MAX {
                    return Err("an event is too long");
                }
                continue;
            }
            let line = core::mem::take(&mut self.line);
            let line = line.strip_suffix(b"\r").unwrap_or(&line);
            if line.is_empty() {
                let (name, data) = (core::mem::take(&mut self.name), core::mem::take(&mut self.data));
                if name == b"lagged" {
                    return Err("its events came faster than they were read");
                }
                // Of a newer relay there may be events that are not known here.
                events.extend(serde_json::from_slice::<CallEvent>(&data).ok());
            } else if let Some(data) = line.strip_prefix(b"data:") {
                self.data.extend_from_slice(data);
            } else if let Some(name) = line.strip_prefix(b"event:") {
                self.name = name.trim_ascii().to_vec();
            }
        }
        Ok(events)
    }
}

#[cfg(test)]
mod tests {
    use patchcord_control::api::EventKind;

    use super::*;

    #[test]
    fn events_are_read_however_they_are_cut() {
        let text = b": connected\n\nevent: call-deleted\r\ndata: {\"at_us\":7,\"call\":\"c\",\"party\":null,\"event\":\"call-deleted\"}\r\n\r\n\
            event: new\ndata: {\"event\":\"not-known\"}\n\ndata: {\n\n";
        for len in 1..text.len() {
            let mut lines = Lines::default();
            let events: Vec<_> = text.chunks(len).flat_map(|part| lines.take(part).expect("it is short")).collect();
            let kinds: Vec<_> = events.iter().map(|event| (&*event.call, &event.kind)).collect();
            assert_eq!(kinds, [("c", &EventKind::CallDeleted)], "{len}");
        }
    }

    #[test]
    fn what_has_no_end_and_what_has_gaps_ends_the_stream() {
        assert!(Lines::default().take(&vec![b'x'; EVENT_LEN_MAX + 1]).is_err());
        let mut lines = Lines::default();
        let endless = (0..=EVENT_LEN_MAX / 5).find_map(|_| lines.take(b"data:xxxxx\n").err());
        assert_eq!(endless, Some("an event is too long"));
        assert!(Lines::default().take(b"event: lagged\ndata: {\"missed\":3}\n\n").is_err());
    }
}
