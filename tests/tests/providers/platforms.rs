//! Agent platforms: they answer, and send REFER. Each imitates the platform's documented messages and is not the platform.

use crate::scene::{
    CALLER, Incoming, failure, finish, must_be_explained, must_be_refused, must_be_told, refer, stage, stage_with,
    talking,
};
use crate::stage::{Stage, media_of};

/// Imitates Retell; it is not Retell. It is called by the number, and gives X- header fields of its own with a REFER. Whether it
/// hangs up at once after the 202 is not documented: the transfer goes on if it does. `sip:username@domain` is a form that it
/// documents; a domain that nobody allowed is refused.
#[test]
fn retell_refers_with_header_fields_of_its_own() {
    let mut stage = stage("retell");
    let (caller, mut agent, invite) = talking(&mut stage, &Incoming { formats: "9 0 8 101", ..Incoming::default() });
    assert!(invite.start.starts_with("INVITE sip:+15550100@"), "{}", invite.start);
    must_be_refused(&stage, &mut agent, "Refer-To: <sip:user@elsewhere.example>\r\n", 403);
    must_be_explained("retell", &failure(&stage), "the domain is not on the trunk's list of allowed domains");
    refer(&stage, &mut agent, "Refer-To: <tel:+15550199>\r\nX-Case: 7\r\nX-Intent: billing\r\n");
    let (inbound, offer) = stage.target.ring();
    stage.agent.bye(&mut agent.call);
    let invite = inbound.invite();
    assert_eq!((invite.header("X-Case"), invite.header("X-Intent")), (Some("7"), Some("billing")));
    assert!(invite.uri("From").unwrap().starts_with("sip:+15550111@"), "the transferee's number");
    stage.target_answers(&inbound, &offer);
    finish(&mut stage, caller);
}

/// Imitates Retell; it is not Retell. A call that was registered with it has a URI of its own, which whatever registers it puts into the INVITE.
#[test]
fn retell_is_dialled_by_the_id_of_a_registered_call() {
    let mut stage = stage_with("retell", 2, CALLER, |_| {});
    let headers = "X-Retell-Call-Id: call_a1b2c3\r\n";
    let (caller, mut agent, invite) = talking(&mut stage, &Incoming { headers, ..Incoming::default() });
    assert!(invite.start.starts_with("INVITE sip:call_a1b2c3@"), "{}", invite.start);
    refer(&stage, &mut agent, "Refer-To: <tel:+15550199>\r\n");
    let (inbound, offer) = stage.target.ring();
    stage.agent.bye(&mut agent.call);
    stage.target_answers(&inbound, &offer);
    finish(&mut stage, caller);
    // Without an id nobody knows whom to call; an id can choose nothing but the user part.
    let mut out = stage.caller.invite(&stage.uri(), &stage.caller.media.sdp(""), "");
    let _refused = stage.caller.must_get(&mut out, 400, None);
    let hostile = "X-Retell-Call-Id: x@192.0.2.66;transport=tls?X-A=b\r\n";
    let mut out = stage.caller.invite(&stage.uri(), &stage.caller.media.sdp(""), hostile);
    let (inbound, _) = stage.agent.ring();
    let start = &inbound.invite().start;
    assert!(start.starts_with("INVITE sip:x%40192.0.2.66%3Btransport=tls%3FX-A=b@127.0.0.3:"), "{start}");
    stage.agent.respond(&inbound, "486 Busy Here", "");
    let _ack = stage.agent.must_take("ACK");
    let _busy = stage.caller.must_get(&mut out, 486, None);
    stage.must_be_idle();
}

/// Imitates Retell; it is not Retell. It calls a number through the pivot, which dials that at the carrier.
#[test]
fn retell_calls_a_number_through_the_pivot() {
    let mut stage = stage("retell");
    let pivot = stage.uri();
    let (_, pivot) = pivot.split_once('@').unwrap();
    let from = "<sip:+15550100@sip.example.com>";
    let sdp = stage.agent.media.sdp("");
    let mut out = stage.agent.invite_as(from, &format!("sip:+1-555-0199@{pivot}"), &sdp, "");
    let (inbound, offer) = stage.target.ring();
    let invite = inbound.invite();
    assert!(invite.start.starts_with("INVITE sip:+1-555-0199@127.0.0.4:"), "{}", invite.start);
    assert!(invite.uri("From").unwrap().starts_with("sip:+15550100@"), "{:?}", invite.uri("From"));
    stage.target.respond(&inbound, "200 OK", &stage.target.media.sdp(""));
    let answer = stage.agent.must_get(&mut out, 200, Some(""));
    let _ack = stage.target.must_take("ACK");
    stage.agent.media.send(media_of(&answer));
    stage.target.media.must_hear(&stage.agent.media);
    stage.target.media.send(media_of(&offer));
    stage.agent.media.must_hear(&stage.target.media);
    // A number that the call is transferred to goes by the carrier too.
    stage.agent.request(&mut out, "REFER", "", "Refer-To: <tel:+15550198>\r\n");
    stage.agent.must_be_answered(&out, "REFER", 202);
    must_be_told(&stage, "100 Trying", "active");
    let (busy, _) = stage.target.ring();
    assert!(busy.invite().start.starts_with("INVITE sip:+15550198@127.0.0.4:"), "{}", busy.invite().start);
    stage.target.respond(&busy, "486 Busy Here", "");
    let _ack = stage.target.must_take("ACK");
    must_be_told(&stage, "486 Busy Here", "terminated");
    stage.agent.bye(&mut out);
    let _bye = stage.target.must_take("BYE");
    // It cannot say where whoever needs help is.
    let mut out = stage.agent.invite_as(from, &format!("sip:911@{pivot}"), &sdp, "");
    let _refused = stage.agent.must_get(&mut out, 403, None);
    stage.must_be_idle();
}

/// Imitates Retell; it is not Retell. Whether it answers a NOTIFY is not documented: the transfer comes to its end if it does not.
#[test]
fn retell_may_leave_notify_unanswered() {
    let mut stage = stage("retell");
    let (caller, mut agent, _) = talking(&mut stage, &Incoming::default());
    stage.agent.request(&mut agent.call, "REFER", "", "Refer-To: <sip:+15550199@sip.example.com>\r\n");
    stage.agent.must_be_answered(&agent.call, "REFER", 202);
    let (inbound, offer) = stage.target.ring();
    stage.target.respond(&inbound, "180 Ringing", "");
    stage.target_answers(&inbound, &offer);
    stage.agent.bye(&mut agent.call);
    finish(&mut stage, caller);
}

/// Imitates LiveKit SIP; it is not LiveKit SIP. Refer-To is `transfer_to` without brackets, there is no Referred-By; it reads a status
/// from the first line of a NOTIFY, and hangs up by itself after a 200.
#[test]
fn livekit_refers_without_brackets_and_hangs_up_itself() {
    let mut stage = stage("livekit");
    let (caller, mut agent, _) = talking(&mut stage, &Incoming::default());
    let besides = "Allow: INVITE, ACK, CANCEL, BYE, NOTIFY, REFER, MESSAGE, OPTIONS, INFO, SUBSCRIBE\r\nX-Case: 7\r\n";
    refer(&stage, &mut agent, &format!("Refer-To: sip:+15550198@carrier.example\r\n{besides}"));
    let (busy, _) = stage.target.ring();
    stage.target.respond(&busy, "486 Busy Here", "");
    let _ack = stage.target.must_take("ACK");
    let notify = must_be_told(&stage, "486 Busy Here", "terminated");
    assert_eq!(notify.header("Event"), Some("refer"));
    let cause = "the carrier blocks the destination: country, price list or fraud policy";
    must_be_explained("livekit", &failure(&stage), cause);

    refer(&stage, &mut agent, &format!("Refer-To: tel:+15550199\r\n{besides}"));
    let (inbound, offer) = stage.target.ring();
    assert_eq!(inbound.invite().header("X-Case"), Some("7"));
    assert_eq!(inbound.invite().header("Referred-By"), None);
    stage.target.respond(&inbound, "180 Ringing", "");
    must_be_told(&stage, "180 Ringing", "active");
    stage.target_answers(&inbound, &offer);
    let notify = must_be_told(&stage, "200 OK", "terminated");
    // It takes `refer` and `refer;id=NUMBER`, and nothing else.
    let id = notify.header("Event").unwrap().strip_prefix("refer;id=").unwrap();
    assert!(id.bytes().all(|byte| byte.is_ascii_digit()), "{id}");
    stage.agent.bye(&mut agent.call);
    finish(&mut stage, caller);
}

/// What jambonz's border element sends for a plain number: the host and port that the call came from, which are the pivot's, and a
/// Referred-By.
fn as_jambonz(stage: &Stage) -> String {
    let pivot = stage.uri();
    let (_, pivot) = pivot.split_once('@').unwrap();
    format!("Refer-To: sip:+15550199@{pivot}\r\nReferred-By: sip:+15550111@{pivot}\r\nX-Case: 7\r\n")
}

/// Imitates jambonz; it is not jambonz. After a failure it goes on with its next verb, so that the agent must have the caller again; after a
/// success it waits for a BYE.
#[test]
fn jambonz_names_the_pivot_and_waits_for_a_bye() {
    let mut stage = stage("jambonz");
    let (caller, mut agent, _) = talking(&mut stage, &Incoming::default());
    let headers = as_jambonz(&stage);
    refer(&stage, &mut agent, &headers);
    let (absent, _) = stage.target.ring();
    stage.target.respond(&absent, "480 Temporarily Unavailable", "");
    let _ack = stage.target.must_take("ACK");
    must_be_told(&stage, "480 Temporarily Unavailable", "terminated");
    must_be_explained("jambonz", &failure(&stage), "the target's telephone is not registered");
    stage.agent.media.speak_until_heard(agent.relay, &stage.caller.media);

    refer(&stage, &mut agent, &headers);
    let (inbound, offer) = stage.target.ring();
    let invite = inbound.invite();
    assert!(invite.start.contains(&format!("sip:+15550199@{}", stage.target.address())), "{}", invite.start);
    assert!(invite.header("Referred-By").unwrap().contains("+15550111"), "who asked for it is passed on");
    stage.target_answers(&inbound, &offer);
    must_be_told(&stage, "200 OK", "terminated");
    let _bye = stage.agent.must_take("BYE");
    finish(&mut stage, caller);
}
