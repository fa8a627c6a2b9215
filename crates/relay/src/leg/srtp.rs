//! SRTP of one leg: the keys of both directions, and which packets there were.

use patchcord_srtp::{KeyError, Receiver, Sender, SessionKeys, StreamState};

use super::egress::Protection;
use crate::command::{SrtpKey, SrtpKeys};
use crate::snapshot::{SrtpSnapshot, SrtpStream};
use crate::time::MonoTime;

/// Keys and cryptographic contexts of a leg.
#[derive(Debug)]
pub(crate) struct Srtp {
    receive: Option<Direction<Receiver>>,
    send: Option<Direction<Sender>>,
    /// The leg is one of RTP at present. What was sent is remembered all the same: under its key it must not be sent again.
    suspended: bool,
    failures: Failures,
}

/// One direction.
#[derive(Debug)]
struct Direction<Context> {
    /// What it was made with: the same key again changes nothing.
    key: SrtpKey,
    context: Context,
    /// The key has not been taken back.
    in_force: bool,
}

/// Packets refused that nobody has been told of.
#[derive(Debug, Default)]
struct Failures {
    untold: u32,
    told_at: Option<MonoTime>,
}

impl Failures {
    /// Time between two reports.
    const INTERVAL_NANOS: u64 = 5_000_000_000;

    fn note(&mut self, now: MonoTime) -> Option<u32> {
        self.untold = self.untold.saturating_add(1);
        if self.told_at.is_some_and(|at| now.nanos_since(at) < Self::INTERVAL_NANOS) {
            return None;
        }
        self.told_at = Some(now);
        Some(core::mem::take(&mut self.untold))
    }
}

impl Srtp {
    pub(crate) fn new(keys: &SrtpKeys) -> Result<Self, KeyError> {
        let mut srtp = Self { receive: None, send: None, suspended: false, failures: Failures::default() };
        srtp.renew(keys)?;
        Ok(srtp)
    }

    /// Takes over other keys. Contexts go on under them, unless they are those of a new association.
    pub(crate) fn renew(&mut self, keys: &SrtpKeys) -> Result<(), KeyError> {
        self.suspended = false;
        take_over(&mut self.receive, keys.receive.as_ref(), keys.restart, Receiver::new, Receiver::rekey)?;
        take_over(&mut self.send, keys.send.as_ref(), keys.restart, Sender::new, Sender::rekey)
    }

    /// The leg is one of RTP, until there are keys again.
    pub(crate) const fn suspend(&mut self) {
        self.suspended = true;
    }

    pub(crate) const fn is_in_force(&self) -> bool {
        !self.suspended
    }

    pub(crate) fn protection(&self) -> Protection {
        match self.sender() {
            _ if self.suspended => Protection::Plain,
            Some(_) => Protection::Srtp,
            None => Protection::Awaited,
        }
    }

    pub(crate) fn receiver(&self) -> Option<&Receiver> {
        self.receive.as_ref().filter(|direction| direction.in_force).map(|direction| &direction.context)
    }

    pub(crate) fn receiver_mut(&mut self) -> Option<&mut Receiver> {
        self.receive.as_mut().filter(|direction| direction.in_force).map(|direction| &mut direction.context)
    }

    pub(crate) fn sender(&self) -> Option<&Sender> {
        self.send.as_ref().filter(|direction| direction.in_force).map(|direction| &direction.context)
    }

    pub(crate) fn sender_mut(&mut self) -> Option<&mut Sender> {
        self.send.as_mut().filter(|direction| direction.in_force).map(|direction| &mut direction.context)
    }

    /// A packet was refused: how many were since somebody was told of it, if somebody is to be told now.
    pub(crate) fn note_failure(&mut self, now: MonoTime) -> Option<u32> {
        self.failures.note(now)
    }

    /// Makes room for SSRCs to come.
    pub(crate) fn provide(&mut self) {
        if let Some(receiver) = self.receiver_mut() {
            receiver.provide();
        }
        if let Some(sender) = self.sender_mut() {
            sender.provide();
        }
    }

    pub(crate) fn snapshot(&self) -> SrtpSnapshot {
        let stream = |keys: &SessionKeys, roc: Option<u32>, ssrcs: usize| SrtpStream {
            suite: keys.suite(),
            roc,
            ssrcs: u32::try_from(ssrcs).unwrap_or(u32::MAX),
        };
        let roc = |state: Option<StreamState>| state.map(|state| state.newest.roc());
        SrtpSnapshot {
            receive: self.receiver().map(|one| stream(one.keys(), roc(one.recent()), one.streams().count())),
            send: self.sender().map(|one| stream(one.keys(), roc(one.recent()), one.streams().count())),
            former_key: self.receiver().is_some_and(|one| one.former_keys().is_some()),
        }
    }
}

fn take_over<Context>(
    direction: &mut Option<Direction<Context>>,
    key: Option<&SrtpKey>,
    restart: bool,
    new: impl FnOnce(SessionKeys) -> Context,
    rekey: impl FnOnce(&mut Context, SessionKeys),
) -> Result<(), KeyError> {
    match (direction, key) {
        (Some(direction), None) => direction.in_force = false,
        (None, None) => {}
        (Some(direction), Some(key)) if direction.key == *key => direction.in_force = true,
        (Some(direction), Some(key)) if !restart => {
            rekey(&mut direction.context, key.derive()?);
            direction.key = key.clone();
            direction.in_force = true;
        }
        (direction, Some(key)) => {
            *direction = Some(Direction { key: key.clone(), context: new(key.derive()?), in_force: true });
        }
    }
    Ok(())
}
