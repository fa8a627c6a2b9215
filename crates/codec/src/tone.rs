//! Tones: sums of sines that go on and off in a cadence.

use core::f64::consts::TAU;

use crate::audio::{Audio, TELEPHONE_RATE};

/// How far 0 dBm0 lies below full scale: a sine that reaches the end of G.711's range has 3.17 (μ) or 3.14 dBm0 (A), and
/// a square wave 3.01 dB more; RFC 3389 section 3.1 has the same 6.18 dB.
pub const DBM0_BELOW_FULL_SCALE_DB: f64 = 6.18;

/// Level of a tone while it is on, in dBm0. E.180 recommends -10 ± 5 where the network feeds the tone in; what comes
/// out of a telephone beside speech of -20 is pleasant a little lower.
pub const TONE_DBM0: f64 = -16.0;

/// A burst of a tone rises and falls within this time, so that it does not click.
const RAMP_MS: u32 = 5;
/// Whole cadences are repeated until they fill whole frames of this length.
const FRAME_MS: u32 = 20;

/// A sum of sines with a cadence.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CadencedTone {
    /// Frequency in Hz and relative amplitude of each sine.
    pub partials: &'static [(f64, f64)],
    /// Milliseconds on, off, on, off, ...
    pub cadence_ms: &'static [u32],
}

impl CadencedTone {
    /// How long one cadence takes, in milliseconds.
    #[must_use]
    pub fn period_ms(&self) -> u32 {
        self.cadence_ms.iter().sum()
    }

    /// The tone at [`TONE_DBM0`] and 8000 samples a second: as few whole cadences as are a multiple of 20 ms, so that
    /// its frames can be repeated forever. It begins at zero and ends in silence.
    #[must_use]
    pub fn audio(&self) -> Audio {
        let mut samples = Vec::new();
        loop {
            for (index, &length_ms) in self.cadence_ms.iter().enumerate() {
                if index % 2 == 0 {
                    samples.extend(burst(self.partials, length_ms));
                } else {
                    samples.resize(samples.len() + samples_in(length_ms), 0);
                }
            }
            if samples.len() % samples_in(FRAME_MS) == 0 {
                return Audio::telephone(samples);
            }
        }
    }
}

/// A sine of `level_dbfs` (RMS; -3.01 is full scale), without ramps.
#[must_use]
pub fn sine(hz: f64, level_dbfs: f64, length_ms: u32, sample_rate: u32) -> Audio {
    let amplitude = 32768.0 * 10_f64.powf(level_dbfs / 20.0) * core::f64::consts::SQRT_2;
    let len = u64::from(sample_rate) * u64::from(length_ms) / 1000;
    let step = TAU * hz / f64::from(sample_rate);
    let samples = (0..len).map(|n| (amplitude * (step * n as f64).sin()).round() as i16).collect();
    Audio { samples, sample_rate }
}

/// One burst: the sines start at phase zero and are faded in and out.
fn burst(partials: &[(f64, f64)], length_ms: u32) -> impl Iterator<Item = i16> {
    let len = samples_in(length_ms);
    let power: f64 = partials.iter().map(|&(_, weight)| weight * weight / 2.0).sum();
    let rms = 32768.0 * 10_f64.powf((TONE_DBM0 - DBM0_BELOW_FULL_SCALE_DB) / 20.0);
    let gain = rms / power.sqrt();
    (0..len).map(move |n| {
        let sum: f64 =
            partials.iter().map(|&(hz, weight)| weight * (TAU * hz * n as f64 / f64::from(TELEPHONE_RATE)).sin()).sum();
        (gain * sum * ramp(n, len)).round() as i16
    })
}

/// Raised cosine at both ends of `len` samples, 1 between.
fn ramp(n: usize, len: usize) -> f64 {
    let from_end = n.min(len - 1 - n) as f64;
    let length = samples_in(RAMP_MS) as f64;
    if from_end >= length { 1.0 } else { 0.5 - 0.5 * (TAU / 2.0 * from_end / length).cos() }
}

const fn samples_in(ms: u32) -> usize {
    (TELEPHONE_RATE / 1000 * ms) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::{SILENCE_DBFS, rms_dbfs, tone_dbfs};
    use crate::country::Country;

    fn part(audio: &Audio, from_ms: u32, to_ms: u32) -> &[i16] {
        &audio.samples[samples_in(from_ms)..samples_in(to_ms)]
    }

    #[test]
    fn the_cadences_are_those_of_the_networks() {
        for (country, frequencies, cadence_ms) in [
            (Country::Us, vec![440.0, 480.0], vec![2000, 4000]),
            (Country::Uk, vec![400.0, 450.0], vec![400, 200, 400, 2000]),
            (Country::De, vec![425.0], vec![1000, 4000]),
            (Country::Fr, vec![440.0], vec![1500, 3500]),
        ] {
            let audio = country.ringback();
            assert_eq!(audio.samples.len(), samples_in(cadence_ms.iter().sum()), "{country}");
            let mut at_ms = 0;
            for (index, length_ms) in cadence_ms.into_iter().enumerate() {
                let end_ms = at_ms + length_ms;
                if index % 2 == 1 {
                    assert_eq!(rms_dbfs(part(&audio, at_ms, end_ms)), SILENCE_DBFS, "{country} is off at {at_ms} ms");
                } else {
                    let on = part(&audio, at_ms + 20, end_ms - 20);
                    let each = TONE_DBM0 - DBM0_BELOW_FULL_SCALE_DB - 10.0 * (frequencies.len() as f64).log10();
                    for &hz in &frequencies {
                        let level = tone_dbfs(on, 8000, hz);
                        assert!((level - each).abs() < 0.5, "{country}: {hz} Hz at {at_ms} ms has {level} dBFS");
                    }
                    assert!(tone_dbfs(on, 8000, 1000.0) < each - 30.0, "{country} has nothing at 1000 Hz");
                }
                at_ms = end_ms;
            }
        }
    }

    #[test]
    fn every_tone_of_every_country_loops_without_a_click() {
        for tone in Country::all().flat_map(|country| [country.ringback_tone(), country.busy_tone()]) {
            let audio = tone.audio();
            assert_eq!(audio.samples.len() % 160, 0, "{tone:?} fills whole frames");
            assert_eq!(audio.samples.len() % samples_in(tone.period_ms()), 0, "{tone:?} has whole cadences");
            assert_eq!((audio.samples.first(), audio.samples.last()), (Some(&0), Some(&0)));
            // A click is energy where the tone has none.
            for block in audio.samples.windows(400).step_by(80) {
                assert!(tone_dbfs(block, 8000, 2500.0) < -60.0, "{tone:?} clicks");
            }
        }
    }

    #[test]
    fn on_bursts_have_the_documented_level() {
        for country in Country::all() {
            let tone = country.ringback_tone();
            let on = tone.cadence_ms[0];
            let level = rms_dbfs(part(&tone.audio(), 20, on - 20)) + DBM0_BELOW_FULL_SCALE_DB;
            assert!((level - TONE_DBM0).abs() < 0.6, "{country}: {level} dBm0");
        }
    }

    #[test]
    fn busy_differs_from_ringback() {
        let busy = Country::Us.busy();
        assert!((tone_dbfs(part(&busy, 50, 450), 8000, 620.0) + 25.19).abs() < 0.5);
        assert_eq!(rms_dbfs(part(&busy, 500, 1000)), SILENCE_DBFS);
    }
}
