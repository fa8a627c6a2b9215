//! Key presses for a party: telephone-events of the relay's own (RFC 4733) in the stream that the party receives.
//!
//! While a key is down its packets take the place of the source's, in the same numbering: one SSRC, the next sequence numbers,
//! all of them on the timestamp at which the key went down. When it comes up the source is spliced on behind it, as after a
//! cut-over.
//!
//! ```text
//!   source   7 8 9  .  .  .  .      15 16
//!   sent     7 8 9 [10 11 12 13 13 13] 16 17     marker on 10, the end on the last three
//! ```

mod validate;

use std::collections::VecDeque;

use patchcord_rtp::{PayloadType, RtpHeader, RtpTimestamp, SequenceNumber, Ssrc, TelephoneEvent};

use crate::command::DtmfStep;
use crate::datagram::Hop;
use crate::event::Event;
use crate::forward::{END_PACKETS, EVENT_PACKET_LEN, build_event};
use crate::ids::{Component, PortId};
use crate::leg::egress::Origin;
use crate::leg::{Slot, SourceSlot};
use crate::media::{Codec, Frames};
use crate::player::Player;
use crate::shard::Shard;
use crate::time::MonoTime;

/// RFC 4733 2.5.1.2: updates are sent once a packet time, and every 50 ms at the longest.
const UPDATE_NANOS_MAX: u64 = 50_000_000;
const UPDATE_NANOS_MIN: u64 = 10_000_000;
/// Where the stream has not shown its packet time.
const UPDATE_NANOS: u64 = 20_000_000;
/// What the timer wheel sees ahead; whoever waits longer looks in between.
const LOOK_NANOS: u64 = Frames::PTIME_MS_MAX as u64 * 1_000_000;

/// The key presses of one leg.
#[derive(Debug)]
pub(crate) struct Dialer {
    steps: VecDeque<DtmfStep>,
    key: Option<Key>,
    /// When it is to be looked at next.
    due: MonoTime,
    sent: u16,
}

/// A key that is down.
#[derive(Debug)]
struct Key {
    event: TelephoneEvent,
    payload_type: PayloadType,
    clock_rate: u32,
    down_at: MonoTime,
    duration_nanos: u64,
    pause_nanos: u64,
    update_nanos: u64,
    /// Of the present segment (RFC 4733 2.5.1.3).
    timestamp: RtpTimestamp,
    /// Timestamp units of the segments before it.
    former_ts_units: u32,
    /// What the listener has been told so far, in timestamp units.
    told_ts_units: u32,
}

impl Dialer {
    /// Steps that wait.
    fn waiting(&self) -> usize {
        self.steps.len()
    }

    /// Keys among them.
    fn keys_waiting(&self) -> u16 {
        self.steps.iter().filter(|step| matches!(step, DtmfStep::Key { .. })).count() as u16
    }
}

impl Key {
    fn up_at(&self) -> MonoTime {
        self.down_at.after_nanos(self.duration_nanos)
    }

    fn ts_units(&self, nanos: u64) -> u32 {
        (u128::from(nanos) * u128::from(self.clock_rate) / 1_000_000_000) as u32
    }

    /// What is to be told at `now`: the packet that is due covers the time until the next one, as a packet of audio would.
    fn due_ts_units(&self, now: MonoTime) -> u32 {
        let updates = now.nanos_since(self.down_at) / self.update_nanos + 1;
        self.ts_units(updates.saturating_mul(self.update_nanos).min(self.duration_nanos))
    }

    /// When there is something to be done after `now`.
    fn next_due(&self, now: MonoTime) -> MonoTime {
        let updates = now.nanos_since(self.down_at) / self.update_nanos + 1;
        self.down_at.after_nanos(updates.saturating_mul(self.update_nanos)).min(self.up_at())
    }
}

impl Shard {
    /// Puts key presses behind those that wait.
    pub(crate) fn send_dtmf(&mut self, sink: Slot, steps: &[DtmfStep], now: MonoTime) {
        let cold = &mut self.legs.cold[sink as usize];
        if let Some(dialer) = &mut cold.dialer {
            dialer.steps.extend(steps);
            return;
        }
        let steps = steps.iter().copied().collect();
        cold.dialer = Some(Box::new(Dialer { steps, key: None, due: now, sent: 0 }));
        // The wheel's nodes are made for those who dial, which are few.
        self.dials.cover(sink);
        self.dial(sink, now);
    }

    /// Ends the key that is down, and forgets those behind it.
    pub(crate) fn stop_dtmf(&mut self, sink: Slot, now: MonoTime) {
        self.release_key(sink, now);
        let Some(dialer) = self.legs.cold[sink as usize].dialer.take() else { return };
        self.dials.remove(sink);
        self.finish_dtmf(sink, &dialer);
    }

    /// Forgets all about key presses of a leg that is going away.
    pub(crate) fn forget_dtmf(&mut self, sink: Slot) {
        if self.legs.cold[sink as usize].dialer.take().is_some() {
            self.dials.remove(sink);
        }
    }

    /// The party may not receive any more, perhaps: then it is not told how its keys end.
    pub(crate) fn check_dtmf(&mut self, sink: Slot) {
        let egress = &self.legs.egress[sink as usize];
        if !egress.is_reachable()
            && let Some(dialer) = self.legs.cold[sink as usize].dialer.take()
        {
            self.dials.remove(sink);
            self.finish_dtmf(sink, &dialer);
        }
    }

    /// Does what is due by `now`, as far as the outbox has room; the rest comes with the next call.
    pub(crate) fn dial_due(&mut self, now: MonoTime) {
        while self.outbox.has_room_for(2 * END_PACKETS, EVENT_PACKET_LEN) {
            let Some(sink) = self.dials.pop_due(now) else { return };
            self.dial(sink, now);
        }
    }

    /// The key that is down comes up at once: the source is about to be replaced. Those behind it wait for their time.
    pub(crate) fn release_key(&mut self, sink: Slot, now: MonoTime) {
        let Some(mut dialer) = self.legs.cold[sink as usize].dialer.take() else { return };
        if let Some(mut key) = dialer.key.take() {
            let told_ts_units = key.told_ts_units;
            self.tell(sink, &mut key, told_ts_units, true, now);
            self.legs.egress[sink as usize].release_key();
            dialer.due = now.after_nanos(key.pause_nanos);
            self.dials.insert(sink, dialer.due.min(now.after_nanos(LOOK_NANOS)));
        }
        self.legs.cold[sink as usize].dialer = Some(dialer);
    }

    fn dial(&mut self, sink: Slot, now: MonoTime) {
        // Taken out meanwhile: what is sent borrows the leg.
        let Some(mut dialer) = self.legs.cold[sink as usize].dialer.take() else { return };
        let goes_on = dialer.due > now || self.dial_on(sink, &mut dialer, now);
        if goes_on {
            self.dials.insert(sink, dialer.due.max(now).min(now.after_nanos(LOOK_NANOS)));
            self.legs.cold[sink as usize].dialer = Some(dialer);
        } else {
            self.finish_dtmf(sink, &dialer);
        }
    }

    /// Does the next thing and says when to go on; `false`: there is nothing left, or nothing can be sent any more.
    fn dial_on(&mut self, sink: Slot, dialer: &mut Dialer, now: MonoTime) -> bool {
        let key = dialer.key.take();
        let egress = &self.legs.egress[sink as usize];
        if !egress.is_reachable() || egress.has_key() != key.is_some() {
            return false;
        }
        if let Some(mut key) = key {
            if now < key.up_at() {
                let ts_units = key.due_ts_units(now);
                self.tell(sink, &mut key, ts_units, false, now);
                dialer.due = key.next_due(now);
                dialer.key = Some(key);
                return true;
            }
            let ts_units = key.ts_units(key.duration_nanos);
            self.tell(sink, &mut key, ts_units, true, now);
            self.legs.egress[sink as usize].release_key();
            dialer.due = now.after_nanos(key.pause_nanos);
            return true;
        }
        match dialer.steps.pop_front() {
            None => false,
            Some(DtmfStep::Pause { ms }) => {
                dialer.due = now.after_nanos(u64::from(ms) * 1_000_000);
                true
            }
            Some(step @ DtmfStep::Key { .. }) => {
                let Some(mut key) = self.press(sink, step, now) else {
                    dialer.steps.push_front(step);
                    return false;
                };
                let ts_units = key.due_ts_units(now);
                self.tell(sink, &mut key, ts_units, false, now);
                dialer.due = key.next_due(now);
                dialer.key = Some(key);
                dialer.sent = dialer.sent.saturating_add(1);
                true
            }
        }
    }

    /// A key goes down: from now on the source is not heard. `None` if the party cannot be sent one (any more).
    fn press(&mut self, sink: Slot, step: DtmfStep, now: MonoTime) -> Option<Key> {
        let DtmfStep::Key { event, volume, duration_ms, pause_ms } = step else { return None };
        let at = sink as usize;
        if self.hears_unread(sink) {
            return None;
        }
        self.legs.descend_to(sink);
        let clock_rate = self.audio_clock_rate(sink);
        let payload_type = event_format(&self.legs.cold[at].codecs, clock_rate)?;
        // One that the source is sending is over with that; the rest of it is not joined in its middle.
        self.end_event_in_flight(sink, now);
        let origin = self.origin(sink, now);
        let egress = &mut self.legs.egress[at];
        let update_nanos = egress.frame_nanos(clock_rate).unwrap_or(UPDATE_NANOS);
        let timestamp = egress.press_key(&origin, clock_rate, now);
        Some(Key {
            event: TelephoneEvent { event, end: false, volume, duration: 0 },
            payload_type,
            clock_rate,
            down_at: now,
            duration_nanos: u64::from(duration_ms) * 1_000_000,
            pause_nanos: u64::from(pause_ms) * 1_000_000,
            update_nanos: update_nanos.clamp(UPDATE_NANOS_MIN, UPDATE_NANOS_MAX),
            timestamp,
            former_ts_units: 0,
            told_ts_units: 0,
        })
    }

    /// Tells the listener that the key has been down for so long. What does not fit one packet goes in segments (RFC 4733
    /// 2.5.1.3).
    fn tell(&mut self, sink: Slot, key: &mut Key, ts_units: u32, end: bool, now: MonoTime) {
        let first = key.told_ts_units == 0;
        key.told_ts_units = ts_units;
        while ts_units - key.former_ts_units > u32::from(u16::MAX) {
            key.event.duration = u16::MAX;
            self.send_event(sink, key, false, now);
            key.former_ts_units += u32::from(u16::MAX);
            key.timestamp = key.timestamp.wrapping_add(u32::from(u16::MAX));
            let nanos = u128::from(key.former_ts_units) * 1_000_000_000 / u128::from(key.clock_rate.max(1));
            self.legs.egress[sink as usize].set_clock(key.timestamp, key.down_at.after_nanos(nanos as u64));
        }
        key.event.duration = (ts_units - key.former_ts_units) as u16;
        key.event.end = end;
        for _ in 0..if end { END_PACKETS } else { 1 } {
            self.send_event(sink, key, first && !end, now);
        }
    }

    fn send_event(&mut self, sink: Slot, key: &Key, marker: bool, now: MonoTime) {
        let egress = &mut self.legs.egress[sink as usize];
        let Some(to) = egress.remote().filter(|_| egress.is_reachable()) else { return };
        if !self.outbox.has_room(EVENT_PACKET_LEN) {
            return;
        }
        let Some((sequence, ssrc)) = egress.insert(EVENT_PACKET_LEN, now) else { return };
        let header = RtpHeader { marker, payload_type: key.payload_type, sequence, timestamp: key.timestamp, ssrc };
        let hop = Hop { port: PortId::new(sink, Component::Rtp), to };
        let Ok(seal) = self.seal(sink, &header) else { return };
        self.outbox.push(hop, EVENT_PACKET_LEN, seal, |room| build_event(room, &header, &key.event));
    }

    fn finish_dtmf(&mut self, sink: Slot, dialer: &Dialer) {
        let leg = self.legs.cold[sink as usize].id;
        self.outbox.event(Event::DtmfFinished { leg, sent: dialer.sent, dropped: dialer.keys_waiting() });
    }

    /// Whether a leg hears packets that are relayed unread: their numbers are not ours to give, nor are their keys.
    pub(crate) fn hears_unread(&self, sink: Slot) -> bool {
        match self.legs.egress[sink as usize].source {
            SourceSlot::Leg(source) => self.legs.ingress[source as usize].is_opaque(),
            SourceSlot::Silence | SourceSlot::Mix | SourceSlot::Player => false,
        }
    }

    /// Clock rate of the audio that a leg hears, or would hear.
    pub(crate) fn audio_clock_rate(&self, sink: Slot) -> u32 {
        let cold = &self.legs.cold[sink as usize];
        let heard = match self.legs.egress[sink as usize].source {
            _ if cold.made.is_some() => self.made_clock_rate(sink),
            SourceSlot::Leg(source) => {
                let ingress = &self.legs.ingress[source as usize];
                ingress.receiver.ssrc().map(|_| ingress.clock_rate)
            }
            SourceSlot::Player => cold.player.as_ref().map(Player::clock_rate),
            SourceSlot::Silence | SourceSlot::Mix => None,
        };
        heard.unwrap_or_else(|| first_audio_clock_rate(&cold.codecs))
    }

    /// Where a stream begins of which nothing was sent so far: with numbers of our own; for a translator where its source stands,
    /// if that has spoken.
    fn origin(&mut self, sink: Slot, now: MonoTime) -> Origin {
        let egress = &self.legs.egress[sink as usize];
        if let SourceSlot::Leg(source) = egress.source
            && egress.is_untouched()
            && let receiver = &self.legs.ingress[source as usize].receiver
            && let Some(ssrc) = receiver.ssrc()
        {
            let sequence = SequenceNumber(receiver.extended_highest() as u16);
            return Origin { ssrc, sequence, timestamp: receiver.timestamp_at(now.as_nanos()) };
        }
        let (ssrc, sequence) = (Ssrc(self.rng.next_u32()), SequenceNumber(self.rng.next_u32() as u16));
        Origin { ssrc, sequence, timestamp: RtpTimestamp(self.rng.next_u32()) }
    }
}

/// The payload type of telephone-events beside audio of this clock rate (RFC 4733 2.1: they share the stream's clock).
pub(crate) fn event_format(codecs: &[Codec], clock_rate: u32) -> Option<PayloadType> {
    let fits = |codec: &&Codec| codec.is_telephone_event() && codec.clock_rate == clock_rate;
    codecs.iter().find(fits).map(|codec| codec.payload_type)
}

/// Clock rate of the first format of a list that is audio.
pub(crate) fn first_audio_clock_rate(codecs: &[Codec]) -> u32 {
    let audio = codecs.iter().find(|codec| codec.carries_media());
    audio.map_or(crate::leg::DEFAULT_CLOCK_RATE, |codec| codec.clock_rate)
}
