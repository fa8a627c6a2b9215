//! What is to be recorded, and how.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::names::{NameError, check_name};

/// Sample rates of WAV files.
const WAV_RATES: &[u32] = &[8000, 16_000, 24_000, 32_000, 44_100, 48_000];
/// Sample rates at which Opus is encoded (RFC 6716 2); what is decoded is at 48 kHz all the same.
const OPUS_RATES: &[u32] = &[8000, 12_000, 16_000, 24_000, 48_000];

/// Names a recording to a [`Writer`](crate::Writer). Chosen by who begins it, and never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordingId(pub u64);

/// The kind of a recording's files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// Linear samples of 16 bits, mono.
    Wav,
    /// Opus in Ogg (RFC 7845), mono.
    OggOpus,
    /// Parties' packets as they came, with IP and UDP headers that are made up (draft-ietf-opsawg-pcapng).
    Pcapng,
}

/// What goes into which file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layout {
    /// All parties in one file.
    Mixed,
    /// A file for each party, from its joining to its leaving.
    PerParty,
}

/// A recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spec {
    /// Where its files lie below the directory of recordings, without an extension: see [`check_name`]. If there is something of this
    /// name already, a number is appended.
    pub name: String,
    /// The kind of its files.
    pub format: Format,
    /// What goes into which file.
    pub layout: Layout,
    /// Samples a second of audio; none takes 16000 for WAV and 48000 for Opus.
    pub rate: Option<u32>,
    /// The name of the call.
    pub call: String,
    /// When it begins, in nanoseconds of the clock that packets are stamped with.
    pub at_ns: u64,
    /// The same moment as wall-clock time.
    pub started: SystemTime,
    /// Whatever else the metadata are to have.
    pub values: BTreeMap<String, String>,
}

/// A party that is recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrackSpec {
    /// Names it within the recording.
    pub number: u16,
    /// Its name.
    pub party: Arc<str>,
    /// What its payload types stand for.
    pub formats: Vec<TrackFormat>,
}

/// A payload type as SDP explains it: `a=rtpmap:N ENCODING/CLOCK_RATE/CHANNELS` and `a=fmtp:N FMTP`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrackFormat {
    /// The number, 0 to 127.
    pub payload_type: u8,
    /// The encoding's name, in any case.
    pub encoding: String,
    /// RTP timestamp units a second.
    pub clock_rate: u32,
    /// Channels.
    pub channels: u8,
    /// The encoding's parameters.
    pub fmtp: Option<String>,
}

/// Why there can be no such recording.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SpecError {
    /// Its name names no file within the directory.
    #[error(transparent)]
    Name(#[from] NameError),
    /// Its files have no such sample rate.
    #[error("{format} is not recorded at {rate} samples a second: give {}", list(known))]
    Rate {
        /// The kind of its files.
        format: Format,
        /// What was given.
        rate: u32,
        /// What it can be.
        known: &'static [u32],
    },
}

impl Format {
    /// The extension of its files.
    #[must_use]
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Wav => "wav",
            Self::OggOpus => "opus",
            Self::Pcapng => "pcapng",
        }
    }

    /// Whether files of this format have so many samples a second; none are its own choice.
    ///
    /// # Errors
    /// They have not.
    pub fn check_rate(self, rate: Option<u32>) -> Result<(), SpecError> {
        match rate {
            Some(rate) if self != Self::Pcapng && !self.rates().contains(&rate) => {
                Err(SpecError::Rate { format: self, rate, known: self.rates() })
            }
            _ => Ok(()),
        }
    }

    /// The sample rates that there are; none for packets.
    const fn rates(self) -> &'static [u32] {
        match self {
            Self::Wav => WAV_RATES,
            Self::OggOpus => OPUS_RATES,
            Self::Pcapng => &[],
        }
    }
}

impl core::fmt::Display for Format {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Wav => "WAV",
            Self::OggOpus => "Ogg/Opus",
            Self::Pcapng => "pcapng",
        })
    }
}

impl Spec {
    /// Whether it can be recorded, as far as that can be told without looking at files.
    ///
    /// # Errors
    /// It cannot.
    pub fn check(&self) -> Result<(), SpecError> {
        check_name(&self.name)?;
        self.format.check_rate(self.rate)
    }

    /// Samples a second. For packets, the places of metadata a second.
    pub(crate) fn sample_rate(&self) -> u32 {
        match self.format {
            Format::Wav => self.rate.unwrap_or(16_000),
            Format::OggOpus => self.rate.unwrap_or(48_000),
            Format::Pcapng => 1000,
        }
    }
}

impl core::fmt::Display for TrackFormat {
    /// As in an rtpmap: `0 PCMU/8000`.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{} {}/{}", self.payload_type, self.encoding, self.clock_rate)?;
        if self.channels > 1 { write!(f, "/{}", self.channels) } else { Ok(()) }
    }
}

fn list(rates: &[u32]) -> String {
    let rates: Vec<String> = rates.iter().map(u32::to_string).collect();
    rates.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_that_a_format_has_not_are_refused() {
        let spec = |format, rate| Spec {
            name: "a".to_owned(),
            format,
            layout: Layout::Mixed,
            rate,
            call: String::new(),
            at_ns: 0,
            started: SystemTime::UNIX_EPOCH,
            values: BTreeMap::new(),
        };
        assert_eq!(spec(Format::Wav, Some(44_100)).check(), Ok(()));
        assert_eq!(spec(Format::Pcapng, Some(1)).check(), Ok(()), "it has none");
        let error = spec(Format::OggOpus, Some(44_100)).check().expect_err("none of Opus");
        assert_eq!(
            error.to_string(),
            "Ogg/Opus is not recorded at 44100 samples a second: give 8000, 12000, 16000, 24000, 48000"
        );
        assert_eq!(
            (spec(Format::Wav, None).sample_rate(), spec(Format::OggOpus, None).sample_rate()),
            (16_000, 48_000)
        );
    }
}
