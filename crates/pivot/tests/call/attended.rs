//! Attended transfers.

use patchcord_pivot::call::record::TransferState;
use patchcord_pivot::call::route::Rule;
use patchcord_pivot::call::sipfrag::status;
use patchcord_pivot::call::trunk::{ReferMode, Trunk};
use patchcord_pivot::call::words::Resolution;
use patchcord_pivot::call::{Input, MediaInput, PartyId, Plan, TimerId};
use patchcord_pivot::message::{DialogId, Refer};

use crate::ears::Hears;
use crate::world::{AGENT, CALLER, Dialog, World, carrier, incoming, plan, refer};

const REPLACES: &str = "<sip:c@desk.example?Replaces=id%3Bto-tag%3D1%3Bfrom-tag%3D2>";

fn asking() -> (World, patchcord_pivot::message::RequestId) {
    let mut world = World::talking(plan(ReferMode::Pivot));
    let (request, answer) = world.refer(AGENT, refer(&[REPLACES]));
    assert_eq!(answer, None);
    assert_eq!(world.to_resolve.as_ref().expect("a question").1.to_string(), "id;to-tag=1;from-tag=2");
    (world, request)
}

#[test]
fn two_calls_are_spliced_in_one_step() {
    let (mut world, request) = asking();
    world.merge(World::talking(plan(ReferMode::Pivot)), CALLER).map_err(drop).expect("merged");
    // The other call's caller and agent are 2 and 3 here.
    let (consultation, target) = (PartyId(2), PartyId(3));
    assert_eq!(&*world.call.name(target), "consult-2");
    assert_eq!(world.answer(request), Some(202));
    assert_eq!((world.hears(CALLER), world.hears(target)), (Hears::Party(AGENT), Hears::Party(consultation)));
    world.cut_over();
    assert_eq!((world.hears(CALLER), world.hears(target)), (Hears::Party(target), Hears::Party(CALLER)));
    assert_eq!(world.dialog(consultation), Dialog::Over);
    world.answer_notifies(200);
    assert_eq!(world.told(AGENT), [100, 200]);
    world.fire(TimerId::Grace(AGENT));
    world.hang_up(CALLER);
    assert!(world.is_over);
}

#[test]
fn a_splice_that_fails_leaves_both_conversations() {
    let (mut world, _) = asking();
    world.merge(World::talking(plan(ReferMode::Pivot)), CALLER).map_err(drop).expect("merged");
    world.input(Input::Media(MediaInput::Failed(PartyId(3))));
    world.answer_notifies(200);
    assert_eq!((world.told(AGENT), world.transfer().state), (vec![100, 488], TransferState::Failed));
    assert_eq!((world.hears(CALLER), world.hears(PartyId(3))), (Hears::Party(AGENT), Hears::Party(PartyId(2))));
    world.hang_up(PartyId(3));
    assert_eq!((world.dialog(PartyId(2)), world.dialog(AGENT)), (Dialog::Over, Dialog::Up));
    world.wind_up();
}

#[test]
fn a_transferor_that_leaves_before_the_splice_is_done_leaves_nobody_in_silence() {
    let (mut world, _) = asking();
    world.merge(World::talking(plan(ReferMode::Pivot)), CALLER).map_err(drop).expect("merged");
    world.hang_up(AGENT);
    assert_eq!(world.hears(CALLER), Hears::Hold);
    world.hang_up(PartyId(2));
    world.cut_over();
    assert_eq!(world.hears(CALLER), Hears::Party(PartyId(3)));
    world.wind_up();
}

#[test]
fn a_last_resort_after_a_failed_splice_is_given_up_as_any_target_is() {
    let mut world = World::talking(Plan { last_resort: Some("+15550000".into()), ..plan(ReferMode::Pivot) });
    world.refer(AGENT, refer(&[REPLACES]));
    world.merge(World::talking(plan(ReferMode::Pivot)), CALLER).map_err(drop).expect("merged");
    world.hang_up(AGENT);
    world.fire(TimerId::FirstPacket(PartyId(3)));
    assert_eq!(world.dialog(PartyId(4)), Dialog::Dialled);
    world.fire(TimerId::Ring(PartyId(4)));
    assert_eq!((world.dialog(PartyId(4)), world.dialog(PartyId(3))), (Dialog::Cancelled, Dialog::Up));
    assert_eq!(world.hears(PartyId(3)), Hears::Party(PartyId(2)), "the other conversation goes on");
    world.wind_up();
}

#[test]
fn a_target_that_still_rings_is_waited_for_by_the_transferee() {
    let (mut world, request) = asking();
    let mut other = World::new(plan(ReferMode::Pivot));
    other.ring(AGENT);
    world.merge(other, CALLER).map_err(drop).expect("merged");
    assert_eq!((world.answer(request), world.dialog(PartyId(2))), (Some(202), Dialog::Over));
    assert_eq!(world.hears(CALLER), Hears::Ringback);
    world.accept(PartyId(3));
    world.cut_over();
    assert_eq!(world.hears(CALLER), Hears::Party(PartyId(3)));
    world.wind_up();
}

#[test]
fn a_call_that_cannot_be_taken_in_stays_as_it_is() {
    let (mut world, request) = asking();
    let mut other = World::talking(plan(ReferMode::Pivot));
    other.refer(AGENT, refer(&["tel:+15550199"]));
    let (mut other, refused) =
        world.merge(other, CALLER).map_err(|(other, status)| (*other, status)).expect_err("it is in a transfer");
    assert_eq!(refused.code, 491);
    let (id, _) = world.to_resolve.clone().expect("a question");
    world.input(Input::Resolved(id, Resolution::Refused(status(481))));
    assert_eq!((world.answer(request), world.transfer().rule), (Some(481), Some(Rule::Replaces)));
    other.accept(PartyId(2));
    other.cut_over();
    other.wind_up();
    let mut idle = World::talking(plan(ReferMode::Pivot));
    let refused = idle.merge(World::talking(plan(ReferMode::Pivot)), CALLER).map_err(|(_, status)| status.code);
    assert_eq!(refused, Err(481), "nobody asked");
    let (mut world, _) = asking();
    let addresses = [([198, 51, 100, 1].into(), 32)].into();
    let elsewhere = std::sync::Arc::new(Trunk { addresses, ..carrier() });
    let other = World::talking(Plan { caller: elsewhere, ..plan(ReferMode::Pivot) });
    let refused = world.merge(other, CALLER).map_err(|(_, status)| status.code);
    assert_eq!(refused, Err(403), "a dialog of somebody else");
}

#[test]
fn whoever_is_told_of_a_transfer_of_a_call_that_is_taken_in_is_told_its_end() {
    let (mut world, _) = asking();
    let mut other = World::talking(plan(ReferMode::Pivot));
    other.refer(AGENT, refer(&["tel:+15550199"]));
    other.accept(PartyId(2));
    other.cut_over();
    assert_eq!(other.told(AGENT), [100], "its answer is awaited");
    world.merge(other, CALLER).map_err(drop).expect("merged");
    let told = PartyId(3);
    world.answer_notifies(200);
    assert_eq!(world.told(told), [100, 200]);
    world.fire(TimerId::Grace(told));
    assert_eq!(world.dialog(told), Dialog::Over);
    world.wind_up();
}

#[test]
fn a_refer_outside_of_the_dialog_is_told_the_end_whoever_has_hung_up() {
    let outside = || Refer { subscription: Some(DialogId(0)), ..refer(&["tel:+15550199"]) };
    let mut world = World::talking(plan(ReferMode::Pivot));
    let (_, answer) = world.refer(AGENT, outside());
    assert_eq!(answer, Some(202));
    world.hang_up(AGENT);
    world.hang_up(CALLER);
    world.reject(PartyId(2), 487);
    assert!(!world.is_over, "a NOTIFY is on its way");
    world.answer_notifies(200);
    assert_eq!(world.told(AGENT), [100, 487]);
    assert!(world.is_over);

    let mut world = World::talking(plan(ReferMode::Pivot));
    world.refer(AGENT, outside());
    world.accept(PartyId(2));
    world.cut_over();
    world.fire(TimerId::Grace(AGENT));
    assert_eq!(world.dialog(AGENT), Dialog::Over, "its BYE waits for no answer in another dialog");
    world.answer_notifies(200);
    assert_eq!(world.told(AGENT), [100, 200]);
    world.wind_up();
}

#[test]
fn a_dialog_of_somebody_else_is_named_to_the_target() {
    let (mut world, request) = asking();
    let (id, _) = world.to_resolve.clone().expect("a question");
    world.input(Input::Resolved(id, Resolution::Foreign));
    assert_eq!(world.answer(request), Some(202));
    let dial = &world.dials[&PartyId(2)];
    let replaces = dial.headers.iter().find(|header| &*header.name == "Replaces").expect("Replaces");
    assert_eq!((&*dial.request_uri, &*replaces.value), ("sip:c@desk.example", "id;to-tag=1;from-tag=2"));
    world.wind_up();
    let (mut world, request) = asking();
    let (id, _) = world.to_resolve.clone().expect("a question");
    world.input(Input::Resolved(id, Resolution::Here(AGENT)));
    assert_eq!(world.answer(request), Some(481), "not its own dialog");
    world.wind_up();
}

#[test]
fn an_invite_with_replaces_takes_a_partys_place() {
    let mut world = World::talking(plan(ReferMode::Pivot));
    let new = world.replace(AGENT).expect("replaced");
    assert_eq!((world.hears(CALLER), world.dialog(AGENT)), (Hears::Party(new), Dialog::Over));
    assert_eq!(world.replace(AGENT).expect_err("over").code, 603);
    assert_eq!(world.replace(PartyId(77)).expect_err("none").code, 481);
    world.input(Input::Acknowledged(new));
    world.wind_up();

    let mut world = World::talking(plan(ReferMode::Pivot));
    let mut party = AGENT;
    let refused = (0..100).find_map(|_| match world.replace(party) {
        Ok(new) => {
            world.input(Input::Acknowledged(new));
            party = new;
            None
        }
        Err(status) => Some((status.code, world.dialogs.len())),
    });
    assert_eq!(refused, Some((483, 18)), "16 times");
    world.wind_up();

    let mut world = World::new(plan(ReferMode::Pivot));
    assert_eq!(world.replace(CALLER).expect_err("an early dialog of theirs").code, 481);
    let new = world.replace(AGENT).expect("picked up");
    assert_eq!((world.hears(CALLER), world.dialog(AGENT)), (Hears::Party(new), Dialog::Cancelled));
    world.wind_up();

    let mut world = World::talking(plan(ReferMode::Pivot));
    world.refer(AGENT, refer(&["tel:+15550199"]));
    assert_eq!(world.replace(CALLER).expect_err("in transfer").code, 491);
    let new = world.replace(PartyId(2)).expect("picked up");
    world.cut_over();
    assert_eq!((world.hears(CALLER), world.dialog(PartyId(2))), (Hears::Party(new), Dialog::Cancelled));
    world.wind_up();

    let mut world = World::talking(plan(ReferMode::Pivot));
    let trunk = std::sync::Arc::new(Trunk { replaces: false, ..carrier() });
    let refused = world.call.replace(world.now, AGENT, &incoming(), trunk, &mut Vec::new());
    assert_eq!(refused.expect_err("not allowed").code, 403);
}
