//! What is kept of a call and of its transfers: a parent and its children, which name each other.

use core::time::Duration;
use std::sync::Arc;

use super::billing::{Bill, Direction};
use super::explain::{Explanation, Failure};
use super::plan::Method;
use super::route::{Rule, TargetKind};
use super::words::{Receipt, TransferId};
use crate::message::{Address, Reason};

/// What is kept of a call. Times are since the driver's beginning of time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallRecord {
    /// The caller's Call-ID.
    pub call_id: Box<str>,
    /// The trunk that it came by.
    pub caller_trunk: Arc<str>,
    /// The trunk that it went by.
    pub callee_trunk: Arc<str>,
    /// Which way it went.
    pub direction: Direction,
    /// Who called.
    pub caller: Address,
    /// Who was called.
    pub callee: Address,
    /// When the INVITE came.
    pub began: Duration,
    /// When it was answered.
    pub answered: Option<Duration>,
    /// When it was over.
    pub ended: Option<Duration>,
    /// Why, if somebody said.
    pub reason: Option<Reason>,
    /// The SIP code, if it was not answered.
    pub refused: Option<u16>,
    /// Its transfers, refused ones too; the latest so many.
    pub transfers: Vec<TransferId>,
}

/// How a transfer stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransferState {
    /// The controller is asked, or the dialog of a `Replaces` is looked for.
    Deciding,
    /// A REFER is with the other side.
    Referring,
    /// The target is called.
    Ringing,
    /// Transferor and target talk.
    Consulting,
    /// Transferee and target talk, and the transferor whispers to the target.
    Whispering,
    /// All three talk.
    Conferencing,
    /// The target has answered, and its media is waited for.
    Connecting,
    /// Done.
    Done,
    /// Never begun.
    Refused,
    /// No target could be had.
    Failed,
    /// Taken back, or the transferee is gone.
    Cancelled,
}

impl TransferState {
    /// Its name on records and in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Deciding => "deciding",
            Self::Referring => "referring",
            Self::Ringing => "ringing",
            Self::Consulting => "consulting",
            Self::Whispering => "whispering",
            Self::Conferencing => "conferencing",
            Self::Connecting => "connecting",
            Self::Done => "done",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether it can still change.
    #[must_use]
    pub const fn is_over(self) -> bool {
        matches!(self, Self::Done | Self::Refused | Self::Failed | Self::Cancelled)
    }
}

/// Where the method came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChosenBy {
    /// A REFER, by the trunk's setting.
    Refer,
    /// A controller.
    Controller,
    /// A command.
    Command,
    /// An INVITE with `Replaces`.
    Invite,
}

impl ChosenBy {
    /// Its name on records and in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Refer => "refer",
            Self::Controller => "controller",
            Self::Command => "command",
            Self::Invite => "invite",
        }
    }
}

impl TransferRecord {
    /// Why it came to nothing, by the latest target that could not be had; nothing if it did not.
    #[must_use]
    pub fn explain(&self) -> Option<Explanation> {
        let failed = !matches!(self.state, TransferState::Done);
        self.failures.last().filter(|_| failed && self.state.is_over()).map(Failure::explain)
    }
}

/// What is kept of a transfer: the child of its call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransferRecord {
    /// Its name in the call.
    pub id: TransferId,
    /// How it was made.
    pub method: Method,
    /// Who said so.
    pub chosen_by: ChosenBy,
    /// Who transferred.
    pub transferor: Arc<str>,
    /// Who was transferred.
    pub transferee: Arc<str>,
    /// Who took the place.
    pub target: Option<Arc<str>>,
    /// What kind of target was tried last.
    pub kind: Option<TargetKind>,
    /// `Refer-To` as written, or the target as commanded.
    pub refer_to: Box<str>,
    /// How it stands.
    pub state: TransferState,
    /// When it was asked for.
    pub began: Duration,
    /// When the target took the place.
    pub connected: Option<Duration>,
    /// When it was over.
    pub ended: Option<Duration>,
    /// The rule that refused it.
    pub rule: Option<Rule>,
    /// Targets that could not be had, in the order in which that was known.
    pub failures: Vec<Failure>,
    /// The cut-over's.
    pub receipts: Vec<Receipt>,
    /// So long the transferee heard hold audio, ringing or early media, in the end with pauses in which it talked.
    pub waited: Duration,
    /// The transferor hung up before it was decided.
    pub transferor_left: bool,
    /// The transferor would have no NOTIFY.
    pub notify_refused: bool,
    /// Settings and header fields that had no effect.
    pub without_effect: Vec<Box<str>>,
    /// How it is billed, if it was done.
    pub bill: Option<Bill>,
}
