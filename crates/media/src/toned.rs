//! Keys that a source sends as tones in its audio (ITU-T Q.23), for a listener that knows events (RFC 4733): told as events, and
//! taken out of the audio.
//!
//! ```text
//!  audio   1 2 t t t  t  t  t  . . 3 4     t: the tone
//!  sent    1 2     e1 e2 e3 e4 E   3 4     e, E: events so far, and the end
//! ```
//!
//! What may be the beginning of a key is not sent before that is known: the listener would hear a part of the tone, and then the
//! event, as two keys. If it is none it is sent then, a little later than usual.

use patchcord_codec::dtmf::{Detector, Event, Heard};

use crate::Transcoder;
use crate::format::{Format, Meaning};
use crate::outlet::{Emit, Outlet};
use crate::telling::Telling;
use crate::transcoder::Named;

/// RFC 4733 2.5.1.2: updates are sent once a packet time.
const UPDATE_MS: u32 = 20;
/// What a volume can say (RFC 4733 2.3.4), as dBm0 with the sign dropped.
const VOLUME_MAX: f64 = 63.0;

/// Finds the keys of a source, and tells of them.
#[derive(Debug)]
pub(crate) struct Toned {
    named: Named,
    detector: Detector,
    found: Vec<Event>,
    /// Samples that were decoded and are not looked at.
    fresh: Vec<i16>,
    /// The key that is held, and how many milliseconds of it were told.
    key: Option<(Telling, u32)>,
}

impl Toned {
    /// For a source of these formats and a listener with events of this name; `None`: the source says by events what it presses, or keys
    /// cannot be found at this rate.
    pub(crate) fn new(from: &[Format], events: Option<Named>, sample_rate: u32) -> Option<Box<Self>> {
        let has_events = from.iter().any(|format| matches!(format.meaning, Meaning::TelephoneEvent { .. }));
        let named = events.filter(|_| !has_events)?;
        let detector = Detector::new(sample_rate).ok()?;
        Some(Box::new(Self { named, detector, found: Vec::new(), fresh: Vec::new(), key: None }))
    }

    /// Sends audio of which the samples from `from` on are new. Gives the keys that have gone down.
    fn send(&mut self, from: usize, outlet: &mut Outlet, emit: &mut Emit<'_>) -> u64 {
        let mut keys = 0;
        let mut fresh = core::mem::take(&mut self.fresh);
        fresh.clear();
        fresh.extend(outlet.samples().drain(from..));
        // So that it is known in which of them something begins or ends.
        let block_len = (outlet.sample_rate() / 200).max(1) as usize;
        for block in fresh.chunks(block_len) {
            keys += self.send_block(block, outlet, emit);
        }
        self.fresh = fresh;
        keys
    }

    fn send_block(&mut self, block: &[i16], outlet: &mut Outlet, emit: &mut Emit<'_>) -> u64 {
        let mut keys = 0;
        self.detector.process(block, &mut self.found);
        match self.key {
            None => outlet.samples().extend_from_slice(block),
            Some(_) => {
                let len = outlet.samples().len() + block.len();
                outlet.samples().resize(len, 0);
            }
        }
        let mut found = core::mem::take(&mut self.found);
        for event in found.drain(..) {
            match event {
                Event::Began(heard) => {
                    let since = self.detector.position().saturating_sub(heard.start);
                    let place = outlet.mute(usize::try_from(since).unwrap_or(usize::MAX));
                    let volume = (-heard.level_dbm0).clamp(0.0, VOLUME_MAX).round() as u8;
                    self.key = Some((Telling::new(heard.digit, volume, self.named, place), 0));
                    keys += 1;
                }
                Event::Ended(heard) => self.end(&heard, outlet, emit),
            }
        }
        self.found = found;
        if !self.detector.suspects() {
            outlet.send(emit);
        }
        if let (Some((telling, told_ms)), Some(heard)) = (&mut self.key, self.detector.held()) {
            let ms = duration_ms(&heard, outlet);
            if ms >= *told_ms + UPDATE_MS {
                *told_ms = ms;
                telling.tell(ms, false, outlet, emit);
            }
        }
        keys
    }

    /// The key is up.
    fn end(&mut self, heard: &Heard, outlet: &mut Outlet, emit: &mut Emit<'_>) {
        if let Some((mut telling, _)) = self.key.take() {
            // Nothing of it is left to be joined to what comes.
            outlet.send(emit);
            telling.tell(duration_ms(heard, outlet), true, outlet, emit);
        }
        outlet.unmute();
    }

    /// The source's audio has ended: so has a key that is held.
    pub(crate) fn finish(&mut self, outlet: &mut Outlet, emit: &mut Emit<'_>) {
        if let Some(heard) = self.detector.cut() {
            self.end(&heard, outlet, emit);
        }
    }

    /// The listener hears something else: it is told nothing more.
    pub(crate) fn drop_key(&mut self, outlet: &mut Outlet) {
        self.detector.cut();
        self.key = None;
        outlet.unmute();
    }
}

impl Transcoder {
    /// Sends what was decoded; the samples from `from` on are new.
    pub(crate) fn send_audio(&mut self, from: usize, emit: &mut Emit<'_>) {
        match &mut self.toned {
            Some(toned) => self.counts.keys_told += toned.send(from, &mut self.outlet, emit),
            None => self.outlet.send(emit),
        }
    }
}

fn duration_ms(heard: &Heard, outlet: &Outlet) -> u32 {
    let ms = heard.duration * 1000 / u64::from(outlet.sample_rate().max(1));
    u32::try_from(ms).unwrap_or(u32::MAX)
}
