//! Interarrival jitter, in floating point as RFC 3550 6.4.1 defines it.

use super::Arrived;
use crate::stream::ClockRates;

/// The jitter at the end of one SSRC's packets, in milliseconds.
pub(super) fn ms(packets: &[Arrived<'_>]) -> f64 {
    let clock_rates = ClockRates::of(packets.iter().map(|packet| (packet.at_ns, packet.header)));
    let mut jitter_ms = 0.0_f64;
    for pair in packets.windows(2) {
        let (first, second) = (&pair[0], &pair[1]);
        // Another payload type may have another clock; a telephone event repeats its timestamp (RFC 4733 2.3).
        if first.header.payload_type != second.header.payload_type {
            continue;
        }
        let clock_rate = f64::from(clock_rates.of_type(second.header.payload_type));
        let ts_units = second.header.timestamp.wrapping_sub(first.header.timestamp).cast_signed();
        let sent_ms = f64::from(ts_units) * 1_000.0 / clock_rate;
        let arrived_ms = (second.at_ns as f64 - first.at_ns as f64) / 1e6;
        jitter_ms += ((arrived_ms - sent_ms).abs() - jitter_ms) / 16.0;
    }
    (jitter_ms * 1_000.0).round() / 1_000.0
}
