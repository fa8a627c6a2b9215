//! The two clocks of RTP: the media clock of a stream and NTP's wall clock.

use core::fmt;

/// An RTP timestamp: media clock units modulo 2^32, from a random start (RFC 3550 5.1).
///
/// `Ord` compares the plain numbers, for use as a key; timestamps are circular.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RtpTimestamp(pub u32);

impl RtpTimestamp {
    /// The timestamp `ts_units` later.
    #[must_use]
    #[inline]
    pub const fn wrapping_add(self, ts_units: u32) -> Self {
        Self(self.0.wrapping_add(ts_units))
    }

    /// Timestamp units from `earlier` to `self`, forward round the circle.
    #[must_use]
    #[inline]
    pub const fn wrapping_sub(self, earlier: Self) -> u32 {
        self.0.wrapping_sub(earlier.0)
    }
}

impl fmt::Display for RtpTimestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Wall-clock time as in sender reports: 32 bits of seconds since 1900, 32 bits of fraction (RFC 3550 4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NtpTime(pub u64);

impl NtpTime {
    /// Seconds from NTP's epoch, 1900, to Unix', 1970.
    const UNIX_EPOCH_SECONDS: u64 = 2_208_988_800;

    /// The time `nanos` nanoseconds after 1970-01-01 00:00 UTC; the seconds wrap in 2036 as NTP's do.
    #[must_use]
    pub const fn from_unix_nanos(nanos: u64) -> Self {
        let seconds = nanos / 1_000_000_000 + Self::UNIX_EPOCH_SECONDS;
        // Cut to 2^-32 s: less than a quarter of a nanosecond, which the way back rounds up again.
        let fraction = ((nanos % 1_000_000_000) << 32) / 1_000_000_000;
        Self(seconds << 32 | fraction)
    }

    /// Nanoseconds since 1970-01-01 00:00 UTC, rounded to the nearest.
    ///
    /// Seconds without their top bit are taken as of the era that begins in 2036 (RFC 4330 3), so the range is 1968 to
    /// 2104. The two years before 1970 give 0. Some endpoints send the time since they were started: then only
    /// differences mean anything.
    #[must_use]
    pub const fn as_unix_nanos(self) -> u64 {
        let seconds = self.0 >> 32;
        let era = if seconds & 0x8000_0000 == 0 { 1 << 32 } else { 0 };
        let Some(seconds) = (seconds + era).checked_sub(Self::UNIX_EPOCH_SECONDS) else { return 0 };
        let fraction = self.0 & 0xffff_ffff;
        seconds * 1_000_000_000 + ((fraction * 1_000_000_000 + (1 << 31)) >> 32)
    }

    /// The middle 32 bits, in 1/65536 s: what report blocks carry as LSR (RFC 3550 6.4.1).
    #[must_use]
    pub const fn middle_32(self) -> u32 {
        (self.0 >> 16) as u32
    }
}

impl fmt::Display for NtpTime {
    /// Seconds since 1900, with the fraction to the microsecond.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = ((self.0 & 0xffff_ffff) * 1_000_000) >> 32;
        write!(f, "{}.{micros:06}", self.0 >> 32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_are_circular() {
        assert_eq!(RtpTimestamp(u32::MAX).wrapping_add(160), RtpTimestamp(159));
        assert_eq!(RtpTimestamp(159).wrapping_sub(RtpTimestamp(u32::MAX)), 160);
    }

    #[test]
    fn ntp_time_of_known_instants() {
        assert_eq!(NtpTime::from_unix_nanos(0), NtpTime(2_208_988_800 << 32));
        let half_past = NtpTime::from_unix_nanos(1_500_000_000);
        assert_eq!(half_past, NtpTime(2_208_988_801 << 32 | 0x8000_0000));
        assert_eq!(half_past.middle_32(), (2_208_988_801_u64 << 16 | 0x8000) as u32);
        assert_eq!(half_past.to_string(), "2208988801.500000");
    }

    #[test]
    fn nanoseconds_survive_the_way_to_ntp_and_back() {
        // 2036-02-07 06:28:16 UTC is where the seconds wrap.
        let wrap = (4_294_967_296 - 2_208_988_800) * 1_000_000_000;
        for nanos in [0, 1, 999_999_999, 1_790_000_000_123_456_789, wrap - 1, wrap, wrap + 1] {
            assert_eq!(NtpTime::from_unix_nanos(nanos).as_unix_nanos(), nanos);
        }
        assert_eq!(NtpTime::from_unix_nanos(wrap), NtpTime(0));
    }

    #[test]
    fn times_before_1970_are_zero() {
        assert_eq!(NtpTime(0x8000_0000 << 32).as_unix_nanos(), 0);
    }
}
