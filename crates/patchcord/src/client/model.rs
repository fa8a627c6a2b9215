//! The answers of the HTTP API in the client's own types. Fields that this version does not know are passed over.

use std::collections::BTreeMap;

use serde::Deserialize;

/// `GET /v1/calls`
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct Calls {
    pub(crate) calls: Vec<CallSummary>,
}

/// A call in the list.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct CallSummary {
    pub(crate) call: String,
    pub(crate) worker: u64,
    pub(crate) parties: Vec<String>,
    pub(crate) age_ms: u64,
    pub(crate) cut_overs: u64,
}

/// `GET /v1/calls/{call}`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Call {
    pub(crate) call: String,
    pub(crate) worker: u64,
    pub(crate) age_ms: u64,
    pub(crate) legs: Vec<Leg>,
    pub(crate) bridges: Vec<[String; 2]>,
    pub(crate) recording: Option<Recording>,
    pub(crate) cut_overs: Vec<CutOver>,
}

/// The call's recording.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Recording {
    pub(crate) name: String,
    pub(crate) format: String,
    pub(crate) paused: bool,
}

/// One party's media.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Leg {
    pub(crate) party: String,
    pub(crate) local: String,
    pub(crate) advertised: String,
    pub(crate) remote: Option<String>,
    pub(crate) latched: bool,
    pub(crate) ice: Option<Ice>,
    pub(crate) srtp: Option<Srtp>,
    pub(crate) dtls: Option<Dtls>,
    pub(crate) offload: Option<Offload>,
    pub(crate) direction: String,
    pub(crate) muted: bool,
    pub(crate) detecting: bool,
    pub(crate) codecs: Vec<String>,
    pub(crate) peer: Option<String>,
    pub(crate) held: bool,
    pub(crate) conference: Vec<String>,
    pub(crate) monitors: Option<String>,
    pub(crate) gain_db: Option<i8>,
    pub(crate) whisperer: Option<String>,
    pub(crate) hears: String,
    pub(crate) transcoded: bool,
    pub(crate) pending: Option<u64>,
    pub(crate) packets: u64,
    pub(crate) datagrams: u64,
    pub(crate) lost: u64,
    pub(crate) reordered: u64,
    pub(crate) duplicates: u64,
    pub(crate) jitter_ms: f64,
    pub(crate) round_trip_us: Option<u64>,
    pub(crate) idle_ms: Option<u64>,
    pub(crate) ssrc: Option<u32>,
    pub(crate) sent: Sent,
    pub(crate) relay_latency_us: Percentiles,
    pub(crate) drops: BTreeMap<String, u64>,
}

/// Whether a party's packets are forwarded in the kernel.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Offload {
    pub(crate) active: bool,
    pub(crate) obstacle: Option<String>,
}

/// A party's connectivity checks.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Ice {
    pub(crate) nominated: bool,
    pub(crate) answered: u64,
    pub(crate) refused: u64,
}

/// SRTP of a party.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Srtp {
    pub(crate) receive: Option<SrtpStream>,
    pub(crate) send: Option<SrtpStream>,
    pub(crate) former_key: bool,
}

/// One direction of it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct SrtpStream {
    pub(crate) suite: String,
    pub(crate) roc: Option<u32>,
    pub(crate) ssrcs: u32,
}

/// The association that a party's keys come from.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Dtls {
    pub(crate) state: String,
    pub(crate) role: Option<String>,
    pub(crate) profile: Option<String>,
    pub(crate) error: Option<String>,
}

/// What was sent to a party.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Sent {
    pub(crate) packets: u64,
    pub(crate) ssrc: Option<u32>,
    pub(crate) reported_lost: Option<i64>,
}

/// Of a latency, microseconds; or of a batch, datagrams.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct Percentiles {
    pub(crate) count: u64,
    pub(crate) p50: u64,
    pub(crate) p99: u64,
    pub(crate) p999: u64,
}

/// A change of sources and its proof.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct CutOver {
    pub(crate) cut_over: u64,
    pub(crate) id: String,
    pub(crate) command: String,
    pub(crate) state: String,
    pub(crate) trigger: String,
    pub(crate) receipts: Vec<Receipt>,
}

/// One direction of a cut-over.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Receipt {
    pub(crate) party: String,
    pub(crate) trigger: String,
    pub(crate) at_us: u64,
    pub(crate) gap_us: Option<u64>,
    pub(crate) seq_step: Option<u64>,
    pub(crate) ts_step: Option<u64>,
    pub(crate) stale: u64,
    pub(crate) command_to_effect_us: u64,
}

/// `GET /v1/workers`
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct Workers {
    pub(crate) workers: Vec<Worker>,
}

/// One worker; a worker that did not answer has only its number and `error`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Worker {
    pub(crate) worker: u64,
    pub(crate) error: Option<String>,
    pub(crate) backend: String,
    pub(crate) legs: u64,
    pub(crate) legs_max: u64,
    pub(crate) datagrams: u64,
    pub(crate) forwarded: u64,
    pub(crate) sent: u64,
    pub(crate) drops: BTreeMap<String, u64>,
    pub(crate) relay_latency_us: Percentiles,
    pub(crate) cut_over_gap_us: Percentiles,
    pub(crate) batch_datagrams: Percentiles,
    pub(crate) io: BTreeMap<String, u64>,
}
