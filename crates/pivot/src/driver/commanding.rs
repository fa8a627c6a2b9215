//! Transfers that clients command.

use core::fmt;
use core::str::FromStr;
use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};

use patchcord_control::{ApiError, ErrorCode};
use tokio::sync::oneshot;

use super::task::Message;
use super::{Handle, Pivot};
use crate::call::{Act, Call, Command, CommandError, PartyView, TransferCommand, TransferId};
use crate::http::{BeginTransfer, refused};

/// So many ids of clients are remembered.
const IDS_MAX: usize = 1024;

/// Names a transfer: `7-1` is the first of the seventh call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransferKey {
    /// The call, by its number.
    pub call: u64,
    /// The transfer within the call.
    pub transfer: TransferId,
}

impl fmt::Display for TransferKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.call, self.transfer.0)
    }
}

impl FromStr for TransferKey {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (call, transfer) = text.split_once('-').ok_or(())?;
        let transfer = TransferId(transfer.parse().map_err(|_| ())?);
        Ok(Self { call: call.parse().map_err(|_| ())?, transfer })
    }
}

/// A command on its way to a call.
#[derive(Debug)]
pub(super) struct Commanded {
    command: Command,
    /// Who is transferred, by its name, where the command does not say.
    transferee: Option<String>,
    answer: oneshot::Sender<Result<TransferKey, CommandError>>,
    number: u64,
}

/// What came of a command, for whoever gave it.
pub(super) struct Outcome {
    answer: oneshot::Sender<Result<TransferKey, CommandError>>,
    done: Result<TransferKey, CommandError>,
}

impl Commanded {
    /// Has the call do it.
    pub(super) fn carry_out(mut self, call: &mut Call, now: Duration, acts: &mut Vec<Act>) -> Outcome {
        let Self { answer, number, .. } = self;
        if let (Command::Transfer(transfer), Some(name)) = (&mut self.command, self.transferee) {
            let is_named = |view: &PartyView| *view.name == *name;
            transfer.transferee = call.parties().find(|(_, view)| is_named(view)).map(|(party, _)| party);
            if transfer.transferee.is_none() {
                return Outcome { answer, done: Err(CommandError::NotConnected) };
            }
        }
        let done = call.command(now, self.command, acts);
        Outcome { answer, done: done.map(|transfer| TransferKey { call: number, transfer }) }
    }
}

impl Outcome {
    /// Answers: what the command has changed can be seen by now.
    pub(super) fn tell(self) {
        // Whoever asked may be gone.
        let _ = self.answer.send(self.done);
    }
}

/// What clients' ids stand for.
#[derive(Debug, Default)]
pub(super) struct Remembered {
    by_id: BTreeMap<String, (BeginTransfer, TransferKey)>,
    order: VecDeque<String>,
}

impl Remembered {
    fn get(&self, request: &BeginTransfer) -> Result<Option<TransferKey>, ApiError> {
        match self.by_id.get(&request.id) {
            None => Ok(None),
            Some((known, key)) if known == request => Ok(Some(*key)),
            Some(_) => Err(ApiError::new(
                ErrorCode::IdReused,
                format!("id {:?} was used for another transfer; choose a new one", request.id),
            )),
        }
    }

    fn remember(&mut self, request: &BeginTransfer, key: TransferKey) {
        if self.order.len() >= IDS_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.by_id.remove(&oldest);
        }
        self.order.push_back(request.id.clone());
        self.by_id.insert(request.id.clone(), (request.clone(), key));
    }
}

impl Pivot {
    /// Begins a transfer; once, however often the same is asked for.
    ///
    /// # Errors
    /// There is no such call, it is not in a state for this, or a rule forbids it.
    pub async fn begin(&self, request: &BeginTransfer, transfer: TransferCommand) -> Result<TransferKey, ApiError> {
        if let Some(key) = self.shared.index().begun_by_id.get(request)? {
            return Ok(key);
        }
        let call = self.shared.index().calls.get(request.call.as_str()).cloned();
        let unknown = || {
            let call = &request.call;
            ApiError::new(
                ErrorCode::UnknownCall,
                format!("the pivot has no call {call}; it knows calls by their Call-ID"),
            )
        };
        let (number, handle) = call.ok_or_else(unknown)?;
        let transferee = request.transferee.clone();
        let command = Command::Transfer(Box::new(transfer));
        let key = ask(&handle, number, command, transferee).await.ok_or_else(unknown)??;
        self.shared.index().begun_by_id.remember(request, key);
        Ok(key)
    }

    /// Commands something of a transfer that is under way.
    ///
    /// # Errors
    /// It is over, or not in a state for this.
    pub async fn command(&self, key: &TransferKey, command: Command) -> Result<TransferKey, ApiError> {
        let over = || ApiError::new(ErrorCode::UnknownTransfer, format!("the call of transfer {key} is over"));
        let call = self.shared.index().calls.values().find(|(number, _)| *number == key.call).cloned();
        let (_, handle) = call.ok_or_else(over)?;
        ask(&handle, key.call, command, None).await.ok_or_else(over)?
    }
}

/// `None`: the call is over.
async fn ask(
    handle: &Handle,
    number: u64,
    command: Command,
    transferee: Option<String>,
) -> Option<Result<TransferKey, ApiError>> {
    let (answer, answered) = oneshot::channel();
    let commanded = Commanded { command, transferee, answer, number };
    handle.send(Message::Command(Box::new(commanded))).ok()?;
    let answer = answered.await.ok()?;
    Some(answer.map_err(|error| refused(&error)))
}
