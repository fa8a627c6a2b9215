//! Audio on its way through a [`Transcoder`]: what is missing before it, what it follows from, and what it is decoded with.

use patchcord_codec::Codec;
use patchcord_rtp::{RtpHeader, RtpTimestamp};

use crate::intake::{Intake, encoder_rate};
use crate::outlet::Emit;
use crate::timeline::Timeline;
use crate::toned::Toned;
use crate::{CannotTranscode, Transcoder};

/// The longest gap that is filled, in milliseconds. Nothing that is made up is heard for as long.
pub(crate) const FILLED_MAX_MS: u32 = 200;
/// Shorter gaps in the timestamps alone are no pause of the source, in milliseconds.
const PAUSE_MIN_MS: u32 = 20;
/// Sources whose timestamps are off by this much or less are believed to go on evenly, in milliseconds.
pub(crate) const UNEVEN_MAX_MS: u32 = 5;
/// The longest that a source is believed to be silent, in milliseconds; timestamps beyond are of another time.
const PAUSE_MAX_MS: u32 = 600_000;

/// How a packet's timestamp follows from the audio before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Follows {
    /// Directly.
    On,
    /// After so many units of the source's timestamp that must be filled.
    Filled(i64),
    /// After a pause, which stays one.
    Paused,
    /// A little before where the audio has ended: its packets hold more than they say.
    Shifted,
    /// Not at all.
    Anew,
}

impl Follows {
    /// `packet_ms` is the length of what is made: a packet of what waits must fit into a pause.
    pub(crate) fn of(timeline: &Timeline, timestamp: RtpTimestamp, is_lossy: bool, packet_ms: u32) -> Self {
        let gap = timeline.gap(timestamp);
        let (filled_max, uneven_max) = (timeline.units(FILLED_MAX_MS), timeline.units(UNEVEN_MAX_MS));
        if gap < -filled_max || gap > timeline.units(PAUSE_MAX_MS) {
            Self::Anew
        } else if gap < -uneven_max {
            Self::Shifted
        } else if gap <= 0 || !is_lossy && gap <= uneven_max {
            Self::On
        } else if is_lossy && gap <= filled_max || gap < timeline.units(PAUSE_MIN_MS.max(packet_ms)) {
            Self::Filled(gap)
        } else {
            Self::Paused
        }
    }
}

impl Transcoder {
    pub(crate) fn take_audio(&mut self, codec: &Codec, header: &RtpHeader, payload: &[u8], emit: &mut Emit<'_>) {
        if payload.is_empty() {
            // It only keeps a path open.
            return;
        }
        if self.timeline.is_some_and(|timeline| timeline.clock_rate() != codec.clock_rate()) {
            // RFC 7160 4: where its timestamps go on in another clock nobody can know.
            self.begin_anew(emit);
        }
        if self.take_beside_key(codec, header, payload, emit) {
            return;
        }
        let (is_lossy, packet_ms) = (self.missing > 0, self.outlet.packet_ms());
        let follows = self.timeline.map(|timeline| Follows::of(&timeline, header.timestamp, is_lossy, packet_ms));
        match follows {
            None | Some(Follows::On) => {}
            Some(Follows::Filled(units)) => self.fill(units, (self.from() == codec).then_some(payload), emit),
            Some(Follows::Paused) => self.pause(header.timestamp, emit),
            Some(Follows::Shifted) => self.anchor(header.timestamp, codec.clock_rate(), self.outlet.end()),
            Some(Follows::Anew) => self.begin_anew(emit),
        }
        self.missing = 0;
        if self.timeline.is_none() {
            self.anchor(header.timestamp, codec.clock_rate(), self.outlet.reach());
        }
        if self.from() != codec && self.change_codec(codec, emit).is_err() {
            // libopus has no memory left.
            self.counts.malformed += 1;
            return;
        }
        if header.marker {
            self.outlet.begin_talkspurt();
        }
        let from = self.outlet.samples().len();
        match self.intake.decode(payload, self.outlet.samples()) {
            Ok(units) => self.hear(units),
            Err(_) => {
                self.counts.malformed += 1;
                // The next packet will show for how long.
                self.missing = 1;
            }
        }
        self.send_audio(from, emit);
    }

    /// The source's audio before this does not matter any more: another SSRC, other numbers, another clock.
    pub(crate) fn begin_anew(&mut self, emit: &mut Emit<'_>) {
        self.finish(emit);
        self.renew_intake();
        self.timeline = None;
        self.event = None;
        self.sounding = None;
        self.missing = 0;
        self.outlet.begin_talkspurt();
        self.counts.restarts += 1;
    }

    /// What comes does not follow from what was decoded.
    pub(crate) fn renew_intake(&mut self) {
        if let Ok(fresh) = Intake::new(*self.from(), self.outlet.sample_rate()) {
            self.intake = fresh;
        }
    }

    /// The source's timestamp is at this place of the stream that is made.
    pub(crate) fn anchor(&mut self, timestamp: RtpTimestamp, clock_rate: u32, place: i64) {
        if self.outlet.is_resumed() && clock_rate == self.to().clock_rate() {
            self.outlet.set_origin(timestamp, place);
        }
        self.timeline = Some(Timeline::new(clock_rate, self.to().clock_rate(), timestamp, place));
        if place > self.outlet.end() {
            self.outlet.move_to(place);
        }
    }

    /// A talkspurt has ended: nothing that waits is left to be joined to what comes later.
    pub(crate) fn finish(&mut self, emit: &mut Emit<'_>) {
        if let Some(toned) = &mut self.toned {
            toned.finish(&mut self.outlet, emit);
        }
        let missing = self.outlet.missing();
        if missing > 0 {
            let units = self.from().clock_rate() as usize * missing / self.outlet.sample_rate() as usize;
            let whole = self.outlet.samples().len() + missing;
            self.intake.conceal(units as i64, None, self.outlet.samples());
            self.outlet.samples().truncate(whole);
            self.hear(units as i64);
        }
        self.outlet.finish(emit);
        self.intake.cut();
    }

    /// Puts something in the place of what did not come; `next` is what came after it.
    pub(crate) fn fill(&mut self, units: i64, next: Option<&[u8]>, emit: &mut Emit<'_>) {
        let recovered = u64::from(self.missing > 0 && next.is_some_and(|next| self.intake.has_fec(next)));
        self.counts.recovered += recovered;
        self.counts.concealed += self.missing - recovered;
        let from = self.outlet.samples().len();
        let filled = self.intake.conceal(units, next, self.outlet.samples());
        self.hear(filled);
        self.send_audio(from, emit);
    }

    pub(crate) fn pause(&mut self, timestamp: RtpTimestamp, emit: &mut Emit<'_>) {
        self.finish(emit);
        if let Some(timeline) = &mut self.timeline {
            timeline.hear(timeline.gap(timestamp));
            self.outlet.move_to(timeline.map(timestamp));
        }
        self.outlet.begin_talkspurt();
    }

    /// The source sends another codec from here on, in the same clock.
    fn change_codec(&mut self, codec: &Codec, emit: &mut Emit<'_>) -> Result<(), CannotTranscode> {
        let rate = encoder_rate(codec, self.to());
        let intake = Intake::new(*codec, rate)?;
        if rate != self.outlet.sample_rate() {
            self.finish(emit);
            self.outlet.set_sample_rate(rate)?;
            self.toned = Toned::new(&self.from, self.events, rate);
        }
        self.intake = intake;
        Ok(())
    }

    pub(crate) fn hear(&mut self, units: i64) {
        if let Some(timeline) = &mut self.timeline {
            timeline.hear(units);
        }
    }
}
