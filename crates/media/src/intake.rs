//! The source's audio as samples for the encoder.

use core::convert::Infallible;

use patchcord_codec::{Codec, DecodeError, Decoder, Resampler};

use crate::CannotTranscode;

/// Decodes one format of the source, at the rate at which it is encoded.
#[derive(Debug)]
pub(crate) struct Intake {
    decoder: Decoder,
    /// None if nothing is to be done.
    resampler: Option<Resampler>,
    decoded: Vec<i16>,
}

/// The sample rate at which to encode to one codec what comes from another, so that no band is lost and, where Opus is one of them,
/// nothing need be resampled.
pub(crate) fn encoder_rate(from: &Codec, to: &Codec) -> u32 {
    let sent = match from {
        Codec::Opus(parameters) => parameters.capture_rate_max,
        _ => from.sample_rate_for(0),
    };
    let wanted = match (from, to) {
        (Codec::Opus(_), Codec::Opus(parameters)) => sent.min(parameters.playback_rate_max),
        _ => sent,
    };
    to.sample_rate_for(wanted)
}

impl Intake {
    pub(crate) fn new(codec: Codec, encoder_rate: u32) -> Result<Self, CannotTranscode> {
        let rate = codec.sample_rate_for(encoder_rate);
        let decoder = Decoder::new(codec, rate)?;
        let resampler = if rate == encoder_rate { None } else { Some(Resampler::new(rate, encoder_rate)?) };
        Ok(Self { decoder, resampler, decoded: Vec::new() })
    }

    pub(crate) const fn codec(&self) -> &Codec {
        self.decoder.codec()
    }

    /// Whether a lost packet can be made from `next`.
    pub(crate) fn has_fec(&self, next: &[u8]) -> bool {
        self.decoder.has_fec(next)
    }

    /// Appends the samples of a payload; gives the timestamp units of the source that it plays.
    pub(crate) fn decode(&mut self, payload: &[u8], out: &mut Vec<i16>) -> Result<i64, DecodeError> {
        self.append(out, |decoder, samples| decoder.decode(payload, samples))
    }

    /// Appends what stands for `units` of the source's timestamp that are lost, from the forward error correction of the payload
    /// after them if it has some. Gives the units that were filled: not quite all, if there is no sample for each.
    pub(crate) fn conceal(&mut self, units: i64, next: Option<&[u8]>, out: &mut Vec<i16>) -> i64 {
        let units = u64::try_from(units).unwrap_or(0);
        let lost = self.decoder.codec().samples(units, self.decoder.sample_rate());
        let lost = usize::try_from(lost).unwrap_or(0);
        let Ok(filled) = self.append(out, |decoder, samples| {
            match next {
                Some(next) => decoder.recover(next, lost, samples),
                None => decoder.conceal(lost, samples),
            }
            Ok::<_, Infallible>(())
        });
        filled
    }

    /// Has the decoder append samples, and brings them to the rate of the encoder; gives the timestamp units of the source that they play.
    fn append<E>(
        &mut self,
        out: &mut Vec<i16>,
        decode: impl FnOnce(&mut Decoder, &mut Vec<i16>) -> Result<(), E>,
    ) -> Result<i64, E> {
        let samples = match &mut self.resampler {
            None => {
                let before = out.len();
                decode(&mut self.decoder, out)?;
                out.len() - before
            }
            Some(resampler) => {
                self.decoded.clear();
                decode(&mut self.decoder, &mut self.decoded)?;
                resampler.process(&self.decoded, out);
                self.decoded.len()
            }
        };
        let units = self.decoder.codec().timestamp_units(samples as u64, self.decoder.sample_rate());
        Ok(i64::try_from(units).unwrap_or(0))
    }

    /// What follows does not follow from what was.
    pub(crate) fn cut(&mut self) {
        if let Some(resampler) = &mut self.resampler {
            resampler.reset();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use patchcord_codec::Law;

    #[test]
    fn nothing_is_resampled_that_opus_can_do_by_itself() {
        let opus = |fmtp| Codec::of("opus", 48_000, 2, Some(fmtp)).expect("opus");
        let (pcmu, l16) = (Codec::G711(Law::Mu), |sample_rate| Codec::L16 { sample_rate });
        for (from, to, encoder, resampled) in [
            (opus(""), pcmu, 8000, false),
            (pcmu, opus(""), 8000, false),
            (Codec::G722, opus(""), 16_000, false),
            (Codec::G722, opus("maxplaybackrate=8000"), 16_000, false),
            (opus(""), Codec::G722, 16_000, false),
            (opus("sprop-maxcapturerate=16000"), l16(48_000), 48_000, false),
            (opus(""), opus("maxplaybackrate=16000"), 16_000, false),
            (opus(""), l16(11_025), 11_025, true),
            (l16(44_100), opus(""), 48_000, true),
            (Codec::G722, pcmu, 8000, true),
            (pcmu, Codec::G722, 16_000, true),
        ] {
            let rate = encoder_rate(&from, &to);
            let intake = Intake::new(from, rate).expect("rates");
            assert_eq!((rate, intake.resampler.is_some()), (encoder, resampled), "{from:?} to {to:?}");
        }
    }
}
