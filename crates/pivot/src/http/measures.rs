//! What `/metrics` says of the pivot.

use patchcord_control::http::Measure;

use crate::driver::{Pivot, TrunkSettings};

/// Registrations, trunk by trunk, and questions and reports to webhooks.
pub(super) fn of(pivot: &Pivot) -> Vec<Measure> {
    let registering = || pivot.trunks().filter(|trunk| trunk.registration.is_some());
    let gauge = |name, help, trunk: &TrunkSettings, value| {
        let labels = vec![("trunk", trunk.trunk.name.to_string())];
        Measure { name, labels, help, is_counter: false, value }
    };
    let registered = registering().map(|trunk| {
        let registry = trunk.standing.registry();
        let is_there = registry.left.is_some() || registry.state == "registered";
        gauge("trunk_registered", "The registrar keeps the pivot's registration of the trunk", trunk, is_there.into())
    });
    let left = registering().map(|trunk| {
        let left = trunk.standing.registry().left.unwrap_or_default();
        gauge(
            "trunk_registration_expires_seconds",
            "Until the registration ends unless it is refreshed; 0: there is none",
            trunk,
            left.as_secs(),
        )
    });
    let requests = pivot.webhook_counts().read().map(|(about, outcome, value)| {
        let labels = vec![("about", about.to_owned()), ("outcome", outcome.to_owned())];
        let help = "Questions and reports to webhooks, with all their tries, by what came of them";
        Measure { name: "webhook_requests", labels, help, is_counter: true, value }
    });
    registered.chain(left).chain(requests).collect()
}
