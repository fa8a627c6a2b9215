//! Calls and what happens in them.

use patchcord_ng::Dict;
use patchcord_tests::Relay;
use patchcord_tests::ng::NgClient;
use patchcord_tests::ng::descriptions::{audio, audio_at, audio_with};
use serde_json::json;

use crate::{again, at_once, call, heard, listeners, listening, relay};

#[test]
fn a_changed_remote_port_keeps_the_local_ports() {
    let (_relay, mut stage) = relay(&[]);
    stage.parties(["a", "b", "a2", "b2"]);
    let ports = call(&mut stage);
    for (offer, answer) in [("a2", "b"), ("a2", "b2"), ("a", "b")] {
        assert_eq!(again(&mut stage, &audio(offer), &audio(answer)), ports, "{offer} {answer}");
    }
}

#[test]
fn what_a_party_on_hold_does_not_want_to_hear_does_not_reach_it() {
    let (_relay, mut stage) = relay(&[]);
    stage.parties(["a", "b"]);
    let [towards_b, towards_a] = call(&mut stage);
    // A may send music to the party that it holds, and hears nothing.
    again(&mut stage, &audio_with("a", &["a=sendonly"]), &audio_with("b", &["a=recvonly"]));
    assert_eq!(listeners(&mut stage, "a", &towards_a), 1);
    assert_eq!(listeners(&mut stage, "b", &towards_b), 0);
    again(&mut stage, &audio_with("a", &["a=inactive"]), &audio_with("b", &["a=inactive"]));
    assert_eq!(listeners(&mut stage, "a", &towards_a), 0);
    assert_eq!(listeners(&mut stage, "b", &towards_b), 0);
    again(&mut stage, &audio("a"), &audio("b"));
    assert_eq!(listeners(&mut stage, "a", &towards_a), 1);
    assert_eq!(listeners(&mut stage, "b", &towards_b), 1);
}

#[test]
fn a_hold_by_address_zero_ends() {
    let (_relay, mut stage) = relay(&[]);
    stage.parties(["a", "b"]);
    let [towards_b, _] = call(&mut stage);
    again(&mut stage, &audio_at("0.0.0.0", "a"), &audio("b"));
    assert_eq!(listeners(&mut stage, "b", &towards_b), 0);
    again(&mut stage, &audio("a"), &audio("b"));
    assert_eq!(listeners(&mut stage, "b", &towards_b), 1);
}

#[test]
fn strangers_reach_nobody_once_the_party_has_spoken() {
    let (_relay, mut stage) = relay(&[]);
    stage.parties(["a", "b"]);
    stage.party_at("x", [127, 0, 0, 2].into());
    let [towards_b, towards_a] = call(&mut stage);
    heard(&mut stage, "a", &towards_a);
    for _ in 0..5 {
        assert_eq!(listeners(&mut stage, "x", &towards_a), 0);
        let heard = heard(&mut stage, "b", &towards_b);
        assert!(heard.len() == 1 && heard[0].starts_with("a from "), "{heard:?}");
    }
    // A re-INVITE opens no second chance for whoever has listened.
    again(&mut stage, &audio("a"), &audio("b"));
    heard(&mut stage, "x", &towards_a);
    heard(&mut stage, "a", &towards_a);
    assert_eq!(listeners(&mut stage, "x", &towards_a), 0);
    let heard = heard(&mut stage, "b", &towards_b);
    assert!(heard.len() == 1 && heard[0].starts_with("a from "), "{heard:?}");
}

#[test]
fn a_failed_branch_leaves_its_siblings_alone() {
    let (_relay, mut stage) = relay(&[]);
    stage.parties(["a", "b", "c"]);
    let branch = |name: &str| Dict::new().with("via-branch", name);
    stage.offer_with("a", &audio("a"), branch("1"));
    let towards_c = stage.offer_with("a", &audio("a"), branch("2")).port().to_owned();
    stage.answer_with("a b", &audio("b"), branch("1"));
    let failed = stage.command("delete", "a b", at_once().with("via-branch", "1"));
    assert_eq!(failed.result(), "ok");
    let towards_a = stage.answer_with("a c", &audio("c"), branch("2")).port().to_owned();
    assert_eq!(listeners(&mut stage, "a", &towards_a), 1);
    assert_eq!(listeners(&mut stage, "c", &towards_c), 1);
}

#[test]
fn media_goes_on_while_a_delete_waits_and_an_offer_calls_it_off() {
    let (_relay, mut stage) = relay(&[]);
    stage.parties(["a", "b"]);
    let [_, towards_a] = call(&mut stage);
    assert_eq!(stage.command("delete", "a", Dict::new()).result(), "ok");
    assert_eq!(listeners(&mut stage, "a", &towards_a), 1);
    again(&mut stage, &audio("a"), &audio("b"));
    assert_eq!(listeners(&mut stage, "a", &towards_a), 1);
    assert_eq!(stage.command("delete", "a", at_once()).result(), "ok");
    assert_eq!(stage.command("query", "a", Dict::new()).reason(), "Unknown call-id");
    assert_eq!(listeners(&mut stage, "a", &towards_a), 0);
}

#[test]
fn a_call_made_over_ng_is_a_call_of_the_http_api() {
    let (relay, mut stage) = relay(&[]);
    stage.parties(["a", "b"]);
    let [_, towards_a] = call(&mut stage);
    let name = stage.call().to_owned();
    let state = relay.client().call(&name);
    assert_eq!(state["legs"].as_array().unwrap().len(), 2, "{state}");
    // A command of the one front is obeyed at once where the other one set the call up.
    let party = state["parties"][0].clone();
    let party = party.as_str().unwrap_or_else(|| party["party"].as_str().unwrap());
    relay.client().command(&name, json!({"command": "mute", "party": party}));
    assert_eq!(listeners(&mut stage, "a", &towards_a), 0);
    relay.client().command(&name, json!({"command": "unmute", "party": party}));
    assert_eq!(listeners(&mut stage, "a", &towards_a), 1);
    relay.client().delete_call(&name);
    assert_eq!(stage.command("query", "a", Dict::new()).reason(), "Unknown call-id");
    let offered = stage.offer("a", &audio("a"));
    assert_eq!(offered.result(), "ok", "the name is free again: {offered:?}");
}

#[test]
fn a_repeated_request_is_done_once() {
    let (relay, address) = listening(&[]);
    let sdp = audio("a").replace("{a}", "4000");
    let offer = |cookie: &str| {
        let call = "7:call-id5:again8:from-tag1:a7:command5:offer";
        format!("{cookie} d{call}3:sdp{}:{sdp}e", sdp.len())
    };
    let client = NgClient::new(address);
    let first = client.exact(offer("again-1").as_bytes());
    let ports = |relay: &Relay| relay.client().call("again")["legs"].as_array().unwrap().len();
    let legs = ports(&relay);
    assert_eq!(client.exact(offer("again-1").as_bytes()), first);
    assert_eq!(ports(&relay), legs);
    // Another cookie is another request, though of the same content.
    assert_ne!(client.exact(offer("again-2").as_bytes()), first);
}
