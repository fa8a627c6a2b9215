//! Any sequence of events, sensible or not: the model of [`World`] holds after each, and in the end it is over.

use core::time::Duration;
use std::collections::BTreeSet;
use std::env;

use patchcord_pivot::call::plan::{Method, OnFail, TransferCommand};
use patchcord_pivot::call::sipfrag::status;
use patchcord_pivot::call::trunk::ReferMode;
use patchcord_pivot::call::words::{Decision, Resolution};
use patchcord_pivot::call::{Command, Input, MediaInput, OwnId, PartyId, Plan, TimerId, TransferId};
use patchcord_pivot::message::{DialogId, Refer, RequestId};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};

use crate::ears::Hears;
use crate::world::{AGENT, CALLER, Dialog, World, plan, refer, rejection};

const REFER_TO: [&[&str]; 8] = [
    &["tel:+15550199"],
    &["sip:c@desk.example"],
    &["<sip:+15550199@carrier.example>"],
    &["tel:911"],
    &["sip:x@evil.example"],
    &["tel:+1555", "tel:+1556"],
    &["<sip:c@desk.example?Replaces=id%3Bto-tag%3D1%3Bfrom-tag%3D2>"],
    &["nonsense"],
];

/// One thing that happens: what, to whom, and how.
type Step = (u8, u8, u16);

fn pick<T: Copy>(of: &[T], which: u8) -> Option<T> {
    of.get(usize::from(which) % of.len().max(1)).copied()
}

fn in_state(world: &World, states: &[Dialog], which: u8) -> Option<PartyId> {
    let parties: Vec<_> =
        world.dialogs.iter().filter(|(_, dialog)| states.contains(dialog)).map(|(party, _)| *party).collect();
    pick(&parties, which)
}

fn step(world: &mut World, (what, which, how): Step) {
    world.wait(u64::from(how % 700));
    let called = in_state(world, &[Dialog::Dialled, Dialog::Cancelled], which);
    let there = in_state(world, &[Dialog::Answered, Dialog::Up], which);
    let code = 400 + how % 260;
    match what {
        0 | 1 => {
            let Some(party) = called else { return };
            let (code, early_media) = [(180, false), (183, true), (181, false), (180, true)][usize::from(how % 4)];
            world.input(Input::Progress { party, status: status(code), early_media });
        }
        2..=4 => {
            let Some(party) = called else { return };
            world.accept(party);
        }
        5 | 6 => {
            let Some(party) = called else { return };
            world.reject(party, code);
        }
        7 => {
            let Some(party) = in_state(world, &[Dialog::Answered], which) else { return };
            world.input(Input::Acknowledged(party));
        }
        8 => {
            let Some(party) = there else { return };
            world.hang_up(party);
        }
        9..=12 => {
            let Some(party) = there else { return };
            let refer_sub = [None, Some(true), Some(false), None][usize::from(how / 8 % 4)];
            // One in four comes outside of the dialog.
            let subscription = (how / 32).is_multiple_of(4).then_some(DialogId(0));
            world.refer(
                party,
                Refer {
                    refer_sub,
                    subscription,
                    ..refer(REFER_TO[usize::from(if what < 11 { how % 3 } else { how % 8 })])
                },
            );
        }
        13..=15 => {
            let requests: Vec<_> = world.notifies.keys().copied().collect();
            let Some(request) = pick(&requests, which) else { return };
            let code = if how.is_multiple_of(8) { [481, 408, 500][usize::from(how / 8 % 3)] } else { 200 };
            world.input(Input::Answered { request, status: status(code) });
        }
        16 => {
            let requests: Vec<_> = world.refers.keys().copied().collect();
            let Some(request) = pick(&requests, which) else { return };
            world.input(Input::Answered { request, status: status(if how.is_multiple_of(3) { code } else { 202 }) });
        }
        17 => {
            let Some(party) = there else { return };
            let (state, body) = [
                ("active", "SIP/2.0 100 Trying\r\n"),
                ("active", "SIP/2.0 180 Ringing\r\n"),
                ("terminated;reason=noresource", "SIP/2.0 200 OK\r\n"),
                ("terminated;reason=noresource", "SIP/2.0 486 Busy Here\r\n"),
                ("terminated;reason=timeout", ""),
                ("active", "x"),
            ][usize::from(how % 6)];
            let request = world.next_request();
            world.input(Input::Notify { party, request, state: state.into(), body: body.into() });
        }
        18 | 19 => {
            let timers: Vec<_> = world.timers.keys().copied().collect();
            let Some(timer) = pick(&timers, which) else { return };
            world.fire(timer);
        }
        20..=23 => {
            if world.ears.waiting.is_some() {
                world.cut_over();
            }
        }
        24 => {
            let party = PartyId(u32::from(which) % 8);
            let said = [MediaInput::Human, MediaInput::Machine, MediaInput::Undecided][usize::from(how % 3)];
            world.input(Input::Media(said(party)));
        }
        25 => {
            // Only what is being joined can fail to be.
            let Some(swap) = world.ears.waiting else { return };
            world.input(Input::Media(MediaInput::Failed(swap.new)));
        }
        26 | 27 => {
            let method = [Method::Invite, Method::Warm, Method::Refer, Method::Pivot][usize::from(how % 4)];
            let targets = ["+15550101", "sip:d@desk.example", "+15550103"][..usize::from(1 + which % 3)]
                .iter()
                .map(|&target| target.into());
            let command = TransferCommand {
                transferee: there.filter(|_| how.is_multiple_of(5)),
                targets: targets.collect(),
                at_once: how & 16 != 0,
                detection: (how & 32 != 0).then_some(Duration::from_secs(5)),
                on_fail: if how & 192 == 0 { OnFail::HangUp } else { OnFail::Resume },
                ..TransferCommand::new(method, "")
            };
            let _ = world.command(Command::Transfer(Box::new(command)));
        }
        28..=30 => {
            let id = world.call.transfer().unwrap_or(TransferId(u32::from(which)));
            let command = match how % 6 {
                0 => Command::Cancel(id),
                1 => Command::Complete(id),
                2 => Command::Conference(id),
                3 | 4 => Command::Whisper(id, true),
                _ => Command::Whisper(id, false),
            };
            let _ = world.command(command);
        }
        31 => {
            let Some((id, _)) = world.asked.take() else { return };
            let dial = |targets: &[&str]| Decision::Dial {
                targets: targets.iter().map(|&target| target.into()).collect(),
                caller_id: None,
                headers: Vec::new(),
                ring: None,
            };
            let decision = match how % 6 {
                0 => Decision::Refuse(status(code)),
                1 => Decision::Failed,
                2 => dial(&["911"]),
                3 => Decision::Proceed,
                _ => dial(&["+15550101", "+15550102"]),
            };
            world.input(Input::Decision(id, decision));
        }
        32 => {
            let Some((id, _)) = world.to_resolve.take() else { return };
            let other = || match how / 5 % 5 {
                0 => World::talking(plan(ReferMode::Pivot)),
                1 => World::new(plan(ReferMode::Pivot)),
                2 | 3 => {
                    // Its agent is told of a transfer, and leaves.
                    let mut other = World::talking(plan(ReferMode::Pivot));
                    let subscription = how.is_multiple_of(2).then_some(DialogId(0));
                    other.refer(AGENT, Refer { subscription, ..refer(REFER_TO[0]) });
                    other.accept(PartyId(2));
                    other.cut_over();
                    if how & 32 != 0 {
                        other.hang_up(AGENT);
                    }
                    other
                }
                _ => {
                    let mut other = World::talking(plan(ReferMode::Pivot));
                    other.refer(AGENT, refer(REFER_TO[0]));
                    other.answer_notifies(200);
                    other.fire(TimerId::Ring(PartyId(2)));
                    other
                }
            };
            match how % 5 {
                0 => world.input(Input::Resolved(id, Resolution::Foreign)),
                1 => world.input(Input::Resolved(id, Resolution::Refused(status(603)))),
                2 => world.input(Input::Resolved(id, Resolution::Here(PartyId(u32::from(which) % 6)))),
                _ => {
                    let _ = world.merge(other(), if how & 16 == 0 { CALLER } else { AGENT });
                }
            }
        }
        33 => {
            let party = PartyId(u32::from(which) % 8);
            let _ = world.replace(party);
        }
        34 => {
            let Some(party) = in_state(world, &[Dialog::Inviting], which) else { return };
            if how.is_multiple_of(7) {
                world.input(Input::Cancelled(party, None));
            }
        }
        _ => nonsense(world, which, how),
    }
}

/// What no driver says: about parties, requests and timers that never were, or twice.
fn nonsense(world: &mut World, which: u8, how: u16) {
    let party = PartyId(u32::from(which));
    let is_called = matches!(world.dialog(party), Dialog::Dialled | Dialog::Cancelled);
    match how % 10 {
        0 if !is_called => world.accept(party),
        1 if !is_called => world.input(Input::Rejected(party, Box::new(rejection(486)))),
        2 => world.input(Input::Cancelled(party, None)),
        3 if world.dialog(party) == Dialog::Over => world.hang_up(party),
        4 => world.input(Input::Answered { request: OwnId(9_000 + u32::from(which)), status: status(200) }),
        5 => {
            let timer = [TimerId::Ring, TimerId::Grace, TimerId::Settle, TimerId::FirstPacket]
                [usize::from(how / 10 % 4)](party);
            if !world.timers.contains_key(&timer) {
                world.input(Input::Timer(timer));
            }
        }
        6 => world.input(Input::Decision(TransferId(how.into()), Decision::Proceed)),
        7 => world.input(Input::Resolved(TransferId(how.into()), Resolution::Foreign)),
        8 => {
            let request = RequestId(1_000_000 + u64::from(how));
            if !world.requests.contains_key(&request) && world.dialog(party) == Dialog::Over {
                world.input(Input::Refer { party, request, refer: Box::new(refer(&["tel:+1555"])) });
            }
        }
        _ => world.input(Input::Media(MediaInput::CutOver {
            survivor: party,
            new: PartyId(how.into()),
            receipts: Vec::new(),
        })),
    }
}

fn sequence() -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec((0..37u8, any::<u8>(), any::<u16>()), 0..80)
}

/// `PROPTEST_CASES` in the environment beats the number given here.
fn cases(cases: u32) -> ProptestConfig {
    let default = ProptestConfig::default();
    let cases = if env::var_os("PROPTEST_CASES").is_some() { default.cases } else { cases };
    ProptestConfig { cases, failure_persistence: None, ..default }
}

proptest! {
    #![proptest_config(cases(2_000))]

    #[test]
    fn whatever_happens_the_rules_hold_and_it_ends(
        mode in prop::sample::select(vec![ReferMode::Pivot, ReferMode::Pivot, ReferMode::Controller, ReferMode::Forward]),
        last_resort in prop::option::weighted(0.2, Just("+15550000".into())),
        begins_talking in prop::bool::weighted(0.9),
        steps in sequence(),
    ) {
        let plan = Plan { last_resort, ..plan(mode) };
        let mut world = if begins_talking { World::talking(plan) } else { World::new(plan) };
        for one in steps {
            world.forget();
            step(&mut world, one);
        }
        world.forget();
        world.wind_up();
        for what in 0..37 {
            step(&mut world, (what, what, u16::from(what)));
        }
    }

    #[test]
    fn a_target_that_fails_in_any_way_leaves_the_transferee_with_the_original_party(
        code in 300..700u16,
        rings in any::<bool>(),
        early in any::<bool>(),
        way in 0..5u8,
        answers in any::<bool>(),
    ) {
        let mut world = World::talking(plan(ReferMode::Pivot));
        world.refer(AGENT, refer(&["tel:+15550199"]));
        let target = PartyId(2);
        if rings {
            world.ring(target);
        }
        if early {
            world.input(Input::Progress { party: target, status: status(183), early_media: true });
        }
        if answers {
            world.answer_notifies(200);
        }
        match way {
            0 => world.reject(target, code),
            1 => world.fire(TimerId::Ring(target)),
            2 => { world.accept(target); world.hang_up(target); }
            3 => { world.accept(target); world.input(Input::Media(MediaInput::Failed(target))); }
            _ => {
                world.accept(target);
                world.fire(TimerId::FirstPacket(target));
                world.fire(TimerId::FirstPacket(target));
            }
        }
        prop_assert_eq!((world.hears(CALLER), world.hears(AGENT)), (Hears::Party(AGENT), Hears::Party(CALLER)));
        world.answer_notifies(200);
        let told = world.told(AGENT);
        prop_assert!(told.last().is_some_and(|&last| last >= 300), "{:?}", told);
        world.wind_up();
    }
}

/// Sequences that never leave the first state would hold every rule.
#[test]
fn the_sequences_get_everywhere() {
    let mut runner =
        TestRunner::new_with_rng(ProptestConfig::default(), TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let mut seen = BTreeSet::new();
    for at in 0..1_500 {
        let steps = sequence().new_tree(&mut runner).expect("steps").current();
        let mode = [ReferMode::Pivot, ReferMode::Pivot, ReferMode::Controller, ReferMode::Forward][at % 4];
        let mut world = World::talking(plan(mode));
        for one in steps {
            world.forget();
            step(&mut world, one);
            seen.extend(
                world
                    .call
                    .transfer()
                    .map(|id| &world.transfers[&id])
                    .map(|record| (record.method.as_str(), record.state.as_str())),
            );
        }
        seen.extend(world.transfers.values().map(|record| (record.method.as_str(), record.state.as_str())));
    }
    let ends = ["done", "failed", "cancelled"];
    let ways = [
        ("pivot", &["deciding", "refused", "ringing", "connecting"][..]),
        ("forward", &["referring"]),
        ("attended", &["deciding", "refused", "connecting"]),
        ("refer", &["referring"]),
        ("invite", &["ringing", "connecting"]),
        ("warm", &["ringing", "consulting", "whispering", "conferencing", "connecting"]),
    ];
    let all =
        ways.into_iter().flat_map(|(method, states)| states.iter().chain(&ends).map(move |&state| (method, state)));
    let missing: Vec<_> = all.filter(|one| !seen.contains(one)).collect();
    assert!(missing.is_empty(), "never seen: {missing:?}");
}
