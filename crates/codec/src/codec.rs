//! What can be transcoded, as SDP names it.

mod opus_parameters;
mod packet_time;

use crate::audio::TELEPHONE_RATE;
use crate::g711::Law;
pub use opus_parameters::{OPUS_BITRATES, OpusParameters};
pub use packet_time::{PTIME_MS, PTIME_USUAL_MS, sent_ms};

/// The longest packet of every codec but Opus, in milliseconds (RFC 3551 4.2: a receiver should take up to 200 ms).
pub const PACKET_MAX_MS: u32 = 200;
/// The longest packet of Opus, in milliseconds (RFC 6716 3.2.5, R5).
pub const OPUS_PACKET_MAX_MS: u32 = 120;

/// RTP timestamp units of Opus a second, at whatever rate it was encoded (RFC 7587 4.1).
const OPUS_CLOCK_RATE: u32 = 48_000;
/// The rates at which libopus takes and gives samples (RFC 6716 2): an Opus stream of any bandwidth is decoded straight
/// at the rate that is wanted.
const OPUS_SAMPLE_RATES: [u32; 5] = [8000, 12_000, 16_000, 24_000, 48_000];
const G722_SAMPLE_RATE: u32 = 16_000;
/// Rates that RFC 3551 4.5.11 and table 4 have for L16, and those of telephones.
const L16_SAMPLE_RATES: [u32; 8] = [8000, 11_025, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000];

/// A codec with what its stream needs to be decoded and encoded. Everything is mono but the packets of Opus, which are
/// mixed down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Codec {
    /// ITU-T G.711 (RFC 3551 4.5.14).
    G711(Law),
    /// ITU-T G.722 at 64 kbit/s (RFC 3551 4.5.2).
    G722,
    /// Linear samples of 16 bits in network order (RFC 3551 4.5.11).
    L16 {
        /// Samples, and RTP timestamp units, a second.
        sample_rate: u32,
    },
    /// Opus (RFC 7587).
    Opus(OpusParameters),
}

/// Why a codec of SDP cannot be transcoded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UnsupportedCodec {
    /// No encoder and decoder of this name.
    #[error("{0:?} cannot be transcoded: offer PCMU, PCMA, G722, L16 or opus")]
    Encoding(String),
    /// A clock rate that the codec does not have.
    #[error("{encoding} at {clock_rate} Hz cannot be transcoded: its clock rate is {}", list(known))]
    ClockRate {
        /// The codec's name.
        encoding: &'static str,
        /// What was given.
        clock_rate: u32,
        /// What it can be.
        known: &'static [u32],
    },
    /// More channels than can be transcoded.
    #[error("{encoding} of {channels} channels cannot be transcoded: offer it with {expected}")]
    Channels {
        /// The codec's name.
        encoding: &'static str,
        /// What was given.
        channels: u8,
        /// What it must be.
        expected: u8,
    },
}

/// The sample rate is none at which a codec is decoded or encoded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{encoding} has no samples at {sample_rate} Hz: decode and encode at {}, and resample", list(known))]
pub struct UnsupportedRate {
    /// The codec's name.
    pub encoding: &'static str,
    /// What was given.
    pub sample_rate: u32,
    /// What it can be.
    pub known: Vec<u32>,
}

impl Codec {
    /// The codec of SDP's `a=rtpmap:N ENCODING/CLOCK_RATE/CHANNELS` and `a=fmtp:N FMTP`, the encoding in any case.
    /// What is unknown or out of range in the parameters is passed over (RFC 7587 7).
    ///
    /// # Errors
    /// It cannot be transcoded.
    pub fn of(encoding: &str, clock_rate: u32, channels: u8, fmtp: Option<&str>) -> Result<Self, UnsupportedCodec> {
        let is = |name: &str| encoding.eq_ignore_ascii_case(name);
        let (codec, known): (_, &'static [u32]) = if let Some(law) = Law::from_encoding(encoding) {
            (Self::G711(law), &[TELEPHONE_RATE])
        } else if is("G722") {
            // The rate is wrong for ever, and on purpose: RFC 3551 4.5.2.
            (Self::G722, &[TELEPHONE_RATE])
        } else if is("L16") {
            (Self::L16 { sample_rate: clock_rate }, &L16_SAMPLE_RATES)
        } else if is("opus") {
            (Self::Opus(OpusParameters::parse(fmtp.unwrap_or_default())), &[OPUS_CLOCK_RATE])
        } else {
            return Err(UnsupportedCodec::Encoding(encoding.to_owned()));
        };
        let encoding = codec.encoding();
        if !known.contains(&clock_rate) {
            return Err(UnsupportedCodec::ClockRate { encoding, clock_rate, known });
        }
        if channels != codec.channels() {
            return Err(UnsupportedCodec::Channels { encoding, channels, expected: codec.channels() });
        }
        Ok(codec)
    }

    /// The encoding name of SDP's rtpmap.
    #[must_use]
    pub const fn encoding(&self) -> &'static str {
        match self {
            Self::G711(law) => law.encoding(),
            Self::G722 => "G722",
            Self::L16 { .. } => "L16",
            Self::Opus(_) => "opus",
        }
    }

    /// RTP timestamp units a second.
    #[must_use]
    pub const fn clock_rate(&self) -> u32 {
        match self {
            // RFC 3551 4.5.2: 8000, though there are 16000 samples.
            Self::G711(_) | Self::G722 => TELEPHONE_RATE,
            Self::L16 { sample_rate } => *sample_rate,
            Self::Opus(_) => OPUS_CLOCK_RATE,
        }
    }

    /// The channels of SDP's rtpmap; Opus always says 2 (RFC 7587 7).
    #[must_use]
    pub const fn channels(&self) -> u8 {
        match self {
            Self::Opus(_) => 2,
            Self::G711(_) | Self::G722 | Self::L16 { .. } => 1,
        }
    }

    /// The sample rates at which it is decoded and encoded without resampling, in rising order.
    #[must_use]
    pub const fn sample_rates(&self) -> &[u32] {
        match self {
            Self::G711(_) => &[TELEPHONE_RATE],
            Self::G722 => &[G722_SAMPLE_RATE],
            Self::L16 { sample_rate } => core::slice::from_ref(sample_rate),
            Self::Opus(_) => &OPUS_SAMPLE_RATES,
        }
    }

    /// The one of [`Self::sample_rates`] at which to decode what is wanted at `wanted` samples a second: the same, or
    /// the next above it, or else the highest.
    #[must_use]
    pub fn sample_rate_for(&self, wanted: u32) -> u32 {
        let rates = self.sample_rates();
        rates.iter().copied().find(|&rate| rate >= wanted).unwrap_or_else(|| rates[rates.len() - 1])
    }

    /// The longest packet, in milliseconds.
    #[must_use]
    pub const fn packet_max_ms(&self) -> u32 {
        match self {
            Self::Opus(_) => OPUS_PACKET_MAX_MS,
            Self::G711(_) | Self::G722 | Self::L16 { .. } => PACKET_MAX_MS,
        }
    }

    /// The RTP timestamp units that `samples` at `sample_rate` take, rounded down. Zero for a rate of zero.
    #[must_use]
    pub fn timestamp_units(&self, samples: u64, sample_rate: u32) -> u64 {
        scale(samples, self.clock_rate(), sample_rate)
    }

    /// The samples at `sample_rate` that `units` of the RTP timestamp take, rounded down.
    #[must_use]
    pub fn samples(&self, units: u64, sample_rate: u32) -> u64 {
        scale(units, sample_rate, self.clock_rate())
    }

    pub(crate) fn check_rate(&self, sample_rate: u32) -> Result<(), UnsupportedRate> {
        if self.sample_rates().contains(&sample_rate) {
            return Ok(());
        }
        Err(UnsupportedRate { encoding: self.encoding(), sample_rate, known: self.sample_rates().to_vec() })
    }
}

fn scale(count: u64, to: u32, from: u32) -> u64 {
    let scaled = u128::from(count) * u128::from(to) / u128::from(from).max(1);
    if from == 0 { 0 } else { u64::try_from(scaled).unwrap_or(u64::MAX) }
}

fn list(rates: &[u32]) -> String {
    let rates: Vec<String> = rates.iter().map(u32::to_string).collect();
    rates.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_sdp_are_understood_and_given_back() {
        for (encoding, clock_rate, channels, sample_rates) in [
            ("PCMU", 8000, 1, &[8000][..]),
            ("PCMA", 8000, 1, &[8000]),
            ("G722", 8000, 1, &[16_000]),
            ("L16", 44_100, 1, &[44_100]),
            ("opus", 48_000, 2, &[8000, 12_000, 16_000, 24_000, 48_000]),
        ] {
            let codec = Codec::of(&encoding.to_lowercase(), clock_rate, channels, None).expect(encoding);
            assert_eq!((codec.encoding(), codec.clock_rate(), codec.channels()), (encoding, clock_rate, channels));
            assert_eq!(codec.sample_rates(), sample_rates);
        }
    }

    #[test]
    fn what_cannot_be_transcoded_is_said() {
        for (encoding, clock_rate, channels, error) in [
            ("G729", 8000, 1, "\"G729\" cannot be transcoded: offer PCMU, PCMA, G722, L16 or opus"),
            ("H264", 90_000, 1, "\"H264\" cannot be transcoded: offer PCMU, PCMA, G722, L16 or opus"),
            ("PCMU", 16_000, 1, "PCMU at 16000 Hz cannot be transcoded: its clock rate is 8000"),
            ("G722", 16_000, 1, "G722 at 16000 Hz cannot be transcoded: its clock rate is 8000"),
            ("L16", 44_100, 2, "L16 of 2 channels cannot be transcoded: offer it with 1"),
            ("opus", 48_000, 1, "opus of 1 channels cannot be transcoded: offer it with 2"),
        ] {
            let refused = Codec::of(encoding, clock_rate, channels, None).expect_err(encoding);
            assert_eq!(refused.to_string(), error);
        }
        assert!(Codec::of("L16", 0, 1, None).is_err());
    }

    #[test]
    fn timestamps_go_by_the_clock_and_not_by_the_samples() {
        let opus = Codec::Opus(OpusParameters::default());
        assert_eq!(Codec::G722.timestamp_units(320, 16_000), 160);
        assert_eq!(Codec::G722.samples(160, 16_000), 320);
        assert_eq!((opus.timestamp_units(160, 8000), opus.samples(960, 16_000)), (960, 320));
        assert_eq!((opus.timestamp_units(u64::MAX, 8000), opus.timestamp_units(5, 0)), (u64::MAX, 0));
    }

    #[test]
    fn the_nearest_rate_loses_nothing() {
        let opus = Codec::Opus(OpusParameters::default());
        assert_eq!(
            [8000, 11_025, 32_000, 96_000].map(|rate| opus.sample_rate_for(rate)),
            [8000, 12_000, 48_000, 48_000]
        );
        assert_eq!(Codec::G722.sample_rate_for(8000), 16_000);
    }
}
