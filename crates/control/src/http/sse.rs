//! The event stream (WHATWG HTML 9.2, server-sent events).

use core::convert::Infallible;
use core::time::Duration;
use std::sync::Arc;

use axum::extract::State;
use axum::response::Sse;
use axum::response::sse::{Event, KeepAlive};
use serde::Deserialize;
use tokio_stream::wrappers::BroadcastStream;
use tokio_stream::wrappers::errors::BroadcastStreamRecvError;
use tokio_stream::{Stream, StreamExt as _};

use super::errors::{ErrorBody, Query};
use crate::api::CallEvent;
use crate::control::Control;
use crate::error::ApiError;

/// A comment so often keeps proxies from closing a quiet stream: their usual limit is a minute.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// The query of the event stream.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EventQuery {
    call: Option<String>,
}

/// Tells what happens from now on, as server-sent events.
#[utoipa::path(
    get, path = "/v1/events", tag = "events",
    params(("call" = Option<String>, Query, description = "Only the events of this call")),
    responses(
        (status = 200, content_type = "text/event-stream", body = CallEvent,
         description = "`event:` is the name, `data:` a CallEvent; `lagged` has the number of events that were missed"),
        (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
    ),
    security((), ("token" = []))
)]
pub(super) async fn events(
    State(control): State<Control>,
    Query(EventQuery { call }): Query<EventQuery>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, ApiError> {
    let events = BroadcastStream::new(control.subscribe());
    let connected = tokio_stream::once(Ok(Event::default().comment("connected")));
    let wanted = move |event: &CallEvent| call.as_deref().is_none_or(|call| *event.call == *call);
    let told = events.filter_map(move |event| told(event, &wanted).map(Ok));
    Ok(Sse::new(connected.chain(told)).keep_alive(KeepAlive::new().interval(KEEP_ALIVE).text("keep-alive")))
}

fn told(
    event: Result<Arc<CallEvent>, BroadcastStreamRecvError>,
    wanted: &impl Fn(&CallEvent) -> bool,
) -> Option<Event> {
    match event {
        Ok(event) if wanted(&event) => {
            let data = serde_json::to_string(&*event).ok()?;
            Some(Event::default().event(event.kind.name()).data(data))
        }
        Ok(_) => None,
        Err(BroadcastStreamRecvError::Lagged(missed)) => {
            Some(Event::default().event("lagged").data(format!("{{\"missed\":{missed}}}")))
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse as _;

    use super::*;
    use crate::api::EventKind;

    async fn written(event: Event) -> String {
        let response = Sse::new(tokio_stream::once(Ok::<_, Infallible>(event))).into_response();
        let body = axum::body::to_bytes(response.into_body(), 1000).await.expect("a short body");
        String::from_utf8_lossy(&body).into_owned()
    }

    #[tokio::test]
    async fn a_reader_that_is_too_slow_is_told_how_much_it_missed() {
        let event = told(Err(BroadcastStreamRecvError::Lagged(3)), &|_| false).expect("it is told");
        assert_eq!(written(event).await, "event: lagged\ndata: {\"missed\":3}\n\n");
    }

    #[tokio::test]
    async fn an_event_has_its_name_in_both_places() {
        let event = CallEvent { at_us: 7, call: "c".into(), party: None, kind: EventKind::CallCreated };
        let event = told(Ok(Arc::new(event)), &|_| true).expect("it is wanted");
        let data = r#"{"at_us":7,"call":"c","party":null,"event":"call-created"}"#;
        assert_eq!(written(event).await, format!("event: call-created\ndata: {data}\n\n"));
    }
}
