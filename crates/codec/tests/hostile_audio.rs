//! Whatever is heard, and in whatever pieces: detection does not panic, and the pieces change nothing.

use std::sync::LazyLock;

use patchcord_codec::detect::{Detected, Detector, Settings};
use patchcord_codec::{Country, music};
use proptest::prelude::*;

static MELODY: LazyLock<Vec<i16>> = LazyLock::new(|| music::hold_melody().samples);

/// A stretch of sound that a detector may be given.
fn stretch() -> impl Strategy<Value = Vec<i16>> {
    let random = proptest::collection::vec(any::<i16>(), 0..2000);
    let constant = (any::<i16>(), 0_usize..3000).prop_map(|(sample, len)| vec![sample; len]);
    let square = (1_usize..60, any::<i16>(), 0_usize..4000).prop_map(|(half, level, len)| {
        (0..len).map(|n| if n / half % 2 == 0 { level } else { level.saturating_neg() }).collect()
    });
    let melody = (0_usize..100_000, 0_usize..8000).prop_map(|(at, len)| MELODY[at..at + len].to_vec());
    let ringing = (0_usize..21, 0_usize..12_000).prop_map(|(country, len)| {
        let country = Country::all().nth(country).unwrap_or(Country::De);
        country.ringback().samples.into_iter().take(len).collect()
    });
    prop_oneof![random, constant, square, melody, ringing]
}

fn settings() -> impl Strategy<Value = Settings> {
    (any::<f32>(), any::<[u32; 5]>(), any::<bool>()).prop_map(|(audible_dbfs, ms, default)| {
        if default {
            return Settings::default();
        }
        let [hang_over_ms, silence_ms, answer_timeout_ms, greeting_max_ms, listening_ms] = ms;
        Settings { audible_dbfs, hang_over_ms, silence_ms, answer_timeout_ms, greeting_max_ms, listening_ms }
    })
}

fn detect(detector: &mut Detector, samples: &[i16], mut pieces: impl Iterator<Item = usize>) -> Vec<Detected> {
    let mut told = Vec::new();
    let mut rest = samples;
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(pieces.next().unwrap_or(rest.len()).min(rest.len()));
        detector.push(piece, &mut |detected| told.push(detected));
        rest = after;
    }
    told
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn pieces_and_a_reset_change_nothing(
        stretches in proptest::collection::vec(stretch(), 0..8),
        pieces in proptest::collection::vec(0_usize..700, 1..20),
        settings in settings(),
    ) {
        prop_assume!(pieces.iter().any(|&piece| piece > 0));
        let samples = stretches.concat();
        let mut detector = Detector::new(&settings);
        let whole = detect(&mut detector, &samples, core::iter::empty());
        for detected in &whole {
            prop_assert!((0.0..=1.0).contains(&detected.confidence), "{detected:?}");
            prop_assert!(detected.at_ms + detected.duration_ms <= samples.len() as u64 / 8 + 20, "{detected:?}");
        }
        let mut other = Detector::new(&settings);
        let parts = detect(&mut other, &samples, pieces.iter().copied().cycle());
        prop_assert_eq!(&whole, &parts);
        detector.reset();
        prop_assert_eq!(&whole, &detect(&mut detector, &samples, core::iter::empty()));
    }
}
