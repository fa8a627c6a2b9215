//! The tones of networks and fax machines are known by frequency and cadence; neither they nor music, keys, noise or silence
//! are speech, or somebody who answers.
#![allow(clippy::unwrap_used, reason = "tests may panic")]

#[path = "support/variants.rs"]
mod variants;

use core::f64::consts::TAU;

use patchcord_codec::detect::{Answerer, Detected, Detector, Settings, What};
use patchcord_codec::dtmf::{self, Digit};
use patchcord_codec::{Country, Law, music, tone};
use variants::{Random, Variant};

const SEED: u64 = 5;

fn detect(samples: &[i16]) -> Vec<Detected> {
    let mut told = Vec::new();
    Detector::new(&Settings::default()).push(samples, &mut |detected| told.push(detected));
    told
}

/// All but silence, and who has answered.
fn heard(told: &[Detected]) -> Vec<What> {
    let says = |what: &What| !matches!(what, What::Silence | What::Answered(_));
    told.iter().map(|detected| detected.what).filter(says).collect()
}

fn is_nobody(told: &[Detected]) -> bool {
    told.iter().all(|detected| !matches!(detected.what, What::Answered(Answerer::Human | Answerer::Machine)))
}

/// Levels, and both laws.
const HEARD_AS: [[Variant; 2]; 4] = [
    [Variant::Gain(10.0), Variant::Through(Law::Mu)],
    [Variant::AsItIs, Variant::Through(Law::A)],
    [Variant::Gain(-10.0), Variant::Through(Law::Mu)],
    [Variant::Gain(-20.0), Variant::Through(Law::A)],
];

fn apply(variants: [Variant; 2], samples: &[i16], seed: u64) -> Vec<i16> {
    variants.into_iter().fold(samples.to_vec(), |heard, variant| variant.of(&heard, seed))
}

fn silence(ms: usize) -> Vec<i16> {
    vec![0; 8 * ms]
}

fn sine(hz: f64, ms: u32) -> Vec<i16> {
    tone::sine(hz, -22.0, ms, 8000).samples
}

#[test]
fn the_ringing_tone_of_every_country_is_one_and_nobody() {
    for country in Country::all() {
        let ringing = country.ringback().samples.repeat(2);
        for variants in HEARD_AS {
            let told = detect(&apply(variants, &ringing, SEED));
            assert_eq!(heard(&told), [What::RingingTone], "{country}, {variants:?}: {told:?}");
            assert!(told.iter().all(|detected| !matches!(detected.what, What::Answered(_))), "{country}: {told:?}");
        }
    }
}

#[test]
fn the_busy_tone_of_every_country_is_one_and_nobody() {
    for country in Country::all() {
        let busy = [country.busy().samples.repeat(4), silence(2000)].concat();
        for variants in HEARD_AS {
            let told = detect(&apply(variants, &busy, SEED));
            assert_eq!(heard(&told), [What::BusyTone], "{country}, {variants:?}: {told:?}");
            assert!(is_nobody(&told), "{country}, {variants:?}: {told:?}");
        }
    }
}

#[test]
fn what_noise_and_loss_leave_of_a_ringing_or_busy_tone_is_nobody() {
    let mut known = 0;
    let mut all = 0;
    for (index, country) in Country::all().enumerate() {
        for (what, tone) in [(What::RingingTone, country.ringback()), (What::BusyTone, country.busy())] {
            let samples = [tone.samples.repeat(3), silence(1500)].concat();
            for variant in [Variant::Noise(20.0), Variant::Lost(5.0), Variant::Lost(15.0), Variant::All] {
                let told = detect(&variant.of(&samples, SEED + index as u64));
                let human = told.iter().any(|detected| detected.what == What::Answered(Answerer::Human));
                assert!(!human, "{country}, {variant:?}, seed {SEED}: {told:?}");
                all += 1;
                known += usize::from(heard(&told).contains(&what));
            }
        }
    }
    assert!(known * 100 >= all * 90, "{known} of {all} were known, seed {SEED}");
}

#[test]
fn keys_music_and_silence_are_neither_speech_nor_tones() {
    let keys = |ms: u32, pause_ms: usize| -> Vec<i16> {
        Digit::all()
            .flat_map(|key| [dtmf::samples(key, -10.0, ms, 8000).collect(), silence(pause_ms)].concat())
            .collect()
    };
    let melody = music::hold_melody().samples;
    for (name, samples) in [
        ("short keys", keys(50, 50)),
        ("keys", keys(100, 100)),
        ("long keys", keys(300, 900)),
        ("one key", [keys(100, 100)[..800].to_vec(), silence(2000)].concat()),
        ("melody", [&melody[..], &silence(2000)].concat()),
        ("a second of it", [&melody[..8000], &silence(4000)].concat()),
        ("silence", silence(5000)),
        ("A-law's silence", vec![8; 40_000]),
    ] {
        for variants in HEARD_AS {
            let told = detect(&apply(variants, &samples, SEED));
            assert_eq!(heard(&told), [], "{name}, {variants:?}: {told:?}");
            assert!(is_nobody(&told), "{name}, {variants:?}: {told:?}");
        }
    }
}

#[test]
fn noise_of_any_level_and_colour_is_neither_speech_nor_somebody() {
    for dbfs in [-70.0, -60.0, -50.0, -40.0, -30.0, -20.0, -10.0] {
        for colour in [0.0, 0.5, 0.9, 0.98] {
            for on_ms in [300, 1000, 4000] {
                // Low-pass of the first order: from white to all but brown.
                let mut low = 0.0;
                let gain = (1.0 - colour * colour) / (1.0 - colour);
                let noise: Vec<i16> = Random(SEED)
                    .noise(8 * on_ms, dbfs)
                    .into_iter()
                    .map(|sample| {
                        low = colour * low + (1.0 - colour) * f64::from(sample) * f64::sqrt(gain);
                        low.round() as i16
                    })
                    .collect();
                let told = detect(&[silence(500), noise, silence(3000)].concat());
                assert_eq!(heard(&told), [], "{dbfs} dBFS, colour {colour}, {on_ms} ms, seed {SEED}: {told:?}");
                assert!(is_nobody(&told), "{dbfs} dBFS, colour {colour}, {on_ms} ms, seed {SEED}: {told:?}");
            }
        }
    }
}

#[test]
fn beeps_are_found_whatever_their_frequency_and_length() {
    for hz in [320.0, 620.0, 800.0, 1000.0, 1400.0, 1750.0, 2000.0] {
        // A low one could be the end of a word.
        let shortest_ms = if hz < 350.0 { 200 } else { 100 };
        for ms in [shortest_ms, 300, 1000, 2000] {
            for variant in [Variant::AsItIs, Variant::Gain(-20.0), Variant::Through(Law::Mu), Variant::Noise(20.0)] {
                let told = detect(&variant.of(&[silence(610), sine(hz, ms), silence(700)].concat(), SEED));
                let [Detected { what: What::Beep { hz: found }, at_ms, duration_ms, .. }] =
                    told[..].iter().filter(|told| matches!(told.what, What::Beep { .. })).copied().collect::<Vec<_>>()
                        [..]
                else {
                    panic!("{hz} Hz for {ms} ms, {variant:?}: {told:?}");
                };
                assert!((f64::from(found) - hz).abs() <= 4.0, "{hz} Hz for {ms} ms, {variant:?}: {told:?}");
                assert!(at_ms.abs_diff(610) <= 40, "{hz} Hz for {ms} ms, {variant:?}: {told:?}");
                assert!(duration_ms.abs_diff(ms.into()) <= 60, "{hz} Hz for {ms} ms, {variant:?}: {told:?}");
                let answers: Vec<What> =
                    told.iter().map(|told| told.what).filter(|what| matches!(what, What::Answered(_))).collect();
                assert_eq!(answers, [What::Answered(Answerer::Machine)], "{hz} Hz for {ms} ms: {told:?}");
            }
        }
    }
}

#[test]
fn fax_machines_are_known_by_their_tones() {
    for off_hz in [-37.0, 0.0, 37.0] {
        let calling = [sine(1100.0 + off_hz, 500), silence(3000)].concat().repeat(3);
        for variants in HEARD_AS {
            let told = detect(&apply(variants, &calling, SEED));
            assert_eq!(heard(&told), [What::FaxCng; 3], "{off_hz} Hz off, {variants:?}: {told:?}");
            assert!(is_nobody(&told));
        }
    }
    for ansam in [false, true] {
        let answering: Vec<i16> = (0..8 * 3300)
            .map(|n| {
                let seconds = f64::from(n) / 8000.0;
                // V.8: 20 % of 15 Hz, and the phase turned each 450 ms.
                let (level, turned) = if ansam {
                    (1.0 + 0.2 * (TAU * 15.0 * seconds).sin(), TAU / 2.0 * (seconds / 0.45).floor())
                } else {
                    (1.0, 0.0)
                };
                (3000.0 * level * (TAU * 2100.0 * seconds + turned).sin()) as i16
            })
            .collect();
        let answering = [silence(1500), answering, silence(1000)].concat();
        for variants in HEARD_AS {
            let told = detect(&apply(variants, &answering, SEED));
            assert_eq!(heard(&told), [What::FaxCed], "ansam {ansam}, {variants:?}: {told:?}");
            assert!(told.iter().any(|told| told.what == What::Answered(Answerer::Machine)), "{told:?}");
        }
    }
}

#[test]
fn dialling_and_special_information_tones_are_known() {
    let both = |a: f64, b: f64, ms: u32| -> Vec<i16> {
        sine(a, ms).into_iter().zip(sine(b, ms)).map(|(a, b)| (a / 2).saturating_add(b / 2)).collect()
    };
    let information = [sine(950.0, 330), sine(1400.0, 330), sine(1800.0, 330), silence(1500)].concat();
    for variants in HEARD_AS {
        for dial in [sine(425.0, 5000), both(350.0, 440.0, 5000)] {
            let told = detect(&apply(variants, &dial, SEED));
            assert_eq!(heard(&told), [What::DialTone], "{variants:?}: {told:?}");
            assert!(is_nobody(&told), "{told:?}");
        }
        let told = detect(&apply(variants, &information, SEED));
        assert_eq!(heard(&told), [What::SpecialInformation], "{variants:?}: {told:?}");
        assert!(is_nobody(&told), "{told:?}");
    }
}

#[test]
fn silence_is_told_of_once_a_stretch() {
    let heard = [silence(3000), sine(1000.0, 500), silence(2500)].concat();
    let silences: Vec<(u64, u64)> = detect(&heard)
        .into_iter()
        .filter(|told| told.what == What::Silence)
        .map(|told| (told.at_ms, told.duration_ms))
        .collect();
    assert_eq!(silences, [(0, 2000), (3500, 2000)]);
}
