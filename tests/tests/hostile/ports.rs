//! Ports and addresses that are not to be had.

use std::net::UdpSocket;

use patchcord_tests::stage::address;
use patchcord_tests::{Client, Relay, free_ports};
use serde_json::{Value, json};

fn leg(party: usize) -> Value {
    json!({"command": "leg-create", "party": format!("p{party}"), "codecs": ["PCMU"]})
}

fn local_port(client: &Client, party: &str) -> u16 {
    address(&client.leg("c1", party), "local").port()
}

#[test]
fn an_exhausted_range_refuses_and_freed_ports_serve_again() {
    let ports = free_ports(4);
    let relay = Relay::start(&["--workers", "1", "--ports", &ports.to_string()]);
    let client = relay.client();
    client.create_call("c1");
    for party in 0..4 {
        client.command("c1", leg(party));
    }
    let mut all: Vec<u16> = (0..4).map(|party| local_port(client, &format!("p{party}"))).collect();
    all.sort_unstable();
    assert_eq!(all, (ports.first..=ports.last).collect::<Vec<_>>(), "every port of the range serves");

    let answer = client.try_command("c1", leg(4));
    assert_eq!((answer.status, answer.code()), (503, "ports-exhausted"));
    assert!(answer.message().contains("4 leased") && answer.message().contains("`ports`"), "{answer:?}");
    // Two legs into one free port: neither is created.
    client.command("c1", json!({"command": "leg-delete", "party": "p1"}));
    let both = json!({"id": "both", "commands": [leg(4), leg(5)]});
    let answer = client.try_command("c1", both.clone());
    assert_eq!((answer.status, answer.code()), (503, "ports-exhausted"));
    assert_eq!(client.call("c1")["parties"], json!(["p0", "p2", "p3"]));
    // A pair of ports is not made of two halves of different pairs.
    client.command("c1", json!({"command": "leg-delete", "party": "p2"}));
    let mut pair = leg(6);
    pair["rtcp_mux"] = false.into();
    let answer = client.try_command("c1", pair);
    assert_eq!((answer.status, answer.code()), (503, "ports-exhausted"), "{answer:?}");
    // What was refused for want of room may be tried again under its id.
    let answer = client.try_command("c1", both);
    assert_eq!(answer.status, 200, "{answer:?}");
    let mut again = [local_port(client, "p4"), local_port(client, "p5")];
    again.sort_unstable();
    let mut taken = [local_port(client, "p0"), local_port(client, "p3")];
    taken.sort_unstable();
    assert!(again.iter().all(|port| !taken.contains(port)), "{again:?} and {taken:?}");

    client.delete_call("c1");
    client.create_call("c1");
    for party in 0..4 {
        client.command("c1", leg(party));
    }
}

#[test]
fn a_busy_port_is_passed_over() {
    let ports = free_ports(8);
    let busy = UdpSocket::bind(("127.0.0.1", ports.first)).unwrap();
    let busy_odd = UdpSocket::bind(("127.0.0.1", ports.first + 3)).unwrap();
    let relay = Relay::start(&["--workers", "1", "--ports", &ports.to_string()]);
    let client = relay.client();
    client.create_call("c1");
    for party in 0..6 {
        client.command("c1", leg(party));
    }
    let leased: Vec<u16> = (0..6).map(|party| local_port(client, &format!("p{party}"))).collect();
    for socket in [&busy, &busy_odd] {
        assert!(!leased.contains(&socket.local_addr().unwrap().port()), "{leased:?}");
    }
    let answer = client.try_command("c1", leg(6));
    assert_eq!((answer.status, answer.code()), (503, "ports-exhausted"));
    let metrics = client.request("GET", "/metrics", "");
    assert_eq!(metrics.status, 200);
    assert!(!relay.stderr().contains("panicked"), "{}", relay.stderr());
}

#[test]
fn an_address_that_is_not_ours_is_refused_at_the_start() {
    // 192.0.2.0/24 is for documentation (RFC 5737): no host has it.
    for (arguments, status, words) in [
        (["--interface", "192.0.2.1"], 1..=2, ["192.0.2.1", "--interface"]),
        (["--interface", "example.invalid"], 2..=2, ["example.invalid", "[NAME/]IP"]),
        (["--ports", "5-2"], 2..=2, ["5-2", "FIRST-LAST"]),
        (["--backend", "carrier-pigeon"], 2..=2, ["carrier-pigeon", "mmsg"]),
        (["--set", "media.lutch=off"], 2..=2, ["lutch", "media"]),
    ] {
        let ended = Relay::try_start(&arguments).expect_err("it must not start");
        let code = ended.status.code().unwrap();
        assert!(status.contains(&code), "{arguments:?}: exit code {code}");
        for word in words {
            assert!(ended.stderr.contains(word), "{arguments:?} does not name {word}: {}", ended.stderr);
        }
        assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
    }
    let mut relay = Relay::start(&[]);
    let taken = relay.client().base().trim_start_matches("http://").to_owned();
    let ended = Relay::try_start(&["--http", &taken]).expect_err("the address is taken");
    assert_eq!(ended.status.code(), Some(1));
    assert!(ended.stderr.contains(&taken) && ended.stderr.contains("--http"), "{}", ended.stderr);
    assert!(relay.is_running());
    let ended = Relay::try_start(&["--http", "0.0.0.0:0"]).expect_err("it needs a token there");
    assert!(ended.stderr.contains("token"), "{}", ended.stderr);
}
