//! Whose a piece of the stream is, and what of it came through.
//!
//! A relay may give a packet another SSRC, sequence number and timestamp, but between two cut-overs it does so by constant
//! offsets, and it does not touch the payload. So a piece of the stream whose payloads are a sender's, all at the same
//! offsets, is that sender's.

use std::collections::{BTreeMap, BTreeSet};

use patchcord_lab::endpoint::{Fingerprint, SentLog, SentPacket};

use super::Packet;

/// So many payloads that occur only once in all that was sent must agree before a piece is taken for a sender's: digital
/// silence is everybody's.
const VOTES_MIN: usize = 10;

/// A piece of the stream from one source.
#[derive(Clone, Debug)]
pub(crate) struct Piece {
    /// Whose it is; `None`: the relay's own.
    pub(crate) from: Option<String>,
    /// In the order of their sequence numbers; never empty.
    pub(crate) packets: Vec<Packet>,
    /// How a sender's packets came through; `None` for the relay's own.
    pub(crate) passage: Option<Passage>,
    /// From the sender's system call to the arrival at the receiver's socket, of each packet of a sender.
    pub(super) latencies_ns: Vec<u64>,
}

/// A sender's packets on their way through the relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Passage {
    /// Sent between the first and the last that arrived, both included.
    pub(crate) sent: u64,
    /// Of these, never arrived.
    pub(crate) lost: u64,
    /// Packets in the piece that are not this sender's.
    pub(crate) foreign: u64,
    /// What the relay added to sequence numbers and timestamps.
    sequence_offset: u16,
    timestamp_offset: u32,
    /// Neither SSRC, sequence numbers nor timestamps were changed.
    pub(crate) untouched: bool,
}

impl Passage {
    const fn offsets(&self) -> (u16, u32) {
        (self.sequence_offset, self.timestamp_offset)
    }
}

impl Piece {
    pub(super) fn begin(packet: Packet) -> Self {
        Self { from: None, packets: vec![packet], passage: None, latencies_ns: Vec::new() }
    }

    pub(crate) fn first(&self) -> &Packet {
        self.packets.first().expect("a piece begins with a packet")
    }

    pub(crate) fn last(&self) -> &Packet {
        self.packets.last().expect("a piece begins with a packet")
    }

    /// Finds out whose the piece is.
    pub(super) fn attribute(&mut self, senders: &[&SentLog], unique: &BTreeMap<Fingerprint, (usize, usize)>) {
        let mut votes: BTreeMap<(usize, u16, u32), usize> = BTreeMap::new();
        for packet in &self.packets {
            if let Some(&(sender, index)) = unique.get(&packet.fingerprint) {
                let (sequence, timestamp) = offsets(packet, &senders[sender].packets[index]);
                *votes.entry((sender, sequence, timestamp)).or_default() += 1;
            }
        }
        let wanted = VOTES_MIN.min(self.packets.len());
        let elected = votes.into_iter().filter(|&(_, count)| count >= wanted).max_by_key(|&(_, count)| count);
        // Where all payloads are alike, what came through bit for bit is recognised all the same.
        let elected =
            elected.map(|(offsets, _)| offsets).or_else(|| self.unchanged(senders).map(|sender| (sender, 0, 0)));
        let Some(offsets) = elected else { return };
        self.accept(senders, offsets);
    }

    /// The sender whose packets these are without any change, if there is one.
    fn unchanged(&self, senders: &[&SentLog]) -> Option<usize> {
        senders.iter().position(|log| {
            let sent: BTreeSet<_> = log
                .packets
                .iter()
                .map(|sent| (sent.header.ssrc, sent.header.sequence.0, sent.header.timestamp.0, sent.fingerprint))
                .collect();
            self.packets.iter().all(|packet| {
                let header = &packet.header;
                sent.contains(&(header.ssrc, header.sequence.0, header.timestamp.0, packet.fingerprint))
            })
        })
    }

    /// Takes the packets for a sender's, at these offsets, and looks which of them came through.
    fn accept(&mut self, senders: &[&SentLog], (sender, sequence_offset, timestamp_offset): (usize, u16, u32)) {
        let log = senders[sender];
        self.latencies_ns.clear();
        let mut by_sequence: BTreeMap<u16, Vec<usize>> = BTreeMap::new();
        for (index, sent) in log.packets.iter().enumerate() {
            by_sequence.entry(sent.header.sequence.0).or_default().push(index);
        }
        let mut arrived = BTreeSet::new();
        let mut foreign = 0;
        for packet in &self.packets {
            let sequence = packet.header.sequence.0.wrapping_sub(sequence_offset);
            let indices = by_sequence.get(&sequence).map_or(&[][..], Vec::as_slice);
            let same = |&&index: &&usize| {
                let sent = &log.packets[index];
                sent.fingerprint == packet.fingerprint && offsets(packet, sent).1 == timestamp_offset
            };
            match indices.iter().find(same) {
                Some(&index) => {
                    arrived.insert(index);
                    self.latencies_ns.push(packet.at_ns.saturating_sub(log.packets[index].at_ns));
                }
                None => foreign += 1,
            }
        }
        // A mix in which nobody else speaks is a sender's packets, bit for bit, for as long as that lasts.
        if foreign > arrived.len() as u64 {
            self.latencies_ns.clear();
            return;
        }
        let (Some(&first), Some(&last)) = (arrived.first(), arrived.last()) else { return };
        let sent = (last - first + 1) as u64;
        let same_ssrc = self.packets.iter().all(|packet| packet.header.ssrc == log.packets[first].header.ssrc);
        self.from = Some(log.name().to_owned());
        self.passage = Some(Passage {
            sent,
            lost: sent - arrived.len() as u64,
            foreign,
            sequence_offset,
            timestamp_offset,
            untouched: same_ssrc && sequence_offset == 0 && timestamp_offset == 0,
        });
    }

    /// Sequence numbers of this piece, up to the `next` one, that did not arrive: those that their sender's own path had
    /// lost (or that it sent only after the switch), and the others.
    pub(super) fn missing(&self, next: Option<i64>, senders: &[&SentLog]) -> (u64, u64) {
        let there: BTreeSet<i64> = self.packets.iter().map(|packet| packet.extended).collect();
        let end = next.unwrap_or(self.last().extended + 1);
        let absent = (self.first().extended..end).filter(|number| !there.contains(number));
        let log = senders.iter().find(|log| Some(log.name()) == self.from.as_deref());
        let (Some(log), Some(passage)) = (log, self.passage) else { return (0, absent.count() as u64) };
        let last_arrival = self.packets.iter().map(|packet| packet.at_ns).max().unwrap_or(0);
        let sent_in_time: BTreeSet<u16> =
            log.packets.iter().filter(|sent| sent.at_ns <= last_arrival).map(|sent| sent.header.sequence.0).collect();
        let mut counts = (0, 0);
        for number in absent {
            // Extended numbers agree with the packets' own in their low sixteen bits.
            let sequence = (number as u16).wrapping_sub(passage.sequence_offset);
            if sent_in_time.contains(&sequence) {
                counts.1 += 1;
            } else {
                counts.0 += 1;
            }
        }
        counts
    }
}

/// A sender's own markers (a talk spurt begins, RFC 3551 4.1) do not make its packets another source's.
pub(super) fn joined(pieces: Vec<Piece>, senders: &[&SentLog]) -> Vec<Piece> {
    let mut joined: Vec<Piece> = Vec::new();
    for piece in pieces {
        match (joined.last_mut(), piece.passage) {
            (Some(Piece { passage: Some(before), from, packets, .. }), Some(passage))
                if *from == piece.from && before.offsets() == passage.offsets() =>
            {
                packets.extend(piece.packets);
            }
            _ => joined.push(piece),
        }
    }
    for piece in &mut joined {
        let sender = senders.iter().position(|log| Some(log.name()) == piece.from.as_deref());
        if let (Some(sender), Some(passage)) = (sender, piece.passage) {
            let (sequence, timestamp) = passage.offsets();
            piece.accept(senders, (sender, sequence, timestamp));
        }
    }
    joined
}

/// What was added to sequence number and timestamp.
fn offsets(received: &Packet, sent: &SentPacket) -> (u16, u32) {
    (
        received.header.sequence.0.wrapping_sub(sent.header.sequence.0),
        received.header.timestamp.0.wrapping_sub(sent.header.timestamp.0),
    )
}

/// Payloads that were sent only once by all together, with sender and index.
pub(super) fn unique_payloads(senders: &[&SentLog]) -> BTreeMap<Fingerprint, (usize, usize)> {
    let mut seen: BTreeMap<Fingerprint, Option<(usize, usize)>> = BTreeMap::new();
    for (sender, log) in senders.iter().enumerate() {
        for (index, sent) in log.packets.iter().enumerate() {
            seen.entry(sent.fingerprint).and_modify(|place| *place = None).or_insert(Some((sender, index)));
        }
    }
    seen.into_iter().filter_map(|(fingerprint, place)| Some((fingerprint, place?))).collect()
}
