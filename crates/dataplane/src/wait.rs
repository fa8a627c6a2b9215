//! What to do when there is nothing to do.
//!
//! A wake-up costs about as much as relaying five packets. At a few packets a millisecond it pays to let them gather for a
//! tick; below that, the packets are so few that their latency matters more than their cost.

use core::time::Duration;

use patchcord_relay::time::MonoTime;

use crate::config::Wait;

/// Tick of [`Wait::Adaptive`]. Half of it is the mean latency that it adds, an eightieth of an audio frame. At 50,000 packets
/// a second it takes a tenth less CPU time than a tick of half its length; commands do not wait for it.
const TICK: Duration = Duration::from_micros(500);
/// Packets a second from which [`Wait::Adaptive`] ticks: 5 a tick.
const TICK_FROM: u64 = 10_000;
/// And below which it sleeps again.
const SLEEP_BELOW: u64 = 7_000;
/// Packets that make another turn worth its system calls. Who goes on for fewer can be busy all the time with turns of one
/// or two packets, at twice the cost of each, and never find the time for a tick.
const ENOUGH: usize = 8;
/// A tick in an overload.
const SHORT_TICK: Duration = Duration::from_micros(50);
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
    /// Whether [`Wait::Adaptive`] ticks at present.
    ticking: bool,
}

impl Pace {
    pub(crate) const fn new(wait: Wait, now: MonoTime) -> Self {
        Self { wait, window_from: now, packets: 0, ticking: false }
    }

    /// Notes packets received or sent, and says whether to go on at once rather than rest.
    pub(crate) fn goes_on(&mut self, packets: usize, now: MonoTime) -> bool {
        self.packets += packets as u64;
        let elapsed = now.nanos_since(self.window_from);
        if elapsed >= WINDOW_NANOS {
            let per_second = self.packets.saturating_mul(1_000_000_000) / elapsed;
            self.ticking = per_second >= if self.ticking { SLEEP_BELOW } else { TICK_FROM };
            self.window_from = now;
            self.packets = 0;
        }
        let gathers = match self.wait {
            Wait::Tick { .. } => true,
            Wait::Adaptive => self.ticking,
            Wait::Spin | Wait::Sleep => false,
        };
        packets >= if gathers { ENOUGH } else { 1 }
    }

    /// How to wait now, if the engine has something to do at `deadline`. Within a tick it has to be patient. `short_queues`:
    /// the sockets' queues would not last for a usual tick.
    pub(crate) fn rest(&self, now: MonoTime, deadline: Option<MonoTime>, short_queues: bool) -> Rest {
        match self.wait {
            Wait::Spin => Rest::Spin,
            _ if short_queues => Rest::Tick(SHORT_TICK),
            Wait::Tick { period } => Rest::Tick(period),
            Wait::Adaptive if self.ticking => Rest::Tick(TICK),
            Wait::Sleep | Wait::Adaptive => {
                Rest::Sleep(deadline.map(|deadline| Duration::from_nanos(deadline.nanos_since(now))))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{ENOUGH, Pace, Rest, SHORT_TICK, SLEEP_BELOW, TICK, TICK_FROM, WINDOW_NANOS};
    use crate::config::Wait;
    use core::time::Duration;
    use patchcord_relay::time::MonoTime;

    fn pace_at(pace: &mut Pace, now: &mut MonoTime, per_second: u64) -> Rest {
        *now = now.after_nanos(WINDOW_NANOS);
        pace.goes_on((per_second * WINDOW_NANOS / 1_000_000_000) as usize, *now);
        pace.rest(*now, None, false)
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
    fn load_makes_it_tick_even_if_it_never_finds_nothing_to_do() {
        let mut now = MonoTime::ZERO;
        let mut pace = Pace::new(Wait::Adaptive, now);
        let mut turns = 0;
        while pace.goes_on(1, now) {
            now = now.after_nanos(1_000_000_000 / TICK_FROM);
            turns += 1;
            assert!(turns < 1000, "it goes on for single packets");
        }
        assert!(pace.goes_on(ENOUGH, now));
        assert_eq!(pace.rest(now, None, false), Rest::Tick(TICK));
    }

    #[test]
    fn who_sleeps_or_spins_goes_on_while_there_is_anything() {
        for wait in [Wait::Sleep, Wait::Spin, Wait::Adaptive] {
            let mut pace = Pace::new(wait, MonoTime::ZERO);
            assert!(pace.goes_on(1, MonoTime::ZERO));
            assert!(!pace.goes_on(0, MonoTime::ZERO));
        }
    }

    #[test]
    fn short_queues_make_short_ticks() {
        let period = Duration::from_millis(1);
        for wait in [Wait::Sleep, Wait::Tick { period }, Wait::Adaptive] {
            assert_eq!(Pace::new(wait, MonoTime::ZERO).rest(MonoTime::ZERO, None, true), Rest::Tick(SHORT_TICK));
        }
        assert_eq!(Pace::new(Wait::Spin, MonoTime::ZERO).rest(MonoTime::ZERO, None, true), Rest::Spin);
    }

    #[test]
    fn a_sleeper_gets_up_for_the_engines_deadline() {
        let pace = Pace::new(Wait::Sleep, MonoTime::ZERO);
        let deadline = MonoTime::from_nanos(5_000);
        let at = |nanos| pace.rest(MonoTime::from_nanos(nanos), Some(deadline), false);
        assert_eq!(at(2_000), Rest::Sleep(Some(Duration::from_nanos(3_000))));
        assert_eq!(at(7_000), Rest::Sleep(Some(Duration::ZERO)));
    }
}
