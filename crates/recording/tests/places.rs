//! What parties say lies in the files where it belongs, whatever the network does to their packets.
#![allow(clippy::unwrap_used, reason = "tests may panic")]

mod support;

use std::path::Path;

use patchcord_recording::{Counts, Format, Layout, Settings, Summary, TrackSpec};

use support::{
    BEGIN, Directory, EVENT, G722, ID, MS, OPUS, PCMU, Packets, Party, assert_stretches, feed, ffmpeg, finished, heard,
    is_ffmpeg_missing, packet, settings, spec, track, writer,
};

const ALICE: f64 = 400.0;
const BOB: f64 = 1000.0;
const CAROL: f64 = 2200.0;

/// Records one PCMU party for so long, to a WAV file at 8 kHz; gives its samples.
fn record_one(packets: Packets, for_ms: u64) -> (Summary, Vec<i16>) {
    record_tracks(vec![(track(1, "alice", &[PCMU, EVENT]), packets)], for_ms)
}

fn record_tracks(tracks: Vec<(TrackSpec, Packets)>, for_ms: u64) -> (Summary, Vec<i16>) {
    let directory = Directory::new();
    let (writer, reports) = writer(settings(&directory));
    writer.begin(ID, patchcord_recording::Spec { rate: Some(8000), ..spec("a", Format::Wav, Layout::Mixed) });
    let mut fed = Vec::new();
    for (track, packets) in tracks {
        fed.push((track.number, packets));
        writer.track(ID, BEGIN, track);
    }
    feed(&writer, fed);
    writer.stop(ID, BEGIN + for_ms * MS);
    let summary = finished(&reports);
    let audio = patchcord_codec::wav::read_file(&summary.files[0]).unwrap();
    assert_eq!((audio.sample_rate, audio.samples.len() as u64), (8000, for_ms * 8), "to the sample");
    (summary, audio.samples)
}

/// A transfer: alice talks to bob, carol joins, bob leaves. Each in another codec.
fn transfer(directory: &Directory, format: Format, layout: Layout) -> Summary {
    let (writer, reports) = writer(settings(directory));
    writer.begin(ID, spec("2026/call", format, layout));
    writer.track(ID, BEGIN, track(1, "alice", &[PCMU]));
    writer.track(ID, BEGIN, track(2, "bob", &[OPUS]));
    let mut alice = Party::new(PCMU, ALICE);
    feed(&writer, vec![(1, alice.speech(500, 2000)), (2, Party::new(OPUS, BOB).speech(1000, 2000))]);
    writer.mark(ID, BEGIN + 3000 * MS, "transfer".to_owned());
    writer.track(ID, BEGIN + 3000 * MS, track(3, "carol", &[G722]));
    writer.end_track(ID, BEGIN + 3200 * MS, 2);
    alice.timestamp = alice.timestamp.wrapping_add(1500 * 8);
    feed(&writer, vec![(1, alice.speech(4000, 500)), (3, Party::new(G722, CAROL).speech(3500, 1000))]);
    writer.stop(ID, BEGIN + 5000 * MS);
    finished(&reports)
}

/// When a voice is heard: its frequency, from and to in milliseconds.
type Voice<'a> = (f64, &'a [(usize, usize)]);

/// Name, length in milliseconds and voices of each file.
#[track_caller]
fn assert_transfer(directory: &Directory, files: &[(&str, usize, &[Voice<'_>])]) {
    for (name, for_ms, voices) in files {
        let samples = ffmpeg(&directory.0.join("2026").join(name));
        assert_eq!(samples.len(), for_ms * 16, "{name}");
        for hz in [ALICE, BOB, CAROL] {
            let expected = voices.iter().find(|(voice, _)| *voice == hz).map_or(&[][..], |(_, places)| places);
            assert_stretches(&heard(&samples, 16_000, hz), expected);
        }
    }
}

#[test]
fn a_mixed_recording_of_a_transfer_has_all_parties_at_their_times() {
    if is_ffmpeg_missing() {
        return;
    }
    for (format, name) in [(Format::Wav, "call.wav"), (Format::OggOpus, "call.opus")] {
        let directory = Directory::new();
        let summary = transfer(&directory, format, Layout::Mixed);
        assert_eq!((summary.duration_ms, summary.counts), (5000, Counts { packets: 275, ..Counts::default() }));
        let alice: &[_] = &[(500, 2500), (4000, 4500)];
        assert_transfer(
            &directory,
            &[(name, 5000, &[(ALICE, alice), (BOB, &[(1000, 3000)]), (CAROL, &[(3500, 4500)])])],
        );
    }
}

#[test]
fn a_file_for_each_party_goes_from_its_joining_to_its_leaving() {
    if is_ffmpeg_missing() {
        return;
    }
    for (format, extension) in [(Format::Wav, "wav"), (Format::OggOpus, "opus")] {
        let directory = Directory::new();
        let summary = transfer(&directory, format, Layout::PerParty);
        assert_eq!(summary.files.len(), 3);
        let [alice, bob, carol] = ["alice", "bob", "carol"].map(|party| format!("call-{party}.{extension}"));
        assert_transfer(
            &directory,
            &[
                (&alice, 5000, &[(ALICE, &[(500, 2500), (4000, 4500)])]),
                (&bob, 3200, &[(BOB, &[(1000, 3000)])]),
                (&carol, 2000, &[(CAROL, &[(500, 1500)])]),
            ],
        );
        let metadata = directory.json("2026/call.json");
        let times: Vec<_> = metadata["parties"]
            .as_array()
            .unwrap()
            .iter()
            .map(|party| (party["party"].as_str().unwrap(), party["joined_ms"].as_u64(), party["left_ms"].as_u64()))
            .collect();
        assert_eq!(
            times,
            [("alice", Some(0), Some(5000)), ("bob", Some(0), Some(3200)), ("carol", Some(3000), Some(5000))]
        );
        let begins = |name: &str| {
            let files = metadata["files"].as_array().unwrap();
            files.iter().find(|file| file["name"] == name).unwrap()["begins_ms"].as_u64()
        };
        assert_eq!((begins(&alice), begins(&carol)), (Some(0), Some(3000)));
        assert_eq!(metadata["marks"], serde_json::json!([{ "at_ms": 3000, "text": "transfer" }]));
        assert_eq!((&metadata["state"], &metadata["call"]), (&"finished".into(), &"call-1".into()));
        assert_eq!(metadata["started"], "2026-11-27T08:15:30.250Z");
        assert_eq!(metadata["ended"], "2026-11-27T08:15:35.250Z");
        assert_eq!(metadata["values"]["ticket"], "42");
    }
}

#[test]
fn reordered_doubled_and_jittering_packets_are_heard_as_they_were_said() {
    let (_, as_said) = record_one(Party::new(PCMU, ALICE).speech(100, 3000), 3200);
    let mut packets = Party::new(PCMU, ALICE).speech(100, 3000);
    // Pairs of a sudden come the other way round, some twice, and the network takes up to 90 ms more.
    for (index, (at, _)) in packets.iter_mut().enumerate().skip(1) {
        *at += [0, 30, 90, 5, 60][index % 5] * MS;
    }
    let doubled: Vec<_> = packets.iter().step_by(7).map(|(at, rtp)| (at + 3 * MS, rtp.clone())).collect();
    let doubles = doubled.len() as u64;
    packets.extend(doubled);
    let (summary, samples) = record_one(packets, 3200);
    assert!(samples == as_said, "a sample differs");
    assert_eq!(summary.counts, Counts { packets: 150 + doubles, duplicates: doubles, ..Counts::default() });
}

#[test]
fn packets_of_every_length_lie_where_they_were_said() {
    for (number, ptime_ms) in [(PCMU, 10), (PCMU, 30), (G722, 40), (PCMU, 60), (OPUS, 10), (OPUS, 40), (OPUS, 60)] {
        let mut alice = Party::new(number, ALICE);
        alice.ptime_ms = ptime_ms;
        let mut packets = alice.speech(500, 1200);
        let clock_rate = if number == OPUS { 48_000 } else { 8000 };
        alice.timestamp = alice.timestamp.wrapping_add(clock_rate * 13 / 10);
        packets.extend(alice.speech(3000, 1200));
        let (summary, samples) = record_tracks(vec![(track(1, "alice", &[number]), packets)], 5000);
        assert_stretches(&heard(&samples, 8000, ALICE), &[(500, 1700), (3000, 4200)]);
        assert_eq!(summary.counts.lost, 0, "{number} in {ptime_ms} ms");
    }
}

#[test]
fn a_stall_of_the_network_moves_nothing() {
    let (_, as_said) = record_one(Party::new(PCMU, ALICE).speech(100, 3000), 3200);
    let mut packets = Party::new(PCMU, ALICE).speech(100, 3000);
    // What is sent within 400 ms comes at once.
    let stalled = BEGIN + 1000 * MS..BEGIN + 1400 * MS;
    for (at, _) in packets.iter_mut().filter(|(at, _)| stalled.contains(at)) {
        *at = stalled.end;
    }
    let (summary, samples) = record_one(packets, 3200);
    assert!(samples == as_said, "a sample differs");
    assert_eq!((summary.counts.late, summary.counts.lost), (0, 0));
}

#[test]
fn what_is_lost_is_made_up_and_moves_nothing() {
    let (_, as_said) = record_one(Party::new(PCMU, ALICE).speech(100, 3000), 3200);
    let mut packets = Party::new(PCMU, ALICE).speech(100, 3000);
    let mut number = 0;
    packets.retain(|_| {
        number += 1;
        number % 10 != 5
    });
    let (summary, samples) = record_one(packets, 3200);
    assert_eq!(summary.counts.lost, 15);
    assert_stretches(&heard(&samples, 8000, ALICE), &[(100, 3100)]);
    let differing = samples.iter().zip(&as_said).filter(|(sample, said)| sample != said).count();
    // 15 packets of 160 samples, and the crossing into the next one.
    assert!((1..15 * 200).contains(&differing), "{differing} samples differ");
}

#[test]
fn what_comes_later_than_files_are_written_is_dropped_and_counted() {
    let mut packets = Party::new(PCMU, ALICE).speech(0, 4000);
    packets[10].0 += 1500 * MS;
    let (summary, samples) = record_one(packets, 4000);
    assert_eq!((summary.counts.late, summary.counts.lost), (1, 1));
    assert_stretches(&heard(&samples, 8000, ALICE), &[(0, 4000)]);
}

/// What alice says is there from beginning to end, and nothing else; in the last second it is off by less than `off_ms`.
#[track_caller]
fn assert_drift(parts_per_million: i64, for_ms: u64) {
    let mut packets = Party::new(PCMU, ALICE).speech(0, for_ms);
    for (at, _) in &mut packets {
        let since = (*at - BEGIN).cast_signed();
        *at = at.saturating_add_signed(since * parts_per_million / 1_000_000);
    }
    let last = (packets.last().unwrap().0 - BEGIN) / MS + 20;
    let (summary, samples) = record_one(packets, for_ms * 2);
    assert_eq!(summary.counts.late, 0);
    let found = heard(&samples, 8000, ALICE);
    assert_stretches(&found, &[(0, last as usize)]);
    // Shifted so that nobody hears it: no click is louder than the tone.
    let jump = samples.windows(2).map(|pair| i32::from(pair[0]).abs_diff(i32::from(pair[1]))).max().unwrap();
    assert!(jump < 4000, "a step of {jump}");
}

#[test]
fn two_clocks_that_drift_apart_stay_together() {
    // 200 parts in a million, as many as sound cards have; and a hundred times as fast, for what an hour would do.
    assert_drift(200, 60_000);
    assert_drift(-200, 60_000);
    assert_drift(5000, 40_000);
    assert_drift(-5000, 40_000);
}

#[test]
fn another_ssrc_and_a_jump_of_timestamps_are_placed_by_when_they_come() {
    let mut alice = Party::new(PCMU, ALICE);
    let mut packets = alice.speech(100, 1000);
    (alice.ssrc, alice.sequence, alice.timestamp) = (5, 7, 1_000_000);
    packets.extend(alice.speech(1500, 1000));
    // The clock has stood still, as some do in pauses, and then goes back.
    packets.extend(alice.speech(3000, 1000));
    alice.timestamp = alice.timestamp.wrapping_sub(3_000_000);
    packets.extend(alice.speech(4500, 500));
    let (summary, samples) = record_one(packets, 5500);
    assert_stretches(&heard(&samples, 8000, ALICE), &[(100, 1100), (1500, 2500), (3000, 4000), (4500, 5000)]);
    assert_eq!(summary.counts.late, 0);
}

#[test]
fn another_codec_goes_on_where_the_one_before_ended() {
    let mut packets = Party::new(PCMU, ALICE).speech(0, 1000);
    let mut other = Party::new(OPUS, ALICE);
    (other.sequence, other.timestamp) = (65_530_u16.wrapping_add(50), 7);
    packets.extend(other.speech(1000, 1000));
    let (_, samples) = record_tracks(vec![(track(1, "alice", &[PCMU, OPUS]), packets)], 2500);
    assert_stretches(&heard(&samples, 8000, ALICE), &[(0, 2000)]);
}

#[test]
fn keys_are_silence_and_nothing_that_is_missing() {
    let mut alice = Party::new(PCMU, ALICE);
    let mut packets = alice.speech(0, 500);
    for n in 0..5_u16 {
        let [high, low] = (n * 160).to_be_bytes();
        let rtp = packet(EVENT, alice.sequence, alice.timestamp, alice.ssrc, &[5, 10, high, low]);
        packets.push((BEGIN + (500 + 20 * u64::from(n)) * MS, rtp));
        alice.sequence = alice.sequence.wrapping_add(1);
    }
    alice.timestamp = alice.timestamp.wrapping_add(800);
    packets.extend(alice.speech(600, 500));
    let (summary, samples) = record_one(packets, 1200);
    assert_eq!((summary.counts.lost, summary.counts.unknown), (0, 0));
    assert_stretches(&heard(&samples, 8000, ALICE), &[(0, 500), (600, 1100)]);
}

#[test]
fn a_pause_is_left_out_to_the_sample() {
    for paused_ms in [2000, 2007] {
        let directory = Directory::new();
        let (writer, reports) = writer(settings(&directory));
        writer.begin(ID, spec("a", Format::Wav, Layout::Mixed));
        writer.track(ID, BEGIN, track(1, "alice", &[G722]));
        let mut alice = Party::new(G722, ALICE);
        let mut bob = Party::new(G722, BOB);
        feed(&writer, vec![(1, alice.speech(0, 1000))]);
        writer.pause(ID, BEGIN + 1000 * MS);
        writer.pause(ID, BEGIN + 1100 * MS);
        // Nobody may ever hear this: a card number.
        (bob.sequence, bob.timestamp) = (alice.sequence, alice.timestamp);
        feed(&writer, vec![(1, bob.speech(1000, paused_ms / 20 * 20))]);
        writer.resume(ID, BEGIN + (1000 + paused_ms) * MS);
        (alice.sequence, alice.timestamp) = (bob.sequence, bob.timestamp);
        feed(&writer, vec![(1, alice.speech(3040, 1000))]);
        writer.stop(ID, BEGIN + 5000 * MS);
        let summary = finished(&reports);
        let audio = patchcord_codec::wav::read_file(&summary.files[0]).unwrap();
        assert_eq!(audio.samples.len() as u64, (5000 - paused_ms) * 16);
        assert_stretches(&heard(&audio.samples, 16_000, BOB), &[]);
        let again = 3040 - paused_ms as usize;
        assert_stretches(&heard(&audio.samples, 16_000, ALICE), &[(0, 1000), (again, again + 1000)]);
        let metadata = directory.json("a.json");
        assert_eq!(metadata["pauses"], serde_json::json!([{ "at_ms": 1000, "length_ms": paused_ms }]));
        assert_eq!((summary.duration_ms, summary.counts.lost), (5000 - paused_ms, 0));
    }
}

#[test]
fn as_many_voices_as_there_are_do_not_overflow() {
    let tracks =
        (1..=20).map(|number| (track(number, &format!("p{number}"), &[PCMU]), Party::new(PCMU, ALICE).speech(0, 500)));
    let (_, samples) = record_tracks(tracks.collect(), 600);
    assert!(samples.contains(&i16::MAX) && samples.contains(&i16::MIN));
    assert_stretches(&heard(&samples, 8000, ALICE), &[(0, 500)]);
}

#[test]
fn an_hour_of_nothing_is_an_hour_of_silence() {
    let directory = Directory::new();
    let (writer, reports) = writer(Settings { wav_bytes_max: 20_000_000, ..settings(&directory) });
    let spec = patchcord_recording::Spec { rate: Some(8000), ..spec("a", Format::Wav, Layout::Mixed) };
    writer.begin(ID, spec);
    writer.track(ID, BEGIN, track(1, "alice", &[PCMU]));
    feed(&writer, vec![(1, Party::new(PCMU, ALICE).speech(3_599_000, 500))]);
    writer.stop(ID, BEGIN + 3_600_000 * MS);
    let summary = finished(&reports);
    // A part ends where another second would not fit.
    let names: Vec<_> = summary.files.iter().map(|path| path.file_name().unwrap().to_str().unwrap()).collect();
    assert_eq!(names, ["a.wav", "a-2.wav", "a-3.wav"]);
    let len = |path: &Path| path.metadata().unwrap().len() - 44;
    assert_eq!(summary.files.iter().map(|path| len(path)).sum::<u64>(), 3600 * 16_000);
    assert!(summary.files.iter().all(|path| len(path) <= 20_000_000));
    let from_ms = directory.json("a.json")["files"][2]["begins_ms"].as_u64().unwrap() as usize;
    // Too long a file for the codec's own reader.
    let bytes = std::fs::read(&summary.files[2]).unwrap();
    let samples: Vec<i16> = bytes[44..].as_chunks().0.iter().map(|&pair| i16::from_le_bytes(pair)).collect();
    let expected = 3_599_000 - from_ms;
    assert_stretches(&heard(&samples, 8000, ALICE), &[(expected, expected + 500)]);
}
