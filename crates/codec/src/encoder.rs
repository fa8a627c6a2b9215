//! Encoding one stream, packet by packet.

use crate::codec::Codec;
use crate::decoder::NewStreamError;
use crate::g711::Law;
use crate::g722;
use crate::opus_stream::{OpusEncoder, OpusFault};

/// The longest payload of Opus, in bytes (RFC 6716 3.4, R2: a frame has at most 1275): a longer packet of several frames
/// is encoded at a lower bit rate, so that a datagram takes it.
pub const OPUS_PAYLOAD_MAX: usize = 1275;

/// How a stream is encoded, beside what the other party's SDP asks for. Only Opus has choices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EncoderOptions {
    /// Bits a second, 6000 to 510000; none takes what RFC 7587 3.1.1 recommends for speech of the sample rate. Never more
    /// than the other party takes.
    pub bitrate: Option<u32>,
    /// Effort, 0 to 10: more of it takes more time, and sounds a little better.
    pub complexity: u8,
    /// The part of packets that is expected to be lost, in percent: how much is spent on forward error correction, if
    /// the other party makes use of that.
    pub expected_loss_percent: u8,
}

impl Default for EncoderOptions {
    fn default() -> Self {
        Self { bitrate: None, complexity: 5, expected_loss_percent: 5 }
    }
}

/// Why samples were not encoded. Nothing was appended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// The samples are no whole frame.
    #[error("{samples} samples at {sample_rate} Hz are no frame of {encoding}: give {}", legal(encoding))]
    FrameLength {
        /// The codec's name.
        encoding: &'static str,
        /// What was given.
        samples: usize,
        /// Samples a second.
        sample_rate: u32,
    },
    /// libopus failed.
    #[error("libopus does not encode: {0}")]
    Opus(OpusFault),
}

fn legal(encoding: &str) -> &'static str {
    match encoding {
        "opus" => "2.5, 5, 10, 20, 40, 60, 80, 100 or 120 ms",
        "G722" => "an even number, 200 ms at most",
        _ => "1 sample to 200 ms",
    }
}

/// Encodes one stream of mono samples. Once warmed up it allocates nothing.
#[derive(Debug)]
pub struct Encoder {
    codec: Codec,
    sample_rate: u32,
    state: State,
}

#[derive(Debug)]
enum State {
    G711(Law),
    G722(Box<g722::Encoder>),
    L16,
    Opus(OpusEncoder),
}

impl Encoder {
    /// An encoder of `sample_rate` samples a second, one of [`Codec::sample_rates`], for the party whose SDP gave
    /// `codec`.
    ///
    /// # Errors
    /// The sample rate is another.
    pub fn new(codec: Codec, sample_rate: u32, options: EncoderOptions) -> Result<Self, NewStreamError> {
        codec.check_rate(sample_rate)?;
        let state = match codec {
            Codec::G711(law) => State::G711(law),
            Codec::G722 => State::G722(Box::default()),
            Codec::L16 { .. } => State::L16,
            Codec::Opus(parameters) => {
                State::Opus(OpusEncoder::new(sample_rate, &parameters, options).map_err(NewStreamError::Opus)?)
            }
        };
        Ok(Self { codec, sample_rate, state })
    }

    /// Begins anew, as for another stream with the same options. Allocates nothing.
    pub fn reset(&mut self) {
        match &mut self.state {
            State::G711(_) | State::L16 => {}
            State::G722(encoder) => **encoder = g722::Encoder::new(),
            State::Opus(encoder) => encoder.reset(),
        }
    }

    /// What is encoded.
    #[must_use]
    pub const fn codec(&self) -> &Codec {
        &self.codec
    }

    /// Samples a second of what is encoded.
    #[must_use]
    pub const fn sample_rate(&self) -> u32 {
        self.sample_rate
    }

    /// Samples by which what is decoded lags behind what was encoded: a file leaves out as many at its beginning (the
    /// pre-skip of RFC 7845 4.2, which counts them at 48 kHz).
    #[must_use]
    pub const fn lag(&self) -> usize {
        match &self.state {
            State::Opus(encoder) => encoder.lag(),
            // The filters of both ends together, which split the band in two and join it again.
            State::G722(_) => 22,
            State::G711(_) | State::L16 => 0,
        }
    }

    /// Whether so many samples are a frame that can be encoded.
    #[must_use]
    pub fn takes(&self, samples: usize) -> bool {
        let samples_in = |tenths_of_ms: u32| (self.sample_rate * tenths_of_ms / 10_000) as usize;
        let any = (1..=samples_in(10 * self.codec.packet_max_ms())).contains(&samples);
        any && match self.state {
            State::G711(_) | State::L16 => true,
            State::G722(_) => samples.is_multiple_of(2),
            // RFC 6716 2.1.4 and 3.2.5: frames of 2.5 to 60 ms, packets of up to 120 ms.
            State::Opus(_) => {
                [25, 50, 100, 200, 400, 600, 800, 1000, 1200].iter().any(|&tenths| samples_in(tenths) == samples)
            }
        }
    }

    /// Appends the payload of one packet with `samples`. It is empty if there is silence and the other party would
    /// rather have nothing then (`usedtx` of Opus).
    ///
    /// # Errors
    /// The samples are not as many as [`Self::takes`]; nothing was appended.
    pub fn encode(&mut self, samples: &[i16], out: &mut Vec<u8>) -> Result<(), EncodeError> {
        if !self.takes(samples.len()) {
            let (encoding, sample_rate) = (self.codec.encoding(), self.sample_rate);
            return Err(EncodeError::FrameLength { encoding, samples: samples.len(), sample_rate });
        }
        match &mut self.state {
            State::G711(law) => out.extend(samples.iter().map(|&sample| law.encode_sample(sample))),
            State::G722(encoder) => encoder.encode(samples, out),
            State::L16 => out.extend(samples.iter().flat_map(|sample| sample.to_be_bytes())),
            State::Opus(encoder) => encoder.encode(samples, out).map_err(EncodeError::Opus)?,
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::OpusParameters;

    #[test]
    fn frames_of_illegal_length_are_refused_and_named() {
        let mut out = Vec::new();
        for (codec, rate, samples, error) in [
            (
                Codec::G722,
                16_000,
                321,
                "321 samples at 16000 Hz are no frame of G722: give an even number, 200 ms at most",
            ),
            (Codec::G711(Law::A), 8000, 0, "0 samples at 8000 Hz are no frame of PCMA: give 1 sample to 200 ms"),
            (
                Codec::Opus(OpusParameters::default()),
                8000,
                240,
                "240 samples at 8000 Hz are no frame of opus: give 2.5, 5, 10, 20, 40, 60, 80, 100 or 120 ms",
            ),
        ] {
            let mut encoder = Encoder::new(codec, rate, EncoderOptions::default()).expect("its rate");
            let refused = encoder.encode(&vec![0; samples], &mut out).expect_err("no frame");
            assert_eq!(refused.to_string(), error);
        }
        assert!(out.is_empty());
    }

    #[test]
    fn every_frame_that_is_taken_is_encoded() {
        for rate in [8000, 12_000, 16_000, 24_000, 48_000] {
            let codec = Codec::Opus(OpusParameters::default());
            let mut encoder = Encoder::new(codec, rate, EncoderOptions::default()).expect("its rate");
            let taken: Vec<usize> = (0..=6000).filter(|&samples| encoder.takes(samples)).collect();
            assert_eq!(taken.len(), 9, "at {rate}: {taken:?}");
            for samples in taken {
                let mut out = Vec::new();
                assert_eq!(encoder.encode(&vec![100; samples], &mut out), Ok(()));
                assert!(!out.is_empty());
            }
        }
    }

    #[test]
    fn linear_samples_are_sent_in_network_order() {
        let codec = Codec::L16 { sample_rate: 8000 };
        let mut encoder = Encoder::new(codec, 8000, EncoderOptions::default()).expect("its rate");
        let mut out = vec![9];
        assert_eq!(encoder.encode(&[0x1234, -2], &mut out), Ok(()));
        assert_eq!(out, [9, 0x12, 0x34, 0xFF, 0xFE]);
    }
}
