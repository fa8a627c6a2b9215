//! What a call does to its parties and timers, whatever the reason: begin, connect, end, and tidy up behind itself.

use core::time::Duration;
use std::sync::Arc;

use super::machine::Call;
use super::party::{Party, PartyState};
use super::sipfrag::status;
use super::subscription::Subscription;
use super::trunk::Trunk;
use super::words::{Act, Dial, MediaAct, OwnId, PartyId, TimerId, TransferId};
use crate::message::{Address, Reason, RequestId, Status};

/// So many transfers are named on a call's record.
const MOST_LISTED: usize = 64;

impl Call {
    /// Dials a new party.
    pub(super) fn dial(&mut self, name: Arc<str>, trunk: Arc<Trunk>, dial: Dial, ring: Duration) -> PartyId {
        let party = Party::new(name, dial.to.clone(), trunk, PartyState::Dialling, self.now);
        let id = self.add(party);
        self.acts.push(Act::Dial(id, Box::new(dial)));
        self.start(TimerId::Ring(id), ring);
        id
    }

    pub(super) fn has_name(&self, name: &str) -> bool {
        self.parties.iter().any(|known| *known.name == *name)
    }

    /// A party's name is its leg's name: nobody else may have it.
    pub(super) fn add(&mut self, mut party: Party) -> PartyId {
        while self.has_name(&party.name) {
            party.name = self.next_target_name("party");
        }
        let id = PartyId(u32::try_from(self.parties.len()).unwrap_or(u32::MAX));
        self.parties.push(party);
        id
    }

    pub(super) fn next_target_name(&mut self, kind: &str) -> Arc<str> {
        self.next_target += 1;
        format!("{kind}-{}", self.next_target).into()
    }

    pub(super) fn next_own(&mut self) -> OwnId {
        self.next_own += 1;
        OwnId(self.next_own)
    }

    pub(super) fn has(&self, party: PartyId) -> bool {
        (party.0 as usize) < self.parties.len()
    }

    /// A party that [`Call::has`].
    pub(super) fn party(&mut self, party: PartyId) -> &mut Party {
        &mut self.parties[party.0 as usize]
    }

    pub(super) fn is_there(&self, party: PartyId) -> bool {
        self.parties.get(party.0 as usize).is_some_and(Party::is_there)
    }

    pub(super) fn address(&self, party: PartyId) -> Address {
        self.parties[party.0 as usize].address.clone()
    }

    pub(super) fn ids(&self) -> impl Iterator<Item = PartyId> + use<> {
        (0..u32::try_from(self.parties.len()).unwrap_or(u32::MAX)).map(PartyId)
    }

    pub(super) fn peer(&self, party: PartyId) -> Option<PartyId> {
        self.talks.iter().find_map(|&(a, b)| match party {
            _ if a == party => Some(b),
            _ if b == party => Some(a),
            _ => None,
        })
    }

    /// A party is connected with nobody any more. Says with whom it was.
    pub(super) fn part(&mut self, party: PartyId) -> Option<PartyId> {
        let peer = self.peer(party);
        self.talks.retain(|&(a, b)| a != party && b != party);
        peer
    }

    pub(super) fn media(&mut self, act: MediaAct) {
        self.acts.push(Act::Media(act));
    }

    pub(super) fn respond(&mut self, request: RequestId, status: Status) {
        self.acts.push(Act::Respond { request, status, headers: Vec::new() });
    }

    pub(super) fn start(&mut self, timer: TimerId, after: Duration) {
        self.timers.insert(timer);
        self.acts.push(Act::StartTimer(timer, after));
    }

    pub(super) fn stop(&mut self, timer: TimerId) {
        if self.timers.remove(&timer) {
            self.acts.push(Act::StopTimer(timer));
        }
    }

    pub(super) fn list(&mut self, transfer: TransferId) {
        if self.record.transfers.len() == MOST_LISTED {
            self.record.transfers.remove(0);
        }
        self.record.transfers.push(transfer);
    }

    /// Ends a party, now or as soon as what must come before has come. `code` is for one that has not been answered.
    pub(super) fn end(&mut self, party: PartyId, code: u16, reason: Option<Reason>) {
        let settle = self.plan.timing.settle;
        let (state, is_told) = (self.party(party).state, self.is_told(party));
        match state {
            PartyState::Inviting => {
                self.acts.push(Act::Reject { party, status: status(code), reason });
                self.gone(party);
            }
            PartyState::Dialling => {
                self.party(party).state = PartyState::Cancelling;
                self.acts.push(Act::Cancel(party, reason));
                self.stop(TimerId::Ring(party));
                self.start(TimerId::Settle(party), settle);
            }
            PartyState::Up if !is_told => {
                self.party(party).end = Some(reason);
                self.bye(party);
            }
            PartyState::Up | PartyState::Answered if self.party(party).end.is_none() => {
                self.party(party).end = Some(reason);
                self.start(TimerId::Settle(party), settle);
            }
            _ => {}
        }
    }

    pub(super) fn bye(&mut self, party: PartyId) {
        let reason = self.party(party).end.take().flatten();
        self.acts.push(Act::Bye(party, reason));
        self.gone(party);
    }

    /// A party's dialog is over.
    pub(super) fn gone(&mut self, party: PartyId) {
        self.party(party).state = PartyState::Over;
        for timer in [TimerId::Ring, TimerId::Detection, TimerId::FirstPacket, TimerId::Settle, TimerId::Grace] {
            self.stop(timer(party));
        }
        let is_in_its_dialog = |subscription: &&mut Subscription| subscription.is_in_dialog_of(party);
        self.subscriptions.iter_mut().filter(is_in_its_dialog).for_each(Subscription::end);
        self.media(MediaAct::Drop(party));
    }

    /// A NOTIFY in its dialog is on its way or to come.
    fn is_told(&self, party: PartyId) -> bool {
        self.subscriptions.iter().any(|subscription| subscription.is_in_dialog_of(party) && !subscription.is_over())
    }

    /// Does what has become due by whatever has happened.
    pub(super) fn settle(&mut self) {
        let are_all_gone = self.parties.iter().all(|party| party.state == PartyState::Over);
        if are_all_gone {
            // In a dialog of its own it is told the end all the same.
            self.subscriptions.iter_mut().for_each(|subscription| subscription.report(status(487)));
        }
        for at in 0..self.subscriptions.len() {
            let (party, dialog) = (self.subscriptions[at].party(), self.subscriptions[at].dialog());
            let id = OwnId(self.next_own + 1);
            if let Some((request, notify)) = self.subscriptions[at].due(|| id) {
                self.next_own = id.0;
                self.acts.push(Act::Notify {
                    party,
                    dialog,
                    request,
                    event: notify.event,
                    state: notify.state,
                    body: notify.body,
                });
            }
        }
        self.subscriptions.retain(|subscription| !subscription.is_over());
        for party in self.ids() {
            let is_told = self.is_told(party);
            let known = self.party(party);
            if known.state == PartyState::Up && known.end.is_some() && !is_told {
                self.bye(party);
            } else if known.is_leaving && known.is_there() && !is_told && !self.timers.contains(&TimerId::Grace(party))
            {
                self.start(TimerId::Grace(party), self.plan.timing.grace);
            }
        }
        let are_all_gone = self.parties.iter().all(|party| party.state == PartyState::Over);
        if are_all_gone && self.subscriptions.is_empty() && !self.is_over {
            self.finish();
        }
    }

    fn finish(&mut self) {
        debug_assert!(self.transfer.is_none(), "a transfer ends with its parties");
        self.is_over = true;
        for timer in core::mem::take(&mut self.timers) {
            self.acts.push(Act::StopTimer(timer));
        }
        self.talks.clear();
        self.record.ended = Some(self.now);
        self.acts.push(Act::Record(Box::new(self.record.clone())));
        self.acts.push(Act::Over);
    }
}
