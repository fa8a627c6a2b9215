//! How long packets are under way, and what delay that asks for.

/// Packets that are remembered: 5 s of the usual ones. Clocks that differ by 200 ppm move apart by 1 ms in that time.
const REMEMBERED: usize = 256;
/// Of so many packets one may come too late.
const LATE_ONE_IN: usize = 50;
/// After so many packets the delay is computed anew.
const EVERY: usize = 8;

/// Transit times are arrival minus timestamp: only their differences mean something.
#[derive(Debug)]
pub(super) struct Transit {
    min: i64,
    max: i64,
    times: Vec<i64>,
    /// For choosing among them.
    sorted: Vec<i64>,
    /// Where the next one goes, once there are [`REMEMBERED`].
    at: usize,
    latest: Option<i64>,
    fastest: i64,
    delay: i64,
    since: usize,
}

impl Transit {
    /// The delay will be `min` to `max`.
    pub(super) fn new(min: i64, max: i64) -> Self {
        Self {
            min,
            max,
            times: Vec::with_capacity(REMEMBERED),
            sorted: Vec::with_capacity(REMEMBERED),
            at: 0,
            latest: None,
            fastest: 0,
            delay: min,
            since: 0,
        }
    }

    pub(super) fn reset(&mut self) {
        self.times.clear();
        (self.at, self.latest, self.delay, self.since) = (0, None, self.min, 0);
    }

    pub(super) fn learn(&mut self, time: i64) {
        self.latest = Some(time);
        if self.times.len() < REMEMBERED {
            self.times.push(time);
        } else {
            self.times[self.at] = time;
            self.at = (self.at + 1) % REMEMBERED;
        }
        self.since += 1;
        // What comes late or early says more than others do, and so does every one of the first.
        let is_news = time < self.fastest || time - self.fastest > self.delay;
        if is_news || self.since >= EVERY || self.times.len() <= EVERY {
            self.choose();
        }
    }

    fn choose(&mut self) {
        self.since = 0;
        self.sorted.clear();
        self.sorted.extend_from_slice(&self.times);
        self.fastest = self.sorted.iter().copied().min().unwrap_or_default();
        let rank = (self.sorted.len() - 1) - self.sorted.len() / LATE_ONE_IN;
        let (_, slow, _) = self.sorted.select_nth_unstable(rank);
        self.delay = (*slow - self.fastest).clamp(self.min, self.max);
    }

    /// Of the last packet.
    pub(super) const fn latest(&self) -> Option<i64> {
        self.latest
    }

    /// The delay of the fastest packet.
    pub(super) const fn delay(&self) -> i64 {
        self.delay
    }

    /// What a timestamp needs to be the time at which it is due.
    pub(super) const fn due(&self) -> i64 {
        self.fastest + self.delay
    }

    /// Whether a packet that takes so long would never be heard.
    pub(super) fn is_hopeless(&self, time: i64) -> bool {
        !self.times.is_empty() && time - self.fastest > self.max
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_delay_is_that_of_the_slow_but_not_of_the_slowest() {
        let mut transit = Transit::new(160, 1600);
        assert_eq!(transit.delay(), 160);
        for n in 0..1000 {
            transit.learn(5000 + n % 400 + if n % 100 == 0 { 5000 } else { 0 });
        }
        assert!((390..=400).contains(&transit.delay()), "{}", transit.delay());
        assert_eq!(transit.due(), transit.delay() + 5001);
        assert!(transit.is_hopeless(7000) && !transit.is_hopeless(6000));
        for _ in 0..256 {
            transit.learn(9000);
        }
        assert_eq!((transit.delay(), transit.due()), (160, 9160));
    }
}
