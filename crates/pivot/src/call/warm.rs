//! Transferor and target talk before the transferee is handed over.

use super::explain::By;
use super::machine::Call;
use super::party::PartyState;
use super::plan::{CommandError, OnFail};
use super::record::TransferState;
use super::transfer::{Step, Transfer};
use super::words::{MediaAct, PartyId, TimerId, Trigger};

impl Call {
    /// The target has answered: the transferor tells it what it is about, and the transferee goes on hearing hold audio.
    pub(super) fn consult(&mut self, mut transfer: Box<Transfer>, target: PartyId) {
        self.media(MediaAct::Bridge { a: transfer.transferor, b: target });
        (transfer.rings, transfer.early) = (false, None);
        transfer.step = Step::Consulting(target);
        self.keep(transfer, TransferState::Consulting);
    }

    /// The transferor leaves the two others to each other.
    pub(super) fn complete_warm(&mut self, transfer: Box<Transfer>) -> Result<(), CommandError> {
        match transfer.step {
            Step::Consulting(target) => self.join(transfer, target),
            Step::Whispering(target) => {
                self.media(MediaAct::Unwhisper(target));
                self.complete(transfer, target);
            }
            Step::Conferencing(target) => {
                self.media(MediaAct::Leave(transfer.transferor));
                self.complete(transfer, target);
            }
            _ => return Err(self.not_now(transfer)),
        }
        Ok(())
    }

    /// Both have talked or talk: nothing has to be waited for.
    pub(super) fn join(&mut self, mut transfer: Box<Transfer>, target: PartyId) {
        let old = Some(transfer.transferor).filter(|&transferor| self.is_there(transferor));
        self.media(MediaAct::Swap { survivor: transfer.transferee, old, new: target, trigger: Trigger::Immediate });
        self.start(TimerId::FirstPacket(target), self.plan.timing.first_packet);
        transfer.step = Step::Connecting { target, is_forced: true };
        self.keep(transfer, TransferState::Connecting);
    }

    pub(super) fn conference(&mut self, mut transfer: Box<Transfer>) -> Result<(), CommandError> {
        let target = match transfer.step {
            Step::Consulting(target) => target,
            Step::Whispering(target) => {
                self.media(MediaAct::Unwhisper(target));
                target
            }
            _ => return Err(self.not_now(transfer)),
        };
        self.media(MediaAct::Conference([transfer.transferee, transfer.transferor, target].into()));
        transfer.is_held = false;
        transfer.step = Step::Conferencing(target);
        self.keep(transfer, TransferState::Conferencing);
        Ok(())
    }

    pub(super) fn whisper(&mut self, mut transfer: Box<Transfer>, on: bool) -> Result<(), CommandError> {
        let (transferee, transferor) = (transfer.transferee, transfer.transferor);
        match (transfer.step, on) {
            (Step::Consulting(target) | Step::Conferencing(target), true) => {
                self.media(MediaAct::Bridge { a: transferee, b: target });
                self.media(MediaAct::Whisper { party: target, by: transferor });
                transfer.is_held = false;
                transfer.step = Step::Whispering(target);
                self.keep(transfer, TransferState::Whispering);
            }
            (Step::Whispering(target), false) => {
                self.media(MediaAct::Unwhisper(target));
                // The transferee's peer is the transferor again before it is held, so that a swap finds it there.
                self.media(MediaAct::Bridge { a: transferee, b: transferor });
                self.hold(&mut transfer);
                self.consult(transfer, target);
            }
            _ => return Err(self.not_now(transfer)),
        }
        Ok(())
    }

    /// Transferee and transferor hear each other again, and the target hears nobody.
    pub(super) fn rejoin(&mut self, transfer: &mut Transfer, target: PartyId) {
        // Whoever is gone has left with its leg.
        let has_leg = self.party(target).state != PartyState::Over;
        match transfer.step {
            Step::Whispering(_) => {
                if has_leg {
                    self.media(MediaAct::Unwhisper(target));
                }
                self.media(MediaAct::Bridge { a: transfer.transferee, b: transfer.transferor });
            }
            Step::Conferencing(_) if has_leg => self.media(MediaAct::Leave(target)),
            _ => {}
        }
        // The two talk: nobody else is tried over their heads.
        transfer.waiting.clear();
    }

    /// Takes a transfer back: the transferee returns to the transferor.
    pub(super) fn cancel(&mut self, transfer: Box<Transfer>) {
        let target = transfer.target().filter(|_| transfer.consultation.is_none_or(|party| !self.is_there(party)));
        let mut transfer = self.give_up(transfer, By::Command);
        if let Some(target) = transfer.target() {
            self.rejoin(&mut transfer, target);
        }
        if let Some(target) = target {
            self.part(target);
            self.end(target, 487, None);
        }
        transfer.on_fail = OnFail::Resume;
        self.give_back(&mut transfer, 487);
        self.close(transfer, TransferState::Cancelled);
    }

    /// The transfer goes on, and the command does nothing.
    pub(super) fn not_now(&mut self, transfer: Box<Transfer>) -> CommandError {
        let state = transfer.record.state.as_str();
        self.transfer = Some(transfer);
        CommandError::NotNow(state)
    }
}
