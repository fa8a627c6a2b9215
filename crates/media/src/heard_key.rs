//! A key that a listener of a mix hears: as an event if it knows these, else as a tone. Nothing else is heard meanwhile.

use patchcord_codec::dtmf::Tone;

use crate::outlet::{Emit, Outlet};
use crate::pressing::{Press, TICK_MS};
use crate::telling::Telling;
use crate::transcoder::Named;

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
    Event(Telling),
    Tone(Tone),
}

impl<V> HeardKey<V> {
    /// It goes down in the next tick, as an event that is `named` if the listener knows these.
    pub(crate) fn new(voice: V, press: &Press, named: Option<Named>, outlet: &Outlet) -> Self {
        let signal = match named {
            Some(named) => Signal::Event(Telling::new(press.digit, press.volume, named, outlet.end())),
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
