//! The state of calls, legs and workers, as it is shown.

use core::net::SocketAddr;
use std::collections::BTreeMap;
use std::sync::Arc;

use patchcord_relay::snapshot::{LatencySummary, WorkerSnapshot};
use patchcord_relay::verdict::Drops;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::answer::{CutOverState, ReceiptView};
use super::command::CommandName;
use super::detection::Answered;
use super::dtls::DtlsState;
use super::ice::IceState;
use super::latch::Direction;
use super::recording::RecordingState;
use super::srtp::SrtpState;
use super::trigger::TriggerName;

/// All calls.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CallList {
    /// In the order of their names.
    pub calls: Vec<CallSummary>,
}

/// A call in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CallSummary {
    /// Its name.
    #[schema(value_type = String)]
    pub call: Arc<str>,
    /// The worker that its legs live on.
    pub worker: usize,
    /// Its parties.
    #[schema(value_type = Vec<String>)]
    pub parties: Vec<Arc<str>>,
    /// Milliseconds since it was created.
    pub age_ms: u64,
    /// Cut-overs that were commanded so far.
    pub cut_overs: u64,
}

/// A call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CallState {
    /// Its name.
    #[schema(value_type = String)]
    pub call: Arc<str>,
    /// The worker that its legs live on.
    pub worker: usize,
    /// Milliseconds since it was created.
    pub age_ms: u64,
    /// Its parties.
    #[schema(value_type = Vec<String>)]
    pub parties: Vec<Arc<str>>,
    /// Their legs, in the order in which they were created.
    pub legs: Vec<LegState>,
    /// Pairs that are each other's peer.
    #[schema(value_type = Vec<Vec<String>>)]
    pub bridges: Vec<[Arc<str>; 2]>,
    /// Oldest first: those that wait, and the latest of the others.
    pub cut_overs: Vec<CutOverView>,
    /// Its recording; null: it is not recorded.
    #[serde(default)]
    pub recording: Option<RecordingState>,
}

/// A leg.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LegState {
    /// The party, with `/1` and so on for its further media.
    #[schema(value_type = String)]
    pub party: Arc<str>,
    /// Where the relay receives its RTP.
    #[schema(value_type = String, example = "10.0.0.2:30000")]
    pub local: SocketAddr,
    /// Where it receives its RTCP.
    #[schema(value_type = String, example = "10.0.0.2:30001")]
    pub local_rtcp: SocketAddr,
    /// `local` as the party must be told.
    #[schema(value_type = String, example = "203.0.113.9:30000")]
    pub advertised: SocketAddr,
    /// Where the relay sends its RTP at present.
    #[schema(value_type = Option<String>, example = "192.0.2.7:4000")]
    pub remote: Option<SocketAddr>,
    /// Whether the source address is settled.
    pub latched: bool,
    /// Its connectivity checks; null: it has no ICE.
    pub ice: Option<IceState>,
    /// SRTP; null: it speaks RTP.
    pub srtp: Option<SrtpState>,
    /// The association that its keys come from; null without DTLS.
    pub dtls: Option<DtlsState>,
    /// Whether its packets are forwarded in the kernel; null: the relay has no offload.
    pub offload: Option<OffloadState>,
    /// Seen from the party.
    pub direction: Direction,
    /// Whether nobody hears it.
    pub muted: bool,
    /// Whether it is found out what it says.
    pub detecting: bool,
    /// Who has answered, once `detect` has found out; null: not yet, or it was not asked.
    #[serde(default)]
    pub answered: Option<Answered>,
    /// Its codecs as rtpmap values.
    pub codecs: Vec<String>,
    /// The party that it is bridged with, or will be after `resume`.
    #[schema(value_type = Option<String>)]
    pub peer: Option<Arc<str>>,
    /// Whether it is on hold.
    pub held: bool,
    /// The others of its conference.
    #[schema(value_type = Vec<String>)]
    pub conference: Vec<Arc<str>>,
    /// The party that it monitors, or several: `agent + target`.
    pub monitors: Option<String>,
    /// How much louder it is heard than it speaks, in dB; absent: as loud as it speaks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gain_db: Option<i8>,
    /// The party that whispers to it.
    #[schema(value_type = Option<String>)]
    pub whisperer: Option<Arc<str>>,
    /// A party, several that are mixed for it (`agent + target`), `silence`, `hold:NAME`, `play:NAME` or `ringback:COUNTRY`; with
    /// audio over it `agent + play:NAME`.
    pub hears: String,
    /// Whether it hears that transcoded: they have no format in common, or packets or key presses are converted.
    pub transcoded: bool,
    /// The number of the cut-over that it waits for.
    pub pending: Option<u64>,
    /// RTP packets accepted from the party.
    pub packets: u64,
    /// Their bytes, RTP header included.
    pub bytes: u64,
    /// RTCP packets accepted from the party.
    pub rtcp_packets: u64,
    /// Datagrams that arrived at its ports, whatever they were.
    pub datagrams: u64,
    /// Packets lost on the way here (RFC 3550 A.3).
    pub lost: u64,
    /// Packets that came after a later one.
    pub reordered: u64,
    /// Packets that came more than once.
    pub duplicates: u64,
    /// Interarrival jitter (RFC 3550 A.8).
    pub jitter_ms: f64,
    /// From the relay to the party and back, by the party's last report (RFC 3550 6.4.1).
    pub round_trip_us: Option<u64>,
    /// Milliseconds since the last accepted packet.
    pub idle_ms: Option<u64>,
    /// The party's SSRC.
    pub ssrc: Option<u32>,
    /// What was sent to the party.
    pub sent: SentState,
    /// Time in the relay, kernel arrival to send, of the packets sent to the party.
    pub relay_latency_us: Percentiles,
    /// Datagrams of the party that were not relayed, by reason.
    pub drops: BTreeMap<String, u32>,
}

/// What was sent to a party.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SentState {
    /// RTP packets.
    pub packets: u64,
    /// Their bytes, RTP header included.
    pub bytes: u64,
    /// RTCP packets.
    pub rtcp_packets: u64,
    /// The SSRC that the party sees.
    pub ssrc: Option<u32>,
    /// The sequence number that the next packet will have.
    pub next_sequence: Option<u16>,
    /// Loss, as the party reports it.
    pub reported_lost: Option<i32>,
    /// Jitter, as the party reports it.
    pub reported_jitter_ms: Option<f64>,
}

/// Percentiles, upper bounds of the buckets that hold them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Percentiles {
    /// How many values.
    pub count: u64,
    /// Median.
    pub p50: u64,
    /// 99 % are below.
    pub p99: u64,
    /// 99.9 % are below.
    pub p999: u64,
}

impl From<LatencySummary> for Percentiles {
    fn from(summary: LatencySummary) -> Self {
        Self { count: summary.count, p50: summary.p50_us, p99: summary.p99_us, p999: summary.p999_us }
    }
}

/// A cut-over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CutOverView {
    /// Its number.
    pub cut_over: u64,
    /// The id of the request that commanded it; null where the end of a prompt did.
    #[schema(value_type = Option<String>)]
    pub id: Option<Arc<str>>,
    /// The command.
    pub command: CommandName,
    /// How far it is.
    pub state: CutOverState,
    /// What makes it happen.
    pub trigger: TriggerName,
    /// One a direction, once packets have flowed.
    pub receipts: Vec<ReceiptView>,
}

/// All workers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WorkerList {
    /// In the order of their numbers.
    pub workers: Vec<WorkerEntry>,
}

/// A worker, if it answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WorkerEntry {
    /// Its number.
    pub worker: usize,
    /// Why there is nothing more to say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The rest.
    #[serde(flatten)]
    pub state: Option<WorkerState>,
}

/// Whether a party's packets are forwarded in the kernel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OffloadState {
    /// They are.
    pub active: bool,
    /// Why not; null: they are.
    pub obstacle: Option<String>,
}

/// A worker's counters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WorkerState {
    /// What drives it: `af-xdp`, `steered`, `io-uring` or `mmsg`.
    pub backend: String,
    /// Legs in use.
    pub legs: u32,
    /// Legs it has room for.
    pub legs_max: u32,
    /// Datagrams received.
    pub datagrams: u64,
    /// Datagrams relayed.
    pub forwarded: u64,
    /// Of these, those that the kernel has forwarded.
    pub offloaded: u64,
    /// Flows that the kernel forwards at present.
    pub flows: u32,
    /// Flows that have come back from the kernel.
    pub climbs: u64,
    /// Datagrams that the relay itself used up (RTCP).
    pub consumed: u64,
    /// Packets sent, players and reports included.
    pub sent: u64,
    /// Bytes sent, UDP payload.
    pub sent_bytes: u64,
    /// Datagrams not relayed, by reason.
    pub drops: BTreeMap<String, u32>,
    /// Events that found the event list full.
    pub events_lost: u64,
    /// Kernel arrival to send.
    pub relay_latency_us: Percentiles,
    /// Gaps of the cut-overs so far.
    pub cut_over_gap_us: Percentiles,
    /// Datagrams a batch.
    pub batch_datagrams: Percentiles,
    /// What the sockets did.
    pub io: BTreeMap<String, u64>,
}

impl From<WorkerSnapshot> for WorkerState {
    fn from(worker: WorkerSnapshot) -> Self {
        Self {
            backend: worker.backend,
            legs: worker.legs,
            legs_max: worker.legs_max,
            datagrams: worker.datagrams,
            forwarded: worker.forwarded,
            offloaded: worker.offloaded,
            flows: worker.flows,
            climbs: worker.climbs,
            consumed: worker.consumed,
            sent: worker.sent,
            sent_bytes: worker.sent_bytes,
            drops: by_name(&worker.drops),
            events_lost: worker.events_lost,
            relay_latency_us: worker.latency.into(),
            cut_over_gap_us: worker.cut_over_gap.into(),
            batch_datagrams: worker.batch.into(),
            io: worker.io.into_iter().map(|(name, count)| (name.to_owned(), count)).collect(),
        }
    }
}

/// Drop counts by the name of their reason; reasons without a drop are left out.
#[must_use]
pub fn by_name(drops: &Drops) -> BTreeMap<String, u32> {
    drops.nonzero().map(|(reason, count)| (reason.name().to_owned(), count)).collect()
}
