//! Transfers by command: by INVITE with several targets, and warm.

use core::time::Duration;

use patchcord_pivot::call::billing::Direction;
use patchcord_pivot::call::plan::{Method, OnFail, Plan, Shown, TransferCommand};
use patchcord_pivot::call::record::TransferState;
use patchcord_pivot::call::route::Rule;
use patchcord_pivot::call::trunk::{CallerId, ReferMode};
use patchcord_pivot::call::{Act, Command, CommandError, MediaAct, PartyId, TransferId};

use crate::ears::Hears;
use crate::world::{AGENT, CALLER, Dialog, World, plan};

const FIRST: PartyId = PartyId(2);
const SECOND: PartyId = PartyId(3);

fn transferring(command: TransferCommand) -> (World, TransferId) {
    let mut world = World::talking(plan(ReferMode::Pivot));
    let id = world.command(Command::Transfer(Box::new(command))).expect("a transfer");
    (world, id)
}

fn to(method: Method, targets: &[&str]) -> TransferCommand {
    TransferCommand {
        targets: targets.iter().map(|&target| target.into()).collect(),
        ..TransferCommand::new(method, "")
    }
}

#[test]
fn targets_are_tried_in_order_under_one_hold() {
    let (mut world, _) = transferring(to(Method::Invite, &["+15550101", "+15550102"]));
    world.ring(FIRST);
    assert_eq!(world.hears(CALLER), Hears::Ringback);
    world.reject(FIRST, 486);
    assert_eq!(world.hears(CALLER), Hears::Hold);
    world.accept(SECOND);
    world.cut_over();
    assert_eq!(
        (world.hears(CALLER), world.dialog(AGENT)),
        (Hears::Party(SECOND), Dialog::Over),
        "nobody waits for its BYE"
    );
    assert_eq!((world.transfer().state, world.transfer().failures.len()), (TransferState::Done, 1));
    world.wind_up();
}

#[test]
fn of_several_at_once_the_first_answer_has_it() {
    let command = TransferCommand { at_once: true, ..to(Method::Invite, &["+15550101", "+15550102", "+15550103"]) };
    let (mut world, _) = transferring(command.clone());
    world.reject(FIRST, 486);
    assert_eq!(world.transfer().state, TransferState::Ringing);
    world.accept(SECOND);
    assert_eq!(world.dialog(PartyId(4)), Dialog::Cancelled);
    world.accept(PartyId(4));
    assert_eq!(world.dialog(PartyId(4)), Dialog::Over, "too late");
    world.cut_over();
    assert_eq!(world.hears(CALLER), Hears::Party(SECOND));
    world.wind_up();

    let (mut world, _) = transferring(command);
    for (party, code) in [(FIRST, 503), (SECOND, 404), (PartyId(4), 486)] {
        world.reject(party, code);
    }
    assert_eq!((world.transfer().state, world.hears(CALLER)), (TransferState::Failed, Hears::Party(AGENT)));
}

#[test]
fn an_agent_that_has_called_a_number_means_the_number() {
    let plan = Plan { direction: Direction::Termination, ..plan(ReferMode::Pivot) };
    let mut world = World::talking(plan);
    let command = to(Method::Invite, &["+15550101"]);
    world.command(Command::Transfer(Box::new(command.clone()))).expect("a transfer");
    world.accept(FIRST);
    world.cut_over();
    assert_eq!((world.hears(AGENT), world.dialog(CALLER)), (Hears::Party(FIRST), Dialog::Over));
    world.command(Command::Transfer(Box::new(command))).expect("another one");
    world.accept(SECOND);
    world.cut_over();
    assert_eq!((world.hears(AGENT), world.dialog(FIRST)), (Hears::Party(SECOND), Dialog::Over), "the same one");
    world.wind_up();
}

#[test]
fn a_failure_may_hang_up_both() {
    let (mut world, _) =
        transferring(TransferCommand { on_fail: OnFail::HangUp, ..to(Method::Invite, &["+15550101"]) });
    world.reject(FIRST, 486);
    assert!(world.is_over);
}

#[test]
fn a_warm_transfer_goes_through_all_its_states() {
    let (mut world, id) = transferring(to(Method::Warm, &["+15550101"]));
    world.ring(FIRST);
    assert_eq!((world.hears(CALLER), world.hears(AGENT)), (Hears::Hold, Hears::Ringback), "the agent hears it ring");
    assert_eq!(world.command(Command::Complete(id)), Err(CommandError::NotNow("ringing")));
    world.accept(FIRST);
    assert_eq!((world.hears(CALLER), world.hears(AGENT)), (Hears::Hold, Hears::Party(FIRST)));
    world.command(Command::Whisper(id, true)).expect("whisper");
    assert_eq!(world.hears(CALLER), Hears::Party(FIRST));
    assert!(world.acts.contains(&Act::Media(MediaAct::Whisper { party: FIRST, by: AGENT })));
    world.command(Command::Whisper(id, false)).expect("no whisper");
    assert_eq!((world.hears(CALLER), world.hears(AGENT)), (Hears::Hold, Hears::Party(FIRST)));
    world.command(Command::Conference(id)).expect("a conference");
    for party in [CALLER, AGENT, FIRST] {
        assert_eq!(world.hears(party), Hears::Conference);
    }
    world.command(Command::Complete(id)).expect("complete");
    assert_eq!((world.hears(CALLER), world.dialog(AGENT)), (Hears::Party(FIRST), Dialog::Over));
    assert_eq!(world.command(Command::Complete(id)), Err(CommandError::NoTransfer));
    world.wind_up();
}

#[test]
fn whoever_hangs_up_in_a_consultation_hands_over_and_a_target_that_does_gives_back() {
    let consulting = || {
        let (mut world, id) = transferring(to(Method::Warm, &["+15550101"]));
        world.accept(FIRST);
        (world, id)
    };
    let (mut world, _) = consulting();
    world.hang_up(AGENT);
    world.cut_over();
    assert_eq!((world.hears(CALLER), world.transfer().state), (Hears::Party(FIRST), TransferState::Done));
    let (mut world, _) = consulting();
    world.hang_up(FIRST);
    assert_eq!((world.hears(CALLER), world.transfer().state), (Hears::Party(AGENT), TransferState::Failed));
    let (mut world, _) = consulting();
    world.hang_up(CALLER);
    assert!(world.is_over);
    for step in [None, Some(true), Some(false)] {
        let (mut world, id) = consulting();
        match step {
            None => {}
            Some(true) => world.command(Command::Conference(id)).map(drop).expect("a conference"),
            Some(false) => world.command(Command::Whisper(id, true)).map(drop).expect("whisper"),
        }
        world.command(Command::Cancel(id)).expect("cancelled");
        assert_eq!((world.hears(CALLER), world.hears(AGENT)), (Hears::Party(AGENT), Hears::Party(CALLER)));
        assert_eq!((world.dialog(FIRST), world.transfer().state), (Dialog::Over, TransferState::Cancelled));
        world.wind_up();
    }
}

#[test]
fn an_agent_that_leaves_before_the_target_answers_makes_it_a_blind_one() {
    let (mut world, _) = transferring(to(Method::Warm, &["+15550101"]));
    world.ring(FIRST);
    world.hang_up(AGENT);
    assert_eq!(world.hears(CALLER), Hears::Ringback);
    world.accept(FIRST);
    world.cut_over();
    assert_eq!(world.hears(CALLER), Hears::Party(FIRST));
    world.wind_up();
}

#[test]
fn a_command_that_cannot_be_done_says_why() {
    let mut world = World::new(plan(ReferMode::Pivot));
    let command = |command: TransferCommand| Command::Transfer(Box::new(command));
    assert_eq!(world.command(command(to(Method::Invite, &["+1555"]))), Err(CommandError::NotConnected));
    let mut world = World::talking(plan(ReferMode::Pivot));
    for (targets, error) in [
        (&[][..], CommandError::Targets(0)),
        (&["+15550101"; 17], CommandError::Targets(17)),
        (&["+15550101", "911"], CommandError::Rule(Rule::Emergency)),
        (&["sip:x@evil.example"], CommandError::Rule(Rule::ForeignDomain)),
    ] {
        assert_eq!(world.command(command(to(Method::Invite, targets))), Err(error));
    }
    assert!(matches!(world.command(command(to(Method::Invite, &["alice"]))), Err(CommandError::Target(..))));
    assert_eq!(world.command(command(to(Method::Pivot, &["+1555"]))), Err(CommandError::Method));
    world.command(command(to(Method::Invite, &["+15550101"]))).expect("a transfer");
    assert_eq!(world.command(command(to(Method::Invite, &["+15550101"]))), Err(CommandError::InTransfer));
    assert_eq!(world.command(Command::Cancel(TransferId(99))), Err(CommandError::NoTransfer));
}

#[test]
fn settings_without_effect_are_named() {
    let settings = TransferCommand {
        shown: Some(Shown::Party(CallerId::Transferee)),
        hold_audio: Some("opus-9".into()),
        ring: Some(Duration::from_secs(1)),
        detection: Some(Duration::from_secs(1)),
        ..to(Method::Refer, &["+15550101"])
    };
    let named = ["show_transferee_as_caller", "hold_audio", "ring_duration_ms", "agent_detection_timeout_ms"];
    assert_eq!(settings.without_effect(), named);
    let (world, _) = transferring(settings);
    assert_eq!(world.transfer().without_effect.len(), 4);
}
