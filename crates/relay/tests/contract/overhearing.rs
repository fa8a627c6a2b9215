//! Recorders and detectors: they are given what a party sends, and nobody else notices.

use patchcord_relay::Verdict;
use patchcord_relay::command::Command;
use patchcord_relay::ids::LegId;
use patchcord_relay::overhearing::{Detecting, Ears, Listening, Overhearing};
use patchcord_relay::verdict::DropReason;
use patchcord_srtp::Suite;

use crate::support::wire::{Stream, assert_continuous};
use crate::support::{Given, World, dropped, set_codecs, spec};

const RECORDED: Ears = Ears { mixer: false, recorder: true, detector: None };
const DETECTED: Ears = Ears { mixer: false, recorder: false, detector: Some(Detecting { answers: 1 }) };

fn overheard(leg: u64, by: Ears) -> Command {
    Command::SetOverheard { leg: LegId(leg), by, listening: None }
}

fn told(leg: u64, by: Ears) -> Given {
    let formats = if by.any() { spec(leg).codecs } else { Vec::new() };
    Given::Overhear(Overhearing { leg: LegId(leg), formats, by, listening: None })
}

#[test]
fn what_a_party_sends_is_given_as_it_came_and_its_listener_notices_nothing() {
    let mut world = World::with_legs([1, 2]);
    world.bridge(1, 2);
    let mut stream = Stream::of(2);
    world.talk(2, &mut stream, 2);
    world.must(&[overheard(2, RECORDED)]);
    assert_eq!(world.given.drain(..).collect::<Vec<_>>(), [told(2, RECORDED)]);
    for _ in 0..3 {
        let packet = stream.packet();
        let at = world.now;
        assert!(matches!(world.send(2, &packet), Verdict::Forwarded(_)));
        assert_eq!(world.given.drain(..).collect::<Vec<_>>(), [Given::Heard(LegId(2), RECORDED, at, packet)]);
        world.pass(20);
    }
    world.must(&[overheard(2, DETECTED)]);
    world.must(&[overheard(2, Ears::NONE)]);
    assert_eq!(world.given.drain(..).collect::<Vec<_>>(), [told(2, DETECTED), told(2, Ears::NONE)]);
    world.talk(2, &mut stream, 2);
    assert!(world.given.is_empty());
    let heard = world.rtp(1);
    assert_eq!(heard.len(), 7);
    assert_continuous(&heard);
}

#[test]
fn how_a_detector_listens_is_passed_on_once() {
    let mut world = World::with_legs([1]);
    let listening = Listening {
        answer_timeout_ms: 3500,
        audible_dbfs: -50,
        hang_over_ms: 240,
        silence_ms: 2000,
        greeting_max_ms: 3000,
        listening_ms: 700,
    };
    let command = |by, listening| Command::SetOverheard { leg: LegId(1), by, listening };
    let told_of = |by: Ears, listening| match told(1, by) {
        Given::Overhear(overhearing) => Given::Overhear(Overhearing { listening, ..overhearing }),
        other => other,
    };
    world.must(&[command(DETECTED, Some(listening))]);
    world.must(&[command(DETECTED, None)]);
    world.must(&[command(DETECTED, Some(listening))]);
    let both = Ears { recorder: true, ..DETECTED };
    world.must(&[command(both, None)]);
    world.must(&[command(RECORDED, Some(listening))]);
    let given: Vec<_> = world.given.drain(..).collect();
    let expected = [
        told_of(DETECTED, Some(listening)),
        told_of(DETECTED, Some(listening)),
        told_of(both, None),
        told_of(RECORDED, None),
    ];
    assert_eq!(given, expected);
}

#[test]
fn a_party_that_nobody_listens_to_is_overheard_all_the_same_but_not_while_it_is_muted() {
    let mut world = World::with_legs([1]);
    world.must(&[overheard(1, RECORDED)]);
    world.given.clear();
    assert_eq!(world.send(1, &Stream::of(1).packet()), dropped(DropReason::NoSink), "recording changes no verdict");
    assert_eq!(world.given.drain(..).count(), 1);
    world.must(&[Command::SetMuted { leg: LegId(1), muted: true }]);
    world.send(1, &Stream::of(1).packet());
    assert!(world.given.is_empty());
}

#[test]
fn what_was_encrypted_is_given_decrypted_and_what_is_foreign_is_not_given() {
    let mut world = World::with_legs([1, 2]);
    world.bridge(1, 2);
    world.secure(2, Suite::AesCm128HmacSha1_80);
    world.must(&[overheard(2, RECORDED)]);
    world.given.clear();
    let packet = Stream::of(2).packet();
    world.send(2, &packet);
    let Some(Given::Heard(_, _, _, bytes)) = world.given.pop() else { panic!("nothing was given") };
    assert_eq!(bytes, packet);
    world.deliver(2, patchcord_relay::ids::Component::Rtp, crate::support::stranger(1), &packet);
    assert!(world.given.is_empty());
}

#[test]
fn other_formats_and_the_end_of_the_leg_are_told() {
    let mut world = World::with_legs([1]);
    world.must(&[overheard(1, RECORDED)]);
    world.given.clear();
    world.must(&[set_codecs(1, &[(0, "PCMU")])]);
    let Some(Given::Overhear(told_so)) = world.given.pop() else { panic!("nothing was told") };
    assert_eq!((told_so.formats.len(), told_so.by), (1, RECORDED));
    world.must(&[Command::RemoveLeg { leg: LegId(1) }]);
    assert_eq!(world.given.drain(..).collect::<Vec<_>>(), [told(1, Ears::NONE)]);
}
