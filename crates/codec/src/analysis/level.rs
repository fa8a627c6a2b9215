//! Levels: of everything, and of one frequency.

use core::f64::consts::TAU;

/// The level of samples that are all zero, and of none.
pub const SILENCE_DBFS: f64 = -100.0;

/// RMS level in dB relative to full scale, ±32768; a sine at full scale has -3.01 dBFS. At least [`SILENCE_DBFS`].
#[must_use]
pub fn rms_dbfs(samples: &[i16]) -> f64 {
    let energy: i64 = samples.iter().map(|&sample| i64::from(sample) * i64::from(sample)).sum();
    power_dbfs(energy as f64 / samples.len().max(1) as f64)
}

/// RMS level in dBFS of the sine of `hz` within `samples`, by Goertzel's algorithm with a Hann window: frequencies more
/// than `2 * sample_rate / samples.len()` away do not count. At least [`SILENCE_DBFS`].
#[must_use]
pub fn tone_dbfs(samples: &[i16], sample_rate: u32, hz: f64) -> f64 {
    let len = samples.len() as f64;
    let coefficient = 2.0 * (TAU * hz / f64::from(sample_rate.max(1))).cos();
    let (mut last, mut before_last) = (0.0, 0.0);
    for (n, &sample) in samples.iter().enumerate() {
        let window = 1.0 - (TAU * (n as f64 + 0.5) / len).cos();
        let next = window * f64::from(sample) + coefficient * last - before_last;
        (before_last, last) = (last, next);
    }
    let squared = last * last + before_last * before_last - coefficient * last * before_last;
    // A sine of amplitude A gives (A * len / 2)^2 here and has a power of A^2 / 2.
    power_dbfs(squared * 2.0 / (len * len).max(1.0))
}

fn power_dbfs(power: f64) -> f64 {
    (10.0 * (power / (32768.0 * 32768.0)).log10()).max(SILENCE_DBFS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tone::sine;

    #[test]
    fn levels_of_known_signals() {
        assert_eq!(rms_dbfs(&[]), SILENCE_DBFS);
        assert_eq!(rms_dbfs(&[0; 100]), SILENCE_DBFS);
        assert_eq!(rms_dbfs(&[i16::MIN; 100]), 0.0);
        assert!((rms_dbfs(&sine(1000.0, -3.01, 100, 8000).samples) + 3.01).abs() < 0.01);
    }

    #[test]
    fn a_tone_is_found_at_its_frequency_only() {
        let samples = sine(425.0, -20.0, 500, 8000).samples;
        assert!((tone_dbfs(&samples, 8000, 425.0) + 20.0).abs() < 0.05);
        for hz in [0.0, 400.0, 440.0, 850.0, 3999.0] {
            let level = tone_dbfs(&samples, 8000, hz);
            assert!(level < -50.0, "{hz} Hz: {level} dBFS");
        }
        assert_eq!(tone_dbfs(&[], 8000, 425.0), SILENCE_DBFS);
        assert_eq!(tone_dbfs(&[0; 10], 0, 425.0), SILENCE_DBFS);
    }
}
