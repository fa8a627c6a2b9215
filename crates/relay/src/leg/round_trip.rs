//! How long a packet takes to a party and back, by sender reports and what the party says of them (RFC 3550 6.4.1).

use patchcord_rtp::ReportBlock;

use crate::time::MonoTime;

/// No round trip was seen yet.
const NONE: u32 = u32::MAX;
/// Longer ones are no round trips but answers to something else.
const TICKS_MAX: u32 = 30 << 16;

/// The last sender report to a party, whoever made it, and the round trip that its last answer showed. Times are in ticks of
/// 1/65536 s, as reports have them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RoundTrip {
    /// The middle of its NTP time, by which reception reports call it (LSR); 0: there was none.
    last_sr: u32,
    sent_at: u32,
    ticks: u32,
}

impl RoundTrip {
    pub(crate) const fn unknown() -> Self {
        Self { last_sr: 0, sent_at: 0, ticks: NONE }
    }

    /// The party is sent a sender report.
    pub(crate) const fn note_sent(&mut self, last_sr: u32, now: MonoTime) {
        self.last_sr = last_sr;
        self.sent_at = ticks(now);
    }

    /// The party reports on the stream that it is sent.
    pub(crate) const fn note_block(&mut self, block: &ReportBlock, arrived: MonoTime) {
        if self.last_sr == 0 || block.last_sr != self.last_sr {
            return;
        }
        let since = ticks(arrived).wrapping_sub(self.sent_at);
        // A clock that is a little fast makes the delay longer than all of it.
        let round_trip = since.saturating_sub(block.delay_since_last_sr);
        if round_trip <= TICKS_MAX {
            self.ticks = round_trip;
        }
    }

    /// Microseconds, in steps of 15.
    pub(crate) const fn us(&self) -> Option<u64> {
        if self.ticks == NONE { None } else { Some((self.ticks as u64 * 1_000_000) >> 16) }
    }
}

/// Modulo 2^32: 18 hours.
const fn ticks(at: MonoTime) -> u32 {
    (((at.as_nanos() as u128) << 16) / 1_000_000_000) as u32
}
