//! The ng front of `patchcord serve`: what it promises beyond rtpengine's behaviour, and what it does to bad input.

#![allow(clippy::unwrap_used, reason = "a test may stop at what it did not expect")]

mod bad_input;
mod calls;
mod fronts;
mod limits;
mod opensips;
mod quality;
mod subscriptions;
mod transfers;

use std::net::SocketAddr;

use patchcord_ng::Dict;
use patchcord_tests::ng::descriptions::audio;
use patchcord_tests::ng::{Packet, Stage};
use patchcord_tests::{Relay, free_ports};

/// A relay that speaks ng, and a call in it.
fn relay(arguments: &[&str]) -> (Relay, Stage) {
    let (relay, address) = listening(arguments);
    let stage = Stage::new(address, &[]);
    (relay, stage)
}

/// A relay that speaks ng, and where.
fn listening(arguments: &[&str]) -> (Relay, SocketAddr) {
    let address = SocketAddr::from(([127, 0, 0, 1], free_ports(2).first));
    let text = address.to_string();
    // One worker takes packets in the order in which they come, as the stage needs it.
    (Relay::start(&[&["--ng", &text, "--workers", "1"], arguments].concat()), address)
}

/// a calls b; ports towards b and towards a.
fn call(stage: &mut Stage) -> [String; 2] {
    let offered = stage.offer("a", &audio("a"));
    let answered = stage.answer("a b", &audio("b"));
    assert_eq!((offered.reason(), answered.reason()), (String::new(), String::new()));
    [offered.port().to_owned(), answered.port().to_owned()]
}

/// A re-INVITE of a to b.
fn again(stage: &mut Stage, offer: &str, answer: &str) -> [String; 2] {
    let offered = stage.offer("a b", offer);
    let answered = stage.answer("a b", answer);
    assert_eq!((offered.reason(), answered.reason()), (String::new(), String::new()));
    [offered.port().to_owned(), answered.port().to_owned()]
}

/// A party sends an RTP packet; who got one, as `b from P1`. RTCP that the relay sends of its own accord is left out.
fn heard(stage: &mut Stage, party: &str, port: &str) -> Vec<String> {
    let mut heard = stage.send(party, Packet::Rtp(0), port);
    heard.retain(|line| !line.contains("+1 from"));
    heard
}

/// How many got it.
fn listeners(stage: &mut Stage, party: &str, port: &str) -> usize {
    heard(stage, party, port).len()
}

fn at_once() -> Dict {
    Dict::new().with("delete-delay", 0_i64)
}
