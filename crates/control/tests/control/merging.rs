//! Two calls made one.

use patchcord_control::api::{CallMerged, CommandAnswer, CommandRequest, Detail, MergeCall};
use patchcord_control::{ApiError, ErrorCode};
use serde_json::{Value, json};

use crate::relay::{Phone, Relay, config, names, told};

/// Executes commands on any call.
async fn on(relay: &Relay, call: &str, id: &str, commands: Value) -> std::sync::Arc<CommandAnswer> {
    let body = json!({"id": id, "commands": commands}).to_string();
    relay.control.execute(call, CommandRequest::from_json(body.as_bytes()).unwrap()).await.unwrap()
}

/// A party of call `d`.
async fn party(relay: &Relay, name: &str, port: u16) -> Phone {
    let address = std::net::SocketAddr::from(([10, 0, 0, 9], port));
    let create = json!([{"command": "leg-create", "party": name, "codecs": ["PCMU"], "remote": address.to_string()}]);
    let answer = on(relay, "d", &format!("create-{name}"), create).await;
    let Detail::Created(created) = &answer.results[0].detail else { panic!("{answer:?}") };
    Phone::new(address, created.local)
}

/// Call `d` with `caller` and `y`, bridged.
async fn second(relay: &Relay) -> (Phone, Phone) {
    relay.control.create_call_beside(Some("d"), None, Some("c")).unwrap();
    let phones = (party(relay, "caller", 4100).await, party(relay, "y", 4102).await);
    on(relay, "d", "bridge", json!([{"command": "bridge", "a": "caller", "b": "y"}])).await;
    phones
}

fn request(id: &str, call: &str, rename: &[(&str, &str)]) -> MergeCall {
    let rename = rename.iter().map(|&(party, name)| (party.to_owned(), name.to_owned())).collect();
    MergeCall { id: id.to_owned(), call: call.to_owned(), rename }
}

async fn merge(relay: &Relay, id: &str, rename: &[(&str, &str)]) -> Result<CallMerged, ApiError> {
    relay.control.merge_calls("c", request(id, "d", rename)).await
}

#[tokio::test]
async fn two_calls_are_one_with_ports_streams_and_bridges_as_they_were() {
    let relay = Relay::new();
    let mut phones = relay.call(&["caller", "b"]).await;
    let (mut consult, mut y) = second(&relay).await;
    for phone in phones.iter_mut().chain([&mut consult, &mut y]) {
        relay.talk(phone);
    }
    let mut events = relay.control.subscribe();
    let merged = merge(&relay, "1", &[("caller", "consult")]).await.unwrap();
    let parties: Vec<&str> = merged.parties.iter().map(|party| &**party).collect();
    assert_eq!((&*merged.call, &*merged.merged, parties), ("c", "d", vec!["caller", "b", "consult", "y"]));
    assert_eq!(merge(&relay, "1", &[("caller", "consult")]).await, Ok(merged), "the same id does nothing again");
    let events = told(&mut events);
    assert_eq!(names(&events), ["party-renamed", "call-merged"]);
    assert!(events.iter().all(|event| &*event.call == "d"), "{events:?}");

    assert_eq!(relay.hears_of(["caller", "consult", "y"]).await, ["b", "y", "consult"]);
    assert_eq!(relay.control.list().calls.len(), 1, "with one entry, under its own name");
    let by_the_other_name = relay.control.snapshot("d").await.unwrap();
    assert_eq!((&*by_the_other_name.call, by_the_other_name.legs.len()), ("c", 4));

    let mut events = relay.control.subscribe();
    relay
        .run(json!({"command": "swap", "survivor": "caller", "old": "b", "new": "y", "trigger": "immediate"}))
        .await
        .unwrap();
    relay.talk(&mut y);
    relay.talk(&mut phones[0]);
    assert_eq!(relay.hears_of(["caller", "y"]).await, ["y", "caller"]);
    let receipts: Vec<_> = told(&mut events)
        .into_iter()
        .filter_map(|event| match &event.kind {
            patchcord_control::api::EventKind::CutOver(cut_over) => {
                Some((event.call.to_string(), event.party.clone().unwrap().to_string(), cut_over.receipt.seq_step))
            }
            _ => None,
        })
        .collect();
    // That of the consultation's own bridge, which nothing had been heard by, is in between.
    let receipts: Vec<_> = receipts.into_iter().filter(|(_, party, _)| party != "consult").collect();
    let of = |party: &str| ("c".to_owned(), party.to_owned(), Some(1));
    assert_eq!(receipts, [of("caller"), of("y")], "each stream went on where it was");

    relay.control.delete_call("d", None).await.unwrap();
    assert!(relay.control.is_idle());
    assert_eq!(relay.workers[0].open_ports(), 0);
    assert!(relay.control.ports().iter().all(|(_, counts)| counts.leased == 0));
}

#[tokio::test]
async fn a_cut_over_that_waits_takes_place_in_the_call_that_stays() {
    let relay = Relay::new();
    relay.call(&["a", "b"]).await;
    let (_, _) = second(&relay).await;
    let mut z = party(&relay, "z", 4104).await;
    on(&relay, "d", "wait", json!([{"command": "swap", "survivor": "caller", "old": "y", "new": "z"}])).await;
    merge(&relay, "1", &[]).await.unwrap();
    let mut events = relay.control.subscribe();
    assert_eq!(relay.hears_of(["caller", "a"]).await, ["y", "b"]);
    relay.talk(&mut z);
    assert_eq!(relay.hears_of(["caller", "a"]).await, ["z", "b"]);
    let events = told(&mut events);
    assert!(names(&events).contains(&"cut-over") && events.iter().all(|event| &*event.call == "c"), "{events:?}");
}

#[tokio::test]
async fn what_cannot_be_merged_is_refused_and_both_are_as_they_were() {
    let relay = Relay::new();
    relay.call(&["caller", "b"]).await;
    second(&relay).await;
    let before = (relay.hears().await, relay.control.snapshot("d").await.unwrap().legs.len(), relay.control.ports());
    let to_itself = relay.control.merge_calls("c", request("self", "c", &[])).await.expect_err("one call");
    let unknown = relay.control.merge_calls("c", request("none", "nobody", &[])).await.expect_err("no call");
    assert_eq!((to_itself.code, unknown.code), (ErrorCode::SameCall, ErrorCode::UnknownCall));
    for (id, rename, code, says) in [
        ("1", &[][..], ErrorCode::PartyExists, "rename that of call d"),
        ("2", &[("caller", "b")][..], ErrorCode::PartyExists, "two parties b"),
        ("3", &[("caller", "y")][..], ErrorCode::PartyExists, "two parties y"),
        ("4", &[("x", "z")][..], ErrorCode::UnknownParty, "no party x"),
        ("5", &[("caller", "a/1")][..], ErrorCode::BadRequest, "slash"),
        ("6", &[("caller", "")][..], ErrorCode::BadRequest, "1 to 255"),
    ] {
        let error = merge(&relay, id, rename).await.expect_err(id);
        assert_eq!(error.code, code, "{error}");
        assert!(error.message.contains(says), "{error}");
    }
    let reused = merge(&relay, "1", &[("caller", "z")]).await.expect_err("other content");
    assert_eq!(reused.code, ErrorCode::IdReused);
    let after = (relay.hears().await, relay.control.snapshot("d").await.unwrap().legs.len(), relay.control.ports());
    assert_eq!(after, before);
    merge(&relay, "7", &[("caller", "z"), ("y", "caller-2")]).await.unwrap();
    assert_eq!(relay.hears_of(["z", "caller-2"]).await, ["caller-2", "z"]);
}

#[tokio::test]
async fn calls_of_two_workers_are_refused_and_one_is_created_beside_the_other() {
    let relay = Relay::with(config(30000..=30099), 2);
    relay.call(&["a", "b"]).await;
    assert_eq!(relay.control.create_call(Some("d"), None).unwrap().worker, 1);
    let error = merge(&relay, "1", &[]).await.expect_err("two workers");
    assert_eq!(error.code, ErrorCode::OtherWorker);
    assert!(error.message.contains(r#""beside": "c""#), "{error}");
    assert_eq!(relay.control.create_call_beside(Some("e"), Some("e"), Some("c")).unwrap().worker, 0);
    let error = relay.control.create_call_beside(None, None, Some("x")).expect_err("no such call");
    assert_eq!(error.code, ErrorCode::UnknownCall);
    relay.control.merge_calls("c", request("2", "e", &[])).await.unwrap();
}

#[tokio::test]
async fn two_that_take_each_other_in_are_one() {
    let relay = Relay::new();
    relay.call(&["a", "b"]).await;
    second(&relay).await;
    let one = relay.control.merge_calls("c", request("1", "d", &[]));
    let two = relay.control.merge_calls("d", request("2", "c", &[]));
    let (one, two) = tokio::join!(one, two);
    let refused = [&one, &two].into_iter().filter_map(|result| result.as_ref().err()).collect::<Vec<_>>();
    assert_eq!(refused.iter().map(|error| error.code).collect::<Vec<_>>(), [ErrorCode::SameCall]);
    assert_eq!(relay.control.list().calls.len(), 1);
    assert_eq!(relay.control.snapshot("d").await.unwrap().legs.len(), 4);
}
