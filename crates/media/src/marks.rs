//! Telephone-events and comfort noise on their way through a [`Transcoder`]: other numbers, another clock, the same content.

use patchcord_codec::dtmf::Digit;
use patchcord_rtp::{RtpHeader, RtpTimestamp, TelephoneEvent};

use crate::Transcoder;
use crate::outlet::Emit;

/// An event's timestamp may be this far behind the audio beside it, and this far ahead of it, in milliseconds: keys are noticed late,
/// and held long before the audio goes on. Beyond, it is of another clock.
const BEHIND_MAX_MS: u32 = 1000;
const AHEAD_MAX_MS: u32 = 60_000;

impl Transcoder {
    pub(crate) fn take_event(&mut self, clock_rate: u32, header: &RtpHeader, payload: &[u8], emit: &mut Emit<'_>) {
        let Some(event) = TelephoneEvent::read(payload) else {
            self.counts.malformed += 1;
            return;
        };
        let Some(named) = self.events else {
            self.counts.untranslated += u64::from(Digit::from_event(event.event).is_none());
            if let Some(told) = self.presses.take(header, &event, clock_rate) {
                self.take_key(told, header.timestamp, clock_rate, emit);
            }
            return;
        };
        // All packets of an event have one timestamp (RFC 4733 2.5.1.2).
        let place = match self.event {
            Some((timestamp, place)) if timestamp == header.timestamp.0 => place,
            _ => self.place(header.timestamp, clock_rate),
        };
        self.event = Some((header.timestamp.0, place));
        let scale = |clock: u32| u64::from(event.duration) * u64::from(clock) / u64::from(clock_rate.max(1));
        let duration = u16::try_from(scale(named.clock_rate)).unwrap_or(u16::MAX);
        let audio_clock_rate = self.to().clock_rate();
        // An event takes a packet's time at least.
        let packet = u64::from(audio_clock_rate) * u64::from(self.outlet.packet_ms()) / 1000;
        let units = scale(audio_clock_rate).max(packet);
        let mut scaled = [0; TelephoneEvent::LEN];
        TelephoneEvent { duration, ..event }.write(&mut scaled);
        let units = i64::try_from(units).unwrap_or(0);
        self.outlet.send_mark(header.marker, named.payload_type, place, units, &scaled, emit);
        self.counts.events_out += 1;
    }

    pub(crate) fn take_comfort_noise(&mut self, header: &RtpHeader, payload: &[u8], emit: &mut Emit<'_>) {
        let Some(payload_type) = self.comfort_noise else {
            self.counts.untranslated += 1;
            return;
        };
        if payload.is_empty() {
            // RFC 3389 3: it has at least the level.
            self.counts.malformed += 1;
            return;
        }
        let clock_rate = self.timeline.map_or(self.from().clock_rate(), |timeline| timeline.clock_rate());
        let place = self.place(header.timestamp, clock_rate);
        self.finish(emit);
        // What did not come was before the silence.
        self.missing = 0;
        let place = place.max(self.outlet.end());
        self.outlet.send_mark(false, payload_type, place, 0, payload, emit);
        self.outlet.begin_talkspurt();
    }

    /// Where a timestamp of a clock lies in the stream that is made; where the audio is, if it cannot be told.
    fn place(&mut self, timestamp: RtpTimestamp, clock_rate: u32) -> i64 {
        let now = self.outlet.reach();
        let Some(timeline) = self.timeline else {
            // The source begins with it.
            if clock_rate == self.from().clock_rate() {
                self.anchor(timestamp, clock_rate, now);
            }
            return now;
        };
        // With another clock than the audio's it may still be in the audio's time: RFC 7160 3 has seen both.
        let gap = timeline.gap(timestamp);
        let is_near = (-timeline.units(BEHIND_MAX_MS)..=timeline.units(AHEAD_MAX_MS)).contains(&gap);
        if is_near { timeline.map(timestamp) } else { now }
    }
}
