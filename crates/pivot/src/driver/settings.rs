//! What the pivot is told at its start.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::admission::{Users, with_addresses};
use super::archive::Archive;
use super::evidence_store::EvidenceSettings;
use super::route::{Route, Unroutable, user_of};
use super::rtp::RtpLimits;
use super::standing::Standing;
use super::trace::TraceLimits;
use crate::call::Plan;
use crate::call::billing::Direction;
use crate::call::plan::Timing;
use crate::call::route::Via;
use crate::call::trunk::Trunk;
use crate::call::words::Dial;
use crate::message::{Address, Credentials, Incoming, Origin};
use crate::sip::{self, Registration, StackError};
use crate::webhook::{self, Webhook};

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
            let settings = trunk.webhook.clone()?;
            let tls = settings.place.is_secure().then(|| sip::tls_connector(self.sip.ca.as_ref())).transpose();
            Some(tls.map(|tls| (Arc::clone(name), Arc::new(Webhook::new(settings, tls)))))
        };
        self.trunks.iter().filter_map(of_trunk).collect()
    }

    /// What becomes of an INVITE.
    ///
    /// # Errors
    /// Nobody answers such calls, or whom the route has dialled cannot be told from it.
    pub fn plan(&self, incoming: &Incoming, caller: &TrunkSettings) -> Result<Plan, Unroutable> {
        let none = || Unroutable { code: 404, why: "no entry of `pivot.routes` is for it".into() };
        let user = user_of(&incoming.request_uri);
        let route = self.routes.iter().find(|route| *route.from == *caller.trunk.name && route.fits(user));
        let route = route.ok_or_else(none)?;
        let callee = self.trunks.get(&route.by).ok_or_else(none)?;
        let uri = route.to.for_call(incoming, &caller.trunk.emergency)?;
        let from = incoming.asserted.first().unwrap_or(&incoming.from).clone();
        let to = Address { display: Box::default(), uri: uri.clone() };
        // A REFER in the call may come from where the call came from, and from where the callee is registered.
        let caller_trunk = with_addresses(&caller.trunk, &[incoming.origin.address.ip()]);
        let callee_trunk = with_addresses(&callee.trunk, &callee.standing.addresses());
        // Numbers are dialled towards the telephone network: the agents have none.
        let numbers = match route.direction {
            Direction::Origination => &caller_trunk,
            Direction::Termination => &callee_trunk,
        };
        Ok(Plan {
            numbers: Arc::clone(numbers),
            caller: caller_trunk,
            callee: callee_trunk,
            callee_name: "agent".into(),
            dial: Dial {
                via: Via::Trunk(Arc::clone(&callee.trunk.name)),
                request_uri: uri,
                to,
                from,
                asserted: incoming.asserted.first().cloned(),
                headers: callee.trunk.headers.iter().chain(&incoming.extra).cloned().collect(),
            },
            direction: route.direction,
            last_resort: None,
            timing: self.timing,
        })
    }
}
