//! Where a call that comes in goes: the route that is for it, whom that or its webhook has called, and the plan that comes of it.

use core::time::Duration;

use super::admission::with_addresses;
use super::route::{Callee, Route, Unroutable};
use super::settings::{Settings, TrunkSettings};
use crate::call::Plan;
use crate::call::billing::Direction;
use crate::call::identity::{self, Identity};
use crate::call::route::{Rule, Via, route};
use crate::call::trunk::Trunk;
use crate::call::uri::{Scheme, Uri, user_of};
use crate::call::words::Dial;
use crate::message::{Address, Header, Incoming};

/// Whom a webhook has called, and what of the INVITE to it is other than usual.
pub(super) struct Chosen {
    pub(super) target: Uri,
    /// Whom it is shown, if not who calls.
    pub(super) shown: Option<Address>,
    /// They go before those of the INVITE that have the same names.
    pub(super) headers: Vec<Header>,
    /// How long it may ring, if not as long as others.
    pub(super) ring: Option<Duration>,
}

impl Settings {
    /// The route that is for an INVITE, and its place.
    pub(super) fn route(&self, incoming: &Incoming, caller: &TrunkSettings) -> Result<(usize, &Route), Unroutable> {
        let user = user_of(&incoming.request_uri);
        let is_it = |(_, route): &(usize, &Route)| *route.from == *caller.trunk.name && route.fits(user);
        let found = self.routes.iter().enumerate().find(is_it);
        found.ok_or_else(|| Unroutable::new(404, "no entry of `pivot.routes` is for it"))
    }

    /// What becomes of an INVITE: it goes to whom the webhook has chosen, if it has, or to whom the route names.
    pub(super) fn plan(
        &self,
        incoming: &Incoming,
        caller: &TrunkSettings,
        route: &Route,
        chosen: Option<Chosen>,
    ) -> Result<Plan, Unroutable> {
        let nowhere = || Unroutable::new(404, "its route has no trunk that it goes by, or no `to`");
        let callee = self.trunks.get(&route.by).ok_or_else(nowhere)?;
        let uri = match &chosen {
            Some(Chosen { target, .. }) => judged(target, route, &caller.trunk, &callee.trunk).map_err(|rule| {
                let why = format!("the rule {} forbids {target}", rule.as_str()).into();
                Unroutable { status: rule.status(), why }
            })?,
            None => route.to.as_ref().ok_or_else(nowhere)?.for_call(incoming, &caller.trunk.emergency)?,
        };
        let (shown, chosen_headers, ring) =
            chosen.map_or_else(Default::default, |chosen| (chosen.shown, chosen.headers, chosen.ring));
        let asserted = incoming.asserted.first();
        let identity = match shown {
            Some(shown) => Identity::given(&shown, Some(&callee.trunk)),
            None => Identity { from: asserted.unwrap_or(&incoming.from).clone(), asserted: asserted.cloned() },
        };
        let is_new =
            |header: &&Header| !chosen_headers.iter().any(|known| known.name.eq_ignore_ascii_case(&header.name));
        let mut headers = identity::headers(&callee.trunk.headers, &chosen_headers, None);
        headers.extend(incoming.extra.iter().filter(is_new).cloned());
        // A REFER in the call may come from where the call came from, and from where the callee is registered.
        let caller_trunk = with_addresses(&caller.trunk, &[incoming.origin.address.ip()]);
        let callee_trunk = with_addresses(&callee.trunk, &callee.standing.addresses());
        // Numbers are dialled towards the telephone network: the agents have none.
        let numbers = match route.direction {
            Direction::Origination => caller_trunk.clone(),
            Direction::Termination => callee_trunk.clone(),
        };
        let mut timing = self.timing;
        timing.answer = ring.unwrap_or(timing.answer);
        Ok(Plan {
            numbers,
            caller: caller_trunk,
            callee: callee_trunk,
            callee_name: "agent".into(),
            dial: Dial {
                via: Via::Trunk(callee.trunk.name.clone()),
                to: Address { display: Box::default(), uri: uri.clone() },
                request_uri: uri,
                from: identity.from,
                asserted: identity.asserted,
                headers,
            },
            direction: route.direction,
            last_resort: None,
            timing,
        })
    }
}

/// The request URI for whom a webhook has called: a number as the trunk `by` dials numbers, a SIP URI as it is. Its host is that trunk's own, its
/// proxy's, one of its foreign domains, or the one that the route itself has.
fn judged(target: &Uri, by_route: &Route, caller: &Trunk, by: &Trunk) -> Result<Box<str>, Rule> {
    let (mut asking, mut numbers) = (caller.clone(), by.clone());
    let proxy = format!("sip:{}", by.numbers_at).parse::<Uri>().map(|uri| uri.host).ok();
    let of_route = by_route.to.as_ref().and_then(Callee::host);
    asking.foreign_domains =
        by.foreign_domains.iter().chain(&by.own_domains).cloned().chain(proxy).chain(of_route).collect();
    if target.scheme != Scheme::Tel {
        // A number at an agent platform's host names an agent, and is none of the telephone network.
        asking.own_domains.clear();
        numbers.own_domains.clear();
    }
    let called = route(target, &asking, &numbers)?.request_uri;
    let at = called.parse::<Uri>().map_err(|_| Rule::Malformed)?;
    // Numbers of a trunk whose domain is the pivot's own would come back.
    if [caller, by].iter().any(|trunk| trunk.is_ourselves(&at.host, at.port)) { Err(Rule::Loop) } else { Ok(called) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trunk(name: &str, domain: &str, numbers_at: &str) -> Trunk {
        let mut trunk = Trunk::new(name, domain);
        (trunk.numbers_at, trunk.ourselves) = (numbers_at.into(), ["pivot.example".into()].into());
        trunk
    }

    #[test]
    fn the_rules_hold_for_whom_a_webhook_has_called() {
        let route = Route {
            from: "agents".into(),
            number: "*".into(),
            to: Some("sip:{user}@Written.example;transport=tcp".parse().expect("a callee")),
            by: "carrier".into(),
            direction: Direction::Termination,
            webhook: None,
        };
        let agents = trunk("agents", "agents.example", "agents.example");
        let mut carrier = trunk("carrier", "carrier.example", "192.0.2.7:5070");
        carrier.foreign_domains = ["other.example".into()].into();
        let judged = |target: &str, agents: &Trunk, carrier: &Trunk| {
            judged(&target.parse().expect(target), &route, agents, carrier).map(String::from)
        };
        for (target, uri) in [
            ("tel:+1-555", Ok("sip:+1555@192.0.2.7:5070;user=phone")),
            ("sip:+1555@carrier.example;transport=tcp", Ok("sip:+1555@carrier.example;transport=tcp")),
            ("sip:a@192.0.2.7", Ok("sip:a@192.0.2.7")),
            ("sip:a@written.example", Ok("sip:a@written.example")),
            ("sip:a@other.example?X-A=b", Ok("sip:a@other.example")),
            ("sip:a@agents.example", Err(Rule::ForeignDomain)),
            ("sip:a@elsewhere.example", Err(Rule::ForeignDomain)),
            ("sip:a@carrier.example;maddr=192.0.2.8", Err(Rule::ForeignDomain)),
            ("sip:a@pivot.example", Err(Rule::Loop)),
            ("tel:911", Err(Rule::Emergency)),
            ("sip:%39%31%31@carrier.example", Err(Rule::Emergency)),
            ("tel:abc1", Err(Rule::Malformed)),
        ] {
            assert_eq!(judged(target, &agents, &carrier), uri.map(str::to_owned), "{target}");
        }
        for no_pstn in [(false, true), (true, false)] {
            let (agents, carrier) = (
                Trunk { pstn_transfers: no_pstn.0, ..agents.clone() },
                Trunk { pstn_transfers: no_pstn.1, ..carrier.clone() },
            );
            assert_eq!(judged("tel:+1555", &agents, &carrier), Err(Rule::PstnOff));
            assert!(judged("sip:+1555@carrier.example", &agents, &carrier).is_ok());
        }
        // A trunk whose domain is the pivot's own has numbers only behind a proxy.
        assert_eq!(judged("tel:+1555", &agents, &trunk("carrier", "pivot.example", "pivot.example")), Err(Rule::Loop));
    }
}
