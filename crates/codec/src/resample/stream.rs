//! Converting a stream frame by frame.

use core::time::Duration;

use super::ResampleError;
use super::filter::{Filter, LIVE};

/// Converts one stream. Frames may be cut anywhere: what comes out is the same to the bit. After `n` samples in all,
/// `n * to / from` have come out, rounded up, so that equal frames of whole samples at both rates stay equal frames.
///
/// What comes out is [`Self::delay`] late: 24 samples of the smaller rate, 3 ms where that is 8000 Hz. From about 0.42 of
/// the smaller rate on, sound fades, and above half of it it is more than 60 dB down.
#[derive(Clone, Debug)]
pub struct Resampler {
    from: u32,
    to: u32,
    /// None if nothing is to be done.
    stream: Option<Stream>,
}

impl Resampler {
    /// From `from` to `to` samples a second. If they are the same, samples pass unchanged and without delay.
    ///
    /// # Errors
    /// One of the two rates is outside of [`RATES`](super::RATES).
    pub fn new(from: u32, to: u32) -> Result<Self, ResampleError> {
        ResampleError::check(from, to)?;
        let stream = if from == to {
            None
        } else {
            let filter = Filter::new(from, to, &LIVE)?;
            let past = 2 * filter.reach() - 1;
            Some(Stream::new(filter, past))
        };
        Ok(Self { from, to, stream })
    }

    /// Appends what `samples` give. Once it has seen the longest frame it allocates nothing.
    pub fn process(&mut self, samples: &[i16], out: &mut Vec<i16>) {
        match &mut self.stream {
            Some(stream) => stream.convert(samples, out),
            None => out.extend_from_slice(samples),
        }
    }

    /// Forgets the past: as if only silence had come so far.
    pub fn reset(&mut self) {
        if let Some(stream) = &mut self.stream {
            stream.reset(2 * stream.filter.reach() - 1);
        }
    }

    /// How much later a sound comes out than it went in.
    #[must_use]
    pub fn delay(&self) -> Duration {
        let samples = self.stream.as_ref().map_or(0, |stream| stream.filter.reach());
        Duration::from_secs_f64(samples as f64 / f64::from(self.from))
    }

    /// Samples a second that go in, and that come out.
    #[must_use]
    pub const fn rates(&self) -> (u32, u32) {
        (self.from, self.to)
    }
}

/// A filter on its way along the input.
#[derive(Clone, Debug)]
pub(super) struct Stream {
    filter: Filter,
    /// The input from the first sample on that the next output needs.
    input: Vec<f32>,
    /// Where the next output lies between two of them.
    row: usize,
}

impl Stream {
    /// `past` samples of silence come before the input.
    pub(super) fn new(filter: Filter, past: usize) -> Self {
        Self { filter, input: vec![0.0; past], row: 0 }
    }

    fn reset(&mut self, past: usize) {
        self.input.clear();
        self.input.resize(past, 0.0);
        self.row = 0;
    }

    pub(super) fn convert(&mut self, samples: &[i16], out: &mut Vec<i16>) {
        self.input.extend(samples.iter().map(|&sample| f32::from(sample)));
        let mut start = 0;
        while let Some(around) = self.input.get(start..).and_then(|rest| self.filter.around(rest)) {
            out.push(self.filter.apply(self.row, around));
            let (row, step) = self.filter.next(self.row);
            self.row = row;
            start += step;
        }
        // An output lies less than the filter's length after the one before it, and thus within the input.
        self.input.drain(..start);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::{find, rms_dbfs, tone_dbfs};
    use crate::audio::Audio;
    use crate::resample::resample;
    use crate::tone::sine;
    use proptest::prelude::*;

    const LIVE_RATES: [u32; 6] = [8000, 16_000, 24_000, 32_000, 44_100, 48_000];

    #[test]
    fn equal_frames_stay_equal_frames() {
        for from in LIVE_RATES {
            for to in LIVE_RATES {
                let mut resampler = Resampler::new(from, to).expect("rates in range");
                for _ in 0..5 {
                    let mut out = Vec::new();
                    resampler.process(&vec![1; from as usize / 50], &mut out);
                    assert_eq!(out.len(), to as usize / 50, "{from} to {to}");
                }
            }
        }
    }

    #[test]
    fn a_stream_sounds_as_the_whole_does_but_later() {
        let melody = crate::music::hold_melody().samples;
        for from in LIVE_RATES {
            let said = resample(&Audio::telephone(melody[..16_000].to_vec()), from).expect("rates").samples;
            for to in LIVE_RATES {
                let mut resampler = Resampler::new(from, to).expect("rates");
                let mut heard = Vec::new();
                resampler.process(&said, &mut heard);
                let whole = resample(&Audio { samples: said.clone(), sample_rate: from }, to).expect("rates").samples;
                let second = to as usize;
                let found = find(&heard[second / 2..second], &whole).expect("audible");
                let delay = (resampler.delay().as_secs_f64() * f64::from(to)).round() as usize;
                assert!(found.correlation > 0.99, "{from} to {to}: {found:?}");
                assert!((second / 2 - found.offset).abs_diff(delay) <= 1, "{from} to {to}: {found:?}, {delay} late");
                assert!(resampler.delay() < Duration::from_micros(3100), "{:?}", resampler.delay());
            }
        }
    }

    #[test]
    fn a_stream_keeps_the_telephone_band_and_lets_nothing_fold_back() {
        let level = |from: u32, to: u32, hz: f64| {
            let mut out = Vec::new();
            let mut resampler = Resampler::new(from, to).expect("rates");
            resampler.process(&sine(hz, -3.01, 1000, from).samples, &mut out);
            rms_dbfs(&out[to as usize / 4..])
        };
        for from in LIVE_RATES {
            for to in LIVE_RATES {
                for hz in [300.0, 1000.0, 3300.0] {
                    assert!((level(from, to, hz) + 3.01).abs() < 0.3, "{hz} Hz from {from} to {to}");
                }
                for above in [1.0, 1.05, 1.3, 1.9] {
                    let hz = above * f64::from(to) / 2.0;
                    if hz < f64::from(from) / 2.0 {
                        let level = level(from, to, hz) + 3.01;
                        assert!(level < -60.0, "{hz} Hz from {from} to {to} is heard with {level} dB");
                    }
                }
            }
        }
    }

    #[test]
    fn a_stream_brought_up_has_no_images() {
        for (from, to) in [(8000, 16_000), (8000, 48_000), (16_000, 44_100), (44_100, 48_000)] {
            let mut out = Vec::new();
            let hz = 0.3 * f64::from(from);
            Resampler::new(from, to).expect("rates").process(&sine(hz, -3.01, 1000, from).samples, &mut out);
            for image in [f64::from(from) - hz, f64::from(from) + hz] {
                if image < f64::from(to) / 2.0 {
                    let level = tone_dbfs(&out[to as usize / 4..], to, image) + 3.01;
                    assert!(level < -60.0, "{from} to {to}: {image} Hz with {level} dB");
                }
            }
        }
    }

    #[test]
    fn a_reset_stream_is_a_new_one() {
        let noise: Vec<i16> = (0..500_i16).map(|n| n.wrapping_mul(7919)).collect();
        let mut new = Resampler::new(44_100, 16_000).expect("rates");
        let mut used = new.clone();
        used.process(&noise[..333], &mut Vec::new());
        used.reset();
        let (mut expected, mut out) = (Vec::new(), Vec::new());
        new.process(&noise, &mut expected);
        used.process(&noise, &mut out);
        assert_eq!(out, expected);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, cases: 200, ..ProptestConfig::default() })]

        #[test]
        fn it_does_not_matter_how_a_stream_is_cut(
            samples in proptest::collection::vec(any::<i16>(), 0..2000),
            cuts in proptest::collection::vec(0_usize..2000, 0..20),
            from in proptest::sample::select(&[4000, 8000, 11_025, 16_000, 44_100, 48_000, 192_000][..]),
            to in proptest::sample::select(&[4000, 8000, 22_050, 24_000, 32_000, 44_100, 48_000, 192_000][..]),
        ) {
            let mut resampler = Resampler::new(from, to).expect("rates");
            let mut cut = resampler.clone();
            let (mut whole, mut parts) = (Vec::new(), Vec::new());
            resampler.process(&samples, &mut whole);
            let mut cuts: Vec<usize> = cuts.into_iter().map(|at| at.min(samples.len())).collect();
            cuts.sort_unstable();
            cuts.push(samples.len());
            let mut from_here = 0;
            for at in cuts {
                cut.process(&samples[from_here..at], &mut parts);
                from_here = at;
            }
            prop_assert_eq!(whole.len() as u64, (samples.len() as u64 * u64::from(to)).div_ceil(u64::from(from)));
            prop_assert_eq!(whole, parts);
        }
    }
}
