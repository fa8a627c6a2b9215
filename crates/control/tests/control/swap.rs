//! Swap: when it happens, what becomes of the old party, and the way back.

use core::sync::atomic::Ordering;
use core::time::Duration;

use patchcord_control::api::{CommandRequest, CutOverState, Detail, EventKind, Outcome};
use patchcord_control::{ApiError, ErrorCode};
use serde_json::{Value, json};

use crate::relay::{Phone, Relay, cut_over, names, told};

const PARTIES: [&str; 3] = ["customer", "agent", "target"];

/// A call of three, the customer and the agent bridged.
async fn three() -> (Relay, Vec<Phone>) {
    let relay = Relay::new();
    let phones = relay.call(&PARTIES).await;
    (relay, phones)
}

#[allow(clippy::needless_pass_by_value, reason = "a literal reads better without a reference")]
fn swap(more: Value) -> Value {
    let mut command = json!({"command": "swap", "survivor": "customer", "old": "agent", "new": "target"});
    command.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    command
}

#[tokio::test]
async fn by_default_it_waits_for_the_new_partys_first_packet_and_holds_the_old_one() {
    let (relay, mut phones) = three().await;
    let mut events = relay.control.subscribe();
    let outcome = relay.run_as("swap-1", swap(json!({}))).await.unwrap();
    let (id, state, receipts) = cut_over(&outcome);
    assert_eq!((state, receipts), (CutOverState::Pending, 0));
    assert_eq!(relay.hears_of(PARTIES).await, ["agent", "customer", "silence"], "until then nothing changes");
    assert_eq!(relay.state().await.legs[0].pending, id);
    relay.talk(&mut phones[1]);
    relay.pass(20);
    relay.talk(&mut phones[2]);
    assert_eq!(relay.hears_of(PARTIES).await, ["target", "hold:hold", "customer"]);
    let state = relay.state().await;
    let record = state.cut_overs.last().unwrap();
    assert_eq!((record.state, record.id.as_deref()), (CutOverState::Done, Some("swap-1")));
    let receipt = record.receipts.iter().find(|receipt| &*receipt.party == "customer").unwrap();
    assert_eq!((receipt.gap_us, receipt.seq_step, receipt.stale), (Some(20_000), Some(1), 0));
    let events = told(&mut events);
    assert!(names(&events).contains(&"cut-over"), "{events:?}");
}

#[tokio::test]
async fn late_packets_of_the_old_party_are_counted_in_the_receipt() {
    let (relay, mut phones) = three().await;
    relay.talk(&mut phones[1]);
    relay.run(swap(json!({"trigger": "immediate", "keep_old": "mute"}))).await.unwrap();
    relay.pass(20);
    relay.talk(&mut phones[2]);
    relay.talk(&mut phones[1]);
    let state = relay.state().await;
    let receipts = &state.cut_overs.last().unwrap().receipts;
    let stale = receipts.iter().find(|receipt| &*receipt.party == "customer").unwrap().stale;
    assert_eq!(stale, 1, "{receipts:?}");
    assert_eq!(relay.hears_of(PARTIES).await, ["target", "silence", "customer"]);
}

#[tokio::test]
async fn it_ends_hold_and_ringback_only_when_it_happens() {
    let (relay, mut phones) = three().await;
    let batch = json!([
        {"command": "hold", "party": "customer"},
        {"command": "ringback", "party": "customer", "country": "de"},
        swap(json!({})),
    ]);
    relay.batch(batch).await.unwrap();
    assert_eq!(relay.hears_of(PARTIES).await, ["ringback:de", "silence", "silence"]);
    relay.run(json!({"command": "stop", "party": "customer"})).await.unwrap();
    assert_eq!(relay.hears_of(PARTIES).await, ["hold:hold", "silence", "silence"], "a waiting swap allows for that");
    relay.talk(&mut phones[2]);
    assert_eq!(relay.hears_of(PARTIES).await, ["target", "hold:hold", "customer"]);
}

#[tokio::test]
async fn after_a_time_or_a_prompt() {
    let (relay, _) = three().await;
    relay.run(swap(json!({"trigger": {"after_ms": 50}}))).await.unwrap();
    relay.pass(49);
    assert_eq!(relay.hears_of(PARTIES).await, ["agent", "customer", "silence"]);
    relay.pass(2);
    assert_eq!(relay.hears_of(PARTIES).await, ["target", "hold:hold", "customer"]);

    let back =
        json!({"command": "swap", "survivor": "customer", "old": "target", "new": "agent", "trigger": "after-prompt"});
    let error = relay.run(back.clone()).await.expect_err("nothing is being played");
    assert_eq!(error.code, ErrorCode::BadTrigger);
    let prompt = json!({"command": "play", "party": "customer", "audio": "silence"});
    relay.batch(json!([prompt, back])).await.unwrap();
    let error = relay.run(json!({"command": "stop", "party": "customer"})).await.expect_err("the swap waits for it");
    assert_eq!(error.code, ErrorCode::CutOverPending);
    relay.pass(900);
    assert_eq!(relay.hears_of(PARTIES).await, ["play:silence", "hold:hold", "customer"]);
    relay.pass(200);
    assert_eq!(relay.hears_of(PARTIES).await, ["agent", "customer", "hold:hold"]);
}

#[tokio::test]
async fn the_old_leg_can_be_dropped_after_a_while() {
    let (relay, mut phones) = three().await;
    let mut events = relay.control.subscribe();
    relay.run(swap(json!({"keep_old": {"drop_after_ms": 20}}))).await.unwrap();
    relay.settle().await;
    assert!(relay.hears().await.contains_key("agent"), "the time begins at the switch");
    relay.talk(&mut phones[2]);
    relay.settle().await;
    assert_eq!(relay.hears_of(PARTIES).await, ["target", "silence", "customer"]);
    while events.recv().await.unwrap().kind.name() != "leg-deleted" {}
    assert_eq!(relay.hears().await.len(), 2);
    assert_eq!(relay.workers[0].open_ports(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_swap_that_was_undone_drops_nobody() {
    let (relay, mut phones) = three().await;
    relay.run_as("swap", swap(json!({"keep_old": {"drop_after_ms": 5}}))).await.unwrap();
    relay.talk(&mut phones[2]);
    relay.run(json!({"command": "rollback", "of": "swap"})).await.unwrap();
    // Time is virtual: it jumps from timer to timer once there is nothing else to do, so the leg's is over for certain.
    tokio::time::sleep(Duration::from_millis(20)).await;
    relay.settle().await;
    assert_eq!(relay.hears_of(PARTIES).await, ["agent", "customer", "silence"]);
}

#[tokio::test]
async fn a_leg_deleted_in_mid_swap_cancels_it_and_says_so() {
    let (relay, mut phones) = three().await;
    let mut events = relay.control.subscribe();
    let (id, ..) = cut_over(&relay.run_as("swap", swap(json!({}))).await.unwrap());
    let outcome = relay.run(json!({"command": "leg-delete", "party": "target"})).await.unwrap();
    let Detail::Deleted(deleted) = &outcome.detail else { panic!("{outcome:?}") };
    assert_eq!(Some(deleted.cancelled.as_slice()), id.as_ref().map(core::slice::from_ref));
    let told = told(&mut events);
    let cancelled: Vec<_> = told
        .iter()
        .filter_map(|event| match &event.kind {
            EventKind::CutOverCancelled { cut_over, id, gone } => Some((*cut_over, id.as_deref(), gone.as_deref())),
            _ => None,
        })
        .collect();
    assert_eq!(cancelled, [(id.unwrap(), Some("swap"), Some("target"))]);
    assert_eq!(relay.hears_of(["customer", "agent"]).await, ["agent", "customer"]);
    relay.talk(&mut phones[1]);
    assert_eq!(relay.state().await.legs[0].sent.packets, 1, "the call goes on");
    let error = relay.run(json!({"command": "rollback", "of": "swap"})).await.expect_err("it will not happen");
    assert_eq!(error.code, ErrorCode::NothingToUndo);
}

#[tokio::test]
async fn the_transferor_may_hang_up_before_the_target_speaks() {
    let (relay, mut phones) = three().await;
    relay.run(swap(json!({}))).await.unwrap();
    let answer = relay.run(json!({"command": "leg-delete", "party": "agent"})).await.unwrap();
    let Detail::Deleted(deleted) = &answer.detail else { panic!("{answer:?}") };
    assert!(deleted.cancelled.is_empty());
    relay.talk(&mut phones[2]);
    assert_eq!(relay.hears_of(["customer", "target"]).await, ["target", "customer"]);
}

#[tokio::test]
async fn rollback_cancels_what_waits() {
    let (relay, mut phones) = three().await;
    let mut events = relay.control.subscribe();
    relay.run_as("swap", swap(json!({}))).await.unwrap();
    let outcome = relay.run(json!({"command": "rollback", "of": "swap"})).await.unwrap();
    assert_eq!(cut_over(&outcome).1, CutOverState::Cancelled);
    relay.talk(&mut phones[2]);
    assert_eq!(relay.hears_of(PARTIES).await, ["agent", "customer", "silence"]);
    assert_eq!(names(&told(&mut events)), ["cut-over-cancelled", "rolled-back", "latched", "first-packet"]);
}

#[tokio::test]
async fn rollback_goes_back_over_what_is_done_step_by_step() {
    let (relay, mut phones) = three().await;
    let hold = json!([{"command": "hold", "party": "customer"}, {"command": "ringback", "party": "customer", "country": "fr"}]);
    relay.batch_as("hold", hold).await.unwrap();
    relay.run_as("swap", swap(json!({}))).await.unwrap();
    relay.talk(&mut phones[2]);
    assert_eq!(relay.hears_of(PARTIES).await, ["target", "hold:hold", "customer"]);
    let error = relay.run(json!({"command": "rollback", "of": "hold"})).await.expect_err("the swap came later");
    assert_eq!(error.code, ErrorCode::NotTheLatest);
    let outcome = relay.run(json!({"command": "rollback", "of": "swap"})).await.unwrap();
    assert_eq!(cut_over(&outcome).1, CutOverState::Done);
    assert_eq!(relay.hears_of(PARTIES).await, ["ringback:fr", "silence", "silence"]);
    relay.run(json!({"command": "rollback", "of": "hold"})).await.unwrap();
    assert_eq!(relay.hears_of(PARTIES).await, ["agent", "customer", "silence"]);
    let error = relay.run(json!({"command": "rollback", "of": "swap"})).await.expect_err("it was undone");
    assert_eq!(error.code, ErrorCode::NothingToUndo);
    let states: Vec<_> = relay.state().await.cut_overs.iter().map(|record| record.state).collect();
    let [done, undone] = [CutOverState::Done, CutOverState::RolledBack];
    assert_eq!(states, [done, undone, undone, undone, done, done]);
}

#[tokio::test]
async fn rollback_is_refused_when_a_leg_is_gone() {
    let (relay, _) = three().await;
    relay.run_as("swap", swap(json!({"trigger": "immediate"}))).await.unwrap();
    relay.run(json!({"command": "leg-delete", "party": "agent"})).await.unwrap();
    let error = relay.run(json!({"command": "rollback", "of": "swap"})).await.expect_err("the agent is gone");
    assert_eq!(error.code, ErrorCode::LegGone);
    assert_eq!(relay.hears_of(["customer", "target"]).await, ["target", "customer"]);
}

#[tokio::test]
async fn it_ends_a_consultation() {
    let (relay, _) = three().await;
    relay.run(json!({"command": "hold", "party": "customer"})).await.unwrap();
    relay.run(json!({"command": "bridge", "a": "agent", "b": "target"})).await.unwrap();
    relay.run(swap(json!({"trigger": "immediate", "keep_old": "drop"}))).await.unwrap();
    relay.until("the agent is gone", async |relay| !relay.hears().await.contains_key("agent")).await;
    assert_eq!(relay.hears_of(["customer", "target"]).await, ["target", "customer"]);
}

#[tokio::test]
async fn what_waits_cannot_be_given_other_peers() {
    let (relay, _) = three().await;
    relay.run(swap(json!({}))).await.unwrap();
    for command in [
        json!({"command": "bridge", "a": "target", "b": "agent"}),
        json!({"command": "unbridge", "a": "customer", "b": "agent"}),
        swap(json!({})),
    ] {
        let error = relay.run(command.clone()).await.expect_err("a swap waits");
        assert_eq!(error.code, ErrorCode::CutOverPending, "{command}: {error}");
    }
    relay.run(json!({"command": "mute", "party": "customer"})).await.unwrap();
}

#[tokio::test]
async fn it_needs_the_survivors_peer() {
    let (relay, _) = three().await;
    let wrong = json!({"command": "swap", "survivor": "customer", "old": "target", "new": "agent"});
    let error = relay.run(wrong).await.expect_err("the customer talks to the agent");
    assert_eq!(error.message, "customer is not bridged with target but with agent");
    let error = relay.run(json!({"command": "swap", "survivor": "customer", "old": "agent", "new": "agent"})).await;
    assert_eq!(error.expect_err("old and new are the same").code, ErrorCode::BadRequest);
}

/// The trigger fires while `command` is on its way to the engine.
async fn overtaken(relay: &Relay, phone: &mut Phone, command: Value) -> Result<Outcome, ApiError> {
    relay.workers[0].stalled.store(true, Ordering::Relaxed);
    let body = json!({"id": "late", "commands": [command]}).to_string();
    let request = CommandRequest::from_json(body.as_bytes())?;
    let control = relay.control.clone();
    let task = tokio::spawn(async move { control.execute("c", request).await });
    relay.until("the worker is asked", async |relay| relay.workers[0].put_off() == 1).await;
    relay.talk(phone);
    relay.pass(1);
    relay.workers[0].go_on();
    task.await.unwrap().map(|answer| answer.results[0].clone())
}

#[tokio::test]
async fn a_rollback_that_comes_too_late_to_cancel_goes_back() {
    let (relay, mut phones) = three().await;
    let mut events = relay.control.subscribe();
    relay.run_as("swap", swap(json!({}))).await.unwrap();
    overtaken(&relay, &mut phones[2], json!({"command": "rollback", "of": "swap"})).await.unwrap();
    assert_eq!(relay.hears_of(PARTIES).await, ["agent", "customer", "silence"]);
    assert_eq!(relay.state().await.cut_overs.last().unwrap().state, CutOverState::RolledBack);
    let names = names(&told(&mut events));
    assert!(names.contains(&"rolled-back") && !names.contains(&"cut-over-cancelled"), "{names:?}");
}

#[tokio::test]
async fn a_deletion_that_comes_too_late_to_cancel_leaves_the_swap_done() {
    let (relay, mut phones) = three().await;
    let mut events = relay.control.subscribe();
    relay.run_as("swap", swap(json!({}))).await.unwrap();
    let outcome = overtaken(&relay, &mut phones[2], json!({"command": "leg-delete", "party": "agent"})).await.unwrap();
    let Detail::Deleted(deleted) = &outcome.detail else { panic!("{outcome:?}") };
    assert!(deleted.cancelled.is_empty());
    assert_eq!(relay.hears_of(["customer", "target"]).await, ["target", "customer"]);
    assert_eq!(relay.state().await.cut_overs.last().unwrap().state, CutOverState::Done);
    assert!(!names(&told(&mut events)).contains(&"cut-over-cancelled"));
}

#[tokio::test]
async fn a_refused_command_loses_no_event() {
    let (relay, mut phones) = three().await;
    relay.run_as("swap", swap(json!({}))).await.unwrap();
    let wrong = json!({"command": "leg-remote", "party": "agent", "remote": "[::1]:4000"});
    assert!(overtaken(&relay, &mut phones[2], wrong).await.is_err());
    assert_eq!(relay.hears_of(PARTIES).await, ["target", "hold:hold", "customer"]);
}
