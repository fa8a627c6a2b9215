//! Two calls become one: the task of a call that is named by a REFER in another one hands all it has over to that one's task.
//!
//! Nobody waits for anybody. A task that is asked either hands over itself and is done, or refuses; what it was is in one message, which
//! its new owner takes in or sets going again as it was. What is on its way to its dialogs is passed on in its order, because whoever
//! sends looks up to whom, and sends, under the same lock under which this changes.

use std::collections::BTreeMap;
use std::sync::Arc;

use patchcord_control::ErrorCode;
use tokio::sync::mpsc;

use super::Handle;
use super::task::{Message, Swap, Task};
use crate::call::sipfrag::status;
use crate::call::words::Resolution;
use crate::call::{Act, Call, Input, Merged, PartyId, TransferId};
use crate::media::MediaError;
use crate::message::{DialogId, Status};

/// Another call wants this one.
#[derive(Debug)]
pub(super) struct Wanted {
    /// For which of its transfers.
    pub(super) transfer: TransferId,
    /// The transferor's dialog here.
    pub(super) dialog: DialogId,
    /// Who is answered, by [`Message::Handed`] or [`Message::Refused`].
    pub(super) asker: Handle,
}

/// A call as it stands.
pub(super) struct Handed {
    task: Task,
    call: Call,
    /// Whose dialog was named.
    matched: PartyId,
    transfer: TransferId,
}

impl core::fmt::Debug for Handed {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Handed").field("call", &self.task.name).finish_non_exhaustive()
    }
}

impl Handed {
    /// It goes on as it was.
    pub(super) fn resume(self) {
        let Self { task, call, .. } = self;
        drop(tokio::spawn(async move { task.go_on(call, Vec::new()).await }));
    }
}

impl Wanted {
    pub(super) fn refuse(self, status: Status) {
        // Whoever asked may be over.
        let _ = self.asker.send(Message::Refused(self.transfer, status));
    }
}

impl Task {
    /// Asks the call of a dialog to hand itself over.
    pub(super) fn want(&self, transfer: TransferId, dialog: DialogId) -> Result<(), Status> {
        let wanted = Wanted { transfer, dialog, asker: self.handle.clone() };
        let index = self.shared.index();
        let handle = index.dialogs.get(&dialog).ok_or_else(|| status(481))?;
        handle.send(Message::Wanted(wanted)).map_err(|_| status(481))
    }

    /// Hands the call over to whoever wants it, if it is in no transfer; `None`: it is somebody else's now.
    pub(super) fn hand_over(self, call: Call) -> Option<(Self, Call)> {
        let (mut task, mut call) = (self, call);
        while let Some(wanted) = task.wanted.pop() {
            let Some(matched) = task.party_of(wanted.dialog) else {
                wanted.refuse(status(481));
                continue;
            };
            if call.transfer().is_some() {
                wanted.refuse(status(491));
                continue;
            }
            let handed = Handed { task, call, matched, transfer: wanted.transfer };
            match wanted.asker.send(Message::Handed(Box::new(handed))) {
                Err(mpsc::error::SendError(Message::Handed(handed))) => Handed { task, call, .. } = *handed,
                _ => return None,
            }
        }
        Some((task, call))
    }

    /// Takes a call in that was asked for, or lets it go on as it was.
    pub(super) async fn take_in(&mut self, call: &mut Call, handed: Handed, acts: &mut Vec<Act>) {
        let transfer = handed.transfer;
        if let Err(status) = self.try_take_in(call, handed, acts).await {
            self.happened.push(Input::Resolved(transfer, Resolution::Refused(status)));
        }
    }

    async fn try_take_in(&mut self, call: &mut Call, mut handed: Handed, acts: &mut Vec<Act>) -> Result<(), Status> {
        let renames = match call.may_merge(&handed.call, handed.matched) {
            // It took too long, and is decided otherwise by now.
            Ok(()) if call.transfer() != Some(handed.transfer) => Err(status(481)),
            Ok(()) => Ok(handed.task.renames(&call.names_of(&handed.call))),
            Err(status) => Err(status),
        };
        let merged = match renames {
            Ok(renames) => self.legs.merge(&mut handed.task.legs, renames).await.map_err(|error| {
                tracing::warn!(call = %self.name, other = %handed.task.name, %error, "the relay does not make two calls one");
                refusal(&error)
            }),
            Err(status) => Err(status),
        };
        if let Err(status) = merged {
            handed.resume();
            return Err(status);
        }
        let Handed { task: other, call: theirs, matched, .. } = handed;
        let now = self.now();
        match call.merge(now, theirs, matched, acts) {
            Ok(merged) => {
                self.take_over(call, other, merged);
                Ok(())
            }
            // It was judged above, and nothing has happened since.
            Err((_, status)) => {
                tracing::error!(call = %self.name, other = %other.name, code = status.code, "a call is lost");
                Err(status)
            }
        }
    }

    /// What the relay has to call legs otherwise: from what to what.
    fn renames(&self, names: &[(PartyId, Arc<str>)]) -> BTreeMap<String, String> {
        let renamed = names.iter().filter_map(|(id, name)| {
            let was = &self.parties.get(id)?.name;
            (was != name && self.legs.has(was)).then(|| (was.to_string(), name.to_string()))
        });
        renamed.collect()
    }

    /// Its dialogs, requests and names are of this call, and what is on its way to it comes here.
    fn take_over(&mut self, call: &Call, mut other: Self, merged: Merged) {
        tracing::info!(call = %self.name, other = %other.name, "two calls are one");
        let here = |party: PartyId| merged.parties.iter().find_map(|&(was, is)| (was == party).then_some(is));
        let mut renames = BTreeMap::new();
        for (was, mut party) in core::mem::take(&mut other.parties) {
            let Some(is) = here(was) else { continue };
            renames.insert(core::mem::replace(&mut party.name, call.name(is)), call.name(is));
            party.peer = party.peer.and_then(here);
            party.early = party.early.and_then(here);
            // What it proves later is of a transfer of the other call.
            party.swap =
                party.swap.and_then(|swap| Some(Swap { new: here(swap.new)?, ..swap })).filter(|swap| !swap.is_done);
            if let Some(tags) = &party.tags {
                self.shared.dialogs().give(&tags.call_id, &tags.ours, &tags.theirs, (self.number, party.dialog));
            }
            self.parties.insert(is, party);
        }
        self.timeline.take_in(core::mem::take(&mut other.timeline), here, |party| call.name(party));
        self.facts.take_in(core::mem::take(&mut other.facts), &renames);
        let shared = Arc::clone(&self.shared);
        shared.traces.merge(self.number, other.number, &renames);
        let mut index = shared.index();
        for party in self.parties.values() {
            index.dialogs.insert(party.dialog, self.handle.clone());
        }
        for (request, was) in core::mem::take(&mut other.own) {
            let Some(&(_, is)) = merged.requests.iter().find(|(of, _)| *of == was) else {
                index.requests.remove(&request);
                continue;
            };
            // Its answer may be in the inbox already.
            if let Some(handle) = index.requests.get_mut(&request) {
                *handle = self.handle.clone();
            }
            self.own.insert(request, is);
        }
        for name in &other.names {
            index.calls.insert(Arc::clone(name), (self.number, self.handle.clone()));
        }
        self.names.append(&mut other.names);
        index.alive -= 1;
        other.inbox.close();
        while let Ok(message) = other.inbox.try_recv() {
            let passed_on = match message {
                Message::Signal(_) | Message::Wanted(_) | Message::Stop => message,
                Message::Replace(replacing) => {
                    index.dialogs.insert(replacing.dialog, self.handle.clone());
                    Message::Replace(replacing)
                }
                Message::Handed(handed) => {
                    handed.resume();
                    continue;
                }
                // They are about a call that is no more, or a transfer that it does not have.
                Message::Media(_) | Message::Command(_) | Message::Decided(..) | Message::Refused(..) => continue,
            };
            // It is here, so it is not closed.
            let _ = self.handle.send(passed_on);
        }
        drop(index);
        other.wanted.drain(..).for_each(|wanted| drop(self.handle.send(Message::Wanted(wanted))));
        other.handed.drain(..).for_each(Handed::resume);
        self.shared.book.call(&other.name, other.number, merged.record);
    }
}

/// What a REFER is refused with when the relay does not make the two calls one.
fn refusal(error: &MediaError) -> Status {
    match error {
        MediaError::Relay(error) if error.code == ErrorCode::OtherWorker => {
            Status { code: 503, phrase: "The Two Calls Are on Different Workers".into() }
        }
        error => error.status(),
    }
}
