//! Eight filters, one at each frequency, that look at the last 20 ms every 5 ms.
//!
//! Each is the sum that Goertzel's algorithm computes, with its phase: how fast the phase turns from window to window
//! tells by how much a tone is off its frequency, far more finely than 20 ms could resolve.

use core::f64::consts::TAU;
use core::ops::Mul;

use super::{COLUMNS_HZ, ROWS_HZ};

/// Frequencies of both groups.
pub(super) const FILTERS: usize = 8;
/// Blocks of 5 ms in a window.
pub(super) const BLOCKS: usize = 4;

/// A complex number.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Complex {
    pub(super) re: f64,
    pub(super) im: f64,
}

impl Complex {
    fn turned(angle: f64) -> Self {
        let (im, re) = angle.sin_cos();
        Self { re, im }
    }

    pub(super) fn conjugate(self) -> Self {
        Self { im: -self.im, ..self }
    }

    pub(super) fn squared(self) -> f64 {
        self.re * self.re + self.im * self.im
    }

    pub(super) fn angle(self) -> f64 {
        self.im.atan2(self.re)
    }

    pub(super) fn plus(self, other: Self) -> Self {
        Self { re: self.re + other.re, im: self.im + other.im }
    }
}

impl Mul for Complex {
    type Output = Self;

    fn mul(self, other: Self) -> Self {
        Self { re: self.re * other.re - self.im * other.im, im: self.re * other.im + self.im * other.re }
    }
}

/// What the filters have seen in one block or window.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sums {
    /// Of each filter.
    pub(super) tones: [Complex; FILTERS],
    /// The sum of all squares.
    pub(super) energy: f64,
}

#[derive(Clone, Debug)]
pub(super) struct Bank {
    /// Samples in a block.
    block_len: usize,
    /// For each sample of a block, the unit vector of each filter.
    vectors: Vec<[(f32, f32); FILTERS]>,
    /// Where each filter's vector is at the beginning of the block, and how far it turns in one.
    phases: [Complex; FILTERS],
    turns: [Complex; FILTERS],
    /// The block so far, and how many samples it has.
    sums: [(f32, f32); FILTERS],
    energy: f32,
    seen: usize,
    /// The last blocks, oldest first.
    blocks: [Sums; BLOCKS],
}

impl Bank {
    pub(super) fn new(sample_rate: u32) -> Self {
        let rate = f64::from(sample_rate);
        let block_len = (rate / 200.0).round() as usize;
        let frequencies = [ROWS_HZ, COLUMNS_HZ].concat();
        let angle = |filter: usize, samples: usize| -TAU * frequencies[filter] / rate * samples as f64;
        let vectors = (0..block_len)
            .map(|n| {
                core::array::from_fn(|filter| {
                    let vector = Complex::turned(angle(filter, n));
                    (vector.re as f32, vector.im as f32)
                })
            })
            .collect();
        Self {
            block_len,
            vectors,
            phases: [Complex { re: 1.0, im: 0.0 }; FILTERS],
            turns: core::array::from_fn(|filter| Complex::turned(angle(filter, block_len))),
            sums: [(0.0, 0.0); FILTERS],
            energy: 0.0,
            seen: 0,
            blocks: [Sums::default(); BLOCKS],
        }
    }

    pub(super) const fn block_len(&self) -> usize {
        self.block_len
    }

    /// Samples of the block that is not whole yet.
    pub(super) const fn seen(&self) -> usize {
        self.seen
    }

    /// Forgets what it was given.
    pub(super) fn cut(&mut self) {
        self.blocks = [Sums::default(); BLOCKS];
        (self.sums, self.energy, self.seen) = ([(0.0, 0.0); FILTERS], 0.0, 0);
    }

    /// Takes one sample; at the end of a block, true.
    pub(super) fn take(&mut self, sample: i16) -> bool {
        let x = f32::from(sample);
        for ((re, im), (vector_re, vector_im)) in self.sums.iter_mut().zip(&self.vectors[self.seen]) {
            *re += x * vector_re;
            *im += x * vector_im;
        }
        self.energy += x * x;
        self.seen += 1;
        if self.seen < self.block_len {
            return false;
        }
        let mut block = Sums { energy: f64::from(self.energy), ..Sums::default() };
        for (filter, (re, im)) in self.sums.into_iter().enumerate() {
            let phase = &mut self.phases[filter];
            block.tones[filter] = Complex { re: re.into(), im: im.into() } * *phase;
            *phase = *phase * self.turns[filter];
            // Rounding must not make it longer or shorter in days of calls.
            let length = phase.squared().sqrt();
            *phase = Complex { re: phase.re / length, im: phase.im / length };
        }
        (self.sums, self.energy, self.seen) = ([(0.0, 0.0); FILTERS], 0.0, 0);
        self.blocks.rotate_left(1);
        self.blocks[BLOCKS - 1] = block;
        true
    }

    /// The energy of the last block.
    pub(super) const fn last_energy(&self) -> f64 {
        self.blocks[BLOCKS - 1].energy
    }

    /// The last 20 ms.
    pub(super) fn window(&self) -> Sums {
        let mut window = Sums::default();
        for block in &self.blocks {
            window.energy += block.energy;
            for (sum, tone) in window.tones.iter_mut().zip(block.tones) {
                *sum = sum.plus(tone);
            }
        }
        window
    }
}
