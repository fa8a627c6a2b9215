//! Rule 5: when a cut-over happens.

use patchcord_relay::Verdict;
use patchcord_relay::command::{Command, Source, Trigger};
use patchcord_relay::event::{Event, TriggerKind};
use patchcord_relay::ids::{Component, CutOverId, LegId};
use patchcord_relay::media::{Direction, Repeat};
use patchcord_relay::snapshot::SourceSnapshot;
use patchcord_relay::time::MonoTime;

use crate::support::wire::{Stream, assert_continuous, origins};
use crate::support::{
    Arriving, MS, PLAYER, World, add, clip, cut_over, hold, leg, on_first_packet_of, party, play, spec,
};

/// Leg 1 has talked to leg 2 and is on hold; leg 3 is the target of a transfer.
fn on_hold() -> World {
    let mut world = World::with_legs([1, 2, 3]);
    world.bridge(1, 2);
    world.talk(2, &mut Stream::of(2), 5);
    world.cut(Trigger::Immediate, &[(1, hold()), (2, Source::Silence)]);
    world
}

/// The three changes of a swap.
fn swap() -> [(u64, Source); 3] {
    [(1, leg(3)), (3, leg(1)), (2, Source::Silence)]
}

#[test]
fn hold_audio_goes_on_until_the_new_source_speaks() {
    let mut world = on_hold();
    let id = world.cut(on_first_packet_of(3), &swap());
    world.pass(1000);
    assert_eq!(world.leg(1).pending, Some(id));
    assert_eq!(world.leg(3).source, SourceSnapshot::Silence);
    world.forget();
    world.talk(1, &mut Stream::of(1), 5);
    assert_eq!(world.rtp(3), [], "nothing of it happens before");
    let heard = world.rtp(1);
    assert_eq!(origins(&heard), [PLAYER], "no silence while it waits");
    assert_eq!(heard.len(), 5);

    world.talk(3, &mut Stream::of(3), 5);
    let after = world.rtp(1);
    assert_eq!(origins(&after), [3]);
    assert_eq!(after[0].number(), 0, "the packet that triggers is itself relayed");
    assert!(after[0].marker);
    assert_continuous(&[heard, after].concat());
    assert_eq!(world.leg(1).pending, None);
    let events = world.events();
    assert_eq!(events.iter().filter(|event| matches!(event, Event::Switched { .. })).count(), 1);
    assert!(events.contains(&Event::Switched { id }));
}

#[test]
fn both_directions_change_in_one_step() {
    let mut world = on_hold();
    world.cut(on_first_packet_of(3), &swap());
    let mut survivor = Stream::of(1);
    world.talk(1, &mut survivor, 3);
    world.forget();
    // Within one batch: what leg 1 says before the trigger packet is heard by nobody, what it says after it by leg 3.
    let mut target = Stream::of(3);
    let packet = |leg, bytes| Arriving { leg, component: Component::Rtp, from: party(leg), bytes };
    let before = survivor.packet();
    let batch = [packet(1, before), packet(3, target.packet()), packet(1, survivor.packet())];
    let verdicts = world.deliver_batch(&batch);
    assert!(
        matches!(verdicts[..], [Verdict::Dropped(_), Verdict::Forwarded(_), Verdict::Forwarded(_)]),
        "{verdicts:?}"
    );
    let (to_survivor, to_target) = (world.rtp(1), world.rtp(3));
    assert_eq!((to_survivor.len(), to_target.len()), (1, 1));
    assert_eq!(to_target[0].bytes, batch[2].bytes, "the target's own stream begins bit for bit");
}

#[test]
fn on_first_packet_waits_for_a_packet_that_can_be_relayed() {
    let mut world = on_hold();
    let id = world.cut(on_first_packet_of(3), &swap());
    let mut target = Stream::of(3);
    // RTCP, garbage, a stranger, a muted party: none of them is the new source speaking.
    world.send(3, &crate::support::rtcp::sender_report(&target, 1, 0, b"target"));
    world.send(3, &[0x80, 0, 1]);
    world.must(&[Command::SetMuted { leg: LegId(3), muted: true }]);
    world.talk(3, &mut target, 2);
    world.must(&[Command::SetMuted { leg: LegId(3), muted: false }]);
    world.must(&[Command::SetDirection { leg: LegId(3), direction: Direction::RecvOnly }]);
    world.talk(3, &mut target, 2);
    world.must(&[Command::SetDirection { leg: LegId(3), direction: Direction::SendRecv }]);
    world.deliver(3, Component::Rtp, crate::support::stranger(1), &Stream::of(3).packet());
    // A listener that cannot be sent to hears nothing: the switch would be silence.
    world.must(&[Command::SetDirection { leg: LegId(1), direction: Direction::SendOnly }]);
    world.talk(3, &mut target, 2);
    world.must(&[Command::SetDirection { leg: LegId(1), direction: Direction::SendRecv }]);
    assert_eq!(world.leg(1).pending, Some(id));
    world.talk(3, &mut target, 1);
    assert_eq!(world.leg(1).pending, None);
    assert_eq!(world.leg(1).source, SourceSnapshot::Leg(LegId(3)));
}

#[test]
fn on_first_packet_of_a_source_that_already_speaks_is_its_next_packet() {
    let mut world = World::with_legs([1, 2, 3]);
    world.bridge(1, 2);
    let (mut old, mut new) = (Stream::of(2), Stream::of(3));
    for _ in 0..5 {
        world.send(3, &new.packet());
        world.talk(2, &mut old, 1);
    }
    world.cut(on_first_packet_of(3), &[(1, leg(3))]);
    world.send(2, &old.packet());
    world.pass(10);
    world.send(3, &new.packet());
    let heard = world.rtp(1);
    assert_eq!(origins(&heard), [2, 3]);
    assert_eq!(heard[6].number(), 5);
    assert_continuous(&heard);
}

#[test]
fn immediate_happens_at_once() {
    let mut world = on_hold();
    world.forget();
    world.cut(Trigger::Immediate, &swap());
    assert_eq!(world.leg(1).source, SourceSnapshot::Leg(LegId(3)));
    assert_eq!(world.leg(3).source, SourceSnapshot::Leg(LegId(1)));
    assert!(!world.events().iter().any(|event| matches!(event, Event::Switched { .. })), "only triggers are told");
    world.pass(500);
    assert_eq!(world.rtp(1), [], "the hold audio has stopped");
}

#[test]
fn at_a_time_happens_then() {
    let mut world = on_hold();
    let at = world.now.after_nanos(333 * MS);
    let id = world.cut(Trigger::At(at), &swap());
    world.pass_until(MonoTime::from_nanos(at.as_nanos() - 1));
    assert_eq!(world.leg(1).pending, Some(id));
    world.forget();
    world.pass_until(at);
    assert_eq!(world.leg(1).pending, None);
    let told = world.timed_events();
    assert!(told.contains(&(at, Event::Switched { id })), "{told:?}");
    world.talk(3, &mut Stream::of(3), 1);
    let receipt = world.receipt(1);
    assert_eq!((receipt.trigger, receipt.switched_at), (TriggerKind::At, at));
    assert_eq!(receipt.command_to_effect_us, 333_000);
}

#[test]
fn several_times_are_kept_in_order_and_a_past_one_is_due_at_once() {
    let mut world = World::with_legs([1, 2, 3, 4]);
    let start = world.now;
    let at = |ms| Trigger::At(start.after_nanos(ms * MS));
    let late = world.cut(at(300), &[(1, leg(4))]);
    let early = world.cut(at(100), &[(2, leg(4))]);
    let past = world.cut(Trigger::At(MonoTime::ZERO), &[(3, leg(4))]);
    world.pass(0);
    let switched = |world: &mut World| -> Vec<_> {
        let switched = |event| if let Event::Switched { id } = event { Some(id) } else { None };
        world.events().into_iter().filter_map(switched).collect()
    };
    assert_eq!(switched(&mut world), [past]);
    world.pass(200);
    assert_eq!(switched(&mut world), [early]);
    world.pass(200);
    assert_eq!(switched(&mut world), [late]);
}

#[test]
fn after_prompt_happens_when_the_prompt_has_ended() {
    let mut world = on_hold();
    world.cut(Trigger::Immediate, &[(1, play(clip(7, 10), Repeat::Times(2)))]);
    let id = world.cut(Trigger::AfterPrompt { leg: LegId(1) }, &swap());
    world.forget();
    let mut target = Stream::of(3);
    for _ in 0..30 {
        world.talk(3, &mut target, 1);
    }
    let heard = world.rtp(1);
    assert_eq!(origins(&heard), [PLAYER + 7, 3]);
    let prompt = heard.iter().filter(|heard| heard.origin() == PLAYER + 7).count();
    assert_eq!(prompt, 20, "the whole prompt is heard");
    assert_continuous(&heard);
    let events = world.events();
    let place = |wanted: Event| events.iter().position(|event| *event == wanted);
    let (finished, switched) = (place(Event::PlayFinished { leg: LegId(1) }), place(Event::Switched { id }));
    assert!(finished.is_some() && finished < switched, "{events:?}");
}

#[test]
fn shortest_prompt_too_can_be_waited_for_in_the_batch_that_starts_it() {
    let mut world = World::with_legs([1, 2]);
    let prompt = play(clip(7, 1), Repeat::Times(1));
    let start = cut_over(1, Trigger::Immediate, &[(1, prompt)]);
    world.must(&[start, cut_over(2, Trigger::AfterPrompt { leg: LegId(1) }, &[(1, leg(2))])]);
    world.pass(20);
    assert_eq!(world.leg(1).source, SourceSnapshot::Leg(LegId(2)));
    assert_eq!(world.rtp(1).len(), 1);
}

#[test]
fn after_a_prompt_other_legs_can_change_too() {
    let mut world = World::with_legs([1, 2, 3]);
    world.cut(Trigger::Immediate, &[(1, play(clip(7, 5), Repeat::Times(1)))]);
    world.cut(Trigger::AfterPrompt { leg: LegId(1) }, &[(2, leg(3)), (3, leg(2))]);
    world.pass(200);
    assert_eq!(world.leg(2).source, SourceSnapshot::Leg(LegId(3)));
    assert_eq!(world.leg(1).source, SourceSnapshot::Silence, "the prompt is over, and nothing follows it");
}

#[test]
fn swap_of_three_legs_is_one_cut_over() {
    let mut world = World::with_legs([1, 2, 3]);
    world.bridge(1, 2);
    let mut streams = [1, 2, 3].map(Stream::of);
    let round = |world: &mut World, streams: &mut [Stream; 3]| {
        for stream in streams {
            let packet = stream.packet();
            world.send(u64::from(stream.origin), &packet);
        }
        world.pass(20);
    };
    for _ in 0..10 {
        round(&mut world, &mut streams);
    }
    world.receipts();
    let id = world.cut(Trigger::Immediate, &[(1, leg(3)), (3, leg(1)), (2, hold())]);
    for _ in 0..10 {
        round(&mut world, &mut streams);
    }
    let receipts = world.receipts();
    assert!(receipts.iter().all(|receipt| receipt.id == id));
    let mut sinks: Vec<_> = receipts.iter().map(|receipt| receipt.sink.0).collect();
    sinks.sort_unstable();
    assert_eq!(sinks, [1, 2, 3], "a receipt per direction");
    let expected = [(1, vec![2, 3], 20), (2, vec![1, PLAYER], 20), (3, vec![1], 10)];
    for (leg, expected, packets) in expected {
        let heard = world.rtp(leg);
        assert_eq!(origins(&heard), expected, "leg {leg}");
        assert!(heard.len().abs_diff(packets) <= 1, "leg {leg} heard {}", heard.len());
        assert_continuous(&heard);
    }
}

#[test]
fn attended_transfer_splices_two_pairs_in_one_step() {
    // Legs 1-2 and 3-4 talk; 2 and 3 are the transferor's. Afterwards 1 and 4 talk.
    let mut world = World::with_legs([1, 2, 3, 4]);
    world.bridge(1, 2);
    world.bridge(3, 4);
    let mut streams = [1, 4].map(Stream::of);
    for stream in &mut streams {
        world.talk(u64::from(stream.origin), stream, 3);
    }
    world.talk(2, &mut Stream::of(2), 3);
    world.talk(3, &mut Stream::of(3), 3);
    let changes = [(1, leg(4)), (4, leg(1)), (2, Source::Silence), (3, Source::Silence)];
    world.cut(on_first_packet_of(4), &changes);
    for stream in &mut streams.iter_mut().rev() {
        world.talk(u64::from(stream.origin), stream, 3);
    }
    for (leg, expected) in [(1, [2, 4]), (4, [3, 1])] {
        let heard = world.rtp(leg);
        assert_eq!(origins(&heard), expected);
        assert_continuous(&heard);
    }
}

#[test]
fn leg_that_a_swap_needs_deleted_in_the_middle_cancels_it_with_an_event() {
    for gone in [1, 3] {
        let mut world = on_hold();
        let id = world.cut(on_first_packet_of(3), &swap());
        world.forget();
        world.must(&[Command::RemoveLeg { leg: LegId(gone) }]);
        assert_eq!(world.events(), [Event::CutOverCancelled { id, gone: Some(LegId(gone)) }]);
        for stays in [1, 2, 3].into_iter().filter(|&id| id != gone) {
            assert_eq!(world.leg(stays).pending, None);
            world.talk(stays, &mut Stream::of(stays), 3);
        }
        assert_eq!(world.events().iter().filter(|event| matches!(event, Event::Switched { .. })).count(), 0);
        if gone != 1 {
            assert_eq!(origins(&world.rtp(1)), [PLAYER], "the survivor goes on hearing what it heard");
            // And it can be moved again.
            world.must(&[add(spec(4))]);
            world.cut(on_first_packet_of(4), &[(1, leg(4))]);
            world.talk(4, &mut Stream::of(4), 1);
            assert_eq!(world.leg(1).source, SourceSnapshot::Leg(LegId(4)));
        }
    }
}

#[test]
fn old_party_may_leave_while_the_swap_waits() {
    let mut world = on_hold();
    let id = world.cut(on_first_packet_of(3), &swap());
    world.forget();
    world.must(&[Command::RemoveLeg { leg: LegId(2) }]);
    assert_eq!(world.events(), []);
    assert_eq!(world.leg(1).pending, Some(id));
    world.talk(3, &mut Stream::of(3), 3);
    assert!(world.events().contains(&Event::Switched { id }));
    assert_eq!(world.leg(1).source, SourceSnapshot::Leg(LegId(3)));
    assert_eq!(world.leg(3).source, SourceSnapshot::Leg(LegId(1)));
    // What is done can be undone, without the one who has left.
    world.must(&[Command::Rollback { id, by: CutOverId(9_999) }]);
    assert_eq!(world.leg(1).source, SourceSnapshot::Player);
}

#[test]
fn leg_deleted_while_its_prompt_is_waited_for_cancels() {
    let mut world = World::with_legs([1, 2, 3]);
    world.cut(Trigger::Immediate, &[(1, play(clip(7, 50), Repeat::Times(1)))]);
    let id = world.cut(Trigger::AfterPrompt { leg: LegId(1) }, &[(2, leg(3))]);
    world.forget();
    world.must(&[Command::RemoveLeg { leg: LegId(1) }]);
    assert_eq!(world.events(), [Event::CutOverCancelled { id, gone: Some(LegId(1)) }]);
    assert_eq!(world.leg(2).pending, None);
    world.pass(2000);
    assert_eq!(world.leg(2).source, SourceSnapshot::Silence);
}

#[test]
fn batch_can_create_a_leg_and_wait_for_it() {
    let mut world = on_hold();
    let commands = [add(spec(4)), cut_over(1, on_first_packet_of(4), &[(1, leg(4)), (4, leg(1))])];
    world.must(&commands);
    world.rtp(1);
    world.talk(4, &mut Stream::of(4), 2);
    assert_eq!(origins(&world.rtp(1)), [4]);
}
