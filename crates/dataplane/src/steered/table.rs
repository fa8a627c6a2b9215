//! Which port a datagram is for, by the address that it was sent to.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use patchcord_relay::ids::PortId;

/// Port numbers of one address.
const PORTS: usize = 1 << 16;

/// The ports of a worker by their addresses. A host has few addresses and they have many ports, so a look-up is a comparison or
/// two and one load.
#[derive(Debug, Default)]
pub(super) struct Table {
    addresses: Vec<Address>,
}

#[derive(Debug)]
struct Address {
    ip: IpAddr,
    /// Indices of [`PortId`]s, one more each: 0 is none. Memory is taken only where ports are open, a page for a thousand.
    ports: Box<[u32]>,
    open: usize,
}

impl Table {
    pub(super) fn insert(&mut self, addr: SocketAddr, port: PortId) {
        let index = self.addresses.iter().position(|address| address.ip == addr.ip()).unwrap_or_else(|| {
            self.addresses.push(Address { ip: addr.ip(), ports: vec![0; PORTS].into(), open: 0 });
            self.addresses.len() - 1
        });
        let address = &mut self.addresses[index];
        let entry = &mut address.ports[usize::from(addr.port())];
        address.open += usize::from(*entry == 0);
        *entry = port.index() as u32 + 1;
    }

    pub(super) fn remove(&mut self, addr: SocketAddr) {
        let Some(index) = self.addresses.iter().position(|address| address.ip == addr.ip()) else { return };
        let address = &mut self.addresses[index];
        let was = core::mem::take(&mut address.ports[usize::from(addr.port())]);
        address.open -= usize::from(was != 0);
        if address.open == 0 {
            // An address that is used no more costs no comparisons.
            self.addresses.swap_remove(index);
        }
    }

    /// The port at `addr`, or else the one that is there on all addresses of its family.
    pub(super) fn get(&self, addr: SocketAddr) -> Option<PortId> {
        self.exact(addr.ip(), addr.port()).or_else(|| {
            let any = if addr.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
            self.exact(any, addr.port())
        })
    }

    fn exact(&self, ip: IpAddr, port: u16) -> Option<PortId> {
        let address = self.addresses.iter().find(|address| address.ip == ip)?;
        address.ports[usize::from(port)].checked_sub(1).map(PortId::from_index)
    }
}

#[cfg(test)]
mod tests {
    use super::Table;
    use core::net::SocketAddr;
    use patchcord_relay::ids::{Component, PortId};

    fn at(text: &str) -> SocketAddr {
        text.parse().expect("a literal")
    }

    const fn port(slot: u32) -> PortId {
        PortId::new(slot, Component::Rtp)
    }

    #[test]
    fn an_address_leads_to_its_port_and_a_wildcard_to_its_own() {
        let mut table = Table::default();
        table.insert(at("192.0.2.1:5004"), port(0));
        table.insert(at("[2001:db8::1]:5004"), port(1));
        table.insert(at("0.0.0.0:5006"), port(2));
        assert_eq!(table.get(at("192.0.2.1:5004")), Some(port(0)));
        assert_eq!(table.get(at("[2001:db8::1]:5004")), Some(port(1)));
        assert_eq!(table.get(at("198.51.100.1:5006")), Some(port(2)));
        for nobody in ["192.0.2.2:5004", "192.0.2.1:5005", "[2001:db8::1]:5006"] {
            assert_eq!(table.get(at(nobody)), None, "{nobody}");
        }
    }

    #[test]
    fn what_is_removed_leaves_nothing() {
        let mut table = Table::default();
        table.insert(at("192.0.2.1:5004"), port(0));
        table.insert(at("192.0.2.1:5004"), port(3));
        table.insert(at("192.0.2.1:5006"), port(1));
        table.remove(at("192.0.2.1:5004"));
        assert_eq!(table.get(at("192.0.2.1:5004")), None);
        assert_eq!(table.get(at("192.0.2.1:5006")), Some(port(1)));
        table.remove(at("192.0.2.1:5006"));
        table.remove(at("192.0.2.1:5006"));
        assert!(table.addresses.is_empty());
    }
}
