//! The call itself: its parties, who is connected with whom, its timers, and how it ends.

use core::time::Duration;
use std::collections::BTreeSet;
use std::sync::Arc;

use super::explain::By;
use super::party::{Party, PartyState, PartyView};
use super::plan::Plan;
use super::record::CallRecord;
use super::sipfrag::status;
use super::subscription::Subscription;
use super::transfer::Transfer;
use super::words::{Act, Input, MediaAct, MediaInput, OwnId, PartyId, TimerId, TransferId};
use crate::message::{Incoming, Reason, Rejection, Status};

/// A call and its transfers. Told what has happened by [`Call::handle`] and [`Call::command`], it says what is to be done.
///
/// It is driven by one caller at a time. What it says is to be done is done in that order. After [`Act::Over`] it does nothing any more.
#[derive(Debug)]
pub struct Call {
    pub(super) now: Duration,
    pub(super) plan: Plan,
    /// A party's id is its place. None is removed, so that what comes late is known to be late.
    pub(super) parties: Vec<Party>,
    /// The called party, until it has answered.
    pub(super) callee: Option<PartyId>,
    /// Who is connected with whom, whatever each hears at the moment.
    pub(super) talks: Vec<(PartyId, PartyId)>,
    pub(super) transfer: Option<Box<Transfer>>,
    pub(super) subscriptions: Vec<Subscription>,
    pub(super) timers: BTreeSet<TimerId>,
    pub(super) next_own: u32,
    pub(super) next_transfer: u32,
    /// Transfers that were begun.
    pub(super) begun: u32,
    pub(super) next_target: u32,
    pub(super) is_over: bool,
    pub(super) record: CallRecord,
    pub(super) acts: Vec<Act>,
}

impl Call {
    /// The caller, in every call.
    pub const CALLER: PartyId = PartyId(0);

    /// A call that has come in and goes where the plan says. The called party is dialled.
    #[must_use]
    pub fn new(now: Duration, plan: Plan, incoming: &Incoming, acts: &mut Vec<Act>) -> Self {
        let caller = Party::new(
            "caller".into(),
            incoming.asserted.first().unwrap_or(&incoming.from).clone(),
            Arc::clone(&plan.caller),
            PartyState::Inviting,
            now,
        );
        let record = CallRecord {
            call_id: incoming.call_id.clone(),
            caller_trunk: Arc::clone(&plan.caller.name),
            callee_trunk: Arc::clone(&plan.callee.name),
            direction: plan.direction,
            caller: caller.address.clone(),
            callee: plan.dial.to.clone(),
            began: now,
            answered: None,
            ended: None,
            reason: None,
            refused: None,
            transfers: Vec::new(),
        };
        let mut call = Self {
            now,
            parties: [caller].into(),
            callee: None,
            talks: Vec::new(),
            transfer: None,
            subscriptions: Vec::new(),
            timers: BTreeSet::new(),
            next_own: 0,
            next_transfer: 0,
            begun: 0,
            next_target: 0,
            is_over: false,
            record,
            acts: Vec::new(),
            plan,
        };
        call.party(Self::CALLER).takes(incoming.allow.as_deref());
        let (name, trunk, dial) =
            (Arc::clone(&call.plan.callee_name), Arc::clone(&call.plan.callee), call.plan.dial.clone());
        let callee = call.dial(name, trunk, dial, call.plan.timing.answer);
        call.callee = Some(callee);
        acts.append(&mut call.acts);
        call
    }

    /// Something has happened at `now`, which is since the driver's beginning of time.
    pub fn handle(&mut self, now: Duration, input: Input, acts: &mut Vec<Act>) {
        if self.is_over {
            return self.late(&input, acts);
        }
        self.now = self.now.max(now);
        match input {
            Input::Progress { party, status, early_media } => self.progress(party, status, early_media),
            Input::Accepted { party, allow } => self.accepted(party, allow.as_deref()),
            Input::Rejected(party, rejection) => self.rejected(party, rejection),
            Input::Acknowledged(party) => {
                if self.has(party) && self.party(party).state == PartyState::Answered {
                    self.party(party).state = PartyState::Up;
                }
            }
            Input::Cancelled(party, reason) => {
                if self.has(party) && self.party(party).state == PartyState::Inviting {
                    self.gone(party);
                    self.left(party, reason);
                }
            }
            Input::Ended(party, reason) => self.ended(party, reason),
            Input::Refer { party, request, refer } => self.refer(party, request, refer),
            Input::Notify { party, request, state, body } => self.notified(party, request, &state, &body),
            Input::Answered { request, status } => self.answered(request, &status),
            Input::Timer(timer) => {
                if self.timers.remove(&timer) {
                    self.ran_down(timer);
                }
            }
            Input::Media(input) => self.media_said(input),
            Input::Decision(transfer, decision) => self.decided(transfer, decision),
            Input::Resolved(transfer, resolution) => self.resolved(transfer, resolution),
        }
        self.settle();
        acts.append(&mut self.acts);
    }

    /// Whether it is over.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        self.is_over
    }

    /// A party's name. Empty if there is no such party.
    #[must_use]
    pub fn name(&self, party: PartyId) -> Arc<str> {
        self.parties.get(party.0 as usize).map_or_else(|| "".into(), |party| Arc::clone(&party.name))
    }

    /// How all parties stand that ever were.
    pub fn parties(&self) -> impl Iterator<Item = (PartyId, PartyView)> {
        self.ids().map(|id| {
            let party = &self.parties[id.0 as usize];
            let view = PartyView {
                name: Arc::clone(&party.name),
                address: party.address.clone(),
                state: party.state,
                is_leaving: party.is_leaving || party.end.is_some(),
                peer: self.peer(id),
            };
            (id, view)
        })
    }

    /// The transfer that is going on.
    #[must_use]
    pub fn transfer(&self) -> Option<TransferId> {
        self.transfer.as_ref().map(|transfer| transfer.record.id)
    }

    /// A request that comes when all is over is answered, so that nobody waits for it.
    fn late(&self, input: &Input, acts: &mut Vec<Act>) {
        debug_assert!(self.is_over);
        if let &(Input::Refer { request, .. } | Input::Notify { request, .. }) = input {
            acts.push(Act::Respond { request, status: status(481), headers: Vec::new() });
        }
    }

    fn progress(&mut self, party: PartyId, status: Status, early_media: bool) {
        // 199 (RFC 6228) tells that a branch has ended: nobody has to be told.
        if !self.has(party) || self.party(party).state != PartyState::Dialling || status.code == 199 {
            return;
        }
        let now = self.now;
        let known = self.party(party);
        if status.code == 180 {
            known.rings_since.get_or_insert(now);
        }
        if early_media {
            known.early_since.get_or_insert(now);
        }
        if self.callee != Some(party) {
            return self.target_progress(party, status, early_media);
        }
        if early_media {
            self.media(MediaAct::EarlyMedia { listener: Self::CALLER, from: party });
        }
        self.acts.push(Act::Progress { party: Self::CALLER, status, early_media });
    }

    fn accepted(&mut self, party: PartyId, allow: Option<&[Box<str>]>) {
        if !self.has(party) {
            return;
        }
        let known = self.party(party);
        match known.state {
            PartyState::Dialling => known.takes(allow),
            // The CANCEL and the 200 have crossed.
            PartyState::Cancelling => {
                known.state = PartyState::Up;
                return self.end(party, 487, None);
            }
            _ => return,
        }
        known.state = PartyState::Up;
        self.stop(TimerId::Ring(party));
        if self.callee == Some(party) {
            self.callee_is_there(party);
        } else {
            self.target_answered(party);
        }
    }

    /// Caller and called party are connected.
    pub(super) fn callee_is_there(&mut self, party: PartyId) {
        self.callee = None;
        self.acts.push(Act::Accept(Self::CALLER));
        self.party(Self::CALLER).state = PartyState::Answered;
        self.media(MediaAct::Bridge { a: Self::CALLER, b: party });
        self.talks.push((Self::CALLER, party));
        self.record.answered = Some(self.now);
        self.acts.push(Act::Record(Box::new(self.record.clone())));
    }

    fn rejected(&mut self, party: PartyId, rejection: Box<Rejection>) {
        if !self.has(party) {
            return;
        }
        match self.party(party).state {
            PartyState::Dialling => {}
            PartyState::Cancelling => return self.gone(party),
            _ => return,
        }
        self.gone(party);
        if self.callee == Some(party) {
            self.callee = None;
            // Challenges are between the pivot and the trunk, and where the callee has moved is not the caller's to follow.
            let code = match rejection.status.code {
                401 | 407 => 403,
                300..=399 => 480,
                code => code.clamp(400, 699),
            };
            let phrase = if code == rejection.status.code { rejection.status.phrase } else { status(code).phrase };
            self.record.refused = Some(code);
            self.refuse_caller(Status { code, phrase }, rejection.reason);
        } else {
            self.target_rejected(party, rejection);
        }
    }

    fn refuse_caller(&mut self, status: Status, reason: Option<Reason>) {
        if self.party(Self::CALLER).state == PartyState::Inviting {
            self.acts.push(Act::Reject { party: Self::CALLER, status, reason });
            self.gone(Self::CALLER);
        }
    }

    fn ended(&mut self, party: PartyId, reason: Option<Reason>) {
        if !self.has(party) || self.party(party).state == PartyState::Over {
            return;
        }
        let known = self.party(party);
        if known.state == PartyState::Dialling {
            let rejection = Rejection { reason, ..Rejection::local(status(503)) };
            return self.rejected(party, Box::new(rejection));
        }
        let was_ours = known.state == PartyState::Cancelling || known.end.is_some();
        self.gone(party);
        if !was_ours {
            self.left(party, reason);
        }
    }

    /// A party has left by itself.
    fn left(&mut self, party: PartyId, reason: Option<Reason>) {
        if let Some(callee) = self.callee.filter(|_| party == Self::CALLER) {
            self.callee = None;
            self.record.refused = Some(487);
            self.record.reason.clone_from(&reason);
            return self.end(callee, 487, reason);
        }
        if self.transfer.as_ref().is_some_and(|transfer| transfer.needs(party)) {
            return self.left_in_transfer(party, reason);
        }
        if let Some(peer) = self.part(party) {
            self.record.reason.clone_from(&reason);
            self.end(peer, 480, reason);
        }
    }

    fn answered(&mut self, request: OwnId, status: &Status) {
        let told = self.subscriptions.iter_mut().find_map(|subscription| {
            subscription.answered(request, status.code).then(|| (subscription.party(), subscription.was_refused()))
        });
        match told {
            Some((party, true)) => {
                if let Some(transfer) = self.transfer.as_mut().filter(|transfer| transfer.transferor == party) {
                    transfer.record.notify_refused = true;
                }
            }
            Some(_) => {}
            None => self.refer_answered(request, status),
        }
    }

    fn ran_down(&mut self, timer: TimerId) {
        match timer {
            TimerId::Ring(party) if self.callee == Some(party) => {
                self.callee = None;
                self.end(party, 480, None);
                self.record.refused = Some(480);
                self.refuse_caller(status(480), None);
            }
            TimerId::Ring(party) => self.rang_too_long(party),
            TimerId::Detection(party) => self.no_human(party, By::Undecided),
            TimerId::FirstPacket(party) => self.no_packet(party),
            TimerId::Settle(party) => match self.party(party).state {
                PartyState::Cancelling => self.gone(party),
                PartyState::Up | PartyState::Answered => self.bye(party),
                _ => {}
            },
            TimerId::Grace(party) => self.end(party, 480, None),
            TimerId::Decision(id) => self.no_decision(id),
            TimerId::Refer(id) => self.refer_led_nowhere(id),
        }
    }

    fn media_said(&mut self, input: MediaInput) {
        match input {
            MediaInput::CutOver { survivor, new, receipts } => self.cut_over(survivor, new, receipts),
            // The swap that waits for it says so itself, and very soon.
            MediaInput::Human(party) => {
                if self.timers.contains(&TimerId::Detection(party)) {
                    self.stop(TimerId::Detection(party));
                    self.start(TimerId::FirstPacket(party), self.plan.timing.first_packet);
                }
            }
            MediaInput::Machine(party) => self.no_human(party, By::Machine),
            MediaInput::Undecided(party) => self.no_human(party, By::Undecided),
            MediaInput::Failed(party) => self.media_failed(party),
        }
    }
}
