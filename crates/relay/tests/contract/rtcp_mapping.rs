//! Rule 7, second part: numbers in reports, translated between the two sides of a cut-over.

use patchcord_relay::command::{Command, Trigger};
use patchcord_relay::ids::LegId;
use patchcord_rtp::{Compound, NtpTime, RtcpView, Ssrc};

use crate::support::wire::{HeardRtp, Payload, Stream};
use crate::support::{World, hold, leg, rtcp};

/// Leg 1 has heard leg 2, then hold audio, and now leg 3; leg 3 hears leg 1 from the start of its own stream.
fn spliced() -> (World, Stream, Vec<HeardRtp>) {
    let mut world = World::with_legs([1, 2, 3]);
    world.bridge(1, 2);
    world.talk(2, &mut Stream::of(2), 10);
    world.cut(Trigger::Immediate, &[(1, hold())]);
    world.pass(200);
    world.bridge(1, 3);
    let mut stream = Stream::of(3);
    world.talk(3, &mut stream, 10);
    let heard = world.rtp(1);
    world.forget();
    (world, stream, heard)
}

#[test]
fn sender_report_gets_egress_ssrc_timestamp_and_counters() {
    let (mut world, stream, heard) = spliced();
    world.send(3, &rtcp::sender_report(&stream, 99, 10, b"third@example"));
    let compound = world.rtcp(1).pop().expect("a report").bytes;
    let (ssrc, info) = rtcp::sender_report_in(&compound);
    let last = heard.last().expect("packets");
    assert_eq!(ssrc, Ssrc(last.ssrc));
    assert_eq!(info.ntp, NtpTime(99 << 32), "the source's own clock: only the difference to the RTP clock matters");
    // The report speaks of one frame after the last packet, in both numberings.
    assert_eq!(info.rtp_timestamp.0, last.timestamp.wrapping_add(160));
    assert_eq!(info.packet_count as usize, heard.len(), "what the listener was sent, by whomever");
    assert_eq!(info.octet_count as usize, heard.len() * Payload::LEN);
    assert_eq!(rtcp::cname_in(&compound).map(|(owner, _)| owner), Some(ssrc));
}

#[test]
fn reception_report_is_mapped_back_to_the_numbering_of_the_source() {
    let (mut world, stream, heard) = spliced();
    for (at, expected) in [(heard.len() - 1, 9_u16), (heard.len() - 4, 6)] {
        let block = rtcp::block(heard[at].ssrc, 0x7_0000 | u32::from(heard[at].sequence));
        world.send(1, &rtcp::receiver_report(Stream::of(1).ssrc, b"first@example", &[block]));
        let blocks = rtcp::blocks_in(&world.rtcp(3).pop().expect("a report").bytes);
        assert_eq!(blocks.len(), 1);
        assert_eq!(blocks[0].ssrc, Ssrc(stream.ssrc));
        let start = Stream::of(3).sequence;
        assert_eq!(blocks[0].extended_highest_sequence, u32::from(start) + u32::from(expected), "its own roll-overs");
        assert_eq!((blocks[0].jitter, blocks[0].cumulative_lost), (56, 34));
    }
}

#[test]
fn extended_highest_sequence_is_right_around_the_roll_overs_of_both_numberings() {
    for start in [65_530, 65_534, 65_535, 0] {
        let mut world = World::with_legs([1, 2]);
        world.cut(Trigger::Immediate, &[(1, hold())]);
        world.pass(100);
        world.bridge(1, 2);
        let mut stream = Stream::of(2).numbered(start, 0);
        world.talk(2, &mut stream, 12);
        let heard = world.rtp(1);
        for back in 0..8 {
            let heard = &heard[heard.len() - 1 - back];
            let block = rtcp::block(heard.ssrc, u32::from(heard.sequence));
            world.send(1, &rtcp::receiver_report(0x77, b"first@example", &[block]));
            let blocks = rtcp::blocks_in(&world.rtcp(2).pop().expect("a report").bytes);
            let expected = u32::from(start) + 11 - back as u32;
            assert_eq!(blocks[0].extended_highest_sequence, expected, "{back} before the last of {start}..");
        }
    }
}

#[test]
fn round_trip_is_not_reckoned_from_a_report_that_the_source_never_sent() {
    let (mut world, stream, heard) = spliced();
    let ssrc = heard[0].ssrc;
    let send = |world: &mut World, last_sr| {
        let block = patchcord_rtp::ReportBlock { last_sr, delay_since_last_sr: 655, ..rtcp::block(ssrc, 5) };
        world.send(1, &rtcp::receiver_report(Stream::of(1).ssrc, b"first@example", &[block]));
        let block = rtcp::blocks_in(&world.rtcp(3).pop().expect("a report").bytes)[0];
        (block.last_sr, block.delay_since_last_sr)
    };
    // RFC 3550 6.4.1: zero if no SR was received from that source. What the listener has is the relay's own.
    assert_eq!(send(&mut world, 0x1234_5678), (0, 0));
    world.send(3, &rtcp::sender_report(&stream, 99, 10, b"third@example"));
    let last_sr = NtpTime(99 << 32).middle_32();
    assert_eq!(send(&mut world, last_sr), (last_sr, 655));
    assert_eq!(send(&mut world, last_sr + 1), (0, 0));
}

#[test]
fn reports_on_streams_that_are_not_the_listeners_are_left_out() {
    let (mut world, stream, heard) = spliced();
    let foreign = [rtcp::block(0xdead, 1), rtcp::block(heard[0].ssrc, 2), rtcp::block(stream.ssrc, 3)];
    world.send(1, &rtcp::receiver_report(Stream::of(1).ssrc, b"first@example", &foreign));
    let blocks = rtcp::blocks_in(&world.rtcp(3).pop().expect("a report").bytes);
    assert_eq!(blocks.iter().map(|block| block.ssrc.0).collect::<Vec<_>>(), [stream.ssrc]);
}

#[test]
fn nacks_ask_for_the_packets_by_the_numbers_of_the_source() {
    let (mut world, stream, heard) = spliced();
    let missing = &heard[heard.len() - 5];
    world.send(1, &rtcp::nack(0x77, missing.ssrc, &[(missing.sequence, 0b101)]));
    let compound = world.rtcp(3).pop().expect("a report").bytes;
    let feedback = Compound::parse(&compound).expect("well-formed").packets().find_map(|packet| match packet.view() {
        Ok(RtcpView::Feedback(feedback)) => Some((feedback.media, feedback.nacks().collect::<Vec<_>>())),
        _ => None,
    });
    let (media, nacks) = feedback.expect("a NACK");
    assert_eq!(media, Ssrc(stream.ssrc));
    let payload = missing.payload.expect("a payload of ours");
    assert_eq!((nacks[0].packet_id.0, nacks[0].following), (payload.sequence, 0b101));
}

#[test]
fn feedback_about_another_stream_goes_nowhere() {
    let (mut world, _, _) = spliced();
    world.send(1, &rtcp::nack(0x77, 0xdead, &[(5, 0)]));
    for heard in world.rtcp(3) {
        let feedback = |view| matches!(view, Ok(RtcpView::Feedback(_)));
        assert!(!rtcp::parse(&heard.bytes).packets().any(|packet| feedback(packet.view())));
    }
}

#[test]
fn sender_report_under_a_foreign_ssrc_is_none_about_the_stream() {
    let (mut world, stream, _) = spliced();
    let other = stream.under(0xdead);
    world.send(3, &rtcp::sender_report(&other, 99, 10, b""));
    for heard in world.rtcp(1) {
        let first = rtcp::parse(&heard.bytes).packets().next().map(|packet| packet.kind);
        assert_ne!(first, Some(200), "its clocks are not those of the stream that the listener hears");
    }
}

#[test]
fn report_of_a_muted_party_under_a_new_ssrc_names_the_one_that_the_listener_knows() {
    let mut world = World::with_legs([1, 2]);
    world.bridge(1, 2);
    let mut stream = Stream::of(2);
    world.talk(2, &mut stream, 5);
    world.must(&[Command::SetMuted { leg: LegId(2), muted: true }]);
    let known = stream.ssrc;
    stream = stream.under(0xabcd);
    world.talk(2, &mut stream, 2);
    world.send(2, &rtcp::sender_report(&stream, 1, 2, b"second@example"));
    for heard in world.rtcp(1) {
        assert_eq!(rtcp::cname_in(&heard.bytes).map(|(owner, _)| owner), Some(Ssrc(known)));
        assert!(rtcp::parse(&heard.bytes).packets().all(|packet| packet.kind != 200), "its clock is another one");
    }
}

#[test]
fn reports_of_a_monitor_go_to_nobody_elses_numbering() {
    // Leg 4 hears leg 3 too, but leg 3 does not hear leg 4: what leg 4 reports is none of leg 3's business.
    let (mut world, _, _) = spliced();
    world.must(&[crate::support::add(crate::support::spec(4))]);
    world.cut(Trigger::Immediate, &[(4, leg(3))]);
    world.forget();
    world.send(4, &rtcp::receiver_report(0x44, b"monitor", &[rtcp::block(Stream::of(3).ssrc, 1)]));
    assert_eq!((world.rtcp(1), world.rtcp(3)), (vec![], vec![]));
}
