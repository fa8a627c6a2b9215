//! The option `codec`: what the receiver is offered, and what the offerer is answered. Each answer is the first one to its offer.

use patchcord_ng::Dict;
use patchcord_tests::ng::descriptions::{media, sdp};
use patchcord_tests::ng::{Scenario, Setup, Stage};

pub(crate) const SCENARIOS: &[Scenario] = &[
    plain("codecs stripped", |stage| {
        stage.parties(["a", "b"]);
        call(stage, "0 8 101", &[("strip", "PCMU")], "8 101");
        call(stage, "0 8 101", &[("strip", "PCMU/16000,PCMA/8000")], "0 101");
        call(stage, "0 96 101", &[("strip", "opus/48000")], "0 101");
        call(stage, "0 8 101", &[("strip", "telephone-event")], "8");
        call(stage, "0 8 101", &[("strip", "all")], "0 101");
        call(stage, "0 8 9 101", &[("strip", "all"), ("except", "G722,PCMU")], "9");
        call(stage, "0 8 9 101", &[("strip", "all"), ("offer", "G722,PCMU,opus")], "9");
        call(stage, "0 8 9 101", &[("strip", "PCMU"), ("except", "PCMU")], "9");
    }),
    plain("codecs transcoded to", |stage| {
        stage.parties(["a", "b"]);
        call(stage, "0 8 101", &[("transcode", "opus")], "96 101");
        call(stage, "0 8 101", &[("transcode", "opus")], "96 0 101");
        call(stage, "0 8", &[("transcode", "opus")], "96");
        call(stage, "0 8 101", &[("transcode", "PCMA")], "8 101");
        call(stage, "0 8 101", &[("transcode", "FOO")], "8 101");
        call(stage, "0 101", &[("transcode", "opus/48000/2/32000//useinbandfec=1")], "96 101");
        call(stage, "0 96 101 98", &[("transcode", "G722")], "9 101");
        call(stage, "0 8 101", &[("strip", "all"), ("transcode", "PCMA,opus")], "8");
        call(stage, "0 8 101", &[("strip", "all"), ("transcode", "PCMA,opus")], "96");
        call(stage, "0 8 101", &[("strip", "full"), ("transcode", "PCMA,opus")], "8");
        call(stage, "0 8 101", &[("strip", "all"), ("offer", "PCMA"), ("transcode", "G722,telephone-event")], "9 101");
        call(stage, "0 8 101", &[("mask", "PCMU"), ("transcode", "PCMU")], "0 101");
        call(stage, "0 8 101", &[("strip", "all"), ("transcode", "FOO,PCMA")], "8");
    }),
    plain("codecs masked, consumed and accepted", |stage| {
        stage.parties(["a", "b"]);
        call(stage, "96 0 101", &[("mask", "opus")], "0 101");
        call(stage, "96 0 101", &[("mask", "opus"), ("transcode", "PCMA")], "0 101");
        call(stage, "96 0 101", &[("mask", "all"), ("transcode", "PCMA")], "8");
        call(stage, "96 0 101", &[("mask", "all")], "0 101");
        call(stage, "96 0 8 101", &[("mask", "all"), ("except", "PCMU,telephone-event")], "0 101");
        call(stage, "96 0 101", &[("consume", "opus")], "0 101");
        call(stage, "0 96 101", &[("consume", "opus")], "0 101");
        call(stage, "96 0 101", &[("accept", "opus")], "0 101");
        call(stage, "0 96 101", &[("accept", "opus")], "0 101");
        call(stage, "0 96 101", &[("accept", "all")], "0 101");
        call(stage, "0 96 101", &[("set", "opus/48000/2/16000"), ("transcode", "G722")], "9 101");
    }),
    plain("codecs transcoded to, over re-offers", |stage| {
        let transcode = || codec(&[("transcode", "opus")]);
        stage.parties(["a", "b", "b2"]);
        stage.offer_with("a", &audio("a", "0 8 101"), transcode());
        stage.answer("a b", &audio("b", "96 101"));
        stage.offer_with("a b", &audio("a", "0 8 101"), transcode());
        stage.answer("a b", &audio("b", "96 101"));
        stage.offer_with("a b", &audio("a", "0 8 101"), transcode());
        stage.answer("a b", &audio("b2", "96 101"));
        stage.offer("a b", &audio("a", "0 8 101"));
        stage.answer("a b", &audio("b", "0 101"));
    }),
    plain("codecs put in order", |stage| {
        stage.parties(["a", "b"]);
        call(stage, "0 8 9 101", &[("offer", "G722,PCMA")], "9 101");
    }),
    plain("codecs transcoded to, with key presses of another clock", |stage| {
        stage.parties(["a", "b"]);
        call(stage, "96 101", &[("transcode", "PCMA,PCMU")], "8 101");
    }),
];

const fn plain(name: &'static str, run: fn(&mut Stage)) -> Scenario {
    Scenario { name, setup: Setup::Plain, run }
}

/// One offer, and its answer.
fn call(stage: &mut Stage, offer: &str, options: &[(&str, &str)], answer: &str) {
    stage.offer_with("a", &audio("a", offer), codec(options));
    stage.answer("a b", &audio("b", answer));
    stage.next_call();
}

fn codec(options: &[(&str, &str)]) -> Dict {
    let mut codec = Dict::new();
    for (key, words) in options {
        codec.set_named(key, words.split(',').collect::<Vec<_>>());
    }
    Dict::new().with("codec", codec)
}

fn audio(party: &str, formats: &str) -> String {
    let mut lines = vec![media("audio", party, formats)];
    for format in formats.split(' ') {
        let said: &[&str] = match format {
            "96" => &["a=rtpmap:96 opus/48000/2", "a=fmtp:96 useinbandfec=1;stereo=1"],
            "98" => &["a=rtpmap:98 telephone-event/48000"],
            "101" => &["a=rtpmap:101 telephone-event/8000", "a=fmtp:101 0-15"],
            _ => &[],
        };
        lines.extend(said.iter().map(|line| (*line).to_owned()));
    }
    sdp(&lines.iter().map(String::as_str).collect::<Vec<_>>())
}
