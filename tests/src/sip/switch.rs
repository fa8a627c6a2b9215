//! A relay and the proxy that drives it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use serde_json::Value;

use super::Kamailio;
use crate::kernel;
use crate::ports::{Ports, free_port, free_ports};
use crate::relay::Relay;
use crate::wait::eventually;

/// Ports of a relay whose test does not say how many it needs.
const PORTS: u16 = 100;

/// A relay under a real Kamailio.
#[derive(Debug)]
pub struct Switch {
    /// The relay.
    pub relay: Relay,
    /// The proxy and registrar.
    pub kamailio: Kamailio,
    ports: Ports,
}

impl Switch {
    /// On loopback, with free ports; the relay gets more arguments.
    ///
    /// # Panics
    /// If one of them does not start.
    #[must_use]
    pub fn start(arguments: &[&str]) -> Self {
        let ng = free_port();
        Self::with_ng(ng, ng, arguments)
    }

    /// With the proxy and the media at an address of this host, or of the network namespace that the thread is in.
    ///
    /// # Panics
    /// If one of them does not start.
    #[must_use]
    pub fn at(ip: IpAddr) -> Self {
        let ng = free_port();
        Self::build(ip, ng, ng, &["--interface", &ip.to_string()])
    }

    /// On loopback; the relay listens for ng at one address, Kamailio is told another.
    ///
    /// # Panics
    /// If one of them does not start.
    #[must_use]
    pub fn with_ng(listens: SocketAddr, told: SocketAddr, arguments: &[&str]) -> Self {
        Self::build(Ipv4Addr::LOCALHOST.into(), listens, told, arguments)
    }

    fn build(ip: IpAddr, listens: SocketAddr, told: SocketAddr, arguments: &[&str]) -> Self {
        let given = arguments.iter().skip_while(|argument| **argument != "--ports").nth(1);
        let ports = given.map_or_else(|| free_ports(PORTS), |range| range.parse().expect("a range of ports"));
        let (listens, range) = (listens.to_string(), ports.to_string());
        let mut all = vec!["--ng", &listens, "--set", "ng.delete_delay_s=0"];
        if given.is_none() {
            all.extend(["--ports", &range]);
        }
        all.extend(arguments);
        let relay = Relay::start(&all);
        Self { relay, kamailio: Kamailio::start_on(ip, told), ports }
    }

    /// The relay's ports for media.
    #[must_use]
    pub const fn ports(&self) -> Ports {
        self.ports
    }

    /// The calls that the relay has.
    ///
    /// # Panics
    /// If it does not answer.
    #[must_use]
    pub fn calls(&self) -> Vec<String> {
        self.relay.client().calls()
    }

    /// A call's state.
    ///
    /// # Panics
    /// If there is no such call.
    #[must_use]
    pub fn call(&self, id: &str) -> Value {
        self.relay.client().call(id)
    }

    /// The only call there is.
    ///
    /// # Panics
    /// If there is none, or another one beside it.
    #[must_use]
    pub fn only_call(&self) -> String {
        self.relay.client().only_call()
    }

    /// Waits until both parties of a call have been sent so many packets more.
    ///
    /// # Panics
    /// If they are not.
    pub fn wait_for_talk(&self, call: &str, packets: u64) {
        self.wait_for_talk_in(&[call], packets);
    }

    /// [`Switch::wait_for_talk`] in each of these calls.
    ///
    /// # Panics
    /// If somebody is not sent them.
    pub fn wait_for_talk_in(&self, calls: &[impl AsRef<str>], packets: u64) {
        self.relay.client().wait_for_talk_in(calls, packets);
    }

    /// Makes sure that each party of a call has been sent all that the other one's leg has received. What is missing there the
    /// kernel has dropped: on a busy host a socket's queue may be full.
    ///
    /// # Panics
    /// If it is not so.
    pub fn must_have_relayed_everything(&self, call: &str) {
        let state = self.call(call);
        let kernel = kernel::udp_ports();
        let legs = state["legs"].as_array().expect("a call has a list of legs");
        assert_eq!(legs.len(), 2, "{state}");
        for (from, to) in [(&legs[0], &legs[1]), (&legs[1], &legs[0])] {
            assert_eq!(from["packets"], to["sent"]["packets"], "{state}");
            let port = from["local"].as_str().and_then(|local| local.rsplit(':').next()?.parse::<u16>().ok());
            let dropped = kernel.get(&port.expect("a leg has a port")).map_or(0, |port| port.drops);
            assert!(from["lost"].as_u64().is_some_and(|lost| lost <= dropped), "the kernel dropped {dropped}: {from}");
        }
    }

    /// Waits until the relay has no call, no worker a leg, and no port for media is open.
    ///
    /// # Panics
    /// If it does not come to that.
    pub fn must_be_idle(&self) {
        self.relay.client().must_be_idle();
        let Ports { first, last } = self.ports;
        eventually(&format!("no port of {} is open", self.ports), || {
            kernel::udp_ports().range(first..=last).next().is_none().then_some(())
        });
    }
}
