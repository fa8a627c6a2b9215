//! What one party receives, held against the cut-over contract packet by packet.

use std::collections::BTreeSet;

use patchcord_relay::command::{DtmfStep, EgressMode};
use patchcord_relay::event::Receipt;
use patchcord_relay::time::MonoTime;
use patchcord_rtp::TelephoneEvent;

use crate::dialled::{Dialled, tone_of};
use crate::party::KEY_OF_PARTIES;
use crate::support::wire::{HeardRtp, Payload};
use crate::support::{FRAME, MS, PLAYER};

/// What a leg hears, as the commands and events so far say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hears {
    Silence,
    Leg(u64),
    /// A clip, so often; `None`: for ever.
    Player(u32, Option<u32>),
}

impl Hears {
    pub(crate) const fn origin(self) -> Option<u32> {
        match self {
            Self::Silence => None,
            Self::Leg(leg) => Some(leg as u32),
            Self::Player(clip, _) => Some(PLAYER + clip),
        }
    }
}

/// Timestamps may step by what the engine took for a frame: an eighth of a second at most.
const FRAME_MAX: u32 = 1000;

#[derive(Debug)]
pub(crate) struct Ear {
    pub(crate) mode: EgressMode,
    pub(crate) source: Hears,
    /// What it heard until the present batch; packets of both may be in it.
    pub(crate) before: Option<Hears>,
    /// So often something has happened that allows the numbers of the source to be moved anew.
    may_splice: u32,
    /// So many of these were cut-overs: in the mode that does so, the SSRC changes.
    was_cut_over: u32,
    pub(crate) packets: u64,
    newest: Option<Newest>,
    segment: Option<Segment>,
    /// SSRC and index of all that was sent.
    sent: BTreeSet<(u32, i64)>,
    ssrcs: Vec<u32>,
    pub(crate) cname: Option<Vec<u8>>,
    pub(crate) byes: Vec<u32>,
    /// Of the present batch.
    splices: Vec<Spliced>,
    pub(crate) splices_total: u64,
    pub(crate) ended_keys: u64,
    pub(crate) dialled: Dialled,
}

/// The packet with the highest index so far.
#[derive(Clone, Copy, Debug)]
struct Newest {
    ssrc: u32,
    index: i64,
    timestamp: u32,
    /// When the first packet with that timestamp came.
    timestamp_at: MonoTime,
    /// When any packet came last.
    last_at: MonoTime,
}

/// Packets of one source with constant offsets.
#[derive(Clone, Copy, Debug)]
struct Segment {
    origin: u32,
    epoch: u32,
    first_index: i64,
    /// What is added to the source's sequence and timestamp; `None` for a player, whose own ones nobody knows.
    offsets: Option<(u16, u32)>,
}

#[derive(Clone, Copy, Debug)]
struct Spliced {
    at: MonoTime,
    gap_us: Option<u64>,
    seq_step: Option<u16>,
    ts_step: Option<u32>,
}

impl Spliced {
    fn between(newest: &Newest, packet: &HeardRtp, index: i64) -> Self {
        Self {
            at: packet.at,
            gap_us: Some(packet.at.nanos_since(newest.last_at) / 1000),
            seq_step: u16::try_from(index - newest.index).ok(),
            ts_step: Some(packet.timestamp.wrapping_sub(newest.timestamp)),
        }
    }
}

impl Ear {
    pub(crate) const fn new(mode: EgressMode) -> Self {
        Self {
            mode,
            source: Hears::Silence,
            before: None,
            may_splice: 0,
            was_cut_over: 0,
            packets: 0,
            newest: None,
            segment: None,
            sent: BTreeSet::new(),
            ssrcs: Vec::new(),
            cname: None,
            byes: Vec::new(),
            splices: Vec::new(),
            splices_total: 0,
            ended_keys: 0,
            dialled: Dialled::new(),
        }
    }

    pub(crate) fn hear_from_now_on(&mut self, source: Hears) {
        self.before.get_or_insert(self.source);
        self.source = source;
        self.may_splice += 1;
        self.was_cut_over += 1;
    }

    /// Numbers may be moved, though the source is the same.
    pub(crate) const fn allow_splice(&mut self) {
        self.may_splice += 1;
    }

    /// SSRC and next sequence number, as the party would expect them.
    pub(crate) fn expects(&self) -> Option<(u32, u16)> {
        self.newest.map(|newest| (newest.ssrc, (newest.index as u16).wrapping_add(1)))
    }

    pub(crate) fn ssrcs(&self) -> &[u32] {
        &self.ssrcs
    }

    /// Judges what came of one batch.
    pub(crate) fn receive(&mut self, mut heard: Vec<HeardRtp>) {
        self.packets += heard.len() as u64;
        self.splices.clear();
        if self.mode == EgressMode::Transparent {
            for packet in heard {
                self.receive_untouched(&packet);
            }
        } else {
            // Copies leave behind the datagrams of their batch, in the same instant: put them into their order.
            if let Some(newest) = self.newest {
                let mut ssrcs = vec![(newest.ssrc, newest.index as u16)];
                for packet in &heard {
                    if ssrcs.iter().all(|(ssrc, _)| *ssrc != packet.ssrc) {
                        ssrcs.push((packet.ssrc, packet.sequence));
                    }
                }
                heard.sort_by_key(|packet| {
                    let place = ssrcs.iter().position(|(ssrc, _)| *ssrc == packet.ssrc).expect("all are listed");
                    (place, packet.sequence.wrapping_sub(ssrcs[place].1).cast_signed())
                });
            }
            for packet in heard {
                self.receive_numbered(&packet);
            }
        }
        self.end_of_batch();
    }

    /// Nothing more comes of what has just happened.
    pub(crate) fn end_of_batch(&mut self) {
        self.before = None;
        self.may_splice += u32::from(self.dialled.end_of_batch());
    }

    /// The relay was told to send these keys too.
    pub(crate) fn expect_keys(&mut self, steps: &[DtmfStep]) {
        self.dialled.expect(steps);
    }

    /// The relay says that it is through with the keys.
    pub(crate) fn finish_keys(&mut self, dropped: u16) {
        self.dialled.finish(dropped);
    }

    fn receive_untouched(&mut self, packet: &HeardRtp) {
        let payload = payload_of(packet).expect("a translator makes no packets");
        self.assert_allowed(packet, payload.origin);
        if payload.origin < PLAYER {
            let numbers = (packet.ssrc, packet.sequence, packet.timestamp, packet.marker);
            let own = (payload.ssrc, payload.sequence, payload.timestamp, payload.marker);
            assert_eq!(numbers, own, "a translator leaves a packet untouched");
        }
    }

    fn receive_numbered(&mut self, packet: &HeardRtp) {
        let Some(payload) = payload_of(packet) else { return self.receive_key(packet) };
        if let Some(key) = tone_of(&payload) {
            return self.receive_tone(packet, key, payload.number);
        }
        self.may_splice += u32::from(self.dialled.assert_up(packet));
        self.assert_allowed(packet, payload.origin);
        let Some(newest) = self.newest else { return self.begin(packet, &payload, FIRST_INDEX) };
        if packet.ssrc != newest.ssrc {
            assert_eq!(self.mode, EgressMode::NewSsrc, "one SSRC for life: {packet:?} after {newest:?}");
            assert!(self.was_cut_over > 0 || self.is_another_epoch(&payload), "nothing was cut over before {packet:?}");
            assert!(!self.ssrcs.contains(&packet.ssrc), "an SSRC never comes back: {packet:?}");
            assert!(packet.marker, "marker at a splice: {packet:?}");
            let gap_us = Some(packet.at.nanos_since(newest.last_at) / 1000);
            self.splices.push(Spliced { at: packet.at, gap_us, seq_step: None, ts_step: None });
            return self.begin(packet, &payload, FIRST_INDEX);
        }
        let index = newest.index_of(packet.sequence);
        assert!(self.sent.insert((packet.ssrc, index)), "sent twice: {packet:?}");
        if self.continues(packet, &payload) {
            let segment = self.segment.expect("a segment goes on");
            assert!(index >= segment.first_index, "older than the first of its source: {packet:?}");
            if self.may_splice > 0 && packet.marker {
                // The source's own marker, and a splice that has found the numbers as they have to be, look the same.
                self.splices.push(Spliced::between(&newest, packet, index));
            }
            if payload.origin >= PLAYER {
                assert_eq!(index, newest.index + 1, "players lose nothing: {packet:?}");
                let step = packet.timestamp.wrapping_sub(newest.timestamp);
                assert!(step > 0 && step.is_multiple_of(FRAME), "a step of {step}: {packet:?}");
            } else {
                assert_eq!(packet.marker, payload.marker, "marker only at a splice: {packet:?}");
            }
        } else {
            assert!(
                self.may_splice > 0 || self.is_another_epoch(&payload),
                "no reason for other offsets: {packet:?} in {:?}",
                self.segment
            );
            let step = index - newest.index;
            assert_eq!(step, 1, "the next number at a splice: {packet:?} after {newest:?}");
            assert!(packet.marker, "marker at a splice: {packet:?}");
            let splice = Spliced::between(&newest, packet, index);
            let elapsed = packet.at.nanos_since(newest.timestamp_at) * 8 / 1_000_000;
            let ts_step = splice.ts_step.unwrap_or_default();
            let elapsed = u32::try_from(elapsed).expect("runs are short");
            assert!(
                ts_step >= FRAME && (elapsed..=elapsed.max(FRAME_MAX)).contains(&ts_step),
                "a step of {ts_step} after {elapsed}: {packet:?}"
            );
            self.splices.push(splice);
            self.enter(&payload, packet, index);
        }
        self.advance(packet, index);
    }

    /// A packet of a telephone-event, made by the relay.
    fn receive_key(&mut self, packet: &HeardRtp) {
        assert_eq!((packet.payload_type, packet.bytes.len()), (101, 16), "nothing else is made: {packet:?}");
        let event = TelephoneEvent::read(&packet.bytes[12..]).expect("four bytes");
        if event.event == KEY_OF_PARTIES {
            return self.receive_end_of_key(packet);
        }
        let index = self.take_own(packet);
        let may_be_short = self.before.is_some();
        if self.dialled.receive(packet, &event, may_be_short) {
            // The source is spliced on behind it.
            self.may_splice += 1;
        }
        self.advance_own(packet, index, packet.at);
    }

    /// A packet of a tone of the relay's own.
    fn receive_tone(&mut self, packet: &HeardRtp, key: u8, number: u32) {
        let index = self.take_own(packet);
        if self.dialled.receive_tone(packet, key, number) {
            self.may_splice += 1;
        }
        // However late its frames are sent, the key went down when it did.
        let due = self.newest.filter(|_| !packet.marker).map(|newest| {
            let step = u64::from(packet.timestamp.wrapping_sub(newest.timestamp));
            newest.timestamp_at.after_nanos(step * MS / 8)
        });
        self.advance_own(packet, index, due.unwrap_or(packet.at));
    }

    /// The index of a packet of a key of the relay's own: the next one, and on the time if it is the key's first.
    fn take_own(&mut self, packet: &HeardRtp) -> i64 {
        let index = match self.newest {
            None => {
                self.ssrcs.push(packet.ssrc);
                FIRST_INDEX + i64::from(packet.sequence)
            }
            Some(newest) => {
                let index = newest.index_of(packet.sequence);
                assert_eq!((packet.ssrc, index), (newest.ssrc, newest.index + 1), "{packet:?} after {newest:?}");
                if packet.marker {
                    let elapsed = packet.at.nanos_since(newest.timestamp_at) * 8 / 1_000_000;
                    let elapsed = u32::try_from(elapsed).expect("runs are short");
                    let step = packet.timestamp.wrapping_sub(newest.timestamp);
                    assert!(
                        step >= FRAME && (elapsed..=elapsed.max(FRAME_MAX)).contains(&step),
                        "a step of {step} after {elapsed}: {packet:?}"
                    );
                }
                index
            }
        };
        assert!(self.sent.insert((packet.ssrc, index)), "sent twice: {packet:?}");
        index
    }

    fn advance_own(&mut self, packet: &HeardRtp, index: i64, began_at: MonoTime) {
        let timestamp_at = match self.newest {
            Some(newest) if newest.timestamp == packet.timestamp => newest.timestamp_at,
            _ => began_at,
        };
        let (ssrc, timestamp) = (packet.ssrc, packet.timestamp);
        self.newest = Some(Newest { ssrc, index, timestamp, timestamp_at, last_at: packet.at });
    }

    /// An end packet of an event that the source has begun.
    fn receive_end_of_key(&mut self, packet: &HeardRtp) {
        assert!(self.before.is_some() || self.dialled.is_expected(), "an event is ended at a switch: {packet:?}");
        let newest = self.newest.expect("an event was in flight");
        let index = newest.index_of(packet.sequence);
        assert_eq!((packet.ssrc, index), (newest.ssrc, newest.index + 1), "{packet:?} after {newest:?}");
        assert!(self.sent.insert((packet.ssrc, index)), "sent twice: {packet:?}");
        assert!(packet.timestamp.wrapping_sub(newest.timestamp).cast_signed() <= 0, "on the event's own timestamp");
        self.newest = Some(Newest { index, last_at: packet.at, ..newest });
        self.ended_keys += 1;
    }

    /// The first packet of all, or of an SSRC.
    fn begin(&mut self, packet: &HeardRtp, payload: &Payload, index: i64) {
        let index = index + i64::from(packet.sequence);
        if self.newest.is_none() {
            self.splices.push(Spliced { at: packet.at, gap_us: None, seq_step: None, ts_step: None });
            if payload.origin < PLAYER {
                let numbers = (packet.ssrc, packet.sequence, packet.timestamp, packet.marker);
                let own = (payload.ssrc, payload.sequence, payload.timestamp, payload.marker);
                assert_eq!(numbers, own, "the first source is relayed bit for bit");
            }
        }
        self.ssrcs.push(packet.ssrc);
        self.sent.insert((packet.ssrc, index));
        let (timestamp, at) = (packet.timestamp, packet.at);
        // Older ones may follow a very first packet.
        let first_index = if self.newest.is_none() { 0 } else { index };
        self.newest = Some(Newest { ssrc: packet.ssrc, index, timestamp, timestamp_at: at, last_at: at });
        self.enter(payload, packet, first_index);
    }

    fn enter(&mut self, payload: &Payload, packet: &HeardRtp, first_index: i64) {
        self.segment = Some(Segment {
            origin: payload.origin,
            epoch: payload.epoch,
            first_index,
            offsets: offsets(packet, payload),
        });
        // In a batch with a switch there may be two: to the source that was to come, and to the one after it.
        let left = if self.before.is_some() { 1 } else { 0 };
        self.may_splice = self.may_splice.saturating_sub(1).min(left);
        self.was_cut_over = self.was_cut_over.saturating_sub(1).min(left);
        self.splices_total += 1;
    }

    fn continues(&self, packet: &HeardRtp, payload: &Payload) -> bool {
        let Some(segment) = self.segment else { return false };
        let same = (segment.origin, segment.epoch, segment.offsets)
            == (payload.origin, payload.epoch, offsets(packet, payload));
        // A marker that the source has not set is a splice, even if its numbers fit as they are; players set none.
        same && !(self.may_splice > 0 && packet.marker && !payload.marker)
    }

    fn is_another_epoch(&self, payload: &Payload) -> bool {
        self.segment.is_some_and(|segment| segment.origin == payload.origin && segment.epoch < payload.epoch)
    }

    fn advance(&mut self, packet: &HeardRtp, index: i64) {
        let newest = self.newest.as_mut().expect("not the first packet");
        if index > newest.index {
            newest.index = index;
            if newest.timestamp != packet.timestamp {
                newest.timestamp = packet.timestamp;
                newest.timestamp_at = packet.at;
            }
        }
        newest.last_at = packet.at;
    }

    /// One writer: the packet is of what the leg hears, or heard until this batch.
    fn assert_allowed(&self, packet: &HeardRtp, origin: u32) {
        let allowed = [Some(self.source), self.before];
        assert!(
            allowed.into_iter().flatten().any(|source| source.origin() == Some(origin)),
            "{packet:?} is of neither of {allowed:?}"
        );
    }

    /// Holds a receipt against the packets of the same batch.
    pub(crate) fn assert_tells(&self, receipt: &Receipt) {
        if receipt.first_packet_at == receipt.switched_at && receipt.gap_us.is_none() {
            // To silence, to what was there already, or the first packet of all.
            assert_eq!((receipt.seq_step, receipt.ts_step), (None, None), "{receipt:?}");
            return;
        }
        let told = (receipt.first_packet_at, receipt.gap_us, receipt.seq_step, receipt.ts_step);
        let is_told = |splice: &Spliced| (splice.at, splice.gap_us, splice.seq_step, splice.ts_step) == told;
        let known = self.mode == EgressMode::Transparent || self.splices.iter().any(is_told);
        assert!(known, "{receipt:?} is not what was received: {:?}", self.splices);
        let effect_us = receipt.first_packet_at.nanos_since(receipt.commanded_at) / 1000;
        assert_eq!(receipt.command_to_effect_us, effect_us, "{receipt:?}");
    }
}

/// Like the engine, one roll-over up: what was sent before the very first packet has an index too.
const FIRST_INDEX: i64 = 1 << 16;

impl Newest {
    fn index_of(&self, sequence: u16) -> i64 {
        self.index + i64::from(sequence.wrapping_sub(self.index as u16).cast_signed())
    }
}

/// The payload of ours, which lies behind the event in a packet of a telephone-event; `None` for the relay's own.
fn payload_of(packet: &HeardRtp) -> Option<Payload> {
    packet.payload.or_else(|| Payload::read(packet.bytes.get(16..)?))
}

fn offsets(packet: &HeardRtp, payload: &Payload) -> Option<(u16, u32)> {
    (payload.origin < PLAYER)
        .then(|| (packet.sequence.wrapping_sub(payload.sequence), packet.timestamp.wrapping_sub(payload.timestamp)))
}
