//! RTP streams: found in a capture, or made from frames, ready to be played.

mod clock_rate;
mod continuity;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use patchcord_rtp::{PayloadType, Protocol, RtpHeader, RtpTimestamp, SequenceNumber, Ssrc, classify};

use crate::capture::CapturedDatagram;

pub(crate) use clock_rate::ClockRates;
pub(crate) use continuity::Continuity;

/// Fewer packets than this are not taken for a stream: any UDP traffic looks like RTP for a packet or two.
pub const STREAM_PACKETS_MIN: usize = 5;

/// A step of the sequence number larger than this is not consistent with one source (RFC 3550 A.1 has 3000 for dropouts, which
/// would let random numbers pass too often here).
const SEQUENCE_STEP_MAX: i16 = 500;

/// More payload types than this in one stream mean that the bytes are not RTP: speech, comfort noise, telephone events and a codec
/// change in mid-call are fewer.
const PAYLOAD_TYPES_MAX: usize = 6;

/// A sequence of RTP packets of one source with the times at which they were on the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RtpStream {
    /// Who sent it, where it comes from a capture.
    pub source: Option<SocketAddr>,
    /// Who got it, where it comes from a capture.
    pub destination: Option<SocketAddr>,
    /// The synchronization source of all its packets.
    pub ssrc: Ssrc,
    /// The payload type of most packets.
    pub payload_type: PayloadType,
    /// Timestamp units a second: of the static payload type (RFC 3551 6), else guessed from the packets' times.
    pub clock_rate: u32,
    /// The packets in the order in which they were on the wire, offsets rising from 0.
    pub packets: Vec<StreamPacket>,
    /// Sequence numbers between the lowest and the highest that have no packet.
    pub lost: u64,
    /// Packets that came after one with a higher sequence number.
    pub reordered: u64,
    /// Packets whose sequence number had been there before.
    pub duplicates: u64,
}

/// One packet of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamPacket {
    /// When it is due, in nanoseconds after the stream's first packet.
    pub offset_ns: u64,
    /// The whole RTP packet.
    pub bytes: Vec<u8>,
}

impl RtpStream {
    /// Finds the RTP streams of a capture: packets with the same addresses and SSRC, at least [`STREAM_PACKETS_MIN`] of them, whose
    /// sequence numbers and payload types hang together. RTCP (RFC 5761 4) and everything else is passed over.
    ///
    /// The streams come in the order of their first packets.
    #[must_use]
    pub fn find(datagrams: &[CapturedDatagram]) -> Vec<Self> {
        let mut candidates: BTreeMap<(SocketAddr, SocketAddr, Ssrc), Vec<Candidate<'_>>> = BTreeMap::new();
        for (order, datagram) in datagrams.iter().enumerate() {
            if classify(&datagram.payload) != Protocol::Rtp {
                continue;
            }
            if let Ok(header) = RtpHeader::read(&datagram.payload) {
                let key = (datagram.source, datagram.destination, header.ssrc);
                candidates.entry(key).or_default().push(Candidate { order, header, datagram });
            }
        }
        let mut streams: Vec<(usize, Self)> = candidates
            .into_iter()
            .filter(|(_, packets)| hangs_together(packets))
            .map(|((source, destination, _), packets)| (packets[0].order, Self::of(source, destination, packets)))
            .collect();
        streams.sort_by_key(|(order, _)| *order);
        streams.into_iter().map(|(_, stream)| stream).collect()
    }

    /// Makes a stream from payloads of equal duration, beginning with sequence number and timestamp 0 and a marker.
    #[must_use]
    pub fn from_frames<F: AsRef<[u8]>>(
        ssrc: Ssrc,
        payload_type: PayloadType,
        clock_rate: u32,
        frame_ts_units: u32,
        frames: impl IntoIterator<Item = F>,
    ) -> Self {
        let frame_ns = u64::from(frame_ts_units) * 1_000_000_000 / u64::from(clock_rate.max(1));
        let packets = frames.into_iter().zip(0_u32..).map(|(frame, index)| {
            let header = RtpHeader {
                marker: index == 0,
                payload_type,
                // The sequence number wraps (RFC 3550 5.1).
                sequence: SequenceNumber(index as u16),
                timestamp: RtpTimestamp(index.wrapping_mul(frame_ts_units)),
                ssrc,
            };
            let mut bytes = vec![0; patchcord_rtp::RTP_HEADER_LEN];
            header.build(&mut bytes);
            bytes.extend_from_slice(frame.as_ref());
            StreamPacket { offset_ns: u64::from(index) * frame_ns, bytes }
        });
        Self {
            source: None,
            destination: None,
            ssrc,
            payload_type,
            clock_rate,
            packets: packets.collect(),
            lost: 0,
            reordered: 0,
            duplicates: 0,
        }
    }

    /// How long it lasts: the last packet's offset and the mean packet spacing, so that a loop keeps its rhythm.
    #[must_use]
    pub fn duration(&self) -> Duration {
        let last_ns = self.packets.last().map_or(0, |packet| packet.offset_ns);
        let steps = self.packets.len().saturating_sub(1) as u64;
        Duration::from_nanos(last_ns + last_ns.checked_div(steps).unwrap_or(0))
    }

    /// The first `length` of the stream.
    #[must_use]
    pub fn truncated(mut self, length: Duration) -> Self {
        let length_ns = u64::try_from(length.as_nanos()).unwrap_or(u64::MAX);
        self.packets.retain(|packet| packet.offset_ns < length_ns);
        self
    }

    fn of(source: SocketAddr, destination: SocketAddr, packets: Vec<Candidate<'_>>) -> Self {
        let payload_type = most_common_payload_type(&packets);
        let continuity = Continuity::of(packets.iter().map(|packet| packet.header.sequence));
        let clock_rate =
            ClockRates::of(packets.iter().map(|packet| (packet.datagram.at_ns, packet.header))).of_type(payload_type);
        let ssrc = packets[0].header.ssrc;
        // Packets of several interfaces can be out of order in the file; what counts is the time on the wire.
        let mut packets = packets;
        packets.sort_by_key(|packet| packet.datagram.at_ns);
        let first_ns = packets[0].datagram.at_ns;
        let packets = packets.into_iter().map(|packet| StreamPacket {
            offset_ns: packet.datagram.at_ns - first_ns,
            bytes: packet.datagram.payload.clone(),
        });
        Self {
            source: Some(source),
            destination: Some(destination),
            ssrc,
            payload_type,
            clock_rate,
            packets: packets.collect(),
            lost: continuity.lost,
            reordered: continuity.reordered,
            duplicates: continuity.duplicates,
        }
    }
}

/// A packet that may belong to a stream.
struct Candidate<'a> {
    order: usize,
    header: RtpHeader,
    datagram: &'a CapturedDatagram,
}

/// Whether packets with the same addresses and SSRC are one RTP stream.
fn hangs_together(packets: &[Candidate<'_>]) -> bool {
    if packets.len() < STREAM_PACKETS_MIN {
        return false;
    }
    let small_steps = packets
        .windows(2)
        .filter(|pair| {
            pair[1].header.sequence.distance_from(pair[0].header.sequence).unsigned_abs() <= SEQUENCE_STEP_MAX as u16
        })
        .count();
    // A source that restarts its numbers once or twice is still one; random bytes make small steps in 1.5 % of all cases.
    let consistent = small_steps * 10 >= (packets.len() - 1) * 9;
    let mut payload_types: Vec<_> = packets.iter().map(|packet| packet.header.payload_type).collect();
    payload_types.sort_unstable();
    payload_types.dedup();
    consistent && payload_types.len() <= PAYLOAD_TYPES_MAX
}

fn most_common_payload_type(packets: &[Candidate<'_>]) -> PayloadType {
    let mut counts: BTreeMap<PayloadType, usize> = BTreeMap::new();
    for packet in packets {
        *counts.entry(packet.header.payload_type).or_default() += 1;
    }
    counts.into_iter().max_by_key(|(_, count)| *count).map(|(payload_type, _)| payload_type).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn address(port: u16) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, 1], port))
    }

    fn datagrams(stream: &RtpStream, from: u16, to: u16) -> Vec<CapturedDatagram> {
        let datagram = |packet: &StreamPacket| CapturedDatagram {
            at_ns: 1_000_000_000 + packet.offset_ns,
            source: address(from),
            destination: address(to),
            payload: packet.bytes.clone(),
        };
        stream.packets.iter().map(datagram).collect()
    }

    fn speech(ssrc: u32, payload_type: u8, clock_rate: u32, frames: usize) -> RtpStream {
        let payload_type = PayloadType::new(payload_type).expect("seven bits");
        RtpStream::from_frames(Ssrc(ssrc), payload_type, clock_rate, clock_rate / 50, vec![[0x55_u8; 20]; frames])
    }

    #[test]
    fn a_dynamic_payload_type_gets_the_clock_rate_of_its_timestamps() {
        for clock_rate in [8_000, 16_000, 48_000] {
            let stream = speech(1, 111, clock_rate, 50);
            let found = RtpStream::find(&datagrams(&stream, 4000, 4002));
            assert_eq!(found.len(), 1);
            assert_eq!(found[0].clock_rate, clock_rate);
        }
    }

    #[test]
    fn rtcp_and_short_runs_are_no_streams() {
        let mut all = datagrams(&speech(1, 0, 8_000, STREAM_PACKETS_MIN - 1), 4000, 4002);
        let mut rtcp = datagrams(&speech(2, 0, 8_000, 20), 4001, 4003);
        rtcp.iter_mut().for_each(|datagram| datagram.payload[1] = 200);
        all.extend(rtcp);
        assert_eq!(RtpStream::find(&all), []);
    }

    #[test]
    fn duration_leaves_room_for_the_last_frame() {
        assert_eq!(speech(1, 0, 8_000, 50).duration(), Duration::from_secs(1));
        assert_eq!(speech(1, 0, 8_000, 0).duration(), Duration::ZERO);
    }

    proptest! {
        /// Streams mixed with each other, with loss and with noise come out as they went in.
        #[test]
        fn streams_are_found_in_a_mixture(
            lengths in prop::collection::vec(STREAM_PACKETS_MIN..80, 1..6),
            noise in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..60), 0..40),
            lost in prop::collection::btree_set(1_usize..40, 0..4),
        ) {
            let mut expected = Vec::new();
            let mut all: Vec<CapturedDatagram> = Vec::new();
            for (index, &frames) in lengths.iter().enumerate() {
                let port = 5000 + 2 * index as u16;
                let whole = datagrams(&speech(index as u32, 8, 8_000, frames), port, 9000);
                // The first and the last packet stay: without them a loss cannot be seen.
                let kept: Vec<_> = whole
                    .into_iter()
                    .enumerate()
                    .filter(|(at, _)| frames - lost.len() < STREAM_PACKETS_MIN || *at == frames - 1 || !lost.contains(at))
                    .map(|(_, datagram)| datagram)
                    .collect();
                expected.push((Ssrc(index as u32), kept.len(), (frames - kept.len()) as u64));
                all.extend(kept);
            }
            for (index, payload) in noise.into_iter().enumerate() {
                let at_ns = 1_000_000_000 + index as u64 * 7_000_000;
                all.push(CapturedDatagram { at_ns, source: address(7), destination: address(9), payload });
            }
            all.sort_by_key(|datagram| datagram.at_ns);
            let mut found: Vec<_> = RtpStream::find(&all)
                .into_iter()
                .map(|stream| (stream.ssrc, stream.packets.len(), stream.lost))
                .collect();
            found.sort_unstable();
            prop_assert_eq!(found, expected);
        }
    }
}
