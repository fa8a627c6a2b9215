//! A piece of audio in memory.

use core::time::Duration;

use crate::resample::{ResampleError, resample};

/// Samples a second of telephone speech, and so the RTP clock rate of G.711 (RFC 3551 4.5.14).
pub const TELEPHONE_RATE: u32 = 8000;

/// Mono audio of linear 16-bit samples.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Audio {
    /// The samples, full scale is ±32768.
    pub samples: Vec<i16>,
    /// Samples a second.
    pub sample_rate: u32,
}

impl Audio {
    /// Audio at 8000 samples a second.
    #[must_use]
    pub const fn telephone(samples: Vec<i16>) -> Self {
        Self { samples, sample_rate: TELEPHONE_RATE }
    }

    /// How long it plays; zero if the sample rate is zero.
    #[must_use]
    pub fn duration(&self) -> Duration {
        if self.sample_rate == 0 {
            return Duration::ZERO;
        }
        Duration::from_secs_f64(self.samples.len() as f64 / f64::from(self.sample_rate))
    }

    /// The same sound at 8000 samples a second.
    ///
    /// # Errors
    /// The sample rate is one that [`resample`] does not take.
    pub fn to_telephone(&self) -> Result<Self, ResampleError> {
        resample(self, TELEPHONE_RATE)
    }

    /// The same sound, rising from silence within `duration` at its beginning and falling to silence at its end, by a raised cosine. Of
    /// what is shorter than twice that, one half rises and the other falls.
    #[must_use]
    pub fn faded(mut self, duration: Duration) -> Self {
        let wanted = (duration.as_secs_f64() * f64::from(self.sample_rate)).round() as usize;
        let len = wanted.min(self.samples.len() / 2);
        let gain = |at: usize| 0.5 - 0.5 * (core::f64::consts::PI * (at as f64 + 0.5) / len as f64).cos();
        let quieter = |sample: &mut i16, at: usize| *sample = (f64::from(*sample) * gain(at)).round() as i16;
        for (at, sample) in self.samples.iter_mut().take(len).enumerate() {
            quieter(sample, at);
        }
        for (at, sample) in self.samples.iter_mut().rev().take(len).enumerate() {
            quieter(sample, at);
        }
        self
    }

    /// As many repetitions as fill `duration`, the last one cut: what a listener to looped audio hears. Audio without
    /// samples stays empty.
    #[must_use]
    pub fn looped(&self, duration: Duration) -> Self {
        let len = (duration.as_secs_f64() * f64::from(self.sample_rate)).round() as usize;
        Self { samples: self.samples.iter().copied().cycle().take(len).collect(), sample_rate: self.sample_rate }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn duration_follows_the_sample_rate() {
        assert_eq!(Audio::telephone(vec![0; 4000]).duration(), Duration::from_millis(500));
        assert_eq!(Audio { samples: vec![0; 4000], sample_rate: 0 }.duration(), Duration::ZERO);
    }

    #[test]
    fn a_fade_rises_and_falls_and_leaves_the_middle_alone() {
        let audio = Audio::telephone(vec![10_000; 8000]).faded(Duration::from_millis(100));
        assert!(audio.samples[0] < 10 && audio.samples[7999] < 10);
        assert!(audio.samples[..800].is_sorted() && audio.samples[7200..].iter().rev().is_sorted());
        assert!(audio.samples[800..7200].iter().all(|&sample| sample == 10_000));
        assert!(audio.samples[400].abs_diff(5000) < 50);
        let short = Audio::telephone(vec![10_000; 5]).faded(Duration::from_secs(5));
        assert_eq!((short.samples[2], short.samples[0]), (10_000, short.samples[4]));
        assert_eq!(Audio::telephone(Vec::new()).faded(Duration::from_secs(1)).samples, []);
        let same = Audio::telephone(vec![7; 10]);
        assert_eq!(same.clone().faded(Duration::ZERO), same);
    }

    #[test]
    fn looping_repeats_and_cuts() {
        let audio = Audio { samples: vec![1, 2, 3], sample_rate: 1000 };
        assert_eq!(audio.looped(Duration::from_millis(7)).samples, [1, 2, 3, 1, 2, 3, 1]);
        assert!(Audio::telephone(Vec::new()).looped(Duration::from_secs(1)).samples.is_empty());
    }
}
