//! The time of a recording: that of its clock without the pauses.

use std::collections::VecDeque;

const NANOS: u128 = 1_000_000_000;

/// Where moments lie in the files, in samples from the recording's beginning.
#[derive(Debug)]
pub(crate) struct Timeline {
    rate: u32,
    /// In order; only the last one may have no end.
    stretches: VecDeque<Stretch>,
}

#[derive(Clone, Copy, Debug)]
struct Stretch {
    from_ns: u64,
    to_ns: Option<u64>,
    /// The place of its beginning.
    place: i64,
}

impl Timeline {
    pub(crate) fn new(rate: u32, at_ns: u64) -> Self {
        Self { rate, stretches: VecDeque::from([Stretch { from_ns: at_ns, to_ns: None, place: 0 }]) }
    }

    /// Where a moment lies; `None` in a pause and before the beginning.
    pub(crate) fn place(&self, at_ns: u64) -> Option<i64> {
        let stretch = self.stretches.iter().rev().find(|stretch| stretch.from_ns <= at_ns)?;
        stretch.to_ns.is_none_or(|to| at_ns < to).then(|| self.within(stretch, at_ns))
    }

    /// How far the recording is at a moment. In a pause it stands still.
    pub(crate) fn reach(&self, at_ns: u64) -> i64 {
        let Some(stretch) = self.stretches.iter().rev().find(|stretch| stretch.from_ns <= at_ns) else {
            return self.stretches.front().map_or(0, |first| first.place);
        };
        self.within(stretch, stretch.to_ns.map_or(at_ns, |to| at_ns.min(to)))
    }

    fn within(&self, stretch: &Stretch, at_ns: u64) -> i64 {
        let samples = u128::from(at_ns - stretch.from_ns) * u128::from(self.rate) / NANOS;
        stretch.place.saturating_add(i64::try_from(samples).unwrap_or(i64::MAX))
    }

    /// Stands still from now on.
    pub(crate) fn pause(&mut self, at_ns: u64) {
        if let Some(last) = self.stretches.back_mut()
            && last.to_ns.is_none()
        {
            last.to_ns = Some(at_ns.max(last.from_ns));
        }
    }

    /// Goes on; gives how long it has stood still, in nanoseconds. `None` if it did not.
    pub(crate) fn resume(&mut self, at_ns: u64) -> Option<u64> {
        let to_ns = self.stretches.back()?.to_ns?;
        let from_ns = at_ns.max(to_ns);
        self.stretches.push_back(Stretch { from_ns, to_ns: None, place: self.reach(to_ns) });
        Some(from_ns - to_ns)
    }

    pub(crate) fn is_paused(&self) -> bool {
        self.stretches.back().is_some_and(|last| last.to_ns.is_some())
    }

    /// No moment before this will be asked for.
    pub(crate) fn forget(&mut self, before_ns: u64) {
        while self.stretches.get(1).is_some_and(|second| second.from_ns <= before_ns) {
            self.stretches.pop_front();
        }
    }

    /// Samples as milliseconds.
    pub(crate) fn ms(&self, samples: i64) -> u64 {
        let ms = u128::try_from(samples).unwrap_or(0) * 1000 / u128::from(self.rate.max(1));
        u64::try_from(ms).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn pauses_are_left_out() {
        let mut timeline = Timeline::new(8000, 10 * SECOND);
        assert_eq!((timeline.place(9 * SECOND), timeline.reach(9 * SECOND)), (None, 0));
        assert_eq!(timeline.resume(11 * SECOND), None, "it goes on already");
        timeline.pause(12 * SECOND);
        timeline.pause(13 * SECOND);
        assert_eq!((timeline.place(12 * SECOND), timeline.reach(15 * SECOND)), (None, 16_000));
        assert!(timeline.is_paused());
        assert_eq!(timeline.resume(17 * SECOND), Some(5 * SECOND));
        assert_eq!(timeline.place(11 * SECOND), Some(8000), "what was before is where it was");
        assert_eq!((timeline.place(14 * SECOND), timeline.place(18 * SECOND)), (None, Some(24_000)));
        timeline.forget(17 * SECOND);
        assert_eq!((timeline.stretches.len(), timeline.place(18 * SECOND)), (1, Some(24_000)));
        assert_eq!(timeline.ms(24_000), 3000);
    }
}
