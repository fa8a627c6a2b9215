//! The tones of telephone keys (ITU-T Q.23): their samples, and their detection in what is heard.
//!
//! A key is two sines, one of the low group for its row and one of the high group for its column.

mod bank;
mod detector;

use core::f64::consts::TAU;
use core::fmt;

use crate::tone::DBM0_BELOW_FULL_SCALE_DB;
pub use detector::{Detector, DetectorError, Event, Heard, SAMPLE_RATES};

/// The low group, in Hz.
pub const ROWS_HZ: [f64; 4] = [697.0, 770.0, 852.0, 941.0];
/// The high group, in Hz.
pub const COLUMNS_HZ: [f64; 4] = [1209.0, 1336.0, 1477.0, 1633.0];

/// The keys as they lie on the telephone, row by row.
const KEYS: [char; 16] = ['1', '2', '3', 'A', '4', '5', '6', 'B', '7', '8', '9', 'C', '*', '0', '#', 'D'];
/// The keys by the number of their event (RFC 4733 3.2, table 3).
const EVENTS: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', '*', '#', 'A', 'B', 'C', 'D'];

/// A tone rises and falls within this time, so that it does not click.
const RAMP_S: f64 = 0.002;

/// One of the 16 keys.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digit {
    /// Index into [`EVENTS`].
    event: u8,
}

impl Digit {
    /// All 16, by the number of their event.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..16).map(|event| Self { event })
    }

    /// The key with this sign: 0 to 9, `*`, `#`, and A to D in any case.
    #[must_use]
    pub fn from_char(sign: char) -> Option<Self> {
        let event = EVENTS.iter().position(|known| known.eq_ignore_ascii_case(&sign))?;
        Some(Self { event: event as u8 })
    }

    /// The key of an event of RFC 4733, if it is one of 0 to 15.
    #[must_use]
    pub const fn from_event(event: u8) -> Option<Self> {
        if event < 16 { Some(Self { event }) } else { None }
    }

    /// The number of its event in RFC 4733.
    #[must_use]
    pub const fn event(self) -> u8 {
        self.event
    }

    /// The sign on the key.
    #[must_use]
    pub const fn as_char(self) -> char {
        EVENTS[self.event as usize]
    }

    /// Its frequencies in Hz, (row, column).
    #[must_use]
    pub fn frequencies_hz(self) -> (f64, f64) {
        let at = KEYS.iter().position(|&key| key == self.as_char()).unwrap_or_default();
        (ROWS_HZ[at / 4], COLUMNS_HZ[at % 4])
    }

    fn at(row: usize, column: usize) -> Option<Self> {
        KEYS.get(4 * row + column).copied().and_then(Self::from_char)
    }
}

impl fmt::Debug for Digit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digit({})", self.as_char())
    }
}

impl fmt::Display for Digit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.as_char())
    }
}

/// The samples of a key held for `length_ms`, whose two tones together have `level_dbm0`, as the volume of RFC 4733 2.3.4
/// is meant. Both tones are equally loud, in the middle of what receivers take (ITU-T Q.24). It is fading in and out within 2 ms each.
pub fn samples(digit: Digit, level_dbm0: f64, length_ms: u32, sample_rate: u32) -> impl Iterator<Item = i16> {
    let wave = Wave::new(digit, level_dbm0, sample_rate);
    let len = u64::from(sample_rate) * u64::from(length_ms) / 1000;
    (0..len).map(move |n| wave.sample(n, wave.ramp(n.min(len - 1 - n))))
}

/// The same for a key of which nobody knows yet how long it is held: piece by piece. It allocates nothing.
#[derive(Clone, Debug)]
pub struct Tone {
    wave: Wave,
    /// Samples so far.
    position: u64,
}

impl Tone {
    /// The tone of a key as of [`samples`]; it has not begun yet.
    #[must_use]
    pub fn new(digit: Digit, level_dbm0: f64, sample_rate: u32) -> Self {
        Self { wave: Wave::new(digit, level_dbm0, sample_rate), position: 0 }
    }

    /// The next `len` samples of it.
    pub fn samples(&mut self, len: usize) -> impl Iterator<Item = i16> + use<> {
        let (wave, from) = (self.wave.clone(), self.position);
        self.position += len as u64;
        (from..self.position).map(move |n| wave.sample(n, wave.ramp(n)))
    }

    /// The key is let go: samples of 2 ms in which it fades out. It can begin anew behind them.
    pub fn release(&mut self) -> impl Iterator<Item = i16> + use<> {
        let (wave, from) = (self.wave.clone(), core::mem::take(&mut self.position));
        let len = if from == 0 { 0 } else { (wave.rate * RAMP_S) as u64 };
        (0..len).map(move |n| wave.sample(from + n, wave.ramp(len - 1 - n)))
    }
}

/// Two sines.
#[derive(Clone, Debug)]
struct Wave {
    row_hz: f64,
    column_hz: f64,
    /// Of each.
    amplitude: f64,
    rate: f64,
}

impl Wave {
    fn new(digit: Digit, level_dbm0: f64, sample_rate: u32) -> Self {
        let (row_hz, column_hz) = digit.frequencies_hz();
        // The power of two sines of amplitude A is A^2.
        let amplitude = 32768.0 * 10_f64.powf((level_dbm0 - DBM0_BELOW_FULL_SCALE_DB) / 20.0);
        Self { row_hz, column_hz, amplitude, rate: sample_rate.into() }
    }

    /// What is left of a sample that is so many from the beginning or the end.
    fn ramp(&self, from_end: u64) -> f64 {
        ((from_end as f64 + 0.5) / self.rate / RAMP_S).min(1.0)
    }

    fn sample(&self, n: u64, ramp: f64) -> i16 {
        let seconds = n as f64 / self.rate;
        let both = (TAU * self.row_hz * seconds).sin() + (TAU * self.column_hz * seconds).sin();
        // A cast from a float saturates.
        (self.amplitude * ramp * both).round() as i16
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::{rms_dbfs, tone_dbfs};

    #[test]
    fn signs_and_events_are_those_of_the_telephone() {
        let all: String = Digit::all().map(Digit::as_char).collect();
        assert_eq!(all, "0123456789*#ABCD");
        for (event, sign) in all.chars().enumerate() {
            assert_eq!(Digit::from_char(sign).map(Digit::event), Some(event as u8));
            assert_eq!(Digit::from_event(event as u8).map(Digit::as_char), Some(sign));
        }
        assert_eq!(Digit::from_char('d').map(Digit::event), Some(15));
        assert_eq!((Digit::from_char('E'), Digit::from_event(16)), (None, None));
        let frequencies = |sign| Digit::from_char(sign).map(Digit::frequencies_hz);
        assert_eq!(frequencies('1'), Some((697.0, 1209.0)));
        assert_eq!(frequencies('0'), Some((941.0, 1336.0)));
        assert_eq!(frequencies('#'), Some((941.0, 1477.0)));
        assert_eq!(frequencies('B'), Some((770.0, 1633.0)));
    }

    #[test]
    fn samples_have_the_level_and_the_frequencies() {
        for digit in Digit::all() {
            for rate in [8000, 48_000] {
                let samples: Vec<i16> = samples(digit, -7.0, 100, rate).collect();
                assert_eq!(samples.len(), rate as usize / 10);
                let middle = &samples[rate as usize / 100..rate as usize * 9 / 100];
                assert!((rms_dbfs(middle) + 7.0 + DBM0_BELOW_FULL_SCALE_DB).abs() < 0.3, "{digit}");
                let (row, column) = digit.frequencies_hz();
                for hz in [row, column] {
                    let level = tone_dbfs(middle, rate, hz);
                    assert!(
                        (level + 10.01 + DBM0_BELOW_FULL_SCALE_DB).abs() < 0.3,
                        "{digit}: {hz} Hz has {level} dBFS"
                    );
                }
            }
        }
    }

    #[test]
    fn a_tone_in_pieces_is_the_same_tone() {
        let digit = Digit::from_char('7').expect("a key");
        let whole: Vec<i16> = samples(digit, -9.0, 100, 8000).collect();
        let mut tone = Tone::new(digit, -9.0, 8000);
        let pieces: Vec<i16> = [1, 0, 319, 464].into_iter().flat_map(|len| tone.samples(len)).collect();
        assert_eq!(pieces, whole[..784]);
        let faded: Vec<i16> = tone.release().collect();
        assert_eq!(faded, whole[784..]);
        assert_eq!(tone.release().count(), 0, "it is up");
        assert_eq!(tone.samples(3).collect::<Vec<_>>(), whole[..3]);
    }

    #[test]
    fn extremes_are_borne() {
        let digit = Digit::from_event(0).expect("an event");
        assert_eq!(samples(digit, 0.0, 0, 8000).count() + samples(digit, 0.0, 10, 0).count(), 0);
        assert_eq!(samples(digit, 1e9, 1, 8000).count(), 8);
        let mut silent = Tone::new(digit, 0.0, 0);
        assert_eq!((silent.samples(5).count(), silent.release().count()), (5, 0));
    }
}
