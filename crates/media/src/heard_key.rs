//! A key that a listener of a mix hears: as an event if it knows these, else as a tone. Nothing else is heard meanwhile.

use patchcord_codec::dtmf::Tone;
use patchcord_rtp::TelephoneEvent;

use crate::outlet::{Emit, Outlet};
use crate::pressing::{Press, TICK_MS};
use crate::transcoder::Named;

/// RFC 4733 2.5.1.4: the end is sent three times.
const END_PACKETS: usize = 3;

/// A key on its way to a listener.
#[derive(Debug)]
pub(crate) struct HeardKey<V> {
    /// Who presses it, and which of its keys it is.
    pub(crate) voice: V,
    pub(crate) number: u32,
    signal: Signal,
}

#[derive(Debug)]
enum Signal {
    Event(Told),
    Tone(Tone),
}

#[derive(Debug)]
struct Told {
    named: Named,
    event: TelephoneEvent,
    /// Where it went down; that of the present segment (RFC 4733 2.5.1.3).
    place: i64,
    /// Units of the segments before, and all units that were told, of the event's clock.
    former: u64,
    units: u64,
    is_first: bool,
}

impl<V> HeardKey<V> {
    /// It goes down in the next tick, as an event that is `named` if the listener knows these.
    pub(crate) fn new(voice: V, press: &Press, named: Option<Named>, outlet: &Outlet) -> Self {
        let event = TelephoneEvent { event: press.digit.event(), end: false, volume: press.volume, duration: 0 };
        let signal = match named {
            Some(named) => {
                Signal::Event(Told { named, event, place: outlet.end(), former: 0, units: 0, is_first: true })
            }
            None => Signal::Tone(Tone::new(press.digit, -f64::from(press.volume), outlet.sample_rate())),
        };
        Self { voice, number: press.number, signal }
    }

    /// One tick of it, in the place of all audio.
    pub(crate) fn hold(&mut self, press: &Press, outlet: &mut Outlet, emit: &mut Emit<'_>) {
        let until_ms = press.elapsed_ms.saturating_add(TICK_MS);
        match &mut self.signal {
            Signal::Event(told) => {
                told.tell(press.length_ms.unwrap_or(until_ms).min(until_ms), false, outlet, emit);
                outlet.pause(emit);
            }
            Signal::Tone(tone) => {
                let tick = outlet.tick();
                let left_ms = press.length_ms.map_or(TICK_MS, |length| length.saturating_sub(press.elapsed_ms));
                let len = tick * left_ms.min(TICK_MS) as usize / TICK_MS as usize;
                let samples = outlet.samples();
                let whole = samples.len() + tick;
                samples.extend(tone.samples(len));
                if len < tick {
                    samples.extend(tone.release());
                }
                samples.resize(whole, 0);
                outlet.send(emit);
            }
        }
    }

    /// It is up, after so many milliseconds if that is known. The audio of this tick is waiting in the outlet.
    pub(crate) fn release(&mut self, length_ms: Option<u32>, outlet: &mut Outlet, emit: &mut Emit<'_>) {
        match &mut self.signal {
            Signal::Event(told) => told.tell(length_ms.unwrap_or_default(), true, outlet, emit),
            Signal::Tone(tone) => {
                // What waits from before is the tone.
                let before = outlet.samples().len().saturating_sub(outlet.tick());
                for (sample, faded) in outlet.samples()[before..].iter_mut().zip(tone.release()) {
                    *sample = sample.saturating_add(faded);
                }
            }
        }
    }
}

impl Told {
    /// Tells that it has been down for so long, or longer if that was told before.
    fn tell(&mut self, ms: u32, end: bool, outlet: &mut Outlet, emit: &mut Emit<'_>) {
        let clock_rate = u64::from(self.named.clock_rate);
        let audio_clock_rate = u64::from(outlet.codec().clock_rate());
        let audio_units = |units: u64| i64::try_from(units * audio_clock_rate / clock_rate.max(1)).unwrap_or(0);
        self.units = self.units.max(u64::from(ms) * clock_rate / 1000);
        let mut send = |told: &mut Self, duration: u16, end: bool| {
            let mut payload = [0; TelephoneEvent::LEN];
            TelephoneEvent { duration, end, ..told.event }.write(&mut payload);
            let marker = core::mem::take(&mut told.is_first);
            let units = audio_units(duration.into());
            outlet.send_mark(marker, told.named.payload_type, told.place, units, &payload, emit);
        };
        while self.units - self.former > u64::from(u16::MAX) {
            send(self, u16::MAX, false);
            self.former += u64::from(u16::MAX);
            self.place += audio_units(u16::MAX.into());
        }
        let duration = (self.units - self.former) as u16;
        for _ in 0..if end { END_PACKETS } else { 1 } {
            send(self, duration, end);
        }
    }
}
