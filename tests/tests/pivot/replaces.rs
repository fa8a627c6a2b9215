//! INVITE with `Replaces` (RFC 3891), and REFER outside of a dialog (RFC 4538).

use patchcord_tests::sip::media_of;

use crate::stage::Stage;

/// The target takes the agent's place by itself, as whoever picks a call up does.
#[test]
fn an_invite_with_replaces_takes_the_agents_place() {
    let mut stage = Stage::with("replaces = true", "");
    let (mut caller, agent) = stage.talking();
    let before = stage.agent.media.speak_until_heard(agent.relay, &stage.caller.media);
    let replaces = format!("Replaces: {}\r\n", agent.call.replaces());
    let mut call = stage.target.invite(&stage.uri(), &stage.target.media.sdp(""), &replaces);
    let answer = stage.target.must_get(&mut call, 200, Some(""));
    let bye = stage.agent.must_take("BYE");
    assert_eq!(bye.header("Call-ID"), Some(agent.call.id()));
    let after = stage.target.media.speak_until_heard(media_of(&answer), &stage.caller.media);
    assert_eq!(after.ssrc, before.ssrc, "one SSRC for life");
    stage.caller.media.speak_until_heard(caller.relay, &stage.target.media);
    stage.caller.must_have_no_request();
    stage.agent.must_have_no_request();
    let gone = stage.target.invite(&stage.uri(), &stage.target.media.sdp(""), &replaces);
    stage.target.must_get(&mut { gone }, 603, Some(""));
    stage.caller.bye(&mut caller.call);
    let _bye = stage.target.must_take("BYE");
    stage.must_be_idle();
}

/// The agent's dialog is as it was after each of them.
#[test]
fn what_cannot_be_replaced_is_refused_and_the_call_goes_on() {
    let mut stage = Stage::with("replaces = true", "");
    let (mut caller, mut agent) = stage.talking();
    let known = agent.call.replaces();
    let sdp = stage.target.media.sdp("");
    let video = sdp.replace("m=audio", "m=video");
    for (replaces, sdp, status) in [
        ("Replaces: nobody;to-tag=a;from-tag=b\r\n".to_owned(), &sdp, 481),
        (format!("Replaces: {known};early-only\r\n"), &sdp, 486),
        (format!("Replaces: {known}\r\nReplaces: {known}\r\n"), &sdp, 400),
        ("Replaces: nonsense\r\n".to_owned(), &sdp, 400),
        (format!("Replaces: {known}\r\n"), &video, 488),
    ] {
        let mut call = stage.target.invite(&stage.uri(), sdp, &replaces);
        stage.target.must_get(&mut call, status, Some(""));
    }
    // The agents' trunk may not.
    let mut call = stage.agent.invite(&stage.uri(), &sdp, &format!("Replaces: {}\r\n", caller.call.replaces()));
    stage.agent.must_get(&mut call, 403, Some(""));
    stage.agent.media.speak_until_heard(agent.relay, &stage.caller.media);
    stage.caller.media.speak_until_heard(caller.relay, &stage.agent.media);
    stage.caller.must_have_no_request();
    stage.agent.must_have_no_request();
    stage.agent.bye(&mut agent.call);
    let _bye = stage.caller.must_take("BYE");
    let mut call = stage.target.invite(&stage.uri(), &sdp, &format!("Replaces: {known}\r\n"));
    stage.target.must_get(&mut call, 603, Some(""));
    let _ = &mut caller;
    stage.must_be_idle();
}

/// Its NOTIFYs go in the dialog that it has begun, and go on when the agent has hung up.
#[test]
fn a_refer_outside_of_the_dialog_transfers_and_is_told_in_a_dialog_of_its_own() {
    let mut stage = Stage::new();
    let (mut caller, mut agent) = stage.talking();
    let headers = format!("Refer-To: <tel:+15550199>\r\nTarget-Dialog: {}\r\n", agent.call.target_dialog());
    let refer = stage.agent.begin("REFER", &stage.uri(), "", &headers);
    stage.agent.must_be_answered(&refer, "REFER", 202);
    let (inbound, offer) = stage.target.ring();
    let trying = stage.must_be_notified("SIP/2.0 100 Trying\r\n", "active");
    assert_eq!(trying.header("Call-ID"), Some(refer.id()));
    stage.agent.bye(&mut agent.call);
    stage.target_answers(&inbound, &offer);
    let done = stage.must_be_notified("SIP/2.0 200 OK\r\n", "terminated;reason=noresource");
    assert_eq!(done.header("Call-ID"), Some(refer.id()));
    stage.caller.must_have_no_request();
    stage.caller.bye(&mut caller.call);
    let _bye = stage.target.must_take("BYE");
    stage.must_be_idle();
}

#[test]
fn a_refer_outside_of_a_dialog_is_refused_to_whoever_does_not_own_it() {
    let mut stage = Stage::new();
    let (mut caller, agent) = stage.talking();
    let target = format!("Target-Dialog: {}\r\n", agent.call.target_dialog());
    for (phone, target, status) in [
        (&stage.agent, "", 603),
        (&stage.agent, "Target-Dialog: nobody;local-tag=a;remote-tag=b\r\n", 481),
        (&stage.agent, "Target-Dialog: nonsense\r\n", 400),
        // The agent's dialog, by the carrier.
        (&stage.target, target.as_str(), 403),
    ] {
        let refer = phone.begin("REFER", &stage.uri(), "", &format!("Refer-To: <tel:+15550199>\r\n{target}"));
        phone.must_be_answered(&refer, "REFER", status);
    }
    stage.caller.media.speak_until_heard(caller.relay, &stage.agent.media);
    stage.caller.bye(&mut caller.call);
    let _bye = stage.agent.must_take("BYE");
    stage.must_be_idle();
}
