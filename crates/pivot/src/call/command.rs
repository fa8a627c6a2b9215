//! What somebody commands by the API.

use core::time::Duration;

use super::billing::Direction;
use super::machine::Call;
use super::plan::{Command, CommandError, Method, TransferCommand};
use super::record::ChosenBy;
use super::refer_to::is_extra;
use super::route::{Routed, Rule, TargetKind, Via, route};
use super::transfer::{MOST_TARGETS, Step, Target, TargetError, Transfer, uri_of};
use super::trunk::Trunk;
use super::words::{Act, TransferId};

impl Call {
    /// Does what somebody commands, and says which transfer it is about.
    ///
    /// # Errors
    /// Why it is not done; nothing has changed.
    pub fn command(
        &mut self,
        now: Duration,
        command: Command,
        acts: &mut Vec<Act>,
    ) -> Result<TransferId, CommandError> {
        if self.is_over() {
            return Err(CommandError::NotConnected);
        }
        self.now = self.now.max(now);
        let done = match command {
            Command::Transfer(command) => self.begin_by_command(*command),
            Command::Cancel(id) => self.of(id).and_then(|transfer| {
                if matches!(transfer.step, Step::Referring { .. }) {
                    return Err(self.not_now(transfer));
                }
                self.cancel(transfer);
                Ok(id)
            }),
            Command::Complete(id) => self.of(id).and_then(|transfer| self.complete_warm(transfer)).map(|()| id),
            Command::Conference(id) => self.of(id).and_then(|transfer| self.conference(transfer)).map(|()| id),
            Command::Whisper(id, on) => self.of(id).and_then(|transfer| self.whisper(transfer, on)).map(|()| id),
        };
        self.settle();
        acts.append(&mut self.acts);
        done
    }

    fn of(&mut self, id: TransferId) -> Result<Box<Transfer>, CommandError> {
        self.transfer.take_if(|transfer| transfer.record.id == id).ok_or(CommandError::NoTransfer)
    }

    fn begin_by_command(&mut self, command: TransferCommand) -> Result<TransferId, CommandError> {
        if !matches!(command.method, Method::Refer | Method::Invite | Method::Warm) {
            return Err(CommandError::Method);
        }
        if !(1..=MOST_TARGETS).contains(&command.targets.len()) {
            return Err(CommandError::Targets(command.targets.len()));
        }
        if self.transfer.is_some() {
            return Err(CommandError::InTransfer);
        }
        // Who has called a number is an agent: it means the number, not itself.
        let is_agent = |party| party == Self::CALLER && self.plan.direction == Direction::Termination;
        let usual = |&(first, second): &(_, _)| if is_agent(first) { second } else { first };
        let transferee = command.transferee.or_else(|| self.talks.first().map(usual));
        let pair = transferee.and_then(|transferee| Some((transferee, self.peer(transferee)?)));
        let Some((transferee, transferor)) = pair.filter(|&(a, b)| self.is_there(a) && self.is_there(b)) else {
            return Err(CommandError::NotConnected);
        };
        let trunk = self.party(transferor).trunk.clone();
        if !trunk.transfers {
            return Err(CommandError::Rule(Rule::TransfersOff));
        }
        if self.begun >= trunk.transfers_max {
            return Err(CommandError::Rule(Rule::TooManyTransfers));
        }
        if command.method == Method::Refer && self.party(transferee).takes_refer == Some(false) {
            return Err(CommandError::Rule(Rule::NoRefer));
        }
        let named = |text: &str| {
            let target = if command.method == Method::Refer {
                referred_to(text, &trunk, &self.plan.numbers)
            } else {
                Target::named(text, &trunk, &self.plan.numbers)
            };
            target.map_err(|error| match error {
                TargetError::Rule(rule) => CommandError::Rule(rule),
                TargetError::Text(why) => CommandError::Target(text.chars().take(128).collect::<String>().into(), why),
            })
        };
        let targets = command.targets.iter().map(|text| named(text)).collect::<Result<_, _>>()?;

        let mut transfer = self.new_transfer(transferor, transferee, command.method, ChosenBy::Command);
        let id = transfer.record.id;
        transfer.record.refer_to = command.targets.join(", ").into();
        transfer.record.without_effect = command.without_effect().into_iter().map(Into::into).collect();
        transfer.waiting = targets;
        transfer.at_once = command.at_once;
        transfer.ring = command.ring.unwrap_or(transfer.ring);
        transfer.detection = command.detection.or(transfer.detection);
        transfer.on_fail = command.on_fail;
        transfer.hold_audio = command.hold_audio.or(transfer.hold_audio);
        transfer.shown = command.shown;
        transfer.headers = command.headers.into_iter().filter(|header| is_extra(&header.name)).collect();
        if command.method == Method::Refer {
            self.refer_next(transfer);
        } else {
            self.begin(transfer);
        }
        Ok(id)
    }
}

/// A target that the transferee is to call itself: which domains it may call is not for this trunk to say.
fn referred_to(text: &str, by: &Trunk, numbers: &Trunk) -> Result<Target, TargetError> {
    let uri = uri_of(text)?;
    let routed = match route(&uri, by, numbers) {
        Ok(routed) => routed,
        Err(Rule::ForeignDomain) => {
            Routed { via: Via::Direct, request_uri: uri.to_string().into(), kind: TargetKind::Sip }
        }
        Err(rule) => return Err(TargetError::Rule(rule)),
    };
    Ok(Target { asked: format!("<{uri}>").into(), routed, headers: Vec::new() })
}
