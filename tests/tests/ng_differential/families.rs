//! IPv4 on one side, IPv6 on the other.

use std::net::{IpAddr, Ipv6Addr};

use patchcord_ng::Dict;
use patchcord_tests::ng::{Packet, Scenario, Setup, Stage};

use patchcord_tests::ng::descriptions::{audio, audio_at};

const LOCALHOST: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);

pub(crate) const SCENARIOS: &[Scenario] = &[
    plain("from IPv4 to IPv6", |stage| {
        stage.parties(["a"]);
        stage.party_at("b", LOCALHOST);
        let offered = stage.offer_with("a", &audio("a"), family("IP6"));
        let answered = stage.answer("a b", &audio_at("::1", "b"));
        stage.send("a", Packet::Rtp(0), answered.port());
        stage.send("b", Packet::Rtp(0), offered.port());
        stage.offer("a b", &audio("a"));
        stage.answer("a b", &audio_at("::1", "b"));
        stage.offer("b a", &audio_at("::1", "b"));
    }),
    plain("from IPv6 to IPv4, both said", |stage| {
        stage.parties(["b"]);
        stage.party_at("a", LOCALHOST);
        let offered = stage.offer_with("a", &audio_at("::1", "a"), family("IP4"));
        let answered = stage.answer_with("a b", &audio("b"), family("IP6"));
        stage.send("a", Packet::Rtp(0), answered.port());
        stage.send("b", Packet::Rtp(0), offered.port());
    }),
    plain("IPv6 on both sides", |stage| {
        stage.party_at("a", LOCALHOST);
        stage.party_at("b", LOCALHOST);
        let offered = stage.offer("a", &audio_at("::1", "a"));
        let answered = stage.answer("a b", &audio_at("::1", "b"));
        stage.send("a", Packet::Rtp(0), answered.port());
        stage.send("b", Packet::Rtp(0), offered.port());
        stage.send("b", Packet::Rtcp, &format!("{}+1", offered.port()));
    }),
    plain("address zero of IPv6", |stage| {
        stage.party_at("a", LOCALHOST);
        stage.offer("a", &audio_at("::1", "a"));
        stage.offer("a", &audio_at("::", "a"));
    }),
];

fn family(name: &str) -> Dict {
    Dict::new().with("address family", name)
}

const fn plain(name: &'static str, run: fn(&mut Stage)) -> Scenario {
    Scenario { name, setup: Setup::Plain, run }
}
