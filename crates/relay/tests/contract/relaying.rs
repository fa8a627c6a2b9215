//! Rule 0: a call that is never transferred is relayed bit for bit.

use patchcord_relay::Verdict;
use patchcord_relay::event::Event;
use patchcord_relay::ids::{Component, LegId};
use patchcord_relay::verdict::DropReason;
use patchcord_rtp::Ssrc;

use crate::support::wire::Stream;
use crate::support::{Arriving, World, dropped, party};

/// A packet with whatever an RTP packet can have: marker, CSRCs, header extension and padding.
fn ornate(stream: &mut Stream, decoration: u8) -> Vec<u8> {
    let plain = stream.packet();
    let (header, payload) = plain.split_at(12);
    let mut packet = header.to_vec();
    if decoration & 1 != 0 {
        packet[0] |= 3;
        packet.extend_from_slice(&[0xc5; 12]);
    }
    if decoration & 2 != 0 {
        packet[0] |= 0x10;
        packet.extend_from_slice(&[0xbe, 0xde, 0, 2, 0x12, 1, 2, 3, 0x20, 9, 0, 0]);
    }
    packet.extend_from_slice(payload);
    if decoration & 4 != 0 {
        packet[0] |= 0x20;
        packet.extend_from_slice(&[0, 0, 0, 0, 5]);
    }
    if decoration & 8 != 0 {
        packet[1] |= 0x80;
    }
    packet
}

#[test]
fn rtp_is_relayed_bit_for_bit_before_any_cut_over() {
    let mut world = World::with_legs([1, 2]);
    world.bridge(1, 2);
    let mut stream = Stream::of(1);
    let mut sent = Vec::new();
    for decoration in 0..16 {
        let packet = ornate(&mut stream, decoration);
        assert!(matches!(world.send(1, &packet), Verdict::Forwarded(_)), "decoration {decoration:04b}");
        sent.push(packet);
        world.pass(20);
    }
    let heard = world.take(2);
    assert!(heard.iter().map(|heard| &heard.bytes).eq(&sent));
    assert!(heard.iter().all(|heard| heard.to == party(2) && heard.component == Component::Rtp));
    world.assert_balanced();
}

#[test]
fn payload_types_that_nobody_announced_pass_as_they_are() {
    let mut world = World::with_legs([1, 2]);
    world.bridge(1, 2);
    // Comfort noise (RFC 3389), the usual stowaway.
    let mut stream = Stream { payload_type: 13, ..Stream::of(1) };
    let packet = stream.packet();
    world.send(1, &packet);
    assert_eq!(world.take(2)[0].bytes, packet);
}

#[test]
fn loss_and_reordering_of_the_source_pass_and_duplicates_do_not() {
    let mut world = World::with_legs([1, 2]);
    world.bridge(1, 2);
    let packets = Stream::of(1).packets(12);
    let order = [0, 1, 4, 3, 2, 7, 6, 11, 8];
    for at in order {
        world.send(1, &packets[at]);
        world.pass(7);
    }
    // RFC 3711 9.1: an index is never used twice, so that a duplicate has to go.
    assert_eq!(world.send(1, &packets[6]), dropped(DropReason::Duplicate));
    let heard: Vec<_> = world.take(2).into_iter().map(|heard| heard.bytes).collect();
    assert_eq!(heard, order.map(|at| packets[at].clone()));
}

#[test]
fn packets_sent_before_the_first_that_arrived_are_relayed_too() {
    // Around the roll-over: the first to arrive may be the one with number 0.
    for first in [0_u16, 1, 2, 700] {
        let mut world = World::with_legs([1, 2]);
        world.bridge(1, 2);
        let older = Stream::of(1).numbered(first.wrapping_sub(2), 5).packets(3);
        for at in [2, 1, 0] {
            let verdict = world.send(1, &older[at]);
            assert!(
                matches!(verdict, Verdict::Forwarded(_)),
                "packet {at} of a stream that begins with {first}: {verdict:?}"
            );
        }
        let heard: Vec<_> = world.take(2).into_iter().map(|heard| heard.bytes).collect();
        assert_eq!(heard, [&older[2], &older[1], &older[0]].map(Clone::clone));
    }
}

#[test]
fn timestamps_and_markers_of_the_source_pass_as_they_are() {
    let mut world = World::with_legs([1, 2]);
    world.bridge(1, 2);
    let mut stream = Stream::of(1);
    world.talk(1, &mut stream, 3);
    // Silence suppression: the timestamp jumps, the sequence does not, and the source sets its own marker.
    stream.timestamp = stream.timestamp.wrapping_add(8000);
    let mut packet = stream.packet();
    packet[1] |= 0x80;
    world.send(1, &packet);
    assert_eq!(world.take(2).pop().map(|heard| heard.bytes), Some(packet));
}

#[test]
fn batch_of_many_legs_is_judged_packet_by_packet() {
    let mut world = World::with_legs([1, 2, 3, 4]);
    world.bridge(1, 2);
    world.bridge(3, 4);
    let mut streams = [1, 2, 3, 4].map(Stream::of);
    let mut batch = Vec::new();
    for _ in 0..8 {
        for stream in &mut streams {
            let leg = u64::from(stream.origin);
            batch.push(Arriving { leg, component: Component::Rtp, from: party(leg), bytes: stream.packet() });
        }
    }
    let verdicts = world.deliver_batch(&batch);
    assert!(verdicts.iter().all(|verdict| matches!(verdict, Verdict::Forwarded(_))));
    for (leg, peer) in [(1, 2), (2, 1), (3, 4), (4, 3)] {
        let sent = batch.iter().filter(|packet| packet.leg == peer).map(|packet| &packet.bytes);
        assert!(world.take(leg).iter().map(|heard| &heard.bytes).eq(sent));
    }
}

#[test]
fn first_packet_and_latch_are_told_once() {
    let mut world = World::with_legs([1, 2]);
    world.bridge(1, 2);
    world.forget();
    world.talk(1, &mut Stream::of(1), 5);
    let receipt = world.receipt(2);
    assert_eq!((receipt.gap_us, receipt.seq_step, receipt.ts_step), (None, None, None), "nothing was there before");
    let leg = LegId(1);
    let told = [Event::Latched { leg, source: party(1) }, Event::FirstPacket { leg, ssrc: Ssrc(0x5000_0001) }];
    assert_eq!(world.events(), told);
}
