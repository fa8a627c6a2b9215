//! Listeners of several parties: what is handed out to be mixed, and what becomes of what is made of it.

use patchcord_relay::Verdict;
use patchcord_relay::command::{Command, EgressMode, Refusal, Source, Talker, Trigger};
use patchcord_relay::ids::{LegId, MadeId};
use patchcord_relay::mixing::Mixing;
use patchcord_relay::overhearing::{Ears, Overhearing};
use patchcord_relay::snapshot::SourceSnapshot;
use patchcord_relay::verdict::DropReason;

use crate::support::wire::{Stream, assert_continuous, origins};
use crate::support::{Given, World, add, dropped, leg, on_first_packet_of, pcmu, set_codecs, spec};

const MIXED: Ears = Ears { mixer: true, recorder: false, detector: None };

fn world(legs: u64) -> World {
    let mut world = World::new();
    world.shard.set_transcoder(|codec| ["opus", "PCMU", "PCMA"].contains(&&*codec.encoding));
    for id in 1..=legs {
        world.must(&[add(spec(id))]);
    }
    world
}

fn talker(leg: u64) -> Talker {
    Talker { leg: LegId(leg), gain_db: 0 }
}

fn mix<const N: usize>(legs: [u64; N]) -> Source {
    Source::Mix(legs.map(talker).to_vec())
}

/// What somebody makes for a leg.
fn made_for(leg: u64) -> Stream {
    Stream::of(50 + leg).under(0x317e_0000 | leg as u32).numbered(20_000, 700_000)
}

#[derive(Default)]
struct HandedOut {
    mixes: Vec<Mixing>,
    ended: Vec<MadeId>,
    overhearing: Vec<(LegId, Ears)>,
    heard: Vec<(LegId, Vec<u8>)>,
}

fn handed_out(world: &mut World) -> HandedOut {
    let mut all = HandedOut::default();
    for one in world.given.drain(..) {
        match one {
            Given::Mix(mixing) => all.mixes.push(mixing),
            Given::End(id) => all.ended.push(id),
            Given::Overhear(Overhearing { leg, formats, by, .. }) => {
                assert_eq!(formats.is_empty(), !by.any());
                all.overhearing.push((leg, by));
            }
            Given::Heard(leg, by, _, bytes) => {
                assert_eq!(by, MIXED);
                all.heard.push((leg, bytes));
            }
            other => panic!("{other:?}"),
        }
    }
    all.overhearing.sort_by_key(|(leg, _)| *leg);
    all
}

/// Each of three hears the others; the mixes in the order of the listeners.
fn conference(world: &mut World) -> Vec<Mixing> {
    world.cut(Trigger::Immediate, &[(1, mix([2, 3])), (2, mix([1, 3])), (3, mix([1, 2]))]);
    let given = handed_out(world);
    assert_eq!(given.overhearing, [1, 2, 3].map(|leg| (LegId(leg), MIXED)));
    given.mixes
}

#[test]
fn each_talker_is_handed_out_once_and_each_listener_hears_what_is_made_for_it() {
    let mut world = world(3);
    let mixes = conference(&mut world);
    assert_eq!(mixes.len(), 3);
    assert_eq!((&mixes[0].talkers, &mixes[0].to), (&[2, 3].map(talker).to_vec(), &spec(1).codecs));
    assert_ne!((mixes[0].id, mixes[0].seed), (mixes[1].id, mixes[1].seed));
    let mut made = made_for(1);
    for _ in 0..4 {
        let packet = Stream::of(2).packet();
        assert_eq!(world.send(2, &packet), Verdict::Consumed);
        assert_eq!(handed_out(&mut world).heard, [(LegId(2), packet)]);
        world.made(mixes[0].id, &made.packet());
        world.pass(20);
    }
    let heard = world.rtp(1);
    assert_eq!(origins(&heard), [51]);
    assert_continuous(&heard);
    assert!(world.rtp(2).is_empty() && world.rtp(3).is_empty());
    let leg = world.leg(1);
    assert_eq!((leg.source, leg.transcoded, leg.egress.packets), (SourceSnapshot::Mix, false, 4));
}

#[test]
fn the_way_to_a_mix_and_back_is_without_a_gap() {
    let mut world = world(3);
    world.bridge(1, 2);
    world.talk(2, &mut Stream::of(2), 3);
    world.receipts();
    let mixes = conference(&mut world);
    let mut made = made_for(1);
    for _ in 0..3 {
        world.made(mixes[0].id, &made.packet());
        world.pass(20);
    }
    let receipt = world.receipt(1);
    assert_eq!((receipt.seq_step, receipt.ts_step), (Some(1), Some(160)));
    // The second party drops out; the other two hear each other as they are.
    world.cut(Trigger::Immediate, &[(1, leg(3)), (3, leg(1)), (2, Source::Silence)]);
    let given = handed_out(&mut world);
    assert_eq!(given.ended.len(), 3);
    assert_eq!(given.overhearing, [1, 2, 3].map(|leg| (LegId(leg), Ears::NONE)));
    world.made(mixes[0].id, &made.packet());
    world.talk(3, &mut Stream::of(3), 3);
    assert!(handed_out(&mut world).heard.is_empty());
    assert_eq!(world.send(2, &Stream::of(2).packet()), dropped(DropReason::StaleAfterCutover));
    let heard = world.rtp(1);
    assert_eq!((heard.len(), origins(&heard)), (9, vec![2, 51, 3]));
    assert_continuous(&heard);
}

#[test]
fn who_joins_does_not_make_the_others_unheard() {
    let mut world = world(4);
    conference(&mut world);
    world
        .cut(Trigger::Immediate, &[(1, mix([2, 3, 4])), (2, mix([1, 3, 4])), (3, mix([1, 2, 4])), (4, mix([1, 2, 3]))]);
    let given = handed_out(&mut world);
    assert_eq!((given.mixes.len(), given.ended.len()), (4, 3));
    assert_eq!(given.overhearing, [(LegId(4), MIXED)], "the others are overheard already");
}

#[test]
fn who_goes_away_is_left_out_two_hear_each_other_as_they_are_and_the_last_one_nothing() {
    let mut world = world(4);
    let all = [(1, mix([2, 3, 4])), (2, mix([1, 3, 4])), (3, mix([1, 2, 4])), (4, mix([1, 2, 3]))];
    world.cut(Trigger::Immediate, &all);
    let mixes = handed_out(&mut world).mixes;
    world.must(&[Command::RemoveLeg { leg: LegId(2) }]);
    let given = handed_out(&mut world);
    assert_eq!((&given.ended, &given.overhearing), (&vec![mixes[1].id], &vec![(LegId(2), Ears::NONE)]));
    let went_on: Vec<_> = given.mixes.iter().map(|mix| (mix.id, mix.talkers.clone())).collect();
    let others = [(0, [3, 4]), (2, [1, 4]), (3, [1, 3])];
    assert_eq!(went_on, others.map(|(at, talkers)| (mixes[at].id, talkers.map(talker).to_vec())));
    let mut made = made_for(1);
    for _ in 0..2 {
        world.made(mixes[0].id, &made.packet());
        world.pass(20);
    }

    world.must(&[Command::RemoveLeg { leg: LegId(3) }]);
    let given = handed_out(&mut world);
    assert_eq!((given.ended.len(), given.mixes.len()), (3, 0));
    assert_eq!(given.overhearing, [1, 3, 4].map(|leg| (LegId(leg), Ears::NONE)));
    assert_eq!(world.leg(1).source, SourceSnapshot::Leg(LegId(4)));
    // What was under way is not heard.
    world.made(mixes[0].id, &made.packet());
    world.talk(4, &mut Stream::of(4), 2);
    let heard = world.rtp(1);
    assert_eq!((heard.len(), origins(&heard)), (4, vec![51, 4]));
    assert_continuous(&heard);

    world.must(&[Command::RemoveLeg { leg: LegId(4) }]);
    assert_eq!(world.leg(1).source, SourceSnapshot::Silence);
    world.forget();
    // The slots have other legs now.
    world.must(&[add(spec(5)), add(spec(6))]);
    assert_eq!(world.send(5, &Stream::of(5).packet()), dropped(DropReason::NoSink));
    world.made(mixes[2].id, &made_for(3).packet());
    assert!(world.take_all().values().all(Vec::is_empty));
}

#[test]
fn who_is_left_alone_with_a_louder_one_goes_on_hearing_it_louder() {
    let mut world = world(3);
    let loud = Source::Mix(vec![talker(2), Talker { leg: LegId(3), gain_db: 6 }]);
    world.cut(Trigger::Immediate, &[(1, loud)]);
    handed_out(&mut world);
    world.must(&[Command::RemoveLeg { leg: LegId(2) }]);
    assert_eq!(handed_out(&mut world).mixes[0].talkers, [Talker { leg: LegId(3), gain_db: 6 }]);
    assert_eq!(world.leg(1).source, SourceSnapshot::Mix);
}

#[test]
fn other_formats_are_told_and_the_stream_goes_on() {
    let mut world = world(3);
    let mixes = conference(&mut world);
    world.made(mixes[0].id, &made_for(1).packet());
    world.pass(20);
    world.must(&[set_codecs(1, &[(0, "PCMU"), (8, "PCMA")])]);
    let given = handed_out(&mut world);
    assert_eq!(given.ended, [mixes[0].id]);
    assert_eq!(given.overhearing, [(LegId(1), MIXED)]);
    assert_eq!(given.mixes[0].to.len(), 2);
    world.made(given.mixes[0].id, &made_for(1).under(77).packet());
    let heard = world.rtp(1);
    assert_eq!(heard.len(), 2);
    assert_continuous(&heard);
}

#[test]
fn nobody_hears_a_muted_talker() {
    let mut world = world(3);
    conference(&mut world);
    world.must(&[Command::SetMuted { leg: LegId(2), muted: true }]);
    assert_eq!(world.send(2, &Stream::of(2).packet()), dropped(DropReason::Muted));
    assert!(handed_out(&mut world).heard.is_empty());
}

#[test]
fn a_cut_over_waits_for_the_first_packet_of_one_of_the_mixed() {
    let mut world = world(3);
    world.bridge(1, 2);
    world.cut(on_first_packet_of(3), &[(1, mix([2, 3]))]);
    assert!(handed_out(&mut world).mixes.is_empty());
    let packet = Stream::of(3).packet();
    assert_eq!(world.send(3, &packet), Verdict::Consumed);
    let given = handed_out(&mut world);
    assert_eq!((given.mixes.len(), given.heard), (1, vec![(LegId(3), packet)]), "it is the first to be mixed");
}

#[test]
fn a_rollback_brings_the_mix_back() {
    let mut world = world(3);
    conference(&mut world);
    let id = world.cut(Trigger::Immediate, &[(1, leg(2))]);
    handed_out(&mut world);
    let by = patchcord_relay::ids::CutOverId(id.0 + 5000);
    world.must(&[Command::Rollback { id, by }]);
    let given = handed_out(&mut world);
    assert_eq!(given.mixes[0].talkers, [2, 3].map(talker));
    assert_eq!(world.leg(1).source, SourceSnapshot::Mix);
}

#[test]
fn what_cannot_be_mixed_is_refused() {
    let mut world = world(2);
    let mut odd = spec(3);
    odd.codecs = vec![crate::support::codec(18, "G729", 8000)];
    let mut transparent = spec(4);
    transparent.egress_mode = EgressMode::Transparent;
    world.must(&[add(odd), add(transparent)]);
    let loud = Source::Mix(vec![Talker { leg: LegId(2), gain_db: 99 }]);
    for (sink, source, why) in [
        (1, mix([]), "1 to 16 talkers"),
        (1, mix([2, 2]), "leg-2 is in it twice"),
        (1, mix([2, 3]), "leg-3 has no format that can be decoded"),
        (1, loud, "a gain is -60 to 24 dB, not 99"),
        (3, mix([1, 2]), "it has no format that can be encoded"),
        (4, mix([1, 2]), "its stream is transparent"),
    ] {
        let id = sink + 10;
        let change = crate::support::cut_over(id, Trigger::Immediate, &[(sink, source)]);
        let (_, refusal) = world.refused(&[change]);
        assert!(matches!(&refusal, Refusal::BadMix { reason, .. } if reason.contains(why)), "{refusal}");
    }
    let gone = crate::support::cut_over(9, Trigger::Immediate, &[(1, mix([2, 8]))]);
    assert_eq!(world.refused(&[gone]).1, Refusal::UnknownLeg(LegId(8)));
    let mut deaf = World::new();
    deaf.must(&[add(spec(1)), add(spec(2))]);
    let (_, refusal) = deaf.refused(&[crate::support::cut_over(1, Trigger::Immediate, &[(1, mix([2]))])]);
    assert!(matches!(&refusal, Refusal::BadMix { reason, .. } if reason == "nothing is mixed here"), "{refusal}");
    assert_eq!(pcmu().len(), spec(1).codecs.len());
}

#[test]
fn a_cut_over_waits_for_a_command() {
    let mut world = world(3);
    world.bridge(1, 2);
    let id = world.cut(Trigger::OnCommand, &[(1, leg(3)), (3, leg(1))]);
    world.pass(100);
    assert_eq!(world.leg(1).pending, Some(id));
    let other = patchcord_relay::ids::CutOverId(id.0 - 1);
    assert_eq!(world.refused(&[Command::Fire { id: other }]).1, Refusal::NotWaiting(other));
    world.must(&[Command::Fire { id }]);
    assert_eq!((world.leg(1).pending, world.leg(1).source), (None, SourceSnapshot::Leg(LegId(3))));
    assert_eq!(world.refused(&[Command::Fire { id }]).1, Refusal::NotWaiting(id));
    world.talk(3, &mut Stream::of(3), 2);
    assert_eq!(world.receipt(1).trigger.name(), "on-command");
}
