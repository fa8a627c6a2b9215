//! Where the trunk is: its name, and whose requests are its own.

use std::net::SocketAddr;

use patchcord_pivot::message::Transport;

use super::Subject;
use super::words::NOT_TRIED;
use crate::doctor::Finding;

/// So many of its addresses are examined.
const PLACES_MAX: usize = 4;

/// A transport and an address.
pub(super) type Place = (Transport, SocketAddr);

impl Subject<'_> {
    /// The URI that requests for it go to.
    pub(super) fn uri(&self) -> String {
        self.trunk.proxy.as_deref().map_or_else(|| format!("sip:{}", self.config.domain), str::to_owned)
    }

    /// Host of that URI, without port.
    pub(super) fn host(&self) -> String {
        let uri = self.uri();
        let place = uri.split_once(':').map_or(uri.as_str(), |(_, rest)| rest);
        let place = place.rsplit('@').next().unwrap_or(place);
        let place = place.split([';', '?']).next().unwrap_or(place);
        let host = match place.strip_prefix('[') {
            Some(rest) => rest.split(']').next(),
            None => place.split(':').next(),
        };
        host.unwrap_or(place).to_owned()
    }

    fn key(&self) -> String {
        let name = self.name;
        let key = if self.trunk.proxy.is_some() { "proxy" } else { "domain" };
        format!("pivot.trunks.{name}.{key}")
    }

    /// Where the stack would send, and what there is to say of that.
    pub(super) async fn places(&self) -> (Vec<Place>, Vec<Finding>) {
        const CHECK: &str = "name";
        let uri = self.uri();
        let resolved = tokio::time::timeout(self.patience, self.stack.resolve(&uri)).await;
        let resolved = resolved.unwrap_or_else(|_| Err("no name server answers".to_owned()));
        let mut places = match resolved {
            Ok(places) if !places.is_empty() => places,
            failed => {
                let why = failed.err().unwrap_or_else(|| "it has no address".to_owned());
                let finding = Finding::fail(
                    CHECK,
                    format!("{uri} leads nowhere: {why}"),
                    "requests for the trunk cannot be sent: its calls and transfers fail with 503",
                    format!(
                        "correct `{}`, or ask `getent hosts {}` here and the provider for the right name",
                        self.key(),
                        self.host()
                    ),
                );
                return (Vec::new(), vec![finding]);
            }
        };
        let mut seen = Vec::new();
        places.retain(|place| {
            let is_new = !seen.contains(place);
            seen.push(*place);
            is_new
        });
        let listed: Vec<_> = places.iter().map(|(by, at)| format!("{} {at}", by.as_str())).collect();
        let how = if self.host().parse::<std::net::IpAddr>().is_ok() { "an address" } else { "SRV, then A and AAAA" };
        let mut found = format!("{uri} ({how}): {}", listed.join(", "));
        if places.len() > PLACES_MAX {
            found.push_str(&format!("; the first {PLACES_MAX} are examined"));
            places.truncate(PLACES_MAX);
        }
        (places, vec![Finding::ok(CHECK, found)])
    }

    /// Whether calls of the trunk would be known as such.
    pub(super) fn whose(&self, places: &[Place]) -> Finding {
        const CHECK: &str = "its calls";
        let (trunk, name) = (&self.trunk.trunk, self.name);
        if trunk.addresses.is_empty() {
            return match (self.config.challenge, self.config.register) {
                (true, _) => Finding::ok(CHECK, "known by their users, from anywhere"),
                (false, true) => Finding::ok(CHECK, "taken from where the registrar is, while registered"),
                (false, false) => Finding::warn(
                    CHECK,
                    "from nowhere",
                    "no request is the trunk's: a call that it brings is answered 403. That is right where it is only called",
                    format!("give pivot.trunks.{name}.addresses, or set `register`, or `challenge` with `users`"),
                ),
            };
        }
        if places.is_empty() {
            return Finding::ok(CHECK, format!("taken from `addresses`; whether the trunk is among them: {NOT_TRIED}"));
        }
        let strangers: Vec<_> = places.iter().map(|(_, at)| at.ip()).filter(|ip| !trunk.takes(*ip)).collect();
        match strangers.first() {
            None => Finding::ok(CHECK, "taken from `addresses`, the trunk's own among them"),
            Some(ip) => Finding::warn(
                CHECK,
                format!("{ip}, where its requests go, is none of `addresses`"),
                "a call or a REFER from there is answered 403",
                format!("add \"{ip}\" to pivot.trunks.{name}.addresses if its requests come from there too"),
            ),
        }
    }
}
