//! What a request can be refused with: one code for programs, one sentence for people.

use core::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;
use utoipa::ToSchema;

/// Why a request was refused, for programs. The names are part of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ErrorCode {
    /// The body is not JSON.
    MalformedJson,
    /// A field that the command does not have.
    UnknownField,
    /// A value that does not fit.
    BadRequest,
    /// No token, or a wrong one.
    Unauthorized,
    /// No such path.
    UnknownPath,
    /// The path has no such method.
    MethodNotAllowed,
    /// No such call.
    UnknownCall,
    /// The call has no such party.
    UnknownParty,
    /// The call knows no command of this id.
    UnknownId,
    /// The id stands for other content.
    IdReused,
    /// A call has this name.
    CallExists,
    /// Audio of the server's own has this name.
    AudioExists,
    /// There is no room for more audio.
    AudioFull,
    /// A party of the call has this name.
    PartyExists,
    /// The two are not each other's peer.
    NotBridged,
    /// The party is not on hold.
    NotHeld,
    /// A party waits for a cut-over.
    CutOverPending,
    /// The call is recorded already.
    AlreadyRecording,
    /// The call is not recorded.
    NotRecording,
    /// A later command changed one of the parties.
    NotTheLatest,
    /// A leg that would have to be restored is gone.
    LegGone,
    /// The command of this id changed no source, or was undone already.
    NothingToUndo,
    /// The body is larger than the limit.
    TooLarge,
    /// Two legs have no format in common.
    Incompatible,
    /// The trigger can never fire.
    BadTrigger,
    /// The party cannot be sent key presses.
    NoDtmf,
    /// A payload type would change its meaning within a session.
    PayloadTypeChanged,
    /// An address that cannot be a remote of this leg.
    BadAddress,
    /// ICE credentials that no SDP could carry.
    BadIce,
    /// SRTP keys or suites that cannot be used, or not here.
    BadSrtp,
    /// The system refuses the local address.
    PortUnavailable,
    /// The cut-over would change too many legs.
    BadChanges,
    /// No interface has this name.
    UnknownInterface,
    /// No audio has this name.
    UnknownAudio,
    /// What was uploaded cannot be played.
    BadAudio,
    /// Nothing is fetched from this host.
    FetchRefused,
    /// The audio could not be fetched.
    FetchFailed,
    /// The audio cannot be encoded for this party.
    NoEncoding,
    /// The server records nothing.
    RecordingOff,
    /// Tags that cannot be those of this call.
    BadTags,
    /// The engine refused for a reason without a code of its own.
    Refused,
    /// Every port of the interface is leased or busy.
    PortsExhausted,
    /// The worker has no room for another leg.
    NoRoom,
    /// No such transfer.
    UnknownTransfer,
    /// No such record.
    UnknownRecord,
    /// The database of records cannot be had.
    RecordsUnavailable,
    /// The call is not in a state for this transfer.
    NotTransferable,
    /// Two names of one call, where two calls are needed.
    SameCall,
    /// The two calls live on different workers.
    OtherWorker,
    /// A transfer target that cannot be called.
    BadTarget,
    /// A rule of the trunk forbids the transfer target.
    ForbiddenTarget,
    /// The server takes no new calls.
    Draining,
    /// The worker does not take or answer requests.
    WorkerUnavailable,
}

impl ErrorCode {
    /// The HTTP status that goes with it.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::MalformedJson | Self::UnknownField | Self::BadRequest => 400,
            Self::Unauthorized => 401,
            Self::ForbiddenTarget => 403,
            Self::UnknownPath
            | Self::UnknownCall
            | Self::UnknownParty
            | Self::UnknownId
            | Self::UnknownTransfer
            | Self::UnknownRecord => 404,
            Self::MethodNotAllowed => 405,
            Self::IdReused
            | Self::CallExists
            | Self::AudioExists
            | Self::AudioFull
            | Self::PartyExists
            | Self::NotBridged
            | Self::NotHeld
            | Self::CutOverPending
            | Self::AlreadyRecording
            | Self::NotRecording
            | Self::NotTheLatest
            | Self::LegGone
            | Self::NothingToUndo
            | Self::NotTransferable
            | Self::SameCall
            | Self::OtherWorker => 409,
            Self::TooLarge => 413,
            Self::Incompatible
            | Self::BadTrigger
            | Self::NoDtmf
            | Self::PayloadTypeChanged
            | Self::BadAddress
            | Self::BadIce
            | Self::BadSrtp
            | Self::PortUnavailable
            | Self::BadChanges
            | Self::UnknownInterface
            | Self::UnknownAudio
            | Self::BadAudio
            | Self::FetchRefused
            | Self::NoEncoding
            | Self::RecordingOff
            | Self::BadTags
            | Self::BadTarget
            | Self::Refused => 422,
            Self::FetchFailed => 502,
            Self::PortsExhausted
            | Self::NoRoom
            | Self::Draining
            | Self::WorkerUnavailable
            | Self::RecordsUnavailable => 503,
        }
    }

    /// The name in JSON, logs and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::MalformedJson => "malformed-json",
            Self::UnknownField => "unknown-field",
            Self::BadRequest => "bad-request",
            Self::Unauthorized => "unauthorized",
            Self::UnknownPath => "unknown-path",
            Self::MethodNotAllowed => "method-not-allowed",
            Self::UnknownCall => "unknown-call",
            Self::UnknownParty => "unknown-party",
            Self::UnknownId => "unknown-id",
            Self::IdReused => "id-reused",
            Self::CallExists => "call-exists",
            Self::AudioExists => "audio-exists",
            Self::AudioFull => "audio-full",
            Self::PartyExists => "party-exists",
            Self::NotBridged => "not-bridged",
            Self::NotHeld => "not-held",
            Self::CutOverPending => "cut-over-pending",
            Self::AlreadyRecording => "already-recording",
            Self::NotRecording => "not-recording",
            Self::NotTheLatest => "not-the-latest",
            Self::LegGone => "leg-gone",
            Self::NothingToUndo => "nothing-to-undo",
            Self::TooLarge => "too-large",
            Self::Incompatible => "incompatible",
            Self::BadTrigger => "bad-trigger",
            Self::NoDtmf => "no-dtmf",
            Self::PayloadTypeChanged => "payload-type-changed",
            Self::BadAddress => "bad-address",
            Self::BadIce => "bad-ice",
            Self::BadSrtp => "bad-srtp",
            Self::PortUnavailable => "port-unavailable",
            Self::BadChanges => "bad-changes",
            Self::UnknownInterface => "unknown-interface",
            Self::UnknownAudio => "unknown-audio",
            Self::BadAudio => "bad-audio",
            Self::FetchRefused => "fetch-refused",
            Self::FetchFailed => "fetch-failed",
            Self::NoEncoding => "no-encoding",
            Self::RecordingOff => "recording-off",
            Self::BadTags => "bad-tags",
            Self::Refused => "refused",
            Self::PortsExhausted => "ports-exhausted",
            Self::NoRoom => "no-room",
            Self::UnknownTransfer => "unknown-transfer",
            Self::UnknownRecord => "unknown-record",
            Self::RecordsUnavailable => "records-unavailable",
            Self::NotTransferable => "not-transferable",
            Self::SameCall => "same-call",
            Self::OtherWorker => "other-worker",
            Self::BadTarget => "bad-target",
            Self::ForbiddenTarget => "forbidden-target",
            Self::Draining => "draining",
            Self::WorkerUnavailable => "worker-unavailable",
        }
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A refused request. Nothing of it was done.
#[derive(Clone, Debug, PartialEq, Eq, Error, Serialize, Deserialize, ToSchema)]
#[error("{message}")]
pub struct ApiError {
    /// For programs.
    pub code: ErrorCode,
    /// For people: what was wrong, where, and what to do.
    pub message: String,
    /// Index of the command in its batch, where one of them is to blame.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<usize>,
}

impl ApiError {
    /// A refusal.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), command: None }
    }

    /// Says which command of the batch is to blame, unless that has been said already.
    #[must_use]
    pub fn at(mut self, command: usize) -> Self {
        self.command.get_or_insert(command);
        self
    }
}
