//! The three namespaces and their addresses.

use std::net::{IpAddr, Ipv4Addr};

use super::PeerError;
use crate::netns::{Link, Namespace, Network};

/// Caller, relay and callee, each in its namespace.
#[derive(Debug)]
pub struct Topology {
    /// Where the callers are.
    pub caller: Namespace,
    /// Where the relay runs.
    pub relay: Namespace,
    /// Where the callees are.
    pub callee: Namespace,
    /// Between callers (own) and relay.
    pub caller_link: Link,
    /// Between callees (own) and relay.
    pub callee_link: Link,
}

impl Topology {
    /// The callers' address.
    pub const CALLER: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 211, 1, 2));
    /// The relay's address on the callers' side.
    pub const RELAY_TO_CALLER: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 211, 1, 1));
    /// The relay's address on the callees' side.
    pub const RELAY_TO_CALLEE: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 211, 2, 1));
    /// The callees' address.
    pub const CALLEE: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 211, 2, 2));

    /// Creates the namespaces and joins them.
    ///
    /// # Errors
    /// See [`Namespace::create`].
    pub fn create() -> Result<Self, PeerError> {
        let network = |address| Network { address, prefix_len: 24 };
        let caller = Namespace::create("caller")?;
        let relay = Namespace::create("relay")?;
        let callee = Namespace::create("callee")?;
        let caller_link = caller.connect(network(Self::CALLER), &relay, network(Self::RELAY_TO_CALLER))?;
        let callee_link = callee.connect(network(Self::CALLEE), &relay, network(Self::RELAY_TO_CALLEE))?;
        Ok(Self { caller, relay, callee, caller_link, callee_link })
    }
}
