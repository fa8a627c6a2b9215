//! Prompts over what a leg hears: what is handed out, when they are through, and what becomes of the others.

use patchcord_relay::command::{Command, EgressMode, Overlay, Prompt, Refusal, Source, Talker, Trigger, Under};
use patchcord_relay::event::Event;
use patchcord_relay::ids::{CutOverId, LegId};
use patchcord_relay::media::{Frames, Repeat};
use patchcord_relay::mixing::Mixing;
use patchcord_relay::snapshot::SourceSnapshot;
use patchcord_relay::time::MonoTime;

use crate::support::wire::{Stream, assert_continuous, numbers, origins};
use crate::support::{Given, MS, World, add, clip, clip_of, codec, cut_over, leg, play, set_codecs, spec};

fn world(legs: u64) -> World {
    let mut world = World::new();
    world.shard.set_transcoder(|codec| ["opus", "PCMU", "PCMA"].contains(&&*codec.encoding));
    for id in 1..=legs {
        world.must(&[add(spec(id))]);
    }
    world
}

fn talker(leg: u64, gain_db: i8) -> Talker {
    Talker { leg: LegId(leg), gain_db }
}

fn prompt(id: u32, frames: Frames, repeat: Repeat) -> Prompt {
    Prompt { id, frames, repeat, gain_db: -3 }
}

fn over<const N: usize>(talkers: [Talker; N], prompt: Prompt) -> Source {
    Source::Overlay(Box::new(Overlay { talkers: talkers.to_vec(), under: None, prompt }))
}

fn mixes(world: &mut World) -> Vec<Mixing> {
    let mixes =
        world.given.drain(..).filter_map(|given| if let Given::Mix(mixing) = given { Some(mixing) } else { None });
    mixes.collect()
}

/// When what is played has begun.
fn since(mixing: &Mixing) -> Vec<MonoTime> {
    mixing.prompts.iter().map(|begun| begun.at).collect()
}

fn finished(world: &mut World) -> Vec<u64> {
    let began = world.now;
    let at = move |at: MonoTime| at.nanos_since(began) / MS;
    let events = world.timed_events();
    let finished = events.into_iter().filter(|(_, event)| matches!(event, Event::PlayFinished { leg: LegId(1) }));
    finished.map(|(then, _)| at(then)).collect()
}

#[test]
fn a_prompt_over_a_bridge_is_handed_to_the_mixer_and_told_when_it_is_through() {
    let mut world = world(2);
    world.bridge(1, 2);
    world.talk(2, &mut Stream::of(2), 3);
    world.receipts();
    let began = world.now;
    let said = prompt(7, clip(1, 10), Repeat::Times(2));
    world.cut(Trigger::Immediate, &[(1, over([talker(2, -12)], said.clone()))]);
    let given = mixes(&mut world);
    let [mix] = &given[..] else { panic!("{given:?}") };
    assert_eq!(mix.talkers, [talker(2, -12)]);
    let [begun] = &mix.prompts[..] else { panic!("{given:?}") };
    assert_eq!((&begun.frames, begun.repeat, begun.gain_db, begun.at), (&said.frames, said.repeat, -3, began));
    let mut made = Stream::of(51).under(0x317e_0001).numbered(20_000, 700_000);
    world.made(mix.id, &made.packet());
    assert_eq!(world.receipt(1).seq_step, Some(1));
    // 20 frames of 20 ms, and as late as a mixer begins.
    world.events();
    world.pass(430);
    assert!(world.events().is_empty());
    world.pass(20);
    let events = world.timed_events();
    assert_eq!(events.iter().map(|(_, event)| event).collect::<Vec<_>>(), [&Event::PlayFinished { leg: LegId(1) }]);
    assert_eq!(events[0].0.nanos_since(began), 440 * MS);
    // The others are heard mixed until somebody says what comes now, and the stream goes on.
    assert_eq!(world.leg(1).source, SourceSnapshot::Mix);
    world.made(mix.id, &made.packet());
    world.cut(Trigger::Immediate, &[(1, leg(2))]);
    world.talk(2, &mut Stream::of(2), 2);
    let heard = world.rtp(1);
    assert_eq!((heard.len(), origins(&heard)), (7, vec![2, 51, 2]));
    assert_continuous(&heard);
    world.pass(2000);
    assert!(finished(&mut world).is_empty(), "it is told once");
}

#[test]
fn a_prompt_over_nobody_leaves_silence_and_one_without_end_goes_on() {
    let mut world = world(2);
    world.cut(Trigger::Immediate, &[(1, over([], prompt(1, clip(1, 5), Repeat::Times(1))))]);
    world.cut(Trigger::Immediate, &[(2, over([], prompt(1, clip(1, 5), Repeat::Forever)))]);
    world.pass(1000);
    assert_eq!(finished(&mut world).len(), 1);
    assert_eq!((world.leg(1).source, world.leg(2).source), (SourceSnapshot::Silence, SourceSnapshot::Mix));
    assert_eq!(world.given.iter().filter(|given| matches!(given, Given::End(_))).count(), 1);
}

#[test]
fn the_same_prompt_goes_on_over_others_and_another_one_begins() {
    let mut world = world(3);
    let said = || prompt(7, clip(1, 50), Repeat::Times(1));
    let began = world.now;
    world.cut(Trigger::Immediate, &[(1, over([talker(2, 0)], said()))]);
    world.pass(500);
    mixes(&mut world);
    world.cut(Trigger::Immediate, &[(1, over([talker(2, 0), talker(3, 0)], said()))]);
    let given = mixes(&mut world);
    assert_eq!(since(&given[0]), [began], "it is half through");
    // Other formats: another stream, and the prompt is where it was.
    world.must(&[set_codecs(1, &[(0, "PCMU"), (8, "PCMA")])]);
    assert_eq!(since(&mixes(&mut world)[0]), [began]);
    // Who goes away is left out of the same stream.
    world.must(&[Command::RemoveLeg { leg: LegId(3) }]);
    let given = mixes(&mut world);
    assert_eq!((since(&given[0]), &given[0].talkers[..]), (vec![], &[talker(2, 0)][..]));
    assert_eq!(world.leg(1).source, SourceSnapshot::Mix, "it is not over yet");
    world.pass(539);
    assert!(finished(&mut world).is_empty());
    world.pass(1);
    assert_eq!(finished(&mut world), [0]);
    // What is through does not begin anew because the others are to be heard otherwise; what has another id does.
    world.cut(Trigger::Immediate, &[(1, over([talker(2, 6)], said()))]);
    assert!(mixes(&mut world)[0].prompts.is_empty());
    let now = world.now;
    world.cut(Trigger::Immediate, &[(1, over([talker(2, 6)], prompt(8, clip(1, 50), Repeat::Times(1))))]);
    assert_eq!(since(&mixes(&mut world)[0]), [now]);
    world.pass(3000);
    assert_eq!(finished(&mut world).len(), 1);
}

#[test]
fn the_end_of_a_prompt_that_was_replaced_ends_nothing() {
    let mut world = world(2);
    for (source, ends) in [
        (leg(2), 0),
        (over([talker(2, 0)], prompt(2, clip(1, 100), Repeat::Forever)), 0),
        (over([talker(2, 0)], prompt(2, clip(1, 100), Repeat::Times(1))), 1),
    ] {
        world.cut(Trigger::Immediate, &[(1, over([talker(2, 0)], prompt(1, clip(1, 50), Repeat::Times(1))))]);
        world.pass(900);
        world.cut(Trigger::Immediate, &[(1, source)]);
        world.pass(1900);
        assert!(finished(&mut world).is_empty());
        world.pass(200);
        assert_eq!(finished(&mut world).len(), ends);
    }
    world.cut(Trigger::Immediate, &[(1, over([talker(2, 0)], prompt(1, clip(1, 50), Repeat::Times(1))))]);
    world.must(&[Command::RemoveLeg { leg: LegId(1) }]);
    world.must(&[add(spec(1))]);
    world.pass(2000);
    assert!(finished(&mut world).is_empty(), "the slot has another leg");
}

#[test]
fn hold_audio_goes_on_beneath_a_prompt_and_behind_it() {
    let mut world = world(2);
    let music = clip(3, 100);
    let held = || play(music.clone(), Repeat::Forever);
    let began = world.now;
    world.cut(Trigger::Immediate, &[(1, held())]);
    // 21 frames; the next one is due in 20 ms.
    world.pass(410);
    let said = prompt(7, clip(1, 10), Repeat::Times(1));
    let under = Some(Under { frames: music.clone(), gain_db: -12 });
    let source = Source::Overlay(Box::new(Overlay { talkers: vec![], under, prompt: said }));
    world.cut(Trigger::Immediate, &[(1, source)]);
    let given = mixes(&mut world);
    let prompts = &given[0].prompts;
    assert_eq!((&prompts[0].frames, prompts[0].repeat, prompts[0].gain_db), (&music, Repeat::Forever, -12));
    assert_eq!((prompts[0].at, prompts[1].at), (began, world.now));
    world.forget();
    world.pass(1000);
    assert_eq!(finished(&mut world).len(), 1);
    assert_eq!(world.leg(1).source, SourceSnapshot::Mix, "the music goes on");
    let id = world.cut(Trigger::Immediate, &[(1, held())]);
    world.pass(10);
    // 1410 ms are 70 frames.
    assert_eq!(numbers(&world.rtp(1)), [70]);
    // What was undone is what was to come back: the prompt is over.
    world.must(&[Command::Rollback { id, by: CutOverId(id.0 + 5000) }]);
    assert_eq!(world.leg(1).source, SourceSnapshot::Player);
}

#[test]
fn a_cut_over_waits_for_the_end_of_a_prompt_over_others() {
    let mut world = world(3);
    world.cut(Trigger::Immediate, &[(1, over([talker(2, 0)], prompt(1, clip(1, 5), Repeat::Times(1))))]);
    world.cut(Trigger::AfterPrompt { leg: LegId(1) }, &[(1, leg(3)), (3, leg(1))]);
    world.pass(139);
    assert_eq!(world.leg(1).source, SourceSnapshot::Mix);
    world.pass(1);
    assert_eq!(world.leg(1).source, SourceSnapshot::Leg(LegId(3)));
    assert_eq!(finished(&mut world), [0]);
    // Without an end there is nothing to wait for.
    world.cut(Trigger::Immediate, &[(1, over([talker(2, 0)], prompt(1, clip(1, 5), Repeat::Forever)))]);
    let waits = cut_over(99, Trigger::AfterPrompt { leg: LegId(1) }, &[(1, leg(2))]);
    assert!(matches!(world.refused(&[waits]).1, Refusal::BadTrigger(_)));
}

#[test]
fn a_rollback_of_what_replaced_a_prompt_plays_it_from_its_beginning() {
    let mut world = world(2);
    world.cut(Trigger::Immediate, &[(1, over([talker(2, 0)], prompt(1, clip(1, 50), Repeat::Times(1))))]);
    world.pass(500);
    let id = world.cut(Trigger::Immediate, &[(1, leg(2))]);
    world.pass(100);
    mixes(&mut world);
    world.must(&[Command::Rollback { id, by: CutOverId(id.0 + 5000) }]);
    assert_eq!(since(&mixes(&mut world)[0]), [world.now]);
    world.pass(1040);
    assert_eq!(finished(&mut world), [0]);
}

#[test]
fn what_cannot_be_played_over_others_is_refused() {
    let mut world = world(2);
    let mut odd = spec(3);
    odd.codecs = vec![codec(18, "G729", 8000)];
    let mut transparent = spec(4);
    transparent.egress_mode = EgressMode::Transparent;
    world.must(&[add(odd), add(transparent)]);
    let said = || prompt(1, clip(1, 5), Repeat::Times(1));
    let loud = Prompt { gain_db: 25, ..said() };
    let unknown = prompt(1, clip_of(1, 5, "G729", 8000, 20), Repeat::Times(1));
    for (sink, source, why) in [
        (3, over([], said()), "it has no format that can be encoded"),
        (4, over([], said()), "its stream is transparent"),
        (1, over([talker(3, 0)], said()), "leg-3 has no format that can be decoded"),
        (1, over([talker(2, 0)], loud), "a gain is -60 to 24 dB, not 25"),
        (1, over([talker(2, 0)], unknown), "the prompt is G729/8000, which cannot be decoded"),
    ] {
        let (_, refusal) = world.refused(&[cut_over(sink + 10, Trigger::Immediate, &[(sink, source)])]);
        assert!(matches!(&refusal, Refusal::BadMix { reason, .. } if reason.contains(why)), "{refusal}");
    }
}
