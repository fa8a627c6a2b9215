//! The hold melody that plays where nobody named a file: written for Patchcord, computed here, free of any rights.

use core::f64::consts::TAU;

use crate::audio::{Audio, TELEPHONE_RATE};

/// Level of the melody (RMS) in dBFS: about as loud as speech on a telephone line.
pub const MELODY_DBFS: f64 = -20.0;

/// Length of the melody: it loops without a seam.
pub const MELODY_MS: u32 = BARS.len() as u32 * BEATS_PER_BAR * BEAT_MS;

const BEAT_MS: u32 = 500;
const BEATS_PER_BAR: u32 = 4;

/// A chord that is held for a bar, four notes that are plucked one a beat, and a melody: (beat, beats, note).
struct Bar {
    chord: [u8; 3],
    plucked: [u8; 4],
    melody: &'static [(f64, f64, u8)],
}

/// Eight bars in E flat major, as MIDI notes (69 is A, 440 Hz). The key has no A: no note is near a ringing tone's 425,
/// 440 or 450 Hz.
const BARS: [Bar; 8] = [
    Bar { chord: [51, 58, 63], plucked: [67, 70, 75, 70], melody: &[(0.0, 2.0, 79), (2.0, 1.0, 77), (3.0, 1.0, 75)] },
    Bar { chord: [48, 55, 63], plucked: [67, 72, 75, 72], melody: &[(0.0, 3.0, 74), (3.0, 1.0, 75)] },
    Bar { chord: [56, 60, 63], plucked: [68, 72, 75, 72], melody: &[(0.0, 1.5, 72), (1.5, 0.5, 75), (2.0, 2.0, 80)] },
    Bar { chord: [58, 62, 65], plucked: [70, 74, 77, 74], melody: &[(0.0, 2.0, 77), (2.5, 0.5, 74), (3.0, 1.0, 77)] },
    Bar { chord: [55, 58, 63], plucked: [75, 70, 67, 70], melody: &[(0.0, 1.0, 79), (1.0, 1.0, 82), (2.0, 2.0, 79)] },
    Bar { chord: [53, 60, 68], plucked: [72, 68, 65, 68], melody: &[(0.0, 2.5, 80), (2.5, 0.5, 79), (3.0, 1.0, 77)] },
    Bar { chord: [58, 62, 68], plucked: [74, 70, 68, 65], melody: &[(0.0, 1.0, 74), (1.0, 1.0, 77), (2.0, 2.0, 80)] },
    Bar { chord: [51, 55, 58], plucked: [67, 63, 70, 65], melody: &[(0.0, 3.0, 75), (3.0, 1.0, 70)] },
];

/// Relative amplitude of the voices, and how fast a note of each fades (a second).
const CHORD: (f64, f64) = (0.30, 0.4);
const PLUCKED: (f64, f64) = (0.45, 3.5);
const MELODY: (f64, f64) = (1.0, 1.6);

/// The hold melody: 16 s at 8000 samples a second, level [`MELODY_DBFS`].
#[must_use]
pub fn hold_melody() -> Audio {
    let mut mix = vec![0.0; (TELEPHONE_RATE / 1000 * MELODY_MS) as usize];
    for (bar_index, bar) in BARS.iter().enumerate() {
        let bar_start = f64::from(bar_index as u32 * BEATS_PER_BAR);
        for note in bar.chord {
            add_note(&mut mix, bar_start, f64::from(BEATS_PER_BAR), note, CHORD);
        }
        for (beat, note) in bar.plucked.into_iter().enumerate() {
            add_note(&mut mix, bar_start + beat as f64, 1.0, note, PLUCKED);
        }
        for &(beat, beats, note) in bar.melody {
            add_note(&mut mix, bar_start + beat, beats, note, MELODY);
        }
    }
    let power = mix.iter().map(|x| x * x).sum::<f64>() / mix.len() as f64;
    let gain = 32768.0 * 10_f64.powf(MELODY_DBFS / 20.0) / power.sqrt();
    // A cast from a float saturates; the test below holds that nothing comes near.
    Audio::telephone(mix.into_iter().map(|x| (gain * x).round() as i16).collect())
}

/// Adds a soft tone. It rings on after its length, and past the end of the mix into its beginning: the loop has no seam.
fn add_note(mix: &mut [f64], beat: f64, beats: f64, note: u8, (amplitude, decay_per_s): (f64, f64)) {
    const ATTACK_S: f64 = 0.03;
    const RELEASE_S: f64 = 0.35;
    let rate = f64::from(TELEPHONE_RATE);
    let beat_s = f64::from(BEAT_MS) / 1000.0;
    let start = (beat * beat_s * rate).round() as usize;
    let held_s = beats * beat_s;
    let hz = 440.0 * 2_f64.powf((f64::from(note) - 69.0) / 12.0);
    for n in 0..((held_s + RELEASE_S) * rate) as usize {
        let t = n as f64 / rate;
        let attack = (t / ATTACK_S).min(1.0);
        let release = (1.0 - (t - held_s) / RELEASE_S).clamp(0.0, 1.0);
        let envelope = smooth(attack) * smooth(release) * (-decay_per_s * t).exp();
        let phase = TAU * hz * t;
        // A few overtones that fade: between a flute and a bell.
        let colour =
            phase.sin() + 0.30 * (-2.0 * t).exp() * (2.0 * phase).sin() + 0.10 * (-5.0 * t).exp() * (3.0 * phase).sin();
        let at = (start + n) % mix.len();
        mix[at] += amplitude * envelope * colour;
    }
}

/// 0 to 1 without corners.
fn smooth(x: f64) -> f64 {
    x * x * (3.0 - 2.0 * x)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::{find, rms_dbfs};

    #[test]
    fn it_has_the_documented_length_and_level() {
        let audio = hold_melody();
        assert_eq!(audio.samples.len(), 16 * 8000);
        assert!((rms_dbfs(&audio.samples) - MELODY_DBFS).abs() < 0.1);
        let peak = audio.samples.iter().map(|sample| sample.unsigned_abs()).max();
        assert!(peak < Some(20_000), "the peak of {peak:?} leaves room");
    }

    #[test]
    fn it_never_falls_silent_and_its_loudness_is_even() {
        for (index, second) in hold_melody().samples.chunks(4000).enumerate() {
            let level = rms_dbfs(second);
            assert!((-28.0..-14.0).contains(&level), "half second {index}: {level} dBFS");
        }
    }

    #[test]
    fn the_loop_has_no_seam() {
        let samples = hold_melody().samples;
        let step = |a: i16, b: i16| (i32::from(a) - i32::from(b)).abs();
        let largest = samples.windows(2).map(|pair| step(pair[0], pair[1])).max().expect("samples");
        let seam = step(samples[0], samples[samples.len() - 1]);
        assert!(seam <= largest / 2, "step of {seam} at the seam, elsewhere up to {largest}");
    }

    #[test]
    fn every_part_of_it_can_be_told_from_every_other() {
        let samples = hold_melody().samples;
        for start in (0..samples.len() - 8000).step_by(4000) {
            let found = find(&samples[start..start + 8000], &samples).expect("audible");
            assert_eq!(found.offset, start);
        }
    }
}
