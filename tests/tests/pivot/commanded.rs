//! Transfers that a client commands over HTTP.

use serde_json::{Value, json};

use crate::stage::{Stage, media_of};

/// The transfer of this name, once it stands so.
fn in_state(stage: &Stage, name: &str, state: &str) -> Value {
    patchcord_tests::eventually(&format!("the transfer is {state}"), || {
        let transfer = stage.relay.client().get(&format!("/v1/transfers/{name}"));
        (transfer["state"] == state).then_some(transfer)
    })
}

/// The first target is busy, the second answers; the agent, which has asked for nothing, is hung up.
#[test]
fn targets_are_called_in_turn_and_the_transferor_is_hung_up() {
    let mut stage = Stage::new();
    let (mut caller, _agent) = stage.talking();
    let body = json!({"id": "1", "call": caller.call.id(), "targets": ["+1 555 0198", "tel:+15550199"]});
    let name = stage.begin(&body);
    assert_eq!(stage.begin(&body), name, "the same id begins nothing again");
    let (first, _) = stage.target.ring();
    stage.target.respond(&first, "486 Busy Here", "");
    let _ack = stage.target.must_take("ACK");
    let (second, offer) = stage.target.ring();
    assert!(second.invite().start.contains("+15550199"), "{}", second.invite().start);
    stage.target_answers(&second, &offer);
    let _bye = stage.agent.must_take("BYE");
    let done = in_state(&stage, &name, "done");
    assert_eq!(done["failures"][0]["code"], 486);
    assert_eq!(done["method"], "invite");
    stage.caller.bye(&mut caller.call);
    let _bye = stage.target.must_take("BYE");
    stage.must_be_idle();
}

/// The agent talks with the target while the caller hears music; then all three talk, then the agent leaves.
#[test]
fn a_warm_transfer_goes_by_consultation_and_conference() {
    let mut stage = Stage::new();
    let (mut caller, agent) = stage.talking();
    let call = caller.call.id();
    let name = stage.begin(&json!({"id": "1", "call": call, "targets": ["+15550199"], "method": "warm"}));
    let (inbound, offer) = stage.target.ring();
    stage.target.respond(&inbound, "200 OK", &stage.target.media.sdp(""));
    let _ack = stage.target.must_take("ACK");
    stage.target.media.speak_until_heard(media_of(&offer), &stage.agent.media);
    stage.agent.media.speak_until_heard(agent.relay, &stage.target.media);
    stage.caller.media.forget();
    stage.target.media.send(media_of(&offer));
    stage.caller.media.must_not_hear(&stage.target.media);
    in_state(&stage, &name, "consulting");

    let path = format!("/v1/transfers/{name}/commands");
    let answer = stage.relay.client().request("POST", &path, r#"{"command": "conference"}"#);
    assert_eq!(answer.status, 200, "{}", answer.body);
    in_state(&stage, &name, "conferencing");
    let answer = stage.relay.client().request("POST", &path, r#"{"command": "complete"}"#);
    assert_eq!(answer.status, 200, "{}", answer.body);
    let _bye = stage.agent.must_take("BYE");
    stage.target.media.speak_until_heard(media_of(&offer), &stage.caller.media);
    stage.caller.media.speak_until_heard(caller.relay, &stage.target.media);
    in_state(&stage, &name, "done");
    stage.caller.must_have_no_request();
    stage.caller.bye(&mut caller.call);
    let _bye = stage.target.must_take("BYE");
    stage.must_be_idle();
}

/// Each with the code of its error, and the call goes on.
#[test]
fn what_cannot_be_done_is_refused_by_its_code() {
    let mut stage = Stage::new();
    let (mut caller, mut agent) = stage.talking();
    let call = caller.call.id();
    for (body, status, code) in [
        (json!({"id": "1", "call": "nobody", "targets": ["+1555"]}), 404, "unknown-call"),
        (json!({"id": "2", "call": call, "targets": []}), 400, "bad-request"),
        (json!({"id": "3", "call": call, "targets": ["911"]}), 403, "forbidden-target"),
        (json!({"id": "4", "call": call, "targets": ["sip:a@elsewhere.example"]}), 403, "forbidden-target"),
        (json!({"id": "5", "call": call, "targets": ["no target"]}), 422, "bad-target"),
        (json!({"id": "6", "call": call, "targets": ["+1555"], "fast": true}), 400, "unknown-field"),
        (json!({"id": "7", "call": call, "targets": ["+1555"], "transferee": "nobody"}), 409, "not-transferable"),
    ] {
        let answer = stage.relay.client().request("POST", "/v1/transfers", &body.to_string());
        assert_eq!((answer.status, answer.code()), (status, code), "{body}: {}", answer.body);
    }
    let answer = stage.relay.client().request("GET", "/v1/transfers/9-9", "");
    assert_eq!((answer.status, answer.code()), (404, "unknown-transfer"));
    stage.caller.media.speak_until_heard(caller.relay, &stage.agent.media);
    stage.agent.bye(&mut agent.call);
    let _bye = stage.caller.must_take("BYE");
    let _ = &mut caller;
    stage.must_be_idle();
}
