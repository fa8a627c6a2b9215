//! Which streams of a capture are the two directions of one conversation.

use std::path::Path;
use std::sync::Arc;

use patchcord_lab::capture::Capture;
use patchcord_lab::stream::RtpStream;

/// One stream, or two whose addresses are each other's mirror.
#[derive(Clone, Debug)]
pub(super) struct Conversation {
    /// The file it is from.
    pub(super) file: String,
    /// What the first party sends.
    pub(super) forth: Arc<RtpStream>,
    /// What the second party sends, and when it begins after the first, in nanoseconds.
    pub(super) back: Option<(Arc<RtpStream>, i64)>,
}

/// The conversations of a capture, in the order of their first packets.
pub(super) fn of(file: &Path, capture: &Capture) -> Vec<Conversation> {
    let mut streams: Vec<Option<RtpStream>> = RtpStream::find(&capture.datagrams).into_iter().map(Some).collect();
    let mut conversations = Vec::new();
    for index in 0..streams.len() {
        let Some(forth) = streams[index].take() else { continue };
        let mirror = streams.iter_mut().find(|other| other.as_ref().is_some_and(|other| is_mirror(&forth, other)));
        let back = mirror.and_then(Option::take).map(|back| {
            let delay_ns = began_ns(capture, &back) - began_ns(capture, &forth);
            (Arc::new(back), delay_ns)
        });
        let file = file.file_name().unwrap_or(file.as_os_str()).to_string_lossy().into_owned();
        conversations.push(Conversation { file, forth: Arc::new(forth), back });
    }
    conversations
}

fn is_mirror(one: &RtpStream, other: &RtpStream) -> bool {
    // An rtpdump knows no destination: its streams stay alone.
    let known = |stream: &RtpStream| stream.destination.is_some_and(|destination| destination.port() != 0);
    known(one) && known(other) && one.source == other.destination && one.destination == other.source
}

/// When a stream's first packet was captured.
fn began_ns(capture: &Capture, stream: &RtpStream) -> i64 {
    let first = stream.packets.first().map_or(&[][..], |packet| packet.bytes.as_slice());
    let found =
        capture.datagrams.iter().find(|datagram| Some(datagram.source) == stream.source && datagram.payload == first);
    found.map_or(0, |datagram| datagram.at_ns.cast_signed())
}

#[cfg(test)]
mod tests {
    use patchcord_lab::capture::CapturedDatagram;
    use patchcord_rtp::{PayloadType, Ssrc};

    use super::*;

    fn datagrams(ssrc: u32, source: &str, destination: &str, begin_ns: u64) -> Vec<CapturedDatagram> {
        let stream = RtpStream::from_frames(Ssrc(ssrc), PayloadType::default(), 8000, 160, vec![[0_u8; 160]; 20]);
        let datagram = |packet: patchcord_lab::stream::StreamPacket| CapturedDatagram {
            at_ns: begin_ns + packet.offset_ns,
            source: source.parse().expect("an address"),
            destination: destination.parse().expect("an address"),
            payload: packet.bytes,
        };
        stream.packets.into_iter().map(datagram).collect()
    }

    #[test]
    fn the_two_directions_of_a_call_are_one_conversation() {
        let mut all = datagrams(1, "10.0.0.1:4000", "10.0.0.2:5000", 1_000_000_000);
        all.extend(datagrams(2, "10.0.0.3:4000", "10.0.0.2:5000", 1_000_000_000));
        all.extend(datagrams(3, "10.0.0.2:5000", "10.0.0.1:4000", 1_500_000_000));
        let capture = Capture { datagrams: all, ..Capture::default() };
        let found = of(Path::new("folder/call.pcap"), &capture);
        assert_eq!(found.len(), 2);
        let (back, delay_ns) = found[0].back.as_ref().expect("the mirror");
        assert_eq!((found[0].forth.ssrc, back.ssrc, *delay_ns), (Ssrc(1), Ssrc(3), 500_000_000));
        assert_eq!((found[1].forth.ssrc, found[1].back.is_none()), (Ssrc(2), true));
        assert_eq!(found[0].file, "call.pcap");
    }
}
