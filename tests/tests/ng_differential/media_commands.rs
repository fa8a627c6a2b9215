//! Commands that change what is heard.

use patchcord_ng::Dict;
use patchcord_tests::ng::{Packet, Scenario, Setup, Stage};

use patchcord_tests::ng::descriptions::{audio, audio_with, sdp};

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
