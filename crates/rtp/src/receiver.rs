//! What a receiver knows about a source: extended sequence, loss, reordering, duplicates, jitter.

use crate::{NtpTime, ReportBlock, RtpHeader, RtpTimestamp, SequenceNumber, Ssrc};

/// RFC 3550 A.1: a step ahead of this many packets or more is not taken for loss.
const MAX_DROPOUT: u16 = 3000;
/// RFC 3550 A.1: a packet less than this far behind is late, not a sign of a restart.
const MAX_MISORDER: u16 = 100;

/// What a packet is to the ones before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// The one that was due.
    InOrder,
    /// Ahead of the one that was due: this many packets are missing, for now.
    Gap(u16),
    /// Behind the highest so far; or out of all range, which the next packet will tell for a restart or a stray.
    Reordered,
    /// Seen already, within the last 64 sequence numbers.
    Duplicate,
    /// The second in a row after a step out of all range: the source counts anew (RFC 3550 A.1).
    Restarted,
    /// The first, or the first after another SSRC.
    FirstOfSource,
}

/// Statistics of what one sender sends, in 64 bytes (RFC 3550 A.1, A.3 and A.8).
///
/// Every packet is counted and judged from the first on: there is no probation, because a relay forwards from the first
/// packet on. Counts go on over a change of SSRC and over a restart; reception reports speak of the current source
/// alone, since its start.
#[derive(Clone, Copy, Debug)]
pub struct ReceiverState {
    /// Bit n: the packet n behind the highest was seen. 0 before the first packet, never after it.
    seen: u64,
    /// All packets, duplicates too.
    packets: u64,
    /// Timestamp units a nanosecond, in units of 2^-[`CLOCK_SHIFT`].
    clock: u32,
    ssrc: Ssrc,
    /// Highest sequence number of this source, with the cycles above.
    extended_highest: u32,
    base: SequenceNumber,
    /// The one after a packet out of all range: the next in a row means a restart. Equal to the highest if there was none.
    restart_at: SequenceNumber,
    /// Packets expected before the source's base, or outside of its range; modulo 2^32, as all differences of them.
    expected_outside: u32,
    /// Packets that arrived so, duplicates included.
    received_outside: u32,
    /// Of this source at the last report.
    expected_prior: u32,
    received_prior: u32,
    /// Arrival less timestamp, of the latest packet that counted for the jitter.
    transit_ts_units: u32,
    /// In 1/16 timestamp units.
    jitter_scaled: u32,
    duplicates: u32,
    reordered: u32,
}

/// How far a [`ReceiverState`] is, for whoever receives in its place, be it in the kernel: all that a packet in order, ahead, late or
/// doubled moves, and what that takes. The layout is fixed (C's).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Reception {
    /// Bit n: the packet n behind the highest was seen.
    pub seen: u64,
    /// All packets, duplicates too.
    pub packets: u64,
    /// Timestamp units a nanosecond, in units of 2^-40.
    pub clock: u32,
    /// The source.
    pub ssrc: u32,
    /// Highest sequence number, with the cycles above.
    pub extended_highest: u32,
    /// The source's first sequence number.
    pub base: u16,
    /// The next in a row after a packet out of all range, which means a restart.
    pub restart_at: u16,
    /// Packets expected outside of the source's range.
    pub expected_outside: u32,
    /// Packets that arrived so.
    pub received_outside: u32,
    /// Arrival less timestamp, of the latest packet that counted for the jitter.
    pub transit_ts_units: u32,
    /// In 1/16 timestamp units.
    pub jitter_scaled: u32,
    /// Packets that came more than once.
    pub duplicates: u32,
    /// Packets that came late.
    pub reordered: u32,
}

/// See [`ReceiverState::new`] for the accuracy. Clocks of up to 3.9 MHz fit 32 bits.
const CLOCK_SHIFT: u32 = 40;

impl ReceiverState {
    /// A receiver that has not heard anything yet.
    ///
    /// `clock_rate` is in timestamp units a second. Arrival times are converted to timestamp units by a multiplication
    /// with `clock_rate` rounded to a multiple of 0.0009 Hz: 0.06 ppm off at 8 kHz, a thousandth of what crystals differ.
    /// There is no jitter for a clock rate of 0; above 3.9 MHz it is that of 3.9 MHz.
    #[must_use]
    pub const fn new(clock_rate: u32) -> Self {
        Self {
            seen: 0,
            packets: 0,
            clock: clock_of(clock_rate),
            ssrc: Ssrc(0),
            extended_highest: 0,
            base: SequenceNumber(0),
            restart_at: SequenceNumber(0),
            expected_outside: 0,
            received_outside: 0,
            expected_prior: 0,
            received_prior: 0,
            transit_ts_units: 0,
            jitter_scaled: 0,
            duplicates: 0,
            reordered: 0,
        }
    }

    /// From `now_ns` on the source's timestamps count in another clock, because its format changed.
    ///
    /// The jitter keeps its value in milliseconds; the timestamps are taken to go on from where they were (RFC 7160 4).
    pub const fn set_clock_rate(&mut self, clock_rate: u32, now_ns: u64) {
        let (old_clock, old_now) = (self.clock, self.ts_units(now_ns));
        self.clock = clock_of(clock_rate);
        let shift = self.ts_units(now_ns).wrapping_sub(old_now);
        self.transit_ts_units = self.transit_ts_units.wrapping_add(shift);
        self.jitter_scaled = match old_clock {
            0 => 0,
            // At most 16 times the largest step that counts, at the new rate: within 32 bits as at the old one.
            _ => (self.jitter_scaled as u64 * self.clock as u64 / old_clock as u64) as u32,
        };
    }

    /// How far it is.
    #[must_use]
    pub const fn reception(&self) -> Reception {
        Reception {
            seen: self.seen,
            packets: self.packets,
            clock: self.clock,
            ssrc: self.ssrc.0,
            extended_highest: self.extended_highest,
            base: self.base.0,
            restart_at: self.restart_at.0,
            expected_outside: self.expected_outside,
            received_outside: self.received_outside,
            transit_ts_units: self.transit_ts_units,
            jitter_scaled: self.jitter_scaled,
            duplicates: self.duplicates,
            reordered: self.reordered,
        }
    }

    /// Goes on from where another one is that has received packets in its place. Reporting intervals go on too.
    pub const fn resume(&mut self, from: &Reception) {
        self.seen = from.seen;
        self.packets = from.packets;
        self.clock = from.clock;
        self.ssrc = Ssrc(from.ssrc);
        self.extended_highest = from.extended_highest;
        self.base = SequenceNumber(from.base);
        self.restart_at = SequenceNumber(from.restart_at);
        self.expected_outside = from.expected_outside;
        self.received_outside = from.received_outside;
        self.transit_ts_units = from.transit_ts_units;
        self.jitter_scaled = from.jitter_scaled;
        self.duplicates = from.duplicates;
        self.reordered = from.reordered;
    }

    /// Takes note of a packet that arrived at `arrived_ns` on a monotonic clock.
    ///
    /// The jitter follows the packets in the order of their arrival, as RFC 3550 6.4.1 says, but for duplicates and those
    /// out of all range. A timestamp that steps by more than 8 s against the arrival is not jitter: the source's media
    /// clock started anew.
    #[inline]
    pub fn observe(&mut self, header: &RtpHeader, arrived_ns: u64) -> Arrival {
        let transit_ts_units = self.ts_units(arrived_ns).wrapping_sub(header.timestamp.0);
        if header.ssrc != self.ssrc || self.seen == 0 {
            self.ssrc = header.ssrc;
            self.begin(header.sequence);
            self.packets += 1;
            self.transit_ts_units = transit_ts_units;
            self.jitter_scaled = 0;
            return Arrival::FirstOfSource;
        }

        // RFC 3550 A.1, without its probation.
        self.packets += 1;
        let ahead = header.sequence.0.wrapping_sub(self.extended_highest as u16);
        if ahead.wrapping_sub(1) >= MAX_DROPOUT - 1 {
            return self.observe_unexpected(header.sequence, ahead, transit_ts_units);
        }
        // The carry into the upper half counts the cycles.
        self.extended_highest = self.extended_highest.wrapping_add(u32::from(ahead));
        self.seen = self.seen.checked_shl(u32::from(ahead)).unwrap_or(0) | 1;
        self.restart_at = header.sequence;
        self.observe_transit(transit_ts_units);
        if ahead == 1 { Arrival::InOrder } else { Arrival::Gap(ahead - 1) }
    }

    /// Highest sequence number of the current source, with the count of cycles above the low 16 bits (RFC 3550 6.4.1).
    #[must_use]
    pub const fn extended_highest(&self) -> u32 {
        self.extended_highest
    }

    /// Packets of all sources, late ones and duplicates included.
    #[must_use]
    pub const fn packets(&self) -> u64 {
        self.packets
    }

    /// Packets of all sources that are missing as of now. A duplicate does not make up for a missing packet.
    #[must_use]
    pub const fn lost(&self) -> u64 {
        let distinct = (self.packets as u32).wrapping_sub(self.duplicates);
        let expected = self.expected_outside.wrapping_add(self.expected());
        let missing = expected.wrapping_sub(distinct).cast_signed();
        if missing > 0 { missing as u64 } else { 0 }
    }

    /// Packets that were [`Arrival::Reordered`].
    #[must_use]
    pub const fn reordered(&self) -> u64 {
        self.reordered as u64
    }

    /// Packets that were [`Arrival::Duplicate`].
    #[must_use]
    pub const fn duplicates(&self) -> u64 {
        self.duplicates as u64
    }

    /// Interarrival jitter of the current source in timestamp units, as reception reports carry it (RFC 3550 6.4.1).
    #[must_use]
    pub const fn jitter_ts_units(&self) -> u32 {
        self.jitter_scaled >> 4
    }

    /// Interarrival jitter in milliseconds, with the 4 fractional bits that [`ReceiverState::jitter_ts_units`] drops.
    #[must_use]
    pub fn jitter_ms(&self) -> f64 {
        if self.clock == 0 {
            return 0.0;
        }
        let ts_units_a_ms = f64::from(self.clock) * 1e6 / (1_u64 << CLOCK_SHIFT) as f64;
        f64::from(self.jitter_scaled) / 16.0 / ts_units_a_ms
    }

    /// The timestamp that a packet of the current source would have if it arrived at `now_ns`, with no other delay than the latest
    /// one: where its media clock stands. Meaningless before the first packet.
    #[must_use]
    pub const fn timestamp_at(&self, now_ns: u64) -> RtpTimestamp {
        RtpTimestamp(self.ts_units(now_ns).wrapping_sub(self.transit_ts_units))
    }

    /// The source of the latest packet; `None` before the first.
    #[must_use]
    pub const fn ssrc(&self) -> Option<Ssrc> {
        if self.seen == 0 { None } else { Some(self.ssrc) }
    }

    /// The report block on the current source (RFC 3550 6.4.1 and A.3), and the start of the next reporting interval.
    ///
    /// `last_report` is the latest sender report of this source; `None` before the first packet of a source.
    pub fn report_block(&mut self, last_report: Option<LastSenderReport>, now_ns: u64) -> Option<ReportBlock> {
        let ssrc = self.ssrc()?;
        let expected = self.expected();
        let received = (self.packets as u32).wrapping_sub(self.received_outside);

        let expected_interval = expected.wrapping_sub(self.expected_prior);
        let received_interval = received.wrapping_sub(self.received_prior);
        (self.expected_prior, self.received_prior) = (expected, received);
        // More than expected, by duplicates: the fraction is 0 (RFC 3550 A.3). It stays below 256, because the packet that
        // raised what is expected has been received.
        let lost_interval = expected_interval.wrapping_sub(received_interval).cast_signed();
        let fraction_lost = if expected_interval == 0 || lost_interval <= 0 {
            0
        } else {
            ((i64::from(lost_interval) << 8) / i64::from(expected_interval)) as u8
        };

        let (last_sr, delay_since_last_sr) =
            last_report.map_or((0, 0), |last| (last.ntp.middle_32(), last.delay(now_ns)));
        Some(ReportBlock {
            ssrc,
            fraction_lost,
            cumulative_lost: ReportBlock::clamp_lost(expected.wrapping_sub(received).cast_signed()),
            extended_highest_sequence: self.extended_highest,
            jitter: self.jitter_ts_units(),
            last_sr,
            delay_since_last_sr,
        })
    }

    /// Starts to count from `sequence` on; what was expected and received so far moves outside of the source's range.
    fn begin(&mut self, sequence: SequenceNumber) {
        self.expected_outside = self.expected_outside.wrapping_add(self.expected());
        self.received_outside = self.packets as u32;
        self.seen = 1;
        self.extended_highest = u32::from(sequence.0);
        self.base = sequence;
        self.restart_at = sequence;
        self.expected_prior = 0;
        self.received_prior = 0;
    }

    /// Neither the due packet nor one ahead of it within range.
    #[cold]
    fn observe_unexpected(&mut self, sequence: SequenceNumber, ahead: u16, transit_ts_units: u32) -> Arrival {
        let behind = ahead.wrapping_neg();
        if behind >= MAX_MISORDER {
            if sequence == self.restart_at {
                // Two in a row: the other side restarted without telling. The first of them was counted outside.
                self.packets -= 1;
                self.begin(sequence);
                self.packets += 1;
                self.transit_ts_units = transit_ts_units;
                return Arrival::Restarted;
            }
            // A stray of another time says nothing about the network's delay now: no jitter from it.
            self.restart_at = sequence.next();
            self.count_outside();
        } else {
            if let Some(bit) = 1_u64.checked_shl(u32::from(behind)) {
                if self.seen & bit != 0 {
                    self.duplicates = self.duplicates.wrapping_add(1);
                    return Arrival::Duplicate;
                }
                self.seen |= bit;
            }
            // Sent before the first that arrived: it makes up for none of those that are missing.
            if u32::from(behind) > self.extended_highest.wrapping_sub(u32::from(self.base.0)) {
                self.count_outside();
            }
            self.observe_transit(transit_ts_units);
        }
        self.reordered = self.reordered.wrapping_add(1);
        Arrival::Reordered
    }

    /// Takes the packet that was just counted out of the source's range.
    const fn count_outside(&mut self) {
        self.expected_outside = self.expected_outside.wrapping_add(1);
        self.received_outside = self.received_outside.wrapping_add(1);
    }

    /// RFC 3550 A.8, in its integer form.
    #[inline]
    const fn observe_transit(&mut self, transit_ts_units: u32) {
        let step = transit_ts_units.wrapping_sub(self.transit_ts_units).cast_signed().unsigned_abs();
        self.transit_ts_units = transit_ts_units;
        // 2^7 of the 2^40 / 10^9 a timestamp unit that the clock has: 8.6 s.
        if step <= self.clock >> 7 {
            self.jitter_scaled = self.jitter_scaled + step - ((self.jitter_scaled + 8) >> 4);
        }
    }

    /// Packets that the current source has sent from its base to its highest (RFC 3550 A.3).
    const fn expected(&self) -> u32 {
        if self.seen == 0 {
            return 0;
        }
        self.extended_highest.wrapping_sub(self.base.0 as u32).wrapping_add(1)
    }

    /// To the nearest: a time of whole timestamp units stays one though the clock is a little off.
    #[inline]
    const fn ts_units(&self, nanos: u64) -> u32 {
        ((nanos as u128 * self.clock as u128 + (1 << (CLOCK_SHIFT - 1))) >> CLOCK_SHIFT) as u32
    }
}

/// Timestamp units a nanosecond, in units of 2^-[`CLOCK_SHIFT`], rounded to the nearest.
const fn clock_of(clock_rate: u32) -> u32 {
    const NANOS: u128 = 1_000_000_000;
    let clock = (((clock_rate as u128) << CLOCK_SHIFT) + NANOS / 2) / NANOS;
    if clock > u32::MAX as u128 { u32::MAX } else { clock as u32 }
}

/// When which sender report of a source arrived: what a reception report says about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastSenderReport {
    /// The report's own NTP time.
    pub ntp: NtpTime,
    /// When it arrived, on the monotonic clock of the receiver.
    pub arrived_ns: u64,
}

impl LastSenderReport {
    /// Time since the report arrived, in 1/65536 s; the field's largest value after 18 hours (RFC 3550 6.4.1).
    #[must_use]
    pub const fn delay(&self, now_ns: u64) -> u32 {
        let delay = ((now_ns.saturating_sub(self.arrived_ns) as u128) << 16) / 1_000_000_000;
        if delay > u32::MAX as u128 { u32::MAX } else { delay as u32 }
    }
}

#[cfg(test)]
mod tests;
