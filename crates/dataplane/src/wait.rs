//! What to do when there is nothing to do.
//!
//! A wake-up costs about as much as relaying five packets. At a few packets a millisecond it pays to let them gather for a
//! tick; below that, the packets are so few that their latency matters more than their cost.

use core::time::Duration;

use patchcord_relay::time::MonoTime;

use crate::config::Wait;

/// Tick of [`Wait::Adaptive`]. Half of it is the mean latency that it adds, which is a hundredth of an audio frame.
const TICK: Duration = Duration::from_micros(250);
/// Packets a second from which [`Wait::Adaptive`] ticks: 2.5 a tick.
const TICK_FROM: u64 = 10_000;
/// And below which it sleeps again.
const SLEEP_BELOW: u64 = 7_000;
/// Over how long packets are counted.
const WINDOW_NANOS: u64 = 10_000_000;

/// How to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rest {
    /// Not at all.
    Spin,
    /// For this long, unless a request comes.
    Tick(Duration),
    /// Until something comes, this long at most.
    Sleep(Option<Duration>),
}

/// Decides how to wait, by the configuration and by how much there is to do.
#[derive(Clone, Debug)]
pub(crate) struct Pace {
    wait: Wait,
    window_from: MonoTime,
    packets: u64,
    ticking: bool,
}

impl Pace {
    pub(crate) const fn new(wait: Wait, now: MonoTime) -> Self {
        Self { wait, window_from: now, packets: 0, ticking: false }
    }

    /// Notes packets received or sent.
    pub(crate) const fn moved(&mut self, packets: usize) {
        self.packets += packets as u64;
    }

    /// How to wait now, if the engine has something to do at `deadline`. Within a tick it has to be patient.
    pub(crate) fn rest(&mut self, now: MonoTime, deadline: Option<MonoTime>) -> Rest {
        let until_deadline = deadline.map(|deadline| Duration::from_nanos(deadline.nanos_since(now)));
        let busy = self.is_busy(now);
        match self.wait {
            Wait::Spin => Rest::Spin,
            Wait::Tick { period } => Rest::Tick(period),
            Wait::Adaptive if busy => Rest::Tick(TICK),
            Wait::Sleep | Wait::Adaptive => Rest::Sleep(until_deadline),
        }
    }

    fn is_busy(&mut self, now: MonoTime) -> bool {
        let elapsed = now.nanos_since(self.window_from);
        if elapsed >= WINDOW_NANOS {
            let per_second = self.packets.saturating_mul(1_000_000_000) / elapsed;
            self.ticking = per_second >= if self.ticking { SLEEP_BELOW } else { TICK_FROM };
            self.window_from = now;
            self.packets = 0;
        }
        self.ticking
    }
}

#[cfg(test)]
mod tests {
    use super::{Pace, Rest, SLEEP_BELOW, TICK, TICK_FROM, WINDOW_NANOS};
    use crate::config::Wait;
    use core::time::Duration;
    use patchcord_relay::time::MonoTime;

    fn pace_at(pace: &mut Pace, now: &mut MonoTime, per_second: u64) -> Rest {
        pace.moved((per_second * WINDOW_NANOS / 1_000_000_000) as usize);
        *now = now.after_nanos(WINDOW_NANOS);
        pace.rest(*now, None)
    }

    #[test]
    fn load_makes_it_tick_and_a_little_less_does_not_make_it_stop() {
        let mut now = MonoTime::ZERO;
        let mut pace = Pace::new(Wait::Adaptive, now);
        assert_eq!(pace_at(&mut pace, &mut now, TICK_FROM - 100), Rest::Sleep(None));
        assert_eq!(pace_at(&mut pace, &mut now, TICK_FROM), Rest::Tick(TICK));
        assert_eq!(pace_at(&mut pace, &mut now, SLEEP_BELOW), Rest::Tick(TICK));
        assert_eq!(pace_at(&mut pace, &mut now, SLEEP_BELOW - 100), Rest::Sleep(None));
        assert_eq!(pace_at(&mut pace, &mut now, SLEEP_BELOW), Rest::Sleep(None));
    }

    #[test]
    fn a_sleeper_gets_up_for_the_engines_deadline() {
        let mut pace = Pace::new(Wait::Sleep, MonoTime::ZERO);
        let deadline = MonoTime::from_nanos(5_000);
        assert_eq!(
            pace.rest(MonoTime::from_nanos(2_000), Some(deadline)),
            Rest::Sleep(Some(Duration::from_nanos(3_000)))
        );
        assert_eq!(pace.rest(MonoTime::from_nanos(7_000), Some(deadline)), Rest::Sleep(Some(Duration::ZERO)));
    }
}
