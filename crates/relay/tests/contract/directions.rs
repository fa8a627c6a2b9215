//! Mute and direction: whatever is left out meanwhile, the stream goes on seamlessly afterwards.

use patchcord_relay::command::{Command, Trigger};
use patchcord_relay::ids::LegId;
use patchcord_relay::media::Direction;
use patchcord_relay::verdict::DropReason;

use crate::support::wire::{Stream, assert_continuous, numbers};
use crate::support::{FRAME, World, dropped, leg};

fn talking() -> (World, Stream) {
    let mut world = World::with_legs([1, 2]);
    world.bridge(1, 2);
    let mut stream = Stream::of(2);
    world.talk(2, &mut stream, 5);
    (world, stream)
}

fn mute(leg: u64, muted: bool) -> Command {
    Command::SetMuted { leg: LegId(leg), muted }
}

fn direct(leg: u64, direction: Direction) -> Command {
    Command::SetDirection { leg: LegId(leg), direction }
}

/// Stops by one command and goes on by another; the listener must find a stream without a hole.
fn assert_seamless(away: Command, back: Command, reason: DropReason) {
    let (mut world, mut stream) = talking();
    world.must(&[away]);
    for _ in 0..10 {
        assert_eq!(world.send(2, &stream.packet()), dropped(reason));
        world.pass(20);
    }
    world.must(&[back]);
    world.talk(2, &mut stream, 5);
    let heard = world.rtp(1);
    assert_eq!(numbers(&heard), [0, 1, 2, 3, 4, 15, 16, 17, 18, 19]);
    assert_continuous(&heard);
    assert!(heard[5].marker, "a new talk spurt");
    assert_eq!(heard[5].timestamp.wrapping_sub(heard[4].timestamp), 11 * FRAME, "and the time that has passed");
    assert_eq!(world.drops(2, reason), 10);
    world.assert_balanced();
}

#[test]
fn muted_party_is_heard_by_nobody_and_comes_back_seamlessly() {
    assert_seamless(mute(2, true), mute(2, false), DropReason::Muted);
}

#[test]
fn party_that_may_not_send_is_dropped_and_comes_back_seamlessly() {
    for direction in [Direction::RecvOnly, Direction::Inactive] {
        assert_seamless(direct(2, direction), direct(2, Direction::SendRecv), DropReason::Direction);
        assert_seamless(direct(2, direction), direct(2, Direction::SendOnly), DropReason::Direction);
    }
}

#[test]
fn party_that_may_not_receive_is_sent_nothing_and_comes_back_seamlessly() {
    for direction in [Direction::SendOnly, Direction::Inactive] {
        assert_seamless(direct(1, direction), direct(1, Direction::SendRecv), DropReason::SinkDirection);
        assert_seamless(direct(1, direction), direct(1, Direction::RecvOnly), DropReason::SinkDirection);
    }
}

#[test]
fn muted_party_goes_on_hearing() {
    let (mut world, mut stream) = talking();
    world.must(&[mute(1, true)]);
    world.talk(2, &mut stream, 3);
    assert_eq!(world.rtp(1).len(), 8);
    assert!(world.leg(1).muted);
}

#[test]
fn mute_and_direction_are_independent() {
    let (mut world, mut stream) = talking();
    world.must(&[mute(2, true), direct(2, Direction::RecvOnly)]);
    world.must(&[mute(2, false)]);
    assert_eq!(world.send(2, &stream.packet()), dropped(DropReason::Direction));
    world.must(&[mute(2, true), direct(2, Direction::SendRecv)]);
    assert_eq!(world.send(2, &stream.packet()), dropped(DropReason::Muted));
    world.must(&[mute(2, false)]);
    world.talk(2, &mut stream, 1);
    assert_continuous(&world.rtp(1));
}

#[test]
fn command_that_changes_nothing_leaves_the_stream_bit_for_bit() {
    let (mut world, mut stream) = talking();
    world.must(&[mute(2, false), direct(1, Direction::SendRecv), direct(2, Direction::SendOnly)]);
    let packets = stream.packets(3);
    for packet in &packets {
        world.send(2, packet);
    }
    assert!(world.rtp(1).iter().skip(5).map(|heard| &heard.bytes).eq(&packets));
}

#[test]
fn muted_party_that_was_never_heard_begins_bit_for_bit() {
    let mut world = World::with_legs([1, 2]);
    world.bridge(1, 2);
    let mut stream = Stream::of(2);
    world.must(&[mute(2, true)]);
    world.talk(2, &mut stream, 5);
    world.must(&[mute(2, false)]);
    let packet = stream.packet();
    world.send(2, &packet);
    assert_eq!(world.rtp(1)[0].bytes, packet);
}

#[test]
fn cut_over_while_muted_takes_effect_when_the_party_may_speak() {
    let mut world = World::with_legs([1, 2, 3]);
    world.bridge(1, 2);
    world.talk(2, &mut Stream::of(2), 3);
    world.must(&[mute(3, true)]);
    world.cut(Trigger::Immediate, &[(1, leg(3))]);
    let mut new = Stream::of(3);
    world.talk(3, &mut new, 3);
    world.must(&[mute(3, false)]);
    world.talk(3, &mut new, 3);
    let heard = world.rtp(1);
    assert_eq!(heard.len(), 6);
    assert_continuous(&heard);
}
