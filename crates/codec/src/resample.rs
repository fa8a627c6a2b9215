//! Changing the sample rate of a whole piece of audio, by a windowed sinc in polyphase form.
//!
//! Each output sample is a weighted sum of the input samples around its place in time; the weights are a low-pass
//! filter below half of the smaller rate, so that nothing folds back. The places of the output samples between two
//! input samples repeat after `to / gcd(from, to)` outputs: that many rows of weights are computed once.

use core::f64::consts::PI;

use crate::audio::Audio;

/// The sample rates that can be converted, in samples a second.
pub const RATES: core::ops::RangeInclusive<u32> = 4000..=192_000;

/// Zero crossings of the sinc on either side, counted at the smaller rate. With [`BETA`] the filter falls from
/// pass to stop within 0.08 of the smaller rate: at 8000 Hz from 3400 to 4000.
const ZERO_CROSSINGS: f64 = 32.0;
/// Shape of the Kaiser window: about 80 dB of rejection.
const BETA: f64 = 7.86;
/// The middle of the filter's edge, as a part of the smaller rate: 3700 at 8000 Hz, the end of the telephone band.
const CUTOFF: f64 = 0.4625;

/// The sample rate cannot be converted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot resample from {from} to {to} samples a second: both must be in {} to {}", RATES.start(), RATES.end())]
pub struct ResampleError {
    /// The rate of the audio.
    pub from: u32,
    /// The rate asked for.
    pub to: u32,
}

/// The same sound at `to` samples a second.
///
/// # Errors
/// One of the two rates is outside of [`RATES`].
pub fn resample(audio: &Audio, to: u32) -> Result<Audio, ResampleError> {
    let from = audio.sample_rate;
    if from == to {
        return Ok(audio.clone());
    }
    if !RATES.contains(&from) || !RATES.contains(&to) {
        return Err(ResampleError { from, to });
    }
    let filter = Filter::new(from, to);
    let len = (audio.samples.len() as u64 * u64::from(to)).div_ceil(u64::from(from)) as usize;
    let padded = filter.pad(&audio.samples);
    let mut samples = Vec::with_capacity(len);
    let (mut start, mut row) = (0, 0);
    for _ in 0..len {
        samples.push(filter.apply(row, &padded[start..]));
        row += filter.rows_per_output;
        start += row / filter.rows;
        row %= filter.rows;
    }
    Ok(Audio { samples, sample_rate: to })
}

struct Filter {
    /// Different places between two input samples.
    rows: usize,
    /// How far one output sample is from the next, in such places.
    rows_per_output: usize,
    /// Input samples on either side that matter.
    reach: usize,
    /// `rows` rows of `2 * reach` weights.
    weights: Vec<f32>,
}

impl Filter {
    fn new(from: u32, to: u32) -> Self {
        let common = gcd(from, to);
        let rows = (to / common) as usize;
        // In units of the input's sample period.
        let cutoff = CUTOFF * f64::from(from.min(to)) / f64::from(from);
        let half_width = ZERO_CROSSINGS * f64::from(from) / f64::from(from.min(to));
        let reach = half_width.ceil() as usize;
        let mut weights = Vec::with_capacity(rows * 2 * reach);
        for row in 0..rows {
            let place = row as f64 / rows as f64;
            let at = weights.len();
            weights.extend((0..2 * reach).map(|tap| {
                let distance = tap as f64 - (reach as f64 - 1.0) - place;
                (2.0 * cutoff * sinc(2.0 * cutoff * distance) * kaiser(distance / half_width)) as f32
            }));
            // Every row sums to one: a constant stays constant.
            let sum: f32 = weights[at..].iter().sum();
            weights[at..].iter_mut().for_each(|weight| *weight /= sum);
        }
        Self { rows, rows_per_output: (from / common) as usize, reach, weights }
    }

    /// The input with silence around it, so that each output sample finds all its neighbours.
    fn pad(&self, samples: &[i16]) -> Vec<f32> {
        let mut padded = vec![0.0; self.reach - 1];
        padded.extend(samples.iter().map(|&sample| f32::from(sample)));
        padded.resize(padded.len() + self.reach + 1, 0.0);
        padded
    }

    fn apply(&self, row: usize, around: &[f32]) -> i16 {
        let taps = 2 * self.reach;
        let sum: f32 = self.weights[row * taps..][..taps].iter().zip(around).map(|(weight, x)| weight * x).sum();
        // A cast from a float saturates.
        sum.round() as i16
    }
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

fn sinc(x: f64) -> f64 {
    if x.abs() < 1e-9 { 1.0 } else { (PI * x).sin() / (PI * x) }
}

/// The Kaiser window at `x` of -1 to 1.
fn kaiser(x: f64) -> f64 {
    if x.abs() >= 1.0 { 0.0 } else { bessel_i0(BETA * (1.0 - x * x).sqrt()) / bessel_i0(BETA) }
}

/// The modified Bessel function of order zero, by its power series.
fn bessel_i0(x: f64) -> f64 {
    let quarter = x * x / 4.0;
    let (mut term, mut sum, mut k) = (1.0, 1.0, 1.0);
    while term > sum * 1e-12 {
        term *= quarter / (k * k);
        sum += term;
        k += 1.0;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::{find, rms_dbfs, tone_dbfs};
    use crate::tone::sine;

    /// Level in dBFS of `hz` after conversion of a tone of -10 dBFS, away from the ends.
    fn level_after(from: u32, to: u32, hz: f64, heard_hz: f64) -> f64 {
        let out = resample(&sine(hz, -10.0, 1000, from), to).expect("rates in range");
        assert_eq!(out.samples.len(), to as usize, "one second stays one second");
        let middle = &out.samples[to as usize / 4..to as usize * 3 / 4];
        tone_dbfs(middle, to, heard_hz)
    }

    #[test]
    fn tones_of_the_telephone_band_keep_their_level() {
        for from in [11_025, 16_000, 22_050, 44_100, 48_000, 96_000] {
            for hz in [300.0, 1000.0, 3300.0] {
                let level = level_after(from, 8000, hz, hz);
                assert!((level + 10.0).abs() < 0.1, "{hz} Hz from {from}: {level} dBFS");
            }
        }
    }

    #[test]
    fn tones_above_the_band_do_not_fold_back() {
        for (from, hz) in [(16_000, 5000.0), (44_100, 7000.0), (48_000, 9000.0), (48_000, 20_000.0), (11_025, 4500.0)] {
            let out = resample(&sine(hz, -3.01, 1000, from), 8000).expect("rates in range");
            let level = rms_dbfs(&out.samples[2000..6000]);
            assert!(level < -70.0, "{hz} Hz from {from} is heard with {level} dBFS");
        }
    }

    #[test]
    fn a_lower_rate_is_brought_up_without_images() {
        let level = level_after(6000, 8000, 1000.0, 1000.0);
        assert!((level + 10.0).abs() < 0.1, "{level} dBFS");
        assert!(level_after(4000, 8000, 1000.0, 3000.0) < -70.0, "the image at 3000 Hz");
    }

    #[test]
    fn nothing_is_shifted_in_time() {
        let mut samples = vec![0; 48_000];
        samples[24_000] = 30_000;
        let out = resample(&Audio { samples, sample_rate: 48_000 }, 8000).expect("rates in range");
        let loudest = out.samples.iter().enumerate().max_by_key(|(_, sample)| sample.unsigned_abs());
        assert_eq!(loudest.map(|(at, _)| at), Some(4000));
    }

    #[test]
    fn there_and_back_is_the_same_sound() {
        let melody = crate::music::hold_melody();
        let part = Audio::telephone(melody.samples[..16_000].to_vec());
        let back = resample(&resample(&part, 44_100).expect("rates"), 8000).expect("rates");
        let found = find(&back.samples[1000..15_000], &part.samples).expect("audible");
        assert_eq!(found.offset, 1000);
        assert!(found.correlation > 0.999, "{found:?}");
    }

    #[test]
    fn rates_out_of_range_are_named() {
        let error = resample(&Audio { samples: vec![0; 10], sample_rate: 0 }, 8000).expect_err("no rate");
        assert_eq!(
            error.to_string(),
            "cannot resample from 0 to 8000 samples a second: both must be in 4000 to 192000"
        );
    }
}
