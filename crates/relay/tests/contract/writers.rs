//! Rules 3 and 4: one writer at a time, and no sequence number twice.

use std::collections::BTreeSet;

use patchcord_relay::command::{Source, Trigger};
use patchcord_relay::verdict::DropReason;

use crate::support::wire::{HeardRtp, Stream, assert_continuous, origins};
use crate::support::{Arriving, World, dropped, hold, leg, party};

#[test]
fn old_source_is_revoked_in_the_same_step() {
    let mut world = World::with_legs([1, 2, 3]);
    world.bridge(1, 2);
    let (mut old, mut new) = (Stream::of(2), Stream::of(3));
    world.talk(2, &mut old, 5);
    world.cut(Trigger::Immediate, &[(1, leg(3))]);
    for _ in 0..10 {
        // Both go on talking; only one is heard.
        assert_eq!(world.send(2, &old.packet()), dropped(DropReason::StaleAfterCutover));
        world.talk(3, &mut new, 1);
    }
    let heard = world.rtp(1);
    assert_eq!(heard.len(), 15);
    assert_eq!(origins(&heard), [2, 3]);
    assert_continuous(&heard);
}

#[test]
fn old_source_is_revoked_before_the_new_one_speaks() {
    let mut world = World::with_legs([1, 2, 3]);
    world.bridge(1, 2);
    let mut old = Stream::of(2);
    world.talk(2, &mut old, 5);
    world.cut(Trigger::Immediate, &[(1, leg(3))]);
    assert_eq!(world.send(2, &old.packet()), dropped(DropReason::StaleAfterCutover));
    assert_eq!(world.rtp(1).len(), 5);
}

#[test]
fn player_is_revoked_in_the_same_step() {
    let mut world = World::with_legs([1, 2]);
    world.cut(Trigger::Immediate, &[(1, hold())]);
    world.pass(200);
    world.cut(Trigger::Immediate, &[(1, leg(2))]);
    world.rtp(1);
    world.talk(2, &mut Stream::of(2), 10);
    let heard = world.rtp(1);
    assert_eq!((origins(&heard), heard.len()), (vec![2], 10));
}

#[test]
fn late_packets_of_the_old_source_are_counted_in_the_receipt() {
    let mut world = World::with_legs([1, 2, 3]);
    world.bridge(1, 2);
    let (mut old, mut new) = (Stream::of(2), Stream::of(3));
    world.talk(2, &mut old, 5);
    world.receipts();
    world.cut(Trigger::Immediate, &[(1, leg(3))]);
    // Two before the new source's first packet, three after it.
    world.talk(2, &mut old, 2);
    world.talk(3, &mut new, 1);
    assert_eq!(world.receipt(1).stale, 2, "in the event: up to the first packet");
    world.talk(2, &mut old, 3);
    assert_eq!(world.leg(1).last_cut_over.expect("a receipt").stale, 5, "at any time: up to now");
    assert_eq!(world.drops(2, DropReason::StaleAfterCutover), 5);
    // After half a second the party is not late but unheard.
    world.pass(600);
    assert_eq!(world.send(2, &old.packet()), dropped(DropReason::NoSink));
    assert_eq!(world.leg(1).last_cut_over.expect("a receipt").stale, 5);
}

#[test]
fn late_packets_are_counted_for_a_change_to_silence_and_to_a_player_too() {
    for source in [Source::Silence, hold()] {
        let mut world = World::with_legs([1, 2]);
        world.bridge(1, 2);
        let mut old = Stream::of(2);
        world.talk(2, &mut old, 5);
        world.cut(Trigger::Immediate, &[(1, source)]);
        world.talk(2, &mut old, 3);
        assert_eq!(world.leg(1).last_cut_over.expect("a receipt").stale, 3);
    }
}

/// No (SSRC, sequence) twice within one cycle of the sequence.
fn assert_no_reuse(heard: &[HeardRtp]) {
    let mut seen = BTreeSet::new();
    for heard in heard {
        assert!(seen.insert((heard.ssrc, heard.sequence)), "sent twice: {heard:?}");
    }
}

#[test]
fn no_sequence_number_is_sent_twice_under_one_ssrc() {
    let mut world = World::with_legs([1, 2, 3]);
    world.bridge(1, 2);
    let (mut old, mut new) = (Stream::of(2), Stream::of(3));
    for round in 0..20_u16 {
        let (id, stream) = if round % 2 == 0 { (2, &mut old) } else { (3, &mut new) };
        world.bridge(1, id);
        // Duplicates, reordering, then a restart far below: whatever the source does.
        let packets = stream.packets(30);
        for at in [0, 1, 1, 5, 3, 2, 5, 4, 29, 6, 29, 7, 0, 28] {
            world.send(id, &packets[at]);
        }
        world.pass(20);
        *stream = stream.clone().numbered(round.wrapping_mul(7919), 5);
        for packet in stream.packets(10) {
            world.send(id, &packet);
            world.send(id, &packet);
        }
        world.cut(Trigger::Immediate, &[(1, hold())]);
        world.pass(100);
    }
    let heard = world.rtp(1);
    assert!(heard.len() > 400, "{} packets", heard.len());
    assert_no_reuse(&heard);
}

#[test]
fn two_listeners_of_one_source_each_have_their_own_numbering() {
    let mut world = World::with_legs([1, 2, 3, 4]);
    world.bridge(1, 2);
    world.talk(2, &mut Stream::of(2), 3);
    world.cut(Trigger::Immediate, &[(1, leg(4)), (3, leg(4))]);
    let mut stream = Stream::of(4);
    let batch: Vec<_> = stream
        .packets(10)
        .into_iter()
        .map(|bytes| Arriving { leg: 4, component: patchcord_relay::ids::Component::Rtp, from: party(4), bytes })
        .collect();
    world.deliver_batch(&batch);
    let (first, second) = (world.rtp(1), world.rtp(3));
    assert_eq!((first.len(), second.len()), (13, 10));
    assert_continuous(&first);
    assert!(second.iter().map(|heard| &heard.bytes).eq(batch.iter().map(|packet| &packet.bytes)), "bit for bit");
    assert!(first.iter().all(|heard| heard.to == party(1)) && second.iter().all(|heard| heard.to == party(3)));
    world.assert_balanced();
}

#[test]
fn echo_feeds_a_leg_with_itself() {
    let mut world = World::with_legs([1, 2]);
    world.bridge(1, 2);
    world.talk(2, &mut Stream::of(2), 3);
    world.cut(Trigger::Immediate, &[(1, leg(1))]);
    world.talk(1, &mut Stream::of(1), 5);
    let heard = world.rtp(1);
    assert_eq!(origins(&heard), [2, 1]);
    assert_eq!(heard.len(), 8);
    assert_continuous(&heard);
    assert_eq!(world.rtp(2).len(), 5, "leg 2 goes on hearing leg 1");
}
