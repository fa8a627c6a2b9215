//! Whatever is not relayed is dropped by name, once, and counted at the leg where it arrived.

use patchcord_relay::Verdict;
use patchcord_relay::command::{Command, Source, Trigger};
use patchcord_relay::ids::{Component, LegId, PortId};
use patchcord_relay::verdict::DropReason;
use patchcord_relay::{Datagram, Shard, ShardConfig};

use crate::support::kernel::Kernel;
use crate::support::wire::Stream;
use crate::support::{Arriving, World, dropped, leg, party, stranger};

fn talking() -> (World, Stream) {
    let mut world = World::with_legs([1, 2]);
    world.bridge(1, 2);
    let mut stream = Stream::of(1);
    world.talk(1, &mut stream, 3);
    (world, stream)
}

#[test]
fn garbage_is_named_by_what_it_looks_like() {
    let (mut world, mut stream) = talking();
    let good = stream.packet();
    let mut csrcs = good.clone();
    csrcs[0] |= 0x0f;
    let mut padded = good.clone();
    padded[0] |= 0x20;
    *padded.last_mut().expect("a byte") = 0;
    let mut extended = good.clone();
    extended[0] |= 0x10;
    extended[12..16].copy_from_slice(&[0xbe, 0xde, 0xff, 0xff]);
    let cases: [(&[u8], DropReason); 14] = [
        (&[], DropReason::UnknownProtocol),
        (&[0x80], DropReason::UnknownProtocol),
        (&[0xff; 100], DropReason::UnknownProtocol),
        (b"\r\n\r\n", DropReason::UnknownProtocol),
        (&[0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42], DropReason::UnexpectedProtocol),
        (&[22, 0xfe, 0xff, 0, 0], DropReason::UnexpectedProtocol),
        (&[0x10, 0, 0, 0], DropReason::UnexpectedProtocol),
        (&[0x40, 0, 0, 0], DropReason::UnexpectedProtocol),
        (&good[..11], DropReason::Malformed),
        (&csrcs, DropReason::Malformed),
        (&padded, DropReason::Malformed),
        (&extended, DropReason::Malformed),
        (&[0x80, 200, 0, 6, 1, 2], DropReason::Malformed),
        (&[0x80, 200, 0xff, 0xff, 0, 0, 0, 0], DropReason::Malformed),
    ];
    for (bytes, reason) in cases {
        let before = world.drops(1, reason);
        assert_eq!(world.send(1, bytes), dropped(reason), "{bytes:02x?}");
        assert_eq!(world.drops(1, reason), before + 1);
    }
    assert_eq!(world.leg(1).drops.total(), 14);
    world.assert_balanced();
    assert!(matches!(world.send(1, &good), Verdict::Forwarded(_)), "and the call goes on");
}

#[test]
fn spoofed_packets_are_foreign_and_leave_no_trace() {
    let (mut world, mut stream) = talking();
    let before = world.leg(1);
    for number in 0..50 {
        // They even guess SSRC and sequence.
        let packet = stream.clone().packet();
        assert_eq!(world.deliver(1, Component::Rtp, stranger(number), &packet), dropped(DropReason::ForeignSource));
    }
    let after = world.leg(1);
    assert_eq!((after.ingress.packets, after.ingress.bytes), (before.ingress.packets, before.ingress.bytes));
    assert_eq!((after.ingress.jitter_ms, after.remote_rtp), (before.ingress.jitter_ms, before.remote_rtp));
    assert_eq!(after.drops.get(DropReason::ForeignSource), 50);
    assert_eq!(after.ingress.datagrams, before.ingress.datagrams + 50);
    let packet = stream.packet();
    assert!(matches!(world.send(1, &packet), Verdict::Forwarded(_)), "the party's own packet was not used up");
}

#[test]
fn party_without_a_listener_is_dropped_as_unheard() {
    let mut world = World::with_legs([1, 2]);
    assert_eq!(world.send(1, &Stream::of(1).packet()), dropped(DropReason::NoSink));
    world.cut(Trigger::Immediate, &[(2, leg(1))]);
    assert!(matches!(world.send(1, &Stream::of(1).under(7).packet()), Verdict::Forwarded(_)));
    world.cut(Trigger::Immediate, &[(2, Source::Silence)]);
    world.pass(501);
    assert_eq!(world.send(1, &Stream::of(1).under(9).packet()), dropped(DropReason::NoSink));
}

#[test]
fn deleted_leg_is_no_leg() {
    let (mut world, mut stream) = talking();
    let slot = world.shard.slot(LegId(1)).expect("the leg exists");
    world.must(&[Command::RemoveLeg { leg: LegId(1) }]);
    let mut bytes = stream.packet();
    let len = bytes.len();
    let now = world.now;
    for port in [PortId::new(slot, Component::Rtp), PortId::new(9999, Component::Rtcp)] {
        let mut batch = [Datagram::new(port, party(1), now, &mut bytes, len)];
        drop(world.shard.ingress(&mut batch, now));
        assert_eq!(batch[0].verdict, dropped(DropReason::NoLeg));
    }
    assert_eq!(world.shard.worker().drops.get(DropReason::NoLeg), 2);
    assert_eq!(world.shard.leg(LegId(1), now), None);
    world.assert_balanced();
}

#[test]
fn nothing_leaves_from_the_ports_of_a_leg_that_the_same_batch_deletes() {
    let mut world = World::with_legs([1]);
    // The player's first frame would leave at once; the slot is leg 3's by then.
    let batch = [
        crate::support::cut_over(1, Trigger::Immediate, &[(1, crate::support::hold())]),
        Command::RemoveLeg { leg: LegId(1) },
        crate::support::add(crate::support::spec(3)),
    ];
    world.must(&batch);
    assert_eq!(world.take(3), []);
    world.assert_balanced();
}

#[test]
fn truncated_datagram_is_dropped_as_such() {
    let (mut world, mut stream) = talking();
    let slot = world.shard.slot(LegId(1)).expect("the leg exists");
    let mut bytes = stream.packet();
    let len = bytes.len();
    let mut batch = [Datagram::new(PortId::new(slot, Component::Rtp), party(1), world.now, &mut bytes, len)];
    batch[0].truncated = true;
    drop(world.shard.ingress(&mut batch, world.now));
    assert_eq!(batch[0].verdict, dropped(DropReason::Truncated));
}

#[test]
fn packet_too_far_behind_is_too_old() {
    let (mut world, mut stream) = talking();
    let late = stream.packets(2);
    world.talk(1, &mut stream, 63);
    assert!(matches!(world.send(1, &late[1]), Verdict::Forwarded(_)), "63 behind: within the window");
    assert_eq!(world.send(1, &late[0]), dropped(DropReason::TooOld));
}

#[test]
fn listeners_beyond_the_room_of_a_batch_are_counted_and_the_rest_goes_on() {
    // One talker, 40 listeners, 100 packets in a batch: more copies than the transmit list holds.
    let mut world = World::with_room(64, 1);
    for id in 1..=41 {
        world.must(&[crate::support::add(crate::support::spec(id))]);
    }
    for id in 2..=41 {
        world.cut(Trigger::Immediate, &[(id, leg(1))]);
    }
    let mut stream = Stream::of(1);
    let packet = |bytes| Arriving { leg: 1, component: Component::Rtp, from: party(1), bytes };
    let batch: Vec<_> = stream.packets(100).into_iter().map(packet).collect();
    let verdicts = world.deliver_batch(&batch);
    assert!(verdicts.iter().all(|verdict| matches!(verdict, Verdict::Forwarded(_))), "one listener gets the datagram");
    let heard: usize = (2..=41).map(|id| world.rtp(id).len()).sum();
    let lost: u32 = (2..=41).map(|id| world.drops(id, DropReason::OutboxFull)).sum();
    assert_eq!(heard + lost as usize, 4000);
    assert!(lost > 0);
    world.assert_balanced();
    for packet in stream.packets(5) {
        world.send(1, &packet);
    }
    assert!((2..=41).all(|id| world.rtp(id).len() == 5), "the next batch finds room again");
}

#[test]
fn empty_batch_and_empty_shard_do_nothing() {
    let mut shard = Shard::new(ShardConfig { legs_max: 0, seed: 0 });
    let now = patchcord_relay::time::MonoTime::ZERO;
    assert_eq!(shard.ingress(&mut [], now).transmits().len(), 0);
    assert_eq!(shard.tick(now).transmits().len(), 0);
    assert_eq!((shard.next_deadline(), shard.worker().legs_max), (None, 1));
    assert!(shard.apply(&[], now).is_ok());
}

#[test]
fn latency_is_counted_where_the_packet_left() {
    let (mut world, _) = talking();
    // How long it takes an offload, nobody measures.
    let relayed = 3 - world.kernel.as_ref().map_or(0, Kernel::forwarded);
    assert_eq!((world.leg(2).egress.latency.count, world.leg(1).egress.latency.count), (relayed, 0));
    assert_eq!(world.shard.worker().latency.count, relayed);
    world.must(&[Command::RemoveLeg { leg: LegId(2) }]);
}
