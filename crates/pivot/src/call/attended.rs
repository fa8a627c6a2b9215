//! Attended transfers: a REFER whose `Replaces` names the transferor's other conversation, and an INVITE that replaces a party.

use core::time::Duration;
use std::sync::Arc;

use super::machine::Call;
use super::party::{Party, PartyState};
use super::plan::Method;
use super::record::{CallRecord, ChosenBy, TransferState};
use super::route::{Rule, TargetKind};
use super::sipfrag::status;
use super::transfer::{Step, Transfer};
use super::trunk::Trunk;
use super::words::{Act, MediaAct, OwnId, PartyId, Resolution, TimerId, TransferId, Trigger};
use crate::message::{Incoming, Status};

/// Whoever was told of a transfer and is gone: NOTIFYs in a dialog of their own go on.
const NOBODY: PartyId = PartyId(u32::MAX);

/// What has become of a call that another one has taken in.
#[derive(Debug)]
pub struct Merged {
    /// Its parties that were left, with what they are called from now on. Their names may be others too.
    pub parties: Vec<(PartyId, PartyId)>,
    /// Its NOTIFYs that are not answered, with what they are called from now on. Answers to other requests of its are of no interest.
    pub requests: Vec<(OwnId, OwnId)>,
    /// Its record, which ends here.
    pub record: CallRecord,
}

impl Call {
    /// Whose dialog the `Replaces` of a REFER means, if it is none of another call's.
    pub(super) fn resolved(&mut self, id: TransferId, resolution: Resolution) {
        let is_it = |transfer: &mut Box<Transfer>| transfer.record.id == id && transfer.step == Step::Resolving;
        let Some(transfer) = self.transfer.take_if(is_it) else { return };
        self.stop(TimerId::Decision(id));
        match resolution {
            Resolution::Here(party) => self.splice(transfer, party),
            Resolution::Foreign => self.proceed_with_replaces(transfer),
            Resolution::Refused(status) => {
                let is_final = (300..700).contains(&status.code);
                self.decline(transfer, Rule::Replaces, if is_final { status } else { Rule::Replaces.status() });
            }
        }
    }

    /// Takes in the call in which the transferor has its other dialog, as [`Act::Resolve`] has asked for, and splices the two: the party of
    /// this call that is transferred is connected with whom `matched` talks with there, or rings.
    ///
    /// The other call's timers are to be stopped, and both calls of the relay to be made one before, with the names that
    /// [`Call::names_of`] has.
    ///
    /// # Errors
    /// What [`Call::may_merge`] says, and the other call as it was.
    pub fn merge(
        &mut self,
        now: Duration,
        mut other: Self,
        matched: PartyId,
        acts: &mut Vec<Act>,
    ) -> Result<Merged, (Box<Self>, Status)> {
        if let Err(status) = self.may_merge(&other, matched) {
            return Err((Box::new(other), status));
        }
        self.now = self.now.max(now);
        let names = self.names_of(&other);
        self.next_target = self.next_target.saturating_add(u32::try_from(names.len()).unwrap_or(u32::MAX));
        let mut parties = Vec::new();
        let taken_in = core::mem::take(&mut other.parties);
        for (at, name) in names {
            let mut party = taken_in[at.0 as usize].clone();
            party.name = name;
            let (state, ends) = (party.state, party.end.is_some());
            let id = self.add(party);
            parties.push((at, id));
            match state {
                PartyState::Dialling => self.start(TimerId::Ring(id), self.plan.timing.ring),
                PartyState::Cancelling => self.start(TimerId::Settle(id), self.plan.timing.settle),
                PartyState::Answered if ends => self.start(TimerId::Settle(id), self.plan.timing.settle),
                _ => {}
            }
        }
        let here = |party: PartyId| parties.iter().find_map(|&(was, is)| (was == party).then_some(is));
        for &(a, b) in &other.talks {
            if let (Some(a), Some(b)) = (here(a), here(b)) {
                self.talks.push((a, b));
            }
        }
        let (matched, callee) = (here(matched), other.callee.and_then(here));
        let mut requests = Vec::new();
        for mut subscription in core::mem::take(&mut other.subscriptions) {
            let Some(party) = here(subscription.party()).or(subscription.dialog().and(Some(NOBODY))) else { continue };
            requests.extend(subscription.moved(party, || self.next_own()));
            self.subscriptions.push(subscription);
        }
        let mut record = other.record;
        record.ended = Some(self.now);
        if let (Some(matched), Some(transfer)) = (matched, self.transfer.take()) {
            self.stop(TimerId::Decision(transfer.record.id));
            match callee {
                Some(callee) => self.splice_early(transfer, matched, callee),
                None => self.splice(transfer, matched),
            }
        }
        self.settle();
        acts.append(&mut self.acts);
        Ok(Merged { parties, requests, record })
    }

    /// Whether the call can take in another one, in which `matched` is the transferor's other dialog.
    ///
    /// # Errors
    /// What [`Act::Resolve`] is to be answered with: 481 if there are no two conversations, 403 if the dialog is not the transferor's,
    /// 491 if the other call is in a transfer of its own.
    pub fn may_merge(&self, other: &Self, matched: PartyId) -> Result<(), Status> {
        let asked = self.transfer.as_ref().filter(|transfer| transfer.step == Step::Resolving && !self.is_over());
        let Some((transfer, (_, refer))) = asked.and_then(|transfer| Some((transfer, transfer.pending.as_ref()?)))
        else {
            return Err(status(481));
        };
        let has_peer = other.is_there(matched) && other.peer(matched).is_some_and(|peer| other.is_there(peer));
        let rings = matched == Self::CALLER && other.callee.is_some();
        if other.is_over() || !(has_peer || rings) {
            return Err(status(481));
        }
        // Whoever guesses tags must not get hold of calls of others.
        let (theirs, own) = (&other.parties[matched.0 as usize], &self.parties[transfer.transferor.0 as usize]);
        if theirs.is_direct != own.is_direct || !theirs.is_direct && !theirs.trunk.takes(refer.origin.address.ip()) {
            return Err(status(403));
        }
        if other.transfer.is_some() { Err(status(491)) } else { Ok(()) }
    }

    /// What the parties of another call that are left would be called here: a name that is taken is replaced.
    #[must_use]
    pub fn names_of(&self, other: &Self) -> Vec<(PartyId, Arc<str>)> {
        let mut names: Vec<(PartyId, Arc<str>)> = Vec::new();
        let mut next = self.next_target;
        for (id, party) in (0..).map(PartyId).zip(&other.parties) {
            if party.state == PartyState::Over {
                continue;
            }
            let mut name = Arc::clone(&party.name);
            while self.has_name(&name) || names.iter().any(|(_, known)| *known == name) {
                next += 1;
                name = format!("consult-{next}").into();
            }
            names.push((id, name));
        }
        names
    }

    /// Transferee and whom the transferor's other dialog is connected with become a pair in one step.
    fn splice(&mut self, mut transfer: Box<Transfer>, consultation: PartyId) {
        let is_other = ![transfer.transferor, transfer.transferee].contains(&consultation);
        let target = self.peer(consultation).filter(|&peer| is_other && self.is_there(peer));
        let Some(target) = target.filter(|_| self.is_there(consultation)) else {
            return self.decline(transfer, Rule::Replaces, Rule::Replaces.status());
        };
        self.begun += 1;
        self.accept_refer(&mut transfer);
        transfer.consultation = Some(consultation);
        transfer.record.target = Some(self.name(target));
        transfer.record.kind = Some(self.party(target).asked.as_ref().map_or(TargetKind::Sip, |(_, kind)| *kind));
        self.media(MediaAct::Swap {
            survivor: transfer.transferee,
            old: Some(transfer.transferor),
            new: target,
            trigger: Trigger::Immediate,
        });
        self.start(TimerId::FirstPacket(target), self.plan.timing.first_packet);
        transfer.step = Step::Connecting { target, is_forced: true };
        self.keep(transfer, TransferState::Connecting);
    }

    /// The transferor did not wait for the answer: from now on the transferee does.
    fn splice_early(&mut self, mut transfer: Box<Transfer>, consultation: PartyId, target: PartyId) {
        self.accept_refer(&mut transfer);
        let uri = self.address(target).uri;
        let known = self.party(target);
        let (rings, is_early) = (known.rings_since.is_some(), known.early_since.is_some());
        known.asked = Some((uri, TargetKind::Sip));
        transfer.ringing.push(target);
        self.end(consultation, 487, None);
        // Nobody waits to be called: what is begun is the waiting.
        self.begin(transfer);
        if rings || is_early {
            self.target_progress(target, status(if rings { 180 } else { 183 }), is_early);
        }
    }

    /// An INVITE whose `Replaces` means a party of this call (RFC 3891): the new party takes its place. Whose party it is
    /// [`Dialogs`](super::replaces::Dialogs) know.
    ///
    /// # Errors
    /// What the INVITE is to be refused with; nothing has changed.
    pub fn replace(
        &mut self,
        now: Duration,
        replaced: PartyId,
        incoming: &Incoming,
        trunk: Arc<Trunk>,
        acts: &mut Vec<Act>,
    ) -> Result<PartyId, Status> {
        self.may_replace(replaced, &trunk)?;
        let peer = self.peer(replaced);
        let is_ringing = self.rings_in_transfer(replaced);
        let is_connected = self.is_there(replaced) && peer.is_some_and(|peer| self.is_there(peer));
        self.now = self.now.max(now);
        self.begun += 1;
        let name = self.replacement_name();
        self.next_target += 1;
        let address = incoming.asserted.first().unwrap_or(&incoming.from).clone();
        let mut party = Party::new(name, address, trunk, PartyState::Answered, self.now);
        party.takes(incoming.allow.as_deref());
        party.asked.clone_from(&self.party(replaced).asked);
        let new = self.add(party);
        self.acts.push(Act::Accept(new));
        if let Some(peer) = peer.filter(|_| is_connected) {
            let mut transfer = self.new_transfer(replaced, peer, Method::Attended, ChosenBy::Invite);
            transfer.record.refer_to = self.address(new).uri;
            (transfer.record.target, transfer.record.connected) = (Some(self.name(new)), Some(self.now));
            self.part(replaced);
            self.media(MediaAct::Bridge { a: peer, b: new });
            self.talks.push((peer, new));
            self.close(transfer, TransferState::Done);
            self.end(replaced, 487, None);
        } else if let Some(transfer) = self.transfer.as_mut().filter(|_| is_ringing) {
            transfer.ringing.retain(|&party| party != replaced);
            transfer.ringing.push(new);
            self.end(replaced, 487, None);
            self.target_answered(new);
        } else {
            self.end(replaced, 487, None);
            self.callee_is_there(new);
        }
        self.settle();
        acts.append(&mut self.acts);
        Ok(new)
    }

    /// Whether a party may be replaced by somebody who comes by this trunk.
    ///
    /// # Errors
    /// As [`Call::replace`].
    pub fn may_replace(&self, replaced: PartyId, trunk: &Trunk) -> Result<(), Status> {
        if self.is_over() || !self.has(replaced) {
            return Err(status(481));
        }
        if !trunk.replaces {
            return Err(status(403));
        }
        let state = self.parties[replaced.0 as usize].state;
        if state == PartyState::Over {
            return Err(status(603));
        }
        // Whoever replaces parties for ever makes the call's memory grow.
        if self.begun >= trunk.transfers_max {
            return Err(Rule::TooManyTransfers.status());
        }
        let peer = self.peer(replaced);
        let is_ringing = self.rings_in_transfer(replaced);
        let is_needed = |transfer: &Transfer| transfer.needs(replaced) || peer.is_some_and(|peer| transfer.needs(peer));
        if !is_ringing && self.transfer.as_deref().is_some_and(is_needed) {
            return Err(status(491));
        }
        let is_connected = self.is_there(replaced) && peer.is_some_and(|peer| self.is_there(peer));
        let is_called = state == PartyState::Dialling && (is_ringing || self.callee == Some(replaced));
        if is_connected || is_called { Ok(()) } else { Err(status(481)) }
    }

    /// What the next party is called that [`Call::replace`] makes, so that its leg can be there before.
    #[must_use]
    pub fn replacement_name(&self) -> Arc<str> {
        let mut next = self.next_target;
        loop {
            next += 1;
            let name: Arc<str> = format!("replacement-{next}").into();
            if !self.has_name(&name) {
                return name;
            }
        }
    }

    /// Who hears it while it rings, if it may be replaced.
    #[must_use]
    pub fn would_hear(&self, replaced: PartyId) -> Option<PartyId> {
        let transferee = self.transfer.as_ref().filter(|_| self.rings_in_transfer(replaced)).map(|it| it.transferee);
        self.peer(replaced).or(transferee).or((self.callee == Some(replaced)).then_some(Self::CALLER))
    }

    fn rings_in_transfer(&self, party: PartyId) -> bool {
        self.transfer.as_ref().is_some_and(|transfer| transfer.ringing.contains(&party))
    }
}
