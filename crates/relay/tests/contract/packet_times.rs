//! Legs that share a format and are to be sent other packets than their source sends, or keys in another way.

use patchcord_relay::Verdict;
use patchcord_relay::command::{Command, EgressMode, Trigger};
use patchcord_relay::event::Event;
use patchcord_relay::ids::LegId;
use patchcord_relay::media::{Codec, Repeat, Sending};
use patchcord_relay::transcoding::Transcoding;

use crate::support::wire::{Stream, assert_continuous, origins};
use crate::support::{Given, World, add, clip_of, codec, leg, play, spec};

/// Legs 1 to 3 have PCMU and can be encoded for.
fn world() -> World {
    let mut world = World::new();
    world.shard.set_transcoder(|codec| *codec.encoding == *"PCMU");
    for id in [1, 2, 3] {
        world.must(&[add(spec(id))]);
    }
    world
}

fn with(leg: u64, sending: Sending, others: &[(u8, &str)]) -> Command {
    let mut codecs: Vec<Codec> = vec![Codec { sending, ..codec(0, "PCMU", 8000) }];
    codecs.extend(others.iter().map(|&(number, encoding)| codec(number, encoding, 8000)));
    Command::SetCodecs { leg: LegId(leg), codecs }
}

fn begun(world: &mut World) -> Vec<Transcoding> {
    let begins = |one| match one {
        Given::Transcode(transcoding) => Some(transcoding),
        _ => None,
    };
    world.given.drain(..).filter_map(begins).collect()
}

#[test]
fn a_wish_is_relayed_and_what_is_exact_is_cut_anew_for_that_leg_alone() {
    let mut world = world();
    let forty = Sending::default().with_ptime(40);
    world.must(&[with(1, forty, &[])]);
    world.bridge(1, 2);
    assert!(begun(&mut world).is_empty());
    world.must(&[with(1, forty.exactly(), &[])]);
    let made = begun(&mut world);
    let [made] = &made[..] else { panic!("{made:?}") };
    assert_eq!((made.to[0].sending.ptime_ms(), made.from[0].sending.ptime_ms()), (40, 0));
    assert!(world.leg(1).transcoded && !world.leg(2).transcoded);
    // Both want the same: it is relayed.
    world.must(&[with(2, forty, &[])]);
    assert!(begun(&mut world).is_empty() && !world.leg(1).transcoded);
    assert!(matches!(world.send(2, &Stream::of(2).packet()), Verdict::Forwarded(_)));
}

#[test]
fn what_cannot_be_encoded_is_relayed_as_it_is() {
    let mut world = world();
    let exact = Sending::default().with_ptime(60).exactly();
    world.must(&[with(1, exact, &[(18, "G729")]), with(2, Sending::default(), &[(18, "G729")])]);
    world.bridge(1, 2);
    assert!(begun(&mut world).is_empty());
    let mut stream = Stream { payload_type: 18, ..Stream::of(2) };
    assert!(matches!(world.send(2, &stream.packet()), Verdict::Forwarded(_)));
    // A translator has no stream of its own.
    let mut transparent = spec(4);
    transparent.egress_mode = EgressMode::Transparent;
    transparent.codecs = vec![Codec { sending: exact, ..codec(0, "PCMU", 8000) }];
    world.must(&[add(transparent)]);
    world.cut(Trigger::Immediate, &[(4, leg(3))]);
    assert!(begun(&mut world).is_empty());
}

#[test]
fn keys_are_converted_both_ways_where_that_is_asked_for_and_one_side_alone_knows_events() {
    let events = codec(101, "telephone-event", 8000);
    let exact = Codec { sending: Sending::default().exactly(), ..events.clone() };
    let with_events = |leg: u64, events: &[&Codec]| {
        let codecs = core::iter::once(codec(0, "PCMU", 8000)).chain(events.iter().map(|&one| one.clone()));
        Command::SetCodecs { leg: LegId(leg), codecs: codecs.collect() }
    };
    let transcoded = |world: &World| (world.leg(1).transcoded, world.leg(2).transcoded);
    let mut world = world();
    world.must(&[with_events(1, &[&events]), with_events(2, &[])]);
    world.bridge(1, 2);
    assert_eq!(transcoded(&world), (false, false), "nobody has asked");
    world.must(&[with_events(1, &[&exact])]);
    assert_eq!(transcoded(&world), (true, true));
    let formats: Vec<_> = begun(&mut world).iter().map(|one| (one.from.len(), one.to.len())).collect();
    assert_eq!(formats, [(1, 2), (2, 1)], "tones for leg 1 to be told of, events for leg 2 to be sounded");
    world.must(&[with_events(2, &[&events])]);
    assert_eq!(transcoded(&world), (false, false), "both know them");
    world.must(&[with_events(2, &[&codec(18, "G729", 8000)])]);
    assert_eq!(transcoded(&world), (false, true), "nothing that G729 may bring could be decoded");
}

#[test]
fn the_way_between_packets_of_different_lengths_neither_overlaps_nor_stands_still() {
    let mut world = world();
    world.must(&[with(1, Sending::default().with_ptime(40).exactly(), &[])]);
    world.bridge(1, 2);
    let id = begun(&mut world)[0].id;
    let (mut sent, mut made) = (Stream::of(2), Stream { frame_ts_units: 320, ..Stream::of(2) });
    made = made.under(0x7ea5_0000).numbered(40_000, 900_000);
    for _ in 0..4 {
        for _ in 0..2 {
            world.pass(20);
            assert_eq!(world.send(2, &sent.packet()), Verdict::Consumed);
        }
        world.made(id, &made.packet());
    }
    // The next source sends 20 ms, and its first packet comes while the last one of 40 ms is heard.
    world.must(&[with(1, Sending::default(), &[])]);
    let old = world.rtp(1);
    world.cut(Trigger::Immediate, &[(1, leg(3))]);
    world.pass(5);
    world.talk(3, &mut Stream::of(3), 4);
    let heard: Vec<_> = old.into_iter().chain(world.rtp(1)).collect();
    assert_eq!((heard.len(), origins(&heard)), (8, vec![2, 3]));
    assert_continuous(&heard);
    let steps: Vec<u32> = heard.windows(2).map(|pair| pair[1].timestamp.wrapping_sub(pair[0].timestamp)).collect();
    assert_eq!(steps, [320, 320, 320, 320, 160, 160, 160]);
    assert_eq!(heard.iter().position(|packet| packet.marker), Some(4), "the first of the new source");
}

#[test]
fn a_prompt_comes_in_packets_as_the_party_asks_for_where_frames_can_be_joined() {
    for (encoding, ptime_ms, lens) in [
        ("PCMU", 0, vec![23, 23, 23, 23, 23]),
        ("PCMU", 10, vec![23, 23, 23, 23, 23]),
        ("PCMU", 50, vec![46, 46, 23]),
        ("PCMU", 60, vec![69, 46]),
        ("PCMU", 200, vec![69, 46]),
        ("opus", 40, vec![23, 23, 23, 23, 23]),
    ] {
        let clock_rate = if encoding == "opus" { 48_000 } else { 8000 };
        let channels = if encoding == "opus" { 2 } else { 1 };
        let mut world = World::new();
        let mut spec = spec(1);
        let sending = Sending::default().with_ptime(ptime_ms);
        spec.codecs = vec![Codec { sending, channels, ..codec(0, encoding, clock_rate) }];
        world.must(&[add(spec)]);
        let prompt = play(clip_of(1, 5, encoding, clock_rate, 20), Repeat::Times(2));
        world.cut(Trigger::Immediate, &[(1, prompt)]);
        world.pass(400);
        let heard = world.rtp(1);
        assert_continuous(&heard);
        let twice: Vec<_> = lens.iter().chain(&lens).copied().collect();
        let said: Vec<_> = heard.iter().map(|packet| packet.bytes.len() - 12).collect();
        assert_eq!(said, twice, "{encoding} at {ptime_ms}");
        for pair in heard.windows(2) {
            let frames = (pair[0].bytes.len() as u32 - 12) / 23;
            assert_eq!(pair[1].timestamp.wrapping_sub(pair[0].timestamp), frames * clock_rate / 50);
            let apart = pair[1].at.nanos_since(pair[0].at);
            assert!(apart.abs_diff(u64::from(frames) * 20_000_000) < 3_000_000, "{apart} ns");
        }
        assert!(world.events().iter().any(|event| matches!(event, Event::PlayFinished { .. })));
    }
}

#[test]
fn a_prompt_of_a_single_packet_is_not_over_before_what_comes_behind_it() {
    for (ptime_ms, frames) in [(20, 1), (40, 2), (60, 2), (60, 3)] {
        let mut world = World::new();
        let mut spec = spec(1);
        spec.codecs = vec![Codec { sending: Sending::default().with_ptime(ptime_ms), ..codec(0, "PCMU", 8000) }];
        world.must(&[add(spec)]);
        world.cut(Trigger::Immediate, &[(1, play(clip_of(1, frames, "PCMU", 8000, 20), Repeat::Times(1)))]);
        let is_over =
            |world: &mut World| world.events().iter().any(|event| matches!(event, Event::PlayFinished { .. }));
        assert!(!is_over(&mut world), "{frames} frames in packets of {ptime_ms} ms: a command may wait for its end");
        world.pass(100);
        assert_eq!((world.rtp(1).len(), is_over(&mut world)), (1, true));
    }
}
