//! Rule 8, second part: only a command opens the learning again, and a gate guards it.

use patchcord_relay::Verdict;
use patchcord_relay::command::{Command, RelatchGate};
use patchcord_relay::event::Event;
use patchcord_relay::ids::{Component, LegId};
use patchcord_relay::verdict::DropReason;

use crate::support::wire::{Stream, assert_continuous, origins};
use crate::support::{World, dropped, party, stranger};

/// Legs 1 and 2 talk; leg 1 has latched on its signalled address.
fn latched() -> (World, Stream) {
    let mut world = World::with_legs([1, 2]);
    world.bridge(1, 2);
    let mut stream = Stream::of(1);
    world.talk(1, &mut stream, 5);
    world.forget();
    (world, stream)
}

fn relatch(gate: RelatchGate) -> Command {
    Command::Relatch { leg: LegId(1), gate }
}

#[test]
fn rebound_source_is_foreign_without_a_command() {
    let (mut world, mut stream) = latched();
    for _ in 0..20 {
        let packet = stream.packet();
        assert_eq!(world.deliver(1, Component::Rtp, stranger(1), &packet), dropped(DropReason::ForeignSource));
        world.pass(1000);
    }
    assert_eq!(world.leg(1).remote_rtp, Some(party(1)));
}

#[test]
fn packets_gate_wants_so_many_in_sequence_while_the_old_source_is_silent() {
    let (mut world, mut stream) = latched();
    world.must(&[relatch(RelatchGate::Packets(4))]);
    world.pass(200);
    let mut verdicts = Vec::new();
    for _ in 0..6 {
        verdicts.push(world.deliver(1, Component::Rtp, stranger(1), &stream.packet()));
        world.pass(20);
    }
    let foreign = dropped(DropReason::ForeignSource);
    assert_eq!(verdicts[..3], [foreign; 3]);
    assert!(verdicts[3..].iter().all(|verdict| matches!(verdict, Verdict::Forwarded(_))), "{verdicts:?}");
    assert_eq!(world.leg(1).remote_rtp, Some(stranger(1)));
    assert_eq!(world.events(), [Event::Latched { leg: LegId(1), source: stranger(1) }]);
    // The gate is closed again.
    world.pass(500);
    for packet in stream.packets(10) {
        assert_eq!(world.deliver(1, Component::Rtp, stranger(2), &packet), foreign);
    }
    // And the peer's media goes to the new place, in the same stream.
    world.talk(2, &mut Stream::of(2), 2);
    assert!(world.rtp(1).iter().all(|heard| heard.to == stranger(1)));
}

#[test]
fn packets_gate_stays_shut_while_the_old_source_speaks() {
    let (mut world, mut stream) = latched();
    world.must(&[relatch(RelatchGate::Packets(3))]);
    let mut intruder = Stream::of(9);
    for _ in 0..50 {
        world.talk(1, &mut stream, 1);
        let packet = intruder.packet();
        assert_eq!(world.deliver(1, Component::Rtp, stranger(1), &packet), dropped(DropReason::ForeignSource));
    }
    assert_eq!(origins(&world.rtp(2)), [1]);
}

#[test]
fn packets_gate_starts_anew_at_a_gap_another_ssrc_and_another_address() {
    let (mut world, mut stream) = latched();
    world.must(&[relatch(RelatchGate::Packets(3))]);
    world.pass(200);
    let foreign = dropped(DropReason::ForeignSource);
    let send = |world: &mut World, from, packet: &[u8]| world.deliver(1, Component::Rtp, stranger(from), packet);
    for packet in stream.packets(2) {
        assert_eq!(send(&mut world, 1, &packet), foreign);
    }
    stream.skip(1);
    for packet in stream.packets(2) {
        assert_eq!(send(&mut world, 1, &packet), foreign, "after a gap");
    }
    let mut other = stream.clone().under(0x99);
    for packet in other.packets(2) {
        assert_eq!(send(&mut world, 1, &packet), foreign, "another SSRC");
    }
    for packet in other.packets(2) {
        assert_eq!(send(&mut world, 2, &packet), foreign, "another address");
    }
    assert!(matches!(send(&mut world, 2, &other.packet()), Verdict::Forwarded(_)));
}

#[test]
fn signalled_gate_lets_the_signalled_address_in_only() {
    let (mut world, mut stream) = latched();
    world.must(&[Command::SetRemote { leg: LegId(1), rtp: stranger(5), rtcp: None }]);
    // A provisional source is learned in the meantime: the party behind a NAT.
    world.deliver(1, Component::Rtp, stranger(1), &stream.packet());
    world.must(&[relatch(RelatchGate::Signalled)]);
    for packet in stream.packets(10) {
        assert_eq!(world.deliver(1, Component::Rtp, stranger(2), &packet), dropped(DropReason::ForeignSource));
    }
    let packet = stream.packet();
    assert!(matches!(world.deliver(1, Component::Rtp, stranger(5), &packet), Verdict::Forwarded(_)));
    assert_eq!(world.leg(1).remote_rtp, Some(stranger(5)));
}

#[test]
fn present_source_stays_in_force_until_another_one_has_passed() {
    for gate in [RelatchGate::Signalled, RelatchGate::Packets(5)] {
        let (mut world, mut stream) = latched();
        world.must(&[relatch(gate)]);
        world.talk(1, &mut stream, 10);
        let heard = world.rtp(2);
        assert_eq!(heard.len(), 10);
        assert_continuous(&heard);
        assert_eq!(world.leg(1).remote_rtp, Some(party(1)));
    }
}

#[test]
fn listener_hears_no_break_over_a_rebinding() {
    let (mut world, mut stream) = latched();
    world.talk(1, &mut stream, 5);
    world.must(&[relatch(RelatchGate::Packets(1))]);
    world.pass(100);
    stream.skip(5);
    for _ in 0..5 {
        world.deliver(1, Component::Rtp, stranger(1), &stream.packet());
        world.pass(20);
    }
    let heard = world.rtp(2);
    assert_eq!(heard.len(), 10);
    let payload = heard[9].payload.expect("a payload of ours");
    assert_eq!((heard[9].sequence, heard[9].timestamp), (payload.sequence, payload.timestamp), "bit for bit as ever");
}
