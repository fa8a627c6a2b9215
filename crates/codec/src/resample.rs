//! Changing the sample rate, by a windowed sinc in polyphase form.
//!
//! Each output sample is a weighted sum of the input samples around its place in time; the weights are a low-pass
//! filter below half of the smaller rate, so that nothing folds back. The places of the output samples between two
//! input samples repeat after `to / gcd(from, to)` outputs: that many rows of weights are computed once.
//!
//! [`resample`] converts a whole piece of audio by a long filter, [`Resampler`] a stream frame by frame by a shorter one.

mod filter;
mod stream;

use crate::audio::Audio;
use filter::{Filter, WHOLE};
pub use stream::Resampler;
use stream::Stream;

/// The sample rates that can be converted, in samples a second.
pub const RATES: core::ops::RangeInclusive<u32> = 4000..=192_000;

/// The sample rate cannot be converted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot resample from {from} to {to} samples a second: both must be in {} to {}", RATES.start(), RATES.end())]
pub struct ResampleError {
    /// The rate of the audio.
    pub from: u32,
    /// The rate asked for.
    pub to: u32,
}

impl ResampleError {
    /// # Errors
    /// One of the two rates is outside of [`RATES`].
    fn check(from: u32, to: u32) -> Result<(), Self> {
        if RATES.contains(&from) && RATES.contains(&to) { Ok(()) } else { Err(Self { from, to }) }
    }
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
    let filter = Filter::new(from, to, &WHOLE)?;
    // As much silence is left out before the audio as is needed after it: nothing is shifted in time.
    let reach = filter.reach();
    let mut stream = Stream::new(filter, reach - 1);
    let len = (audio.samples.len() as u64 * u64::from(to)).div_ceil(u64::from(from)) as usize;
    let mut samples = Vec::with_capacity(len + reach);
    stream.convert(&audio.samples, &mut samples);
    stream.convert(&vec![0; reach], &mut samples);
    samples.truncate(len);
    Ok(Audio { samples, sample_rate: to })
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
