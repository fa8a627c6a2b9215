//! What is seen of 20 ms of audio: level, spectral peaks, and whether there are any.

use core::f64::consts::TAU;

use crate::analysis::SILENCE_DBFS;
use crate::analysis::fft::Fft;

/// Samples of a frame, 20 ms: as often as this everything is looked at.
pub(super) const FRAME_LEN: usize = 160;
/// The same in milliseconds.
pub(super) const FRAME_MS: u64 = 20;
/// Samples that a spectrum is taken of, 64 ms: long enough to tell the harmonics of a low voice (80 Hz), short enough for
/// a beep of 100 ms.
const WINDOW_LEN: usize = 512;
/// Frames that a window reaches back into.
pub(super) const WINDOW_FRAMES: usize = WINDOW_LEN.div_ceil(FRAME_LEN);
/// Hz from one line of the spectrum to the next.
const LINE_HZ: f64 = 8000.0 / WINDOW_LEN as f64;
/// The lines that are looked at, 200 to 3500 Hz: what a telephone channel carries (300 to 3400 Hz, ITU-T G.712), without
/// the hum of the mains.
const LINES: core::ops::Range<usize> = 13..224;
/// A sine fills its own line and this many to each side: the main lobe of a Hann window.
const LOBE: usize = 3;
/// Lines of a band within which peaks are compared with what lies between them: 250 Hz has two harmonics of most voices,
/// and is narrow enough for noise to be even in it, whatever its colour.
const BAND: usize = 16;

/// A sine, or what looks most like one.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Peak {
    /// Its frequency, to about 2 Hz where it stands alone.
    pub(super) hz: f32,
    /// Its part of all the power between 200 and 3500 Hz.
    pub(super) share: f32,
}

/// What was seen of 20 ms and, in the spectrum, of the 44 ms before them.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Frame {
    /// Counted from 0.
    pub(super) number: u64,
    /// RMS of the 20 ms in dBFS, without any constant part.
    pub(super) level_dbfs: f32,
    /// All samples are the same: digital silence, as of a lost packet.
    pub(super) blank: bool,
    /// The strongest peak of the spectrum, and the strongest but for that.
    pub(super) peaks: [Peak; 2],
    /// How far peaks stand out of what lies beside them, in dB: about 2.5 for noise of any colour, more than 5 for a voice.
    pub(super) peakiness_db: f32,
}

impl Frame {
    /// The part of the power that two sines have.
    pub(super) fn purity(&self) -> f32 {
        self.peaks[0].share + self.peaks[1].share
    }

    /// When it began, in milliseconds since the first sample.
    pub(super) const fn start_ms(&self) -> u64 {
        self.number * FRAME_MS
    }
}

/// Cuts a stream into frames.
#[derive(Clone, Debug)]
pub(super) struct Framer {
    fft: Fft,
    window: Vec<f32>,
    /// cos and sin of the lines' part of half a turn, with which the halves of a transform are put together.
    turns: Vec<(f64, f64)>,
    /// The last [`WINDOW_LEN`] samples, oldest first; new ones go to the end once a frame of them is there.
    heard: Vec<i16>,
    /// Samples of the frame so far, at the end of `heard`.
    filled: usize,
    frames: u64,
    /// Scratch: pairs of samples as complex numbers, and the power of each line.
    numbers: Vec<(f64, f64)>,
    power: Vec<f64>,
}

impl Framer {
    pub(super) fn new() -> Self {
        let window = |n: usize| (0.5 - 0.5 * (TAU * (n as f64 + 0.5) / WINDOW_LEN as f64).cos()) as f32;
        let turn = |line: usize| {
            let (sin, cos) = (-TAU * line as f64 / WINDOW_LEN as f64).sin_cos();
            (cos, sin)
        };
        Self {
            fft: Fft::new(WINDOW_LEN / 2),
            turns: (0..=LINES.end + LOBE).map(turn).collect(),
            window: (0..WINDOW_LEN).map(window).collect(),
            heard: vec![0; WINDOW_LEN],
            filled: 0,
            frames: 0,
            numbers: vec![(0.0, 0.0); WINDOW_LEN / 2],
            power: vec![0.0; LINES.end + LOBE + 1],
        }
    }

    /// As new.
    pub(super) fn reset(&mut self) {
        self.heard.fill(0);
        (self.filled, self.frames) = (0, 0);
    }

    /// Takes samples up to the end of a frame; returns the rest, and the frame if it is whole.
    pub(super) fn take<'a>(&mut self, samples: &'a [i16]) -> (&'a [i16], Option<Frame>) {
        if self.filled == 0 {
            self.heard.copy_within(FRAME_LEN.., 0);
        }
        let (now, rest) = samples.split_at(samples.len().min(FRAME_LEN - self.filled));
        let at = WINDOW_LEN - FRAME_LEN + self.filled;
        self.heard[at..at + now.len()].copy_from_slice(now);
        self.filled += now.len();
        if self.filled < FRAME_LEN {
            return (rest, None);
        }
        self.filled = 0;
        let frame = self.look();
        self.frames += 1;
        (rest, Some(frame))
    }

    fn look(&mut self) -> Frame {
        let newest = &self.heard[WINDOW_LEN - FRAME_LEN..];
        let blank = newest.iter().all(|&sample| sample == newest[0]);
        let level_dbfs = level(newest);
        let frame = Frame { number: self.frames, level_dbfs, blank, ..Frame::default() };
        if self.heard.iter().all(|&sample| sample == self.heard[0]) {
            return frame;
        }
        self.transform();
        let total: f64 = self.power[LINES].iter().sum();
        if total <= 0.0 {
            return frame;
        }
        let first = self.strongest(None);
        let second = self.strongest(Some(first));
        Frame {
            peaks: [self.peak(first, None, total), self.peak(second, Some(first), total)],
            peakiness_db: self.peakiness_db(total),
            ..frame
        }
    }

    /// The power of each line of the last [`WINDOW_LEN`] samples: as a transform of half as many complex numbers, whose
    /// halves are then taken apart.
    fn transform(&mut self) {
        let pairs = self.heard.as_chunks::<2>().0.iter().zip(self.window.as_chunks::<2>().0);
        for (number, (samples, window)) in self.numbers.iter_mut().zip(pairs) {
            let sample = |at: usize| f64::from(f32::from(samples[at]) * window[at]);
            *number = (sample(0), sample(1));
        }
        self.fft.transform(&mut self.numbers);
        let half = WINDOW_LEN / 2;
        for line in LINES.start - LOBE - 1..self.power.len() {
            let (a, b) = (self.numbers[line], self.numbers[half - line]);
            let (even, odd) = (((a.0 + b.0) / 2.0, (a.1 - b.1) / 2.0), ((a.1 + b.1) / 2.0, (b.0 - a.0) / 2.0));
            let (cos, sin) = self.turns[line];
            let (re, im) = (even.0 + odd.0 * cos - odd.1 * sin, even.1 + odd.0 * sin + odd.1 * cos);
            self.power[line] = re * re + im * im;
        }
    }

    /// The strongest line that is not within the lobe of `but`. What lies just outside of the lines that are looked at is no
    /// peak at their edge.
    fn strongest(&self, but: Option<usize>) -> usize {
        let (first, last) = (LINES.start, LINES.end - 1);
        let is_slope = |line: usize| {
            line == first && self.power[first - 1] > self.power[first]
                || line == last && self.power[last + 1] > self.power[last]
        };
        let lines = LINES.filter(|&line| but.is_none_or(|but| line.abs_diff(but) > LOBE) && !is_slope(line));
        lines.max_by(|&a, &b| self.power[a].total_cmp(&self.power[b])).unwrap_or(first)
    }

    fn peak(&self, line: usize, but: Option<usize>, total: f64) -> Peak {
        let lobe = (line - LOBE..=line + LOBE)
            .filter(|line| LINES.contains(line) && but.is_none_or(|but| line.abs_diff(but) > LOBE));
        let share = lobe.map(|line| self.power[line]).sum::<f64>() / total;
        // A parabola through the logarithms of a Hann window's lobe has its top where the sine is, within 0.1 line.
        let ln = |line: usize| self.power[line].max(1e-9).ln();
        let (before, at, after) = (ln(line - 1), ln(line), ln(line + 1));
        let bend = before - 2.0 * at + after;
        let off = if bend < 0.0 { ((before - after) / (2.0 * bend)).clamp(-0.5, 0.5) } else { 0.0 };
        Peak { hz: ((line as f64 + off) * LINE_HZ) as f32, share: share as f32 }
    }

    /// Arithmetic over geometric mean of the lines of each band, the bands weighted by their power.
    fn peakiness_db(&self, total: f64) -> f32 {
        let mut sum_db = 0.0;
        for band in self.power[LINES].chunks_exact(BAND) {
            let power: f64 = band.iter().sum();
            if power > 0.0 {
                let mean = power / BAND as f64;
                let product: f64 = band.iter().map(|&line| (line / mean).max(1e-12)).product();
                sum_db -= 10.0 / BAND as f64 * product.log10() * power / total;
            }
        }
        sum_db as f32
    }
}

/// RMS in dBFS about the mean: a constant is no sound, and A-law has no zero.
fn level(samples: &[i16]) -> f32 {
    let len = samples.len() as f64;
    let (mut sum, mut squares) = (0_i64, 0_i64);
    for &sample in samples {
        sum += i64::from(sample);
        squares += i64::from(sample) * i64::from(sample);
    }
    let mean = sum as f64 / len;
    let power = squares as f64 / len - mean * mean;
    (10.0 * (power / (32768.0 * 32768.0)).log10()).max(SILENCE_DBFS) as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tone::sine;

    fn frames(samples: &[i16]) -> Vec<Frame> {
        let mut framer = Framer::new();
        let mut frames = Vec::new();
        let mut rest = samples;
        while !rest.is_empty() {
            let frame;
            (rest, frame) = framer.take(rest);
            frames.extend(frame);
        }
        frames
    }

    #[test]
    fn a_sine_is_one_peak_where_it_is() {
        for hz in [215.0, 425.0, 1100.0, 2100.0, 3400.0] {
            let frames = frames(&sine(hz, -20.0, 200, 8000).samples);
            assert_eq!(frames.len(), 10);
            for frame in &frames[4..] {
                let [first, second] = frame.peaks;
                assert!((f64::from(first.hz) - hz).abs() < 2.0, "{hz}: {frame:?}");
                assert!(first.share > 0.98 && second.share < 0.01, "{hz}: {frame:?}");
                assert!((frame.level_dbfs + 20.0).abs() < 0.3, "{hz}: {frame:?}");
            }
        }
    }

    #[test]
    fn two_sines_are_two_peaks() {
        let both: Vec<i16> = sine(480.0, -20.0, 200, 8000)
            .samples
            .iter()
            .zip(&sine(620.0, -20.0, 200, 8000).samples)
            .map(|(a, b)| a / 2 + b / 2)
            .collect();
        for frame in &frames(&both)[4..] {
            let mut peaks = frame.peaks;
            peaks.sort_by(|a, b| a.hz.total_cmp(&b.hz));
            assert!((peaks[0].hz - 480.0).abs() < 3.0 && (peaks[1].hz - 620.0).abs() < 3.0, "{frame:?}");
            assert!(frame.purity() > 0.98 && peaks[1].share > 0.4, "{frame:?}");
        }
    }

    #[test]
    fn noise_has_no_peaks_and_pulses_have() {
        // Congruential (Numerical Recipes), high bits.
        let mut state = 9_u32;
        let noise: Vec<i16> = (0..32_000)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                ((state >> 16) as i16) / 16
            })
            .collect();
        let of_noise = frames(&noise);
        let mean = of_noise.iter().map(|frame| frame.peakiness_db).sum::<f32>() / of_noise.len() as f32;
        assert!((2.0..3.5).contains(&mean), "{mean}");
        // A voice's source: 110 pulses a second.
        let pulses: Vec<i16> = (0..8000).map(|n| if n % 73 == 0 { 20_000 } else { 0 }).collect();
        for frame in &frames(&pulses)[4..] {
            assert!(frame.peakiness_db > 5.0 && frame.purity() < 0.5, "{frame:?}");
        }
    }

    #[test]
    fn a_constant_is_blank_and_silent() {
        for sample in [0, 8, i16::MIN, i16::MAX] {
            for frame in frames(&[sample; 2000]).iter().skip(4) {
                assert!(frame.blank, "{frame:?}");
                assert_eq!(frame.level_dbfs, SILENCE_DBFS as f32);
                assert_eq!(frame.peaks, [Peak::default(); 2]);
            }
        }
    }
}
