//! The order of the source's packets, and those that wait for one that is missing.
//!
//! ```text
//!  arrived   7 8 10 9 11 13 14 15
//!  taken     7 8 . 9,10 11 .  .  (12 is lost) 13,14,15
//! ```

use patchcord_rtp::{RtpHeader, SequenceNumber};

/// With so many packets behind a gap, what is missing in it is lost: as in TCP (RFC 5681 3.2), where less is mere reordering.
const WAITING_MAX: usize = 3;
/// RFC 3550 A.1: so far behind the one that is due a packet is late, and so far ahead others are lost; beyond, the source has
/// started anew.
const MISORDER_MAX: i16 = 100;
const DROPOUT_MAX: i16 = 3000;
/// RFC 3550 A.1: so many packets in a row out of all range are a new start.
const STRAYS_IN_A_ROW: u8 = 2;
/// So many late ones in a row are one too: the packet that was ahead of them was the stray.
const LATE_IN_A_ROW: u8 = 5;

/// Room for the payload of any datagram of Ethernet: buffers need not grow.
const PAYLOAD_ROOM: usize = 1460;

/// A packet that waits.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) header: RtpHeader,
    pub(crate) payload: Vec<u8>,
    /// Packets before it that did not come.
    pub(crate) lost: u16,
}

/// Where a packet lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// It is due.
    Next,
    /// Others are missing before it.
    Ahead,
    /// Its place has been passed over.
    Late,
    /// It came before.
    Duplicate,
    /// The source counts anew from this packet on.
    Restart,
}

/// Puts packets in order.
#[derive(Debug)]
pub(crate) struct Window {
    /// The one that is due.
    due: SequenceNumber,
    /// Bit n: the packet n + 1 before the due one came.
    seen: u64,
    /// In order; never the due one between two calls.
    waiting: Vec<Waiting>,
    /// Payload buffers that are free.
    spare: Vec<Vec<u8>>,
    /// What would follow the latest packet out of order, and how many of them came in a row.
    stray: (SequenceNumber, u8),
}

impl Window {
    pub(crate) fn new() -> Self {
        Self {
            due: SequenceNumber(0),
            seen: 0,
            waiting: Vec::with_capacity(WAITING_MAX),
            spare: Vec::with_capacity(WAITING_MAX),
            stray: (SequenceNumber(0), 0),
        }
    }

    /// Nothing came yet, and `due` is the first one.
    pub(crate) const fn begin(&mut self, due: SequenceNumber) {
        self.due = due;
        self.seen = 0;
        self.stray.1 = 0;
    }

    /// Where a packet lies; it is taken note of. One that is [`Place::Next`] is taken for taken.
    pub(crate) fn arrive(&mut self, sequence: SequenceNumber) -> Place {
        let ahead = sequence.distance_from(self.due);
        if ahead == 0 {
            self.stray.1 = 0;
            self.pass(0);
            return Place::Next;
        }
        if (1..DROPOUT_MAX).contains(&ahead) {
            self.stray.1 = 0;
            let is_here = self.waiting.iter().any(|waiting| waiting.header.sequence == sequence);
            return if is_here { Place::Duplicate } else { Place::Ahead };
        }
        let is_late = (-MISORDER_MAX..0).contains(&ahead);
        // The due packet is 1 ahead of bit 0.
        let bit = 1_u64.checked_shl(u32::from(ahead.unsigned_abs()) - 1).filter(|_| is_late);
        if let Some(bit) = bit {
            if self.seen & bit != 0 {
                return Place::Duplicate;
            }
            self.seen |= bit;
        }
        let (follows, in_a_row) = self.stray;
        let in_a_row = if follows == sequence { in_a_row.saturating_add(1) } else { 1 };
        self.stray = (sequence.next(), in_a_row);
        let enough = if is_late { LATE_IN_A_ROW } else { STRAYS_IN_A_ROW };
        if in_a_row >= enough { Place::Restart } else { Place::Late }
    }

    /// Keeps a packet that is [`Place::Ahead`].
    pub(crate) fn keep(&mut self, header: &RtpHeader, payload: &[u8]) {
        let mut buffer = self.spare.pop().unwrap_or_else(|| Vec::with_capacity(PAYLOAD_ROOM));
        buffer.clear();
        buffer.extend_from_slice(payload);
        let far = header.sequence.distance_from(self.due);
        let at = self.waiting.partition_point(|other| other.header.sequence.distance_from(self.due) < far);
        self.waiting.insert(at, Waiting { header: *header, payload: buffer, lost: 0 });
    }

    /// The next packet that need not wait: it is due, or it and those behind it have waited for `wait_max_units` of the timestamp
    /// or are enough. Give its buffer [back](Self::give_back).
    pub(crate) fn take(&mut self, wait_max_units: u32) -> Option<Waiting> {
        let (first, last) = (self.waiting.first()?, self.waiting.last()?);
        // Events have older timestamps than the audio before them.
        let waited = last.header.timestamp.wrapping_sub(first.header.timestamp).cast_signed();
        let is_over = self.waiting.len() >= WAITING_MAX || i64::from(waited) >= i64::from(wait_max_units);
        if first.header.sequence == self.due || is_over { self.take_any() } else { None }
    }

    /// The next packet, whatever is missing before it.
    pub(crate) fn take_any(&mut self) -> Option<Waiting> {
        if self.waiting.is_empty() {
            return None;
        }
        let mut first = self.waiting.remove(0);
        first.lost = first.header.sequence.0.wrapping_sub(self.due.0);
        self.pass(first.lost);
        Some(first)
    }

    /// The packet is done with.
    pub(crate) fn give_back(&mut self, packet: Waiting) {
        self.spare.push(packet.payload);
    }

    /// The packet behind `lost` others is taken.
    const fn pass(&mut self, lost: u16) {
        let seen = match self.seen.checked_shl(lost as u32 + 1) {
            Some(seen) => seen,
            None => 0,
        };
        self.seen = seen | 1;
        self.due = self.due.wrapping_add(lost).next();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use patchcord_rtp::{PayloadType, RtpTimestamp, Ssrc};

    /// What is taken, with the number of those lost before it, as packets of 20 ms arrive.
    fn taken(sequences: &[u16]) -> Vec<(u16, u16)> {
        let mut window = Window::new();
        window.begin(SequenceNumber(sequences[0]));
        let mut taken = Vec::new();
        for &sequence in sequences {
            let header = RtpHeader {
                marker: false,
                payload_type: PayloadType::default(),
                sequence: SequenceNumber(sequence),
                timestamp: RtpTimestamp(u32::from(sequence.wrapping_sub(sequences[0])) * 160),
                ssrc: Ssrc(0),
            };
            match window.arrive(header.sequence) {
                Place::Next => taken.push((sequence, 0)),
                Place::Ahead => window.keep(&header, &[]),
                Place::Late | Place::Duplicate | Place::Restart => {}
            }
            while let Some(packet) = window.take(480) {
                taken.push((packet.header.sequence.0, packet.lost));
                window.give_back(packet);
            }
        }
        taken
    }

    #[test]
    fn packets_behind_a_gap_wait_until_it_is_filled_or_three_are_there() {
        assert_eq!(taken(&[7, 9, 10]), [(7, 0)]);
        assert_eq!(taken(&[7, 9, 10, 8]), [(7, 0), (8, 0), (9, 0), (10, 0)]);
        assert_eq!(taken(&[7, 9, 10, 11]), [(7, 0), (9, 1), (10, 0), (11, 0)]);
        assert_eq!(taken(&[65_534, 1, 0, 65_535]), [(65_534, 0), (65_535, 0), (0, 0), (1, 0)]);
    }

    #[test]
    fn sixty_milliseconds_are_enough_waiting() {
        assert_eq!(taken(&[7, 9, 12]), [(7, 0), (9, 1)]);
    }

    #[test]
    fn late_ones_and_duplicates_are_told_apart() {
        let mut window = Window::new();
        window.begin(SequenceNumber(10));
        let mut arrive = |sequence| window.arrive(SequenceNumber(sequence));
        assert_eq!([10, 11, 10, 9, 9].map(&mut arrive), {
            [Place::Next, Place::Next, Place::Duplicate, Place::Late, Place::Duplicate]
        });
    }

    #[test]
    fn two_strays_in_a_row_are_a_new_start_and_so_are_five_late_ones() {
        let mut window = Window::new();
        window.begin(SequenceNumber(1000));
        let mut arrive = |sequence| window.arrive(SequenceNumber(sequence));
        assert_eq!([5000, 1000, 5001, 5002].map(&mut arrive), [Place::Late, Place::Next, Place::Late, Place::Restart]);
        assert_eq!([950, 951, 952, 953, 954].map(&mut arrive)[3..], [Place::Late, Place::Restart]);
    }
}
