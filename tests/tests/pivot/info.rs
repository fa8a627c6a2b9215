//! Keys by INFO.

use std::time::Duration;

use crate::stage::Stage;

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
