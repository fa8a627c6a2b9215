//! Files are of use whatever happens: a crash, a full disk, names that are taken, a queue that is full.
#![allow(clippy::unwrap_used, reason = "tests may panic")]

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::sync::mpsc::channel;

use patchcord_recording::{
    Format, Layout, RecordingId, Report, Settings, Spec, StartError, Summary, Writer, check_name, recover,
};

use support::{
    BEGIN, Directory, G722, ID, MS, OPUS, PCMU, Party, assert_stretches, end, feed, ffmpeg, finished, heard,
    is_ffmpeg_missing, settings, spec, track, writer,
};

/// One party for so long.
fn record(directory: &Directory, spec: Spec, number: u8, for_ms: u64) -> Summary {
    let (writer, reports) = writer(settings(directory));
    writer.begin(ID, spec);
    writer.track(ID, BEGIN, track(1, "alice", &[number]));
    feed(&writer, vec![(1, Party::new(number, 400.0).speech(0, for_ms))]);
    writer.stop(ID, BEGIN + for_ms * MS);
    finished(&reports)
}

#[test]
fn a_file_that_is_cut_anywhere_plays_up_to_there() {
    if is_ffmpeg_missing() {
        return;
    }
    for format in [Format::Wav, Format::OggOpus] {
        let directory = Directory::new();
        let spec = Spec { rate: Some(8000), ..spec("a", format, Layout::Mixed) };
        let summary = record(&directory, spec, PCMU, 4000);
        let whole = fs::read(&summary.files[0]).unwrap();
        let cut = directory.0.join("cut").with_extension(format.extension());
        let mut longest = 0;
        // Ends of pages and places within them; all of it would be thousands of runs of ffmpeg.
        for len in (1000..whole.len()).step_by(if format == Format::Wav { 8000 } else { 500 }) {
            fs::write(&cut, &whole[..len]).unwrap();
            let expected_ms = match format {
                Format::Wav => (len - 44) / 16,
                // Whole pages of a second.
                _ => whole[..len].windows(4).filter(|window| window == b"OggS").count().saturating_sub(3) * 1000,
            };
            if expected_ms == 0 {
                // Headers alone.
                continue;
            }
            let samples = ffmpeg(&cut);
            let heard_ms = samples.len() / 16;
            assert!(heard_ms + 20 >= expected_ms, "{len} bytes of {format}: {heard_ms} of {expected_ms} ms");
            assert!(heard(&samples, 16_000, 400.0).len() <= 1, "{len} bytes of {format}");
            longest = longest.max(heard_ms);
        }
        assert!(longest >= 2900, "{longest} ms of {format}");
    }
}

#[test]
fn an_interrupted_recording_is_whole_again_after_the_next_start() {
    if is_ffmpeg_missing() {
        return;
    }
    let directory = Directory::new();
    let copy = Directory::new();
    let (writer, reports) = writer(settings(&directory));
    writer.begin(ID, spec("a/b", Format::Wav, Layout::PerParty));
    writer.track(ID, BEGIN, track(1, "alice", &[G722]));
    feed(&writer, vec![(1, Party::new(G722, 400.0).speech(0, 5000))]);
    // Another recording's end says that everything before it is done.
    let other = RecordingId(8);
    writer.begin(other, Spec { at_ns: BEGIN + 5000 * MS, ..spec("other", Format::Wav, Layout::Mixed) });
    writer.stop(other, BEGIN + 5000 * MS);
    finished(&reports);
    // As if the process had been killed now, in the midst of writing.
    fs::create_dir(copy.0.join("a")).unwrap();
    for name in ["a/b.json", "a/b-alice.wav"] {
        fs::copy(directory.0.join(name), copy.0.join(name)).unwrap();
    }
    let wav = copy.0.join("a/b-alice.wav");
    let before = ffmpeg(&wav).len() / 16;
    assert!((2800..=4000).contains(&before), "{before} ms were flushed");
    let mut torn = fs::read(&wav).unwrap();
    torn.extend([7; 1001]);
    fs::write(&wav, torn).unwrap();
    fs::write(copy.0.join("torn.json"), "{").unwrap();
    assert_eq!(copy.json("a/b.json")["state"], "recording");
    let recovered = recover(&copy.0).unwrap();
    assert_eq!(recovered.len(), 1);
    assert_eq!((recovered[0].call.as_str(), &recovered[0].metadata), ("call-1", &copy.0.join("a/b.json")));
    assert_eq!(ffmpeg(&wav).len(), before * 16 + 500, "what was behind the header is heard too");
    let metadata = copy.json("a/b.json");
    assert_eq!(metadata["state"], "interrupted");
    assert_eq!(metadata["duration_ms"], before as u64 + 31);
    assert_eq!(metadata["parties"][0]["party"], "alice");
    assert_eq!(recover(&copy.0).unwrap(), [], "once");
}

#[test]
fn the_end_of_the_writer_finishes_what_is_recorded() {
    let directory = Directory::new();
    let (writer, reports) = writer(settings(&directory));
    writer.begin(ID, spec("a", Format::OggOpus, Layout::Mixed));
    writer.track(ID, BEGIN, track(1, "alice", &[PCMU]));
    feed(&writer, vec![(1, Party::new(PCMU, 400.0).speech(0, 1000))]);
    drop(writer);
    let summary = finished(&reports);
    assert_eq!((summary.duration_ms, directory.json("a.json")["state"].as_str()), (980, Some("finished")));
}

#[test]
fn nothing_is_overwritten_and_nobody_else_may_read() {
    let directory = Directory::new();
    fs::write(directory.0.join("a.wav"), "somebody's").unwrap();
    fs::write(directory.0.join("a-3.json"), "somebody's").unwrap();
    let names: Vec<_> = (0..3)
        .map(|_| record(&directory, spec("a", Format::Wav, Layout::Mixed), PCMU, 20))
        .map(|summary| summary.files[0].file_name().unwrap().to_str().unwrap().to_owned())
        .collect();
    assert_eq!(names, ["a-2.wav", "a-4.wav", "a-5.wav"]);
    for file in ["a.wav", "a-3.json"] {
        assert_eq!(fs::read_to_string(directory.0.join(file)).unwrap(), "somebody's");
    }
    for file in ["a-2.wav", "a-2.json"] {
        assert_eq!(directory.0.join(file).metadata().unwrap().permissions().mode() & 0o777, 0o600, "{file}");
    }
}

#[test]
fn what_is_discarded_is_deleted_and_nothing_else() {
    for (format, layout) in
        [(Format::Wav, Layout::PerParty), (Format::OggOpus, Layout::Mixed), (Format::Pcapng, Layout::PerParty)]
    {
        let directory = Directory::new();
        // An earlier recording of the same name, and somebody else's file.
        let kept = record(&directory, spec("a/b", format, layout), PCMU, 500);
        fs::write(directory.0.join("a/b-2-notes.txt"), "").unwrap();
        // 320 ms of WAV a file.
        let settings = Settings { wav_bytes_max: 10_240, ..settings(&directory) };
        let (writer, reports) = writer(settings);
        writer.begin(ID, spec("a/b", format, layout));
        for (number, party) in [(1, "alice"), (2, "bob")] {
            writer.track(ID, BEGIN, track(number, party, &[PCMU]));
        }
        let mut parties = [400.0, 700.0].map(|hz| Party::new(PCMU, hz));
        let [alice, bob] = &mut parties;
        feed(&writer, vec![(1, alice.speech(0, 3000)), (2, bob.speech(0, 1000))]);
        writer.end_track(ID, BEGIN + 3000 * MS, 2);
        writer.discard(ID, BEGIN + 3000 * MS);
        let Report::Discarded(summary) = end(&reports) else { panic!("it was discarded") };
        assert_eq!((summary.files.len(), summary.duration_ms, summary.counts.packets), (0, 3000, 200));
        let mut left: Vec<_> =
            fs::read_dir(directory.0.join("a")).unwrap().map(|entry| entry.unwrap().path()).collect();
        left.sort();
        let metadata = summary.metadata.unwrap();
        let mut expected = kept.files.clone();
        expected.extend([kept.metadata.unwrap(), metadata.clone(), directory.0.join("a/b-2-notes.txt")]);
        expected.sort();
        assert_eq!(left, expected, "{format}");
        let text = fs::read_to_string(metadata).unwrap();
        assert!(text.contains("\"state\": \"discarded\"") && text.contains("\"files\": []"), "{text}");
        assert!(!text.contains("\"file\":"), "{text}");
        // What has gone is not missed at the next start.
        drop(writer);
        assert_eq!(recover(&directory.0).unwrap(), []);
    }
}

#[test]
fn names_that_lead_out_of_the_directory_are_refused() {
    let directory = Directory::new();
    let (writer, reports) = writer(settings(&directory));
    for (n, name) in ["../a", "/tmp/a", "a/../../b", ""].into_iter().enumerate() {
        writer.begin(RecordingId(n as u64), spec(name, Format::Wav, Layout::Mixed));
        let Report::Failed { reason, .. } = end(&reports) else { panic!("{name} was taken") };
        assert_eq!(reason, check_name(name).unwrap_err().to_string());
    }
    // A party's name is anything.
    writer.begin(ID, spec("a", Format::Wav, Layout::PerParty));
    writer.track(ID, BEGIN, track(1, "../../sip:bob@x", &[PCMU]));
    writer.track(ID, BEGIN, track(2, "", &[PCMU]));
    writer.stop(ID, BEGIN + 1000 * MS);
    let summary = finished(&reports);
    assert_eq!(summary.files, ["a-.._.._sip_bob@x.wav", "a-.wav"].map(|name| directory.0.join(name)));
}

#[test]
fn a_directory_has_one_writer() {
    let directory = Directory::new();
    let (first, _reports) = writer(settings(&directory));
    let error = Writer::start(settings(&directory), || 0, drop).unwrap_err();
    assert!(matches!(error, StartError::InUse { .. }), "{error}");
    drop(first);
    Writer::start(settings(&directory), || 0, drop).unwrap();
}

#[test]
fn what_does_not_fit_into_the_queue_is_counted() {
    let directory = Directory::new();
    let (sender, reports) = channel();
    let (go, wait) = channel::<()>();
    let report = move |report| {
        if let Report::Started { .. } = report {
            wait.recv().unwrap();
        }
        drop(sender.send(report));
    };
    let settings = Settings { queue_packets: 10, ..settings(&directory) };
    let writer = Writer::start(settings, || 0, report).unwrap();
    writer.begin(ID, spec("a", Format::Wav, Layout::Mixed));
    writer.track(ID, BEGIN, track(1, "alice", &[PCMU]));
    // The thread does not take any, and nobody waits.
    feed(&writer, vec![(1, Party::new(PCMU, 400.0).speech(0, 1000))]);
    writer.stop(ID, BEGIN + 1000 * MS);
    go.send(()).unwrap();
    let summary = finished(&reports);
    assert_eq!((summary.counts.packets, summary.counts.dropped), (10, 40));
    assert_eq!(directory.json("a.json")["counts"]["dropped"], 40);
}

#[test]
fn pcapng_has_the_packets_as_they_came() {
    let directory = Directory::new();
    let (writer, reports) = writer(settings(&directory));
    writer.begin(ID, spec("a", Format::Pcapng, Layout::Mixed));
    writer.track(ID, BEGIN, track(1, "alice", &[PCMU]));
    writer.track(ID, BEGIN, track(2, "bob", &[OPUS]));
    let (alice, bob) = (Party::new(PCMU, 400.0).speech(0, 1000), Party::new(OPUS, 400.0).speech(0, 1000));
    feed(&writer, vec![(1, alice.clone()), (2, bob)]);
    writer.pause(ID, BEGIN + 1000 * MS);
    feed(&writer, vec![(1, Party::new(PCMU, 400.0).speech(1000, 500))]);
    writer.stop(ID, BEGIN + 1500 * MS);
    let summary = finished(&reports);
    assert_eq!((summary.counts.packets, summary.duration_ms), (100, 1000));
    let mut reader = pcap_file::pcapng::PcapNgReader::new(fs::File::open(&summary.files[0]).unwrap()).unwrap();
    let (mut interfaces, mut packets) = (Vec::new(), Vec::new());
    while let Some(block) = reader.next_block() {
        match block.unwrap().into_owned() {
            pcap_file::pcapng::Block::InterfaceDescription(interface) => {
                interfaces.push(format!("{:?}", interface.options));
            }
            pcap_file::pcapng::Block::EnhancedPacket(packet) => {
                packets.push((packet.interface_id, packet.timestamp, packet.data.into_owned()));
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(interfaces[0].contains("alice") && interfaces[0].contains("0 PCMU/8000"), "{interfaces:?}");
    assert!(interfaces[1].contains("bob") && interfaces[1].contains("111 opus/48000/2"), "{interfaces:?}");
    let alices: Vec<_> = packets.iter().filter(|(interface, ..)| *interface == 0).collect();
    assert_eq!((packets.len(), alices.len()), (100, 50));
    for ((at, rtp), (_, time, data)) in alice.iter().zip(alices) {
        assert_eq!(&data[28..], &rtp[..]);
        assert_eq!(time.as_millis() as u64, 1_795_767_330_250 + (at - BEGIN) / MS);
    }
}

#[test]
fn a_file_of_a_party_that_left_before_the_end_is_listed_once() {
    for format in [Format::Wav, Format::Pcapng] {
        let directory = Directory::new();
        let (writer, reports) = writer(settings(&directory));
        writer.begin(ID, spec("a", format, Layout::PerParty));
        writer.track(ID, BEGIN, track(1, "alice", &[PCMU]));
        writer.track(ID, BEGIN, track(2, "bob", &[PCMU]));
        // Long enough for the files to be listed while both are open.
        let speech = |hz| Party::new(PCMU, hz).speech(0, 4000);
        feed(&writer, vec![(1, speech(400.0)), (2, speech(700.0))]);
        writer.end_track(ID, BEGIN + 4000 * MS, 1);
        writer.stop(ID, BEGIN + 6000 * MS);
        let mut files = finished(&reports).files;
        assert_eq!(files.len(), 2, "{files:?}");
        files.dedup();
        assert_eq!(files.len(), 2, "{files:?}");
    }
}

/// The disk is really full: a file system of 64 KiB, which only this test's child sees.
#[test]
fn a_full_disk_ends_that_recording_alone() {
    const INSIDE: &str = "PATCHCORD_TEST_FULL_DISK";
    let name = "a_full_disk_ends_that_recording_alone";
    if let Some(full) = std::env::var_os(INSIDE) {
        return on_a_full_disk(Path::new(&full));
    }
    if !rustix::process::geteuid().is_root() {
        skip_unless_ci("needs root: it mounts a file system");
        return;
    }
    let directory = Directory::new();
    let (mount, full) = (r#"mount -t tmpfs -o size=64k none "$0" && exec "$1" "$2" --exact --nocapture"#, &directory.0);
    let child = Command::new("unshare")
        .args(["--mount", "sh", "-c", mount])
        .args([full.as_os_str(), std::env::current_exe().unwrap().as_os_str(), name.as_ref()])
        .env(INSIDE, full)
        .output()
        .unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&child.stdout), String::from_utf8_lossy(&child.stderr));
    assert!(child.status.success() && said.contains("1 passed"), "{said}");
}

fn on_a_full_disk(full: &Path) {
    let (sender, reports) = channel();
    let settings = Settings { queue_packets: usize::MAX, ..Settings::new(full, "patchcord test") };
    let writer = Writer::start(settings, || 0, move |report| drop(sender.send(report))).unwrap();
    let other = RecordingId(8);
    // One of 16 KB a second, and one beside it that needs next to nothing.
    writer.begin(ID, Spec { rate: Some(8000), ..spec("large", Format::Wav, Layout::Mixed) });
    writer.begin(other, Spec { at_ns: BEGIN, ..spec("small", Format::Pcapng, Layout::Mixed) });
    writer.track(ID, BEGIN, track(1, "alice", &[PCMU]));
    writer.track(other, BEGIN, track(1, "bob", &[PCMU]));
    feed(&writer, vec![(1, Party::new(PCMU, 400.0).speech(0, 10_000))]);
    let Report::Failed { summary, reason } = end(&reports) else { panic!("it did not fail") };
    assert!(reason.contains("No space left"), "{reason}");
    let audio = patchcord_codec::wav::read_file(&summary.files[0]).unwrap();
    let ms = audio.samples.len() / 8;
    assert!((1000..4100).contains(&ms), "{ms} ms");
    assert_stretches(&heard(&audio.samples, 8000, 400.0), &[(0, ms)]);
    let metadata: serde_json::Value = serde_json::from_slice(&fs::read(full.join("large.json")).unwrap()).unwrap();
    assert_eq!(metadata["state"], "failed", "{metadata}");
    fs::remove_file(&summary.files[0]).unwrap();
    // There is room again: the others have noticed nothing, and new ones begin.
    writer.stop(other, BEGIN + 10_000 * MS);
    assert_eq!(finished(&reports).id, other);
    writer.begin(RecordingId(9), Spec { at_ns: BEGIN + 10_000 * MS, ..spec("new", Format::Wav, Layout::Mixed) });
    writer.stop(RecordingId(9), BEGIN + 10_500 * MS);
    assert_eq!(finished(&reports).duration_ms, 500);
}

#[allow(clippy::print_stderr, reason = "a skipped test names its reason")]
fn skip_unless_ci(why: &str) {
    assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "continuous integration must run as root: {why}");
    eprintln!("skipped: {why}");
}
