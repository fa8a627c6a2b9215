//! The quadrature mirror filters that split the sound into its two bands and join them again.

/// Coefficients of even index of the 24; those of odd index are the same in reverse order.
const COEFFICIENTS: [i32; 12] = [3, -11, 12, 32, -210, 951, 3876, -805, 362, -156, 53, -11];
/// Pairs of samples that the filter spans.
const PAIRS: usize = COEFFICIENTS.len();
/// Pairs that the line has room for: only when it is full are those still needed moved to its front.
const ROOM: usize = 64;

/// The last pairs of samples, the newest at the end.
#[derive(Clone, Debug)]
struct Line {
    pairs: [(i32, i32); ROOM],
    end: usize,
}

impl Default for Line {
    fn default() -> Self {
        Self { pairs: [(0, 0); ROOM], end: PAIRS }
    }
}

impl Line {
    /// Takes a pair in, and gives the two halves of the filter.
    fn filter(&mut self, pair: (i32, i32)) -> (i32, i32) {
        if self.end == ROOM {
            self.pairs.copy_within(ROOM - (PAIRS - 1).., 0);
            self.end = PAIRS - 1;
        }
        self.pairs[self.end] = pair;
        self.end += 1;
        let line = &self.pairs[self.end - PAIRS..self.end];
        let forward = line.iter().zip(COEFFICIENTS).map(|(pair, weight)| pair.0 * weight).sum();
        let reverse = line.iter().zip(COEFFICIENTS.into_iter().rev()).map(|(pair, weight)| pair.1 * weight).sum();
        (forward, reverse)
    }
}

/// The transmit filter.
#[derive(Clone, Debug, Default)]
pub(super) struct Split(Line);

impl Split {
    /// Two samples, the earlier first, to one of each band, (low, high).
    pub(super) fn apply(&mut self, first: i16, second: i16) -> (i32, i32) {
        let (odd, even) = self.0.filter((first.into(), second.into()));
        ((even + odd) >> 14, (even - odd) >> 14)
    }
}

/// The receive filter.
#[derive(Clone, Debug, Default)]
pub(super) struct Join(Line);

impl Join {
    /// One sample of each band to two, the earlier first.
    pub(super) fn apply(&mut self, low: i32, high: i32) -> [i16; 2] {
        let (second, first) = self.0.filter((low + high, low - high));
        [first, second].map(|sum| (sum >> 11).clamp(i16::MIN.into(), i16::MAX.into()) as i16)
    }
}
