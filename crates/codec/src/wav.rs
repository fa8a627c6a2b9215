//! WAV files: reading what people have, writing what was heard.
//!
//! Read are linear samples of 8, 16, 24 and 32 bits, floats of 32 and 64 bits, and both laws of G.711, mono or stereo
//! (which is mixed down). Written is 16-bit mono.

mod riff;

use core::time::Duration;
use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};

use crate::audio::Audio;
use crate::g711::Law;
use crate::resample::{RATES, ResampleError};
use riff::{Layout, Riff};

/// The longest audio that is read.
pub const DURATION_MAX: Duration = Duration::from_secs(600);
/// The largest file that is read, in bytes: ten minutes at 48 kHz in stereo of 32 bits are 230 million.
pub const BYTES_MAX: u64 = 256 << 20;

/// Why a WAV file could not be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WavError {
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
    Content {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        error: ContentError,
    },
}

/// What is wrong with the content of a WAV file.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ContentError {
    /// It does not begin with RIFF and WAVE.
    #[error("not a WAV file: it does not begin with RIFF....WAVE")]
    NotWav,
    /// A chunk that must be there is not, or not before the samples.
    #[error("the WAV file has no {0:?} chunk where one is needed")]
    NoChunk(&'static str),
    /// The samples are in a format that is not read.
    #[error(
        "WAV format {tag:#06x} with {bits} bits a sample is not read: convert it to 16-bit PCM, for instance with \
         `sox in.wav -b 16 -e signed out.wav`"
    )]
    Format {
        /// The format tag.
        tag: u16,
        /// Bits a sample.
        bits: u16,
    },
    /// Neither mono nor stereo.
    #[error("{0} channels are not read: make it mono or stereo")]
    Channels(u16),
    /// The sample rate is none that can be resampled.
    #[error("{0} samples a second are not read: {min} to {max} are", min = RATES.start(), max = RATES.end())]
    SampleRate(u32),
    /// It has no sample.
    #[error("the WAV file has no samples")]
    Empty,
    /// It plays too long.
    #[error("it plays {seconds:.0} s, more than the {max} s that are read: cut it", max = DURATION_MAX.as_secs())]
    TooLong {
        /// How long it plays.
        seconds: f64,
    },
    /// It has too many bytes.
    #[error("it has more than the {BYTES_MAX} bytes that are read: cut it, or lower its sample rate")]
    TooLarge,
    /// See [`ResampleError`].
    #[error(transparent)]
    Resample(#[from] ResampleError),
}

/// Reads a file at its own sample rate.
///
/// # Errors
/// The file cannot be read, is no WAV file of a known format, or is too long.
pub fn read_file(path: &Path) -> Result<Audio, WavError> {
    let io = |error| WavError::Io { path: path.to_owned(), error };
    let file = std::fs::File::open(path).map_err(io)?;
    let mut bytes = Vec::new();
    file.take(BYTES_MAX + 1).read_to_end(&mut bytes).map_err(io)?;
    read_bytes(&bytes).map_err(|error| WavError::Content { path: path.to_owned(), error })
}

/// Reads a file and brings it to 8000 samples a second.
///
/// # Errors
/// As [`read_file`].
pub fn read_telephone(path: &Path) -> Result<Audio, WavError> {
    let audio = read_file(path)?;
    audio.to_telephone().map_err(|error| WavError::Content { path: path.to_owned(), error: error.into() })
}

/// Reads the bytes of a WAV file at its own sample rate.
///
/// # Errors
/// They are no WAV file of a known format, or are too many.
pub fn read_bytes(bytes: &[u8]) -> Result<Audio, ContentError> {
    if bytes.len() as u64 > BYTES_MAX {
        return Err(ContentError::TooLarge);
    }
    let Riff { layout, data } = riff::parse(bytes)?;
    let Layout { tag, channels, sample_rate, bits } = layout;
    let decode = decoder(tag, bits).ok_or(ContentError::Format { tag, bits })?;
    if !(1..=2).contains(&channels) {
        return Err(ContentError::Channels(channels));
    }
    if !RATES.contains(&sample_rate) {
        return Err(ContentError::SampleRate(sample_rate));
    }
    let sample_len = usize::from(bits / 8);
    let frame_len = sample_len * usize::from(channels);
    let frames = data.len() / frame_len;
    let seconds = frames as f64 / f64::from(sample_rate);
    if frames == 0 {
        return Err(ContentError::Empty);
    }
    if seconds > DURATION_MAX.as_secs_f64() {
        return Err(ContentError::TooLong { seconds });
    }
    let samples = data
        .chunks_exact(frame_len)
        .map(|frame| {
            let sum: i32 = frame.chunks_exact(sample_len).map(|sample| i32::from(decode(sample))).sum();
            (sum / i32::from(channels)) as i16
        })
        .collect();
    Ok(Audio { samples, sample_rate })
}

/// Turns the bytes of one sample into 16 bits; `None` if the format is not known.
fn decoder(tag: u16, bits: u16) -> Option<fn(&[u8]) -> i16> {
    Some(match (tag, bits) {
        // 8 bits are unsigned; all longer samples are signed, little-endian, and their two highest bytes are 16 bits.
        (riff::PCM, 8) => |bytes| (i16::from(bytes[0]) - 128) << 8,
        (riff::PCM, 16 | 24 | 32) => |bytes| i16::from_le_bytes([bytes[bytes.len() - 2], bytes[bytes.len() - 1]]),
        (riff::FLOAT, 32) => |bytes| from_float(f64::from(f32::from_le_bytes(array(bytes)))),
        (riff::FLOAT, 64) => |bytes| from_float(f64::from_le_bytes(array(bytes))),
        (riff::A_LAW, 8) => |bytes| Law::A.decode_sample(bytes[0]),
        (riff::MU_LAW, 8) => |bytes| Law::Mu.decode_sample(bytes[0]),
        _ => return None,
    })
}

/// Full scale is ±1. The cast saturates, and makes zero of what is no number.
fn from_float(sample: f64) -> i16 {
    (sample * 32768.0).round() as i16
}

fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes.try_into().expect("the decoder is called with a sample of its length")
}

/// The bytes of a WAV file of 16 bits, mono.
#[must_use]
pub fn to_bytes(audio: &Audio) -> Vec<u8> {
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: audio.sample_rate,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut bytes = Cursor::new(Vec::with_capacity(44 + 2 * audio.samples.len()));
    let written = hound::WavWriter::new(&mut bytes, spec).and_then(|mut writer| {
        audio.samples.iter().try_for_each(|&sample| writer.write_sample(sample))?;
        writer.finalize()
    });
    written.expect("memory takes what is written, and 16 bits mono is a format that hound writes");
    bytes.into_inner()
}

/// Writes a WAV file of 16 bits, mono, over any file of this name.
///
/// # Errors
/// The file cannot be written.
pub fn write_file(path: &Path, audio: &Audio) -> Result<(), WavError> {
    std::fs::write(path, to_bytes(audio)).map_err(|error| WavError::Io { path: path.to_owned(), error })
}

#[cfg(test)]
mod tests {
    use super::*;
    use hound::{SampleFormat, WavSpec, WavWriter};

    fn by_hound<S: hound::Sample + Copy>(bits: u16, format: SampleFormat, channels: u16, samples: &[S]) -> Vec<u8> {
        let spec = WavSpec { channels, sample_rate: 16_000, bits_per_sample: bits, sample_format: format };
        let mut bytes = Cursor::new(Vec::new());
        let mut writer = WavWriter::new(&mut bytes, spec).expect("hound writes this format");
        samples.iter().for_each(|&sample| writer.write_sample(sample).expect("in range"));
        writer.finalize().expect("memory");
        bytes.into_inner()
    }

    fn g711(tag: u16, codes: &[u8]) -> Vec<u8> {
        let mut bytes = b"RIFF\0\0\0\0WAVEfmt \x12\0\0\0".to_vec();
        bytes.extend([tag.to_le_bytes(), 1_u16.to_le_bytes()].concat());
        bytes.extend([8000_u32.to_le_bytes(), 8000_u32.to_le_bytes()].concat());
        bytes.extend([1_u16.to_le_bytes(), 8_u16.to_le_bytes(), 0_u16.to_le_bytes()].concat());
        // A chunk nobody needs, of an odd length and thus padded.
        bytes.extend(b"LIST\x03\0\0\0abc\0data");
        bytes.extend((codes.len() as u32).to_le_bytes());
        bytes.extend(codes);
        bytes
    }

    #[test]
    fn every_linear_format_gives_the_same_samples() {
        let expected = [0, 256, -256, 32512, -32768];
        let scaled = |shift: u32| expected.map(|sample: i32| sample << shift);
        let eight = expected.map(|sample| (sample >> 8) as i8);
        let floats = expected.map(|sample| sample as f32 / 32768.0);
        for (name, bytes) in [
            ("8", by_hound(8, SampleFormat::Int, 1, &eight)),
            ("16", by_hound(16, SampleFormat::Int, 1, &expected)),
            ("24", by_hound(24, SampleFormat::Int, 1, &scaled(8))),
            ("32", by_hound(32, SampleFormat::Int, 1, &scaled(16))),
            ("float", by_hound(32, SampleFormat::Float, 1, &floats)),
        ] {
            let audio = read_bytes(&bytes).expect(name);
            assert_eq!(audio.sample_rate, 16_000);
            assert_eq!(audio.samples, expected.map(|sample| sample as i16), "{name}");
        }
    }

    #[test]
    fn stereo_is_mixed_down() {
        let bytes = by_hound(16, SampleFormat::Int, 2, &[100_i16, 200, -32768, -32768, 32767, 1]);
        assert_eq!(read_bytes(&bytes).expect("stereo").samples, [150, -32768, 16384]);
    }

    #[test]
    fn floats_beyond_full_scale_are_clipped() {
        let bytes = by_hound(32, SampleFormat::Float, 1, &[2.0_f32, -2.0, f32::NAN, f32::INFINITY]);
        assert_eq!(read_bytes(&bytes).expect("float").samples, [32767, -32768, 0, 32767]);
    }

    #[test]
    fn both_laws_are_read() {
        let codes: Vec<u8> = (0..=255).collect();
        for (tag, law) in [(riff::MU_LAW, Law::Mu), (riff::A_LAW, Law::A)] {
            assert_eq!(read_bytes(&g711(tag, &codes)).expect("G.711").samples, law.decode(&codes));
        }
    }

    #[test]
    fn what_was_written_is_read_back() {
        let audio = crate::music::hold_melody();
        assert_eq!(read_bytes(&to_bytes(&audio)), Ok(audio));
    }

    #[test]
    fn a_file_of_unknown_length_is_read_to_its_end() {
        // A recorder that was cut off, or wrote to a pipe, leaves zero or all ones.
        for length in [u32::MAX, 0] {
            let mut bytes = to_bytes(&Audio::telephone(vec![1, 2, 3]));
            bytes[40..44].copy_from_slice(&length.to_le_bytes());
            assert_eq!(read_bytes(&bytes).expect("length unknown").samples, [1, 2, 3]);
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        let good = to_bytes(&Audio::telephone(vec![0; 8]));
        let with = |at: usize, value: &[u8]| {
            let mut bytes = good.clone();
            bytes[at..at + value.len()].copy_from_slice(value);
            read_bytes(&bytes)
        };
        assert_eq!(read_bytes(b""), Err(ContentError::NotWav));
        assert_eq!(read_bytes(b"OggS.............."), Err(ContentError::NotWav));
        assert_eq!(with(12, b"junk"), Err(ContentError::NoChunk("fmt ")));
        assert_eq!(with(36, b"junk"), Err(ContentError::NoChunk("data")));
        assert_eq!(with(20, &[0x55]), Err(ContentError::Format { tag: 0x55, bits: 16 }));
        assert_eq!(with(34, &[12]), Err(ContentError::Format { tag: 1, bits: 12 }));
        assert_eq!(with(22, &[6]), Err(ContentError::Channels(6)));
        assert_eq!(with(24, &[0, 0, 0, 0]), Err(ContentError::SampleRate(0)));
        assert_eq!(read_bytes(&to_bytes(&Audio::telephone(Vec::new()))), Err(ContentError::Empty));
        let long = to_bytes(&Audio { samples: vec![0; 4000 * 601], sample_rate: 4000 });
        let error = read_bytes(&long).expect_err("too long");
        assert_eq!(error.to_string(), "it plays 601 s, more than the 600 s that are read: cut it");
    }

    #[test]
    fn files_are_named_in_errors() {
        let missing = Path::new("/nonexistent/prompt.wav");
        let error = read_telephone(missing).expect_err("missing");
        assert!(error.to_string().starts_with("/nonexistent/prompt.wav: "), "{error}");
        let here = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"));
        let error = read_file(here).expect_err("not a WAV file");
        assert!(error.to_string().ends_with("Cargo.toml: not a WAV file: it does not begin with RIFF....WAVE"));
    }
}
