//! What a call has to tell, unasked.

use core::net::SocketAddr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::answer::ReceiptView;
use super::command::CommandName;

/// Something happened in a call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CallEvent {
    /// When, microseconds on the server's clock.
    pub at_us: u64,
    /// In which call.
    #[schema(value_type = String)]
    pub call: Arc<str>,
    /// With which party; null for the call as a whole.
    #[schema(value_type = Option<String>)]
    pub party: Option<Arc<str>>,
    /// What.
    #[serde(flatten)]
    pub kind: EventKind,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum EventKind {
    /// The call was created.
    CallCreated,
    /// Nobody has sent anything for too long, or the call has lasted too long: it is deleted.
    CallTimeout {
        /// For how long.
        silent_ms: u64,
    },
    /// The call ended.
    CallDeleted,
    /// The call is part of another one from now on, whose events have that one's name.
    CallMerged {
        /// The call that it is part of.
        #[schema(value_type = String)]
        into: Arc<str>,
    },
    /// A leg was created.
    LegCreated {
        /// Where the relay receives its RTP.
        #[schema(value_type = String)]
        local: SocketAddr,
    },
    /// A leg was deleted.
    LegDeleted {
        /// Where the relay received its RTP.
        #[schema(value_type = String)]
        local: SocketAddr,
    },
    /// The party has another name from now on.
    PartyRenamed {
        /// Its new name.
        #[schema(value_type = String)]
        name: Arc<str>,
    },
    /// The leg settled on a source address.
    Latched {
        /// Where its party sends from.
        #[schema(value_type = String)]
        source: SocketAddr,
    },
    /// The first RTP packet that was accepted from the party.
    FirstPacket {
        /// Its SSRC.
        ssrc: u32,
    },
    /// The party has sent nothing for its media timeout.
    MediaTimeout {
        /// For how long.
        silent_ms: u64,
    },
    /// The party changed its SSRC in mid-call.
    SsrcChanged {
        /// Before.
        from: u32,
        /// After.
        to: u32,
    },
    /// SRTP of the party is refused: said at the first packet, and then every few seconds at most.
    SrtpFailing {
        /// Why: the name of a drop reason.
        reason: String,
        /// Packets refused since this was last said.
        packets: u32,
    },
    /// The association with the party has come to keys.
    DtlsConnected {
        /// The profile of SRTP that was negotiated.
        profile: String,
    },
    /// There will be no keys with the party, or no longer.
    DtlsFailed {
        /// Why, and what to do.
        reason: String,
    },
    /// The party has ended the association.
    DtlsClosed,
    /// What was played to the party has ended.
    PlayFinished {
        /// How.
        ended: PlayEnd,
    },
    /// The key presses for the party are through, or will not be sent any more.
    DtmfFinished {
        /// How many keys were sent, one that was cut short included.
        sent: u16,
        /// How many of these were tones.
        tones: u16,
        /// How many were not: they were stopped, or the party could not be sent them any more.
        dropped: u16,
    },
    /// Something was heard of the party (`detect`).
    Detected {
        /// What.
        sound: super::Sound,
        /// How long ago it had begun.
        began_ms_ago: u32,
        /// How long it was, or has been so far; 0 where it has just begun.
        duration_ms: u32,
        /// How sure that is, 0 to 100: an order and no probability.
        confidence_percent: u8,
        /// The frequency of a beep.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        hz: Option<u16>,
    },
    /// The party has pressed a key (`detect`); told when the key comes up.
    DtmfReceived {
        /// `0` to `9`, `*`, `#`, `A` to `D`.
        digit: String,
        /// How long it was down.
        duration_ms: u32,
        /// The power of the tones.
        volume_dbm0: i16,
        /// They were heard in the audio, and not told as an event (RFC 4733).
        in_band: bool,
    },
    /// One direction of a cut-over took effect.
    CutOver(CutOverEvent),
    /// A waiting cut-over will not happen.
    CutOverCancelled {
        /// Its number.
        cut_over: u64,
        /// The id of its request.
        #[schema(value_type = Option<String>)]
        id: Option<Arc<str>>,
        /// The party whose leg was deleted; null after a rollback.
        #[schema(value_type = Option<String>)]
        gone: Option<Arc<str>>,
    },
    /// The call is recorded: its files are there.
    RecordingStarted {
        /// Its name, below the server's directory of recordings; its metadata have `.json` behind it.
        recording: String,
    },
    /// A recording has ended, and its files are deleted, as it was asked for.
    RecordingDiscarded {
        /// Its name; its metadata are left.
        recording: String,
    },
    /// A recording has ended as it should.
    RecordingFinished {
        /// Its name.
        recording: String,
        /// Its files, below the server's directory of recordings.
        files: Vec<String>,
        /// How long it plays.
        duration_ms: u64,
        /// Packets that were recorded.
        packets: u64,
        /// Packets that never came.
        lost: u64,
        /// Packets that came when their place had been written.
        late: u64,
        /// Packets that the recorder was too slow for.
        dropped: u64,
    },
    /// A recording could not be begun, or has ended because something could not be written. What was written stays.
    RecordingFailed {
        /// Its name.
        recording: String,
        /// Why.
        reason: String,
    },
    /// A transfer of the pivot stands otherwise than before.
    Transfer(Box<TransferEvent>),
    /// A cut-over was undone.
    RolledBack {
        /// Its number.
        cut_over: u64,
        /// The id of its request.
        #[schema(value_type = Option<String>)]
        id: Option<Arc<str>>,
        /// The cut-over that undid it; null if it had not happened yet.
        by: Option<u64>,
    },
}

/// How what was played has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PlayEnd {
    /// It was played to its end.
    Finished,
    /// The party has pressed a key or spoken (`barge_in`).
    BargedIn,
    /// A command has ended it, or put something else in its place.
    Stopped,
}

/// A receipt, with the cut-over it belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CutOverEvent {
    /// The number of the cut-over.
    pub cut_over: u64,
    /// The id of its request; null where the end of a prompt commanded it.
    #[schema(value_type = Option<String>)]
    pub id: Option<Arc<str>>,
    /// Its command.
    pub command: CommandName,
    /// The proof. Its `at_us` and `party` are those of the event.
    #[serde(flatten)]
    pub receipt: ReceiptFields,
}

/// How a transfer stands. `GET /v1/transfers/{transfer}` says the rest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TransferEvent {
    /// Its name.
    pub transfer: String,
    /// `deciding`, `referring`, `ringing`, `consulting`, `whispering`, `conferencing`, `connecting`, `done`, `refused`, `failed`, `cancelled`.
    pub state: String,
    /// How it is made: `pivot`, `forward`, `attended`, `invite`, `refer`, `warm`.
    pub method: String,
    /// Who transfers.
    #[schema(value_type = String)]
    pub transferor: Arc<str>,
    /// Who is transferred.
    #[schema(value_type = String)]
    pub transferee: Arc<str>,
    /// The party that takes the place, once there is one.
    #[schema(value_type = Option<String>)]
    pub target: Option<Arc<str>>,
    /// The target as it was asked for.
    pub refer_to: String,
    /// The SIP code of the latest target that could not be had.
    pub code: Option<u16>,
    /// Why it came to nothing, a sentence.
    pub why: Option<String>,
}

/// A [`ReceiptView`] without time and party, which an event has anyway.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReceiptFields {
    /// What made it happen.
    pub trigger: super::TriggerName,
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

impl From<&ReceiptView> for ReceiptFields {
    fn from(view: &ReceiptView) -> Self {
        Self {
            trigger: view.trigger,
            gap_us: view.gap_us,
            seq_step: view.seq_step,
            ts_step: view.ts_step,
            stale: view.stale,
            command_to_effect_us: view.command_to_effect_us,
        }
    }
}

impl EventKind {
    /// The name in the event stream.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::CallCreated => "call-created",
            Self::CallTimeout { .. } => "call-timeout",
            Self::CallDeleted => "call-deleted",
            Self::CallMerged { .. } => "call-merged",
            Self::LegCreated { .. } => "leg-created",
            Self::LegDeleted { .. } => "leg-deleted",
            Self::PartyRenamed { .. } => "party-renamed",
            Self::Latched { .. } => "latched",
            Self::FirstPacket { .. } => "first-packet",
            Self::MediaTimeout { .. } => "media-timeout",
            Self::SsrcChanged { .. } => "ssrc-changed",
            Self::SrtpFailing { .. } => "srtp-failing",
            Self::DtlsConnected { .. } => "dtls-connected",
            Self::DtlsFailed { .. } => "dtls-failed",
            Self::DtlsClosed => "dtls-closed",
            Self::PlayFinished { .. } => "play-finished",
            Self::DtmfFinished { .. } => "dtmf-finished",
            Self::Detected { .. } => "detected",
            Self::DtmfReceived { .. } => "dtmf-received",
            Self::CutOver(_) => "cut-over",
            Self::CutOverCancelled { .. } => "cut-over-cancelled",
            Self::RecordingStarted { .. } => "recording-started",
            Self::RecordingFinished { .. } => "recording-finished",
            Self::RecordingDiscarded { .. } => "recording-discarded",
            Self::RecordingFailed { .. } => "recording-failed",
            Self::Transfer(_) => "transfer",
            Self::RolledBack { .. } => "rolled-back",
        }
    }
}
