//! Voices added up, until they are written.

use std::collections::VecDeque;

/// Nothing lies further than this ahead of what is written, in seconds: what does is dropped.
const AHEAD_MAX_S: i64 = 10;

/// The part of one file that is not yet written.
#[derive(Debug)]
pub(crate) struct Mixer {
    /// The place of the first sample.
    base: i64,
    ahead_max: i64,
    /// Sums. Of as many voices as a call can have none is too large.
    sums: VecDeque<i32>,
}

impl Mixer {
    pub(crate) fn new(rate: u32, base: i64) -> Self {
        Self { base, ahead_max: i64::from(rate) * AHEAD_MAX_S, sums: VecDeque::new() }
    }

    /// The place up to which everything is written.
    pub(crate) const fn base(&self) -> i64 {
        self.base
    }

    /// Adds samples from `place` on; gives how many had a place.
    pub(crate) fn add(&mut self, place: i64, samples: &[i16]) -> usize {
        let skipped = usize::try_from(self.base.saturating_sub(place)).unwrap_or(0).min(samples.len());
        let samples = &samples[skipped..];
        let offset = place.saturating_sub(self.base).max(0);
        if samples.is_empty() || offset > self.ahead_max {
            return 0;
        }
        let offset = usize::try_from(offset).unwrap_or(0);
        if self.sums.len() < offset + samples.len() {
            self.sums.resize(offset + samples.len(), 0);
        }
        for (sum, &sample) in self.sums.range_mut(offset..).zip(samples) {
            *sum = sum.saturating_add(i32::from(sample));
        }
        samples.len()
    }

    /// Appends what lies before `until`, at most `max` samples; where nobody has said anything it is silence.
    pub(crate) fn take(&mut self, until: i64, max: usize, out: &mut Vec<i16>) {
        let wanted = usize::try_from(until.saturating_sub(self.base)).unwrap_or(0).min(max);
        let there = wanted.min(self.sums.len());
        let clip = |sum: i32| sum.clamp(i16::MIN.into(), i16::MAX.into()) as i16;
        out.extend(self.sums.drain(..there).map(clip));
        out.resize(out.len() + wanted - there, 0);
        self.base += wanted as i64;
    }

    /// Nothing is heard from `place` on.
    pub(crate) fn cut(&mut self, place: i64) {
        self.sums.truncate(usize::try_from(place.saturating_sub(self.base)).unwrap_or(0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn voices_are_added_and_clipped_and_holes_are_silence() {
        let mut mixer = Mixer::new(8000, 100);
        assert_eq!(mixer.add(102, &[30_000, 1, -30_000]), 3);
        assert_eq!(mixer.add(101, &[7, 30_000, 1, -30_000]), 4);
        assert_eq!(mixer.add(98, &[9, 9, 9]), 1, "two are too late");
        assert_eq!(mixer.add(80_101, &[1]), 0, "far too early");
        let mut out = Vec::new();
        mixer.take(107, 3, &mut out);
        mixer.take(107, 9, &mut out);
        assert_eq!(out, [9, 7, 32_767, 2, -32_768, 0, 0]);
        assert_eq!(mixer.base(), 107);
        mixer.add(107, &[1, 2, 3]);
        mixer.cut(108);
        mixer.take(110, 9, &mut out);
        assert_eq!(out[7..], [1, 0, 0]);
        mixer.take(0, 9, &mut out);
        assert_eq!(out.len(), 10);
    }
}
