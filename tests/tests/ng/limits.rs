//! What happens when there is no room.

use patchcord_ng::Dict;
use patchcord_tests::ng::Stage;
use patchcord_tests::ng::descriptions::audio;
use patchcord_tests::{PATIENCE, Relay, eventually, free_ports};

use crate::{at_once, call, listeners, relay};

#[test]
fn a_full_relay_refuses_new_calls_and_keeps_the_old_ones() {
    // The stage has a call of its own.
    let (_relay, mut stage) = relay(&["--set", "ng.max_sessions=2"]);
    stage.parties(["a", "b"]);
    let [_, towards_a] = call(&mut stage);
    stage.next_call();
    let refused = stage.offer("a", &audio("a"));
    assert_eq!(refused.reason(), "Parallel session limit reached");
    let refused = stage.offer_with("a", &audio("a"), Dict::new().with("supports", vec!["load limit"]));
    assert_eq!((refused.result().as_str(), refused.reason().as_str()), ("load limit", ""));
    assert_eq!(listeners(&mut stage, "a", &towards_a), 0, "ports of another call have no names here");
}

#[test]
fn room_that_becomes_free_is_used() {
    let (_relay, mut stage) = relay(&["--set", "ng.max_sessions=2"]);
    stage.parties(["a", "b"]);
    for _ in 0..3 {
        call(&mut stage);
        assert_eq!(stage.command("delete", "a", at_once()).result(), "ok");
        stage.next_call();
    }
}

#[test]
fn without_ports_an_offer_is_refused_in_known_words_and_takes_none() {
    let ports = free_ports(10).to_string();
    let (relay, mut stage) = relay(&["--ports", &ports]);
    stage.parties(["a", "b", "a2", "b2"]);
    // The stage's call has two pairs, this one too: one pair is left, and video needs two.
    let [towards_b, towards_a] = call(&mut stage);
    let two = |party: &str, other: &str| {
        audio(party) + &format!("m=video {{{other}}} RTP/AVP 96\r\na=rtpmap:96 VP8/90000\r\n")
    };
    let refused = stage.offer("a b", &two("a", "a2"));
    assert_eq!(refused.reason(), "Ran out of ports");
    assert_eq!(listeners(&mut stage, "a", &towards_a), 1, "the call goes on as it was");
    assert_eq!(listeners(&mut stage, "b", &towards_b), 1);
    assert_eq!(legs(&relay, &stage), 2);
}

#[test]
fn a_call_without_media_ends_by_itself() {
    let (relay, mut stage) = relay(&["--set", "ng.timeout_s=1"]);
    stage.parties(["a", "b"]);
    let mut events = relay.events();
    call(&mut stage);
    let name = stage.call().to_owned();
    events.wait_for_that("call-timeout", PATIENCE, |event| event["call"] == name.as_str());
    eventually("the call is gone", || {
        (stage.command("query", "a", Dict::new()).reason() == "Unknown call-id").then_some(())
    });
}

fn legs(relay: &Relay, stage: &Stage) -> usize {
    relay.client().call(stage.call())["legs"].as_array().map_or(0, Vec::len)
}
