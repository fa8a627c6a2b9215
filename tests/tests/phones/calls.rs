//! Calls that nothing happens to.

use patchcord_tests::sip::{Baresip, Switch};
use patchcord_tests::{free_ports, voices};
use serde_json::json;

use crate::support::{IPV6, LOOPBACK, TALK, sipp, sipp_with_media};

#[test]
fn two_baresips_hear_what_the_other_one_says() {
    let switch = Switch::start(&[]);
    let proxy = switch.kamailio.address();
    let mut transferee = Baresip::start("transferee", LOOPBACK, proxy);
    let mut agent = Baresip::start("agent", LOOPBACK, proxy);
    transferee.call(&mut agent);
    let call = switch.only_call();
    switch.wait_for_talk(&call, TALK);
    switch.must_have_relayed_everything(&call);
    transferee.command("hangup", "");
    agent.wait_for("CALL_CLOSED");
    switch.must_be_idle();
    for (phone, other) in [(transferee, "agent"), (agent, "transferee")] {
        let recordings = phone.put_down();
        assert_eq!(recordings.len(), 1, "one call");
        voices::must_be_heard(&recordings[0], &[other]);
    }
}

#[test]
fn fifty_calls_of_sipp_at_once_lose_nothing() {
    let ports = free_ports(400).to_string();
    let switch = Switch::start(&["--ports", &ports]);
    let (mut caller, callee) = sipp(&switch, 50, "caller-talks", "callee-talks");
    let calls = caller.wait_for("talks");
    assert_eq!(switch.calls().len(), 50);
    switch.wait_for_talk_in(&calls, TALK);
    for call in &calls {
        switch.must_have_relayed_everything(call);
        let state = switch.call(call);
        for leg in state["legs"].as_array().unwrap() {
            assert_eq!(leg["drops"], json!({}), "{state}");
        }
    }
    for call in &calls {
        caller.cue(call);
    }
    caller.must_succeed();
    callee.must_succeed();
    switch.must_be_idle();
}

#[test]
fn ipv4_talks_with_ipv6() {
    let switch = Switch::start(&["--interface", "127.0.0.1", "--interface", "::1"]);
    let (mut caller, callee) = sipp_with_media(&switch, 1, "caller-talks", "callee-talks", IPV6, "address-family=IP6");
    let call = caller.wait_for("talks").remove(0);
    switch.wait_for_talk(&call, TALK);
    let state = switch.call(&call);
    let [one, other] = [0, 1].map(|leg| state["legs"][leg]["local"].as_str().unwrap());
    assert!(one.starts_with("127.0.0.1:") && other.starts_with("[::1]:"), "{one} {other}");
    caller.cue(&call);
    caller.must_succeed();
    callee.must_succeed();
    switch.must_be_idle();
}

/// The callee's offer is in the 200, the caller's answer in the ACK.
#[test]
fn an_offer_may_come_late() {
    let switch = Switch::start(&[]);
    let (mut caller, callee) = sipp(&switch, 1, "caller-offers-late", "callee-talks");
    let call = caller.wait_for("talks").remove(0);
    switch.wait_for_talk(&call, TALK);
    caller.cue(&call);
    caller.must_succeed();
    callee.must_succeed();
    switch.must_be_idle();
}
