//! Rule 7, first part: who gets which reports, and under which names.

use patchcord_relay::command::{Command, LegSpec, Source, Trigger};
use patchcord_relay::ids::{Component, LegId};
use patchcord_relay::media::Repeat;
use patchcord_relay::verdict::DropReason;
use patchcord_relay::{Shard, ShardConfig, Verdict};
use patchcord_rtp::{NtpTime, Ssrc};

use crate::support::wire::{Payload, Stream};
use crate::support::{
    MS, WALLCLOCK_START, World, add, clip, dropped, hold, leg, local, party, play, rtcp, spec, stranger,
};

/// Legs 1 and 2 have talked for a while; nothing was ever cut over.
fn talking() -> (World, Stream, Stream) {
    let mut world = World::with_legs([1, 2, 3]);
    world.bridge(1, 2);
    let (mut first, mut second) = (Stream::of(1), Stream::of(2));
    for _ in 0..5 {
        world.send(1, &first.packet());
        world.talk(2, &mut second, 1);
    }
    world.forget();
    (world, first, second)
}

#[test]
fn compounds_are_relayed_bit_for_bit_before_any_cut_over() {
    let (mut world, first, second) = talking();
    let block = rtcp::block(second.ssrc, 0x1_0007);
    let mut rich = rtcp::sender_report_with(&first, 7, 5, b"first@example", &[block]);
    rich.extend_from_slice(&rtcp::nack(first.ssrc, second.ssrc, &[(17, 3)]));
    // An application packet, and an extended report (RFC 3611): opaque to the relay.
    rich.extend_from_slice(&[0x81, 204, 0, 3, 0x50, 0, 0, 1, b'n', b'a', b'm', b'e', 1, 2, 3, 4]);
    rich.extend_from_slice(&[0x80, 207, 0, 1, 0x50, 0, 0, 1]);
    let plain = rtcp::receiver_report(second.ssrc, b"second@example", &[rtcp::block(first.ssrc, 9)]);
    for (from, to, compound) in [(1, 2, &rich), (2, 1, &plain), (1, 2, &rich)] {
        assert_eq!(world.send(from, compound), Verdict::Consumed);
        let heard = world.rtcp(to);
        assert_eq!(heard.len(), 1);
        assert_eq!(&heard[0].bytes, compound, "from leg {from} to leg {to}");
        assert_eq!((heard[0].to, heard[0].component), (party(to), Component::Rtp), "muxed, as signalled");
    }
    world.assert_balanced();
}

#[test]
fn reports_of_a_party_that_only_listens_reach_the_one_who_talks() {
    let mut world = World::with_legs([1, 2]);
    world.bridge(1, 2);
    let mut talker = Stream::of(2);
    world.talk(2, &mut talker, 5);
    let report = rtcp::receiver_report(0x1111, b"listener@example", &[rtcp::block(talker.ssrc, 4)]);
    world.send(1, &report);
    assert_eq!(world.rtcp(2).pop().map(|heard| heard.bytes), Some(report), "bit for bit");

    // The same after a cut-over: about the talker's own stream, in its own numbers.
    world.cut(Trigger::Immediate, &[(1, hold())]);
    world.pass(200);
    world.cut(Trigger::Immediate, &[(1, leg(2))]);
    world.talk(2, &mut talker, 5);
    let last = talker.sequence.wrapping_sub(1);
    let heard = world.rtp(1).pop().expect("a packet");
    world.send(
        1,
        &rtcp::receiver_report(0x1111, b"listener@example", &[rtcp::block(heard.ssrc, heard.sequence.into())]),
    );
    let blocks = rtcp::blocks_in(&world.rtcp(2).pop().expect("a report").bytes);
    assert_eq!(blocks.len(), 1);
    assert_eq!((blocks[0].ssrc, blocks[0].extended_highest_sequence as u16), (Ssrc(talker.ssrc), last));
}

#[test]
fn cname_is_constant_over_every_cut_over() {
    let (mut world, _, second) = talking();
    world.send(2, &rtcp::sender_report(&second, 1, 5, b"second@example"));
    let mut told = Vec::new();
    for (source, id) in [(leg(3), 3), (hold(), 0), (leg(2), 2), (leg(3), 3)] {
        world.cut(Trigger::Immediate, &[(1, source)]);
        if id != 0 {
            let mut stream = Stream::of(id).under(0x9999 + id as u32);
            world.talk(id, &mut stream, 3);
            world.send(id, &rtcp::sender_report(&stream, 1, 5, format!("party-{id}@example").as_bytes()));
        }
        world.pass(20_000);
    }
    let ssrc = world.leg(1).egress.ssrc;
    for heard in world.rtcp(1) {
        if let Some((owner, cname)) = rtcp::cname_in(&heard.bytes) {
            assert_eq!(Some(owner), ssrc);
            told.push(cname);
        }
    }
    assert!(told.len() > 6, "{} names", told.len());
    told.dedup();
    assert_eq!(told, [b"second@example"]);
}

#[test]
fn bye_of_a_source_is_swallowed() {
    let (mut world, _, second) = talking();
    let mut last = rtcp::sender_report(&second, 1, 5, b"second@example");
    let without_bye = last.clone();
    last.extend_from_slice(&rtcp::bye(second.ssrc));
    world.send(2, &last);
    assert_eq!(world.rtcp(1).pop().map(|heard| heard.bytes), Some(without_bye), "the rest passes as it is");
    // Also when nothing else is in it, and after the party was replaced.
    world.send(2, &rtcp::bye(second.ssrc));
    world.bridge(1, 3);
    world.talk(3, &mut Stream::of(3), 2);
    world.send(2, &rtcp::bye(second.ssrc));
    world.send(3, &rtcp::bye(Stream::of(3).ssrc));
    assert!(world.rtcp(1).iter().all(|heard| rtcp::byes_in(&heard.bytes).is_empty()));
}

#[test]
fn sender_report_goes_out_at_the_switch() {
    let (mut world, _, _) = talking();
    world.pass(500);
    world.bridge(1, 3);
    world.send(3, &Stream::of(3).packet());
    let first = world.rtp(1).pop().expect("the first packet of the new source");
    let reports = world.rtcp(1);
    assert_eq!(reports.len(), 1);
    let (ssrc, info) = rtcp::sender_report_in(&reports[0].bytes);
    assert_eq!(ssrc, Ssrc(first.ssrc));
    assert_eq!(info.rtp_timestamp.0, first.timestamp, "the two clocks at the same instant");
    let elapsed = world.now.as_nanos() - 1_000_000 * MS;
    let ntp_nanos = info.ntp.as_unix_nanos();
    assert!(ntp_nanos.abs_diff(WALLCLOCK_START + elapsed) < 1000, "the wall clock's time: {ntp_nanos}");
    assert_eq!((info.packet_count, info.octet_count), (6, 6 * Payload::LEN as u32));
    assert!(rtcp::cname_in(&reports[0].bytes).is_some(), "RFC 3550 6.1: a compound has a CNAME");
}

#[test]
fn no_report_is_made_up_without_a_wall_clock() {
    let mut world = World::new();
    world.shard = Shard::new(ShardConfig { legs_max: 8, seed: 3 });
    world.must(&[add(spec(1)), add(spec(2))]);
    world.cut(Trigger::Immediate, &[(1, hold())]);
    world.pass(20_000);
    world.cut(Trigger::Immediate, &[(1, leg(2))]);
    world.talk(2, &mut Stream::of(2), 2);
    assert_eq!(world.rtcp(1), []);
    world.shard.set_wallclock(NtpTime::from_unix_nanos(WALLCLOCK_START), world.now);
    world.cut(Trigger::Immediate, &[(1, hold())]);
    world.pass(100);
    assert!(!world.rtcp(1).is_empty());
}

#[test]
fn player_is_reported_about_every_few_seconds() {
    let mut world = World::with_legs([1]);
    world.cut(Trigger::Immediate, &[(1, play(clip(1, 50), Repeat::Forever))]);
    world.pass(60_000);
    let packets = world.rtp(1);
    let reports = world.rtcp(1);
    // RFC 3550 6.2: 5 s on average, 6.3.1: between half and one and a half of that.
    assert!((8..=25).contains(&reports.len()), "{} reports", reports.len());
    for report in &reports {
        let (ssrc, info) = rtcp::sender_report_in(&report.bytes);
        let sent: Vec<_> = packets.iter().take_while(|packet| packet.at <= report.at).collect();
        let last = sent.last().expect("reports follow packets");
        assert_eq!(ssrc.0, last.ssrc);
        assert_eq!(info.packet_count as usize, sent.len());
        let ahead = info.rtp_timestamp.0.wrapping_sub(last.timestamp);
        assert!(ahead <= 160, "the report's timestamp is of its own instant: {ahead} ahead");
    }
}

#[test]
fn separate_rtcp_port_is_used_both_ways() {
    let mut world = World::new();
    for id in [1, 2] {
        let mut spec = spec(id);
        spec.local_rtcp = Some(std::net::SocketAddr::new(local(id).ip(), local(id).port() + 1));
        world.must(&[add(spec)]);
    }
    world.bridge(1, 2);
    let mut stream = Stream::of(2);
    world.talk(2, &mut stream, 3);
    let report = rtcp::sender_report(&stream, 1, 3, b"second@example");
    let rtcp_of_2 = std::net::SocketAddr::new(party(2).ip(), 4999);
    assert_eq!(world.deliver(2, Component::Rtp, party(2), &report), dropped(DropReason::UnexpectedProtocol));
    assert_eq!(world.deliver(2, Component::Rtcp, rtcp_of_2, &report), Verdict::Consumed);
    let heard = world.rtcp(1).pop().expect("a report");
    // RFC 3550 11: without other word, the next higher port.
    assert_eq!((heard.component, heard.to.port()), (Component::Rtcp, 4001));
    world.send(1, &Stream::of(1).packet());
    let answer = rtcp::receiver_report(Stream::of(1).ssrc, b"first@example", &[rtcp::block(stream.ssrc, 3)]);
    world.deliver(1, Component::Rtcp, party(1), &answer);
    assert_eq!(world.rtcp(2).pop().map(|heard| heard.to), Some(rtcp_of_2), "where its own reports came from");
    // Media has no business on that port.
    let media = stream.packet();
    assert_eq!(world.deliver(2, Component::Rtcp, rtcp_of_2, &media), dropped(DropReason::UnexpectedProtocol));
}

#[test]
fn rtcp_of_strangers_is_dropped() {
    let (mut world, _, second) = talking();
    let report = rtcp::sender_report(&second, 1, 5, b"intruder");
    assert_eq!(world.deliver(2, Component::Rtp, stranger(1), &report), dropped(DropReason::ForeignSource));
    assert_eq!(world.rtcp(1), []);
}

#[test]
fn reports_of_the_old_source_are_not_heard_after_a_cut_over() {
    let (mut world, _, second) = talking();
    world.bridge(1, 3);
    world.talk(3, &mut Stream::of(3), 2);
    world.forget();
    world.send(2, &rtcp::sender_report(&second, 1, 5, b"second@example"));
    assert_eq!(world.rtcp(1), []);
    world.cut(Trigger::Immediate, &[(1, Source::Silence)]);
    world.send(3, &rtcp::sender_report(&Stream::of(3), 1, 5, b"third@example"));
    assert_eq!(world.rtcp(1), []);
}

#[test]
fn what_the_party_reports_is_in_its_statistics() {
    let (mut world, first, second) = talking();
    let about_us = rtcp::block(second.ssrc, 5);
    world.send(1, &rtcp::sender_report_with(&first, 7, 5, b"first@example", &[rtcp::block(0xdead, 1), about_us]));
    let egress = world.leg(1).egress;
    assert_eq!((egress.reported_lost, egress.reported_jitter_ms), (Some(34), Some(7.0)));
    assert_eq!(world.leg(2).egress.reported_lost, None);
    assert_eq!((world.leg(1).ingress.rtcp_packets, world.leg(2).egress.rtcp_packets), (1, 1));
    world.must(&[Command::RemoveLeg { leg: LegId(2) }]);
}

/// RFC 5761 5.1.1: ports are leased before it is known whether the answer takes muxing.
#[test]
fn muxing_can_be_agreed_on_after_the_ports_are_open() {
    let mut world = World::new();
    let rtcp_port = |leg: u64| std::net::SocketAddr::new(local(leg).ip(), local(leg).port() + 1);
    for leg in [1, 2] {
        world.must(&[add(LegSpec { local_rtcp: Some(rtcp_port(leg)), ..spec(leg) })]);
    }
    world.bridge(1, 2);
    let report = rtcp::receiver_report(0x1111, b"one@example", &[]);
    assert_eq!(world.send(1, &report), dropped(DropReason::UnexpectedProtocol), "not agreed on yet");
    for leg in [1, 2] {
        world.must(&[Command::SetRtcpMux { leg: LegId(leg), muxed: true }]);
    }
    assert_eq!(world.send(1, &report), Verdict::Consumed);
    let heard = world.rtcp(2).pop().expect("it is relayed");
    assert_eq!((heard.to, heard.component, heard.bytes), (party(2), Component::Rtp, report.clone()));

    // The next answer takes it back.
    world.must(&[Command::SetRtcpMux { leg: LegId(2), muxed: false }]);
    assert_eq!(world.send(1, &report), Verdict::Consumed);
    let heard = world.rtcp(2).pop().expect("it is relayed");
    let after = std::net::SocketAddr::new(party(2).ip(), party(2).port() + 1);
    assert_eq!((heard.to, heard.component), (after, Component::Rtcp));
}
