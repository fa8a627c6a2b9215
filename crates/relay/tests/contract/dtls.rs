//! DTLS on a leg: its party's datagrams are handed out under the association's name, what is late for one association does not
//! reach the next, and keys that come of it are those of a new association.

use core::net::SocketAddr;

use patchcord_relay::Verdict;
use patchcord_relay::command::{Command, IceCredentials, LatchMode, LegSpec, Refusal, Relaying, SrtpKeys};
use patchcord_relay::ids::{AssociationId, Component, LegId};
use patchcord_relay::verdict::DropReason;
use patchcord_srtp::Suite;

use crate::support::secured::keys;
use crate::support::wire::Stream;
use crate::support::{World, add, dropped, latch, party, spec, stranger};

/// A record of a handshake, as far as the engine looks at it.
const RECORD: &[u8] = &[22, 254, 253, 0, 0];

const FIRST: AssociationId = AssociationId(7);
const SECOND: AssociationId = AssociationId(8);

fn set_dtls(leg: u64, association: Option<AssociationId>) -> Command {
    Command::SetDtls { leg: LegId(leg), association }
}

fn send_dtls(leg: u64, association: AssociationId, to: Option<SocketAddr>) -> Command {
    Command::SendDtls { leg: LegId(leg), association, to, datagram: RECORD.into() }
}

fn set_keys(leg: u64, association: AssociationId, keys: SrtpKeys) -> Command {
    Command::SetDtlsKeys { leg: LegId(leg), association, keys: Box::new(keys), peer: None }
}

fn new_keys(number: u32) -> SrtpKeys {
    SrtpKeys { restart: true, ..keys(Suite::AesCm128HmacSha1_80, number) }
}

/// The association of leg 1 is the first one.
fn world() -> World {
    let mut world = World::with_legs([1, 2]);
    world.must(&[set_dtls(1, Some(FIRST))]);
    world
}

#[test]
fn a_datagram_is_handed_out_with_its_source_and_its_association() {
    let mut world = world();
    assert_eq!(world.send(1, RECORD), Verdict::Consumed);
    assert_eq!(world.handshakes(), [(LegId(1), FIRST, party(1), RECORD.to_vec())]);
    world.must(&[set_dtls(1, Some(SECOND))]);
    assert_eq!(world.send(1, RECORD), Verdict::Consumed);
    assert_eq!(world.handshakes(), [(LegId(1), SECOND, party(1), RECORD.to_vec())]);
    assert_eq!(world.leg(1).ingress.datagrams, 2);
    world.assert_balanced();
}

#[test]
fn nobody_is_handed_out_what_no_association_waits_for() {
    let mut world = world();
    assert_eq!(world.send(2, RECORD), dropped(DropReason::UnexpectedProtocol));
    world.must(&[set_dtls(1, None)]);
    assert_eq!(world.send(1, RECORD), dropped(DropReason::UnexpectedProtocol));
    assert_eq!(world.deliver(1, Component::Rtcp, party(1), RECORD), dropped(DropReason::UnexpectedProtocol));
    assert!(world.handshakes().is_empty());
    world.assert_balanced();
}

#[test]
fn strangers_are_not_handed_out_and_nothing_is_learned_from_a_handshake() {
    let mut world = World::new();
    world.must(&[add(LegSpec { latch: latch(LatchMode::Signalled, true), ..spec(1) }), set_dtls(1, Some(FIRST))]);
    assert_eq!(world.deliver(1, Component::Rtp, stranger(1), RECORD), dropped(DropReason::ForeignSource));
    let other_port = SocketAddr::new(party(1).ip(), 999);
    assert_eq!(world.deliver(1, Component::Rtp, other_port, RECORD), Verdict::Consumed);
    assert_eq!((world.leg(1).latched, world.leg(1).remote_rtp), (false, Some(party(1))));
    // Its media settles where it is, and then nobody else is the party.
    let packet = Stream::of(1).packet();
    world.send(1, &packet);
    assert!(world.leg(1).latched);
    assert_eq!(world.deliver(1, Component::Rtp, other_port, RECORD), dropped(DropReason::ForeignSource));
    assert_eq!(world.send(1, RECORD), Verdict::Consumed);
}

#[test]
fn with_ice_only_who_has_proved_to_be_the_party_is_handed_out() {
    let mut world = world();
    let ice = IceCredentials {
        local_ufrag: "ours".into(),
        local_pwd: "a/password/of/22/characters".into(),
        remote_ufrag: None,
    };
    world.must(&[Command::SetIce { leg: LegId(1), ice: Some(ice) }]);
    assert_eq!(world.send(1, RECORD), dropped(DropReason::ForeignSource));
}

#[test]
fn a_flood_is_limited_and_does_not_silence_the_party_for_long() {
    let mut world = world();
    let verdicts: Vec<_> = (0..200).map(|_| world.send(1, RECORD)).collect();
    let handed_out = verdicts.iter().filter(|verdict| **verdict == Verdict::Consumed).count();
    assert_eq!((handed_out, world.handshakes().len()), (64, 64));
    assert_eq!(world.drops(1, DropReason::DtlsLimited), 136);
    world.pass(100);
    assert_eq!([world.send(1, RECORD), world.send(1, RECORD)], [Verdict::Consumed; 2]);
    assert_eq!(world.send(1, RECORD), dropped(DropReason::DtlsLimited));
    // Another association does not make more of it.
    world.must(&[set_dtls(1, Some(SECOND))]);
    assert_eq!(world.send(1, RECORD), dropped(DropReason::DtlsLimited));
    world.pass(60_000);
    world.handshakes();
    for _ in 0..200 {
        world.send(1, RECORD);
    }
    assert_eq!(world.handshakes().len(), 64);
    assert_eq!(world.leg(1).ingress.datagrams, world.shard.worker().datagrams);
    world.assert_balanced();
}

#[test]
fn a_datagram_is_sent_where_it_is_said_to_or_where_media_goes() {
    let mut world = world();
    let elsewhere = SocketAddr::new(party(1).ip(), 999);
    world.must(&[send_dtls(1, FIRST, None), send_dtls(1, FIRST, Some(elsewhere))]);
    let heard: Vec<_> = world.take(1).into_iter().map(|heard| (heard.component, heard.to, heard.bytes)).collect();
    let record = RECORD.to_vec();
    assert_eq!(heard, [(Component::Rtp, party(1), record.clone()), (Component::Rtp, elsewhere, record)]);
    world.assert_balanced();
    // While nobody knows where, it is lost as on any network.
    world.must(&[add(LegSpec { remote_rtp: None, ..spec(3) }), set_dtls(3, Some(SECOND)), send_dtls(3, SECOND, None)]);
    assert!(world.take(3).is_empty());
}

#[test]
fn what_is_late_for_one_association_does_not_reach_the_next() {
    let mut world = world();
    world.must(&[set_dtls(1, Some(SECOND))]);
    let other = |association| Refusal::OtherAssociation { leg: LegId(1), association };
    assert_eq!(world.refused(&[send_dtls(1, FIRST, None)]), (0, other(FIRST)));
    assert_eq!(world.refused(&[set_keys(1, FIRST, new_keys(1))]), (0, other(FIRST)));
    // Within a batch too, both ways.
    world.must(&[set_dtls(1, Some(FIRST)), send_dtls(1, FIRST, None)]);
    assert_eq!(world.refused(&[set_dtls(1, None), set_keys(1, FIRST, new_keys(1))]), (1, other(FIRST)));
    assert_eq!(world.refused(&[send_dtls(9, FIRST, None)]), (0, Refusal::UnknownLeg(LegId(9))));
}

#[test]
fn keys_of_an_association_begin_anew_and_nothing_passes_before() {
    let mut world = world();
    world.bridge(1, 2);
    let none = SrtpKeys::default();
    world.must(&[Command::SetSrtp { leg: LegId(1), srtp: Some(Box::new(none)) }]);
    let (mut secured, mut stream) = (Stream::of(1), Stream::of(2));
    world.talk(2, &mut stream, 3);
    assert!(world.take(1).is_empty(), "nothing in the clear to whoever is to speak SRTP");
    assert_eq!(world.drops(2, DropReason::SrtpRequired), 3);
    for association in [FIRST, SECOND] {
        world.must(&[set_dtls(1, Some(association))]);
        world.secure_by(1, association);
        world.talk(2, &mut stream, 3);
        world.talk(1, &mut secured, 3);
        assert_eq!((world.rtp(1).len(), world.rtp(2).len()), (3, 3));
        assert_eq!(world.leg(1).srtp.expect("keys").send.expect("a key").roc, Some(0));
    }
    world.assert_balanced();
}

#[test]
fn media_goes_to_where_the_peer_has_proved_to_be() {
    let mut world = world();
    world.must(&[Command::SetSrtp { leg: LegId(1), srtp: Some(Box::default()) }]);
    let behind_nat = SocketAddr::new(party(1).ip(), 999);
    let keys = Box::new(new_keys(1));
    world.must(&[Command::SetDtlsKeys { leg: LegId(1), association: FIRST, keys, peer: Some(behind_nat) }]);
    assert_eq!(world.leg(1).remote_rtp, Some(behind_nat));
}

#[test]
fn what_is_relayed_unread_passes_with_its_handshakes() {
    let mut world = world();
    world.bridge(1, 2);
    for leg in [1, 2] {
        world.must(&[Command::SetRelaying { leg: LegId(leg), relaying: Relaying::Opaque }, set_dtls(leg, None)]);
    }
    assert!(matches!(world.send(1, RECORD), Verdict::Forwarded(_)));
    assert_eq!(world.take(2)[0].bytes, RECORD);
}
