//! Which packet of a stream is due when, and what its header says. No socket and no clock.

use std::sync::Arc;

use patchcord_rtp::{RtpHeader, Ssrc};

use crate::stream::RtpStream;

/// How a stream is played. The default plays it once, as it was captured.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Playback {
    /// Begins again when the stream ends; sequence numbers and timestamps go on.
    pub looped: bool,
    /// Takes the place of the stream's SSRC.
    pub ssrc: Option<Ssrc>,
    /// Added to every sequence number.
    pub sequence_offset: u16,
    /// Added to every timestamp, in timestamp units.
    pub timestamp_offset: u32,
}

impl Playback {
    /// A call of its own: SSRC and offsets derived from a number, the same for the same number.
    #[must_use]
    pub const fn numbered(self, number: u32) -> Self {
        // Multiplication by an odd number is a bijection of the 32-bit numbers: different calls get different SSRCs.
        let mixed = number.wrapping_add(1).wrapping_mul(0x9e37_79b1);
        Self {
            ssrc: Some(Ssrc(mixed)),
            sequence_offset: (mixed >> 7) as u16,
            timestamp_offset: mixed.rotate_left(13),
            ..self
        }
    }
}

/// A stream being played.
#[derive(Debug)]
pub(super) struct Player {
    stream: Arc<RtpStream>,
    playback: Playback,
    lap: Lap,
    next: usize,
    laps: u32,
    /// When the current lap's first packet was due.
    lap_start_ns: u64,
    paused_at_ns: Option<u64>,
    /// Timestamp units that all pauses took.
    pauses_ts_units: u32,
    marker_due: bool,
}

/// What one round of a loop adds.
#[derive(Debug, Clone, Copy)]
struct Lap {
    sequence_numbers: u16,
    ts_units: u32,
    duration_ns: u64,
}

impl Player {
    pub(super) fn new(stream: Arc<RtpStream>, playback: Playback, now_ns: u64) -> Self {
        Self {
            lap: Lap::of(&stream),
            stream,
            playback,
            next: 0,
            laps: 0,
            lap_start_ns: now_ns,
            paused_at_ns: None,
            pauses_ts_units: 0,
            marker_due: false,
        }
    }

    pub(super) fn clock_rate(&self) -> u32 {
        self.stream.clock_rate
    }

    /// When the next packet is due; `None` while it is paused and after the end.
    pub(super) fn due_ns(&self) -> Option<u64> {
        if self.paused_at_ns.is_some() {
            return None;
        }
        Some(self.lap_start_ns + self.stream.packets.get(self.next)?.offset_ns)
    }

    /// Writes the next packet to `out` and moves on.
    pub(super) fn take(&mut self, out: &mut Vec<u8>) -> Option<RtpHeader> {
        let packet = self.stream.packets.get(self.next)?;
        out.clear();
        out.extend_from_slice(&packet.bytes);
        let mut header = RtpHeader::read(out).ok()?;
        let laps = self.laps;
        header.ssrc = self.playback.ssrc.unwrap_or(header.ssrc);
        header.sequence = header
            .sequence
            .wrapping_add(self.playback.sequence_offset)
            .wrapping_add(self.lap.sequence_numbers.wrapping_mul(laps as u16));
        header.timestamp = header
            .timestamp
            .wrapping_add(self.playback.timestamp_offset)
            .wrapping_add(self.lap.ts_units.wrapping_mul(laps))
            .wrapping_add(self.pauses_ts_units);
        header.marker |= std::mem::take(&mut self.marker_due);
        header.rewrite(out);

        self.next += 1;
        if self.next == self.stream.packets.len() && self.playback.looped && self.lap.duration_ns > 0 {
            self.next = 0;
            self.laps = self.laps.wrapping_add(1);
            self.lap_start_ns += self.lap.duration_ns;
        }
        Some(header)
    }

    pub(super) fn pause(&mut self, now_ns: u64) {
        self.paused_at_ns.get_or_insert(now_ns);
    }

    /// Moves everything that is still due by the length of the pause.
    pub(super) fn resume(&mut self, now_ns: u64) {
        let Some(paused_at_ns) = self.paused_at_ns.take() else { return };
        let pause_ns = now_ns.saturating_sub(paused_at_ns);
        let ts_units = u128::from(pause_ns) * u128::from(self.stream.clock_rate) / 1_000_000_000;
        self.lap_start_ns += pause_ns;
        self.pauses_ts_units = self.pauses_ts_units.wrapping_add(ts_units as u32);
        self.marker_due = true;
    }
}

impl Lap {
    fn of(stream: &RtpStream) -> Self {
        let headers: Vec<RtpHeader> =
            stream.packets.iter().filter_map(|packet| RtpHeader::read(&packet.bytes).ok()).collect();
        let duration_ns = u64::try_from(stream.duration().as_nanos()).unwrap_or(u64::MAX);
        let Some(first) = headers.first() else { return Self { sequence_numbers: 0, ts_units: 0, duration_ns } };
        let sequence_numbers = headers
            .iter()
            .map(|header| header.sequence.distance_from(first.sequence))
            .max()
            .map_or(1, |highest| highest.cast_unsigned().wrapping_add(1));
        // A capture longer than 32,767 packets has wrapped: its count is then the better measure.
        let sequence_numbers = if headers.len() > usize::from(i16::MAX.cast_unsigned()) {
            (headers.len() as u64 + stream.lost - stream.duplicates.min(stream.lost)) as u16
        } else {
            sequence_numbers
        };
        let ts_units = (u128::from(duration_ns) * u128::from(stream.clock_rate) / 1_000_000_000) as u32;
        Self { sequence_numbers, ts_units, duration_ns }
    }
}

#[cfg(test)]
mod tests {
    use patchcord_rtp::PayloadType;

    use super::*;

    fn stream(frames: usize) -> Arc<RtpStream> {
        Arc::new(RtpStream::from_frames(Ssrc(1), PayloadType::default(), 8_000, 160, vec![[0_u8; 160]; frames]))
    }

    fn play(player: &mut Player) -> (u64, u16, u32, bool) {
        let mut out = Vec::new();
        let due_ms = player.due_ns().expect("something is due") / 1_000_000;
        let header = player.take(&mut out).expect("something is due");
        assert_eq!(RtpHeader::read(&out), Ok(header));
        (due_ms, header.sequence.0, header.timestamp.0, header.marker)
    }

    #[test]
    fn a_loop_goes_on_with_its_numbers() {
        let playback =
            Playback { looped: true, sequence_offset: 65_535, timestamp_offset: 1_000, ..Playback::default() };
        let mut player = Player::new(stream(2), playback, 0);
        assert_eq!(play(&mut player), (0, 65_535, 1_000, true));
        assert_eq!(play(&mut player), (20, 0, 1_160, false));
        assert_eq!(play(&mut player), (40, 1, 1_320, true));
        assert_eq!(play(&mut player), (60, 2, 1_480, false));
    }

    #[test]
    fn a_pause_moves_the_timestamps_but_not_the_sequence_numbers() {
        let mut player = Player::new(stream(3), Playback::default(), 0);
        play(&mut player);
        player.pause(10_000_000);
        assert_eq!(player.due_ns(), None);
        player.resume(1_010_000_000);
        assert_eq!(play(&mut player), (1_020, 1, 8_160, true));
        assert_eq!(play(&mut player), (1_040, 2, 8_320, false));
        assert_eq!(player.due_ns(), None);
    }

    #[test]
    fn numbered_calls_differ() {
        let mut ssrcs: Vec<_> = (0..10_000).filter_map(|call| Playback::default().numbered(call).ssrc).collect();
        ssrcs.sort_unstable();
        ssrcs.dedup();
        assert_eq!(ssrcs.len(), 10_000);
    }
}
