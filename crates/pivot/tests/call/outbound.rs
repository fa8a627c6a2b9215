//! REFERs that go out, and those that are sent on.

use patchcord_pivot::call::plan::{Method, TransferCommand};
use patchcord_pivot::call::record::TransferState;
use patchcord_pivot::call::route::Rule;
use patchcord_pivot::call::sipfrag::status;
use patchcord_pivot::call::trunk::ReferMode;
use patchcord_pivot::call::{Act, Command, CommandError, Input, OwnId, PartyId, TimerId};

use crate::ears::Hears;
use crate::world::{AGENT, CALLER, Dialog, World, plan, refer};

fn notify(world: &mut World, party: PartyId, state: &str, body: &str) -> Option<u16> {
    let request = world.next_request();
    world.input(Input::Notify { party, request, state: state.into(), body: body.into() });
    world.answer(request)
}

fn sent(world: &World) -> (OwnId, PartyId, Box<str>) {
    let (&own, (party, refer_to)) = world.refers.first_key_value().expect("a REFER");
    (own, *party, refer_to.clone())
}

fn command(targets: &[&str]) -> Command {
    let targets = targets.iter().map(|&target| target.into()).collect();
    Command::Transfer(Box::new(TransferCommand { targets, ..TransferCommand::new(Method::Refer, "") }))
}

#[test]
fn a_refer_of_ours_ends_with_its_final_notify() {
    let mut world = World::talking(plan(ReferMode::Pivot));
    assert_eq!(notify(&mut world, CALLER, "active", "SIP/2.0 100 Trying\r\n"), Some(481), "nobody sent a REFER");
    world.command(command(&["+15550199"])).expect("a transfer");
    let (own, party, refer_to) = sent(&world);
    assert_eq!((party, &*refer_to), (CALLER, "<tel:+15550199>"));
    world.input(Input::Answered { request: own, status: status(202) });
    assert_eq!(notify(&mut world, CALLER, "active;expires=60", "SIP/2.0 180 Ringing\r\n"), Some(200));
    assert_eq!(world.hears(CALLER), Hears::Party(AGENT), "the transferee's side does what it wants");
    assert_eq!(notify(&mut world, CALLER, "terminated;reason=noresource", "SIP/2.0 200 OK\r\n"), Some(200));
    assert_eq!((world.transfer().state, world.dialog(AGENT)), (TransferState::Done, Dialog::Over));
    world.fire(TimerId::Grace(CALLER));
    assert!(world.is_over);
}

#[test]
fn a_transferee_that_leaves_after_its_202_has_gone_where_it_was_sent() {
    let mut world = World::talking(plan(ReferMode::Pivot));
    world.command(command(&["+15550199"])).expect("a transfer");
    let (own, ..) = sent(&world);
    world.input(Input::Answered { request: own, status: status(202) });
    world.hang_up(CALLER);
    assert!(world.is_over && world.transfer().state == TransferState::Done);
}

#[test]
fn a_refer_that_fails_leaves_everything_as_it_was_and_the_next_target_is_tried() {
    let mut world = World::talking(plan(ReferMode::Pivot));
    world.command(command(&["+15550199", "sip:x@anywhere.example"])).expect("a transfer");
    let (own, ..) = sent(&world);
    world.input(Input::Answered { request: own, status: status(603) });
    let (own, _, refer_to) = sent(&world);
    assert_eq!(&*refer_to, "<sip:x@anywhere.example>");
    world.input(Input::Answered { request: own, status: status(202) });
    notify(&mut world, CALLER, "terminated;reason=noresource", "SIP/2.0 486 Busy Here\r\n");
    assert_eq!(world.transfer().state, TransferState::Failed);
    assert_eq!(world.transfer().failures.iter().map(|failure| failure.status.code).collect::<Vec<_>>(), [603, 486]);
    assert_eq!(world.hears(CALLER), Hears::Party(AGENT));

    let id = world.command(command(&["+15550199"])).expect("a transfer");
    assert!(matches!(world.command(Command::Cancel(id)), Err(CommandError::NotNow("referring"))));
    world.fire(TimerId::Refer(id));
    assert_eq!(world.transfer().failures[0].status.code, 408);
    assert_eq!(world.command(command(&["911"])), Err(CommandError::Rule(Rule::Emergency)));
    world.wind_up();
}

#[test]
fn whoever_takes_no_refer_is_sent_none() {
    let mut world = World::new(plan(ReferMode::Forward));
    world.input(Input::Accepted { party: AGENT, allow: Some(["INVITE".into(), "BYE".into()].into()) });
    world.input(Input::Acknowledged(CALLER));
    let to_agent = TransferCommand { transferee: Some(AGENT), ..TransferCommand::new(Method::Refer, "+15550199") };
    assert_eq!(world.command(Command::Transfer(Box::new(to_agent))), Err(CommandError::Rule(Rule::NoRefer)));
    assert_eq!(world.refer(CALLER, refer(&["tel:+15550199"])).1, Some(603));
    assert_eq!(world.transfer().rule, Some(Rule::NoRefer));
    world.wind_up();
}

#[test]
fn a_refer_is_sent_on_and_its_notifys_come_back() {
    let forwarding = || {
        let mut world = World::talking(plan(ReferMode::Forward));
        let (request, answer) = world.refer(AGENT, refer(&["tel:+15550199"]));
        assert_eq!(answer, None, "the transferee has not answered");
        let (own, party, refer_to) = sent(&world);
        assert_eq!((party, &*refer_to), (CALLER, "tel:+15550199"));
        (world, request, own)
    };
    let (mut world, request, own) = forwarding();
    world.input(Input::Answered { request: own, status: status(202) });
    assert_eq!(world.answer(request), Some(202));
    world.answer_notifies(200);
    notify(&mut world, CALLER, "active", "SIP/2.0 180\r\n");
    world.answer_notifies(200);
    notify(&mut world, CALLER, "terminated", "SIP/2.0 200 OK\r\n");
    world.answer_notifies(200);
    assert_eq!(world.told(AGENT), [100, 180, 200]);
    let phrase =
        world.acts.iter().any(|act| matches!(act, Act::Notify { body, .. } if &**body == "SIP/2.0 180 Ringing\r\n"));
    assert!(phrase, "the reason phrase that was left out is put in");
    world.wind_up();

    let (mut world, request, own) = forwarding();
    world.input(Input::Answered { request: own, status: status(405) });
    assert_eq!((world.answer(request), world.told(AGENT)), (Some(405), vec![]));
    assert_eq!(world.hears(CALLER), Hears::Party(AGENT));
    world.wind_up();

    let (mut world, request, own) = forwarding();
    notify(&mut world, CALLER, "active", "SIP/2.0 100 Trying\r\n");
    assert_eq!(world.answer(request), Some(202), "the NOTIFY has overtaken the 202");
    world.hang_up(AGENT);
    assert_eq!(world.hears(CALLER), Hears::Hold, "it may yet go");
    world.input(Input::Answered { request: own, status: status(202) });
    notify(&mut world, CALLER, "terminated;reason=timeout", "");
    assert!(world.is_over, "it is alone");
}
