//! What the pivot is told at its start.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::admission::{Users, with_addresses};
use super::archive::Archive;
use super::evidence_store::EvidenceSettings;
use super::rtp::RtpLimits;
use super::standing::Standing;
use super::trace::TraceLimits;
use crate::call::Plan;
use crate::call::billing::Direction;
use crate::call::number::Number;
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

/// Where a call goes.
#[derive(Clone, Debug)]
pub struct Route {
    /// The trunk that it comes by.
    pub from: Arc<str>,
    /// The user part that it is for; `*` at its end stands for any rest.
    pub number: Box<str>,
    /// Who answers: a SIP URI.
    pub to: Box<str>,
    /// The trunk that it goes by.
    pub by: Arc<str>,
}

impl Route {
    /// Whether it is for this user part: numbers are compared without separators.
    fn fits(&self, user: &str) -> bool {
        let plain = |text: &str| Number::of(text).map_or_else(|| text.to_owned(), |number| number.as_str().to_owned());
        match self.number.strip_suffix('*') {
            Some("") => true,
            Some(beginning) => plain(user).starts_with(&plain(beginning)),
            None => plain(user) == plain(&self.number),
        }
    }
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

    /// What becomes of an INVITE; none: nobody answers such calls.
    #[must_use]
    pub fn plan(&self, incoming: &Incoming, caller: &TrunkSettings) -> Option<Plan> {
        let user = incoming.request_uri.split_once(':').map_or("", |(_, rest)| rest);
        let user = user.split_once('@').map_or("", |(user, _)| user);
        let user = user.split(';').next().unwrap_or_default();
        let route = self.routes.iter().find(|route| *route.from == *caller.trunk.name && route.fits(user))?;
        let callee = self.trunks.get(&route.by)?;
        let from = incoming.asserted.first().unwrap_or(&incoming.from).clone();
        let to = Address { display: Box::default(), uri: route.to.clone() };
        // A REFER in the call may come from where the call came from, and from where the callee is registered.
        let caller_trunk = with_addresses(&caller.trunk, &[incoming.origin.address.ip()]);
        Some(Plan {
            // A number is dialled by whoever brings the calls: the agents have none.
            numbers: Arc::clone(&caller_trunk),
            caller: caller_trunk,
            callee: with_addresses(&callee.trunk, &callee.standing.addresses()),
            callee_name: "agent".into(),
            dial: Dial {
                via: Via::Trunk(Arc::clone(&callee.trunk.name)),
                request_uri: route.to.clone(),
                to,
                from,
                asserted: incoming.asserted.first().cloned(),
                headers: callee.trunk.headers.iter().chain(&incoming.extra).cloned().collect(),
            },
            direction: Direction::Origination,
            last_resort: None,
            timing: self.timing,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_is_found_by_its_number() {
        let route =
            |number: &str| Route { from: "a".into(), number: number.into(), to: "sip:x@y".into(), by: "b".into() };
        for (number, user, fits) in [
            ("*", "anything", true),
            ("+1555*", "+1-555-0100", true),
            ("+1555*", "+15560100", false),
            ("+15550100", "+1 555 0100", true),
            ("+15550100", "+155501001", false),
            ("sales", "sales", true),
            ("sales", "sale", false),
        ] {
            assert_eq!(route(number).fits(user), fits, "{number} {user}");
        }
    }
}
