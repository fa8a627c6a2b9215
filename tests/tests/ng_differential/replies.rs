//! Delete and query: what they do and what they tell.

use patchcord_ng::Dict;
use patchcord_tests::ng::{Packet, Scenario, Setup, Stage};

use patchcord_tests::ng::descriptions::audio;

pub(crate) const SCENARIOS: &[Scenario] = &[
    plain("a call that nobody knows is deleted", |stage| {
        stage.command("delete", "a", Dict::new());
        stage.command("delete", "a", Dict::new().with("flags", vec!["fatal"]));
        stage.parties(["a"]);
        stage.offer("a", &audio("a"));
        stage.command("delete", "nobody", Dict::new());
        stage.command("delete", "nobody", Dict::new().with("flags", vec!["fatal"]));
        stage.command("query", "nobody", Dict::new());
    }),
    plain("whose delete ends a call", |stage| {
        stage.parties(["a", "b"]);
        for tags in ["", "a", "b", "a b", "b a", "- b", "nobody b", "nobody", "a nobody"] {
            stage.next_call();
            call(stage);
            stage.command_for_result("delete", tags, Dict::new().with("delete-delay", 0_i64));
            stage.command_for_result("query", "", Dict::new());
        }
    }),
    plain("a delete with a branch", |stage| {
        stage.parties(["a", "b"]);
        call(stage);
        let more = Dict::new().with("via-branch", "nobody's").with("delete-delay", 0_i64);
        stage.command_for_result("delete", "a", more);
        stage.command_for_result("query", "", Dict::new());
    }),
    plain("a delete that waits, and an offer that calls it off", |stage| {
        stage.parties(["a", "b"]);
        let [towards_b, towards_a] = call(stage);
        stage.command_for_result("delete", "a", Dict::new());
        stage.command_for_result("query", "", Dict::new());
        stage.send("a", Packet::Rtp(0), &towards_a);
        stage.send("b", Packet::Rtp(0), &towards_b);
        stage.offer("a b", &audio("a"));
        stage.answer("a b", &audio("b"));
    }),
    plain("a query", |stage| {
        stage.parties(["a", "b"]);
        let [towards_b, towards_a] = call(stage);
        stage.send("a", Packet::Rtp(0), &towards_a);
        stage.send("a", Packet::Rtp(0), &towards_a);
        stage.send("b", Packet::Rtp(0), &towards_b);
        stage.send("b", Packet::Rtcp, &format!("{towards_b}+1"));
        stage.command("query", "", Dict::new());
    }),
    plain("a query of an offer that nobody has answered", |stage| {
        stage.parties(["a"]);
        stage.offer_with("a", &audio("a"), Dict::new().with("label", "caller"));
        stage.command("query", "a", Dict::new());
    }),
    plain("a delete tells what a query told", |stage| {
        stage.parties(["a", "b"]);
        let [_, towards_a] = call(stage);
        stage.send("a", Packet::Rtp(0), &towards_a);
        stage.command("delete", "a", Dict::new().with("delete-delay", 0_i64));
    }),
];

/// a calls b; ports towards b and towards a.
fn call(stage: &mut Stage) -> [String; 2] {
    let offered = stage.offer("a", &audio("a")).port().to_owned();
    [offered, stage.answer("a b", &audio("b")).port().to_owned()]
}

const fn plain(name: &'static str, run: fn(&mut Stage)) -> Scenario {
    Scenario { name, setup: Setup::Plain, run }
}
