//! Flags about sources: strict source, media handover, asymmetric; and strangers.

use patchcord_ng::Dict;
use patchcord_tests::ng::{Packet, Scenario, Setup, Stage};

use patchcord_tests::ng::descriptions::audio;

pub(crate) const SCENARIOS: &[Scenario] = &[
    plain("a stranger after the party", |stage| strangers(stage, &[], &["a", "x", "a"])),
    plain("a stranger before the party", |stage| strangers(stage, &[], &["x", "a", "a"])),
    plain("strict source: a stranger after the party", |stage| strangers(stage, &["strict source"], &["a", "x", "a"])),
    plain("media handover", |stage| strangers(stage, &["media handover"], &["a", "x", "a", "x"])),
    plain("asymmetric: media goes to the signalled address only", |stage| {
        strangers(stage, &["asymmetric"], &["a", "a"]);
    }),
    plain("the source of the signalling", |stage| {
        stage.parties(["b"]);
        stage.party_at("a", [127, 0, 0, 5].into());
        let more =
            Dict::new().with("flags", vec!["SIP source address"]).with("received-from", vec!["IP4", "127.0.0.5"]);
        let offered = stage.offer_with("a", &audio("a").replace("127.0.0.1", "10.255.255.1"), more);
        let answered = stage.answer("a b", &audio("b"));
        stage.send("b", Packet::Rtp(0), offered.port());
        stage.send("a", Packet::Rtp(0), answered.port());
        stage.send("b", Packet::Rtp(0), offered.port());
    }),
    plain("the source of the signalling is not asked for", |stage| {
        stage.parties(["a", "b"]);
        let more = Dict::new().with("received-from", vec!["IP4", "127.0.0.5"]);
        let offered = stage.offer_with("a", &audio("a"), more);
        stage.answer("a b", &audio("b"));
        stage.send("b", Packet::Rtp(0), offered.port());
    }),
];

/// a calls b with these flags; then these send to a's port one after the other, and b after each.
fn strangers(stage: &mut Stage, flags: &[&str], senders: &[&'static str]) {
    stage.parties(["a", "b"]);
    stage.party_at("x", [127, 0, 0, 2].into());
    let more = || Dict::new().with("flags", flags.to_vec());
    let offered = stage.offer_with("a", &audio("a"), more());
    let answered = stage.answer_with("a b", &audio("b"), more());
    for sender in senders {
        stage.send(sender, Packet::Rtp(0), answered.port());
        stage.send("b", Packet::Rtp(0), offered.port());
    }
}

const fn plain(name: &'static str, run: fn(&mut Stage)) -> Scenario {
    Scenario { name, setup: Setup::Plain, run }
}
