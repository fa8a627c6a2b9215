//! Audio encoded once and cut into the payloads that packets will carry.

use crate::audio::Audio;
use crate::codec::{Codec, OpusParameters};
use crate::decoder::NewStreamError;
use crate::encoder::{EncodeError, Encoder, EncoderOptions};
use crate::resample::{ResampleError, resample};

/// Bits a second of Opus: music on hold shall sound like music, and 80 bytes are half of a G.711 frame.
const OPUS_BITRATE: u32 = 32_000;

/// The longest frame: 150 ms of G.711 are 1200 bytes, which still fit a datagram on any path.
pub const MAX_PTIME_MS: u32 = 150;

/// Audio as equal frames, one after the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodedFrames {
    /// Encoding name of SDP's rtpmap.
    pub encoding: &'static str,
    /// RTP timestamp units a second.
    pub clock_rate: u32,
    /// Milliseconds that one frame plays.
    pub ptime_ms: u32,
    /// Bytes of one frame.
    pub frame_len: usize,
    /// The frames; the length is a multiple of `frame_len`.
    pub bytes: Vec<u8>,
}

impl EncodedFrames {
    /// How many frames there are, at least 1.
    #[must_use]
    pub fn count(&self) -> usize {
        self.bytes.len() / self.frame_len
    }
}

/// Why audio could not be cut into frames.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FramesError {
    /// The audio has no samples.
    #[error("the audio has no samples: there is nothing to play")]
    Empty,
    /// The frame length is zero or too large, or none of the codec's.
    #[error("a frame of {0} ms cannot be sent: choose 1 to {MAX_PTIME_MS} ms, usually 20")]
    Ptime(u32),
    /// The audio's sample rate.
    #[error(transparent)]
    SampleRate(#[from] ResampleError),
    /// There is no such stream.
    #[error(transparent)]
    Stream(#[from] NewStreamError),
    /// A frame was not encoded.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// Frames that are played from shared memory have one length.
    #[error(
        "{encoding} makes frames of {one} and of {other} bytes, which cannot be shared: ask for a constant bit rate"
    )]
    Uneven {
        /// The codec's name.
        encoding: &'static str,
        /// The length of the first frame.
        one: usize,
        /// Another one's.
        other: usize,
    },
}

/// Encodes `audio` by `codec` into frames of `ptime_ms` milliseconds; the last frame is filled up with silence. Opus is given a constant
/// bit rate, so that all frames are of one length.
///
/// # Errors
/// The audio is empty or at a sample rate that cannot be converted, or `ptime_ms` is not in 1 to [`MAX_PTIME_MS`] or no frame of the codec.
pub fn encode_frames(audio: &Audio, codec: Codec, ptime_ms: u32) -> Result<EncodedFrames, FramesError> {
    if audio.samples.is_empty() {
        return Err(FramesError::Empty);
    }
    if ptime_ms == 0 || ptime_ms > MAX_PTIME_MS {
        return Err(FramesError::Ptime(ptime_ms));
    }
    let codec = match codec {
        Codec::Opus(parameters) => Codec::Opus(OpusParameters { constant_bitrate: true, dtx: false, ..parameters }),
        other => other,
    };
    let sample_rate = codec.sample_rate_for(audio.sample_rate);
    let mut samples = resample(audio, sample_rate)?.samples;
    let frame_samples = (sample_rate / 1000 * ptime_ms) as usize;
    let options = EncoderOptions { bitrate: Some(OPUS_BITRATE), ..EncoderOptions::default() };
    let mut encoder = Encoder::new(codec, sample_rate, options)?;
    if !encoder.takes(frame_samples) {
        return Err(FramesError::Ptime(ptime_ms));
    }
    samples.resize(samples.len().next_multiple_of(frame_samples), 0);
    let (mut bytes, mut frame_len) = (Vec::new(), 0);
    for frame in samples.chunks_exact(frame_samples) {
        let start = bytes.len();
        encoder.encode(frame, &mut bytes)?;
        let len = bytes.len() - start;
        if start == 0 {
            frame_len = len;
        } else if len != frame_len {
            return Err(FramesError::Uneven { encoding: codec.encoding(), one: frame_len, other: len });
        }
    }
    Ok(EncodedFrames { encoding: codec.encoding(), clock_rate: codec.clock_rate(), ptime_ms, frame_len, bytes })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::find;
    use crate::decoder::Decoder;
    use crate::g711::Law;

    #[test]
    fn the_last_frame_is_filled_with_silence() {
        for law in Law::ALL {
            let frames = encode_frames(&Audio::telephone(vec![1000; 161]), Codec::G711(law), 20).expect("valid");
            assert_eq!((frames.count(), frames.frame_len, frames.bytes.len()), (2, 160, 320));
            assert_eq!(frames.bytes[160], law.encode_sample(1000));
            assert!(frames.bytes[161..].iter().all(|&code| code == law.silence()));
            assert_eq!((frames.encoding, frames.clock_rate, frames.ptime_ms), (law.encoding(), 8000, 20));
        }
    }

    #[test]
    fn whole_frames_are_not_padded() {
        let frames = encode_frames(&Audio::telephone(vec![5; 480]), Codec::G711(Law::A), 30).expect("valid");
        assert_eq!((frames.count(), frames.bytes.len()), (2, 480));
    }

    #[test]
    fn every_codec_has_frames_of_one_length_that_sound_like_the_audio() {
        let melody = Audio::telephone(crate::music::hold_melody().samples[..24_000].to_vec());
        for (codec, frame_len) in [(Codec::G722, 160), (Codec::Opus(OpusParameters::default()), 80)] {
            let frames = encode_frames(&melody, codec, 20).expect("valid");
            assert_eq!((frames.count(), frames.frame_len), (150, frame_len), "{codec:?}");
            let mut decoder = Decoder::new(codec, codec.sample_rate_for(8000)).expect("a native rate");
            let mut samples = Vec::new();
            for frame in frames.bytes.chunks_exact(frame_len) {
                decoder.decode(frame, &mut samples).expect("it was encoded so");
            }
            let heard = Audio { samples, sample_rate: decoder.sample_rate() }.to_telephone().expect("a usual rate");
            let found = find(&heard.samples[8000..16_000], &melody.samples).expect("audible");
            assert!(found.correlation > 0.95, "{codec:?}: {found:?}");
        }
    }

    #[test]
    fn what_cannot_be_encoded_is_refused() {
        let audio = Audio::telephone(vec![0; 160]);
        let pcmu = Codec::G711(Law::Mu);
        assert_eq!(encode_frames(&audio, pcmu, 0), Err(FramesError::Ptime(0)));
        assert_eq!(encode_frames(&audio, pcmu, 151), Err(FramesError::Ptime(151)));
        assert_eq!(encode_frames(&Audio::telephone(Vec::new()), pcmu, 20), Err(FramesError::Empty));
        let odd = Audio { samples: vec![0; 160], sample_rate: 1 };
        assert!(matches!(encode_frames(&odd, pcmu, 20), Err(FramesError::SampleRate(_))));
        let opus = Codec::Opus(OpusParameters::default());
        assert_eq!(encode_frames(&audio, opus, 30), Err(FramesError::Ptime(30)));
    }
}
