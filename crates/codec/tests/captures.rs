//! The committed speech captures hold three voices that can be told apart, and nothing but what their README says.
#![allow(clippy::unwrap_used, reason = "tests may panic")]

use std::collections::BTreeMap;
use std::path::PathBuf;

use patchcord_codec::analysis::{find, order_heard, rms_dbfs, timeline};
use patchcord_codec::{Country, Law, music};

/// Ethernet, IPv4 without options and UDP.
const BEFORE_RTP: usize = 14 + 20 + 8;

/// The RTP packets of a capture, as they came.
fn packets(name: &str) -> Vec<Vec<u8>> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../captures").join(format!("{name}.pcap"));
    let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert_eq!(bytes[..4], 0xA1B2_C3D4_u32.to_le_bytes(), "a pcap of microseconds");
    let mut rest = &bytes[24..];
    let mut packets = Vec::new();
    while let Some((header, after)) = rest.split_first_chunk::<16>() {
        let length = u32::from_le_bytes(*header[8..].first_chunk().unwrap()) as usize;
        packets.push(after[BEFORE_RTP..length].to_vec());
        rest = &after[length..];
    }
    packets
}

/// The audio of a capture at its place in time, with silence where a packet is missing; and how many are missing.
fn decoded(name: &str) -> (Vec<i16>, usize) {
    let mut frames = BTreeMap::new();
    let packets = packets(name);
    let first = u32::from_be_bytes(*packets[0][4..].first_chunk().unwrap());
    for packet in &packets {
        assert_eq!((packet.len(), packet[0], packet[1]), (172, 0x80, Law::Mu.payload_type()), "{name}: 20 ms of PCMU");
        assert_eq!(packet[8..12], packets[0][8..12], "{name}: one SSRC");
        let at = u32::from_be_bytes(*packet[4..].first_chunk().unwrap()).wrapping_sub(first) as usize;
        assert_eq!(at % 160, 0, "{name}: whole frames");
        assert!(frames.insert(at / 160, Law::Mu.decode(&packet[12..])).is_none(), "{name}: no frame twice");
    }
    let count = frames.last_key_value().unwrap().0 + 1;
    let missing = count - frames.len();
    let audio = (0..count).flat_map(|frame| frames.remove(&frame).unwrap_or_else(|| vec![0; 160])).collect();
    (audio, missing)
}

#[test]
fn each_holds_continuous_speech() {
    for name in ["transferee", "agent", "target"] {
        let (audio, missing) = decoded(name);
        assert!(audio.len() >= 15 * 8000, "{name}: {} s", audio.len() / 8000);
        let level = rms_dbfs(&audio);
        assert!((-30.0..-15.0).contains(&level), "{name}: {level} dBFS");
        for (second, samples) in audio.chunks(8000).enumerate().take(audio.len() / 8000) {
            assert!(rms_dbfs(samples) > -40.0, "{name} speaks in second {second}");
        }
        assert_eq!(missing > 0, name == "agent", "{name}: {missing} packets are missing");
    }
}

#[test]
fn the_agents_has_what_a_real_path_does() {
    let numbers: Vec<u16> = packets("agent").iter().map(|packet| u16::from_be_bytes([packet[2], packet[3]])).collect();
    let steps: Vec<i16> = numbers.windows(2).map(|pair| pair[1].wrapping_sub(pair[0]) as i16).collect();
    assert!(steps.iter().any(|&step| step < 0), "reordered");
    assert!(steps.iter().any(|&step| step > 1), "missing or overtaken");
    assert!(numbers.iter().any(|&number| number < 100) && numbers.iter().any(|&number| number > 65_500), "wrapped");
}

#[test]
fn the_voices_are_told_apart_and_a_transfer_of_them_is_heard_in_order() {
    let voices = ["transferee", "agent", "target"].map(|name| (name, decoded(name).0));
    let melody = music::hold_melody().samples;
    let ringing = Country::Uk.ringback().samples;
    let mut references: Vec<(&str, &[i16])> = voices.iter().map(|(name, audio)| (*name, &audio[..])).collect();
    for (name, audio) in &voices {
        for (other, reference) in &references {
            let segment = &audio[40_000..48_000];
            let found = find(segment, reference).map_or(0.0, |found| found.correlation);
            assert!(if name == other { found > 0.99 } else { found < 0.5 }, "{name} in {other}: {found}");
        }
    }
    references.push(("music", &melody));
    references.push(("ringback", &ringing));
    let heard = [&voices[1].1[8000..48_000], &melody[..24_000], &ringing[..16_000], &voices[2].1[..48_000]].concat();
    let stretches = timeline(&heard, 8000, &references);
    assert_eq!(order_heard(&stretches), ["agent", "music", "ringback", "target"], "{stretches:#?}");
}
