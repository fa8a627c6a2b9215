//! What the relay has no keys for, or what is no RTP, passes unread: from the right source, to everybody who hears it.

use patchcord_relay::Verdict;
use patchcord_relay::command::{Command, LegSpec, Relaying};
use patchcord_relay::ids::{Component, LegId};
use patchcord_relay::verdict::DropReason;

use crate::support::wire::Stream;
use crate::support::{World, add, dropped, local, on_first_packet_of, party, spec, stranger};

fn opaque(leg: u64) -> LegSpec {
    let rtcp = std::net::SocketAddr::new(local(leg).ip(), local(leg).port() + 1);
    LegSpec { relaying: Relaying::Opaque, local_rtcp: Some(rtcp), ..spec(leg) }
}

fn world() -> World {
    let mut world = World::new();
    world.must(&[add(opaque(1)), add(opaque(2)), add(opaque(3))]);
    world.bridge(1, 2);
    world
}

#[test]
fn anything_from_the_right_source_passes_as_it_is() {
    let mut world = world();
    for datagram in [&b"hello"[..], &[0, 1, 0, 0], &[22, 254, 253], &[0x80; 400]] {
        assert!(matches!(world.deliver(1, Component::Rtp, party(1), datagram), Verdict::Forwarded(_)));
        let heard = world.take(2);
        assert_eq!(heard.len(), 1);
        assert_eq!((heard[0].bytes.as_slice(), heard[0].to, heard[0].component), (datagram, party(2), Component::Rtp));
    }
    let foreign = world.deliver(1, Component::Rtp, stranger(1), b"hello");
    assert_eq!(foreign, dropped(DropReason::ForeignSource));
    assert!(world.take(2).is_empty());
    world.assert_balanced();
}

#[test]
fn rtcp_ports_lead_to_rtcp_ports() {
    let mut world = world();
    let from = std::net::SocketAddr::new(party(1).ip(), party(1).port() + 1);
    assert!(matches!(world.deliver(1, Component::Rtcp, from, b"srtcp"), Verdict::Forwarded(_)));
    let heard = world.take(2);
    let to = std::net::SocketAddr::new(party(2).ip(), party(2).port() + 1);
    assert_eq!((heard[0].bytes.as_slice(), heard[0].to, heard[0].component), (&b"srtcp"[..], to, Component::Rtcp));
    assert_eq!(world.deliver(1, Component::Rtcp, stranger(1), b"x"), dropped(DropReason::ForeignSource));
}

#[test]
fn what_looks_like_rtp_is_counted_and_never_changed() {
    let mut world = world();
    let (mut first, mut third) = (Stream::of(1), Stream::of(3));
    for _ in 0..5 {
        let packet = first.packet();
        world.send(1, &packet);
        assert_eq!(world.take(2)[0].bytes, packet);
    }
    assert_eq!((world.leg(1).ingress.packets, world.leg(2).egress.packets), (5, 5));
    // Not even by a cut-over: its numbers are the parties' own.
    world.forget();
    world.bridge(3, 2);
    let packet = third.packet();
    world.send(3, &packet);
    assert_eq!(world.take(2)[0].bytes, packet);
    assert_eq!(world.receipt(2).seq_step, None);
}

#[test]
fn a_cut_over_can_wait_for_it() {
    let mut world = world();
    world.cut(on_first_packet_of(3), &[(2, crate::support::leg(3)), (3, crate::support::leg(2))]);
    world.deliver(1, Component::Rtp, party(1), b"old");
    assert_eq!(world.take(2)[0].bytes, b"old");
    world.deliver(3, Component::Rtp, party(3), b"new");
    assert_eq!(world.take(2)[0].bytes, b"new");
    let stale = world.deliver(1, Component::Rtp, party(1), b"late");
    assert_eq!(stale, dropped(DropReason::StaleAfterCutover));
}

#[test]
fn a_call_may_turn_from_audio_to_fax() {
    let mut world = World::with_legs([1, 2]);
    world.bridge(1, 2);
    assert_eq!(world.send(1, b"t38"), dropped(DropReason::UnknownProtocol));
    world.must(&[Command::SetRelaying { leg: LegId(1), relaying: Relaying::Opaque }]);
    assert!(matches!(world.send(1, b"t38"), Verdict::Forwarded(_)));
    assert_eq!(world.take(2).pop().map(|heard| heard.bytes), Some(b"t38".to_vec()));
    world.must(&[Command::SetRelaying { leg: LegId(1), relaying: Relaying::Rtp }]);
    assert_eq!(world.send(1, b"t38"), dropped(DropReason::UnknownProtocol));
}
