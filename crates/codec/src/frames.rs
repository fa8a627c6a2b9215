//! Audio encoded once and cut into the payloads that packets will carry.

use crate::audio::{Audio, TELEPHONE_RATE};
use crate::g711::Law;

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
    /// The audio is not at 8000 samples a second.
    #[error("G.711 takes 8000 samples a second, the audio has {0}: resample it first")]
    SampleRate(u32),
    /// The audio has no samples.
    #[error("the audio has no samples: there is nothing to play")]
    Empty,
    /// The frame length is zero or too large.
    #[error("a frame of {0} ms cannot be sent: choose 1 to {MAX_PTIME_MS} ms, usually 20")]
    Ptime(u32),
}

/// Encodes `audio` by `law` into frames of `ptime_ms` milliseconds; the last frame is filled up with silence.
///
/// # Errors
/// The audio is empty or not at 8000 Hz, or `ptime_ms` is not in 1 to [`MAX_PTIME_MS`].
pub fn encode_frames(audio: &Audio, law: Law, ptime_ms: u32) -> Result<EncodedFrames, FramesError> {
    if audio.sample_rate != TELEPHONE_RATE {
        return Err(FramesError::SampleRate(audio.sample_rate));
    }
    if audio.samples.is_empty() {
        return Err(FramesError::Empty);
    }
    if ptime_ms == 0 || ptime_ms > MAX_PTIME_MS {
        return Err(FramesError::Ptime(ptime_ms));
    }
    let frame_len = (TELEPHONE_RATE / 1000 * ptime_ms) as usize;
    let mut bytes = law.encode(&audio.samples);
    bytes.resize(bytes.len().next_multiple_of(frame_len), law.silence());
    Ok(EncodedFrames { encoding: law.encoding(), clock_rate: TELEPHONE_RATE, ptime_ms, frame_len, bytes })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_frame_is_filled_with_silence() {
        for law in Law::ALL {
            let frames = encode_frames(&Audio::telephone(vec![1000; 161]), law, 20).expect("valid");
            assert_eq!((frames.count(), frames.frame_len, frames.bytes.len()), (2, 160, 320));
            assert_eq!(frames.bytes[160], law.encode_sample(1000));
            assert!(frames.bytes[161..].iter().all(|&code| code == law.silence()));
            assert_eq!((frames.encoding, frames.clock_rate, frames.ptime_ms), (law.encoding(), 8000, 20));
        }
    }

    #[test]
    fn whole_frames_are_not_padded() {
        let frames = encode_frames(&Audio::telephone(vec![5; 480]), Law::A, 30).expect("valid");
        assert_eq!((frames.count(), frames.bytes.len()), (2, 480));
    }

    #[test]
    fn what_cannot_be_encoded_is_refused() {
        let audio = Audio::telephone(vec![0; 160]);
        assert_eq!(encode_frames(&audio, Law::Mu, 0), Err(FramesError::Ptime(0)));
        assert_eq!(encode_frames(&audio, Law::Mu, 151), Err(FramesError::Ptime(151)));
        assert_eq!(encode_frames(&Audio::telephone(Vec::new()), Law::Mu, 20), Err(FramesError::Empty));
        let wide = Audio { samples: vec![0; 160], sample_rate: 16000 };
        assert_eq!(encode_frames(&wide, Law::Mu, 20), Err(FramesError::SampleRate(16000)));
    }
}
