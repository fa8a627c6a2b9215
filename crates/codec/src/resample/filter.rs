//! The low-pass filter, in rows of weights.

use core::f64::consts::PI;

use super::ResampleError;

/// How good a filter is, and how long.
pub(super) struct Design {
    /// Zero crossings of the sinc on either side, counted at the smaller rate.
    zero_crossings: f64,
    /// Shape of the Kaiser window, which sets the rejection.
    beta: f64,
    /// The middle of the filter's edge, as a part of the smaller rate.
    cutoff: f64,
}

/// For whole pieces of audio: about 80 dB of rejection, and an edge of 0.08 of the smaller rate: at 8000 Hz from 3400 to
/// 4000, with its middle at 3700, the end of the telephone band.
pub(super) const WHOLE: Design = Design { zero_crossings: 32.0, beta: 7.86, cutoff: 0.4625 };
/// For streams: about 65 dB of rejection, an edge as steep, and a quarter less of delay and work.
pub(super) const LIVE: Design = Design { zero_crossings: 24.0, beta: 6.2, cutoff: 0.457 };

/// Sums that are kept side by side, so that the compiler adds several products at once: the order of a float's sum is
/// fixed, and one sum would be one addition after the other.
const LANES: usize = 8;

#[derive(Clone, Debug)]
pub(super) struct Filter {
    /// Different places between two input samples.
    rows: usize,
    /// How far one output sample is from the next, in such places.
    rows_per_output: usize,
    /// Input samples on either side that matter.
    reach: usize,
    /// `rows` rows of `2 * reach` weights.
    weights: Vec<f32>,
}

impl Filter {
    pub(super) fn new(from: u32, to: u32, design: &Design) -> Result<Self, ResampleError> {
        ResampleError::check(from, to)?;
        let common = gcd(from, to);
        let rows = (to / common) as usize;
        // In units of the input's sample period.
        let cutoff = design.cutoff * f64::from(from.min(to)) / f64::from(from);
        let half_width = design.zero_crossings * f64::from(from) / f64::from(from.min(to));
        let reach = half_width.ceil() as usize;
        let mut weights = Vec::with_capacity(rows * 2 * reach);
        for row in 0..rows {
            let place = row as f64 / rows as f64;
            let at = weights.len();
            weights.extend((0..2 * reach).map(|tap| {
                let distance = tap as f64 - (reach as f64 - 1.0) - place;
                (2.0 * cutoff * sinc(2.0 * cutoff * distance) * kaiser(distance / half_width, design.beta)) as f32
            }));
            // Every row sums to one: a constant stays constant.
            let sum: f32 = weights[at..].iter().sum();
            weights[at..].iter_mut().for_each(|weight| *weight /= sum);
        }
        Ok(Self { rows, rows_per_output: (from / common) as usize, reach, weights })
    }

    /// Input samples on either side of an output that matter to it.
    pub(super) const fn reach(&self) -> usize {
        self.reach
    }

    /// The part of the input that an output needs, if it is there.
    pub(super) fn around<'a>(&self, input: &'a [f32]) -> Option<&'a [f32]> {
        input.get(..2 * self.reach)
    }

    /// The row of the output after one of `row`, and how many input samples later it begins.
    pub(super) const fn next(&self, row: usize) -> (usize, usize) {
        let place = row + self.rows_per_output;
        (place % self.rows, place / self.rows)
    }

    pub(super) fn apply(&self, row: usize, around: &[f32]) -> i16 {
        let taps = 2 * self.reach;
        let (weights, last_weights) = self.weights[row * taps..][..taps].as_chunks::<LANES>();
        let (around, last_around) = around.as_chunks::<LANES>();
        let mut sums = [0.0_f32; LANES];
        for (weights, around) in weights.iter().zip(around) {
            for ((sum, weight), x) in sums.iter_mut().zip(weights).zip(around) {
                *sum += weight * x;
            }
        }
        let rest: f32 = last_weights.iter().zip(last_around).map(|(weight, x)| weight * x).sum();
        // A cast from a float saturates.
        (sums.iter().sum::<f32>() + rest).round() as i16
    }
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

fn sinc(x: f64) -> f64 {
    if x.abs() < 1e-9 { 1.0 } else { (PI * x).sin() / (PI * x) }
}

/// The Kaiser window at `x` of -1 to 1.
fn kaiser(x: f64, beta: f64) -> f64 {
    if x.abs() >= 1.0 { 0.0 } else { bessel_i0(beta * (1.0 - x * x).sqrt()) / bessel_i0(beta) }
}

/// The modified Bessel function of order zero, by its power series.
fn bessel_i0(x: f64) -> f64 {
    let quarter = x * x / 4.0;
    let (mut term, mut sum, mut k) = (1.0, 1.0, 1.0);
    while term > sum * 1e-12 {
        term *= quarter / (k * k);
        sum += term;
        k += 1.0;
    }
    sum
}
