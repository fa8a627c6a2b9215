//! What a receiver says about one source.

use crate::Ssrc;

/// A report block (RFC 3550 6.4.1).
///
/// ```text
///  0                   1                   2                   3
///  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
/// +=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+
/// |                             ssrc                              |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// | fraction lost |        cumulative number of packets lost      |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |           extended highest sequence number received           |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |                      interarrival jitter                      |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |                         last SR (LSR)                         |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |                   delay since last SR (DLSR)                  |
/// +=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ReportBlock {
    /// The source reported on.
    pub ssrc: Ssrc,
    /// Lost since the report before, in 1/256 of what was expected.
    pub fraction_lost: u8,
    /// Lost since the beginning of reception; 24 bits, negative if duplicates outnumber losses.
    pub cumulative_lost: i32,
    /// Highest sequence number received, with the count of cycles in the upper half.
    pub extended_highest_sequence: u32,
    /// In timestamp units of the source.
    pub jitter: u32,
    /// Middle 32 bits of the NTP time of the source's latest sender report; 0 if none came.
    pub last_sr: u32,
    /// From that report's arrival to this report, in 1/65536 s; 0 if none came.
    pub delay_since_last_sr: u32,
}

impl ReportBlock {
    /// Bytes of a report block.
    pub const LEN: usize = 24;

    /// Reads a report block.
    #[must_use]
    pub const fn read(bytes: &[u8; Self::LEN]) -> Self {
        const fn word(bytes: &[u8; ReportBlock::LEN], at: usize) -> u32 {
            u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
        }
        let lost = word(bytes, 4);
        Self {
            ssrc: Ssrc(word(bytes, 0)),
            fraction_lost: (lost >> 24) as u8,
            // Up and down again as a signed number: bit 23 becomes the sign.
            cumulative_lost: (lost << 8).cast_signed() >> 8,
            extended_highest_sequence: word(bytes, 8),
            jitter: word(bytes, 12),
            last_sr: word(bytes, 16),
            delay_since_last_sr: word(bytes, 20),
        }
    }

    /// Writes the report block; a `cumulative_lost` beyond 24 bits is written as the nearest that fits (RFC 3550 A.3).
    #[must_use]
    pub fn write(&self) -> [u8; Self::LEN] {
        let lost = Self::clamp_lost(self.cumulative_lost).cast_unsigned() & 0xff_ffff;
        let words = [
            self.ssrc.0,
            u32::from(self.fraction_lost) << 24 | lost,
            self.extended_highest_sequence,
            self.jitter,
            self.last_sr,
            self.delay_since_last_sr,
        ];
        let mut bytes = [0; Self::LEN];
        for (bytes, word) in bytes.chunks_exact_mut(4).zip(words) {
            bytes.copy_from_slice(&word.to_be_bytes());
        }
        bytes
    }

    /// The round trip between the sender of a report and its receiver, in 1/65536 s (RFC 3550 6.4.1).
    ///
    /// `received` is when this block arrived back at the source, as the middle 32 bits of the clock that the source's
    /// sender reports carry. `None` if the receiver has not had a sender report, or the clock was set back meanwhile.
    #[must_use]
    pub const fn round_trip(&self, received: u32) -> Option<u32> {
        if self.last_sr == 0 {
            return None;
        }
        let round_trip = received.wrapping_sub(self.last_sr).wrapping_sub(self.delay_since_last_sr);
        if round_trip.cast_signed() < 0 { None } else { Some(round_trip) }
    }

    /// `lost` within the 24 bits of the field.
    pub(crate) const fn clamp_lost(lost: i32) -> i32 {
        const MAX: i32 = 0x7f_ffff;
        const MIN: i32 = -0x80_0000;
        if lost > MAX {
            MAX
        } else if lost < MIN {
            MIN
        } else {
            lost
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLOCK: ReportBlock = ReportBlock {
        ssrc: Ssrc(0x0102_0304),
        fraction_lost: 0x80,
        cumulative_lost: -2,
        extended_highest_sequence: 0x1_0002,
        jitter: 7,
        last_sr: 0x0a0b_0c0d,
        delay_since_last_sr: 0x1_8000,
    };
    #[rustfmt::skip]
    const BYTES: [u8; 24] = [
        1, 2, 3, 4,
        0x80, 0xff, 0xff, 0xfe,
        0, 1, 0, 2,
        0, 0, 0, 7,
        0x0a, 0x0b, 0x0c, 0x0d,
        0, 1, 0x80, 0,
    ];

    #[test]
    fn fields_lie_where_rfc_3550_puts_them() {
        assert_eq!(ReportBlock::read(&BYTES), BLOCK);
        assert_eq!(BLOCK.write(), BYTES);
    }

    #[test]
    fn cumulative_lost_is_signed_and_has_24_bits() {
        let through = |lost| ReportBlock::read(&ReportBlock { cumulative_lost: lost, ..BLOCK }.write()).cumulative_lost;
        for lost in [0, 1, -1, 0x7f_ffff, -0x80_0000] {
            assert_eq!(through(lost), lost);
        }
        // RFC 3550 A.3: clamped, not wrapped.
        assert_eq!(through(0x80_0000), 0x7f_ffff);
        assert_eq!(through(i32::MAX), 0x7f_ffff);
        assert_eq!(through(-0x80_0001), -0x80_0000);
        assert_eq!(through(i32::MIN), -0x80_0000);
    }

    #[test]
    fn round_trip_is_that_of_the_example_in_rfc_3550() {
        // RFC 3550 6.4.1, figure 2: A 0xb710:8000, DLSR 5.250 s, LSR 0xb705:2000, delay 6.125 s.
        let block = ReportBlock { last_sr: 0xb705_2000, delay_since_last_sr: 0x0005_4000, ..BLOCK };
        assert_eq!(block.round_trip(0xb710_8000), Some(0x0006_2000));
    }

    #[test]
    fn round_trip_is_unknown_without_a_sender_report_or_with_clocks_that_contradict() {
        assert_eq!(ReportBlock { last_sr: 0, ..BLOCK }.round_trip(99), None);
        assert_eq!(BLOCK.round_trip(BLOCK.last_sr), None);
        // The middle 32 bits wrap every 18 hours.
        let block = ReportBlock { last_sr: 0xffff_0000, delay_since_last_sr: 0x8000, ..BLOCK };
        assert_eq!(block.round_trip(0x1_0000), Some(0x1_8000));
    }
}
