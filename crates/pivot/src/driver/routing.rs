//! Where a call that comes in goes: the route that is for it, and the plan that comes of it.

use core::time::Duration;

use super::admission::with_addresses;
use super::settings::{Route, Settings, TrunkSettings};
use crate::call::Plan;
use crate::call::billing::Direction;
use crate::call::destination::{Destination, destined};
use crate::call::identity::Identity;
use crate::call::route::{Rule, Via};
use crate::call::sipfrag::status;
use crate::call::uri::{Scheme, Uri};
use crate::call::words::Dial;
use crate::message::{Address, Header, Incoming, Status};

/// Why a call that comes in goes nowhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What its INVITE is answered with.
    pub status: Status,
    /// For the log.
    pub why: Box<str>,
}

impl Refusal {
    pub(super) fn new(code: u16, why: impl Into<Box<str>>) -> Self {
        Self { status: status(code), why: why.into() }
    }

    fn by_rule(rule: Rule, target: &Uri) -> Self {
        Self { status: rule.status(), why: format!("the rule {} forbids {target}", rule.as_str()).into() }
    }
}

/// Whom a route calls, and what of the INVITE to it is other than usual.
#[derive(Clone, Debug)]
pub(super) struct Called {
    pub(super) uri: Uri,
    /// It is called as it is written there: the operator's own words, which no rule has to judge.
    pub(super) as_written: Option<Box<str>>,
    /// Whom it is shown, if not who calls.
    pub(super) shown: Option<Address>,
    /// Before those of the INVITE, of which those with the same name are left out.
    pub(super) headers: Vec<Header>,
    /// How long it may ring, if not as long as others.
    pub(super) ring: Option<Duration>,
}

impl Called {
    pub(super) const fn new(uri: Uri) -> Self {
        Self { uri, as_written: None, shown: None, headers: Vec::new(), ring: None }
    }

    /// Whom the route itself names.
    fn of(to: &Destination, incoming: &Incoming) -> Result<Self, Refusal> {
        let uri =
            to.fill(incoming).map_err(|error| Refusal { status: error.status(), why: error.to_string().into() })?;
        let as_written = (to.is_fixed() && uri.scheme != Scheme::Tel).then(|| to.to_string().into());
        Ok(Self { as_written, ..Self::new(uri) })
    }
}

impl Settings {
    /// The route that is for an INVITE, by its place.
    pub(super) fn route(&self, incoming: &Incoming, caller: &TrunkSettings) -> Option<(usize, &Route)> {
        let uri = incoming.request_uri.split_once(':');
        let user = match uri {
            Some((scheme, number)) if scheme.eq_ignore_ascii_case("tel") => number,
            Some((_, rest)) => rest.split_once('@').map_or("", |(user, _)| user),
            None => "",
        };
        let user = user.split([';', ':']).next().unwrap_or_default();
        self.routes.iter().enumerate().find(|(_, route)| *route.from == *caller.trunk.name && route.fits(user))
    }

    /// What becomes of an INVITE by the route's own `to`.
    pub(super) fn plan(&self, incoming: &Incoming, caller: &TrunkSettings, route: &Route) -> Result<Plan, Refusal> {
        let to = route.to.as_ref().ok_or_else(|| Refusal::new(404, "its route has no `to`"))?;
        self.plan_for(incoming, caller, route, Called::of(to, incoming)?)
    }

    /// What becomes of an INVITE that goes there.
    pub(super) fn plan_for(
        &self,
        incoming: &Incoming,
        caller: &TrunkSettings,
        route: &Route,
        called: Called,
    ) -> Result<Plan, Refusal> {
        let callee = self.trunks.get(&route.by).ok_or_else(|| Refusal::new(404, "its route's trunk is not there"))?;
        let Called { uri, as_written, shown, headers, ring } = called;
        let request_uri = match as_written {
            Some(written) => written,
            None => {
                let host = route.to.as_ref().and_then(|to| to.fill(incoming).ok()).map(|uri| uri.host);
                let hosts: Vec<&str> = host.iter().map(|host| &**host).filter(|host| !host.is_empty()).collect();
                let routed = destined(&uri, &hosts, &caller.trunk, &callee.trunk);
                routed.map_err(|rule| Refusal::by_rule(rule, &uri))?.request_uri
            }
        };
        let is_number = uri.scheme == Scheme::Tel;
        let asserted = incoming.asserted.first();
        let from = asserted.unwrap_or(&incoming.from);
        // Carriers refuse numbers of other domains than their own.
        let at_carrier = is_number.then_some(&*callee.trunk);
        let at_home = |address: &Address| match at_carrier {
            Some(trunk) => Identity::given(address, Some(trunk)).from,
            None => address.clone(),
        };
        let (from, asserted) = match shown {
            Some(shown) => {
                let identity = Identity::given(&shown, Some(&callee.trunk));
                (identity.from, identity.asserted)
            }
            None => (at_home(from), asserted.map(at_home)),
        };
        let mut all: Vec<Header> = callee.trunk.headers.clone();
        let is_new =
            |all: &[Header], header: &Header| !all.iter().any(|known| known.name.eq_ignore_ascii_case(&header.name));
        for header in headers {
            if is_new(&all, &header) {
                all.push(header);
            }
        }
        let own = all.len();
        all.extend(incoming.extra.iter().filter(|header| is_new(&all[..own], header)).cloned().collect::<Vec<_>>());
        // A REFER in the call may come from where the call came from, and from where the callee is registered.
        let caller_trunk = with_addresses(&caller.trunk, &[incoming.origin.address.ip()]);
        let callee_trunk = with_addresses(&callee.trunk, &callee.standing.addresses());
        let mut timing = self.timing;
        timing.answer = ring.unwrap_or(timing.answer);
        Ok(Plan {
            // A number is dialled by whoever brings the calls: the agents have none. Who calls a number has its trunk.
            numbers: if is_number { callee_trunk.clone() } else { caller_trunk.clone() },
            caller: caller_trunk,
            callee: callee_trunk,
            callee_name: if is_number { "callee".into() } else { "agent".into() },
            dial: Dial {
                via: Via::Trunk(callee.trunk.name.clone()),
                to: Address { display: Box::default(), uri: request_uri.clone() },
                request_uri,
                from,
                asserted,
                headers: all,
            },
            direction: if is_number { Direction::Termination } else { Direction::Origination },
            last_resort: None,
            timing,
        })
    }
}
