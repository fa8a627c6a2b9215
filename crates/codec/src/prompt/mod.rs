//! Prompts: reading what is to be played, as people have it.
//!
//! Read are WAV ([`crate::wav`]), Ogg/Opus (RFC 7845) and audio without a header: G.711, G.722, linear samples. The first bytes say which
//! of the first two it is, whatever it is called; audio without a header is told by the file's extension or the content type alone.
//!
//! Whatever the bytes are, no more than [`DURATION_MAX`] is decoded, and what is wrong is said.

mod format;
mod ogg_opus;
mod raw;

use std::io::Read;
use std::path::{Path, PathBuf};

use crate::audio::Audio;
use crate::resample::ResampleError;
use crate::wav;
pub use crate::wav::DURATION_MAX;
pub use format::{Format, FormatError};
pub use ogg_opus::OggOpusError;
pub use raw::{Raw, RawError};

/// The largest file that is read, in bytes: see [`wav::BYTES_MAX`].
pub const BYTES_MAX: u64 = wav::BYTES_MAX;

/// Why a prompt could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PromptError {
    /// The operating system refused.
    #[error("{path}: {error}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// The content of a file is not what is read.
    #[error("{path}: {error}")]
    File {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        error: ContentError,
    },
}

/// What is wrong with the bytes of a prompt.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ContentError {
    /// There are none.
    #[error("it is empty: there is nothing to play")]
    Empty,
    /// There are too many.
    #[error("it has more than the {BYTES_MAX} bytes that are read: cut it, or lower its sample rate")]
    TooLarge,
    /// Nothing says what they are.
    #[error(
        "neither WAV nor Ogg/Opus by its first bytes, and nothing says which audio without a header it is: an extension such as .ulaw, \
         .alaw, .g722, .l16 or .sln16, or a content type such as audio/PCMU or audio/L16;rate=8000"
    )]
    Unknown,
    /// See [`wav::ContentError`].
    #[error(transparent)]
    Wav(#[from] wav::ContentError),
    /// See [`OggOpusError`].
    #[error(transparent)]
    OggOpus(#[from] OggOpusError),
    /// See [`RawError`].
    #[error(transparent)]
    Raw(#[from] RawError),
    /// See [`ResampleError`].
    #[error(transparent)]
    Resample(#[from] ResampleError),
}

/// Reads a file at its own sample rate; Opus at 16 kHz. Its extension counts where its first bytes say nothing.
///
/// # Errors
/// The file cannot be read, is nothing that is read, or is too long.
pub fn read_file(path: &Path) -> Result<Audio, PromptError> {
    let io = |error| PromptError::Io { path: path.to_owned(), error };
    let file = std::fs::File::open(path).map_err(io)?;
    let mut bytes = Vec::new();
    file.take(BYTES_MAX + 1).read_to_end(&mut bytes).map_err(io)?;
    read_bytes(&bytes, Format::of_path(path)).map_err(|error| PromptError::File { path: path.to_owned(), error })
}

/// Reads bytes at their own sample rate; Opus at 16 kHz. `format` is what they are said to be, and counts where the first of them say
/// nothing.
///
/// # Errors
/// They are nothing that is read, or too many.
pub fn read_bytes(bytes: &[u8], format: Option<Format>) -> Result<Audio, ContentError> {
    if bytes.is_empty() {
        return Err(ContentError::Empty);
    }
    if bytes.len() as u64 > BYTES_MAX {
        return Err(ContentError::TooLarge);
    }
    Ok(match Format::of_bytes(bytes).or(format).ok_or(ContentError::Unknown)? {
        Format::Wav => wav::read_bytes(bytes)?,
        Format::OggOpus => ogg_opus::read(bytes)?,
        Format::Raw(raw) => raw.read(bytes)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::g711::Law;

    #[test]
    fn first_bytes_count_more_than_what_is_said() {
        let audio = Audio::telephone(vec![100, -100, 300]);
        let wav = wav::to_bytes(&audio);
        for said in [None, Some(Format::OggOpus), Some(Format::Raw(Raw::G711(Law::Mu)))] {
            assert_eq!(read_bytes(&wav, said).expect("a WAV file"), audio);
        }
    }

    #[test]
    fn what_is_not_known_is_said_with_what_would_be() {
        assert_eq!(read_bytes(b"", None).expect_err("empty").to_string(), "it is empty: there is nothing to play");
        let error = read_bytes(b"ID3 and so on", Format::of_path(Path::new("a.mp3"))).expect_err("no mp3").to_string();
        assert!(error.contains(".ulaw") && error.contains("audio/PCMU"), "{error}");
        let error = read_file(Path::new("/nonexistent/a.ulaw")).expect_err("no such file").to_string();
        assert!(error.starts_with("/nonexistent/a.ulaw: "), "{error}");
        let wrong = read_bytes(b"no RIFF", Some(Format::Wav)).expect_err("no WAV file").to_string();
        assert!(wrong.contains("does not begin with RIFF"), "{wrong}");
    }
}
