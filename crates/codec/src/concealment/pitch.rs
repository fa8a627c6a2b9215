//! The pitch of a voice: the shift at which its end is most like what came before.

/// Pitch periods that are looked for, in samples at 8000 Hz: 200 to 66 Hz (Appendix I). A higher voice is found at
/// a multiple of its period, which does as well.
const SHORTEST: usize = 40;
const LONGEST: usize = 120;
/// What is compared, in samples at 8000 Hz: 20 ms.
const COMPARED: usize = 160;
const RATE: usize = 8000;

/// The longest period, in samples.
pub(super) fn longest(sample_rate: usize) -> usize {
    scaled(LONGEST, sample_rate).max(4)
}

/// The period at the end of `history`, in samples, from a 200th of a second to [`longest`].
pub(super) fn estimate(history: &[i16], sample_rate: usize) -> usize {
    let longest = longest(sample_rate);
    let shortest = scaled(SHORTEST, sample_rate).clamp(2, longest);
    // At high rates every so many samples and shifts are looked at first, and then all shifts around the best.
    let coarse = (sample_rate / RATE).max(1);
    let compared = scaled(COMPARED, sample_rate).min(history.len().saturating_sub(longest));
    let best = best(history, compared, coarse, (shortest..=longest).step_by(coarse)).unwrap_or(longest);
    if coarse == 1 {
        return best;
    }
    let around = best.saturating_sub(coarse).max(shortest)..=(best + coarse).min(longest);
    self::best(history, compared, coarse, around).unwrap_or(best)
}

fn scaled(samples: usize, sample_rate: usize) -> usize {
    samples * sample_rate / RATE
}

/// The shift of the largest normalised correlation; of equal ones the first.
fn best(history: &[i16], compared: usize, stride: usize, shifts: impl Iterator<Item = usize>) -> Option<usize> {
    let end = history.len();
    let mut best: Option<(usize, f32)> = None;
    for shift in shifts {
        let now = history[end - compared..].iter().step_by(stride);
        let earlier = history[end - compared - shift..].iter().step_by(stride);
        let (mut product, mut energy) = (0.0_f32, 1.0_f32);
        for (&now, &earlier) in now.zip(earlier) {
            product += f32::from(now) * f32::from(earlier);
            energy += f32::from(earlier) * f32::from(earlier);
        }
        let correlation = product / energy.sqrt();
        if best.is_none_or(|(_, so_far)| correlation > so_far) {
            best = Some((shift, correlation));
        }
    }
    best.map(|(shift, _)| shift)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_period_of_pulses_is_found() {
        for (sample_rate, period) in [(8000, 45), (8000, 100), (16_000, 211), (48_000, 431), (44_100, 300)] {
            let history: Vec<i16> = (0..sample_rate / 10).map(|n| 20_000 - (n % period * 40) as i16).collect();
            let found = estimate(&history, sample_rate);
            assert!(found.abs_diff(period) <= 1, "{found} for {period} at {sample_rate}");
        }
    }
}
