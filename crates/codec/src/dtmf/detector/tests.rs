//! Keys that must be found, and what must not be taken for one.

use super::*;
use crate::country::Country;
use crate::dtmf::samples;

/// The keys that were let go in `samples` and silence after them.
fn found(samples: &[i16], sample_rate: u32) -> Vec<Heard> {
    let mut detector = Detector::new(sample_rate).expect("its rate");
    let mut events = Vec::new();
    detector.process(samples, &mut events);
    detector.process(&vec![0; sample_rate as usize / 10], &mut events);
    let began = events.iter().filter(|event| matches!(event, Event::Began(_))).count();
    let ended: Vec<Heard> =
        events.iter().filter_map(|event| if let Event::Ended(heard) = event { Some(*heard) } else { None }).collect();
    assert_eq!((began, detector.held()), (ended.len(), None));
    ended
}

fn text(heard: &[Heard]) -> String {
    heard.iter().map(|heard| heard.digit.as_char()).collect()
}

/// `silence` samples, then two sines in dBm0 each.
fn pair(hz: (f64, f64), dbm0: (f64, f64), silence: usize, length_ms: f64, sample_rate: u32) -> Vec<i16> {
    let amplitude = |dbm0: f64| 32768.0 * 2_f64.sqrt() * 10_f64.powf((dbm0 - DBM0_BELOW_FULL_SCALE_DB) / 20.0);
    let angle = |hz: f64, n: usize| TAU * hz * n as f64 / f64::from(sample_rate) + hz;
    let tone = (0..(length_ms * f64::from(sample_rate) / 1000.0) as usize)
        .map(|n| (amplitude(dbm0.0) * angle(hz.0, n).sin() + amplitude(dbm0.1) * angle(hz.1, n).sin()).round() as i16);
    core::iter::repeat_n(0, silence).chain(tone).collect()
}

/// Noise of an even spectrum, in dBFS.
fn noise(len: usize, dbfs: f64, seed: u32) -> Vec<i16> {
    let mut state = seed;
    let peak = 32768.0 * 3_f64.sqrt() * 10_f64.powf(dbfs / 20.0);
    (0..len)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (peak * (f64::from(state) / f64::from(u32::MAX) * 2.0 - 1.0)).round() as i16
        })
        .collect()
}

#[test]
fn every_key_is_found_with_its_place_length_and_level() {
    for sample_rate in [8000, 16_000, 24_000, 44_100, 48_000] {
        for (index, digit) in Digit::all().enumerate() {
            for (length_ms, level_dbm0) in [(50, -5.0), (100, -13.0), (400, -20.0)] {
                let silence = sample_rate as usize / 20 + 31 * index;
                let mut heard = vec![0; silence];
                heard.extend(samples(digit, level_dbm0, length_ms, sample_rate));
                let keys = found(&heard, sample_rate);
                assert_eq!(text(&keys), digit.to_string(), "at {sample_rate}, {length_ms} ms");
                let ms = |samples: u64| samples as f64 * 1000.0 / f64::from(sample_rate);
                let key = keys[0];
                let late = ms(key.start) - ms(silence as u64);
                assert!(late.abs() < 3.0, "{digit} at {sample_rate}: {late} ms late");
                let longer = ms(key.duration) - f64::from(length_ms);
                assert!(longer.abs() < 5.0, "{digit} at {sample_rate}: {longer} ms longer");
                assert!((key.level_dbm0 - level_dbm0).abs() < 0.5, "{digit}: {} dBm0", key.level_dbm0);
            }
        }
    }
}

#[test]
fn lengths_frequencies_twist_and_level_are_those_of_the_standard() {
    for digit in Digit::all() {
        let (row, column) = digit.frequencies_hz();
        for silence in (0..40).step_by(3) {
            let is_found = |off: (f64, f64), dbm0: (f64, f64), length_ms: f64| {
                let hz = (row * (1.0 + off.0), column * (1.0 + off.1));
                let keys = text(&found(&pair(hz, dbm0, 800 + silence, length_ms, 8000), 8000));
                assert!(keys.is_empty() || keys == digit.to_string(), "{digit} became {keys:?}");
                !keys.is_empty()
            };
            for off in [(0.015, 0.015), (-0.015, 0.015), (0.015, -0.015), (-0.015, -0.015), (0.0, 0.0)] {
                for dbm0 in [(-10.0, -10.0), (-10.0, -18.0), (-14.0, -10.0), (-25.0, -25.0), (-4.0, -4.0)] {
                    assert!(is_found(off, dbm0, 40.0), "{digit} off by {off:?} at {dbm0:?} dBm0");
                    assert!(!is_found(off, dbm0, 23.0), "{digit} off by {off:?} at {dbm0:?} dBm0, too short");
                }
            }
            for off in [(0.035, 0.0), (-0.035, 0.0), (0.0, 0.035), (0.0, -0.035)] {
                assert!(!is_found(off, (-10.0, -10.0), 100.0), "{digit} off by {off:?}");
            }
            for dbm0 in [(-10.0, -24.0), (-24.0, -10.0), (-40.0, -40.0), (-10.0, -90.0), (-90.0, -10.0)] {
                assert!(!is_found((0.0, 0.0), dbm0, 100.0), "{digit} at {dbm0:?} dBm0");
            }
        }
    }
}

#[test]
fn keys_in_noise_are_found() {
    let mut heard = Vec::new();
    for (index, digit) in Digit::all().enumerate() {
        heard.extend(vec![0; 400 + 7 * index]);
        heard.extend(samples(digit, -10.0, 50, 8000));
    }
    let level = -10.0 - DBM0_BELOW_FULL_SCALE_DB - 15.0;
    for seed in 1..20 {
        let noise = noise(heard.len(), level, seed);
        let noisy: Vec<i16> = heard.iter().zip(noise).map(|(key, noise)| key + noise).collect();
        assert_eq!(text(&found(&noisy, 8000)), "0123456789*#ABCD", "seed {seed}");
    }
}

#[test]
fn a_gap_divides_keys_and_an_interruption_does_not() {
    let five = Digit::from_char('5').expect("a key");
    let with_pause = |ms: usize| {
        let tone: Vec<i16> = samples(five, -10.0, 60, 8000).collect();
        text(&found(&[&tone[..], &vec![0; 8 * ms], &tone].concat(), 8000))
    };
    assert_eq!(with_pause(10), "5");
    assert_eq!(with_pause(40), "55");
    let six = samples(Digit::from_char('6').expect("a key"), -10.0, 60, 8000);
    let both: Vec<i16> = samples(five, -10.0, 60, 8000).chain(six).collect();
    assert_eq!(text(&found(&both, 8000)), "56");
}

#[test]
fn it_does_not_matter_how_a_stream_is_cut() {
    let mut heard = noise(8000, -40.0, 1);
    heard.extend(samples(Digit::from_char('#').expect("a key"), -10.0, 90, 8000));
    heard.extend(noise(8000, -40.0, 2));
    let (mut whole, mut parts) = (Vec::new(), Vec::new());
    Detector::new(8000).expect("its rate").process(&heard, &mut whole);
    let mut detector = Detector::new(8000).expect("its rate");
    heard.chunks(37).for_each(|chunk| detector.process(chunk, &mut parts));
    assert_eq!(whole, parts);
    assert_eq!(whole.len(), 2);
}

#[test]
fn music_tones_and_noise_are_no_keys() {
    let mut heard = crate::music::hold_melody().samples;
    for country in Country::all() {
        heard.extend(country.ringback().samples);
        heard.extend(country.busy().samples);
    }
    heard.extend(noise(160_000, -10.0, 3));
    assert_eq!(text(&found(&heard, 8000)), "");
}

#[test]
fn rates_that_are_too_low_are_refused() {
    let error = Detector::new(4000).expect_err("too low");
    assert_eq!(error.to_string(), "no keys can be found at 4000 samples a second: 8000 to 192000 will do");
}
