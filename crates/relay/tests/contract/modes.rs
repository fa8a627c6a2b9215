//! Rule 2: the other two ways in which a stream can go on, `new-ssrc` and `transparent`.

use patchcord_relay::command::{Command, EgressMode, Source, Trigger};
use patchcord_relay::ids::LegId;
use patchcord_relay::media::Direction;
use patchcord_rtp::Ssrc;

use crate::support::wire::{Stream, assert_continuous, numbers};
use crate::support::{World, add, hold, leg, rtcp, spec};

/// Legs 1 (of that mode), 2 and 3; leg 1 has heard five packets of leg 2.
fn listening(egress_mode: EgressMode) -> (World, Stream) {
    let mut world = World::with_legs([2, 3]);
    let mut listener = spec(1);
    listener.egress_mode = egress_mode;
    world.must(&[add(listener)]);
    world.bridge(1, 2);
    let mut stream = Stream::of(2);
    world.talk(2, &mut stream, 5);
    (world, stream)
}

/// SSRCs for which a BYE was said.
fn farewells(world: &mut World, leg: u64) -> Vec<Ssrc> {
    world.rtcp(leg).iter().flat_map(|heard| rtcp::byes_in(&heard.bytes)).collect()
}

#[test]
fn new_ssrc_begins_bit_for_bit() {
    let mut world = World::new();
    let mut listener = spec(1);
    listener.egress_mode = EgressMode::NewSsrc;
    world.must(&[add(listener), add(spec(2))]);
    world.bridge(1, 2);
    let packets = Stream::of(2).packets(3);
    for packet in &packets {
        world.send(2, packet);
    }
    assert!(world.rtp(1).iter().map(|heard| &heard.bytes).eq(&packets));
    assert_eq!(farewells(&mut world, 1), []);
}

#[test]
fn new_ssrc_takes_a_fresh_one_at_each_cut_over_and_says_bye_for_the_old() {
    let (mut world, mut old) = listening(EgressMode::NewSsrc);
    let mut seen = vec![world.rtp(1)[0].ssrc];
    let mut new = Stream::of(3);
    for round in 0..6 {
        let (source, stream) = if round % 2 == 0 { (3, &mut new) } else { (2, &mut old) };
        world.bridge(1, source);
        world.talk(source, stream, 5);
        let heard = world.rtp(1);
        assert_eq!(heard.len(), 5);
        assert_continuous(&heard);
        assert!(heard[0].marker && !heard[1].marker);
        assert!(!seen.contains(&heard[0].ssrc), "an SSRC never comes back");
        assert_eq!(farewells(&mut world, 1), [Ssrc(seen[seen.len() - 1])], "one change a cut-over");
        let receipt = world.receipts().into_iter().rfind(|receipt| receipt.sink == LegId(1)).expect("a receipt");
        assert_eq!((receipt.seq_step, receipt.ts_step), (None, None), "no step: numbering is another one");
        assert_eq!(receipt.gap_us, Some(20_000));
        seen.push(heard[0].ssrc);
    }
}

#[test]
fn new_ssrc_drops_packets_older_than_the_first_of_the_new_source() {
    let (mut world, _) = listening(EgressMode::NewSsrc);
    world.bridge(1, 3);
    let packets = Stream::of(3).packets(5);
    for at in [2, 1, 0, 4, 3] {
        world.send(3, &packets[at]);
    }
    assert_eq!(numbers(&world.rtp(1)[5..]), [2, 4, 3]);
}

#[test]
fn new_ssrc_stays_while_the_source_stays() {
    let (mut world, mut stream) = listening(EgressMode::NewSsrc);
    let ssrc = world.rtp(1)[0].ssrc;
    let direction = |direction| Command::SetDirection { leg: LegId(1), direction };
    let mute = |muted| Command::SetMuted { leg: LegId(2), muted };
    for (away, back) in [(mute(true), mute(false)), (direction(Direction::SendOnly), direction(Direction::SendRecv))] {
        world.must(&[away]);
        world.talk(2, &mut stream, 3);
        world.must(&[back]);
        world.talk(2, &mut stream, 3);
    }
    let heard = world.rtp(1);
    assert_eq!(heard.len(), 6);
    assert!(heard.iter().all(|heard| heard.ssrc == ssrc), "only a cut-over changes the SSRC");
    assert_continuous(&heard);
    assert_eq!(farewells(&mut world, 1), []);
}

#[test]
fn new_ssrc_counts_what_it_sends_from_the_change_on() {
    // RFC 3550 6.4.1: the counts "SHOULD be reset if the sender changes its SSRC identifier".
    let (mut world, _) = listening(EgressMode::NewSsrc);
    world.bridge(1, 3);
    let mut new = Stream::of(3);
    world.talk(3, &mut new, 4);
    world.rtcp(1);
    world.send(3, &rtcp::sender_report(&new, 1, 400, &[]));
    let report = rtcp::sender_report_in(&world.rtcp(1)[0].bytes);
    assert_eq!(report.1.packet_count, 4);
    assert_eq!(report.1.octet_count, 4 * crate::support::wire::Payload::LEN as u32);
}

#[test]
fn transparent_passes_everything_untouched() {
    let (mut world, mut old) = listening(EgressMode::Transparent);
    world.rtp(1);
    world.bridge(1, 3);
    let mut new = Stream::of(3);
    let mut sent = new.packets(5);
    sent.swap(1, 3);
    for packet in &sent {
        world.send(3, packet);
    }
    world.bridge(1, 2);
    sent.extend(old.packets(3));
    for packet in &sent[5..] {
        world.send(2, packet);
    }
    assert!(world.rtp(1).iter().map(|heard| &heard.bytes).eq(&sent));
    assert_eq!(farewells(&mut world, 1), []);
}

#[test]
fn transparent_passes_rtcp_untouched_over_a_cut_over() {
    let (mut world, _) = listening(EgressMode::Transparent);
    world.bridge(1, 3);
    let mut new = Stream::of(3);
    world.talk(3, &mut new, 2);
    world.rtcp(1);
    let mut compound = rtcp::sender_report(&new, 1, 77, b"new@example");
    compound.extend_from_slice(&rtcp::bye(new.ssrc));
    world.send(3, &compound);
    assert_eq!(world.rtcp(1).pop().map(|heard| heard.bytes), Some(compound));
}

#[test]
fn transparent_too_has_one_writer() {
    let (mut world, mut old) = listening(EgressMode::Transparent);
    world.bridge(1, 3);
    world.talk(2, &mut old, 3);
    world.cut(Trigger::Immediate, &[(1, Source::Silence)]);
    world.talk(3, &mut Stream::of(3), 3);
    assert_eq!(world.rtp(1).len(), 5);
}

#[test]
fn modes_differ_by_listener_of_the_same_source() {
    let mut world = World::with_legs([9]);
    let modes = [EgressMode::Continuity, EgressMode::NewSsrc, EgressMode::Transparent];
    for (id, mode) in (1..).zip(modes) {
        let mut listener = spec(id);
        listener.egress_mode = mode;
        world.must(&[add(listener)]);
        world.cut(Trigger::Immediate, &[(id, hold())]);
    }
    world.pass(100);
    let held = [1, 2, 3].map(|id| world.rtp(id)[0].ssrc);
    world.cut(Trigger::Immediate, &[(1, leg(9)), (2, leg(9)), (3, leg(9))]);
    let mut stream = Stream::of(9);
    world.talk(9, &mut stream, 4);
    let heard = [1, 2, 3].map(|id| world.rtp(id));
    assert!(heard.iter().all(|heard| heard.len() == 4));
    assert_eq!(heard[0][0].ssrc, held[0]);
    assert!(heard[1][0].ssrc != held[1] && heard[1][0].ssrc != stream.ssrc);
    assert_eq!(heard[2][0].ssrc, stream.ssrc);
}
