//! Decoding one stream, packet by packet.

use crate::codec::{Codec, UnsupportedRate};
use crate::concealment::Concealment;
use crate::g711::Law;
use crate::g722;
pub use crate::opus_stream::OpusFault;
use crate::opus_stream::{self, OpusDecoder};

/// Why a packet was not decoded. Nothing was appended; conceal it as if it were lost.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// It has no payload.
    #[error("the payload is empty")]
    Empty,
    /// It would play longer than any packet of its codec.
    #[error("the payload plays {ms} ms, more than the {max_ms} ms of any {encoding} packet")]
    TooLong {
        /// The codec's name.
        encoding: &'static str,
        /// How long it plays, rounded up.
        ms: u64,
        /// The longest that is decoded.
        max_ms: u32,
    },
    /// Half a sample.
    #[error("an L16 payload of {0} bytes ends within a sample")]
    HalfSample(usize),
    /// No Opus packet (RFC 6716 3.4).
    #[error("the payload is no Opus packet: {0}")]
    Opus(OpusFault),
}

/// Why there is no decoder or encoder.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NewStreamError {
    /// The codec has no samples at this rate.
    #[error(transparent)]
    Rate(#[from] UnsupportedRate),
    /// libopus refuses.
    #[error("libopus makes no stream: {0}")]
    Opus(OpusFault),
}

/// Decodes one stream to mono. Once warmed up it allocates nothing.
#[derive(Debug)]
pub struct Decoder {
    codec: Codec,
    sample_rate: u32,
    state: State,
}

#[derive(Debug)]
enum State {
    G711(Law, Concealment),
    G722(Box<g722::Decoder>, Concealment),
    L16(Concealment),
    Opus(OpusDecoder),
}

impl Decoder {
    /// A decoder of `codec` to `sample_rate` samples a second, one of [`Codec::sample_rates`].
    ///
    /// # Errors
    /// The sample rate is another.
    pub fn new(codec: Codec, sample_rate: u32) -> Result<Self, NewStreamError> {
        codec.check_rate(sample_rate)?;
        let concealment = || Concealment::new(sample_rate);
        let state = match codec {
            Codec::G711(law) => State::G711(law, concealment()),
            Codec::G722 => State::G722(Box::default(), concealment()),
            Codec::L16 { .. } => State::L16(concealment()),
            Codec::Opus(_) => State::Opus(OpusDecoder::new(sample_rate).map_err(NewStreamError::Opus)?),
        };
        Ok(Self { codec, sample_rate, state })
    }

    /// Begins anew, as for another stream of the same codec and rate. Allocates nothing.
    pub fn reset(&mut self) {
        match &mut self.state {
            State::G711(_, concealment) | State::L16(concealment) => concealment.reset(),
            State::G722(decoder, concealment) => {
                **decoder = g722::Decoder::new();
                concealment.reset();
            }
            State::Opus(decoder) => decoder.reset(),
        }
    }

    /// What is decoded.
    #[must_use]
    pub const fn codec(&self) -> &Codec {
        &self.codec
    }

    /// Samples a second of what is appended.
    #[must_use]
    pub const fn sample_rate(&self) -> u32 {
        self.sample_rate
    }

    /// The samples that a payload would be decoded to.
    ///
    /// # Errors
    /// It would not be decoded.
    pub fn samples_in(&self, payload: &[u8]) -> Result<usize, DecodeError> {
        if payload.is_empty() {
            return Err(DecodeError::Empty);
        }
        let samples = match &self.state {
            State::G711(..) => payload.len(),
            State::G722(..) => 2 * payload.len(),
            State::L16(_) if payload.len() % 2 == 1 => return Err(DecodeError::HalfSample(payload.len())),
            State::L16(_) => payload.len() / 2,
            State::Opus(decoder) => decoder.samples_in(payload).map_err(DecodeError::Opus)?,
        };
        let (encoding, max_ms) = (self.codec.encoding(), self.codec.packet_max_ms());
        let ms = (samples as u64 * 1000).div_ceil(u64::from(self.sample_rate));
        if ms > u64::from(max_ms) {
            return Err(DecodeError::TooLong { encoding, ms, max_ms });
        }
        Ok(samples)
    }

    /// Appends the samples of one packet.
    ///
    /// # Errors
    /// The payload is none of the codec's; nothing was appended.
    pub fn decode(&mut self, payload: &[u8], out: &mut Vec<i16>) -> Result<(), DecodeError> {
        let samples = self.samples_in(payload)?;
        let start = out.len();
        let concealment = match &mut self.state {
            State::G711(law, concealment) => {
                out.extend(payload.iter().map(|&code| law.decode_sample(code)));
                concealment
            }
            State::G722(decoder, concealment) => {
                decoder.decode(payload, out);
                concealment
            }
            State::L16(concealment) => {
                let (pairs, _) = payload.as_chunks();
                out.extend(pairs.iter().map(|&pair| i16::from_be_bytes(pair)));
                concealment
            }
            State::Opus(decoder) => return decoder.decode(payload, samples, out).map_err(DecodeError::Opus),
        };
        concealment.received(&mut out[start..]);
        Ok(())
    }

    /// Appends `samples` that stand for a lost packet; after about 60 ms of loss, silence.
    pub fn conceal(&mut self, samples: usize, out: &mut Vec<i16>) {
        match &mut self.state {
            State::G711(_, concealment) | State::G722(_, concealment) | State::L16(concealment) => {
                concealment.conceal(samples, out);
            }
            State::Opus(decoder) => decoder.conceal(samples, out),
        }
    }

    /// Appends `samples` that stand for a lost packet, when the packet after it is there: from the forward error
    /// correction in it, if it has some (RFC 6716 2.1.7), and else as [`Self::conceal`]. `next` is decoded afterwards.
    pub fn recover(&mut self, next: &[u8], samples: usize, out: &mut Vec<i16>) {
        match &mut self.state {
            State::Opus(decoder) if opus_stream::has_fec(next) => decoder.recover(next, samples, out),
            _ => self.conceal(samples, out),
        }
    }

    /// Whether `payload` has what [`Self::recover`] makes use of.
    #[must_use]
    pub fn has_fec(&self, payload: &[u8]) -> bool {
        matches!(self.state, State::Opus(_)) && opus_stream::has_fec(payload)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::{SILENCE_DBFS, rms_dbfs};
    use crate::codec::OpusParameters;

    #[test]
    fn linear_samples_are_in_network_order() {
        let mut decoder = Decoder::new(Codec::L16 { sample_rate: 16_000 }, 16_000).expect("its rate");
        let mut out = vec![7];
        assert_eq!(decoder.decode(&[0x12, 0x34, 0xFF, 0xFE], &mut out), Ok(()));
        assert_eq!(out, [7, 0x1234, -2]);
        assert_eq!(decoder.decode(&[1, 2, 3], &mut out), Err(DecodeError::HalfSample(3)));
    }

    #[test]
    fn what_is_too_long_or_empty_is_refused() {
        let mut decoder = Decoder::new(Codec::G722, 16_000).expect("its rate");
        let mut out = Vec::new();
        assert_eq!(decoder.decode(&[0; 1600], &mut out), Ok(()), "200 ms");
        out.clear();
        let error = decoder.decode(&[0; 1601], &mut out).expect_err("more");
        assert_eq!(error.to_string(), "the payload plays 201 ms, more than the 200 ms of any G722 packet");
        assert_eq!(decoder.decode(&[], &mut out), Err(DecodeError::Empty));
        assert!(out.is_empty());
    }

    #[test]
    fn a_rate_that_needs_resampling_is_refused() {
        let error = Decoder::new(Codec::G711(Law::A), 16_000).expect_err("no such samples");
        assert_eq!(error.to_string(), "PCMA has no samples at 16000 Hz: decode and encode at 8000, and resample");
        assert!(Decoder::new(Codec::Opus(OpusParameters::default()), 44_100).is_err());
    }

    #[test]
    fn a_long_loss_ends_in_silence_with_every_codec() {
        for codec in [
            Codec::G711(Law::Mu),
            Codec::G722,
            Codec::L16 { sample_rate: 44_100 },
            Codec::Opus(OpusParameters::default()),
        ] {
            let rate = codec.sample_rates()[0];
            let mut decoder = Decoder::new(codec, rate).expect("its rate");
            let mut out = Vec::new();
            decoder.conceal(7, &mut out);
            decoder.conceal(rate as usize, &mut out);
            assert_eq!(out.len(), 7 + rate as usize);
            assert_eq!(rms_dbfs(&out), SILENCE_DBFS, "nothing was heard before");
            decoder.recover(&[1, 2, 3], 77, &mut out);
            assert_eq!(out.len(), 84 + rate as usize);
        }
    }

    #[test]
    fn after_a_reset_nothing_is_left_of_the_stream_before() {
        for codec in [
            Codec::G711(Law::A),
            Codec::G722,
            Codec::L16 { sample_rate: 16_000 },
            Codec::Opus(OpusParameters::default()),
        ] {
            let rate = codec.sample_rates()[0];
            let frame = rate as usize / 50;
            let said: Vec<i16> = (0..20 * frame).map(|n| ((n * n) % 9001) as i16 - 4500).collect();
            let options = crate::EncoderOptions::default();
            let mut encoder = crate::Encoder::new(codec, rate, options).expect("its rate");
            let mut decoder = Decoder::new(codec, rate).expect("its rate");
            let mut once = || -> Vec<i16> {
                let mut heard = Vec::new();
                for (index, samples) in said.chunks_exact(frame).enumerate() {
                    let mut packet = Vec::new();
                    encoder.encode(samples, &mut packet).expect("a frame");
                    if index % 7 == 3 {
                        decoder.conceal(frame, &mut heard);
                    } else {
                        decoder.decode(&packet, &mut heard).expect("its packet");
                    }
                }
                // It ends within a loss.
                decoder.conceal(frame, &mut heard);
                encoder.reset();
                decoder.reset();
                heard
            };
            let first = once();
            assert_eq!(first, once(), "{codec:?}");
            assert!(rms_dbfs(&first) > -40.0, "{codec:?} is heard");
        }
    }

    #[test]
    fn streams_move_between_threads() {
        const fn is_send<T: Send>() {}
        is_send::<Decoder>();
        is_send::<crate::encoder::Encoder>();
    }
}
