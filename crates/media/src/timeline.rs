//! The source's time in the listener's.

use patchcord_rtp::RtpTimestamp;

/// Where timestamps of the source lie in the stream that is made.
///
/// All is counted from one anchor, by whole numbers: however long the source goes on, nothing is rounded twice.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timeline {
    /// Timestamp units a second of the source, and of the stream that is made.
    from: u32,
    to: u32,
    /// A timestamp of the source, and how far it is from the anchor. Others are taken to be less than half a circle away.
    known: (RtpTimestamp, i64),
    /// The anchor, in units of the stream that is made.
    base: i64,
    /// Up to here the source has been heard, in its units from the anchor.
    heard: i64,
}

impl Timeline {
    /// The source's `timestamp` is at `base` of the stream that is made.
    pub(crate) const fn new(from: u32, to: u32, timestamp: RtpTimestamp, base: i64) -> Self {
        Self { from, to, known: (timestamp, 0), base, heard: 0 }
    }

    /// Timestamp units a second of the source.
    pub(crate) const fn clock_rate(&self) -> u32 {
        self.from
    }

    /// So many milliseconds, in units of the source.
    pub(crate) const fn units(&self, ms: u32) -> i64 {
        self.from as i64 * ms as i64 / 1000
    }

    /// Units of the source from what has been heard of it to `timestamp`.
    pub(crate) const fn gap(&self, timestamp: RtpTimestamp) -> i64 {
        self.place(timestamp) - self.heard
    }

    /// `units` of the source have been heard, or something in their place.
    pub(crate) const fn hear(&mut self, units: i64) {
        self.heard += units;
        // The known timestamp follows, so that the next one is less than half a circle away for ever.
        self.known = (self.known.0.wrapping_add((self.heard - self.known.1) as u32), self.heard);
    }

    /// Where `timestamp` lies in the stream that is made, rounded down to its units.
    pub(crate) const fn map(&self, timestamp: RtpTimestamp) -> i64 {
        self.base + (self.place(timestamp) as i128 * self.to as i128).div_euclid(self.from as i128) as i64
    }

    const fn place(&self, timestamp: RtpTimestamp) -> i64 {
        self.known.1 + timestamp.wrapping_sub(self.known.0).cast_signed() as i64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_hours_are_ten_hours_whatever_the_clocks() {
        for (from, to) in [(8000, 48_000), (48_000, 8000), (44_100, 8000), (8000, 44_100)] {
            let frame = from / 50;
            let start = RtpTimestamp(u32::MAX - 5 * frame);
            let mut timeline = Timeline::new(from, to, start, 77);
            for n in 1..=10 * 3600 * 50_u32 {
                timeline.hear(i64::from(frame));
                let timestamp = start.wrapping_add(n.wrapping_mul(frame));
                assert_eq!(timeline.gap(timestamp), 0);
                assert_eq!(timeline.map(timestamp), 77 + i64::from(n) * i64::from(to) / 50);
            }
        }
    }

    #[test]
    fn what_was_before_the_anchor_is_before_it() {
        let timeline = Timeline::new(48_000, 8000, RtpTimestamp(3), 100);
        assert_eq!(timeline.gap(RtpTimestamp(0xffff_ffff)), -4);
        assert_eq!(timeline.map(RtpTimestamp(0xffff_ffff)), 99);
        assert_eq!(timeline.map(RtpTimestamp(8)), 100);
    }
}
