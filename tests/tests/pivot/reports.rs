//! A webhook is told how transfers end.

use patchcord_tests::{eventually, free_port};
use serde_json::{Value, json};

use crate::stage::{Side, Stage};
use crate::web::{Question, Web, ok, with};

fn body(question: &Question) -> Value {
    assert!(question.head.starts_with("POST /status HTTP/1.1\r\n"), "{}", question.head);
    assert_eq!(question.header("Content-Type"), Some("application/json"));
    let body: Value = serde_json::from_str(&question.body).unwrap();
    assert_eq!(body["id"].as_str(), question.header("Patchcord-Delivery"));
    body
}

/// The target is busy, and the agent goes on.
fn busy(stage: &Stage, agent: &mut Side) {
    stage.refer(agent, "<tel:+15550166>");
    let (inbound, _) = stage.target.ring();
    stage.target.respond(&inbound, "486 Busy Here", "");
    let _ack = stage.target.must_take("ACK");
    stage.must_be_notified("SIP/2.0 486 Busy Here\r\n", "terminated");
}

/// The target answers, and the agent leaves; the caller hangs up.
fn done(stage: &mut Stage, caller: &mut Side) {
    let id = json!({"id": "1", "call": caller.call.id(), "targets": ["+15550199"]});
    stage.begin(&id);
    let (inbound, offer) = stage.target.ring();
    stage.target_answers(&inbound, &offer);
    let _bye = stage.agent.must_take("BYE");
    stage.caller.bye(&mut caller.call);
    let _bye = stage.target.must_take("BYE");
    stage.must_be_idle();
}

fn counted(stage: &Stage, outcome: &str) -> String {
    let metrics = stage.relay.client().request("GET", "/metrics", "").body;
    let name = format!("patchcord_webhook_requests_total{{about=\"status\",outcome=\"{outcome}\"}} ");
    let line = metrics.as_str().unwrap().lines().find_map(|line| line.strip_prefix(&name)).map(str::to_owned);
    line.unwrap_or_else(|| panic!("{name} is not in {metrics}"))
}

/// Each end is told once it is taken, with all that a program has to know, and comes again under its name until then.
#[test]
fn the_end_of_each_transfer_is_told_until_it_is_taken() {
    let web = Web::answering(|_, at| match at {
        0 => with("503 Service Unavailable", "", ""),
        2 => with("404 Not Found", "", ""),
        _ => ok(""),
    });
    let keys = format!("status_webhook = \"{}\"\nstatus_webhook_secret = \"s\"\n", web.url("/status"));
    let mut stage = Stage::with_more(&keys, "", "");
    let (mut caller, mut agent) = stage.talking();
    busy(&stage, &mut agent);
    let (first, second) = (web.must_be_asked(), web.must_be_asked());
    assert_eq!((first.header("Patchcord-Delivery"), &first.body), (second.header("Patchcord-Delivery"), &second.body));
    let signature = second.header("Patchcord-Signature").unwrap();
    assert!(signature.starts_with("t=") && signature.contains(",v1="), "{signature}");
    let report = body(&second);
    let transfer = stage.latest();
    for (key, value) in [
        ("event", json!("transfer")),
        ("transfer", transfer["transfer"].clone()),
        ("call", json!(caller.call.id())),
        ("call_record", transfer["call_record"].clone()),
        ("state", json!("failed")),
        ("is_over", json!(true)),
        ("code", json!("busy")),
        ("sip_status", json!(486)),
        ("sip_phrase", json!("Busy Here")),
        ("explanation", transfer["failures"][0]["explanation"].clone()),
        ("transferor", json!("agent")),
        ("transferee", json!("caller")),
        ("refer_to", json!("<tel:+15550166>")),
        ("rule", Value::Null),
        ("gap_us", Value::Null),
    ] {
        assert_eq!(report[key], value, "{key}: {report}");
    }
    assert!(report["ended_ms"].as_u64() >= report["began_ms"].as_u64() && report["duration_ms"].is_u64(), "{report}");
    eventually("it is said to be well again", || {
        stage.relay.stderr().contains("takes reports of transfers again").then_some(())
    });
    assert_eq!(stage.relay.stderr().matches("does not take reports").count(), 1);

    // What is refused for good is told no more, and the next one is.
    stage.agent.request(&mut agent.call, "REFER", "", "Refer-To: <tel:911>\r\n");
    stage.agent.must_be_answered(&agent.call, "REFER", 403);
    let refused = body(&web.must_be_asked());
    assert_eq!((&refused["state"], &refused["rule"]), (&json!("refused"), &json!("emergency-number")), "{refused}");
    done(&mut stage, &mut caller);
    let report = body(&web.must_be_asked());
    assert_eq!(
        (&report["state"], &report["code"], &report["sip_status"]),
        (&json!("done"), &json!("transferred"), &json!(200)),
        "{report}"
    );
    assert_eq!(report["target"], stage.latest()["target"], "{report}");
    assert!(report["gap_us"].is_u64() && report["connected_ms"].is_u64() && report["waited_ms"].is_u64(), "{report}");
    eventually("two were told", || (counted(&stage, "delivered") == "2").then_some(()));
    assert_eq!((&*counted(&stage, "failed"), &*counted(&stage, "dropped")), ("1", "0"));
}

#[test]
fn each_state_is_told_if_that_is_wanted() {
    let web = Web::answering(|_, _| ok(""));
    let keys = format!("status_webhook = \"{}\"\nstatus_webhook_states = true\n", web.url("/status"));
    let mut stage = Stage::with_more(&keys, "", "");
    let (mut caller, _agent) = stage.talking();
    done(&mut stage, &mut caller);
    for (state, is_over) in [("ringing", false), ("connecting", false), ("done", true)] {
        let question = web.must_be_asked();
        assert_eq!(question.header("Patchcord-Signature"), None);
        let report = body(&question);
        assert_eq!((&report["state"], &report["is_over"]), (&json!(state), &json!(is_over)), "{report}");
    }
}

/// A receiver that is not there harms no call, and the log says so once.
#[test]
fn a_receiver_that_is_down_harms_no_call() {
    let keys = format!("status_webhook = \"http://{}/status\"\nstatus_webhook_states = true\n", free_port());
    let mut stage = Stage::with_more(&keys, "", "");
    let (mut caller, mut agent) = stage.talking();
    busy(&stage, &mut agent);
    done(&mut stage, &mut caller);
    eventually("the log has it", || stage.relay.stderr().contains("does not take reports").then_some(()));
    assert_eq!(stage.relay.stderr().matches("does not take reports").count(), 1, "{}", stage.relay.stderr());
    assert_eq!(counted(&stage, "delivered"), "0");
}
