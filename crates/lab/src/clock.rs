//! The one clock of all measurements.

use std::sync::OnceLock;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Nanoseconds on the monotonic clock since this process first asked. Sent and received packets of all endpoints carry times of
/// this clock, so that they can be subtracted.
#[must_use]
pub fn now_ns() -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    let elapsed = START.get_or_init(Instant::now).elapsed();
    u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX)
}

/// Nanoseconds since the Unix epoch.
pub(crate) fn unix_ns() -> u64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX)
}

/// Both clocks read at one instant: puts the kernel's time stamps, which are Unix times, on the monotonic clock.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ClockPair {
    monotonic_ns: u64,
    unix_ns: u64,
}

impl ClockPair {
    pub(crate) fn now() -> Self {
        // The wall clock first: a thread that loses its CPU between the two makes arrivals seem later than they were, but
        // never earlier than the packets were sent, and it is by that order that a packet is recognised.
        let unix_ns = unix_ns();
        Self { monotonic_ns: now_ns(), unix_ns }
    }

    /// The monotonic time of a Unix time shortly ago. A time that lies in the future, or further back than a packet waits in a
    /// socket, means that the wall clock was set in between: then it is now.
    pub(crate) fn monotonic(self, unix_ns: Option<u64>) -> u64 {
        const AGE_MAX_NS: u64 = 10_000_000_000;
        let age_ns = unix_ns.and_then(|then| self.unix_ns.checked_sub(then)).filter(|&age| age < AGE_MAX_NS);
        self.monotonic_ns.saturating_sub(age_ns.unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::ClockPair;

    #[test]
    fn a_kernel_time_is_as_old_on_either_clock() {
        let pair = ClockPair { monotonic_ns: 50_000_000_000, unix_ns: 1_700_000_000_000_000_000 };
        assert_eq!(pair.monotonic(Some(1_699_999_999_999_999_000)), 49_999_999_000);
        assert_eq!(pair.monotonic(Some(1_700_000_000_000_000_001)), 50_000_000_000);
        assert_eq!(pair.monotonic(Some(1_600_000_000_000_000_000)), 50_000_000_000);
        assert_eq!(pair.monotonic(None), 50_000_000_000);
    }
}
