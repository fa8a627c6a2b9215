//! One call: it is told what has happened, and what it says is done, in that order.

use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::Arc;

use patchcord_control::api::CallEvent;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::commanding::{Commanded, Outcome};
use super::media_facts::Facts;
use super::merging::{Handed, Wanted};
use super::replacing::Replacing;
use super::timeline::Timeline;
use super::{Handle, Shared};
use crate::call::replaces::Confirmed;
use crate::call::sipfrag::status;
use crate::call::words::{Decision, Receipt, Resolution};
use crate::call::{Act, Call, Input, OwnId, PartyId, Plan, TimerId, TransferId};
use crate::http::CALL_HEADER;
use crate::media::{Legs, MediaError};
use crate::message::{Action, DialogId, Event, Header, Incoming, RequestId, Sdp, Status};

/// Something for a call.
#[derive(Debug)]
pub(super) enum Message {
    /// SIP says it.
    Signal(Event),
    /// The relay says it.
    Media(Arc<CallEvent>),
    /// A webhook has answered, or has not.
    Decided(TransferId, Box<Decision>),
    /// Somebody commands it by the API.
    Command(Box<Commanded>),
    /// Another call wants to take it in.
    Wanted(Wanted),
    /// A call that was wanted, as it stands.
    Handed(Box<Handed>),
    /// One that was wanted for this transfer is not to be had.
    Refused(TransferId, Status),
    /// An INVITE wants to replace a party.
    Replace(Box<Replacing>),
    /// The pivot ends.
    Stop,
}

/// One call.
pub(super) struct Task {
    pub(super) shared: Arc<Shared>,
    pub(super) name: Arc<str>,
    /// Its own, and those of calls that it has taken in.
    pub(super) names: Vec<Arc<str>>,
    /// Tells the call's transfers from those of others.
    pub(super) number: u64,
    pub(super) legs: Legs,
    pub(super) facts: Facts,
    pub(super) parties: BTreeMap<PartyId, Party>,
    /// Requests of ours whose answer the call awaits.
    pub(super) own: BTreeMap<RequestId, OwnId>,
    pub(super) timeline: Timeline,
    /// What has happened while something was done.
    pub(super) happened: Vec<Input>,
    commanded: Vec<Commanded>,
    pub(super) wanted: Vec<Wanted>,
    pub(super) handed: Vec<Handed>,
    replacing: Vec<Replacing>,
    /// The webhook that is asked. Dropping it ends it.
    pub(super) asking: JoinSet<()>,
    timers: BTreeMap<TimerId, Instant>,
    /// Others get a clone, so that answers come back here.
    pub(super) handle: Handle,
    pub(super) inbox: mpsc::UnboundedReceiver<Message>,
}

/// A party, as SIP and the relay have it.
#[derive(Debug)]
pub(super) struct Party {
    pub(super) name: Arc<str>,
    pub(super) dialog: DialogId,
    /// What others name its dialog by, once it is confirmed.
    pub(super) tags: Option<Tags>,
    /// Whom it hears while nothing covers it.
    pub(super) peer: Option<PartyId>,
    pub(super) is_held: bool,
    /// What it hears then, if not the relay's own hold audio.
    pub(super) hold_audio: Option<Arc<str>>,
    /// Whose early media it hears.
    pub(super) early: Option<PartyId>,
    /// The latest swap with it as the survivor.
    pub(super) swap: Option<Swap>,
    /// What its INVITE is answered with, where that had to be known before.
    pub(super) answer: Option<Sdp>,
}

/// Names a dialog (RFC 3261 12).
#[derive(Clone, Debug)]
pub(super) struct Tags {
    pub(super) call_id: Box<str>,
    pub(super) ours: Box<str>,
    pub(super) theirs: Box<str>,
}

/// A swap that was commanded.
#[derive(Clone, Debug)]
pub(super) struct Swap {
    /// The request's id at the relay.
    pub(super) id: String,
    pub(super) new: PartyId,
    /// What has been proven before the survivor heard the new party.
    pub(super) receipts: Vec<Receipt>,
    /// It has happened, and the call knows.
    pub(super) is_done: bool,
}

impl Tags {
    /// Those of the dialog that an INVITE of theirs begins.
    pub(super) fn of(incoming: &Incoming) -> Self {
        Self { call_id: incoming.call_id.clone(), ours: incoming.to_tag.clone(), theirs: incoming.from_tag.clone() }
    }
}

impl Task {
    pub(super) fn new(
        shared: &Arc<Shared>,
        name: &Arc<str>,
        number: u64,
        legs: Legs,
        handle: Handle,
        inbox: mpsc::UnboundedReceiver<Message>,
    ) -> Self {
        Self {
            shared: Arc::clone(shared),
            name: Arc::clone(name),
            names: [Arc::clone(name)].into(),
            number,
            legs,
            facts: Facts::default(),
            parties: BTreeMap::new(),
            own: BTreeMap::new(),
            timeline: Timeline::default(),
            happened: Vec::new(),
            commanded: Vec::new(),
            wanted: Vec::new(),
            handed: Vec::new(),
            replacing: Vec::new(),
            asking: JoinSet::new(),
            timers: BTreeMap::new(),
            handle,
            inbox,
        }
    }

    /// From the INVITE to the end, or until another call takes it in.
    pub(super) async fn run(mut self, dialog: DialogId, mut plan: Plan, incoming: &Incoming) {
        let mut caller = Party::new(super::CALLER.into(), dialog);
        let tags = Tags::of(incoming);
        // The REFER of a transferor that did not wait for the answer can name it.
        let owner = (self.number, dialog);
        self.shared.dialogs().insert(&tags.call_id, &tags.ours, &tags.theirs, Confirmed::EarlyTheirs, owner);
        caller.tags = Some(tags);
        let caller_name = Arc::clone(&caller.name);
        self.parties.insert(Call::CALLER, caller);
        if let Err(error) = self.take_offer(&caller_name, &plan.caller.name, incoming).await {
            let status = error.status();
            tracing::info!(call = %self.name, from = %incoming.from.uri, %error, code = status.code, "call refused");
            self.shared.reject(dialog, status);
            return self.end().await;
        }
        tracing::info!(call = %self.name, from = %incoming.from.uri, to = %incoming.request_uri,
            trunk = %plan.caller.name, "call comes in");
        // Whoever answers names the call by it when it wants something done about it over HTTP.
        plan.dial.headers.retain(|header| !header.name.eq_ignore_ascii_case(CALL_HEADER));
        plan.dial.headers.push(Header { name: CALL_HEADER.into(), value: (&*self.name).into() });
        let mut acts = Vec::new();
        let call = Call::new(self.now(), plan, incoming, &mut acts);
        self.go_on(call, acts).await;
    }

    /// Does what is to be done, and what comes of it, to the end, or until another call takes it in.
    pub(super) async fn go_on(mut self, mut call: Call, mut acts: Vec<Act>) {
        let mut outcomes = Vec::new();
        loop {
            let is_over = self.perform(&call, acts).await;
            outcomes.drain(..).for_each(Outcome::tell);
            if is_over {
                break;
            }
            acts = Vec::new();
            self.wait().await;
            let now = self.now();
            for commanded in core::mem::take(&mut self.commanded) {
                outcomes.push(commanded.carry_out(&mut call, now, &mut acts));
            }
            for input in core::mem::take(&mut self.happened) {
                tracing::debug!(call = %self.name, ?input, "pivot");
                call.handle(now, input, &mut acts);
            }
            for replacing in core::mem::take(&mut self.replacing) {
                self.replace(&mut call, replacing, &mut acts).await;
            }
            for handed in core::mem::take(&mut self.handed) {
                self.take_in(&mut call, handed, &mut acts).await;
            }
            // What it says is done by whoever has it.
            if acts.is_empty() && self.happened.is_empty() {
                outcomes.drain(..).for_each(Outcome::tell);
                let Some(still_here) = self.hand_over(call) else { return };
                (self, call) = still_here;
            }
        }
        self.end().await;
    }

    /// Nothing concerns it any more.
    async fn end(mut self) {
        self.inbox.close();
        while let Ok(message) = self.inbox.try_recv() {
            match message {
                Message::Wanted(wanted) => self.wanted.push(wanted),
                Message::Handed(handed) => self.handed.push(*handed),
                Message::Replace(replacing) => self.replacing.push(*replacing),
                Message::Signal(event) => self.shared.unheard(&event),
                Message::Media(_)
                | Message::Command(_)
                | Message::Decided(..)
                | Message::Refused(..)
                | Message::Stop => {}
            }
        }
        self.wanted.drain(..).for_each(|wanted| wanted.refuse(status(481)));
        self.handed.drain(..).for_each(Handed::resume);
        for Replacing { dialog, .. } in self.replacing.drain(..) {
            self.shared.index().dialogs.remove(&dialog);
            self.shared.reject(dialog, status(481));
        }
        {
            let mut index = self.shared.index();
            for party in self.parties.values() {
                self.shared.forget(party, &mut index);
            }
            for request in self.own.keys() {
                index.requests.remove(request);
            }
        }
        let Self { shared, number, names, legs, facts, .. } = self;
        let state = legs.end().await;
        facts.end(&shared, number, state.as_deref());
        let mut index = shared.index();
        for name in &names {
            index.calls.remove(name);
        }
        index.alive -= 1;
    }

    /// The leg of a caller that comes by this trunk, of the offer in its INVITE, if there is one.
    pub(super) async fn take_offer(
        &mut self,
        caller: &Arc<str>,
        trunk: &str,
        incoming: &Incoming,
    ) -> Result<(), MediaError> {
        let Some(offer) = &incoming.offer else { return Ok(()) };
        self.legs.offered_by(caller, offer).await?;
        let trunk = self.shared.settings.trunks.get(trunk);
        if self.legs.is_secure(caller)
            && !incoming.origin.transport.is_secure()
            && !trunk.is_some_and(|trunk| trunk.allows_srtp_without_tls)
        {
            let why = "offers SRTP and no TLS around it: whoever reads the signalling reads the keys. Use TLS, or set \
                       `srtp_without_tls` of its trunk";
            return Err(MediaError::Srtp { party: Arc::clone(caller), why });
        }
        Ok(())
    }

    /// Waits until something has happened to the call.
    async fn wait(&mut self) {
        while self.happened.is_empty()
            && self.commanded.is_empty()
            && self.wanted.is_empty()
            && self.handed.is_empty()
            && self.replacing.is_empty()
        {
            let next = self.timers.iter().min_by_key(|(_, due)| **due).map(|(timer, due)| (*timer, *due));
            let run_down = async {
                match next {
                    Some((timer, due)) => {
                        tokio::time::sleep_until(due).await;
                        timer
                    }
                    None => core::future::pending().await,
                }
            };
            tokio::select! {
                message = self.inbox.recv() => match message {
                    Some(Message::Signal(event)) => self.signalled(event).await,
                    Some(Message::Media(event)) => self.media_said(&event),
                    Some(Message::Decided(transfer, decision)) => self.happened.push(Input::Decision(transfer, *decision)),
                    Some(Message::Command(commanded)) => self.commanded.push(*commanded),
                    Some(Message::Wanted(wanted)) => self.wanted.push(wanted),
                    Some(Message::Handed(handed)) => self.handed.push(*handed),
                    Some(Message::Refused(transfer, status)) => {
                        self.happened.push(Input::Resolved(transfer, Resolution::Refused(status)));
                    }
                    Some(Message::Replace(replacing)) => self.replacing.push(*replacing),
                    Some(Message::Stop) => self.hang_up(),
                    // It holds a sender itself.
                    None => return,
                },
                timer = run_down => {
                    self.timers.remove(&timer);
                    self.happened.push(Input::Timer(timer));
                }
            }
        }
    }

    /// Does what the call says; `true`: it is over.
    async fn perform(&mut self, call: &Call, acts: Vec<Act>) -> bool {
        let mut answers = Vec::new();
        for act in acts {
            tracing::debug!(call = %self.name, ?act, "pivot");
            match act {
                Act::Accept(party) => answers.extend(self.answer_for(party).await),
                Act::StartTimer(timer, after) => drop(self.timers.insert(timer, Instant::now() + after)),
                Act::StopTimer(timer) => drop(self.timers.remove(&timer)),
                Act::Media(media) => self.bridge(media).await,
                Act::Transfer(record) => {
                    let (transfer, state) = (record.id, record.state);
                    self.transfer_stands(*record);
                    self.transfer_is_kept(transfer, state).await;
                }
                Act::Record(record) => self.shared.book.call(&self.name, self.number, *record),
                Act::Over => return true,
                act => {
                    answers.drain(..).for_each(|answer| self.shared.stack.act(answer));
                    self.signal(call, act).await;
                }
            }
        }
        answers.into_iter().for_each(|answer| self.shared.stack.act(answer));
        false
    }

    /// Hangs everybody up, whatever is going on.
    pub(super) fn hang_up(&mut self) {
        let parties: Vec<_> = self.parties.iter().map(|(id, party)| (*id, party.dialog)).collect();
        for (party, dialog) in parties {
            // Whichever of the three fits: the others are left out for a dialog in that state.
            self.shared.stack.act(Action::Cancel(dialog, None));
            self.shared.reject(dialog, status(503));
            self.bye(dialog, None);
            self.happened.push(Input::Ended(party, None));
        }
    }

    pub(super) fn now(&self) -> Duration {
        self.shared.started.elapsed()
    }

    /// The party of a dialog.
    pub(super) fn party_of(&self, dialog: DialogId) -> Option<PartyId> {
        self.parties.iter().find(|(_, party)| party.dialog == dialog).map(|(id, _)| *id)
    }
}

impl Party {
    pub(super) const fn new(name: Arc<str>, dialog: DialogId) -> Self {
        Self {
            name,
            dialog,
            tags: None,
            peer: None,
            is_held: false,
            hold_audio: None,
            early: None,
            swap: None,
            answer: None,
        }
    }
}
