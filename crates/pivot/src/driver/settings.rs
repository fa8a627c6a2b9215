//! What the pivot is told at its start.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio_rustls::TlsConnector;

use super::admission::Users;
use super::archive::Archive;
use super::evidence_store::EvidenceSettings;
use super::route::Route;
use super::rtp::RtpLimits;
use super::standing::Standing;
use super::trace::TraceLimits;
use crate::call::plan::Timing;
use crate::call::trunk::Trunk;
use crate::message::{Credentials, Origin};
use crate::sip::{self, Registration, StackError};
use crate::webhook::{self, Place, Reporter, Webhook};

/// Whom the pivot speaks with, and what becomes of calls.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How SIP is spoken.
    pub sip: sip::Config,
    /// By their names.
    pub trunks: BTreeMap<Arc<str>, TrunkSettings>,
    /// The first that fits decides.
    pub routes: Vec<Route>,
    /// How long is waited for what.
    pub timing: Timing,
    /// Calls at a time; more are answered 503.
    pub calls_max: usize,
    /// All calls are on one worker of the relay as long as that has room, so that any two of them can become one.
    pub one_worker: bool,
    /// The country whose ringing tone a transferee hears while the target rings; none: it goes on with hold audio.
    pub ringback: Option<String>,
    /// Where records outlive the process; none: they end with it.
    pub archive: Option<Arc<dyn Archive>>,
    /// What is kept of what calls say; nothing of it where `sip` has a trace of its own.
    pub trace: TraceLimits,
    /// What is kept of RTP around transfers.
    pub rtp: RtpLimits,
    /// Where bundles of failed transfers are kept; nowhere, if none.
    pub evidence: Option<EvidenceSettings>,
    /// Who is told how transfers end; nobody, if none.
    pub status_webhook: Option<webhook::ReportSettings>,
    /// The realm of challenges of ours.
    pub realm: Box<str>,
}

/// A trunk: what the rules have to know, and how it is reached.
#[derive(Clone, Debug)]
pub struct TrunkSettings {
    /// What the rules have to know.
    pub trunk: Arc<Trunk>,
    /// Where its requests are sent, a SIP URI; none: where their request URI says.
    pub proxy: Option<Box<str>>,
    /// What a challenge is answered with.
    pub credentials: Option<Credentials>,
    /// It is offered SRTP.
    pub is_secure: bool,
    /// Its keys may be told where whoever reads the signalling can read them.
    pub allows_srtp_without_tls: bool,
    /// Who decides about REFERs, where that is [`ReferMode::Controller`](crate::call::trunk::ReferMode::Controller).
    pub webhook: Option<webhook::Settings>,
    /// How the pivot registers there, if it does.
    pub registration: Option<Registration>,
    /// Who may call by it and refer: they are challenged. Nobody is, if none.
    pub users: Option<Users>,
    /// How it stands with it.
    pub standing: Arc<Standing>,
}

impl Settings {
    /// The trunk that a request comes by: the one of whose addresses it is, or whose registrar's.
    #[must_use]
    pub fn trunk_of(&self, origin: &Origin) -> Option<&TrunkSettings> {
        let address = origin.address.ip();
        let takes = |trunk: &&TrunkSettings| !trunk.trunk.addresses.is_empty() && trunk.trunk.takes(address);
        self.trunks.values().find(takes).or_else(|| self.trunks.values().find(|trunk| trunk.standing.takes(address)))
    }

    /// The webhooks of trunks that have one.
    pub(super) fn webhooks(&self) -> Result<BTreeMap<Arc<str>, Arc<Webhook>>, StackError> {
        let of_trunk = |(name, trunk): (&Arc<str>, &TrunkSettings)| {
            Some(self.webhook(trunk.webhook.clone()?).map(|webhook| (Arc::clone(name), webhook)))
        };
        self.trunks.iter().filter_map(of_trunk).collect()
    }

    /// Those of routes that have one, by the place of the route.
    pub(super) fn route_webhooks(&self) -> Result<BTreeMap<usize, Arc<Webhook>>, StackError> {
        let of_route =
            |(at, route): (usize, &Route)| Some(self.webhook(route.webhook.clone()?).map(|webhook| (at, webhook)));
        self.routes.iter().enumerate().filter_map(of_route).collect()
    }

    /// Who is told how transfers end.
    pub(super) fn reporter(&self) -> Result<Option<Reporter>, StackError> {
        let reporter =
            |settings: &webhook::ReportSettings| Ok(Reporter::new(settings.clone(), self.tls(&settings.place)?));
        self.status_webhook.as_ref().map(reporter).transpose()
    }

    fn tls(&self, place: &Place) -> Result<Option<TlsConnector>, StackError> {
        place.is_secure().then(|| sip::tls_connector(self.sip.ca.as_ref())).transpose()
    }

    fn webhook(&self, settings: webhook::Settings) -> Result<Arc<Webhook>, StackError> {
        let tls = self.tls(&settings.place)?;
        Ok(Arc::new(Webhook::new(settings, tls)))
    }
}
