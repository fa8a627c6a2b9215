//! Two hosts: the relay on one, its parties on the other.

#![allow(clippy::unwrap_used, clippy::missing_panics_doc, reason = "a test may stop at what it did not expect")]

use std::net::UdpSocket;
use std::time::Instant;

use patchcord_lab::netns::Namespace;
use serde_json::{Value, json};

use crate::{Ended, PATIENCE, Relay, privileged};

const WHY: &str = "XDP programs are attached to interfaces";
const RELAY: &str = "10.79.1.1";
const PARTIES: &str = "10.79.1.2";

/// ```text
///  parties --- veth --- relay
/// ```
pub struct Hosts {
    /// The parties'.
    pub parties: Namespace,
    /// The relay's.
    pub relay: Namespace,
}

impl Hosts {
    /// `None`: it takes privileges, and there are none.
    #[must_use]
    pub fn new() -> Option<Self> {
        if !privileged(WHY) {
            return None;
        }
        let [parties, host] = ["parties", "relay"].map(|name| Namespace::create(name).unwrap());
        let network = |address| format!("{address}/24").parse().unwrap();
        host.connect(network(RELAY), &parties, network(PARTIES)).unwrap();
        Some(Self { parties, relay: host })
    }

    /// Starts a relay with a media address of its host's, and these arguments.
    ///
    /// # Errors
    /// It refuses.
    pub fn try_start(&self, arguments: &[&str]) -> Result<Relay, Ended> {
        let all = [&["--interface", RELAY, "--ports", "20000-20099"], arguments].concat();
        self.relay.run(|| Relay::try_start(&all)).unwrap()
    }

    /// As [`Hosts::try_start`], of one that starts.
    #[must_use]
    pub fn start(&self, arguments: &[&str]) -> Relay {
        self.try_start(arguments).unwrap()
    }

    /// Two parties that are bridged.
    #[must_use]
    pub fn call(&self, relay: &Relay, call: &str) -> [UdpSocket; 2] {
        self.relay
            .run(|| {
                let client = relay.client();
                client.create_call(call);
                let parties = ["alice", "bob"].map(|name| self.party(relay, call, name));
                client.command(call, json!({"command": "bridge", "a": "alice", "b": "bob"}));
                parties
            })
            .unwrap()
    }

    /// Another party of a call.
    #[must_use]
    pub fn party(&self, relay: &Relay, call: &str, name: &str) -> UdpSocket {
        let client = relay.client();
        let socket = self.parties.run(|| UdpSocket::bind((PARTIES, 0)).unwrap()).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let remote = socket.local_addr().unwrap().to_string();
        let create = json!({"command": "leg-create", "party": name, "codecs": ["PCMU"], "remote": remote});
        self.relay
            .run(|| {
                client.command(call, create);
                socket.connect(client.leg(call, name)["local"].as_str().unwrap().to_owned()).unwrap();
            })
            .unwrap();
        socket
    }

    /// A party's leg as the relay shows it.
    #[must_use]
    pub fn leg(&self, relay: &Relay, call: &str, party: &str) -> Value {
        self.relay.run(|| relay.client().leg(call, party)).unwrap()
    }

    /// One packet at a time from alice to bob until the kernel forwards them; the number of the next one.
    pub fn climb(&self, relay: &Relay, call: &str, parties: &[UdpSocket; 2]) -> u16 {
        self.climb_from(0, relay, call, parties)
    }

    /// As [`Hosts::climb`], from a number on.
    pub fn climb_from(&self, first: u16, relay: &Relay, call: &str, [alice, bob]: &[UdpSocket; 2]) -> u16 {
        let started = Instant::now();
        for number in first.. {
            alice.send(&rtp(number)).unwrap();
            assert_eq!(hear(bob), number);
            if self.leg(relay, call, "alice")["offload"]["active"] == true {
                return number + 1;
            }
            assert!(started.elapsed() < PATIENCE, "{}", self.leg(relay, call, "alice"));
        }
        unreachable!("numbers do not end")
    }

    /// What `ip` says of interfaces.
    #[must_use]
    pub fn links(&self) -> String {
        let ip = std::process::Command::new("ip").args(["-n", self.relay.name(), "link"]).output().unwrap();
        String::from_utf8(ip.stdout).unwrap()
    }
}

/// The number of the next packet of RTP; reports share the port.
pub fn hear(party: &UdpSocket) -> u16 {
    let mut packet = [0; 200];
    loop {
        let len = party.recv(&mut packet).unwrap();
        if !(192..224).contains(&packet[1]) {
            assert_eq!(len, 172);
            return u16::from_be_bytes([packet[2], packet[3]]);
        }
    }
}

/// A packet of PCMU with this number.
#[must_use]
pub fn rtp(number: u16) -> [u8; 172] {
    let mut packet = [0; 172];
    packet[..4].copy_from_slice(&[0x80, 0, (number >> 8) as u8, number as u8]);
    packet[4..8].copy_from_slice(&(u32::from(number) * 160).to_be_bytes());
    packet[11] = 7;
    packet
}
