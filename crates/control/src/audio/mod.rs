//! Named audio: encoded once in each codec, shared by every leg that plays it.
//!
//! What the configuration names is there from the start and stays. What is uploaded, or fetched from a URL ([`fetch`]), is there until it
//! is deleted; a call that plays it then goes on with it.

pub(crate) mod fetch;
mod sound;
mod upload;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use patchcord_codec::{Audio, Country, music};
use thiserror::Error;
use tokio::sync::Semaphore;

use crate::api::{AudioSource, AudioState};
use crate::error::{ApiError, ErrorCode};
use crate::tls::tls_config;

pub(crate) use sound::{FADE_MS_MAX, Sound};
pub(crate) use upload::Upload;

/// The name of the audio that `hold` plays where it names none.
pub(crate) const HOLD: &str = "hold";
/// The name of packets that carry silence.
pub(crate) const SILENCE: &str = "silence";
/// The most audio that can be uploaded.
const UPLOADS_MAX: usize = 1000;
/// The longest name of an upload.
const NAME_LEN_MAX: usize = 64;
/// The most names that an error lists.
const NAMES_TOLD_MAX: usize = 32;

/// Which audio there is, and may come to be.
#[derive(Clone, Debug)]
pub struct AudioConfig {
    /// Files for `hold`, played one after the other; empty: the built-in melody.
    pub hold: Vec<PathBuf>,
    /// Files by the name that `play` and `hold` use: WAV, Ogg/Opus, or without a header, told by their extension.
    pub files: BTreeMap<String, PathBuf>,
    /// Milliseconds within which files of the configuration rise at their beginning and fall at their end; at most 5000.
    pub fade_ms: u16,
    /// MiB of memory that uploaded audio may take, encoded; 0: nothing can be uploaded.
    pub uploads_mib: u32,
    /// Hosts that audio may be fetched from: `HOST`, for port 80 by http and 443 by https, or `HOST:PORT`.
    pub fetch_from: Vec<String>,
    /// Who vouches for servers of https, a PEM file; `None`: whom the system trusts.
    pub ca: Option<PathBuf>,
}

impl Default for AudioConfig {
    fn default() -> Self {
        let (hold, files, fetch_from) = (Vec::new(), BTreeMap::new(), Vec::new());
        Self { hold, files, fade_ms: 0, uploads_mib: 256, fetch_from, ca: None }
    }
}

/// Audio of the configuration cannot be used.
#[derive(Debug, Error)]
pub enum AudioError {
    /// A file cannot be read or encoded.
    #[error("audio {name:?} cannot be loaded: {reason}; correct its path in `[audio]` or take it out")]
    Load {
        /// The name that stands for it.
        name: String,
        /// Which file, and what is wrong with it.
        reason: String,
    },
    /// What is built in cannot be encoded.
    #[error("audio {name:?} cannot be encoded: {reason}")]
    Encode {
        /// The name that stands for it.
        name: String,
        /// Why.
        reason: String,
    },
    /// Whose word for servers of https is to be taken cannot be read.
    #[error("`audio.ca`: {0}")]
    Ca(String),
    /// See [`AudioConfig::fade_ms`].
    #[error("`audio.fade_ms` is {0}: it is 0 to {FADE_MS_MAX}")]
    Fade(u16),
}

/// All audio that can be named.
#[derive(Debug)]
pub(crate) struct Library {
    configured: BTreeMap<String, Entry>,
    uploaded: RwLock<BTreeMap<String, Entry>>,
    uploads_bytes_max: usize,
    /// Who uploads has one of these.
    uploading: Arc<Semaphore>,
    places: Arc<fetch::Places>,
    /// Filled as countries are asked for.
    ringback: Mutex<BTreeMap<Country, Arc<Sound>>>,
}

#[derive(Debug)]
struct Entry {
    sound: Arc<Sound>,
    source: AudioSource,
}

impl Entry {
    fn state(&self, name: &str) -> AudioState {
        AudioState {
            name: name.to_owned(),
            source: self.source,
            duration_ms: self.sound.duration_ms(),
            bytes: self.sound.bytes,
            formats: self.sound.formats().collect(),
        }
    }
}

impl Library {
    /// Reads and encodes everything that the configuration names.
    pub(crate) fn load(config: &AudioConfig) -> Result<Self, AudioError> {
        if config.fade_ms > FADE_MS_MAX {
            return Err(AudioError::Fade(config.fade_ms));
        }
        if let Some(ca) = &config.ca {
            tls_config(Some(ca)).map_err(AudioError::Ca)?;
        }
        let read = |name: &str, path: &Path| {
            let sound = Sound::from_file(name, path, config.fade_ms);
            sound.map_err(|reason| AudioError::Load { name: name.to_owned(), reason })
        };
        let make =
            |name: &str, audio: &Audio| encode(name, audio).map(|sound| Entry { sound, source: AudioSource::BuiltIn });
        let mut configured = BTreeMap::new();
        let hold = if config.hold.is_empty() {
            make(HOLD, &music::hold_melody())?
        } else {
            let pieces = config.hold.iter().map(|path| read(HOLD, path)).collect::<Result<Vec<_>, _>>()?;
            let sound = Sound::joined(Some(HOLD), &pieces)
                .map_err(|reason| AudioError::Load { name: HOLD.to_owned(), reason })?;
            Entry { sound, source: AudioSource::File }
        };
        configured.insert(HOLD.to_owned(), hold);
        configured.insert(SILENCE.to_owned(), make(SILENCE, &Audio::telephone(vec![0; 8000]))?);
        for (name, path) in &config.files {
            configured.insert(name.clone(), Entry { sound: read(name, path)?, source: AudioSource::File });
        }
        let uploads_bytes_max = config.uploads_mib as usize * (1 << 20);
        Ok(Self {
            configured,
            uploaded: RwLock::default(),
            uploads_bytes_max,
            uploading: Arc::new(Semaphore::new(upload::AT_ONCE)),
            places: Arc::new(fetch::Places { hosts: config.fetch_from.clone(), ca: config.ca.clone() }),
            ringback: Mutex::default(),
        })
    }

    /// The audio of that name.
    pub(crate) fn named(&self, name: &str) -> Option<Arc<Sound>> {
        let configured = self.configured.get(name).map(|entry| Arc::clone(&entry.sound));
        configured.or_else(|| self.uploaded().get(name).map(|entry| Arc::clone(&entry.sound)))
    }

    /// Names for the error that lists them.
    pub(crate) fn names(&self) -> String {
        let uploaded = self.uploaded();
        let all = || self.configured.keys().chain(uploaded.keys());
        let listed: Vec<_> = all().take(NAMES_TOLD_MAX).map(String::as_str).collect();
        match all().count() - listed.len() {
            0 => listed.join(", "),
            more => format!("{} and {more} more", listed.join(", ")),
        }
    }

    /// All of it.
    pub(crate) fn list(&self) -> Vec<AudioState> {
        let uploaded = self.uploaded();
        self.configured.iter().chain(uploaded.iter()).map(|(name, entry)| entry.state(name)).collect()
    }

    /// Whether something could be uploaded under this name, before it is known what.
    ///
    /// # Errors
    /// The name is none, or that of audio of the configuration; or there is no room.
    pub(crate) fn check(&self, name: &str) -> Result<(), ApiError> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if name.is_empty() || name.len() > NAME_LEN_MAX || !name.chars().all(allowed) {
            let message = format!("audio {name:?}: a name has 1 to {NAME_LEN_MAX} letters, digits, dots, `-` and `_`");
            return Err(ApiError::new(ErrorCode::BadRequest, message));
        }
        self.must_not_be_configured(name)?;
        if self.uploads_bytes_max == 0 {
            let message = "nothing can be uploaded here: give it memory by `audio.uploads_mib`";
            return Err(ApiError::new(ErrorCode::AudioFull, message));
        }
        let uploaded = self.uploaded();
        if uploaded.len() >= UPLOADS_MAX && !uploaded.contains_key(name) {
            let message = format!("{UPLOADS_MAX} pieces of audio are uploaded, as many as can be: delete some");
            return Err(ApiError::new(ErrorCode::AudioFull, message));
        }
        Ok(())
    }

    /// Takes an upload, in the place of one of the same name; whether it is new.
    ///
    /// # Errors
    /// As [`Self::check`], or it takes too much memory.
    pub(crate) fn put(
        &self,
        name: &str,
        sound: Arc<Sound>,
        source: AudioSource,
    ) -> Result<(AudioState, bool), ApiError> {
        self.check(name)?;
        let mut uploaded = self.uploaded_mut();
        let others = uploaded.iter().filter(|(other, _)| *other != name);
        let bytes: usize = others.map(|(_, entry)| entry.sound.bytes).sum();
        if bytes + sound.bytes > self.uploads_bytes_max || uploaded.len() >= UPLOADS_MAX && !uploaded.contains_key(name)
        {
            let (needed, max) = (sound.bytes, self.uploads_bytes_max);
            let message = format!(
                "audio {name} takes {needed} bytes, and other uploads have {bytes} of {max}: delete some, or raise `audio.uploads_mib`"
            );
            return Err(ApiError::new(ErrorCode::AudioFull, message));
        }
        let entry = Entry { sound, source };
        let state = entry.state(name);
        let before = uploaded.insert(name.to_owned(), entry);
        Ok((state, before.is_none()))
    }

    /// Takes an upload out of the library.
    ///
    /// # Errors
    /// There is none of this name, or it is the configuration's.
    pub(crate) fn delete(&self, name: &str) -> Result<AudioState, ApiError> {
        self.must_not_be_configured(name)?;
        let removed = self.uploaded_mut().remove(name);
        removed.map(|entry| entry.state(name)).ok_or_else(|| self.unknown(name))
    }

    /// Nothing has this name.
    pub(crate) fn unknown(&self, name: &str) -> ApiError {
        let known = self.names();
        let message = format!(
            "no audio is named {name:?}; there are: {known}; more can be given in `[audio.files]`, or uploaded by PUT /v1/audio/NAME"
        );
        ApiError::new(ErrorCode::UnknownAudio, message)
    }

    fn must_not_be_configured(&self, name: &str) -> Result<(), ApiError> {
        if !self.configured.contains_key(name) {
            return Ok(());
        }
        let message =
            format!("audio {name} is the server's own, built in or by its configuration: choose another name");
        Err(ApiError::new(ErrorCode::AudioExists, message))
    }

    fn uploaded(&self) -> RwLockReadGuard<'_, BTreeMap<String, Entry>> {
        self.uploaded.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn uploaded_mut(&self) -> RwLockWriteGuard<'_, BTreeMap<String, Entry>> {
        self.uploaded.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The ringing tone of a country.
    pub(crate) fn ringback(&self, country: Country) -> Result<Arc<Sound>, AudioError> {
        let mut known = self.ringback.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sound) = known.get(&country) {
            return Ok(Arc::clone(sound));
        }
        let sound = encode(country.code(), &country.ringback())?;
        known.insert(country, Arc::clone(&sound));
        Ok(sound)
    }
}

fn encode(name: &str, audio: &Audio) -> Result<Arc<Sound>, AudioError> {
    Sound::encode(name, audio).map_err(|reason| AudioError::Encode { name: name.to_owned(), reason })
}

#[cfg(test)]
mod tests {
    use patchcord_relay::media::{Codec, EncodingName, Frames, Sending};
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
            sending: Sending::default(),
        }
    }

    fn sound(name: &str, ms: usize) -> Arc<Sound> {
        encode(name, &Audio::telephone(vec![0; 8 * ms])).expect("it can be encoded")
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
        assert_eq!(library.names(), "hold, silence");
    }

    #[test]
    fn a_missing_file_is_named() {
        let files = BTreeMap::from([("busy".to_owned(), PathBuf::from("/nonexistent.wav"))]);
        let config = AudioConfig { files, ..AudioConfig::default() };
        let error = Library::load(&config).expect_err("there is no such file").to_string();
        assert!(error.contains("\"busy\"") && error.contains("/nonexistent.wav"), "{error}");
        let error = Library::load(&AudioConfig { fade_ms: 5001, ..AudioConfig::default() }).expect_err("too long");
        assert_eq!(error.to_string(), "`audio.fade_ms` is 5001: it is 0 to 5000");
    }

    #[test]
    fn several_sounds_are_one() {
        let joined = Sound::joined(None, &[sound("a", 100), sound("b", 40)]).expect("two");
        assert_eq!((&*joined.name, joined.duration_ms(), joined.bytes), ("a, b", 140, 3920));
        assert!(Sound::joined(None, &[]).is_err());
        let opus = Codec { clock_rate: 48_000, channels: 2, ..codec("opus") };
        assert_eq!(joined.frames_for(&[opus]).map(Frames::count), Some(7));
    }

    #[test]
    fn uploads_take_no_more_room_than_they_may() {
        let config = AudioConfig { uploads_mib: 1, ..AudioConfig::default() };
        let library = Library::load(&config).expect("the built-in audio can be encoded");
        // 28 bytes a millisecond in all formats.
        let large = sound("x", 20_000);
        assert_eq!(large.bytes, 560_000);
        let put = |name: &str| library.put(name, Arc::clone(&large), AudioSource::Upload);
        assert!(put("one").expect("there is room").1);
        assert!(!put("one").expect("it takes its own place").1);
        let error = put("two").expect_err("no room");
        assert_eq!(error.code, ErrorCode::AudioFull);
        assert!(error.message.contains("audio.uploads_mib"), "{error}");
        let playing = library.named("one").expect("it is there");
        assert_eq!(library.delete("one").expect("it is there").name, "one");
        assert!(library.named("one").is_none() && playing.duration_ms() == 20_000);
        assert_eq!(put("two").map(|(_, new)| new), Ok(true));
        assert_eq!(library.delete("one").expect_err("it has gone").code, ErrorCode::UnknownAudio);
        for (name, code) in
            [("hold", ErrorCode::AudioExists), ("", ErrorCode::BadRequest), ("a/b", ErrorCode::BadRequest)]
        {
            assert_eq!(put(name).expect_err("no name for it").code, code, "{name}");
        }
        assert_eq!(library.delete("silence").expect_err("built in").code, ErrorCode::AudioExists);
    }

    #[test]
    fn no_more_are_uploaded_than_can_be_listed() {
        let library = Library::load(&AudioConfig::default()).expect("the built-in audio can be encoded");
        let short = sound("x", 20);
        for number in 0..UPLOADS_MAX {
            library.put(&number.to_string(), Arc::clone(&short), AudioSource::Upload).expect("there is room");
        }
        assert_eq!(library.check("more").expect_err("no room").code, ErrorCode::AudioFull);
        library.check("7").expect("it takes the place of one");
        assert!(library.names().ends_with("more"), "{}", library.names());
        let none = AudioConfig { uploads_mib: 0, ..AudioConfig::default() };
        let error = Library::load(&none).expect("loads").check("a").expect_err("switched off");
        assert!(error.message.contains("audio.uploads_mib"), "{error}");
    }
}
