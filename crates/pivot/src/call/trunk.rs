//! What the configuration says about a trunk, as far as a call needs it.

use core::net::IpAddr;
use std::sync::Arc;

use super::number::Emergency;
use crate::message::Header;

/// Whom a transfer target is shown as its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum CallerId {
    /// Whoever is transferred.
    #[default]
    Transferee,
    /// Whoever transfers.
    Transferor,
}

/// What becomes of a REFER that comes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum ReferMode {
    /// The pivot dials the target itself.
    #[default]
    Pivot,
    /// It goes on to the transferee, whose NOTIFYs come back.
    Forward,
    /// A webhook decides.
    Controller,
}

/// A trunk: a carrier, an agent platform or a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trunk {
    /// Its name in the configuration.
    pub name: Arc<str>,
    /// Where a number is a number of the telephone network: hosts in lower case.
    pub own_domains: Vec<Box<str>>,
    /// The pivot's own hosts, with a port where not every port is its own: who is called there is a loop.
    pub ourselves: Vec<Box<str>>,
    /// Where numbers are dialled: a host, with a port if it needs one.
    pub numbers_at: Box<str>,
    /// Networks (address, prefix length) whose requests are taken; all if there are none.
    pub addresses: Vec<(IpAddr, u8)>,
    /// Parties of the trunk may transfer.
    pub transfers: bool,
    /// They may transfer to the telephone network.
    pub pstn_transfers: bool,
    /// Domains outside that may be transferred to: `example.com`, or `*.example.com` for those below it.
    pub foreign_domains: Vec<Box<str>>,
    /// What is never dialled.
    pub emergency: Emergency,
    /// Whom a target is shown.
    pub caller_id: CallerId,
    /// What becomes of a REFER.
    pub refer: ReferMode,
    /// An INVITE may replace a dialog (RFC 3891).
    pub replaces: bool,
    /// What a transferee hears meanwhile, if not the relay's own hold audio.
    pub hold_audio: Option<Arc<str>>,
    /// Header fields of each INVITE to the trunk.
    pub headers: Vec<Header>,
    /// A call of the trunk is transferred at most so often: it ends what two user agents that refer to each other would go on with for ever.
    pub transfers_max: u32,
}

impl Trunk {
    /// A trunk that allows what is safe: transfers to its own numbers.
    #[must_use]
    pub fn new(name: &str, domain: &str) -> Self {
        Self {
            name: name.into(),
            own_domains: [domain.to_ascii_lowercase().into()].into(),
            ourselves: Vec::new(),
            numbers_at: domain.into(),
            addresses: Vec::new(),
            transfers: true,
            pstn_transfers: true,
            foreign_domains: Vec::new(),
            emergency: Emergency::default(),
            caller_id: CallerId::default(),
            refer: ReferMode::default(),
            replaces: false,
            hold_audio: None,
            headers: Vec::new(),
            transfers_max: 16,
        }
    }

    /// Whether requests of this address are taken.
    #[must_use]
    pub fn takes(&self, address: IpAddr) -> bool {
        self.addresses.is_empty()
            || self.addresses.iter().any(|&(network, length)| is_within(address.to_canonical(), network, length))
    }

    /// Whether a host is one of the trunk's own.
    #[must_use]
    pub fn owns(&self, host: &str) -> bool {
        self.own_domains.iter().any(|own| own.eq_ignore_ascii_case(host.trim_end_matches('.')))
    }

    /// Whether a host is the pivot.
    #[must_use]
    pub fn is_ourselves(&self, host: &str, port: Option<u16>) -> bool {
        let host = host.trim_end_matches('.');
        let with_port = format!("{host}:{}", port.unwrap_or(5060));
        self.ourselves.iter().any(|own| own.eq_ignore_ascii_case(host) || own.eq_ignore_ascii_case(&with_port))
    }

    /// Whether a host outside may be transferred to.
    #[must_use]
    pub fn allows(&self, host: &str) -> bool {
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        self.foreign_domains.iter().any(|allowed| {
            let allowed = allowed.to_ascii_lowercase();
            match allowed.strip_prefix('*') {
                Some(below) => below.starts_with('.') && host.len() > below.len() && host.ends_with(below),
                None => host == allowed,
            }
        })
    }
}

fn is_within(address: IpAddr, network: IpAddr, length: u8) -> bool {
    let (address, network, bits) = match (address, network) {
        (IpAddr::V4(address), IpAddr::V4(network)) => (address.to_bits().into(), network.to_bits().into(), 32),
        (IpAddr::V6(address), IpAddr::V6(network)) => (address.to_bits(), network.to_bits(), 128),
        _ => return false,
    };
    let differs: u128 = address ^ network;
    differs.checked_shr(bits - u32::from(length).min(bits)).unwrap_or(0) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_and_domains_end_where_they_end() {
        let mut trunk = Trunk::new("carrier", "Carrier.Example");
        let ip = |text: &str| text.parse::<IpAddr>().expect("an address");
        assert!(trunk.takes(ip("203.0.113.1")), "no list, no limit");
        trunk.addresses = vec![(ip("192.0.2.0"), 24), (ip("2001:db8::"), 32), (ip("198.51.100.7"), 32)];
        for (address, takes) in [
            ("192.0.2.255", true),
            ("192.0.3.0", false),
            ("::ffff:192.0.2.1", true),
            ("2001:db8:ffff::1", true),
            ("2001:db9::1", false),
            ("198.51.100.7", true),
            ("198.51.100.6", false),
        ] {
            assert_eq!(trunk.takes(ip(address)), takes, "{address}");
        }
        trunk.addresses = vec![(ip("0.0.0.0"), 0)];
        assert!(trunk.takes(ip("8.8.8.8")) && !trunk.takes(ip("::1")));

        assert!(trunk.owns("carrier.example.") && !trunk.owns("x.carrier.example"));
        trunk.foreign_domains = ["desk.example".into(), "*.lab.example".into()].into();
        for (host, allows) in [
            ("desk.example", true),
            ("DESK.example.", true),
            ("evil-desk.example", false),
            ("a.desk.example", false),
            ("a.lab.example", true),
            ("lab.example", false),
            (".lab.example", false),
            ("evillab.example", false),
        ] {
            assert_eq!(trunk.allows(host), allows, "{host}");
        }
        trunk.ourselves = ["192.0.2.1:5060".into(), "pivot.example".into()].into();
        assert!(trunk.is_ourselves("192.0.2.1", None) && !trunk.is_ourselves("192.0.2.1", Some(5080)));
        assert!(trunk.is_ourselves("Pivot.Example", Some(9)));
    }
}
