//! SRTP over both fronts: whose keys, which suites, what the parties are told, and that no key is in a log.

use patchcord_control::ErrorCode;
use patchcord_control::api::{Detail, LegSrtpDone, Secret};
use patchcord_srtp::Suite;
use patchcord_srtp::sdes::Crypto;
use serde_json::{Value, json};

use crate::relay::Relay;
use crate::stage::Stage;

/// What RFC 4568 has as an example.
const KEY: &str = "d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj";

fn command(fields: &Value) -> Value {
    let mut command = json!({"command": "leg-srtp", "party": "a"});
    command.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    command
}

async fn leg_srtp(relay: &Relay, fields: Value) -> LegSrtpDone {
    let outcome = relay.run(command(&fields)).await.unwrap();
    let Detail::Srtp(done) = outcome.detail else { panic!("{outcome:?}") };
    *done
}

async fn state(relay: &Relay) -> Option<(Option<String>, Option<String>)> {
    let call = relay.control.snapshot("c").await.unwrap();
    let srtp = call.legs[0].srtp.clone()?;
    Some((srtp.receive.map(|stream| stream.suite), srtp.send.map(|stream| stream.suite)))
}

#[tokio::test]
async fn our_key_is_chosen_for_the_suite_of_the_party_and_stays_while_the_suite_stays() {
    let relay = Relay::new();
    relay.call(&["a"]).await;
    let demanded = leg_srtp(&relay, json!({})).await;
    assert_eq!((demanded.send, demanded.receive_suite), (None, None));
    assert_eq!(state(&relay).await, Some((None, None)), "nothing passes as long as no key is known");

    let receive = format!("AES_CM_128_HMAC_SHA1_80 inline:{KEY}");
    let first = leg_srtp(&relay, json!({"receive": receive})).await;
    let send = first.send.clone().unwrap();
    assert!(send.as_str().starts_with("AES_CM_128_HMAC_SHA1_80 inline:"), "{}", send.as_str());
    assert!(!send.as_str().contains(KEY), "each side has a key of its own");
    let suite = Some("AES_CM_128_HMAC_SHA1_80".to_owned());
    assert_eq!(state(&relay).await, Some((suite.clone(), suite)));

    let again = leg_srtp(&relay, json!({"receive": format!("7 {receive}")})).await;
    assert_eq!(again.send, first.send, "the tag of a line is no part of its key");
    let other = leg_srtp(&relay, json!({"suite": "AEAD_AES_256_GCM"})).await;
    assert_ne!(other.send, first.send);
    assert!(other.send.clone().unwrap().as_str().starts_with("AEAD_AES_256_GCM inline:"));
    let given = leg_srtp(&relay, json!({"send": receive})).await;
    assert_eq!(given.send.as_ref().map(Secret::as_str), Some(receive.as_str()));
    assert!(!format!("{given:?} {:?}", command(&json!({}))).contains(KEY), "a key is in no log");

    let off = relay.run(command(&json!({"enabled": false}))).await.unwrap();
    assert!(matches!(off.detail, Detail::Done(_)), "{off:?}");
    assert_eq!(state(&relay).await, None);
}

#[tokio::test]
async fn what_does_not_protect_and_what_is_no_key_is_refused() {
    let relay = Relay::new();
    relay.call(&["a"]).await;
    let good = format!("AES_CM_128_HMAC_SHA1_80 inline:{KEY}");
    for (fields, part) in [
        (json!({"suite": "NULL_HMAC_SHA1_80"}), "srtp.allow_weak"),
        (json!({"receive": format!("{good} UNENCRYPTED_SRTP")}), "srtp.allow_weak"),
        (json!({"receive": format!("F8_128_HMAC_SHA1_80 inline:{KEY}")}), "srtp.allow_weak"),
        (json!({"suite": "ROT13"}), "unknown crypto-suite"),
        (json!({"receive": format!("AES_256_CM_HMAC_SHA1_80 inline:{KEY}")}), "takes 46 bytes"),
        (json!({"receive": "AES_CM_128_HMAC_SHA1_80"}), "needs a tag, a suite and a key"),
        (json!({"send": good, "suite": "AEAD_AES_128_GCM"}), "leave one of them out"),
        (json!({"enabled": false, "send": good}), "without SRTP there are no keys"),
    ] {
        let error = relay.run(command(&fields)).await.unwrap_err();
        assert_eq!(error.code, ErrorCode::BadSrtp, "{fields}");
        assert!(error.message.contains(part), "{fields}: {error}");
        assert!(!error.message.contains(KEY), "a key is in {error}");
        assert_eq!(state(&relay).await, None, "{fields}");
    }
}

impl Stage {
    async fn refused(&self, command: &str, to: Option<&str>, sdp: &str, flags: &[&str]) -> String {
        let reply = self.ask(command, "a", to, sdp, flags).await;
        assert_eq!(reply.text("result").as_deref(), Some("error"), "{reply:?}");
        reply.text("error-reason").unwrap().into_owned()
    }

    /// Suites that a party sends and is sent; `None`: it speaks RTP, or something unread.
    async fn suites(&self, party: &str) -> Option<(Option<String>, Option<String>)> {
        let call = self.relay.control.snapshot("c").await.unwrap();
        let leg = call.legs.iter().find(|leg| *leg.party == *party).unwrap_or_else(|| panic!("no {party}"));
        let srtp = leg.srtp.clone()?;
        Some((srtp.receive.map(|stream| stream.suite), srtp.send.map(|stream| stream.suite)))
    }
}

/// What an SDP that a party is told says of SRTP.
trait Told {
    fn protocol(&self) -> &str;
    fn keys(&self) -> Vec<Crypto>;
    fn suites(&self) -> Vec<Suite>;
}

impl Told for String {
    fn protocol(&self) -> &str {
        let line = self.lines().find(|line| line.starts_with("m=")).unwrap();
        line.split(' ').nth(2).unwrap()
    }

    fn keys(&self) -> Vec<Crypto> {
        let values = self.lines().filter_map(|line| line.strip_prefix("a=crypto:"));
        values.map(|value| Crypto::parse(value).unwrap_or_else(|error| panic!("{value}: {error}"))).collect()
    }

    fn suites(&self) -> Vec<Suite> {
        self.keys().iter().map(|key| key.key.suite()).collect()
    }
}

fn sdp(port: u16, protocol: &str, keys: &[&str]) -> String {
    let keys: String = keys.iter().map(|key| format!("a=crypto:{key}\r\n")).collect();
    format!(
        "v=0\r\no=- 1 1 IN IP4 192.0.2.{ip}\r\ns=-\r\nc=IN IP4 192.0.2.{ip}\r\nt=0 0\r\nm=audio {port} {protocol} 0\r\n{keys}",
        ip = port / 1000
    )
}

/// The line of a party that takes a key that it was offered.
fn taken(offered: &Crypto) -> String {
    let suite = offered.key.suite();
    let bytes: Vec<u8> = (0..suite.key_len() + suite.salt_len()).map(|at| at as u8).collect();
    let key = patchcord_srtp::MasterKey::new(suite, &bytes).unwrap();
    Crypto { tag: offered.tag, key, mki: None, protections: offered.protections }.to_value(true).to_string()
}

const AES: &str = "AES_CM_128_HMAC_SHA1_80";

fn both(suite: &str) -> Option<(Option<String>, Option<String>)> {
    Some((Some(suite.to_owned()), Some(suite.to_owned())))
}

#[tokio::test]
async fn a_plain_party_is_put_through_to_a_secured_one() {
    let stage = Stage::new(|_| ());
    let told = stage.offer(&sdp(4000, "RTP/AVP", &[]), &["transport-protocol=RTP/SAVP"]).await;
    assert_eq!(told.protocol(), "RTP/SAVP");
    let good: Vec<_> = Suite::ALL.into_iter().filter(|suite| !suite.is_for_compatibility()).collect();
    assert_eq!(told.suites(), good);
    assert_eq!(stage.suites("callee").await, Some((None, None)), "nothing in the clear before the answer");
    let again = stage.offer(&sdp(4000, "RTP/AVP", &[]), &["transport-protocol=RTP/SAVP"]).await;
    assert_eq!(again.keys(), told.keys(), "an offer that is repeated has the same keys");
    let chosen = told.keys().into_iter().find(|key| key.key.suite().name() == AES).unwrap();
    let told = stage.answer(&sdp(5000, "RTP/SAVP", &[&taken(&chosen)]), &[]).await;
    assert_eq!((told.protocol(), told.keys()), ("RTP/AVP", vec![]));
    assert_eq!((stage.suites("a").await, stage.suites("b").await), (None, both(AES)));
    // A session refresh from the other side: the keys stay.
    let told = stage.sdp("offer", "b", Some("a"), &sdp(5000, "RTP/SAVP", &[&taken(&chosen)]), &[]).await;
    assert_eq!((told.protocol(), told.keys()), ("RTP/AVP", vec![]));
    let told = stage.sdp("answer", "b", Some("a"), &sdp(4000, "RTP/AVP", &[]), &[]).await;
    assert_eq!((told.protocol(), told.keys()), ("RTP/SAVP", vec![chosen]));
}

#[tokio::test]
async fn a_secured_party_is_put_through_to_a_plain_one_and_may_change_its_key() {
    let stage = Stage::new(|_| ());
    let key = format!("7 {AES} inline:{KEY}");
    let told = stage.offer(&sdp(4000, "RTP/SAVP", &["1 NO_SUCH inline:AA", &key]), &["RTP/AVP"]).await;
    assert_eq!((told.protocol(), told.keys()), ("RTP/AVP", vec![]));
    assert_eq!(stage.suites("a").await, both(AES), "its early media is heard");
    let told = stage.answer(&sdp(5000, "RTP/AVP", &[]), &[]).await;
    let ours = told.keys();
    assert_eq!((told.protocol(), ours.len(), ours[0].tag), ("RTP/SAVP", 1, 7));
    assert_ne!(ours[0].key.key_and_salt(), Crypto::parse(&key).unwrap().key.key_and_salt());
    assert_eq!(stage.suites("b").await, None);
    // With another key of its own it is told the same one of ours again.
    let other = taken(&ours[0]);
    stage.sdp("offer", "a", Some("b"), &sdp(4000, "RTP/SAVP", &[&other]), &["RTP/AVP"]).await;
    let told = stage.answer(&sdp(5000, "RTP/AVP", &[]), &[]).await;
    assert_eq!(told.keys(), ours);
}

#[tokio::test]
async fn two_secured_parties_have_a_key_each_with_the_relay() {
    let stage = Stage::new(|_| ());
    let key = format!("1 {AES} inline:{KEY}");
    let offered = stage.offer(&sdp(4000, "RTP/SAVP", &[&key]), &["SDES-only-AEAD_AES_256_GCM"]).await;
    assert_eq!(offered.suites(), [Suite::AeadAes256Gcm]);
    let told = stage.answer(&sdp(5000, "RTP/SAVP", &[&taken(&offered.keys()[0])]), &[]).await;
    assert_eq!(told.suites(), [Suite::AesCm128HmacSha1_80]);
    assert_eq!((stage.suites("a").await, stage.suites("b").await), (both(AES), both("AEAD_AES_256_GCM")));
    assert!(!offered.contains(KEY) && !told.contains(KEY), "nobody's key is told to somebody else");
}

#[tokio::test]
async fn what_is_relayed_unread_keeps_the_keys_of_the_parties() {
    let stage = Stage::new(|config| config.relay_unread = true);
    let key = format!("1 {AES} inline:{KEY}");
    let told = stage.offer(&sdp(4000, "RTP/SAVP", &[&key]), &[]).await;
    assert!(told.contains(&format!("a=crypto:{key}")), "{}", told);
    assert_eq!(stage.suites("a").await, None);
}

#[tokio::test]
async fn keys_that_are_agreed_on_in_another_way_are_nobodys_business() {
    let stage = Stage::new(|_| ());
    let told = stage.offer(&sdp(4000, "RTP/SAVP", &[]), &[]).await;
    assert_eq!((told.protocol(), told.keys()), ("RTP/SAVP", vec![]));
    let told = stage.answer(&sdp(5000, "RTP/SAVP", &[]), &[]).await;
    assert_eq!((told.protocol(), told.keys()), ("RTP/SAVP", vec![]));
    assert_eq!((stage.suites("a").await, stage.suites("b").await), (None, None));
}

#[tokio::test]
async fn keys_that_cannot_be_taken_refuse_the_offer_or_answer_and_leave_nothing_behind() {
    let stage = Stage::new(|_| ());
    let weak = format!("1 NULL_HMAC_SHA1_80 inline:{KEY}");
    let short = format!("2 AES_256_CM_HMAC_SHA1_80 inline:{KEY}");
    let reason = stage.refused("offer", None, &sdp(4000, "RTP/SAVP", &[&weak, &short]), &["RTP/AVP"]).await;
    assert!(reason.contains("the offer has no a=crypto") && reason.contains("takes 46 bytes"), "{reason}");
    assert!(!reason.contains(KEY), "{reason}");
    assert!(stage.relay.control.snapshot("c").await.is_err(), "the call of a refused offer is gone");
    let offered = stage.offer(&sdp(4000, "RTP/AVP", &[]), &["RTP/SAVP"]).await;
    let mut foreign = offered.keys()[0].clone();
    foreign.tag = 77;
    let reason = stage.refused("answer", Some("b"), &sdp(5000, "RTP/SAVP", &[&taken(&foreign)]), &[]).await;
    assert!(reason.contains("the answer has no a=crypto"), "{reason}");
    assert_eq!(stage.suites("callee").await, Some((None, None)));
    let reason = stage.refused("offer", None, &sdp(4000, "RTP/AVP", &[]), &["RTP/SAVP", "SDES-only-ROT13"]).await;
    assert!(reason.contains("leave no suite to offer"), "{reason}");
    let reason = stage.refused("offer", None, &sdp(4000, "TCP/RTP/AVP", &[]), &["RTP/AVP"]).await;
    assert!(reason.contains("does not translate"), "{reason}");
}

#[tokio::test]
async fn an_opportunity_is_taken_or_declined() {
    for takes in [true, false] {
        let stage = Stage::new(|_| ());
        let offered = stage.offer(&sdp(4000, "RTP/AVP", &[]), &["OSRTP-offer"]).await;
        assert_eq!(offered.protocol(), "RTP/AVP");
        assert_eq!(stage.suites("callee").await, None, "plain until it is taken");
        let key = taken(&offered.keys()[0]);
        let keys = if takes { vec![key.as_str()] } else { vec![] };
        let told = stage.answer(&sdp(5000, "RTP/AVP", &keys), &[]).await;
        assert_eq!(told.keys(), vec![]);
        assert_eq!(stage.suites("b").await.is_some(), takes);
    }
    let stage = Stage::new(|_| ());
    let key = format!("1 {AES} inline:{KEY}");
    let told = stage.offer(&sdp(4000, "RTP/AVP", &[&key]), &["OSRTP-accept"]).await;
    assert_eq!(told.keys(), vec![]);
    assert_eq!(stage.suites("a").await, both(AES));
    let told = stage.answer(&sdp(5000, "RTP/AVP", &[]), &[]).await;
    assert_eq!((told.protocol(), told.suites().len()), ("RTP/AVP", 1));
}
