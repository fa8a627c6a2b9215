//! A party's RTP timestamps on the recording's time.
//!
//! What a packet holds belongs where its timestamp says. When that is, the arrival of packets tells: the fastest of those around it
//! show where the party's clock stands, the slower ones only what the network did to them.

use patchcord_rtp::RtpTimestamp;

/// If all packets of half a second are further off than this, the party's timestamps have jumped, in milliseconds. So far ahead of the
/// present is nothing placed.
const JUMP_MS: i64 = 200;
/// From so far off on, audio is shifted to where it belongs, until it is as near as this, in milliseconds.
const SHIFT_FROM_MS: f64 = 5.0;
const SHIFT_TO_MS: f64 = 1.0;
/// Packets over which the distance is averaged, roughly.
const AVERAGED: f64 = 32.0;

/// Where the timestamps of one stream lie, in samples of the recording.
#[derive(Clone, Debug)]
pub(crate) struct SourceTime {
    /// Timestamp units and samples a second.
    clock_rate: u32,
    rate: u32,
    stream: u32,
    /// A timestamp, and how far it is from the anchor in timestamp units. Others are taken to be less than half a circle away.
    known: (RtpTimestamp, i64),
    anchor: i64,
    /// How much later than placed the fastest packets come, averaged, in samples.
    off: f64,
    is_shifting: bool,
}

impl SourceTime {
    /// The packet with `timestamp` came at `place`, and is as fast as any.
    pub(crate) const fn new(stream: u32, clock_rate: u32, rate: u32, timestamp: RtpTimestamp, place: i64) -> Self {
        Self { clock_rate, rate, stream, known: (timestamp, 0), anchor: place, off: 0.0, is_shifting: false }
    }

    pub(crate) const fn is_of(&self, stream: u32, clock_rate: u32) -> bool {
        self.stream == stream && self.clock_rate == clock_rate
    }

    /// Where a timestamp lies.
    pub(crate) const fn place(&self, timestamp: RtpTimestamp) -> i64 {
        let units = self.units(timestamp) as i128;
        self.anchor + (units * self.rate as i128).div_euclid(self.clock_rate as i128) as i64
    }

    const fn units(&self, timestamp: RtpTimestamp) -> i64 {
        self.known.1 + timestamp.wrapping_sub(self.known.0).cast_signed() as i64
    }

    /// Packets go on from this timestamp.
    pub(crate) const fn pass(&mut self, timestamp: RtpTimestamp) {
        self.known = (timestamp, self.units(timestamp));
    }

    /// Whether packets come so far from where their timestamps place them that it is another time.
    pub(crate) const fn has_jumped(&self, off: i64) -> bool {
        off.abs() > self.samples(JUMP_MS)
    }

    /// The first packet was not the fastest one: the stream lies so much earlier.
    pub(crate) fn begin_earlier(&mut self, by: i64) {
        self.anchor -= by.clamp(0, self.samples(JUMP_MS));
    }

    /// The fastest packets around come so much later than placed. Says by how many samples, -1 to 1, a packet's audio is to be longer.
    pub(crate) fn shift(&mut self, off: i64) -> i64 {
        self.off += (off as f64 - self.off) / AVERAGED;
        let ms = self.off.abs() * 1000.0 / f64::from(self.rate);
        self.is_shifting = ms > if self.is_shifting { SHIFT_TO_MS } else { SHIFT_FROM_MS };
        if !self.is_shifting {
            return 0;
        }
        let by = if self.off > 0.0 { 1 } else { -1 };
        self.anchor += by;
        self.off -= by as f64;
        by
    }

    pub(crate) const fn samples(&self, ms: i64) -> i64 {
        ms * self.rate as i64 / 1000
    }
}

/// Makes `samples` longer or shorter by one, all of them alike: nobody hears it.
pub(crate) fn stretch(samples: &mut Vec<i16>, by: i64) {
    let from = samples.len();
    let to = from.saturating_add_signed(by as isize);
    if from < 2 || to < 2 || by == 0 {
        return;
    }
    let step = (from - 1) as f64 / (to - 1) as f64;
    let stretched: Vec<i16> = (0..to)
        .map(|index| {
            let place = index as f64 * step;
            let (left, part) = ((place as usize).min(from - 1), place.fract());
            let right = (left + 1).min(from - 1);
            let (left, right) = (f64::from(samples[left]), f64::from(samples[right]));
            (left + (right - left) * part).round() as i16
        })
        .collect();
    *samples = stretched;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_lie_where_they_are_for_ever() {
        let mut time = SourceTime::new(0, 48_000, 16_000, RtpTimestamp(u32::MAX - 100), 5);
        for packet in 0..100_000_u32 {
            let timestamp = RtpTimestamp((u32::MAX - 100).wrapping_add(packet.wrapping_mul(96_000)));
            assert_eq!(time.place(timestamp), 5 + i64::from(packet) * 32_000);
            time.pass(timestamp);
        }
    }

    #[test]
    fn audio_is_shifted_until_it_is_where_it_belongs() {
        let mut time = SourceTime::new(0, 8000, 8000, RtpTimestamp(0), 0);
        let mut shifted = 0;
        for packet in 0..1000_i64 {
            // 20 ms late from the beginning on.
            let off = 160 + packet * 160 - time.place(RtpTimestamp(packet as u32 * 160));
            shifted += time.shift(off);
            time.pass(RtpTimestamp(packet as u32 * 160));
        }
        assert!((140..=160).contains(&shifted), "{shifted}");
    }

    #[test]
    fn a_sample_more_or_less_leaves_the_ends_where_they_were() {
        for (by, expected) in
            [(1, vec![0, 20, 40, 60, 80, 100]), (-1, vec![0, 33, 67, 100]), (0, vec![0, 25, 50, 75, 100])]
        {
            let mut samples = vec![0, 25, 50, 75, 100];
            stretch(&mut samples, by);
            assert_eq!(samples, expected);
        }
        let mut none = Vec::new();
        stretch(&mut none, -1);
        assert!(none.is_empty());
    }
}
