//! What a daemon chooses, as symbols.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

/// Symbols for ports, keys and names that a daemon has chosen. What a scenario itself said stays as it is.
#[derive(Debug, Default)]
pub(super) struct Symbols {
    /// Ports of the relay, with the symbol of each.
    ports: Vec<(SocketAddr, String)>,
    /// How many symbols there are of each kind.
    counts: HashMap<&'static str, u32>,
    /// Other texts, with the symbol of each.
    texts: HashMap<(&'static str, String), String>,
    /// Ports of parties, and how scenarios call them.
    parties: Vec<(SocketAddr, String)>,
    /// Everything that the scenario has said.
    said: String,
    /// Addresses in SDP that stand for others.
    advertised: Vec<(IpAddr, IpAddr)>,
}

impl Symbols {
    /// None yet. In SDP, the first of each pair of addresses stands for the second.
    pub(super) fn new(advertised: &[(IpAddr, IpAddr)]) -> Self {
        Self { advertised: advertised.to_vec(), ..Self::default() }
    }

    /// Forgets the ports of the relay: those of another call are counted anew.
    pub(super) fn next_call(&mut self) {
        self.ports.clear();
        self.counts.remove("port");
    }

    /// Remembers a party's port.
    pub(super) fn party(&mut self, address: SocketAddr, name: String) {
        self.parties.push((address, name));
    }

    /// The name of a party's port; SDP and statistics do not always say the address.
    pub(super) fn party_at_port(&self, port: u16) -> Option<&str> {
        self.parties.iter().find(|(address, _)| address.port() == port).map(|(_, name)| name.as_str())
    }

    /// The address that a scenario calls so: a party's, or one of the relay's.
    pub(super) fn address(&self, name: &str) -> Option<SocketAddr> {
        let found = self.parties.iter().chain(&self.ports).find(|(_, known)| known == name);
        if let Some((address, _)) = found {
            return Some(*address);
        }
        // The port beside one that the SDP named.
        let (mut address, _) = *self.ports.iter().find(|(_, known)| name.strip_suffix("+1") == Some(known))?;
        address.set_port(address.port() + 1);
        Some(address)
    }

    /// How a transcript calls an address that a packet came from.
    pub(super) fn name(&self, address: SocketAddr) -> Option<String> {
        let known = self.parties.iter().chain(&self.ports).find(|(known, _)| *known == address);
        known.map(|(_, name)| name.clone()).or_else(|| {
            let mut before = address;
            before.set_port(address.port().checked_sub(1)?);
            self.ports.iter().find(|(known, _)| *known == before).map(|(_, name)| format!("{name}+1"))
        })
    }

    /// The symbol of a port that begins a pair.
    pub(super) fn first(&mut self, ip: IpAddr, port: u16) -> String {
        let address = self.real(ip, port);
        match self.exact(address) {
            Some(name) => name,
            None => self.add(address),
        }
    }

    /// The symbol of a port that may be the second of a pair.
    pub(super) fn second(&mut self, ip: IpAddr, port: u16) -> String {
        let address = self.real(ip, port);
        match self.name(address) {
            Some(name) => name,
            None => self.add(address),
        }
    }

    /// The symbol of a text that the daemon has chosen; the text itself if the scenario has said it.
    pub(super) fn text(&mut self, kind: &'static str, text: &str) -> String {
        if text.is_empty() || self.said.contains(text) {
            return text.to_owned();
        }
        if let Some(symbol) = self.texts.get(&(kind, text.to_owned())) {
            return symbol.clone();
        }
        let symbol = format!("<{kind} {}>", self.count(kind));
        self.texts.insert((kind, text.to_owned()), symbol.clone());
        symbol
    }

    /// Remembers what the scenario says.
    pub(super) fn say(&mut self, text: &str) {
        self.said.push_str(text);
        self.said.push('\n');
    }

    fn exact(&self, address: SocketAddr) -> Option<String> {
        self.ports.iter().find(|(known, _)| *known == address).map(|(_, name)| name.clone())
    }

    fn add(&mut self, address: SocketAddr) -> String {
        let name = format!("P{}", self.count("port"));
        self.ports.push((address, name.clone()));
        name
    }

    fn count(&mut self, kind: &'static str) -> u32 {
        let count = self.counts.entry(kind).or_default();
        *count += 1;
        *count
    }

    fn real(&self, ip: IpAddr, port: u16) -> SocketAddr {
        let real = self.advertised.iter().find(|(advertised, _)| *advertised == ip).map_or(ip, |(_, real)| *real);
        // On hold the address is 0.0.0.0, and the port, or the one before it, still the old one.
        let old = |port: u16| self.ports.iter().find(|(known, _)| known.port() == port).map(|(known, _)| known.ip());
        let real = if real.is_unspecified() { old(port).or_else(|| old(port - 1)).unwrap_or(real) } else { real };
        SocketAddr::new(real, port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_numbered_as_they_appear() {
        let mut symbols = Symbols::default();
        let ip = IpAddr::from([127, 0, 0, 1]);
        assert_eq!(symbols.first(ip, 4000), "P1");
        assert_eq!(symbols.second(ip, 4001), "P1+1");
        assert_eq!(symbols.first(ip, 4001), "P2", "a port of its own in an m= line is no second one");
        assert_eq!(symbols.first(ip, 4000), "P1");
        assert_eq!(symbols.first(IpAddr::from([0, 0, 0, 0]), 4000), "P1", "on hold");
        assert_eq!(symbols.first(IpAddr::from([127, 0, 0, 2]), 4000), "P3");
        assert_eq!(symbols.first(ip, 5000), "P4");
        assert_eq!(symbols.second(IpAddr::from([0, 0, 0, 0]), 5001), "P4+1", "on hold");
        assert_eq!(symbols.address("P1+1"), Some(SocketAddr::new(ip, 4001)));
        assert_eq!(symbols.address("P9"), None);
    }

    #[test]
    fn what_was_said_stays() {
        let mut symbols = Symbols::default();
        symbols.say("a=ice-ufrag:abcd");
        assert_eq!(symbols.text("ufrag", "abcd"), "abcd");
        assert_eq!(symbols.text("ufrag", "x"), "<ufrag 1>");
        assert_eq!(symbols.text("ufrag", "y"), "<ufrag 2>");
        assert_eq!(symbols.text("ufrag", "x"), "<ufrag 1>");
    }
}
