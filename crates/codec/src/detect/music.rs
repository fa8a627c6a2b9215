//! Whether what is heard of late is music: much of it is held.

use super::sound::{KEPT, Kind};

/// How long it takes until a frame is certain to have its kind, in frames: longer than a peak has to stay.
const SETTLED: usize = 8;
/// The part of the past that is kept from frame to frame: half of it after 1.4 s of sound, after 0.3 s of silence, since
/// whoever speaks after a pause may be somebody else than what was heard before it.
const KEEPS: f32 = 0.99;
const KEEPS_IN_SILENCE: f32 = 0.95;
/// In music what is held is more than this part of what moves: in most of it nearly all is held, in speech hardly anything.
const HELD_PART: f32 = 0.3;

/// A memory of seconds.
#[derive(Clone, Debug, Default)]
pub(super) struct Music {
    held: f32,
    voiced: f32,
}

impl Music {
    /// Takes the kinds of the last frames, oldest first, once a frame.
    pub(super) fn take(&mut self, kinds: &[Kind; KEPT]) {
        let kind = kinds[KEPT - 1 - SETTLED];
        let keeps = if kind == Kind::Quiet { KEEPS_IN_SILENCE } else { KEEPS };
        self.held = self.held * keeps + f32::from(u8::from(kind == Kind::Held));
        self.voiced = self.voiced * keeps + f32::from(u8::from(kind == Kind::Voiced));
    }

    /// Whether it is, by that memory and the newest of the same kinds.
    pub(super) fn is_heard(&self, kinds: &[Kind; KEPT]) -> bool {
        let newest = &kinds[KEPT - SETTLED..];
        let count = |wanted: Kind| newest.iter().filter(|&&kind| kind == wanted).count() as f32;
        self.held + count(Kind::Held) > HELD_PART * (self.voiced + count(Kind::Voiced))
    }
}
