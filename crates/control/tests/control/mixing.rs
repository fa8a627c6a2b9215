//! Parties that hear several others: conferences, whispers, monitors of more than one.

use patchcord_control::ErrorCode;
use patchcord_control::api::Detail;
use serde_json::json;

use crate::relay::{Relay, told};

const ALL: [&str; 4] = ["a", "b", "c", "d"];

#[tokio::test]
async fn each_of_a_conference_hears_the_others_until_it_goes() {
    let relay = Relay::new();
    relay.call(&ALL).await;
    for (command, hears) in [
        (json!({"command": "conference", "parties": ["a", "b", "c"]}), ["b + c", "a + c", "a + b", "silence"]),
        (json!({"command": "hold", "party": "b"}), ["c", "hold:hold", "a", "silence"]),
        (json!({"command": "resume", "party": "b"}), ["b + c", "a + c", "a + b", "silence"]),
        (json!({"command": "monitor", "party": "d", "of": ["a", "b"]}), ["b + c", "a + c", "a + b", "a + b"]),
        (json!({"command": "unmonitor", "party": "d"}), ["b + c", "a + c", "a + b", "silence"]),
        (
            json!({"command": "conference", "parties": ["a", "b", "c", "d"]}),
            ["b + c + d", "a + c + d", "a + b + d", "a + b + c"],
        ),
        (json!({"command": "leave", "party": "d"}), ["b + c", "a + c", "a + b", "silence"]),
        (json!({"command": "bridge", "a": "c", "b": "d"}), ["b", "a", "d", "c"]),
        (json!({"command": "conference", "parties": ["d", "a"]}), ["d", "silence", "silence", "a"]),
    ] {
        relay.run(command.clone()).await.unwrap();
        assert_eq!(relay.hears_of(ALL).await, hears, "after {command}");
    }
    let state = relay.state().await;
    assert_eq!(state.legs[0].conference, ["d".into()]);
    assert!(state.bridges.is_empty());
}

#[tokio::test]
async fn who_hangs_up_leaves_two_who_hear_each_other_as_they_are_with_a_receipt() {
    let relay = Relay::new();
    let mut phones = relay.call(&["a", "b", "c"]).await;
    relay.run(json!({"command": "conference", "parties": ["a", "b", "c"]})).await.unwrap();
    let mut events = relay.control.subscribe();
    relay.run(json!({"command": "leg-delete", "party": "b"})).await.unwrap();
    assert_eq!(relay.hears_of(["a", "c"]).await, ["c", "a"]);
    let before = relay.state().await;
    relay.talk(&mut phones[0]);
    let state = relay.state().await;
    // Not mixed: the packet itself has passed.
    assert_eq!(state.legs[1].sent.packets - before.legs[1].sent.packets, 1);
    let told = told(&mut events);
    assert!(told.iter().any(|event| event.kind.name() == "cut-over" && event.party.as_deref() == Some("c")));
}

#[tokio::test]
async fn a_whisper_is_heard_by_one_party_besides_what_it_hears() {
    let relay = Relay::new();
    relay.call(&["a", "b", "coach"]).await;
    for (command, hears) in [
        (json!({"command": "whisper", "party": "a", "by": "coach", "gain_db": -6}), ["b + coach", "a", "silence"]),
        (json!({"command": "monitor", "party": "coach", "of": ["a", "b"]}), ["b + coach", "a", "a + b"]),
        (json!({"command": "hold", "party": "a"}), ["hold:hold", "silence", "a + b"]),
        (json!({"command": "resume", "party": "a"}), ["b + coach", "a", "a + b"]),
        (json!({"command": "unbridge", "a": "a", "b": "b"}), ["coach", "silence", "a + b"]),
        (json!({"command": "unwhisper", "party": "a"}), ["silence", "silence", "a + b"]),
        (json!({"command": "whisper", "party": "a", "by": "coach"}), ["coach", "silence", "a + b"]),
        (json!({"command": "leg-delete", "party": "b"}), ["coach", "a", ""]),
    ] {
        relay.run(command.clone()).await.unwrap();
        if command["command"] == "leg-delete" {
            assert_eq!(relay.hears_of(["a", "coach"]).await, hears[..2]);
        } else {
            assert_eq!(relay.hears_of(["a", "b", "coach"]).await, hears, "after {command}");
        }
    }
    let state = relay.state().await;
    assert_eq!((state.legs[0].whisperer.as_deref(), state.legs[1].monitors.as_deref()), (Some("coach"), Some("a")));
}

#[tokio::test]
async fn a_gain_belongs_to_the_talker_wherever_it_is_heard_and_whoever_it_is_bridged_with() {
    let relay = Relay::new();
    let mut phones = relay.call(&["a", "b", "c"]).await;
    let outcome = relay.run_as("softer", json!({"command": "gain", "party": "a", "gain_db": -6})).await.unwrap();
    let Detail::CutOver(result) = outcome.detail else { panic!("{outcome:?}") };
    assert!(result.cut_over.is_some());
    // Whether each is heard mixed or as it is, the helper asks the engine at each step.
    for (command, hears) in [
        (json!({"command": "monitor", "party": "c", "of": "a"}), ["b", "a", "a"]),
        (json!({"command": "conference", "parties": ["a", "b", "c"]}), ["b + c", "a + c", "a + b"]),
        (json!({"command": "bridge", "a": "a", "b": "c"}), ["c", "silence", "a"]),
        (
            json!({"command": "swap", "survivor": "a", "old": "c", "new": "b", "trigger": "immediate"}),
            ["b", "a", "hold:hold"],
        ),
    ] {
        relay.run(command.clone()).await.unwrap();
        assert_eq!(relay.hears_of(["a", "b", "c"]).await, hears, "after {command}");
        let gains: Vec<_> = relay.state().await.legs.iter().map(|leg| leg.gain_db).collect();
        assert_eq!(gains, [Some(-6), None, None], "after {command}");
    }
    let sent = |state: &patchcord_control::api::CallState| [0, 1].map(|leg| state.legs[leg].sent.packets);
    let before = relay.state().await;
    // Nobody mixes here: only who is heard as it is, is heard.
    for phone in &mut phones[..2] {
        relay.talk(phone);
    }
    let louder = relay.state().await;
    assert_eq!(sent(&louder), [sent(&before)[0] + 1, sent(&before)[1]]);
    relay.run(json!({"command": "gain", "party": "a", "gain_db": 0})).await.unwrap();
    relay.talk(&mut phones[0]);
    let state = relay.state().await;
    assert_eq!((sent(&state)[1], state.legs[0].gain_db), (sent(&louder)[1] + 1, None));
}

#[tokio::test]
async fn a_gain_can_be_undone_and_waits_for_what_waits() {
    let relay = Relay::new();
    relay.call(&["a", "b", "c", "d"]).await;
    relay.run_as("louder", json!({"command": "gain", "party": "b", "gain_db": 9})).await.unwrap();
    assert_eq!(relay.state().await.legs[1].gain_db, Some(9));
    relay.run(json!({"command": "rollback", "of": "louder"})).await.unwrap();
    assert_eq!(relay.state().await.legs[1].gain_db, None);
    assert_eq!(relay.hears_of(["a"]).await, ["b"]);
    // Who hears nobody yet is not told of anything.
    let again = relay.run(json!({"command": "gain", "party": "b", "gain_db": 0})).await.unwrap();
    assert!(matches!(again.detail, Detail::CutOver(result) if result.cut_over.is_none()));
    relay.run_as("later", json!({"command": "swap", "survivor": "a", "old": "b", "new": "c"})).await.unwrap();
    for party in ["a", "b", "c"] {
        let error = relay.run(json!({"command": "gain", "party": party, "gain_db": 3})).await.expect_err("it waits");
        assert_eq!(error.code, ErrorCode::CutOverPending, "{party}: {error}");
    }
    relay.run(json!({"command": "gain", "party": "d", "gain_db": 3})).await.unwrap();
    relay.run(json!({"command": "rollback", "of": "later"})).await.unwrap();
    relay.run(json!({"command": "gain", "party": "c", "gain_db": 3})).await.unwrap();
}

#[tokio::test]
async fn a_conference_can_be_undone() {
    let relay = Relay::new();
    relay.call(&["a", "b", "c"]).await;
    relay.run_as("warm", json!({"command": "conference", "parties": ["a", "b", "c"]})).await.unwrap();
    let undone = relay.run(json!({"command": "rollback", "of": "warm"})).await.unwrap();
    assert!(matches!(undone.detail, Detail::CutOver(_)));
    assert_eq!(relay.hears_of(["a", "b", "c"]).await, ["b", "a", "silence"]);
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_by_name() {
    let relay = Relay::new();
    relay.call(&["a", "b", "c"]).await;
    relay.party_with("video", 7000, json!(["96 H264/90000"])).await;
    for (command, code, says) in [
        (json!({"command": "conference", "parties": ["a"]}), ErrorCode::BadRequest, "two parties at least"),
        (json!({"command": "conference", "parties": ["a", "a"]}), ErrorCode::BadRequest, "a is named twice"),
        (json!({"command": "conference", "parties": ["a", "x"]}), ErrorCode::UnknownParty, "x"),
        (json!({"command": "leave", "party": "a"}), ErrorCode::NotBridged, "a is in no conference"),
        (json!({"command": "whisper", "party": "a", "by": "a"}), ErrorCode::BadRequest, "a is given twice"),
        (json!({"command": "whisper", "party": "a", "by": "b", "gain_db": 40}), ErrorCode::BadRequest, "-60 to 24"),
        (json!({"command": "gain", "party": "a", "gain_db": 25}), ErrorCode::BadRequest, "-60 to 24"),
        (json!({"command": "gain", "party": "x", "gain_db": 1}), ErrorCode::UnknownParty, "x"),
        (json!({"command": "monitor", "party": "a", "of": []}), ErrorCode::BadRequest, "`of` is empty"),
        (json!({"command": "monitor", "party": "a", "of": ["b", "b"]}), ErrorCode::BadRequest, "b is named twice"),
        (
            json!({"command": "conference", "parties": ["a", "b", "video"]}),
            ErrorCode::Incompatible,
            "a cannot hear that mixed",
        ),
    ] {
        let error = relay.run(command.clone()).await.expect_err("it makes no sense");
        assert_eq!(error.code, code, "{command}: {error}");
        assert!(error.message.contains(says), "{command}: {error}");
    }
    assert_eq!(relay.hears_of(["a", "b", "c"]).await, ["b", "a", "silence"]);
}
