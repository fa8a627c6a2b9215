//! Subscriptions: who hears a copy of whose media, and for how long.

use patchcord_ng::{Dict, Value};
use patchcord_tests::Relay;
use patchcord_tests::ng::descriptions::{audio, audio_with, media, sdp};
use patchcord_tests::ng::{Reply, Stage};
use serde_json::json;

use crate::{again, at_once, call, heard, relay};

/// r subscribes to a party and answers; the port that it hears from.
fn subscribe(stage: &mut Stage, tags: &str, more: Dict) -> Reply {
    let offered = stage.command("subscribe request", tags, more);
    assert_eq!(offered.reason(), "");
    let to_tag = offered.dict.text("to-tag").unwrap().into_owned();
    answered(stage, &to_tag, &audio_with("r", &["a=recvonly"]));
    offered
}

fn answered(stage: &mut Stage, to_tag: &str, sdp: &str) {
    let answered = stage.command("subscribe answer", &format!("- {to_tag}"), Dict::new().with("sdp", sdp));
    assert_eq!(answered.result(), "ok", "{answered:?}");
}

/// Who gets what a party sends, without the ports.
fn listeners(stage: &mut Stage, party: &str, port: &str) -> Vec<String> {
    let mut listeners: Vec<_> =
        heard(stage, party, port).iter().map(|line| line.split(' ').next().unwrap().to_owned()).collect();
    listeners.sort();
    listeners
}

fn legs(relay: &Relay, stage: &Stage) -> usize {
    relay.client().call(stage.call())["legs"].as_array().unwrap().len()
}

#[test]
fn a_subscriber_hears_and_is_not_heard() {
    let (relay, mut stage) = relay(&[]);
    stage.parties(["a", "b", "r"]);
    let [towards_b, towards_a] = call(&mut stage);
    let offered = stage.command("subscribe request", "a recorder", Dict::new());
    assert!(offered.sdp().iter().any(|line| line.starts_with("a=sendonly")), "{:?}", offered.sdp());
    assert_eq!(listeners(&mut stage, "a", &towards_a), ["b"], "nobody has answered yet");
    answered(&mut stage, "recorder", &audio_with("r", &["a=recvonly"]));
    for _ in 0..3 {
        assert_eq!(listeners(&mut stage, "a", &towards_a), ["b", "r"]);
        assert_eq!(listeners(&mut stage, "b", &towards_b), ["a"]);
        assert_eq!(listeners(&mut stage, "r", offered.port()), Vec::<String>::new());
    }
    let state = relay.client().call(stage.call());
    let recorder = state["legs"].as_array().unwrap().iter().find(|leg| leg["party"] == "recorder").unwrap();
    assert_eq!(
        (&recorder["monitors"], &recorder["hears"], &recorder["direction"]),
        (&json!("a"), &json!("a"), &json!("recvonly"))
    );
    // It can be refused and taken back without the parties noticing.
    answered(&mut stage, "recorder", &audio_with("r", &["a=inactive"]));
    assert_eq!(listeners(&mut stage, "a", &towards_a), ["b"]);
    answered(&mut stage, "recorder", &audio("r"));
    assert_eq!(listeners(&mut stage, "a", &towards_a), ["b", "r"]);
}

#[test]
fn a_recorder_hears_each_party_on_a_line_of_its_own() {
    let (_relay, mut stage) = relay(&[]);
    stage.parties(["a", "b", "r", "s"]);
    let offered = stage.offer_with("a", &audio("a"), Dict::new().with("label", "caller")).port().to_owned();
    let towards_a = stage.answer("a b", &audio("b")).port().to_owned();
    let all = stage.command("subscribe request", "- recorder", Dict::new().with("flags", vec!["all"]));
    assert_eq!(all.dict.list("from-tags").map(<[Value]>::to_vec), Some(vec!["a".into(), "b".into()]));
    let tag_medias = all.dict.list("tag-medias").unwrap();
    let told: Vec<_> = tag_medias
        .iter()
        .map(|entry| {
            let Value::Dict(entry) = entry else { panic!("{entry:?}") };
            let Value::Dict(media) = &entry.list("medias").unwrap()[0] else { panic!("{entry:?}") };
            let text = |dict: &Dict, key: &str| dict.text(key).unwrap_or_default().into_owned();
            [text(entry, "tag"), text(entry, "label"), text(media, "index"), text(media, "type"), text(media, "mode")]
        })
        .collect();
    assert_eq!(told, [["a", "caller", "1", "audio", "sendrecv"], ["b", "", "2", "audio", "sendrecv"]]);
    let both = sdp(&[&media("audio", "r", "0 8"), "a=recvonly", &media("audio", "s", "0 8"), "a=recvonly"]);
    answered(&mut stage, "recorder", &both);
    assert_eq!(listeners(&mut stage, "a", &towards_a), ["b", "r"]);
    assert_eq!(listeners(&mut stage, "b", &offered), ["a", "s"]);
    // The same tag again: one of them only, by another name of its, at the port of before.
    let one = stage.command("subscribe request", "- recorder", Dict::new().with("label", "caller"));
    assert_eq!((one.port(), one.dict.text("from-tag").as_deref()), (all.port(), Some("a")));
    assert_eq!(listeners(&mut stage, "a", &towards_a), ["b", "r"]);
    assert_eq!(listeners(&mut stage, "b", &offered), ["a"]);
    let other = stage.command("subscribe request", "- recorder", Dict::new().with("from-tags", vec!["b"]));
    assert_eq!(other.reason(), "");
    assert_eq!(listeners(&mut stage, "a", &towards_a), ["b"]);
    assert_eq!(listeners(&mut stage, "b", &offered), ["a", "r"]);
}

#[test]
fn a_subscriber_goes_on_hearing_the_survivor_of_a_transfer() {
    let (relay, mut stage) = relay(&[]);
    stage.parties(["a", "b", "c", "d", "r"]);
    let [_, towards_a] = call(&mut stage);
    subscribe(&mut stage, "a recorder", Dict::new());
    assert_eq!(listeners(&mut stage, "a", &towards_a), ["b", "r"]);
    again(&mut stage, &audio("a"), &audio("c"));
    assert_eq!(listeners(&mut stage, "a", &towards_a), ["c", "r"]);
    stage.offer("d", &audio("d"));
    stage.answer("d e", &audio("b"));
    assert_eq!(stage.command("connect", "a d", Dict::new()).result(), "ok");
    assert_eq!(listeners(&mut stage, "a", &towards_a), ["d", "r"]);
    let name = stage.call().to_owned();
    relay.client().command(&name, json!({"command": "hold", "party": "a"}));
    let mut on_hold = listeners(&mut stage, "a", &towards_a);
    // It hears music itself.
    on_hold.retain(|listener| listener != "a");
    assert_eq!(on_hold, ["r"], "what it says on hold is recorded too");
    relay.client().command(&name, json!({"command": "resume", "party": "a"}));
    assert_eq!(listeners(&mut stage, "a", &towards_a), ["d", "r"]);
    // Whoever is recorded leaves: there is nothing to be heard, and nobody else to be disturbed.
    relay.client().command(&name, json!({"command": "leg-delete", "party": "a"}));
    assert_eq!(listeners(&mut stage, "a", &towards_a), Vec::<String>::new());
}

#[test]
fn unsubscribing_frees_the_ports_and_nothing_else() {
    let (relay, mut stage) = relay(&[]);
    stage.parties(["a", "b", "r"]);
    let [towards_b, towards_a] = call(&mut stage);
    for end in ["unsubscribe", "delete"] {
        // Without a tag it gets one.
        let offered = subscribe(&mut stage, "a", Dict::new());
        let tag = offered.dict.text("to-tag").unwrap().into_owned();
        assert_eq!(legs(&relay, &stage), 3);
        assert_eq!(listeners(&mut stage, "a", &towards_a), ["b", "r"]);
        assert_eq!(stage.command(end, &format!("- {tag}"), at_once()).result(), "ok");
        assert_eq!(legs(&relay, &stage), 2, "after {end}");
        assert_eq!(listeners(&mut stage, "a", &towards_a), ["b"]);
        assert_eq!(listeners(&mut stage, "b", &towards_b), ["a"]);
        assert_eq!(listeners(&mut stage, "r", offered.port()), Vec::<String>::new());
    }
    // A call ends with those who listen to it.
    subscribe(&mut stage, "a recorder", Dict::new());
    assert_eq!(stage.command("delete", "a", at_once()).result(), "ok");
    assert_eq!(stage.command("query", "", Dict::new()).reason(), "Unknown call-id");
}

#[test]
fn published_media_is_heard_by_whoever_subscribes() {
    let (relay, mut stage) = relay(&[]);
    stage.parties(["a", "b", "r", "s"]);
    let publish = |stage: &mut Stage, sdp: &str| stage.command("publish", "a", Dict::new().with("sdp", sdp));
    let published = publish(&mut stage, &audio_with("a", &["a=sendonly"]));
    let lines = published.sdp().join("");
    assert!(lines.contains("RTP/AVP 0\\r") && lines.contains("a=recvonly"), "{lines}");
    assert_eq!(listeners(&mut stage, "a", published.port()), Vec::<String>::new());
    subscribe(&mut stage, "a one", Dict::new());
    stage.command("subscribe request", "a two", Dict::new());
    answered(&mut stage, "two", &audio("s"));
    assert_eq!(listeners(&mut stage, "a", published.port()), ["r", "s"]);
    // Published anew from elsewhere, it keeps its port and its listeners.
    let moved = publish(&mut stage, &audio_with("b", &["a=sendonly"]));
    assert_eq!(moved.port(), published.port());
    assert_eq!(listeners(&mut stage, "b", published.port()), ["r", "s"]);
    assert_eq!(stage.command("unsubscribe", "- one", Dict::new()).result(), "ok");
    assert_eq!(listeners(&mut stage, "b", published.port()), ["s"]);
    assert_eq!(legs(&relay, &stage), 2);
    assert_eq!(stage.command("delete", "a", at_once()).result(), "ok");
    assert_eq!(stage.command("query", "", Dict::new()).reason(), "Unknown call-id", "nobody is left to be heard");
}

#[test]
fn what_makes_no_sense_is_refused_and_changes_nothing() {
    let (relay, mut stage) = relay(&[]);
    stage.parties(["a", "b", "r", "s"]);
    let [towards_b, towards_a] = call(&mut stage);
    subscribe(&mut stage, "a recorder", Dict::new());
    let good = || Dict::new().with("sdp", audio("s"));
    let only = |formats: &str| Dict::new().with("sdp", sdp(&[&media("audio", "s", formats)]));
    let lines = sdp(&[&media("audio", "r", "0 8"), &media("audio", "s", "0 8")]);
    for (command, tags, more, reason) in [
        ("subscribe request", "", Dict::new(), "No monologues matched"),
        ("subscribe request", "nobody", Dict::new(), "From-tag given, but no such tag exists"),
        ("subscribe request", "", Dict::new().with("from-tags", vec!["nobody"]), "No monologues matched"),
        ("subscribe request", "", Dict::new().with("label", "nobody"), "No monologue matching the given label"),
        ("subscribe request", "a b", Dict::new(), "Invalid dialogue association"),
        ("subscribe request", "recorder other", Dict::new(), "No monologues matched"),
        ("subscribe answer", "", good(), "No to-tag in message"),
        ("subscribe answer", "- recorder", Dict::new(), "No SDP body in message"),
        ("subscribe answer", "- recorder", Dict::new().with("sdp", "garbage"), "Failed to parse SDP"),
        ("subscribe answer", "- nobody", good(), "To-tag not found"),
        ("subscribe answer", "- b", good(), "Failed to process subscription answer"),
        ("subscribe answer", "- recorder", only("8"), "Failed to process subscription answer"),
        ("subscribe answer", "- recorder", Dict::new().with("sdp", lines), "Failed to process subscription answer"),
        ("unsubscribe", "", Dict::new(), "No to-tag in message"),
        ("publish", "", good(), "No from-tag in message"),
        ("publish", "c", Dict::new(), "No SDP body in message"),
        ("publish", "c", Dict::new().with("sdp", "garbage"), "Failed to parse SDP"),
        ("publish", "a", good(), "Invalid dialogue association"),
        ("offer", "recorder", good(), "Invalid dialogue association"),
        ("connect", "a recorder", Dict::new(), "Invalid dialogue association"),
    ] {
        let refused = stage.command(command, tags, more);
        assert_eq!((refused.result().as_str(), refused.reason().as_str()), ("error", reason), "{command} {tags}");
        assert_eq!(legs(&relay, &stage), 3, "{command} {tags}");
    }
    assert_eq!(stage.command("unsubscribe", "- nobody", Dict::new()).result(), "ok", "there is nothing to end");
    assert_eq!(listeners(&mut stage, "a", &towards_a), ["b", "r"]);
    assert_eq!(listeners(&mut stage, "b", &towards_b), ["a"]);
    let refused = stage.command("start forwarding", "a", Dict::new()).reason();
    assert!(refused.contains("start forwarding") && refused.contains("subscribe request"), "{refused}");
}

#[test]
fn key_presses_need_not_be_taken() {
    let (_relay, mut stage) = relay(&[]);
    stage.parties(["a", "b", "r"]);
    let with_events = |party: &str| sdp(&[&media("audio", party, "0 101"), "a=rtpmap:101 telephone-event/8000"]);
    stage.offer("a", &with_events("a"));
    let towards_a = stage.answer("a b", &with_events("b")).port().to_owned();
    stage.command("subscribe request", "a recorder", Dict::new());
    answered(&mut stage, "recorder", &sdp(&[&media("audio", "r", "0")]));
    assert_eq!(listeners(&mut stage, "a", &towards_a), ["b", "r"]);
}
