//! Key presses that the relay sends, as events (RFC 4733) and as tones: in the place of the source's packets, in the same numbering.

use patchcord_relay::Verdict;
use patchcord_relay::command::{
    Command, DTMF_STEPS_MAX, DtmfHow, DtmfStep, EgressMode, LegSpec, Refusal, Relaying, Source, Trigger,
};
use patchcord_relay::event::Event;
use patchcord_relay::ids::LegId;
use patchcord_relay::media::{Direction, Repeat};
use patchcord_relay::verdict::DropReason;
use patchcord_rtp::TelephoneEvent;

use crate::support::wire::{HeardRtp, Stream, assert_continuous, origins};
use crate::support::{
    FRAME, PLAYER, World, add, clip, clip_of, codec, dropped, hold, leg, on_first_packet_of, play, rtcp, set_codecs,
    spec,
};

fn key(event: u8, duration_ms: u16, pause_ms: u16) -> DtmfStep {
    DtmfStep::Key { event, volume: 10, duration_ms, pause_ms, how: DtmfHow::Event }
}

/// A key as a tone, whose frames are those of the clip of its number.
fn tone(event: u8, duration_ms: u16, pause_ms: u16) -> DtmfStep {
    let how = DtmfHow::Tone(clip(TONE + u32::from(event), u32::from(duration_ms).div_ceil(20)));
    DtmfStep::Key { event, volume: 10, duration_ms, pause_ms, how }
}

/// Clips from here on are tones.
const TONE: u32 = 1000;

/// Holds that these packets are the tone of a key from its first frame on.
fn assert_tone(packets: &[HeardRtp], code: u32, frames: u32) {
    assert_eq!(origins(packets), [PLAYER + TONE + code]);
    assert_eq!(packets.iter().map(HeardRtp::number).collect::<Vec<_>>(), (0..frames).collect::<Vec<_>>());
    assert!(packets[0].marker && packets[1..].iter().all(|packet| !packet.marker), "the marker is on the first packet");
    for pair in packets.windows(2) {
        assert_eq!(pair[1].timestamp.wrapping_sub(pair[0].timestamp), FRAME);
    }
}

/// Packets of tones, and those of anything else.
fn split_tones(heard: Vec<HeardRtp>) -> (Vec<HeardRtp>, Vec<HeardRtp>) {
    heard.into_iter().partition(|packet| packet.payload.is_some_and(|payload| payload.origin >= PLAYER + TONE))
}

fn send(leg: u64, steps: &[DtmfStep]) -> Command {
    Command::SendDtmf { leg: LegId(leg), steps: steps.to_vec() }
}

fn event(heard: &HeardRtp) -> Option<TelephoneEvent> {
    (heard.payload_type == 101).then(|| TelephoneEvent::read(&heard.bytes[12..])).flatten()
}

/// Packets of events, and those of anything else.
fn split(heard: Vec<HeardRtp>) -> (Vec<HeardRtp>, Vec<HeardRtp>) {
    heard.into_iter().partition(|packet| event(packet).is_some())
}

/// Holds that these packets are one press of a key from its start to its end.
fn assert_press(packets: &[HeardRtp], code: u8, duration: u16) {
    let told: Vec<_> = packets.iter().map(|packet| event(packet).expect("an event")).collect();
    assert!(packets[0].marker && packets[1..].iter().all(|packet| !packet.marker), "the marker is on the first packet");
    assert!(packets.iter().all(|packet| packet.timestamp == packets[0].timestamp), "all on the timestamp of its start");
    let ends = told.iter().rev().take_while(|event| event.end).count();
    assert_eq!((ends, told.iter().filter(|event| event.end).count()), (3, 3), "{told:?}");
    assert!(told[..told.len() - 2].is_sorted_by(|one, other| one.duration < other.duration || other.end), "{told:?}");
    assert!(told.iter().all(|event| (event.event, event.volume) == (code, 10)), "{told:?}");
    assert_eq!(told.last().map(|event| event.duration), Some(duration));
}

/// Legs 1 and 2, bridged; leg 2 has said five packets.
fn talking() -> (World, Stream) {
    let mut world = World::with_legs([1, 2, 3]);
    world.bridge(1, 2);
    let mut stream = Stream::of(2);
    world.talk(2, &mut stream, 5);
    (world, stream)
}

#[test]
fn a_key_press_takes_the_place_of_the_audio_and_the_audio_goes_on_behind_it() {
    let (mut world, mut stream) = talking();
    world.must(&[send(1, &[key(5, 100, 100)])]);
    for _ in 0..5 {
        assert_eq!(world.send(2, &stream.packet()), dropped(DropReason::ReplacedByDtmf));
        world.pass(20);
    }
    world.talk(2, &mut stream, 10);
    let heard = world.rtp(1);
    assert_continuous(&heard);
    assert_eq!(heard.len(), 5 + 5 + 3 + 10);
    let durations: Vec<_> = heard[5..13].iter().filter_map(event).map(|event| event.duration / FRAME as u16).collect();
    assert_eq!(durations, [1, 2, 3, 4, 5, 5, 5, 5], "an update every packet time of the stream");
    assert_press(&heard[5..13], 5, 5 * FRAME as u16);
    assert_eq!(heard[5].timestamp, heard[4].timestamp + FRAME);
    assert!(heard[13].marker && heard[13].origin() == 2, "the source is spliced on");
    assert_eq!(heard[13].timestamp, heard[5].timestamp + 5 * FRAME, "where the key came up");
    assert_eq!(heard[14].timestamp, heard[13].timestamp + FRAME);
    assert_eq!(world.drops(2, DropReason::ReplacedByDtmf), 5);
    assert!(world.events().contains(&Event::DtmfFinished { leg: LegId(1), sent: 1, tones: 0, dropped: 0 }));
    world.assert_balanced();
}

#[test]
fn keys_are_sent_one_after_the_other_with_their_pauses_and_audio_between() {
    let (mut world, mut stream) = talking();
    world.must(&[send(1, &[DtmfStep::Pause { ms: 100 }, key(1, 60, 80)])]);
    world.must(&[send(1, &[key(2, 100, 40)])]);
    world.talk(2, &mut stream, 30);
    let heard = world.rtp(1);
    assert_continuous(&heard);
    let (keys, audio) = split(heard);
    assert_press(&keys[..6], 1, 3 * FRAME as u16);
    assert_press(&keys[6..], 2, 5 * FRAME as u16);
    assert_eq!(keys[0].at.nanos_since(audio[4].at) / 1_000_000, 120, "the pause before the first");
    assert_eq!(keys[6].at.nanos_since(keys[5].at) / 1_000_000, 80, "the pause after it");
    assert_eq!(audio.len(), 5 + 30 - 3 - 5);
    assert_eq!(audio.iter().filter(|packet| packet.marker).count(), 2);
}

#[test]
fn a_party_that_was_sent_nothing_yet_is_sent_a_stream_that_its_source_joins() {
    let mut world = World::with_legs([1, 2]);
    world.must(&[send(1, &[key(11, 100, 100)])]);
    world.pass(300);
    world.bridge(1, 2);
    world.talk(2, &mut Stream::of(2), 3);
    let heard = world.rtp(1);
    assert_continuous(&heard);
    assert_press(&heard[..8], 11, 5 * FRAME as u16);
    assert_eq!(origins(&heard), [2]);
    assert_eq!(heard.len(), 8 + 3);
}

#[test]
fn hold_audio_is_replaced_and_goes_on() {
    let mut world = World::with_legs([1]);
    world.cut(Trigger::Immediate, &[(1, hold())]);
    world.pass(90);
    world.must(&[send(1, &[key(0, 200, 100)])]);
    world.pass(500);
    let heard = world.rtp(1);
    assert_continuous(&heard);
    let (keys, audio) = split(heard);
    assert_press(&keys, 0, 10 * FRAME as u16);
    let pressed: Vec<_> =
        audio.iter().filter(|packet| packet.at > keys[0].at && packet.at < keys.last().expect("some").at).collect();
    assert_eq!((pressed.len(), origins(&audio)), (0, vec![PLAYER]));
    let behind = audio.iter().find(|packet| packet.sequence == keys.last().expect("some").sequence.wrapping_add(1));
    assert!(behind.is_some_and(|packet| packet.marker));
    assert_eq!(audio.last().map(HeardRtp::number), Some(29), "the audio has kept its pace");
}

#[test]
fn one_leg_is_sent_keys_while_a_prompt_that_is_waited_for_ends() {
    let mut world = World::with_legs([1, 2]);
    world.cut(Trigger::Immediate, &[(1, play(clip(1, 10), Repeat::Times(1)))]);
    world.cut(Trigger::AfterPrompt { leg: LegId(1) }, &[(1, leg(2))]);
    world.pass(150);
    world.must(&[send(1, &[key(1, 100, 50), key(2, 100, 50)])]);
    let mut stream = Stream::of(2);
    world.talk(2, &mut stream, 20);
    let heard = world.rtp(1);
    assert_continuous(&heard);
    let (keys, audio) = split(heard);
    assert_eq!(origins(&audio), [PLAYER + 1, 2]);
    assert_press(
        keys.rsplit(|packet| packet.marker).next().map_or(&[], |_| &keys[keys.len() - 8..]),
        2,
        5 * FRAME as u16,
    );
    assert_eq!(keys.iter().filter(|packet| packet.marker).count(), 2);
}

#[test]
fn a_cut_over_ends_the_key_that_is_down_and_the_others_go_on_behind_it() {
    let (mut world, mut old) = talking();
    world.must(&[send(1, &[key(1, 200, 60), key(2, 100, 60)])]);
    world.talk(2, &mut old, 3);
    world.bridge(1, 3);
    let mut new = Stream::of(3);
    world.talk(3, &mut new, 15);
    let heard = world.rtp(1);
    assert_continuous(&heard);
    let (keys, audio) = split(heard);
    assert_press(&keys[..7], 1, 4 * FRAME as u16);
    assert_press(&keys[7..], 2, 5 * FRAME as u16);
    assert_eq!(origins(&audio), [2, 3]);
    let switched = audio.iter().position(|packet| packet.origin() == 3).expect("leg 3 is heard");
    assert!(audio[switched].marker);
    assert_eq!(audio[switched].sequence, keys[6].sequence.wrapping_add(1), "behind the three end packets");
    assert_eq!(world.receipts().iter().filter(|receipt| receipt.sink == LegId(1)).count(), 2);
    assert!(world.events().contains(&Event::DtmfFinished { leg: LegId(1), sent: 2, tones: 0, dropped: 0 }));
}

#[test]
fn a_key_that_is_down_does_not_keep_the_target_waiting() {
    let (mut world, _) = talking();
    let id = world.cut(on_first_packet_of(3), &[(1, leg(3)), (3, leg(1))]);
    world.must(&[send(1, &[key(1, 2000, 60)])]);
    world.pass(50);
    world.send(3, &Stream::of(3).packet());
    assert_eq!(world.leg(1).pending, None, "{id} has happened");
    let heard = world.rtp(1);
    // On the wire too, not only by their numbers.
    assert_continuous(&heard);
    let (keys, audio) = split(heard);
    assert_press(&keys, 1, 3 * FRAME as u16);
    assert_eq!(origins(&audio), [2, 3]);
    world.assert_balanced();
}

#[test]
fn a_deleted_source_does_not_end_the_keys() {
    let (mut world, _) = talking();
    world.must(&[send(1, &[key(1, 100, 60), key(2, 100, 60)])]);
    world.pass(50);
    world.must(&[Command::RemoveLeg { leg: LegId(2) }]);
    world.pass(500);
    let (keys, _) = split(world.rtp(1));
    assert_press(&keys[..8], 1, 5 * FRAME as u16);
    assert_press(&keys[8..], 2, 5 * FRAME as u16);
    assert_continuous(&keys);
}

#[test]
fn a_deleted_leg_is_sent_nothing_more() {
    let (mut world, _) = talking();
    world.must(&[send(1, &[key(1, 100, 60), key(2, 100, 60)])]);
    world.pass(50);
    world.must(&[Command::RemoveLeg { leg: LegId(1) }]);
    world.rtp(1);
    world.must(&[add(spec(1))]);
    world.pass(500);
    assert_eq!(world.rtp(1), []);
    assert!(!world.events().iter().any(|event| matches!(event, Event::DtmfFinished { .. })));
}

#[test]
fn a_key_that_the_source_has_down_comes_up_first_and_is_not_joined_again() {
    let (mut world, mut stream) = talking();
    let mut press = |marker: u8, duration: u8| {
        let mut packet = stream.packet();
        packet.truncate(16);
        packet[1] = marker | 101;
        packet[12..16].copy_from_slice(&[9, 10, 0, duration]);
        packet
    };
    world.send(2, &press(0x80, 160));
    world.must(&[send(1, &[key(1, 40, 60)])]);
    world.pass(50);
    assert_eq!(world.send(2, &press(0, 240)), dropped(DropReason::MidEvent));
    let heard = world.rtp(1);
    assert_continuous(&heard);
    let (keys, _) = split(heard);
    let told: Vec<_> = keys.iter().filter_map(event).map(|event| (event.event, event.end)).collect();
    assert_eq!(told[..4], [(9, false), (9, true), (9, true), (9, true)]);
    assert_press(&keys[4..], 1, 2 * FRAME as u16);
}

#[test]
fn a_press_that_no_packet_can_describe_goes_in_segments() {
    let mut world = World::with_legs([2]);
    let opus = vec![codec(111, "opus", 48_000), codec(101, "telephone-event", 48_000)];
    world.must(&[add(LegSpec { codecs: opus, ..spec(1) })]);
    world.must(&[send(1, &[key(3, 3000, 60)])]);
    world.pass(4_000);
    let heard = world.rtp(1);
    let told: Vec<_> = heard.iter().filter_map(event).collect();
    let mut starts: Vec<_> = heard.iter().map(|packet| packet.timestamp).collect();
    starts.dedup();
    assert_eq!(starts.windows(2).map(|pair| pair[1].wrapping_sub(pair[0])).collect::<Vec<_>>(), [0xffff, 0xffff]);
    assert_eq!(heard.iter().filter(|packet| packet.marker).count(), 1, "RFC 4733 2.5.1.3: no marker on a new segment");
    let full = told.iter().filter(|event| event.duration == 0xffff).collect::<Vec<_>>();
    assert!(full.len() == 2 && full.iter().all(|event| !event.end));
    assert_eq!(
        told.iter().rev().take(3).map(|event| (event.end, event.duration)).collect::<Vec<_>>(),
        [(true, (3 * 48_000 - 2 * 0xffff) as u16); 3]
    );
    for pair in heard.windows(2) {
        assert_eq!(pair[1].sequence, pair[0].sequence.wrapping_add(1));
    }
}

#[test]
fn stopped_keys_come_up_and_are_told() {
    let (mut world, mut stream) = talking();
    world.must(&[Command::StopDtmf { leg: LegId(1) }]);
    assert_eq!(world.events().iter().filter(|event| matches!(event, Event::DtmfFinished { .. })).count(), 0);
    world.must(&[send(1, &[key(1, 200, 60), key(2, 100, 60), key(3, 100, 60)])]);
    world.pass(50);
    world.must(&[Command::StopDtmf { leg: LegId(1) }]);
    world.talk(2, &mut stream, 20);
    let heard = world.rtp(1);
    assert_continuous(&heard);
    let (keys, audio) = split(heard);
    assert_press(&keys, 1, 3 * FRAME as u16);
    assert_eq!(audio.len(), 5 + 20);
    assert!(world.events().contains(&Event::DtmfFinished { leg: LegId(1), sent: 1, tones: 0, dropped: 2 }));
}

#[test]
fn a_party_that_may_not_receive_any_more_is_sent_no_keys() {
    let (mut world, mut stream) = talking();
    world.must(&[send(1, &[key(1, 200, 60), key(2, 100, 60)])]);
    world.pass(50);
    world.rtp(1);
    world.must(&[Command::SetDirection { leg: LegId(1), direction: Direction::SendOnly }]);
    world.pass(500);
    assert_eq!(world.rtp(1), []);
    assert!(world.events().contains(&Event::DtmfFinished { leg: LegId(1), sent: 1, tones: 0, dropped: 1 }));
    world.must(&[Command::SetDirection { leg: LegId(1), direction: Direction::SendRecv }]);
    assert!(matches!(world.send(2, &stream.packet()), Verdict::Forwarded(_)), "the source is heard again");
}

#[test]
fn a_stall_shortens_what_is_told_and_not_the_press() {
    let (mut world, _) = talking();
    world.must(&[send(1, &[key(1, 200, 60)])]);
    world.stall(120);
    world.pass(500);
    let (keys, _) = split(world.rtp(1));
    assert_press(&keys, 1, 10 * FRAME as u16);
    assert!(keys.len() < 3 + 10, "{} packets", keys.len());
}

#[test]
fn keys_are_in_the_formats_of_the_listener() {
    let mut world = World::with_legs([2]);
    let mut listener = spec(1);
    listener.codecs =
        vec![codec(96, "telephone-event", 16_000), codec(0, "PCMU", 8000), codec(97, "telephone-event", 8000)];
    world.must(&[add(listener)]);
    world.bridge(1, 2);
    world.must(&[send(1, &[key(1, 40, 60)])]);
    assert!(world.rtp(1).iter().all(|packet| packet.payload_type == 97));
}

#[test]
fn keys_that_cannot_be_sent_are_refused_with_the_reason() {
    let mut world = World::with_legs([1, 2]);
    let reason = |world: &mut World, commands: &[Command]| match world.refused(commands) {
        (_, Refusal::NoDtmf { leg: LegId(1), reason }) => reason,
        other => panic!("{other:?}"),
    };
    let press = || send(1, &[key(1, 100, 100)]);
    assert!(
        reason(&mut world, &[set_codecs(1, &[(0, "PCMU")]), press()])
            .contains("no telephone-event/8000, but PCMU/8000")
    );
    let wide = vec![codec(111, "opus", 48_000), codec(101, "telephone-event", 8000)];
    assert!(reason(&mut world, &[Command::SetCodecs { leg: LegId(1), codecs: wide }, press()]).contains("48000 Hz"));
    assert!(
        reason(&mut world, &[Command::SetCodecs { leg: LegId(1), codecs: Vec::new() }, press()]).contains("no list")
    );
    assert!(reason(&mut world, &[send(1, &[])]).contains("none are given"));
    assert!(reason(&mut world, &[send(1, &[key(16, 100, 100)])]).contains("no key 16"));
    assert!(reason(&mut world, &[send(1, &[key(1, 0, 100)])]).contains("0 ms"));
    let loud = DtmfStep::Key { event: 1, volume: 64, duration_ms: 100, pause_ms: 100, how: DtmfHow::Event };
    assert!(reason(&mut world, &[send(1, &[loud])]).contains("-64"));
    world.must(&[set_codecs(1, &[(0, "PCMU")])]);
    let wide = |how: fn(_) -> DtmfHow| {
        let how = how(clip_of(1, 5, "opus", 48_000, 20));
        send(1, &[DtmfStep::Key { event: 1, volume: 10, duration_ms: 100, pause_ms: 100, how }])
    };
    assert!(reason(&mut world, &[wide(DtmfHow::Tone)]).contains("no opus/48000 for tones, but PCMU/8000"));
    assert!(
        reason(&mut world, &[wide(DtmfHow::EventOrTone)])
            .contains("neither telephone-event/8000 nor, for tones, opus/48000, but PCMU/8000")
    );
    world.must(&[set_codecs(1, &[(0, "PCMU"), (101, "telephone-event")])]);
    let many = vec![key(1, 100, 100); DTMF_STEPS_MAX];
    world.must(&[send(1, &[key(1, 100, 100), key(2, 100, 100)])]);
    assert!(reason(&mut world, &[send(1, &many)]).contains("256"), "one of two still waits");
    assert!(reason(&mut world, &[send(1, &many[..200]), send(1, &many[..56])]).contains("256"));
    world.must(&[send(1, &many[1..])]);
    assert!(matches!(world.refused(&[send(9, &[key(1, 100, 100)])]), (0, Refusal::UnknownLeg(_))));
}

#[test]
fn packets_that_pass_unread_leave_no_room_for_keys() {
    let (mut world, _) = talking();
    let unread = Command::SetRelaying { leg: LegId(2), relaying: Relaying::Opaque };
    let press = send(1, &[key(1, 100, 100), key(2, 100, 100)]);
    let (at, refusal) = world.refused(&[unread.clone(), press.clone()]);
    assert!(at == 1 && refusal.to_string().contains("relayed unread"), "{refusal}");
    // It becomes so in the middle: the rest is not sent.
    world.must(core::slice::from_ref(&press));
    world.must(&[unread]);
    world.pass(1_000);
    assert!(world.events().contains(&Event::DtmfFinished { leg: LegId(1), sent: 1, tones: 0, dropped: 1 }));
    world.refused(core::slice::from_ref(&press));
    world.must(&[Command::SetRelaying { leg: LegId(2), relaying: Relaying::Rtp }, press]);
}

/// Leg 1 is a translator that hears leg 2.
fn translating() -> (World, Stream) {
    let mut world = World::with_legs([2, 3]);
    world.must(&[add(LegSpec { egress_mode: EgressMode::Transparent, ..spec(1) })]);
    world.bridge(1, 2);
    let mut stream = Stream::of(2);
    world.talk(2, &mut stream, 5);
    (world, stream)
}

#[test]
fn a_translator_shifts_the_numbers_behind_a_key_and_leaves_the_rest_as_it_is() {
    let (mut world, mut stream) = translating();
    world.must(&[send(1, &[key(5, 100, 100)])]);
    world.talk(2, &mut stream, 15);
    let heard = world.rtp(1);
    assert_continuous(&heard);
    assert_press(&heard[5..13], 5, 5 * FRAME as u16);
    assert_eq!(heard[5].timestamp, heard[4].timestamp + FRAME, "the packet time has shown");
    for packet in heard.iter().filter(|packet| packet.payload.is_some()) {
        let payload = packet.payload.expect("a payload of ours");
        assert_eq!((packet.ssrc, packet.timestamp, packet.marker), (payload.ssrc, payload.timestamp, false));
    }
    // Eight packets were put in, five were left out.
    let payload = heard.last().and_then(|packet| packet.payload).expect("audio");
    assert_eq!(heard.last().map(|packet| packet.sequence.wrapping_sub(payload.sequence)), Some(3));
    // A late one from before the key has a number that was used since.
    let mut late = Stream::of(2).packets(5).pop().expect("five");
    late[2..4].copy_from_slice(&stream.sequence.wrapping_sub(20).to_be_bytes());
    assert!(matches!(world.send(2, &late), Verdict::Dropped(_)));
}

#[test]
fn reports_and_losses_of_a_shifted_stream_are_told_in_its_sources_numbers() {
    let (mut world, mut stream) = translating();
    world.must(&[send(1, &[key(5, 100, 100)])]);
    world.talk(2, &mut stream, 15);
    let heard = world.rtp(1).pop().expect("audio");
    let own = heard.payload.expect("a payload of ours").sequence;
    world.send(1, &Stream::of(1).packet());
    world.forget();
    let block = rtcp::block(stream.ssrc, heard.sequence.into());
    world.send(1, &rtcp::receiver_report(0x5000_0001, b"one@example", &[block]));
    let told = rtcp::blocks_in(&world.rtcp(2).pop().expect("a report").bytes);
    assert_eq!(told.iter().map(|block| block.extended_highest_sequence as u16).collect::<Vec<_>>(), [own]);
    world.send(1, &rtcp::nack(0x5000_0001, stream.ssrc, &[(heard.sequence, 0)]));
    let nack = world.rtcp(2).pop().expect("a NACK").bytes;
    assert!(nack.windows(2).any(|pair| pair == own.to_be_bytes()));
}

#[test]
fn a_translator_passes_another_ssrc_untouched() {
    let (mut world, mut stream) = translating();
    world.must(&[send(1, &[key(5, 100, 100), key(6, 100, 100)])]);
    world.talk(2, &mut stream, 8);
    world.bridge(1, 3);
    world.forget();
    let mut other = Stream::of(3);
    world.talk(3, &mut other, 1);
    assert_eq!(world.rtp(1)[0].bytes, Stream::of(3).packet());
    world.talk(3, &mut other, 10);
    let heard = world.rtp(1);
    assert_continuous(&heard);
    assert!(heard.iter().all(|packet| packet.ssrc == other.ssrc), "the second key is in the stream of the new source");
    assert_press(&split(heard).0, 6, 5 * FRAME as u16);
}

#[test]
fn what_passed_unread_is_read_from_now_on_and_goes_on_under_its_own_ssrc() {
    let mut world = World::with_legs([]);
    let unread = |leg| LegSpec { egress_mode: EgressMode::Transparent, relaying: Relaying::Opaque, ..spec(leg) };
    world.must(&[add(unread(1)), add(unread(2))]);
    world.bridge(1, 2);
    let mut stream = Stream::of(2);
    world.talk(2, &mut stream, 5);
    let read = Command::SetRelaying { leg: LegId(2), relaying: Relaying::Rtp };
    world.must(&[read, send(1, &[key(5, 100, 100)])]);
    world.talk(2, &mut stream, 15);
    let heard = world.rtp(1);
    assert_continuous(&heard);
    assert_press(&heard[5..13], 5, 5 * FRAME as u16);
    assert_eq!(heard[5].timestamp, heard[4].timestamp + FRAME, "where the source's clock stands");
}

#[test]
fn a_fresh_ssrc_is_not_taken_for_a_key() {
    let mut world = World::with_legs([2, 3]);
    world.must(&[add(LegSpec { egress_mode: EgressMode::NewSsrc, ..spec(1) })]);
    world.bridge(1, 2);
    let mut stream = Stream::of(2);
    world.talk(2, &mut stream, 5);
    world.must(&[send(1, &[key(5, 100, 100)])]);
    world.talk(2, &mut stream, 10);
    assert_continuous(&world.rtp(1));
    world.cut(Trigger::Immediate, &[(1, Source::Silence)]);
    world.must(&[send(1, &[key(6, 100, 100)])]);
    world.pass(200);
    assert_eq!(world.rtp(1).iter().map(|packet| packet.ssrc).collect::<Vec<_>>(), [stream.ssrc; 8]);
}

#[test]
fn a_tone_takes_the_place_of_the_audio_and_the_audio_goes_on_behind_it() {
    let (mut world, mut stream) = talking();
    world.must(&[send(1, &[tone(5, 90, 100)])]);
    for _ in 0..5 {
        assert_eq!(world.send(2, &stream.packet()), dropped(DropReason::ReplacedByDtmf));
        world.pass(20);
    }
    world.talk(2, &mut stream, 10);
    let heard = world.rtp(1);
    assert_continuous(&heard);
    assert_eq!(heard.len(), 5 + 5 + 10, "a tone lasts for whole frames, and has no end packets");
    assert_tone(&heard[5..10], 5, 5);
    assert_eq!(heard[5].timestamp, heard[4].timestamp + FRAME);
    assert_eq!(heard[9].at.nanos_since(heard[5].at) / 1_000_000, 80);
    assert!(heard[10].marker && heard[10].origin() == 2, "the source is spliced on");
    assert_eq!(heard[10].timestamp, heard[5].timestamp + 5 * FRAME, "where the key came up");
    assert_eq!(world.drops(2, DropReason::ReplacedByDtmf), 5);
    assert!(world.events().contains(&Event::DtmfFinished { leg: LegId(1), sent: 1, tones: 1, dropped: 0 }));
    world.assert_balanced();
}

#[test]
fn a_tone_begins_anew_where_its_key_is_down_for_longer() {
    let (mut world, _) = talking();
    let how = DtmfHow::Tone(clip(TONE, 3));
    world.must(&[send(1, &[DtmfStep::Key { event: 0, volume: 10, duration_ms: 100, pause_ms: 40, how }])]);
    world.pass(300);
    let (tones, _) = split_tones(world.rtp(1));
    assert_eq!(tones.iter().map(HeardRtp::number).collect::<Vec<_>>(), [0, 1, 2, 0, 1]);
    assert_continuous(&tones);
}

#[test]
fn who_knows_events_is_sent_these_and_who_does_not_is_sent_tones() {
    let (mut world, mut stream) = talking();
    let either = |event: u8| {
        let how = DtmfHow::EventOrTone(clip(TONE + u32::from(event), 5));
        DtmfStep::Key { event, volume: 10, duration_ms: 100, pause_ms: 60, how }
    };
    world.must(&[send(1, &[either(1), either(2)])]);
    world.talk(2, &mut stream, 3);
    // In the middle of the first one.
    world.must(&[set_codecs(1, &[(0, "PCMU")])]);
    world.talk(2, &mut stream, 20);
    let heard = world.rtp(1);
    assert_continuous(&heard);
    let (keys, rest) = split(heard);
    assert_press(&keys, 1, 5 * FRAME as u16);
    let (tones, audio) = split_tones(rest);
    assert_tone(&tones, 2, 5);
    assert_eq!(origins(&audio), [2]);
    assert!(world.events().contains(&Event::DtmfFinished { leg: LegId(1), sent: 2, tones: 1, dropped: 0 }));
    // Nothing that its tone could be sent in any more.
    world.must(&[send(1, &[tone(1, 100, 60), tone(2, 100, 60)])]);
    world.must(&[set_codecs(1, &[(0, "PCMU"), (8, "PCMA")])]);
    world.pass(500);
    assert_eq!(split_tones(world.rtp(1)).0.len(), 10);
}

#[test]
fn a_cut_over_ends_a_tone_and_the_others_go_on_behind_it() {
    let (mut world, mut old) = talking();
    world.must(&[send(1, &[tone(1, 200, 60), tone(2, 100, 60)])]);
    world.talk(2, &mut old, 3);
    world.bridge(1, 3);
    let mut new = Stream::of(3);
    world.talk(3, &mut new, 15);
    let heard = world.rtp(1);
    assert_continuous(&heard);
    let (tones, audio) = split_tones(heard);
    assert_tone(&tones[..4], 1, 4);
    assert_tone(&tones[4..], 2, 5);
    assert_eq!(origins(&audio), [2, 3]);
    let switched = audio.iter().find(|packet| packet.origin() == 3).expect("leg 3 is heard");
    assert!(switched.marker);
    assert_eq!(switched.sequence, tones[3].sequence.wrapping_add(1));
    assert!(switched.timestamp.wrapping_sub(tones[3].timestamp) >= FRAME, "behind the frame that was being heard");
    assert_eq!(world.receipts().iter().filter(|receipt| receipt.sink == LegId(1)).count(), 2);
    world.assert_balanced();
}

#[test]
fn hold_audio_and_silence_are_no_obstacle_to_tones() {
    let mut world = World::with_legs([1, 2]);
    world.must(&[send(2, &[tone(7, 60, 60)])]);
    world.cut(Trigger::Immediate, &[(1, hold())]);
    world.pass(90);
    world.must(&[send(1, &[tone(0, 200, 100)])]);
    world.pass(500);
    let heard = world.rtp(1);
    assert_continuous(&heard);
    let (tones, audio) = split_tones(heard);
    assert_tone(&tones, 0, 10);
    let during = |packet: &&HeardRtp| packet.at > tones[0].at && packet.at < tones[9].at;
    assert_eq!((audio.iter().filter(during).count(), origins(&audio)), (0, vec![PLAYER]));
    assert_eq!(audio.last().map(HeardRtp::number), Some(29), "the audio has kept its pace");
    let alone = world.rtp(2);
    assert_tone(&alone, 7, 3);
    assert_continuous(&alone);
}

#[test]
fn a_stall_leaves_frames_of_a_tone_out_and_their_time_goes_on() {
    let (mut world, mut stream) = talking();
    world.must(&[send(1, &[tone(1, 400, 60)])]);
    world.stall(150);
    world.pass(500);
    let tones = world.rtp(1).split_off(5);
    assert_continuous(&tones);
    let numbers: Vec<_> = tones.iter().map(HeardRtp::number).collect();
    assert_eq!((numbers[..2].to_vec(), numbers.last()), (vec![0, 7], Some(&19)), "{numbers:?}");
    assert!(tones.iter().all(|packet| packet.timestamp == tones[0].timestamp + packet.number() * FRAME));
    // A stall over its end is not made good either.
    world.must(&[send(1, &[tone(2, 100, 60)])]);
    world.stall(400);
    world.pass(100);
    assert_eq!(world.rtp(1).len(), 1);
    world.talk(2, &mut stream, 1);
    assert_eq!(world.rtp(1).len(), 1, "the key is up");
}

#[test]
fn a_translator_takes_tones_too() {
    let (mut world, mut stream) = translating();
    world.must(&[send(1, &[tone(5, 100, 100)])]);
    world.talk(2, &mut stream, 15);
    let heard = world.rtp(1);
    assert_continuous(&heard);
    assert_tone(&heard[5..10], 5, 5);
    let (_, audio) = split_tones(heard);
    for packet in &audio {
        let payload = packet.payload.expect("a payload of ours");
        assert_eq!((packet.ssrc, packet.timestamp, packet.marker), (payload.ssrc, payload.timestamp, false));
        assert_eq!(packet.sequence, payload.sequence, "five were put in and five were left out");
    }
}

#[test]
fn tones_in_another_clock_and_with_another_packet_time_than_the_audio() {
    let (mut world, mut stream) = talking();
    world.must(&[set_codecs(1, &[(0, "PCMU"), (9, "G722")])]);
    let how = DtmfHow::Tone(clip_of(TONE, 2, "G722", 8000, 40));
    world.must(&[send(1, &[DtmfStep::Key { event: 0, volume: 10, duration_ms: 70, pause_ms: 40, how }])]);
    world.pass(10);
    // Before the first frame is over.
    world.must(&[Command::StopDtmf { leg: LegId(1) }]);
    world.talk(2, &mut stream, 3);
    let heard = world.rtp(1);
    assert_continuous(&heard);
    assert_eq!(heard.iter().map(|packet| packet.payload_type).collect::<Vec<_>>(), [0, 0, 0, 0, 0, 9, 0, 0, 0]);
    assert_eq!(heard[6].timestamp, heard[5].timestamp + 2 * FRAME, "behind the whole frame");
    assert!(world.events().contains(&Event::DtmfFinished { leg: LegId(1), sent: 1, tones: 1, dropped: 0 }));
}
