//! Endpoints that talk to each other over loopback, and what the reports and the WAV files say about it.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use patchcord_codec::{Audio, Law};
use patchcord_lab::clock;
use patchcord_lab::endpoint::{
    Endpoint, EndpointError, EndpointOptions, Endpoints, Playback, Received, Recording, RtcpReports, SentLog,
};
use patchcord_lab::report::{self, Report};
use patchcord_lab::stream::RtpStream;
use patchcord_lab::wav;
use patchcord_rtp::{Compound, PayloadType, RtcpView, RtpHeader, RtpTimestamp, SequenceNumber, Ssrc};

/// Long enough that only a hang reaches it.
const PATIENCE: Duration = Duration::from_secs(20);

fn loopback() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

/// A rising tone: every frame differs from every other.
fn sweep(frames: usize) -> Audio {
    let sample = |n: usize| {
        let t = n as f64 / 8_000.0;
        ((t * (300.0 + 400.0 * t) * std::f64::consts::TAU).sin() * 12_000.0) as i16
    };
    Audio::telephone((0..frames * 160).map(sample).collect())
}

fn speech(ssrc: u32, law: Law, audio: &Audio) -> Arc<RtpStream> {
    let payload_type = PayloadType::new(law.payload_type()).expect("seven bits");
    let codes = law.encode(&audio.samples);
    Arc::new(RtpStream::from_frames(Ssrc(ssrc), payload_type, 8_000, 160, codes.chunks(160)))
}

fn pair(options: &EndpointOptions) -> Result<(Endpoints, Endpoint, Endpoint), EndpointError> {
    let endpoints = Endpoints::start()?;
    let alice = endpoints.add("alice", loopback(), options.clone())?;
    let bob = endpoints.add("bob", loopback(), options.clone())?;
    alice.set_remote(bob.local_addr());
    bob.set_remote(alice.local_addr());
    Ok((endpoints, alice, bob))
}

#[test]
fn two_parties_hear_each_other_without_loss() -> Result<(), EndpointError> {
    let (_endpoints, alice, bob) = pair(&EndpointOptions::default())?;
    alice.play(speech(1, Law::A, &sweep(40)), Playback::default())?;
    bob.play(speech(2, Law::Mu, &sweep(40)), Playback::default().numbered(7))?;
    alice.wait_for_packets(40, PATIENCE)?;
    bob.wait_for_packets(40, PATIENCE)?;
    alice.wait_until_played(PATIENCE)?;

    let senders = [&alice.sent(), &bob.sent()];
    let [at_alice, at_bob] = [Report::of(&alice.recording(), &senders), Report::of(&bob.recording(), &senders)];
    for (report, from) in [(&at_alice, "bob"), (&at_bob, "alice")] {
        assert_eq!((report.packets, report.lost, report.reordered, report.duplicates), (40, 0, 0, 0));
        assert_eq!((report.ssrcs.len(), report.markers, report.step_count, report.unrecognised), (1, 1, 0, 0));
        assert_eq!(report.heard.len(), 1);
        assert_eq!(report.heard[0].from.as_deref(), Some(from));
        let latency = report.relay_latency_us.expect("all packets were recognised");
        assert_eq!(latency.count, 40);
        assert!(latency.min <= latency.p50 && latency.p50 <= latency.p999);
    }
    assert_eq!(at_bob.payload_types, [8]);
    let table = report::table([&at_alice, &at_bob]);
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(lines.len(), 3);
    assert!(lines[1].starts_with("alice       40"), "{table}");
    Ok(())
}

#[test]
fn packets_keep_the_timing_of_the_stream() -> Result<(), EndpointError> {
    let (_endpoints, alice, bob) = pair(&EndpointOptions::default())?;
    let mut stream = (*speech(1, Law::Mu, &sweep(10))).clone();
    // 10 packets, of which the last 5 come 200 ms late.
    stream.packets[5..].iter_mut().for_each(|packet| packet.offset_ns += 200_000_000);
    let start_ns = clock::now_ns();
    alice.play(Arc::new(stream.clone()), Playback::default())?;
    bob.wait_for_packets(10, PATIENCE)?;
    let sent = alice.sent();
    for (sent, planned) in sent.packets.iter().zip(&stream.packets) {
        assert!(sent.at_ns - start_ns >= planned.offset_ns, "no packet is early");
    }
    let report = Report::of(&bob.recording(), &[&sent]);
    let gap = report.largest_gap.expect("there are ten packets");
    assert!(gap.packet == 5 || gap.gap_us > 200_000, "{gap:?}");
    Ok(())
}

#[test]
fn a_party_pauses_resumes_and_stops() -> Result<(), EndpointError> {
    let (_endpoints, alice, bob) = pair(&EndpointOptions::default())?;
    let looped = Playback { looped: true, ..Playback::default() };
    alice.play(speech(1, Law::Mu, &sweep(3)), looped)?;
    bob.wait_for_packets(7, PATIENCE)?;
    assert!(alice.progress().playing);
    alice.pause();
    let paused = alice.progress();
    assert!(!paused.playing);
    bob.wait_for_packets(paused.sent, PATIENCE)?;
    let silence = bob.wait_for_more_packets(1, Duration::from_millis(200));
    assert!(matches!(silence, Err(EndpointError::Timeout { .. })), "{silence:?}");
    alice.resume();
    bob.wait_for_datagram("the marker after the pause", PATIENCE, |received| {
        received.header().is_some_and(|header| header.marker && header.timestamp.0 > paused.sent as u32 * 160 + 1_000)
    })?;
    bob.wait_for_more_packets(3, PATIENCE)?;
    alice.stop();
    let sent = alice.progress().sent;
    bob.wait_for_packets(sent, PATIENCE)?;
    let report = Report::of(&bob.recording(), &[&alice.sent()]);
    assert_eq!((report.packets, report.lost, report.reordered), (sent, 0, 0));
    assert_eq!(report.breaks().count(), 0, "{:?}", report.steps);
    Ok(())
}

#[test]
fn reports_go_both_ways() -> Result<(), Box<dyn std::error::Error>> {
    let rtcp = RtcpReports { interval: Duration::from_millis(50), cname: "alice@example.com".to_owned() };
    let (_endpoints, alice, bob) = pair(&EndpointOptions { rtcp: Some(rtcp), ..EndpointOptions::default() })?;
    alice.play(speech(1, Law::Mu, &sweep(20)), Playback::default())?;
    bob.wait_for_packets(20, PATIENCE)?;
    bob.wait_until("a report on the whole stream", PATIENCE, |progress| progress.received_rtcp >= 3)?;
    alice.wait_for_datagram("a report that acknowledges a sender report", PATIENCE, |received| {
        let compound = Compound::parse(received.bytes);
        compound.is_ok_and(|compound| {
            compound.packets().any(|packet| match packet.view() {
                Ok(RtcpView::ReceiverReport(report)) => {
                    report.report_blocks().any(|block| block.ssrc == Ssrc(1) && block.last_sr != 0)
                }
                _ => false,
            })
        })
    })?;
    let report = Report::of(&bob.recording(), &[]);
    assert!(report.rtcp_packets >= 3);
    assert_eq!(report.other_datagrams, 0);
    Ok(())
}

#[test]
fn received_audio_is_sent_audio() -> Result<(), Box<dyn std::error::Error>> {
    for law in Law::ALL {
        let (_endpoints, alice, bob) = pair(&EndpointOptions::default())?;
        let audio = sweep(30);
        alice.play(speech(1, law, &audio), Playback::default().numbered(3))?;
        bob.wait_for_packets(30, PATIENCE)?;
        let path = std::env::temp_dir().join(format!("patchcord-lab-{}-{law:?}.wav", std::process::id()));
        wav::write(&bob.recording(), &path)?;
        let heard = patchcord_codec::wav::read_file(&path)?;
        std::fs::remove_file(&path)?;
        assert_eq!(heard.sample_rate, 8_000);
        assert_eq!(heard.samples, law.decode(&law.encode(&audio.samples)), "{law:?}");
    }
    Ok(())
}

/// A recording of packets (sequence number, timestamp, SSRC) that arrive 20 ms apart.
fn recording(packets: &[(u16, u32, u32)]) -> Recording {
    let mut recording = Recording::new("carol", 1_000);
    for (&(sequence, timestamp, ssrc), index) in packets.iter().zip(0_u64..) {
        let header = RtpHeader {
            marker: false,
            payload_type: PayloadType::default(),
            sequence: SequenceNumber(sequence),
            timestamp: RtpTimestamp(timestamp),
            ssrc: Ssrc(ssrc),
        };
        let mut bytes = vec![Law::Mu.encode_sample(sequence as i16 * 100 + 1_000); 12 + 160];
        header.build(&mut bytes);
        let at_ns = 1_000_000_000 + index * 20_000_000;
        recording.push(Received { at_ns, from: loopback(), bytes: &bytes });
    }
    recording
}

#[test]
fn missing_packets_are_silent_and_late_ones_are_put_in_place() {
    let heard = wav::audio_of(&recording(&[(0, 0, 1), (1, 160, 1), (4, 640, 1), (2, 320, 1)])).samples;
    assert_eq!(heard.len(), 5 * 160);
    let level = |frame: usize| heard[frame * 160];
    assert!(level(0) > 0 && level(1) > level(0) && level(2) > level(1) && level(4) > level(2));
    assert_eq!(heard[3 * 160..4 * 160], [0; 160]);
}

#[test]
fn a_jump_of_the_timestamps_does_not_tear_the_time_line() {
    // The same source jumps by an hour; another one begins.
    let jump = 8_000 * 3_600;
    let heard = wav::audio_of(&recording(&[(0, 0, 1), (1, jump, 1), (2, jump + 160, 1), (3, 77, 2), (4, 237, 2)]));
    assert_eq!(heard.samples.len(), 5 * 160);
    assert!(heard.samples.iter().all(|&sample| sample != 0));
}

#[test]
fn a_report_names_every_break() {
    let packets = [(0, 0, 1), (1, 160, 1), (2, 320, 1), (5, 800, 1), (6, 640, 1), (7, 800, 9), (8, 960, 9)];
    let report = Report::of(&recording(&packets), &[]);
    assert_eq!((report.packets, report.lost, report.ssrcs.len()), (7, 2, 2));
    let breaks: Vec<_> =
        report.breaks().map(|step| (step.packet, step.seq_step, step.ts_step, step.ssrc_changed)).collect();
    assert_eq!(breaks, [(3, 3, 480, false), (4, 1, -160, false), (5, 1, 160, true)]);
    assert_eq!(report.unrecognised, 7);
    assert_eq!(report.relay_latency_us, None);
    let json = serde_json::to_value(&report).expect("plain data");
    assert_eq!(json["heard"][0]["from"], serde_json::Value::Null);
    for field in ["packets", "lost", "reordered", "duplicates", "jitter_ms", "relay_latency_us", "largest_gap", "steps"]
    {
        assert!(json.get(field).is_some(), "{field} is part of the stable names");
    }
}

#[test]
fn hundreds_of_parties_share_two_threads() -> Result<(), EndpointError> {
    let endpoints = Endpoints::start()?;
    let stream = speech(1, Law::Mu, &sweep(25));
    let parties: Vec<Endpoint> = (0..400)
        .map(|number| endpoints.add(&format!("party {number}"), loopback(), EndpointOptions::default()))
        .collect::<Result<_, _>>()?;
    for (pair, number) in parties.chunks(2).zip(0..) {
        pair[0].set_remote(pair[1].local_addr());
        pair[1].set_remote(pair[0].local_addr());
        pair[0].play(Arc::clone(&stream), Playback::default().numbered(2 * number))?;
        pair[1].play(Arc::clone(&stream), Playback::default().numbered(2 * number + 1))?;
    }
    for pair in parties.chunks(2) {
        pair[0].wait_for_packets(25, PATIENCE)?;
        pair[1].wait_for_packets(25, PATIENCE)?;
        let report = Report::of(&pair[0].recording(), &[&pair[1].sent()]);
        assert_eq!((report.lost, report.unrecognised, report.ssrcs.len()), (0, 0, 1));
    }
    Ok(())
}

#[test]
fn a_recording_keeps_to_its_limit() -> Result<(), EndpointError> {
    let (_endpoints, alice, bob) = pair(&EndpointOptions { packets_max: 5, ..EndpointOptions::default() })?;
    alice.play(speech(1, Law::Mu, &sweep(8)), Playback::default())?;
    bob.wait_for_packets(8, PATIENCE)?;
    let recording = bob.recording();
    assert_eq!((recording.len(), recording.beyond_limit), (5, 3));
    alice.wait_until("the log of the last packet", PATIENCE, |progress| progress.sent == 8)?;
    let sent: SentLog = alice.sent();
    assert_eq!((sent.packets.len(), sent.beyond_limit), (5, 3));
    Ok(())
}

#[test]
fn what_cannot_be_done_is_said() -> Result<(), EndpointError> {
    let endpoints = Endpoints::start()?;
    let taken = UdpSocket::bind(loopback()).expect("loopback has a free port");
    let address = taken.local_addr().expect("it is bound");
    let error = endpoints.add("dave", address, EndpointOptions::default()).expect_err("the port is taken");
    assert!(error.to_string().contains("cannot open a UDP socket on 127.0.0.1:"), "{error}");
    let dave = endpoints.add("dave", loopback(), EndpointOptions::default())?;
    let error = dave.play(speech(1, Law::Mu, &sweep(1)), Playback::default()).expect_err("no remote");
    assert!(error.to_string().contains("no remote address"), "{error}");
    let error = dave.wait_for_packets(1, Duration::ZERO).expect_err("nobody sends");
    assert!(error.to_string().contains("in vain for 1 RTP packets"), "{error}");
    Ok(())
}
