//! Where media is received, and the leases on it.

use core::fmt;
use core::net::{IpAddr, SocketAddr};
use core::ops::RangeInclusive;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use patchcord_relay::time::MonoTime;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::error::{ApiError, ErrorCode};
use crate::ports::{PortCounts, PortPool, Ports};

/// An address to receive media on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// What a leg asks for.
    pub name: String,
    /// The address to bind.
    pub address: IpAddr,
    /// What the other side is told, where a NAT maps it to `address`.
    pub advertised: Option<IpAddr>,
}

impl fmt::Display for Interface {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.name, self.address)
    }
}

/// The family of a leg's local address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum AddressFamily {
    /// IPv4.
    Ip4,
    /// IPv6.
    Ip6,
}

impl AddressFamily {
    /// The family of an address.
    #[must_use]
    pub const fn of(address: IpAddr) -> Self {
        if address.is_ipv4() { Self::Ip4 } else { Self::Ip6 }
    }

    fn contains(self, address: IpAddr) -> bool {
        self == Self::of(address)
    }
}

impl fmt::Display for AddressFamily {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ip4 => "IPv4",
            Self::Ip6 => "IPv6",
        })
    }
}

/// All interfaces with their ports.
#[derive(Debug)]
pub(crate) struct Interfaces {
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    interface: Interface,
    pool: Mutex<PortPool>,
}

/// Ports of one leg.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lease {
    interface: u16,
    ports: Ports,
}

impl Interfaces {
    pub(crate) fn new(interfaces: Vec<Interface>, ports: &RangeInclusive<u16>) -> Self {
        let entry = |interface| Entry { interface, pool: Mutex::new(PortPool::new(ports)) };
        Self { entries: interfaces.into_iter().map(entry).collect() }
    }

    /// The address to open a leg on: the first of the interface of that name, or of any, and of the address family, or of
    /// any. Where that has no free port, another one of the same name and family that has.
    pub(crate) fn choose(&self, name: Option<&str>, family: Option<AddressFamily>) -> Result<u16, ApiError> {
        let first = self.entries.iter().position(|Entry { interface, .. }| {
            name.is_none_or(|name| interface.name == name)
                && family.is_none_or(|family| family.contains(interface.address))
        });
        let first = first.ok_or_else(|| self.nothing_fits(name, family))?;
        let Interface { name, address, .. } = &self.entries[first].interface;
        let twin = |other: &Interface| other.name == *name && other.address.is_ipv4() == address.is_ipv4();
        let roomy = |entry: &Entry| twin(&entry.interface) && entry.pool().counts().free > 0;
        let after = self.entries[first..].iter().position(roomy).map_or(first, |further| first + further);
        Ok(u16::try_from(after).unwrap_or(u16::MAX))
    }

    /// Whether there is an interface of that name, or any, with an address of that family, or any.
    pub(crate) fn is_named(&self, name: Option<&str>, family: Option<AddressFamily>) -> bool {
        self.choose(name, family).is_ok()
    }

    fn nothing_fits(&self, name: Option<&str>, family: Option<AddressFamily>) -> ApiError {
        let known: Vec<_> = self.entries.iter().map(|Entry { interface, .. }| interface.to_string()).collect();
        let known = known.join(", ");
        let of_family = family.map_or_else(String::new, |family| format!(" with an {family} address"));
        let what = match name {
            Some(name) => format!("no interface is named {name:?}{of_family}"),
            None => format!("there is no interface{of_family}"),
        };
        ApiError::new(ErrorCode::UnknownInterface, format!("{what}; there are: {known}"))
    }

    /// The local addresses of a lease.
    pub(crate) fn local(&self, lease: Lease) -> (SocketAddr, Option<SocketAddr>) {
        let address = self.entry(lease).interface.address;
        (SocketAddr::new(address, lease.ports.rtp), lease.ports.rtcp.map(|port| SocketAddr::new(address, port)))
    }

    /// `local` as the other side must be told.
    pub(crate) fn advertised(&self, lease: Lease, local: SocketAddr) -> SocketAddr {
        SocketAddr::new(self.told(lease), local.port())
    }

    /// The address of a lease, as the other side must be told.
    pub(crate) fn told(&self, lease: Lease) -> IpAddr {
        let interface = &self.entry(lease).interface;
        interface.advertised.unwrap_or(interface.address)
    }

    /// The first address, as the other side must be told.
    pub(crate) fn first_advertised(&self) -> Option<IpAddr> {
        let interface = &self.entries.first()?.interface;
        Some(interface.advertised.unwrap_or(interface.address))
    }

    /// How many ports are in which state, by interface.
    pub(crate) fn counts(&self) -> Vec<(&str, PortCounts)> {
        self.entries.iter().map(|entry| (entry.interface.name.as_str(), entry.pool().counts())).collect()
    }

    /// Gives back the ports of a leg that is gone.
    pub(crate) fn release(&self, lease: Lease) {
        self.entry(lease).pool().release(lease.ports);
    }

    fn entry(&self, lease: Lease) -> &Entry {
        &self.entries[usize::from(lease.interface)]
    }
}

impl Entry {
    fn pool(&self) -> MutexGuard<'_, PortPool> {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Leases that are given back unless the legs they were taken for come to life.
#[derive(Debug)]
pub(crate) struct NewLeases {
    interfaces: Arc<Interfaces>,
    taken: Vec<Lease>,
}

impl NewLeases {
    pub(crate) const fn new(interfaces: Arc<Interfaces>) -> Self {
        Self { interfaces, taken: Vec::new() }
    }

    /// Takes ports on an interface.
    pub(crate) fn take(&mut self, interface: u16, muxed: bool, now: MonoTime) -> Result<Lease, ApiError> {
        let entry = &self.interfaces.entries[usize::from(interface)];
        let mut pool = entry.pool();
        let Some(ports) = pool.lease(muxed, now_ms(now)) else {
            let PortCounts { leased, busy, free } = pool.counts();
            let what = if muxed { "port" } else { "pair of ports" };
            let name = &entry.interface.name;
            return Err(ApiError::new(
                ErrorCode::PortsExhausted,
                format!(
                    "no {what} left on interface {name}: {leased} leased, {busy} held by other programs, {free} free; delete calls or widen `ports`"
                ),
            ));
        };
        drop(pool);
        let lease = Lease { interface, ports };
        self.taken.push(lease);
        Ok(lease)
    }

    /// Another program has one of the ports of the lease with this local address: leave it alone for a while.
    /// `false`: it is none of ours.
    pub(crate) fn busy(&mut self, local: SocketAddr, now: MonoTime) -> bool {
        let found = self.taken.iter().position(|&lease| {
            let (rtp, rtcp) = self.interfaces.local(lease);
            rtp == local || rtcp == Some(local)
        });
        let Some(found) = found else { return false };
        let lease = self.taken.swap_remove(found);
        self.interfaces.entry(lease).pool().release_busy(lease.ports, now_ms(now));
        true
    }

    /// The legs live: their leases stay.
    pub(crate) fn keep(mut self) {
        self.taken.clear();
    }
}

impl Drop for NewLeases {
    fn drop(&mut self) {
        for lease in self.taken.drain(..) {
            self.interfaces.release(lease);
        }
    }
}

const fn now_ms(now: MonoTime) -> u64 {
    now.as_nanos() / 1_000_000
}
