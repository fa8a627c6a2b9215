//! The highest rate that something bears, by trying.

/// Which rate to try next: ever higher ones until one is too high, then between the highest good one and the lowest bad one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Search {
    /// The first one to try.
    pub(crate) first: u32,
    /// The lowest one that is worth a try.
    pub(crate) least: u32,
    /// The highest one.
    pub(crate) most: u32,
    /// How many times higher the next one is, as long as none was too high.
    pub(crate) growth: f64,
    /// The search ends when the next rate would be closer than this share to the last good one.
    pub(crate) precision: f64,
    /// The highest rate that was good; 0 if none was.
    pub(crate) good: u32,
    /// The lowest rate that was bad.
    pub(crate) bad: Option<u32>,
}

impl Search {
    /// Begins at a rate, doubles it, and ends when the limit is known to 3 %.
    pub(crate) const fn from(first: u32, most: u32) -> Self {
        Self { first, least: 1, most, growth: 2.0, precision: 0.03, good: 0, bad: None }
    }

    pub(crate) fn next(&self) -> Option<u32> {
        let next = match self.bad {
            None if self.good == 0 => self.first.min(self.most),
            None => ((f64::from(self.good) * self.growth).ceil().min(f64::from(u32::MAX)) as u32).min(self.most),
            // Whoever began near the limit has gone a small step too far, and goes as small a one back.
            Some(bad) if self.good == 0 && self.growth < 2.0 => (f64::from(bad) / self.growth).floor() as u32,
            Some(bad) => u32::midpoint(self.good, bad),
        };
        let known = f64::from(next - self.good) <= f64::from(self.good) * self.precision || next < self.least;
        (!known).then_some(next)
    }

    pub(crate) fn tried(&mut self, rate: u32, good: bool) {
        if good {
            self.good = self.good.max(rate);
        } else {
            self.bad = Some(self.bad.map_or(rate, |bad| bad.min(rate)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_search_closes_in_on_the_limit_from_either_side() {
        const MOST: u32 = 20_000;
        for growth in [2.0, 1.15] {
            for limit in [1_u32, 7, 49, 50, 51, 333, 4_321, MOST, MOST * 2] {
                let mut search = Search { growth, ..Search::from(50, MOST) };
                let mut tries = 0;
                while let Some(rate) = search.next() {
                    search.tried(rate, rate <= limit);
                    tries += 1;
                    assert!(tries < 60, "the search ends");
                }
                assert!(search.good <= limit);
                let missing = limit.min(MOST) - search.good;
                assert!(f64::from(missing) <= f64::from(search.good) * 0.06 + 1.0, "{limit}: {search:?}");
            }
        }
    }

    #[test]
    fn what_bears_nothing_is_given_up() {
        let mut search = Search { least: 1_000, ..Search::from(50_000, u32::MAX) };
        let mut lowest = u32::MAX;
        while let Some(rate) = search.next() {
            search.tried(rate, false);
            lowest = rate;
        }
        assert_eq!(search.good, 0);
        assert!((1_000..2_000).contains(&lowest), "{lowest}");
    }
}
