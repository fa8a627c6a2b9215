//! The agent of the warm transfer: a voice agent that speaks Opus and nothing else.

use patchcord_codec::codec::OpusParameters;
use patchcord_codec::{Codec, Encoder, EncoderOptions, TELEPHONE_RATE};
use patchcord_lab::stream::RtpStream;
use patchcord_rtp::{PayloadType, Ssrc};

use crate::demo::references;
use crate::demo::stage::AGENT;
use crate::failure::Failure;
use crate::media::error;

/// Its codecs.
pub(super) const VOICE_AGENT: &[&str] = &["111 opus/48000/2"];
/// The number in it.
const PAYLOAD_TYPE: PayloadType = PayloadType::new(111).expect("it has seven bits");
const SSRC: Ssrc = Ssrc(0x70a7_0012);
/// Packets of 20 ms.
const FRAME_SAMPLES: usize = TELEPHONE_RATE as usize / 50;

/// What the agent's capture says, encoded anew: without the losses and the jitter of the network that it came by.
pub(super) fn speech() -> Result<RtpStream, Failure> {
    let audio = references::speech(AGENT)?;
    let codec = Codec::Opus(OpusParameters::default());
    let mut encoder = Encoder::new(codec, TELEPHONE_RATE, EncoderOptions::default()).map_err(error)?;
    let mut payloads = Vec::new();
    for frame in audio.samples.chunks_exact(FRAME_SAMPLES) {
        let mut payload = Vec::new();
        encoder.encode(frame, &mut payload).map_err(error)?;
        payloads.push(payload);
    }
    let clock_rate = codec.clock_rate();
    Ok(RtpStream::from_frames(SSRC, PAYLOAD_TYPE, clock_rate, clock_rate / 50, payloads))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_speaks_as_long_as_its_capture_and_in_the_format_that_its_leg_has() {
        let stream = speech().expect("a stream");
        assert!(VOICE_AGENT[0].starts_with(&format!("{} ", stream.payload_type.get())));
        let captured = references::speech(AGENT).expect("audio").duration().as_millis();
        assert_eq!(stream.duration().as_millis(), captured / 20 * 20);
    }
}
