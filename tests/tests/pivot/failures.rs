//! Transfers that come to nothing, and requests that are refused.

use std::time::Duration;

use crate::stage::Stage;

/// A target that is busy leaves the two as they were, and the event stream says how that went.
#[test]
fn a_busy_target_gives_the_caller_back() {
    let mut stage = Stage::new();
    let mut events = stage.relay.events();
    let mut next = || events.wait_for("transfer", Duration::from_secs(10));
    let (mut caller, mut agent) = stage.talking();
    stage.refer(&mut agent, "<tel:+15550199>");
    let (inbound, _) = stage.target.ring();
    let begun = next();
    assert_eq!((&begun["state"], &begun["refer_to"]), (&"ringing".into(), &"<tel:+15550199>".into()), "{begun}");
    stage.agent.media.send(agent.relay);
    stage.caller.media.must_not_hear(&stage.agent.media);
    stage.target.respond(&inbound, "486 Busy Here", "");
    let _ack = stage.target.must_take("ACK");
    stage.must_be_notified("SIP/2.0 486 Busy Here\r\n", "terminated;reason=noresource");
    let failed = next();
    assert_eq!((&failed["state"], &failed["code"]), (&"failed".into(), &486.into()), "{failed}");
    assert_eq!((&failed["transfer"], &failed["call"]), (&begun["transfer"], &caller.call.id().into()), "{failed}");
    assert!(failed["why"].as_str().unwrap().contains("486 Busy Here"), "{failed}");
    stage.agent.media.send(agent.relay);
    stage.caller.media.must_hear(&stage.agent.media);
    stage.caller.media.send(caller.relay);
    stage.agent.media.must_hear(&stage.caller.media);
    stage.caller.bye(&mut caller.call);
    let _bye = stage.agent.must_take("BYE");
    stage.must_be_idle();
}

/// The transferee hangs up while the target rings.
#[test]
fn the_survivor_may_hang_up_while_the_target_rings() {
    let mut stage = Stage::new();
    let (mut caller, mut agent) = stage.talking();
    stage.refer(&mut agent, "<tel:+15550199>");
    let (inbound, _) = stage.target.ring();
    stage.target.respond(&inbound, "180 Ringing", "");
    stage.must_be_notified("SIP/2.0 180 Ringing\r\n", "active");
    stage.caller.bye(&mut caller.call);
    let _cancel = stage.target.must_take("CANCEL");
    stage.target.respond(&inbound, "487 Request Terminated", "");
    let _ack = stage.target.must_take("ACK");
    let notify = stage.agent.must_take("NOTIFY");
    assert!(notify.body.starts_with("SIP/2.0 487 "), "{}", notify.body);
    let _bye = stage.agent.must_take("BYE");
    stage.must_be_idle();
}

/// Each is refused by its rule, and the call goes on.
#[test]
fn what_may_not_be_dialled_is_refused() {
    let mut stage = Stage::new();
    let (mut caller, mut agent) = stage.talking();
    let pivot = stage.uri();
    for (to, status) in [
        ("Refer-To: <tel:911>", 403),
        ("Refer-To: <sip:+1555@elsewhere.example>", 403),
        ("Refer-To: <sip:a@agents.example>\r\nRefer-To: <sip:b@agents.example>", 400),
        ("X-No: Refer-To", 400),
        ("Refer-To: <nonsense>", 400),
        (&format!("Refer-To: <{pivot}>"), 482),
    ] {
        stage.agent.request(&mut agent.call, "REFER", "", &format!("{to}\r\n"));
        stage.agent.must_be_answered(&agent.call, "REFER", status);
    }
    stage.agent.media.send(agent.relay);
    stage.caller.media.must_hear(&stage.agent.media);
    stage.agent.bye(&mut agent.call);
    let _bye = stage.caller.must_take("BYE");
    let _ = &mut caller;
    stage.must_be_idle();
}

/// Whoever is no trunk's gets nowhere.
#[test]
fn strangers_are_refused() {
    let stage = Stage::new();
    let pivot: std::net::SocketAddr = stage.uri().rsplit('@').next().unwrap().parse().unwrap();
    let stranger = std::net::IpAddr::V4(std::net::Ipv4Addr::new(127, 0, 0, 9));
    let stranger = patchcord_tests::sip::Phone::signalling_from(stranger, "stranger", stranger, pivot);
    let mut call = stranger.invite(&stage.uri(), &stranger.media.sdp(""), "");
    stranger.must_get(&mut call, 403, Some(""));
    stage.must_be_idle();
}

/// An INVITE that nothing can be made of is refused before anybody rings.
#[test]
fn an_offer_of_no_use_is_refused() {
    let stage = Stage::new();
    let sdp = "v=0\r\no=- 1 1 IN IP4 127.0.0.2\r\ns=-\r\nc=IN IP4 127.0.0.2\r\nt=0 0\r\nm=video 4000 RTP/AVP 96\r\n";
    let mut call = stage.caller.invite(&stage.uri(), sdp, "");
    stage.caller.must_get(&mut call, 488, Some(""));
    stage.agent.must_have_no_request();
    stage.must_be_idle();
}

/// The first target is busy, the second answers: the caller has been told nothing of it.
#[test]
fn a_second_try_after_a_failure_succeeds() {
    let mut stage = Stage::new();
    let (mut caller, mut agent) = stage.talking();
    stage.refer(&mut agent, "<tel:+15550199>");
    let (inbound, _) = stage.target.ring();
    stage.target.respond(&inbound, "486 Busy Here", "");
    let _ack = stage.target.must_take("ACK");
    stage.must_be_notified("SIP/2.0 486 Busy Here\r\n", "terminated");

    stage.agent.request(&mut agent.call, "REFER", "", "Refer-To: <tel:+15550198>\r\n");
    stage.agent.must_be_answered(&agent.call, "REFER", 202);
    let notify = stage.agent.must_take("NOTIFY");
    let event = notify.header("Event").unwrap();
    assert!(event.starts_with("refer;id="), "the second REFER of a dialog has an id: {event}");
    let (inbound, offer) = stage.target.ring();
    stage.target_answers(&inbound, &offer);
    let notify = stage.agent.must_take("NOTIFY");
    assert_eq!(notify.body, "SIP/2.0 200 OK\r\n");
    let _bye = stage.agent.must_take("BYE");
    stage.caller.bye(&mut caller.call);
    let _bye = stage.target.must_take("BYE");
    stage.must_be_idle();
}

/// Nobody is left with a call that is no more.
#[test]
fn who_stops_the_relay_hangs_everybody_up() {
    let mut stage = Stage::new();
    let (_caller, mut agent) = stage.talking();
    stage.refer(&mut agent, "<tel:+15550199>");
    let (inbound, _) = stage.target.ring();
    stage.target.respond(&inbound, "180 Ringing", "");
    stage.must_be_notified("SIP/2.0 180 Ringing\r\n", "active");
    stage.relay.terminate();
    let _bye = stage.caller.must_take("BYE");
    let _bye = stage.agent.must_take("BYE");
    let _cancel = stage.target.must_take("CANCEL");
}
