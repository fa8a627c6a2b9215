//! SIGTERM: no new calls, running ones go on until they end, or a deadline, or a second signal.

use patchcord_lab::endpoint::{Endpoints, Playback};
use patchcord_lab::report::Report;
use patchcord_tests::stage::{join, numbered_stream};
use patchcord_tests::{PATIENCE, Relay, eventually};
use serde_json::json;

/// A deadline that no test lives to see.
const LONG: [&str; 4] = ["--workers", "1", "--set", "drain.deadline_s=3600"];

#[test]
fn a_running_call_goes_on_until_it_ends() {
    let mut relay = Relay::start(&LONG);
    let mut events = relay.events();
    relay.client().create_call("c1");
    let endpoints = Endpoints::start().unwrap();
    let [alice, bob] = ["alice", "bob"].map(|party| join(relay.client(), "c1", &endpoints, party));
    relay.client().command("c1", json!({"command": "bridge", "a": "alice", "b": "bob"}));
    alice.play(numbered_stream(1, 1_500), Playback::default()).unwrap();
    bob.wait_for_packets(20, PATIENCE).unwrap();
    assert_eq!(relay.client().request("GET", "/readyz", "").status, 200);

    relay.terminate();
    let client = relay.client().clone();
    eventually("it says that it is not ready for new calls", || {
        (client.request("GET", "/readyz", "").status == 503).then_some(())
    });
    assert_eq!(client.request("GET", "/healthz", "").status, 200, "it is alive all the same");
    let answer = client.request("POST", "/v1/calls", r#"{"call": "c2"}"#);
    assert_eq!((answer.status, answer.code()), (503, "draining"));
    // The call can still be changed, and its media flows.
    let carol = join(&client, "c1", &endpoints, "carol");
    client.command(
        "c1",
        json!({"command": "swap", "survivor": "alice", "old": "bob", "new": "carol", "trigger": "immediate"}),
    );
    carol.wait_for_packets(20, PATIENCE).unwrap();
    assert!(relay.is_running());
    let heard = Report::of(&bob.recording(), &[&alice.sent()]);
    assert_eq!((heard.lost, heard.duplicates), (0, 0), "{heard:?}");

    let last = client.delete_call("c1");
    assert_eq!(last["call"], "c1");
    let ended = relay.wait();
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    assert!(ended.stderr.contains("all calls had ended"), "{}", ended.stderr);
    events.wait_for("call-deleted", PATIENCE);
    events.wait_for_end(PATIENCE);
}

#[test]
fn without_calls_it_ends_at_once() {
    let mut relay = Relay::start(&LONG);
    relay.terminate();
    assert_eq!(relay.wait().status.code(), Some(0));
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let mut relay = Relay::start(&LONG);
    relay.client().create_call("c1");
    relay.terminate();
    let client = relay.client().clone();
    eventually("it drains", || (client.request("GET", "/readyz", "").status == 503).then_some(()));
    assert!(relay.is_running());
    relay.terminate();
    let ended = relay.wait();
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    assert!(ended.stderr.contains("a second signal ended 1 calls"), "{}", ended.stderr);
}

#[test]
fn the_deadline_ends_it() {
    let mut relay = Relay::start(&["--workers", "1", "--set", "drain.deadline_s=1"]);
    relay.client().create_call("c1");
    relay.terminate();
    let ended = relay.wait();
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    assert!(ended.stderr.contains("the deadline ended 1 calls"), "{}", ended.stderr);
}
