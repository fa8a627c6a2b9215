//! ICE (RFC 8445) in session descriptions.

use patchcord_ng::Dict;
use patchcord_tests::ng::{Scenario, Setup, Stage};

use patchcord_tests::ng::descriptions::{audio, audio_with};

pub(crate) const SCENARIOS: &[Scenario] = &[
    plain("ICE by default", |stage| combinations(stage, None)),
    plain("ICE by default, said so", |stage| combinations(stage, Some("default"))),
    plain("ICE removed", |stage| combinations(stage, Some("remove"))),
    plain("ICE forced", |stage| combinations(stage, Some("force"))),
    plain("ICE re-offers, and a changed remote port", |stage| {
        stage.parties(["a", "b", "a2"]);
        stage.offer("a", &ice("a", "aaaa"));
        stage.answer("a b", &ice("b", "bbbb"));
        stage.offer("a b", &ice("a", "aaaa"));
        stage.answer("a b", &ice("b", "bbbb"));
        stage.offer("a b", &ice("a2", "aaaa"));
        stage.answer("a b", &ice("b", "bbbb"));
    }),
    plain("ICE with muxed RTCP and trickled candidates", |stage| {
        stage.parties(["a", "b"]);
        let trickled =
            |party, ufrag| ice(party, ufrag) + "a=rtcp-mux\r\na=ice-options:trickle\r\na=end-of-candidates\r\n";
        stage.offer("a", &trickled("a", "aaaa"));
        stage.answer("a b", &trickled("b", "bbbb"));
        stage.offer("a b", &trickled("a", "aaaa"));
        stage.answer("a b", &trickled("b", "bbbb"));
    }),
    plain("ICE of a light agent", |stage| {
        stage.parties(["a", "b"]);
        stage.offer("a", &ice("a", "aaaa").replace("t=0 0\r\n", "t=0 0\r\na=ice-lite\r\n"));
        stage.answer("a b", &ice("b", "bbbb"));
    }),
    plain("ICE said once for all sections", |stage| {
        stage.parties(["a"]);
        let session = "t=0 0\r\na=ice-ufrag:aaaa\r\na=ice-pwd:abcdefghijklmnopqrstuvwx\r\n";
        let candidate = ["a=candidate:1 1 UDP 2130706431 127.0.0.1 {a} typ host"];
        stage.offer("a", &audio_with("a", &candidate).replace("t=0 0\r\n", session));
    }),
];

/// Both sides with and without it, and a re-offer.
fn combinations(stage: &mut Stage, word: Option<&str>) {
    stage.parties(["a", "b"]);
    let more = || word.map_or_else(Dict::new, |word| Dict::new().with("ICE", word));
    for (offer, answer) in [(false, false), (false, true), (true, false), (true, true)] {
        let side = |party, with| if with { ice(party, "abcd") } else { audio(party) };
        stage.next_call();
        stage.offer_with("a", &side("a", offer), more());
        stage.answer_with("a b", &side("b", answer), more());
        stage.offer_with("a b", &side("a", offer), more());
    }
}

fn ice(party: &str, ufrag: &str) -> String {
    let lines = [
        format!("a=ice-ufrag:{ufrag}"),
        format!("a=ice-pwd:abcdefghijklmnopqrst{ufrag}"),
        format!("a=candidate:1 1 UDP 2130706431 127.0.0.1 {{{party}}} typ host"),
        format!("a=candidate:1 2 UDP 2130706430 127.0.0.1 {{{party}+1}} typ host"),
    ];
    audio_with(party, &lines.each_ref().map(String::as_str))
}

const fn plain(name: &'static str, run: fn(&mut Stage)) -> Scenario {
    Scenario { name, setup: Setup::Plain, run }
}
