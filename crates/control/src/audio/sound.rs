//! A piece of audio, encoded once in each codec.

use core::time::Duration;
use std::path::Path;
use std::sync::Arc;

use patchcord_codec::codec::Codec::{G711, G722, Opus};
use patchcord_codec::codec::OpusParameters;
use patchcord_codec::prompt::{self, Format};
use patchcord_codec::resample::resample;
use patchcord_codec::{Audio, Law, TELEPHONE_RATE, encode_frames};
use patchcord_relay::media::{Codec, Frames};

/// Milliseconds of audio in a packet: what every telephone takes (RFC 3551 4.2).
const PTIME_MS: u32 = 20;
/// What G.722 and Opus are made of, where there is as much: a wider band is nothing that calls have.
const WIDE_RATE: u32 = 16_000;
/// The longest fade.
pub(crate) const FADE_MS_MAX: u16 = 5000;

/// A piece of audio, ready to be sent.
#[derive(Debug)]
pub(crate) struct Sound {
    /// `hold`, `busy`, `us`: without what it is used for.
    pub(crate) name: Box<str>,
    frames: [Frames; 4],
    /// Of the frames in all formats.
    pub(crate) bytes: usize,
}

impl Sound {
    /// # Errors
    /// It cannot be encoded; a sentence says why.
    pub(super) fn encode(name: &str, audio: &Audio) -> Result<Arc<Self>, String> {
        let rate = if audio.sample_rate > TELEPHONE_RATE { WIDE_RATE } else { TELEPHONE_RATE };
        let audio = resample(audio, rate).map_err(|error| error.to_string())?;
        let mut bytes = 0;
        let mut frames = |codec| {
            let encoded = encode_frames(&audio, codec, PTIME_MS).map_err(|error| error.to_string())?;
            bytes += encoded.bytes.len();
            let (rate, ptime, len) = (encoded.clock_rate, encoded.ptime_ms, encoded.frame_len);
            Frames::new(encoded.encoding, rate, ptime, len, &encoded.bytes)
                .ok_or_else(|| "it has no whole frame".to_owned())
        };
        let opus = Opus(OpusParameters::default());
        let frames = [frames(G711(Law::Mu))?, frames(G711(Law::A))?, frames(G722)?, frames(opus)?];
        Ok(Arc::new(Self { name: name.into(), frames, bytes }))
    }

    /// Audio of a file.
    ///
    /// # Errors
    /// It cannot be read or encoded; a sentence says why.
    pub(crate) fn from_file(name: &str, path: &Path, fade_ms: u16) -> Result<Arc<Self>, String> {
        let audio = prompt::read_file(path).map_err(|error| error.to_string())?;
        Self::encode(name, &faded(audio, fade_ms)).map_err(|error| format!("{}: {error}", path.display()))
    }

    /// Audio of a file's bytes, which are said to be of this format.
    ///
    /// # Errors
    /// They cannot be read or encoded; a sentence says why.
    pub(crate) fn from_bytes(
        name: &str,
        bytes: &[u8],
        format: Option<Format>,
        fade_ms: u16,
    ) -> Result<Arc<Self>, String> {
        let audio = prompt::read_bytes(bytes, format).map_err(|error| error.to_string())?;
        Self::encode(name, &faded(audio, fade_ms))
    }

    /// Several sounds, one after the other, under their names or one for all. Nothing is copied.
    ///
    /// # Errors
    /// There are none, or they play too long for their frames to be counted.
    pub(crate) fn joined(name: Option<&str>, sounds: &[Arc<Self>]) -> Result<Arc<Self>, String> {
        if let ([one], None) = (sounds, name) {
            return Ok(Arc::clone(one));
        }
        let join = |index: usize| {
            let list: Vec<Frames> = sounds.iter().map(|sound| sound.frames[index].clone()).collect();
            Frames::joined(&list).ok_or_else(|| "there is nothing to play, or too much".to_owned())
        };
        let frames = [join(0)?, join(1)?, join(2)?, join(3)?];
        let names = || sounds.iter().map(|sound| &*sound.name).collect::<Vec<_>>().join(", ");
        let bytes = sounds.iter().map(|sound| sound.bytes).sum();
        Ok(Arc::new(Self { name: name.map_or_else(names, str::to_owned).into(), frames, bytes }))
    }

    /// How long it plays, milliseconds.
    pub(crate) fn duration_ms(&self) -> u64 {
        u64::from(PTIME_MS) * u64::from(self.frames[0].count())
    }

    /// The formats that it is there in: `PCMU/8000`.
    pub(crate) fn formats(&self) -> impl Iterator<Item = String> {
        self.frames.iter().map(|frames| format!("{}/{}", frames.encoding(), frames.clock_rate()))
    }

    /// The audio in the first format of `codecs` that it exists in.
    pub(crate) fn frames_for(&self, codecs: &[Codec]) -> Option<&Frames> {
        codecs.iter().find_map(|codec| self.frames.iter().find(|frames| frames.are_in(codec)))
    }
}

fn faded(audio: Audio, fade_ms: u16) -> Audio {
    audio.faded(Duration::from_millis(fade_ms.into()))
}
