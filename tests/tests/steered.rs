//! Steered sockets as an operator meets them: who may have which ports, what is left of a relay that was killed, what is said.

#![allow(clippy::unwrap_used, reason = "a test may stop at what it did not expect")]

use std::net::UdpSocket;

use patchcord_tests::{PATIENCE, Relay, in_a_namespace};
use serde_json::json;

const WHY: &str = "BPF programs steer ports";
const PORTS: &str = "20000-20099";

#[test]
fn nobody_is_given_ports_that_another_relay_steers() {
    in_a_namespace(WHY, || {
        let first = Relay::start(&["--backend", "steered", "--ports", PORTS]);
        for backend in ["steered", "io-uring", "mmsg", "auto"] {
            let refused = Relay::try_start(&["--backend", backend, "--ports", "20050-20149"]).unwrap_err();
            let process = format!("process {} steers the ports {PORTS} of 127.0.0.1", first.process_id());
            assert_eq!(refused.status.code(), Some(1), "{refused:?}");
            assert!(refused.stderr.contains(&process), "{refused:?}");
            assert!(refused.stderr.contains("choose other ports"), "{refused:?}");
        }
        let other_ports = Relay::start(&["--backend", "steered", "--ports", "20100-20199"]);
        for relay in [&first, &other_ports] {
            assert_eq!(echo(relay), "steered");
        }
    });
}

#[test]
fn nobody_steers_ports_that_another_relay_has_sockets_on() {
    in_a_namespace(WHY, || {
        let first = Relay::start(&["--backend", "mmsg", "--ports", PORTS]);
        let refused = Relay::try_start(&["--backend", "steered", "--ports", PORTS]).unwrap_err();
        let process = format!("process {} uses the ports {PORTS} of 127.0.0.1 too", first.process_id());
        assert!(refused.stderr.contains(&process), "{refused:?}");
        // Who leaves the choice to the relay gets sockets of its own, and each skips the ports that the other has.
        let second = Relay::start(&["--ports", PORTS]);
        assert_ne!(echo(&second), "steered");
        assert_eq!(echo(&first), "mmsg");
    });
}

#[test]
fn the_automatic_choice_steers_what_the_system_gives_to_nobody_else() {
    in_a_namespace(WHY, || {
        assert_eq!(echo(&Relay::start(&["--ports", PORTS])), "steered");
        let mut given_out = Relay::start(&["--ports", "40000-40099"]);
        assert_ne!(echo(&given_out), "steered");
        given_out.terminate();
        let said = given_out.wait().stderr;
        assert!(said.contains("net.ipv4.ip_local_reserved_ports=40000-40099"), "{said}");
        sysctl("net.ipv4.ip_local_reserved_ports=40000-40099");
        assert_eq!(echo(&Relay::start(&["--ports", "40000-40099"])), "steered");
    });
}

#[test]
fn a_killed_relay_leaves_nothing_steered() {
    in_a_namespace(WHY, || {
        let mut killed = Relay::start(&["--backend", "steered", "--ports", PORTS]);
        assert_eq!(echo(&killed), "steered");
        killed.kill();
        // Its ports are free, and another relay steers them.
        let free = UdpSocket::bind("127.0.0.1:20000").unwrap();
        let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
        free.set_read_timeout(Some(PATIENCE)).unwrap();
        peer.send_to(b"to nobody's port", "127.0.0.1:20000").unwrap();
        assert_eq!(free.recv(&mut [0; 64]).unwrap(), 16);
        drop(free);
        assert_eq!(echo(&Relay::start(&["--backend", "steered", "--ports", PORTS])), "steered");
    });
}

/// Relays a packet from one party to another; by which backend.
fn echo(relay: &Relay) -> String {
    let client = relay.client();
    client.create_call("c1");
    let parties = ["alice", "bob"].map(|name| {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let remote = socket.local_addr().unwrap().to_string();
        let leg = json!({"command": "leg-create", "party": name, "codecs": ["PCMU"], "remote": remote});
        client.command("c1", leg);
        let local = client.leg("c1", name)["local"].as_str().unwrap().to_owned();
        socket.connect(local).unwrap();
        socket
    });
    client.command("c1", json!({"command": "bridge", "a": "alice", "b": "bob"}));
    let mut packet = [0; 172];
    packet[..12].copy_from_slice(&[0x80, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 7]);
    parties[0].send(&packet).unwrap();
    assert_eq!(parties[1].recv(&mut [0; 200]).unwrap(), packet.len());
    client.delete_call("c1");
    client.workers()[0]["backend"].as_str().unwrap().to_owned()
}

fn sysctl(setting: &str) {
    let (name, value) = setting.split_once('=').unwrap();
    std::fs::write(format!("/proc/sys/{}", name.replace('.', "/")), value).unwrap();
}
