//! Blind transfers by REFER: each is something that somebody shipped wrong, or a rule of RFC 3515.

use core::time::Duration;
use std::sync::Arc;

use patchcord_pivot::call::explain::{By, Stage};
use patchcord_pivot::call::plan::Timing;
use patchcord_pivot::call::record::TransferState;
use patchcord_pivot::call::route::Rule;
use patchcord_pivot::call::sipfrag::status;
use patchcord_pivot::call::trunk::{CallerId, ReferMode, Trunk};
use patchcord_pivot::call::words::{Decision, Trigger};
use patchcord_pivot::call::{Act, Input, MediaAct, MediaInput, PartyId, Plan, TimerId};
use patchcord_pivot::message::{Header, Refer};

use crate::ears::Hears;
use crate::world::{AGENT, CALLER, Dialog, World, address, plan, refer, rejection};

const TARGET: PartyId = PartyId(2);

fn referring() -> World {
    let mut world = World::talking(plan(ReferMode::Pivot));
    assert_eq!(world.refer(AGENT, refer(&["tel:+15550199"])).1, Some(202));
    world
}

#[test]
fn the_whole_way() {
    let mut world = referring();
    let order = |acts: &[Act]| -> Vec<String> {
        acts.iter()
            .filter_map(|act| match act {
                Act::Respond { status, .. } => Some(format!("{}", status.code)),
                Act::Notify { body, .. } => Some(format!("notify {}", body[8..11].trim())),
                Act::Media(MediaAct::Hold { party, .. }) => Some(format!("hold {}", party.0)),
                Act::Media(MediaAct::Ringback(party)) => Some(format!("ringback {}", party.0)),
                Act::Media(MediaAct::Swap { trigger, .. }) => Some(format!("swap {trigger:?}")),
                Act::Media(MediaAct::Drop(party)) => Some(format!("drop {}", party.0)),
                Act::Dial(party, _) => Some(format!("dial {}", party.0)),
                Act::Bye(party, _) => Some(format!("bye {}", party.0)),
                _ => None,
            })
            .collect()
    };
    world.wait(400);
    world.answer_notifies(200);
    world.ring(TARGET);
    assert_eq!((world.hears(CALLER), world.hears(AGENT)), (Hears::Ringback, Hears::Silence));
    world.answer_notifies(200);
    world.accept(TARGET);
    assert_eq!(world.hears(CALLER), Hears::Ringback, "until the target is heard");
    world.cut_over();
    assert_eq!(world.hears(CALLER), Hears::Party(TARGET));
    assert_eq!(world.dialog(AGENT), Dialog::Up, "the final NOTIFY is not answered");
    assert!(!world.timers.contains_key(&TimerId::Grace(AGENT)), "its time begins with its answer");
    world.answer_notifies(200);
    assert_eq!(world.dialog(AGENT), Dialog::Up, "it may hang up by itself");
    world.fire(TimerId::Grace(AGENT));
    let seen = order(&world.acts);
    let expected =
        "202, notify 100, hold 0, dial 2, ringback 0, notify 180, swap FirstPacket, notify 200, bye 1, drop 1";
    assert_eq!(seen.join(", "), expected);
    assert_eq!(world.told(AGENT), [100, 180, 200]);
    assert_eq!(world.transfer().explain(), None);
    let record = world.transfer();
    assert_eq!(
        (record.state, record.target.as_deref(), record.transferor_left),
        (TransferState::Done, Some("target-1"), false)
    );
    assert_eq!(record.bill.expect("a bill").child.len(), 2);
    world.hang_up(TARGET);
    assert_eq!(world.dialog(CALLER), Dialog::Over, "the survivor's call is over too");
    assert!(world.is_over);
}

#[test]
fn the_target_sees_the_transferee_and_tel_is_dialled_as_a_number() {
    let mut world = World::talking(plan(ReferMode::Pivot));
    let extra = vec![Header { name: "X-Case".into(), value: "7".into() }];
    let (_, answer) = world.refer(AGENT, Refer { extra, ..refer(&["<tel:+1-555-0199>"]) });
    assert_eq!(answer, Some(202));
    let dial = &world.dials[&TARGET];
    assert_eq!(&*dial.request_uri, "sip:+15550199@carrier.example;user=phone");
    assert_eq!(&*dial.from.uri, "sip:+15557777@carrier.example;user=phone");
    assert_eq!(dial.asserted.as_ref(), Some(&dial.from));
    let headers: Vec<_> = dial.headers.iter().map(|header| &*header.name).collect();
    assert_eq!(headers, ["X-Case", "Referred-By"]);

    let mut plan = plan(ReferMode::Pivot);
    plan.numbers = Arc::new(Trunk { caller_id: CallerId::Transferor, ..crate::world::carrier() });
    let mut world = World::talking(plan);
    world.refer(AGENT, refer(&["tel:+15550199"]));
    assert_eq!(&*world.dials[&TARGET].from.uri, "sip:agent@platform.example");
}

#[test]
fn early_media_of_the_target_reaches_the_transferee() {
    let mut world = referring();
    world.ring(TARGET);
    world.input(Input::Progress { party: TARGET, status: status(183), early_media: true });
    assert_eq!(world.hears(CALLER), Hears::Early(TARGET));
    world.answer_notifies(200);
    assert_eq!(world.told(AGENT), [100, 183], "what came while 100 was on its way is told by its latest");
    world.reject(TARGET, 486);
    assert_eq!(world.hears(CALLER), Hears::Party(AGENT));
}

#[test]
fn busy_after_0_3_s_is_explained_as_a_block_and_the_transferee_is_back() {
    let mut world = referring();
    world.answer_notifies(200);
    world.wait(300);
    world.input(Input::Rejected(TARGET, Box::new(rejection(486))));
    world.answer_notifies(200);
    assert_eq!(world.told(AGENT), [100, 486]);
    assert_eq!((world.hears(CALLER), world.hears(AGENT)), (Hears::Party(AGENT), Hears::Party(CALLER)));
    let failure = &world.transfer().failures[0];
    assert_eq!(
        (failure.stage, failure.took, failure.ringing),
        (Stage::Dialling, Duration::from_millis(300), Duration::ZERO)
    );
    let explained = world.transfer().explain().expect("a failed transfer is explained");
    assert!(explained.causes[0].what.contains("blocks the destination"));
    assert_eq!(world.dialog(AGENT), Dialog::Up);
    world.wind_up();
}

#[test]
fn the_transferor_hangs_up_280_ms_after_the_202() {
    let mut world = referring();
    world.wait(280);
    world.hang_up(AGENT);
    assert_eq!((world.dialog(CALLER), world.dialog(TARGET)), (Dialog::Up, Dialog::Dialled));
    assert_eq!(world.hears(CALLER), Hears::Hold);
    world.ring(TARGET);
    world.accept(TARGET);
    world.cut_over();
    assert_eq!(world.hears(CALLER), Hears::Party(TARGET));
    assert!(world.transfer().transferor_left && world.transfer().state == TransferState::Done);
    assert_eq!(world.told(AGENT), [100], "its dialog is gone");
    world.wind_up();
}

#[test]
fn a_transferee_whose_transferor_left_is_hung_up_with_the_reason_or_goes_to_the_last_resort() {
    let mut world = referring();
    world.hang_up(AGENT);
    world.reject(TARGET, 486);
    let bye = world.acts.iter().find_map(|act| match act {
        Act::Bye(CALLER, reason) => reason.as_ref().map(|reason| reason.cause),
        _ => None,
    });
    assert_eq!(bye, Some(486));
    assert!(world.is_over);

    let mut world = World::talking(Plan { last_resort: Some("+15550000".into()), ..plan(ReferMode::Pivot) });
    world.refer(AGENT, refer(&["tel:+15550199"]));
    world.hang_up(AGENT);
    world.reject(TARGET, 486);
    assert_eq!(&*world.dials[&PartyId(3)].request_uri, "sip:+15550000@carrier.example;user=phone");
    assert_eq!(world.hears(CALLER), Hears::Hold);
    world.reject(PartyId(3), 486);
    assert!(world.is_over, "it is the last one");
}

#[test]
fn the_transferor_hangs_up_right_after_the_final_notify() {
    for answers_first in [false, true] {
        let mut world = referring();
        world.answer_notifies(200);
        world.accept(TARGET);
        world.cut_over();
        if answers_first {
            world.answer_notifies(200);
        }
        world.hang_up(AGENT);
        assert_eq!(world.hears(CALLER), Hears::Party(TARGET));
        assert!(!world.timers.contains_key(&TimerId::Grace(AGENT)));
        world.wind_up();
    }
}

#[test]
fn the_survivor_hangs_up_while_the_target_rings() {
    let mut world = referring();
    world.answer_notifies(200);
    world.ring(TARGET);
    world.hang_up(CALLER);
    assert_eq!((world.dialog(TARGET), world.dialog(AGENT)), (Dialog::Cancelled, Dialog::Up), "180 is on its way");
    world.answer_notifies(200);
    assert_eq!(world.told(AGENT), [100, 180, 487]);
    assert_eq!(world.dialog(AGENT), Dialog::Over);
    world.reject(TARGET, 487);
    assert!(world.is_over);
    let record = world.transfer();
    assert_eq!((record.state, record.failures[0].by), (TransferState::Cancelled, By::Transferee));
}

#[test]
fn a_200_that_crosses_the_cancel_is_hung_up() {
    let mut world = referring();
    world.fire(TimerId::Ring(TARGET));
    assert_eq!(world.hears(CALLER), Hears::Party(AGENT));
    world.accept(TARGET);
    assert_eq!(world.dialog(TARGET), Dialog::Over);
    assert_eq!(world.hears(CALLER), Hears::Party(AGENT));
    assert_eq!(world.transfer().failures[0].by, By::RingTimer);
    world.answer_notifies(200);
    assert_eq!(world.told(AGENT), [100, 408]);
    world.wind_up();
}

#[test]
fn a_second_refer_during_a_transfer_gets_491_and_a_later_one_is_named() {
    let mut world = referring();
    world.answer_notifies(200);
    for party in [AGENT, CALLER] {
        assert_eq!(world.refer(party, refer(&["tel:+15550198"])).1, Some(491));
        assert_eq!(world.transfer().rule, Some(Rule::InTransfer));
    }
    world.reject(TARGET, 404);
    world.answer_notifies(200);
    let (request, answer) = world.refer(AGENT, refer(&["tel:+15550198"]));
    assert_eq!(answer, Some(202));
    let event = format!("refer;id={}", request.0);
    assert!(world.told.contains_key(&(AGENT, event.into())), "{:?}", world.told);
    world.wind_up();
}

#[test]
fn a_refused_notify_ends_the_subscription_and_nothing_else() {
    for code in [481, 500, 408] {
        let mut world = referring();
        world.answer_notifies(code);
        world.ring(TARGET);
        world.accept(TARGET);
        world.cut_over();
        assert_eq!(world.told(AGENT), [100]);
        assert_eq!(world.hears(CALLER), Hears::Party(TARGET));
        assert!(world.transfer().notify_refused);
        world.fire(TimerId::Grace(AGENT));
        assert_eq!(world.dialog(AGENT), Dialog::Over);
        world.wind_up();
    }
}

#[test]
fn refer_sub_false_means_no_notify_and_is_said_so() {
    let mut world = World::talking(plan(ReferMode::Pivot));
    let (request, answer) = world.refer(AGENT, Refer { refer_sub: Some(false), ..refer(&["tel:+15550199"]) });
    assert_eq!(answer, Some(202));
    assert_eq!(world.headers[&request], [Header { name: "Refer-Sub".into(), value: "false".into() }]);
    world.ring(TARGET);
    world.accept(TARGET);
    world.cut_over();
    assert!(world.told(AGENT).is_empty());
    world.fire(TimerId::Grace(AGENT));
    world.wind_up();
}

#[test]
fn what_must_not_be_dialled_is_refused_by_name_and_the_call_goes_on() {
    let mut world = World::talking(plan(ReferMode::Pivot));
    for (refer_to, code, rule) in [
        (&["tel:+15550199", "tel:+15550198"][..], 400, Rule::Malformed),
        (&[], 400, Rule::Malformed),
        (&["<sip:a@b"], 400, Rule::Malformed),
        (&["<tel:+15550199;method=BYE>"], 603, Rule::Malformed),
        (&["tel:9-1-1"], 403, Rule::Emergency),
        (&["tel:911;phone-context=+1"], 403, Rule::Emergency),
        (&["<sip:911@desk.example>"], 403, Rule::Emergency),
        (&["sip:+15550199@evil.example"], 403, Rule::ForeignDomain),
        (&["sip:agent@pivot.example"], 482, Rule::Loop),
    ] {
        assert_eq!(world.refer(AGENT, refer(refer_to)).1, Some(code), "{refer_to:?}");
        assert_eq!(
            (world.transfer().rule, world.transfer().state),
            (Some(rule), TransferState::Refused),
            "{refer_to:?}"
        );
        assert_eq!(world.hears(CALLER), Hears::Party(AGENT));
    }
    assert!(world.dials.len() == 1 && world.notifies.is_empty());
    world.wind_up();
}

#[test]
fn the_trunks_switches_and_addresses_count() {
    let with = |change: fn(&mut Trunk)| {
        let mut plan = plan(ReferMode::Pivot);
        let mut trunk = (*plan.callee).clone();
        change(&mut trunk);
        plan.callee = Arc::new(trunk);
        let mut world = World::talking(plan);
        let answer = world.refer(AGENT, refer(&["tel:+15550199"])).1;
        (answer, world.transfer().rule)
    };
    assert_eq!(with(|trunk| trunk.transfers = false), (Some(603), Some(Rule::TransfersOff)));
    assert_eq!(with(|trunk| trunk.pstn_transfers = false), (Some(403), Some(Rule::PstnOff)));
    assert_eq!(
        with(|trunk| trunk.addresses = vec![([198, 51, 100, 0].into(), 24)]),
        (Some(403), Some(Rule::Unauthorised))
    );
    assert_eq!(with(|trunk| trunk.addresses = vec![([192, 0, 2, 0].into(), 24)]), (Some(202), None));
}

#[test]
fn two_user_agents_that_refer_to_each_other_come_to_an_end() {
    let mut world = World::talking(plan(ReferMode::Pivot));
    let mut transferor = AGENT;
    let mut transfers = 0;
    while world.refer(transferor, refer(&["sip:ping@desk.example"])).1 == Some(202) {
        transfers += 1;
        let target = *world.dials.last_key_value().expect("a target").0;
        world.accept(target);
        world.cut_over();
        world.answer_notifies(200);
        world.hang_up(transferor);
        transferor = target;
    }
    assert_eq!((transfers, world.transfer().rule), (16, Some(Rule::TooManyTransfers)));
    world.wind_up();
}

#[test]
fn the_caller_may_transfer_too_and_before_its_ack() {
    let mut world = World::new(plan(ReferMode::Pivot));
    assert_eq!(world.refer(CALLER, refer(&["tel:+15550199"])).1, Some(481), "it is not answered");
    world.accept(AGENT);
    assert_eq!(world.refer(CALLER, refer(&["tel:+15550199"])).1, Some(202));
    world.answer_notifies(200);
    world.accept(TARGET);
    world.cut_over();
    world.answer_notifies(200);
    assert_eq!(world.hears(AGENT), Hears::Party(TARGET));
    world.fire(TimerId::Grace(CALLER));
    assert_eq!(world.dialog(CALLER), Dialog::Answered, "no BYE before the ACK");
    world.input(Input::Acknowledged(CALLER));
    assert_eq!(world.dialog(CALLER), Dialog::Over);
    world.wind_up();
}

#[test]
fn a_machine_is_no_answer_where_a_human_is_wanted() {
    let detecting = || {
        let timing = Timing { detection: Some(Duration::from_secs(8)), ..Timing::default() };
        let mut world = World::talking(Plan { timing, ..plan(ReferMode::Pivot) });
        world.refer(AGENT, refer(&["tel:+15550199"]));
        world.answer_notifies(200);
        world.accept(TARGET);
        assert_eq!(world.ears.waiting.map(|swap| swap.trigger), Some(Trigger::Human));
        assert_eq!(world.told(AGENT), [100], "nothing is done yet");
        world
    };
    let mut world = detecting();
    world.input(Input::Media(MediaInput::Machine(TARGET)));
    assert_eq!((world.hears(CALLER), world.dialog(TARGET)), (Hears::Party(AGENT), Dialog::Over));
    assert_eq!((world.told(AGENT), world.transfer().failures[0].by), (vec![100, 480], By::Machine));
    let mut world = detecting();
    world.fire(TimerId::Detection(TARGET));
    assert_eq!((world.hears(CALLER), world.transfer().failures[0].by), (Hears::Party(AGENT), By::Undecided));
    let mut world = detecting();
    world.input(Input::Media(MediaInput::Human(TARGET)));
    assert!(!world.timers.contains_key(&TimerId::Detection(TARGET)));
    world.cut_over();
    assert_eq!((world.hears(CALLER), world.told(AGENT)), (Hears::Party(TARGET), vec![100, 200]));
}

#[test]
fn a_target_that_is_not_heard_is_joined_without_and_one_that_cannot_be_joined_has_failed() {
    let mut world = referring();
    world.answer_notifies(200);
    world.accept(TARGET);
    world.fire(TimerId::FirstPacket(TARGET));
    assert_eq!(world.ears.waiting.map(|swap| swap.trigger), Some(Trigger::Immediate));
    world.cut_over();
    assert_eq!(world.told(AGENT), [100, 200]);
    let mut world = referring();
    world.answer_notifies(200);
    world.accept(TARGET);
    world.input(Input::Media(MediaInput::Failed(TARGET)));
    assert_eq!((world.hears(CALLER), world.told(AGENT)), (Hears::Party(AGENT), vec![100, 488]));
    let mut world = referring();
    world.answer_notifies(200);
    world.accept(TARGET);
    world.hang_up(TARGET);
    assert_eq!((world.hears(CALLER), world.told(AGENT)), (Hears::Party(AGENT), vec![100, 480]));
    assert_eq!(world.transfer().failures[0].by, By::Target);
}

#[test]
fn a_controller_decides() {
    let asking = || {
        let mut world = World::talking(plan(ReferMode::Controller));
        let (request, answer) = world.refer(AGENT, refer(&["sip:queue-7@anything.example"]));
        assert_eq!(answer, None);
        let (id, question) = world.asked.clone().expect("a question");
        assert_eq!(&*question.refer_to, "sip:queue-7@anything.example");
        (world, request, id)
    };
    let dial = |targets: &[&str]| Decision::Dial {
        targets: targets.iter().map(|&target| target.into()).collect(),
        caller_id: Some(address("sip:+15551234@carrier.example")),
        headers: vec![Header { name: "X-Queue".into(), value: "7".into() }],
        ring: Some(Duration::from_secs(9)),
    };
    let (mut world, request, id) = asking();
    world.input(Input::Decision(id, dial(&["+1 555 0199", "sip:a@desk.example"])));
    assert_eq!(world.answer(request), Some(202));
    assert_eq!(&*world.dials[&TARGET].from.uri, "sip:+15551234@carrier.example;user=phone");
    assert_eq!(&*world.dials[&TARGET].headers[0].name, "X-Queue");
    world.fire(TimerId::Ring(TARGET));
    assert_eq!(&*world.dials[&PartyId(3)].request_uri, "sip:a@desk.example", "the next one");
    assert_eq!(world.hears(CALLER), Hears::Hold);
    world.wind_up();

    for (decision, code, rule) in [
        (Decision::Refuse(status(486)), 486, Rule::Controller),
        (Decision::Failed, 480, Rule::ControllerSlow),
        (Decision::Proceed, 403, Rule::ForeignDomain),
        (dial(&["911"]), 403, Rule::Emergency),
        (dial(&["not a target"]), 480, Rule::ControllerSlow),
        (dial(&[]), 480, Rule::ControllerSlow),
    ] {
        let (mut world, request, id) = asking();
        world.input(Input::Decision(id, decision));
        assert_eq!((world.answer(request), world.transfer().rule), (Some(code), Some(rule)));
        world.wind_up();
    }
    let (mut world, request, id) = asking();
    assert_eq!(world.refer(AGENT, refer(&["tel:+15550199"])).1, Some(491));
    world.fire(TimerId::Decision(id));
    assert_eq!(world.answer(request), Some(480));
    world.input(Input::Decision(id, Decision::Proceed));
    assert_eq!(world.hears(CALLER), Hears::Party(AGENT), "too late");
    let (mut world, request, _) = asking();
    world.hang_up(AGENT);
    assert_eq!(world.answer(request), Some(481));
    assert!(world.is_over, "a hang-up, and no transfer");
}

#[test]
fn a_call_that_is_not_answered_ends_as_it_should() {
    let mut world = World::new(plan(ReferMode::Pivot));
    world.input(Input::Progress { party: AGENT, status: status(183), early_media: true });
    assert_eq!(world.hears(CALLER), Hears::Early(AGENT));
    world.reject(AGENT, 486);
    assert!(world.is_over && world.record.as_ref().is_some_and(|record| record.refused == Some(486)));

    let mut world = World::new(plan(ReferMode::Pivot));
    world.reject(AGENT, 407);
    assert!(world.record.as_ref().is_some_and(|record| record.refused == Some(403)), "a challenge is not passed on");

    let mut world = World::new(plan(ReferMode::Pivot));
    world.input(Input::Cancelled(CALLER, None));
    assert_eq!(world.dialog(AGENT), Dialog::Cancelled);
    world.accept(AGENT);
    assert!(world.is_over);

    let mut world = World::new(plan(ReferMode::Pivot));
    world.fire(TimerId::Ring(AGENT));
    assert_eq!((world.dialog(CALLER), world.dialog(AGENT)), (Dialog::Over, Dialog::Cancelled));
    world.fire(TimerId::Settle(AGENT));
    assert!(world.is_over);
}

#[test]
fn the_trunk_says_what_is_heard_on_hold() {
    let mut plan = plan(ReferMode::Pivot);
    plan.callee = Arc::new(Trunk { hold_audio: Some("waltz".into()), ..(*plan.callee).clone() });
    let mut world = World::talking(plan);
    world.refer(AGENT, refer(&["tel:+15550199"]));
    let held = |act: &Act| matches!(act, Act::Media(MediaAct::Hold { audio, .. }) if audio.as_deref() == Some("waltz"));
    assert!(world.acts.iter().any(held));
    world.wind_up();
}
