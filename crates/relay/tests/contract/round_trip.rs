//! The round trip between the relay and a party, by sender reports and the party's answers (RFC 3550 6.4.1).

use patchcord_relay::command::{EgressMode, LegSpec, Relaying, Trigger};
use patchcord_rtp::ReportBlock;

use crate::support::wire::Stream;
use crate::support::{World, add, hold, rtcp, spec};

/// What leg 1's party says of a report that it got `delay_ms` ago.
fn answer(ssrc: u32, last_sr: u32, delay_ms: u32) -> Vec<u8> {
    let delay_since_last_sr = (delay_ms << 16) / 1000;
    let block = ReportBlock { last_sr, delay_since_last_sr, ..rtcp::block(ssrc, 5) };
    rtcp::receiver_report(0x5000_0001, b"one@example", &[block])
}

fn ms(us: Option<u64>) -> Option<u64> {
    us.map(|us| (us + 500) / 1000)
}

#[test]
fn round_trip_is_the_time_since_a_relayed_report_less_the_partys_delay() {
    let mut world = World::with_legs([1, 2]);
    world.bridge(1, 2);
    let mut stream = Stream::of(2);
    world.talk(2, &mut stream, 5);
    assert_eq!(world.leg(1).round_trip_us, None);
    world.send(2, &rtcp::sender_report(&stream, 77, 5, b"two@example"));
    let last_sr = 77 << 16;
    world.pass(180);
    // Not this report, not this stream.
    world.send(1, &answer(stream.ssrc, last_sr + 1, 100));
    world.send(1, &answer(stream.ssrc + 1, last_sr, 100));
    assert_eq!(world.leg(1).round_trip_us, None);
    world.send(1, &answer(stream.ssrc, last_sr, 100));
    assert_eq!(ms(world.leg(1).round_trip_us), Some(80));
    assert_eq!(world.leg(2).round_trip_us, None);
    // A party whose clock is fast says that it had the report for longer than there was.
    world.send(1, &answer(stream.ssrc, last_sr, 200));
    assert_eq!(ms(world.leg(1).round_trip_us), Some(0));
}

#[test]
fn round_trip_shows_by_reports_of_the_relays_own() {
    let mut world = World::with_legs([1]);
    world.cut(Trigger::Immediate, &[(1, hold())]);
    world.pass(6_000);
    let report = world.rtcp(1).pop().expect("a player reports");
    let (ssrc, info) = rtcp::sender_report_in(&report.bytes);
    let since_ms = world.now.nanos_since(report.at) / 1_000_000;
    world.pass(40);
    world.send(1, &answer(ssrc.0, info.ntp.middle_32(), since_ms as u32));
    assert_eq!(ms(world.leg(1).round_trip_us), Some(40));
}

#[test]
fn round_trip_shows_where_rtcp_passes_unread() {
    let mut world = World::with_legs([]);
    for leg in [1, 2] {
        let relaying = Relaying::Opaque;
        world.must(&[add(LegSpec { egress_mode: EgressMode::Transparent, relaying, ..spec(leg) })]);
    }
    world.bridge(1, 2);
    let mut stream = Stream::of(2);
    world.talk(2, &mut stream, 5);
    world.send(1, &Stream::of(1).packet());
    world.send(2, &rtcp::sender_report(&stream, 77, 5, b"two@example"));
    world.pass(130);
    world.send(1, &answer(stream.ssrc, 77 << 16, 100));
    assert_eq!(ms(world.leg(1).round_trip_us), Some(30));
}
