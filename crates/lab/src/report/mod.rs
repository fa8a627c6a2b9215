//! What a recording says: loss, order, jitter, continuity, latency, and whose packets they were.
//!
//! Everything is computed from the received bytes and the sending side's own notes, never from what a relay says about itself, and
//! by other means than `patchcord-rtp` uses on the packet path: the two can check each other.

mod heard;
mod jitter;
mod latency;
mod origin;
mod step;
mod table;

use std::collections::BTreeSet;

use patchcord_rtp::{RtpHeader, Ssrc};
use serde::Serialize;

use crate::endpoint::{Received, Recording, SentLog};
use crate::stream::Continuity;

pub use heard::Heard;
pub use latency::LatencyUs;
pub(crate) use latency::histogram_ns;
pub use step::Step;
pub use table::table;

/// At most so many steps are listed in a report; [`Report::step_count`] says how many there were.
pub const STEPS_MAX: usize = 1_000;

/// What one party received. The names of the fields are stable: they are those of the JSON.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// The party's name.
    pub party: String,
    /// RTP packets received, duplicates included.
    pub packets: u64,
    /// Bytes of these packets, headers included.
    pub bytes: u64,
    /// Sequence numbers that never arrived, between the first and the last of each SSRC.
    pub lost: u64,
    /// Packets that arrived after one with a higher sequence number.
    pub reordered: u64,
    /// Packets that arrived a second time.
    pub duplicates: u64,
    /// The largest interarrival jitter of any SSRC at its end, in milliseconds (RFC 3550 6.4.1).
    pub jitter_ms: f64,
    /// The SSRCs in the order in which they appeared, as in `"0x0000cafe"`.
    pub ssrcs: Vec<String>,
    /// The payload types received.
    pub payload_types: Vec<u8>,
    /// Packets with the marker bit.
    pub markers: u64,
    /// RTCP packets received.
    pub rtcp_packets: u64,
    /// Datagrams that were neither RTP nor RTCP.
    pub other_datagrams: u64,
    /// Packets that the recording had no room for; none of the other numbers knows them.
    pub beyond_limit: u64,
    /// From the first packet to the last, in milliseconds.
    pub duration_ms: f64,
    /// The longest time between two packets that arrived one after the other.
    pub largest_gap: Option<Gap>,
    /// Time from the sender's system call to the arrival at this host's kernel, of the packets that were recognised.
    pub relay_latency_us: Option<LatencyUs>,
    /// Packets that could not be recognised as anybody's: those that the relay itself made, for instance.
    pub unrecognised: u64,
    /// Whom the party heard, one after the other.
    pub heard: Vec<Heard>,
    /// All places where the stream is not just the next packet of the same: the first [`STEPS_MAX`].
    pub steps: Vec<Step>,
    /// How many steps there were.
    pub step_count: u64,
}

/// A time without packets.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Gap {
    /// How long, in microseconds.
    pub gap_us: u64,
    /// The packet that ended it, counted from 0.
    pub packet: u64,
    /// When that arrived, in milliseconds after the first packet.
    pub at_ms: f64,
}

impl Report {
    /// Analyses a recording. `senders` are the notes of all parties whose packets it may contain, for latencies and origins.
    #[must_use]
    pub fn of(recording: &Recording, senders: &[&SentLog]) -> Self {
        let packets: Vec<Arrived<'_>> = recording.rtp().map(Arrived::new).collect();
        let origins = origin::of(&packets, senders);
        let steps = step::of(&packets, &origins, senders);
        let by_ssrc = by_ssrc(&packets);
        let continuity =
            by_ssrc.iter().map(|(_, packets)| Continuity::of(packets.iter().map(|packet| packet.header.sequence)));
        let total = continuity.fold(Continuity::default(), |sum, one| Continuity {
            lost: sum.lost + one.lost,
            reordered: sum.reordered + one.reordered,
            duplicates: sum.duplicates + one.duplicates,
        });
        let payload_types: BTreeSet<u8> = packets.iter().map(|packet| packet.header.payload_type.get()).collect();
        let rtcp_packets = recording.datagrams().filter(Received::is_rtcp).count();
        Self {
            party: recording.name().to_owned(),
            packets: packets.len() as u64,
            bytes: packets.iter().map(|packet| packet.bytes.len() as u64).sum(),
            lost: total.lost,
            reordered: total.reordered,
            duplicates: total.duplicates,
            jitter_ms: by_ssrc.iter().map(|(_, packets)| jitter::ms(packets)).fold(0.0, f64::max),
            ssrcs: by_ssrc.iter().map(|(ssrc, _)| ssrc.to_string()).collect(),
            payload_types: payload_types.into_iter().collect(),
            markers: packets.iter().filter(|packet| packet.header.marker).count() as u64,
            rtcp_packets: rtcp_packets as u64,
            other_datagrams: (recording.len() - packets.len() - rtcp_packets) as u64,
            beyond_limit: recording.beyond_limit,
            duration_ms: packets.last().map_or(0.0, |last| ms_between(&packets[0], last)),
            largest_gap: largest_gap(&packets),
            relay_latency_us: latency::of(&packets, &origins),
            unrecognised: origins.iter().filter(|origin| origin.is_none()).count() as u64,
            heard: heard::of(&packets, &origins, senders),
            step_count: steps.len() as u64,
            steps: steps.into_iter().take(STEPS_MAX).collect(),
        }
    }

    /// The steps at which the SSRC changed, the sequence number did not rise by 1, or the timestamp went back: what a decoder or an
    /// SBC can take offence at. A marker and a timestamp that advances with the time are none.
    pub fn breaks(&self) -> impl Iterator<Item = &Step> {
        self.steps.iter().filter(|step| step.is_break())
    }
}

/// An RTP packet at its arrival.
#[derive(Debug, Clone, Copy)]
struct Arrived<'a> {
    at_ns: u64,
    header: RtpHeader,
    bytes: &'a [u8],
    payload: &'a [u8],
}

impl<'a> Arrived<'a> {
    fn new((header, received): (RtpHeader, Received<'a>)) -> Self {
        Self { at_ns: received.at_ns, header, bytes: received.bytes, payload: received.payload() }
    }
}

/// The packets of each SSRC, in the order in which the SSRCs appeared.
fn by_ssrc<'a>(packets: &[Arrived<'a>]) -> Vec<(Ssrc, Vec<Arrived<'a>>)> {
    let mut groups: Vec<(Ssrc, Vec<Arrived<'a>>)> = Vec::new();
    for packet in packets {
        match groups.iter_mut().find(|(ssrc, _)| *ssrc == packet.header.ssrc) {
            Some((_, group)) => group.push(*packet),
            None => groups.push((packet.header.ssrc, vec![*packet])),
        }
    }
    groups
}

fn largest_gap(packets: &[Arrived<'_>]) -> Option<Gap> {
    let gaps = packets.windows(2).zip(1_u64..).map(|(pair, packet)| Gap {
        gap_us: pair[1].at_ns.saturating_sub(pair[0].at_ns) / 1_000,
        packet,
        at_ms: ms_between(&packets[0], &pair[1]),
    });
    gaps.max_by_key(|gap| gap.gap_us)
}

/// Milliseconds, to the microsecond.
fn ms_between(first: &Arrived<'_>, second: &Arrived<'_>) -> f64 {
    (second.at_ns.saturating_sub(first.at_ns) / 1_000) as f64 / 1_000.0
}
