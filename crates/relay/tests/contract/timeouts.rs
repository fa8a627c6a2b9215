//! Media timeouts: said once, armed again by the next packet.

use core::time::Duration;

use patchcord_relay::command::{Command, LegSpec};
use patchcord_relay::event::Event;
use patchcord_relay::ids::LegId;
use patchcord_relay::time::MonoTime;

use crate::support::wire::Stream;
use crate::support::{MS, World, add, spec};

fn watched() -> World {
    let mut world = World::with_legs([2]);
    world.must(&[add(LegSpec { media_timeout: Some(Duration::from_secs(5)), ..spec(1) })]);
    world.bridge(1, 2);
    world.forget();
    world
}

fn timeouts(world: &mut World) -> Vec<(MonoTime, u64)> {
    let timeout = |(at, event)| match event {
        Event::MediaTimeout { leg: LegId(1), silent_ms } => Some((at, silent_ms)),
        Event::MediaTimeout { leg, .. } => panic!("{leg} has no timeout"),
        _ => None,
    };
    world.timed_events().into_iter().filter_map(timeout).collect()
}

#[test]
fn timeout_is_told_once_and_within_a_second() {
    let mut world = watched();
    let mut stream = Stream::of(1);
    world.talk(1, &mut stream, 3);
    let last = world.now.as_nanos() - 20 * MS;
    world.pass(60_000);
    let told = timeouts(&mut world);
    let [(at, silent_ms)] = told[..] else { panic!("{told:?}") };
    let late = at.as_nanos() - last - 5_000 * MS;
    assert!(late <= 1_100 * MS, "{late} ns late");
    assert_eq!(silent_ms, (at.as_nanos() - last) / MS);
}

#[test]
fn timeout_is_armed_again_by_the_next_packet() {
    let mut world = watched();
    let mut stream = Stream::of(1);
    for _ in 0..3 {
        world.talk(1, &mut stream, 60);
        assert_eq!(timeouts(&mut world), []);
        world.pass(7_000);
        assert_eq!(timeouts(&mut world).len(), 1);
        world.pass(7_000);
        assert_eq!(timeouts(&mut world), []);
    }
}

#[test]
fn leg_that_never_heard_anything_times_out_from_its_creation() {
    let mut world = watched();
    world.pass(4_900);
    assert_eq!(timeouts(&mut world), []);
    world.pass(1_300);
    assert_eq!(timeouts(&mut world).len(), 1);
}

#[test]
fn spoofed_packets_do_not_keep_a_leg_alive() {
    let mut world = watched();
    let mut stream = Stream::of(1);
    world.talk(1, &mut stream, 1);
    for _ in 0..14 {
        world.pass(500);
        let packet = stream.packet();
        world.deliver(1, patchcord_relay::ids::Component::Rtp, crate::support::stranger(1), &packet);
    }
    assert_eq!(timeouts(&mut world).len(), 1);
}

#[test]
fn every_leg_of_many_is_looked_at() {
    let mut world = World::with_room(200, 1);
    for id in 1..=150 {
        world.must(&[add(LegSpec { media_timeout: Some(Duration::from_secs(2)), ..spec(id) })]);
    }
    world.must(&[Command::RemoveLeg { leg: LegId(77) }]);
    world.pass(3_200);
    let mut legs: Vec<_> = world
        .events()
        .into_iter()
        .filter_map(|event| if let Event::MediaTimeout { leg, .. } = event { Some(leg.0) } else { None })
        .collect();
    legs.sort_unstable();
    assert!(legs.into_iter().eq((1..=150).filter(|&id| id != 77)), "each once, and no leg that is gone");
}
