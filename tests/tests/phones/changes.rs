//! Calls that change: hold and resume, another port.

use patchcord_tests::sip::{Baresip, Switch};
use patchcord_tests::voices;
use serde_json::Value;

use crate::support::{LOOPBACK, TALK, sipp};

fn count(leg: &Value, pointer: &str) -> u64 {
    leg.pointer(pointer).and_then(Value::as_u64).unwrap_or(0)
}

/// The one who holds speaks on, and is sent nothing.
fn must_be_one_way(switch: &Switch, call: &str, holder: &str, held: &str) {
    let client = switch.relay.client();
    let before = client.leg(call, held);
    let quiet = count(&client.leg(call, holder), "/sent/packets");
    client.wait_for_leg(call, held, "what the holder plays", |leg| {
        count(leg, "/sent/packets") >= count(&before, "/sent/packets") + TALK
    });
    let holder = client.leg(call, holder);
    assert_eq!(count(&holder, "/sent/packets"), quiet, "{holder}");
    assert_eq!(holder["direction"], "sendonly", "{holder}");
}

#[test]
fn holds_by_direction_and_by_the_zero_address_are_undone() {
    let switch = Switch::start(&[]);
    let (mut caller, callee) = sipp(&switch, 1, "caller-holds", "callee-is-held");
    let call = caller.wait_for("talks").remove(0);
    switch.wait_for_talk(&call, TALK);
    for (holds, resumes) in [("holds", "has resumed"), ("holds by the zero address", "has resumed again")] {
        caller.cue(&call);
        caller.wait_for(holds);
        must_be_one_way(&switch, &call, "caller-1", "callee-1");
        caller.cue(&call);
        caller.wait_for(resumes);
        switch.wait_for_talk(&call, TALK);
    }
    // SIPp, unlike a telephone, goes on speaking while it is held.
    let held = switch.relay.client().leg(&call, "callee-1");
    assert!(count(&held, "/drops/direction") > 0, "{held}");
    caller.cue(&call);
    caller.must_succeed();
    callee.must_succeed();
    switch.must_be_idle();
}

/// Afterwards it plays a capture from the new port, which has another SSRC and other sequence numbers.
#[test]
fn a_telephone_that_moves_to_another_port_is_heard_from_there_on_the_same_stream() {
    if !patchcord_tests::privileged("SIPp plays captures through a raw socket") {
        return;
    }
    let switch = Switch::start(&[]);
    let client = switch.relay.client();
    let (mut caller, callee) = sipp(&switch, 1, "caller-moves", "callee-follows");
    let call = caller.wait_for("talks").remove(0);
    switch.wait_for_talk(&call, TALK);
    let (mover, listener) = (client.leg(&call, "caller-1"), client.leg(&call, "callee-1"));
    caller.cue(&call);
    caller.wait_for("has moved");
    switch.wait_for_talk(&call, TALK);
    let (moved, listens) = (client.leg(&call, "caller-1"), client.leg(&call, "callee-1"));
    assert_ne!(moved["remote"], mover["remote"]);
    assert_ne!(moved["ssrc"], mover["ssrc"]);
    assert_eq!(moved["local"], mover["local"], "the relay's port stays");
    assert_eq!(listens["sent"]["ssrc"], listener["sent"]["ssrc"], "one SSRC for life");
    caller.cue(&call);
    caller.must_succeed();
    callee.must_succeed();
    switch.must_be_idle();
}

#[test]
fn baresip_holds_and_resumes() {
    let switch = Switch::start(&[]);
    let proxy = switch.kamailio.address();
    let mut transferee = Baresip::start("transferee", LOOPBACK, proxy);
    let mut agent = Baresip::start("agent", LOOPBACK, proxy);
    transferee.call(&mut agent);
    let call = switch.only_call();
    switch.wait_for_talk(&call, TALK);
    let parties = switch.call(&call)["parties"].clone();
    let [caller, callee] = [0, 1].map(|party| parties[party].as_str().unwrap().to_owned());
    // It answers when the re-INVITE is on its way; the relay's state says that it has been answered.
    agent.command("hold", "");
    let client = switch.relay.client();
    client.wait_for_leg(&call, &callee, "the hold", |leg| leg["direction"] == "sendonly");
    // It plays no music, and the held one has stopped speaking.
    for party in [&caller, &callee] {
        client.wait_for_leg(&call, party, "a second of silence", |leg| count(leg, "/idle_ms") >= 1000);
    }
    agent.command("resume", "");
    client.wait_for_leg(&call, &callee, "the end of the hold", |leg| leg["direction"] == "sendrecv");
    switch.wait_for_talk(&call, TALK);
    agent.command("hangup", "");
    transferee.wait_for("CALL_CLOSED");
    switch.must_be_idle();
    // baresip 1.0 stops recording when a call is held: this is what was heard until then.
    for (phone, other) in [(transferee, "agent"), (agent, "transferee")] {
        voices::must_be_heard(&phone.put_down()[0], &[other]);
    }
}
