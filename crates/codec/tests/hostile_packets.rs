//! Whatever comes as a packet: samples or an error, never a panic, and never more than a packet may play.

use patchcord_codec::codec::OpusParameters;
use patchcord_codec::{Codec, Decoder, Encoder, EncoderOptions, Law};
use proptest::prelude::*;

fn codecs() -> [Codec; 5] {
    [
        Codec::G711(Law::Mu),
        Codec::G711(Law::A),
        Codec::G722,
        Codec::L16 { sample_rate: 11_025 },
        Codec::Opus(OpusParameters::default()),
    ]
}

#[derive(Clone, Debug)]
enum Step {
    Decode(Vec<u8>),
    Conceal(usize),
    Recover(Vec<u8>, usize),
}

/// Random bytes; real packets of Opus with their TOC byte changed, cut, or with bytes changed.
fn payload() -> impl Strategy<Value = Vec<u8>> {
    let bytes = proptest::collection::vec(any::<u8>(), 0..300);
    // Code 3 with a frame count and padding is where lies are richest.
    let counted = (any::<u8>(), any::<u8>(), proptest::collection::vec(any::<u8>(), 0..80))
        .prop_map(|(toc, count, rest)| [vec![toc | 3, count], rest].concat());
    let broken = (any::<i16>(), any::<Option<u8>>(), 0_usize..200, proptest::collection::vec(any::<(u8, u8)>(), 0..6))
        .prop_map(|(level, toc, keep, changes)| {
            let mut encoder = Encoder::new(Codec::Opus(OpusParameters::default()), 16_000, EncoderOptions::default())
                .expect("its rate");
            let mut packet = Vec::new();
            let samples: Vec<i16> = (0..320_i16).map(|n| level.wrapping_mul(n)).collect();
            encoder.encode(&samples, &mut packet).expect("a frame");
            if let (Some(toc), Some(first)) = (toc, packet.first_mut()) {
                *first = toc;
            }
            for (at, value) in changes {
                let len = packet.len();
                packet[usize::from(at) % len] = value;
            }
            packet.truncate(keep);
            packet
        });
    prop_oneof![bytes, counted, broken]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        payload().prop_map(Step::Decode),
        (0_usize..3000).prop_map(Step::Conceal),
        (payload(), 0_usize..3000).prop_map(|(payload, samples)| Step::Recover(payload, samples)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn any_packets_in_any_order(steps in proptest::collection::vec(step(), 1..20), rate in 0_usize..5) {
        for codec in codecs() {
            let sample_rate = codec.sample_rates()[rate % codec.sample_rates().len()];
            let mut decoder = Decoder::new(codec, sample_rate).expect("its rate");
            for step in &steps {
                let mut out = vec![1, 2, 3];
                match step {
                    Step::Decode(payload) => {
                        let result = decoder.decode(payload, &mut out);
                        let promised = decoder.samples_in(payload);
                        let longest = (codec.packet_max_ms() * sample_rate).div_ceil(1000) as usize;
                        prop_assert!(out.len() - 3 <= longest, "{codec:?}: {} samples", out.len());
                        prop_assert_eq!(result.is_err(), out.len() == 3);
                        prop_assert!(result.is_err() || promised == Ok(out.len() - 3));
                    }
                    Step::Conceal(samples) => {
                        decoder.conceal(*samples, &mut out);
                        prop_assert_eq!(out.len(), 3 + samples);
                    }
                    Step::Recover(next, samples) => {
                        decoder.recover(next, *samples, &mut out);
                        prop_assert_eq!(out.len(), 3 + samples);
                        let _ = decoder.has_fec(next);
                    }
                }
                prop_assert_eq!(&out[..3], &[1, 2, 3]);
            }
        }
    }

    #[test]
    fn any_parameters_of_sdp(
        encoding in "(?i)pcmu|pcma|g722|l16|opus|\\PC{0,12}", clock_rate: u32, channels: u8, fmtp in "\\PC{0,60}",
    ) {
        for clock_rate in [clock_rate, 8000, 48_000] {
            for channels in [channels, 1, 2] {
                match Codec::of(&encoding, clock_rate, channels, Some(&fmtp)) {
                    Ok(codec) => prop_assert!(Decoder::new(codec, codec.sample_rate_for(clock_rate)).is_ok()),
                    Err(error) => prop_assert!(!error.to_string().is_empty()),
                }
            }
        }
    }
}
