//! A pivot whose media another process moves.

use patchcord_tests::{Authority, Relay, eventually, free_port};
use serde_json::{Value, json};

use crate::stage::{Stage, media_of};
use crate::tls_front::TlsFront;

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

/// SIGTERM at the pivot: its calls go on, new ones are answered 503, and it ends with the last of them.
#[test]
fn a_pivot_whose_media_is_elsewhere_drains() {
    let media = Media::start();
    let mut stage = media.stage();
    stage.kill_and_restart_with(&["--set", "drain.deadline_s=60"]);
    let (mut caller, agent) = stage.talking();
    stage.relay.terminate();
    eventually("it drains", || stage.relay.stderr().contains("draining: no new calls").then_some(()));
    let mut refused = stage.caller.invite(&stage.uri(), &stage.caller.media.sdp(""), "");
    stage.caller.must_get(&mut refused, 503, Some(""));
    stage.must_talk(&caller, &agent);
    assert!(stage.relay.is_running());
    stage.caller.bye(&mut caller.call);
    let _bye = stage.agent.must_take("BYE");
    let ended = stage.relay.wait();
    assert!(ended.status.success() && ended.stderr.contains("all calls had ended"), "{ended:?}");
    media.relay.client().must_be_idle();
}

/// A second SIGTERM waits for nobody.
#[test]
fn a_second_signal_hangs_up_calls_whose_media_is_elsewhere() {
    let media = Media::start();
    let mut stage = media.stage();
    stage.kill_and_restart_with(&["--set", "drain.deadline_s=60"]);
    let _talking = stage.talking();
    stage.relay.terminate();
    eventually("it drains", || stage.relay.stderr().contains("draining: no new calls").then_some(()));
    stage.relay.terminate();
    let _bye = stage.agent.must_take("BYE");
    let _bye = stage.caller.must_take("BYE");
    let ended = stage.relay.wait();
    assert!(ended.stderr.contains("a second signal ended 1 calls"), "{ended:?}");
    media.relay.client().must_be_idle();
}

/// By https: who has answered is found out while the relay cannot be reached, and told when it can.
#[test]
fn who_has_answered_is_told_when_the_relay_is_back() {
    let media = Media::start();
    let authority = Authority::new("remote");
    let pair = authority.certify("relay", "IP:127.0.0.1", "20200101000000Z", "20491231000000Z");
    let front = TlsFront::start(&pair, media.http.parse().unwrap());
    let mut stage =
        Stage::with_more(&format!("relay = \"https://{}\"\nca = {:?}", front.address(), authority.ca()), "", "");
    let (mut caller, agent) = stage.talking();
    let body = json!({"id": "1", "call": caller.call.id(), "targets": ["+15550199"], "detection_timeout_ms": 60_000});
    let name = stage.begin(&body);
    let (inbound, offer) = stage.target.ring();
    stage.target.respond(&inbound, "200 OK", &stage.target.media.sdp(""));
    let _ack = stage.target.must_take("ACK");

    let of_target = |media: &Media| -> Value {
        let calls = media.relay.client().get("/v1/calls");
        let call = media.relay.client().get(&format!("/v1/calls/{}", calls["calls"][0]["call"].as_str().unwrap()));
        let legs = call["legs"].as_array().unwrap();
        legs.iter().find(|leg| leg["party"] == "target-1").cloned().unwrap_or_default()
    };
    eventually("it is listened to", || (of_target(&media)["detecting"] == true).then_some(()));
    let mut says_nothing_until = |what: &str, is_so: &dyn Fn(&Value) -> bool| {
        eventually(what, || {
            stage.target.media.send(media_of(&offer));
            std::thread::sleep(core::time::Duration::from_millis(20));
            is_so(&of_target(&media)).then_some(())
        });
    };
    says_nothing_until("a while", &|leg| leg["packets"].as_u64() > Some(10));
    front.cut();
    says_nothing_until("it is found out", &|leg| !leg["answered"].is_null());
    assert_eq!(of_target(&media)["answered"]["sound"], "undecided");
    front.mend();

    let failed = eventually("the transfer has failed", || {
        let transfer = stage.relay.client().get(&format!("/v1/transfers/{name}"));
        (transfer["state"] == "failed").then_some(transfer)
    });
    assert_eq!(failed["failures"][0]["stage"], "detection", "{failed}");
    let _bye = stage.target.must_take("BYE");
    stage.agent.media.speak_until_heard(agent.relay, &stage.caller.media);
    stage.caller.bye(&mut caller.call);
    let _bye = stage.agent.must_take("BYE");
    media.relay.client().must_be_idle();
}

/// Nobody vouches for it, or it is somebody else's certificate: no call is begun, and the log says why.
#[test]
fn a_relay_with_a_wrong_certificate_gets_no_calls() {
    let media = Media::start();
    let (authority, other) = (Authority::new("remote-right"), Authority::new("remote-wrong"));
    for (name, ca, why) in [
        ("IP:127.0.0.1", other.ca(), "invalid peer certificate"),
        ("DNS:elsewhere.example", authority.ca(), "not valid for name"),
    ] {
        let pair = authority.certify(&name[..2], name, "20200101000000Z", "20491231000000Z");
        let front = TlsFront::start(&pair, media.http.parse().unwrap());
        let stage = Stage::with_more(&format!("relay = \"https://{}\"\nca = {ca:?}", front.address()), "", "");
        let mut refused = stage.caller.invite(&stage.uri(), &stage.caller.media.sdp(""), "");
        stage.caller.must_get(&mut refused, 503, Some(""));
        eventually("the log says why", || stage.relay.stderr().contains(why).then_some(()));
    }
    media.relay.client().must_be_idle();
}
