//! What parties hear after bridge, hold, play and their opposites.

use patchcord_control::ErrorCode;
use patchcord_control::api::{CutOverState, Detail, Verdict};
use serde_json::json;

use crate::relay::{Relay, cut_over, names, told};

#[tokio::test]
async fn a_bridge_is_both_directions() {
    let relay = Relay::new();
    let mut phones = relay.call(&["a", "b"]).await;
    assert_eq!(relay.hears_of(["a", "b"]).await, ["b", "a"]);
    for phone in &mut phones {
        relay.talk(phone);
    }
    let state = relay.state().await;
    assert_eq!(state.bridges, [["a".into(), "b".into()]]);
    assert_eq!(state.cut_overs.len(), 1);
    let parties: Vec<_> = state.cut_overs[0].receipts.iter().map(|receipt| &*receipt.party).collect();
    assert_eq!(parties, ["b", "a"], "each has a receipt once the other has spoken");
    assert_eq!(state.legs[0].packets, 1);
    assert_eq!(state.legs[0].sent.packets, 1);
    assert_eq!(
        relay.run(json!({"command": "bridge", "a": "a", "b": "b"})).await.map(|outcome| cut_over(&outcome)),
        Ok((None, CutOverState::Done, 0))
    );
}

#[tokio::test]
async fn unbridge_leaves_silence() {
    let relay = Relay::new();
    relay.call(&["a", "b", "x"]).await;
    relay.run(json!({"command": "unbridge", "a": "b", "b": "a"})).await.unwrap();
    assert_eq!(relay.hears_of(["a", "b"]).await, ["silence", "silence"]);
    let error = relay.run(json!({"command": "unbridge", "a": "a", "b": "b"})).await.expect_err("they are not bridged");
    assert_eq!(error.code, ErrorCode::NotBridged);
    assert_eq!(error.message, "a is not bridged with b but with nobody");
}

#[tokio::test]
async fn hold_is_over_the_bridge_and_play_over_hold() {
    let relay = Relay::new();
    relay.call(&["a", "b"]).await;
    for (command, a, b) in [
        (json!({"command": "hold", "party": "a"}), "hold:hold", "silence"),
        (json!({"command": "ringback", "party": "a", "country": "us"}), "ringback:us", "silence"),
        (
            json!({"command": "play", "party": "b", "audio": "silence", "repeat": "forever"}),
            "ringback:us",
            "play:silence",
        ),
        (json!({"command": "stop", "party": "a"}), "hold:hold", "play:silence"),
        (json!({"command": "hold", "party": "b", "audio": "silence"}), "hold:hold", "hold:silence"),
        (json!({"command": "resume", "party": "a"}), "silence", "hold:silence"),
        (json!({"command": "play", "party": "a", "audio": "hold"}), "play:hold", "hold:silence"),
        (json!({"command": "resume", "party": "b"}), "play:hold", "a"),
        (json!({"command": "bridge", "a": "a", "b": "b"}), "b", "a"),
    ] {
        relay.run(command.clone()).await.unwrap();
        assert_eq!(relay.hears_of(["a", "b"]).await, [a, b], "after {command}");
    }
}

#[tokio::test]
async fn the_end_of_a_prompt_puts_back_what_was_heard() {
    let relay = Relay::new();
    relay.call(&["a", "b"]).await;
    let mut events = relay.control.subscribe();
    relay.run_as("prompt", json!({"command": "play", "party": "a", "audio": "silence", "repeat": 2})).await.unwrap();
    relay.pass(1900);
    relay.settle().await;
    assert_eq!(relay.hears_of(["a", "b"]).await, ["play:silence", "a"]);
    relay.pass(200);
    relay.until("the bridge is back", async |relay| relay.hears_of(["a"]).await == ["b"]).await;
    assert!(names(&told(&mut events)).contains(&"play-finished"));
    let state = relay.state().await;
    let last = state.cut_overs.last().unwrap();
    assert_eq!((last.id.as_deref(), last.command.as_str()), (None, "stop"));
}

#[tokio::test]
async fn a_party_on_hold_keeps_its_place_beside_a_peer_in_consultation() {
    let relay = Relay::new();
    relay.call(&["customer", "agent", "expert"]).await;
    relay.run(json!({"command": "hold", "party": "customer"})).await.unwrap();
    relay.run(json!({"command": "bridge", "a": "agent", "b": "expert"})).await.unwrap();
    let parties = ["customer", "agent", "expert"];
    assert_eq!(relay.hears_of(parties).await, ["hold:hold", "expert", "agent"]);
    relay.run(json!({"command": "resume", "party": "customer"})).await.unwrap();
    assert_eq!(relay.hears_of(parties).await, ["agent", "customer", "silence"]);
}

#[tokio::test]
async fn bridging_someone_else_leaves_the_former_peer_with_silence() {
    let relay = Relay::new();
    relay.call(&["a", "b", "x"]).await;
    relay.run(json!({"command": "bridge", "a": "x", "b": "a"})).await.unwrap();
    assert_eq!(relay.hears_of(["a", "b", "x"]).await, ["x", "silence", "a"]);
}

#[tokio::test]
async fn hold_of_a_party_whose_codec_nobody_encodes_is_silence_unless_audio_is_named() {
    let relay = Relay::new();
    relay.call(&["a"]).await;
    relay.party_with("o", 5000, json!(["18 G729/8000"])).await;
    relay.run(json!({"command": "hold", "party": "o"})).await.unwrap();
    let state = relay.state().await;
    assert_eq!((state.legs[1].hears.as_str(), state.legs[1].held), ("silence", true));
    let error = relay
        .run(json!({"command": "hold", "party": "o", "audio": "hold"}))
        .await
        .expect_err("there is no audio in G.729");
    assert_eq!(error.code, ErrorCode::NoEncoding);
    let error = relay.run(json!({"command": "bridge", "a": "a", "b": "o"})).await.expect_err("no format in common");
    assert_eq!((error.code, error.command), (ErrorCode::Incompatible, Some(0)));
}

#[tokio::test]
async fn check_says_what_would_be_needed() {
    let relay = Relay::new();
    relay.call(&["a"]).await;
    relay.party_with("both", 5000, json!(["PCMA", "PCMU"])).await;
    relay.party_with("opus", 5002, json!(["96 opus/48000/2"])).await;
    relay.party_with("any", 5004, json!([])).await;
    relay.party_with("g729", 5006, json!(["18 G729/8000"])).await;
    let mut verdicts = Vec::new();
    for b in ["both", "opus", "any", "g729"] {
        let outcome = relay.run(json!({"command": "check", "a": "a", "b": b})).await.unwrap();
        let Detail::Check(result) = outcome.detail else { panic!("{outcome:?}") };
        verdicts.push((result.verdict, result.reinvite.join(",")));
    }
    let expected = [Verdict::NeedsReinvite, Verdict::NeedsTranscoding, Verdict::Compatible, Verdict::NeedsReinvite];
    assert_eq!(verdicts, expected.into_iter().zip(["both", "", "", "a,g729"].map(str::to_owned)).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_muted_party_is_not_heard() {
    let relay = Relay::new();
    let mut phones = relay.call(&["a", "b"]).await;
    relay.run(json!({"command": "mute", "party": "a"})).await.unwrap();
    relay.talk(&mut phones[0]);
    let state = relay.state().await;
    assert!(state.legs[0].muted);
    assert_eq!(state.legs[0].drops.get("muted"), Some(&1));
    relay.run(json!({"command": "unmute", "party": "a"})).await.unwrap();
    relay.talk(&mut phones[0]);
    assert_eq!(relay.state().await.legs[1].sent.packets, 1);
}

#[tokio::test]
async fn a_monitor_hears_a_party_that_notices_nothing() {
    let relay = Relay::new();
    let mut phones = relay.call(&["a", "b", "m"]).await;
    relay.run(json!({"command": "monitor", "party": "m", "of": "a"})).await.unwrap();
    for (command, hears) in [
        (json!({"command": "check", "a": "a", "b": "b"}), ["b", "a", "a"]),
        (json!({"command": "hold", "party": "a"}), ["hold:hold", "silence", "a"]),
        (json!({"command": "resume", "party": "a"}), ["b", "a", "a"]),
        (json!({"command": "hold", "party": "m"}), ["b", "a", "hold:hold"]),
        (json!({"command": "play", "party": "m", "audio": "silence", "repeat": "forever"}), ["b", "a", "play:silence"]),
        (json!({"command": "resume", "party": "m"}), ["b", "a", "a"]),
        (json!({"command": "unbridge", "a": "a", "b": "b"}), ["silence", "silence", "a"]),
        (json!({"command": "unmonitor", "party": "m"}), ["silence", "silence", "silence"]),
        (json!({"command": "monitor", "party": "m", "of": "b"}), ["silence", "silence", "b"]),
        (json!({"command": "bridge", "a": "m", "b": "a"}), ["m", "silence", "a"]),
        (json!({"command": "monitor", "party": "m", "of": "b"}), ["m", "silence", "b"]),
        (json!({"command": "unmonitor", "party": "m"}), ["m", "silence", "a"]),
    ] {
        relay.run(command.clone()).await.unwrap();
        assert_eq!(relay.hears_of(["a", "b", "m"]).await, hears, "after {command}");
    }
    relay.run(json!({"command": "bridge", "a": "a", "b": "b"})).await.unwrap();
    relay.run(json!({"command": "monitor", "party": "m", "of": "a"})).await.unwrap();
    let sent = async |relay: &Relay| relay.state().await.legs.iter().map(|leg| leg.sent.packets).collect::<Vec<_>>();
    // Hold audio and the prompt were heard before.
    let before = sent(&relay).await;
    for phone in &mut phones {
        relay.talk(phone);
    }
    let heard: Vec<_> = sent(&relay).await.iter().zip(before).map(|(after, before)| after - before).collect();
    assert_eq!(heard, [1, 1, 1], "each hears one packet, and nobody hears the listener");
    let state = relay.state().await;
    assert_eq!(state.legs[2].drops.values().sum::<u32>(), 1);
    assert_eq!(state.legs[2].monitors.as_deref(), Some("a"));
    assert_eq!(state.bridges, [["a".into(), "b".into()]]);
}

#[tokio::test]
async fn a_monitor_stays_over_a_swap_and_ends_with_its_party() {
    let relay = Relay::new();
    relay.call(&["customer", "agent", "m", "expert"]).await;
    relay.run(json!({"command": "monitor", "party": "m", "of": "customer"})).await.unwrap();
    relay.run(json!({"command": "swap", "survivor": "customer", "old": "agent", "new": "expert"})).await.unwrap();
    // Nothing that waits has to do with who listens.
    relay.run(json!({"command": "unmonitor", "party": "m"})).await.unwrap();
    relay.run(json!({"command": "monitor", "party": "m", "of": "customer"})).await.unwrap();
    let swap =
        json!({"command": "swap", "survivor": "customer", "old": "agent", "new": "expert", "trigger": "immediate"});
    let error = relay.run(swap.clone()).await.expect_err("one waits");
    assert_eq!(error.code, ErrorCode::CutOverPending);
    relay.run(json!({"command": "leg-delete", "party": "expert"})).await.unwrap();
    relay.party_with("expert", 6000, json!(["PCMU"])).await;
    relay.run(swap).await.unwrap();
    assert_eq!(relay.hears_of(["customer", "agent", "m"]).await, ["expert", "hold:hold", "customer"]);
    let error = relay.run(json!({"command": "monitor", "party": "m", "of": "m"})).await.expect_err("it is one party");
    assert_eq!(error.code, ErrorCode::BadRequest);
    relay.run(json!({"command": "leg-delete", "party": "customer"})).await.unwrap();
    assert_eq!(relay.hears_of(["expert", "agent", "m"]).await, ["silence", "hold:hold", "silence"]);
    assert_eq!(relay.state().await.legs.iter().find(|leg| &*leg.party == "m").unwrap().monitors, None);
}

#[tokio::test]
async fn a_monitor_needs_a_format_in_common_and_can_be_undone() {
    let relay = Relay::new();
    relay.call(&["a", "b"]).await;
    relay.party_with("o", 5000, json!(["18 G729/8000"])).await;
    let error = relay.run(json!({"command": "monitor", "party": "o", "of": "a"})).await.expect_err("no format");
    assert_eq!(error.code, ErrorCode::Incompatible);
    relay.party_with("m", 5002, json!(["PCMU"])).await;
    relay.run_as("listen", json!({"command": "monitor", "party": "m", "of": "b"})).await.unwrap();
    relay.run_as("move", json!({"command": "monitor", "party": "m", "of": "a"})).await.unwrap();
    for (undone, hears) in [("move", "b"), ("listen", "silence")] {
        relay.run(json!({"command": "rollback", "of": undone})).await.unwrap();
        assert_eq!(relay.hears_of(["m"]).await, [hears], "after the rollback of {undone}");
    }
}
