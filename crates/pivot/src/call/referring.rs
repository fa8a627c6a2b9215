//! REFERs that go out: our own, and those that are sent on.

use super::billing::bill;
use super::explain::{By, Failure, Stage};
use super::machine::Call;
use super::plan::Method;
use super::record::TransferState;
use super::refer_to::is_extra;
use super::route::Rule;
use super::sipfrag::{self, status};
use super::transfer::{Step, Transfer};
use super::words::{Act, OwnId, PartyId, TimerId, TransferId};
use crate::message::{Header, Rejection, RequestId, Status};

impl Call {
    /// A REFER goes on to the transferee as it came.
    pub(super) fn forward(&mut self, mut transfer: Box<Transfer>) {
        transfer.record.method = Method::Forward;
        if self.party(transfer.transferee).takes_refer == Some(false) {
            return self.decline(transfer, Rule::NoRefer, Rule::NoRefer.status());
        }
        self.send_refer(transfer);
    }

    /// Sends the transferee a REFER to whoever is next.
    pub(super) fn refer_next(&mut self, mut transfer: Box<Transfer>) {
        if let Some(target) = transfer.waiting.pop_front() {
            transfer.record.kind = Some(target.kind());
            transfer.record.refer_to = target.asked;
        }
        self.send_refer(transfer);
    }

    /// Sends the transferee a REFER to what the record says.
    pub(super) fn send_refer(&mut self, mut transfer: Box<Transfer>) {
        self.begun += 1;
        let (party, request) = (transfer.transferee, self.next_own());
        let referred_by = transfer.referred_by.clone().unwrap_or_else(|| {
            let uri = self.address(transfer.transferor).uri;
            format!("<{uri}>").into()
        });
        let mut headers: Vec<Header> =
            transfer.headers.iter().filter(|header| is_extra(&header.name)).cloned().collect();
        headers.push(Header { name: "Referred-By".into(), value: referred_by });
        let refer_to = transfer.record.refer_to.clone();
        self.acts.push(Act::SendRefer { party, request, refer_to, headers });
        self.party(party).was_referred = true;
        self.start(TimerId::Refer(transfer.record.id), self.plan.timing.refer);
        transfer.step = Step::Referring { own: request, is_taken: false };
        self.keep(transfer, TransferState::Referring);
    }

    pub(super) fn refer_answered(&mut self, request: OwnId, said: &Status) {
        let is_it = |transfer: &mut Box<Transfer>| matches!(transfer.step, Step::Referring { own, is_taken: false } if own == request);
        let Some(mut transfer) = self.transfer.take_if(is_it) else { return };
        if (200..300).contains(&said.code) {
            transfer.step = Step::Referring { own: request, is_taken: true };
            self.accept_refer(&mut transfer);
            self.transfer = Some(transfer);
            return;
        }
        // Challenges are between the pivot and the transferee's trunk.
        let told = if matches!(said.code, 300..=399 | 401 | 407) { status(403) } else { said.clone() };
        if let Some((request, _)) = transfer.pending.take() {
            self.respond(request, told);
        }
        self.refer_failed(transfer, By::Refer, said);
    }

    /// A NOTIFY about a REFER that went out.
    pub(super) fn notified(&mut self, party: PartyId, request: RequestId, state: &str, body: &str) {
        if !self.has(party) || !self.party(party).was_referred {
            return self.respond(request, status(481));
        }
        self.respond(request, status(200));
        let is_it = |transfer: &mut Box<Transfer>| {
            transfer.transferee == party && matches!(transfer.step, Step::Referring { .. })
        };
        let Some(mut transfer) = self.transfer.take_if(is_it) else { return };
        if let Step::Referring { is_taken, .. } = &mut transfer.step {
            // A NOTIFY may overtake the 202 (RFC 6665 4.1.2.4), and says the same.
            if !core::mem::replace(is_taken, true) {
                self.accept_refer(&mut transfer);
            }
        }
        let is_over = state.trim_start().get(..10).is_some_and(|state| state.eq_ignore_ascii_case("terminated"));
        match sipfrag::read(body) {
            Some(said) if (200..300).contains(&said.code) => self.referred(transfer),
            Some(said) if said.code >= 300 => self.refer_failed(transfer, By::Response, &said),
            Some(said) if !is_over => {
                self.tell(&transfer, said);
                self.transfer = Some(transfer);
            }
            // The subscription ended without an outcome: nobody knows, and the transferee is still here.
            _ if is_over => self.refer_failed(transfer, By::NoOutcome, &status(503)),
            _ => self.transfer = Some(transfer),
        }
    }

    pub(super) fn refer_led_nowhere(&mut self, id: TransferId) {
        let is_it =
            |transfer: &mut Box<Transfer>| transfer.record.id == id && matches!(transfer.step, Step::Referring { .. });
        let Some(mut transfer) = self.transfer.take_if(is_it) else { return };
        if let Some((request, _)) = transfer.pending.take() {
            self.respond(request, status(408));
        }
        self.refer_failed(transfer, By::NoOutcome, &status(408));
    }

    /// The transferee has gone where it was sent, and what is left of the call ends.
    pub(super) fn referred(&mut self, mut transfer: Box<Transfer>) {
        let (transferee, transferor) = (transfer.transferee, transfer.transferor);
        self.tell(&transfer, status(200));
        self.part(transferee);
        transfer.record.connected = Some(self.now);
        transfer.record.bill = transfer.record.kind.map(|kind| bill(self.plan.direction, kind));
        let is_referred = transfer.is_referred;
        self.close(transfer, TransferState::Done);
        self.party(transferee).is_leaving = true;
        if is_referred {
            self.party(transferor).is_leaving = true;
        } else {
            self.end(transferor, 487, None);
        }
    }

    fn refer_failed(&mut self, mut transfer: Box<Transfer>, by: By, said: &Status) {
        self.stop(TimerId::Refer(transfer.record.id));
        let stage = if matches!(transfer.step, Step::Referring { is_taken: true, .. }) {
            Stage::Dialling
        } else {
            Stage::Request
        };
        let referred = self.party(transfer.transferee);
        let trunk = (!referred.is_direct).then(|| referred.trunk.name.clone());
        transfer.record.failures.push(Failure {
            stage,
            by,
            trunk,
            target: transfer.record.refer_to.clone(),
            kind: transfer.record.kind,
            status: said.clone(),
            rejection: matches!(by, By::Response).then(|| Box::new(told_of(said))),
            took: self.now.saturating_sub(transfer.record.began),
            ringing: core::time::Duration::ZERO,
            early_media: core::time::Duration::ZERO,
        });
        if !transfer.waiting.is_empty() && self.is_there(transfer.transferee) && self.is_there(transfer.transferor) {
            return self.refer_next(transfer);
        }
        self.tell(&transfer, said.clone());
        // A transferee that has been put on hold because the transferor left has nobody to go back to.
        self.give_back(&mut transfer, said.code.clamp(400, 699));
        self.close(transfer, TransferState::Failed);
    }
}

/// What a NOTIFY tells of the response that the other side got.
fn told_of(said: &Status) -> Rejection {
    Rejection { is_local: false, ..Rejection::local(said.clone()) }
}
