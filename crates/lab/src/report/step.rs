//! The places where a stream does not just go on.

use patchcord_rtp::RtpHeader;
use serde::Serialize;

use super::origin::Origin;
use super::{Arrived, ms_between};
use crate::endpoint::SentLog;

/// Behind the highest by less than this is late (RFC 3550 A.1), not a step of the stream.
const LATE_MAX: i16 = 100;

/// A packet that is not just the next one of the same: another SSRC, a sequence number or timestamp out of step, a marker, another
/// sender.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Step {
    /// The packet, counted from 0 in the order of arrival.
    pub packet: u64,
    /// When it arrived, in milliseconds after the first packet.
    pub at_ms: f64,
    /// Time since the packet before it, in microseconds.
    pub gap_us: u64,
    /// By how much the sequence number rose: 1 is right. Meaningless if the SSRC changed.
    pub seq_step: i32,
    /// By how much the timestamp rose, in timestamp units. Meaningless if the SSRC changed.
    pub ts_step: i64,
    /// The packet has another SSRC than the one before.
    pub ssrc_changed: bool,
    /// The packet has the marker bit.
    pub marker: bool,
    /// The packet has another payload type than the one before.
    pub payload_type_changed: bool,
    /// Who sent the packet before; `None` if nobody did, so the relay made it.
    pub from: Option<String>,
    /// Who sent this packet.
    pub to: Option<String>,
}

impl Step {
    /// See [`super::Report::breaks`].
    #[must_use]
    pub fn is_break(&self) -> bool {
        self.ssrc_changed || self.seq_step != 1 || self.ts_step < 0
    }
}

pub(super) fn of(packets: &[Arrived<'_>], origins: &[Option<Origin>], senders: &[&SentLog]) -> Vec<Step> {
    let Some(first) = packets.first() else { return Vec::new() };
    let frame_ts_units = usual_frame(packets);
    let mut steps = Vec::new();
    // The packet with the highest sequence number so far, and its index.
    let mut latest = (0, first);
    for (index, packet) in packets.iter().enumerate().skip(1) {
        let (before, header) = (&latest.1.header, &packet.header);
        let ssrc_changed = before.ssrc != header.ssrc;
        let seq_step = header.sequence.distance_from(before.sequence);
        if !ssrc_changed && (-LATE_MAX..=0).contains(&seq_step) {
            continue;
        }
        let ts_step = header.timestamp.wrapping_sub(before.timestamp).cast_signed();
        let sender = |index: usize| origins[index].map(|origin| origin.sender);
        let payload_type_changed = before.payload_type != header.payload_type;
        let goes_on = !ssrc_changed
            && seq_step == 1
            && !header.marker
            && !payload_type_changed
            && sender(latest.0) == sender(index)
            && (ts_step == frame_ts_units || is_event_continued(before, header));
        if !goes_on {
            let name = |index| sender(index).map(|sender| senders[sender].name().to_owned());
            steps.push(Step {
                packet: index as u64,
                at_ms: ms_between(first, packet),
                gap_us: packet.at_ns.saturating_sub(packets[index - 1].at_ns) / 1_000,
                seq_step: i32::from(seq_step),
                ts_step: i64::from(ts_step),
                ssrc_changed,
                marker: header.marker,
                payload_type_changed,
                from: name(latest.0),
                to: name(index),
            });
        }
        latest = (index, packet);
    }
    steps
}

/// All packets of a telephone event have the timestamp of its beginning (RFC 4733 2.1).
fn is_event_continued(before: &RtpHeader, header: &RtpHeader) -> bool {
    before.timestamp == header.timestamp && header.payload_type.get() >= 96
}

/// The timestamp step that most packets make.
fn usual_frame(packets: &[Arrived<'_>]) -> i32 {
    let mut steps: Vec<i32> = packets
        .windows(2)
        .filter(|pair| pair[1].header.sequence.distance_from(pair[0].header.sequence) == 1)
        .map(|pair| pair[1].header.timestamp.wrapping_sub(pair[0].header.timestamp).cast_signed())
        .collect();
    steps.sort_unstable();
    steps.chunk_by(|a, b| a == b).max_by_key(|run| run.len()).map_or(0, |run| run[0])
}
