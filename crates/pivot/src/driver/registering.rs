//! The pivot's registrations: begun with it, watched, and taken back with it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::JoinHandle;

use super::settings::{Settings, TrunkSettings};
use super::standing::Told;
use crate::sip::{Registered, Registering, Stack};

/// Those that are kept.
#[derive(Debug)]
pub(super) struct Registrations {
    kept: Mutex<Vec<Registering>>,
}

impl Registrations {
    /// Registers where the settings want it. The tasks end with the registrations.
    pub(super) fn begin(stack: &Stack, settings: &Settings) -> (Self, Vec<JoinHandle<()>>) {
        let wanted = settings.trunks.values().filter_map(|trunk| Some((trunk, trunk.registration.clone()?)));
        let (kept, tasks): (Vec<_>, Vec<_>) = wanted
            .map(|(trunk, registration)| {
                let registering = stack.register(registration);
                let task = tokio::spawn(watch(trunk.clone(), registering.state()));
                (registering, task)
            })
            .unzip();
        (Self { kept: Mutex::new(kept) }, tasks)
    }

    /// Takes all back, and waits until that is said, but no longer than `patience`.
    pub(super) async fn end(&self, patience: Duration) {
        let kept = core::mem::take(&mut *self.kept.lock().unwrap_or_else(PoisonError::into_inner));
        let states: Vec<_> = kept.iter().map(Registering::state).collect();
        drop(kept);
        let all = async {
            for mut state in states {
                // Its end is an end too.
                let _ = state.wait_for(|state| *state == Registered::Ended).await;
            }
        };
        let _ = tokio::time::timeout(patience, all).await;
    }
}

/// Notes how a trunk's registration goes, and says in the log what is new.
async fn watch(trunk: TrunkSettings, mut state: tokio::sync::watch::Receiver<Registered>) {
    let (name, standing) = (&trunk.trunk.name, Arc::clone(&trunk.standing));
    loop {
        let how = state.borrow_and_update().clone();
        let registrar = trunk.registration.as_ref().map_or("", |registration| &registration.registrar);
        match standing.note(&how) {
            Some(Told::Well(expires_s)) => tracing::info!(trunk = %name, registrar, expires_s, "registered"),
            Some(Told::Failed(why)) => tracing::warn!(
                trunk = %name, registrar, %why,
                "cannot register: no calls come from there; it is tried again. `patchcord trunk check {name}` looks for the reason"
            ),
            None => {}
        }
        if how == Registered::Ended || state.changed().await.is_err() {
            return;
        }
    }
}
