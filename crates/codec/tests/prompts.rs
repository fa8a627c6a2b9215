//! Prompts as people have them, and whatever bytes are given as one.
#![allow(clippy::unwrap_used, reason = "tests may panic")]

mod support;

use ogg::PacketWriteEndInfo::{EndPage, EndStream};
use patchcord_codec::analysis::{find, rms_dbfs};
use patchcord_codec::codec::OpusParameters;
use patchcord_codec::prompt::{ContentError, Format, OggOpusError, Raw, read_bytes};
use patchcord_codec::resample::resample;
use patchcord_codec::tone::sine;
use patchcord_codec::{Audio, Codec, Encoder, EncoderOptions, Law};
use proptest::prelude::*;

use support::{ffmpeg, is_ffmpeg_missing, ogg_of_packets, speech, to_bytes};

const RATE: u32 = 16_000;

fn opus(samples: &[i16]) -> Vec<Vec<u8>> {
    let codec = Codec::Opus(OpusParameters::default());
    let mut encoder = Encoder::new(codec, RATE, EncoderOptions::default()).unwrap();
    let encode = |frame: &[i16]| {
        let mut packet = Vec::new();
        encoder.encode(frame, &mut packet).unwrap();
        packet
    };
    samples.chunks_exact(320).map(encode).collect()
}

fn voice() -> Audio {
    resample(&Audio::telephone(speech("transferee")[..32_000].to_vec()), RATE).unwrap()
}

/// Pages of packets that are given in full: header, comments, and the rest with its granule positions.
fn pages(head: &[u8], packets: &[(Vec<u8>, u64)]) -> Vec<u8> {
    pages_of(1, head, packets)
}

fn pages_of(serial: u32, head: &[u8], packets: &[(Vec<u8>, u64)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = ogg::PacketWriter::new(&mut bytes);
    writer.write_packet(head.to_vec(), serial, EndPage, 0).unwrap();
    writer.write_packet(b"OpusTags\0\0\0\0\0\0\0\0".to_vec(), serial, EndPage, 0).unwrap();
    for (index, (packet, granule)) in packets.iter().enumerate() {
        let end = if index + 1 == packets.len() { EndStream } else { EndPage };
        writer.write_packet(packet.clone(), serial, end, *granule).unwrap();
    }
    bytes
}

fn head(channels: u8, pre_skip: u16, gain_db: i16, family: u8) -> Vec<u8> {
    let gain = gain_db * 256;
    [
        b"OpusHead".as_slice(),
        &[1, channels],
        &pre_skip.to_le_bytes(),
        &48_000_u32.to_le_bytes(),
        &gain.to_le_bytes(),
        &[family],
    ]
    .concat()
}

fn with_granules(packets: Vec<Vec<u8>>, begins_at: u64) -> Vec<(Vec<u8>, u64)> {
    packets.into_iter().zip((1..).map(|n| begins_at + n * 960)).collect()
}

#[test]
fn what_ffmpeg_writes_is_read_in_its_length_with_one_channel_and_two() {
    if is_ffmpeg_missing() {
        return;
    }
    let said = voice();
    // Not of whole packets: the last page says where it ends.
    let said = Audio { samples: said.samples[..40_123].to_vec(), ..said };
    for channels in ["", "-af pan=stereo|c0=c0|c1=c0"] {
        let file = ffmpeg(
            &format!("-f s16le -ar 16000 -ac 1 -i - {channels} -c:a libopus -f ogg -"),
            &to_bytes(&said.samples),
        );
        let heard = read_bytes(&file, None).unwrap();
        assert_eq!((heard.sample_rate, heard.samples.len()), (RATE, 40_123), "{channels:?}");
        let found = find(&heard.samples[8000..24_000], &said.samples).unwrap();
        assert!(found.correlation > 0.95 && found.offset.abs_diff(8000) <= 8, "{channels:?}: {found:?}");
        assert!((rms_dbfs(&heard.samples) - rms_dbfs(&said.samples)).abs() < 1.0, "{channels:?}");
    }
}

#[test]
fn the_gain_and_the_beginning_are_those_of_the_header() {
    let tone = sine(500.0, -20.0, 1000, RATE);
    let packets = opus(&tone.samples);
    let plain = read_bytes(&pages(&head(1, 0, 0, 0), &with_granules(packets.clone(), 0)), None).unwrap();
    assert_eq!(plain.samples.len(), 16_000);
    let louder = read_bytes(&pages(&head(1, 960, 6, 0), &with_granules(packets.clone(), 0)), None).unwrap();
    assert_eq!(louder.samples.len(), 16_000 - 320);
    assert!((rms_dbfs(&louder.samples) - rms_dbfs(&plain.samples) - 6.0).abs() < 0.2);
    // Cut out of a longer stream: it begins at another place.
    let cut = read_bytes(&pages(&head(1, 0, 0, 0), &with_granules(packets.clone(), 1_000_000)), None).unwrap();
    assert_eq!(cut, plain);
    // What cannot be louder is at full scale, not around the corner.
    let loudest = read_bytes(&pages(&head(1, 0, 127, 0), &with_granules(packets, 0)), None).unwrap();
    assert!(loudest.samples.iter().all(|&sample| sample.unsigned_abs() >= 32_767 || sample == 0));
}

#[test]
fn a_last_page_that_lies_about_its_end_is_not_believed() {
    let packets = opus(&sine(500.0, -20.0, 1000, RATE).samples);
    for (granule, samples) in [(0, 16_000), (u64::MAX, 16_000), (47_520, 15_840), (1 << 60, 16_000)] {
        let mut pages_of = with_granules(packets.clone(), 0);
        pages_of.last_mut().unwrap().1 = granule;
        let heard = read_bytes(&pages(&head(1, 0, 0, 0), &pages_of), None).unwrap();
        assert_eq!(heard.samples.len(), samples, "{granule}");
    }
}

#[test]
fn damaged_packets_are_concealed_and_a_damaged_file_is_refused() {
    let said = voice();
    let mut packets = opus(&said.samples);
    let count = packets.len();
    // An invalid packet: two frames of one length in an odd number of bytes (RFC 6716 3.2.3).
    let damaged = vec![0xFD, 1, 2, 3];
    for at in [50, 51, 120] {
        packets[at] = damaged.clone();
    }
    packets[60] = Vec::new();
    let heard = read_bytes(&ogg_of_packets(&packets, 960), None).unwrap();
    assert_eq!(heard.samples.len(), count * 320);
    let found = find(&heard.samples[40_000..56_000], &said.samples).unwrap();
    assert!(found.correlation > 0.9, "{found:?}");
    let all = vec![damaged; 20];
    let error = read_bytes(&ogg_of_packets(&all, 960), None).expect_err("no Opus").to_string();
    assert_eq!(error, "20 of 20 Opus packets are damaged");
    let mut file = ogg_of_packets(&packets, 960);
    let middle = file.len() / 2;
    file[middle] ^= 0x10;
    let error = read_bytes(&file, None).expect_err("its checksum is wrong").to_string();
    assert!(error.starts_with("the Ogg file is damaged"), "{error}");
}

#[test]
fn headers_that_are_not_read_are_said() {
    let packets = with_granules(opus(&vec![0; 3200]), 0);
    let refused = |head: &[u8]| read_bytes(&pages(head, &packets), None).expect_err("not read").to_string();
    assert!(refused(b"\x01vorbis...........").contains("no Opus stream"));
    assert!(refused(b"OpusHead\x01").contains("too short"));
    assert!(refused(&head(0, 0, 0, 0)).contains("no channel"));
    assert!(refused(&head(6, 0, 0, 1)).contains("6 channels are not read"));
    assert!(refused(&head(2, 0, 0, 255)).contains("family 0"));
    let mut version = head(1, 0, 0, 0);
    version[8] = 0x10;
    assert!(refused(&version).contains("version"));
    let skipped = pages(&head(1, u16::MAX, 0, 0), &packets);
    assert!(matches!(read_bytes(&skipped, None), Err(ContentError::OggOpus(OggOpusError::Empty))));
    let twice = [1, 2].map(|serial| pages_of(serial, &head(1, 0, 0, 0), &packets)).concat();
    assert!(read_bytes(&twice, None).expect_err("chained").to_string().contains("one after the other"));
}

#[test]
fn a_small_file_cannot_make_hours_of_audio() {
    // Two bytes of Opus are 120 ms of concealment: the most that bytes can make.
    let packets = vec![vec![0x1B, 0x02]; 5001];
    let error = read_bytes(&ogg_of_packets(&packets, 5760), None).expect_err("too long").to_string();
    assert_eq!(error, "it plays more than the 600 s that are read: cut it");
}

proptest! {
    // A failing input is printed in full; it is small enough to become a test of its own.
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_answered(
        magic in prop_oneof![Just(&b""[..]), Just(&b"OggS\0"[..]), Just(&b"RIFF"[..])],
        tail in proptest::collection::vec(any::<u8>(), 0..300),
        said in prop_oneof![
            Just(None), Just(Some(Format::Wav)), Just(Some(Format::OggOpus)), Just(Some(Format::Raw(Raw::G711(Law::A)))),
            Just(Some(Format::Raw(Raw::G722))),
            (any::<u32>(), any::<u8>(), any::<bool>()).prop_map(|(sample_rate, channels, big_endian)| {
                Some(Format::Raw(Raw::Linear { sample_rate, channels, big_endian }))
            }),
        ],
    ) {
        let bytes = [magic, &tail].concat();
        if let Ok(audio) = read_bytes(&bytes, said) {
            prop_assert!(audio.samples.len() <= 2 * bytes.len());
        }
    }

    #[test]
    fn any_packets_are_answered(
        packets in proptest::collection::vec((proptest::collection::vec(any::<u8>(), 0..40), any::<u64>()), 1..20),
        pre_skip in any::<u16>(),
        gain_db in -128_i16..128,
    ) {
        if let Ok(audio) = read_bytes(&pages(&head(2, pre_skip, gain_db, 0), &packets), None) {
            prop_assert!(!audio.samples.is_empty() && audio.samples.len() <= packets.len() * 1920);
        }
    }

    #[test]
    fn a_good_file_with_bytes_changed_and_cut(
        changes in proptest::collection::vec((0_usize..600, any::<u8>()), 0..4),
        length in 0_usize..600,
    ) {
        let mut bytes = ogg_of_packets(&opus(&sine(500.0, -20.0, 200, RATE).samples), 960);
        for (at, value) in changes {
            if let Some(byte) = bytes.get_mut(at) {
                *byte = value;
            }
        }
        bytes.truncate(length);
        let _ = read_bytes(&bytes, None);
    }
}
