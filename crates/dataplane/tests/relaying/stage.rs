//! A relay between two network namespaces, and parties on both sides.

use std::net::UdpSocket;
use std::process::Command as Process;

use patchcord_dataplane::Config;
use patchcord_lab::netns::Namespace;
use patchcord_relay::ids::LegId;

use crate::support::{PATIENCE, Relay, rtp};

/// ```text
///  left --- veth --- relay --- veth --- right
/// ```
pub(crate) struct Stage {
    pub(crate) left: Namespace,
    pub(crate) host: Namespace,
    pub(crate) right: Namespace,
}

impl Stage {
    pub(crate) fn new() -> Self {
        let [left, host, right] = ["left", "relay", "right"].map(|name| Namespace::create(name).expect("root"));
        let stage = Self { left, host, right };
        stage.connect(&stage.left, 1);
        stage.connect(&stage.right, 2);
        stage
    }

    pub(crate) fn connect(&self, to: &Namespace, network: u8) {
        for (near, far) in [
            (format!("10.77.{network}.1/24"), format!("10.77.{network}.2/24")),
            (format!("fd77:{network}::1/64"), format!("fd77:{network}::2/64")),
        ] {
            let near = near.parse().expect("a network");
            self.host.connect(near, to, far.parse().expect("a network")).expect("ip link");
        }
    }

    pub(crate) fn start(&self, config: &Config) -> Relay {
        self.host.run(|| Relay::start(config)).expect("the namespace can be entered")
    }

    /// Two parties, one on each side, that hear nobody but the relay: their sockets are connected to it.
    pub(crate) fn call(&self, relay: &mut Relay, v6: bool) -> (Caller, Caller) {
        let address = |network: u8, host: u8| {
            if v6 { format!("[fd77:{network}::{host}]:0") } else { format!("10.77.{network}.{host}:0") }
        };
        let parties = [(&self.left, 1), (&self.right, 2)].map(|(namespace, network)| {
            let party = namespace.run(|| UdpSocket::bind(address(network, 2)).expect("its address")).expect("entered");
            party.set_read_timeout(Some(PATIENCE)).expect("a timeout");
            let remote = party.local_addr().expect("bound");
            let (leg, local) = self.host.run(|| relay.add(&address(network, 1), Some(remote))).expect("entered");
            party.connect(local).expect("a route");
            Caller { socket: party, leg }
        });
        relay.bridge(parties[0].leg, parties[1].leg);
        parties.into()
    }
}

pub(crate) struct Caller {
    pub(crate) socket: UdpSocket,
    pub(crate) leg: LegId,
}

impl Caller {
    pub(crate) fn send(&self, bytes: &[u8]) {
        self.socket.send(bytes).expect("it leaves");
    }

    pub(crate) fn receive(&self) -> Vec<u8> {
        let mut buffer = [0; 4096];
        let len = self.socket.recv(&mut buffer).expect("a datagram from the relay's port");
        buffer[..len].to_vec()
    }

    /// Packets with these sequence numbers come out at the other end, whole and in order.
    pub(crate) fn talks_to(&self, other: &Self, from: u16, count: u16) {
        for number in from..from + count {
            self.send(&rtp(7, number));
            assert_eq!(other.receive(), rtp(7, number));
        }
    }
}

pub(crate) fn ip(namespace: &Namespace, args: &[&str]) {
    let output = Process::new("ip").args(["-n", namespace.name()]).args(args).output().expect("ip");
    assert!(output.status.success(), "ip {args:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// The interface with an IPv4 address.
pub(crate) fn interface_of(namespace: &Namespace) -> String {
    let output = Process::new("ip").args(["-n", namespace.name(), "-o", "-4", "addr"]).output().expect("ip");
    let text = String::from_utf8(output.stdout).expect("text");
    let line = text.lines().find(|line| line.contains("10.77.")).expect("an address");
    line.split_whitespace().nth(1).expect("a name").trim_end_matches(':').to_owned()
}
