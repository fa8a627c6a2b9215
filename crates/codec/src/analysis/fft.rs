//! A Fourier transform of radix 2: enough to correlate minutes of audio in a moment.

use core::f64::consts::TAU;

/// The transform of a fixed length, with its factors computed once.
#[derive(Clone, Debug)]
pub(crate) struct Fft {
    len: usize,
    /// cos and sin of the multiples of -TAU / len, half a turn of them.
    factors: Vec<(f64, f64)>,
}

impl Fft {
    /// For `len` complex numbers; `len` is a power of two.
    pub(crate) fn new(len: usize) -> Self {
        assert!(len.is_power_of_two(), "the caller rounds up");
        let factors = (0..len / 2)
            .map(|k| {
                let (sin, cos) = (-TAU * k as f64 / len as f64).sin_cos();
                (cos, sin)
            })
            .collect();
        Self { len, factors }
    }

    /// Replaces `numbers`, (real, imaginary), by their transform.
    pub(crate) fn transform(&self, numbers: &mut [(f64, f64)]) {
        assert_eq!(numbers.len(), self.len, "the transform's length");
        reverse_bits(numbers);
        let mut half = 1;
        while half < self.len {
            let stride = self.len / (2 * half);
            for block in numbers.chunks_exact_mut(2 * half) {
                let (low, high) = block.split_at_mut(half);
                let factors = self.factors.iter().step_by(stride);
                for ((a, b), &(cos, sin)) in low.iter_mut().zip(high).zip(factors) {
                    let turned = (b.0 * cos - b.1 * sin, b.0 * sin + b.1 * cos);
                    *b = (a.0 - turned.0, a.1 - turned.1);
                    *a = (a.0 + turned.0, a.1 + turned.1);
                }
            }
            half *= 2;
        }
    }
}

fn reverse_bits(numbers: &mut [(f64, f64)]) {
    let len = numbers.len();
    if len < 2 {
        return;
    }
    let shift = usize::BITS - len.trailing_zeros();
    for index in 0..len {
        let reversed = index.reverse_bits() >> shift;
        if index < reversed {
            numbers.swap(index, reversed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_sum_that_defines_it() {
        for len in [1_usize, 2, 8, 64] {
            let input: Vec<(f64, f64)> = (0..len).map(|n| ((n * n % 7) as f64 - 3.0, (n % 5) as f64)).collect();
            let mut output = input.clone();
            Fft::new(len).transform(&mut output);
            for (k, &(re, im)) in output.iter().enumerate() {
                let (mut want_re, mut want_im) = (0.0, 0.0);
                for (n, &(x, y)) in input.iter().enumerate() {
                    let (sin, cos) = (-TAU * (k * n) as f64 / len as f64).sin_cos();
                    want_re += x * cos - y * sin;
                    want_im += x * sin + y * cos;
                }
                assert!((re - want_re).abs() < 1e-9 && (im - want_im).abs() < 1e-9, "len {len}, k {k}");
            }
        }
    }
}
