//! A webhook decides about the agents' REFERs.

use std::sync::mpsc::channel;

use patchcord_tests::free_port;
use serde_json::json;

use crate::stage::{Side, Stage};
use crate::web::{Web, ok, with};

fn refer(stage: &Stage, agent: &mut Side, to: &str, status: u16) {
    stage.agent.request(&mut agent.call, "REFER", "", &format!("Refer-To: <{to}>\r\nX-Queue: gold & silver\r\n"));
    stage.agent.must_be_answered(&agent.call, "REFER", status);
}

/// The target answers and is heard; the agent is told and hangs up.
fn must_be_connected(stage: &mut Stage, agent: &mut Side, number: &str) {
    let (inbound, offer) = stage.target.ring();
    assert!(inbound.invite().start.contains(number), "{}", inbound.invite().start);
    stage.target_answers(&inbound, &offer);
    let notify = stage.agent.must_take("NOTIFY");
    assert_eq!(notify.body, "SIP/2.0 100 Trying\r\n");
    let notify = stage.agent.must_take("NOTIFY");
    assert_eq!(notify.body, "SIP/2.0 200 OK\r\n");
    stage.agent.bye(&mut agent.call);
}

/// Each answer has its status, and the call goes on until one calls somebody.
#[test]
fn what_the_webhook_says_becomes_of_the_refer() {
    let web = Web::answering(|question, at| {
        // The user part of the Refer-To says what to answer.
        let is = |user: &str| question.body.contains(&format!("ReferTransferTarget=%3Csip%3A{user}%40"));
        match () {
            () if is("proceed") => ok(r#"{"action": "proceed"}"#),
            () if is("refuse") => ok(r#"{"action": "refuse", "code": 486, "reason": "All Busy"}"#),
            () if is("reject") => ok("<Response><Reject/></Response>"),
            () if is("emergency") => ok("<Response><Dial><Number>911</Number></Dial></Response>"),
            () if is("abroad") => ok(r#"{"action": "dial", "targets": ["+15550199", "sip:a@elsewhere.example"]}"#),
            () if is("redirect") => with("302 Found", "Location: http://127.0.0.1:1/\r\n", ""),
            () if is("missing") => with("404 Not Found", "", ""),
            () if is("garbage") => ok("<html><body>Welcome</body></html>"),
            () if is("huge") => ok(&" ".repeat(100_000)),
            // The tenth question is the first of the last REFER.
            () if at == 9 => with("500 Internal Server Error", "", "x"),
            () => ok(
                r#"{"action": "dial", "targets": ["+1 555 0199"], "caller_id": "+15550177", "headers": {"X-Team": "7"}}"#,
            ),
        }
    });
    let mut stage = Stage::with("", &format!("{}webhook_secret = \"s\"\n", web.key()));
    let (mut caller, mut agent) = stage.talking();
    for (user, status, rule, said) in [
        ("proceed", 403, "foreign-domain", "proceed"),
        ("refuse", 486, "controller", "refuse 486 All Busy"),
        ("reject", 603, "controller", "refuse 603 Decline"),
        ("emergency", 403, "emergency-number", "dial 911"),
        ("abroad", 403, "foreign-domain", "dial +15550199, sip:a@elsewhere.example"),
        ("redirect", 480, "controller-slow", "302 Found"),
        ("missing", 480, "controller-slow", "404 Not Found"),
        ("garbage", 480, "controller-slow", "<html>"),
        ("huge", 480, "controller-slow", "65536 bytes"),
    ] {
        refer(&stage, &mut agent, &format!("sip:{user}@anywhere.example"), status);
        let question = web.must_be_asked();
        let signature = question.header("Patchcord-Signature").unwrap();
        assert!(signature.starts_with("t=") && signature.contains(",v1="), "{signature}");
        let transfer = stage.latest();
        assert_eq!(
            (transfer["rule"].as_str(), transfer["state"].as_str()),
            (Some(rule), Some("refused")),
            "{transfer}"
        );
        let webhook = &transfer["webhook"];
        let told = webhook["answer"].as_str().or(webhook["error"].as_str()).unwrap();
        assert!(told.contains(said) && webhook["tries"] == 1, "{user}: {webhook}");
        assert_eq!(webhook["delivery"].as_str(), question.header("Patchcord-Delivery"));
    }
    stage.agent.media.send(agent.relay);
    stage.caller.media.must_hear(&stage.agent.media);

    refer(&stage, &mut agent, "sip:queue-7@anywhere.example?X-Priority=9", 202);
    let first = web.must_be_asked();
    let second = web.must_be_asked();
    assert!(first.head.starts_with("POST /refer?of=agents HTTP/1.1\r\n"), "{}", first.head);
    assert_eq!(first.header("Content-Type"), Some("application/x-www-form-urlencoded"));
    assert_eq!(first.header("Patchcord-Delivery"), second.header("Patchcord-Delivery"));
    assert_eq!(first.body, second.body);
    let call = caller.call.id().replace('@', "%40").replace(':', "%3A");
    for field in [
        &*format!("CallSid={call}&"),
        "SipHeader_X-Queue=gold+%26+silver",
        "SipHeader_X-Priority=9",
        "Direction=inbound",
        "Trunk=agents",
    ] {
        assert!(first.body.contains(field), "{field}: {}", first.body);
    }
    let (inbound, offer) = stage.target.ring();
    assert!(inbound.invite().start.contains("+15550199"), "{}", inbound.invite().start);
    assert_eq!(inbound.invite().header("X-Team"), Some("7"));
    assert!(inbound.invite().header("From").unwrap().contains("+15550177"));
    stage.target_answers(&inbound, &offer);
    let told = |code: &str| {
        let notify = stage.agent.must_take("NOTIFY");
        assert!(notify.body.contains(code), "{}", notify.body);
    };
    told("100 Trying");
    told("200 OK");
    stage.agent.bye(&mut agent.call);
    let transfer = stage.latest();
    assert_eq!((&transfer["chosen_by"], &transfer["webhook"]["tries"]), (&json!("controller"), &json!(2)));
    let metrics = stage.relay.client().request("GET", "/metrics", "").body;
    for (outcome, count) in [("dial", 3), ("proceed", 1), ("refuse", 2), ("failed", 4)] {
        let line = format!("patchcord_webhook_requests_total{{about=\"refer\",outcome=\"{outcome}\"}} {count}");
        assert!(metrics.as_str().unwrap().lines().any(|found| found == line), "{line} is not in {metrics}");
    }
    stage.caller.bye(&mut caller.call);
    let _bye = stage.target.must_take("BYE");
    stage.must_be_idle();
}

/// While one call waits for an answer that does not come, another one is transferred; then it comes.
#[test]
fn a_slow_webhook_is_no_other_calls_loss() {
    let (release, released) = channel::<()>();
    let (heard, asked) = channel();
    let web = Web::answering(move |_, _| {
        heard.send(()).unwrap();
        // It ends with the test.
        let _ = released.recv();
        ok("<Response><Dial timeout=\"20\"><Number>+15550188</Number></Dial></Response>")
    });
    let mut stage = Stage::with("", &format!("{}webhook_timeout_ms = 20000\nwebhook_deadline_ms = 20000\n", web.key()));
    let (mut caller, mut agent) = stage.talking();
    stage.agent.request(&mut agent.call, "REFER", "", "Refer-To: <tel:+15550100>\r\n");
    asked.recv_timeout(patchcord_tests::PATIENCE).unwrap();
    assert_eq!(stage.latest()["state"], "deciding");

    let (mut other, _its_agent) = stage.talking();
    let body = json!({"id": "1", "call": other.call.id(), "targets": ["+15550199"]});
    stage.begin(&body);
    let (inbound, offer) = stage.target.ring();
    assert!(inbound.invite().start.contains("+15550199"), "{}", inbound.invite().start);
    stage.target_answers(&inbound, &offer);
    let _bye = stage.agent.must_take("BYE");
    stage.caller.bye(&mut other.call);
    let _bye = stage.target.must_take("BYE");

    release.send(()).unwrap();
    stage.agent.must_be_answered(&agent.call, "REFER", 202);
    must_be_connected(&mut stage, &mut agent, "+15550188");
    stage.caller.bye(&mut caller.call);
    let _bye = stage.target.must_take("BYE");

    // The caller hangs up while the webhook is asked: the answer that comes then does nothing.
    let (mut caller, mut agent) = stage.talking();
    stage.agent.request(&mut agent.call, "REFER", "", "Refer-To: <tel:+15550100>\r\n");
    asked.recv_timeout(patchcord_tests::PATIENCE).unwrap();
    stage.caller.bye(&mut caller.call);
    let _bye = stage.agent.must_take("BYE");
    stage.must_be_idle();
    release.send(()).unwrap();
    let _question = web.must_be_asked();
    stage.target.must_have_no_request();
}

/// Nobody answers, in two ways: the REFER is refused, or done as it says.
#[test]
fn a_webhook_that_is_down_is_done_without() {
    let (_hold, held) = channel::<()>();
    let web = Web::answering(move |_, _| {
        // Never.
        let _ = held.recv();
        String::new()
    });
    let slow = format!("{}webhook_timeout_ms = 100\nwebhook_deadline_ms = 400\nwebhook_retries = 1\n", web.key());
    let mut stage = Stage::with("", &slow);
    let (mut caller, mut agent) = stage.talking();
    refer(&stage, &mut agent, "tel:+15550199", 480);
    let webhook = stage.latest()["webhook"].clone();
    assert_eq!((&webhook["tries"], &webhook["error"]), (&json!(2), &json!("no answer within 100 ms")));
    stage.caller.media.speak_until_heard(caller.relay, &stage.agent.media);
    stage.caller.bye(&mut caller.call);
    let _bye = stage.agent.must_take("BYE");
    stage.must_be_idle();

    let nobody = free_port();
    let down = format!("refer = \"controller\"\nwebhook = \"http://{nobody}/\"\nwebhook_on_fail = \"pivot\"\n");
    let mut stage = Stage::with("", &down);
    let (mut caller, mut agent) = stage.talking();
    refer(&stage, &mut agent, "tel:911", 403);
    refer(&stage, &mut agent, "tel:+15550199", 202);
    must_be_connected(&mut stage, &mut agent, "+15550199");
    let transfer = stage.latest();
    assert_eq!((&transfer["chosen_by"], &transfer["webhook"]["tries"]), (&json!("refer"), &json!(3)), "{transfer}");
    stage.caller.bye(&mut caller.call);
    let _bye = stage.target.must_take("BYE");
    stage.must_be_idle();
}
