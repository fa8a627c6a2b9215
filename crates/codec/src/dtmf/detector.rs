//! Finding keys in what is heard, by the limits of ITU-T Q.24.

#[cfg(test)]
mod tests;

use core::f64::consts::{PI, TAU};

use super::Digit;
use super::bank::{BLOCKS, Bank, Complex, Sums};
use crate::tone::DBM0_BELOW_FULL_SCALE_DB;

/// Rates at which keys can be found, in samples a second.
pub const SAMPLE_RATES: core::ops::RangeInclusive<u32> = 8000..=192_000;

/// How much louder the low tone may be than the high one and the other way round, in dB: Q.24 has 8 and 4 for AT&T, and
/// what the louder tone adds to the other's filter may change that by more than 1.
const LOW_LOUDER_DB: f64 = 10.0;
const HIGH_LOUDER_DB: f64 = 6.0;
/// What the filters add to that where both tones are off their frequencies.
const TWIST_SEEN_DB: f64 = 3.0;
/// The softest single tone, in dBm0: Q.24 has -25 for AT&T; what is 1.5 % off is seen 4 dB softer.
const SOFTEST_DBM0: f64 = -30.0;
/// A little more than the 1.5 % that must be accepted; 3.5 % must not be, and the harmonics of high voices often lie
/// just over 2 % away.
const OFF_MAX: f64 = 0.018;
/// A key is accepted from this length on: Q.24 has 40 ms that must be and 23 ms that must not.
const SHORTEST_S: f64 = 0.033;
/// The part of a window's energy that both tones have at least, as the filters see it, off their frequencies.
const PURE_SEEN: f64 = 0.4;
/// The same with what the filters lose known: speech has such moments, but not for so long.
const PURE: f64 = 0.9;
/// The best filter of a group is this many times stronger than the others, as energies.
const STANDS_OUT: f64 = 3.0;
/// Windows in a row without the key after which it has ended: 30 ms, between an interruption of 10 that must not and a
/// pause of 40 that must divide two keys.
const MISSES_MAX: usize = 6;
/// Windows in a row with a key, each a block after the one before, after which it would have been accepted.
const SUSPECTED_MAX: usize = 10;
/// Blocks whose energies are kept: more than pass before a key is accepted.
const KEPT: usize = 16;

/// The sample rate is none at which keys can be found.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "no keys can be found at {sample_rate} samples a second: {} to {} will do", SAMPLE_RATES.start(), SAMPLE_RATES.end()
)]
pub struct DetectorError {
    /// What was given.
    pub sample_rate: u32,
}

/// A key that was heard.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Heard {
    /// Which.
    pub digit: Digit,
    /// Its first sample, counted from the first that the detector was given. To about 2 ms.
    pub start: u64,
    /// Samples so far, to about 5 ms.
    pub duration: u64,
    /// Of both tones together, in dBm0.
    pub level_dbm0: f64,
}

/// What happens.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Event {
    /// A key is held, and has been for about 35 ms.
    Began(Heard),
    /// It was let go, about 30 ms ago.
    Ended(Heard),
}

/// Finds keys in one stream.
#[derive(Clone, Debug)]
pub struct Detector {
    sample_rate: u32,
    bank: Bank,
    /// Blocks so far.
    blocks: u64,
    /// The energies of the last blocks, the newest at the end.
    energies: [f64; KEPT],
    run: Option<Run>,
}

/// A key that may be held.
#[derive(Clone, Copy, Debug)]
struct Run {
    digit: Digit,
    /// (row, column) as filters.
    filters: (usize, usize),
    /// The filters' sums of the last window, and its energy.
    last: (Complex, Complex),
    last_energy: f64,
    /// How their phases turned from window to window, weighted by their strength.
    turned: (Complex, Complex),
    /// The strongest window: its energy, and that of both tones, as seen.
    strongest: f64,
    seen: (f64, f64),
    /// The energies of both tones, as seen, and of everything, in the windows that the phases are from.
    steady: (f64, f64, f64),
    hits: usize,
    misses: usize,
    /// The block after the last hit's window.
    end: u64,
    /// Once accepted.
    heard: Option<Heard>,
}

impl Detector {
    /// For a stream of `sample_rate` samples a second.
    ///
    /// # Errors
    /// The sample rate is outside of [`SAMPLE_RATES`].
    pub fn new(sample_rate: u32) -> Result<Self, DetectorError> {
        if !SAMPLE_RATES.contains(&sample_rate) {
            return Err(DetectorError { sample_rate });
        }
        Ok(Self { sample_rate, bank: Bank::new(sample_rate), blocks: 0, energies: [0.0; KEPT], run: None })
    }

    /// Looks at more samples, and appends what happened. Frames may be cut anywhere.
    pub fn process(&mut self, samples: &[i16], events: &mut Vec<Event>) {
        for &sample in samples {
            if self.bank.take(sample) {
                self.blocks += 1;
                self.energies.rotate_left(1);
                self.energies[KEPT - 1] = self.bank.last_energy();
                self.look(events);
            }
        }
    }

    /// The key that is held, if one is, as far as it has been heard.
    #[must_use]
    pub fn held(&self) -> Option<Heard> {
        self.run.and_then(|run| run.heard)
    }

    /// Samples that it was given so far, in whose numbers keys begin.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.blocks * self.block_len() + self.bank.seen() as u64
    }

    /// What comes does not follow from what was: a key that is held has ended.
    pub fn cut(&mut self) -> Option<Heard> {
        self.bank.cut();
        self.energies = [0.0; KEPT];
        self.run.take().and_then(|run| run.heard)
    }

    /// Whether what was heard last may be the beginning of a key, of which it is too early to tell: for 50 ms at most.
    #[must_use]
    pub fn suspects(&self) -> bool {
        self.run.is_some_and(|run| run.heard.is_none() && run.hits <= SUSPECTED_MAX)
    }

    fn look(&mut self, events: &mut Vec<Event>) {
        let window = self.bank.window();
        let hit = self.hit(&window);
        let mut run = self.run.take();
        if let Some(going) = &mut run {
            match hit {
                Some((digit, ..)) if digit == going.digit => going.go_on(&window, self.blocks),
                _ => going.misses += 1,
            }
            let other = hit.is_some_and(|(digit, ..)| digit != going.digit);
            if going.misses > 0 && (going.heard.is_none() || other || going.misses >= MISSES_MAX) {
                events.extend(going.heard.map(Event::Ended));
                run = None;
            }
        }
        let mut run = run.or_else(|| hit.map(|(digit, filters)| Run::new(digit, filters, &window, self.blocks)));
        if let Some(going) = &mut run
            && going.misses == 0
        {
            let end = self.end(going);
            if let Some(heard) = &mut going.heard {
                heard.duration = end.saturating_sub(heard.start);
            } else {
                going.heard = self.accept(going);
                events.extend(going.heard.map(Event::Began));
            }
        }
        self.run = run;
    }

    /// The key of a window, if it looks like one.
    fn hit(&self, window: &Sums) -> Option<(Digit, (usize, usize))> {
        let row = stands_out(window, 0)?;
        let column = stands_out(window, 4)?;
        let (low, high) = (window.tones[row].squared(), window.tones[column].squared());
        let twisted = is_twisted(low, high, TWIST_SEEN_DB);
        let loud = self.dbm0(self.power(low.min(high))) >= SOFTEST_DBM0;
        let pure = self.power(low) + self.power(high) >= PURE_SEEN * self.mean_square(window.energy);
        if twisted || !loud || !pure {
            return None;
        }
        Some((Digit::at(row, column - 4)?, (row, column)))
    }

    /// The key, if what was seen of it is enough to say so.
    fn accept(&self, run: &Run) -> Option<Heard> {
        if run.hits < 4 || run.steady.2 <= 0.0 {
            return None;
        }
        let (row, column) = run.digit.frequencies_hz();
        let (row_off, column_off) = (self.off_hz(run.turned.0), self.off_hz(run.turned.1));
        if row_off.abs() > OFF_MAX * row || column_off.abs() > OFF_MAX * column {
            return None;
        }
        let low = self.power(run.seen.0) / self.lost(row_off);
        let high = self.power(run.seen.1) / self.lost(column_off);
        let power = low + high;
        let steady = self.power(run.steady.0) / self.lost(row_off) + self.power(run.steady.1) / self.lost(column_off);
        if is_twisted(low, high, 0.0) || steady < PURE * self.mean_square(run.steady.2) {
            return None;
        }
        let full = run.strongest / BLOCKS as f64;
        let (start, end) = (self.start(run, full), self.end(run));
        if (end.saturating_sub(start)) as f64 <= SHORTEST_S * f64::from(self.sample_rate) {
            return None;
        }
        Some(Heard { digit: run.digit, start, duration: end - start, level_dbm0: self.dbm0(power) })
    }

    /// The first sample of a key, from how loud the blocks of its first windows were.
    fn start(&self, run: &Run, full: f64) -> u64 {
        let blocks = (run.hits + BLOCKS - 1).min(KEPT);
        let first = self.energies[KEPT - blocks..].iter().position(|&energy| energy >= 0.05 * full).unwrap_or(0);
        let part = (self.energies[KEPT - blocks + first] / full).min(1.0);
        let block = self.blocks - (blocks - first) as u64;
        block * self.block_len() + ((1.0 - part) * self.block_len() as f64) as u64
    }

    /// The sample after a key's last, as of its last window.
    fn end(&self, run: &Run) -> u64 {
        let full = run.strongest / BLOCKS as f64;
        let quiet: f64 = self.energies[KEPT - BLOCKS..]
            .iter()
            .rev()
            .take_while(|&&energy| energy < 0.7 * full)
            .map(|energy| 1.0 - energy / full)
            .sum();
        (run.end * self.block_len()).saturating_sub((quiet * self.block_len() as f64) as u64)
    }

    fn block_len(&self) -> u64 {
        self.bank.block_len() as u64
    }

    fn window_len(&self) -> f64 {
        (BLOCKS * self.bank.block_len()) as f64
    }

    /// The mean square of a sine whose filter's sum is `squared`: (A * len / 2)^2 for an amplitude of A.
    fn power(&self, squared: f64) -> f64 {
        2.0 * squared / (self.window_len() * self.window_len())
    }

    fn mean_square(&self, energy: f64) -> f64 {
        energy / self.window_len()
    }

    fn dbm0(&self, power: f64) -> f64 {
        10.0 * (power.max(1e-9) / (32768.0 * 32768.0)).log10() + DBM0_BELOW_FULL_SCALE_DB
    }

    /// How far a tone is off its filter's frequency that turned so from one window to the next.
    fn off_hz(&self, turned: Complex) -> f64 {
        turned.angle() / TAU * f64::from(self.sample_rate) / self.bank.block_len() as f64
    }

    /// The part of a tone's power that its filter sees, off its frequency.
    fn lost(&self, off_hz: f64) -> f64 {
        let x = PI * off_hz * self.window_len() / f64::from(self.sample_rate);
        let sinc = if x.abs() < 1e-6 { 1.0 } else { x.sin() / x };
        (sinc * sinc).max(0.2)
    }
}

/// Whether one of two powers is too much louder than the other.
fn is_twisted(low: f64, high: f64, more_db: f64) -> bool {
    let times = |db: f64| 10_f64.powf((db + more_db) / 10.0);
    low > high * times(LOW_LOUDER_DB) || high > low * times(HIGH_LOUDER_DB)
}

/// The filter of a group of four, from `first` on, that is much stronger than the others.
fn stands_out(window: &Sums, first: usize) -> Option<usize> {
    let strength = |filter: usize| window.tones[filter].squared();
    let mut best = first;
    for filter in first + 1..first + 4 {
        if strength(filter) > strength(best) {
            best = filter;
        }
    }
    let alone = (first..first + 4).all(|filter| filter == best || STANDS_OUT * strength(filter) < strength(best));
    alone.then_some(best)
}

impl Run {
    fn new(digit: Digit, filters: (usize, usize), window: &Sums, end: u64) -> Self {
        let last = (window.tones[filters.0], window.tones[filters.1]);
        Self {
            digit,
            filters,
            last,
            last_energy: window.energy,
            turned: <_>::default(),
            strongest: window.energy,
            seen: (last.0.squared(), last.1.squared()),
            steady: <_>::default(),
            hits: 1,
            misses: 0,
            end,
            heard: None,
        }
    }

    fn go_on(&mut self, window: &Sums, end: u64) {
        let now = (window.tones[self.filters.0], window.tones[self.filters.1]);
        let seen = (now.0.squared(), now.1.squared());
        // In a window that the tone fills in part the phase is that of another time: between two such ones it turns less.
        if window.energy > 1.1 * self.last_energy {
            self.turned = <_>::default();
            self.steady = <_>::default();
        } else if window.energy > 0.9 * self.last_energy {
            self.steady.0 += seen.0;
            self.steady.1 += seen.1;
            self.steady.2 += window.energy;
            self.turned.0 = self.turned.0.plus(now.0 * self.last.0.conjugate());
            self.turned.1 = self.turned.1.plus(now.1 * self.last.1.conjugate());
        }
        if seen.0 + seen.1 > self.seen.0 + self.seen.1 && self.heard.is_none() {
            (self.strongest, self.seen) = (window.energy, seen);
        }
        (self.last, self.last_energy) = (now, window.energy);
        self.hits += 1;
        self.misses = 0;
        self.end = end;
    }
}
