//! The trunks as clients see them.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::view::ms;
use crate::driver::{Pivot, TrunkSettings};

/// Trunks, by their names.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TrunkList {
    trunks: Vec<TrunkView>,
}

/// A trunk.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TrunkView {
    /// Its name in the configuration.
    name: String,
    /// The host that its URIs have.
    domain: String,
    /// Where requests for it are sent, if not where the domain is.
    proxy: Option<String>,
    /// Its callers are challenged.
    challenge: bool,
    /// How the pivot is registered there; absent: it is not to be.
    registration: Option<RegistrationView>,
}

/// A registration.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RegistrationView {
    /// `registering` (the first REGISTER has no answer), `registered`, `failed` (and is tried again), `ended`.
    state: &'static str,
    /// The registrar's URI.
    registrar: String,
    /// Until when the registrar keeps it, milliseconds since 1970. One whose refresh failed counts until then.
    until_ms: Option<u64>,
    /// Why it failed when it was last tried.
    error: Option<String>,
}

/// Lists the trunks, with how the pivot is registered there.
#[utoipa::path(get, path = "/v1/trunks", tag = "transfers", responses((status = 200, body = TrunkList)), security((), ("token" = [])))]
pub(super) async fn trunks(State(pivot): State<Arc<Pivot>>) -> Json<TrunkList> {
    Json(TrunkList { trunks: pivot.trunks().map(TrunkView::new).collect() })
}

impl TrunkView {
    fn new(settings: &TrunkSettings) -> Self {
        let trunk = &settings.trunk;
        let registration = settings.registration.as_ref().map(|registration| {
            let registry = settings.standing.registry();
            let until =
                registry.left.map(|left| ms((SystemTime::now() + left).duration_since(UNIX_EPOCH).unwrap_or_default()));
            RegistrationView {
                state: registry.state,
                registrar: registration.registrar.to_string(),
                until_ms: until,
                error: registry.error.map(Into::into),
            }
        });
        Self {
            name: trunk.name.to_string(),
            domain: trunk.own_domains.first().map(ToString::to_string).unwrap_or_default(),
            proxy: settings.proxy.as_deref().map(str::to_owned),
            challenge: settings.users.is_some(),
            registration,
        }
    }
}
