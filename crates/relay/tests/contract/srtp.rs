//! Legs with SRTP: what passes, what does not and leaves nothing behind, and that no index is used twice, whatever happens to
//! the call. The parties' end checks the latter for every packet of every test.

use patchcord_relay::Verdict;
use patchcord_relay::command::{Command, EgressMode, LatchMode, LegSpec, RelatchGate, Relaying, SrtpKeys, Trigger};
use patchcord_relay::event::Event;
use patchcord_relay::ids::{Component, LegId};
use patchcord_relay::verdict::DropReason;
use patchcord_srtp::Suite;

use crate::support::secured::{key, keys, set_srtp};
use crate::support::wire::Stream;
use crate::support::{World, add, dropped, hold, latch, leg, on_first_packet_of, party, rtcp, spec, stranger};

const AES: Suite = Suite::AesCm128HmacSha1_80;

/// Legs 1 and 2, bridged; those with a suite have SRTP.
fn world(first: Option<Suite>, second: Option<Suite>) -> World {
    let mut world = World::with_legs([1, 2, 3]);
    for (leg, suite) in [(1, first), (2, second)] {
        if let Some(suite) = suite {
            world.secure(leg, suite);
        }
    }
    world.bridge(1, 2);
    world
}

#[test]
fn every_suite_is_relayed_to_every_other() {
    let suites = || Suite::ALL.into_iter().map(Some).chain([None]);
    for (first, second) in suites().flat_map(|first| suites().map(move |second| (first, second))) {
        let mut world = world(first, second);
        let mut stream = Stream::of(1);
        let sent = stream.packets(5);
        for packet in &sent {
            assert!(matches!(world.send(1, packet), Verdict::Forwarded(_)), "{first:?} to {second:?}");
        }
        let heard: Vec<_> = world.take(2).into_iter().map(|heard| heard.bytes).collect();
        assert_eq!(heard, sent, "{first:?} to {second:?}");
        world.send(1, &rtcp::sender_report(&stream, 7, 1, b"a"));
        assert_eq!(world.rtcp(2).len(), 1, "{first:?} to {second:?}");
        world.assert_balanced();
    }
}

#[test]
fn what_a_stranger_sends_changes_nothing_not_even_where_the_leg_learns() {
    let mut world = World::new();
    let learning = LegSpec { remote_rtp: None, latch: latch(LatchMode::Heuristic, true), ..spec(1) };
    world.must(&[add(learning), add(spec(2))]);
    world.secure(1, AES);
    world.bridge(1, 2);
    let plain = Stream::of(1).packet();
    assert_eq!(world.deliver(1, Component::Rtp, stranger(1), &plain), dropped(DropReason::SrtpUnauthentic));
    assert!(!world.leg(1).latched);
    assert_eq!((world.leg(1).ingress.packets, world.leg(1).remote_rtp), (0, None));
    assert!(matches!(world.send(1, &plain), Verdict::Forwarded(_)));
    assert_eq!(world.leg(1).remote_rtp, Some(party(1)));
    world.assert_balanced();
}

#[test]
fn a_leg_without_keys_passes_nothing_in_either_direction() {
    let mut world = world(None, None);
    world.must(&[set_srtp(2, Some(SrtpKeys::default()))]);
    let (mut first, mut second) = (Stream::of(1), Stream::of(2));
    assert_eq!(world.send(1, &first.packet()), dropped(DropReason::SrtpRequired));
    assert_eq!(world.send(2, &second.packet()), dropped(DropReason::SrtpRequired));
    world.send(1, &rtcp::sender_report(&first, 7, 1, b"a"));
    world.cut(Trigger::Immediate, &[(2, hold())]);
    world.pass(100);
    assert!(world.take(1).is_empty() && world.take(2).is_empty(), "something has left in the clear");
    assert_eq!(world.leg(2).egress.packets, 0);
    let srtp = world.leg(2).srtp.expect("the leg has SRTP");
    assert_eq!((srtp.receive, srtp.send), (None, None));
    // With the keys the hold audio is heard, and goes on from its first frame.
    world.secure(2, AES);
    world.pass(100);
    assert!(world.rtp(2).len() >= 4);
    world.assert_balanced();
}

#[test]
fn replays_are_dropped_by_name_and_told_now_and_then() {
    let mut world = world(Some(AES), None);
    let packet = Stream::of(1).packet();
    assert!(matches!(world.send(1, &packet), Verdict::Forwarded(_)));
    world.forget();
    for _ in 0..100 {
        assert_eq!(world.send(1, &packet), dropped(DropReason::SrtpReplayed));
    }
    let failing = |packets| Event::SrtpFailing { leg: LegId(1), reason: DropReason::SrtpReplayed, packets };
    assert_eq!(world.events(), [failing(1)]);
    world.pass(5_000);
    world.send(1, &packet);
    assert_eq!(world.events(), [failing(100)], "what was not told is told with the next");
    assert_eq!((world.leg(1).ingress.packets, world.leg(1).ingress.duplicates), (1, 0));
    world.assert_balanced();
}

#[test]
fn the_same_packet_twice_in_one_batch_passes_once() {
    let mut world = world(Some(AES), Some(Suite::AeadAes128Gcm));
    let bytes = Stream::of(1).packet();
    let arriving = crate::support::Arriving { leg: 1, component: Component::Rtp, from: party(1), bytes };
    let verdicts = world.deliver_batch(&[arriving.clone(), arriving]);
    assert!(matches!(verdicts[0], Verdict::Forwarded(_)));
    assert_eq!(verdicts[1], dropped(DropReason::SrtpReplayed));
    assert_eq!(world.take(2).len(), 1);
}

#[test]
fn a_transfer_to_and_from_secured_legs_crosses_the_sequence_wrap_before_during_and_after_it() {
    for before in 0..6_u16 {
        let mut world = world(Some(AES), Some(Suite::AeadAes256Gcm));
        world.secure(3, Suite::AesCm256HmacSha1_32);
        // Towards leg 1 the numbers wrap at another moment in every round.
        let mut agent = Stream::of(2).numbered(65_535 - before, 0);
        let (mut customer, mut target) = (Stream::of(1).numbered(65_533, 0), Stream::of(3).numbered(100, 0));
        world.talk(2, &mut agent, 3);
        world.talk(1, &mut customer, 5);
        world.cut(Trigger::Immediate, &[(1, hold())]);
        world.pass(50);
        world.cut(on_first_packet_of(3), &[(1, leg(3)), (3, leg(1))]);
        world.pass(50);
        world.talk(3, &mut target, 4);
        world.talk(1, &mut customer, 4);
        world.bridge(1, 2);
        agent.skip(30);
        world.talk(2, &mut agent, 4);
        let heard = world.rtp(1);
        assert!(heard.len() >= 14, "{} packets", heard.len());
        let steps: Vec<_> = heard.windows(2).map(|pair| pair[1].sequence.wrapping_sub(pair[0].sequence)).collect();
        assert!(steps.iter().all(|&step| step == 1), "{steps:?}");
        assert_eq!(world.leg(1).srtp.and_then(|srtp| srtp.send).and_then(|send| send.roc), Some(1));
        assert_eq!(world.rtp(3).len(), 4);
        world.assert_balanced();
    }
}

#[test]
fn a_new_key_keeps_the_roll_over_counter_and_the_ssrc() {
    let mut world = world(Some(AES), Some(AES));
    let mut stream = Stream::of(1).numbered(65_530, 0);
    world.talk(1, &mut stream, 10);
    for (leg, suite) in [(1, Suite::AeadAes128Gcm), (2, AES), (1, AES), (2, Suite::AeadAes256Gcm)] {
        world.secure(leg, suite);
        world.talk(1, &mut stream, 3);
    }
    let heard = world.rtp(2);
    assert_eq!(heard.len(), 22);
    assert!(heard.iter().all(|packet| packet.ssrc == heard[0].ssrc));
    let srtp = world.leg(2).srtp.expect("the leg has SRTP");
    assert_eq!(srtp.send.map(|send| (send.suite, send.roc)), Some((Suite::AeadAes256Gcm, Some(1))));
    world.assert_balanced();
}

#[test]
fn the_former_key_is_accepted_until_the_new_one_is_used() {
    let mut world = world(Some(AES), None);
    let mut stream = Stream::of(1);
    world.talk(1, &mut stream, 3);
    // Signalling is faster than the party: the relay has the new key, the party not yet.
    let new = keys(AES, 77);
    let send = world.leg(1).srtp.and_then(|srtp| srtp.send).map(|send| send.suite);
    assert_eq!(send, Some(AES));
    world.must(&[set_srtp(1, Some(new))]);
    world.talk(1, &mut stream, 3);
    assert_eq!(world.rtp(2).len(), 6);
    assert!(world.leg(1).srtp.expect("the leg has SRTP").former_key);
    world.secure(1, AES);
    world.talk(1, &mut stream, 1);
    assert!(!world.leg(1).srtp.expect("the leg has SRTP").former_key);
    assert_eq!(world.rtp(2).len(), 1);
}

#[test]
fn the_same_keys_again_change_nothing_and_keys_that_come_back_go_on_where_they_were() {
    let mut world = world(None, Some(AES));
    let again = keys(AES, 1);
    let mut stream = Stream::of(1);
    world.talk(1, &mut stream, 3);
    world.must(&[set_srtp(2, Some(again.clone()))]);
    world.talk(1, &mut stream, 3);
    // For a while without keys, and with those before: indices are not given anew.
    let none = SrtpKeys { send: None, ..again.clone() };
    world.must(&[set_srtp(2, Some(none))]);
    assert_eq!(world.send(1, &stream.packet()), dropped(DropReason::SrtpRequired));
    world.must(&[set_srtp(2, Some(again.clone()))]);
    world.talk(1, &mut stream, 3);
    assert_eq!(world.rtp(2).len(), 9);
    let before = world.leg(2).srtp;
    world.must(&[set_srtp(2, Some(again))]);
    assert_eq!(world.leg(2).srtp, before);
    world.assert_balanced();
}

#[test]
fn a_secured_leg_never_hears_what_is_relayed_unread() {
    let mut world = World::new();
    world.must(&[add(LegSpec { relaying: Relaying::Opaque, ..spec(1) }), add(spec(2))]);
    world.secure(2, AES);
    world.bridge(1, 2);
    assert_eq!(world.send(1, &Stream::of(1).packet()), dropped(DropReason::SrtpRequired));
    assert_eq!(world.send(1, b"anything"), dropped(DropReason::SrtpRequired));
    assert!(world.take(2).is_empty());
}

#[test]
fn a_leg_with_keys_is_read_whatever_it_was_told_before_or_after() {
    let mut world = World::new();
    world.must(&[add(LegSpec { relaying: Relaying::Opaque, ..spec(1) }), add(spec(2))]);
    world.secure(1, AES);
    world.bridge(1, 2);
    let plain = Stream::of(7).packet();
    assert_eq!(world.deliver(1, Component::Rtp, stranger(1), &plain), dropped(DropReason::SrtpUnauthentic));
    world.must(&[Command::SetRelaying { leg: LegId(1), relaying: Relaying::Opaque }]);
    assert_eq!(world.deliver(1, Component::Rtp, stranger(1), &plain), dropped(DropReason::SrtpUnauthentic));
    assert!(matches!(world.send(1, &Stream::of(1).packet()), Verdict::Forwarded(_)));
    assert_eq!(world.rtp(2).len(), 1);
}

#[test]
fn ciphertext_that_nobody_need_read_passes_as_it_is() {
    let mut world = World::new();
    let opaque = |leg| LegSpec { relaying: Relaying::Opaque, ..spec(leg) };
    world.must(&[add(opaque(1)), add(opaque(2))]);
    world.bridge(1, 2);
    let packet = Stream::of(1).packet();
    world.send(1, &packet);
    assert_eq!(world.take(2)[0].bytes, packet);
}

#[test]
fn everybody_who_hears_a_secured_leg_hears_it_with_a_key_of_their_own() {
    let mut world = world(Some(AES), Some(Suite::AeadAes128Gcm));
    world.must(&[add(spec(4))]);
    world.secure(3, Suite::AesCm192HmacSha1_80);
    world.cut(Trigger::Immediate, &[(3, leg(1)), (4, leg(1))]);
    let mut stream = Stream::of(1);
    let sent = stream.packets(3);
    for packet in &sent {
        world.send(1, packet);
    }
    for listener in 2..=4 {
        let heard: Vec<_> = world.take(listener).into_iter().map(|heard| heard.bytes).collect();
        assert_eq!(heard, sent, "leg {listener}");
    }
    world.assert_balanced();
}

#[test]
fn a_translator_numbers_on_what_begins_anew() {
    let mut world = World::new();
    world.must(&[add(spec(1)), add(LegSpec { egress_mode: EgressMode::Transparent, ..spec(2) })]);
    world.secure(2, AES);
    world.bridge(1, 2);
    let mut stream = Stream::of(1).numbered(20_000, 0);
    let first = stream.packets(4);
    for packet in &first {
        world.send(1, packet);
    }
    let untouched: Vec<_> = world.take(2).into_iter().map(|heard| heard.bytes).collect();
    assert_eq!(untouched, first);
    // The party's encoder restarts under the same SSRC: these indices are used up.
    let mut again = Stream::of(1).numbered(10_000, 0);
    world.talk(1, &mut again, 6);
    let heard = world.rtp(2);
    assert!(heard.len() >= 4, "{} packets", heard.len());
    assert_eq!(heard[0].sequence, 20_004);
    world.assert_balanced();
}

#[test]
fn a_source_that_authenticates_passes_that_gate_and_no_other_does() {
    let mut world = world(Some(AES), None);
    let mut stream = Stream::of(1);
    world.talk(1, &mut stream, 2);
    world.must(&[Command::Relatch { leg: LegId(1), gate: RelatchGate::Authentication }]);
    let plain = stream.clone().packet();
    assert_eq!(world.deliver(1, Component::Rtp, stranger(1), &plain), dropped(DropReason::SrtpUnauthentic));
    let elsewhere = std::net::SocketAddr::new(party(1).ip(), 4999);
    assert!(matches!(world.deliver(1, Component::Rtp, elsewhere, &stream.packet()), Verdict::Forwarded(_)));
    assert_eq!(world.leg(1).remote_rtp, Some(elsewhere));
    let (_, refusal) = world.refused(&[Command::Relatch { leg: LegId(2), gate: RelatchGate::Authentication }]);
    assert!(refusal.to_string().contains("only SRTP authenticates"), "{refusal}");
}

#[test]
fn keys_that_do_not_go_together_are_refused_before_anything_is_done() {
    let mut world = world(None, None);
    let mut gcm = key(Suite::AeadAes128Gcm, 1);
    gcm.protections.encrypts_rtp = false;
    let keys = SrtpKeys { receive: Some(gcm), ..SrtpKeys::default() };
    let (index, refusal) = world.refused(&[Command::SetMuted { leg: LegId(1), muted: true }, set_srtp(1, Some(keys))]);
    assert_eq!(index, 1);
    assert!(refusal.to_string().contains("encrypts and authenticates in one"), "{refusal}");
}

#[test]
fn srtp_that_ends_leaves_rtp() {
    let mut world = world(Some(AES), None);
    let mut stream = Stream::of(1);
    world.talk(1, &mut stream, 2);
    world.unsecure(1);
    assert!(world.leg(1).srtp.is_none());
    let (from_first, from_second) = (stream.packet(), Stream::of(2).packet());
    world.send(1, &from_first);
    world.send(2, &from_second);
    assert_eq!(world.take(2).last().map(|heard| heard.bytes.clone()), Some(from_first));
    assert_eq!(world.take(1)[0].bytes, from_second);
}
