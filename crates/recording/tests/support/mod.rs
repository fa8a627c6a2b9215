//! What several tests need: a directory of recordings, parties that say sines, and ffmpeg to listen.
#![allow(dead_code, clippy::unwrap_used, reason = "each test uses a part, and may panic")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, SystemTime};

use patchcord_codec::analysis::tone_dbfs;
use patchcord_codec::codec::OpusParameters;
use patchcord_codec::{Codec, Encoder, EncoderOptions, Law};
use patchcord_recording::{
    Format, Layout, RecordingId, Report, Settings, Spec, Summary, TrackFormat, TrackSpec, Writer,
};
use patchcord_rtp::{PayloadType, RtpHeader, RtpTimestamp, SequenceNumber, Ssrc};

pub(crate) const MS: u64 = 1_000_000;
pub(crate) const ID: RecordingId = RecordingId(7);
/// When recordings begin: nothing is counted from zero.
pub(crate) const BEGIN: u64 = 1_000_000 * MS;

pub(crate) const PCMU: u8 = 0;
pub(crate) const G722: u8 = 9;
pub(crate) const EVENT: u8 = 101;
pub(crate) const OPUS: u8 = 111;

static MADE: AtomicU32 = AtomicU32::new(0);

/// A directory of its own for a test.
pub(crate) struct Directory(pub(crate) PathBuf);

impl Directory {
    pub(crate) fn new() -> Self {
        let name = format!("recordings-{}-{}", std::process::id(), MADE.fetch_add(1, Ordering::Relaxed));
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn json(&self, name: &str) -> serde_json::Value {
        serde_json::from_slice(&std::fs::read(self.0.join(name)).unwrap()).unwrap()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

/// A writer that is told the time by packets alone, and what it reports.
pub(crate) fn writer(settings: Settings) -> (Writer, Receiver<Report>) {
    let (sender, reports) = channel();
    let report = move |report| drop(sender.send(report));
    (Writer::start(settings, || 0, report).unwrap(), reports)
}

pub(crate) fn settings(directory: &Directory) -> Settings {
    // Packets come as fast as they can be made: all of them may lie in the queue.
    Settings { queue_packets: usize::MAX, ..Settings::new(&directory.0, "patchcord test") }
}

pub(crate) fn spec(name: &str, format: Format, layout: Layout) -> Spec {
    Spec {
        name: name.to_owned(),
        format,
        layout,
        rate: None,
        call: "call-1".to_owned(),
        at_ns: BEGIN,
        started: SystemTime::UNIX_EPOCH + Duration::from_millis(1_795_767_330_250),
        values: BTreeMap::from([("ticket".to_owned(), "42".to_owned())]),
    }
}

/// The formats of these numbers.
pub(crate) fn formats(numbers: &[u8]) -> Vec<TrackFormat> {
    let format = |&payload_type: &u8| {
        let (encoding, clock_rate, channels) = match payload_type {
            PCMU => ("PCMU", 8000, 1),
            G722 => ("G722", 8000, 1),
            EVENT => ("telephone-event", 8000, 1),
            OPUS => ("opus", 48_000, 2),
            other => panic!("no format has number {other}"),
        };
        TrackFormat { payload_type, encoding: encoding.to_owned(), clock_rate, channels, fmtp: None }
    };
    numbers.iter().map(format).collect()
}

pub(crate) fn track(number: u16, party: &str, numbers: &[u8]) -> TrackSpec {
    TrackSpec { number, party: party.into(), formats: formats(numbers) }
}

/// A party that says one sine in packets of 20 ms, or of another length.
pub(crate) struct Party {
    pub(crate) number: u8,
    encoder: Encoder,
    pub(crate) ptime_ms: u32,
    hz: f64,
    said: u64,
    pub(crate) ssrc: u32,
    pub(crate) sequence: u16,
    pub(crate) timestamp: u32,
}

impl Party {
    pub(crate) fn new(number: u8, hz: f64) -> Self {
        let codec = match number {
            PCMU => Codec::G711(Law::Mu),
            G722 => Codec::G722,
            _ => Codec::Opus(OpusParameters::default()),
        };
        let rate = if number == PCMU { 8000 } else { 16_000 };
        let encoder = Encoder::new(codec, rate, EncoderOptions::default()).unwrap();
        // Both wrap around in the midst of tests.
        Self { number, encoder, ptime_ms: 20, hz, said: 0, ssrc: 99, sequence: 65_530, timestamp: u32::MAX - 5000 }
    }

    /// The next packet.
    pub(crate) fn say(&mut self) -> Box<[u8]> {
        let rate = self.encoder.sample_rate();
        let samples: Vec<i16> = (0..u64::from(rate * self.ptime_ms / 1000))
            .map(|sample| {
                let phase = (self.said + sample) as f64 * self.hz * std::f64::consts::TAU / f64::from(rate);
                (8000.0 * phase.sin()) as i16
            })
            .collect();
        self.said += samples.len() as u64;
        let mut payload = Vec::new();
        self.encoder.encode(&samples, &mut payload).unwrap();
        let rtp = packet(self.number, self.sequence, self.timestamp, self.ssrc, &payload);
        self.sequence = self.sequence.wrapping_add(1);
        self.timestamp = self.timestamp.wrapping_add(self.encoder.codec().clock_rate() * self.ptime_ms / 1000);
        rtp
    }

    /// Packets for so long from `at_ms` of the recording on, with their times.
    pub(crate) fn speech(&mut self, at_ms: u64, for_ms: u64) -> Packets {
        let ptime_ms = u64::from(self.ptime_ms);
        (0..for_ms / ptime_ms).map(|n| (BEGIN + (at_ms + ptime_ms * n) * MS, self.say())).collect()
    }
}

pub(crate) fn packet(number: u8, sequence: u16, timestamp: u32, ssrc: u32, payload: &[u8]) -> Box<[u8]> {
    let header = RtpHeader {
        marker: false,
        payload_type: PayloadType::new(number).unwrap(),
        sequence: SequenceNumber(sequence),
        timestamp: RtpTimestamp(timestamp),
        ssrc: Ssrc(ssrc),
    };
    let mut bytes = vec![0; 12];
    header.build(&mut bytes);
    bytes.extend(payload);
    bytes.into()
}

/// A party's packets, and when they come.
pub(crate) type Packets = Vec<(u64, Box<[u8]>)>;

/// Gives the writer the packets of several tracks in the order of their times.
pub(crate) fn feed(writer: &Writer, packets: Vec<(u16, Packets)>) {
    let all =
        packets.into_iter().flat_map(|(track, packets)| packets.into_iter().map(move |(at, rtp)| (at, track, rtp)));
    let mut all: Vec<_> = all.collect();
    all.sort_by_key(|(at, track, _)| (*at, *track));
    all.into_iter().for_each(|(at, track, rtp)| writer.packet(ID, track, at, rtp));
}

/// The end of the recording.
pub(crate) fn end(reports: &Receiver<Report>) -> Report {
    loop {
        match reports.recv_timeout(Duration::from_secs(60)).unwrap() {
            Report::Started { .. } => {}
            report => return report,
        }
    }
}

pub(crate) fn finished(reports: &Receiver<Report>) -> Summary {
    match end(reports) {
        Report::Finished(summary) => summary,
        other => panic!("{other:?}"),
    }
}

/// What ffmpeg hears in a file, at 16 kHz.
pub(crate) fn ffmpeg(path: &Path) -> Vec<i16> {
    let arguments = ["-hide_banner", "-loglevel", "error", "-i"];
    let output = Command::new("ffmpeg").args(arguments).arg(path).args(["-f", "s16le", "-ar", "16000", "-"]).output();
    let output = output.unwrap();
    assert!(output.status.success(), "{}: {}", path.display(), String::from_utf8_lossy(&output.stderr));
    output.stdout.as_chunks().0.iter().map(|&pair| i16::from_le_bytes(pair)).collect()
}

/// Whether ffmpeg is missing; says that a test is skipped, and fails it where CI has to have everything.
#[allow(clippy::print_stderr, reason = "a skipped test says so")]
pub(crate) fn is_ffmpeg_missing() -> bool {
    if Command::new("ffmpeg").arg("-version").output().is_ok() {
        return false;
    }
    assert!(std::env::var_os("CI").is_none(), "ffmpeg is missing: apt-get install ffmpeg");
    eprintln!("skipped, ffmpeg is missing: apt-get install ffmpeg");
    true
}

/// Whether a sine is heard in windows of 20 ms: the times in which it is, as (from, to) in milliseconds.
pub(crate) fn heard(samples: &[i16], rate: u32, hz: f64) -> Vec<(usize, usize)> {
    let window = rate as usize / 50;
    let mut stretches: Vec<(usize, usize)> = Vec::new();
    for (index, samples) in samples.chunks(window).enumerate() {
        // A party has -15 dBFS.
        if tone_dbfs(samples, rate, hz) < -24.0 {
            continue;
        }
        match stretches.last_mut() {
            Some((_, to)) if *to == index * 20 => *to += 20,
            _ => stretches.push((index * 20, index * 20 + 20)),
        }
    }
    stretches
}

/// Both ends of all stretches are where they belong, but for a window.
#[track_caller]
pub(crate) fn assert_stretches(found: &[(usize, usize)], expected: &[(usize, usize)]) {
    let near = |a: usize, b: usize| a.abs_diff(b) <= 20;
    let alike =
        found.iter().zip(expected).all(|(found, expected)| near(found.0, expected.0) && near(found.1, expected.1));
    assert!(found.len() == expected.len() && alike, "found {found:?}, expected {expected:?}");
}
