//! ng over HTTP: a body is a message, with its cookie under `/ng` and without under `/ng-plain`.

use core::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{ConnectInfo, DefaultBodyLimit, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{Extensions, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use patchcord_ng::{MESSAGE_LEN_MAX, Message, Transport};

use super::server::{Origin, Outcome};
use super::{Answer, Server, websocket};

/// The type of requests and replies.
const MEDIA_TYPE: &str = "application/x-rtpengine-ng";

/// `POST /ng` and `POST /ng-plain`, and WebSocket on these paths and on `/`.
///
/// Peers are known if the server is made with connect information ([`axum::extract::ConnectInfo`]).
pub fn router<A: Answer, S: Clone + Send + Sync + 'static>(server: Arc<Server<A>>) -> Router<S> {
    Router::new()
        .route("/", get(websocket::upgrade))
        .route("/ng", post(with_cookie).get(websocket::upgrade))
        .route("/ng-plain", post(plain).get(websocket::upgrade))
        .layer(DefaultBodyLimit::max(MESSAGE_LEN_MAX))
        .with_state(server)
}

/// As [`router`], for a listener of its own: WebSocket on every path, and `GET /ping`.
pub fn standalone<A: Answer>(server: Arc<Server<A>>) -> Router {
    let anywhere = Router::new().fallback(get(websocket::upgrade)).with_state(Arc::clone(&server));
    router(server).route("/ping", get(async || "pong\n")).merge(anywhere)
}

/// Where a request came from.
pub(super) fn origin(transport: Transport, extensions: &Extensions) -> Origin {
    let peer = extensions.get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| *peer);
    Origin { transport, peer }
}

async fn with_cookie<A: Answer>(State(server): State<Arc<Server<A>>>, extensions: Extensions, body: Bytes) -> Response {
    let origin = origin(Transport::Http, &extensions);
    let message = match Message::split(&body) {
        Ok(message) => message,
        Err(error) => return (StatusCode::BAD_REQUEST, format!("{error}\n")).into_response(),
    };
    let Ok(place) = Arc::clone(&server.places).acquire_owned().await else { return unavailable() };
    let reply = match server.begin(&message, origin) {
        Outcome::Now(reply) => Some(reply),
        // A task of its own, because this one ends when the client goes: a request is done as a whole or not at all.
        Outcome::Later(work) => tokio::spawn(async move {
            let reply = work.await;
            drop(place);
            reply
        })
        .await
        .ok()
        .flatten(),
    };
    reply.map_or_else(unavailable, |reply| ([(CONTENT_TYPE, MEDIA_TYPE)], Bytes::from_owner(reply)).into_response())
}

async fn plain<A: Answer>(State(server): State<Arc<Server<A>>>, extensions: Extensions, body: Bytes) -> Response {
    let origin = origin(Transport::Http, &extensions);
    let Ok(place) = Arc::clone(&server.places).acquire_owned().await else { return unavailable() };
    let reply = tokio::spawn(async move {
        let reply = server.plain(Message::plain(&body), origin).await;
        drop(place);
        reply
    });
    match reply.await {
        Ok(reply) => ([(CONTENT_TYPE, MEDIA_TYPE)], reply).into_response(),
        Err(_) => unavailable(),
    }
}

fn unavailable() -> Response {
    StatusCode::SERVICE_UNAVAILABLE.into_response()
}
