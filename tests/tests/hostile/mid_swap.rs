//! A leg that is deleted while a swap waits for its first packet.

use patchcord_lab::endpoint::{Endpoint, Endpoints, Playback};
use patchcord_lab::report::Report;
use patchcord_tests::stage::{join, numbered_stream};
use patchcord_tests::{PATIENCE, Relay};
use serde_json::{Value, json};

/// Packets that a party sends: longer than the test needs.
const PACKETS: u32 = 1_500;

/// Survivor and old talk, and a swap waits for the new party's first packet.
struct MidSwap {
    relay: Relay,
    survivor: Endpoint,
    old: Endpoint,
    new: Endpoint,
    cut_over: Value,
    /// They serve the parties.
    _endpoints: Endpoints,
}

impl MidSwap {
    fn begin() -> Self {
        let relay = Relay::start(&["--workers", "1"]);
        let client = relay.client();
        client.create_call("c1");
        let endpoints = Endpoints::start().unwrap();
        let [survivor, old, new] = ["survivor", "old", "new"].map(|party| join(client, "c1", &endpoints, party));
        client.command("c1", json!({"command": "bridge", "a": "survivor", "b": "old"}));
        survivor.play(numbered_stream(1, PACKETS), Playback::default()).unwrap();
        old.play(numbered_stream(2, PACKETS), Playback::default()).unwrap();
        survivor.wait_for_packets(25, PATIENCE).unwrap();

        let swap = json!({"id": "swap", "command": "swap", "survivor": "survivor", "old": "old", "new": "new"});
        let results = client.command("c1", swap);
        let cut_over = results[0]["cut_over"].clone();
        assert_eq!(results[0]["state"], "pending", "{results:?}");
        assert_eq!(client.leg("c1", "survivor")["pending"], cut_over);
        // While it waits nobody else may part these.
        let answer = client.try_command("c1", json!({"command": "unbridge", "a": "survivor", "b": "old"}));
        assert_eq!((answer.status, answer.code()), (409, "cut-over-pending"), "{answer:?}");
        Self { relay, survivor, old, new, cut_over, _endpoints: endpoints }
    }

    fn state_of_the_swap(&self) -> Value {
        let state = self.relay.client().call("c1");
        let cut_overs = state["cut_overs"].as_array().unwrap();
        cut_overs.iter().find(|cut_over| cut_over["cut_over"] == self.cut_over).unwrap()["state"].clone()
    }
}

#[test]
fn without_the_new_party_the_survivor_goes_on_hearing_the_old_one() {
    let call = MidSwap::begin();
    let client = call.relay.client();
    let mut events = call.relay.events();
    let results = client.command("c1", json!({"command": "leg-delete", "party": "new"}));
    assert_eq!(results[0]["cancelled"], json!([call.cut_over]), "{results:?}");
    let event = events.wait_for("cut-over-cancelled", PATIENCE);
    assert_eq!((&event["cut_over"], &event["id"], &event["gone"]), (&call.cut_over, &json!("swap"), &json!("new")));
    events.wait_for_that("leg-deleted", PATIENCE, |event| event["party"] == "new");
    assert_eq!(call.state_of_the_swap(), "cancelled");

    call.survivor.wait_for_more_packets(25, PATIENCE).unwrap();
    call.old.wait_for_more_packets(25, PATIENCE).unwrap();
    let heard = Report::of(&call.survivor.recording(), &[&call.old.sent(), &call.new.sent()]);
    assert_eq!((heard.lost, heard.duplicates, heard.unrecognised, heard.step_count), (0, 0, 0, 0), "{heard:?}");
    assert_eq!(heard.heard.len(), 1, "{heard:?}");
    assert_eq!(heard.heard[0].from.as_deref(), Some("old"));
    let heard = Report::of(&call.old.recording(), &[&call.survivor.sent()]);
    assert_eq!((heard.lost, heard.duplicates, heard.unrecognised, heard.step_count), (0, 0, 0, 0), "{heard:?}");
    let leg = client.leg("c1", "survivor");
    assert_eq!((&leg["pending"], &leg["hears"]), (&Value::Null, &json!("old")), "{leg}");
}

#[test]
fn without_the_old_party_the_swap_goes_on() {
    let call = MidSwap::begin();
    let client = call.relay.client();
    let mut events = call.relay.events();
    let results = client.command("c1", json!({"command": "leg-delete", "party": "old"}));
    assert_eq!(results[0]["cancelled"], json!([]), "{results:?}");
    assert_eq!(call.state_of_the_swap(), "pending");

    call.new.play(numbered_stream(3, PACKETS), Playback::default()).unwrap();
    events.wait_for_that("cut-over", PATIENCE, |event| event["party"] == "survivor");
    assert_eq!(call.state_of_the_swap(), "done");
    call.survivor.wait_for_more_packets(25, PATIENCE).unwrap();
    call.new.wait_for_packets(25, PATIENCE).unwrap();
    let heard = Report::of(&call.survivor.recording(), &[&call.old.sent(), &call.new.sent()]);
    assert_eq!((heard.lost, heard.duplicates, heard.breaks().count()), (0, 0, 0), "{heard:?}");
    assert_eq!(heard.ssrcs.len(), 1, "{heard:?}");
    assert_eq!(client.leg("c1", "survivor")["hears"], "new");
}

#[test]
fn without_the_survivor_the_new_party_is_left_in_silence() {
    let call = MidSwap::begin();
    let client = call.relay.client();
    let mut events = call.relay.events();
    let results = client.command("c1", json!({"command": "leg-delete", "party": "survivor"}));
    assert_eq!(results[0]["cancelled"], json!([call.cut_over]), "{results:?}");
    let event = events.wait_for("cut-over-cancelled", PATIENCE);
    assert_eq!((&event["cut_over"], &event["gone"]), (&call.cut_over, &json!("survivor")));

    // Its packets switch nothing, and are counted as heard by nobody.
    call.new.play(numbered_stream(3, 25), Playback::default()).unwrap();
    let leg = client.wait_for_leg("c1", "new", "25 packets", |leg| leg["packets"] == 25);
    assert_eq!((&leg["hears"], &leg["drops"]["no_sink"]), (&json!("silence"), &json!(25)), "{leg}");
    assert_eq!(call.state_of_the_swap(), "cancelled");
    // The two who are left can be brought together.
    client.command("c1", json!({"command": "bridge", "a": "new", "b": "old"}));
    call.new.wait_for_more_packets(25, PATIENCE).unwrap();
}
