//! Payload types: mapped between the two sides, and never of two meanings.

use patchcord_relay::command::{Command, Refusal, Source, Trigger};
use patchcord_relay::ids::LegId;
use patchcord_relay::media::Repeat;
use patchcord_relay::snapshot::SourceSnapshot;
use patchcord_relay::verdict::DropReason;

use crate::support::wire::Stream;
use crate::support::{World, add, clip, clip_of, codec, dropped, leg, play, set_codecs, spec};

/// A leg for each list of codecs, from 1 on.
fn with_codecs<const N: usize>(lists: [&[(u8, &str)]; N]) -> World {
    let mut world = World::new();
    for (id, list) in (1..).zip(lists) {
        let mut spec = spec(id);
        spec.codecs = list.iter().map(|&(number, encoding)| codec(number, encoding, 8000)).collect();
        world.must(&[add(spec)]);
    }
    world
}

fn typed(leg: u64, payload_type: u8) -> Stream {
    Stream { payload_type, ..Stream::of(leg) }
}

#[test]
fn payload_types_follow_the_listener() {
    let mut world = with_codecs([
        &[(96, "PCMA"), (0, "PCMU"), (100, "telephone-event")],
        &[(8, "PCMA"), (0, "pcmu"), (101, "telephone-event"), (18, "G729")],
    ]);
    world.bridge(1, 2);
    let sent = typed(2, 8).packet();
    world.send(2, &sent);
    let mut heard = world.take(1).pop().expect("a packet").bytes;
    assert_eq!(heard[1], 96);
    heard[1] = 8;
    assert_eq!(heard, sent, "nothing but the payload type differs");
    world.send(1, &typed(1, 96).packet());
    assert_eq!(world.rtp(2)[0].payload_type, 8);
    let mut next = typed(2, 0);
    next.skip(1);
    world.send(2, &next.packet());
    assert_eq!(world.rtp(1)[0].payload_type, 0, "encoding names have no case");
    next.payload_type = 18;
    assert_eq!(world.send(2, &next.packet()), dropped(DropReason::PayloadType));
}

#[test]
fn each_source_has_its_own_map() {
    let mut world = with_codecs([&[(0, "PCMU"), (97, "iLBC")], &[(0, "PCMU"), (99, "iLBC")], &[(98, "iLBC")]]);
    for (source, payload_type) in [(2, 99), (3, 98), (2, 99)] {
        world.cut(Trigger::Immediate, &[(1, leg(source))]);
        world.send(source, &typed(source, payload_type).under(source as u32 + 7).packet());
        assert_eq!(world.rtp(1)[0].payload_type, 97, "from leg {source}");
    }
}

#[test]
fn empty_list_passes_every_payload_type() {
    let mut world = with_codecs([&[], &[(0, "PCMU")]]);
    world.bridge(1, 2);
    let mut stream = Stream::of(2);
    for payload_type in [0, 8, 13, 101, 127] {
        stream.payload_type = payload_type;
        world.send(2, &stream.packet());
    }
    let types: Vec<_> = world.rtp(1).iter().map(|heard| heard.payload_type).collect();
    assert_eq!(types, [0, 8, 13, 101, 127]);
}

#[test]
fn replaced_list_takes_effect_in_both_directions() {
    let mut world = with_codecs([&[(0, "PCMU"), (8, "PCMA")], &[(0, "PCMU"), (8, "PCMA")]]);
    world.bridge(1, 2);
    world.must(&[set_codecs(2, &[(0, "PCMU"), (96, "PCMA")])]);
    world.send(1, &typed(1, 8).packet());
    world.send(2, &typed(2, 96).packet());
    assert_eq!((world.rtp(2)[0].payload_type, world.rtp(1)[0].payload_type), (96, 8));
    world.must(&[set_codecs(2, &[(0, "PCMU")])]);
    let mut stream = typed(1, 8);
    stream.skip(1);
    assert_eq!(world.send(1, &stream.packet()), dropped(DropReason::PayloadType));
}

#[test]
fn payload_type_never_changes_its_meaning() {
    let mut world = with_codecs([&[(0, "PCMU"), (96, "iLBC"), (101, "telephone-event")]]);
    let refused = |world: &mut World, codecs: &[(u8, &str)]| match world.refused(&[set_codecs(1, codecs)]) {
        (0, Refusal::PayloadTypeChanged { leg: LegId(1), payload_type, .. }) => payload_type,
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(&mut world, &[(0, "PCMU"), (96, "opus")]), 96);
    // Reordering, leaving out, adding and coming back are all right.
    world.must(&[set_codecs(1, &[(101, "TELEPHONE-EVENT"), (0, "PCMU")])]);
    world.must(&[set_codecs(1, &[(0, "PCMU"), (97, "opus")])]);
    // A number that was left out keeps its meaning all the same.
    assert_eq!(refused(&mut world, &[(0, "PCMU"), (96, "opus")]), 96);
    world.must(&[set_codecs(1, &[(96, "iLBC")])]);
    assert_eq!(refused(&mut world, &[(97, "G726")]), 97);
}

#[test]
fn payload_type_keeps_its_meaning_within_a_batch_and_within_a_list() {
    let mut world = with_codecs([&[(0, "PCMU")]]);
    let changed = |refusal| matches!(refusal, (_, Refusal::PayloadTypeChanged { payload_type: 96, .. }));
    assert!(changed(world.refused(&[set_codecs(1, &[(96, "opus")]), set_codecs(1, &[(96, "iLBC")])])));
    assert!(changed(world.refused(&[set_codecs(1, &[(96, "opus"), (0, "PCMU"), (96, "iLBC")])])));
    let mut fresh = spec(2);
    fresh.codecs = vec![codec(96, "opus", 48_000), codec(96, "opus", 8000)];
    assert!(changed(world.refused(&[add(fresh.clone())])));
    fresh.codecs.pop();
    assert!(changed(world.refused(&[add(fresh), set_codecs(2, &[(96, "iLBC")])])));
}

#[test]
fn legs_without_a_common_format_cannot_be_bridged() {
    let mut world = with_codecs([
        &[(0, "PCMU"), (101, "telephone-event"), (13, "CN")],
        &[(8, "PCMA"), (101, "telephone-event"), (13, "CN")],
    ]);
    let (index, refusal) = world.refused(&[crate::support::cut_over(1, Trigger::Immediate, &[(1, leg(2))])]);
    let Refusal::Incompatible { sink, reason } = refusal else { panic!("{refusal}") };
    assert_eq!((index, sink), (0, LegId(1)));
    assert!(reason.contains("PCMA/8000") && reason.contains("PCMU/8000"), "it says who has what: {reason}");
    // A list that a command of the same batch replaces is judged as it will be.
    world.must(&[set_codecs(2, &[(0, "PCMU")]), crate::support::cut_over(1, Trigger::Immediate, &[(1, leg(2))])]);
}

#[test]
fn audio_that_waits_while_its_format_goes_is_silence() {
    let mut world = with_codecs([&[(0, "PCMU"), (8, "PCMA")]]);
    let at = world.now.after_nanos(1_000_000);
    let id = world.cut(Trigger::At(at), &[(1, play(clip(1, 5), Repeat::Forever))]);
    world.must(&[set_codecs(1, &[(8, "PCMA")])]);
    world.pass(100);
    assert_eq!(world.leg(1).source, SourceSnapshot::Silence);
    assert_eq!(world.receipt(1).id, id);
    assert_eq!(world.rtp(1), []);
}

#[test]
fn audio_in_a_format_that_the_listener_lacks_is_refused() {
    let mut world = with_codecs([&[(8, "PCMA")], &[]]);
    let pcmu = || play(clip(1, 5), Repeat::Forever);
    let refused = world.refused(&[crate::support::cut_over(1, Trigger::Immediate, &[(1, pcmu())])]);
    assert!(matches!(refused, (0, Refusal::Incompatible { sink: LegId(1), .. })), "{refused:?}");
    // Where there is no list, RFC 3551's static payload types are known.
    world.cut(Trigger::Immediate, &[(2, pcmu())]);
    world.pass(50);
    assert_eq!(world.rtp(2)[0].payload_type, 0);
    let dynamic = play(clip_of(1, 5, "L16", 8000, 20), Repeat::Forever);
    let refused = world.refused(&[crate::support::cut_over(2, Trigger::Immediate, &[(2, dynamic)])]);
    assert!(matches!(refused, (0, Refusal::Incompatible { .. })), "{refused:?}");
    world.must(&[Command::RemoveLeg { leg: LegId(1) }]);
    world.cut(Trigger::Immediate, &[(2, Source::Silence)]);
}
