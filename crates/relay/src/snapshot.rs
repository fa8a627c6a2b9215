//! What can be asked of the engine: copies, taken between two batches.

use core::net::SocketAddr;

use patchcord_rtp::Ssrc;
use patchcord_srtp::Suite;

use crate::event::Receipt;
use crate::flow::Obstacle;
use crate::ids::{CutOverId, LegId};
use crate::media::Direction;
use crate::verdict::Drops;

/// A leg at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct LegSnapshot {
    /// The leg.
    pub leg: LegId,
    /// Local RTP address.
    pub local_rtp: SocketAddr,
    /// Where it sends RTP to at present: latched, else signalled.
    pub remote_rtp: Option<SocketAddr>,
    /// Whether the source address is settled.
    pub latched: bool,
    /// Direction, from the party's point of view.
    pub direction: Direction,
    /// Whether nobody hears it.
    pub muted: bool,
    /// What feeds it.
    pub source: SourceSnapshot,
    /// Whether it hears that by way of a transcoder.
    pub transcoded: bool,
    /// The cut-over that it waits for.
    pub pending: Option<CutOverId>,
    /// Received from the party.
    pub ingress: IngressStats,
    /// Sent to the party.
    pub egress: EgressStats,
    /// From the relay to the party and back, microseconds: by the party's last report on a sender report that it was sent (RFC 3550
    /// 6.4.1).
    pub round_trip_us: Option<u64>,
    /// What ICE has done here; `None`: the leg has none.
    pub ice: Option<IceSnapshot>,
    /// SRTP; `None`: the leg has none.
    pub srtp: Option<SrtpSnapshot>,
    /// Whether the offload forwards what the party sends, and if not, why; `None`: there is no offload.
    pub offload: Option<Result<(), Obstacle>>,
    /// Datagrams of this leg that were not relayed.
    pub drops: Drops,
    /// The latest cut-over that took effect towards this leg, with its stale packets up to now.
    pub last_cut_over: Option<Receipt>,
}

/// SRTP of one leg.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SrtpSnapshot {
    /// What the party sends; `None` while its key is not known.
    pub receive: Option<SrtpStream>,
    /// What it is sent; `None` while the key is not known.
    pub send: Option<SrtpStream>,
    /// The party was given another key, or has named one, and goes on with the former one.
    pub former_key: bool,
}

/// One direction of SRTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SrtpStream {
    /// The suite.
    pub suite: Suite,
    /// Roll-over counter of the latest SSRC; `None` before the first packet.
    pub roc: Option<u32>,
    /// SSRCs so far.
    pub ssrcs: u32,
}

/// The connectivity checks of a leg's party (RFC 8445 7.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IceSnapshot {
    /// The party has nominated where it sends RTP from, and has not restarted ICE since.
    pub nominated: bool,
    /// Checks that were answered with success.
    pub answered: u64,
    /// Checks that were refused, those without the right credentials included.
    pub refused: u64,
}

/// What feeds a leg, without the audio.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceSnapshot {
    /// Nothing.
    Silence,
    /// Another leg.
    Leg(LegId),
    /// Several legs, mixed.
    Mix,
    /// Audio encoded ahead of time.
    Player,
}

/// Reception of one leg, in RFC 3550's terms (6.4.1, A.1, A.3, A.8).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct IngressStats {
    /// Datagrams that arrived at the leg's ports, whatever they were.
    pub datagrams: u64,
    /// RTP packets accepted.
    pub packets: u64,
    /// Their bytes, RTP header included, UDP header not.
    pub bytes: u64,
    /// RTCP packets (compounds) accepted.
    pub rtcp_packets: u64,
    /// Packets lost on the way here; never below zero.
    pub lost: u64,
    /// Packets that arrived after one with a higher sequence number.
    pub reordered: u64,
    /// Packets that arrived more than once.
    pub duplicates: u64,
    /// Interarrival jitter, milliseconds.
    pub jitter_ms: f64,
    /// The party's present SSRC.
    pub ssrc: Option<Ssrc>,
    /// Time since the last accepted packet, milliseconds.
    pub idle_ms: Option<u64>,
}

/// Transmission to one leg.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EgressStats {
    /// RTP packets sent, the player's included.
    pub packets: u64,
    /// Their bytes, RTP header included.
    pub bytes: u64,
    /// RTCP packets (compounds) sent.
    pub rtcp_packets: u64,
    /// The SSRC that the party sees.
    pub ssrc: Option<Ssrc>,
    /// The sequence number that the next packet in order will have.
    pub next_sequence: Option<u16>,
    /// Time in the relay, kernel arrival to send, of packets sent to this leg.
    pub latency: LatencySummary,
    /// What the party says about our stream: cumulative loss of its last report block.
    pub reported_lost: Option<i32>,
    /// What the party says: interarrival jitter of its last report block, milliseconds.
    pub reported_jitter_ms: Option<f64>,
}

/// Percentiles of a latency histogram, microseconds; upper bounds of the buckets that hold them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LatencySummary {
    /// How many values.
    pub count: u64,
    /// Median.
    pub p50_us: u64,
    /// 99 % are below.
    pub p99_us: u64,
    /// 99.9 % are below.
    pub p999_us: u64,
}

/// A worker at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WorkerSnapshot {
    /// Which backend drives it: `io-uring` or `mmsg`.
    pub backend: String,
    /// Legs in use.
    pub legs: u32,
    /// Legs it has room for.
    pub legs_max: u32,
    /// Datagrams received.
    pub datagrams: u64,
    /// Datagrams that were relayed.
    pub forwarded: u64,
    /// Flows that are with the offload.
    pub flows: u32,
    /// Flows that have come back from it.
    pub climbs: u64,
    /// Datagrams that the offload has relayed, among `forwarded`.
    pub offloaded: u64,
    /// Datagrams that the engine itself answered to or used up (RTCP, STUN).
    pub consumed: u64,
    /// Packets sent, players and reports included.
    pub sent: u64,
    /// Bytes sent, UDP payload.
    pub sent_bytes: u64,
    /// Datagrams not relayed.
    pub drops: Drops,
    /// Events that found the event list full.
    pub events_lost: u64,
    /// Relay latency, kernel arrival to send.
    pub latency: LatencySummary,
    /// Gaps of the cut-overs so far.
    pub cut_over_gap: LatencySummary,
    /// Datagrams a batch: median, 99 % and 99.9 % (the unit is datagrams, not microseconds).
    pub batch: LatencySummary,
    /// What the sockets did, counted by the backend: (name, count), for instance `send_enobufs`.
    pub io: Vec<(&'static str, u64)>,
}
