//! A transfer between three parties that are ffmpeg: a real sender and a real receiver each, through a hold and a swap. What
//! they received is compared with what was sent.
//!
//! ffmpeg's RTP muxer and demuxer cannot share a port: a party sends from one and receives on another. Its leg therefore
//! learns nothing from what it receives (latch `off`: what is for the party goes where signalling said) and takes packets
//! from elsewhere (`strict` false), as for any party that is not symmetric.

#![allow(clippy::unwrap_used, reason = "a test may stop at what it did not expect")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use patchcord_codec::analysis::{Heard, correlation, find, order_heard, timeline};
use patchcord_codec::{Audio, TELEPHONE_RATE, music, wav};
use patchcord_tests::stage::address;
use patchcord_tests::{Client, Folder, PATIENCE, Ports, Process, Relay, Tool, eventually, free_ports, kernel, voices};
use serde_json::{Value, json};

const FFMPEG: Tool = Tool { program: "ffmpeg", package: "ffmpeg" };

/// Packets of 20 ms that a party hears of each of the others before the next step: two seconds.
const TALK: u64 = 100;

/// So long each party can speak: longer than the test, so that nobody falls silent.
const SPEECH: Duration = Duration::from_secs(120);

/// Correlation of what was received with what was sent: nothing is lost on loopback. What was encoded by Opus on its way has changed.
const SAME_SOUND: f64 = 0.99;
const SAME_SOUND_BY_OPUS: f64 = 0.8;

/// What is compared at a time, in samples: half a second.
const PIECE: usize = TELEPHONE_RATE as usize / 2;

const MUSIC: &str = "music";

/// Keys and salts of what a party with SRTP sends, and of what it is sent.
const SPEAKS: &str = "MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkw";
const HEARS: &str = "d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj";

/// A party: where it receives, and the files it speaks from and records to.
struct Party {
    name: &'static str,
    speech: Audio,
    says: PathBuf,
    heard: PathBuf,
    receives: Ports,
    receiver: Process,
    speaks: Speaks,
}

/// How a party speaks.
#[derive(Clone, Copy, Default)]
struct Speaks {
    /// The suite of its SRTP, if it has that.
    suite: Option<&'static str>,
    /// Opus and nothing else; if not, PCMU and nothing else.
    opus: bool,
    /// Packets of so many milliseconds that it sends and wants; 0: of 20, and it asks for none.
    ptime_ms: u32,
}

#[test]
fn a_transfer_between_ffmpegs_is_heard_in_its_order() {
    transfer("ffmpeg", [Speaks::default(); 3]);
}

#[test]
fn a_transfer_from_a_secured_ffmpeg_to_a_plain_one_is_heard_in_its_order() {
    let suites = [Some("AES_CM_128_HMAC_SHA1_80"), Some("AES_CM_128_HMAC_SHA1_32"), None];
    transfer("ffmpeg-srtp", suites.map(|suite| Speaks { suite, ..Speaks::default() }));
}

#[test]
fn a_transfer_to_a_secured_ffmpeg_of_another_suite_is_heard_in_its_order() {
    let suites = [Some("AES_CM_128_HMAC_SHA1_80"), None, Some("AES_CM_128_HMAC_SHA1_32")];
    transfer("ffmpeg-to-srtp", suites.map(|suite| Speaks { suite, ..Speaks::default() }));
}

#[test]
fn a_transfer_from_an_agent_with_opus_is_heard_in_its_order() {
    transfer("ffmpeg-opus-agent", [false, true, false].map(|opus| Speaks { opus, ..Speaks::default() }));
}

#[test]
fn a_transferee_with_secured_opus_in_40_ms_is_transferred_between_telephones() {
    let transferee = Speaks { suite: Some("AES_CM_128_HMAC_SHA1_80"), opus: true, ptime_ms: 40 };
    let agent = Speaks { ptime_ms: 30, ..Speaks::default() };
    transfer("ffmpeg-opus-transferee", [transferee, agent, Speaks::default()]);
}

/// Transferee, agent and target.
fn transfer(folder: &str, speaks: [Speaks; 3]) {
    // Six programs that keep time, and two processors: one transfer at a time.
    static STAGE: Mutex<()> = Mutex::new(());
    let _stage = STAGE.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = Folder::create(env!("CARGO_TARGET_TMPDIR"), folder);
    let relay = Relay::start(&["--workers", "1"]);
    let client = relay.client();
    let mut events = relay.events();
    client.create_call("c1");
    let [transferee, agent] = [("transferee", speaks[0]), ("agent", speaks[1])]
        .map(|(name, speaks)| Party::listen(name, speaks, folder.path()));
    for party in [&transferee, &agent] {
        party.join(client);
    }
    client.command("c1", json!({"command": "bridge", "a": "transferee", "b": "agent"}));
    let _speakers = [transferee.speak(client), agent.speak(client)];
    for party in ["transferee", "agent"] {
        events.wait_for_that("first-packet", PATIENCE, |event| event["party"] == party);
    }
    heard_more(client, "transferee", TALK);
    if speaks[1].ptime_ms != 0 {
        let sent = &client.leg("c1", "agent")["sent"];
        let [packets, bytes] = ["packets", "bytes"].map(|key| sent[key].as_u64().unwrap());
        // A header, and 8 bytes of PCMU a millisecond.
        assert_eq!(bytes, packets * u64::from(12 + 8 * speaks[1].ptime_ms), "{sent}");
    }

    client.command("c1", json!({"command": "hold", "party": "transferee"}));
    let held = events
        .wait_for_that("cut-over", PATIENCE, |event| event["command"] == "hold" && event["party"] == "transferee");
    assert_eq!(held["seq_step"], 1, "{held}");
    assert_eq!(client.leg("c1", "transferee")["hears"], "hold:hold");
    heard_more(client, "transferee", TALK);

    // The target's leg exists, but nobody speaks there yet: the music goes on.
    let target = Party::listen("target", speaks[2], folder.path());
    target.join(client);
    let swap = json!({"id": "swap", "command": "swap", "survivor": "transferee", "old": "agent", "new": "target"});
    let results = client.command("c1", swap);
    assert_eq!(results[0]["state"], "pending", "{results:?}");
    let _speaker = target.speak(client);
    for party in ["transferee", "target"] {
        let swapped =
            events.wait_for_that("cut-over", PATIENCE, |event| event["id"] == "swap" && event["party"] == party);
        assert_eq!(swapped["trigger"], "on-first-packet", "{swapped}");
        if party == "transferee" {
            assert_eq!(swapped["seq_step"], 1, "{swapped}");
        }
    }
    heard_more(client, "transferee", TALK);
    heard_more(client, "target", TALK);

    // They hang up while all still hear something: ffmpeg ends its recording when the next packet comes.
    let sounds = [&transferee, &agent, &target].map(|party| Sound::new(party.name, &party.speech));
    let sounds = [&sounds[..], &[Sound::new(MUSIC, &music::hold_melody())]].concat();
    let same = if speaks.iter().any(|speaks| speaks.opus) { SAME_SOUND_BY_OPUS } else { SAME_SOUND };
    let [by_transferee, by_agent, by_target] = [transferee, agent, target].map(Party::hang_up);
    let state = client.delete_call("c1");
    for leg in state["legs"].as_array().unwrap() {
        assert_eq!((&leg["lost"], &leg["duplicates"]), (&json!(0), &json!(0)), "{leg}");
        // ffmpeg sends reports of its own beside the media; under SRTP with the same index each time, of which the first passes.
        assert!(leg["rtcp_packets"].as_u64().unwrap() > 0, "{leg}");
        assert_eq!(leg["drops"]["srtp_unauthentic"], Value::Null, "{leg}");
    }
    compare(&by_transferee, &sounds, same, &["agent", "music", "target"]);
    compare(&by_target, &sounds, same, &["transferee"]);
    // The agent hears music too once the transferee is somebody else's.
    compare(&by_agent, &sounds, same, &["transferee", "music"]);
}

/// What can be heard, again and again.
#[derive(Clone)]
struct Sound {
    name: &'static str,
    /// Once, and its beginning again, so that a window across the end is found too.
    once: Vec<i16>,
    /// For longer than the test.
    looped: Vec<i16>,
}

impl Sound {
    fn new(name: &'static str, audio: &Audio) -> Self {
        let once = audio.looped(audio.duration() + Duration::from_secs(1)).samples;
        Self { name, once, looped: audio.looped(SPEECH).samples }
    }
}

/// Waits until the relay has sent a party so many packets more.
fn heard_more(client: &Client, party: &str, packets: u64) {
    let sent = |leg: &Value| leg["sent"]["packets"].as_u64().unwrap();
    let wanted = sent(&client.leg("c1", party)) + packets;
    client.wait_for_leg("c1", party, "more packets sent to it", |leg| sent(leg) >= wanted);
}

/// These are heard in this order and nothing else is. Each piece sounds as it was sent.
fn compare(heard: &Audio, sounds: &[Sound], same: f64, order: &[&str]) {
    let references: Vec<(&str, &[i16])> = sounds.iter().map(|sound| (sound.name, &sound.once[..])).collect();
    let stretches = timeline(&heard.samples, heard.sample_rate, &references);
    assert_eq!(order_heard(&stretches), order, "{stretches:#?}");
    let mut compared = Vec::new();
    for stretch in &stretches {
        let Heard::Reference(name) = stretch.heard else {
            // A pause between two words, or a window in which two sounds meet.
            assert!(stretch.end - stretch.start < TELEPHONE_RATE as usize, "{stretches:#?}");
            continue;
        };
        let sound = sounds.iter().find(|sound| sound.name == name).unwrap();
        // A change is placed to a quarter of a second.
        let (start, end) = (stretch.start + PIECE / 2, stretch.end.saturating_sub(PIECE / 2));
        if start + PIECE <= end {
            compare_pieces(&heard.samples[start..end], sound, same);
            compared.push(name);
        }
    }
    assert!(
        order.iter().all(|name| compared.contains(name)),
        "{compared:?} were heard for long enough: {stretches:#?}"
    );
}

/// Nothing is missing and nothing is double: each piece lies in what was sent where the one before it ends.
fn compare_pieces(heard: &[i16], sound: &Sound, same: f64) {
    let mut jumps = Vec::new();
    let mut place = None;
    for (index, piece) in heard.chunks_exact(PIECE).enumerate() {
        let goes_on = place.is_some_and(|at: usize| correlation(piece, &sound.looped[at..]) > same);
        if !goes_on {
            let found = find(piece, &sound.once).filter(|found| found.correlation > same);
            jumps.push((index, found));
            place = found.map(|found| found.offset);
        }
        place = place.map(|at| at + PIECE);
    }
    // The first piece must be found, of course. A relay that was kept from running leaves out the music of that time, so as
    // to stay at its pace: that is a piece which is not found, and one that is found elsewhere.
    let jumps_max = if sound.name == MUSIC { 3 } else { 1 };
    assert!(jumps.len() <= jumps_max && place.is_some(), "{}: {jumps:?}", sound.name);
}

impl Party {
    /// A party that listens already, and has something to say.
    fn listen(name: &'static str, speaks: Speaks, folder: &Path) -> Self {
        let Speaks { suite, opus, .. } = speaks;
        let speech = voices::audio(&voices::stream(name));
        let [says, heard, session] = ["says.wav", "heard.wav", "sdp"].map(|end| folder.join(format!("{name}.{end}")));
        wav::write_file(&says, &speech.looped(SPEECH)).unwrap();
        // It gives up when nothing has come for 10 s, so it starts when its time has come.
        let receives = free_ports(2);
        let protocol = if suite.is_some() { "RTP/SAVP" } else { "RTP/AVP" };
        let key =
            suite.map(|suite| format!("a=crypto:1 {} inline:{HEARS}\r\n", as_ffmpeg_has_it(suite))).unwrap_or_default();
        let (number, format) = if opus { (96, "opus/48000/2") } else { (0, "PCMU/8000") };
        let description = format!(
            "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns={name}\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio {} {protocol} {number}\r\n{key}a=rtpmap:{number} {format}\r\n",
            receives.first
        );
        fs::write(&session, description).unwrap();
        let mut command = ffmpeg();
        command.args(["-protocol_whitelist", "file,udp,rtp,srtp", "-analyzeduration", "0", "-probesize", "32"]);
        command.arg("-i").arg(&session).args(["-c:a", "pcm_s16le", "-ar", "8000", "-ac", "1"]).arg(&heard);
        let receiver = Process::start(&format!("{name}'s receiver"), command.stdout(Stdio::null()));
        eventually(&format!("{name} listens on {receives}"), || {
            let open = kernel::udp_ports();
            (open.contains_key(&receives.first) && open.contains_key(&receives.last)).then_some(())
        });
        Self { name, speech, says, heard, receives, receiver, speaks }
    }

    /// Gives the call a leg for it, with a port of its own for RTCP, as ffmpeg has.
    fn join(&self, client: &Client) {
        let remote = format!("127.0.0.1:{}", self.receives.first);
        let Speaks { opus, ptime_ms, .. } = self.speaks;
        let codec = match (opus, ptime_ms) {
            (true, 0) => json!("96 opus/48000/2"),
            (false, 0) => json!("PCMU"),
            (true, _) => json!({"payload_type": 96, "encoding": "opus", "clock_rate": 48000, "channels": 2,
                "ptime_ms": ptime_ms, "bitrate": 40_000}),
            (false, _) => json!({"payload_type": 0, "encoding": "PCMU", "clock_rate": 8000, "ptime_ms": ptime_ms}),
        };
        let create = json!({"command": "leg-create", "party": self.name, "remote": remote, "codecs": [codec],
            "rtcp_mux": false, "latch": {"mode": "off", "strict": false}});
        client.command("c1", create);
        if let Some(suite) = self.speaks.suite {
            let [receive, send] = [SPEAKS, HEARS].map(|key| format!("{suite} inline:{key}"));
            client.command("c1", json!({"command": "leg-srtp", "party": self.name, "receive": receive, "send": send}));
        }
    }

    /// Speaks until it is dropped.
    fn speak(&self, client: &Client) -> Process {
        let local = address(&client.leg("c1", self.name), "local");
        let ptime_ms = if self.speaks.ptime_ms == 0 { 20 } else { self.speaks.ptime_ms };
        let mut command = ffmpeg();
        command.arg("-re").arg("-i").arg(&self.says);
        if self.speaks.opus {
            command.args(["-c:a", "libopus", "-b:a", "40k", "-ar", "48000", "-frame_duration", &ptime_ms.to_string()]);
            command.args(["-payload_type", "96", "-f", "rtp"]);
        } else {
            command.args(["-c:a", "pcm_mulaw", "-f", "rtp"]);
        }
        // So much of PCMU a packet, and the header; Opus has one frame a packet.
        let packet = if self.speaks.opus { 1200 } else { 12 + 8 * ptime_ms };
        match self.speaks.suite {
            Some(suite) => command
                .args(["-srtp_out_suite", as_ffmpeg_has_it(suite), "-srtp_out_params", SPEAKS])
                .arg(format!("srtp://{local}?pkt_size={packet}")),
            None => command.arg(format!("rtp://{local}?pkt_size={packet}")),
        };
        Process::start(&format!("{}'s sender", self.name), command.stdout(Stdio::null()))
    }

    /// Ends its receiver and gives what it has heard.
    fn hang_up(mut self) -> Audio {
        self.receiver.terminate();
        self.receiver.wait();
        wav::read_file(&self.heard).unwrap_or_else(|error| panic!("{error}\n{}", self.receiver.stderr()))
    }
}

/// With RFC 4568's name for the shorter tag ffmpeg shortens that of RTCP too, which 6.2.2 does not; with RFC 5764's it does not.
fn as_ffmpeg_has_it(suite: &'static str) -> &'static str {
    if suite == "AES_CM_128_HMAC_SHA1_32" { "SRTP_AES128_CM_HMAC_SHA1_32" } else { suite }
}

fn ffmpeg() -> Command {
    let mut command = FFMPEG.command();
    command.args(["-hide_banner", "-nostdin", "-loglevel", "warning", "-y"]).stdin(Stdio::null());
    command
}
