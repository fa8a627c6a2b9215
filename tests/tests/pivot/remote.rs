//! A pivot whose media another process moves.

use patchcord_tests::{Relay, free_port};

use crate::stage::Stage;

/// The relay, at a place that a later one can have too.
pub(crate) struct Media {
    relay: Relay,
    http: String,
}

impl Media {
    pub(crate) fn start() -> Self {
        let http = free_port().to_string();
        Self { relay: Self::at(&http), http }
    }

    fn at(http: &str) -> Relay {
        Relay::start(&["--http", http, "--workers", "1"])
    }

    fn stage(&self) -> Stage {
        Stage::with_more(&self.keys(), "", "")
    }

    /// What has a pivot use it.
    pub(crate) fn keys(&self) -> String {
        format!("relay = \"http://{}\"", self.http)
    }
}

/// Audio passes before and after a transfer, in one stream; the pivot's own workers have no leg.
#[test]
fn a_call_is_transferred_at_another_relay() {
    let media = Media::start();
    let mut stage = media.stage();
    let (mut caller, mut agent) = stage.talking();
    stage.agent.media.send(agent.relay);
    let before = stage.caller.media.must_hear(&stage.agent.media);
    stage.must_be_idle();

    stage.refer(&mut agent, "<tel:+15550199>");
    let (inbound, offer) = stage.target.ring();
    let after = stage.target_answers(&inbound, &offer);
    assert_eq!(after.ssrc, before.ssrc, "one SSRC for life");
    stage.must_be_notified("SIP/2.0 200 OK\r\n", "terminated;reason=noresource");
    stage.agent.bye(&mut agent.call);
    stage.caller.media.send(caller.relay);
    stage.target.media.must_hear(&stage.caller.media);
    stage.caller.bye(&mut caller.call);
    let _bye = stage.target.must_take("BYE");
    assert_eq!(stage.latest()["state"], "done");
    media.relay.client().must_be_idle();
}

/// A target that is busy leaves the two as they were.
#[test]
fn a_busy_target_gives_the_caller_back_at_another_relay() {
    let media = Media::start();
    let mut stage = media.stage();
    let (mut caller, mut agent) = stage.talking();
    stage.refer(&mut agent, "<tel:+15550199>");
    let (inbound, _) = stage.target.ring();
    stage.target.respond(&inbound, "486 Busy Here", "");
    let _ack = stage.target.must_take("ACK");
    stage.must_be_notified("SIP/2.0 486 Busy Here\r\n", "terminated;reason=noresource");
    stage.must_talk(&caller, &agent);
    stage.caller.bye(&mut caller.call);
    let _bye = stage.agent.must_take("BYE");
}

/// While the relay is away calls are answered 503; with another one at its place they are taken, and those of the first are hung up.
#[test]
fn a_relay_that_is_killed_may_come_again() {
    let mut media = Media::start();
    let mut stage = media.stage();
    let _talking = stage.talking();
    media.relay.kill();
    let mut refused = stage.caller.invite(&stage.uri(), &stage.caller.media.sdp(""), "");
    stage.caller.must_get(&mut refused, 503, Some(""));

    media.relay = Media::at(&media.http);
    let _bye = stage.agent.must_take("BYE");
    let _bye = stage.caller.must_take("BYE");
    stage.talking();
}
