//! How far addresses reach: what tells a party behind NAT from one that sends from where it says.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// From where an address can be reached; smaller is nearer. A party whose address has a smaller scope than the one at which
/// it reaches us must be behind a NAT: its packets come from another address than it knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AddressScope {
    /// This machine.
    Loopback,
    /// This link (RFC 3927, RFC 4291 2.5.6).
    LinkLocal,
    /// A private network (RFC 1918, RFC 4193), or a provider's behind its NAT (RFC 6598).
    Private,
    /// Everywhere.
    Global,
}

impl AddressScope {
    /// The scope of an address.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::of_v4(address),
            IpAddr::V6(address) => Self::of_v6(address),
        }
    }

    const fn of_v4(address: Ipv4Addr) -> Self {
        let [first, second, ..] = address.octets();
        if address.is_loopback() {
            Self::Loopback
        } else if address.is_link_local() {
            Self::LinkLocal
        } else if address.is_private() || (first == 100 && second & 0xc0 == 64) {
            Self::Private
        } else {
            Self::Global
        }
    }

    const fn of_v6(address: Ipv6Addr) -> Self {
        if address.is_loopback() {
            Self::Loopback
        } else if address.is_unicast_link_local() {
            Self::LinkLocal
        } else if address.is_unique_local() {
            Self::Private
        } else {
            Self::Global
        }
    }
}

#[cfg(test)]
mod tests {
    use super::AddressScope::{self, Global, LinkLocal, Loopback, Private};

    #[test]
    fn scopes_are_those_of_the_registries() {
        for (address, scope) in [
            ("127.0.0.2", Loopback),
            ("::1", Loopback),
            ("::ffff:127.0.0.1", Loopback),
            ("169.254.1.1", LinkLocal),
            ("fe80::1", LinkLocal),
            ("10.1.2.3", Private),
            ("172.16.0.1", Private),
            ("172.32.0.1", Global),
            ("192.168.1.1", Private),
            ("100.64.0.1", Private),
            ("100.127.255.255", Private),
            ("100.128.0.1", Global),
            ("fd00::1", Private),
            ("192.0.2.1", Global),
            ("2001:db8::1", Global),
        ] {
            assert_eq!(AddressScope::of(address.parse().expect("it is an address")), scope, "{address}");
        }
        assert!(Loopback < LinkLocal && LinkLocal < Private && Private < Global);
    }
}
