//! Keys by other ways than events: by INFO, and in the audio.

use std::time::Duration;

use patchcord_codec::{Law, dtmf};

use crate::stage::{Side, Stage, media_of};

const RELAY: &str = "application/dtmf-relay";

/// Whoever hears the telephone is told its key, and nobody while it is on hold.
#[test]
fn keys_told_by_info_reach_whoever_hears_the_telephone() {
    let mut stage = Stage::new();
    let mut events = stage.relay.events();
    let mut pressed = |party| {
        let told = events.wait_for("dtmf-finished", Duration::from_secs(10));
        assert_eq!((&told["party"], &told["sent"]), (&party, &1.into()), "{told}");
    };
    let (mut caller, mut agent) = stage.talking();
    stage.caller.inform(&mut caller.call, RELAY, "Signal=5\r\nDuration=160\r\n");
    stage.caller.must_be_answered(&caller.call, "INFO", 200);
    pressed("agent".into());
    stage.agent.inform(&mut agent.call, "application/dtmf", "#");
    stage.agent.must_be_answered(&agent.call, "INFO", 200);
    pressed("caller".into());
    for (kind, body, code) in [(RELAY, "Signal=55", 400), ("application/x-broadsoft", "event talk", 415)] {
        stage.caller.inform(&mut caller.call, kind, body);
        stage.caller.must_be_answered(&caller.call, "INFO", code);
    }

    stage.refer(&mut agent, "<tel:+15550199>");
    let (inbound, offer) = stage.target.ring();
    stage.agent.inform(&mut agent.call, RELAY, "Signal=1");
    stage.agent.must_be_answered(&agent.call, "INFO", 200);
    stage.target_answers(&inbound, &offer);
    stage.must_be_notified("SIP/2.0 200 OK\r\n", "terminated;reason=noresource");
    stage.caller.inform(&mut caller.call, RELAY, "Signal=2");
    stage.caller.must_be_answered(&caller.call, "INFO", 200);
    pressed("target-1".into());
    stage.agent.bye(&mut agent.call);
    stage.caller.bye(&mut caller.call);
    let _bye = stage.target.must_take("BYE");
    stage.must_be_idle();
}

/// A trunk without telephone-event: its tones are events for the agent, and gone with the transfer to whom it has nothing to convert for.
#[test]
fn keys_in_the_audio_are_events_for_an_agent_that_has_nothing_else() {
    let mut stage = Stage::new();
    let without =
        |sdp: String| sdp.replace("RTP/AVP 0 101", "RTP/AVP 0").replace("a=rtpmap:101 telephone-event/8000\r\n", "");
    let mut out = stage.caller.invite(&stage.uri(), &without(stage.caller.media.sdp("")), "");
    let (inbound, offer) = stage.agent.ring();
    assert!(offer.contains("telephone-event"), "{offer}");
    stage.agent.respond(&inbound, "200 OK", &stage.agent.media.sdp(""));
    let answer = stage.caller.must_get(&mut out, 200, Some(""));
    assert!(!answer.contains("telephone-event"), "{answer}");
    let _ack = stage.agent.must_take("ACK");
    let mut caller = Side { call: out, relay: media_of(&answer) };
    let mut agent = Side { call: inbound, relay: media_of(&offer) };
    stage.must_talk(&caller, &agent);
    let transcoded = |stage: &Stage| {
        let calls = stage.relay.client().get("/v1/calls");
        let call = calls["calls"][0]["call"].as_str().unwrap().to_owned();
        stage.relay.client().leg(&call, "caller")["transcoded"] == true
    };
    for key in ['1', '#'] {
        let digit = dtmf::Digit::from_char(key).unwrap();
        let tone = dtmf::samples(digit, -10.0, 100, 8000).chain(core::iter::repeat_n(0, 800));
        let payload: Vec<u8> = tone.map(|sample| Law::Mu.encode_sample(sample)).collect();
        for packet in payload.as_chunks().0 {
            stage.caller.media.send_audio(caller.relay, packet);
        }
        assert_eq!(stage.agent.media.must_hear_event(), digit.event());
    }
    assert!(transcoded(&stage));

    stage.refer(&mut agent, "<tel:+15550199>");
    let (inbound, offer) = stage.target.ring();
    stage.target.respond(&inbound, "200 OK", &without(stage.target.media.sdp("")));
    let _ack = stage.target.must_take("ACK");
    stage.target.media.speak_until_heard(media_of(&offer), &stage.caller.media);
    assert!(!transcoded(&stage), "neither has events: they are relayed");
    stage.must_be_notified("SIP/2.0 200 OK\r\n", "terminated;reason=noresource");
    stage.agent.bye(&mut agent.call);
    stage.caller.bye(&mut caller.call);
    let _bye = stage.target.must_take("BYE");
    stage.must_be_idle();
}
