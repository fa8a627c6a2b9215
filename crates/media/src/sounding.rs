//! Keys that a source tells of by events, for a listener that knows none: their tones (ITU-T Q.23) in its audio.
//!
//! ```text
//!  audio   1 2 3 .  .  .  .  4 5     events told so far, and the end
//!  events        e1 e2 e3 E
//!  sent    1 2 3 t1 t2 t3    4 5     tones in the time of the audio
//! ```

use patchcord_codec::Codec;
use patchcord_codec::dtmf::Tone;
use patchcord_rtp::{RtpHeader, RtpTimestamp};

use crate::Transcoder;
use crate::audio::{FILLED_MAX_MS, Follows, UNEVEN_MAX_MS};
use crate::outlet::Emit;
use crate::presses::Told;

/// A key is taken to be up if the source has sent so much audio without telling that it is still down, in milliseconds: it is to tell
/// every 50 at least (RFC 4733 2.5.1.2).
pub(crate) const UNTOLD_MAX_MS: u32 = 60;

/// A key on its way to the listener.
#[derive(Clone, Debug)]
pub(crate) struct Sounding {
    tone: Tone,
    /// Samples that its duration has made necessary so far.
    due: u64,
    /// Samples of it that were made.
    made: u64,
    /// The same in timestamp units of the source.
    heard: i64,
    /// Units of the source's audio in whose place it was, since it was last told to be down.
    untold: i64,
    is_up: bool,
}

impl Transcoder {
    /// Takes what an event of a clock tells of a key.
    pub(crate) fn take_key(&mut self, told: Told, timestamp: RtpTimestamp, clock_rate: u32, emit: &mut Emit<'_>) {
        if told.begins {
            self.release_key();
            self.join_key(timestamp, clock_rate, emit);
            let tone = Tone::new(told.digit, -f64::from(told.volume), self.outlet.sample_rate());
            self.sounding = Some(Sounding { tone, due: 0, made: 0, heard: 0, untold: 0, is_up: false });
            self.counts.keys_sounded += 1;
        }
        let Some(sounding) = self.sounding.as_mut().filter(|sounding| !sounding.is_up) else { return };
        let rate = u64::from(self.outlet.sample_rate());
        let due = told.duration * rate / u64::from(clock_rate.max(1));
        let new = due.saturating_sub(sounding.due);
        sounding.due += new;
        sounding.untold = 0;
        // Whoever has missed more of it is not sent all that at once.
        let new = new.min(rate * u64::from(FILLED_MAX_MS) / 1000);
        sounding.made += new;
        self.outlet.samples().extend(sounding.tone.samples(new as usize));
        self.hear_key();
        // It stands for whatever did not come before this.
        self.missing = 0;
        if told.ended {
            self.release_key();
        }
        self.outlet.send(emit);
    }

    /// Audio goes on up to where a key goes down.
    fn join_key(&mut self, timestamp: RtpTimestamp, clock_rate: u32, emit: &mut Emit<'_>) {
        if clock_rate != self.from().clock_rate() {
            // In a clock of its own it is where the audio is.
            return;
        }
        let Some(timeline) = &self.timeline else {
            let now = self.outlet.reach();
            return self.anchor(timestamp, clock_rate, now);
        };
        match Follows::of(timeline, timestamp, self.missing > 0, self.outlet.packet_ms()) {
            Follows::Filled(units) => self.fill(units, None, emit),
            Follows::Paused => self.pause(timestamp, emit),
            // It is noticed late: then it is as long, and the audio that comes is cut.
            Follows::On | Follows::Shifted | Follows::Anew => {}
        }
    }

    /// The tone fades out, if it has not.
    fn release_key(&mut self) {
        let Some(sounding) = self.sounding.as_mut().filter(|sounding| !sounding.is_up) else { return };
        sounding.is_up = true;
        let before = self.outlet.samples().len();
        self.outlet.samples().extend(sounding.tone.release());
        sounding.made += (self.outlet.samples().len() - before) as u64;
        self.hear_key();
    }

    /// What was made of the tone is in the place of the source's audio.
    fn hear_key(&mut self) {
        let (clock_rate, rate) = (u64::from(self.from().clock_rate()), u64::from(self.outlet.sample_rate()));
        let Some(sounding) = &mut self.sounding else { return };
        let heard = i64::try_from(sounding.made * clock_rate / rate.max(1)).unwrap_or(i64::MAX);
        let new = heard - core::mem::replace(&mut sounding.heard, heard);
        self.hear(new);
    }

    /// Takes audio that is beside a key or overlaps it; `false`: it is behind it, or there is none.
    pub(crate) fn take_beside_key(
        &mut self,
        codec: &Codec,
        header: &RtpHeader,
        payload: &[u8],
        emit: &mut Emit<'_>,
    ) -> bool {
        let (Some(sounding), Some(timeline)) = (&self.sounding, self.timeline) else { return false };
        if self.from() != codec {
            self.sounding = None;
            return false;
        }
        let ahead = timeline.gap(header.timestamp) > timeline.units(UNEVEN_MAX_MS);
        if !sounding.is_up && (ahead || sounding.untold >= timeline.units(UNTOLD_MAX_MS)) {
            self.release_key();
        }
        let (Some(sounding), Some(timeline)) = (&mut self.sounding, self.timeline) else { return false };
        let overlap = -timeline.gap(header.timestamp);
        let is_beside = overlap <= sounding.heard + timeline.units(FILLED_MAX_MS);
        if !is_beside || sounding.is_up && overlap <= 0 {
            self.sounding = None;
            return false;
        }
        self.missing = 0;
        let before = self.outlet.samples().len();
        let Ok(units) = self.intake.decode(payload, self.outlet.samples()) else {
            self.counts.malformed += 1;
            return true;
        };
        let samples = self.outlet.samples();
        let decoded = samples.len() - before;
        let cut_units = overlap.clamp(0, units);
        let cut = (decoded as i64 * cut_units).checked_div(units).unwrap_or(0) as usize;
        samples.drain(before..before + cut);
        if sounding.is_up {
            self.hear(units - cut_units);
            if units > cut_units {
                self.sounding = None;
            }
        } else {
            samples.truncate(before);
            samples.extend(sounding.tone.samples(decoded - cut));
            sounding.due = sounding.due.max(sounding.made + (decoded - cut) as u64);
            sounding.made += (decoded - cut) as u64;
            sounding.untold += units - cut_units;
            self.hear_key();
        }
        self.outlet.send(emit);
        true
    }
}
