//! Recordings that follow their call: by the HTTP API's commands, and by ng.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use patchcord_control::api::{CallEvent, Detail, EventKind, RecordingFormat};
use patchcord_control::ng::NgConfig;
use patchcord_control::{ErrorCode, RecordingConfig};
use serde_json::{Value, json};
use tokio::sync::broadcast::Receiver;

use crate::ng::{Proxy, at_once, must, reason, sdp};
use crate::relay::{Phone, Relay, config};

static MADE: AtomicU32 = AtomicU32::new(0);

/// A relay that records, and where.
struct Studio {
    relay: Relay,
    directory: PathBuf,
    events: Receiver<Arc<CallEvent>>,
}

impl Studio {
    fn new() -> Self {
        let name = format!("recorded-{}-{}", std::process::id(), MADE.fetch_add(1, Ordering::Relaxed));
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let recording = RecordingConfig { directory: Some(directory.clone()), ..RecordingConfig::default() };
        let relay = Relay::with(patchcord_control::Config { recording, ..config(30000..=30999) }, 1);
        let events = relay.control.subscribe();
        Self { relay, directory, events }
    }

    async fn run(&self, command: Value) {
        self.relay.run(command).await.unwrap();
    }

    /// All of them talk for so long.
    fn talk(&self, phones: &mut [&mut Phone], ms: u64) {
        for _ in 0..ms / 20 {
            for phone in &mut *phones {
                self.relay.talk(phone);
            }
            self.relay.pass(20);
        }
    }

    /// The next thing that is told of a recording.
    async fn told(&mut self) -> EventKind {
        loop {
            let event = tokio::time::timeout(Duration::from_secs(60), self.events.recv()).await.unwrap().unwrap();
            if event.kind.name().starts_with("recording-") {
                return event.kind.clone();
            }
        }
    }

    /// The recording that has ended: its metadata.
    async fn finished(&mut self) -> Value {
        loop {
            match self.told().await {
                EventKind::RecordingStarted { .. } => {}
                EventKind::RecordingFinished { recording, files, .. } => {
                    assert!(files.iter().all(|file| self.directory.join(file).exists()), "{files:?}");
                    let path = self.directory.join(format!("{recording}.json"));
                    return serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
                }
                other => panic!("{other:?}"),
            }
        }
    }
}

impl Drop for Studio {
    fn drop(&mut self) {
        self.relay.control.finish_recordings();
        drop(std::fs::remove_dir_all(&self.directory));
    }
}

/// Name, joining and leaving of each party, and how many of its packets there are.
fn parties(metadata: &Value) -> Vec<(&str, u64, u64, u64)> {
    let number = |value: &Value| value.as_u64().unwrap();
    let parties = metadata["parties"].as_array().unwrap().iter();
    parties
        .map(|party| {
            let name = party["party"].as_str().unwrap();
            (name, number(&party["joined_ms"]), number(&party["left_ms"]), number(&party["counts"]["packets"]))
        })
        .collect()
}

#[tokio::test]
async fn a_recording_follows_a_transfer_and_ends_with_its_call() {
    let mut studio = Studio::new();
    let mut phones = studio.relay.call(&["a", "b"]).await;
    studio.talk(&mut phones.iter_mut().collect::<Vec<_>>(), 200);
    let outcome =
        studio.relay.run(json!({"command": "record-start", "name": "2026/one", "values": {"ticket": "7"}})).await;
    let Detail::Recording(done) = outcome.unwrap().detail else { panic!("another answer") };
    assert_eq!(&*done.recording, "2026/one");
    assert_eq!(studio.told().await, EventKind::RecordingStarted { recording: "2026/one".to_owned() });
    studio.talk(&mut phones.iter_mut().collect::<Vec<_>>(), 1000);
    let mut c = studio.relay.party("c", 4100).await;
    studio.run(json!({"command": "swap", "survivor": "a", "old": "b", "new": "c"})).await;
    studio.talk(&mut [&mut c], 20);
    studio.run(json!({"command": "leg-delete", "party": "b"})).await;
    studio.talk(&mut [&mut phones[0], &mut c], 980);
    let state = studio.relay.state().await.recording.unwrap();
    assert_eq!((&*state.name, state.format, state.paused), ("2026/one", RecordingFormat::Wav, false));
    studio.relay.control.delete_call("c", None).await.unwrap();
    let metadata = studio.finished().await;
    assert_eq!(
        (&metadata["state"], &metadata["call"], &metadata["values"]["ticket"]),
        (&"finished".into(), &"c".into(), &"7".into())
    );
    assert_eq!(parties(&metadata), [("a", 0, 2000, 99), ("b", 0, 1020, 50), ("c", 1000, 2000, 50)]);
    let mark = metadata["marks"][0]["text"].as_str().unwrap();
    assert!(mark.starts_with("swap: "), "{mark}");
    let audio = patchcord_codec::wav::read_file(&studio.directory.join("2026/one.wav")).unwrap();
    assert_eq!((audio.sample_rate, audio.samples.len()), (16_000, 32_000));
    assert!(patchcord_codec::analysis::rms_dbfs(&audio.samples) > -30.0, "something is heard");
}

#[tokio::test]
async fn pauses_are_left_out_and_another_recording_may_begin() {
    let mut studio = Studio::new();
    let mut phones = studio.relay.call(&["a", "b"]).await;
    studio.run(json!({"command": "record-start", "format": "ogg-opus", "layout": "per-party"})).await;
    studio.talk(&mut phones.iter_mut().collect::<Vec<_>>(), 500);
    studio.run(json!({"command": "record-pause"})).await;
    assert!(studio.relay.state().await.recording.unwrap().paused);
    studio.talk(&mut phones.iter_mut().collect::<Vec<_>>(), 700);
    studio.run(json!({"command": "record-resume"})).await;
    studio.talk(&mut phones.iter_mut().collect::<Vec<_>>(), 300);
    studio.run(json!({"command": "record-stop"})).await;
    let metadata = studio.finished().await;
    assert_eq!(
        (&metadata["duration_ms"], &metadata["pauses"]),
        (&800.into(), &json!([{"at_ms": 500, "length_ms": 700}]))
    );
    assert_eq!(parties(&metadata), [("a", 0, 800, 40), ("b", 0, 800, 40)]);
    assert!(studio.relay.state().await.recording.is_none());
    studio.run(json!({"command": "record-start", "format": "pcapng", "parties": ["b"]})).await;
    studio.talk(&mut phones.iter_mut().collect::<Vec<_>>(), 100);
    studio.run(json!({"command": "record-stop"})).await;
    let metadata = studio.finished().await;
    assert_eq!(parties(&metadata), [("b", 0, 100, 5)]);
    assert!(studio.directory.join("c-2.pcapng").exists(), "the name was taken");
}

#[tokio::test]
async fn what_cannot_be_recorded_is_refused_with_the_reason() {
    let relay = Relay::new();
    relay.call(&["a", "b"]).await;
    let refused = relay.run(json!({"command": "record-start"})).await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::RecordingOff);
    assert!(refused.message.contains("recording.directory"), "{}", refused.message);
    let studio = Studio::new();
    studio.relay.call(&["a", "b"]).await;
    for (command, code, words) in [
        (json!({"command": "record-stop"}), ErrorCode::NotRecording, "record-start"),
        (json!({"command": "record-pause"}), ErrorCode::NotRecording, "not recorded"),
        (json!({"command": "record-start", "name": "../x"}), ErrorCode::BadRequest, "begins with a dot"),
        (json!({"command": "record-start", "name": "/x"}), ErrorCode::BadRequest, "whole path"),
        (json!({"command": "record-start", "rate": 44_100, "format": "ogg-opus"}), ErrorCode::BadRequest, "8000"),
        (json!({"command": "record-start", "parties": []}), ErrorCode::BadRequest, "empty"),
        (json!({"command": "record-start", "parties": ["x"]}), ErrorCode::UnknownParty, "no party x"),
    ] {
        let refused = studio.relay.run(command.clone()).await.expect_err("refused");
        assert_eq!(refused.code, code, "{command}");
        assert!(refused.message.contains(words), "{command}: {}", refused.message);
    }
    assert!(studio.relay.run(json!({"command": "record-stop", "party": "a"})).await.is_err(), "an unknown field");
    studio.run(json!({"command": "record-start"})).await;
    let refused = studio.relay.run(json!({"command": "record-start"})).await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::AlreadyRecording);
}

#[tokio::test]
async fn a_recording_that_fails_leaves_the_call_as_it_was() {
    let mut studio = Studio::new();
    let mut phones = studio.relay.call(&["a", "b"]).await;
    // A file where a folder should be.
    std::fs::write(studio.directory.join("taken"), "").unwrap();
    studio.run(json!({"command": "record-start", "name": "taken/x"})).await;
    let EventKind::RecordingFailed { recording, .. } = studio.told().await else { panic!("it did not fail") };
    assert_eq!(recording, "taken/x");
    let relay = &studio.relay;
    relay.until("the call is not recorded", async |relay| relay.state().await.recording.is_none()).await;
    studio.talk(&mut phones.iter_mut().collect::<Vec<_>>(), 40);
    assert_eq!(studio.relay.hears_of(["a", "b"]).await, ["b", "a"]);
    studio.run(json!({"command": "record-start"})).await;
    assert_eq!(studio.told().await, EventKind::RecordingStarted { recording: "c".to_owned() });
}

/// Calls `one`, of a and b, and `two`, of x and y.
async fn two_calls(proxy: &Proxy) {
    proxy.call("one").await;
    // Another pair of ports of the same telephones.
    let (offer, answer) = (sdp(6000, ""), sdp(7000, ""));
    must(&proxy.ask("offer", &[("call-id", "two"), ("from-tag", "x"), ("sdp", &offer)]).await);
    must(&proxy.ask("answer", &[("call-id", "two"), ("from-tag", "x"), ("to-tag", "y"), ("sdp", &answer)]).await);
}

#[tokio::test]
async fn two_calls_that_become_one_are_recorded_as_one() {
    let mut studio = Studio::new();
    let proxy = Proxy::new(&studio.relay, at_once());
    two_calls(&proxy).await;
    must(&proxy.ask("start recording", &[("call-id", "two"), ("recording-file", "both.wav")]).await);
    assert_eq!(studio.told().await, EventKind::RecordingStarted { recording: "both".to_owned() });
    studio.relay.pass(100);
    let join = [("call-id", "one"), ("from-tag", "a"), ("to-call-id", "two"), ("to-tag", "x")];
    must(&proxy.ask("connect", &join).await);
    studio.relay.pass(100);
    let state = studio.relay.control.snapshot("one").await.unwrap();
    assert_eq!(&*state.recording.unwrap().name, "both");
    must(&proxy.ask("delete", &[("call-id", "one")]).await);
    let metadata = studio.finished().await;
    let names: Vec<_> = parties(&metadata).into_iter().map(|(name, joined, left, _)| (name, joined, left)).collect();
    assert_eq!(names, [("x", 0, 200), ("y", 0, 200), ("a", 100, 200), ("b", 100, 200)]);
}

#[tokio::test]
async fn of_two_recordings_of_calls_that_become_one_the_second_ends() {
    let mut studio = Studio::new();
    let proxy = Proxy::new(&studio.relay, at_once());
    two_calls(&proxy).await;
    for call in ["one", "two"] {
        must(&proxy.ask("start recording", &[("call-id", call)]).await);
    }
    studio.relay.pass(100);
    let join = [("call-id", "one"), ("from-tag", "a"), ("to-call-id", "two"), ("to-tag", "x")];
    must(&proxy.ask("connect", &join).await);
    assert_eq!(studio.finished().await["call"], "two");
    studio.relay.pass(100);
    must(&proxy.ask("stop recording", &[("call-id", "two")]).await);
    let metadata = studio.finished().await;
    assert_eq!((&metadata["call"], metadata["parties"].as_array().unwrap().len()), (&"one".into(), 4));
}

#[tokio::test]
async fn a_proxy_starts_pauses_and_stops_a_recording() {
    for relay_unread in [false, true] {
        let mut studio = Studio::new();
        let proxy = Proxy::new(&studio.relay, NgConfig { relay_unread, ..at_once() });
        proxy.call("c").await;
        let call = [("call-id", "c")];
        must(&proxy.ask("stop recording", &call).await);
        must(&proxy.ask("pause recording", &call).await);
        let path = studio.directory.join("2026/x.wav");
        let (path, entry) = (path.to_str().unwrap(), "recording-path");
        must(&proxy.ask("start recording", &[("call-id", "c"), (entry, path), ("metadata", "a:b")]).await);
        must(&proxy.ask("start recording", &call).await);
        let legs = studio.relay.state().await.legs;
        let mut phones: Vec<_> = legs.iter().map(|leg| Phone::new(leg.remote.unwrap(), leg.local)).collect();
        studio.talk(&mut phones.iter_mut().collect::<Vec<_>>(), 100);
        must(&proxy.ask("pause recording", &call).await);
        studio.talk(&mut phones.iter_mut().collect::<Vec<_>>(), 100);
        must(&proxy.ask("start recording", &call).await);
        studio.talk(&mut phones.iter_mut().collect::<Vec<_>>(), 60);
        // A re-INVITE changes nothing about it.
        proxy.call("c").await;
        studio.talk(&mut phones.iter_mut().collect::<Vec<_>>(), 40);
        must(&proxy.ask("stop recording", &call).await);
        let metadata = studio.finished().await;
        assert_eq!(parties(&metadata), [("a", 0, 200, 10), ("b", 0, 200, 10)], "{relay_unread}");
        assert_eq!((&metadata["duration_ms"], &metadata["values"]["metadata"]), (&200.into(), &"a:b".into()));
        assert_eq!(metadata["files"][0]["name"], "x.wav");
    }
}

#[tokio::test]
async fn offers_say_what_is_recorded_and_what_is_not() {
    let mut studio = Studio::new();
    let proxy = Proxy::new(&studio.relay, at_once());
    let (offer, answer) = (sdp(4000, ""), sdp(5000, ""));
    let entries = [("call-id", "c"), ("from-tag", "a"), ("sdp", offer.as_str()), ("record-call", "yes")];
    must(&proxy.ask("offer", &entries).await);
    let entries =
        [("call-id", "c"), ("from-tag", "a"), ("to-tag", "b"), ("sdp", &answer), ("flags", "exclude-recording")];
    must(&proxy.ask("answer", &entries).await);
    studio.relay.pass(100);
    must(&proxy.ask("stop recording", &[("call-id", "c")]).await);
    let metadata = studio.finished().await;
    let left: Vec<_> = parties(&metadata).into_iter().map(|(name, joined, left, _)| (name, joined, left)).collect();
    // The callee is recorded only until its answer says that it is not to be.
    assert_eq!(left.iter().find(|(name, ..)| *name == "a"), Some(&("a", 0, 100)));
    assert!(left.iter().all(|&(name, _, left)| name == "a" || left == 0), "{left:?}");
    let discard = [("call-id", "c"), ("flags", "discard-recording")];
    must(&proxy.ask("stop recording", &discard).await);
    let refused = proxy.ask("pause recording", &discard).await;
    assert!(reason(&refused).contains("without \"pause\""));
    let refused = proxy.ask("start recording", &[("call-id", "c"), ("recording-pattern", "../%c")]).await;
    assert!(reason(&refused).contains("begins with a dot"), "{refused:?}");
    must(&proxy.ask("start recording", &[("call-id", "c"), ("recording-pattern", "%1/%c-%t")]).await);
    assert_eq!(studio.told().await, EventKind::RecordingStarted { recording: "c/c-mix".to_owned() });
    studio.relay.pass(100);
    must(&proxy.ask("stop recording", &discard).await);
    assert_eq!(studio.told().await, EventKind::RecordingDiscarded { recording: "c/c-mix".to_owned() });
    let left: Vec<_> = std::fs::read_dir(studio.directory.join("c")).unwrap().collect();
    assert_eq!(left.len(), 1, "{left:?}");
    let metadata: Value =
        serde_json::from_slice(&std::fs::read(studio.directory.join("c/c-mix.json")).unwrap()).unwrap();
    assert_eq!((&metadata["state"], &metadata["files"]), (&"discarded".into(), &json!([])));
    let off = Relay::new();
    let proxy = Proxy::new(&off, at_once());
    must(&proxy.ask("offer", &[("call-id", "c"), ("from-tag", "a"), ("sdp", &offer), ("record-call", "yes")]).await);
    let refused = reason(&proxy.ask("start recording", &[("call-id", "c")]).await);
    assert!(refused.contains("recording.directory"), "{refused}");
}

#[tokio::test]
async fn legs_that_join_are_recorded_from_their_first_packet() {
    let mut studio = Studio::new();
    studio.relay.call(&["a", "b"]).await;
    studio.run(json!({"command": "record-start"})).await;
    let mut c = studio.relay.party("c", 4100).await;
    // The packet is there before the command's answer is.
    studio.talk(&mut [&mut c], 20);
    studio.run(json!({"command": "leg-codecs", "party": "c", "codecs": ["PCMU", "PCMA"]})).await;
    studio.talk(&mut [&mut c], 20);
    studio.run(json!({"command": "record-stop"})).await;
    let metadata = studio.finished().await;
    assert_eq!(parties(&metadata)[2], ("c", 0, 40, 2));
    assert_eq!(metadata["parties"][2]["formats"], json!(["0 PCMU/8000", "8 PCMA/8000"]));
}
