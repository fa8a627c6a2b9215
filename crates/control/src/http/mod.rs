//! The HTTP front: docs/http-api.md as an [`axum::Router`].

mod audio;
mod auth;
mod errors;
pub(crate) mod metrics;
mod openapi;
mod page;
mod routes;
mod sse;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{get, post, put};
use utoipa::openapi::OpenApi;

use crate::control::Control;
use crate::ng::Ng;
use crate::ng::listen::{self, Server};

/// The largest body, in bytes, but for that of an upload of audio.
pub const BODY_LEN_MAX: usize = 64 * 1024;

/// What somebody else serves beside the relay, under the same token.
#[allow(missing_debug_implementations, reason = "neither of its parts has one")]
pub struct Extension {
    /// Its paths, below `/v1`.
    pub routes: Router,
    /// What `/openapi.json` says of them.
    pub description: OpenApi,
    /// What it adds to `/metrics`; it must not wait for anything.
    pub measures: Option<Measures>,
}

/// Reads numbers for `/metrics`.
pub type Measures = Arc<dyn Fn() -> Vec<Measure> + Send + Sync>;

/// A number for `/metrics`.
#[derive(Clone, Debug)]
pub struct Measure {
    /// Its name, behind `patchcord_`. Those of one name follow each other.
    pub name: &'static str,
    /// What tells it from others of its name.
    pub labels: Vec<(&'static str, String)>,
    /// What it is.
    pub help: &'static str,
    /// It never falls.
    pub is_counter: bool,
    /// How much.
    pub value: u64,
}

/// The front over a control plane, the check of the token included.
///
/// With `ng` it answers that protocol too, under the same token: `POST /ng`, `POST /ng-plain` and their web sockets.
pub fn router(control: Control, ng: Option<Arc<Server<Ng>>>, extension: Option<Extension>) -> Router {
    let v1 = Router::new()
        .route("/v1/calls", post(routes::create_call).get(routes::list_calls))
        .route("/v1/calls/{call}", get(routes::show_call).delete(routes::delete_call))
        .route("/v1/calls/{call}/commands", post(routes::execute))
        .route("/v1/calls/{call}/merge", post(routes::merge))
        .route("/v1/calls/{call}/dump", get(routes::dump))
        .route("/v1/audio", get(audio::list))
        .route("/v1/audio/{name}", put(audio::put).delete(audio::delete))
        .route("/v1/events", get(sse::events))
        .route("/v1/workers", get(routes::workers))
        .route_layer(from_fn_with_state(control.clone(), auth::check));
    let ng = ng.map_or_else(Router::new, |server| {
        listen::router(server).route_layer(from_fn_with_state(control.clone(), auth::check))
    });
    let measures = extension.as_ref().and_then(|more| more.measures.clone());
    let (more, description) = extension.map(|more| (more.routes, more.description)).unzip();
    let more = more.map_or_else(Router::new, |routes| {
        routes.with_state(()).route_layer(from_fn_with_state(control.clone(), auth::check))
    });
    Router::new()
        .merge(v1)
        .merge(ng)
        .merge(more)
        .merge(page::router())
        .route("/openapi.json", get(openapi::document))
        .route("/metrics", get(metrics::metrics))
        .route("/healthz", get(routes::healthz))
        .route("/readyz", get(routes::readyz))
        .fallback(errors::unknown_path)
        .method_not_allowed_fallback(errors::method_not_allowed)
        .layer(from_fn(page::index))
        .layer(from_fn(errors::name_the_request))
        .layer(DefaultBodyLimit::max(BODY_LEN_MAX))
        .layer(axum::Extension(Arc::new(openapi::More(description))))
        .layer(axum::Extension(metrics::More(measures)))
        .with_state(control)
}
