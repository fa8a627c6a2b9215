//! Key presses that parties are sent: by the HTTP API's commands, and by ng's `play DTMF`.

use patchcord_codec::Law;
use patchcord_codec::dtmf::{Detector, Event};
use patchcord_control::ErrorCode;
use patchcord_control::api::{EventKind, LegState};
use patchcord_control::ng::NgConfig;
use patchcord_relay::Verdict;
use patchcord_relay::command::EgressMode;
use patchcord_relay::verdict::DropReason;
use serde_json::json;

use crate::ng::{Proxy, at_once, must, reason, sdp};
use crate::relay::{Phone, Relay, config, names, told};

async fn sent(relay: &Relay, party: &str) -> u64 {
    let state = relay.state().await;
    let leg: &LegState = state.legs.iter().find(|leg| *leg.party == *party).unwrap();
    leg.sent.packets
}

#[tokio::test]
async fn keys_are_sent_and_their_end_is_told() {
    let relay = Relay::new();
    let mut phones = relay.call(&["a", "b"]).await;
    relay.talk(&mut phones[0]);
    let mut events = relay.control.subscribe();
    relay.run(json!({"command": "dtmf-send", "party": "b", "digits": "1w#", "duration_ms": 60})).await.unwrap();
    assert_eq!(sent(&relay, "b").await, 2, "the first packet of the first key goes out with the answer");
    relay.pass(200);
    assert_eq!(sent(&relay, "b").await, 1 + 3 + 3);
    assert!(!names(&told(&mut events)).contains(&"dtmf-finished"), "another key waits");
    relay.pass(1_000);
    assert_eq!(sent(&relay, "b").await, 1 + 2 * (3 + 3));
    let finished = EventKind::DtmfFinished { sent: 2, tones: 0, dropped: 0 };
    assert!(told(&mut events).iter().any(|event| event.kind == finished && event.party.as_deref() == Some("b")));
    relay.talk(&mut phones[0]);
    assert_eq!(sent(&relay, "b").await, 14, "the audio goes on");
}

#[tokio::test]
async fn stopped_keys_are_not_sent() {
    let relay = Relay::new();
    relay.call(&["a", "b"]).await;
    let mut events = relay.control.subscribe();
    relay.run(json!({"command": "dtmf-send", "party": "b", "digits": "123"})).await.unwrap();
    relay.run(json!({"command": "dtmf-stop", "party": "b"})).await.unwrap();
    relay.pass(1_000);
    assert_eq!(sent(&relay, "b").await, 1 + 3);
    let finished = EventKind::DtmfFinished { sent: 1, tones: 0, dropped: 2 };
    assert!(told(&mut events).iter().any(|event| event.kind == finished));
    relay.run(json!({"command": "dtmf-stop", "party": "b"})).await.unwrap();
}

#[tokio::test]
async fn keys_survive_a_swap() {
    let relay = Relay::new();
    let mut phones = relay.call(&["a", "b", "c"]).await;
    relay.talk(&mut phones[1]);
    relay.run(json!({"command": "dtmf-send", "party": "a", "digits": "12"})).await.unwrap();
    relay.pass(50);
    relay
        .run(json!({"command": "swap", "survivor": "a", "old": "b", "new": "c", "trigger": "immediate"}))
        .await
        .unwrap();
    let before = sent(&relay, "a").await;
    assert_eq!(before, 1 + 3 + 3, "the key that was down has come up");
    relay.pass(1_000);
    assert_eq!(sent(&relay, "a").await, before + 5 + 3);
}

/// Packets of a payload type that were sent to a telephone.
fn audio_of(relay: &Relay, phone: &Phone, payload_type: u8) -> Vec<Vec<u8>> {
    let sent = relay.workers[0].take_sent(phone.address);
    sent.into_iter().filter(|packet| packet[1] & 0x7f == payload_type).collect()
}

/// What a party heard: the keys in its audio, and how long each was down.
fn keys_in(heard: &[u8], law: Law) -> Vec<(char, u64)> {
    let mut samples: Vec<i16> = law.decode(heard);
    samples.resize(samples.len() + 800, 0);
    let mut events = Vec::new();
    Detector::new(8000).unwrap().process(&samples, &mut events);
    let ended = events.into_iter().filter_map(|event| match event {
        Event::Ended(heard) => Some((heard.digit.as_char(), (heard.duration + 40) / 80 * 10)),
        Event::Began(_) => None,
    });
    ended.collect()
}

#[tokio::test]
async fn who_has_no_telephone_event_hears_tones() {
    let relay = Relay::new();
    let phones = relay.call(&["a"]).await;
    let b = relay.party_with("b", 4100, json!(["18 G729/8000", "PCMA"])).await;
    let mut events = relay.control.subscribe();
    relay.run(json!({"command": "dtmf-send", "party": "b", "digits": "1*D", "duration_ms": 95})).await.unwrap();
    relay.pass(1_000);
    let finished = EventKind::DtmfFinished { sent: 3, tones: 3, dropped: 0 };
    assert!(told(&mut events).iter().any(|event| event.kind == finished));
    let heard = audio_of(&relay, &b, 8);
    assert_eq!(heard.len(), 15);
    let mut audio = Vec::new();
    for (at, packet) in heard.iter().enumerate() {
        if at % 5 == 0 {
            audio.resize(audio.len() + 800, Law::A.silence());
        }
        audio.extend_from_slice(&packet[12..]);
    }
    assert_eq!(keys_in(&audio, Law::A), [('1', 100), ('*', 100), ('D', 100)]);
    // Who knows events is sent tones if that is asked for.
    relay.run(json!({"command": "dtmf-send", "party": "a", "digits": "5", "how": "tone"})).await.unwrap();
    relay.pass(200);
    let heard: Vec<u8> = audio_of(&relay, &phones[0], 0).iter().flat_map(|packet| packet[12..].to_vec()).collect();
    assert_eq!(keys_in(&heard, Law::Mu), [('5', 100)]);
}

#[tokio::test]
async fn keys_that_cannot_be_are_refused_with_the_reason() {
    let relay = Relay::new();
    relay.call(&["a", "b"]).await;
    relay.party_with("deaf", 4100, json!(["PCMU"])).await;
    relay.party_with("strange", 4104, json!(["18 G729/8000"])).await;
    for (command, code, words) in [
        (json!({"party": "x", "digits": "1"}), ErrorCode::UnknownParty, "no party x"),
        (json!({"party": "a", "digits": "1 2"}), ErrorCode::BadRequest, "' ' at place 2"),
        (json!({"party": "a", "digits": ""}), ErrorCode::BadRequest, "0 characters"),
        (json!({"party": "a", "digits": "1", "duration_ms": 6000}), ErrorCode::BadRequest, "40 to 5000"),
        (json!({"party": "a", "digits": "1", "volume_dbm0": 3}), ErrorCode::BadRequest, "-63 to 0"),
        (json!({"party": "a"}), ErrorCode::BadRequest, "missing field `digits`"),
        (json!({"party": "a", "digits": "1", "loud": true}), ErrorCode::UnknownField, "`loud`"),
        (json!({"party": "a", "digits": "1", "how": "loudly"}), ErrorCode::BadRequest, "`loudly`"),
        (
            json!({"party": "deaf", "digits": "1", "how": "event"}),
            ErrorCode::NoDtmf,
            "deaf cannot be sent key presses: its audio runs at 8000 Hz, and it has no telephone-event/8000",
        ),
        (
            json!({"party": "strange", "digits": "1"}),
            ErrorCode::NoDtmf,
            "strange cannot be sent key presses: its audio runs at 8000 Hz, and it has no telephone-event/8000, but G729/8000",
        ),
        (
            json!({"party": "strange", "digits": "1", "how": "tone"}),
            ErrorCode::NoDtmf,
            "strange cannot be sent key presses as tones: these are made in PCMU/8000, PCMA/8000, G722/8000",
        ),
    ] {
        let mut command = command;
        command["command"] = json!("dtmf-send");
        let error = relay.run(command.clone()).await.expect_err(words);
        assert_eq!(error.code, code, "{command}: {error}");
        assert!(error.message.contains(words), "{command}: {error}");
    }
    let many = json!({"command": "dtmf-send", "party": "a", "digits": "1".repeat(128)});
    let error = relay.batch(json!([many, many, many])).await.expect_err("too many");
    assert_eq!((error.code, error.command), (ErrorCode::NoDtmf, Some(2)), "{error}");
    relay.pass(100);
    assert_eq!(sent(&relay, "a").await, 0, "a refused batch has changed nothing");
}

/// The telephones of `a` and `b` of call `c`.
async fn phones(relay: &Relay) -> [Phone; 2] {
    let legs = relay.control.snapshot("c").await.unwrap().legs;
    ["a", "b"].map(|party| {
        let leg = legs.iter().find(|leg| *leg.party == *party).unwrap();
        Phone::new(leg.remote.unwrap(), leg.local)
    })
}

#[tokio::test]
async fn a_proxy_has_the_listeners_of_a_party_hear_keys() {
    let relay = Relay::new();
    let proxy = Proxy::new(&relay, at_once());
    proxy.call("c").await;
    let [mut a, mut b] = phones(&relay).await;
    relay.talk(&mut a);
    relay.talk(&mut b);
    let play = [("call-id", "c"), ("from-tag", "a"), ("code", "#"), ("duration", "100")];
    must(&proxy.ask("play DTMF", &play).await);
    assert_eq!(relay.talk(&mut a), Verdict::Dropped(DropReason::ReplacedByDtmf), "the tag selects who presses");
    assert!(matches!(relay.talk(&mut b), Verdict::Forwarded(_)));
    must(&proxy.ask("play DTMF", &play).await);
    relay.pass(1_000);
    assert_eq!((sent(&relay, "b").await, sent(&relay, "a").await), (1 + 2 * (5 + 3), 2));
}

#[tokio::test]
async fn what_a_proxy_cannot_have_is_refused_in_the_known_order() {
    let relay = Relay::new();
    let proxy = Proxy::new(&relay, at_once());
    proxy.call("c").await;
    for (entries, expected) in [
        (vec![], "No call-id in message"),
        (vec![("call-id", "no")], "Unknown call-ID"),
        (vec![("call-id", "c"), ("code", "x")], "No participant party specified"),
        (vec![("call-id", "c"), ("from-tag", "x"), ("code", "x")], "From-tag given, but no such tag exists"),
        (vec![("call-id", "c"), ("from-tag", "a")], "Out of range 'code' specified"),
        (vec![("call-id", "c"), ("from-tag", "a"), ("code", "x")], "Out of range 'code' specified"),
        (vec![("call-id", "c"), ("from-tag", "a"), ("code", "16")], "Out of range 'code' specified"),
    ] {
        assert_eq!(reason(&proxy.ask("play DTMF", &entries).await), expected, "{entries:?}");
    }
    let deaf = sdp(5000, "").replace(" 101", "").replace("a=rtpmap:101 telephone-event/8000\r\n", "");
    must(&proxy.ask("answer", &[("call-id", "c"), ("from-tag", "a"), ("to-tag", "b"), ("sdp", &deaf)]).await);
    let play = |tag| [("call-id", "c"), ("from-tag", tag), ("code", "5")];
    // Who knows no events hears tones.
    must(&proxy.ask("play DTMF", &play("a")).await);
    relay.pass(1_000);
    assert_eq!(sent(&relay, "b").await, 13, "250 ms are 13 frames");
    must(&proxy.ask("play DTMF", &play("b")).await);
    relay.control.execute("c", hold("b")).await.unwrap();
    let refused = reason(&proxy.ask("play DTMF", &play("b")).await);
    assert!(refused.contains("nobody hears the audio of b"), "{refused}");
}

fn hold(party: &str) -> patchcord_control::api::CommandRequest {
    let body = json!({"id": "hold", "command": "hold", "party": party}).to_string();
    patchcord_control::api::CommandRequest::from_json(body.as_bytes()).unwrap()
}

#[tokio::test]
async fn what_passes_unread_is_read_for_keys_and_stays_so() {
    for flagged in [true, false] {
        let mut config = config(30000..=30999);
        config.egress = EgressMode::Transparent;
        let relay = Relay::with(config, 1);
        let proxy = Proxy::new(&relay, NgConfig { relay_unread: true, ..at_once() });
        let flags = if flagged { "inject-DTMF" } else { "trust-address" };
        let (offer, answer) = (sdp(4000, ""), sdp(5000, ""));
        let from = [("call-id", "c"), ("from-tag", "a"), ("rtpp-flags", flags)];
        must(&proxy.ask("offer", &[&from[..], &[("sdp", &offer)]].concat()).await);
        must(&proxy.ask("answer", &[&from[..], &[("to-tag", "b"), ("sdp", &answer)]].concat()).await);
        let [mut a, _] = phones(&relay).await;
        for _ in 0..3 {
            assert!(matches!(relay.talk(&mut a), Verdict::Forwarded(_)));
        }
        must(&proxy.ask("play DTMF", &[("call-id", "c"), ("from-tag", "a"), ("code", "5")]).await);
        assert_eq!(relay.talk(&mut a), Verdict::Dropped(DropReason::ReplacedByDtmf), "{flags}");
        relay.pass(1_000);
        assert_eq!(sent(&relay, "b").await, 3 + 13 + 3, "{flags}");
        // A session refresh leaves the numbering alone.
        must(&proxy.ask("offer", &[&from[..2], &[("to-tag", "b"), ("sdp", &offer)]].concat()).await);
        relay.talk(&mut a);
        let call = relay.control.snapshot("c").await.unwrap();
        let heard = call.legs.iter().find(|leg| &*leg.party == "b").unwrap();
        assert_eq!(heard.sent.next_sequence, Some(103 + 16 + 1), "numbered on behind the key: {flags}");
    }
}
