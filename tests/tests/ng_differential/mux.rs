//! RTCP on the RTP port (RFC 5761): who offers it, who takes it, what the lines say.

use patchcord_ng::Dict;
use patchcord_tests::ng::{Scenario, Setup, Stage};

use patchcord_tests::ng::descriptions::{audio, muxed};

pub(crate) const SCENARIOS: &[Scenario] = &[
    plain("muxed RTCP passes", |stage| combinations(stage, &[])),
    plain("muxed RTCP is offered", |stage| combinations(stage, &["offer"])),
    plain("muxed RTCP is required", |stage| combinations(stage, &["require"])),
    plain("muxed RTCP is split", |stage| combinations(stage, &["demux"])),
    plain("muxed RTCP is accepted", |stage| combinations(stage, &["accept"])),
    plain("muxed RTCP is refused", |stage| combinations(stage, &["reject"])),
    plain("muxed RTCP is split and accepted", |stage| combinations(stage, &["demux", "accept"])),
    plain("muxed RTCP is offered and split", |stage| combinations(stage, &["offer", "demux"])),
    plain("muxed RTCP is offered and accepted", |stage| combinations(stage, &["offer", "accept"])),
    plain("an answer's word about muxed RTCP counts for nothing", |stage| {
        stage.parties(["a", "b"]);
        for word in ["offer", "require", "demux", "accept", "reject"] {
            for answer in [audio("b"), muxed("b")] {
                stage.next_call();
                stage.offer("a", &muxed("a"));
                stage.answer_with("a b", &answer, Dict::new().with("rtcp-mux", vec![word]));
            }
        }
    }),
];

/// Both sides with and without it; then re-offers of each side, with and without the flag.
fn combinations(stage: &mut Stage, words: &[&str]) {
    stage.parties(["a", "b"]);
    let more = || if words.is_empty() { Dict::new() } else { Dict::new().with("rtcp-mux", words.to_vec()) };
    for (offer, answer) in [(false, false), (false, true), (true, false), (true, true)] {
        let side = |party, mux| if mux { muxed(party) } else { audio(party) };
        stage.next_call();
        stage.offer_with("a", &side("a", offer), more());
        stage.answer("a b", &side("b", answer));
        stage.offer_with("a b", &side("a", offer), more());
        stage.answer("a b", &side("b", answer));
        if !words.is_empty() && (!offer || !answer) {
            // rtpengine may have taken a single port, and takes other ones as soon as RTCP needs one of its own.
            continue;
        }
        stage.offer("a b", &side("a", offer));
        stage.answer("a b", &side("b", answer));
        stage.offer("b a", &side("b", answer));
        stage.answer("b a", &side("a", offer));
    }
}

const fn plain(name: &'static str, run: fn(&mut Stage)) -> Scenario {
    Scenario { name, setup: Setup::Plain, run }
}
