//! The client commands against a running relay.

mod support;

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use serde_json::Value;
use support::{Relay, patchcord, stderr};

fn call_of_three(relay: &Relay) {
    relay.ok(&["create", "c1"]);
    for (party, remote) in [("transferee", "127.0.0.1:5000"), ("agent", "127.0.0.1:5002"), ("target", "127.0.0.1:5004")]
    {
        let codecs = ["--codec", "PCMU", "--codec", "101 telephone-event/8000"];
        let answer = relay.json(&[&["leg", "c1", party, "--remote", remote], codecs.as_slice()].concat());
        let local = answer["results"][0]["advertised"].as_str().expect("an address");
        assert!(local.starts_with("127.0.0.1:"), "{local}");
    }
}

fn hears(relay: &Relay, party: &str) -> String {
    let call = relay.json(&["show", "c1"]);
    let leg = call["legs"].as_array().expect("legs").iter().find(|leg| leg["party"] == party).expect("the party");
    leg["hears"].as_str().expect("a word").to_owned()
}

#[test]
fn a_whole_transfer_can_be_driven_from_the_command_line() {
    let relay = Relay::start(&[]);
    call_of_three(&relay);
    assert!(relay.ok(&["check", "c1", "transferee", "agent"]).contains("compatible"));
    relay.ok(&["bridge", "c1", "transferee", "agent"]);
    assert_eq!(hears(&relay, "transferee"), "agent");
    relay.ok(&["hold", "c1", "transferee"]);
    assert_eq!(hears(&relay, "transferee"), "hold:hold");
    relay.ok(&["ringback", "c1", "transferee", "--country", "de"]);
    assert_eq!(hears(&relay, "transferee"), "ringback:de");
    relay.ok(&["stop", "c1", "transferee"]);
    assert_eq!(hears(&relay, "transferee"), "hold:hold");
    relay.ok(&["resume", "c1", "transferee"]);
    assert_eq!(hears(&relay, "transferee"), "agent");

    let swap = ["swap", "c1", "--survivor", "transferee", "--old", "agent", "--new", "target", "--id", "s1"];
    assert_eq!(relay.json(&swap)["results"][0]["state"], "pending");
    let explained = relay.ok(&["explain", "c1"]);
    assert!(explained.contains("waits for cut-over") && explained.contains("s1"), "{explained}");
    relay.ok(&["rollback", "c1", "--of", "s1"]);
    assert_eq!(hears(&relay, "transferee"), "agent");
    let now = [&swap[..8], &["--trigger", "immediate", "--keep-old", "mute"]].concat();
    assert_eq!(relay.json(&now)["results"][0]["state"], "done");
    assert_eq!(hears(&relay, "transferee"), "target");

    relay.ok(&["mute", "c1", "target"]);
    assert!(relay.ok(&["show", "c1"]).contains("muted"));
    relay.ok(&["unmute", "c1", "target"]);
    relay.ok(&["monitor", "c1", "agent", "transferee"]);
    assert_eq!(hears(&relay, "agent"), "transferee");
    assert!(relay.ok(&["explain", "c1"]).contains("monitors transferee"));
    relay.ok(&["unmonitor", "c1", "agent"]);
    assert_eq!(hears(&relay, "agent"), "silence");
    relay.ok(&["relatch", "c1", "target", "--gate", "5"]);
    relay.ok(&["direction", "c1", "target", "recvonly"]);
    relay.ok(&["remote", "c1", "target", "127.0.0.1:5006"]);
    relay.ok(&["unleg", "c1", "agent"]);
    relay.ok(&["unbridge", "c1", "transferee", "target"]);
    relay.ok(&["play", "c1", "transferee", "silence", "--repeat", "forever"]);
    assert_eq!(hears(&relay, "transferee"), "play:silence");
    relay.ok(&["play", "c1", "transferee", "silence", "hold"]);
    relay.ok(&["play", "c1", "transferee", "silence", "--queue", "--barge-in", "key", "--repeat", "forever"]);
    assert_eq!(hears(&relay, "transferee"), "play:silence, hold, silence");
    let batch = r#"{"commands": [{"command": "stop", "party": "transferee"}, {"command": "mute", "party": "target"}]}"#;
    assert_eq!(relay.json(&["command", "c1", batch])["results"].as_array().map(Vec::len), Some(2));

    assert!(relay.ok(&["calls"]).contains("c1"));
    assert!(relay.ok(&["workers"]).contains("BACKEND"));
    assert!(relay.ok(&["top", "--once"]).contains("transferee"));
    assert!(relay.ok(&["delete", "c1"]).contains("call c1"));
    assert_eq!(relay.ok(&["calls"]), "no calls\n");
}

#[test]
fn audio_is_uploaded_listed_and_deleted() {
    let relay = Relay::start(&[]);
    // Half a second of a square wave, little-endian.
    let name = format!("patchcord-{}-menu.sln16", std::process::id());
    let file = std::env::temp_dir().join(name);
    let samples = (0..8000_i16).flat_map(|n| if n / 20 % 2 == 0 { 9000_i16 } else { -9000 }.to_le_bytes());
    std::fs::write(&file, samples.collect::<Vec<_>>()).expect("the folder for temporary files can be written to");
    let path = file.to_str().expect("a plain name");
    let put = relay.json(&["audio", "put", path, "--name", "menu", "--fade-ms", "50"]);
    assert_eq!((put["duration_ms"].as_u64(), put["source"].as_str()), (Some(500), Some("upload")), "{put}");
    let list = relay.ok(&["audio", "list"]);
    assert!(list.contains("menu") && list.contains("0.50") && list.contains("built-in"), "{list}");
    let url = relay.client(&["audio", "put", "http://127.0.0.1:1/menu.wav"]);
    assert!(stderr(&url).contains("fetch-refused"), "{}", stderr(&url));
    assert!(relay.ok(&["audio", "delete", "menu"]).contains("menu"));
    assert_eq!(relay.json(&["audio", "list"])["audio"].as_array().map(Vec::len), Some(2));
    std::fs::remove_file(&file).expect("it was written");
}

#[test]
fn the_same_id_gives_the_same_answer() {
    let relay = Relay::start(&[]);
    call_of_three(&relay);
    let bridge = ["bridge", "c1", "transferee", "agent", "--id", "b1"];
    let first = relay.json(&bridge);
    assert_eq!(relay.json(&bridge), first);
    let reused = relay.client(&["bridge", "c1", "transferee", "target", "--id", "b1"]);
    assert_eq!(reused.status.code(), Some(1));
    assert!(stderr(&reused).contains("id-reused"), "{}", stderr(&reused));
}

#[test]
fn refusals_say_what_was_wrong_and_exit_with_1() {
    let relay = Relay::start(&[]);
    call_of_three(&relay);
    for (arguments, code) in [
        (&["show", "nobody"] as &[&str], "unknown-call"),
        (&["create", "c1"], "call-exists"),
        (&["bridge", "c1", "transferee", "bob"], "unknown-party"),
        (&["hold", "c1", "transferee", "--audio", "noise"], "unknown-audio"),
        (&["ringback", "c1", "transferee", "--country", "atlantis"], "bad-request"),
        (&["rollback", "c1", "--of", "never"], "unknown-id"),
        (&["leg", "c1", "x", "--remote", "nowhere", "--codec", "PCMU"], "bad-request"),
        (&["leg", "c1", "x", "--interface", "wan", "--codec", "PCMU"], "unknown-interface"),
    ] {
        let output = relay.client(arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        assert!(stderr(&output).contains(code), "{arguments:?} should say {code}: {}", stderr(&output));
    }
}

#[test]
fn events_are_followed() {
    let relay = Relay::start(&[]);
    relay.ok(&["create", "c1"]);
    let mut follower = patchcord()
        .args(["events", "--call", "c1", "--count", "2", "--json", "--server", &relay.url])
        .stdout(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    let mut lines = BufReader::new(follower.stdout.take().expect("it was piped")).lines();
    // Events begin when the follower is connected, which nobody can see from here: legs come and go until it has seen two.
    let mut seen: Vec<Value> = Vec::new();
    let (sender, events) = std::sync::mpsc::channel();
    let reader = std::thread::spawn(move || {
        while let Some(Ok(line)) = lines.next() {
            sender.send(serde_json::from_str(&line).expect("JSON")).expect("the test listens");
        }
    });
    let deadline = std::time::Instant::now() + support::PATIENCE;
    while seen.len() < 2 {
        assert!(std::time::Instant::now() < deadline, "no events");
        relay.ok(&["leg", "c1", "a", "--codec", "PCMU"]);
        relay.ok(&["unleg", "c1", "a"]);
        seen.extend(events.try_iter());
    }
    reader.join().expect("no panic");
    assert!(follower.wait().expect("it ends").success());
    for event in &seen {
        assert_eq!(event["call"], "c1");
        assert!(["leg-created", "leg-deleted"].contains(&event["event"].as_str().expect("a name")), "{event}");
    }
}
