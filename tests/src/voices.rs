//! The three voices of the captures: what they say, as packets and as audio.

use std::path::PathBuf;
use std::time::Duration;

use patchcord_codec::analysis::{Heard, Stretch, order_heard, timeline};
use patchcord_codec::{Audio, Law, TELEPHONE_RATE};
use patchcord_lab::capture::Capture;
use patchcord_lab::endpoint::Endpoint;
use patchcord_lab::stream::RtpStream;
use patchcord_rtp::{PayloadType, RtpHeader, RtpPacket};

/// Their names.
pub const NAMES: [&str; 3] = ["transferee", "agent", "target"];

/// Mean correlation of a stretch with what was sent: a lost packet or two may be in it.
const SAME_SOUND: f64 = 0.9;

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
    decoded(stream.packets.iter().map(|packet| packet.bytes.as_slice()))
}

/// What an endpoint has heard, all of it PCMU and one stream; its reports are left out.
///
/// # Panics
/// If there is something else in it.
#[must_use]
pub fn heard_by(endpoint: &Endpoint) -> Audio {
    heard_beside(endpoint, None)
}

/// The same of an endpoint that gets key presses beside it, which are left out.
///
/// # Panics
/// If there is something else in it.
#[must_use]
pub fn heard_beside_keys(endpoint: &Endpoint, events: PayloadType) -> Audio {
    heard_beside(endpoint, Some(events))
}

fn heard_beside(endpoint: &Endpoint, other: Option<PayloadType>) -> Audio {
    let recording = endpoint.recording();
    let packets: Vec<_> = recording.rtp().filter(|(header, _)| Some(header.payload_type) != other).collect();
    for (header, _) in &packets {
        assert_eq!((header.payload_type, header.ssrc), (PayloadType::default(), packets[0].0.ssrc), "{header:?}");
    }
    decoded(packets.iter().map(|(_, received)| received.bytes))
}

fn decoded<'a>(packets: impl Iterator<Item = &'a [u8]>) -> Audio {
    let mut samples: Vec<i16> = Vec::new();
    let mut first = None;
    for bytes in packets {
        let header = RtpHeader::read(bytes).expect("a stream consists of RTP packets");
        let packet = RtpPacket::parse(bytes).expect("a stream consists of RTP packets");
        let first = *first.get_or_insert(header.timestamp);
        let position = header.timestamp.wrapping_sub(first) as usize;
        let decoded = Law::Mu.decode(packet.payload());
        samples.resize(samples.len().max(position + decoded.len()), 0);
        samples[position..position + decoded.len()].copy_from_slice(&decoded);
    }
    Audio::telephone(samples)
}

/// Makes sure that a telephone's recording has these voices in this order, each as it was sent, and nothing else for as
/// long as a second.
///
/// # Panics
/// If it has not.
pub fn must_be_heard(recording: &Audio, order: &[&str]) {
    with_stretches(recording, |stretches| {
        assert_eq!(order_heard(stretches), order, "{stretches:#?}");
        for stretch in stretches.iter().filter(|stretch| stretch.end - stretch.start > TELEPHONE_RATE as usize) {
            let same = stretch.heard == Heard::Silence || stretch.correlation > SAME_SOUND;
            assert!(same, "{order:?} and something else: {stretches:#?}");
        }
    });
}

/// [`must_be_heard`] for a telephone that stretches and conceals what it plays: only the order counts.
///
/// # Panics
/// If the recording has not these voices in this order.
pub fn must_be_heard_in_order(recording: &Audio, order: &[&str]) {
    with_stretches(recording, |stretches| assert_eq!(order_heard(stretches), order, "{stretches:#?}"));
}

fn with_stretches(recording: &Audio, then: impl FnOnce(&[Stretch<'_>])) {
    let once = NAMES.map(|name| {
        let voice = audio(&stream(name));
        // Its beginning again, so that a window across the end is found too.
        (name, voice.looped(voice.duration() + Duration::from_secs(1)).samples)
    });
    let references: Vec<(&str, &[i16])> = once.iter().map(|(name, samples)| (*name, &samples[..])).collect();
    then(&timeline(&recording.samples, recording.sample_rate, &references));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_captures_hold_speech() {
        for name in NAMES {
            assert!(audio(&stream(name)).duration().as_secs() >= 20, "{name}");
        }
    }
}
