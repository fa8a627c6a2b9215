//! ng over WebSocket (RFC 6455): a frame is a message, with its cookie under one subprotocol and without under the other.

use std::sync::Arc;

use axum::Error;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::ws::{self, WebSocket, WebSocketUpgrade};
use axum::http::{Extensions, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use patchcord_ng::{MESSAGE_LEN_MAX, Message, Transport};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::http::origin;
use super::server::{Origin, Outcome, Reply};
use super::{Answer, Server};

/// Messages with cookies.
const WITH_COOKIE: &str = "ng.rtpengine.com";
/// Messages without.
const PLAIN: &str = "ng-plain.rtpengine.com";
/// Makes a request a WebSocket connection of one of the two subprotocols.
pub(super) async fn upgrade<A: Answer>(
    State(server): State<Arc<Server<A>>>,
    extensions: Extensions,
    upgrade: WebSocketUpgrade,
) -> Response {
    let origin = origin(Transport::WebSocket, &extensions);
    let upgrade =
        upgrade.protocols([WITH_COOKIE, PLAIN]).max_message_size(MESSAGE_LEN_MAX).max_frame_size(MESSAGE_LEN_MAX);
    let is_plain = match upgrade.selected_protocol().map(HeaderValue::as_bytes) {
        None => {
            let text = format!("choose the subprotocol {WITH_COOKIE} or {PLAIN}\n");
            return (StatusCode::BAD_REQUEST, text).into_response();
        }
        Some(protocol) => protocol == PLAIN.as_bytes(),
    };
    let Some(place) = server.connection(origin) else { return StatusCode::SERVICE_UNAVAILABLE.into_response() };
    upgrade.on_upgrade(move |socket| async move {
        let mut connection = Connection { server, origin, socket, running: JoinSet::new() };
        let result = if is_plain { connection.plain().await } else { connection.with_cookies().await };
        match result {
            Ok(()) => tracing::debug!(?origin, "a WebSocket for ng ended"),
            Err(error) => tracing::debug!(?origin, %error, "a WebSocket for ng is closed"),
        }
        // What was begun is finished, though nobody hears of it: a request is done as a whole or not at all.
        connection.running.detach_all();
        drop(place);
    })
}

struct Connection<A> {
    server: Arc<Server<A>>,
    origin: Origin,
    socket: WebSocket,
    running: JoinSet<Option<Reply>>,
}

impl<A: Answer> Connection<A> {
    async fn with_cookies(&mut self) -> Result<(), Error> {
        let limits = self.server.limits;
        loop {
            let received = tokio::select! {
                received = timeout(limits.idle, self.socket.recv()), if self.running.len() < limits.running_on_connection => received,
                Some(done) = self.running.join_next() => {
                    if let Ok(Some(reply)) = done {
                        self.send(ws::Message::Binary(Bytes::from_owner(reply))).await?;
                    }
                    continue;
                }
            };
            let Some(received) = received.map_err(Error::new)? else { return Ok(()) };
            let Some(bytes) = content(received?) else { continue };
            let message = match Message::split(&bytes) {
                Ok(message) => message,
                Err(error) => {
                    tracing::debug!(origin = ?self.origin, %error, "a WebSocket frame for ng is no message");
                    continue;
                }
            };
            let Ok(place) = Arc::clone(&self.server.places).acquire_owned().await else { return Ok(()) };
            match self.server.begin(&message, self.origin) {
                Outcome::Now(reply) => self.send(ws::Message::Binary(Bytes::from_owner(reply))).await?,
                Outcome::Later(work) => {
                    self.running.spawn(async move {
                        let reply = work.await;
                        drop(place);
                        reply
                    });
                }
            }
        }
    }

    /// Without cookies only their order tells which reply belongs to which request: one after the other.
    async fn plain(&mut self) -> Result<(), Error> {
        while let Some(received) = timeout(self.server.limits.idle, self.socket.recv()).await.map_err(Error::new)? {
            let Some(bytes) = content(received?) else { continue };
            let Ok(place) = Arc::clone(&self.server.places).acquire_owned().await else { return Ok(()) };
            let (server, origin) = (Arc::clone(&self.server), self.origin);
            let reply = tokio::spawn(async move {
                let reply = server.plain(Message::plain(&bytes), origin).await;
                drop(place);
                reply
            });
            if let Ok(reply) = reply.await {
                self.send(ws::Message::Binary(reply.into())).await?;
            }
        }
        Ok(())
    }

    async fn send(&mut self, message: ws::Message) -> Result<(), Error> {
        timeout(self.server.limits.patience, self.socket.send(message)).await.map_err(Error::new)?
    }
}

/// The message of a frame; pings and closing are looked after below.
fn content(message: ws::Message) -> Option<Bytes> {
    match message {
        ws::Message::Binary(bytes) => Some(bytes),
        ws::Message::Text(text) => Some(text.into()),
        ws::Message::Ping(_) | ws::Message::Pong(_) | ws::Message::Close(_) => None,
    }
}
