//! What a party really got: its recorded packets, put in order, cut into pieces at the markers, and compared with what
//! everybody sent.

mod piece;

use std::collections::BTreeMap;

use patchcord_lab::endpoint::{Fingerprint, Recording, SentLog};
use patchcord_rtp::RtpHeader;

pub(crate) use self::piece::Piece;
use self::piece::{joined, unique_payloads};

/// Everything that one party received.
#[derive(Clone, Debug)]
pub(crate) struct Evidence {
    /// SSRCs, in the order of their first packets.
    pub(crate) ssrcs: Vec<u32>,
    pub(crate) pieces: Vec<Piece>,
    /// Sequence numbers that did not arrive, and did not reach the relay either.
    pub(crate) missing_before_relay: u64,
    /// Sequence numbers that did not arrive for another reason.
    pub(crate) missing_unexplained: u64,
}
/// A received packet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Packet {
    /// Its sequence number, extended around the first one.
    pub(crate) extended: i64,
    pub(crate) header: RtpHeader,
    /// When it arrived, on the laboratory's clock.
    pub(crate) at_ns: u64,
    fingerprint: Fingerprint,
}
impl Evidence {
    /// Looks at a recording in the light of what was sent.
    pub(crate) fn of(recording: &Recording, senders: &[&SentLog]) -> Self {
        let packets = in_order(recording);
        let mut ssrcs = Vec::new();
        for (header, _) in recording.rtp() {
            if !ssrcs.contains(&header.ssrc.0) {
                ssrcs.push(header.ssrc.0);
            }
        }
        let mut pieces: Vec<Piece> = Vec::new();
        for packet in packets {
            match pieces.last_mut() {
                Some(piece) if !packet.header.marker => piece.packets.push(packet),
                _ => pieces.push(Piece::begin(packet)),
            }
        }
        let unique = unique_payloads(senders);
        for piece in &mut pieces {
            piece.attribute(senders, &unique);
        }
        let pieces = joined(pieces, senders);
        let mut missing = (0, 0);
        let mut next = None;
        for piece in pieces.iter().rev() {
            let (before_relay, unexplained) = piece.missing(next, senders);
            missing = (missing.0 + before_relay, missing.1 + unexplained);
            next = Some(piece.first().extended);
        }
        Self { ssrcs, pieces, missing_before_relay: missing.0, missing_unexplained: missing.1 }
    }

    /// Whose the pieces are, in order.
    pub(crate) fn order(&self) -> Vec<&str> {
        self.pieces.iter().map(|piece| piece.from.as_deref().unwrap_or("relay")).collect()
    }

    /// All packets in the order of their sequence numbers.
    pub(crate) fn packets(&self) -> impl Iterator<Item = &Packet> {
        self.pieces.iter().flat_map(|piece| &piece.packets)
    }

    /// Packets of senders that were lost in the relay, of all that were sent while they were heard.
    pub(crate) fn passed(&self) -> (u64, u64) {
        let passages = self.pieces.iter().filter_map(|piece| piece.passage);
        passages.fold((0, 0), |(sent, lost), passage| (sent + passage.sent, lost + passage.lost))
    }

    /// Time in the relay at these quantiles, in microseconds; `None` if nobody's packets came through.
    pub(crate) fn latency_us<const N: usize>(&self, quantiles: [f64; N]) -> Option<[f64; N]> {
        latency_us(self.latencies_ns().collect(), quantiles)
    }

    /// Time in the relay of each packet of a sender, in nanoseconds.
    pub(crate) fn latencies_ns(&self) -> impl Iterator<Item = u64> {
        self.pieces.iter().flat_map(|piece| &piece.latencies_ns).copied()
    }

    /// The changes from one piece to the next.
    pub(crate) fn switches(&self) -> Vec<Switch> {
        self.pieces.windows(2).map(|pair| Switch::between(&pair[0], &pair[1])).collect()
    }
}

/// Quantiles of latencies in microseconds; `None` if there are none.
pub(crate) fn latency_us<const N: usize>(mut latencies_ns: Vec<u64>, quantiles: [f64; N]) -> Option<[f64; N]> {
    latencies_ns.sort_unstable();
    let last = latencies_ns.len().checked_sub(1)?;
    let at = |quantile: f64| latencies_ns[(quantile * last as f64).ceil() as usize];
    // To the tenth of a microsecond.
    Some(quantiles.map(|quantile| (at(quantile) / 100) as f64 / 10.0))
}

/// A change of sources, as the receiver sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Switch {
    /// From the last arrival of the old source to the first of the new.
    pub(crate) gap_us: u64,
    /// 1 is seamless.
    pub(crate) seq_step: i64,
    /// In timestamp units.
    pub(crate) ts_step: i64,
    /// A packet of the old source came after one of the new.
    pub(crate) interleaved: bool,
}

impl Switch {
    fn between(old: &Piece, new: &Piece) -> Self {
        let (before, after) = (old.last(), new.first());
        let last_arrival = old.packets.iter().map(|packet| packet.at_ns).max().unwrap_or(0);
        let first_arrival = new.packets.iter().map(|packet| packet.at_ns).min().unwrap_or(0);
        Self {
            gap_us: after.at_ns.saturating_sub(last_arrival) / 1000,
            seq_step: after.extended - before.extended,
            ts_step: ts_step(before, after),
            interleaved: last_arrival > first_arrival,
        }
    }
}

/// By how much the timestamp rose.
pub(crate) fn ts_step(before: &Packet, after: &Packet) -> i64 {
    i64::from(after.header.timestamp.0.wrapping_sub(before.header.timestamp.0).cast_signed())
}
/// The recording's packets by extended sequence number, each number once.
fn in_order(recording: &Recording) -> Vec<Packet> {
    let mut packets: BTreeMap<i64, Packet> = BTreeMap::new();
    // Extended numbers keep the low sixteen bits of the first.
    let mut highest: Option<(i64, patchcord_rtp::SequenceNumber)> = None;
    for (header, received) in recording.rtp() {
        let extended = match highest {
            None => i64::from(header.sequence.0),
            Some((extended, sequence)) => extended + i64::from(header.sequence.distance_from(sequence)),
        };
        if highest.is_none_or(|(highest, _)| extended > highest) {
            highest = Some((extended, header.sequence));
        }
        let fingerprint = Fingerprint::of(received.payload());
        packets.entry(extended).or_insert(Packet { extended, header, at_ns: received.at_ns, fingerprint });
    }
    packets.into_values().collect()
}
#[cfg(test)]
mod tests {
    use patchcord_lab::endpoint::Received;
    use patchcord_rtp::{PayloadType, RTP_HEADER_LEN, RtpTimestamp, SequenceNumber, Ssrc};

    use super::*;

    const FRAME_NS: u64 = 20_000_000;

    fn packet(ssrc: u32, sequence: u16, timestamp: u32, marker: bool, payload: &[u8]) -> (RtpHeader, Vec<u8>) {
        let header = RtpHeader {
            marker,
            payload_type: PayloadType::default(),
            sequence: SequenceNumber(sequence),
            timestamp: RtpTimestamp(timestamp),
            ssrc: Ssrc(ssrc),
        };
        let mut bytes = vec![0; RTP_HEADER_LEN];
        header.build(&mut bytes);
        bytes.extend_from_slice(payload);
        (header, bytes)
    }

    /// A sender of frames with payloads of its own, without those in `lost`.
    fn sender(name: &str, frames: u16, lost: &[u16]) -> SentLog {
        let mut log = SentLog::new(name, 1000);
        for frame in (0..frames).filter(|frame| !lost.contains(frame)) {
            let payload = format!("{name} {frame}");
            let (header, bytes) = packet(1, frame, u32::from(frame) * 160, false, payload.as_bytes());
            log.push(u64::from(frame) * FRAME_NS, header, &bytes);
        }
        log
    }

    /// Receives (sequence, timestamp, marker, payload), each a millisecond after the 20 ms tick that its timestamp names.
    fn receive(packets: &[(u16, u32, bool, String)]) -> Recording {
        let mut recording = Recording::new("sink", 1000);
        for (sequence, timestamp, marker, payload) in packets {
            let (_, bytes) = packet(7, *sequence, *timestamp, *marker, payload.as_bytes());
            let from = "127.0.0.1:1".parse().expect("an address");
            let at_ns = u64::from(timestamp / 160) * FRAME_NS + 1_000_000;
            recording.push(Received { at_ns, from, bytes: &bytes });
        }
        recording
    }

    /// Agent, then the relay, then the target, over the wrap of the sequence numbers.
    fn transfer(skip: &[u16]) -> (Recording, SentLog, SentLog) {
        let (agent, target) = (sender("agent", 30, &[5]), sender("target", 90, &[]));
        let mut packets = Vec::new();
        for index in 0..90_u16 {
            let (payload, marker) = match index {
                0..30 => (format!("agent {index}"), false),
                30..60 => (format!("music {index}"), index == 30),
                _ => (format!("target {}", index - 60), index == 60),
            };
            if !skip.contains(&index) {
                packets.push((index.wrapping_add(65_530), 1000 + u32::from(index) * 160, marker, payload));
            }
        }
        (receive(&packets), agent, target)
    }

    #[test]
    fn pieces_are_attributed_and_gaps_explained() {
        let (recording, agent, target) = transfer(&[5]);
        let evidence = Evidence::of(&recording, &[&agent, &target]);
        assert_eq!(evidence.order(), ["agent", "relay", "target"]);
        assert_eq!((evidence.missing_before_relay, evidence.missing_unexplained), (1, 0));
        assert_eq!(evidence.passed(), (29 + 30, 0));
        // The agent's frames arrive 6 frames and a millisecond after they were sent, the target's 60 frames later still.
        assert_eq!(evidence.latency_us([0.0, 1.0]), Some([121_000.0, 1_321_000.0]));
        let switches = evidence.switches();
        assert!(switches.iter().all(|s| (s.seq_step, s.ts_step, s.interleaved) == (1, 160, false)), "{switches:?}");
    }

    #[test]
    fn packets_that_the_relay_lost_are_found() {
        let (recording, agent, target) = transfer(&[5, 10, 40, 70]);
        let evidence = Evidence::of(&recording, &[&agent, &target]);
        assert_eq!((evidence.missing_before_relay, evidence.missing_unexplained), (1, 3));
        assert_eq!(evidence.passed().1, 2);
    }

    #[test]
    fn a_sender_with_markers_of_its_own_is_one_piece_and_silence_is_recognised_by_its_numbers() {
        let mut log = SentLog::new("agent", 1000);
        let mut recording = Recording::new("sink", 1000);
        for frame in 0..40_u16 {
            let (header, bytes) = packet(7, frame, u32::from(frame) * 160, frame % 20 == 0, b"silence");
            let at_ns = u64::from(frame) * FRAME_NS;
            log.push(at_ns, header, &bytes);
            if frame != 19 {
                let from = "127.0.0.1:1".parse().expect("an address");
                recording.push(Received { at_ns: at_ns + 50_000, from, bytes: &bytes });
            }
        }
        let evidence = Evidence::of(&recording, &[&log]);
        assert_eq!(evidence.order(), ["agent"]);
        assert_eq!(evidence.passed(), (40, 1));
        assert_eq!((evidence.missing_before_relay, evidence.missing_unexplained), (0, 1));
        assert!(evidence.pieces[0].passage.is_some_and(|passage| passage.untouched));
        assert_eq!(evidence.latency_us([0.5]), Some([50.0]));
    }

    #[test]
    fn a_mix_in_which_one_speaks_alone_for_a_while_is_not_his() {
        let agent = sender("agent", 60, &[]);
        let payload = |i: u16| if (20..40).contains(&i) { format!("agent {i}") } else { format!("mix {i}") };
        let packets: Vec<_> = (0..60_u16).map(|i| (i, u32::from(i) * 160, i == 0, payload(i))).collect();
        let evidence = Evidence::of(&receive(&packets), &[&agent]);
        assert_eq!(evidence.order(), ["relay"]);
        assert_eq!((evidence.passed(), evidence.latency_us([0.5])), ((0, 0), None));
    }

    #[test]
    fn a_foreign_packet_is_found() {
        let (agent, target) = (sender("agent", 30, &[]), sender("target", 30, &[]));
        let packets: Vec<_> = (0..30_u16)
            .map(|i| (i, u32::from(i) * 160, false, format!("{} {i}", if i == 20 { "target" } else { "agent" })))
            .collect();
        let evidence = Evidence::of(&receive(&packets), &[&agent, &target]);
        assert_eq!(evidence.order(), ["agent"]);
        let passage = evidence.pieces[0].passage.expect("the agent's");
        assert_eq!((passage.foreign, passage.lost), (1, 1));
    }
}
