//! Rule 8, first part: where a leg's packets may come from before and after it has latched.

use core::net::{IpAddr, SocketAddr};

use patchcord_relay::Verdict;
use patchcord_relay::command::{Command, LatchMode, LatchPolicy, LearnFrom, LegSpec};
use patchcord_relay::event::Event;
use patchcord_relay::ids::{Component, LegId};
use patchcord_relay::scope::AddressScope;
use patchcord_relay::verdict::DropReason;

use crate::support::wire::{Stream, origins};
use crate::support::{World, add, dropped, latch, party, spec, stranger};

/// Legs 1 (of that latch) and 2, bridged; leg 1's signalled address is known if `signalled`.
fn bridged(mode: LatchMode, strict: bool, signalled: bool) -> World {
    let mut world = World::with_legs([2]);
    let mut spec = spec(1);
    spec.latch = latch(mode, strict);
    spec.remote_rtp = signalled.then(|| party(1));
    world.must(&[add(spec)]);
    world.bridge(1, 2);
    world.forget();
    world
}

/// Whether a packet from there is relayed; the origin in its payload is that number.
fn relays(world: &mut World, from: SocketAddr, stream: &mut Stream) -> bool {
    match world.deliver(1, Component::Rtp, from, &stream.packet()) {
        Verdict::Forwarded(_) => true,
        Verdict::Dropped(DropReason::ForeignSource) => false,
        verdict => panic!("unexpected {verdict:?}"),
    }
}

fn latched(world: &mut World) -> Vec<SocketAddr> {
    let source = |event| if let Event::Latched { source, .. } = event { Some(source) } else { None };
    world.events().into_iter().filter_map(source).collect()
}

fn same_ip() -> SocketAddr {
    SocketAddr::new(party(1).ip(), 4444)
}

fn same_port() -> SocketAddr {
    SocketAddr::new(stranger(1).ip(), party(1).port())
}

#[test]
fn off_accepts_the_signalled_address_and_port_only() {
    let mut world = bridged(LatchMode::Off, true, true);
    let mut stream = Stream::of(1);
    for from in [same_ip(), same_port(), stranger(1)] {
        assert!(!relays(&mut world, from, &mut stream), "{from}");
    }
    assert!(relays(&mut world, party(1), &mut stream));
    assert_eq!(world.leg(1).remote_rtp, Some(party(1)));
}

#[test]
fn off_accepts_nobody_until_an_address_is_signalled() {
    let mut world = bridged(LatchMode::Off, true, false);
    assert!(!relays(&mut world, party(1), &mut Stream::of(1)));
    world.must(&[Command::SetRemote { leg: LegId(1), rtp: party(1), rtcp: None }]);
    assert!(relays(&mut world, party(1), &mut Stream::of(1)));
}

#[test]
fn signalled_learns_the_port_from_the_signalled_ip_address() {
    let mut world = bridged(LatchMode::Signalled, true, true);
    let mut stream = Stream::of(1);
    assert!(!relays(&mut world, stranger(1), &mut stream));
    assert!(!relays(&mut world, same_port(), &mut stream));
    assert!(relays(&mut world, same_ip(), &mut stream));
    assert_eq!(world.leg(1).remote_rtp, Some(same_ip()), "media goes to where it comes from");
    world.pass(3100);
    assert!(relays(&mut world, same_ip(), &mut stream));
    assert_eq!(latched(&mut world), [same_ip()]);
    assert!(!relays(&mut world, SocketAddr::new(party(1).ip(), 4445), &mut stream));
}

#[test]
fn first_packet_takes_the_first_source() {
    let mut world = bridged(LatchMode::FirstPacket, true, false);
    let mut stream = Stream::of(1);
    assert!(relays(&mut world, stranger(1), &mut stream));
    assert_eq!(latched(&mut world), [stranger(1)]);
    assert!(!relays(&mut world, stranger(2), &mut stream));
    assert_eq!(world.leg(1).remote_rtp, Some(stranger(1)));
}

#[test]
fn intruder_who_sends_first_loses_to_the_signalled_address() {
    for mode in [LatchMode::FirstPacket, LatchMode::Heuristic] {
        let mut world = bridged(mode, true, true);
        let mut intruder = Stream::of(9);
        let mut stream = Stream::of(1);
        assert!(relays(&mut world, stranger(1), &mut intruder), "{mode:?}: nobody better is known yet");
        assert!(!world.leg(1).latched, "{mode:?}: but this is not settled");
        assert!(relays(&mut world, party(1), &mut stream), "{mode:?}");
        assert_eq!(world.leg(1).remote_rtp, Some(party(1)));
        for _ in 0..10 {
            assert!(!relays(&mut world, stranger(1), &mut intruder), "{mode:?}: the intruder is out for good");
            assert!(relays(&mut world, party(1), &mut stream));
            world.pass(1000);
        }
        assert_eq!(latched(&mut world), [party(1)]);
        assert_eq!(origins(&world.rtp(2)), [9, 1]);
    }
}

#[test]
fn intruder_alone_is_settled_on_after_the_window_only() {
    let mut world = bridged(LatchMode::Heuristic, true, true);
    let mut stream = Stream::of(9);
    relays(&mut world, stranger(1), &mut stream);
    world.pass(2900);
    relays(&mut world, stranger(1), &mut stream);
    assert!(!world.leg(1).latched);
    world.pass(200);
    relays(&mut world, stranger(1), &mut stream);
    assert!(world.leg(1).latched);
    assert_eq!(latched(&mut world), [stranger(1)]);
}

#[test]
fn heuristic_prefers_the_better_match_within_the_window() {
    let mut world = bridged(LatchMode::Heuristic, true, true);
    let mut stream = Stream::of(1);
    assert!(relays(&mut world, stranger(1), &mut stream));
    assert!(!relays(&mut world, stranger(2), &mut stream), "no better than the first");
    assert!(relays(&mut world, same_port(), &mut stream));
    assert!(!relays(&mut world, stranger(1), &mut stream), "outranked");
    assert!(relays(&mut world, same_ip(), &mut stream));
    assert!(!relays(&mut world, same_port(), &mut stream));
    assert!(relays(&mut world, party(1), &mut stream));
    assert!(!relays(&mut world, same_ip(), &mut stream));
    assert_eq!(world.leg(1).remote_rtp, Some(party(1)));
    assert_eq!(world.drops(1, DropReason::ForeignSource), 4);
}

#[test]
fn heuristic_does_not_move_after_the_window() {
    let mut world = bridged(LatchMode::Heuristic, true, true);
    let mut stream = Stream::of(1);
    relays(&mut world, stranger(1), &mut stream);
    world.pass(3100);
    assert!(!relays(&mut world, same_ip(), &mut stream), "too late to outrank");
    relays(&mut world, stranger(1), &mut stream);
    assert!(!relays(&mut world, party(1), &mut stream), "settled: only a command opens the learning again");
}

#[test]
fn heuristic_without_a_signalled_address_keeps_the_first_source() {
    let mut world = bridged(LatchMode::Heuristic, true, false);
    let mut stream = Stream::of(1);
    assert!(relays(&mut world, stranger(1), &mut stream));
    assert!(!relays(&mut world, stranger(2), &mut stream));
    assert_eq!(world.leg(1).remote_rtp, Some(stranger(1)));
}

#[test]
fn latched_leg_that_is_not_strict_hears_everybody_and_sends_to_one() {
    let mut world = bridged(LatchMode::Heuristic, false, true);
    let mut stream = Stream::of(1);
    assert!(relays(&mut world, party(1), &mut stream));
    assert!(relays(&mut world, stranger(1), &mut stream));
    assert_eq!(world.leg(1).remote_rtp, Some(party(1)));
}

#[test]
fn media_goes_to_the_signalled_address_before_anything_is_learned() {
    let mut world = bridged(LatchMode::Heuristic, true, true);
    world.talk(2, &mut Stream::of(2), 1);
    assert_eq!(world.rtp(1)[0].to, party(1));
    let mut world = bridged(LatchMode::Heuristic, true, false);
    assert_eq!(world.send(2, &Stream::of(2).packet()), dropped(DropReason::NoRemote));
}

#[test]
fn new_signalled_address_is_followed_at_once() {
    let mut world = bridged(LatchMode::Heuristic, true, true);
    let (mut stream, mut peer) = (Stream::of(1), Stream::of(2));
    relays(&mut world, party(1), &mut stream);
    world.talk(2, &mut peer, 3);
    world.must(&[Command::SetRemote { leg: LegId(1), rtp: stranger(7), rtcp: None }]);
    world.talk(2, &mut peer, 3);
    assert!(relays(&mut world, stranger(7), &mut stream));
    assert!(!relays(&mut world, party(1), &mut stream), "the old address is nobody now");
    let heard = world.rtp(1);
    assert_eq!(heard.iter().map(|heard| heard.to).collect::<Vec<_>>()[..], [[party(1); 3], [stranger(7); 3]].concat());
    crate::support::wire::assert_continuous(&heard);
    // The same address again, as in a re-INVITE that changes nothing, opens nothing.
    world.must(&[Command::SetRemote { leg: LegId(1), rtp: stranger(7), rtcp: None }]);
    assert!(world.leg(1).latched);
}

#[test]
fn garbage_latches_nothing() {
    let mut world = bridged(LatchMode::FirstPacket, true, false);
    for bytes in [&[0x80, 0, 0][..], &[0x9f; 20], &[0; 40], b"GET / HTTP/1.1\r\n\r\n"] {
        world.deliver(1, Component::Rtp, stranger(1), bytes);
    }
    assert_eq!(world.leg(1).remote_rtp, None);
    assert!(relays(&mut world, stranger(2), &mut Stream::of(1)));
}

#[test]
fn delayed_follows_each_source_until_the_window_is_over() {
    let mut world = bridged(LatchMode::Delayed, true, true);
    let mut stream = Stream::of(9);
    for from in [stranger(1), same_ip(), stranger(1)] {
        assert!(relays(&mut world, from, &mut stream), "{from}");
        assert_eq!(world.leg(1).remote_rtp, Some(from));
    }
    assert!(!world.leg(1).latched);
    world.pass(3100);
    assert!(relays(&mut world, stranger(2), &mut stream));
    assert_eq!(latched(&mut world), [stranger(2)]);
    assert!(!relays(&mut world, stranger(1), &mut stream));
}

#[test]
fn delayed_ends_at_once_with_the_signalled_address() {
    let mut world = bridged(LatchMode::Delayed, true, true);
    assert!(relays(&mut world, stranger(1), &mut Stream::of(9)));
    assert!(relays(&mut world, party(1), &mut Stream::of(1)));
    assert_eq!(latched(&mut world), [party(1)]);
    assert!(!relays(&mut world, stranger(1), &mut Stream::of(9)));
}

#[test]
fn handover_follows_at_any_time_and_only_while_it_is_allowed() {
    let mut world = bridged(LatchMode::Heuristic, true, true);
    let mut stream = Stream::of(1);
    assert!(relays(&mut world, party(1), &mut stream));
    assert!(!relays(&mut world, stranger(1), &mut stream));
    let policy = |handover| LatchPolicy { handover, ..latch(LatchMode::Heuristic, true) };
    world.must(&[Command::SetLatch { leg: LegId(1), policy: policy(true) }]);
    assert!(relays(&mut world, stranger(1), &mut stream));
    assert_eq!(world.leg(1).remote_rtp, Some(stranger(1)));
    world.must(&[Command::SetLatch { leg: LegId(1), policy: policy(false) }]);
    assert!(!relays(&mut world, party(1), &mut stream), "what was learned stays");
}

#[test]
fn asymmetric_learns_for_receiving_only() {
    let mut world = World::with_legs([2]);
    let policy = LatchPolicy { asymmetric: true, ..latch(LatchMode::FirstPacket, true) };
    world.must(&[add(LegSpec { latch: policy, ..spec(1) })]);
    world.bridge(1, 2);
    assert!(relays(&mut world, stranger(1), &mut Stream::of(1)));
    world.talk(2, &mut Stream::of(2), 1);
    assert_eq!(world.rtp(1)[0].to, party(1));
}

/// A leg of that signalled address, seen from there, whose signalling came from that host; who is relayed before the party?
fn heard_before_the_party(
    mode: LatchMode,
    signalled: &str,
    vantage: AddressScope,
    received_from: Option<&str>,
    from: &str,
) -> bool {
    let address = |text: &str| -> SocketAddr { format!("{text}:4000").parse().expect("it is an address") };
    let received_from = received_from.map(|host| -> IpAddr { host.parse().expect("it is an address") });
    let mut world = World::with_legs([2]);
    let policy = LatchPolicy { learn_from: LearnFrom::Party { vantage, received_from }, ..latch(mode, true) };
    world.must(&[add(LegSpec { latch: policy, remote_rtp: Some(address(signalled)), ..spec(1) })]);
    world.bridge(1, 2);
    world.forget();
    let heard = relays(&mut world, address(from), &mut Stream::of(9));
    // Whatever happened, the party itself is heard, and nobody else from then on.
    assert!(relays(&mut world, address(signalled), &mut Stream::of(1)));
    assert!(!relays(&mut world, address(from), &mut Stream::of(9)) || from == signalled);
    heard
}

#[test]
fn who_cannot_be_the_party_is_not_heard_even_before_it() {
    use AddressScope::{Global, Private};
    for mode in [LatchMode::Heuristic, LatchMode::FirstPacket, LatchMode::Delayed] {
        let heard = |signalled, vantage, received_from, from| {
            heard_before_the_party(mode, signalled, vantage, received_from, from)
        };
        assert!(!heard("192.0.2.1", Global, None, "203.0.113.9"), "{mode:?}: nothing speaks for a NAT");
        assert!(!heard("10.0.0.1", Private, None, "10.0.0.9"), "{mode:?}: a neighbour in the same network");
        assert!(heard("10.0.0.1", Global, None, "203.0.113.9"), "{mode:?}: some NAT");
        assert!(heard("10.0.0.1", Global, Some("203.0.113.9"), "203.0.113.9"), "{mode:?}: the party's NAT");
        assert!(!heard("10.0.0.1", Global, Some("203.0.113.9"), "203.0.113.8"), "{mode:?}: another's NAT");
        assert!(
            heard("10.0.0.1", Global, Some("10.9.9.9"), "203.0.113.9"),
            "{mode:?}: a proxy of our own tells nothing"
        );
        assert!(
            heard("192.0.2.1", Global, Some("203.0.113.9"), "203.0.113.9"),
            "{mode:?}: where its signalling came from"
        );
    }
}

#[test]
fn a_party_is_learned_at_another_port_of_its_host() {
    let mut world = World::with_legs([2]);
    let learn_from = LearnFrom::Party { vantage: AddressScope::Global, received_from: None };
    world.must(&[add(LegSpec { latch: LatchPolicy { learn_from, ..latch(LatchMode::Heuristic, true) }, ..spec(1) })]);
    world.bridge(1, 2);
    let mut stream = Stream::of(1);
    assert!(!relays(&mut world, stranger(1), &mut stream));
    assert!(relays(&mut world, same_ip(), &mut stream));
    assert_eq!(world.leg(1).remote_rtp, Some(same_ip()));
}
