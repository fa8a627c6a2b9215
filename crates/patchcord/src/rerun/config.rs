//! A configuration like the recorded pivot's, for the places where the peers are now.

use std::net::{IpAddr, SocketAddr};

use patchcord_pivot::replay::{Script, Setup, SetupRoute, SetupTrunk, Stage, parts_of};
use toml::{Table, Value};

use crate::failure::Failure;

/// What challenges of a trunk are answered with: the peer takes any answer.
const ANYTHING: &str = "replay";

/// The configuration.
pub(super) fn toml(setup: &Setup, script: &Script, stage: &Stage) -> Result<String, Failure> {
    let places = Places { script, stage };
    let seconds = |ms: u64| Value::Integer(i64::try_from(ms.div_ceil(1000)).unwrap_or(i64::MAX).clamp(0, 86_400));
    let trunks =
        setup.trunks.iter().map(|(name, trunk)| (name.clone(), Value::Table(places.trunk(name, trunk, setup))));
    let routes = setup.routes.iter().map(|route| Value::Table(places.route(route)));
    let pivot = table([
        ("listen", Value::Array(vec![format!("udp:{}", stage.pivot).into()])),
        ("ring_timeout_s", seconds(setup.ring_timeout_ms)),
        ("leave_timeout_s", seconds(setup.leave_timeout_ms)),
        ("ringback", setup.ringback.clone().unwrap_or_default().into()),
        ("one_worker", setup.one_worker.into()),
        ("routes", Value::Array(routes.collect())),
        ("trunks", Value::Table(trunks.collect())),
    ]);
    let all = table([("pivot", Value::Table(pivot))]);
    toml::to_string(&all)
        .map_err(|error| Failure::failed(format!("cannot write a configuration like the recorded one: {error}")))
}

fn table<const N: usize>(entries: [(&str, Value); N]) -> Table {
    entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

struct Places<'a> {
    script: &'a Script,
    stage: &'a Stage,
}

impl Places<'_> {
    fn trunk(&self, name: &str, trunk: &SetupTrunk, setup: &Setup) -> Table {
        let dialled = self.dialled(name, trunk, setup);
        let ip = trunk.domain.parse::<IpAddr>().ok();
        let domain =
            ip.and_then(|ip| self.peer_of(ip)).map_or_else(|| trunk.domain.clone(), |now| now.ip().to_string());
        // Where it is reached: as written, if that is an address; as the pivot found it, if it is a name.
        let written = trunk.proxy.as_deref().map(|uri| parts_of(uri).1);
        let proxy = match written {
            Some(host) => self.now(host).or(dialled),
            // Its domain is that of now, but without a port.
            None => dialled,
        };
        let mut addresses: Vec<String> = self
            .script
            .peers
            .iter()
            .zip(&self.stage.peers)
            .filter(|(then, _)| trunk.addresses.iter().any(|network| is_within(then.ip(), network)))
            .map(|(_, now)| now.ip().to_string())
            .collect();
        // Requests of the registrar's address are its own.
        addresses.extend(dialled.filter(|_| trunk.registers).map(|now| now.ip().to_string()));
        addresses.sort();
        addresses.dedup();
        let account = if trunk.has_credentials { ANYTHING } else { "" };
        let texts = |texts: &[String]| Value::Array(texts.iter().map(|text| text.as_str().into()).collect());
        table([
            ("domain", domain.into()),
            ("proxy", proxy.map(|now| format!("sip:{now}")).unwrap_or_default().into()),
            ("addresses", texts(&addresses)),
            ("username", account.into()),
            ("password", account.into()),
            ("transfers", trunk.transfers.into()),
            ("pstn_transfers", trunk.pstn_transfers.into()),
            ("foreign_domains", texts(&self.foreign(trunk))),
            ("emergency", texts(&trunk.emergency)),
            ("caller_id", trunk.caller_id.as_str().into()),
            // Who was asked is not asked again; a transfer that a webhook has decided about is not played.
            ("refer", if trunk.refer == "forward" { "forward" } else { "pivot" }.into()),
            ("replaces", trunk.replaces.into()),
            ("transfers_max", i64::from(trunk.transfers_max).into()),
        ])
    }

    fn route(&self, route: &SetupRoute) -> Table {
        // Who was asked is not asked again: it is as it was, whoever is called.
        let first = || self.script.invites().next().map_or("", |(_, uri)| uri);
        let to = if route.to.is_empty() { first() } else { &route.to };
        let (user, host, rest) = parts_of(to);
        let now = self.now(host).or_else(|| self.called(to));
        let rest: Vec<&str> =
            rest.split(';').filter(|part| !part.to_ascii_lowercase().starts_with("transport=")).collect();
        let to = now.map_or_else(
            || to.to_owned(),
            |now| format!("{}{now}{}", user.replacen("sips:", "sip:", 1), rest.join(";")),
        );
        table([
            ("from", route.from.as_str().into()),
            ("number", route.number.as_str().into()),
            ("to", to.into()),
            ("by", route.by.as_str().into()),
            ("direction", route.direction.as_str().into()),
        ])
    }

    /// Where the pivot's INVITEs by this trunk went.
    fn dialled(&self, name: &str, trunk: &SetupTrunk, setup: &Setup) -> Option<SocketAddr> {
        let of_numbers = self.script.invites().find(|(_, uri)| {
            let (_, host, _) = parts_of(uri);
            host.eq_ignore_ascii_case(&trunk.numbers_at) || host.eq_ignore_ascii_case(&trunk.domain)
        });
        let of_numbers = of_numbers.and_then(|(peer, _)| self.stage.peers.get(peer).copied());
        // A route's own host is where it says; with a proxy it goes there.
        let routes = || setup.routes.iter().filter(|route| route.by == name && trunk.proxy.is_some());
        of_numbers.or_else(|| routes().find_map(|route| self.called(&route.to)))
    }

    /// Where an INVITE to this user and host went.
    fn called(&self, to: &str) -> Option<SocketAddr> {
        let (user, host, _) = parts_of(to);
        let is_it = |uri: &str| {
            let (other, at, _) = parts_of(uri);
            other == user && at == host
        };
        let (peer, _) = self.script.invites().find(|(_, uri)| is_it(uri))?;
        self.stage.peers.get(peer).copied()
    }

    /// Where a recorded `host` or `host:port` is now, if it is an address of a peer.
    fn now(&self, host: &str) -> Option<SocketAddr> {
        let peers = self.script.peers.iter().zip(&self.stage.peers);
        if let Ok(address) = host.parse::<SocketAddr>() {
            let same = peers.clone().find(|(then, _)| **then == address);
            return same.map(|(_, now)| *now).or_else(|| self.peer_of(address.ip()));
        }
        let ip: IpAddr = host.trim_matches(['[', ']']).parse().ok()?;
        let usual = SocketAddr::new(ip, 5060);
        let same = peers.clone().find(|(then, _)| **then == usual);
        same.map(|(_, now)| *now).or_else(|| self.peer_of(ip))
    }

    fn peer_of(&self, ip: IpAddr) -> Option<SocketAddr> {
        let mut peers = self.script.peers.iter().zip(&self.stage.peers);
        peers.find(|(then, _)| then.ip() == ip).map(|(_, now)| *now)
    }

    /// Domains that may be transferred to, and the addresses where those that were called are now.
    fn foreign(&self, trunk: &SetupTrunk) -> Vec<String> {
        let mut allowed = trunk.foreign_domains.clone();
        let is_allowed = |host: &str| {
            trunk.foreign_domains.iter().any(|domain| match domain.strip_prefix('*') {
                Some(below) => {
                    host.len() > below.len() && host.to_ascii_lowercase().ends_with(&below.to_ascii_lowercase())
                }
                None => host.eq_ignore_ascii_case(domain),
            })
        };
        for (host, peer) in &self.script.named {
            if is_allowed(host.split(':').next().unwrap_or(host)) {
                allowed.extend(self.stage.peers.get(*peer).map(|now| now.ip().to_string()));
            }
        }
        for (then, now) in self.script.peers.iter().zip(&self.stage.peers) {
            if is_allowed(&then.ip().to_string()) {
                allowed.push(now.ip().to_string());
            }
        }
        allowed
    }
}

/// Whether an address is in a network as it is written in a bundle: `203.0.113.0/24`.
fn is_within(ip: IpAddr, network: &str) -> bool {
    let (address, len) = network.split_once('/').unwrap_or((network, "128"));
    let (Ok(address), Ok(len)) = (address.parse::<IpAddr>(), len.parse::<u32>()) else { return false };
    let (ip, address, bits): (u128, u128, u32) = match (ip.to_canonical(), address) {
        (IpAddr::V4(ip), IpAddr::V4(address)) => (ip.to_bits().into(), address.to_bits().into(), 32),
        (IpAddr::V6(ip), IpAddr::V6(address)) => (ip.to_bits(), address.to_bits(), 128),
        _ => return false,
    };
    (ip ^ address).checked_shr(bits - len.min(bits)).unwrap_or(0) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_read_as_they_are_written() {
        let ip = |text: &str| text.parse::<IpAddr>().expect("an address");
        for (address, network, is_in) in [
            ("203.0.113.7", "203.0.113.0/24", true),
            ("203.0.114.7", "203.0.113.0/24", false),
            ("203.0.113.7", "203.0.113.7/32", true),
            ("203.0.113.7", "0.0.0.0/0", true),
            ("2001:db8::1", "2001:db8::/32", true),
            ("2001:db8::1", "0.0.0.0/0", false),
            ("203.0.113.7", "nonsense", false),
        ] {
            assert_eq!(is_within(ip(address), network), is_in, "{address} {network}");
        }
    }

    #[test]
    fn what_is_reached_by_names_is_reached_where_it_was_found() {
        let address = |text: &str| text.parse::<SocketAddr>().expect("an address");
        let script =
            Script { peers: vec![address("203.0.113.5:5060"), address("198.51.100.20:5080")], ..Script::default() };
        let stage = Stage {
            pivot: address("127.0.0.1:6000"),
            peers: vec![address("127.0.0.11:1"), address("127.0.0.12:2")],
            media: std::collections::BTreeMap::new(),
        };
        let trunk = SetupTrunk {
            domain: "carrier.example".to_owned(),
            proxy: Some("sip:203.0.113.5:5060;transport=tls".to_owned()),
            addresses: vec!["203.0.113.0/24".to_owned()],
            has_credentials: true,
            ..SetupTrunk::default()
        };
        let route = SetupRoute {
            from: "c".to_owned(),
            number: "*".to_owned(),
            to: "sip:agent@198.51.100.20:5080".to_owned(),
            by: "c".to_owned(),
            direction: "origination".to_owned(),
        };
        let setup = Setup { trunks: [("c".to_owned(), trunk)].into(), routes: vec![route], ..Setup::default() };
        let text = toml(&setup, &script, &stage).expect("it can be written");
        let read: Table = text.parse().expect("TOML");
        let trunk = &read["pivot"]["trunks"]["c"];
        assert_eq!(trunk["proxy"].as_str(), Some("sip:127.0.0.11:1"));
        assert_eq!(trunk["addresses"][0].as_str(), Some("127.0.0.11"));
        assert_eq!(trunk["domain"].as_str(), Some("carrier.example"));
        assert_eq!(read["pivot"]["routes"][0]["to"].as_str(), Some("sip:agent@127.0.0.12:2"));
    }
}
