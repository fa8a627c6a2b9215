//! Audio that is played over what a party hears.

use patchcord_control::ErrorCode;
use patchcord_control::api::{CutOverState, Detail};
use serde_json::json;

use crate::relay::{Relay, told};

fn finished(events: &mut tokio::sync::broadcast::Receiver<std::sync::Arc<patchcord_control::api::CallEvent>>) -> usize {
    told(events).iter().filter(|event| event.kind.name() == "play-finished").count()
}

#[tokio::test]
async fn a_prompt_over_a_bridge_leaves_it_as_it_was_with_receipts() {
    let relay = Relay::new();
    let mut phones = relay.call(&["a", "b"]).await;
    let mut events = relay.control.subscribe();
    let play = json!({"command": "play", "party": "a", "audio": "silence", "overlay": true, "duck_db": -12});
    let outcome = relay.run_as("over", play).await.unwrap();
    assert!(matches!(outcome.detail, Detail::CutOver(result) if result.state == CutOverState::Done));
    assert_eq!(relay.hears_of(["a", "b"]).await, ["b + play:silence", "a"]);
    relay.pass(1000);
    relay.settle().await;
    assert_eq!((relay.hears_of(["a"]).await, finished(&mut events)), (["b + play:silence".to_owned()], 0));
    relay.pass(100);
    relay.settle().await;
    assert_eq!(relay.hears_of(["a"]).await, ["b"]);
    assert_eq!(finished(&mut events), 1);
    let before = relay.state().await;
    relay.talk(&mut phones[1]);
    let state = relay.state().await;
    // Not mixed any more: the packet itself has passed.
    assert_eq!(state.legs[0].sent.packets - before.legs[0].sent.packets, 1);
    let last = state.cut_overs.last().unwrap();
    assert_eq!((last.command.as_str(), last.receipts.len()), ("stop", 1));
}

#[tokio::test]
async fn what_a_party_hears_may_change_under_a_prompt_which_goes_on() {
    let relay = Relay::new();
    relay.call(&["a", "b", "c"]).await;
    let mut events = relay.control.subscribe();
    relay.run(json!({"command": "play", "party": "a", "audio": "silence", "overlay": true})).await.unwrap();
    relay.pass(900);
    for (command, hears) in [
        (json!({"command": "whisper", "party": "a", "by": "c"}), "b + c + play:silence"),
        (json!({"command": "gain", "party": "b", "gain_db": 6}), "b + c + play:silence"),
        (json!({"command": "leg-delete", "party": "c"}), "b + play:silence"),
        (json!({"command": "unbridge", "a": "a", "b": "b"}), "silence + play:silence"),
    ] {
        relay.run(command.clone()).await.unwrap();
        assert_eq!(relay.hears_of(["a"]).await, [hears], "after {command}");
    }
    assert_eq!(finished(&mut events), 0);
    // It is not longer for that.
    relay.pass(150);
    relay.settle().await;
    assert_eq!(relay.hears_of(["a"]).await, ["silence"]);
    assert_eq!(finished(&mut events), 1);
    for (command, hears) in [
        (json!({"command": "play", "party": "a", "audio": "silence", "overlay": true}), "silence + play:silence"),
        (json!({"command": "play", "party": "a", "audio": "silence"}), "play:silence"),
        (json!({"command": "play", "party": "a", "audio": "silence", "overlay": true}), "silence + play:silence"),
        (json!({"command": "stop", "party": "a"}), "silence"),
        (json!({"command": "play", "party": "a", "audio": "silence", "overlay": true}), "silence + play:silence"),
        (json!({"command": "bridge", "a": "a", "b": "b"}), "b"),
    ] {
        relay.run(command.clone()).await.unwrap();
        assert_eq!(relay.hears_of(["a"]).await, [hears], "after {command}");
    }
}

#[tokio::test]
async fn a_party_on_hold_is_told_something_over_the_hold_audio_and_keeps_its_place() {
    let relay = Relay::new();
    relay.call(&["a", "b"]).await;
    let mut events = relay.control.subscribe();
    relay.run(json!({"command": "hold", "party": "a"})).await.unwrap();
    let play = json!({"command": "play", "party": "a", "audio": "silence", "overlay": true, "duck_db": -9});
    relay.run_as("queue", play).await.unwrap();
    assert_eq!(relay.hears_of(["a", "b"]).await, ["hold:hold + play:silence", "silence"]);
    relay.pass(1100);
    relay.settle().await;
    assert_eq!(relay.hears_of(["a"]).await, ["hold:hold"]);
    assert_eq!(finished(&mut events), 1);
    relay.run(json!({"command": "resume", "party": "a"})).await.unwrap();
    assert_eq!(relay.hears_of(["a", "b"]).await, ["b", "a"]);
}

#[tokio::test]
async fn a_swap_waits_for_the_end_of_a_prompt_over_the_old_party() {
    let relay = Relay::new();
    relay.call(&["a", "b", "c"]).await;
    relay.run(json!({"command": "play", "party": "a", "audio": "silence", "overlay": true})).await.unwrap();
    let swap = json!({"command": "swap", "survivor": "a", "old": "b", "new": "c", "trigger": "after-prompt"});
    relay.run(swap).await.unwrap();
    assert_eq!(relay.hears_of(["a", "b", "c"]).await, ["b + play:silence", "a", "silence"]);
    relay.pass(1100);
    relay.settle().await;
    assert_eq!(relay.hears_of(["a", "b", "c"]).await, ["c", "hold:hold", "a"]);
}

#[tokio::test]
async fn an_overlay_can_be_undone() {
    let relay = Relay::new();
    relay.call(&["a", "b"]).await;
    let play = json!({"command": "play", "party": "a", "audio": "silence", "overlay": true, "repeat": "forever"});
    relay.run_as("over", play).await.unwrap();
    relay.run(json!({"command": "rollback", "of": "over"})).await.unwrap();
    assert_eq!(relay.hears_of(["a", "b"]).await, ["b", "a"]);
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_by_name() {
    let relay = Relay::new();
    relay.call(&["a", "b"]).await;
    relay.party_with("pcma", 7000, json!(["PCMA"])).await;
    relay.party_with("any", 7002, json!([])).await;
    let play = |party: &str, field: &str, value: i32| {
        let mut play = json!({"command": "play", "party": party, "audio": "silence", "overlay": true});
        play[field] = json!(value);
        play
    };
    let without = json!({"command": "play", "party": "a", "audio": "silence", "gain_db": 3});
    for (command, code, says) in [
        (play("a", "duck_db", 1), ErrorCode::BadRequest, "`duck_db` is 1; -60 to 0 are possible"),
        (play("a", "gain_db", 25), ErrorCode::BadRequest, "`gain_db` is 25; -60 to 24 are possible"),
        (without, ErrorCode::BadRequest, "`gain_db` and `duck_db` go with `\"overlay\": true`"),
        (play("any", "duck_db", 0), ErrorCode::NoEncoding, "any"),
        // Here nobody encodes PCMA.
        (play("pcma", "duck_db", 0), ErrorCode::Incompatible, "pcma cannot hear that mixed"),
    ] {
        let error = relay.run(command.clone()).await.expect_err("it makes no sense");
        assert_eq!(error.code, code, "{command}: {error}");
        assert!(error.message.contains(says), "{command}: {error}");
    }
    assert_eq!(relay.hears_of(["a", "b"]).await, ["b", "a"]);
}
