//! Whatever comes: never a panic, never a stream that its listener cannot follow, and nothing that lasts.

mod support;

use patchcord_media::Transcoder;
use proptest::prelude::*;
use support::{CN, EVENT, EVENT_48, G722, Heard, L16, OPUS, OPUS_DTX, OPUS_FEC, PCMA, PCMU, UNKNOWN, hum, packet};

const AUDIO: [u8; 7] = [PCMU, PCMA, G722, L16, OPUS, OPUS_FEC, OPUS_DTX];
const ALL: [u8; 10] = [PCMU, PCMA, G722, L16, OPUS, OPUS_FEC, OPUS_DTX, EVENT, EVENT_48, CN];

/// Bytes that are no packet, or packets of any number, mostly of few sources and near to each other.
fn garbage() -> impl Strategy<Value = Vec<u8>> {
    let bytes = proptest::collection::vec(any::<u8>(), 0..60);
    let payload = prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..20),
        proptest::collection::vec(any::<u8>(), 0..2000),
        Just(vec![0x55; 160]),
    ];
    let number = prop_oneof![proptest::sample::select(&ALL[..]), 0_u8..128];
    let sequence = prop_oneof![4 => 0_u16..40, 1 => any::<u16>()];
    let timestamp = prop_oneof![3 => (0_u32..40).prop_map(|n| n * 160), 1 => 0_u32..50_000, 1 => any::<u32>()];
    let ssrc = prop_oneof![5 => Just(1_u32), 1 => 2_u32..4];
    let rtp = (any::<bool>(), number, sequence, timestamp, ssrc, payload).prop_map(
        |(marker, number, sequence, timestamp, ssrc, payload)| {
            packet(marker, number, sequence, timestamp, ssrc, &payload)
        },
    );
    let shape = (rtp.clone(), any::<u8>()).prop_map(|(mut packet, shape)| {
        packet[0] = 0x80 | shape & 0x3f;
        packet
    });
    prop_oneof![1 => bytes, 6 => rtp, 1 => shape]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn whatever_comes_the_stream_is_one_that_can_be_followed(
        packets in proptest::collection::vec(garbage(), 0..80),
        from in proptest::sample::subsequence(&ALL[..], 1..10),
        to in proptest::sample::subsequence(&ALL[..], 1..10),
        seed in any::<u64>(),
    ) {
        let formats = |numbers: &[u8]| numbers.iter().map(|&number| support::format(number)).collect::<Vec<_>>();
        let audio = to.iter().copied().find(|number| AUDIO.contains(number));
        let made = Transcoder::new(&formats(&from), &formats(&to), seed);
        let Some(audio) = audio else {
            prop_assert!(made.is_err());
            return Ok(());
        };
        let Ok(mut transcoder) = made else {
            prop_assert!(from.iter().all(|number| !AUDIO.contains(number)));
            return Ok(());
        };
        let heard = Heard::of(&mut transcoder, &packets);
        heard.check_order(audio);
        for (_, payload) in &heard.packets {
            prop_assert!(!payload.is_empty());
        }
        let counts = transcoder.counts();
        prop_assert_eq!((counts.packets_in, counts.packets_out), (packets.len() as u64, heard.packets.len() as u64));
    }

    #[test]
    fn what_is_good_comes_out_between_garbage(
        garbage in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..80), 50),
    ) {
        let mut transcoder = support::transcoder(&[PCMU, EVENT], &[PCMA]);
        let mut heard = Heard::default();
        for (n, bytes) in (0_u16..).zip(&garbage) {
            heard.push(&mut transcoder, &hum(PCMU, n, u32::from(n) * 160, 1));
            // No packet of audio, which would be as good as any.
            let looks_good = bytes.len() >= 12 && bytes[0] >> 6 == 2 && [PCMU, EVENT, CN].contains(&(bytes[1] & 0x7f));
            if !looks_good {
                heard.push(&mut transcoder, bytes);
            }
        }
        heard.check(PCMA);
        prop_assert_eq!(heard.places(PCMA), (0..50).map(|n| n * 160).collect::<Vec<u32>>());
    }

    #[test]
    fn garbage_is_over_after_a_few_packets(
        garbage in proptest::collection::vec(garbage(), 1..40),
        sequence in any::<u16>(),
        timestamp in any::<u32>(),
    ) {
        let mut transcoder = support::transcoder(&[PCMU, PCMA, OPUS, EVENT, CN], &[G722, EVENT, CN]);
        // A packet of garbage that waits is as good as the one with its number, when that is due; but none of the last ones.
        let is_one_of_the_last = |packet: &&Vec<u8>| {
            let Some(&[s0, s1]) = packet.get(2..4) else { return false };
            (50..81).contains(&u16::from_be_bytes([s0, s1]).wrapping_sub(sequence))
        };
        let mut heard = Heard::of(&mut transcoder, garbage.iter().filter(|packet| !is_one_of_the_last(packet)));
        let good = |n: u16| hum(PCMU, sequence.wrapping_add(n), timestamp.wrapping_add(u32::from(n) * 160), 1);
        (0..80).for_each(|n| heard.push(&mut transcoder, &good(n)));
        // The last twenty are twenty packets without a gap.
        let places = heard.places(G722);
        let last = &places[places.len() - 20..];
        prop_assert!(last.windows(2).all(|pair| pair[1].wrapping_sub(pair[0]) == 160), "{:?}", last);
        let before = heard.packets.len();
        heard.push(&mut transcoder, &good(80));
        prop_assert_eq!(heard.packets.len(), before + 1);
    }
}

#[test]
fn unknown_payload_types_of_other_sources_change_nothing() {
    let mut transcoder = support::transcoder(&[PCMU], &[PCMA]);
    let packets: Vec<_> = (0..20)
        .flat_map(|n: u16| [hum(PCMU, n, u32::from(n) * 160, 1), packet(true, UNKNOWN, 7, 7, 99, &[1])])
        .collect();
    let heard = Heard::of(&mut transcoder, &packets);
    heard.check(PCMA);
    assert_eq!((heard.packets.len(), transcoder.counts().unknown), (20, 20));
}
