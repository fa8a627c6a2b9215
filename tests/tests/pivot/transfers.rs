//! Transfers that come to their end.

use crate::stage::{Side, Stage, media_of};

/// The transferee hears the target where it heard the agent: one stream, the next number, and nobody has sent it a request.
#[test]
fn a_refer_moves_the_caller_to_the_target() {
    let mut stage = Stage::new();
    let (mut caller, mut agent) = stage.talking();
    stage.agent.media.send(agent.relay);
    let before = stage.caller.media.must_hear(&stage.agent.media);

    stage.refer(&mut agent, "<tel:+1-555-0199>");
    let (mut inbound, offer) = stage.target.ring();
    let invite = inbound.invite();
    assert!(invite.start.starts_with(&format!("INVITE sip:+15550199@{}", stage.target.address())), "{}", invite.start);
    assert!(invite.uri("From").unwrap().starts_with("sip:caller@"), "the transferee is shown as the caller");
    stage.target.respond(&inbound, "180 Ringing", "");
    stage.must_be_notified("SIP/2.0 180 Ringing\r\n", "active");
    let after = stage.target_answers(&inbound, &offer);
    assert_eq!(after.ssrc, before.ssrc, "one SSRC for life");
    let said = stage.must_be_notified("SIP/2.0 200 OK\r\n", "terminated;reason=noresource");
    assert_eq!(said.header("Content-Type"), Some("message/sipfrag;version=2.0"));

    stage.agent.bye(&mut agent.call);
    stage.caller.media.send(caller.relay);
    stage.target.media.must_hear(&stage.caller.media);
    stage.caller.must_have_no_request();
    stage.caller.bye(&mut caller.call);
    let _bye = stage.target.must_take("BYE");
    let _ = &mut inbound;
    stage.must_be_idle();
}

/// Some transferors hang up as soon as they have their 202.
#[test]
fn the_transferor_may_leave_at_once() {
    let mut stage = Stage::new();
    let (mut caller, mut agent) = stage.talking();
    stage.refer(&mut agent, "<tel:+15550199>");
    let (inbound, offer) = stage.target.ring();
    stage.agent.bye(&mut agent.call);
    stage.target_answers(&inbound, &offer);
    stage.caller.media.send(caller.relay);
    stage.target.media.must_hear(&stage.caller.media);
    stage.caller.bye(&mut caller.call);
    let _bye = stage.target.must_take("BYE");
    stage.must_be_idle();
}

/// What the target sends before it answers is heard by the transferee.
#[test]
fn early_media_is_passed_to_the_transferee() {
    let mut stage = Stage::new();
    let (mut caller, mut agent) = stage.talking();
    stage.refer(&mut agent, "<tel:+15550199>");
    let (inbound, offer) = stage.target.ring();
    stage.target.respond(&inbound, "183 Session Progress", &stage.target.media.sdp(""));
    stage.must_be_notified("SIP/2.0 183 Session Progress\r\n", "active");
    stage.target.media.speak_until_heard(media_of(&offer), &stage.caller.media);
    stage.target.respond(&inbound, "200 OK", &stage.target.media.sdp(""));
    let _ack = stage.target.must_take("ACK");
    patchcord_tests::eventually("the target has its place", || {
        stage.target.media.send(media_of(&offer));
        let transfers = stage.relay.client().get("/v1/transfers");
        (transfers["transfers"][0]["state"] == "done").then_some(())
    });
    stage.must_be_notified("SIP/2.0 200 OK\r\n", "terminated");
    // The pivot hangs up for a transferor that does not.
    let _bye = stage.agent.must_take("BYE");
    let Side { call, .. } = &mut caller;
    stage.caller.bye(call);
    let _bye = stage.target.must_take("BYE");
    stage.must_be_idle();
}

/// A target that answers and says nothing, as who is muted, has its place all the same, a little later.
#[test]
fn a_silent_target_takes_the_place_too() {
    let mut stage = Stage::new();
    let (mut caller, mut agent) = stage.talking();
    stage.refer(&mut agent, "<tel:+15550199>");
    let (inbound, _) = stage.target.ring();
    stage.target.respond(&inbound, "200 OK", &stage.target.media.sdp(""));
    let _ack = stage.target.must_take("ACK");
    stage.must_be_notified("SIP/2.0 200 OK\r\n", "terminated");
    stage.caller.media.speak_until_heard(caller.relay, &stage.target.media);
    let _bye = stage.agent.must_take("BYE");
    stage.caller.bye(&mut caller.call);
    let _bye = stage.target.must_take("BYE");
    stage.must_be_idle();
}
