//! Where a segment lies in a reference, and in which of several.

use super::fft::Fft;
use super::level::rms_dbfs;
use super::{AUDIBLE_DBFS, FOUND_AT};

/// A part of a reference is passed over if its RMS value is below this: rounding noise would correlate with anything.
const REFERENCE_RMS_MIN: f64 = 10.0;
/// The smallest transform: smaller ones save nothing.
const FFT_LEN_MIN: usize = 1 << 12;

/// The best alignment of a segment in a reference.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Match {
    /// The sample of the reference at which the segment begins.
    pub offset: usize,
    /// Normalised correlation there, 1 for the same sound at any loudness, 0 for nothing in common.
    pub correlation: f64,
}

/// Which reference a segment was found in.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Identified<'a> {
    /// The reference's name.
    pub name: &'a str,
    /// See [`Match::correlation`]; at least [`FOUND_AT`].
    pub correlation: f64,
    /// See [`Match::offset`].
    pub offset: usize,
}

/// The best alignment of `segment` in `reference`, over all offsets at which it fits wholly. `None` if it fits nowhere,
/// or if one of the two is silent.
///
/// Both must have the same sample rate. What loops must be given as it is heard, [looped](crate::Audio::looped), since a
/// segment is not looked for across the end of a reference.
#[must_use]
pub fn find(segment: &[i16], reference: &[i16]) -> Option<Match> {
    if segment.is_empty() || segment.len() > reference.len() || rms_dbfs(segment) < AUDIBLE_DBFS {
        return None;
    }
    // Blocks of a few times the segment's length do the least work; each yields the offsets at which it fits.
    let fft_len = (4 * segment.len()).max(FFT_LEN_MIN).min(reference.len()).next_power_of_two();
    let fft = Fft::new(fft_len);
    let offsets_per_block = fft_len + 1 - segment.len();
    let offsets = reference.len() + 1 - segment.len();
    let segment_energy = energy(segment);
    let mut best: Option<Match> = None;
    for start in (0..offsets).step_by(offsets_per_block) {
        let block = &reference[start..reference.len().min(start + fft_len)];
        let products = products(&fft, fft_len, segment, block);
        let energies = sliding_energies(block, segment.len());
        for (at, (product, reference_energy)) in products.into_iter().zip(energies).enumerate() {
            let correlation = normalised(product, segment_energy, reference_energy, segment.len());
            if best.is_none_or(|best| correlation > best.correlation) {
                best = Some(Match { offset: start + at, correlation });
            }
        }
    }
    best.filter(|best| best.correlation > 0.0)
}

/// The reference in which `segment` correlates best, if it reaches [`FOUND_AT`] there.
#[must_use]
pub fn identify<'a>(segment: &[i16], references: &[(&'a str, &[i16])]) -> Option<Identified<'a>> {
    let mut best: Option<Identified<'a>> = None;
    for &(name, reference) in references {
        let Some(Match { offset, correlation }) = find(segment, reference) else { continue };
        if correlation >= FOUND_AT && best.is_none_or(|best| correlation > best.correlation) {
            best = Some(Identified { name, correlation, offset });
        }
    }
    best
}

/// Normalised correlation of two pieces as they lie, over the length of the shorter; 0 if one is silent.
#[must_use]
pub fn correlation(a: &[i16], b: &[i16]) -> f64 {
    let len = a.len().min(b.len());
    let (a, b) = (&a[..len], &b[..len]);
    if rms_dbfs(a) < AUDIBLE_DBFS {
        return 0.0;
    }
    let product: i64 = a.iter().zip(b).map(|(&x, &y)| i64::from(x) * i64::from(y)).sum();
    normalised(product as f64, energy(a), energy(b), len)
}

fn normalised(product: f64, energy_a: f64, energy_b: f64, len: usize) -> f64 {
    if energy_b < REFERENCE_RMS_MIN * REFERENCE_RMS_MIN * len as f64 {
        return 0.0;
    }
    product / (energy_a * energy_b).sqrt()
}

fn energy(samples: &[i16]) -> f64 {
    samples.iter().map(|&sample| i64::from(sample) * i64::from(sample)).sum::<i64>() as f64
}

/// The energy of every `len` samples in a row.
fn sliding_energies(samples: &[i16], len: usize) -> impl Iterator<Item = f64> {
    let squared = |index: usize| i64::from(samples[index]) * i64::from(samples[index]);
    let mut sum: i64 = (0..len - 1).map(squared).sum();
    (len - 1..samples.len()).map(move |end| {
        sum += squared(end);
        let energy = sum as f64;
        sum -= squared(end + 1 - len);
        energy
    })
}

/// The sum of products of `segment` with `block` at each offset at which it fits.
///
/// Both are transformed at once, one as the real and one as the imaginary part: the spectrum of a real signal is
/// symmetrical, so that they can be told apart afterwards. The longest sum ends at the block's end, thus nothing wraps.
fn products(fft: &Fft, fft_len: usize, segment: &[i16], block: &[i16]) -> Vec<f64> {
    let mut both = vec![(0.0, 0.0); fft_len];
    both.iter_mut().zip(block).for_each(|(both, &sample)| both.0 = f64::from(sample));
    both.iter_mut().zip(segment).for_each(|(both, &sample)| both.1 = f64::from(sample));
    fft.transform(&mut both);
    let mut spectrum: Vec<(f64, f64)> = (0..fft_len)
        .map(|k| {
            let (re, im) = both[k];
            let (mirror_re, mirror_im) = both[(fft_len - k) % fft_len];
            let block = ((re + mirror_re) / 2.0, (im - mirror_im) / 2.0);
            let segment = ((im + mirror_im) / 2.0, (mirror_re - re) / 2.0);
            // The block's times the conjugate of the segment's, and of that the conjugate: a second forward transform
            // then is the inverse one.
            (block.0 * segment.0 + block.1 * segment.1, block.0 * segment.1 - block.1 * segment.0)
        })
        .collect();
    fft.transform(&mut spectrum);
    let offsets = block.len() + 1 - segment.len();
    spectrum.into_iter().take(offsets).map(|(re, _)| re / fft_len as f64).collect()
}
