//! The namespaces, with devices that take frames.

use std::net::{IpAddr, Ipv4Addr};

use crate::frames::{End, FramesError, Host, accept_frames};
use crate::netns::Mac;
use crate::peer::{PeerError, Topology};

/// Of each device.
const CALLER: Mac = Mac([2, 0, 0, 0, 1, 2]);
const RELAY_TO_CALLER: Mac = Mac([2, 0, 0, 0, 1, 1]);
const RELAY_TO_CALLEE: Mac = Mac([2, 0, 0, 0, 2, 1]);
const CALLEE: Mac = Mac([2, 0, 0, 0, 2, 2]);

/// Caller, relay and callee; each knows its neighbours.
#[derive(Debug)]
pub(super) struct Bed {
    pub(super) topology: Topology,
}

impl Bed {
    pub(super) fn lay() -> Result<Self, PeerError> {
        let topology = Topology::create()?;
        let Topology { caller, relay, callee, caller_link, callee_link } = &topology;
        caller.set_mac(&caller_link.own, CALLER)?;
        relay.set_mac(&caller_link.others, RELAY_TO_CALLER)?;
        relay.set_mac(&callee_link.others, RELAY_TO_CALLEE)?;
        callee.set_mac(&callee_link.own, CALLEE)?;
        // Nobody's first packets are to wait for ARP.
        relay.know_neighbour(&caller_link.others, Topology::CALLER, CALLER)?;
        relay.know_neighbour(&callee_link.others, Topology::CALLEE, CALLEE)?;
        let bed = Self { topology };
        for end in bed.relay_ends() {
            accept_frames(end)?;
        }
        Ok(bed)
    }

    /// The parties' devices: callers, callees.
    pub(super) fn party_ends(&self) -> [End<'_>; 2] {
        let Topology { caller, callee, caller_link, callee_link, .. } = &self.topology;
        [End { namespace: caller, device: &caller_link.own }, End { namespace: callee, device: &callee_link.own }]
    }

    /// The relay's devices: towards callers, towards callees.
    pub(super) fn relay_ends(&self) -> [End<'_>; 2] {
        let Topology { relay, caller_link, callee_link, .. } = &self.topology;
        [&caller_link.others, &callee_link.others].map(|device| End { namespace: relay, device })
    }

    /// The parties and the relay's Ethernet address towards each.
    pub(super) fn parties() -> Result<[(Host, Mac); 2], FramesError> {
        Ok([
            (Host { mac: CALLER, ip: v4(Topology::CALLER)? }, RELAY_TO_CALLER),
            (Host { mac: CALLEE, ip: v4(Topology::CALLEE)? }, RELAY_TO_CALLEE),
        ])
    }
}

/// Frames are made for IPv4.
pub(super) fn v4(ip: IpAddr) -> Result<Ipv4Addr, FramesError> {
    match ip {
        IpAddr::V4(ip) => Ok(ip),
        IpAddr::V6(_) => Err(FramesError::System {
            what: format!("make frames for {ip}"),
            source: std::io::Error::other("the generator speaks IPv4 only"),
        }),
    }
}
