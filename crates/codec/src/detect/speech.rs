//! When somebody speaks: where voiced frames gather.

use super::frame::{FRAME_MS, Frame};
use super::sound::{KEPT, Kind, Sounds};

/// Speech begins where so many of so many frames are voiced: 80 of 300 ms, the vowel of a short word. What a tone or a note begins
/// with has fewer.
const BEGINS_VOICED: usize = 4;
const BEGINS_OF: usize = 15;
/// It has ended after so many frames, 600 ms, without a voiced one, even if there is sound: no consonant takes as long.
const VOICELESS_MAX: u64 = 30;
/// Speech that goes on, or has ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Stretch {
    /// Its first frame, and that after its last so far.
    pub(super) start: u64,
    pub(super) end: u64,
    /// The power of its voiced frames and their number.
    power: f64,
    voiced: u32,
}

impl Stretch {
    pub(super) const fn length_ms(&self) -> u64 {
        (self.end - self.start) * FRAME_MS
    }

    /// How much of it is voiced: half of all speech is.
    pub(super) fn confidence(&self) -> f32 {
        let frames = (self.end - self.start).max(1);
        (2.0 * self.voiced as f32 / frames as f32).min(1.0)
    }

    /// The level of its voiced frames in dBFS.
    pub(super) fn level_dbfs(&self) -> f32 {
        (10.0 * (self.power / f64::from(self.voiced.max(1))).max(1e-10).log10()) as f32
    }
}

/// What has changed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Change {
    Began(Stretch),
    Ended(Stretch),
}

/// Follows one stream.
#[derive(Clone, Debug, Default)]
pub(super) struct Speech {
    now: Option<Stretch>,
    last_voiced: u64,
    /// The end of the last stretch: no other begins before it.
    ended: u64,
}

impl Speech {
    /// The speech that goes on.
    pub(super) const fn now(&self) -> Option<&Stretch> {
        self.now.as_ref()
    }

    /// Looks at the sounds up to `frame`.
    pub(super) fn take(&mut self, frame: &Frame, sounds: &Sounds, hang_over: u64) -> Option<Change> {
        let newest = sounds.newest();
        let Some(stretch) = &mut self.now else {
            let mut stretch = begin(frame, sounds)?;
            if stretch.end <= self.ended {
                return None;
            }
            stretch.start = stretch.start.max(self.ended);
            self.now = Some(stretch);
            self.last_voiced = frame.number;
            return Some(Change::Began(stretch));
        };
        let next = frame.number + 1;
        if matches!(newest, Kind::Voiced | Kind::Pure) {
            self.last_voiced = frame.number;
            stretch.power += 10_f64.powf(f64::from(frame.level_dbfs) / 10.0);
            stretch.voiced += 1;
        }
        if matches!(newest, Kind::Voiced | Kind::Pure | Kind::Other) {
            stretch.end = next;
        }
        let voiceless = frame.number - self.last_voiced;
        if voiceless >= VOICELESS_MAX || sounds.is_music() {
            stretch.end = stretch.end.min(self.last_voiced + 1);
        } else if let Some(tone) = sounds.tone()
            && newest == Kind::Tone
            && tone.is_no_voice()
        {
            stretch.end = stretch.end.min(tone.start).max(stretch.start);
        } else if next - stretch.end < hang_over {
            return None;
        }
        self.ended = stretch.end;
        self.now.take().map(Change::Ended)
    }
}

/// The speech that has begun up to here, if it has.
fn begin(frame: &Frame, sounds: &Sounds) -> Option<Stretch> {
    let certain = sounds.certain();
    let recent = &certain[certain.len().saturating_sub(BEGINS_OF)..];
    let voiced = |kinds: &[Kind]| kinds.iter().filter(|&&kind| kind == Kind::Voiced).count();
    let voiced = voiced(recent);
    if voiced < BEGINS_VOICED || sounds.is_music() || sounds.tone().is_some_and(|tone| tone.is_no_voice()) {
        return None;
    }
    // Back from its first voiced frame to where it came out of quiet: words begin with consonants.
    let first = certain.len() - recent.len() + recent.iter().position(|&kind| kind == Kind::Voiced)?;
    let before = certain[..first].iter().rev();
    let start = first - before.take_while(|&&kind| matches!(kind, Kind::Voiced | Kind::Pure | Kind::Other)).count();
    let number = |at: usize| (frame.number + 1 + at as u64).saturating_sub(KEPT as u64);
    Some(Stretch {
        start: number(start),
        end: number(certain.len()),
        power: voiced as f64 * 10_f64.powf(f64::from(frame.level_dbfs) / 10.0),
        voiced: voiced as u32,
    })
}
