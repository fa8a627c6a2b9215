//! Comfort noise (RFC 3389): what silence sounds like, in a few bytes, for codecs that have no such thing of their own.
//!
//! A payload has the level of the noise and the reflection coefficients of a model of its spectrum. As long as the sender
//! is silent the receiver makes noise of that kind by itself.

/// Coefficients that are used; more of them are left out, as RFC 3389 3.2 allows. Encoders have 10 or 12 at most.
pub const ORDER_MAX: usize = 12;
/// The softest level, in -dBov.
const SOFTEST: u8 = 127;
/// The index of a coefficient of zero (RFC 3389 3.2).
const ZERO_INDEX: i32 = 127;
/// From one index to the next (RFC 3389 3.2: `k = 258 * (N - 127) / 32768`).
const STEP: f64 = 258.0 / 32768.0;

/// A kind of noise.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ComfortNoise {
    /// Level below that of the loudest signal, a square wave at full scale, in dB: 0 to 127.
    level: u8,
    /// Reflection coefficients, each between -1 and 1; those beyond the order are zero. They are those of a filter
    /// 1 / (1 + a1 z^-1 + ...): the first is negative for noise of low frequencies.
    coefficients: [f64; ORDER_MAX],
    order: usize,
}

/// The payload is no comfort noise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a payload of comfort noise has at least the level: this one is empty")]
pub struct EmptyPayload;

impl ComfortNoise {
    /// Noise of an even spectrum, of -`level` dBov.
    #[must_use]
    pub fn white(level: u8) -> Self {
        Self { level: level.min(SOFTEST), coefficients: [0.0; ORDER_MAX], order: 0 }
    }

    /// Reads a payload.
    ///
    /// # Errors
    /// It is empty.
    pub fn parse(payload: &[u8]) -> Result<Self, EmptyPayload> {
        let (&level, indices) = payload.split_first().ok_or(EmptyPayload)?;
        // RFC 3389 3.1: the first bit is always 0.
        let mut noise = Self::white(level & 0x7F);
        for (coefficient, &index) in noise.coefficients.iter_mut().zip(indices) {
            // 255 is reserved.
            *coefficient = f64::from(i32::from(index.min(254)) - ZERO_INDEX) * STEP;
            noise.order += 1;
        }
        Ok(noise)
    }

    /// Appends the payload.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.push(self.level);
        let index = |k: &f64| ((k / STEP).round() as i32 + ZERO_INDEX).clamp(0, 254) as u8;
        out.extend(self.coefficients[..self.order].iter().map(index));
    }

    /// The kind of noise that `samples` are, with `order` coefficients, [`ORDER_MAX`] at most. 20 ms are too few to tell
    /// noise from chance; 80 are enough.
    #[must_use]
    pub fn of(samples: &[i16], order: usize) -> Self {
        let dbov = crate::analysis::rms_dbfs(samples);
        let mut noise = Self::white((-dbov).round().clamp(0.0, f64::from(SOFTEST)) as u8);
        noise.order = order.min(ORDER_MAX);
        let mut correlation = [0.0; ORDER_MAX + 1];
        for (lag, sum) in correlation.iter_mut().enumerate().take(noise.order + 1) {
            let later = samples.get(lag..).unwrap_or_default();
            *sum = samples.iter().zip(later).map(|(&x, &y)| f64::from(x) * f64::from(y)).sum();
        }
        // A little white noise keeps the model away from its edge.
        correlation[0] = correlation[0] * 1.0001 + 1.0;
        noise.coefficients = reflection_coefficients(&correlation, noise.order);
        noise
    }

    /// The level in -dBov: how many dB the noise is softer than a square wave at full scale.
    #[must_use]
    pub const fn level(&self) -> u8 {
        self.level
    }

    /// The reflection coefficients.
    #[must_use]
    pub fn coefficients(&self) -> &[f64] {
        &self.coefficients[..self.order]
    }

    /// What white noise has to be multiplied with so that the filter gives the level.
    fn gain(&self) -> f64 {
        let power: f64 = self.coefficients.iter().map(|k| 1.0 - k * k).product();
        32768.0 * 10_f64.powf(-f64::from(self.level) / 20.0) * power.sqrt()
    }
}

/// Levinson's and Durbin's recursion.
fn reflection_coefficients(correlation: &[f64; ORDER_MAX + 1], order: usize) -> [f64; ORDER_MAX] {
    let mut reflection = [0.0; ORDER_MAX];
    let mut filter = [0.0; ORDER_MAX + 1];
    filter[0] = 1.0;
    let mut error = correlation[0];
    for n in 1..=order {
        let sum: f64 = (0..n).map(|i| filter[i] * correlation[n - i]).sum();
        let k = (-sum / error).clamp(-1.0 + STEP, 1.0 - STEP);
        let before = filter;
        for i in 1..=n {
            filter[i] = before[i] + k * before[n - i];
        }
        error *= 1.0 - k * k;
        reflection[n - 1] = k;
    }
    reflection
}

/// Makes noise of the kind that was last asked for. The same seed makes the same noise.
#[derive(Clone, Debug)]
pub struct NoiseGenerator {
    random: u64,
    noise: ComfortNoise,
    /// Where the gain is on its way to that of the noise.
    gain: f64,
    /// The backward signals of the lattice filter.
    backward: [f64; ORDER_MAX + 1],
}

/// How much of the way to a new level is gone with each sample: 1 / e is left after 4 ms at 8000 Hz.
const GLIDE: f64 = 1.0 / 32.0;

impl NoiseGenerator {
    /// Silent until [`Self::update`].
    #[must_use]
    pub fn new(seed: u64) -> Self {
        // The generator must not start at zero.
        let random = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        Self { random, noise: ComfortNoise::white(SOFTEST), gain: 0.0, backward: [0.0; ORDER_MAX + 1] }
    }

    /// From here on the noise is of another kind; its level glides there.
    pub fn update(&mut self, noise: &ComfortNoise) {
        self.noise = *noise;
    }

    /// Appends `samples` of noise.
    pub fn generate(&mut self, samples: usize, out: &mut Vec<i16>) {
        let gain = self.noise.gain();
        for _ in 0..samples {
            self.gain += (gain - self.gain) * GLIDE;
            let mut forward = self.gain * self.gaussian();
            for n in (1..=self.noise.order).rev() {
                let k = self.noise.coefficients[n - 1];
                forward -= k * self.backward[n - 1];
                self.backward[n] = k * forward + self.backward[n - 1];
            }
            self.backward[0] = forward;
            // A cast from a float saturates.
            out.push(forward.round() as i16);
        }
    }

    /// Of variance 1: four evenly distributed numbers are as good for the ear.
    fn gaussian(&mut self) -> f64 {
        // Xorshift by Marsaglia.
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        let sum: f64 = (0..4).map(|part| f64::from((self.random >> (16 * part)) as u16) / 65_535.0 - 0.5).sum();
        sum * 3_f64.sqrt()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::{rms_dbfs, tone_dbfs};

    fn made(noise: &ComfortNoise, samples: usize) -> Vec<i16> {
        let mut generator = NoiseGenerator::new(7);
        let mut out = Vec::new();
        generator.update(noise);
        generator.generate(2000, &mut out);
        out.clear();
        generator.generate(samples, &mut out);
        out
    }

    #[test]
    fn payloads_are_read_and_written() {
        for payload in [&[0_u8][..], &[127], &[60, 127, 0, 254], &[30, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]] {
            let noise = ComfortNoise::parse(payload).expect("a payload");
            let mut written = Vec::new();
            noise.write(&mut written);
            assert_eq!(written, payload);
        }
        assert_eq!(ComfortNoise::parse(&[]), Err(EmptyPayload));
        let noise = ComfortNoise::parse(&[0x80 | 50, 255]).expect("reserved values are borne");
        assert_eq!((noise.level(), noise.coefficients()), (50, &[127.0 * STEP][..]));
        assert_eq!(ComfortNoise::parse(&[50; 40]).map(|noise| noise.coefficients().len()), Ok(ORDER_MAX));
    }

    #[test]
    fn noise_has_the_level_it_says() {
        for level in [20, 40, 60] {
            for indices in [&[][..], &[30], &[220, 100, 140], &[10, 200, 90, 127, 160, 110, 127, 127, 130, 120]] {
                let payload = [&[level], indices].concat();
                let noise = ComfortNoise::parse(&payload).expect("a payload");
                let off = rms_dbfs(&made(&noise, 80_000)) + f64::from(level);
                assert!(off.abs() < 0.5, "{payload:?}: {off} dB off");
            }
        }
    }

    #[test]
    fn noise_that_is_measured_and_made_again_is_of_the_same_kind() {
        let original = ComfortNoise::parse(&[35, 20, 180, 110, 150]).expect("a payload");
        let samples = made(&original, 80_000);
        let mut payload = Vec::new();
        ComfortNoise::of(&samples, 10).write(&mut payload);
        let again = ComfortNoise::parse(&payload).expect("a payload");
        assert_eq!(again.level(), original.level());
        for (measured, k) in again.coefficients().iter().zip([original.coefficients(), &[0.0; 6]].concat()) {
            assert!((measured - k).abs() < 0.03, "{:?}", again.coefficients());
        }
    }

    #[test]
    fn the_first_coefficient_is_negative_for_low_noise() {
        let samples = made(&ComfortNoise::parse(&[30, 20]).expect("a payload"), 80_000);
        let band = |hz: f64| samples.chunks(160).map(|part| tone_dbfs(part, 8000, hz)).sum::<f64>() / 500.0;
        assert!(band(300.0) > band(3000.0) + 15.0);
    }

    #[test]
    fn the_same_seed_makes_the_same_noise_and_another_another() {
        let mut generators = [1, 1, 2, 0].map(NoiseGenerator::new);
        let [one, same, other, zero] = generators.each_mut().map(|generator| {
            let mut out = Vec::new();
            generator.update(&ComfortNoise::white(30));
            generator.generate(500, &mut out);
            out
        });
        assert_eq!(one, same);
        assert!(one != other && zero != one && rms_dbfs(&zero) > -40.0);
    }

    #[test]
    fn extremes_stay_bounded() {
        for payload in [[0; 13], [255; 13], [0, 254, 0, 254, 0, 254, 0, 254, 0, 254, 0, 254, 0]] {
            let noise = ComfortNoise::parse(&payload).expect("a payload");
            assert_eq!(made(&noise, 20_000).len(), 20_000);
        }
        for samples in [&[][..], &[0; 100], &[i16::MIN; 1000]] {
            let noise = ComfortNoise::of(samples, 100);
            assert!(noise.coefficients().iter().all(|k| k.abs() < 1.0), "{noise:?}");
        }
    }
}
