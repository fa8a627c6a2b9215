//! ng on a control plane over real engine shards: what requests do to calls, ports and ears.

use core::time::Duration;

use patchcord_control::ng::listen::Answer;
use patchcord_control::ng::{Ng, NgConfig};
use patchcord_ng::{Dict, Request, Transport, Value};

use crate::relay::{Relay, config};

pub(crate) struct Proxy {
    pub(crate) ng: Ng,
}

impl Proxy {
    pub(crate) fn new(relay: &Relay, config: NgConfig) -> Self {
        Self { ng: Ng::new(relay.control.clone(), config) }
    }

    pub(crate) async fn ask(&self, command: &str, entries: &[(&str, &str)]) -> Dict {
        let mut dict = Dict::new().with("command", command);
        for (key, value) in entries {
            dict.set_named(key, *value);
        }
        self.ng.answer(Request { dict, transport: Transport::Udp, peer: None }).await
    }

    async fn offer(&self, call: &str, from: &str, to: Option<&str>, port: u16) -> Dict {
        let sdp = sdp(port, "");
        let mut entries = vec![("call-id", call), ("from-tag", from), ("sdp", sdp.as_str())];
        entries.extend(to.map(|to| ("to-tag", to)));
        self.ask("offer", &entries).await
    }

    async fn answer(&self, call: &str, from: &str, to: &str, port: u16) -> Dict {
        let sdp = sdp(port, "");
        self.ask("answer", &[("call-id", call), ("from-tag", from), ("to-tag", to), ("sdp", &sdp)]).await
    }

    /// A call between `a` at port 4000 and `b` at port 5000 of some address.
    pub(crate) async fn call(&self, call: &str) {
        must(&self.offer(call, "a", None, 4000).await);
        must(&self.answer(call, "a", "b", 5000).await);
    }
}

pub(crate) fn sdp(port: u16, attributes: &str) -> String {
    format!(
        "v=0\r\no=- 1 1 IN IP4 10.0.0.9\r\ns=-\r\nc=IN IP4 10.0.0.9\r\nt=0 0\r\nm=audio {port} RTP/AVP 0 101\r\na=rtpmap:101 telephone-event/8000\r\n{attributes}"
    )
}

pub(crate) fn must(reply: &Dict) -> &Dict {
    assert_eq!(reply.text("result").as_deref(), Some("ok"), "{reply:?}");
    reply
}

pub(crate) fn reason(reply: &Dict) -> String {
    assert_eq!(reply.text("result").as_deref(), Some("error"), "{reply:?}");
    reply.text("error-reason").unwrap().into_owned()
}

/// The port of the first m= line.
fn port(reply: &Dict) -> u16 {
    let sdp = must(reply).text("sdp").unwrap();
    sdp.split("m=audio ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap()
}

fn leased(relay: &Relay) -> u32 {
    relay.control.ports().iter().map(|(_, counts)| counts.leased).sum()
}

pub(crate) fn at_once() -> NgConfig {
    NgConfig { delete_delay: Duration::ZERO, ..NgConfig::default() }
}

#[tokio::test]
async fn an_offer_and_an_answer_make_a_bridge_and_a_delete_ends_it() {
    let relay = Relay::new();
    let proxy = Proxy::new(&relay, at_once());
    proxy.call("x@y/z").await;
    let call = relay.control.snapshot("x@y/z").await.unwrap();
    assert_eq!(call.bridges, [["a".into(), "b".into()]]);
    assert_eq!(call.legs[1].remote.unwrap().to_string(), "10.0.0.9:5000");
    let report = proxy.ask("delete", &[("call-id", "x@y/z"), ("from-tag", "a")]).await;
    assert!(must(&report).dict("totals").is_some() && report.dict("tags").unwrap().dict("b").is_some());
    assert!(relay.control.is_idle());
    assert_eq!((leased(&relay), relay.workers[0].open_ports()), (0, 0));
}

#[tokio::test]
async fn what_is_refused_leaves_nothing_behind() {
    let relay = Relay::new();
    let proxy = Proxy::new(&relay, at_once());
    let good = sdp(4000, "");
    let many = format!("{good}{}", "m=audio 1 RTP/AVP 0\r\n".repeat(1000));
    for (entries, expected) in [
        (vec![("call-id", "c"), ("from-tag", "a")], "No SDP body in message"),
        (vec![("from-tag", "a"), ("sdp", good.as_str())], "No call-id in message"),
        (vec![("call-id", "c"), ("sdp", good.as_str())], "No from-tag in message"),
        (vec![("call-id", "c"), ("from-tag", "a"), ("sdp", "garbage")], "Failed to parse SDP"),
        (
            vec![("call-id", "c"), ("from-tag", "a"), ("sdp", "v=0\r\nm=audio 1 RTP/AVP 0\r\n")],
            "Incomplete SDP specification",
        ),
        (vec![("call-id", "c"), ("from-tag", "a"), ("sdp", many.as_str())], "Failed to parse SDP"),
        (
            vec![("call-id", "c"), ("from-tag", "a"), ("to-tag", "a"), ("sdp", good.as_str())],
            "Invalid dialogue association",
        ),
    ] {
        assert_eq!(reason(&proxy.ask("offer", &entries).await), expected);
        assert!(relay.control.is_idle(), "{expected}");
    }
    assert_eq!(reason(&proxy.answer("c", "a", "b", 1).await), "Unknown call-id");
    assert_eq!(reason(&proxy.ask("frobnicate", &[]).await), "Unrecognized command");
    assert_eq!(
        reason(&proxy.ng.answer(Request { dict: Dict::new(), transport: Transport::Udp, peer: None }).await),
        "Dictionary contains no key \"command\""
    );
    let transform = proxy.ask("transform", &[]).await;
    assert!(reason(&transform).contains("transform"), "a command that is not built is named");
    assert_eq!(leased(&relay), 0);
}

#[tokio::test]
async fn one_calls_garbage_harms_no_other() {
    let relay = Relay::new();
    let proxy = Proxy::new(&relay, at_once());
    proxy.call("good").await;
    let before = relay.control.snapshot("good").await.unwrap();
    for port in [0_u16, 1, 65_535] {
        proxy.offer("bad", "a", Some("b"), port).await;
        proxy.answer("bad", "b", "x", port).await;
        proxy.ask("delete", &[("call-id", "bad"), ("from-tag", "nobody")]).await;
    }
    proxy.ask("delete", &[("call-id", "bad")]).await;
    let after = relay.control.snapshot("good").await.unwrap();
    assert_eq!((before.legs.len(), before.bridges), (after.legs.len(), after.bridges));
}

#[tokio::test]
async fn exhausted_ports_are_said_in_the_words_that_proxies_act_on() {
    let relay = Relay::with(config(30000..=30003), 1);
    let proxy = Proxy::new(&relay, at_once());
    proxy.call("one").await;
    assert_eq!(reason(&proxy.offer("two", "a", None, 4000).await), "Ran out of ports");
    assert_eq!(relay.control.list().calls.len(), 1);
    must(&proxy.ask("delete", &[("call-id", "one")]).await);
    proxy.call("two").await;
}

#[tokio::test]
async fn a_limit_of_sessions_is_said_as_the_asker_understands_it() {
    let relay = Relay::new();
    let proxy = Proxy::new(&relay, NgConfig { sessions_max: 1, ..at_once() });
    proxy.call("one").await;
    assert_eq!(reason(&proxy.offer("two", "a", None, 4000).await), "Parallel session limit reached");
    let sdp = sdp(4000, "");
    let dict = Dict::new()
        .with("command", "offer")
        .with("call-id", "two")
        .with("from-tag", "a")
        .with("sdp", sdp.as_str())
        .with("supports", vec!["load limit"]);
    let reply = proxy.ng.answer(Request { dict, transport: Transport::Udp, peer: None }).await;
    assert_eq!(reply.text("result").as_deref(), Some("load limit"));
    must(&proxy.offer("one", "a", Some("b"), 4000).await);
}

#[tokio::test(start_paused = true)]
async fn a_deleted_call_goes_on_for_a_while_and_signalling_keeps_it() {
    let relay = Relay::new();
    let proxy = Proxy::new(&relay, NgConfig::default());
    proxy.call("c").await;
    must(&proxy.ask("delete", &[("call-id", "c"), ("from-tag", "a"), ("delete-delay", "5")]).await);
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(relay.control.list().calls.len(), 1, "media goes on");
    must(&proxy.offer("c", "a", Some("b"), 4000).await);
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(relay.control.list().calls.len(), 1, "the offer has cancelled it");
    must(&proxy.ask("delete", &[("call-id", "c"), ("from-tag", "a"), ("delete-delay", "5")]).await);
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert!(relay.control.is_idle());
}

#[tokio::test]
async fn ports_stay_over_re_offers_unless_they_are_to_follow() {
    for (follow, same) in [(false, true), (true, false)] {
        let relay = Relay::new();
        let proxy = Proxy::new(&relay, NgConfig { ports_follow_remote: follow, ..at_once() });
        let first = port(&proxy.offer("c", "a", None, 4000).await);
        must(&proxy.answer("c", "a", "b", 5000).await);
        assert_eq!(port(&proxy.offer("c", "a", Some("b"), 4000).await), first, "the same address");
        let moved = port(&proxy.offer("c", "a", Some("b"), 4002).await);
        assert_eq!(moved == first, same);
        assert_eq!(port(&proxy.offer("c", "a", Some("b"), 4000).await), first, "the address of before");
        must(&proxy.offer("c", "a", Some("b"), 0).await);
        assert_eq!(port(&proxy.offer("c", "a", Some("b"), 4000).await), first, "after port 0");
        must(&proxy.ask("delete", &[("call-id", "c")]).await);
        assert_eq!(leased(&relay), 0);
    }
}

#[tokio::test]
async fn connect_joins_parties_of_two_calls_which_are_one_then() {
    let relay = Relay::new();
    let proxy = Proxy::new(&relay, at_once());
    proxy.call("one").await;
    must(&proxy.offer("two", "c", None, 6000).await);
    must(&proxy.answer("two", "c", "d", 7000).await);
    let connect = [("call-id", "one"), ("from-tag", "a"), ("to-tag", "d"), ("to-call-id", "two")];
    must(&proxy.ask("connect", &connect).await);
    let call = relay.control.snapshot("two").await.unwrap();
    assert_eq!((&*call.call, call.legs.len()), ("one", 4));
    assert_eq!(call.bridges, [["a".into(), "d".into()]]);
    assert_eq!(
        reason(&proxy.ask("connect", &[("call-id", "one"), ("from-tag", "a"), ("to-tag", "x")]).await),
        "Invalid dialogue association"
    );
    must(&proxy.ask("connect", &[("call-id", "two"), ("from-tag", "c"), ("to-tag", "b")]).await);
    assert_eq!(relay.control.snapshot("one").await.unwrap().bridges.len(), 2);
    must(&proxy.ask("delete", &[("call-id", "two")]).await);
    assert!(relay.control.is_idle());
    assert_eq!((leased(&relay), relay.workers[0].open_ports()), (0, 0));
    assert_eq!(reason(&proxy.ask("query", &[("call-id", "one")]).await), "Unknown call-id");
}

#[tokio::test]
async fn a_connect_that_is_refused_leaves_both_calls_as_they_were() {
    let relay = Relay::new();
    let proxy = Proxy::new(&relay, at_once());
    proxy.call("one").await;
    let other = sdp(6000, "").replace("RTP/AVP 0 101", "RTP/AVP 8");
    for (command, tag) in [("offer", "c"), ("answer", "c")] {
        let entries = [("call-id", "two"), ("from-tag", tag), ("to-tag", "d"), ("sdp", &other)];
        let entries = if command == "offer" { &[entries[0], entries[1], entries[3]][..] } else { &entries };
        must(&proxy.ask(command, entries).await);
    }
    let seen = async || {
        let calls = [relay.control.snapshot("one").await.unwrap(), relay.control.snapshot("two").await.unwrap()];
        calls.map(|call| (call.call, call.parties, call.bridges, call.cut_overs.len()))
    };
    let before = seen().await;
    assert_eq!((&*before[0].0, &*before[1].0), ("one", "two"));
    for (to, expected) in [("d", "a cannot hear that source"), ("x", "Invalid dialogue association")] {
        let connect = [("call-id", "one"), ("from-tag", "a"), ("to-tag", to), ("to-call-id", "two")];
        let reply = proxy.ask("connect", &connect).await;
        assert!(reason(&reply).starts_with(expected), "{reply:?}");
        assert_eq!(seen().await, before);
    }
    must(&proxy.ask("delete", &[("call-id", "two")]).await);
    assert_eq!(relay.control.list().calls.len(), 1);
}

#[tokio::test]
async fn a_party_whose_first_media_is_disabled_gets_its_name_all_the_same() {
    let relay = Relay::new();
    let proxy = Proxy::new(&relay, at_once());
    let sdp = sdp(0, "m=audio 4002 RTP/AVP 0\r\n");
    must(&proxy.ask("offer", &[("call-id", "c"), ("from-tag", "a"), ("sdp", &sdp)]).await);
    let answer = [("call-id", "c"), ("from-tag", "a"), ("to-tag", "b"), ("sdp", sdp.as_str())];
    must(&proxy.ask("answer", &answer).await);
    let call = relay.control.snapshot("c").await.unwrap();
    assert_eq!(call.bridges, [["a/1".into(), "b/1".into()]]);
    must(&proxy.ask("block media", &[("call-id", "c"), ("from-tag", "b")]).await);
    assert!(relay.control.snapshot("c").await.unwrap().legs.iter().any(|leg| &*leg.party == "b/1" && leg.muted));
}

#[tokio::test]
async fn media_is_blocked_silenced_and_played() {
    let relay = Relay::new();
    let proxy = Proxy::new(&relay, at_once());
    proxy.call("c").await;
    let hears = async || {
        let call = relay.control.snapshot("c").await.unwrap();
        call.legs.iter().map(|leg| (leg.hears.clone(), leg.muted)).collect::<Vec<_>>()
    };
    let of_a = [("call-id", "c"), ("from-tag", "a")];
    must(&proxy.ask("block media", &of_a).await);
    assert_eq!(hears().await, [("b".to_owned(), true), ("a".to_owned(), false)]);
    must(&proxy.ask("unblock media", &of_a).await);
    must(&proxy.ask("silence_media", &of_a).await);
    assert_eq!(hears().await[1].0, "play:silence");
    must(&proxy.ask("unsilence media", &of_a).await);
    let played = proxy.ask("play media", &[("call-id", "c"), ("from-tag", "a"), ("file", "hold")]).await;
    assert_eq!(must(&played).get("duration").and_then(Value::integer).map(|ms| (ms > 0, ms % 20)), Some((true, 0)));
    assert_eq!(hears().await[0].0, "play:hold", "the tag selects who hears it");
    must(&proxy.ask("stop media", &of_a).await);
    assert_eq!(hears().await, [("b".to_owned(), false), ("a".to_owned(), false)]);
    let missing = proxy.ask("play media", &[("call-id", "c"), ("from-tag", "a"), ("file", "/nonexistent.wav")]).await;
    assert!(reason(&missing).starts_with("Failed to start media playback from file"));
    let nobody = proxy.ask("block media", &[("call-id", "c"), ("from-tag", "x")]).await;
    assert_eq!(reason(&nobody), "From-tag given, but no such tag exists");
    assert_eq!(reason(&proxy.ask("play media", &[("call-id", "no")]).await), "Unknown call-ID");
}
