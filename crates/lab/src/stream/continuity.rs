//! Loss, reordering and duplicates by sequence numbers.

use patchcord_rtp::SequenceNumber;

/// What a run of sequence numbers in order of arrival says about the way here.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Continuity {
    pub(crate) lost: u64,
    pub(crate) reordered: u64,
    pub(crate) duplicates: u64,
}

impl Continuity {
    /// Extends the numbers around the highest so far and counts what is missing, late and double.
    pub(crate) fn of(sequences: impl IntoIterator<Item = SequenceNumber>) -> Self {
        let mut sequences = sequences.into_iter();
        let Some(first) = sequences.next() else { return Self::default() };
        // All arithmetic is relative to the first number, which stands for 0.
        let mut highest = (0_i64, first);
        let mut seen = vec![0_i64];
        let mut reordered = 0;
        for sequence in sequences {
            let extended = highest.0 + i64::from(sequence.distance_from(highest.1));
            if extended > highest.0 {
                highest = (extended, sequence);
            } else {
                reordered += 1;
            }
            seen.push(extended);
        }
        let arrived = seen.len() as u64;
        seen.sort_unstable();
        let lowest = seen[0];
        seen.dedup();
        let distinct = seen.len() as u64;
        let duplicates = arrived - distinct;
        Self {
            lost: highest.0.abs_diff(lowest) + 1 - distinct,
            // A second copy is a duplicate, not a packet out of order.
            reordered: reordered - duplicates.min(reordered),
            duplicates,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn continuity(sequences: &[u16]) -> (u64, u64, u64) {
        let Continuity { lost, reordered, duplicates } = Continuity::of(sequences.iter().map(|&s| SequenceNumber(s)));
        (lost, reordered, duplicates)
    }

    #[test]
    fn continuity_counts_loss_reordering_and_duplicates() {
        assert_eq!(continuity(&[]), (0, 0, 0));
        assert_eq!(continuity(&[65534, 65535, 0, 1]), (0, 0, 0));
        assert_eq!(continuity(&[1, 2, 5]), (2, 0, 0));
        assert_eq!(continuity(&[1, 3, 2, 4]), (0, 1, 0));
        assert_eq!(continuity(&[1, 2, 2, 3]), (0, 0, 1));
        // The one before the first is late, not lost.
        assert_eq!(continuity(&[1, 0, 2]), (0, 1, 0));
    }
}
