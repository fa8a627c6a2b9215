//! Packet indices (RFC 3711 3.3.1) and the replay window (3.3.2).

use patchcord_rtp::SequenceNumber;

/// Roll-over counter and sequence number as one number of 48 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PacketIndex(u64);

impl PacketIndex {
    /// The first number that is none (RFC 3711 9.2: at most 2^48 packets under one key).
    const END: u64 = 1 << 48;

    /// From both.
    #[must_use]
    pub const fn new(roc: u32, sequence: SequenceNumber) -> Self {
        Self((roc as u64) << 16 | sequence.0 as u64)
    }

    pub(crate) const fn from_number(number: u64) -> Self {
        Self(number)
    }

    /// How often the sequence number has begun anew.
    #[must_use]
    pub const fn roc(self) -> u32 {
        (self.0 >> 16) as u32
    }

    /// The sequence number.
    #[must_use]
    pub const fn sequence(self) -> SequenceNumber {
        SequenceNumber(self.0 as u16)
    }

    /// The number itself.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The index with this sequence number that is nearest (RFC 3711 3.3.1); `None` if that is before the first one or after
    /// the last.
    #[inline]
    pub(crate) const fn nearest(self, sequence: SequenceNumber) -> Option<Self> {
        let step = sequence.distance_from(self.sequence()) as i64;
        match self.0.checked_add_signed(step) {
            Some(index) if index < Self::END => Some(Self(index)),
            _ => None,
        }
    }
}

/// Which indices were seen: the newest, and those shortly before it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    newest: u64,
    /// Bit n: `newest - n` was seen.
    seen: u128,
}

/// What the window knows about an index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Known {
    /// It was not seen.
    New,
    /// It was.
    Seen,
    /// It is too old to tell.
    Forgotten,
}

impl Window {
    /// Indices that the window remembers; RFC 3711 3.3.2 wants 64 at least.
    pub(crate) const LEN: u64 = u128::BITS as u64;

    /// A window that has seen this one.
    pub(crate) const fn starting_with(index: u64) -> Self {
        Self { newest: index, seen: 1 }
    }

    pub(crate) const fn newest(&self) -> u64 {
        self.newest
    }

    #[inline]
    pub(crate) const fn look_up(&self, index: u64) -> Known {
        if index > self.newest {
            return Known::New;
        }
        match self.newest - index {
            age if age >= Self::LEN => Known::Forgotten,
            age if self.seen >> age & 1 == 1 => Known::Seen,
            _ => Known::New,
        }
    }

    /// Notes an index; forgotten ones are not.
    #[inline]
    pub(crate) const fn note(&mut self, index: u64) {
        if index > self.newest {
            let step = index - self.newest;
            self.seen = if step >= Self::LEN { 1 } else { self.seen << step | 1 };
            self.newest = index;
        } else if self.newest - index < Self::LEN {
            self.seen |= 1 << (self.newest - index);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    /// RFC 3711 appendix A, word for word.
    fn appendix_a(roc: u32, highest: u16, sequence: u16) -> i64 {
        let (roc, highest, sequence) = (i64::from(roc), i64::from(highest), i64::from(sequence));
        let guess = if highest < 32_768 {
            if sequence - highest > 32_768 { roc - 1 } else { roc }
        } else if highest - 32_768 > sequence {
            roc + 1
        } else {
            roc
        };
        (guess << 16) + sequence
    }

    proptest! {
        #[test]
        fn the_nearest_index_is_that_of_the_appendix(roc in 0..3_u32, highest: u16, sequence: u16) {
            // Exactly half a turn away there is no nearest one.
            prop_assume!(sequence.wrapping_sub(highest) != 32_768);
            let known = PacketIndex::new(roc, SequenceNumber(highest));
            let expected = u64::try_from(appendix_a(roc, highest, sequence)).ok();
            prop_assert_eq!(known.nearest(SequenceNumber(sequence)).map(PacketIndex::get), expected);
        }

        #[test]
        fn the_window_knows_what_a_set_knows(first in 0..1000_u64, steps in prop::collection::vec(0..400_u64, 0..300)) {
            let mut window = Window::starting_with(first);
            let mut seen = BTreeSet::from([first]);
            for index in steps.into_iter().scan(first, |at, step| { *at = (*at + step).saturating_sub(190); Some(*at) }) {
                let newest = *seen.last().expect("the first one is in it");
                let expected = match () {
                    () if index + Window::LEN <= newest => Known::Forgotten,
                    () if seen.contains(&index) => Known::Seen,
                    () => Known::New,
                };
                prop_assert_eq!(window.look_up(index), expected);
                window.note(index);
                seen.insert(index);
            }
            prop_assert_eq!(Some(&window.newest()), seen.last());
        }
    }

    #[test]
    fn no_index_follows_the_last_one() {
        let last = PacketIndex::new(u32::MAX, SequenceNumber(u16::MAX));
        assert_eq!(last.nearest(SequenceNumber(0)), None);
        assert_eq!(last.nearest(SequenceNumber(u16::MAX - 1)).map(PacketIndex::get), Some(last.get() - 1));
    }
}
