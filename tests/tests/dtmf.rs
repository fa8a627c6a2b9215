//! Key presses that the relay sends, as a party gets them from its socket; and what the relay hears of a party.

#![allow(clippy::unwrap_used, reason = "a test may stop at what it did not expect")]

use std::sync::Arc;

use patchcord_codec::analysis::rms_dbfs;
use patchcord_codec::{Law, dtmf};
use patchcord_lab::endpoint::{Endpoint, EndpointOptions, Endpoints, Playback};
use patchcord_lab::stream::RtpStream;
use patchcord_rtp::{PayloadType, RtpHeader, TelephoneEvent};
use patchcord_tests::stage::{address, number_of, numbered_stream};
use patchcord_tests::{Client, PATIENCE, Relay, eventually, in_a_namespace, voices};
use serde_json::{Value, json};

/// Packets of a party: three seconds.
const PACKETS: u32 = 150;
const EVENTS: u8 = 101;

/// Gives call `c1` a party that takes telephone-events.
fn join(client: &Client, endpoints: &Endpoints, party: &str) -> Endpoint {
    join_with(client, endpoints, party, &json!(["PCMU", format!("{EVENTS} telephone-event/8000")]))
}

fn join_with(client: &Client, endpoints: &Endpoints, party: &str, codecs: &Value) -> Endpoint {
    let local = ([127, 0, 0, 1], 0).into();
    let endpoint = endpoints.add(party, local, EndpointOptions::default()).unwrap();
    let remote = endpoint.local_addr().to_string();
    let create = json!({"command": "leg-create", "party": party, "remote": remote, "codecs": codecs});
    endpoint.set_remote(address(&client.command("c1", create)[0], "local"));
    endpoint
}

/// One packet that a party got.
struct Heard {
    header: RtpHeader,
    event: Option<TelephoneEvent>,
    /// Whose word it is.
    speaker: Option<u32>,
}

/// Everything in one stream without a hole.
fn heard(endpoint: &Endpoint) -> Vec<Heard> {
    let recording = endpoint.recording();
    let heard: Vec<_> = recording
        .rtp()
        .map(|(header, received)| Heard {
            header,
            event: (header.payload_type.get() == EVENTS).then(|| TelephoneEvent::read(received.payload())).flatten(),
            speaker: number_of(received.payload()).map(|(number, _)| number),
        })
        .collect();
    for pair in heard.windows(2) {
        let [before, after] = [&pair[0].header, &pair[1].header];
        assert_eq!(after.ssrc, before.ssrc);
        assert_eq!(after.sequence, before.sequence.next(), "{before:?} {after:?}");
        assert!(after.timestamp.wrapping_sub(before.timestamp) < 1 << 31, "{before:?} {after:?}");
    }
    heard
}

/// The keys that were pressed; each is begun once and ended three times, on one timestamp.
fn keys(heard: &[Heard]) -> String {
    let mut keys = String::new();
    let events: Vec<_> = heard.iter().filter_map(|packet| packet.event.map(|event| (packet.header, event))).collect();
    for press in events.chunk_by(|(_, _), (next, _)| !next.marker) {
        let (first, event) = press[0];
        assert!(first.marker, "{first:?}");
        assert!(press.iter().all(|(header, same)| (header.timestamp, same.event) == (first.timestamp, event.event)));
        assert!(press.is_sorted_by_key(|(_, event)| event.duration));
        let ends = press.iter().map(|(_, event)| event.end).collect::<Vec<_>>();
        assert_eq!((ends.iter().filter(|end| **end).count(), ends.ends_with(&[true; 3])), (3, true), "{ends:?}");
        keys.extend(event.key());
    }
    keys
}

fn keys_between_words(backend: &str) {
    let relay = Relay::start(&["--workers", "1", "--backend", backend]);
    let client = relay.client();
    let mut events = relay.events();
    client.create_call("c1");
    let endpoints = Endpoints::start().unwrap();
    let (alice, bob) = (join(client, &endpoints, "alice"), join(client, &endpoints, "bob"));
    client.command("c1", json!({"command": "bridge", "a": "alice", "b": "bob"}));
    bob.play(numbered_stream(2, PACKETS), Playback::default()).unwrap();
    alice.wait_for_packets(10, PATIENCE).unwrap();
    client.command("c1", json!({"command": "dtmf-send", "party": "alice", "digits": "12*#D"}));
    let finished = events.wait_for_that("dtmf-finished", PATIENCE, |event| event["party"] == "alice");
    assert_eq!((&finished["sent"], &finished["dropped"]), (&json!(5), &json!(0)));
    bob.wait_until_played(PATIENCE).unwrap();
    let leg = client.wait_for_leg("c1", "bob", "all packets", |leg| leg["packets"] == PACKETS);
    let replaced = leg["drops"]["replaced_by_dtmf"].as_u64().unwrap_or(0);
    assert!(replaced >= 5, "{backend}: each key takes the place of some words: {leg}");
    let sent = client.leg("c1", "alice")["sent"]["packets"].as_u64().unwrap();
    alice.wait_for_packets(sent, PATIENCE).unwrap();
    let heard = heard(&alice);
    assert_eq!(keys(&heard), "12*#D", "{backend}");
    let words = heard.iter().filter(|packet| packet.speaker == Some(2)).count() as u64;
    assert_eq!(words + replaced, u64::from(PACKETS), "{backend}");
    let presses = heard.iter().filter(|packet| packet.event.is_some()).count() as u64;
    assert_eq!(words + presses, sent, "{backend}");
}

#[test]
fn keys_are_heard_between_the_words_with_io_uring() {
    keys_between_words("io-uring");
}

#[test]
fn keys_are_heard_between_the_words_with_mmsg() {
    keys_between_words("mmsg");
}

#[test]
fn keys_are_heard_between_the_words_with_steered_sockets() {
    in_a_namespace("BPF programs steer ports", || keys_between_words("steered"));
}

#[test]
fn keys_for_the_transferee_survive_the_swap() {
    let relay = Relay::start(&["--workers", "1"]);
    let client = relay.client();
    let mut events = relay.events();
    client.create_call("c1");
    let endpoints = Endpoints::start().unwrap();
    let [alice, bob, carol] = ["alice", "bob", "carol"].map(|party| join(client, &endpoints, party));
    client.command("c1", json!({"command": "bridge", "a": "alice", "b": "bob"}));
    bob.play(numbered_stream(2, PACKETS), Playback::default()).unwrap();
    alice.wait_for_packets(10, PATIENCE).unwrap();
    // The first key is down for so long that the swap ends it.
    client.command(
        "c1",
        json!({"commands": [
            {"command": "swap", "survivor": "alice", "old": "bob", "new": "carol"},
            {"command": "dtmf-send", "party": "alice", "digits": "1", "duration_ms": 5000},
            {"command": "dtmf-send", "party": "alice", "digits": "23"}]}),
    );
    alice.wait_for_more_packets(5, PATIENCE).unwrap();
    carol.play(numbered_stream(3, PACKETS), Playback::default()).unwrap();
    let finished = events.wait_for("dtmf-finished", PATIENCE);
    assert_eq!(finished["sent"], 3, "{finished}");
    carol.wait_until_played(PATIENCE).unwrap();
    client.wait_for_leg("c1", "carol", "all packets", |leg| leg["packets"] == PACKETS);
    let sent = client.leg("c1", "alice")["sent"]["packets"].as_u64().unwrap();
    alice.wait_for_packets(sent, PATIENCE).unwrap();
    let heard = heard(&alice);
    assert_eq!(keys(&heard), "123");
    let mut speakers: Vec<_> = heard.iter().filter_map(|packet| packet.speaker).collect();
    speakers.dedup();
    assert_eq!(speakers, [2, 3]);
    let first_end = heard.iter().position(|packet| packet.event.is_some_and(|event| event.end)).unwrap();
    assert_eq!(heard[first_end + 3].speaker, Some(3), "the swap waits for nothing but the three end packets");
}

/// The first `packets` of a voice.
fn voice(name: &str, packets: usize) -> RtpStream {
    let mut stream = voices::stream(name);
    stream.packets.truncate(packets);
    stream
}

#[test]
fn a_party_is_listened_to_as_it_is_asked_for_and_as_it_is_configured() {
    let relay = Relay::start(&["--workers", "1", "--set", "detection.silence_ms=300"]);
    let client = relay.client();
    let mut events = relay.events();
    client.create_call("c1");
    let endpoints = Endpoints::start().unwrap();
    let alice = join(client, &endpoints, "alice");
    let told = relay.ask(&["detect", "c1", "alice", "--greeting-max-ms", "500"]);
    assert!(!told.contains("error"), "{told}");
    // Two seconds of speech, and then nothing.
    alice.play(Arc::new(voice("agent", 100)), Playback::default()).unwrap();
    let heard = |sound: &'static str| move |event: &Value| event["sound"] == sound;
    let machine = events.wait_for_that("detected", PATIENCE, heard("machine"));
    let after = machine["began_ms_ago"].as_u64().unwrap();
    assert!((500..1500).contains(&after), "by itself it takes 1800 ms of speech: {machine}");
    alice.wait_until_played(PATIENCE).unwrap();
    let silence = events.wait_for_that("detected", PATIENCE, heard("silence"));
    let lasted = silence["duration_ms"].as_u64().unwrap();
    assert!((300..2000).contains(&lasted), "{silence}");
}

#[test]
fn a_silent_party_is_heard_as_the_noise_that_it_tells_of() {
    let relay = Relay::start(&["--workers", "1"]);
    let client = relay.client();
    client.create_call("c1");
    let endpoints = Endpoints::start().unwrap();
    let [alice, bob, _carol] = ["alice", "bob", "carol"].map(|party| join(client, &endpoints, party));
    client.command("c1", json!({"command": "conference", "parties": ["alice", "bob", "carol"]}));
    // Half a second of speech, and then, unannounced, comfort noise of -30 dBov (RFC 3389).
    let mut stream = voice("agent", 25);
    let last = stream.packets.last_mut().unwrap();
    last.bytes.truncate(12);
    last.bytes[1] = 13;
    last.bytes.push(30);
    alice.play(Arc::new(stream), Playback::default()).unwrap();
    alice.wait_until_played(PATIENCE).unwrap();
    eventually("steady noise", || {
        let heard = voices::heard_by(&bob).samples;
        let from = heard.len().checked_sub(8000)?;
        let level = rms_dbfs(&heard[from..]);
        ((-31.5..-28.5).contains(&level)).then_some(())
    });
}

/// Keys as a telephone without events sends them: in its audio, 80 ms each and as much silence, behind a second of speech.
fn pressed_in_the_audio(keys: &str) -> RtpStream {
    let mut stream = voice("transferee", 50 + 8 * keys.len());
    let tones = keys.chars().flat_map(|key| {
        let key = dtmf::Digit::from_char(key).unwrap();
        dtmf::samples(key, -10.0, 80, 8000).chain(core::iter::repeat_n(0, 640)).collect::<Vec<i16>>()
    });
    let payload: Vec<u8> = tones.map(|sample| Law::Mu.encode_sample(sample)).collect();
    for (packet, payload) in stream.packets[50..].iter_mut().zip(payload.chunks_exact(160)) {
        packet.bytes[12..].copy_from_slice(payload);
    }
    stream
}

#[test]
fn a_telephone_without_events_and_an_agent_that_knows_nothing_else_understand_each_others_keys() {
    let relay = Relay::start(&["--workers", "1"]);
    let client = relay.client();
    client.create_call("c1");
    let endpoints = Endpoints::start().unwrap();
    let events =
        json!({"payload_type": EVENTS, "encoding": "telephone-event", "clock_rate": 8000, "convert_tones": true});
    let agent = join_with(client, &endpoints, "agent", &json!(["PCMU", events]));
    let telephone = join_with(client, &endpoints, "telephone", &json!(["PCMU"]));
    client.command("c1", json!({"command": "bridge", "a": "agent", "b": "telephone"}));
    let explained = relay.ask(&["explain", "c1"]);
    assert!(explained.contains("hears telephone, transcoded: packets or key presses are converted"), "{explained}");
    telephone.play(Arc::new(pressed_in_the_audio("1470*#")), Playback::default()).unwrap();
    telephone.wait_until_played(PATIENCE).unwrap();
    eventually("all keys as events", || (keys(&heard(&agent)) == "1470*#").then_some(()));
    assert_eq!(tones_heard_by(&agent), "", "none is heard a second time, as a tone");
    assert!(rms_dbfs(&audio_heard_by(&agent)[..8000]) > -40.0, "what was said before is heard");
    // The other way: events, which nobody but the relay can make anything of.
    let mut presses = voice("agent", 50);
    for (number, packet) in presses.packets[20..].chunks_mut(10).enumerate() {
        for (at, packet) in packet.iter_mut().take(8).enumerate() {
            let duration = (160 * (at + 1)).min(800) as u16;
            let event = TelephoneEvent { event: number as u8 + 7, end: at >= 5, volume: 10, duration };
            packet.bytes.truncate(12);
            packet.bytes[1] = EVENTS | if at == 0 { 0x80 } else { 0 };
            // All of one key have its timestamp.
            let timestamp = (3200 + number as u32 * 1600).to_be_bytes();
            packet.bytes[4..8].copy_from_slice(&timestamp);
            packet.bytes.resize(16, 0);
            event.write((&mut packet.bytes[12..16]).try_into().unwrap());
        }
    }
    let first = u32::from_be_bytes(presses.packets[0].bytes[4..8].try_into().unwrap());
    for packet in presses.packets.iter_mut().filter(|packet| packet.bytes[1] & 0x7f == EVENTS) {
        let at = u32::from_be_bytes(packet.bytes[4..8].try_into().unwrap());
        packet.bytes[4..8].copy_from_slice(&first.wrapping_add(at).to_be_bytes());
    }
    agent.play(Arc::new(presses), Playback::default()).unwrap();
    agent.wait_until_played(PATIENCE).unwrap();
    eventually("all keys as tones", || (tones_heard_by(&telephone) == "789").then_some(()));
}

fn audio_heard_by(endpoint: &Endpoint) -> Vec<i16> {
    voices::heard_beside_keys(endpoint, PayloadType::new(EVENTS).unwrap()).samples
}

/// Keys in the audio that a party got.
fn tones_heard_by(endpoint: &Endpoint) -> String {
    let mut events = Vec::new();
    dtmf::Detector::new(8000).unwrap().process(&audio_heard_by(endpoint), &mut events);
    let begun = events.iter().filter_map(|event| match event {
        dtmf::Event::Began(heard) => Some(heard.digit.as_char()),
        dtmf::Event::Ended(_) => None,
    });
    begun.collect()
}
