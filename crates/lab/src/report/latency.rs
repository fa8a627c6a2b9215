//! Percentiles of the time from the sender to the receiver.

use hdrhistogram::Histogram;
use serde::Serialize;

use super::Arrived;
use super::origin::Origin;

/// Latencies in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct LatencyUs {
    /// How many packets were measured.
    pub count: u64,
    /// The shortest.
    pub min: f64,
    /// Half of all packets took at most this.
    pub p50: f64,
    /// 90 of 100.
    pub p90: f64,
    /// 99 of 100.
    pub p99: f64,
    /// 999 of 1000.
    pub p999: f64,
    /// The longest.
    pub max: f64,
}

impl LatencyUs {
    /// The percentiles of a histogram of nanoseconds; `None` if it is empty.
    #[must_use]
    pub fn of(histogram_ns: &Histogram<u64>) -> Option<Self> {
        if histogram_ns.is_empty() {
            return None;
        }
        // To the tenth of a microsecond: the histogram has three significant digits.
        let us = |ns: u64| (ns as f64 / 100.0).round() / 10.0;
        let quantile = |quantile| us(histogram_ns.value_at_quantile(quantile));
        Some(Self {
            count: histogram_ns.len(),
            min: us(histogram_ns.min()),
            p50: quantile(0.5),
            p90: quantile(0.9),
            p99: quantile(0.99),
            p999: quantile(0.999),
            max: us(histogram_ns.max()),
        })
    }
}

/// A histogram of nanoseconds with three significant digits.
pub(crate) fn histogram_ns() -> Histogram<u64> {
    Histogram::new(3).expect("three significant digits are within 0 to 5")
}

pub(super) fn of(packets: &[Arrived<'_>], origins: &[Option<Origin>]) -> Option<LatencyUs> {
    let mut histogram = histogram_ns();
    for (packet, origin) in packets.iter().zip(origins) {
        if let Some(origin) = origin {
            histogram += packet.at_ns - origin.sent_ns;
        }
    }
    LatencyUs::of(&histogram)
}
