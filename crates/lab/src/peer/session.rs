//! One relay with all its calls, under load.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::account::Desk;
use super::cpu;
use super::load::{Side, Sockets};
use super::relay::{self, Process};
use super::secured::CallKeys;
use super::{CallPlan, PeerError, Relay, Settings, Topology};
use crate::netns::Namespace;

/// A relay process with its calls set up and both sides ready to send. The rate is 0 at first.
#[derive(Debug)]
pub(super) struct Session<'a> {
    pub(super) desk: Arc<Desk>,
    pub(super) process: Process,
    pub(super) topology: &'a Topology,
    /// Memory of the process before its first call, in KiB.
    pub(super) empty_rss_kib: u64,
    /// Memory with all calls and before any packet.
    pub(super) idle_rss_kib: u64,
    _sides: [Side; 2],
}

impl<'a> Session<'a> {
    pub(super) fn start(peer: &dyn Relay, topology: &'a Topology, settings: &Settings) -> Result<Self, PeerError> {
        let process = Process::start(peer, topology, settings.relay_cpu)?;
        let empty_rss_kib = cpu::resident_kib(process.id());
        let open = |namespace: &Namespace, ip| namespace.run(|| Sockets::open(ip, settings.calls));
        let callers = open(&topology.caller, Topology::CALLER)??;
        let callees = open(&topology.callee, Topology::CALLEE)??;
        let ports = topology.relay.run(|| {
            let plan = |number| CallPlan { number, caller: callers.address(number), callee: callees.address(number) };
            (0..settings.calls).map(|number| peer.create_call(&plan(number))).collect::<Result<Vec<_>, _>>()
        })??;
        let secured = peer.callee_suite().map_or_else(
            || Ok(Vec::new()),
            |suite| (0..settings.calls).map(|number| CallKeys::new(suite, number)?.callee()).collect(),
        )?;
        let idle_rss_kib = cpu::resident_kib(process.id());

        let desk = Arc::new(Desk::new());
        let to_caller: Vec<SocketAddr> = ports.iter().map(|ports| ports.to_caller).collect();
        let to_callee: Vec<SocketAddr> = ports.iter().map(|ports| ports.to_callee).collect();
        let sides = [
            Side::start(callers, &to_caller, Vec::new(), Some(settings.load_cpu), &desk)?,
            Side::start(callees, &to_callee, secured, Some(settings.load_cpu), &desk)?,
        ];
        Ok(Self { desk, process, topology, empty_rss_kib, idle_rss_kib, _sides: sides })
    }

    /// Sends at a rate for a while, unmeasured.
    pub(super) fn run_at(&mut self, packets_per_s: u32, time: Duration) -> Result<(), PeerError> {
        self.desk.set_packets_per_s(packets_per_s);
        relay::pause(time)?;
        self.process.still_runs()
    }
}
