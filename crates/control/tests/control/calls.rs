//! Calls as a whole, port leases, workers.

use core::sync::atomic::Ordering;

use patchcord_control::ErrorCode;
use patchcord_control::api::Detail;
use serde_json::json;

use crate::relay::{LEGS_MAX, Relay, config, names, told};

#[tokio::test]
async fn a_call_is_created_listed_and_deleted() {
    let relay = Relay::new();
    let mut events = relay.control.subscribe();
    relay.call(&["a", "b"]).await;
    relay.pass(5);
    let list = relay.control.list().calls;
    assert_eq!(list.len(), 1);
    assert_eq!(list[0].parties, ["a".into(), "b".into()]);
    assert_eq!((list[0].age_ms, list[0].cut_overs), (5, 1));
    assert!(!relay.control.is_idle());
    let last = relay.control.delete_call("c", None).await.unwrap();
    assert_eq!(last.legs.len(), 2);
    assert!(relay.control.is_idle());
    assert_eq!(relay.workers[0].open_ports(), 0);
    assert!(relay.control.ports().iter().all(|(_, counts)| counts.leased == 0));
    let error = relay.control.delete_call("c", None).await.expect_err("it is gone");
    assert_eq!(error.code, ErrorCode::UnknownCall);
    let names = names(&told(&mut events));
    assert_eq!(names, ["call-created", "leg-created", "leg-created", "leg-deleted", "leg-deleted", "call-deleted"]);
}

#[tokio::test]
async fn names_are_chosen_and_taken() {
    let relay = Relay::new();
    let first = relay.control.create_call(None, None).unwrap().call;
    let second = relay.control.create_call(None, None).unwrap().call;
    assert_ne!(first, second);
    let error = relay.control.create_call(Some(&first), None).expect_err("it is taken");
    assert_eq!(error.code, ErrorCode::CallExists);
    for name in ["", "a/b", "a\nb", &"x".repeat(256)] {
        let error = relay.control.create_call(Some(name), None).expect_err("no name");
        assert_eq!(error.code, ErrorCode::BadRequest);
    }
}

#[tokio::test]
async fn a_leg_is_told_its_addresses() {
    let relay = Relay::new();
    relay.call(&[]).await;
    let outcome =
        relay.run(json!({"command": "leg-create", "party": "a", "codecs": ["PCMU"], "rtcp_mux": false})).await.unwrap();
    let Detail::Created(created) = outcome.detail else { panic!("{outcome:?}") };
    assert_eq!(created.local.to_string(), "10.0.0.1:30000");
    assert_eq!(created.local_rtcp.to_string(), "10.0.0.1:30001");
    assert_eq!(created.advertised.to_string(), "203.0.113.1:30000");
    let six = json!({"command": "leg-create", "party": "b", "codecs": [], "remote": "[fd00::9]:4000"});
    let Detail::Created(created) = relay.run(six).await.unwrap().detail else { panic!("no leg") };
    assert_eq!(created.local.to_string(), "[fd00::1]:30000", "the interface follows the remote's family");
    let named = json!({"command": "leg-create", "party": "x", "codecs": [], "interface": "six"});
    let Detail::Created(created) = relay.run(named).await.unwrap().detail else { panic!("no leg") };
    assert!(created.local.is_ipv6());
}

#[tokio::test]
async fn calls_go_to_the_worker_with_the_fewest_legs() {
    let relay = Relay::with(config(30000..=30099), 2);
    relay.call(&["a", "b"]).await;
    assert_eq!(relay.control.create_call(None, None).unwrap().worker, 1);
    assert_eq!(relay.control.create_call(None, None).unwrap().worker, 1, "legs count before calls");
    relay.control.delete_call("c", None).await.unwrap();
    assert_eq!(relay.control.create_call(None, None).unwrap().worker, 0);
}

#[tokio::test]
async fn a_busy_port_is_passed_over_until_the_range_is_exhausted() {
    let relay = Relay::with(config(30000..=30007), 1);
    relay.workers[0].busy.lock().unwrap().extend([30000, 30003, 30004]);
    relay.control.create_call(Some("c"), None).unwrap();
    let create = |party: &str| json!({"command": "leg-create", "party": party, "codecs": [], "rtcp_mux": false});
    let Detail::Created(created) = relay.run(create("a")).await.unwrap().detail else { panic!("no leg") };
    assert_eq!(created.local.port(), 30006);
    let error = relay.run(create("b")).await.expect_err("the range is exhausted");
    assert_eq!(error.code, ErrorCode::PortsExhausted);
    assert!(error.message.contains("2 leased, 6 held by other programs, 0 free"), "{error}");
    relay.workers[0].busy.lock().unwrap().clear();
    relay.pass(60_001);
    relay.run(create("b")).await.unwrap();
}

#[tokio::test]
async fn a_refused_batch_leaves_nothing_behind() {
    let relay = Relay::new();
    relay.call(&["a", "b"]).await;
    let before = (relay.control.ports(), relay.hears().await, relay.workers[0].open_ports());
    let batch = json!([
        {"command": "leg-create", "party": "x", "codecs": ["96 opus/48000/2"]},
        {"command": "hold", "party": "a"},
        {"command": "bridge", "a": "b", "b": "x"},
    ]);
    let error = relay.batch(batch).await.expect_err("they have no format in common");
    assert_eq!((error.code, error.command), (ErrorCode::Incompatible, Some(2)));
    assert!(error.message.starts_with("b cannot hear") || error.message.starts_with("x cannot hear"), "{error}");
    assert_eq!((relay.control.ports(), relay.hears().await, relay.workers[0].open_ports()), before);
}

#[tokio::test]
async fn a_full_server_says_so() {
    let relay = Relay::with(config(30000..=39999), 1);
    let mut made = 0;
    let error = loop {
        let call = match relay.control.create_call(None, None) {
            Ok(created) => created.call,
            Err(error) => break error,
        };
        let commands = (0..64).map(|party| json!({"command": "leg-create", "party": party.to_string(), "codecs": []}));
        let body = json!({"id": "1", "commands": commands.collect::<Vec<_>>()}).to_string();
        let request = patchcord_control::api::CommandRequest::from_json(body.as_bytes()).unwrap();
        relay.control.execute(&call, request).await.unwrap();
        made += 64;
    };
    assert_eq!((made, error.code), (LEGS_MAX, ErrorCode::NoRoom));
}

#[tokio::test]
async fn a_draining_server_takes_no_new_calls() {
    let relay = Relay::new();
    relay.call(&["a"]).await;
    relay.control.drain();
    assert_eq!(relay.control.create_call(None, None).expect_err("it drains").code, ErrorCode::Draining);
    relay.party("b", 4100).await;
    relay.control.delete_call("c", None).await.unwrap();
    assert!(relay.control.is_idle());
}

#[tokio::test]
async fn a_worker_that_is_gone_is_named() {
    let relay = Relay::new();
    relay.call(&["a"]).await;
    relay.workers[0].gone.store(true, Ordering::Relaxed);
    let create = json!({"command": "leg-create", "party": "b", "codecs": []});
    let error = relay.run_as("1", create.clone()).await.expect_err("there is no worker");
    assert_eq!(error.code, ErrorCode::WorkerUnavailable);
    assert_eq!(relay.control.ports()[0].1.leased, 1);
    relay.workers[0].gone.store(false, Ordering::Relaxed);
    relay.run_as("1", create).await.expect("want of room is not remembered");
}

#[tokio::test]
async fn a_party_may_have_several_media() {
    let relay = Relay::new();
    relay.call(&["a", "b", "a/1", "b/1"]).await;
    relay.run(json!({"command": "bridge", "a": "a/1", "b": "b/1"})).await.unwrap();
    assert_eq!(relay.hears_of(["a", "b", "a/1", "b/1"]).await, ["b", "a", "b/1", "a/1"]);
    assert_eq!(relay.state().await.parties, ["a".into(), "b".into()]);
    relay.run(json!({"command": "leg-delete", "party": "a/0"})).await.unwrap();
    assert_eq!(relay.hears_of(["b", "a/1"]).await, ["silence", "b/1"]);
}

#[tokio::test]
async fn a_party_is_renamed_with_all_its_media() {
    let relay = Relay::new();
    relay.call(&["a", "b"]).await;
    relay.run(json!({"command": "leg-create", "party": "b/1", "codecs": []})).await.unwrap();
    let mut events = relay.control.subscribe();
    relay.run(json!({"command": "party-rename", "party": "b", "name": "callee"})).await.unwrap();
    assert_eq!(names(&told(&mut events)), ["party-renamed"]);
    let call = relay.control.snapshot("c").await.unwrap();
    let legs: Vec<_> = call.legs.iter().map(|leg| &*leg.party).collect();
    assert_eq!(legs, ["a", "callee", "callee/1"]);
    assert_eq!(call.bridges, [["a".into(), "callee".into()]], "who hears whom stays");
    for (party, name, code) in [
        ("b", "x", ErrorCode::UnknownParty),
        ("a", "callee", ErrorCode::PartyExists),
        ("callee/1", "x", ErrorCode::BadRequest),
        ("a", "x/1", ErrorCode::BadRequest),
    ] {
        let rename = json!({"command": "party-rename", "party": party, "name": name});
        assert_eq!(relay.run(rename).await.expect_err(name).code, code, "{party} to {name}");
    }
}
