//! The same id again.

use core::sync::atomic::Ordering;
use core::time::Duration;

use patchcord_control::ErrorCode;
use patchcord_control::api::CommandRequest;
use serde_json::json;

use crate::relay::Relay;

#[tokio::test]
async fn a_repeat_gets_the_first_answer_and_does_nothing() {
    let relay = Relay::new();
    relay.call(&["a"]).await;
    let create = json!({"command": "leg-create", "party": "b", "codecs": ["PCMU"]});
    let first = relay.run_as("1", create.clone()).await.unwrap();
    assert_eq!(relay.run_as("1", create).await.unwrap(), first);
    assert_eq!(relay.control.ports()[0].1.leased, 2);
    let other = json!({"command": "leg-create", "party": "x", "codecs": ["PCMU"]});
    let error = relay.run_as("1", other).await.expect_err("the id is taken");
    assert_eq!(error.code, ErrorCode::IdReused);
}

#[tokio::test]
async fn a_refusal_is_an_answer_too() {
    let relay = Relay::new();
    relay.call(&["a", "b"]).await;
    let resume = json!({"command": "resume", "party": "a"});
    let first = relay.run_as("1", resume.clone()).await.expect_err("it is not on hold");
    relay.run(json!({"command": "hold", "party": "a"})).await.unwrap();
    assert_eq!(relay.run_as("1", resume.clone()).await.expect_err("the first answer again"), first);
    relay.run_as("2", resume).await.unwrap();
}

#[tokio::test]
async fn duplicates_at_the_same_time_are_one() {
    let relay = Relay::new();
    relay.call(&["a"]).await;
    let body = br#"{"id": "1", "command": "leg-create", "party": "b", "codecs": []}"#;
    let request = CommandRequest::from_json(body).unwrap();
    relay.workers[0].stalled.store(true, Ordering::Relaxed);
    let tasks: Vec<_> = (0..3)
        .map(|_| {
            let (control, request) = (relay.control.clone(), request.clone());
            tokio::spawn(async move { control.execute("c", request).await })
        })
        .collect();
    relay.until("the worker is asked", async |relay| relay.workers[0].put_off() == 1).await;
    relay.settle().await;
    assert_eq!(relay.workers[0].put_off(), 1, "only the first asks");
    relay.workers[0].go_on();
    let mut answers = Vec::new();
    for task in tasks {
        answers.push(task.await.unwrap().unwrap());
    }
    assert!(answers.windows(2).all(|pair| pair[0] == pair[1]));
    assert_eq!(relay.workers[0].open_ports(), 2);
}

#[tokio::test]
async fn a_client_that_goes_away_leaves_its_command_done() {
    let relay = Relay::new();
    relay.call(&["a"]).await;
    let body = br#"{"id": "1", "command": "leg-create", "party": "b", "codecs": []}"#;
    let request = CommandRequest::from_json(body).unwrap();
    relay.workers[0].stalled.store(true, Ordering::Relaxed);
    let (control, again) = (relay.control.clone(), request.clone());
    let task = tokio::spawn(async move { control.execute("c", again).await });
    relay.until("the worker is asked", async |relay| relay.workers[0].put_off() == 1).await;
    task.abort();
    relay.workers[0].go_on();
    let answer = relay.control.execute("c", request).await.unwrap();
    assert_eq!(answer.results.len(), 1);
    assert_eq!(relay.workers[0].open_ports(), 2);
}

#[tokio::test]
async fn calls_are_created_and_deleted_once_for_an_id() {
    let relay = Relay::new();
    let first = relay.control.create_call(None, Some("1")).unwrap();
    assert_eq!(relay.control.create_call(None, Some("1")).unwrap(), first);
    let error = relay.control.create_call(Some("x"), Some("1")).expect_err("other content");
    assert_eq!(error.code, ErrorCode::IdReused);
    let last = relay.control.delete_call(&first.call, Some("2")).await.unwrap();
    assert_eq!(relay.control.delete_call(&first.call, Some("2")).await.unwrap(), last);
    let error = relay.control.delete_call(&first.call, None).await.expect_err("without an id it is asked anew");
    assert_eq!(error.code, ErrorCode::UnknownCall);
}

#[tokio::test]
async fn an_answer_can_wait_for_the_receipts() {
    let relay = Relay::new();
    let mut phones = relay.call(&["a", "b"]).await;
    relay.run(json!({"command": "unbridge", "a": "a", "b": "b"})).await.unwrap();
    let body = br#"{"id": "1", "wait_ms": 60000, "command": "bridge", "a": "a", "b": "b"}"#;
    let request = CommandRequest::from_json(body).unwrap();
    let control = relay.control.clone();
    let again = request.clone();
    let task = tokio::spawn(async move { control.execute("c", again).await });
    relay.settle().await;
    assert!(!task.is_finished());
    relay.run(json!({"command": "mute", "party": "b"})).await.expect("others are not kept waiting");
    relay.talk(&mut phones[0]);
    relay.settle().await;
    assert!(!task.is_finished(), "the other direction has no receipt yet");
    relay.run(json!({"command": "unmute", "party": "b"})).await.unwrap();
    relay.talk(&mut phones[1]);
    let answer = task.await.unwrap().unwrap();
    let patchcord_control::api::Detail::CutOver(result) = &answer.results[0].detail else { panic!("{answer:?}") };
    assert_eq!(result.receipts.len(), 2, "{result:?}");
    let quick = CommandRequest { wait_ms: 0, ..request };
    assert_eq!(relay.control.execute("c", quick).await.unwrap(), answer, "the time to wait is not content");
}

#[tokio::test]
async fn an_answer_does_not_wait_for_receipts_that_cannot_come_any_more() {
    let relay = Relay::new();
    relay.call(&["a", "b", "c"]).await;
    for (id, commands) in [
        (
            "another source",
            json!([{"command": "bridge", "a": "b", "b": "c"}, {"command": "unbridge", "a": "b", "b": "c"}]),
        ),
        (
            "the source goes",
            json!([{"command": "bridge", "a": "a", "b": "b"}, {"command": "leg-delete", "party": "b"}]),
        ),
        (
            "the listener goes",
            json!([{"command": "monitor", "party": "c", "of": "a"}, {"command": "leg-delete", "party": "c"}]),
        ),
    ] {
        let body = json!({"id": id, "wait_ms": 60000, "commands": commands}).to_string();
        let request = CommandRequest::from_json(body.as_bytes()).unwrap();
        let answer = tokio::time::timeout(Duration::from_secs(30), relay.control.execute("c", request)).await;
        answer.expect(id).expect(id);
    }
}
