//! Doors: ports that a party was told before lead to the leg that it has now.

use patchcord_relay::Verdict;
use patchcord_relay::command::{Command, LegSpec, Refusal, Relaying};
use patchcord_relay::ids::{Component, LegId};
use patchcord_relay::verdict::DropReason;

use crate::support::wire::Stream;
use crate::support::{World, add, dropped, local, party, spec, stranger};

fn door(leg: u64, into: Option<u64>) -> Command {
    Command::SetDoor { leg: LegId(leg), into: into.map(LegId) }
}

/// 1 and 2 talk; 9 is a leg that 1 was told before.
fn world() -> World {
    let mut world = World::with_legs([1, 2, 9]);
    world.bridge(1, 2);
    world.must(&[door(9, Some(1))]);
    world
}

#[test]
fn both_ports_of_a_party_feed_one_stream() {
    let mut world = world();
    let mut stream = Stream::of(1);
    for leg in [1, 9, 9, 1] {
        let packet = stream.packet();
        let verdict = world.deliver(leg, Component::Rtp, party(1), &packet);
        assert!(matches!(verdict, Verdict::Forwarded(_)), "{verdict:?}");
        let heard = world.take(2);
        assert_eq!(heard.len(), 1);
        assert_eq!(heard[0].bytes, packet, "one source: nothing is numbered anew");
    }
    assert_eq!((world.leg(1).ingress.packets, world.leg(9).ingress.packets), (4, 0));
    world.assert_balanced();
}

#[test]
fn a_stranger_is_one_at_every_door() {
    let mut world = world();
    let mut stream = Stream::of(1);
    world.send(1, &stream.packet());
    world.take(2);
    let verdict = world.deliver(9, Component::Rtp, stranger(1), &stream.packet());
    assert_eq!(verdict, dropped(DropReason::ForeignSource));
    assert_eq!(world.leg(1).drops.get(DropReason::ForeignSource), 1);
    world.assert_balanced();
}

#[test]
fn a_door_ends_and_leaves_the_leg_as_it_was() {
    let mut world = world();
    let mut stream = Stream::of(9);
    world.must(&[Command::SetRelaying { leg: LegId(9), relaying: Relaying::Opaque }]);
    world.must(&[door(9, None)]);
    assert_eq!(world.deliver(9, Component::Rtp, party(9), &stream.packet()), dropped(DropReason::NoSink));
    world.bridge(9, 2);
    assert!(matches!(world.deliver(9, Component::Rtp, party(9), b"unread"), Verdict::Forwarded(_)));
    world.must(&[door(9, None)]);
    world.assert_balanced();
}

#[test]
fn doors_lead_on_and_end_with_their_leg() {
    let mut world = World::with_legs([1, 2, 8, 9]);
    world.bridge(1, 2);
    world.must(&[door(9, Some(8))]);
    world.must(&[door(8, Some(1))]);
    let mut stream = Stream::of(1);
    for leg in [9, 8] {
        world.deliver(leg, Component::Rtp, party(1), &stream.packet());
        assert_eq!(world.take(2).len(), 1, "by leg {leg}");
    }
    world.must(&[Command::RemoveLeg { leg: LegId(1) }]);
    for leg in [9, 8] {
        let verdict = world.deliver(leg, Component::Rtp, party(leg), &Stream::of(leg).packet());
        assert_eq!(verdict, dropped(DropReason::NoSink), "by leg {leg}");
    }
    // The slot of a door that is gone is no door for who lives there next.
    world.must(&[add(spec(1)), door(9, Some(1)), Command::RemoveLeg { leg: LegId(9) }]);
    world.must(&[add(LegSpec { local_rtp: local(9), ..spec(7) })]);
    world.bridge(7, 2);
    world.deliver(7, Component::Rtp, party(7), &Stream::of(7).packet());
    assert_eq!(world.rtp(2).len(), 1);
    world.assert_balanced();
}

#[test]
fn a_door_into_a_door_is_refused() {
    let mut world = world();
    world.must(&[add(spec(3))]);
    for batch in [
        vec![door(3, Some(9))],
        vec![door(3, Some(3))],
        vec![door(2, Some(1)), door(3, Some(2))],
        vec![door(9, None), door(9, Some(1)), door(3, Some(9))],
    ] {
        let last = batch.len() - 1;
        assert!(matches!(world.refused(&batch), (at, Refusal::BadDoor { .. }) if at == last), "{batch:?}");
    }
    assert!(matches!(world.refused(&[door(3, Some(77))]), (0, Refusal::UnknownLeg(LegId(77)))));
    world.must(&[door(9, None), door(3, Some(9))]);
}
