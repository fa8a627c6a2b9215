//! Several pieces of audio played one after the other, and what is ended before its time.

use patchcord_relay::command::{Command, PLAY_NEXT_MAX, Refusal, Source, Trigger};
use patchcord_relay::event::Event;
use patchcord_relay::ids::LegId;
use patchcord_relay::media::{Frames, Repeat};
use patchcord_relay::snapshot::SourceSnapshot;

use crate::support::wire::{assert_continuous, numbers, origins};
use crate::support::{FRAME, MS, PLAYER, World, clip, clip_of, cut_over, hold, leg, play, set_codecs};

const FINISHED: Event = Event::PlayFinished { leg: LegId(1) };

fn next(frames: Frames, repeat: Repeat) -> Command {
    Command::PlayNext { leg: LegId(1), frames, repeat }
}

fn playing(frames: u32, repeat: Repeat) -> World {
    let mut world = World::with_legs([1, 2]);
    world.cut(Trigger::Immediate, &[(1, play(clip(3, frames), repeat))]);
    world.receipts();
    world
}

fn is_refused(world: &mut World, command: Command) -> bool {
    matches!(world.refused(&[command]), (0, Refusal::NotPlaying { .. }))
}

#[test]
fn joined_frames_are_one_piece_of_audio() {
    let list = Frames::joined(&[clip(4, 3), clip(5, 1), clip(4, 2)]).expect("one format");
    assert_eq!(list.count(), 6);
    let again = Frames::joined(&[list.clone(), clip(6, 1)]).expect("one format");
    let payloads: Vec<_> = (0..7).map(|index| again.payload(index).to_vec()).collect();
    let single = |number, index| clip(number, 3).payload(index).to_vec();
    let (a, b, c) = (|index| single(4, index), single(5, 0), single(6, 0));
    assert_eq!(payloads, [a(0), a(1), a(2), b, a(0), a(1), c]);
    assert_eq!(again.payload(7), again.payload(0), "counted modulo the number of frames");
    let mut world = World::with_legs([1]);
    world.cut(Trigger::Immediate, &[(1, play(list, Repeat::Times(2)))]);
    world.pass(400);
    let heard = world.rtp(1);
    assert_eq!(numbers(&heard), [0, 1, 2, 0, 0, 1].repeat(2));
    assert_continuous(&heard);
    world.receipts();
    assert_eq!(world.events(), [FINISHED]);
}

#[test]
fn frames_of_two_kinds_are_not_joined() {
    assert_eq!(Frames::joined(&[]), None);
    for other in [clip_of(1, 2, "PCMA", 8000, 20), clip_of(1, 2, "PCMU", 16_000, 20), clip_of(1, 2, "PCMU", 8000, 40)] {
        assert_eq!(Frames::joined(&[clip(1, 2), other]), None);
    }
    assert_eq!(Frames::joined(&[clip(1, 2)]), Some(clip(1, 2)));
}

#[test]
fn what_follows_comes_without_a_gap_and_the_end_is_told_once() {
    let mut world = playing(4, Repeat::Times(2));
    world.must(&[next(clip(4, 3), Repeat::Times(1))]);
    world.pass(30);
    world.must(&[next(clip(5, 2), Repeat::Times(2))]);
    world.pass(1000);
    let heard = world.rtp(1);
    assert_eq!(origins(&heard), [3, 4, 5].map(|number| PLAYER + number));
    assert_eq!(numbers(&heard), [0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 0, 1, 0, 1]);
    assert_continuous(&heard);
    for pair in heard.windows(2) {
        assert_eq!(pair[1].timestamp.wrapping_sub(pair[0].timestamp), FRAME);
        assert!(pair[1].at.nanos_since(pair[0].at) <= 21 * MS && !pair[1].marker);
    }
    assert_eq!(world.events(), [FINISHED]);
    assert_eq!(world.leg(1).source, SourceSnapshot::Silence);
    assert!(is_refused(&mut world, next(clip(4, 3), Repeat::Times(1))), "it has ended");
}

#[test]
fn what_is_last_may_repeat_for_ever_and_nothing_follows_it() {
    let mut world = playing(2, Repeat::Times(1));
    world.must(&[next(clip(4, 2), Repeat::Forever)]);
    assert!(is_refused(&mut world, next(clip(5, 2), Repeat::Times(1))));
    let after = cut_over(70, Trigger::AfterPrompt { leg: LegId(1) }, &[(1, leg(2))]);
    assert!(matches!(world.refused(&[after]), (0, Refusal::BadTrigger(_))), "it has no end");
    world.pass(200);
    assert_eq!(numbers(&world.rtp(1))[..7], [0, 1, 0, 1, 0, 1, 0]);
    assert_eq!(world.events(), []);
    assert!(is_refused(&mut world, next(clip(5, 2), Repeat::Times(1))));
    let mut silent = World::with_legs([1, 2]);
    assert!(is_refused(&mut silent, next(clip(5, 2), Repeat::Times(1))));
    silent.bridge(1, 2);
    assert!(is_refused(&mut silent, next(clip(5, 2), Repeat::Times(1))));
    assert!(is_refused(&mut silent, Command::EndPlay { leg: LegId(1) }));
}

#[test]
fn after_prompt_waits_for_the_end_of_all() {
    let mut world = playing(2, Repeat::Times(1));
    world.must(&[next(clip(4, 3), Repeat::Times(1))]);
    let id = world.cut(Trigger::AfterPrompt { leg: LegId(1) }, &[(1, leg(2))]);
    assert!(matches!(world.refused(&[next(clip(5, 1), Repeat::Forever)]), (0, Refusal::Pending { .. })));
    world.pass(50);
    assert_eq!(world.leg(1).source, SourceSnapshot::Player);
    world.must(&[next(clip(5, 1), Repeat::Times(1))]);
    world.pass(200);
    assert_eq!(origins(&world.rtp(1)), [3, 4, 5].map(|number| PLAYER + number));
    assert_eq!(world.events(), [FINISHED, Event::Switched { id }]);
    assert_eq!(world.leg(1).source, SourceSnapshot::Leg(LegId(2)));
}

#[test]
fn another_source_ends_all_that_was_to_follow() {
    for source in [Source::Silence, leg(2), play(clip(9, 2), Repeat::Times(1))] {
        let mut world = playing(5, Repeat::Times(1));
        world.must(&[next(clip(4, 50), Repeat::Times(1))]);
        let change = cut_over(71, Trigger::Immediate, &[(1, source)]);
        // Judged as the batch will have left it: whether there is something to follow, and nothing of before.
        let follows = world.apply(&[change.clone(), next(clip(6, 1), Repeat::Times(1))]).is_ok();
        if !follows {
            world.must(&[change]);
        }
        world.pass(500);
        let heard = origins(&world.rtp(1));
        let expected: &[u32] = if follows { &[PLAYER + 3, PLAYER + 9, PLAYER + 6] } else { &[PLAYER + 3] };
        assert_eq!(heard, expected);
    }
}

#[test]
fn a_batch_may_start_all_of_a_list() {
    let mut world = World::with_legs([1, 2]);
    let start = cut_over(1, Trigger::Immediate, &[(1, play(clip(3, 1), Repeat::Times(1)))]);
    let then = next(clip(4, 1), Repeat::Times(1));
    let after = cut_over(2, Trigger::AfterPrompt { leg: LegId(1) }, &[(1, leg(2))]);
    world.must(&[start, then, after]);
    world.pass(100);
    assert_eq!(origins(&world.rtp(1)), [PLAYER + 3, PLAYER + 4]);
    assert_eq!(world.leg(1).source, SourceSnapshot::Leg(LegId(2)));
}

#[test]
fn no_more_waits_than_there_is_room_for() {
    let mut world = playing(5, Repeat::Times(1));
    for _ in 0..PLAY_NEXT_MAX {
        world.must(&[next(clip(4, 1), Repeat::Times(1))]);
    }
    assert!(is_refused(&mut world, next(clip(4, 1), Repeat::Times(1))));
    world.pass(110);
    world.must(&[next(clip(4, 1), Repeat::Times(1))]);
}

#[test]
fn what_has_no_format_any_more_is_left_out() {
    let mut world = playing(2, Repeat::Times(1));
    assert!(matches!(
        world.refused(&[next(clip_of(4, 2, "L16", 16_000, 20), Repeat::Times(1))]),
        (0, Refusal::Incompatible { .. })
    ));
    world.must(&[set_codecs(1, &[(0, "PCMU"), (8, "PCMA")])]);
    world.must(&[next(clip_of(4, 2, "PCMA", 8000, 20), Repeat::Times(1)), next(clip(5, 1), Repeat::Times(1))]);
    world.must(&[set_codecs(1, &[(0, "PCMU")])]);
    world.pass(200);
    assert_eq!(origins(&world.rtp(1)), [PLAYER + 3, PLAYER + 5]);
    assert_eq!(world.events(), [FINISHED]);
}

#[test]
fn a_stall_does_not_take_away_what_follows() {
    let mut world = playing(5, Repeat::Times(1));
    world.must(&[next(clip(4, 10), Repeat::Times(1))]);
    world.pass(10);
    world.stall(3_000);
    world.pass(400);
    let heard = world.rtp(1);
    assert_eq!(numbers(&heard)[1..], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    assert_continuous(&heard);
    assert_eq!(world.events(), [FINISHED]);
}

#[test]
fn what_is_ended_has_ended_as_by_itself() {
    let mut world = playing(50, Repeat::Times(1));
    world.must(&[next(clip(4, 50), Repeat::Forever)]);
    world.pass(100);
    world.rtp(1);
    world.must(&[Command::EndPlay { leg: LegId(1) }]);
    assert_eq!(world.events(), [FINISHED]);
    world.pass(500);
    assert_eq!(world.rtp(1), []);
    assert_eq!(world.leg(1).source, SourceSnapshot::Silence);
    // And what waits for that does so no longer.
    let mut world = playing(50, Repeat::Times(1));
    let id = world.cut(Trigger::AfterPrompt { leg: LegId(1) }, &[(1, leg(2))]);
    world.must(&[Command::EndPlay { leg: LegId(1) }]);
    assert_eq!(world.events(), [FINISHED, Event::Switched { id }]);
    assert_eq!(world.leg(1).source, SourceSnapshot::Leg(LegId(2)));
    // Hold audio has no end of its own, and can be given one.
    world.cut(Trigger::Immediate, &[(1, hold())]);
    world.must(&[Command::EndPlay { leg: LegId(1) }]);
    world.receipts();
    assert_eq!(world.events(), [FINISHED]);
}
