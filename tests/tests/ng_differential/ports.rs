//! Which local ports a call gets, and when they change.

use patchcord_ng::Dict;
use patchcord_tests::ng::{Scenario, Setup, Stage};

use patchcord_tests::ng::descriptions::{audio, audio_at, audio_with, media, sdp};

pub(crate) const SCENARIOS: &[Scenario] = &[
    plain("a call", |stage| {
        stage.parties(["a", "b"]);
        call(stage);
    }),
    plain("a re-offer of what is known keeps the ports", |stage| {
        stage.parties(["a", "b"]);
        call(stage);
        again(stage, &audio("a"), &audio("b"));
        again(stage, &audio("a"), &audio("b"));
    }),
    plain("a changed remote port changes the local port of the other side", |stage| {
        stage.parties(["a", "b", "a2"]);
        call(stage);
        again(stage, &audio("a2"), &audio("b"));
        again(stage, &audio("a2"), &audio("b"));
        again(stage, &audio("a"), &audio("b"));
    }),
    plain("a changed remote address changes the local port of the other side", |stage| {
        stage.parties(["a", "b"]);
        call(stage);
        again(stage, &audio_at("127.0.0.2", "a"), &audio("b"));
        again(stage, &audio("a"), &audio("b"));
    }),
    plain("an answer may change the remote side as well", |stage| {
        stage.parties(["a", "b", "b2"]);
        call(stage);
        again(stage, &audio("a"), &audio("b2"));
        again(stage, &audio("a"), &audio_at("127.0.0.2", "b"));
        again(stage, &audio("a"), &audio("b"));
    }),
    plain("a changed port counts on hold as well", |stage| {
        stage.parties(["a", "b", "a2", "a3", "a4"]);
        call(stage);
        for (party, direction) in [("a2", "a=sendonly"), ("a3", "a=inactive"), ("a4", "a=recvonly")] {
            again(stage, &audio_with(party, &[direction]), &audio("b"));
        }
    }),
    plain("hold by direction and resume", |stage| {
        stage.parties(["a", "b"]);
        call(stage);
        again(stage, &audio_with("a", &["a=sendonly"]), &audio_with("b", &["a=recvonly"]));
        again(stage, &audio("a"), &audio("b"));
        again(stage, &audio_with("a", &["a=inactive"]), &audio_with("b", &["a=inactive"]));
        again(stage, &audio_with("a", &["a=sendrecv"]), &audio_with("b", &["a=sendrecv"]));
    }),
    plain("hold by address zero and resume", |stage| {
        stage.parties(["a", "b"]);
        call(stage);
        again(stage, &audio_at("0.0.0.0", "a"), &audio("b"));
        again(stage, &audio("a"), &audio("b"));
    }),
    plain("an offer with address zero from the beginning", |stage| {
        stage.parties(["a", "b"]);
        stage.offer("a", &audio_at("0.0.0.0", "a"));
        stage.answer("a b", &audio("b"));
        again(stage, &audio("a"), &audio("b"));
    }),
    plain("port zero and back", |stage| {
        stage.parties(["a", "b"]);
        call(stage);
        let none = sdp(&["m=audio 0 RTP/AVP 0 8"]);
        again(stage, &none, &none);
        again(stage, &audio("a"), &audio("b"));
    }),
    plain("port latching keeps the local port", |stage| {
        stage.parties(["a", "b", "a2"]);
        call(stage);
        stage.offer_with("a b", &audio("a2"), Dict::new().with("flags", vec!["port latching"]));
        stage.answer("a b", &audio("b"));
    }),
    plain("re-offers of the callee", |stage| {
        stage.parties(["a", "b", "b2"]);
        call(stage);
        for party in ["b", "b2"] {
            stage.offer("b a", &audio(party));
            stage.answer("b a", &audio("a"));
        }
        again(stage, &audio("a"), &audio("b2"));
    }),
    plain("a late offer", |stage| {
        stage.parties(["a", "b"]);
        stage.offer("b a", &audio("b"));
        stage.answer("b a", &audio("a"));
        again(stage, &audio("a"), &audio("b"));
    }),
    plain("a late offer within a call", |stage| {
        stage.parties(["a", "b"]);
        call(stage);
        stage.offer("b a", &audio("b"));
        stage.answer("b a", &audio("a"));
        again(stage, &audio("a"), &audio("b"));
    }),
    plain("offers and answers that come twice", |stage| {
        stage.parties(["a", "b"]);
        stage.offer("a", &audio("a"));
        stage.offer("a", &audio("a"));
        stage.answer("a b", &audio("b"));
        stage.answer("a b", &audio("b"));
        stage.offer("a", &audio("a"));
    }),
    plain("media added, removed and added again", |stage| {
        stage.parties(["a", "b", "av", "bv"]);
        let video = |party, video| sdp(&[&media("audio", party, "0"), &media("video", video, "96"), VP8]);
        let refused = |party| sdp(&[&media("audio", party, "0"), "m=video 0 RTP/AVP 96", VP8]);
        let sound = |party| sdp(&[&media("audio", party, "0")]);
        stage.offer("a", &sound("a"));
        stage.answer("a b", &sound("b"));
        again(stage, &video("a", "av"), &video("b", "bv"));
        again(stage, &refused("a"), &refused("b"));
        again(stage, &video("a", "av"), &video("b", "bv"));
    }),
    plain("more media in the answer than in the offer", |stage| {
        stage.parties(["a", "b", "bv"]);
        stage.offer("a", &audio("a"));
        stage.answer("a b", &sdp(&[&media("audio", "b", "0"), &media("video", "bv", "96"), VP8]));
    }),
    plain("less media in the answer than in the offer", |stage| {
        stage.parties(["a", "b", "av"]);
        stage.offer("a", &sdp(&[&media("audio", "a", "0"), &media("video", "av", "96"), VP8]));
        stage.answer("a b", &sdp(&[&media("audio", "b", "0")]));
    }),
    plain("media refused in the answer", |stage| {
        stage.parties(["a", "b", "av"]);
        stage.offer("a", &sdp(&[&media("audio", "a", "0"), &media("video", "av", "96"), VP8]));
        stage.answer("a b", &sdp(&[&media("audio", "b", "0"), "m=video 0 RTP/AVP 96"]));
    }),
    plain("all media refused in the answer", |stage| {
        stage.parties(["a", "b"]);
        stage.offer("a", &audio("a"));
        stage.answer("a b", &sdp(&["m=audio 0 RTP/AVP 0"]));
    }),
];

const VP8: &str = "a=rtpmap:96 VP8/90000";

const fn plain(name: &'static str, run: fn(&mut Stage)) -> Scenario {
    Scenario { name, setup: Setup::Plain, run }
}

/// a calls b.
fn call(stage: &mut Stage) {
    stage.offer("a", &audio("a"));
    stage.answer("a b", &audio("b"));
}

/// An offer of a to b, and its answer.
fn again(stage: &mut Stage, offer: &str, answer: &str) {
    stage.offer("a b", offer);
    stage.answer("a b", answer);
}
