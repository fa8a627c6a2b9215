//! A webhook that is told something, and whose answer says no more than that it has it.

use core::time::Duration;

use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::send::{Fault, Letter, post_only};
use super::{Place, Secret, sign};

/// Who is told how transfers stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Where it is.
    pub place: Place,
    /// What reports are signed with; not at all if none.
    pub secret: Option<Secret>,
    /// How long one try may take.
    pub timeout: Duration,
    /// Each state is told, not the end alone.
    pub states: bool,
}

/// Sends reports.
#[allow(missing_debug_implementations, reason = "a TLS connector has none")]
pub struct Reporter {
    settings: Settings,
    tls: Option<TlsConnector>,
}

impl Reporter {
    /// `tls` is for places that are reached by https.
    #[must_use]
    pub const fn new(settings: Settings, tls: Option<TlsConnector>) -> Self {
        Self { settings, tls }
    }

    /// What it was made with.
    #[must_use]
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Tries once to send a report, a JSON text, under the name by which it is known when it comes again.
    pub(crate) async fn tell(&self, delivery: &str, body: &str) -> Result<(), Fault> {
        let signed = sign(self.settings.secret.as_ref(), body);
        let letter = Letter { content_type: "application/json", delivery, signature: signed.as_deref(), body };
        let told = post_only(&self.settings.place, self.tls.as_ref(), letter);
        match timeout(self.settings.timeout, told).await {
            Ok(told) => told.map(drop),
            Err(_) => Err(Fault::Again(format!("no answer within {} ms", self.settings.timeout.as_millis()))),
        }
    }
}
