//! Which sent packet a received one is, though a relay gave it another SSRC, sequence number and timestamp.

use std::collections::{BTreeMap, HashMap};

use patchcord_rtp::Ssrc;

use super::Arrived;
use crate::endpoint::{Fingerprint, SentLog, SentPacket};

/// A packet is looked for among those that were sent so long before it arrived. Longer than any queue, shorter than most loops.
const WINDOW_NS: u64 = 2_000_000_000;

/// More candidates than this for one packet (silence at a hundred parties) tell nothing.
const CANDIDATES_MAX: usize = 256;

/// Where a received packet comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Origin {
    /// Index of the sender.
    pub(super) sender: usize,
    /// When it was sent.
    pub(super) sent_ns: u64,
}

/// The relation of a received packet to a sent one that stays the same for all packets between two cut-overs: the relay adds
/// constant offsets to what a source sends.
type Relation = (Ssrc, usize, u32);

/// Senders and packets in the order of sending.
type SentByPayload<'a> = HashMap<Fingerprint, Vec<(usize, &'a SentPacket)>>;

/// The origin of each packet, where it is known.
///
/// Payloads are compared first. Where several sent packets have the same payload (silence, tones), the one counts whose relation
/// most of the packets around have too; among equals the one sent last.
pub(super) fn of(packets: &[Arrived<'_>], senders: &[&SentLog]) -> Vec<Option<Origin>> {
    let all = senders.iter().enumerate();
    let mut all: Vec<_> =
        all.flat_map(|(sender, log)| log.packets.iter().map(move |packet| (sender, packet))).collect();
    all.sort_by_key(|(_, packet)| packet.at_ns);
    let mut sent: SentByPayload<'_> = HashMap::new();
    for (sender, packet) in all {
        sent.entry(packet.fingerprint).or_default().push((sender, packet));
    }
    let candidates: Vec<Vec<(Relation, Origin)>> = packets.iter().map(|packet| candidates(packet, &sent)).collect();

    let mut votes: BTreeMap<Relation, usize> = BTreeMap::new();
    for (relation, _) in candidates.iter().flatten() {
        *votes.entry(*relation).or_default() += 1;
    }
    let best = |candidates: &Vec<(Relation, Origin)>| {
        let by_votes = candidates.iter().max_by_key(|(relation, origin)| (votes.get(relation), origin.sent_ns));
        by_votes.map(|(_, origin)| *origin)
    };
    candidates.iter().map(best).collect()
}

/// The sent packets with the same payload that are not too old.
fn candidates(packet: &Arrived<'_>, sent: &SentByPayload<'_>) -> Vec<(Relation, Origin)> {
    let Some(sent) = sent.get(&Fingerprint::of(packet.payload)) else { return Vec::new() };
    let until = sent.partition_point(|(_, sent)| sent.at_ns <= packet.at_ns);
    let recent = sent[..until].iter().rev().take_while(|(_, sent)| packet.at_ns - sent.at_ns <= WINDOW_NS);
    let candidate = |&(sender, sent): &(usize, &SentPacket)| {
        let offset = packet.header.timestamp.wrapping_sub(sent.header.timestamp);
        ((packet.header.ssrc, sender, offset), Origin { sender, sent_ns: sent.at_ns })
    };
    recent.take(CANDIDATES_MAX).map(candidate).collect()
}

#[cfg(test)]
mod tests {
    use patchcord_rtp::{PayloadType, RtpHeader, RtpTimestamp, SequenceNumber};

    use super::*;

    const FRAME_NS: u64 = 20_000_000;

    fn header(ssrc: u32, index: u32, timestamp: u32) -> RtpHeader {
        RtpHeader {
            marker: false,
            payload_type: PayloadType::default(),
            sequence: SequenceNumber(index as u16),
            timestamp: RtpTimestamp(timestamp),
            ssrc: Ssrc(ssrc),
        }
    }

    fn sender(name: &str, ssrc: u32, payloads: &[&[u8]]) -> SentLog {
        let mut log = SentLog::new(name, 1_000);
        for (index, payload) in payloads.iter().enumerate() {
            let mut bytes = vec![0; 12];
            let header = header(ssrc, index as u32, index as u32 * 160);
            header.build(&mut bytes);
            bytes.extend_from_slice(payload);
            log.push(index as u64 * FRAME_NS, header, &bytes);
        }
        log
    }

    fn arrived(index: u32, latency_ns: u64, payload: &[u8]) -> Arrived<'_> {
        let header = header(9, index, index * 160 + 5_000);
        Arrived { at_ns: u64::from(index) * FRAME_NS + latency_ns, header, bytes: payload, payload }
    }

    #[test]
    fn equal_payloads_are_told_apart_by_their_timestamps() {
        let silence: &[u8] = &[0xff; 160];
        let log = sender("a", 1, &[silence; 100]);
        let packets: Vec<_> = (0..100).map(|index| arrived(index, 70_000, silence)).collect();
        let origins = of(&packets, &[&log]);
        for (index, origin) in origins.iter().enumerate() {
            assert_eq!(*origin, Some(Origin { sender: 0, sent_ns: index as u64 * FRAME_NS }));
        }
    }

    #[test]
    fn a_change_of_the_sender_is_seen() {
        let payloads: Vec<[u8; 2]> = (0..20).map(|index| [1, index]).collect();
        let other: Vec<[u8; 2]> = (0..20).map(|index| [2, index]).collect();
        let a = sender("a", 1, &payloads.iter().map(|p| &p[..]).collect::<Vec<_>>());
        let b = sender("b", 2, &other.iter().map(|p| &p[..]).collect::<Vec<_>>());
        let packets: Vec<_> = (0..20_u32)
            .map(|index| {
                let from = if index < 10 { &payloads } else { &other };
                arrived(index, 50_000, &from[index as usize])
            })
            .collect();
        let senders: Vec<_> = of(&packets, &[&a, &b]).into_iter().map(|origin| origin.map(|o| o.sender)).collect();
        assert_eq!(senders[..10], [Some(0); 10]);
        assert_eq!(senders[10..], [Some(1); 10]);
    }

    #[test]
    fn a_packet_is_not_recognised_before_it_was_sent() {
        let log = sender("a", 1, &[&[1], &[2], &[3]]);
        let late = Arrived { at_ns: FRAME_NS - 1, ..arrived(1, 0, &[2]) };
        assert_eq!(of(&[late], &[&log]), [None]);
        assert_eq!(of(&[arrived(1, 0, &[77])], &[&log]), [None]);
    }
}
