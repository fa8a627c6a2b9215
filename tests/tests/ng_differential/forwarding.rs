//! Which packets reach whom, and from where.

use patchcord_ng::Dict;
use patchcord_tests::ng::{Packet, Scenario, Setup, Stage};

use patchcord_tests::ng::descriptions::{audio, audio_at, audio_with, muxed, sdp};

pub(crate) const SCENARIOS: &[Scenario] = &[
    plain("packets pass as they are, from the port that the SDP named", |stage| {
        stage.parties(["a", "b"]);
        let [towards_b, towards_a] = call(stage, &audio("a"), &audio("b"));
        for _ in 0..3 {
            stage.send("a", Packet::Rtp(0), &towards_a);
            stage.send("b", Packet::Rtp(8), &towards_b);
        }
    }),
    plain("payload types that nobody has offered pass", |stage| {
        stage.parties(["a", "b"]);
        let [_, towards_a] = call(stage, &audio("a"), &audio("b"));
        for payload_type in [0, 8, 13, 101, 127] {
            stage.send("a", Packet::Rtp(payload_type), &towards_a);
        }
    }),
    plain("RTCP goes to RTCP", |stage| {
        stage.parties(["a", "b"]);
        let [towards_b, towards_a] = call(stage, &audio("a"), &audio("b"));
        stage.send("a", Packet::Rtcp, &format!("{towards_a}+1"));
        stage.send("b", Packet::Rtcp, &format!("{towards_b}+1"));
    }),
    plain("RTCP goes where the attribute says", |stage| {
        stage.parties(["a", "b", "a2"]);
        let [towards_b, _] = call(stage, &audio_with("a", &["a=rtcp:{a2}"]), &audio("b"));
        stage.send("b", Packet::Rtcp, &format!("{towards_b}+1"));
    }),
    plain("muxed RTCP goes to RTP", |stage| {
        stage.parties(["a", "b"]);
        let [towards_b, towards_a] = call(stage, &muxed("a"), &muxed("b"));
        stage.send("a", Packet::MuxedRtcp, &towards_a);
        stage.send("b", Packet::MuxedRtcp, &towards_b);
        stage.send("a", Packet::Rtp(0), &towards_a);
    }),
    plain("muxed RTCP of one side only", |stage| {
        stage.parties(["a", "b"]);
        let offered = stage.offer_with("a", &muxed("a"), Dict::new().with("rtcp-mux", vec!["demux"]));
        let answered = stage.answer("a b", &audio("b"));
        stage.send("a", Packet::MuxedRtcp, answered.port());
        stage.send("b", Packet::Rtcp, &format!("{}+1", offered.port()));
        stage.send("a", Packet::Rtp(0), answered.port());
    }),
    plain("early media", |stage| {
        stage.parties(["a", "b"]);
        let offered = stage.offer("a", &audio("a"));
        stage.send("b", Packet::Rtp(0), offered.port());
        let answered = stage.answer("a b", &audio("b"));
        stage.send("a", Packet::Rtp(0), answered.port());
        stage.send("b", Packet::Rtp(0), offered.port());
    }),
    plain("media is relayed while one side is on hold", |stage| {
        stage.parties(["a", "b"]);
        let ports = call(stage, &audio("a"), &audio("b"));
        let holds = [("a=sendonly", "a=recvonly"), ("a=inactive", "a=inactive"), ("a=recvonly", "a=sendonly")];
        for (offer, answer) in holds {
            stage.offer("a b", &audio_with("a", &[offer]));
            both_send(stage, &ports);
            stage.answer("a b", &audio_with("b", &[answer]));
            both_send(stage, &ports);
        }
        stage.offer("a b", &audio("a"));
        stage.answer("a b", &audio("b"));
        both_send(stage, &ports);
    }),
    plain("nothing goes to address zero", |stage| {
        stage.parties(["a", "b"]);
        let ports = call(stage, &audio("a"), &audio("b"));
        stage.offer("a b", &audio_at("0.0.0.0", "a"));
        stage.answer("a b", &audio("b"));
        both_send(stage, &ports);
        stage.offer("a b", &audio("a"));
        stage.answer("a b", &audio("b"));
        both_send(stage, &ports);
    }),
    plain("nothing goes to port zero", |stage| {
        stage.parties(["a", "b"]);
        let ports = call(stage, &audio("a"), &audio("b"));
        let none = sdp(&["m=audio 0 RTP/AVP 0 8"]);
        stage.offer("a b", &none);
        stage.answer("a b", &none);
        both_send(stage, &ports);
        stage.offer("a b", &audio("a"));
        stage.answer("a b", &audio("b"));
        both_send(stage, &ports);
    }),
    plain("ports from before a re-offer stay open", |stage| {
        stage.parties(["a", "b", "a2"]);
        let [towards_b, towards_a] = call(stage, &audio("a"), &audio("b"));
        both_send(stage, &[towards_b.clone(), towards_a.clone()]);
        let moved = stage.offer("a b", &audio("a2"));
        stage.send("b", Packet::Rtp(0), &towards_b);
        stage.send("b", Packet::Rtp(0), moved.port());
        stage.answer("a b", &audio("b"));
        stage.send("a2", Packet::Rtp(0), &towards_a);
        stage.send("b", Packet::Rtp(0), moved.port());
    }),
    plain("media is relayed in each section", |stage| {
        stage.parties(["a", "b", "av", "bv"]);
        let both = |audio: &str, video: &str| {
            let (audio, video) = (format!("m=audio {{{audio}}} RTP/AVP 0"), format!("m=video {{{video}}} RTP/AVP 96"));
            sdp(&[&audio, &video, "a=rtpmap:96 VP8/90000"])
        };
        let offered = stage.offer("a", &both("a", "av"));
        let answered = stage.answer("a b", &both("b", "bv"));
        for (index, party) in ["a", "av"].into_iter().enumerate() {
            stage.send(party, Packet::Rtp(96), answered.port_of(index));
        }
        for (index, party) in ["b", "bv"].into_iter().enumerate() {
            stage.send(party, Packet::Rtp(96), offered.port_of(index));
        }
    }),
    plain("fax packets pass", |stage| {
        stage.parties(["a", "b"]);
        let fax = |party: &str| sdp(&[&format!("m=image {{{party}}} udptl t38"), "a=T38FaxVersion:0"]);
        let [towards_b, towards_a] = call(stage, &fax("a"), &fax("b"));
        stage.send("a", Packet::Bytes(b"\x00\x01\x06fax packet"), &towards_a);
        stage.send("b", Packet::Bytes(b"\x00\x02\x06another one"), &towards_b);
    }),
    plain("what is no RTP on an RTP port", |stage| {
        stage.parties(["a", "b"]);
        let [_, towards_a] = call(stage, &audio("a"), &audio("b"));
        for bytes in [&b"hello, this is no RTP"[..], b"\x80", b"\r\n\r\n", b""] {
            stage.send("a", Packet::Bytes(bytes), &towards_a);
        }
    }),
];

/// a calls b; ports towards b and towards a.
fn call(stage: &mut Stage, offer: &str, answer: &str) -> [String; 2] {
    let offered = stage.offer("a", offer).port().to_owned();
    [offered, stage.answer("a b", answer).port().to_owned()]
}

fn both_send(stage: &mut Stage, [towards_b, towards_a]: &[String; 2]) {
    stage.send("a", Packet::Rtp(0), towards_a);
    stage.send("b", Packet::Rtp(0), towards_b);
}

const fn plain(name: &'static str, run: fn(&mut Stage)) -> Scenario {
    Scenario { name, setup: Setup::Plain, run }
}
