//! Session descriptions within a call, and such as are refused.

use crate::stage::{Stage, media_of};

/// A telephone holds and takes back: the pivot answers for itself, and the other side is asked nothing.
#[test]
fn a_hold_is_answered_and_the_other_side_is_asked_nothing() {
    let mut stage = Stage::new();
    let (mut caller, agent) = stage.talking();
    for (said, answered) in [("sendonly", "a=recvonly"), ("sendrecv", "a=sendrecv")] {
        let sdp = stage.caller.media.sdp(&format!("a={said}\r\n"));
        stage.caller.request(&mut caller.call, "INVITE", &sdp, "");
        let answer = stage.caller.must_get(&mut caller.call, 200, Some(""));
        assert!(answer.contains(answered), "{answer}");
        assert_eq!(media_of(&answer), caller.relay, "no new port");
    }
    stage.agent.must_have_no_request();
    stage.agent.media.speak_until_heard(agent.relay, &stage.caller.media);
    stage.caller.media.speak_until_heard(caller.relay, &stage.agent.media);
    stage.caller.bye(&mut caller.call);
    let _bye = stage.agent.must_take("BYE");
    stage.must_be_idle();
}

/// The caller has the pivot make the offer.
#[test]
fn a_call_without_an_offer_is_offered_what_the_agent_takes() {
    let mut stage = Stage::new();
    let mut call = stage.caller.invite(&stage.uri(), "", "");
    let (inbound, offer) = stage.agent.ring();
    stage.agent.respond(&inbound, "200 OK", &stage.agent.media.sdp(""));
    let _ack = stage.agent.must_take("ACK");
    let sdp = stage.caller.media.sdp("");
    let offered = stage.caller.must_get(&mut call, 200, Some(&sdp));
    stage.caller.media.speak_until_heard(media_of(&offered), &stage.agent.media);
    stage.agent.media.speak_until_heard(media_of(&offer), &stage.caller.media);
    stage.caller.bye(&mut call);
    let _bye = stage.agent.must_take("BYE");
    stage.must_be_idle();
}

/// Whoever reads the signalling would read the keys.
#[test]
fn keys_in_the_clear_are_refused_unless_they_are_allowed() {
    let offer = |stage: &Stage| {
        let key = "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj\r\n";
        stage.caller.media.sdp(key).replace("RTP/AVP", "RTP/SAVP")
    };
    let stage = Stage::new();
    let mut call = stage.caller.invite(&stage.uri(), &offer(&stage), "");
    stage.caller.must_get(&mut call, 488, Some(""));
    stage.agent.must_have_no_request();
    stage.must_be_idle();

    let stage = Stage::with("srtp_without_tls = true", "");
    let mut call = stage.caller.invite(&stage.uri(), &offer(&stage), "");
    let (inbound, offer) = stage.agent.ring();
    assert!(offer.contains(" RTP/AVP "), "each side for itself: {offer}");
    stage.agent.respond(&inbound, "200 OK", &stage.agent.media.sdp(""));
    let answer = stage.caller.must_get(&mut call, 200, Some(""));
    assert!(answer.contains("RTP/SAVP") && answer.contains("a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:"), "{answer}");
    let _ack = stage.agent.must_take("ACK");
    stage.caller.bye(&mut call);
    let _bye = stage.agent.must_take("BYE");
    stage.must_be_idle();
}
