//! A leg that is deleted while a swap waits for its first packet.

use patchcord_lab::endpoint::{Endpoints, Playback};
use patchcord_lab::report::Report;
use patchcord_tests::stage::{join, numbered_stream};
use patchcord_tests::{PATIENCE, Relay};
use serde_json::{Value, json};

/// Packets that a party sends: longer than the test needs.
const PACKETS: u32 = 1_500;

/// Talks, begins a swap, deletes `gone`, and goes on talking. Returns what the survivor's leg hears in the end.
fn delete_in_mid_swap(gone: &str) -> Value {
    let relay = Relay::start(&["--workers", "1"]);
    let client = relay.client();
    let mut events = relay.events();
    client.create_call("c1");
    let endpoints = Endpoints::start().unwrap();
    let [survivor, old, new] = ["survivor", "old", "new"].map(|party| join(client, "c1", &endpoints, party));
    client.command("c1", json!({"command": "bridge", "a": "survivor", "b": "old"}));
    survivor.play(numbered_stream(1, PACKETS), Playback::default()).unwrap();
    old.play(numbered_stream(2, PACKETS), Playback::default()).unwrap();
    survivor.wait_for_packets(25, PATIENCE).unwrap();

    let swap = json!({"id": "swap", "command": "swap", "survivor": "survivor", "old": "old", "new": "new"});
    let results = client.command("c1", swap);
    let number = results[0]["cut_over"].clone();
    assert_eq!(results[0]["state"], "pending", "{results:?}");
    assert_eq!(client.leg("c1", "survivor")["pending"], number);
    // While it waits nobody else may part these.
    let answer = client.try_command("c1", json!({"command": "unbridge", "a": "survivor", "b": "old"}));
    assert_eq!((answer.status, answer.code()), (409, "cut-over-pending"), "{answer:?}");

    let results = client.command("c1", json!({"command": "leg-delete", "party": gone}));
    assert_eq!(results[0]["cancelled"], json!([number]), "{results:?}");
    let event = events.wait_for("cut-over-cancelled", PATIENCE);
    assert_eq!((&event["cut_over"], &event["id"], &event["gone"]), (&number, &json!("swap"), &json!(gone)));
    events.wait_for_that("leg-deleted", PATIENCE, |event| event["party"] == gone);
    let state = client.call("c1");
    let cut_overs = state["cut_overs"].as_array().unwrap();
    let swap = cut_overs.iter().find(|cut_over| cut_over["cut_over"] == number).unwrap();
    assert_eq!(swap["state"], "cancelled", "{state}");

    // The new party's packets, if they come now, switch nothing.
    if gone != "new" {
        new.play(numbered_stream(3, 25), Playback::default()).unwrap();
        client.wait_for_leg("c1", "new", "25 packets", |leg| leg["packets"] == 25);
    }
    if gone == "new" {
        // Those who remain go on as if nothing had been.
        survivor.wait_for_more_packets(25, PATIENCE).unwrap();
        old.wait_for_more_packets(25, PATIENCE).unwrap();
        let heard = Report::of(&survivor.recording(), &[&old.sent(), &new.sent()]);
        assert_eq!((heard.lost, heard.duplicates, heard.unrecognised, heard.step_count), (0, 0, 0, 0), "{heard:?}");
        assert_eq!(heard.heard.len(), 1, "{heard:?}");
        assert_eq!(heard.heard[0].from.as_deref(), Some("old"));
        let heard = Report::of(&old.recording(), &[&survivor.sent()]);
        assert_eq!((heard.lost, heard.duplicates, heard.unrecognised, heard.step_count), (0, 0, 0, 0), "{heard:?}");
    }
    let leg = client.leg("c1", "survivor");
    assert_eq!(leg["pending"], Value::Null, "{leg}");
    // Nothing is left that would stand in the way of the next command.
    if gone == "old" {
        client.command("c1", json!({"command": "bridge", "a": "survivor", "b": "new"}));
        new.play(numbered_stream(4, 25), Playback { sequence_offset: 25, ..Playback::default() }).unwrap();
        survivor.wait_for_more_packets(25, PATIENCE).unwrap();
        let heard = Report::of(&survivor.recording(), &[&old.sent(), &new.sent()]);
        assert_eq!((heard.lost, heard.duplicates, heard.breaks().count()), (0, 0, 0), "{heard:?}");
        assert_eq!(heard.ssrcs.len(), 1, "{heard:?}");
    }
    leg["hears"].clone()
}

#[test]
fn without_the_new_party_the_survivor_goes_on_hearing_the_old_one() {
    assert_eq!(delete_in_mid_swap("new"), "old");
}

#[test]
fn without_the_old_party_the_survivor_hears_silence_until_the_next_command() {
    assert_eq!(delete_in_mid_swap("old"), "silence");
}
