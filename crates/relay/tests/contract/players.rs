//! Players: hold audio, ringback and prompts as sources like any other.

use patchcord_relay::command::{Command, Source, Trigger};
use patchcord_relay::event::Event;
use patchcord_relay::ids::LegId;
use patchcord_relay::media::{Direction, Repeat};
use patchcord_relay::snapshot::SourceSnapshot;

use crate::support::wire::{Stream, assert_continuous, numbers, origins};
use crate::support::{FRAME, MS, PLAYER, World, add, clip, clip_of, codec, hold, leg, play, spec};

fn playing(frames: u32, repeat: Repeat) -> World {
    let mut world = World::with_legs([1, 2]);
    world.cut(Trigger::Immediate, &[(1, play(clip(3, frames), repeat))]);
    world.receipts();
    world
}

#[test]
fn frames_leave_every_20_ms() {
    let mut world = playing(50, Repeat::Forever);
    let start = world.now;
    world.pass(10_000);
    let heard = world.rtp(1);
    assert!((500..=501).contains(&heard.len()), "{} frames", heard.len());
    for (at, heard) in (0..).zip(&heard) {
        let late = heard.at.nanos_since(start).abs_diff(at * 20 * MS);
        assert!(late <= MS, "frame {at} is {late} ns off: the error must not add up");
    }
    for pair in heard.windows(2) {
        assert_eq!(pair[1].timestamp.wrapping_sub(pair[0].timestamp), FRAME);
    }
    assert_continuous(&heard);
}

#[test]
fn frames_keep_their_pace_on_a_clock_that_is_not_of_whole_milliseconds() {
    let mut world = World::with_legs([1]);
    world.now = world.now.after_nanos(123_457);
    world.cut(Trigger::Immediate, &[(1, hold())]);
    let start = world.now;
    world.pass(10_000);
    let heard = world.rtp(1);
    for (at, heard) in (0..).zip(&heard) {
        let late = heard.at.nanos_since(start).saturating_sub(at * 20 * MS);
        assert!(late <= MS && heard.at.nanos_since(start) >= at * 20 * MS, "frame {at}: {late} ns late, never early");
    }
}

#[test]
fn other_packet_times_have_their_own_pace() {
    for ptime_ms in [5, 10, 30, 40, 60, 200] {
        let mut world = World::with_legs([1]);
        world.cut(Trigger::Immediate, &[(1, play(clip_of(3, 7, "PCMU", 8000, ptime_ms), Repeat::Forever))]);
        world.pass(6_000);
        let heard = world.rtp(1);
        let expected = 6_000 / ptime_ms as usize;
        assert!(heard.len().abs_diff(expected) <= 1, "{ptime_ms} ms: {} frames", heard.len());
        assert_eq!(heard[2].timestamp.wrapping_sub(heard[1].timestamp), 8 * ptime_ms);
    }
}

#[test]
fn audio_repeats_as_often_as_asked_then_tells_and_falls_silent() {
    let mut world = playing(4, Repeat::Times(3));
    world.pass(1000);
    let heard = world.rtp(1);
    assert_eq!(numbers(&heard), [0, 1, 2, 3].repeat(3));
    assert_continuous(&heard);
    world.receipts();
    assert_eq!(world.events(), [Event::PlayFinished { leg: LegId(1) }]);
    assert_eq!(world.leg(1).source, SourceSnapshot::Silence);
}

#[test]
fn repeating_for_ever_goes_on() {
    let mut world = playing(4, Repeat::Forever);
    world.pass(2000);
    world.receipts();
    assert_eq!(world.events(), []);
    assert_eq!(numbers(&world.rtp(1))[..9], [0, 1, 2, 3, 0, 1, 2, 3, 0]);
}

#[test]
fn replaced_player_does_not_tell_that_it_finished() {
    let mut world = playing(20, Repeat::Times(1));
    world.pass(100);
    world.cut(Trigger::Immediate, &[(1, leg(2))]);
    world.pass(1000);
    world.receipts();
    assert_eq!(world.events(), []);
}

#[test]
fn audio_follows_a_party_without_a_break() {
    let mut world = World::with_legs([1, 2]);
    world.bridge(1, 2);
    world.talk(2, &mut Stream::of(2), 5);
    world.cut(Trigger::Immediate, &[(1, hold())]);
    world.pass(100);
    let heard = world.rtp(1);
    assert_eq!(origins(&heard), [2, PLAYER]);
    assert_continuous(&heard);
    assert!(heard[5].marker);
    // One frame after the party's last packet, within the wheel's millisecond.
    let gap = heard[5].at.nanos_since(heard[4].at);
    assert!((20 * MS..=21 * MS).contains(&gap), "{gap} ns");
    assert_eq!(heard[5].timestamp.wrapping_sub(heard[4].timestamp), FRAME);
}

#[test]
fn short_stall_is_caught_up_with() {
    let mut world = playing(50, Repeat::Forever);
    world.pass(1000);
    world.rtp(1);
    world.stall(90);
    world.pass(500);
    let heard = world.rtp(1);
    assert!((29..=31).contains(&heard.len()), "590 ms are {} frames", heard.len());
    assert_continuous(&heard);
    for pair in heard.windows(2) {
        assert_eq!(pair[1].timestamp.wrapping_sub(pair[0].timestamp), FRAME, "none is left out");
    }
}

#[test]
fn long_stall_is_no_flood_and_the_audio_keeps_its_pace() {
    // The clip is shorter than the stall.
    for frames in [5, 50, 500] {
        let mut world = playing(frames, Repeat::Forever);
        world.pass(1000);
        let before = world.rtp(1).pop().expect("a frame");
        world.stall(3_000);
        world.pass(0);
        let burst = world.rtp(1).len();
        assert!(burst <= 6, "{burst} frames at once");
        world.pass(1000);
        let heard = world.rtp(1);
        assert!((49..=51).contains(&heard.len()), "{} frames in the second behind", heard.len());
        assert_continuous(&heard);
        let last = heard.last().expect("frames");
        let elapsed_units = last.at.nanos_since(before.at) / 125_000;
        let units = last.timestamp.wrapping_sub(before.timestamp);
        assert!(u64::from(units).abs_diff(elapsed_units) <= 2 * u64::from(FRAME), "{units} of {elapsed_units} units");
    }
}

#[test]
fn prompt_that_would_have_ended_during_a_stall_ends_there() {
    for rounds in [1, 10] {
        let mut world = playing(5, Repeat::Times(rounds));
        world.pass(10);
        world.stall(3_000);
        world.pass(0);
        assert_eq!(world.rtp(1).len(), 1, "what is long past is not played any more");
        assert_eq!(world.events(), [Event::PlayFinished { leg: LegId(1) }]);
    }
}

#[test]
fn many_players_are_not_early_after_a_stall() {
    let mut world = World::with_legs([1, 2, 3, 4, 5]);
    for id in 1..=5 {
        world.cut(Trigger::Immediate, &[(id, hold())]);
        world.pass(3);
    }
    world.pass(500);
    world.forget();
    world.stall(10_000);
    for wait_ms in [0, 1000, 1000] {
        world.pass(wait_ms);
        for id in 1..=5 {
            let heard = world.rtp(id).len();
            let expected = wait_ms as usize / 20;
            assert!((expected..=expected + 6).contains(&heard), "leg {id}: {heard} frames within {wait_ms} ms");
        }
    }
}

#[test]
fn one_clip_serves_many_legs_each_with_its_own_place() {
    let frames = clip(3, 50);
    let mut world = World::with_legs([1, 2, 3]);
    for id in [1, 2, 3] {
        world.cut(Trigger::Immediate, &[(id, play(frames.clone(), Repeat::Forever))]);
        world.pass(100);
    }
    world.pass(200);
    let first: Vec<_> =
        [1, 2, 3].map(|id| world.rtp(id)).into_iter().map(|heard| numbers(&heard)[..5].to_vec()).collect();
    assert_eq!(first, vec![vec![0, 1, 2, 3, 4]; 3]);
}

#[test]
fn frames_bear_the_payload_type_of_the_listener() {
    let mut world = World::new();
    let mut listener = spec(1);
    listener.codecs = vec![codec(0, "PCMU", 8000), codec(97, "L16", 16_000)];
    world.must(&[add(listener)]);
    world.cut(Trigger::Immediate, &[(1, play(clip_of(3, 5, "l16", 16_000, 20), Repeat::Forever))]);
    world.pass(100);
    let heard = world.rtp(1);
    assert!(heard.iter().all(|heard| heard.payload_type == 97));
    assert_eq!(heard[1].timestamp.wrapping_sub(heard[0].timestamp), 320);
}

#[test]
fn listener_that_may_not_receive_is_sent_nothing_and_comes_back_in_time() {
    let mut world = playing(50, Repeat::Forever);
    world.pass(205);
    world.rtp(1);
    let direction = |direction| Command::SetDirection { leg: LegId(1), direction };
    world.must(&[direction(Direction::SendOnly)]);
    world.pass(1000);
    assert_eq!(world.rtp(1), []);
    world.must(&[direction(Direction::SendRecv)]);
    world.pass(200);
    let heard = world.rtp(1);
    assert!(heard[0].marker);
    // A second is 50 frames: the whole clip. The audio went on unheard.
    assert!((10..=12).contains(&heard[0].number()), "frame {}", heard[0].number());
    assert_continuous(&heard);
}

#[test]
fn same_audio_again_starts_from_its_beginning() {
    let mut world = playing(50, Repeat::Forever);
    world.pass(200);
    world.cut(Trigger::Immediate, &[(1, play(clip(3, 50), Repeat::Forever))]);
    world.pass(100);
    let heard = world.rtp(1);
    let again = heard.iter().skip(1).position(|heard| heard.number() == 0);
    assert!(again.is_some());
    assert_continuous(&heard);
}

#[test]
fn deleted_leg_takes_its_player_along() {
    let mut world = playing(50, Repeat::Forever);
    world.pass(100);
    world.must(&[Command::RemoveLeg { leg: LegId(1) }]);
    world.forget();
    world.must(&[add(spec(3))]);
    world.pass(1000);
    assert_eq!(world.take(3), [], "the slot is used again, and nothing plays there");
    assert_eq!(world.events(), []);
}

#[test]
fn stopped_player_is_silence() {
    let mut world = playing(50, Repeat::Forever);
    world.pass(100);
    world.rtp(1);
    world.cut(Trigger::Immediate, &[(1, Source::Silence)]);
    world.pass(1000);
    assert_eq!(world.rtp(1), []);
}
