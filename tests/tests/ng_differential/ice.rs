//! ICE (RFC 8445) in session descriptions, where a leg has one address: candidates are of that one here, and of all addresses of the
//! interface in rtpengine.

use patchcord_ng::Dict;
use patchcord_tests::ng::{Scenario, Setup, Stage};

use patchcord_tests::ng::descriptions::{audio, audio_with};

pub(crate) const SCENARIOS: &[Scenario] = &[
    plain("ICE by default", |stage| combinations(stage, None, &[false, true])),
    plain("ICE by default, said so", |stage| combinations(stage, Some("default"), &[false, true])),
    plain("ICE removed", |stage| combinations(stage, Some("remove"), &[false, true])),
    plain("ICE forced", |stage| combinations(stage, Some("force"), &[true])),
    plain("ICE forced upon who has not offered it", |stage| combinations(stage, Some("force"), &[false])),
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
    plain("ICE restarted by one side, and by the other", |stage| {
        stage.parties(["a", "b"]);
        stage.offer("a", &ice("a", "aaaa"));
        stage.answer("a b", &ice("b", "bbbb"));
        stage.offer("a b", &ice("a", "anew"));
        stage.answer("a b", &ice("b", "bbbb"));
        stage.offer("b a", &ice("b", "bnew"));
        stage.answer("b a", &ice("a", "anew"));
    }),
    plain("ICE rejected, or removed on one side", |stage| {
        stage.parties(["a", "b"]);
        let remove = || Dict::new().with("ICE", "remove");
        let reject = Dict::new().with("flags", vec!["reject-ICE"]);
        for (offer, answer) in [(reject, Dict::new()), (remove(), Dict::new()), (Dict::new(), remove())] {
            stage.next_call();
            stage.offer_with("a", &ice("a", "aaaa"), offer);
            stage.answer_with("a b", &ice("b", "bbbb"), answer);
        }
    }),
    plain("ICE candidates that follow", |stage| {
        stage.parties(["a", "b"]);
        stage.offer_with("a", &ice("a", "aaaa"), Dict::new().with("flags", vec!["trickle-ICE"]));
        stage.answer("a b", &ice("b", "bbbb"));
        let fragment = "a=ice-ufrag:aaaa\r\na=ice-pwd:abcdefghijklmnopqrstaaaa\r\nm=audio 9 RTP/AVP 0\r\n\
                        a=candidate:1 1 UDP 2130706431 127.0.0.1 {a} typ host\r\na=end-of-candidates\r\n";
        stage.offer_with("a b", fragment, Dict::new().with("flags", vec!["fragment"]));
        stage.offer("a b", fragment);
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

/// The offerer with or without it, the answerer with and without, and a re-offer.
fn combinations(stage: &mut Stage, word: Option<&str>, offers: &[bool]) {
    stage.parties(["a", "b"]);
    let more = || word.map_or_else(Dict::new, |word| Dict::new().with("ICE", word));
    for (offer, answer) in offers.iter().flat_map(|&offer| [(offer, false), (offer, true)]) {
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
    Scenario { name, setup: Setup::OneAddress, run }
}
