//! Latencies as the sink counts them.

use serde::{Serialize, Serializer};

use crate::sys::layout::{BUCKET_BITS, BUCKETS};

/// How many packets took how long, to 3 % of the time.
#[derive(Clone, PartialEq, Eq)]
pub struct Histogram {
    buckets: Box<[u64; BUCKETS]>,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { buckets: Box::new([0; BUCKETS]) }
    }
}

impl std::fmt::Debug for Histogram {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Histogram({} packets)", self.count())
    }
}

impl Histogram {
    pub(super) fn add(&mut self, buckets: &[u64; BUCKETS]) {
        for (own, others) in self.buckets.iter_mut().zip(buckets) {
            *own += others;
        }
    }

    pub(super) fn since(&self, earlier: &Self) -> Self {
        let mut later = self.clone();
        for (own, others) in later.buckets.iter_mut().zip(&*earlier.buckets) {
            *own = own.saturating_sub(*others);
        }
        later
    }

    /// Of these latencies in nanoseconds.
    #[cfg(test)]
    pub(crate) fn of<const N: usize>(latencies_ns: [u32; N]) -> Self {
        let mut histogram = Self::default();
        for latency in latencies_ns {
            histogram.buckets[tests::bucket_of(latency)] += 1;
        }
        histogram
    }

    /// Adds what another one has counted.
    pub fn merge(&mut self, other: &Self) {
        self.add(&other.buckets);
    }

    /// Packets.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// The latency in nanoseconds that so large a share of the packets, 0 to 1, did not exceed; `None` of none.
    #[must_use]
    pub fn quantile_ns(&self, share: f64) -> Option<f64> {
        let count = self.count();
        let rank = ((count as f64 * share.clamp(0.0, 1.0)).ceil() as u64).clamp(1, count.max(1));
        let mut seen = 0;
        let bucket = self.buckets.iter().position(|packets| {
            seen += packets;
            seen >= rank
        });
        let (from, to) = bounds_ns(bucket?);
        Some(f64::midpoint(from as f64, (to - 1) as f64))
    }

    /// Time in nanoseconds and the share of packets that took longer, for each bucket that has any.
    #[must_use]
    pub fn exceeded(&self) -> Vec<(f64, f64)> {
        let count = self.count();
        let mut left = count;
        let points = self.buckets.iter().enumerate().filter(|&(_, &packets)| packets > 0);
        points
            .map(|(bucket, packets)| {
                left -= packets;
                (bounds_ns(bucket).1 as f64, left as f64 / count as f64)
            })
            .collect()
    }
}

impl Serialize for Histogram {
    /// As pairs of a bucket's first nanosecond and its packets, for each bucket that has any.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let counted = self.buckets.iter().enumerate().filter(|&(_, &packets)| packets > 0);
        serializer.collect_seq(counted.map(|(bucket, &packets)| (bounds_ns(bucket).0, packets)))
    }
}

/// The first nanosecond of a bucket and the first one after it.
const fn bounds_ns(bucket: usize) -> (u64, u64) {
    let per_octave = 1_usize << BUCKET_BITS;
    // The first two octaves are counted to the nanosecond.
    let shift = (bucket / per_octave).saturating_sub(1);
    let place = (bucket - shift * per_octave) as u64;
    (place << shift, (place + 1) << shift)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `bucket_of` of bpf/sink.c does.
    pub(super) fn bucket_of(latency_ns: u32) -> usize {
        let shift = (u32::BITS - (latency_ns >> (BUCKET_BITS + 1)).leading_zeros()) as usize;
        (shift << BUCKET_BITS) + (latency_ns >> shift) as usize
    }

    #[test]
    fn every_latency_is_in_the_bounds_of_its_bucket() {
        let mut last = 0;
        for latency in (0..=u32::BITS).flat_map(|bit| {
            let power = 1_u64 << bit;
            [power.saturating_sub(1), power, power + 1, power + power / 3]
        }) {
            let Ok(latency) = u32::try_from(latency) else { continue };
            let bucket = bucket_of(latency);
            let (from, to) = bounds_ns(bucket);
            assert!(from <= u64::from(latency) && u64::from(latency) < to, "{latency} in {from}..{to}");
            assert!(to - from <= 1 + from / 32, "{from}..{to} is narrow");
            assert!(bucket < BUCKETS);
            last = last.max(bucket);
        }
        assert_eq!((last, bounds_ns(last).1), (BUCKETS - 1, 1 << 32));
    }

    #[test]
    fn quantiles_are_those_of_what_was_counted() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.quantile_ns(0.5), None);
        for latency in 1..=1_000_u32 {
            histogram.buckets[bucket_of(latency * 1_000)] += 1;
        }
        for share in [0.01, 0.5, 0.99, 0.999, 1.0] {
            let found = histogram.quantile_ns(share).expect("there are packets");
            let exact = share * 1_000_000.0;
            assert!((found - exact).abs() <= exact / 32.0 + 1_000.0, "{share}: {found}");
        }
        let exceeded = histogram.exceeded();
        assert!(exceeded.is_sorted_by(|a, b| a.0 < b.0 && a.1 > b.1));
        assert_eq!(exceeded.last().map(|point| point.1), Some(0.0));
        let mut twice = histogram.clone();
        twice.merge(&histogram);
        assert_eq!((twice.count(), twice.since(&histogram)), (2_000, histogram));
    }
}
