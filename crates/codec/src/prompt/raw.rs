//! Audio without a header.

use crate::audio::Audio;
use crate::g711::Law;
use crate::g722;
use crate::resample::RATES;
use crate::wav::DURATION_MAX;

/// What samples without a header are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Raw {
    /// G.711 at 8 kHz, a byte a sample.
    G711(Law),
    /// G.722 at 64 kbit/s, a byte for two samples at 16 kHz (RFC 3551 4.5.2).
    G722,
    /// Linear samples of 16 bits.
    Linear {
        /// Samples a second.
        sample_rate: u32,
        /// One or two, sample by sample in turn (RFC 3551 4.1).
        channels: u8,
        /// In network order, as `audio/L16` is.
        big_endian: bool,
    },
}

/// What is wrong with audio without a header.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum RawError {
    /// It ends within a sample.
    #[error("it ends within a sample of {0} bytes: it is something else than it is said to be, or cut off")]
    HalfSample(usize),
    /// The sample rate is none that can be resampled.
    #[error("{0} samples a second are not read: {min} to {max} are", min = RATES.start(), max = RATES.end())]
    SampleRate(u32),
    /// It plays too long.
    #[error("it plays {seconds:.0} s, more than the {max} s that are read: cut it", max = DURATION_MAX.as_secs())]
    TooLong {
        /// How long it plays.
        seconds: f64,
    },
}

impl Raw {
    const fn sample_rate(self) -> u32 {
        match self {
            Self::G711(_) => 8000,
            Self::G722 => 16_000,
            Self::Linear { sample_rate, .. } => sample_rate,
        }
    }

    /// Reads samples at their own rate, two channels mixed down.
    pub(super) fn read(self, bytes: &[u8]) -> Result<Audio, RawError> {
        let sample_rate = self.sample_rate();
        if !RATES.contains(&sample_rate) {
            return Err(RawError::SampleRate(sample_rate));
        }
        let samples = match self {
            Self::G711(_) => bytes.len(),
            Self::G722 => 2 * bytes.len(),
            Self::Linear { channels, .. } => {
                let len = 2 * usize::from(channels.max(1));
                if !bytes.len().is_multiple_of(len) {
                    return Err(RawError::HalfSample(len));
                }
                bytes.len() / len
            }
        };
        let seconds = samples as f64 / f64::from(sample_rate);
        if seconds > DURATION_MAX.as_secs_f64() {
            return Err(RawError::TooLong { seconds });
        }
        let samples = match self {
            Self::G711(law) => law.decode(bytes),
            Self::G722 => {
                let mut samples = Vec::with_capacity(samples);
                g722::Decoder::new().decode(bytes, &mut samples);
                samples
            }
            Self::Linear { channels, big_endian, .. } => {
                let channels = usize::from(channels.max(1));
                let read = if big_endian { i16::from_be_bytes } else { i16::from_le_bytes };
                let (pairs, _) = bytes.as_chunks();
                let mixed = |frame: &[[u8; 2]]| {
                    let sum: i32 = frame.iter().map(|&pair| i32::from(read(pair))).sum();
                    (sum / channels as i32) as i16
                };
                pairs.chunks_exact(channels).map(mixed).collect()
            }
        };
        Ok(Audio { samples, sample_rate })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_orders_of_bytes_and_two_channels() {
        let linear = |channels, big_endian| Raw::Linear { sample_rate: 8000, channels, big_endian };
        let bytes = [0x01, 0x00, 0xFF, 0xFE];
        assert_eq!(linear(1, true).read(&bytes).expect("L16").samples, [256, -2]);
        assert_eq!(linear(1, false).read(&bytes).expect("signed linear").samples, [1, -257]);
        assert_eq!(linear(2, true).read(&bytes).expect("two channels").samples, [127]);
        assert_eq!(linear(1, true).read(&bytes[..3]), Err(RawError::HalfSample(2)));
        assert_eq!(linear(2, true).read(&bytes[..2]), Err(RawError::HalfSample(4)));
    }

    #[test]
    fn each_law_is_its_own() {
        for law in Law::ALL {
            assert_eq!(Raw::G711(law).read(&[0x11, 0x92]).expect("two samples").samples, law.decode(&[0x11, 0x92]));
        }
        assert_eq!(Raw::G722.read(&[0; 80]).expect("10 ms").duration().as_millis(), 10);
    }

    #[test]
    fn no_more_than_ten_minutes_are_read() {
        let error = Raw::G711(Law::A).read(&vec![0; 8000 * 601]).expect_err("too long");
        assert_eq!(error.to_string(), "it plays 601 s, more than the 600 s that are read: cut it");
        let linear = Raw::Linear { sample_rate: 0, channels: 1, big_endian: true };
        assert_eq!(linear.read(&[0, 0]), Err(RawError::SampleRate(0)));
    }
}
