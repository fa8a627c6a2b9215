//! A real browser calls through the relay. Towards it the relay has ICE, DTLS-SRTP and muxed RTCP of its own; towards a plain
//! telephone it has none of them, and whoever takes a plain telephone's place does it without the browser's noticing.

#![allow(clippy::unwrap_used, reason = "a test may stop at what it did not expect")]

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use patchcord_lab::endpoint::{Endpoint, EndpointOptions, Endpoints, Playback};
use patchcord_ng::Dict;
use patchcord_tests::ng::NgClient;
use patchcord_tests::stage::join;
use patchcord_tests::{Browser, PATIENCE, Relay, free_ports, kernel, voices};
use serde_json::{Value, json};

const CALL: &str = "webrtc-call";

/// Packets of 20 ms that somebody hears before the next step: two seconds.
const TALK: u64 = 100;

/// What a plain telephone is told of a browser's media.
const PLAIN: &[(&str, &str)] = &[("transport-protocol", "RTP/AVP"), ("ICE", "remove"), ("rtcp-mux", "demux")];

/// What a browser is told of a plain telephone's.
const WEBRTC: &[(&str, &str)] =
    &[("transport-protocol", "UDP/TLS/RTP/SAVPF"), ("ICE", "force"), ("rtcp-mux", "require")];

/// A relay, a proxy in front of it, and plain telephones.
struct Stage {
    relay: Relay,
    proxy: NgClient,
    telephones: Endpoints,
    _alone: MutexGuard<'static, ()>,
}

impl Stage {
    fn new() -> Self {
        // A browser takes a core: two at once are enough for media that is in time.
        static ONE_TEST: Mutex<()> = Mutex::new(());
        let alone = ONE_TEST.lock().unwrap_or_else(PoisonError::into_inner);
        let address = SocketAddr::from(([127, 0, 0, 1], free_ports(2).first));
        let relay = Relay::start(&["--ng", &address.to_string()]);
        Self { relay, proxy: NgClient::new(address), telephones: Endpoints::start().unwrap(), _alone: alone }
    }

    /// An offer, or with the answerer's name an answer; gives the SDP for the other side.
    fn say(&self, from: &str, to: Option<&str>, sdp: &str, options: &[(&'static str, &str)]) -> String {
        self.tell(if to.is_some() { "answer" } else { "offer" }, from, to, sdp, options)
    }

    fn tell(&self, command: &str, from: &str, to: Option<&str>, sdp: &str, options: &[(&'static str, &str)]) -> String {
        let mut request = Dict::new().with("command", command).with("call-id", CALL).with("from-tag", from);
        if let Some(to) = to {
            request.set("to-tag", to);
        }
        for (option, value) in options {
            match *option {
                "rtcp-mux" => request.set(option, vec![*value]),
                _ => request.set(option, *value),
            }
        }
        let reply = self.proxy.request(&request.with("sdp", sdp));
        assert_eq!(reply.text("result").as_deref(), Some("ok"), "{command}: {reply:?}");
        reply.text("sdp").unwrap().into_owned()
    }

    /// A plain telephone that speaks to nobody yet.
    fn telephone(&self, name: &str) -> Endpoint {
        self.telephones.add(name, SocketAddr::from(([127, 0, 0, 1], 0)), EndpointOptions::default()).unwrap()
    }

    /// How many packets did not fit into the sockets of the call, the relay's and the parties', as on a busy host.
    fn dropped_by_the_kernel(&self) -> i64 {
        let kernel = kernel::udp_ports();
        let call = self.relay.client().call(CALL);
        let places = call["legs"].as_array().unwrap().iter().flat_map(|leg| [&leg["local"], &leg["remote"]]);
        let ports = places.filter_map(|place| place.as_str()?.rsplit(':').next()?.parse::<u16>().ok());
        let dropped: u64 = ports.filter_map(|port| kernel.get(&port)).map(|port| port.drops).sum();
        dropped.try_into().unwrap()
    }

    /// The browser's leg has keys in both directions, the telephone's has none.
    fn must_be_secured(&self, browser: &str, telephone: &str) {
        let client = self.relay.client();
        let leg = client.leg(CALL, browser);
        assert!(leg["srtp"]["receive"].is_object() && leg["srtp"]["send"].is_object(), "{leg}");
        assert_eq!(leg["ice"]["nominated"], true, "{leg}");
        let leg = client.leg(CALL, telephone);
        assert_eq!((&leg["srtp"], &leg["ice"]), (&Value::Null, &Value::Null), "{leg}");
    }
}

/// A plain telephone's audio.
fn plain(telephone: &Endpoint) -> String {
    let port = telephone.local_addr().port();
    format!("v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio {port} RTP/AVP 0\r\n")
}

/// Where an SDP's audio is.
fn place(sdp: &str) -> SocketAddr {
    let port = sdp.split("m=audio ").nth(1).and_then(|rest| rest.split(' ').next()).unwrap();
    format!("127.0.0.1:{port}").parse().unwrap()
}

/// Says what the captures' voice of its name says, without end. Nothing is missing in those of the transferee and the target.
fn speak(telephone: &Endpoint, to: SocketAddr) {
    telephone.set_remote(to);
    let playback = Playback { looped: true, ..Playback::default() };
    telephone.play(Arc::new(voices::stream(telephone.name())), playback).unwrap();
}

fn must_be_plain(sdp: &str) {
    assert!(sdp.contains(" RTP/AVP 0"), "{sdp}");
    for word in ["a=ice", "a=candidate", "a=fingerprint", "a=setup", "a=rtcp-mux", "a=crypto"] {
        assert!(!sdp.contains(word), "{word} in {sdp}");
    }
}

fn must_be_for_a_browser(sdp: &str) {
    for word in [" UDP/TLS/RTP/SAVPF 0", "a=ice-lite", "a=candidate:", "a=fingerprint:", "a=setup:", "a=rtcp-mux"] {
        assert!(sdp.contains(word), "no {word} in {sdp}");
    }
    assert!(!sdp.contains("a=crypto"), "{sdp}");
}

/// Waits until the browser's connection is up; gives its state.
fn connected(browser: &Browser) -> Value {
    browser.wait_for("a connection", |state| {
        // What getStats() says may be older than what the connection says of itself.
        state["connection"] == "connected" && state["transport"][0]["dtlsState"] == "connected"
    })
}

/// The browser hears one stream, has lost no more of it since than the kernel has, and its connection is the one that it was: it has been through
/// no other state, and knows no other certificate. Gives the stream's SSRC.
fn must_go_on(stage: &Stage, browser: &Browser, since: &Value) -> Value {
    let now = browser.state();
    let [stream] = &now["inbound"].as_array().unwrap()[..] else { panic!("one stream: {now:#}") };
    let lost = |state: &Value| state["inbound"][0]["packetsLost"].as_i64().unwrap_or(0);
    let dropped = stage.dropped_by_the_kernel();
    assert!(lost(&now) - lost(since) <= dropped, "the kernel dropped {dropped}: {now:#}");
    assert_eq!(now["states"], since["states"], "{now:#}");
    assert_eq!(now["certificate"], since["certificate"], "{now:#}");
    for what in ["dtlsState", "dtlsRole"] {
        assert_eq!(now["transport"][0][what], since["transport"][0][what], "{what}: {now:#}");
    }
    stream["ssrc"].clone()
}

/// Both hear the other for a while.
fn talk(browser: &Browser, telephone: &Endpoint) {
    let before = telephone.progress().received;
    browser.wait_for_more_packets(TALK);
    telephone.wait_for_packets(before + TALK, PATIENCE).unwrap();
}

#[test]
fn a_browser_calls_a_telephone_whose_place_another_takes() {
    let stage = Stage::new();
    let client = stage.relay.client();
    let browser = Browser::start("agent");
    let transferee = stage.telephone("transferee");
    let offer = stage.say("agent", None, &browser.offer(), PLAIN);
    must_be_plain(&offer);
    let answer = stage.say("agent", Some("transferee"), &plain(&transferee), &[]);
    must_be_for_a_browser(&answer);
    browser.accept(&answer);
    let connection = connected(&browser);
    speak(&transferee, place(&offer));
    talk(&browser, &transferee);
    stage.must_be_secured("agent", "transferee");
    let ssrc = must_go_on(&stage, &browser, &connection);

    let target = join(client, CALL, &stage.telephones, "target");
    speak(&target, client.leg(CALL, "target")["local"].as_str().unwrap().parse().unwrap());
    client.command(CALL, json!({"command": "swap", "survivor": "agent", "old": "transferee", "new": "target"}));
    client.wait_for_leg(CALL, "agent", "the target", |leg| leg["hears"] == "target");
    talk(&browser, &target);
    stage.must_be_secured("agent", "target");
    assert_eq!(must_go_on(&stage, &browser, &connection), ssrc);

    voices::must_be_heard_in_order(&browser.heard(), &["transferee", "target"]);
    for telephone in [&transferee, &target] {
        voices::must_be_heard_in_order(&voices::heard_by(telephone), &["agent"]);
    }
}

/// Another telephone comes by a re-INVITE, as behind a B2BUA: the browser is asked again, and answers as before.
#[test]
fn a_telephone_calls_a_browser_and_another_takes_its_place() {
    let stage = Stage::new();
    let browser = Browser::start("agent");
    let transferee = stage.telephone("transferee");
    let offer = stage.say("transferee", None, &plain(&transferee), WEBRTC);
    must_be_for_a_browser(&offer);
    let answer = stage.say("transferee", Some("agent"), &browser.answer(&offer), &[]);
    must_be_plain(&answer);
    let connection = connected(&browser);
    speak(&transferee, place(&answer));
    talk(&browser, &transferee);
    stage.must_be_secured("agent", "transferee");
    let ssrc = must_go_on(&stage, &browser, &connection);

    let target = stage.telephone("target");
    let again = stage.tell("offer", "transferee", Some("agent"), &plain(&target), WEBRTC);
    must_be_for_a_browser(&again);
    let answer = stage.say("transferee", Some("agent"), &browser.answer(&again), &[]);
    must_be_plain(&answer);
    transferee.stop();
    speak(&target, place(&answer));
    talk(&browser, &target);
    stage.must_be_secured("agent", "transferee");
    assert_eq!(must_go_on(&stage, &browser, &connection), ssrc);

    voices::must_be_heard_in_order(&browser.heard(), &["transferee", "target"]);
    for telephone in [&transferee, &target] {
        voices::must_be_heard_in_order(&voices::heard_by(telephone), &["agent"]);
    }
}

#[test]
fn two_browsers_talk() {
    let stage = Stage::new();
    let [caller, callee] = ["transferee", "agent"].map(Browser::start);
    let offer = stage.say("transferee", None, &caller.offer(), &[]);
    must_be_for_a_browser(&offer);
    let answer = stage.say("transferee", Some("agent"), &callee.answer(&offer), &[]);
    must_be_for_a_browser(&answer);
    caller.accept(&answer);
    for browser in [&caller, &callee] {
        connected(browser);
        // The one that is connected first speaks while the other one is not.
        let connection = browser.wait_for_more_packets(TALK);
        browser.wait_for_more_packets(TALK);
        must_go_on(&stage, browser, &connection);
    }
    voices::must_be_heard_in_order(&caller.heard(), &["agent"]);
    voices::must_be_heard_in_order(&callee.heard(), &["transferee"]);
}
