//! A latency histogram of fixed size, small enough for every leg to have one.

use crate::snapshot::LatencySummary;

const BUCKETS: usize = 64;

/// Microseconds in four buckets an octave, 0 us to 131 ms in 256 bytes: a value is known to a quarter of its size.
/// What is longer counts in the last bucket.
#[derive(Clone, Debug)]
pub(crate) struct LatencyHistogram([u32; BUCKETS]);

impl Default for LatencyHistogram {
    fn default() -> Self {
        Self([0; BUCKETS])
    }
}

impl LatencyHistogram {
    #[inline]
    pub(crate) fn record_us(&mut self, us: u64) {
        let count = &mut self.0[bucket(us)];
        *count = count.saturating_add(1);
    }

    pub(crate) fn summary(&self) -> LatencySummary {
        let count = self.0.iter().map(|&count| u64::from(count)).sum();
        LatencySummary {
            count,
            p50_us: self.quantile(count, 500),
            p99_us: self.quantile(count, 990),
            p999_us: self.quantile(count, 999),
        }
    }

    /// Upper bound of the bucket below which `permille` of the values lie.
    fn quantile(&self, count: u64, permille: u64) -> u64 {
        let rank = (count * permille).div_ceil(1000);
        let mut seen = 0;
        for (index, &in_bucket) in self.0.iter().enumerate() {
            seen += u64::from(in_bucket);
            if seen >= rank && in_bucket > 0 {
                return upper_bound(index);
            }
        }
        0
    }
}

/// 0..=3 us have a bucket each; above, the two bits behind the highest one choose among four buckets of its octave.
#[inline]
const fn bucket(us: u64) -> usize {
    if us < 4 {
        return us as usize;
    }
    let octave = us.ilog2() as usize;
    let index = 4 * (octave - 1) + ((us >> (octave - 2)) & 3) as usize;
    if index < BUCKETS { index } else { BUCKETS - 1 }
}

const fn upper_bound(index: usize) -> u64 {
    if index < 4 {
        return index as u64;
    }
    let octave = index / 4 + 1;
    ((4 + (index % 4) as u64 + 1) << (octave - 2)) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_lies_within_its_bucket() {
        let mut below = None;
        for index in 0..BUCKETS {
            let upper = upper_bound(index);
            assert_eq!(bucket(upper), index);
            if let Some(below) = below {
                assert_eq!(bucket(below + 1), index);
            }
            below = Some(upper);
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn quantiles_are_upper_bounds() {
        let mut histogram = LatencyHistogram::default();
        assert_eq!(histogram.summary(), LatencySummary::default());
        for _ in 0..990 {
            histogram.record_us(10);
        }
        for _ in 0..9 {
            histogram.record_us(100);
        }
        histogram.record_us(1000);
        let summary = histogram.summary();
        assert_eq!(summary.count, 1000);
        assert_eq!((summary.p50_us, summary.p99_us), (11, 11));
        assert!((100..125).contains(&summary.p999_us), "{summary:?}");
    }
}
