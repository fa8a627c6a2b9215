//! A voice agent's tool call transfers the call.

use patchcord_tests::Answer;
use serde_json::{Value, json};

use crate::stage::{Stage, media_of};

fn tool(stage: &Stage, body: &Value) -> Answer {
    let answer = stage.relay.client().request("POST", "/v1/tools/transfer_call", &body.to_string());
    for field in ["code", "sentence", "say"] {
        assert!(answer.body[field].is_string(), "{field} of {}", answer.body);
    }
    assert!(answer.body["warnings"].is_array(), "{}", answer.body);
    answer
}

/// The code and the warnings of an answer with this status.
fn must_say(answer: &Answer, status: u16, code: &str) -> Vec<String> {
    assert_eq!((answer.status, answer.body["code"].as_str()), (status, Some(code)), "{}", answer.body);
    let warnings = answer.body["warnings"].as_array().unwrap();
    warnings.iter().map(|warning| warning.as_str().unwrap().to_owned()).collect()
}

/// A cold transfer, of each outcome: the same id asks again how it stands.
#[test]
fn a_cold_transfer_by_invite_says_what_came_of_it() {
    let mut stage = Stage::new();
    let mut out =
        stage.caller.invite(&stage.uri(), &stage.caller.media.sdp(""), "X-Patchcord-Call: of somebody else\r\n");
    let (inbound, _) = stage.agent.ring();
    // What the platform knows the call by.
    let named = inbound.invite().header("X-Patchcord-Call").unwrap().to_owned();
    assert_eq!(inbound.invite().all("X-Patchcord-Call").count(), 1);
    assert_eq!(named, out.id());
    stage.agent.respond(&inbound, "200 OK", &stage.agent.media.sdp(""));
    stage.caller.must_get(&mut out, 200, Some(""));
    let _ack = stage.agent.must_take("ACK");

    let option = json!({"type": "cold_transfer", "cold_transfer_mode": "sip_invite", "show_transferee_as_caller": true,
        "transfer_ring_duration_ms": 20_000});
    for (at, (response, code)) in [
        ("486 Busy Here", "busy"),
        ("480 Temporarily Unavailable", "no_answer"),
        ("603 Decline", "declined"),
        ("404 Not Found", "failed"),
    ]
    .into_iter()
    .enumerate()
    {
        let args = json!({"id": format!("try-{at}"), "transfer_destination": {"type": "predefined", "number": "+15550199"},
            "transfer_option": option});
        let body = json!({"name": "transfer_call", "args": args, "call": {"call_id": "call_7d13", "custom_sip_headers": {"patchcord-call": named}}});
        let begun = tool(&stage, &body);
        assert!(must_say(&begun, 202, "transfer_started").is_empty());
        let (inbound, _) = stage.target.ring();
        stage.target.respond(&inbound, response, "");
        let _ack = stage.target.must_take("ACK");
        let mut again = body.clone();
        again["args"]["wait_ms"] = json!(20_000);
        let over = tool(&stage, &again);
        must_say(&over, 200, code);
        assert_eq!(over.body["transfer"], begun.body["transfer"], "the same id begins nothing again");
        assert_ne!(over.body["say"], "");
    }
    let body = json!({"id": "last", "call": out.id(), "target": "+15550199"});
    must_say(&tool(&stage, &body), 202, "transfer_started");
    let (inbound, offer) = stage.target.ring();
    let busy = tool(&stage, &json!({"call": out.id(), "target": "+15550199"}));
    must_say(&busy, 409, "not_transferable");
    stage.target_answers(&inbound, &offer);
    let _bye = stage.agent.must_take("BYE");
    let done = tool(&stage, &json!({"id": "last", "call": out.id(), "target": "+15550199", "wait_ms": 20_000}));
    must_say(&done, 200, "transferred");
    stage.caller.bye(&mut out);
    let _bye = stage.target.must_take("BYE");
    stage.must_be_idle();
}

/// The caller's telephone is sent a REFER, by which settings of the target's INVITE have no effect.
#[test]
fn a_cold_transfer_by_refer_warns_of_what_has_no_effect() {
    let mut stage = Stage::new();
    let (caller, _agent) = stage.talking();
    let call = caller.call.id().to_owned();
    let option = json!({"type": "cold_transfer", "cold_transfer_mode": "sip_refer", "show_transferee_as_caller": true,
        "transfer_ring_duration_ms": 5000, "agent_detection_timeout_ms": 3000, "on_hold_music": "ringtone"});
    let body = json!({"id": "1", "call": call, "target": "+15550199", "transfer_option": option, "custom_sip_headers": {"X-A": "b"}});
    let begun = tool(&stage, &body);
    assert_eq!(
        must_say(&begun, 202, "transfer_started"),
        [
            "transfer_option.on_hold_music has no effect here",
            "show_transferee_as_caller has no effect in a cold transfer by sip_refer",
            "transfer_ring_duration_ms has no effect in a cold transfer by sip_refer",
            "agent_detection_timeout_ms has no effect in a cold transfer by sip_refer",
        ]
    );
    let refer = stage.caller.must_take_with("REFER", "603 Decline");
    assert!(refer.header("Refer-To").unwrap().contains("+15550199"));
    let mut again = body.clone();
    again["wait_ms"] = json!(20_000);
    must_say(&tool(&stage, &again), 200, "failed");

    // A warm one: the agent is told as soon as the target talks with it.
    let warm = json!({"type": "warm_transfer", "agent_detection_timeout_ms": 3000, "show_transferee_as_caller": false});
    let mut body = json!({"id": "2", "call": call, "target": "+15550199", "transfer_option": warm});
    let begun = tool(&stage, &body);
    assert_eq!(
        must_say(&begun, 202, "transfer_started"),
        ["agent_detection_timeout_ms has no effect in a warm transfer"]
    );
    let (inbound, offer) = stage.target.ring();
    stage.target.respond(&inbound, "200 OK", &stage.target.media.sdp(""));
    let _ack = stage.target.must_take("ACK");
    stage.target.media.speak_until_heard(media_of(&offer), &stage.agent.media);
    body["wait_ms"] = json!(20_000);
    must_say(&tool(&stage, &body), 200, "target_answered");
    let path = format!("/v1/transfers/{}/commands", begun.body["transfer"].as_str().unwrap());
    let answer = stage.relay.client().request("POST", &path, r#"{"command": "cancel"}"#);
    assert_eq!(answer.status, 200, "{}", answer.body);
    must_say(&tool(&stage, &body), 200, "cancelled");
    let _bye = stage.target.must_take("BYE");

    for (body, status, code) in [
        (json!({"call": call}), 422, "bad_target"),
        (json!({"call": call, "target": "no target"}), 422, "bad_target"),
        (json!({"call": call, "transfer_destination": {"type": "inferred", "prompt": "sales"}}), 422, "bad_target"),
        (json!({"call": call, "target": "911"}), 403, "forbidden_target"),
        (json!({"call": call, "target": "sip:a@elsewhere.example"}), 403, "forbidden_target"),
        (json!({"call": "nobody", "target": "+1555"}), 404, "unknown_call"),
        (json!({"target": "+1555"}), 400, "bad_request"),
        (json!([]), 400, "bad_request"),
        (
            json!({"call": call, "target": "+1555", "transfer_option": {"transfer_ring_duration_ms": 0}}),
            400,
            "bad_request",
        ),
        (json!({"call": call, "target": "+1555", "headers": {"Route": "x"}}), 400, "bad_request"),
        (json!({"id": "2", "call": call, "target": "+1555"}), 409, "id_reused"),
    ] {
        must_say(&tool(&stage, &body), status, code);
    }
    let mut caller = caller;
    stage.caller.bye(&mut caller.call);
    let _bye = stage.agent.must_take("BYE");
    stage.must_be_idle();
}
