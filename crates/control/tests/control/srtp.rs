//! SRTP by the HTTP API's words: whose keys, which suites, and that none of them is in a log.

use patchcord_control::ErrorCode;
use patchcord_control::api::{Detail, LegSrtpDone};
use serde_json::{Value, json};

use crate::relay::Relay;

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
    assert_eq!(given.send.as_ref().map(|key| key.as_str()), Some(receive.as_str()));
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
