//! How a transfer ends: done, failed or taken back; and what is told of it.

use std::sync::Arc;

use super::billing::bill;
use super::explain::By;
use super::machine::Call;
use super::party::PartyState;
use super::plan::OnFail;
use super::record::TransferState;
use super::sip_reason;
use super::sipfrag::status;
use super::subscription::Subscription;
use super::transfer::{Step, Target, Transfer};
use super::words::{Act, MediaAct, PartyId, Receipt, TimerId};
use crate::message::Status;

impl Call {
    /// No target could be had.
    pub(super) fn fail(&mut self, mut transfer: Box<Transfer>) {
        let is_alone = !self.is_there(transfer.transferor);
        if let Some(last_resort) = self.plan.last_resort.take_if(|_| is_alone && transfer.is_held) {
            let trunk = Arc::clone(&self.party(transfer.transferor).trunk);
            if let Ok(target) = Target::named(&last_resort, &trunk, &self.plan.numbers) {
                transfer.waiting.push_back(target);
                self.quiet(&mut transfer);
                return self.dial_next(transfer);
            }
        }
        let worst = transfer.worst.take().unwrap_or_else(|| status(480));
        self.tell(&transfer, worst.clone());
        self.give_back(&mut transfer, worst.code);
        self.close(transfer, TransferState::Failed);
    }

    /// The transferee goes back to the transferor, or is hung up.
    pub(super) fn give_back(&mut self, transfer: &mut Transfer, code: u16) {
        let (transferee, transferor) = (transfer.transferee, transfer.transferor);
        let is_alone = !self.is_there(transferor);
        if is_alone || transfer.on_fail == OnFail::HangUp {
            self.part(transferee);
            let reason = Some(sip_reason(code));
            self.end(transferee, code, reason.clone());
            return self.end(transferor, code, reason);
        }
        if transfer.is_warm() && (transfer.rings || transfer.early.is_some()) {
            self.media(MediaAct::Stop(transferor));
        }
        if core::mem::take(&mut transfer.is_held) {
            self.media(MediaAct::Resume(transferee));
        }
    }

    /// A swap has taken place.
    pub(super) fn cut_over(&mut self, survivor: PartyId, new: PartyId, receipts: Vec<Receipt>) {
        let is_it =
            self.is_connecting(new) && self.transfer.as_ref().is_some_and(|transfer| transfer.transferee == survivor);
        let Some(mut transfer) = self.transfer.take_if(|_| is_it) else { return };
        transfer.record.receipts = receipts;
        self.complete(transfer, new);
    }

    /// Transferee and target are connected; the transferor may go.
    pub(super) fn complete(&mut self, mut transfer: Box<Transfer>, target: PartyId) {
        let (transferee, transferor) = (transfer.transferee, transfer.transferor);
        self.part(transferee);
        self.part(target);
        self.talks.push((transferee, target));
        self.tell(&transfer, status(200));
        transfer.record.target = Some(self.name(target));
        transfer.record.connected = Some(self.now);
        transfer.record.bill = transfer.record.kind.map(|kind| bill(self.plan.direction, kind));
        let consultation = transfer.consultation.take();
        if transfer.is_referred && self.is_there(transferor) {
            self.party(transferor).is_leaving = true;
        }
        let is_referred = transfer.is_referred;
        self.close(transfer, TransferState::Done);
        if !is_referred {
            self.end(transferor, 487, None);
        }
        if let Some(consultation) = consultation {
            self.end(consultation, 487, None);
        }
    }

    /// A transfer is given up by whoever asked for it, or because the transferee is gone.
    pub(super) fn give_up(&mut self, mut transfer: Box<Transfer>, by: By) -> Box<Transfer> {
        let about = transfer.target().or_else(|| transfer.ringing.first().copied());
        if let Some(party) = about {
            let stage = self.stage_of(&transfer, party);
            let failure = self.failure(party, stage, by, status(487), None);
            transfer.record.failures.push(failure);
        }
        if matches!(transfer.step, Step::Connecting { .. }) && self.party(transfer.transferee).state != PartyState::Over
        {
            self.media(MediaAct::CancelSwap(transfer.transferee));
        }
        for party in core::mem::take(&mut transfer.ringing) {
            self.end(party, 487, None);
        }
        transfer.waiting.clear();
        if let Some((request, _)) = transfer.pending.take() {
            self.respond(request, status(487));
        }
        self.tell(&transfer, status(487));
        transfer
    }

    /// Tells the transferor, if it wants to be told.
    pub(super) fn tell(&mut self, transfer: &Transfer, status: Status) {
        if !transfer.is_referred || transfer.pending.is_some() {
            return;
        }
        let of_it = |subscription: &&mut Subscription| subscription.party() == transfer.transferor;
        if let Some(subscription) = self.subscriptions.iter_mut().rev().find(of_it) {
            subscription.report(status);
        }
    }

    /// Goes on with a transfer, which stands so now.
    pub(super) fn keep(&mut self, mut transfer: Box<Transfer>, state: TransferState) {
        if transfer.record.state != state || transfer.record.failures.len() != transfer.told_failures {
            transfer.record.state = state;
            transfer.told_failures = transfer.record.failures.len();
            self.acts.push(Act::Transfer(Box::new(transfer.record.clone())));
        }
        self.transfer = Some(transfer);
    }

    /// A transfer is over.
    pub(super) fn close(&mut self, mut transfer: Box<Transfer>, state: TransferState) {
        debug_assert!(transfer.pending.is_none() || state == TransferState::Refused, "every REFER is answered");
        transfer.record.state = state;
        transfer.record.ended = Some(self.now);
        transfer.record.waited = transfer.waits_since.map(|since| self.now.saturating_sub(since)).unwrap_or_default();
        for timer in [TimerId::Decision, TimerId::Refer] {
            self.stop(timer(transfer.record.id));
        }
        if let Some(target) = transfer.target() {
            self.stop(TimerId::FirstPacket(target));
            self.stop(TimerId::Detection(target));
        }
        self.acts.push(Act::Transfer(Box::new(transfer.record)));
    }
}
