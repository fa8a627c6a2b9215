//! What is found out of what parties say, and cut-overs that wait for a human.

use patchcord_control::ErrorCode;
use patchcord_control::api::CutOverState;
use patchcord_relay::detection::{Detection, What};
use patchcord_relay::event::Event;
use patchcord_relay::exchange::Reply;
use patchcord_relay::ids::LegId;
use serde_json::{Value, json};

use crate::relay::{Relay, cut_over, told};

/// The worker says that it has heard something of the call's leg of this number.
pub(crate) async fn hear(relay: &Relay, number: u64, what: What) {
    let detection = Detection { what, began_ms_ago: 700, duration_ms: 500, confidence_percent: 90 };
    // The first call of the process, and its legs in the order of their creation.
    let leg = LegId(1 << 16 | number);
    relay.control.accept(0, Reply::Event { at: relay.now(), event: Event::Detected { leg, detection } });
    relay.settle().await;
}

#[tokio::test]
async fn what_was_heard_is_told_while_somebody_wants_to_know() {
    let relay = Relay::new();
    relay.call(&["a", "b"]).await;
    let mut events = relay.control.subscribe();
    hear(&relay, 1, What::Beep { hz: 1000 }).await;
    assert!(told(&mut events).is_empty(), "nobody has asked");
    relay.run(json!({"command": "detect", "party": "a"})).await.unwrap();
    assert!(relay.state().await.legs[0].detecting);
    hear(&relay, 1, What::Beep { hz: 1000 }).await;
    hear(&relay, 1, What::Key { event: 11, volume: 8, in_band: true }).await;
    let told: Vec<Value> = told(&mut events).iter().map(|event| serde_json::to_value(event).unwrap()).collect();
    let said = |value: &Value, names: &[&str]| names.iter().map(|name| value[*name].clone()).collect::<Vec<_>>();
    assert_eq!(
        said(&told[0], &["event", "party", "sound", "hz", "began_ms_ago", "duration_ms", "confidence_percent"]),
        [json!("detected"), json!("a"), json!("beep"), json!(1000), json!(700), json!(500), json!(90)]
    );
    assert_eq!(
        said(&told[1], &["event", "digit", "duration_ms", "volume_dbm0", "in_band"]),
        [json!("dtmf-received"), json!("#"), json!(500), json!(-8), json!(true)]
    );
    relay.run(json!({"command": "detect-stop", "party": "a"})).await.unwrap();
    assert!(!relay.state().await.legs[0].detecting);
}

#[tokio::test]
async fn a_swap_waits_for_a_human_and_not_for_a_machine() {
    let relay = Relay::new();
    let mut phones = relay.call(&["customer", "agent", "target"]).await;
    let swap = json!({
        "command": "swap", "survivor": "customer", "old": "agent", "new": "target", "trigger": "on-human"
    });
    let outcome = relay.run(swap).await.unwrap();
    assert_eq!(cut_over(&outcome).1, CutOverState::Pending);
    assert!(relay.state().await.legs[2].detecting, "it is listened to without being asked for");
    // Its first packet is no human yet.
    relay.talk(&mut phones[2]);
    for what in [What::RingingTone, What::SpeechBegins, What::Machine, What::Undecided] {
        hear(&relay, 3, what).await;
        assert_eq!(relay.hears_of(["customer", "target"]).await, ["agent", "silence"], "{what:?}");
    }
    let error = relay.run(json!({"command": "detect-stop", "party": "target"})).await.expect_err("one waits");
    assert_eq!(error.code, ErrorCode::CutOverPending);
    hear(&relay, 3, What::Human).await;
    assert_eq!(relay.hears_of(["customer", "target"]).await, ["target", "customer"]);
    relay.talk(&mut phones[2]);
    let state = relay.state().await;
    assert_eq!(serde_json::to_value(&state.cut_overs[1].receipts[0]).unwrap()["trigger"], "on-human");
}

#[tokio::test]
async fn who_is_known_to_be_a_human_need_not_be_waited_for_until_it_answers_anew() {
    let relay = Relay::new();
    relay.call(&["customer", "agent", "target"]).await;
    relay.run(json!({"command": "detect", "party": "target", "answer_timeout_ms": 2000})).await.unwrap();
    hear(&relay, 3, What::Human).await;
    let bridge = json!({"command": "bridge", "a": "customer", "b": "target", "trigger": "on-human"});
    let outcome = relay.run(bridge.clone()).await.unwrap();
    assert_eq!(cut_over(&outcome).1, CutOverState::Done);
    relay.run(json!({"command": "unbridge", "a": "customer", "b": "target"})).await.unwrap();
    relay.run(json!({"command": "detect", "party": "target", "answer_timeout_ms": 2000})).await.unwrap();
    let outcome = relay.run(bridge).await.unwrap();
    assert_eq!(cut_over(&outcome).1, CutOverState::Pending);
    relay.run(json!({"command": "leg-delete", "party": "target"})).await.unwrap();
    // It has gone before it was known.
    hear(&relay, 3, What::Human).await;
    assert_eq!(relay.hears_of(["customer"]).await, ["silence"]);
}

#[tokio::test]
async fn who_cannot_be_listened_to_is_refused() {
    let relay = Relay::new();
    relay.call(&["a", "b"]).await;
    relay.party_with("video", 7000, json!(["96 H264/90000"])).await;
    for (command, code, says) in [
        (json!({"command": "detect", "party": "video"}), ErrorCode::Incompatible, "none of its formats"),
        (json!({"command": "detect", "party": "a", "answer_timeout_ms": 100}), ErrorCode::BadRequest, "500 to 60000"),
        (json!({"command": "detect", "party": "a", "audible_dbfs": -10}), ErrorCode::BadRequest, "-80 to -20"),
        (json!({"command": "detect", "party": "a", "hang_over_ms": 50}), ErrorCode::BadRequest, "100 to 2000"),
        (json!({"command": "detect", "party": "a", "silence_ms": 600_001}), ErrorCode::BadRequest, "`silence_ms`"),
        (json!({"command": "detect", "party": "a", "greeting_max_ms": 0}), ErrorCode::BadRequest, "500 to 10000"),
        (json!({"command": "detect", "party": "a", "listening_ms": 70_000}), ErrorCode::BadRequest, "listening_ms"),
        (json!({"command": "unbridge", "a": "a", "b": "b", "trigger": "on-human"}), ErrorCode::UnknownField, "trigger"),
    ] {
        let error = relay.run(command.clone()).await.expect_err("it cannot be");
        assert_eq!(error.code, code, "{command}: {error}");
        assert!(error.message.contains(says), "{command}: {error}");
    }
}
