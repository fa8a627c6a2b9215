//! The description that the server gives of itself.

use std::sync::Arc;

use axum::extract::State;
use axum::{Extension, Json};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::{Modify, OpenApi};

use super::{audio, metrics, routes, sse};
use crate::control::Control;

#[derive(OpenApi)]
#[openapi(
    info(title = "Patchcord", description = "An RTP media relay for call transfers.", license(name = "MIT OR Apache-2.0")),
    paths(
        routes::create_call, routes::list_calls, routes::show_call, routes::delete_call, routes::execute,
        routes::merge, routes::dump,
        audio::list, audio::put, audio::delete,
        routes::workers, routes::healthz, routes::readyz, sse::events, metrics::metrics, document
    ),
    modifiers(&Token),
    tags(
        (name = "calls", description = "Calls as a whole"),
        (name = "commands", description = "Bridge commands on a call"),
        (name = "audio", description = "What can be played"),
        (name = "events", description = "What happens, as it happens"),
        (name = "server", description = "The server itself"),
    )
)]
struct Description;

/// What is served beside the relay.
pub(super) struct More(pub(super) Option<utoipa::openapi::OpenApi>);

struct Token;

impl Modify for Token {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let scheme = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
        openapi.components.get_or_insert_default().add_security_scheme("token", scheme);
    }
}

/// This description.
#[utoipa::path(get, path = "/openapi.json", tag = "server", responses((status = 200, description = "OpenAPI 3.1")))]
pub(super) async fn document(
    State(control): State<Control>,
    Extension(more): Extension<Arc<More>>,
) -> Json<utoipa::openapi::OpenApi> {
    let mut description = Description::openapi();
    if let More(Some(more)) = &*more {
        description.merge(more.clone());
    }
    description.info.version.clone_from(&control.0.version);
    Json(description)
}
