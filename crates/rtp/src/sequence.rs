//! Sequence numbers and their circular order.

use core::fmt;

/// An RTP sequence number: it counts packets modulo 2^16 (RFC 3550 5.1).
///
/// `Ord` compares the plain numbers, for use as a key. What came first on the wire is told by
/// [`SequenceNumber::distance_from`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SequenceNumber(pub u16);

impl SequenceNumber {
    /// Packets from `earlier` to `self`, the shorter way round the circle: negative if `self` is in fact the earlier.
    #[must_use]
    #[inline]
    pub const fn distance_from(self, earlier: Self) -> i16 {
        self.0.wrapping_sub(earlier.0).cast_signed()
    }

    /// The number `packets` later.
    #[must_use]
    #[inline]
    pub const fn wrapping_add(self, packets: u16) -> Self {
        Self(self.0.wrapping_add(packets))
    }

    /// The next packet's number.
    #[must_use]
    #[inline]
    pub const fn next(self) -> Self {
        self.wrapping_add(1)
    }
}

impl fmt::Display for SequenceNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_takes_the_shorter_way_round() {
        let distance = |to, from| SequenceNumber(to).distance_from(SequenceNumber(from));
        assert_eq!(distance(5, 3), 2);
        assert_eq!(distance(3, 5), -2);
        assert_eq!(distance(1, 65_535), 2);
        assert_eq!(distance(65_535, 1), -2);
        assert_eq!(distance(0x7fff, 0), 0x7fff);
        assert_eq!(distance(0x8000, 0), -0x8000);
    }

    #[test]
    fn the_successor_of_the_last_number_is_zero() {
        assert_eq!(SequenceNumber(65_535).next(), SequenceNumber(0));
        assert_eq!(SequenceNumber(65_530).wrapping_add(10), SequenceNumber(4));
    }
}
