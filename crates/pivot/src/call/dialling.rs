//! Targets are called: what transferee and transferor hear meanwhile, who of several gets it, and what becomes of those that do not.

use core::time::Duration;
use std::sync::Arc;

use super::explain::{By, Failure, Stage};
use super::identity::{self, Identity};
use super::machine::Call;
use super::plan::Shown;
use super::record::TransferState;
use super::route::Via;
use super::sip_reason;
use super::sipfrag::status;
use super::transfer::{Step, Target, Transfer};
use super::words::{Dial, MediaAct, PartyId, TimerId, Trigger};
use crate::message::{Address, Rejection, Status};

impl Call {
    /// The transferee is put on hold and the first target called, or all.
    pub(super) fn begin(&mut self, mut transfer: Box<Transfer>) {
        self.begun += 1;
        self.hold(&mut transfer);
        self.dial_next(transfer);
    }

    pub(super) fn hold(&mut self, transfer: &mut Transfer) {
        self.media(MediaAct::Hold { party: transfer.transferee, audio: transfer.hold_audio.clone() });
        (transfer.is_held, transfer.rings, transfer.early) = (true, false, None);
        transfer.waits_since.get_or_insert(self.now);
    }

    /// Calls whoever is next.
    pub(super) fn dial_next(&mut self, mut transfer: Box<Transfer>) {
        while let Some(target) = transfer.waiting.pop_front() {
            let party = self.dial_target(&transfer, &target);
            transfer.ringing.push(party);
            transfer.record.kind = self.party(party).asked.as_ref().map(|(_, kind)| *kind);
            if !transfer.at_once {
                break;
            }
        }
        transfer.step = Step::Ringing;
        self.keep(transfer, TransferState::Ringing);
    }

    fn dial_target(&mut self, transfer: &Transfer, target: &Target) -> PartyId {
        let by = Arc::clone(&self.party(transfer.transferor).trunk);
        let numbers = Arc::clone(&self.plan.numbers);
        let is_direct = target.routed.via == Via::Direct;
        let trunk = if matches!(&target.routed.via, Via::Trunk(name) if *name == numbers.name) { numbers } else { by };
        let shown_by = (!is_direct).then_some(&*trunk);
        let (transferee, transferor) = (self.address(transfer.transferee), self.address(transfer.transferor));
        let shown = match &transfer.shown {
            None => Identity::of(trunk.caller_id, &transferee, &transferor, shown_by),
            Some(Shown::Party(mode)) => Identity::of(*mode, &transferee, &transferor, shown_by),
            Some(Shown::Address(address)) => Identity::given(address, shown_by),
        };
        let own: &[_] = if is_direct { &[] } else { &trunk.headers };
        let mut headers = identity::headers(own, &transfer.headers, transfer.referred_by.as_deref());
        headers.extend(target.headers.iter().cloned());
        let dial = Dial {
            via: target.routed.via.clone(),
            to: Address { display: "".into(), uri: target.routed.request_uri.clone() },
            request_uri: target.routed.request_uri.clone(),
            from: shown.from,
            asserted: shown.asserted,
            headers,
        };
        let name = self.next_target_name("target");
        let party = self.dial(name, trunk, dial, transfer.ring);
        self.party(party).is_direct = is_direct;
        self.party(party).asked = Some((target.asked.clone(), target.kind()));
        party
    }

    /// Who is to hear that it rings.
    fn listener(&self, transfer: &Transfer) -> PartyId {
        if transfer.is_warm() && self.is_there(transfer.transferor) { transfer.transferor } else { transfer.transferee }
    }

    pub(super) fn target_progress(&mut self, party: PartyId, status: Status, early_media: bool) {
        let Some(mut transfer) = self.transfer.take_if(|transfer| transfer.ringing.contains(&party)) else { return };
        let listener = self.listener(&transfer);
        if early_media && transfer.early.is_none() {
            self.media(MediaAct::EarlyMedia { listener, from: party });
            transfer.early = Some(party);
        } else if status.code == 180 && !transfer.rings && transfer.early.is_none() {
            self.media(MediaAct::Ringback(listener));
            transfer.rings = true;
        }
        self.tell(&transfer, status);
        self.transfer = Some(transfer);
    }

    pub(super) fn target_answered(&mut self, party: PartyId) {
        let Some(mut transfer) = self.transfer.take_if(|transfer| transfer.ringing.contains(&party)) else {
            return self.end(party, 487, None);
        };
        for other in core::mem::take(&mut transfer.ringing) {
            if other != party {
                self.end(other, 487, None);
            }
        }
        transfer.record.kind = self.party(party).asked.as_ref().map(|(_, kind)| *kind).or(transfer.record.kind);
        transfer.record.target = Some(self.name(party));
        if transfer.is_warm() && self.is_there(transfer.transferor) {
            self.consult(transfer, party);
        } else {
            self.connect(transfer, party);
        }
    }

    /// The target takes the transferor's place, as soon as it is heard.
    fn connect(&mut self, mut transfer: Box<Transfer>, target: PartyId) {
        let old = Some(transfer.transferor).filter(|&transferor| self.is_there(transferor));
        let trigger = match transfer.detection.filter(|_| !transfer.is_warm()) {
            Some(detection) => {
                self.media(MediaAct::Detect(target));
                self.start(TimerId::Detection(target), detection);
                Trigger::Human
            }
            None => {
                self.start(TimerId::FirstPacket(target), self.plan.timing.first_packet);
                Trigger::FirstPacket
            }
        };
        self.media(MediaAct::Swap { survivor: transfer.transferee, old, new: target, trigger });
        transfer.step = Step::Connecting { target, is_forced: false };
        self.keep(transfer, TransferState::Connecting);
    }

    pub(super) fn target_rejected(&mut self, party: PartyId, rejection: Box<Rejection>) {
        let status = rejection.status.clone();
        self.target_failed(party, By::Response, &status, Some(rejection));
    }

    pub(super) fn rang_too_long(&mut self, party: PartyId) {
        self.target_failed(party, By::RingTimer, &status(408), None);
    }

    /// A machine answered, or nobody was heard.
    pub(super) fn no_human(&mut self, party: PartyId, by: By) {
        let waits_for_human = self
            .transfer
            .as_ref()
            .is_some_and(|transfer| transfer.detection.is_some() && !transfer.is_warm() && self.is_connecting(party));
        if waits_for_human {
            self.target_failed(party, by, &status(480), None);
        }
    }

    /// The first packet has been waited for. Whoever sends nothing may yet want to hear something.
    pub(super) fn no_packet(&mut self, party: PartyId) {
        let Some(transfer) = self.transfer.as_mut() else { return };
        let Step::Connecting { target, is_forced } = &mut transfer.step else { return };
        if *target != party {
            return;
        }
        if core::mem::replace(is_forced, true) {
            return self.target_failed(party, By::NoMedia, &status(480), None);
        }
        let (survivor, old) = (transfer.transferee, transfer.transferor);
        let old = Some(old).filter(|&old| self.is_there(old));
        self.media(MediaAct::Swap { survivor, old, new: party, trigger: Trigger::Immediate });
        self.start(TimerId::FirstPacket(party), self.plan.timing.first_packet);
    }

    pub(super) fn media_failed(&mut self, party: PartyId) {
        let is_target = self
            .transfer
            .as_ref()
            .is_some_and(|transfer| transfer.ringing.contains(&party) || transfer.target() == Some(party));
        if is_target {
            return self.target_failed(party, By::Media, &status(488), None);
        }
        if self.transfer.as_ref().is_none_or(|transfer| !transfer.needs(party))
            && let Some(peer) = self.part(party)
        {
            for party in [party, peer] {
                self.end(party, 488, Some(sip_reason(488)));
            }
        }
    }

    pub(super) fn is_connecting(&self, party: PartyId) -> bool {
        self.transfer
            .as_ref()
            .is_some_and(|transfer| matches!(transfer.step, Step::Connecting { target, .. } if target == party))
    }

    pub(super) fn failure(
        &mut self,
        party: PartyId,
        stage: Stage,
        by: By,
        status: Status,
        rejection: Option<Box<Rejection>>,
    ) -> Failure {
        let now = self.now;
        let known = self.party(party);
        let since = |then: Option<Duration>| then.map_or(Duration::ZERO, |then| now.saturating_sub(then));
        Failure {
            stage,
            by,
            target: known.asked.as_ref().map_or_else(|| known.address.uri.clone(), |(asked, _)| asked.clone()),
            kind: known.asked.as_ref().map(|(_, kind)| *kind),
            trunk: (!known.is_direct).then(|| Arc::clone(&known.trunk.name)),
            status,
            rejection,
            took: now.saturating_sub(known.dialled),
            ringing: since(known.rings_since),
            early_media: since(known.early_since),
        }
    }

    pub(super) fn stage_of(&mut self, transfer: &Transfer, party: PartyId) -> Stage {
        match transfer.step {
            Step::Connecting { .. } if transfer.detection.is_some() && !transfer.is_warm() => Stage::Detection,
            Step::Connecting { .. } => Stage::Connecting,
            Step::Consulting(_) | Step::Whispering(_) | Step::Conferencing(_) => Stage::Consultation,
            _ if self.party(party).rings_since.is_some() => Stage::Ringing,
            _ => Stage::Dialling,
        }
    }

    /// A target that is called or has answered is not to be had. The next one is called, or the transferee goes back.
    pub(super) fn target_failed(&mut self, party: PartyId, by: By, status: &Status, rejection: Option<Box<Rejection>>) {
        let is_of_it =
            |transfer: &mut Box<Transfer>| transfer.ringing.contains(&party) || transfer.target() == Some(party);
        let Some(mut transfer) = self.transfer.take_if(is_of_it) else { return };
        let stage = self.stage_of(&transfer, party);
        let failure = self.failure(party, stage, by, status.clone(), rejection);
        transfer.record.failures.push(failure);
        transfer.worsen(status);
        let was_connecting = matches!(transfer.step, Step::Connecting { .. });
        if was_connecting {
            self.media(MediaAct::CancelSwap(transfer.transferee));
            self.stop(TimerId::FirstPacket(party));
            self.stop(TimerId::Detection(party));
        }
        if matches!(transfer.step, Step::Whispering(_) | Step::Conferencing(_)) {
            self.rejoin(&mut transfer, party);
        }
        // The target of an attended transfer goes on talking with the transferor's other dialog, and has no more to do with this.
        let goes_on = transfer.consultation.take().is_some_and(|consultation| self.is_there(consultation));
        if !goes_on {
            self.end(party, 487, None);
        }
        transfer.ringing.retain(|&other| other != party);
        transfer.record.target = None;
        if !transfer.ringing.is_empty() {
            if transfer.early == Some(party) {
                self.quiet(&mut transfer);
            }
            self.keep(transfer, TransferState::Ringing);
        } else if transfer.waiting.is_empty() {
            self.fail(transfer);
        } else {
            self.quiet(&mut transfer);
            self.dial_next(transfer);
        }
    }

    /// Whoever heard ringing or early media hears hold audio again.
    pub(super) fn quiet(&mut self, transfer: &mut Transfer) {
        if transfer.is_warm() && self.is_there(transfer.transferor) {
            self.media(MediaAct::Stop(transfer.transferor));
            (transfer.rings, transfer.early) = (false, None);
        } else {
            self.hold(transfer);
        }
    }
}
