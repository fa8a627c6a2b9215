//! How a party's real address is found out, by the modes of `--endpoint-learning`.

use patchcord_tests::ng::{Packet, Scenario, Setup, Stage};

use patchcord_tests::ng::descriptions::audio;

pub(crate) const SCENARIOS: &[Scenario] = &[
    with("the signalled address, delayed", "delayed", signalled),
    with("the signalled address, heuristic", "heuristic", signalled),
    with("the signalled address, immediate", "immediate", signalled),
    with("the signalled address, off", "off", signalled),
    with("behind NAT, delayed", "delayed", behind_nat),
    with("behind NAT, heuristic", "heuristic", behind_nat),
    with("behind NAT, immediate", "immediate", behind_nat),
    with("the better address wins, heuristic", "heuristic", |stage| {
        stage.parties(["a", "b", "n"]);
        stage.party_at("x", [127, 0, 0, 2].into());
        let [towards_b, towards_a] = call(stage);
        for party in ["x", "n", "a"] {
            stage.send(party, Packet::Rtp(0), &towards_a);
            stage.send("b", Packet::Rtp(0), &towards_b);
        }
    }),
    with("the first packet wins, immediate", "immediate", |stage| {
        stage.parties(["a", "b", "n"]);
        let [towards_b, towards_a] = call(stage);
        stage.send("n", Packet::Rtp(0), &towards_a);
        stage.send("b", Packet::Rtp(0), &towards_b);
    }),
    with("nothing is learnt, off", "off", |stage| {
        stage.parties(["a", "b", "n"]);
        let [towards_b, towards_a] = call(stage);
        stage.send("n", Packet::Rtp(0), &towards_a);
        stage.send("b", Packet::Rtp(0), &towards_b);
        stage.send("a", Packet::Rtp(0), &towards_a);
        stage.send("b", Packet::Rtp(0), &towards_b);
    }),
    with("a new address after a re-offer, delayed", "delayed", |stage| {
        stage.parties(["a", "b", "a2"]);
        let [towards_b, towards_a] = call(stage);
        stage.send("a", Packet::Rtp(0), &towards_a);
        stage.send("b", Packet::Rtp(0), &towards_b);
        let moved = stage.offer("a b", &audio("a2"));
        stage.answer("a b", &audio("b"));
        stage.send("b", Packet::Rtp(0), moved.port());
        stage.send("a2", Packet::Rtp(0), &towards_a);
        stage.send("b", Packet::Rtp(0), moved.port());
    }),
];

/// Both send from where they said.
fn signalled(stage: &mut Stage) {
    stage.parties(["a", "b"]);
    let [towards_b, towards_a] = call(stage);
    for _ in 0..2 {
        stage.send("a", Packet::Rtp(0), &towards_a);
        stage.send("b", Packet::Rtp(0), &towards_b);
    }
}

/// a sends from another port than it said, and only from there.
fn behind_nat(stage: &mut Stage) {
    stage.parties(["a", "b", "n"]);
    let [towards_b, towards_a] = call(stage);
    stage.send("b", Packet::Rtp(0), &towards_b);
    for _ in 0..2 {
        stage.send("n", Packet::Rtp(0), &towards_a);
        stage.send("b", Packet::Rtp(0), &towards_b);
    }
}

/// a calls b; ports towards b and towards a.
fn call(stage: &mut Stage) -> [String; 2] {
    let offered = stage.offer("a", &audio("a")).port().to_owned();
    [offered, stage.answer("a b", &audio("b")).port().to_owned()]
}

const fn with(name: &'static str, mode: &'static str, run: fn(&mut Stage)) -> Scenario {
    Scenario { name, setup: Setup::Learning(mode), run }
}
