//! ITU-T G.722 at 64 kbit/s: 7 kHz of sound, at 16000 samples a second, in the bits of a telephone channel.
//!
//! A filter splits the sound at 4 kHz into two bands of half the rate. Each band is coded by an adaptive
//! differential coder: what a predictor expects is subtracted, and the rest is quantised by a step that
//! grows and shrinks with it, the lower band to six bits and the higher one to two. A byte is two samples. The words of
//! the comments are those of the recommendation's figures; all numbers are the integers of its section 6.

mod band;
mod qmf;

use band::{Band, High, Low};
use qmf::{Join, Split};

/// Encodes one stream.
#[derive(Clone, Debug, Default)]
pub struct Encoder {
    split: Split,
    low: Band<Low>,
    high: Band<High>,
}

impl Encoder {
    /// An encoder as reset by the recommendation.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends one byte for each two of `samples`; a last odd one is dropped.
    pub fn encode(&mut self, samples: &[i16], codes: &mut Vec<u8>) {
        codes.extend(samples.chunks_exact(2).map(|pair| {
            let (low, high) = self.split.apply(pair[0], pair[1]);
            // The higher band has the two first bits of the octet.
            self.high.encode(high) << 6 | self.low.encode(low)
        }));
    }
}

/// Decodes one stream.
#[derive(Clone, Debug, Default)]
pub struct Decoder {
    join: Join,
    low: Band<Low>,
    high: Band<High>,
}

impl Decoder {
    /// A decoder as reset by the recommendation.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends two samples for each of `codes`.
    pub fn decode(&mut self, codes: &[u8], samples: &mut Vec<i16>) {
        samples.extend(codes.iter().flat_map(|&code| {
            let low = self.low.decode(code & 0x3F);
            let high = self.high.decode(code >> 6);
            self.join.apply(low, high)
        }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::{find, tone_dbfs};
    use crate::tone::sine;

    fn through(samples: &[i16]) -> Vec<i16> {
        let (mut codes, mut heard) = (Vec::new(), Vec::new());
        Encoder::new().encode(samples, &mut codes);
        Decoder::new().decode(&codes, &mut heard);
        heard
    }

    #[test]
    fn tones_of_both_bands_come_through() {
        for hz in [300.0, 1000.0, 3400.0, 5000.0, 6500.0] {
            let heard = through(&sine(hz, -20.0, 500, 16_000).samples);
            let level = tone_dbfs(&heard[1600..], 16_000, hz);
            assert!((level + 20.0).abs() < 1.0, "{hz} Hz comes with {level} dBFS");
        }
    }

    #[test]
    fn both_filters_together_delay_by_22_samples() {
        let melody = crate::resample::resample(&crate::music::hold_melody(), 16_000).expect("rates").samples;
        let heard = through(&melody[..32_000]);
        let found = find(&heard[1000..9000], &melody[..32_000]).expect("audible");
        assert_eq!(found.offset, 1000 - 22);
        assert!(found.correlation > 0.99, "{found:?}");
    }

    #[test]
    fn extremes_and_noise_do_not_overflow() {
        // Overflow panics in this build.
        let mut state = 1_u32;
        let mut random = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 16) as u16
        };
        let square: Vec<i16> = (0..16_000).map(|n| if n / 20 % 2 == 0 { i16::MAX } else { i16::MIN }).collect();
        let noise: Vec<i16> = (0..16_000).map(|_| random() as i16).collect();
        for samples in [&square, &noise, &vec![i16::MIN; 16_000]] {
            assert_eq!(through(samples).len(), 16_000);
        }
        let codes: Vec<u8> = (0..32_000).map(|_| random() as u8).collect();
        let mut heard = Vec::new();
        Decoder::new().decode(&codes, &mut heard);
        assert_eq!(heard.len(), 64_000);
    }
}
