//! Commands that change what is heard.

use patchcord_ng::Dict;
use patchcord_tests::ng::{Packet, Scenario, Setup, Stage};

use patchcord_tests::ng::descriptions::{audio, audio_with, media, sdp};

pub(crate) const SCENARIOS: &[Scenario] = &[
    plain("block media", |stage| around(stage, "block media", "unblock media")),
    plain("silence media", |stage| around(stage, "silence media", "unsilence media")),
    plain("block DTMF", |stage| around(stage, "block DTMF", "unblock DTMF")),
    plain("start forwarding", |stage| around(stage, "start forwarding", "stop forwarding")),
    plain("play what is not there", |stage| {
        stage.parties(["a", "b"]);
        call(stage);
        stage.command("play media", "a", Dict::new());
        stage.command("play media", "a", Dict::new().with("file", "/nonexistent"));
        stage.command("play media", "a", Dict::new().with("blob", "no audio"));
        stage.command("stop media", "a", Dict::new());
        stage.command("play DTMF", "a", Dict::new());
        stage.command("play DTMF", "a", Dict::new().with("code", "x"));
        stage.command("play DTMF", "a", Dict::new().with("code", 99_i64));
    }),
    plain("play DTMF", |stage| {
        stage.parties(["a", "b"]);
        let events = ["a=rtpmap:101 telephone-event/8000", "a=fmtp:101 0-15"];
        let audio = |party: &str| sdp(&[&media("audio", party, "0 101"), events[0], events[1]]);
        let inject = || Dict::new().with("flags", vec!["inject DTMF"]);
        let towards_b = stage.offer_with("a", &audio("a"), inject()).port().to_owned();
        let towards_a = stage.answer_with("a b", &audio("b"), inject()).port().to_owned();
        stage.send("a", Packet::Rtp(0), &towards_a);
        stage.send("b", Packet::Rtp(0), &towards_b);
        let key =
            |code: &str, volume: i64| Dict::new().with("code", code).with("duration", 100_i64).with("volume", volume);
        for (party, port, listener) in [("a", &towards_a, "b"), ("b", &towards_b, "a")] {
            stage.command("play DTMF", party, key("7", 10));
            stage.command("play DTMF", party, key("#", 10).with("pause", 100_i64));
            stage.command("play DTMF", party, key("13", -10));
            stage.await_keys(party, port, listener, 3);
        }
    }),
    plain("play DTMF that cannot be", |stage| {
        stage.parties(["a", "b"]);
        call(stage);
        for code in ["x", "", "16", "123", "-1", "AB"] {
            stage.command("play DTMF", "a", Dict::new().with("code", code));
        }
        stage.command("play DTMF", "a", Dict::new());
        stage.command("play DTMF", "a", Dict::new().with("digit", 16_i64));
        stage.command("play DTMF", "", Dict::new().with("code", "5"));
        stage.command("play DTMF", "", Dict::new().with("code", "x"));
        stage.command("play DTMF", "nobody", Dict::new().with("code", "x"));
    }),
    plain("subscribe to a party", |stage| {
        let ports = subscription(stage, "a", Dict::new());
        stage.send("a", Packet::Rtp(0), &ports[1]);
        stage.send("b", Packet::Rtp(0), &ports[0]);
        stage.command("unsubscribe", "- recorder", Dict::new());
        stage.send("a", Packet::Rtp(0), &ports[1]);
        stage.command("unsubscribe", "", Dict::new());
    }),
    plain("subscribe to all", |stage| {
        stage.parties(["a", "b", "r1", "r2"]);
        let ports = call(stage);
        stage.command("subscribe request", "", Dict::new());
        stage.command("subscribe request", "- recorder", Dict::new().with("flags", vec!["all"]));
        let answer = sdp(&["m=audio {r1} RTP/AVP 0 8", "a=recvonly", "m=audio {r2} RTP/AVP 0 8", "a=recvonly"]);
        stage.command("subscribe answer", "- recorder", Dict::new().with("sdp", answer));
        stage.send("a", Packet::Rtp(0), &ports[1]);
        stage.send("b", Packet::Rtp(0), &ports[0]);
    }),
    plain("subscribe without an answer that is good", |stage| {
        stage.parties(["a", "b", "r"]);
        call(stage);
        let answer = || Dict::new().with("sdp", audio_with("r", &["a=recvonly"]));
        stage.command("subscribe answer", "- nobody", answer());
        stage.command("subscribe answer", "", answer());
        stage.command("subscribe request", "a recorder", Dict::new());
        stage.command("subscribe answer", "- recorder", Dict::new());
        stage.command("subscribe answer", "- recorder", Dict::new().with("sdp", "garbage garbage"));
    }),
    plain("publish", |stage| {
        stage.parties(["a", "r"]);
        let publish = |tags: &str, stage: &mut Stage| {
            stage.command("publish", tags, Dict::new().with("sdp", audio_with("a", &["a=sendonly"])))
        };
        publish("", stage);
        let published = publish("a", stage);
        stage.command("subscribe request", "a recorder", Dict::new());
        let answer = audio_with("r", &["a=recvonly"]);
        stage.command("subscribe answer", "- recorder", Dict::new().with("sdp", answer));
        stage.send("a", Packet::Rtp(0), published.port());
    }),
    plain("recording is told", |stage| {
        stage.parties(["a", "b"]);
        call(stage);
        stage.command("pause recording", "", Dict::new());
    }),
];

/// A command for one party or for all, and its end; what both hear meanwhile. Key presses are left out: rtpengine keeps some of
/// them back for a while, and sends them later, so that two runs differ.
fn around(stage: &mut Stage, begin: &str, end: &str) {
    stage.parties(["a", "b"]);
    for tags in ["", "a", "b", "a b"] {
        stage.next_call();
        let [towards_b, towards_a] = call(stage);
        for command in [begin, end] {
            stage.command(command, tags, Dict::new());
            stage.send("a", Packet::Rtp(0), &towards_a);
            stage.send("b", Packet::Rtp(0), &towards_b);
        }
    }
}

/// A recorder subscribes to a party; ports towards b and towards a.
fn subscription(stage: &mut Stage, tag: &str, more: Dict) -> [String; 2] {
    stage.parties(["a", "b", "r"]);
    let ports = call(stage);
    stage.command("subscribe request", &format!("{tag} recorder"), more);
    let answer = audio_with("r", &["a=recvonly"]);
    stage.command("subscribe answer", "- recorder", Dict::new().with("sdp", answer));
    ports
}

/// a calls b; ports towards b and towards a.
fn call(stage: &mut Stage) -> [String; 2] {
    let offered = stage.offer("a", &audio("a")).port().to_owned();
    [offered, stage.answer("a b", &audio("b")).port().to_owned()]
}

const fn plain(name: &'static str, run: fn(&mut Stage)) -> Scenario {
    Scenario { name, setup: Setup::Plain, run }
}
