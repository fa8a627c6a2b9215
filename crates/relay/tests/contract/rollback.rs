//! The way back: a waiting cut-over is cancelled, a done one is undone, and only the latest of its legs.

use patchcord_relay::command::{Command, Refusal, Source, Trigger};
use patchcord_relay::event::{Event, TriggerKind};
use patchcord_relay::ids::{CutOverId, LegId};
use patchcord_relay::snapshot::SourceSnapshot;

use crate::support::wire::{Stream, assert_continuous, origins};
use crate::support::{MS, PLAYER, World, cut_over, hold, leg, on_first_packet_of, set_codecs};

fn rollback(id: CutOverId, by: u64) -> Command {
    Command::Rollback { id, by: CutOverId(by) }
}

/// Legs 1 and 2 talk; leg 3 is there.
fn talking() -> (World, [Stream; 3]) {
    let mut world = World::with_legs([1, 2, 3]);
    world.bridge(1, 2);
    let mut streams = [1, 2, 3].map(Stream::of);
    for stream in &mut streams {
        world.talk(u64::from(stream.origin), stream, 3);
    }
    (world, streams)
}

fn swap() -> [(u64, Source); 3] {
    [(1, leg(3)), (3, leg(1)), (2, hold())]
}

fn sources(world: &World) -> [SourceSnapshot; 3] {
    [1, 2, 3].map(|leg| world.leg(leg).source)
}

#[test]
fn pending_cut_over_is_cancelled_and_nothing_else_happens() {
    let at = |world: &World| Trigger::At(world.now.after_nanos(100 * MS));
    for trigger in [|_: &World| on_first_packet_of(3), at] {
        let (mut world, mut streams) = talking();
        let before = sources(&world);
        let id = world.cut(trigger(&world), &swap());
        world.forget();
        world.must(&[rollback(id, 1)]);
        assert_eq!(world.events(), [Event::CutOverCancelled { id, gone: None }]);
        assert_eq!([1, 2, 3].map(|leg| world.leg(leg).pending), [None; 3]);
        world.pass(200);
        world.talk(3, &mut streams[2], 3);
        world.talk(2, &mut streams[1], 3);
        assert_eq!(sources(&world), before);
        let heard = world.rtp(1);
        assert_eq!(origins(&heard), [2]);
        assert_eq!(world.events(), []);
    }
}

#[test]
fn done_cut_over_is_undone_on_all_its_legs_in_one_step() {
    let (mut world, mut streams) = talking();
    let before = sources(&world);
    let id = world.cut(Trigger::Immediate, &swap());
    world.talk(3, &mut streams[2], 3);
    world.receipts();
    world.must(&[rollback(id, 77)]);
    assert_eq!(sources(&world), before);
    for stream in &mut streams {
        let leg = u64::from(stream.origin);
        world.talk(leg, stream, 3);
    }
    let heard = world.rtp(1);
    assert_eq!(origins(&heard), [2, 3, 2]);
    assert_continuous(&heard);
    assert_continuous(&world.rtp(2));
    let receipts = world.receipts();
    assert_eq!(receipts.len(), 3);
    assert!(receipts.iter().all(|receipt| receipt.id == CutOverId(77) && receipt.trigger == TriggerKind::Immediate));
}

#[test]
fn triggered_cut_over_is_undone_after_it_has_happened() {
    let (mut world, mut streams) = talking();
    let before = sources(&world);
    let id = world.cut(on_first_packet_of(3), &swap());
    world.talk(3, &mut streams[2], 3);
    assert_ne!(sources(&world), before);
    world.must(&[rollback(id, 77)]);
    assert_eq!(sources(&world), before);
}

#[test]
fn hold_audio_is_brought_back() {
    let mut world = World::with_legs([1, 2]);
    world.cut(Trigger::Immediate, &[(1, hold())]);
    world.pass(100);
    let id = world.cut(Trigger::Immediate, &[(1, leg(2))]);
    world.talk(2, &mut Stream::of(2), 3);
    world.must(&[rollback(id, 77)]);
    world.pass(100);
    let heard = world.rtp(1);
    assert_eq!(origins(&heard), [PLAYER, 2, PLAYER]);
    assert_continuous(&heard);
}

#[test]
fn rollback_can_itself_be_rolled_back() {
    let (mut world, _) = talking();
    let id = world.cut(Trigger::Immediate, &swap());
    let swapped = sources(&world);
    world.must(&[rollback(id, 77)]);
    world.must(&[rollback(CutOverId(77), 78)]);
    assert_eq!(sources(&world), swapped);
    let (_, refusal) = world.refused(&[rollback(id, 79)]);
    assert_eq!(refusal, Refusal::NotTheLatest(id));
}

#[test]
fn rollback_is_refused_after_a_later_cut_over_of_one_of_its_legs() {
    for later in [1, 2, 3] {
        let (mut world, _) = talking();
        let id = world.cut(Trigger::Immediate, &swap());
        world.cut(Trigger::Immediate, &[(later, Source::Silence)]);
        assert_eq!(world.refused(&[rollback(id, 77)]), (0, Refusal::NotTheLatest(id)));
    }
}

#[test]
fn rollback_is_allowed_after_a_later_cut_over_of_other_legs() {
    let (mut world, _) = talking();
    let id = world.cut(Trigger::Immediate, &[(1, leg(3))]);
    world.cut(Trigger::Immediate, &[(3, leg(1))]);
    world.must(&[rollback(id, 77)]);
    assert_eq!(world.leg(1).source, SourceSnapshot::Leg(LegId(2)));
}

#[test]
fn rollback_is_refused_when_a_source_is_gone() {
    let (mut world, _) = talking();
    let id = world.cut(Trigger::Immediate, &[(1, leg(3)), (3, leg(1))]);
    world.must(&[Command::RemoveLeg { leg: LegId(2) }]);
    assert_eq!(world.refused(&[rollback(id, 77)]), (0, Refusal::UnknownLeg(LegId(2))));
}

#[test]
fn rollback_is_refused_when_one_of_its_legs_is_gone() {
    let (mut world, _) = talking();
    let id = world.cut(Trigger::Immediate, &swap());
    world.must(&[Command::RemoveLeg { leg: LegId(3) }]);
    assert_eq!(world.refused(&[rollback(id, 77)]), (0, Refusal::NotTheLatest(id)));
}

#[test]
fn rollback_is_refused_when_the_formats_do_not_fit_any_more() {
    let (mut world, _) = talking();
    let id = world.cut(Trigger::Immediate, &[(1, hold())]);
    world.must(&[set_codecs(2, &[(8, "PCMA")])]);
    let (_, refusal) = world.refused(&[rollback(id, 77)]);
    assert!(matches!(refusal, Refusal::Incompatible { sink: LegId(1), .. }), "{refusal}");
}

#[test]
fn rollback_of_an_unknown_or_undone_cut_over_is_refused() {
    let (mut world, _) = talking();
    assert_eq!(world.refused(&[rollback(CutOverId(5), 77)]), (0, Refusal::NotTheLatest(CutOverId(5))));
    let pending = world.cut(on_first_packet_of(3), &swap());
    world.must(&[rollback(pending, 78)]);
    assert_eq!(world.refused(&[rollback(pending, 79)]), (0, Refusal::NotTheLatest(pending)));
}

#[test]
fn id_of_a_rollback_is_used_once_even_within_a_batch() {
    let (mut world, _) = talking();
    let first = world.cut(Trigger::Immediate, &[(1, hold())]);
    let second = world.cut(Trigger::Immediate, &[(2, hold())]);
    let taken = Refusal::DuplicateCutOver(CutOverId(77));
    assert_eq!(world.refused(&[rollback(first, 77), rollback(second, 77)]), (1, taken.clone()));
    let other = cut_over(77, Trigger::Immediate, &[(3, Source::Silence)]);
    assert_eq!(world.refused(&[rollback(first, 77), other]), (1, taken));
    assert_eq!(world.refused(&[rollback(first, second.0)]), (0, Refusal::DuplicateCutOver(second)));
}

#[test]
fn batch_can_cancel_a_swap_and_command_another_one() {
    let (mut world, _) = talking();
    let id = world.cut(on_first_packet_of(3), &swap());
    world.must(&[rollback(id, 77), cut_over(78, on_first_packet_of(2), &[(1, leg(2)), (3, leg(2))])]);
    assert_eq!(world.leg(1).pending, Some(CutOverId(78)));
    assert_eq!(world.leg(2).pending, None);
}

#[test]
fn batch_can_delete_the_target_and_command_another_swap() {
    let (mut world, _) = talking();
    let id = world.cut(on_first_packet_of(3), &swap());
    let gone = Command::RemoveLeg { leg: LegId(3) };
    world.forget();
    world.must(&[gone.clone(), cut_over(78, on_first_packet_of(2), &[(1, leg(2))])]);
    assert_eq!(world.events(), [Event::CutOverCancelled { id, gone: Some(LegId(3)) }]);
    assert_eq!(world.leg(1).pending, Some(CutOverId(78)));
    // What the deletion has cancelled cannot be rolled back behind it.
    let (mut world, _) = talking();
    let id = world.cut(on_first_packet_of(3), &[(1, leg(3))]);
    assert_eq!(world.refused(&[gone, rollback(id, 77)]), (1, Refusal::NotTheLatest(id)));
}
