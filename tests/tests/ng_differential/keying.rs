//! Keys in session descriptions: SDES (RFC 4568), DTLS (RFC 5763), and what is told to whom where the two sides speak different
//! protocols. The keys themselves and our fingerprints are symbols.

use patchcord_ng::Dict;
use patchcord_tests::ng::{Scenario, Setup, Stage};

use patchcord_tests::ng::descriptions::{audio, media, sdp};

pub(crate) const SCENARIOS: &[Scenario] = &[
    plain("keys: DTLS offered by way of RTP", |stage| {
        stage.parties(["a", "b"]);
        for setup in ["active", "passive"] {
            stage.next_call();
            stage.offer_with("a", &audio("a"), towards(DTLS));
            stage.answer("a b", &dtls("b", setup));
            stage.offer_with("a b", &audio("a"), towards(DTLS));
            stage.answer("a b", &dtls("b", setup));
            stage.offer_with("b a", &dtls("b", "actpass"), towards("RTP/AVP"));
            stage.answer("b a", &audio("a"));
        }
    }),
    plain("keys: DTLS to RTP", |stage| {
        stage.parties(["a", "b"]);
        for setup in ["actpass", "active", "passive"] {
            stage.next_call();
            stage.offer_with("a", &dtls("a", setup), towards("RTP/AVP"));
            stage.answer("a b", &audio("b"));
            stage.offer_with("a b", &dtls("a", setup), towards("RTP/AVP"));
            stage.answer("a b", &audio("b"));
        }
    }),
    plain("keys: DTLS offered, and on both sides", |stage| {
        stage.parties(["a", "b"]);
        stage.offer("a", &dtls("a", "actpass"));
        stage.answer("a b", &dtls("b", "active"));
    }),
    plain("keys: DTLS offered with a part of its own, and another hash", |stage| {
        stage.parties(["a", "b"]);
        for (name, value) in [("DTLS", "passive"), ("DTLS", "active"), ("DTLS-fingerprint", "sha-1")] {
            stage.next_call();
            stage.offer_with("a", &audio("a"), towards(DTLS).with(name, value));
        }
    }),
    plain("keys: SDES to RTP", |stage| {
        stage.parties(["a", "b"]);
        stage.offer_with("a", &sdes("a"), towards("RTP/AVP"));
        stage.answer("a b", &audio("b"));
        stage.offer_with("a b", &sdes("a"), towards("RTP/AVP"));
        stage.answer("a b", &audio("b"));
    }),
    plain("keys: RTP to SDES", |stage| {
        stage.parties(["a", "b"]);
        stage.offer_with("a", &audio("a"), towards("RTP/SAVP").with("DTLS", "off"));
    }),
];

const DTLS: &str = "UDP/TLS/RTP/SAVP";

const FINGERPRINT: &str = "a=fingerprint:sha-256 \
    00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF";

fn towards(protocol: &str) -> Dict {
    Dict::new().with("transport-protocol", protocol)
}

fn dtls(party: &str, setup: &str) -> String {
    let line = media("audio", party, "0").replace("RTP/AVP", DTLS);
    sdp(&[&line, &format!("a=setup:{setup}"), FINGERPRINT])
}

fn sdes(party: &str) -> String {
    let line = media("audio", party, "0").replace("RTP/AVP", "RTP/SAVP");
    sdp(&[&line, "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj"])
}

const fn plain(name: &'static str, run: fn(&mut Stage)) -> Scenario {
    Scenario { name, setup: Setup::Plain, run }
}
