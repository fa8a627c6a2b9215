//! Peaks that stay: notes and tones.

use super::frame::{Frame, Peak};
use super::sound::Kind;

/// A peak that stays for so many frames, 120 ms, is a note.
const HELD_FRAMES: usize = 6;
/// A peak that stays for so many frames, so many of them pure, is a tone: a beep of 100 ms has five windows, and all but fills three.
pub(super) const TONE_FRAMES: usize = 4;
const PURE_FRAMES: usize = 3;
/// A tone of so many frames, 160 ms, is nobody's voice: shorter ones occur in it, where somebody hums an m. What is not even for
/// so long is no tone but a hum or a note.
const EVEN_FRAMES: usize = 8;
/// Below this a tone may be a hum at any length: the pitch of most voices is lower, and E.180's tones begin at 340 Hz.
const LOWEST_TONE_HZ: f32 = 330.0;
/// The part of its power that a tone has in one or two sines: 0.99 with noise 20 dB below it, and 0.95 with 13 dB.
pub(super) const PURE: f32 = 0.95;
/// A second sine has at least this part of the first: 15 dB, more than any pair of tones is twisted (Q.24: 8 dB), less than
/// a window's side lobes.
const SECOND: f32 = 0.03;
/// A peak that is only the second one has stayed if it still has this part of the power.
const SECOND_MIN: f32 = 0.1;
/// A peak has stayed if it is so near to where its run began: 1 %, and 3 Hz where the spectrum tells no finer. Where it is pure,
/// 6 Hz: two sines too close to be told apart, as Australia's 413 and 438 Hz, pull at their one peak.
const STAYS: f32 = 0.01;
const STAYS_HZ: f32 = 3.0;
const STAYS_PURE_HZ: f32 = 6.0;
/// A tone moves by no more than this, and does not become softer by more, as a plucked string does. The loudest of late is let down
/// by so much a frame: what is modulated by 16 Hz (Japan) has three to a dip.
const STEADY_HZ: f32 = 5.0;
const UNEVEN_DB: f32 = 5.0;
const RECENT_DB: f32 = 1.2;
/// A frame that is so much softer than the loudest of a run does not belong to it, in dB: what is left of a tone in its
/// window is the past. Tones that beat (two sines) or are modulated (Japan) have softer frames between, and misses allow that.
const SOFTER_DB: f32 = 10.0;

/// A tone that is heard, or has just ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Burst {
    /// Its first frame, and that after its last so far.
    pub(super) start: u64,
    pub(super) end: u64,
    /// The frequencies of its sines; the second is 0 if there is one alone.
    pub(super) hz: [f32; 2],
    /// It is as loud and as high from its beginning to its end: what hums is not.
    pub(super) even: bool,
}

impl Burst {
    /// Whether it cannot be part of a voice.
    pub(super) const fn is_no_voice(&self) -> bool {
        self.hz[0] >= LOWEST_TONE_HZ && self.end - self.start >= EVEN_FRAMES as u64
    }
}

/// A peak that may be staying.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run {
    start: u64,
    peaks: [Peak; 2],
    /// Frames since it began, and those without it at the end of them.
    frames: usize,
    misses: usize,
    /// Frames with it, those of them that were pure, and those with two sines.
    hits: usize,
    pure: usize,
    double: usize,
    /// The lowest and the highest that its first peak was in pure frames.
    lowest_hz: f32,
    highest_hz: f32,
    /// The loudest frame, and the loudest of late.
    loudest_dbfs: f32,
    recent_dbfs: f32,
}

impl Run {
    /// Begins with a frame.
    pub(super) fn new(frame: &Frame) -> Self {
        let mut run = Self {
            start: frame.number,
            peaks: frame.peaks,
            frames: 0,
            misses: 0,
            hits: 0,
            pure: 0,
            double: 0,
            lowest_hz: f32::INFINITY,
            highest_hz: 0.0,
            loudest_dbfs: frame.level_dbfs,
            recent_dbfs: frame.level_dbfs,
        };
        run.go_on(frame);
        run
    }

    /// A frame without it.
    pub(super) fn miss(&mut self) {
        self.frames = self.frames.saturating_add(1);
        self.misses += 1;
    }

    /// A frame with it.
    pub(super) fn go_on(&mut self, frame: &Frame) {
        self.frames = self.frames.saturating_add(1);
        // At its beginning a tone does not fill the window yet: where it is, is known from its first pure frame.
        if self.pure == 0 && self.hits < TONE_FRAMES && frame.purity() >= PURE {
            self.peaks = frame.peaks;
        }
        self.misses = 0;
        self.hits = self.hits.saturating_add(1);
        if frame.purity() >= PURE {
            self.pure = self.pure.saturating_add(1);
            let [first, second] = self.peaks.map(|peak| (peak.hz - frame.peaks[0].hz).abs());
            // The other one of two sines tells nothing of how steady the first is.
            if first <= second {
                self.lowest_hz = self.lowest_hz.min(frame.peaks[0].hz);
                self.highest_hz = self.highest_hz.max(frame.peaks[0].hz);
            }
        }
        self.double = self.double.saturating_add(usize::from(is_double(&frame.peaks)));
        self.loudest_dbfs = self.loudest_dbfs.max(frame.level_dbfs);
        self.recent_dbfs = frame.level_dbfs.max(self.recent_dbfs - RECENT_DB);
    }

    /// It began so many frames earlier.
    pub(super) fn begin_earlier(&mut self, frames: usize) {
        self.start = self.start.saturating_sub(frames as u64);
        self.frames += frames;
    }

    /// Frames since it began.
    pub(super) const fn frames(&self) -> usize {
        self.frames
    }

    /// Frames without it at the end of them.
    pub(super) const fn misses(&self) -> usize {
        self.misses
    }

    /// Frames with it.
    pub(super) const fn hits(&self) -> usize {
        self.hits
    }

    /// Whether the run's peak is one of a frame's, or the frame's strongest is the other sine of a tone: which of two is the
    /// stronger one changes.
    pub(super) fn stays(&self, frame: &Frame, torn: bool) -> bool {
        let off_hz = |hz: f32| if frame.purity() >= PURE { STAYS_PURE_HZ } else { STAYS_HZ.max(STAYS * hz) };
        let near = |peak: &Peak, other: &Peak| (peak.hz - other.hz).abs() <= off_hz(peak.hz);
        let [first, second] = &self.peaks;
        let stays = frame.peaks.iter().any(|peak| peak.share >= SECOND_MIN && near(first, peak));
        let tone = torn || frame.purity() >= PURE;
        stays || tone && is_double(&self.peaks) && near(second, &frame.peaks[0])
    }

    /// Whether a frame is loud enough to belong to it.
    pub(super) fn sounds(&self, frame: &Frame) -> bool {
        frame.level_dbfs >= self.loudest_dbfs - SOFTER_DB
    }

    /// What it is, once that is known.
    pub(super) fn kind(&self) -> Option<Kind> {
        // A tone's first windows are not pure, and those that something is missing in.
        match self.hits {
            TONE_FRAMES.. if self.is_pure() && (self.hits < EVEN_FRAMES || self.is_even()) => Some(Kind::Tone),
            HELD_FRAMES.. => Some(Kind::Held),
            _ => None,
        }
    }

    fn is_pure(&self) -> bool {
        self.pure >= PURE_FRAMES && 2 * self.pure > self.hits
    }

    /// As loud and as high from its beginning to its end.
    fn is_even(&self) -> bool {
        self.recent_dbfs >= self.loudest_dbfs - UNEVEN_DB && self.highest_hz - self.lowest_hz <= STEADY_HZ
    }

    /// The tone that it is, if it is one.
    pub(super) fn burst(&self) -> Option<Burst> {
        if self.kind() != Some(Kind::Tone) {
            return None;
        }
        let second = if 2 * self.double > self.hits { self.peaks[1].hz } else { 0.0 };
        Some(Burst {
            start: self.start,
            end: self.start + (self.frames - self.misses) as u64,
            hz: [self.peaks[0].hz, second],
            even: self.is_even(),
        })
    }
}

fn is_double(peaks: &[Peak; 2]) -> bool {
    peaks[1].share >= SECOND * peaks[0].share
}
