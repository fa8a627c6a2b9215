//! The worker's clock, and what it takes to place kernel timestamps on it.

#![allow(unsafe_code, reason = "clock_gettime: std's Instant does not give its nanoseconds away")]

use patchcord_relay::time::MonoTime;

/// `CLOCK_MONOTONIC` as the engine's time. All workers and the control plane share its epoch.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct Clock;

impl Clock {
    /// The present time.
    #[must_use]
    pub fn now(self) -> MonoTime {
        MonoTime::from_nanos(read(libc::CLOCK_MONOTONIC))
    }

    /// The present wall-clock time, in nanoseconds since 1970.
    #[must_use]
    pub fn unix_nanos(self) -> u64 {
        read(libc::CLOCK_REALTIME)
    }
}

/// Places kernel receive timestamps, which are wall-clock time, on the monotonic clock.
///
/// The two clocks drift apart when the wall clock is disciplined and jump apart when it is set, so the difference has to
/// be measured anew every so often ([`Arrival::measure`]).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival {
    wall_minus_mono_nanos: i64,
}

impl Arrival {
    /// Measures the difference between the clocks: the tightest of three readings.
    pub(crate) fn measure() -> Self {
        let reading = || {
            let before = read(libc::CLOCK_MONOTONIC);
            let wall = read(libc::CLOCK_REALTIME);
            let after = read(libc::CLOCK_MONOTONIC);
            (after - before, wall as i64 - (before + (after - before) / 2) as i64)
        };
        let best = [reading(), reading(), reading()].into_iter().min_by_key(|&(width, _)| width);
        Self { wall_minus_mono_nanos: best.map_or(0, |(_, difference)| difference) }
    }

    /// When a datagram with this kernel timestamp arrived. Never later than `now`, and `now` if there is no timestamp: a
    /// wall clock that was just set must not make packets come from the future.
    pub(crate) fn at(self, wall_nanos: Option<u64>, now: MonoTime) -> MonoTime {
        let Some(wall) = wall_nanos else { return now };
        let mono = (wall as i64).saturating_sub(self.wall_minus_mono_nanos);
        MonoTime::from_nanos(mono.max(0) as u64).min(now)
    }
}

fn read(clock: libc::clockid_t) -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid timespec to write to; both clocks exist on every Linux, so the call cannot fail.
    unsafe { libc::clock_gettime(clock, &raw mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

#[cfg(test)]
mod tests {
    use super::{Arrival, Clock};

    #[test]
    fn a_wall_clock_reading_lands_between_two_monotonic_ones() {
        let arrival = Arrival::measure();
        let before = Clock.now();
        let wall = Clock.unix_nanos();
        let after = Clock.now();
        let at = arrival.at(Some(wall), after);
        // The measurement itself is good to a few microseconds at worst; a descheduled test may need more.
        assert!(at.as_nanos() + 1_000_000 >= before.as_nanos(), "{at:?} is before {before:?}");
        assert!(at <= after);
    }

    #[test]
    fn no_packet_comes_from_the_future() {
        let now = Clock.now();
        let an_hour_ahead = Clock.unix_nanos() + 3_600_000_000_000;
        assert_eq!(Arrival::measure().at(Some(an_hour_ahead), now), now);
        assert_eq!(Arrival::measure().at(None, now), now);
    }
}
