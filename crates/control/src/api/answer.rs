//! What came of a request.

use core::net::SocketAddr;
use std::sync::Arc;

use patchcord_relay::event::Receipt;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::command::CommandName;
use super::dtls::LegDtlsDone;
use super::ice::LegIceDone;
use super::recording::RecordingDone;
use super::srtp::LegSrtpDone;
use super::trigger::TriggerName;

/// A call was created.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CallCreated {
    /// Its name.
    #[schema(value_type = String)]
    pub call: Arc<str>,
    /// The worker that all its legs live on.
    pub worker: usize,
}

/// Two calls are one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CallMerged {
    /// The call that stays.
    #[schema(value_type = String)]
    pub call: Arc<str>,
    /// The other one, whose name means the same call until that ends.
    #[schema(value_type = String)]
    pub merged: Arc<str>,
    /// All its parties now.
    #[schema(value_type = Vec<String>)]
    pub parties: Vec<Arc<str>>,
}

/// What came of a request with commands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CommandAnswer {
    /// The id of the request.
    #[schema(value_type = String)]
    pub id: Arc<str>,
    /// One entry a command, in their order.
    pub results: Vec<Outcome>,
}

/// What came of one command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Outcome {
    /// Its name.
    pub command: CommandName,
    /// The rest.
    #[serde(flatten)]
    pub detail: Detail,
}

/// The part of an [`Outcome`] that depends on the command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum Detail {
    /// Of `leg-create`.
    Created(Box<LegCreated>),
    /// Of `leg-ice` with ICE.
    Ice(Box<LegIceDone>),
    /// Of `leg-srtp` with SRTP.
    Srtp(Box<LegSrtpDone>),
    /// Of `leg-dtls` with DTLS.
    Dtls(Box<LegDtlsDone>),
    /// Of `check`.
    Check(CheckResult),
    /// Of a command that changes sources.
    CutOver(CutOverResult),
    /// Of `leg-delete`.
    Deleted(LegDeleted),
    /// Of commands about a recording.
    Recording(RecordingDone),
    /// Of all others.
    Done(PartyDone),
}

/// A leg was created.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LegCreated {
    /// The party.
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
    /// `local_rtcp` as the party must be told.
    #[schema(value_type = String, example = "203.0.113.9:30001")]
    pub advertised_rtcp: SocketAddr,
}

/// A leg was deleted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LegDeleted {
    /// The party.
    #[schema(value_type = String)]
    pub party: Arc<str>,
    /// The cut-overs that waited for it and will not happen.
    pub cancelled: Vec<u64>,
}

/// The party that a command was about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PartyDone {
    /// The party.
    #[schema(value_type = String)]
    pub party: Arc<str>,
}

/// Whether two parties could be bridged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CheckResult {
    /// The short answer.
    pub verdict: Verdict,
    /// Parties that need a re-INVITE.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<String>)]
    pub reinvite: Vec<Arc<str>>,
    /// Which formats met, and what to do.
    pub reason: String,
}

/// The answer of `check`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Each understands what the other prefers to send.
    Compatible,
    /// They have a format in common, but one of them prefers another; or none, and the relay does not transcode what they have.
    NeedsReinvite,
    /// They have no format in common, and the relay transcodes between those that they have.
    NeedsTranscoding,
}

/// What became of a change of sources.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CutOverResult {
    /// Its number; absent where everything was as wanted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cut_over: Option<u64>,
    /// How far it is.
    pub state: CutOverState,
    /// What has been proven so far.
    #[serde(default)]
    pub receipts: Vec<ReceiptView>,
}

/// How far a cut-over is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CutOverState {
    /// It waits for its trigger.
    Pending,
    /// The sources are replaced.
    Done,
    /// It will not happen.
    Cancelled,
    /// It happened and was undone.
    RolledBack,
}

/// Proof of one direction of a cut-over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReceiptView {
    /// The party that hears the new source.
    #[schema(value_type = String)]
    pub party: Arc<str>,
    /// What made it happen.
    pub trigger: TriggerName,
    /// When the first packet of the new source left, microseconds on the server's clock.
    pub at_us: u64,
    /// From the last packet of the old source to the first of the new; null if there was none before.
    pub gap_us: Option<u64>,
    /// Sequence step between these two; 1 is seamless.
    pub seq_step: Option<u16>,
    /// Timestamp step between them, in timestamp units.
    pub ts_step: Option<u32>,
    /// Late packets of the old source that were dropped since.
    pub stale: u32,
    /// From the command to the first packet of the new source.
    pub command_to_effect_us: u64,
}

impl ReceiptView {
    /// The receipt of what `party` hears.
    #[must_use]
    pub fn new(party: Arc<str>, receipt: &Receipt) -> Self {
        Self {
            party,
            trigger: receipt.trigger.into(),
            at_us: receipt.first_packet_at.as_nanos() / 1000,
            gap_us: receipt.gap_us,
            seq_step: receipt.seq_step,
            ts_step: receipt.ts_step,
            stale: receipt.stale,
            command_to_effect_us: receipt.command_to_effect_us,
        }
    }
}
