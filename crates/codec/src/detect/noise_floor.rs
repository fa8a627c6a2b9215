//! How loud the noise is that everything else lies upon: the quietest of the last second and a half.

use super::frame::Frame;
use super::sound::VOICED_DB;

/// Frames of a part, 240 ms, and parts that are looked back at: 1.4 to 1.7 s, within which nearly all speech has a pause.
const PART_FRAMES: u32 = 12;
const PARTS: usize = 7;
/// So many blank frames in a row, 60 ms, are silence; fewer are lost packets and say nothing of the noise.
const BLANK_FRAMES: u32 = 3;
/// A floor is not taken to be lower, in dBFS: what G.711 itself adds is about there (its finest step is 8 of 32768).
const LOWEST_DBFS: f32 = -72.0;
/// What is assumed before anything was heard, in dBFS.
const AT_FIRST_DBFS: f32 = -60.0;

/// The quietest frame of each of the last parts.
#[derive(Clone, Debug)]
pub(super) struct NoiseFloor {
    quietest: [f32; PARTS],
    frames: u32,
    blank: u32,
}

impl NoiseFloor {
    pub(super) const fn new() -> Self {
        let mut quietest = [f32::INFINITY; PARTS];
        quietest[0] = AT_FIRST_DBFS;
        Self { quietest, frames: 0, blank: 0 }
    }

    /// Takes a frame. One with peaks, of a voice or a tone, says nothing of the noise.
    pub(super) fn take(&mut self, frame: &Frame) {
        self.blank = if frame.blank { self.blank.saturating_add(1) } else { 0 };
        if frame.peakiness_db >= VOICED_DB || (1..BLANK_FRAMES).contains(&self.blank) {
            return;
        }
        let newest = &mut self.quietest[PARTS - 1];
        *newest = newest.min(frame.level_dbfs);
        self.frames += 1;
        if self.frames == PART_FRAMES {
            self.frames = 0;
            self.quietest.rotate_left(1);
            self.quietest[PARTS - 1] = f32::INFINITY;
        }
    }

    /// In dBFS.
    pub(super) fn level_dbfs(&self) -> f32 {
        let quietest = self.quietest.iter().copied().fold(f32::INFINITY, f32::min);
        // Nothing but peaks for all that time: what was before them is forgotten.
        if quietest.is_finite() { quietest.max(LOWEST_DBFS) } else { AT_FIRST_DBFS }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(level_dbfs: f32) -> Frame {
        Frame { level_dbfs, blank: level_dbfs <= -100.0, peakiness_db: 2.5, ..Frame::default() }
    }

    #[test]
    fn it_follows_noise_up_within_two_seconds_and_down_at_once() {
        let mut floor = NoiseFloor::new();
        (0..100).for_each(|_| floor.take(&frame(-40.0)));
        assert_eq!(floor.level_dbfs(), -40.0);
        floor.take(&frame(-55.0));
        assert_eq!(floor.level_dbfs(), -55.0);
    }

    #[test]
    fn lost_packets_say_nothing_and_silence_does() {
        let mut floor = NoiseFloor::new();
        (0..200).for_each(|number| floor.take(&frame(if number % 20 < 2 { -100.0 } else { -40.0 })));
        assert_eq!(floor.level_dbfs(), -40.0);
        (0..3).for_each(|_| floor.take(&frame(-100.0)));
        assert_eq!(floor.level_dbfs(), LOWEST_DBFS);
    }

    #[test]
    fn what_has_peaks_says_nothing() {
        let mut floor = NoiseFloor::new();
        (0..100).for_each(|_| floor.take(&frame(-50.0)));
        (0..1000).for_each(|_| floor.take(&Frame { peakiness_db: 9.0, ..frame(-20.0) }));
        assert_eq!(floor.level_dbfs(), -50.0);
    }
}
