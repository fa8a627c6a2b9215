//! What was heard is told from received audio: through G.711, with losses, among several references.
#![allow(clippy::unwrap_used, reason = "tests may panic")]

use std::time::{Duration, Instant};

use patchcord_codec::analysis::{FOUND_AT, Heard, find, identify, order_heard, timeline};
use patchcord_codec::{Audio, Country, Law, music};

/// Something like speech: a voice of changing pitch with formants that change from syllable to syllable, and pauses.
/// `seed` makes another speaker with another text.
fn babble(seed: u64, seconds: usize) -> Vec<i16> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as f64 / (1_u64 << 53) as f64
    };
    let mut samples = Vec::new();
    let pitch_base = 90.0 + 120.0 * random();
    let mut phase = 0.0;
    while samples.len() < seconds * 8000 {
        let length = 800 + (1600.0 * random()) as usize;
        let (pitch, glide) = (pitch_base * (0.8 + 0.5 * random()), 0.4 * random() - 0.2);
        let formants = [300.0 + 500.0 * random(), 900.0 + 1300.0 * random(), 2300.0 + 600.0 * random()];
        let noise_level = if random() < 0.3 { 0.3 } else { 0.02 };
        for n in 0..length {
            let x = n as f64 / length as f64;
            let hz = pitch * (1.0 + glide * x);
            phase += hz / 8000.0;
            let voice: f64 = (1..=18)
                .map(|harmonic| {
                    let at = hz * f64::from(harmonic);
                    let gain: f64 = formants.iter().map(|f| 1.0 / (1.0 + ((at - f) / 80.0).powi(2))).sum();
                    gain * (std::f64::consts::TAU * phase * f64::from(harmonic)).sin()
                })
                .sum();
            let envelope = (std::f64::consts::PI * x).sin();
            samples.push((3000.0 * envelope * (voice + noise_level * (random() - 0.5))) as i16);
        }
        if random() < 0.2 {
            samples.resize(samples.len() + 600, 0);
        }
    }
    samples.truncate(seconds * 8000);
    samples
}

fn through_g711(samples: &[i16], law: Law) -> Vec<i16> {
    law.decode(&law.encode(samples))
}

#[test]
fn a_segment_is_found_where_it_was_cut_out() {
    let reference = babble(1, 15);
    for law in Law::ALL {
        for offset in [0, 1, 12_345, 64_000, 15 * 8000 - 8000] {
            let found = find(&through_g711(&reference[offset..offset + 8000], law), &reference).unwrap();
            assert_eq!(found.offset, offset);
            assert!(found.correlation > 0.99, "{law:?}: {found:?}");
        }
    }
}

#[test]
fn loudness_does_not_matter() {
    let reference = babble(2, 10);
    let quiet: Vec<i16> = reference[20_000..28_000].iter().map(|&sample| sample / 10).collect();
    let found = find(&quiet, &reference).unwrap();
    assert_eq!(found.offset, 20_000);
    assert!(found.correlation > 0.99, "{found:?}");
}

#[test]
fn lost_frames_do_not_hide_it() {
    let reference = babble(3, 15);
    let mut received = through_g711(&reference[40_000..48_000], Law::Mu);
    for lost in [3, 4, 17, 30, 31, 32, 45] {
        received[lost * 160..][..160].fill(0);
    }
    let found = find(&received, &reference).unwrap();
    assert_eq!(found.offset, 40_000);
    assert!(found.correlation > 0.8, "{found:?}");
}

#[test]
fn silence_and_too_much_are_not_found() {
    let reference = babble(4, 3);
    assert_eq!(find(&[], &reference), None);
    assert_eq!(find(&[0; 8000], &reference), None);
    assert_eq!(find(&[3; 8000], &reference), None, "inaudible");
    assert_eq!(find(&babble(4, 4), &reference), None, "longer than the reference");
    assert_eq!(find(&reference, &[0; 80_000]), None, "a silent reference");
}

#[test]
fn the_right_one_of_several_is_identified() {
    let voices: Vec<Vec<i16>> = (10..13).map(|seed| babble(seed, 15)).collect();
    let melody = music::hold_melody().samples;
    let ringing = Country::Us.ringback().samples;
    let references = [
        ("agent", &voices[0][..]),
        ("transferee", &voices[1][..]),
        ("target", &voices[2][..]),
        ("music", &melody[..]),
        ("ringback", &ringing[..]),
    ];
    for (name, reference) in references {
        for start in (0..reference.len() - 8000).step_by(6000) {
            let segment = through_g711(&reference[start..start + 4000], Law::A);
            if name == "ringback" && start >= 16_000 {
                assert_eq!(identify(&segment, &references), None, "the pause of the ringing tone");
                continue;
            }
            let found = identify(&segment, &references).unwrap();
            assert_eq!(found.name, name, "at {start}: {found:?}");
            assert!(found.correlation > 0.98, "{found:?}");
        }
    }
    let stranger = babble(99, 5);
    for start in (0..32_000).step_by(4000) {
        let found = identify(&stranger[start..start + 8000], &references);
        assert_eq!(found, None, "a voice that is no reference, at {start}");
    }
}

#[test]
fn ringing_tones_of_countries_are_told_apart() {
    let countries = [Country::Us, Country::Uk, Country::De, Country::Fr];
    let tones: Vec<(String, Audio)> = countries.iter().map(|c| (c.to_string(), c.ringback())).collect();
    let references: Vec<(&str, &[i16])> = tones.iter().map(|(name, tone)| (&name[..], &tone.samples[..])).collect();
    for (name, reference) in &references {
        let found = identify(&through_g711(&reference[..8000], Law::Mu), &references).unwrap();
        assert_eq!(found.name, *name);
    }
}

#[test]
fn a_transfer_is_heard_in_its_order() {
    let agent = babble(21, 12);
    let target = babble(22, 12);
    let melody = music::hold_melody();
    let music_looped = melody.looped(Duration::from_secs(40)).samples;
    let ringing = Country::De.ringback();
    let mut heard = agent[8000..40_000].to_vec();
    // The melody begins near its end and goes on at its beginning.
    heard.extend(&music_looped[15 * 8000..19 * 8000]);
    heard.extend(&ringing.samples[..2 * 8000]);
    heard.extend(&target[16_000..48_000]);
    for lost in (11..heard.len() / 160).step_by(37) {
        heard[lost * 160..][..160].fill(0);
    }
    let references = [
        ("agent", &agent[..]),
        ("music", &music_looped[..]),
        ("ringback", &ringing.samples[..]),
        ("target", &target[..]),
    ];
    let stretches = timeline(&through_g711(&heard, Law::Mu), 8000, &references);
    assert_eq!(order_heard(&stretches), ["agent", "music", "ringback", "target"], "{stretches:#?}");
    assert_eq!(stretches.first().map(|stretch| stretch.start), Some(0));
    assert_eq!(stretches.last().map(|stretch| stretch.end), Some(heard.len()));
    for pair in stretches.windows(2) {
        assert_eq!(pair[0].end, pair[1].start, "no holes: {stretches:#?}");
    }
    // Where each began, to a quarter of a second.
    for (name, begins) in [("agent", 0), ("music", 32_000), ("ringback", 64_000), ("target", 80_000)] {
        let stretch = stretches.iter().find(|stretch| stretch.heard == Heard::Reference(name)).unwrap();
        assert!(stretch.start.abs_diff(begins) <= 2400, "{name}: {stretch:?}");
        assert!(stretch.correlation > FOUND_AT, "{stretch:?}");
    }
    assert!(stretches.iter().any(|stretch| stretch.heard == Heard::Silence), "the pause of the ringing tone");
}

#[test]
fn a_timeline_of_too_little_is_empty() {
    assert!(timeline(&[100; 3999], 8000, &[]).is_empty());
    assert!(timeline(&[100; 3999], 0, &[]).is_empty());
    let unknown = timeline(&babble(5, 1), 8000, &[]);
    assert!(unknown.iter().all(|stretch| stretch.heard == Heard::Unknown), "{unknown:?}");
}

#[test]
#[allow(clippy::print_stdout, reason = "the time is for a reader, not for an assertion")]
fn half_a_minute_is_searched_in_a_moment() {
    let reference = babble(6, 30);
    let started = Instant::now();
    for seconds in [1, 3, 10] {
        let segment = &reference[100_000..100_000 + seconds * 8000];
        assert_eq!(find(segment, &reference).unwrap().offset, 100_000);
    }
    // No bound is asserted: a busy machine is no failure. `--nocapture` shows the time.
    println!("three searches in 30 s of audio took {:?}", started.elapsed());
}
