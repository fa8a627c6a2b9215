//! The three voices of the captures: what they say, as packets and as audio.

use std::path::PathBuf;

use patchcord_codec::{Audio, Law};
use patchcord_lab::capture::Capture;
use patchcord_lab::stream::RtpStream;
use patchcord_rtp::{RtpHeader, RtpPacket};

/// The stream of `transferee`, `agent` or `target` from `captures/`.
///
/// # Panics
/// If the capture cannot be read.
#[must_use]
pub fn stream(name: &str) -> RtpStream {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../captures").join(format!("{name}.pcap"));
    let capture = Capture::open(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    RtpStream::find(&capture.datagrams).into_iter().next().expect("a capture holds a stream")
}

/// A PCMU stream as audio, with silence where a packet is missing.
///
/// # Panics
/// If a packet is not RTP.
#[must_use]
pub fn audio(stream: &RtpStream) -> Audio {
    let mut samples: Vec<i16> = Vec::new();
    let mut first = None;
    for packet in &stream.packets {
        let header = RtpHeader::read(&packet.bytes).expect("a stream consists of RTP packets");
        let packet = RtpPacket::parse(&packet.bytes).expect("a stream consists of RTP packets");
        let first = *first.get_or_insert(header.timestamp);
        let position = header.timestamp.wrapping_sub(first) as usize;
        let decoded = Law::Mu.decode(packet.payload());
        samples.resize(samples.len().max(position + decoded.len()), 0);
        samples[position..position + decoded.len()].copy_from_slice(&decoded);
    }
    Audio::telephone(samples)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_captures_hold_speech() {
        for name in ["transferee", "agent", "target"] {
            assert!(audio(&stream(name)).duration().as_secs() >= 20, "{name}");
        }
    }
}
