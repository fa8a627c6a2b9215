//! Somebody hangs up in the middle of a transfer.

use super::explain::By;
use super::machine::Call;
use super::record::TransferState;
use super::sipfrag::status;
use super::transfer::{Step, Transfer};
use super::words::{MediaAct, PartyId};
use crate::message::Reason;

impl Call {
    /// A party that the transfer [needs](Transfer::needs) has hung up.
    pub(super) fn left_in_transfer(&mut self, party: PartyId, reason: Option<Reason>) {
        let Some(transfer) = self.transfer.take() else { return };
        if party == transfer.transferee {
            self.transferee_left(transfer, reason);
        } else if party == transfer.transferor {
            self.transferor_left(transfer, reason);
        } else if transfer.target() == Some(party) {
            // In an attended transfer it was connected with the transferor's other dialog.
            let other = self.part(party);
            self.transfer = Some(transfer);
            self.target_failed(party, By::Target, &status(480), None);
            if let Some(other) = other {
                self.end(other, 480, reason);
            }
        } else {
            // The transferor has ended its other dialog, which it no longer needs; the target is with us.
            self.part(party);
            self.transfer = Some(transfer);
        }
    }

    fn transferee_left(&mut self, transfer: Box<Transfer>, reason: Option<Reason>) {
        self.part(transfer.transferee);
        self.record.reason.clone_from(&reason);
        let has_accepted = matches!(transfer.step, Step::Referring { is_taken: true, .. });
        if has_accepted {
            // It was to leave: it has gone where it was sent, and does not tell.
            return self.referred(transfer);
        }
        let (transferor, target, consultation) = (transfer.transferor, transfer.target(), transfer.consultation);
        let transfer = self.give_up(transfer, By::Transferee);
        self.close(transfer, TransferState::Cancelled);
        match consultation {
            // The other conversation of an attended transfer is none of the transferee's business.
            Some(consultation) if self.is_there(consultation) => {}
            _ => {
                if let Some(target) = target {
                    self.part(target);
                    self.end(target, 487, reason.clone());
                }
            }
        }
        // After the final NOTIFY.
        self.end(transferor, 487, reason);
    }

    fn transferor_left(&mut self, mut transfer: Box<Transfer>, reason: Option<Reason>) {
        transfer.record.transferor_left = true;
        self.part(transfer.transferor);
        if let Some((request, _)) = transfer.pending.take() {
            // It did not wait for the answer: this was a hang-up, and no transfer.
            self.respond(request, status(481));
            let transferee = transfer.transferee;
            self.close(transfer, TransferState::Cancelled);
            return self.end(transferee, 480, reason);
        }
        match transfer.step {
            // Whoever hangs up in a consultation means that the two others are to talk.
            Step::Consulting(target) => self.join(transfer, target),
            Step::Whispering(target) => {
                self.media(MediaAct::Unwhisper(target));
                self.complete(transfer, target);
            }
            Step::Conferencing(target) => self.complete(transfer, target),
            Step::Referring { .. } => {
                self.hold(&mut transfer);
                self.transfer = Some(transfer);
            }
            Step::Ringing => {
                self.hear_for_transferor(&mut transfer);
                self.transfer = Some(transfer);
            }
            Step::Connecting { .. } => {
                // In an attended transfer it has heard the transferor until now.
                if !transfer.is_held {
                    self.hold(&mut transfer);
                }
                self.transfer = Some(transfer);
            }
            Step::Asking | Step::Resolving => self.transfer = Some(transfer),
        }
    }

    /// What the transferor heard of the target, the transferee hears from now on.
    fn hear_for_transferor(&mut self, transfer: &mut Transfer) {
        let listener = transfer.transferee;
        match transfer.early.filter(|_| transfer.is_warm()) {
            Some(from) => self.media(MediaAct::EarlyMedia { listener, from }),
            None if transfer.is_warm() && transfer.rings => self.media(MediaAct::Ringback(listener)),
            None => {}
        }
    }
}
