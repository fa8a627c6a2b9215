//! What a call is begun with, and what may be commanded of it.

use core::time::Duration;
use std::sync::Arc;

use super::billing::Direction;
use super::route::{Rule, Via};
use super::trunk::{CallerId, Trunk};
use super::words::{Dial, PartyId, TransferId};
use crate::message::{Address, Header};

/// Where a call goes, and by which rules.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The trunk that the caller came by.
    pub caller: Arc<Trunk>,
    /// The trunk of whom it is for.
    pub callee: Arc<Trunk>,
    /// The trunk by which numbers are dialled.
    pub numbers: Arc<Trunk>,
    /// What the called party is named: `agent`.
    pub callee_name: Arc<str>,
    /// The INVITE to it.
    pub dial: Dial,
    /// Which way the call goes.
    pub direction: Direction,
    /// Who is called for a transferee whose targets have failed and whose transferor has left: a number or URI.
    pub last_resort: Option<Box<str>>,
    /// How long is waited.
    pub timing: Timing,
}

/// How long is waited for what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// For the called party to answer.
    pub answer: Duration,
    /// For a target to answer.
    pub ring: Duration,
    /// For a human to be heard at a target; not at all if none.
    pub detection: Option<Duration>,
    /// For a target's first packet, before it is joined without.
    pub first_packet: Duration,
    /// For a controller. Less than 32 s, in which a REFER has to be answered (RFC 3261 17.1.2.2).
    pub decision: Duration,
    /// For the transferor's BYE after the final NOTIFY.
    pub grace: Duration,
    /// For a REFER of ours to lead to a final NOTIFY.
    pub refer: Duration,
    /// For whatever the SIP stack has to say in its own time.
    pub settle: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            answer: Duration::from_secs(120),
            ring: Duration::from_secs(30),
            detection: None,
            first_packet: Duration::from_secs(3),
            decision: Duration::from_secs(5),
            grace: Duration::from_secs(3),
            refer: Duration::from_secs(60),
            settle: Duration::from_secs(40),
        }
    }
}

/// How a transfer is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// The transferee is sent a REFER.
    Refer,
    /// The target is called and takes the transferor's place.
    Invite,
    /// The target is called and talks with the transferor first.
    Warm,
    /// A REFER that came in, done by the pivot.
    Pivot,
    /// A REFER that came in, sent on.
    Forward,
    /// A REFER or an INVITE with `Replaces`.
    Attended,
}

impl Method {
    /// Its name on records and in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Refer => "refer",
            Self::Invite => "invite",
            Self::Warm => "warm",
            Self::Pivot => "pivot",
            Self::Forward => "forward",
            Self::Attended => "attended",
        }
    }
}

/// What becomes of the transferee when no target could be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum OnFail {
    /// Back to the transferor.
    #[default]
    Resume,
    /// Everybody is hung up.
    HangUp,
}

/// Whom the target is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shown {
    /// One of the two.
    Party(CallerId),
    /// Somebody else.
    Address(Address),
}

/// A transfer that somebody commands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransferCommand {
    /// `refer`, `invite` or `warm`.
    pub method: Method,
    /// Who is transferred, if somebody is named; else the caller, or the number that it has called ([`Direction::Termination`]).
    pub transferee: Option<PartyId>,
    /// Numbers, or sip:, sips: and tel: URIs.
    pub targets: Vec<Box<str>>,
    /// All are called at the same time, and whoever answers first has it; else one after another.
    pub at_once: bool,
    /// Whom targets are shown, if not as the trunk has it.
    pub shown: Option<Shown>,
    /// `X-` header fields for targets.
    pub headers: Vec<Header>,
    /// How long each may ring.
    pub ring: Option<Duration>,
    /// How long a human is waited for.
    pub detection: Option<Duration>,
    /// What the transferee hears meanwhile, if not what the trunk says.
    pub hold_audio: Option<Arc<str>>,
    /// When no target could be had.
    pub on_fail: OnFail,
}

impl TransferCommand {
    /// A command with nothing special.
    #[must_use]
    pub fn new(method: Method, target: &str) -> Self {
        Self {
            method,
            transferee: None,
            targets: [target.into()].into(),
            at_once: false,
            shown: None,
            headers: Vec::new(),
            ring: None,
            detection: None,
            hold_audio: None,
            on_fail: OnFail::default(),
        }
    }

    /// Settings that have no effect in the method, by their names in the API.
    #[must_use]
    pub fn without_effect(&self) -> Vec<&'static str> {
        let is_refer = self.method == Method::Refer;
        let settings = [
            ("show_transferee_as_caller", is_refer && self.shown.is_some()),
            ("hold_audio", is_refer && self.hold_audio.is_some()),
            ("ring_duration_ms", is_refer && self.ring.is_some()),
            ("agent_detection_timeout_ms", self.method != Method::Invite && self.detection.is_some()),
            ("at_once", (is_refer || self.targets.len() < 2) && self.at_once),
        ];
        settings.into_iter().filter(|&(_, is_idle)| is_idle).map(|(name, _)| name).collect()
    }
}

/// Something that somebody commands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Begins a transfer.
    Transfer(Box<TransferCommand>),
    /// Takes one back that is not complete: the transferee returns to the transferor.
    Cancel(TransferId),
    /// The transferor leaves the two others to each other.
    Complete(TransferId),
    /// All three hear each other.
    Conference(TransferId),
    /// Transferee and target hear each other, and the transferor is heard by the target alone; or, off, back to the consultation.
    Whisper(TransferId, bool),
}

/// Why a command does nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CommandError {
    /// There is nobody to be transferred.
    #[error("nobody is connected with the transferee; transfer after the call is answered")]
    NotConnected,
    /// One at a time.
    #[error("the call is being transferred; wait until that is over, or cancel it")]
    InTransfer,
    /// Over, or never there.
    #[error("there is no such transfer, or it is over")]
    NoTransfer,
    /// Not in this state.
    #[error("the transfer is not in a state for this: it is {0}")]
    NotNow(&'static str),
    /// Only `refer`, `invite` and `warm` can be commanded.
    #[error("the method is refer, invite or warm")]
    Method,
    /// None or too many.
    #[error("a transfer has 1 to {most} targets, not {0}", most = super::transfer::MOST_TARGETS)]
    Targets(usize),
    /// A target that cannot be called.
    #[error("{0:?} is no target: {1}")]
    Target(Box<str>, Box<str>),
    /// A rule forbids it.
    #[error("the rule {} forbids it", .0.as_str())]
    Rule(Rule),
}

impl Dial {
    /// A call straight to a SIP URI from somebody, without anything special.
    #[must_use]
    pub fn direct(uri: &str, from: &Address) -> Self {
        Self {
            via: Via::Direct,
            request_uri: uri.into(),
            to: Address { display: "".into(), uri: uri.into() },
            from: from.clone(),
            asserted: None,
            headers: Vec::new(),
        }
    }
}
