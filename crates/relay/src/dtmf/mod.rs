//! Key presses for a party, of the relay's own, in the stream that the party receives: telephone-events (RFC 4733), or the tones of
//! the keys (ITU-T Q.23) as audio that was encoded before.
//!
//! While a key is down its packets take the place of the source's, in the same numbering: one SSRC and the next sequence numbers. An
//! event's are all on the timestamp at which the key went down, a tone's are as far apart as those of any audio. When the key comes
//! up the source is spliced on behind it, as after a cut-over.
//!
//! ```text
//!   source   7 8 9  .  .  .  .      15 16
//!   event    7 8 9 [10 11 12 13 13 13] 16 17     marker on 10, the end on the last three
//!   tone     7 8 9 [10 11 12 13]       14 15     marker on 10
//! ```

mod key;
mod validate;

use std::collections::VecDeque;

use patchcord_rtp::{PayloadType, RTP_HEADER_LEN, RtpHeader, RtpTimestamp, SequenceNumber, Ssrc, TelephoneEvent};

use crate::command::{DtmfHow, DtmfStep};
use crate::datagram::Hop;
use crate::event::Event;
use crate::forward::{END_PACKETS, EVENT_PACKET_LEN, build_event};
use crate::ids::{Component, PortId};
use crate::leg::egress::Origin;
use crate::leg::formats::payload_type_for;
use crate::leg::{Slot, SourceSlot};
use crate::media::{Codec, Frames};
use crate::player::Player;
use crate::shard::Shard;
use crate::time::MonoTime;
use key::{Key, Pressed, Signal, Sounded};

/// What the timer wheel sees ahead; whoever waits longer looks in between.
const LOOK_NANOS: u64 = Frames::PTIME_MS_MAX as u64 * 1_000_000;
/// A tone that is late by more frames than this leaves them out: the listener is not flooded after a stall.
const LATE_FRAMES_MAX: u64 = 5;

/// The key presses of one leg.
#[derive(Debug)]
pub(crate) struct Dialer {
    steps: VecDeque<DtmfStep>,
    key: Option<Key>,
    /// When it is to be looked at next.
    due: MonoTime,
    sent: u16,
    /// Of `sent`, those that were tones.
    tones: u16,
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

impl Shard {
    /// Puts key presses behind those that wait.
    pub(crate) fn send_dtmf(&mut self, sink: Slot, steps: &[DtmfStep], now: MonoTime) {
        let cold = &mut self.legs.cold[sink as usize];
        if let Some(dialer) = &mut cold.dialer {
            dialer.steps.extend(steps.iter().cloned());
            return;
        }
        let steps = steps.iter().cloned().collect();
        cold.dialer = Some(Box::new(Dialer { steps, key: None, due: now, sent: 0, tones: 0 }));
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
        while self.outbox.has_room_for(2 * END_PACKETS, EVENT_PACKET_LEN)
            && self.outbox.has_room(RTP_HEADER_LEN + Frames::FRAME_LEN_MAX)
        {
            let Some(sink) = self.dials.pop_due(now) else { return };
            self.dial(sink, now);
        }
    }

    /// The key that is down comes up at once: the source is about to be replaced. Those behind it wait for their time.
    pub(crate) fn release_key(&mut self, sink: Slot, now: MonoTime) {
        let Some(mut dialer) = self.legs.cold[sink as usize].dialer.take() else { return };
        if let Some(mut key) = dialer.key.take() {
            self.end_key(sink, &mut key, false, now);
            self.legs.egress[sink as usize].release_key();
            dialer.due = now.after_nanos(key.times.pause_nanos);
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
            if key.is_down(now) {
                self.hold_key(sink, &mut key, now);
                dialer.due = key.next_due(now);
                dialer.key = Some(key);
                return true;
            }
            self.end_key(sink, &mut key, true, now);
            self.legs.egress[sink as usize].release_key();
            dialer.due = now.after_nanos(key.times.pause_nanos);
            return true;
        }
        match dialer.steps.pop_front() {
            None => false,
            Some(DtmfStep::Pause { ms }) => {
                dialer.due = now.after_nanos(u64::from(ms) * 1_000_000);
                true
            }
            Some(step @ DtmfStep::Key { .. }) => {
                let Some(mut key) = self.press(sink, &step, now) else {
                    dialer.steps.push_front(step);
                    return false;
                };
                self.hold_key(sink, &mut key, now);
                dialer.due = key.next_due(now);
                dialer.sent = dialer.sent.saturating_add(1);
                dialer.tones = dialer.tones.saturating_add(u16::from(key.is_tone()));
                dialer.key = Some(key);
                true
            }
        }
    }

    /// A key goes down: from now on the source is not heard. `None` if the party cannot be sent one (any more).
    fn press(&mut self, sink: Slot, step: &DtmfStep, now: MonoTime) -> Option<Key> {
        let &DtmfStep::Key { event, volume, duration_ms, pause_ms, ref how } = step else { return None };
        let at = sink as usize;
        if self.hears_unread(sink) {
            return None;
        }
        self.legs.descend_to(sink);
        let heard_clock_rate = self.audio_clock_rate(sink);
        let (payload_type, tone) = signal_format(how, &self.legs.cold[at].codecs, heard_clock_rate)?;
        // One that the source is sending is over with that; the rest of it is not joined in its middle.
        self.end_event_in_flight(sink, now);
        let origin = self.origin(sink, now);
        let egress = &mut self.legs.egress[at];
        let clock_rate = tone.map_or(heard_clock_rate, Frames::clock_rate);
        let frame_nanos = egress.frame_nanos(clock_rate);
        let timestamp = egress.press_key(&origin, clock_rate, now);
        let signal = match tone {
            Some(frames) => Signal::Tone(Sounded::new(frames)),
            None => Signal::Event(Pressed::new(TelephoneEvent { event, end: false, volume, duration: 0 }, frame_nanos)),
        };
        Some(Key::new(signal, (payload_type, clock_rate), timestamp, now, (duration_ms, pause_ms)))
    }

    /// Sends what is due of a key that is down.
    fn hold_key(&mut self, sink: Slot, key: &mut Key, now: MonoTime) {
        match &mut key.signal {
            Signal::Event(pressed) => {
                let ts_units = key.times.due_ts_units(pressed.update_nanos, now);
                self.tell(sink, key, ts_units, false, now);
            }
            Signal::Tone(_) => self.sound(sink, key, now),
        }
    }

    /// Says that a key is up; if it was `held` for as long as it was to be, that it was.
    fn end_key(&mut self, sink: Slot, key: &mut Key, held: bool, now: MonoTime) {
        let Signal::Event(pressed) = &key.signal else { return };
        let ts_units = if held { key.times.whole_ts_units() } else { pressed.told_ts_units };
        self.tell(sink, key, ts_units, true, now);
    }

    /// Tells the listener that the key has been down for so long. What does not fit one packet goes in segments (RFC 4733
    /// 2.5.1.3).
    fn tell(&mut self, sink: Slot, key: &mut Key, ts_units: u32, end: bool, now: MonoTime) {
        let Key { signal: Signal::Event(pressed), payload_type, timestamp, times } = key else { return };
        let first = pressed.told_ts_units == 0;
        pressed.told_ts_units = ts_units;
        while ts_units - pressed.former_ts_units > u32::from(u16::MAX) {
            pressed.event.duration = u16::MAX;
            self.send_event(sink, &pressed.event, *payload_type, *timestamp, false, now);
            pressed.former_ts_units += u32::from(u16::MAX);
            *timestamp = timestamp.wrapping_add(u32::from(u16::MAX));
            self.legs.egress[sink as usize].set_clock(*timestamp, times.at_ts_units(pressed.former_ts_units));
        }
        pressed.event.duration = (ts_units - pressed.former_ts_units) as u16;
        pressed.event.end = end;
        for _ in 0..if end { END_PACKETS } else { 1 } {
            self.send_event(sink, &pressed.event, *payload_type, *timestamp, first && !end, now);
        }
    }

    fn send_event(
        &mut self,
        sink: Slot,
        event: &TelephoneEvent,
        payload_type: PayloadType,
        timestamp: RtpTimestamp,
        marker: bool,
        now: MonoTime,
    ) {
        if !self.outbox.has_room(EVENT_PACKET_LEN) {
            return;
        }
        let Some((hop, sequence, ssrc)) = self.number_own(sink, EVENT_PACKET_LEN, now) else { return };
        let header = RtpHeader { marker, payload_type, sequence, timestamp, ssrc };
        let Ok(seal) = self.seal(sink, &header) else { return };
        self.outbox.push(hop, EVENT_PACKET_LEN, seal, |room| build_event(room, &header, event));
    }

    /// Sends the frame of a tone that is due.
    fn sound(&mut self, sink: Slot, key: &mut Key, now: MonoTime) {
        let Key { signal: Signal::Tone(tone), payload_type, timestamp, times } = key else { return };
        let first = tone.next == 0;
        let late = tone.late(times, now);
        if late > LATE_FRAMES_MAX {
            tone.next = tone.next.saturating_add(u32::try_from(late).unwrap_or(u32::MAX));
        }
        let (index, at) = (tone.next, tone.next_at(times));
        tone.next = tone.next.saturating_add(1);
        let payload = tone.frames.payload(index);
        let timestamp = timestamp.wrapping_add(tone.frames.frame_ts_units().wrapping_mul(index));
        let len = RTP_HEADER_LEN + payload.len();
        if !self.outbox.has_room(len) {
            return;
        }
        let Some((hop, sequence, ssrc)) = self.number_own(sink, len, now) else { return };
        self.legs.egress[sink as usize].set_frame(timestamp, at, tone.frames.frame_ts_units());
        // RFC 5761 4: with a marker these payload types would be taken for RTCP.
        let marker = first && !matches!(payload_type.get(), 64..=95);
        let header = RtpHeader { marker, payload_type: *payload_type, sequence, timestamp, ssrc };
        let Ok(seal) = self.seal(sink, &header) else { return };
        self.outbox.push(hop, len, seal, |room| {
            let header_len = header.build(room);
            room[header_len..header_len + payload.len()].copy_from_slice(payload);
            header_len + payload.len()
        });
    }

    /// Claims the next number of the leg's stream for a packet of our own. `None` if the party is not to be sent any.
    fn number_own(&mut self, sink: Slot, len: usize, now: MonoTime) -> Option<(Hop, SequenceNumber, Ssrc)> {
        let egress = &mut self.legs.egress[sink as usize];
        let to = egress.remote().filter(|_| egress.is_reachable())?;
        let (sequence, ssrc) = egress.insert(len, now)?;
        Some((Hop { port: PortId::new(sink, Component::Rtp), to }, sequence, ssrc))
    }

    fn finish_dtmf(&mut self, sink: Slot, dialer: &Dialer) {
        let leg = self.legs.cold[sink as usize].id;
        self.outbox.event(Event::DtmfFinished {
            leg,
            sent: dialer.sent,
            tones: dialer.tones,
            dropped: dialer.keys_waiting(),
        });
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
            _ if self.legs.egress[sink as usize].is_made() => self.made_clock_rate(sink),
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

/// The payload type of a key that goes down beside audio of this clock rate, and the tone if it is one.
pub(crate) fn signal_format<'a>(
    how: &'a DtmfHow,
    codecs: &[Codec],
    clock_rate: u32,
) -> Option<(PayloadType, Option<&'a Frames>)> {
    let event = event_format(codecs, clock_rate).filter(|_| !matches!(how, DtmfHow::Tone(_)));
    match (event, how.tone()) {
        (Some(payload_type), _) => Some((payload_type, None)),
        (None, Some(frames)) => Some((payload_type_for(frames, codecs)?, Some(frames))),
        (None, None) => None,
    }
}

/// Clock rate of the first format of a list that is audio.
pub(crate) fn first_audio_clock_rate(codecs: &[Codec]) -> u32 {
    let audio = codecs.iter().find(|codec| codec.carries_media());
    audio.map_or(crate::leg::DEFAULT_CLOCK_RATE, |codec| codec.clock_rate)
}
