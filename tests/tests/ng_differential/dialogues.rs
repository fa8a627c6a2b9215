//! Branches, forks, tags that nobody knows.

use patchcord_ng::Dict;
use patchcord_tests::ng::{Packet, Scenario, Setup, Stage};

use patchcord_tests::ng::descriptions::{audio, sdp};

pub(crate) const SCENARIOS: &[Scenario] = &[
    plain("an answer to no offer", |stage| {
        stage.parties(["b"]);
        stage.answer("a b", &audio("b"));
    }),
    plain("a to-tag that nobody knows yet", |stage| {
        stage.parties(["a", "b"]);
        stage.offer("a b", &audio("a"));
        stage.answer("a b", &audio("b"));
        stage.offer("b a", &audio("b"));
    }),
    plain("two answers to one offer, the last one wins", |stage| {
        stage.parties(["a", "b", "c"]);
        let offered = stage.offer("a", &audio("a"));
        let first = stage.answer("a b", &audio("b"));
        let second = stage.answer("a c", &audio("c"));
        for port in [first.port(), second.port()] {
            stage.send("a", Packet::Rtp(0), port);
        }
        stage.send("b", Packet::Rtp(0), offered.port());
        stage.answer("a b", &audio("b"));
        stage.send("a", Packet::Rtp(0), first.port());
    }),
    plain("two answers from one address", |stage| {
        stage.parties(["a", "b"]);
        stage.offer("a", &audio("a"));
        stage.answer("a b", &audio("b"));
        stage.answer("a c", &audio("b"));
    }),
    plain("a fork with a branch for each phone", |stage| {
        let ports = fork(stage);
        everybody_sends(stage, &ports);
    }),
    plain("a fork whose first branch fails before it answers", |stage| {
        stage.parties(["a", "b", "c"]);
        stage.offer_with("a", &audio("a"), branch("1"));
        stage.offer_with("a", &audio("a"), branch("2"));
        quietly(stage, "delete", "a", branch("1"));
        let answered = stage.answer_with("a c", &audio("c"), branch("2"));
        stage.send("a", Packet::Rtp(0), answered.port());
    }),
    plain("a fork whose first branch fails after it answered", |stage| {
        let ports = fork(stage);
        quietly(stage, "delete", "a b", Dict::new().with("delete-delay", 0_i64));
        stage.send("a", Packet::Rtp(0), &ports[3]);
        stage.send("c", Packet::Rtp(0), &ports[1]);
        stage.offer("a c", &audio("a"));
        stage.answer("a c", &audio("c"));
    }),
    plain("a fork answered without its branch", |stage| {
        stage.parties(["a", "b"]);
        stage.offer_with("a", &audio("a"), branch("1"));
        stage.offer_with("a", &audio("a"), branch("2"));
        let answered = stage.answer("a b", &audio("b"));
        stage.send("a", Packet::Rtp(0), answered.port());
    }),
    plain("another to-tag within a call", |stage| {
        stage.parties(["a", "b", "c"]);
        let offered = stage.offer("a", &audio("a"));
        let answered = stage.answer("a b", &audio("b"));
        let again = stage.offer("a c", &audio("a"));
        stage.send("a", Packet::Rtp(0), answered.port());
        stage.send("b", Packet::Rtp(0), offered.port());
        let moved = stage.answer("a c", &audio("c"));
        stage.send("a", Packet::Rtp(0), moved.port());
        stage.send("c", Packet::Rtp(0), again.port());
        stage.offer("b a", &audio("b"));
    }),
    plain("another from-tag within a call", |stage| {
        stage.parties(["a", "b", "c"]);
        stage.offer("a", &audio("a"));
        stage.answer("a b", &audio("b"));
        let offered = stage.offer("c b", &audio("c"));
        let answered = stage.answer("c b", &audio("b"));
        stage.send("c", Packet::Rtp(0), answered.port());
        stage.send("b", Packet::Rtp(0), offered.port());
    }),
    plain("tags the wrong way round in an answer within a call", |stage| {
        stage.parties(["a", "b"]);
        stage.offer("a", &audio("a"));
        stage.answer("a b", &audio("b"));
        stage.answer("b a", &audio("a"));
    }),
    plain("a transfer by re-INVITE: the callee's place is taken", |stage| {
        stage.parties(["a", "b", "c"]);
        let offered = stage.offer("a", &audio("a"));
        let answered = stage.answer("a b", &audio("b"));
        stage.send("a", Packet::Rtp(0), answered.port());
        stage.offer("a b", &audio("a"));
        let moved = stage.answer("a b", &audio("c"));
        stage.send("a", Packet::Rtp(0), answered.port());
        stage.send("a", Packet::Rtp(0), moved.port());
        stage.send("c", Packet::Rtp(0), offered.port());
    }),
    plain("two calls do not know each other", |stage| {
        stage.parties(["a", "b"]);
        stage.offer("a", &audio("a"));
        stage.next_call();
        stage.answer("a b", &audio("b"));
        stage.offer("a", &audio("a"));
        stage.answer("a b", &audio("b"));
    }),
    plain("nothing offered, nothing answered", |stage| {
        let nothing = sdp(&["m=audio 0 RTP/AVP 0"]);
        stage.offer("a", &nothing);
        stage.answer("a b", &nothing);
    }),
];

/// a calls b and c; ports: towards b, towards c, towards a as b's peer, and as c's.
fn fork(stage: &mut Stage) -> [String; 4] {
    stage.parties(["a", "b", "c"]);
    let offers = ["1", "2"].map(|name| stage.offer_with("a", &audio("a"), branch(name)).port().to_owned());
    let first = stage.answer_with("a b", &audio("b"), branch("1")).port().to_owned();
    let second = stage.answer_with("a c", &audio("c"), branch("2")).port().to_owned();
    let [to_b, to_c] = offers;
    [to_b, to_c, first, second]
}

fn everybody_sends(stage: &mut Stage, ports: &[String; 4]) {
    stage.send("a", Packet::Rtp(0), &ports[2]);
    stage.send("a", Packet::Rtp(0), &ports[3]);
    stage.send("b", Packet::Rtp(0), &ports[0]);
    stage.send("c", Packet::Rtp(0), &ports[1]);
}

fn branch(name: &str) -> Dict {
    Dict::new().with("via-branch", format!("z9hG4bK{name}"))
}

/// A command whose reply is known from its result.
fn quietly(stage: &mut Stage, command: &str, tags: &str, more: Dict) {
    stage.command_for_result(command, tags, more);
}

const fn plain(name: &'static str, run: fn(&mut Stage)) -> Scenario {
    Scenario { name, setup: Setup::Plain, run }
}
