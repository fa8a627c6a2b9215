//! What is known of a transfer that is going on.

use core::time::Duration;
use std::collections::VecDeque;
use std::sync::Arc;

use super::number::Number;
use super::plan::{Method, OnFail, Shown};
use super::record::TransferRecord;
use super::refer_to::addr_spec;
use super::route::{Routed, Rule, TargetKind, route};
use super::trunk::Trunk;
use super::uri::Uri;
use super::words::{OwnId, PartyId};
use crate::message::{Header, Refer, RequestId, Status};

/// A transfer has no more targets.
pub(crate) const MOST_TARGETS: usize = 16;

/// How far a transfer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The controller is asked.
    Asking,
    /// The dialog of a `Replaces` is looked for.
    Resolving,
    /// The REFER is with the other side: it was sent on, or is our own.
    Referring { own: OwnId, is_taken: bool },
    /// Targets are called.
    Ringing,
    /// Transferor and target talk.
    Consulting(PartyId),
    /// Transferee and target talk, and the transferor whispers.
    Whispering(PartyId),
    /// All three talk.
    Conferencing(PartyId),
    /// A swap waits. It is forced once its first packet has been waited for in vain.
    Connecting { target: PartyId, is_forced: bool },
}

/// A transfer that is going on.
#[derive(Debug)]
pub(super) struct Transfer {
    pub(super) record: TransferRecord,
    /// So many failures were in the record when it was last told.
    pub(super) told_failures: usize,
    pub(super) transferor: PartyId,
    pub(super) transferee: PartyId,
    /// It came by REFER, whose sender ends its own dialog when it is done.
    pub(super) is_referred: bool,
    /// The REFER, until it has been answered.
    pub(super) pending: Option<(RequestId, Box<Refer>)>,
    pub(super) step: Step,
    /// Targets that are not called yet.
    pub(super) waiting: VecDeque<Target>,
    /// Those that are.
    pub(super) ringing: Vec<PartyId>,
    pub(super) at_once: bool,
    /// The transferee hears hold audio, or what covers it.
    pub(super) is_held: bool,
    pub(super) hold_audio: Option<Arc<str>>,
    /// The transferee was put on hold then.
    pub(super) waits_since: Option<Duration>,
    /// A ringing tone is heard.
    pub(super) rings: bool,
    /// Whose early media is heard.
    pub(super) early: Option<PartyId>,
    /// The transferor's other dialog, in an attended transfer.
    pub(super) consultation: Option<PartyId>,
    pub(super) ring: Duration,
    pub(super) detection: Option<Duration>,
    pub(super) on_fail: OnFail,
    pub(super) shown: Option<Shown>,
    pub(super) headers: Vec<Header>,
    pub(super) referred_by: Option<Box<str>>,
    /// What the transferor is told if nothing comes of it.
    pub(super) worst: Option<Status>,
}

impl Transfer {
    /// Whether it is of this transfer's concern that a party leaves.
    pub(super) fn needs(&self, party: PartyId) -> bool {
        party == self.transferor
            || party == self.transferee
            || self.target() == Some(party)
            || self.consultation == Some(party)
    }

    /// The target that has answered.
    pub(super) const fn target(&self) -> Option<PartyId> {
        match self.step {
            Step::Consulting(target)
            | Step::Whispering(target)
            | Step::Conferencing(target)
            | Step::Connecting { target, .. } => Some(target),
            Step::Asking | Step::Resolving | Step::Referring { .. } | Step::Ringing => None,
        }
    }

    pub(super) fn is_warm(&self) -> bool {
        self.record.method == Method::Warm
    }

    /// Keeps what the transferor is told at the end: of several, what RFC 3261 16.7 would choose.
    pub(super) fn worsen(&mut self, status: &Status) {
        let rank = |code: u16| if code >= 600 { 0 } else { code };
        if self.worst.as_ref().is_none_or(|worst| rank(status.code) < rank(worst.code)) || !self.at_once {
            self.worst = Some(status.clone());
        }
    }
}

/// Whom to call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    /// As asked for.
    pub(super) asked: Box<str>,
    pub(super) routed: Routed,
    /// `Replaces` and what was embedded.
    pub(super) headers: Vec<Header>,
}

impl Target {
    pub(super) fn kind(&self) -> TargetKind {
        self.routed.kind
    }

    /// A target that somebody names: a number or a URI.
    pub(super) fn named(text: &str, by: &Trunk, numbers: &Trunk) -> Result<Self, TargetError> {
        let uri = uri_of(text)?;
        let routed = route(&uri, by, numbers).map_err(TargetError::Rule)?;
        Ok(Self { asked: text.into(), routed, headers: Vec::new() })
    }
}

/// Why a text names no target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum TargetError {
    Text(Box<str>),
    Rule(Rule),
}

/// The URI that a number or a URI is. Whether it may be called is for the trunk's rules.
///
/// # Errors
/// Why it names nobody.
pub(crate) fn target_uri(text: &str) -> Result<Box<str>, Box<str>> {
    match uri_of(text) {
        Ok(uri) => Ok(uri.to_string().into()),
        Err(TargetError::Text(why)) => Err(why),
        Err(TargetError::Rule(rule)) => Err(rule.as_str().into()),
    }
}

/// The URI that a number or a URI is.
pub(super) fn uri_of(text: &str) -> Result<Uri, TargetError> {
    if let Some(number) = Number::of(text.trim()) {
        let tel = format!("tel:{}", number.as_str());
        return tel.parse::<Uri>().map_err(|error| TargetError::Text(error.to_string().into()));
    }
    let uri = addr_spec(text).map_err(|error| TargetError::Text(error.to_string().into()))?;
    uri.parse::<Uri>().map_err(|error| TargetError::Text(error.to_string().into()))
}
