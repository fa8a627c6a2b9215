//! Interfaces with names, one of which advertises another address.

use patchcord_ng::Dict;
use patchcord_tests::ng::{Packet, Scenario, Setup, Stage};

use patchcord_tests::ng::descriptions::{audio, audio_at, audio_with};

pub(crate) const SCENARIOS: &[Scenario] = &[
    with("without a direction the first interface is used", |stage| {
        stage.parties(["a", "b"]);
        stage.offer("a", &audio("a"));
        stage.answer("a b", &audio("b"));
    }),
    with("from int to ext", |stage| {
        stage.parties(["a", "b"]);
        let offered = stage.offer_with("a", &audio("a"), direction(&["int", "ext"]));
        let answered = stage.answer("a b", &audio("b"));
        stage.send("a", Packet::Rtp(0), answered.port());
        stage.send("b", Packet::Rtp(0), offered.port());
        stage.offer("b a", &audio("b"));
        stage.answer("b a", &audio("a"));
        stage.offer("a b", &audio("a"));
        stage.offer_with("a b", &audio("a"), direction(&["int", "ext"]));
    }),
    with("from ext to int", |stage| {
        stage.parties(["a", "b"]);
        stage.offer_with("a", &audio("a"), direction(&["ext", "int"]));
        stage.answer("a b", &audio("b"));
    }),
    with("from int to ext, and to IPv6", |stage| {
        stage.parties(["a"]);
        stage.party_at("b", std::net::Ipv6Addr::LOCALHOST.into());
        stage.offer_with("a", &audio("a"), direction(&["int", "ext"]).with("address-family", "IP6"));
        stage.answer("a b", &audio_at("::1", "b"));
    }),
    with("names of interfaces that nobody knows", |stage| {
        stage.parties(["a", "b"]);
        stage.offer_with("a", &audio("a"), direction(&["foo", "ext"]));
        stage.answer("a b", &audio("b"));
        stage.next_call();
        stage.offer_with("a", &audio("a"), direction(&["ext"]));
        stage.answer("a b", &audio("b"));
    }),
    with("an interface without the family", |stage| {
        stage.parties(["a"]);
        stage.offer_with("a", &audio("a"), direction(&["ext", "int"]).with("address-family", "IP6"));
    }),
    with("the origin has the advertised address too", |stage| {
        stage.parties(["a"]);
        stage.offer_with("a", &audio("a"), direction(&["int", "ext"]).with("replace", vec!["origin"]));
    }),
    with("ICE offers the addresses of the interface", |stage| {
        stage.parties(["a", "b"]);
        let ice = |party: &str| {
            let candidate = format!("a=candidate:1 1 UDP 2130706431 127.0.0.1 {{{party}}} typ host");
            audio_with(party, &["a=ice-ufrag:abcd", "a=ice-pwd:abcdefghijklmnopqrstuvwx", &candidate])
        };
        stage.offer_with("a", &ice("a"), direction(&["int", "ext"]));
        stage.answer("a b", &ice("b"));
    }),
];

fn direction(names: &[&str]) -> Dict {
    Dict::new().with("direction", names.to_vec())
}

const fn with(name: &'static str, run: fn(&mut Stage)) -> Scenario {
    Scenario { name, setup: Setup::Interfaces, run }
}
