//! A REFER that has come in: judged, decided, and begun.

use core::time::Duration;

use super::explain::{By, Failure, Stage};
use super::machine::Call;
use super::plan::{Method, OnFail, Shown};
use super::record::{ChosenBy, TransferRecord, TransferState};
use super::refer_to::{ReferTo, ReferToError, is_extra};
use super::route::{Rule, route};
use super::sipfrag::status;
use super::subscription::Subscription;
use super::transfer::{MOST_TARGETS, Step, Target, TargetError, Transfer};
use super::trunk::ReferMode;
use super::words::{Act, Decision, PartyId, Question, TimerId, TransferId};
use crate::message::{Header, Refer, RequestId, Status};

impl Call {
    pub(super) fn refer(&mut self, party: PartyId, request: RequestId, refer: Box<Refer>) {
        if !self.is_there(party) {
            return self.respond(request, status(481));
        }
        if refer.subscription.is_none() {
            self.party(party).refers = self.party(party).refers.saturating_add(1);
        }
        let refer_to = match self.judge(party, &refer) {
            Ok(refer_to) => refer_to,
            Err((rule, status)) => return self.refuse_refer(party, request, &refer, rule, status),
        };
        let Some(transferee) = self.peer(party) else { return };
        let trunk = self.party(party).trunk.clone();
        let mut transfer = self.new_transfer(party, transferee, Method::Pivot, ChosenBy::Refer);
        transfer.is_referred = true;
        transfer.record.refer_to = refer.refer_to.first().cloned().unwrap_or_default();
        transfer.record.without_effect.clone_from(&refer_to.ignored);
        transfer.headers = refer_to.extra.iter().chain(&refer.extra).cloned().collect();
        transfer.referred_by.clone_from(&refer.referred_by);
        transfer.pending = Some((request, refer));
        let id = transfer.record.id;
        if trunk.refer == ReferMode::Forward {
            return self.forward(transfer);
        }
        if let Some(replaces) = refer_to.replaces {
            transfer.record.method = Method::Attended;
            transfer.step = Step::Resolving;
            self.acts.push(Act::Resolve(id, replaces));
        } else if trunk.refer == ReferMode::Controller {
            transfer.step = Step::Asking;
            let question = Question {
                trunk: trunk.name.clone(),
                caller: self.record.caller.clone(),
                callee: self.record.callee.clone(),
                refer_to: transfer.record.refer_to.clone(),
                referred_by: transfer.referred_by.clone(),
                transferor: self.address(party),
                transferee: self.address(transferee),
                extra: transfer.headers.clone(),
            };
            self.acts.push(Act::AskWebhook(id, Box::new(question)));
        } else {
            return self.proceed(transfer);
        }
        self.start(TimerId::Decision(id), self.plan.timing.decision);
        self.keep(transfer, TransferState::Deciding);
    }

    /// Whether a REFER may be done, before anybody looks at where it goes.
    fn judge(&mut self, party: PartyId, refer: &Refer) -> Result<ReferTo, (Rule, Status)> {
        let refused = |rule: Rule| (rule, rule.status());
        let (trunk, is_direct) = (self.party(party).trunk.clone(), self.party(party).is_direct);
        // Within its dialog the stack knows who may speak; outside of it the trunk's addresses alone say who it is.
        let is_its_own = if is_direct { refer.subscription.is_none() } else { trunk.takes(refer.origin.address.ip()) };
        if !is_its_own {
            return Err(refused(Rule::Unauthorised));
        }
        let refer_to = ReferTo::of(&refer.refer_to).map_err(|error| {
            let code = if matches!(error, ReferToError::Method(_)) { 603 } else { 400 };
            (Rule::Malformed, Status { code, phrase: error.to_string().into() })
        })?;
        if self.transfer.is_some() {
            return Err(refused(Rule::InTransfer));
        }
        if !trunk.transfers {
            return Err(refused(Rule::TransfersOff));
        }
        if self.begun >= trunk.transfers_max {
            return Err(refused(Rule::TooManyTransfers));
        }
        match self.peer(party) {
            Some(peer) if self.is_there(peer) => Ok(refer_to),
            _ => Err(refused(Rule::NotConnected)),
        }
    }

    fn refuse_refer(&mut self, party: PartyId, request: RequestId, refer: &Refer, rule: Rule, status: Status) {
        let transferee = self.peer(party).unwrap_or(party);
        let record = self.transfer.take();
        let mut transfer = self.new_transfer(party, transferee, Method::Pivot, ChosenBy::Refer);
        self.transfer = record;
        transfer.record.refer_to =
            refer.refer_to.first().map(|text| text.chars().take(256).collect::<String>().into()).unwrap_or_default();
        self.respond(request, status.clone());
        self.refused(transfer, rule, status);
    }

    /// Records a transfer that a rule has refused.
    pub(super) fn refused(&mut self, mut transfer: Box<Transfer>, rule: Rule, status: Status) {
        transfer.record.rule = Some(rule);
        transfer.record.failures.push(Failure {
            stage: Stage::Request,
            by: By::Rule(rule),
            target: transfer.record.refer_to.clone(),
            kind: transfer.record.kind,
            trunk: None,
            status,
            rejection: None,
            took: self.now.saturating_sub(transfer.record.began),
            ringing: Duration::ZERO,
            early_media: Duration::ZERO,
        });
        self.close(transfer, TransferState::Refused);
    }

    /// Refuses the REFER of a transfer that has one, and forgets the transfer.
    pub(super) fn decline(&mut self, mut transfer: Box<Transfer>, rule: Rule, status: Status) {
        if let Some((request, _)) = transfer.pending.take() {
            self.respond(request, status.clone());
        }
        self.refused(transfer, rule, status);
    }

    pub(super) fn new_transfer(
        &mut self,
        transferor: PartyId,
        transferee: PartyId,
        method: Method,
        chosen_by: ChosenBy,
    ) -> Box<Transfer> {
        self.next_transfer += 1;
        let id = TransferId(self.next_transfer);
        self.list(id);
        let hold_audio = self.party(transferor).trunk.hold_audio.clone();
        let record = TransferRecord {
            id,
            method,
            chosen_by,
            transferor: self.name(transferor),
            transferee: self.name(transferee),
            target: None,
            kind: None,
            refer_to: "".into(),
            state: TransferState::Deciding,
            began: self.now,
            connected: None,
            ended: None,
            rule: None,
            failures: Vec::new(),
            receipts: Vec::new(),
            waited: Duration::ZERO,
            transferor_left: false,
            notify_refused: false,
            without_effect: Vec::new(),
            bill: None,
        };
        Box::new(Transfer {
            record,
            told_failures: usize::MAX,
            transferor,
            transferee,
            is_referred: false,
            pending: None,
            step: Step::Ringing,
            waiting: [].into(),
            ringing: Vec::new(),
            at_once: false,
            is_held: false,
            hold_audio,
            waits_since: None,
            rings: false,
            early: None,
            consultation: None,
            ring: self.plan.timing.ring,
            detection: self.plan.timing.detection,
            on_fail: OnFail::Resume,
            shown: None,
            headers: Vec::new(),
            referred_by: None,
            worst: None,
        })
    }

    /// Dials where the REFER says, if that is allowed.
    fn proceed(&mut self, mut transfer: Box<Transfer>) {
        let fields = transfer.pending.as_ref().map(|(_, refer)| refer.refer_to.clone()).unwrap_or_default();
        // It was read before; whatever does not read again is refused.
        let Ok(refer_to) = ReferTo::of(&fields) else { return self.decline(transfer, Rule::Malformed, status(400)) };
        let trunk = self.party(transfer.transferor).trunk.clone();
        match route(&refer_to.target, &trunk, &self.plan.numbers) {
            Err(rule) => self.decline(transfer, rule, rule.status()),
            Ok(routed) => {
                let replaces = refer_to
                    .replaces
                    .map(|replaces| Header { name: "Replaces".into(), value: replaces.to_string().into() });
                let asked = refer_to.target.to_string().into();
                transfer.waiting.push_back(Target { asked, routed, headers: replaces.into_iter().collect() });
                self.accept_refer(&mut transfer);
                self.begin(transfer);
            }
        }
    }

    /// 202, and the subscription, unless the transferor wants none (RFC 4488).
    pub(super) fn accept_refer(&mut self, transfer: &mut Transfer) {
        let Some((request, refer)) = transfer.pending.take() else { return };
        let is_silent = refer.refer_sub == Some(false);
        let headers = is_silent.then(|| Header { name: "Refer-Sub".into(), value: "false".into() });
        self.acts.push(Act::Respond { request, status: status(202), headers: headers.into_iter().collect() });
        if !is_silent {
            let (party, is_first) = (transfer.transferor, self.party(transfer.transferor).refers <= 1);
            self.subscriptions.push(match refer.subscription {
                Some(dialog) => Subscription::of_its_own(party, dialog),
                None => Subscription::new(party, refer.cseq, is_first),
            });
            // 100 goes out before anything else is done.
            self.settle();
        }
    }

    pub(super) fn decided(&mut self, id: TransferId, decision: Decision) {
        let Some(mut transfer) =
            self.transfer.take_if(|transfer| transfer.record.id == id && transfer.step == Step::Asking)
        else {
            return;
        };
        self.stop(TimerId::Decision(id));
        match decision {
            Decision::Proceed => self.proceed(transfer),
            Decision::Refuse(status) => {
                let is_final = (300..700).contains(&status.code);
                self.decline(transfer, Rule::Controller, if is_final { status } else { Rule::Controller.status() });
            }
            Decision::Failed => self.decline(transfer, Rule::ControllerSlow, Rule::ControllerSlow.status()),
            Decision::Dial { targets, caller_id, headers, ring } => {
                transfer.record.chosen_by = ChosenBy::Controller;
                let trunk = self.party(transfer.transferor).trunk.clone();
                if targets.is_empty() || targets.len() > MOST_TARGETS {
                    return self.decline(transfer, Rule::ControllerSlow, Rule::ControllerSlow.status());
                }
                for target in targets {
                    match Target::named(&target, &trunk, &self.plan.numbers) {
                        Ok(target) => transfer.waiting.push_back(target),
                        Err(TargetError::Rule(rule)) => return self.decline(transfer, rule, rule.status()),
                        Err(TargetError::Text(_)) => {
                            return self.decline(transfer, Rule::ControllerSlow, Rule::ControllerSlow.status());
                        }
                    }
                }
                transfer.shown = caller_id.map(Shown::Address);
                // The controller's go before those of the REFER, of which those with the same name are left out.
                let own = headers.into_iter().filter(|header| is_extra(&header.name));
                transfer.headers = own.chain(core::mem::take(&mut transfer.headers)).collect();
                transfer.ring = ring.unwrap_or(transfer.ring);
                self.accept_refer(&mut transfer);
                self.begin(transfer);
            }
        }
    }

    /// Neither the controller nor the driver has said anything.
    pub(super) fn no_decision(&mut self, id: TransferId) {
        let is_deciding = |transfer: &mut Box<Transfer>| {
            transfer.record.id == id && matches!(transfer.step, Step::Asking | Step::Resolving)
        };
        let Some(transfer) = self.transfer.take_if(is_deciding) else { return };
        let rule = if transfer.step == Step::Asking { Rule::ControllerSlow } else { Rule::Replaces };
        self.decline(transfer, rule, rule.status());
    }

    /// The `Replaces` of a REFER is none of ours: the target is sent it.
    pub(super) fn proceed_with_replaces(&mut self, transfer: Box<Transfer>) {
        self.proceed(transfer);
    }
}
