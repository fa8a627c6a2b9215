//! A key that is down: how long, and what the listener has been told of it.

use patchcord_rtp::{PayloadType, RtpTimestamp, TelephoneEvent};

use super::LATE_FRAMES_MAX;
use crate::media::Frames;
use crate::time::MonoTime;

/// RFC 4733 2.5.1.2: updates are sent once a packet time, and every 50 ms at the longest.
const UPDATE_NANOS_MAX: u64 = 50_000_000;
const UPDATE_NANOS_MIN: u64 = 10_000_000;
/// Where the stream has not shown its packet time.
const UPDATE_NANOS: u64 = 20_000_000;

/// A key that is down.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) signal: Signal,
    pub(super) payload_type: PayloadType,
    /// At which it went down; of an event, that of the present segment (RFC 4733 2.5.1.3).
    pub(super) timestamp: RtpTimestamp,
    pub(super) times: Times,
}

/// How long it is down.
#[derive(Debug)]
pub(super) struct Times {
    pub(super) down_at: MonoTime,
    duration_nanos: u64,
    pub(super) pause_nanos: u64,
    /// Timestamp units a second.
    clock_rate: u32,
}

/// How the listener is told.
#[derive(Debug)]
pub(super) enum Signal {
    Event(Pressed),
    Tone(Sounded),
}

/// By a telephone-event.
#[derive(Debug)]
pub(super) struct Pressed {
    pub(super) event: TelephoneEvent,
    pub(super) update_nanos: u64,
    /// Timestamp units of the segments before the present one.
    pub(super) former_ts_units: u32,
    /// What the listener has been told so far, in timestamp units.
    pub(super) told_ts_units: u32,
}

/// By a tone.
#[derive(Debug)]
pub(super) struct Sounded {
    pub(super) frames: Frames,
    /// The frame that comes next.
    pub(super) next: u32,
}

impl Pressed {
    /// In a stream whose packets are `frame_nanos` apart, if that is known.
    pub(super) fn new(event: TelephoneEvent, frame_nanos: Option<u64>) -> Self {
        let update_nanos = frame_nanos.unwrap_or(UPDATE_NANOS).clamp(UPDATE_NANOS_MIN, UPDATE_NANOS_MAX);
        Self { event, update_nanos, former_ts_units: 0, told_ts_units: 0 }
    }
}

impl Sounded {
    pub(super) fn new(frames: &Frames) -> Self {
        Self { frames: frames.clone(), next: 0 }
    }

    pub(super) fn frame_nanos(&self) -> u64 {
        self.frames.ptime().as_nanos() as u64
    }

    /// Frames of the key that were due before `now` and have not been sent.
    pub(super) fn late(&self, times: &Times, now: MonoTime) -> u64 {
        (now.nanos_since(times.down_at) / self.frame_nanos()).saturating_sub(self.next.into())
    }

    pub(super) fn next_at(&self, times: &Times) -> MonoTime {
        times.down_at.after_nanos(u64::from(self.next) * self.frame_nanos())
    }
}

impl Times {
    fn ts_units(&self, nanos: u64) -> u32 {
        (u128::from(nanos) * u128::from(self.clock_rate) / 1_000_000_000) as u32
    }

    /// Of the whole press.
    pub(super) fn whole_ts_units(&self) -> u32 {
        self.ts_units(self.duration_nanos)
    }

    /// When it has been down for so long.
    pub(super) fn at_ts_units(&self, ts_units: u32) -> MonoTime {
        let nanos = u128::from(ts_units) * 1_000_000_000 / u128::from(self.clock_rate.max(1));
        self.down_at.after_nanos(nanos as u64)
    }

    /// What is to be told at `now`: the packet that is due covers the time until the next one, as a packet of audio would.
    pub(super) fn due_ts_units(&self, update_nanos: u64, now: MonoTime) -> u32 {
        let updates = now.nanos_since(self.down_at) / update_nanos + 1;
        self.ts_units(updates.saturating_mul(update_nanos).min(self.duration_nanos))
    }
}

impl Key {
    /// It goes down at `down_at`. A tone lasts for whole frames, and for all of them.
    pub(super) fn new(
        signal: Signal,
        (payload_type, clock_rate): (PayloadType, u32),
        timestamp: RtpTimestamp,
        down_at: MonoTime,
        (duration_ms, pause_ms): (u16, u16),
    ) -> Self {
        let nanos = |ms: u16| u64::from(ms) * 1_000_000;
        let duration_nanos = match &signal {
            Signal::Event(_) => nanos(duration_ms),
            Signal::Tone(tone) => {
                let once = u64::from(tone.frames.count()) * tone.frame_nanos();
                nanos(duration_ms).next_multiple_of(tone.frame_nanos()).max(once)
            }
        };
        let times = Times { down_at, duration_nanos, pause_nanos: nanos(pause_ms), clock_rate };
        Self { signal, payload_type, timestamp, times }
    }

    pub(super) const fn is_tone(&self) -> bool {
        matches!(self.signal, Signal::Tone(_))
    }

    fn up_at(&self) -> MonoTime {
        self.times.down_at.after_nanos(self.times.duration_nanos)
    }

    /// Whether there is more to be sent of it at `now`. The last frame of a tone is not left out, even if it is a little late.
    pub(super) fn is_down(&self, now: MonoTime) -> bool {
        now < self.up_at()
            || match &self.signal {
                Signal::Event(_) => false,
                Signal::Tone(tone) => {
                    tone.next_at(&self.times) < self.up_at() && tone.late(&self.times, now) <= LATE_FRAMES_MAX
                }
            }
    }

    /// When there is something to be done after `now`.
    pub(super) fn next_due(&self, now: MonoTime) -> MonoTime {
        let next_at = match &self.signal {
            Signal::Event(pressed) => {
                let updates = now.nanos_since(self.times.down_at) / pressed.update_nanos + 1;
                self.times.down_at.after_nanos(updates.saturating_mul(pressed.update_nanos))
            }
            Signal::Tone(tone) => tone.next_at(&self.times),
        };
        next_at.min(self.up_at())
    }
}
