//! Named audio: encoded once in each codec, shared by every leg that plays it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use patchcord_codec::codec::Codec::{G711, G722, Opus};
use patchcord_codec::codec::OpusParameters;
use patchcord_codec::{Audio, Country, Law, encode_frames, music, wav};
use patchcord_relay::media::{Codec, Frames};
use thiserror::Error;

/// Milliseconds of audio in a packet: what every telephone takes (RFC 3551 4.2).
const PTIME_MS: u32 = 20;

/// The name of the audio that `hold` plays where it names none.
pub(crate) const HOLD: &str = "hold";
/// The name of packets that carry silence.
pub(crate) const SILENCE: &str = "silence";

/// Which audio there is.
#[derive(Clone, Debug, Default)]
pub struct AudioConfig {
    /// WAV file for `hold`; `None`: the built-in melody.
    pub hold: Option<PathBuf>,
    /// WAV files by the name that `play` and `hold` use.
    pub files: BTreeMap<String, PathBuf>,
}

/// A WAV file cannot be used.
#[derive(Debug, Error)]
pub enum AudioError {
    /// It cannot be read.
    #[error("audio {name:?} cannot be loaded: {source}; correct its path in `[audio]` or take it out")]
    Load {
        /// The name that stands for it.
        name: String,
        /// What is wrong with the file.
        source: wav::WavError,
    },
    /// It cannot be encoded.
    #[error("audio {name:?} cannot be encoded: {reason}")]
    Encode {
        /// The name that stands for it.
        name: String,
        /// Why.
        reason: String,
    },
}

/// A piece of audio, ready to be sent.
#[derive(Debug)]
pub(crate) struct Sound {
    /// `hold`, `busy`, `us`: without what it is used for.
    pub(crate) name: Box<str>,
    frames: [Frames; 4],
}

impl Sound {
    fn encode(name: &str, audio: &Audio) -> Result<Arc<Self>, AudioError> {
        let refused = |reason: String| AudioError::Encode { name: name.to_owned(), reason };
        let frames = |codec| {
            let encoded = encode_frames(audio, codec, PTIME_MS).map_err(|error| refused(error.to_string()))?;
            let (rate, ptime, len) = (encoded.clock_rate, encoded.ptime_ms, encoded.frame_len);
            Frames::new(encoded.encoding, rate, ptime, len, &encoded.bytes)
                .ok_or_else(|| refused("it has no whole frame".to_owned()))
        };
        let opus = Opus(OpusParameters::default());
        let frames = [frames(G711(Law::Mu))?, frames(G711(Law::A))?, frames(G722)?, frames(opus)?];
        Ok(Arc::new(Self { name: name.into(), frames }))
    }

    /// Audio of a WAV file.
    ///
    /// # Errors
    /// It cannot be read or encoded; a sentence says why.
    pub(crate) fn from_wav_file(path: &std::path::Path) -> Result<Arc<Self>, String> {
        let audio = wav::read_telephone(path).map_err(|error| error.to_string())?;
        Self::encode(&path.display().to_string(), &audio).map_err(|error| error.to_string())
    }

    /// Audio of a WAV file's bytes.
    ///
    /// # Errors
    /// They cannot be read or encoded; a sentence says why.
    pub(crate) fn from_wav_bytes(name: &str, bytes: &[u8]) -> Result<Arc<Self>, String> {
        let audio = wav::read_bytes(bytes).map_err(|error| error.to_string())?;
        let audio = audio.to_telephone().map_err(|error| error.to_string())?;
        Self::encode(name, &audio).map_err(|error| error.to_string())
    }

    /// How long it plays, milliseconds.
    pub(crate) fn duration_ms(&self) -> u64 {
        u64::from(PTIME_MS) * u64::from(self.frames[0].count())
    }

    /// The audio in the first format of `codecs` that it exists in.
    pub(crate) fn frames_for(&self, codecs: &[Codec]) -> Option<&Frames> {
        codecs.iter().find_map(|codec| self.frames.iter().find(|frames| frames.are_in(codec)))
    }
}

/// All audio that can be named.
#[derive(Debug)]
pub(crate) struct Library {
    named: BTreeMap<String, Arc<Sound>>,
    /// Filled as countries are asked for.
    ringback: Mutex<BTreeMap<Country, Arc<Sound>>>,
}

impl Library {
    /// Reads and encodes everything that has a name.
    pub(crate) fn load(config: &AudioConfig) -> Result<Self, AudioError> {
        let read = |name: &str, path: &PathBuf| {
            wav::read_telephone(path).map_err(|source| AudioError::Load { name: name.to_owned(), source })
        };
        let mut named = BTreeMap::new();
        let hold = config.hold.as_ref().map_or_else(|| Ok(music::hold_melody()), |path| read(HOLD, path))?;
        named.insert(HOLD.to_owned(), Sound::encode(HOLD, &hold)?);
        named.insert(SILENCE.to_owned(), Sound::encode(SILENCE, &Audio::telephone(vec![0; 8000]))?);
        for (name, path) in &config.files {
            named.insert(name.clone(), Sound::encode(name, &read(name, path)?)?);
        }
        Ok(Self { named, ringback: Mutex::default() })
    }

    /// The audio of that name.
    pub(crate) fn named(&self, name: &str) -> Option<&Arc<Sound>> {
        self.named.get(name)
    }

    /// All names, for the error that lists them.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.named.keys().map(String::as_str)
    }

    /// The ringing tone of a country.
    pub(crate) fn ringback(&self, country: Country) -> Result<Arc<Sound>, AudioError> {
        let mut known = self.ringback.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sound) = known.get(&country) {
            return Ok(Arc::clone(sound));
        }
        let sound = Sound::encode(country.code(), &country.ringback())?;
        known.insert(country, Arc::clone(&sound));
        Ok(sound)
    }
}

#[cfg(test)]
mod tests {
    use patchcord_relay::media::EncodingName;
    use patchcord_rtp::PayloadType;

    use super::*;

    fn codec(encoding: &str) -> Codec {
        let payload_type = PayloadType::new(8).expect("below 128");
        Codec {
            payload_type,
            encoding: EncodingName::new(encoding).expect("a short name"),
            clock_rate: 8000,
            channels: 1,
            fmtp: None,
        }
    }

    #[test]
    fn audio_comes_in_the_format_that_the_party_prefers() {
        let library = Library::load(&AudioConfig::default()).expect("the built-in audio can be encoded");
        let hold = library.named(HOLD).expect("it is built in");
        let frames = hold.frames_for(&[codec("G729"), codec("pcma"), codec("PCMU")]).expect("it has G.711");
        assert_eq!(frames.encoding(), "PCMA");
        assert!(hold.frames_for(&[codec("opus")]).is_none(), "RFC 7587 has it at 48 kHz, in two channels");
        let opus = Codec { clock_rate: 48_000, channels: 2, ..codec("opus") };
        assert_eq!(hold.frames_for(&[codec("G729"), opus]).expect("it has Opus").encoding(), "opus");
        assert_eq!(library.names().collect::<Vec<_>>(), [HOLD, SILENCE]);
    }

    #[test]
    fn a_missing_file_is_named() {
        let files = BTreeMap::from([("busy".to_owned(), PathBuf::from("/nonexistent.wav"))]);
        let error = Library::load(&AudioConfig { hold: None, files }).expect_err("there is no such file").to_string();
        assert!(error.contains("\"busy\"") && error.contains("/nonexistent.wav"), "{error}");
    }
}
