//! Prompts one after the other, and what ends them.

use patchcord_control::ErrorCode;
use patchcord_control::api::{CallEvent, CutOverState, EventKind, PlayEnd};
use patchcord_relay::detection::What;
use serde_json::{Value, json};
use tokio::sync::broadcast;

use crate::detection::hear;
use crate::relay::{Relay, config, cut_over, told};

/// How often what was played has ended, and how.
fn ends(events: &mut broadcast::Receiver<std::sync::Arc<CallEvent>>) -> Vec<PlayEnd> {
    let end = |event: CallEvent| match event.kind {
        EventKind::PlayFinished { ended } => Some(ended),
        _ => None,
    };
    told(events).into_iter().filter_map(end).collect()
}

fn play(audio: &Value, more: &Value) -> Value {
    let mut command = json!({"command": "play", "party": "a", "audio": audio});
    for (field, value) in more.as_object().unwrap() {
        command[field] = value.clone();
    }
    command
}

/// `hold` is 200 ms here, `silence` a second.
async fn stage() -> Relay {
    let relay = Relay::new();
    relay.call(&["a", "b"]).await;
    relay
}

async fn packets_to_a(relay: &Relay) -> u64 {
    relay.state().await.legs[0].sent.packets
}

#[tokio::test]
async fn a_list_is_played_as_one_piece_as_often_as_asked() {
    let relay = stage().await;
    let mut events = relay.control.subscribe();
    relay.run(play(&json!(["hold", "silence", "hold"]), &json!({"repeat": 2}))).await.unwrap();
    assert_eq!(relay.hears_of(["a"]).await, ["play:hold, silence, hold"]);
    relay.pass(2770);
    relay.settle().await;
    assert!(ends(&mut events).is_empty());
    relay.pass(20);
    relay.until("the bridge is back", async |relay| relay.hears_of(["a"]).await == ["b"]).await;
    assert_eq!(ends(&mut events), [PlayEnd::Finished]);
    assert_eq!(packets_to_a(&relay).await, 140, "2.8 s, without a gap");
}

#[tokio::test]
async fn what_is_queued_follows_and_after_prompt_waits_for_all_of_it() {
    let relay = stage().await;
    relay.party_with("x", 5000, json!(["PCMU"])).await;
    let mut events = relay.control.subscribe();
    relay.run(play(&json!("hold"), &json!({"queue": true}))).await.unwrap();
    relay.pass(50);
    let outcome = relay.run(play(&json!("silence"), &json!({"queue": true}))).await.unwrap();
    assert_eq!(cut_over(&outcome), (None, CutOverState::Done, 0), "nothing is heard otherwise yet");
    relay.run(play(&json!(["hold", "hold"]), &json!({"queue": true}))).await.unwrap();
    assert_eq!(relay.hears_of(["a"]).await, ["play:hold, silence, hold, hold"]);
    relay.run(json!({"command": "bridge", "a": "a", "b": "x", "trigger": "after-prompt"})).await.unwrap();
    let error = relay.run(play(&json!("hold"), &json!({"queue": true}))).await.expect_err("one waits for the end");
    assert_eq!(error.code, ErrorCode::CutOverPending);
    relay.pass(1520);
    relay.settle().await;
    assert_eq!(relay.hears_of(["a"]).await, ["play:hold, silence, hold, hold"]);
    relay.pass(30);
    relay.until("the bridge", async |relay| relay.hears_of(["a", "x"]).await == ["x", "a"]).await;
    assert_eq!(ends(&mut events), [PlayEnd::Finished]);
    assert_eq!(packets_to_a(&relay).await, 80, "1.6 s, without a gap");
}

#[tokio::test]
async fn hold_audio_may_follow_for_ever_and_nothing_follows_that() {
    let relay = stage().await;
    let mut events = relay.control.subscribe();
    relay.run(play(&json!("hold"), &json!({}))).await.unwrap();
    relay.run(play(&json!("silence"), &json!({"queue": true, "repeat": "forever"}))).await.unwrap();
    let error = relay.run(play(&json!("hold"), &json!({"queue": true}))).await.expect_err("it never ends");
    assert_eq!(error.code, ErrorCode::BadRequest);
    assert!(error.message.contains("repeats for ever"), "{error}");
    let bridge = json!({"command": "swap", "survivor": "a", "old": "b", "new": "b", "trigger": "after-prompt"});
    assert!(relay.run(bridge).await.is_err());
    relay.pass(5000);
    relay.settle().await;
    assert_eq!(relay.hears_of(["a"]).await, ["play:hold, silence"]);
    assert!(ends(&mut events).is_empty());
    relay.run_as("stop", json!({"command": "stop", "party": "a"})).await.unwrap();
    assert_eq!(ends(&mut events), [PlayEnd::Stopped]);
    // Undone, all of it begins anew.
    relay.run(json!({"command": "rollback", "of": "stop"})).await.unwrap();
    let before = packets_to_a(&relay).await;
    relay.pass(3000);
    relay.settle().await;
    assert_eq!(relay.hears_of(["a"]).await, ["play:hold, silence"]);
    assert_eq!(packets_to_a(&relay).await - before, 150);
}

#[tokio::test]
async fn what_has_just_ended_is_followed_by_something_that_begins() {
    let relay = stage().await;
    relay.run(play(&json!("hold"), &json!({}))).await.unwrap();
    // The worker has said that it has ended, and nobody has had the time to see to it.
    relay.pass(300);
    relay.run(play(&json!("silence"), &json!({"queue": true}))).await.unwrap();
    assert_eq!(relay.hears_of(["a"]).await, ["play:silence"]);
    relay.pass(1100);
    relay.until("the bridge is back", async |relay| relay.hears_of(["a"]).await == ["b"]).await;
}

#[tokio::test]
async fn lists_and_names_that_cannot_be_played_are_refused() {
    let relay = stage().await;
    relay.party_with("o", 5000, json!(["18 G729/8000"])).await;
    for (audio, more, code) in [
        (json!([]), json!({}), ErrorCode::BadRequest),
        (json!(vec!["hold"; 65]), json!({}), ErrorCode::BadRequest),
        (json!(["hold", "noise"]), json!({}), ErrorCode::UnknownAudio),
        (json!(["hold"]), json!({"party": "o"}), ErrorCode::NoEncoding),
        (json!("hold"), json!({"barge_in": "cough"}), ErrorCode::BadRequest),
    ] {
        let error = relay.run(play(&audio, &more)).await.expect_err("it cannot be played");
        assert_eq!(error.code, code, "{audio} {more}: {error}");
    }
    relay.run(play(&json!("hold"), &json!({}))).await.unwrap();
    for _ in 0..64 {
        relay.run(play(&json!("hold"), &json!({"queue": true}))).await.unwrap();
    }
    let error = relay.run(play(&json!("hold"), &json!({"queue": true}))).await.expect_err("enough");
    assert_eq!(error.code, ErrorCode::BadRequest);
}

#[tokio::test]
async fn a_party_barges_in_by_what_it_was_allowed_to() {
    let key = What::Key { event: 1, volume: 8, in_band: false };
    for (by, what, ends_it) in [
        ("key", key, true),
        ("key", What::SpeechBegins, false),
        ("speech", What::SpeechBegins, true),
        ("speech", key, false),
        ("any", key, true),
        ("any", What::Human, true),
        ("any", What::Beep { hz: 1000 }, false),
    ] {
        let relay = stage().await;
        let mut events = relay.control.subscribe();
        assert!(!relay.state().await.legs[0].detecting);
        let prompt = play(&json!("silence"), &json!({"repeat": "forever", "barge_in": by}));
        relay.run(prompt).await.unwrap();
        assert!(relay.state().await.legs[0].detecting, "it is listened to without being asked for");
        relay.pass(500);
        hear(&relay, 2, what).await;
        assert_eq!(relay.hears_of(["a"]).await, ["play:silence"], "somebody else");
        hear(&relay, 1, what).await;
        if ends_it {
            relay.until("the bridge is back", async |relay| relay.hears_of(["a"]).await == ["b"]).await;
            assert_eq!(ends(&mut events), [PlayEnd::BargedIn], "{by} {what:?}");
            assert!(!relay.state().await.legs[0].detecting, "nobody wants to know any more");
        } else {
            relay.settle().await;
            assert_eq!(relay.hears_of(["a"]).await, ["play:silence"], "{by} {what:?}");
            assert!(ends(&mut events).is_empty());
            relay.run(json!({"command": "bridge", "a": "a", "b": "b"})).await.unwrap();
            assert_eq!(ends(&mut events), [PlayEnd::Stopped]);
            assert!(!relay.state().await.legs[0].detecting);
        }
    }
}

#[tokio::test]
async fn barging_in_is_an_end_that_a_cut_over_may_wait_for() {
    let relay = stage().await;
    relay.party_with("x", 5000, json!(["PCMU"])).await;
    let mut events = relay.control.subscribe();
    relay.run(play(&json!("silence"), &json!({"barge_in": "key"}))).await.unwrap();
    relay.run(play(&json!("hold"), &json!({"queue": true}))).await.unwrap();
    relay.run(json!({"command": "bridge", "a": "a", "b": "x", "trigger": "after-prompt"})).await.unwrap();
    relay.pass(100);
    hear(&relay, 1, What::Key { event: 1, volume: 8, in_band: true }).await;
    relay.until("the bridge", async |relay| relay.hears_of(["a", "x"]).await == ["x", "a"]).await;
    assert_eq!(ends(&mut events), [PlayEnd::BargedIn]);
    relay.until("nobody listens", async |relay| !relay.state().await.legs[0].detecting).await;
}

#[tokio::test]
async fn who_is_listened_to_anyway_still_is_after_the_prompt() {
    let relay = stage().await;
    let detecting = async || relay.state().await.legs[0].detecting;
    let prompt = play(&json!("silence"), &json!({"barge_in": "any"}));
    relay.run(json!({"command": "detect", "party": "a"})).await.unwrap();
    relay.run(prompt.clone()).await.unwrap();
    relay.run(json!({"command": "stop", "party": "a"})).await.unwrap();
    assert!(detecting().await);
    // Asked for while the prompt plays, and no longer asked for while it plays.
    relay.run(json!({"command": "detect-stop", "party": "a"})).await.unwrap();
    relay.run(prompt.clone()).await.unwrap();
    relay.run(json!({"command": "detect", "party": "a"})).await.unwrap();
    relay.run(json!({"command": "stop", "party": "a"})).await.unwrap();
    assert!(detecting().await);
    relay.run(prompt).await.unwrap();
    relay.run(json!({"command": "detect-stop", "party": "a"})).await.unwrap();
    assert!(detecting().await, "the prompt may still be ended");
    relay.pass(1100);
    relay.until("nobody listens", async |_| !detecting().await).await;
    relay.party_with("video", 7000, json!(["96 H264/90000", "PCMU"])).await;
    relay.run(json!({"command": "leg-codecs", "party": "a", "codecs": ["PCMU"]})).await.unwrap();
}

#[tokio::test]
async fn a_prompt_that_is_replaced_was_stopped() {
    let relay = stage().await;
    let mut events = relay.control.subscribe();
    relay.run(play(&json!("silence"), &json!({}))).await.unwrap();
    relay.run(play(&json!("hold"), &json!({}))).await.unwrap();
    assert_eq!(ends(&mut events), [PlayEnd::Stopped]);
    relay.run(json!({"command": "hold", "party": "a"})).await.unwrap();
    assert_eq!(ends(&mut events), [PlayEnd::Stopped]);
    relay.run(json!({"command": "ringback", "party": "a", "country": "us"})).await.unwrap();
    relay.run(json!({"command": "resume", "party": "a"})).await.unwrap();
    assert!(ends(&mut events).is_empty(), "ringing is no prompt");
    relay.run(play(&json!("silence"), &json!({}))).await.unwrap();
    relay.run(json!({"command": "leg-delete", "party": "a"})).await.unwrap();
    assert!(ends(&mut events).is_empty(), "there is nobody it could be told of");
}

#[tokio::test]
async fn several_files_for_hold_are_played_in_turn() {
    let mut config = config(30000..=30099);
    let file = config.audio.hold[0].clone();
    config.audio.hold = vec![file.clone(), file.clone(), file];
    let relay = Relay::with(config, 1);
    relay.call(&["a", "b"]).await;
    assert_eq!(relay.control.audio().audio[0].duration_ms, 600);
    relay.run(json!({"command": "hold", "party": "a"})).await.unwrap();
    relay.pass(1990);
    assert_eq!(relay.hears_of(["a"]).await, ["hold:hold"]);
    assert_eq!(packets_to_a(&relay).await, 100);
    relay.run(json!({"command": "hold", "party": "a", "audio": ["silence", "hold"]})).await.unwrap();
    assert_eq!(relay.hears_of(["a"]).await, ["hold:silence, hold"]);
}
