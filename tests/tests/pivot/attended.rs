//! Attended transfers between two calls of the pivot: the agent calls the target by itself, and connects the caller with it.

use patchcord_tests::sip::{Media, media_of};
use serde_json::Value;

use crate::stage::{AGENT, Side, Stage};

/// The agent's second call.
struct Consultation {
    agent: Side,
    target: Side,
    /// The agent's, beside that of its first call.
    media: Media,
}

/// The agent holds the caller and calls the target, which rings.
fn dial(stage: &mut Stage, agent: &mut Side) -> Consultation {
    let held = stage.agent.media.sdp("a=sendonly\r\n");
    stage.agent.request(&mut agent.call, "INVITE", &held, "");
    let _answer = stage.agent.must_get(&mut agent.call, 200, Some(""));
    let media = Media::bind(AGENT);
    let mut call = stage.agent.invite(&stage.uri(), &media.sdp(""), "");
    let (inbound, offer) = stage.target.ring();
    stage.target.respond(&inbound, "180 Ringing", "");
    let _ringing = stage.agent.must_get(&mut call, 180, None);
    let nowhere = agent.relay;
    Consultation {
        agent: Side { call, relay: nowhere },
        target: Side { call: inbound, relay: media_of(&offer) },
        media,
    }
}

/// The target has answered, and the two talk.
fn consult(stage: &mut Stage, agent: &mut Side) -> Consultation {
    let mut consultation = dial(stage, agent);
    stage.target.respond(&consultation.target.call, "200 OK", &stage.target.media.sdp(""));
    let answer = stage.agent.must_get(&mut consultation.agent.call, 200, Some(""));
    let _ack = stage.target.must_take("ACK");
    consultation.agent.relay = media_of(&answer);
    stage.target.media.speak_until_heard(consultation.target.relay, &consultation.media);
    consultation.media.speak_until_heard(consultation.agent.relay, &stage.target.media);
    consultation
}

/// `Refer-To` with the dialog of a call that is to be replaced.
fn refer_to(replaced: &Side) -> String {
    let replaces =
        replaced.call.replaces().replace('@', "%40").replace(':', "%3A").replace(';', "%3B").replace('=', "%3D");
    format!("<sip:+15550199@carrier.example?Replaces={replaces}>")
}

/// Its latest transfer, once it stands so.
fn transferred(stage: &Stage, fits: impl Fn(&Value) -> bool) -> Value {
    patchcord_tests::eventually("the transfer stands so", || Some(stage.latest()).filter(|transfer| fits(transfer)))
}

/// The two hear each other, the caller in the stream that it had, and neither has been sent a request.
fn must_be_connected(stage: &mut Stage, caller: &Side, target: &Side) {
    stage.target.media.speak_until_heard(target.relay, &stage.caller.media);
    stage.caller.media.speak_until_heard(caller.relay, &stage.target.media);
    stage.caller.must_have_no_request();
    stage.target.must_have_no_request();
}

#[test]
fn two_calls_are_connected_and_neither_far_end_sees_a_request() {
    for caller_hangs_up_first in [true, false] {
        let mut stage = Stage::new();
        let (mut caller, mut agent) = stage.talking();
        stage.agent.media.send(agent.relay);
        let before = stage.caller.media.must_hear(&stage.agent.media);
        let mut consultation = consult(&mut stage, &mut agent);

        stage.refer(&mut agent, &refer_to(&consultation.agent));
        let bye = stage.agent.must_take("BYE");
        assert_eq!(bye.header("Call-ID"), Some(consultation.agent.call.id()), "the consultation is over");
        let after = stage.target.media.speak_until_heard(consultation.target.relay, &stage.caller.media);
        assert_eq!(after.ssrc, before.ssrc, "one SSRC for life");
        stage.must_be_notified("SIP/2.0 200 OK\r\n", "terminated;reason=noresource");
        stage.agent.bye(&mut agent.call);
        must_be_connected(&mut stage, &caller, &consultation.target);

        // One that was put on hold as it lost its peer has a receipt too.
        let steps = |transfer: &Value| -> Vec<i64> {
            let receipts = transfer["receipts"].as_array().into_iter().flatten();
            receipts.filter_map(|receipt| receipt["seq_step"].as_i64()).collect()
        };
        let done = transferred(&stage, |transfer| transfer["state"] == "done" && steps(transfer).len() == 2);
        assert_eq!(steps(&done), [1, 1], "each hears the other with its next packet: {done}");
        assert_eq!((&done["method"], &done["chosen_by"]), (&"attended".into(), &"refer".into()));
        let calls = stage.relay.client().get("/v1/calls");
        assert_eq!(calls["calls"].as_array().unwrap().len(), 1, "{calls}");
        // Its own name, and that of the call that it has taken in.
        for name in [caller.call.id(), consultation.agent.call.id()] {
            let call = stage.relay.client().get(&format!("/v1/calls/{name}"));
            assert_eq!(call["legs"].as_array().unwrap().len(), 2, "{call}");
        }
        if caller_hangs_up_first {
            stage.caller.bye(&mut caller.call);
            let _bye = stage.target.must_take("BYE");
        } else {
            stage.target.bye(&mut consultation.target.call);
            let _bye = stage.caller.must_take("BYE");
        }
        stage.must_be_idle();
    }
}

/// The agent does not wait until the target has answered: the caller waits instead.
#[test]
fn a_target_that_still_rings_is_given_to_the_caller() {
    let mut stage = Stage::new();
    let (mut caller, mut agent) = stage.talking();
    let mut consultation = dial(&mut stage, &mut agent);
    stage.agent.request(&mut agent.call, "REFER", "", &format!("Refer-To: {}\r\n", refer_to(&consultation.agent)));
    stage.agent.must_get(&mut consultation.agent.call, 487, Some(""));
    stage.target.respond(&consultation.target.call, "200 OK", &stage.target.media.sdp(""));
    let _ack = stage.target.must_take("ACK");
    stage.target.media.speak_until_heard(consultation.target.relay, &stage.caller.media);
    transferred(&stage, |transfer| transfer["state"] == "done" && transfer["method"] == "attended");
    stage.agent.bye(&mut agent.call);
    must_be_connected(&mut stage, &caller, &consultation.target);
    stage.caller.bye(&mut caller.call);
    let _bye = stage.target.must_take("BYE");
    stage.must_be_idle();
}

/// Whatever comes of it, nobody is left in silence: either the caller is with the agent as before, or hung up with the target.
#[test]
fn a_target_that_hangs_up_at_the_moment_of_the_refer_leaves_the_caller_with_the_agent() {
    for _ in 0..3 {
        let mut stage = Stage::new();
        let (mut caller, mut agent) = stage.talking();
        let mut consultation = consult(&mut stage, &mut agent);
        stage.target.request(&mut consultation.target.call, "BYE", "", "");
        let refer = format!("Refer-To: {}\r\n", refer_to(&consultation.agent));
        stage.agent.request(&mut agent.call, "REFER", "", &refer);
        let answer = stage.agent.answered(&agent.call, "REFER");
        assert!([202, 481, 603].contains(&answer), "{answer}");
        let over = transferred(&stage, |transfer| transfer["ended_ms"].is_u64());
        if over["state"] == "done" {
            let _bye = stage.caller.must_take("BYE");
        } else {
            stage.agent.request(&mut agent.call, "INVITE", &stage.agent.media.sdp(""), "");
            let _answer = stage.agent.must_get(&mut agent.call, 200, Some(""));
            stage.agent.media.speak_until_heard(agent.relay, &stage.caller.media);
            stage.caller.media.speak_until_heard(caller.relay, &stage.agent.media);
            stage.caller.must_have_no_request();
            stage.caller.bye(&mut caller.call);
        }
        stage.agent.bye(&mut agent.call);
        stage.must_be_idle();
    }
}

/// Each wants the other: at most one gets it, and both are answered.
#[test]
fn two_refers_that_name_each_others_calls_are_both_answered() {
    for _ in 0..3 {
        let mut stage = Stage::new();
        let (mut caller, mut agent) = stage.talking();
        let mut consultation = consult(&mut stage, &mut agent);
        let refers = [refer_to(&consultation.agent), refer_to(&agent)].map(|to| format!("Refer-To: {to}\r\n"));
        stage.agent.request(&mut agent.call, "REFER", "", &refers[0]);
        stage.agent.request(&mut consultation.agent.call, "REFER", "", &refers[1]);
        let done = patchcord_tests::eventually("both are decided", || {
            let transfers = stage.relay.client().get("/v1/transfers")["transfers"].as_array().unwrap().clone();
            let over = transfers.iter().filter(|transfer| transfer["ended_ms"].is_u64()).count();
            (over >= 2).then(|| transfers.iter().filter(|transfer| transfer["state"] == "done").count())
        });
        assert!(done <= 1, "both were done");
        if done == 1 {
            must_be_connected(&mut stage, &caller, &consultation.target);
        } else {
            stage.target.media.speak_until_heard(consultation.target.relay, &consultation.media);
            // The agent holds the caller still, and hears nothing.
            stage.agent.media.speak_until_heard(agent.relay, &stage.caller.media);
        }
        stage.caller.bye(&mut caller.call);
        if done == 0 {
            stage.target.bye(&mut consultation.target.call);
        } else {
            let _bye = stage.target.must_take("BYE");
        }
        // It has answered no NOTIFY, and is waited for.
        for call in [&mut agent.call, &mut consultation.agent.call] {
            stage.agent.request(call, "BYE", "", "");
            let _any = stage.agent.answered(call, "BYE");
        }
        stage.must_be_idle();
    }
}

/// A dialog that is another's, or that was never there, is not connected with anybody's.
#[test]
fn a_dialog_of_somebody_else_is_refused_and_both_calls_go_on() {
    let mut stage = Stage::new();
    let (mut caller, mut agent) = stage.talking();
    let mut consultation = consult(&mut stage, &mut agent);
    // The target's own, which is the carrier's.
    let refer = format!("Refer-To: {}\r\n", refer_to(&consultation.target));
    stage.agent.request(&mut agent.call, "REFER", "", &refer);
    stage.agent.must_be_answered(&agent.call, "REFER", 403);
    stage.agent.bye(&mut consultation.agent.call);
    let _bye = stage.target.must_take("BYE");
    let refer = format!("Refer-To: {}\r\n", refer_to(&consultation.agent));
    stage.agent.request(&mut agent.call, "REFER", "", &refer);
    stage.agent.must_be_answered(&agent.call, "REFER", 603);
    stage.caller.must_have_no_request();
    let Side { call, .. } = &mut consultation.target;
    assert!(!call.id().is_empty());
    stage.caller.bye(&mut caller.call);
    let _bye = stage.agent.must_take("BYE");
    stage.must_be_idle();
}
