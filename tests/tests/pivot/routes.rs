//! Routes whose webhook is asked whom to call.

use std::sync::mpsc::channel;

use patchcord_tests::sip::{Call, Message};
use patchcord_tests::{eventually, free_port};

use crate::stage::{Side, Stage, media_of};
use crate::web::{Question, Web, ok, with};

const TRUNKS: &str = "[pivot.trunks.carrier]\ndomain = \"carrier.example\"\nproxy = \"sip:TARGET\"\n\
    addresses = [\"127.0.0.2\", \"127.0.0.4\"]\nemergency = [\"555\"]\n\
    [pivot.trunks.agents]\ndomain = \"agents.example\"\nproxy = \"sip:AGENT\"\naddresses = [\"127.0.0.3\"]\n";

/// With these entries of `pivot.routes`, in which AGENT is an address.
pub(crate) fn stage(routes: &str) -> Stage {
    Stage::configured("caller", |pivot, agent, target| {
        let text = format!("[pivot]\nlisten = [\"udp:{pivot}\"]\nroutes = [{routes}]\n{TRUNKS}");
        text.replace("AGENT", &agent.address().to_string()).replace("TARGET", &target.address().to_string())
    })
}

/// A call of the carrier that is refused with this status, and the response.
fn refused(stage: &Stage, user: &str, headers: &str, status: u16) -> Message {
    let call = stage.caller.invite(&stage.uri().replace("+15550100", user), &stage.caller.media.sdp(""), headers);
    let response = stage.caller.must_be_answered(&call, "INVITE", status);
    stage.caller.acknowledge(&call, status, "");
    response
}

/// The agent rings, answers and talks with the caller; gives both, and whom the INVITE was for.
fn connected(stage: &mut Stage, mut out: Call) -> (Side, Side) {
    let (inbound, offer) = stage.agent.ring();
    stage.agent.respond(&inbound, "200 OK", &stage.agent.media.sdp(""));
    let answer = stage.caller.must_get(&mut out, 200, Some(""));
    let _ack = stage.agent.must_take("ACK");
    let sides = (Side { call: out, relay: media_of(&answer) }, Side { call: inbound, relay: media_of(&offer) });
    stage.must_talk(&sides.0, &sides.1);
    sides
}

fn hang_up(stage: &Stage, caller: &mut Side) {
    stage.caller.bye(&mut caller.call);
    let _bye = stage.agent.must_take("BYE");
    stage.must_be_idle();
}

/// What is asked is answered by whom is called in `RequestUri`.
fn answering() -> Web {
    Web::answering(|question, at| {
        let is = |user: &str| question.body.contains(&format!("RequestUri=sip%3A{user}%40"));
        match () {
            () if is("dial") && at == 0 => with("503 Service Unavailable", "", ""),
            () if is("dial") => ok(
                r#"{"action": "dial", "targets": ["sip:call_9@agents.example"], "caller_id": "+15550177", "headers": {"X-Team": "7"}, "ring_timeout_s": 20}"#,
            ),
            () if is("proceed") => ok(r#"{"action": "proceed"}"#),
            () if is("busy") => ok("<Response><Reject reason=\"busy\"/></Response>"),
            () if is("sleeping") => ok(r#"{"action": "refuse", "code": 480, "reason": "Closed Until Monday"}"#),
            () if is("emergency") => ok("<Response><Dial><Number>911</Number></Dial></Response>"),
            () if is("abroad") => ok("<Response><Dial><Sip>sip:a@elsewhere.example</Sip></Dial></Response>"),
            () if is("circle") => {
                ok(&format!("<Response><Dial><Sip>sip:a@{}</Sip></Dial></Response>", pivot(question)))
            }
            () if is("both") => ok(r#"{"action": "dial", "targets": ["+15550199", "+15550188"]}"#),
            () if is("missing") => with("404 Not Found", "", ""),
            () => ok("<html><body>Welcome</body></html>"),
        }
    })
}

/// Where the caller has called.
fn pivot(question: &Question) -> String {
    let uri = question.body.split("RequestUri=").nth(1).unwrap().split('&').next().unwrap();
    uri.split("%40").nth(1).unwrap().replace("%3A", ":")
}

#[test]
fn what_the_webhook_says_becomes_of_the_call() {
    let web = answering();
    let url = web.url("/calls");
    let mut stage =
        stage(&format!("{{ from = \"carrier\", webhook = \"{url}\", webhook_secret = \"s\", by = \"agents\" }}"));
    let uri = |user: &str| stage.uri().replace("+15550100", user);
    let out = stage.caller.invite(&uri("dial"), &stage.caller.media.sdp(""), "X-Case: gold & silver\r\nX-Team: 8\r\n");
    let id = out.id().replace('@', "%40").replace(':', "%3A");
    let (mut caller, inbound) = connected(&mut stage, out);
    let (first, second) = (web.must_be_asked(), web.must_be_asked());
    assert_eq!(first.header("Patchcord-Delivery"), second.header("Patchcord-Delivery"));
    let signature = first.header("Patchcord-Signature").unwrap();
    assert!(signature.starts_with("t=") && signature.contains(",v1="), "{signature}");
    for field in [
        &*format!("CallSid={id}&"),
        "CallStatus=ringing&Direction=inbound&From=sip%3Acaller%40",
        "&Trunk=carrier&",
        "SipHeader_X-Case=gold+%26+silver",
    ] {
        assert!(first.body.contains(field), "{field}: {}", first.body);
    }
    let invite = inbound.call.invite();
    assert_eq!(invite.start, "INVITE sip:call_9@agents.example SIP/2.0");
    assert_eq!(invite.all("X-Team").collect::<Vec<_>>(), ["7"]);
    assert_eq!(invite.header("X-Case"), Some("gold & silver"));
    assert!(invite.header("From").unwrap().contains("+15550177@agents.example"), "{:?}", invite.header("From"));
    hang_up(&stage, &mut caller);

    for (user, status, phrase, why) in [
        ("busy", 486, "Busy Here", "the webhook refused"),
        ("sleeping", 480, "Closed Until Monday", "the webhook refused"),
        ("emergency", 403, "Forbidden", "emergency-number"),
        ("abroad", 403, "Forbidden", "foreign-domain"),
        ("circle", 482, "Loop", "the rule loop"),
        ("both", 503, "Nobody Said", "a call has one"),
        ("proceed", 503, "Nobody Said", "the route has no `to`"),
        ("missing", 503, "Nobody Said", "404 Not Found"),
        ("garbage", 503, "Nobody Said", "<html>"),
    ] {
        let response = refused(&stage, user, "", status);
        assert!(response.start.contains(phrase), "{user}: {}", response.start);
        assert_eq!(response.header("Retry-After").is_some(), status == 503, "{user}");
        // The answer may come before the line.
        let line = eventually("the line that says why", || {
            let said = stage.relay.stderr();
            let is_it = |line: &&str| line.contains("call refused") && line.contains(&format!("to=sip:{user}@"));
            said.lines().find(is_it).map(str::to_owned)
        });
        assert!(line.contains(why), "{user}: {line}");
    }
    stage.agent.must_have_no_request();
    stage.must_be_idle();
}

/// Down and slow, with somebody to go to all the same.
#[test]
fn a_route_with_a_webhook_has_somebody_to_go_to_without() {
    let (_hold, held) = channel::<()>();
    let silent = Web::answering(move |question, _| {
        if question.body.contains("proceed") {
            return ok(r#"{"action": "proceed"}"#);
        }
        // Never.
        let _ = held.recv();
        String::new()
    });
    let keys = "webhook_timeout_ms = 100, webhook_deadline_ms = 400, webhook_retries = 1, by = \"agents\"";
    let mut stage = stage(&format!(
        "{{ from = \"carrier\", number = \"down\", webhook = \"http://{}/\", to = \"sip:{{user}}-1@AGENT\", {keys} }}, \
         {{ from = \"carrier\", number = \"alone\", webhook = \"{url}\", {keys} }}, \
         {{ from = \"carrier\", webhook = \"{url}\", to = \"sip:fallback@AGENT\", {keys} }}",
        free_port(),
        url = silent.url("/"),
    ));
    for (user, called) in [("proceed", "fallback"), ("down", "down-1"), ("slow", "fallback")] {
        let out = stage.caller.invite(&stage.uri().replace("+15550100", user), &stage.caller.media.sdp(""), "");
        let (mut caller, inbound) = connected(&mut stage, out);
        let start = &inbound.call.invite().start;
        assert!(start.starts_with(&format!("INVITE sip:{called}@")), "{start}");
        hang_up(&stage, &mut caller);
    }
    let response = refused(&stage, "alone", "", 503);
    assert!(response.start.contains("Nobody Said") && response.header("Retry-After").is_some(), "{response:?}");
    stage.must_be_idle();
}

/// The caller gives up while the webhook is asked: it is told so at once, and the answer that comes then does nothing. Another one is refused
/// when the pivot ends.
#[test]
fn a_caller_may_give_up_while_the_webhook_is_asked() {
    let (release, released) = channel::<()>();
    let (heard, asked) = channel();
    let web = Web::answering(move |_, _| {
        heard.send(()).unwrap();
        // It ends with the test.
        let _ = released.recv();
        ok("<Response><Dial><Sip>sip:late@agents.example</Sip></Dial></Response>")
    });
    let mut stage = stage(&format!(
        "{{ from = \"carrier\", number = \"other\", to = \"sip:other@AGENT\", by = \"agents\" }}, \
         {{ from = \"carrier\", webhook = \"{}\", webhook_timeout_ms = 20000, webhook_deadline_ms = 20000, by = \"agents\" }}",
        web.url("/"),
    ));
    let call = stage.caller.invite(&stage.uri(), &stage.caller.media.sdp(""), "");
    asked.recv_timeout(patchcord_tests::PATIENCE).unwrap();
    // Nobody else waits.
    let out = stage.caller.invite(&stage.uri().replace("+15550100", "other"), &stage.caller.media.sdp(""), "");
    let (mut other, _agent) = connected(&mut stage, out);
    stage.caller.bye(&mut other.call);
    let _bye = stage.agent.must_take("BYE");

    stage.caller.cancel(&call);
    stage.caller.must_be_answered(&call, "INVITE", 487);
    stage.caller.acknowledge(&call, 487, "");
    stage.must_be_idle();
    release.send(()).unwrap();
    let _question = web.must_be_asked();
    stage.agent.must_have_no_request();
    assert_eq!(stage.relay.stderr().matches("the caller gave up while the webhook was asked").count(), 1);

    let late = stage.caller.invite(&stage.uri(), &stage.caller.media.sdp(""), "");
    asked.recv_timeout(patchcord_tests::PATIENCE).unwrap();
    stage.relay.terminate();
    let refused = stage.caller.must_be_answered(&late, "INVITE", 503);
    assert!(refused.header("Retry-After").is_some(), "{refused:?}");
}
