//! Whatever packets and orders come, files are as long as they should be, and nothing else happens.
#![allow(clippy::unwrap_used, reason = "tests may panic")]

mod support;

use patchcord_recording::{Format, Layout};
use proptest::prelude::*;

use support::{BEGIN, Directory, EVENT, G722, ID, MS, OPUS, PCMU, finished, packet, settings, spec, track, writer};

#[derive(Clone, Debug)]
enum Step {
    Bytes(Vec<u8>),
    Packet { number: u8, sequence: u16, timestamp: u32, ssrc: u32, payload: Vec<u8> },
    Track(u16, u8),
    EndTrack(u16),
    Pause,
    Resume,
    Mark(String),
}

fn step() -> impl Strategy<Value = Step> {
    let number = prop::sample::select(vec![PCMU, G722, OPUS, EVENT, 13, 96]);
    // Some lie close together, some anywhere.
    let near = |max: u32| prop_oneof![3 => 0..max, 1 => any::<u32>()];
    let payload = prop::collection::vec(any::<u8>(), 0..400);
    prop_oneof![
        8 => (number.clone(), near(20), near(3000), 0..3_u32, payload).prop_map(|(number, sequence, timestamp, ssrc, payload)| {
            Step::Packet { number, sequence: sequence as u16, timestamp, ssrc, payload }
        }),
        2 => prop::collection::vec(any::<u8>(), 0..60).prop_map(Step::Bytes),
        1 => (0..3_u16, prop::sample::select(vec![PCMU, G722, OPUS])).prop_map(|(track, number)| Step::Track(track, number)),
        1 => (0..3_u16).prop_map(Step::EndTrack),
        1 => Just(Step::Pause),
        1 => Just(Step::Resume),
        1 => any::<String>().prop_map(Step::Mark),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn files_are_as_long_as_the_time_that_was_not_paused(
        steps in prop::collection::vec((step(), 0..3_u16, prop_oneof![4 => 0..40_u64, 1 => 0..5000_u64], any::<bool>()), 0..120),
        format in prop::sample::select(vec![Format::Wav, Format::OggOpus, Format::Pcapng]),
        layout in prop::sample::select(vec![Layout::Mixed, Layout::PerParty]),
    ) {
        let directory = Directory::new();
        let (writer, reports) = writer(settings(&directory));
        let spec = patchcord_recording::Spec { rate: Some(8000), ..spec("a", format, layout) };
        writer.begin(ID, spec);
        for number in 0..3 {
            writer.track(ID, BEGIN, track(number, "p", &[PCMU, G722, OPUS, EVENT]));
        }
        let (mut at_ms, mut recorded_ms, mut is_paused) = (0, 0, false);
        for (step, number, after_ms, is_early) in steps {
            at_ms += after_ms;
            if !is_paused {
                recorded_ms += after_ms;
            }
            let at = BEGIN + at_ms * MS;
            // Workers' packets overtake each other.
            let packet_at = if is_early { at.saturating_sub(30 * MS) } else { at };
            match step {
                Step::Bytes(bytes) => writer.packet(ID, number, packet_at, bytes.into()),
                Step::Packet { number: payload_type, sequence, timestamp, ssrc, payload } => {
                    let rtp = packet(payload_type, sequence, timestamp, ssrc, &payload);
                    writer.packet(ID, number, packet_at, rtp);
                }
                Step::Track(number, codec) => writer.track(ID, at, track(number, "q", &[codec])),
                Step::EndTrack(number) => writer.end_track(ID, at, number),
                Step::Pause => {
                    is_paused = true;
                    writer.pause(ID, at);
                }
                Step::Resume => {
                    is_paused = false;
                    writer.resume(ID, at);
                }
                Step::Mark(text) => writer.mark(ID, at, text),
            }
        }
        writer.stop(ID, BEGIN + at_ms * MS);
        let summary = finished(&reports);
        prop_assert_eq!(summary.duration_ms, recorded_ms);
        prop_assert_eq!(&directory.json("a.json")["state"], "finished");
        if format == Format::Wav && layout == Layout::Mixed {
            let len = summary.files[0].metadata().unwrap().len();
            prop_assert_eq!(len, 44 + recorded_ms * 16);
        }
        if format == Format::OggOpus {
            for path in &summary.files {
                let mut reader = ogg::PacketReader::new(std::fs::File::open(path).unwrap());
                let mut last = None;
                while let Some(packet) = reader.read_packet().unwrap() {
                    last = Some((packet.last_in_stream(), packet.absgp_page()));
                }
                let (is_end, granule) = last.unwrap();
                prop_assert!(is_end);
                if layout == Layout::Mixed {
                    // RFC 7845 4.5: what is left without the pre-skip is how long it plays.
                    let pre_skip = u64::from(u16::from_le_bytes(std::fs::read(path).unwrap()[38..40].try_into().unwrap()));
                    prop_assert_eq!(granule - pre_skip, recorded_ms * 48);
                }
            }
        }
    }
}
