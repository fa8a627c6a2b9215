//! Rule 6: a telephone-event (RFC 4733) is neither torn off nor joined in its middle.

use patchcord_relay::Verdict;
use patchcord_relay::command::{Command, EgressMode, LegSpec, Source, Trigger};
use patchcord_relay::ids::LegId;
use patchcord_relay::media::Direction;
use patchcord_relay::verdict::DropReason;
use patchcord_rtp::TelephoneEvent;

use crate::support::wire::{HeardRtp, Stream, assert_continuous, event};
use crate::support::{FRAME, World, add, dropped, hold, leg, on_first_packet_of, set_codecs, spec};

fn read(heard: &HeardRtp) -> Option<TelephoneEvent> {
    (heard.payload_type == 101).then(|| TelephoneEvent::read(&heard.bytes[12..])).flatten()
}

/// Legs 1, 2 and 3; leg 1 hears leg 2, which has been pressing a key for three packets.
fn pressing() -> (World, Stream) {
    let mut world = World::with_legs([1, 2, 3]);
    world.bridge(1, 2);
    let mut stream = Stream::of(2);
    world.talk(2, &mut stream, 5);
    for frames in 1..=3 {
        let packet = event(&mut stream, frames, false);
        world.send(2, &packet);
        world.pass(20);
    }
    (world, stream)
}

/// Holds that the three packets end the event that `pressing` left in flight.
fn assert_ends(ends: &[HeardRtp], event_packet: &HeardRtp) {
    assert_eq!(ends.len(), 3);
    for end in ends {
        let told = TelephoneEvent { event: 5, end: true, volume: 10, duration: 3 * FRAME as u16 };
        assert_eq!(read(end), Some(told));
        assert_eq!(end.timestamp, event_packet.timestamp, "on the event's own timestamp");
        assert!(!end.marker, "RFC 4733 2.5.1.2: the marker is on the first packet only");
    }
}

#[test]
fn event_in_flight_is_ended_with_three_end_packets_before_the_switch() {
    let (mut world, _) = pressing();
    world.bridge(1, 3);
    world.talk(3, &mut Stream::of(3), 3);
    let heard = world.rtp(1);
    assert_eq!(heard.len(), 5 + 3 + 3 + 3);
    assert_ends(&heard[8..11], &heard[7]);
    assert_continuous(&heard);
    assert!(heard[11].marker && heard[11].origin() == 3);
    // The new source's audio lies behind the event: it began 60 ms ago.
    assert_eq!(heard[11].timestamp.wrapping_sub(heard[5].timestamp), 3 * FRAME);
}

#[test]
fn event_in_flight_is_ended_before_hold_audio_and_silence_too() {
    for source in [hold(), Source::Silence] {
        let (mut world, _) = pressing();
        world.cut(Trigger::Immediate, &[(1, source)]);
        world.pass(100);
        let heard = world.rtp(1);
        assert_ends(&heard[8..11], &heard[7]);
        assert_continuous(&heard);
    }
}

#[test]
fn event_in_flight_is_ended_before_the_packet_that_triggers() {
    let (mut world, _) = pressing();
    world.cut(on_first_packet_of(3), &[(1, leg(3))]);
    world.send(3, &Stream::of(3).packet());
    let heard = world.rtp(1);
    assert_eq!(heard.len(), 5 + 3 + 3 + 1);
    assert_ends(&heard[8..11], &heard[7]);
    // On the wire too, not only by their numbers.
    assert_continuous(&heard);
    assert_eq!(heard[11].origin(), 3);
    world.assert_balanced();
}

#[test]
fn ended_event_is_not_ended_again() {
    let (mut world, mut stream) = pressing();
    for _ in 0..3 {
        let packet = event(&mut stream, 4, true);
        world.send(2, &packet);
    }
    world.bridge(1, 3);
    world.talk(3, &mut Stream::of(3), 1);
    let heard = world.rtp(1);
    assert_eq!(heard.iter().filter_map(read).filter(|event| event.end).count(), 3);
    assert_continuous(&heard);
}

#[test]
fn event_whose_end_was_lost_long_ago_is_not_ended() {
    // The listener has given it up after a few packet times; an end packet would be a new key press.
    let (mut world, mut stream) = pressing();
    stream.skip(4);
    world.talk(2, &mut stream, 100);
    world.rtp(1);
    world.bridge(1, 3);
    world.talk(3, &mut Stream::of(3), 1);
    let heard = world.rtp(1);
    assert_eq!(heard.iter().filter_map(read).count(), 0);
    assert_eq!(heard.len(), 1);
}

#[test]
fn event_of_the_new_source_is_not_joined_in_its_middle() {
    let mut world = World::with_legs([1, 2, 3]);
    world.bridge(1, 2);
    world.talk(2, &mut Stream::of(2), 5);
    world.bridge(1, 3);
    let mut stream = Stream::of(3);
    for frames in 4..=7 {
        let packet = event(&mut stream, frames, frames == 7);
        assert_eq!(world.send(3, &packet), dropped(DropReason::MidEvent));
        world.pass(20);
    }
    stream.skip(7);
    world.talk(3, &mut stream, 2);
    // The next key press is heard from its start.
    for frames in 1..=3 {
        let packet = event(&mut stream, frames, false);
        world.send(3, &packet);
    }
    let heard = world.rtp(1);
    assert_eq!(heard.len(), 5 + 2 + 3);
    assert!(heard[5].marker && heard[5].payload_type == 0, "the stream joins with audio");
    assert_eq!(heard.iter().filter_map(read).count(), 3);
    assert_continuous(&heard);
    assert_eq!(world.drops(3, DropReason::MidEvent), 4);
}

#[test]
fn event_of_the_new_source_is_heard_if_it_begins_after_the_switch() {
    let mut world = World::with_legs([1, 2, 3]);
    world.bridge(1, 2);
    world.talk(2, &mut Stream::of(2), 5);
    world.bridge(1, 3);
    let mut stream = Stream::of(3);
    for frames in 1..=3 {
        let packet = event(&mut stream, frames, false);
        world.send(3, &packet);
    }
    let heard = world.rtp(1);
    assert_eq!(heard.iter().filter_map(read).count(), 3);
    assert!(heard[5].marker && !heard[6].marker);
    assert_eq!(heard[5].timestamp, heard[7].timestamp);
}

#[test]
fn cut_over_does_not_happen_on_a_packet_of_an_event_in_its_middle() {
    let mut world = World::with_legs([1, 2, 3]);
    world.cut(Trigger::Immediate, &[(1, hold())]);
    world.pass(100);
    let id = world.cut(on_first_packet_of(3), &[(1, leg(3))]);
    let mut stream = Stream::of(3);
    let middle = event(&mut stream, 4, false);
    world.send(3, &middle);
    assert_eq!(world.leg(1).pending, Some(id), "the hold audio goes on: this packet could not be relayed");
    world.talk(3, &mut stream, 1);
    assert_eq!(world.leg(1).pending, None);
}

#[test]
fn first_source_of_all_is_relayed_bit_for_bit_even_in_the_middle_of_an_event() {
    let mut world = World::with_legs([1, 2]);
    world.bridge(1, 2);
    let packet = event(&mut Stream::of(2), 4, false);
    world.send(2, &packet);
    assert_eq!(world.rtp(1)[0].bytes, packet);
}

#[test]
fn end_packets_speak_the_payload_type_of_the_listener() {
    let mut world = World::with_legs([2, 3]);
    let mut listener = spec(1);
    listener.codecs = Vec::new();
    world.must(&[add(listener), set_codecs(1, &[(0, "PCMU"), (96, "telephone-event")])]);
    world.bridge(1, 2);
    let mut stream = Stream::of(2);
    world.talk(2, &mut stream, 2);
    let pressed = event(&mut stream, 1, false);
    world.send(2, &pressed);
    world.cut(Trigger::Immediate, &[(1, Source::Silence)]);
    let types: Vec<_> = world.rtp(1).iter().map(|heard| heard.payload_type).collect();
    assert_eq!(types, [0, 0, 96, 96, 96, 96]);
}

#[test]
fn transparent_leg_is_sent_nothing_of_our_own() {
    let mut world = World::with_legs([2, 3]);
    let mut listener = spec(1);
    listener.egress_mode = EgressMode::Transparent;
    world.must(&[add(listener)]);
    world.bridge(1, 2);
    let mut stream = Stream::of(2);
    let pressed = event(&mut stream, 1, false);
    world.send(2, &pressed);
    world.bridge(1, 3);
    assert_eq!(world.rtp(1).len(), 1);
}

#[test]
fn event_of_an_ssrc_that_has_ended_is_not_ended_under_the_next() {
    let mut world = World::with_legs([2, 3]);
    world.must(&[add(LegSpec { egress_mode: EgressMode::NewSsrc, ..spec(1) })]);
    world.bridge(1, 2);
    let mut stream = Stream::of(2);
    world.talk(2, &mut stream, 2);
    let pressed = event(&mut stream, 1, false);
    world.send(2, &pressed);
    world.talk(2, &mut stream.under(0xabcd), 2);
    world.rtp(1);
    world.bridge(1, 3);
    assert_eq!(world.rtp(1), []);
}

#[test]
fn nothing_is_ended_for_a_party_that_may_not_receive() {
    let (mut world, _) = pressing();
    world.rtp(1);
    world.must(&[Command::SetDirection { leg: LegId(1), direction: Direction::SendOnly }]);
    world.bridge(1, 3);
    assert_eq!(world.rtp(1), []);
}

#[test]
fn deleted_party_leaves_no_key_pressed() {
    let (mut world, _) = pressing();
    world.must(&[Command::RemoveLeg { leg: LegId(2) }]);
    let heard = world.rtp(1);
    assert_eq!(heard.len(), 5 + 3 + 3);
    assert_ends(&heard[8..], &heard[7]);
}

#[test]
fn blocked_key_presses_are_dropped_by_name_and_nothing_else_is() {
    let mut world = World::with_legs([1, 2]);
    world.bridge(1, 2);
    let mut stream = Stream::of(1);
    world.must(&[Command::BlockDtmf { leg: LegId(1), blocked: true }]);
    let mut press = stream.packet();
    press[1] = 0x80 | 101;
    assert_eq!(world.send(1, &press), dropped(DropReason::DtmfBlocked));
    assert!(matches!(world.send(1, &stream.packet()), Verdict::Forwarded(_)));
    world.must(&[Command::BlockDtmf { leg: LegId(1), blocked: false }]);
    let mut press = stream.packet();
    press[1] = 0x80 | 101;
    assert!(matches!(world.send(1, &press), Verdict::Forwarded(_)));
    assert_eq!(world.drops(1, DropReason::DtmfBlocked), 1);
}

#[test]
fn a_key_that_is_down_when_it_is_blocked_comes_up_for_who_has_heard_it() {
    let mut world = World::with_legs([1, 2]);
    world.bridge(1, 2);
    let mut stream = Stream::of(1);
    let mut press = stream.packet();
    press[1] = 0x80 | 101;
    press[12..16].copy_from_slice(&[5, 10, 0, 160]);
    world.send(1, &press[..16]);
    assert_eq!(world.rtp(2).len(), 1);
    world.must(&[Command::BlockDtmf { leg: LegId(1), blocked: true }]);
    let ends = world.take(2);
    assert_eq!(ends.len(), 3, "three end packets (RFC 4733 2.5.1.4)");
    assert!(ends.iter().all(|end| end.bytes[13] & 0x80 != 0));
}
