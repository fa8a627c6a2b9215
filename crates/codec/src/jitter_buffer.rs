//! A jitter buffer: packets of one stream go in as the network brings them, and come out as they are to be heard.
//!
//! A packet is due when the fastest packets of the last seconds would have come, plus a delay that is adapted to
//! how much later the others come. Whoever plays asks for the next piece whenever it has none left; there is no clock in
//! here. Where sender and player count time differently, or the delay has changed, the play is moved by one packet at a
//! time: one is left out, or one is made up. In silence that is done sooner, since nobody hears it.
//!
//! All times are RTP timestamp units but for those that say otherwise.

mod packet;
mod transit;

use std::collections::VecDeque;

pub use packet::{Config, Counts, Inserted, Packet, Playout};
use transit::Transit;

/// Packets that are kept at most: more than 1 s of the shortest usual ones.
pub const PACKETS_MAX: usize = 128;
/// The longest payload that is kept, in bytes: that of a datagram on any usual path.
pub const PAYLOAD_MAX: usize = 2048;
/// After so long without any packet nothing more is made up, in milliseconds.
const PAUSE_AFTER_MS: i64 = 100;
/// A packet whose time is so far off is believed when a second one agrees (as RFC 3550 A.1 has it of sequence numbers), in
/// milliseconds.
const JUMP_MS: i64 = 2000;

#[derive(Debug)]
struct Slot {
    sequence: u16,
    timestamp: i64,
    units: u32,
    payload: Vec<u8>,
}

/// One stream on its way to the ear.
#[derive(Debug)]
pub struct JitterBuffer {
    config: Config,
    /// By timestamp.
    slots: VecDeque<Slot>,
    /// Buffers of payloads that were played, for those to come.
    spare: Vec<Vec<u8>>,
    playing: Vec<u8>,
    transit: Transit,
    /// The newest timestamp, without its wrapping around.
    newest: Option<i64>,
    /// Where a stray packet would have the stream go on, as transit time.
    stray: Option<i64>,
    /// The timestamp that is due next, while something is heard.
    next: Option<i64>,
    /// Of the last packet that was played.
    last_sequence: u16,
    units: u32,
    /// How much was made up since the buffer ran dry.
    dry: i64,
    counts: Counts,
}

impl JitterBuffer {
    /// A buffer without packets.
    #[must_use]
    pub fn new(config: Config) -> Self {
        let ms = |ms: u32| i64::from(ms) * i64::from(config.clock_rate) / 1000;
        let (min, max) = (ms(config.delay_min_ms), ms(config.delay_max_ms));
        Self {
            slots: VecDeque::with_capacity(PACKETS_MAX),
            spare: Vec::with_capacity(PACKETS_MAX),
            playing: Vec::new(),
            transit: Transit::new(min, max.max(min)),
            newest: None,
            stray: None,
            next: None,
            last_sequence: 0,
            units: u32::try_from(ms(config.packet_ms)).unwrap_or(1).max(1),
            dry: 0,
            counts: Counts::default(),
            config,
        }
    }

    /// Forgets all packets and all it has learned: another stream begins, as after a change of SSRC.
    pub fn reset(&mut self) {
        while let Some(slot) = self.slots.pop_front() {
            self.spare.push(slot.payload);
        }
        self.transit.reset();
        (self.newest, self.stray, self.next, self.dry) = (None, None, None, 0);
    }

    /// Takes a packet that came at `arrival_ns`, nanoseconds of any clock that never goes back.
    pub fn insert(&mut self, packet: &Packet<'_>, arrival_ns: u64) -> Inserted {
        if packet.payload.len() > PAYLOAD_MAX || packet.units == 0 || packet.units > self.config.clock_rate {
            self.counts.refused += 1;
            return Inserted::Refused;
        }
        let mut timestamp = self.unwrapped(packet.timestamp);
        let transit = self.units_at(arrival_ns).wrapping_sub(timestamp);
        let mut inserted = Inserted::Kept;
        if self.transit.latest().is_some_and(|latest| (transit - latest).abs() > self.ms(JUMP_MS)) {
            let agrees = self.stray.is_some_and(|stray| (transit - stray).abs() <= self.ms(JUMP_MS));
            self.stray = Some(transit);
            if !agrees {
                self.counts.refused += 1;
                return Inserted::Stray;
            }
            self.reset();
            self.counts.jumped += 1;
            timestamp = self.unwrapped(packet.timestamp);
            inserted = Inserted::Jumped;
        }
        let transit = self.units_at(arrival_ns).wrapping_sub(timestamp);
        self.stray = None;
        // The sender's time has stood still while nothing was heard: what is known of it is of no use any more.
        if self.next.is_none() && self.slots.is_empty() && self.transit.is_hopeless(transit) {
            self.transit.reset();
        }
        self.newest = Some(self.newest.map_or(timestamp, |newest| newest.max(timestamp)));
        self.transit.learn(transit);
        if self.next.is_some_and(|next| timestamp < next) {
            self.counts.late += 1;
            return Inserted::Late;
        }
        let at = self.slots.partition_point(|slot| slot.timestamp < timestamp);
        if self.slots.get(at).is_some_and(|slot| slot.timestamp == timestamp) {
            self.counts.duplicate += 1;
            return Inserted::Duplicate;
        }
        self.keep(at, packet, timestamp);
        inserted
    }

    /// What is to be heard next, at `now_ns` of the same clock. `is_quiet` says that what was heard last was: then moving
    /// the play disturbs nobody.
    pub fn playout(&mut self, now_ns: u64, is_quiet: bool) -> Playout<'_> {
        let now = self.units_at(now_ns);
        let units = self.units;
        let Some(first) = self.slots.front().map(|slot| (slot.timestamp, slot.sequence)) else {
            return self.dry(now);
        };
        self.dry = 0;
        let (timestamp, sequence) = first;
        let Some(next) = self.next else {
            if self.ahead(now, timestamp) < 0 {
                return Playout::Silence { units };
            }
            return self.play();
        };
        // What is less than a packet is not worth a disturbance, and the first packet is late by up to that: it is played
        // when the player next asks. Of packets that are shorter than what it plays at a time it asks for several at once.
        let packet = i64::from(units).max(self.ms(self.config.packet_ms.into()));
        let ahead = self.ahead(now, next);
        let is_too_soon = ahead < -packet / 4;
        let is_too_late = ahead > if is_quiet { packet } else { packet * 5 / 4 };
        let gap = timestamp - next;
        if gap > 0 && sequence == self.last_sequence.wrapping_add(1) {
            return self.pause(gap, ahead);
        }
        if is_too_soon {
            self.counts.stretched += 1;
            return if is_quiet { Playout::Silence { units } } else { Playout::Conceal { units } };
        }
        if gap <= 0 {
            if is_too_late && self.slots.len() > 1 {
                self.counts.skipped += 1;
                self.drop_first();
            }
            return self.play();
        }
        if is_too_late && gap <= ahead + packet / 4 {
            // What is lost is a packet less to leave out.
            self.counts.skipped += 1;
            return self.play();
        }
        self.conceal(next, gap)
    }

    /// The delay that is aimed at, in milliseconds.
    #[must_use]
    pub fn delay_ms(&self) -> u32 {
        let ms = self.transit.delay() * 1000 / i64::from(self.config.clock_rate.max(1));
        u32::try_from(ms).unwrap_or(u32::MAX)
    }

    /// What has happened since [`Self::new`].
    #[must_use]
    pub const fn counts(&self) -> Counts {
        self.counts
    }

    /// Packets that wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether no packet waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// The first packet, though it may come after the one that was due.
    fn play(&mut self) -> Playout<'_> {
        let units = self.units;
        let Some(slot) = self.slots.pop_front() else { return Playout::Silence { units } };
        self.next = Some(slot.timestamp + i64::from(slot.units));
        (self.last_sequence, self.units) = (slot.sequence, slot.units);
        self.spare.push(core::mem::replace(&mut self.playing, slot.payload));
        self.counts.played += 1;
        Playout::Play { payload: &self.playing, units: slot.units }
    }

    /// In place of what is lost between the timestamp that is due and the first packet.
    fn conceal(&mut self, next: i64, gap: i64) -> Playout<'_> {
        // A part of a packet that is left over is made up with the last one, and not by itself.
        let packet = i64::from(self.units);
        let units = if gap < 2 * packet { gap } else { packet };
        self.next = Some(next + units);
        self.counts.concealed += 1;
        let units_u32 = u32::try_from(units).unwrap_or(self.units);
        match self.slots.front() {
            Some(slot) if units == gap => Playout::Fec { next: &slot.payload, units: units_u32 },
            _ => Playout::Conceal { units: units_u32 },
        }
    }

    /// While the sender is silent: no packet is missing, but the next one is due later. The play can be moved freely.
    fn pause(&mut self, gap: i64, ahead: i64) -> Playout<'_> {
        if gap <= ahead {
            return self.play();
        }
        let piece = gap.min(self.units.into());
        // As much later as it is too soon, and as much sooner as it is too late.
        self.next = self.next.map(|next| next + (piece + ahead).clamp(0, gap));
        Playout::Silence { units: u32::try_from(piece).unwrap_or(self.units) }
    }

    /// Without any packet it cannot be known whether one is lost or the sender is silent.
    fn dry(&mut self, now: i64) -> Playout<'_> {
        let units = self.units;
        if self.next.is_some_and(|next| self.ahead(now, next) < -i64::from(units) / 4) {
            self.counts.stretched += 1;
            return Playout::Conceal { units };
        }
        self.dry += i64::from(units);
        if self.dry > self.ms(PAUSE_AFTER_MS) {
            self.next = None;
        }
        match &mut self.next {
            Some(next) => {
                *next += i64::from(units);
                self.counts.concealed += 1;
                Playout::Conceal { units }
            }
            None => Playout::Silence { units },
        }
    }

    /// By how much a timestamp is overdue.
    fn ahead(&self, now: i64, timestamp: i64) -> i64 {
        now - timestamp - self.transit.due()
    }

    fn keep(&mut self, at: usize, packet: &Packet<'_>, timestamp: i64) {
        let mut at = at;
        if self.slots.len() >= PACKETS_MAX {
            self.counts.overflowed += 1;
            self.drop_first();
            at = at.saturating_sub(1);
        }
        let mut payload = self.spare.pop().unwrap_or_default();
        payload.clear();
        payload.extend_from_slice(packet.payload);
        let Packet { sequence, units, .. } = *packet;
        self.slots.insert(at, Slot { sequence, timestamp, units, payload });
    }

    /// Leaves out the first packet, as if it had been played.
    fn drop_first(&mut self) {
        if let Some(slot) = self.slots.pop_front() {
            self.last_sequence = slot.sequence;
            self.spare.push(slot.payload);
        }
    }

    /// The timestamp as one that does not wrap around: the nearest to the newest.
    fn unwrapped(&self, timestamp: u32) -> i64 {
        let newest = self.newest.unwrap_or_else(|| timestamp.into());
        newest + i64::from(timestamp.wrapping_sub(newest as u32) as i32)
    }

    fn units_at(&self, ns: u64) -> i64 {
        let units = u128::from(ns) * u128::from(self.config.clock_rate) / 1_000_000_000;
        // Centuries, and still far from where differences would overflow.
        i64::try_from(units).unwrap_or(i64::MAX).min(1 << 60)
    }

    fn ms(&self, ms: i64) -> i64 {
        ms * i64::from(self.config.clock_rate) / 1000
    }
}
