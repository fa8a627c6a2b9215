//! A lite agent's part of ICE: checks are answered, who proves to be the party is believed, and what it nominates is where
//! its media comes from and goes to.

use core::net::SocketAddr;

use patchcord_relay::Verdict;
use patchcord_relay::command::{Command, IceCredentials, LatchMode, LegSpec, Refusal, RelatchGate, Relaying};
use patchcord_relay::event::Event;
use patchcord_relay::ids::{Component, LegId};
use patchcord_relay::verdict::DropReason;
use patchcord_stun::{BINDING, Class, IceRole, Key, Message, MessageWriter, TransactionId, kind};

use crate::support::rtcp;
use crate::support::wire::Stream;
use crate::support::{World, add, dropped, latch, local, party, spec, stranger};

const PWD: &str = "a-password-of-22-characters";

fn ice(generation: u8, remote: Option<&str>) -> Option<IceCredentials> {
    Some(IceCredentials {
        local_ufrag: format!("ours{generation}"),
        local_pwd: pwd(generation),
        remote_ufrag: remote.map(str::to_owned),
    })
}

fn pwd(generation: u8) -> String {
    PWD.replace('-', "/") + &generation.to_string()
}

fn set_ice(leg: u64, ice: Option<IceCredentials>) -> Command {
    Command::SetIce { leg: LegId(leg), ice }
}

/// A check; the defaults are right for the first generation of credentials.
struct Check {
    username: Option<&'static str>,
    pwd: Option<String>,
    role: IceRole,
    nominates: bool,
    unknown: bool,
    class: Class,
}

const fn plain() -> Check {
    Check {
        username: Some("ours1:them"),
        pwd: None,
        role: IceRole::Controlling(7),
        nominates: false,
        unknown: false,
        class: Class::Request,
    }
}

fn nominating() -> Check {
    Check { nominates: true, ..plain() }
}

impl Check {
    fn bytes(&self) -> Vec<u8> {
        let mut room = [0; 300];
        let mut writer = MessageWriter::new(&mut room, self.class, BINDING, TransactionId([9; 12])).expect("room");
        let mut write = || {
            if let Some(username) = self.username {
                writer.username(username)?;
            }
            writer.priority(1)?;
            writer.role(self.role)?;
            if self.nominates {
                writer.use_candidate()?;
            }
            if self.unknown {
                writer.attribute(0x7777, b"?")?;
            }
            if self.pwd.as_deref() != Some("") {
                writer.integrity(&Key::new(self.pwd.clone().unwrap_or_else(|| pwd(1)).as_bytes()))?;
            }
            writer.fingerprint()
        };
        write().expect("there is room");
        let len = writer.finish();
        room[..len].to_vec()
    }
}

/// What was answered, if anything: the error's code, or `None` for success; all of it is as it must be.
#[track_caller]
fn answer(world: &mut World, leg: u64, component: Component, to: SocketAddr, request: &[u8]) -> Option<Option<u16>> {
    let heard: Vec<_> = world.take(leg).into_iter().filter(|heard| heard.bytes[0] < 4).collect();
    let [heard] = &heard[..] else {
        assert!(heard.is_empty(), "more than one answer: {heard:?}");
        return None;
    };
    assert_eq!((heard.component, heard.to), (component, to), "from where it arrived to where it came from");
    let message = Message::parse(&heard.bytes).expect("the answer is a message");
    assert_eq!(message.transaction(), TransactionId([9; 12]));
    let code = message.error_code().map(|error| error.code);
    if matches!(code, Some(400 | 401)) {
        assert!(heard.bytes.len() <= request.len(), "{} bytes for {}", heard.bytes.len(), request.len());
        assert!(!message.has_integrity());
    } else {
        let ours = [1, 2].iter().any(|&number| message.has_integrity_by(&Key::new(pwd(number).as_bytes())));
        assert!(ours, "who answers proves who it is");
    }
    if code.is_none() {
        assert_eq!((message.class(), message.xor_mapped_address()), (Class::Success, Some(to)));
    }
    Some(code)
}

#[track_caller]
fn check(world: &mut World, leg: u64, from: SocketAddr, check: &Check) -> Option<Option<u16>> {
    let bytes = check.bytes();
    world.deliver(leg, Component::Rtp, from, &bytes);
    answer(world, leg, Component::Rtp, from, &bytes)
}

/// Two that talk; the first has ICE.
fn talking() -> World {
    let mut world = World::with_legs([1, 2]);
    world.bridge(1, 2);
    world.must(&[set_ice(1, ice(1, Some("them")))]);
    world
}

const SUCCESS: Option<Option<u16>> = Some(None);

#[test]
fn a_check_is_answered_with_where_it_came_from() {
    let mut world = talking();
    let bytes = plain().bytes();
    for from in [party(1), stranger(3)] {
        assert_eq!(world.deliver(1, Component::Rtp, from, &bytes), Verdict::Consumed);
        assert_eq!(answer(&mut world, 1, Component::Rtp, from, &bytes), SUCCESS);
    }
    let snapshot = world.leg(1);
    let counted = snapshot.ice.expect("the leg has ICE");
    assert_eq!((counted.answered, counted.refused, counted.nominated), (2, 0, false));
    assert_eq!((snapshot.ingress.datagrams, snapshot.ingress.packets), (2, 0));
    assert!(world.leg(2).ice.is_none());
    assert!(!world.leg(1).latched, "nobody was nominated");
    world.assert_balanced();
}

#[test]
fn an_ipv6_party_is_answered_too() {
    let mut world = World::new();
    let (local, from) = ("[2001:db8::1]:30000", "[2001:db8::2]:4000");
    let (local, from) = (local.parse().expect("an address"), from.parse().expect("an address"));
    world.must(&[add(LegSpec { local_rtp: local, remote_rtp: None, ..spec(1) }), set_ice(1, ice(1, None))]);
    assert_eq!(check(&mut world, 1, from, &plain()), SUCCESS);
}

#[test]
fn who_has_not_the_credentials_is_refused_and_changes_nothing() {
    let mut world = talking();
    let wrong = |change: fn(&mut Check)| {
        let mut check = nominating();
        change(&mut check);
        check
    };
    for (what, check, expected) in [
        ("another password", wrong(|check| check.pwd = Some(pwd(2))), Some(Some(401))),
        ("another name of ours", wrong(|check| check.username = Some("ours2:them")), Some(Some(401))),
        ("a name that only begins so", wrong(|check| check.username = Some("ours1x:them")), Some(Some(401))),
        ("no name of theirs", wrong(|check| check.username = Some("ours1")), Some(Some(401))),
        ("no name", wrong(|check| check.username = None), Some(Some(400))),
        ("no integrity", wrong(|check| check.pwd = Some(String::new())), Some(Some(400))),
        // It may be somebody whose answer is on its way: no word.
        ("another name of theirs", wrong(|check| check.username = Some("ours1:other")), None),
    ] {
        let before = world.drops(1, DropReason::IceUnauthorized);
        let bytes = check.bytes();
        let verdict = world.deliver(1, Component::Rtp, stranger(1), &bytes);
        assert_eq!(verdict, dropped(DropReason::IceUnauthorized), "{what}");
        assert_eq!(answer(&mut world, 1, Component::Rtp, stranger(1), &bytes), expected, "{what}");
        assert_eq!(world.drops(1, DropReason::IceUnauthorized), before + 1, "{what}");
    }
    let snapshot = world.leg(1);
    let counted = snapshot.ice.expect("the leg has ICE");
    assert_eq!((counted.answered, counted.refused, counted.nominated), (0, 7, false));
    assert_eq!((snapshot.latched, snapshot.remote_rtp), (false, Some(party(1))));
    assert_eq!(world.events(), []);
    world.assert_balanced();
}

#[test]
fn a_refusal_is_never_longer_than_what_it_answers() {
    let mut world = talking();
    let mut room = [0; 64];
    let writer = MessageWriter::new(&mut room, Class::Request, BINDING, TransactionId([9; 12])).expect("room");
    let len = writer.finish();
    assert_eq!(world.deliver(1, Component::Rtp, stranger(1), &room[..len]), dropped(DropReason::IceUnauthorized));
    assert_eq!(
        answer(&mut world, 1, Component::Rtp, stranger(1), &room[..len]),
        None,
        "a header alone is not answered"
    );
    let mut writer = MessageWriter::new(&mut room, Class::Request, BINDING, TransactionId([9; 12])).expect("room");
    writer.attribute(kind::SOFTWARE, b"twelve bytes").expect("room");
    let len = writer.finish();
    world.deliver(1, Component::Rtp, stranger(1), &room[..len]);
    assert_eq!(answer(&mut world, 1, Component::Rtp, stranger(1), &room[..len]), Some(Some(400)), "without words");
    world.assert_balanced();
}

#[test]
fn mistakes_of_the_party_itself_are_told() {
    let mut world = talking();
    let unknown = Check { unknown: true, ..nominating() };
    let bytes = unknown.bytes();
    assert_eq!(world.deliver(1, Component::Rtp, party(1), &bytes), Verdict::Consumed);
    let heard = world.take(1);
    let message = Message::parse(&heard[0].bytes).expect("it is a message");
    assert_eq!(message.error_code().map(|error| error.code), Some(420));
    assert_eq!(message.attribute(kind::UNKNOWN_ATTRIBUTES), Some(&[0x77, 0x77][..]));
    let conflict = Check { role: IceRole::Controlled(u64::MAX), ..nominating() };
    assert_eq!(check(&mut world, 1, party(1), &conflict), Some(Some(487)), "a lite agent never nominates");
    assert!(!world.leg(1).latched);
    assert_eq!(world.leg(1).ice.map(|ice| (ice.answered, ice.refused)), Some((0, 2)));
    world.assert_balanced();
}

#[test]
fn what_is_no_request_is_not_answered() {
    let mut world = talking();
    let keep_alive = Check { class: Class::Indication, ..plain() }.bytes();
    assert_eq!(world.send(1, &keep_alive), Verdict::Consumed);
    let response = Check { class: Class::Success, ..nominating() }.bytes();
    assert_eq!(world.send(1, &response), dropped(DropReason::UnexpectedProtocol));
    assert_eq!(world.send(1, &[0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42]), dropped(DropReason::Malformed));
    let mut damaged = plain().bytes();
    damaged[30] ^= 1;
    assert_eq!(world.send(1, &damaged), dropped(DropReason::Malformed));
    assert!(world.take(1).is_empty());
    world.assert_balanced();
}

#[test]
fn without_ice_checks_are_nobodys_business() {
    let mut world = World::with_legs([1, 2]);
    let bytes = nominating().bytes();
    assert_eq!(world.send(1, &bytes), dropped(DropReason::UnexpectedProtocol));
    world.must(&[set_ice(1, ice(1, None))]);
    assert_eq!(world.send(1, &bytes), Verdict::Consumed);
    world.must(&[set_ice(1, None)]);
    assert_eq!(world.send(1, &bytes), dropped(DropReason::UnexpectedProtocol));
    assert!(world.leg(1).ice.is_none());
}

#[test]
fn the_nominated_source_is_the_only_one_whatever_the_latch_may_learn() {
    let lax = |mode| latch(mode, false);
    for policy in [
        latch(LatchMode::Heuristic, true),
        latch(LatchMode::Off, true),
        lax(LatchMode::FirstPacket),
        patchcord_relay::command::LatchPolicy { handover: true, asymmetric: true, ..lax(LatchMode::Delayed) },
    ] {
        let mut world = World::new();
        world.must(&[add(LegSpec { latch: policy, ..spec(1) }), add(spec(2))]);
        world.bridge(1, 2);
        world.must(&[set_ice(1, ice(1, None))]);
        assert_eq!(check(&mut world, 1, stranger(1), &nominating()), SUCCESS);
        assert_eq!(world.events(), [Event::Latched { leg: LegId(1), source: stranger(1) }], "{policy:?}");
        let snapshot = world.leg(1);
        assert_eq!((snapshot.latched, snapshot.remote_rtp), (true, Some(stranger(1))), "{policy:?}");

        let mut stream = Stream::of(1);
        for intruder in [party(1), stranger(2)] {
            let packet = stream.clone().packet();
            let verdict = world.deliver(1, Component::Rtp, intruder, &packet);
            assert_eq!(verdict, dropped(DropReason::ForeignSource), "{policy:?}");
        }
        assert!(matches!(world.deliver(1, Component::Rtp, stranger(1), &stream.packet()), Verdict::Forwarded(_)));
        world.send(2, &Stream::of(2).packet());
        assert_eq!(world.take(1).pop().map(|heard| heard.to), Some(stranger(1)), "{policy:?}");
        // Not even a command lets somebody else in who has not the password.
        world.must(&[Command::Relatch { leg: LegId(1), gate: RelatchGate::Packets(1) }]);
        world.pass(500);
        let packet = stream.packet();
        let verdict = world.deliver(1, Component::Rtp, stranger(2), &packet);
        assert_eq!(verdict, dropped(DropReason::ForeignSource), "{policy:?}");
        world.assert_balanced();
    }
}

#[test]
fn a_later_nomination_moves_the_source() {
    let mut world = talking();
    check(&mut world, 1, party(1), &nominating());
    world.forget();
    check(&mut world, 1, party(1), &nominating());
    assert_eq!(world.events(), [], "the same one again is no news");
    check(&mut world, 1, stranger(1), &nominating());
    assert_eq!(world.events(), [Event::Latched { leg: LegId(1), source: stranger(1) }]);
    let mut stream = Stream::of(1);
    let packet = stream.packet();
    assert_eq!(world.send(1, &packet), dropped(DropReason::ForeignSource), "where the party was before");
    assert!(matches!(world.deliver(1, Component::Rtp, stranger(1), &packet), Verdict::Forwarded(_)));
}

#[test]
fn before_any_check_the_latch_holds_and_then_who_has_proved_to_be_the_party() {
    let mut world = talking();
    let mut stream = Stream::of(1);
    let deliver = |world: &mut World, from, stream: &mut Stream| {
        let packet = stream.packet();
        world.deliver(1, Component::Rtp, from, &packet)
    };
    // The latch would follow the first that comes, while nobody comes from the signalled address.
    assert!(matches!(deliver(&mut world, stranger(1), &mut stream), Verdict::Forwarded(_)));
    check(&mut world, 1, stranger(2), &plain());
    assert_eq!(world.leg(1).remote_rtp, Some(stranger(2)), "media goes to the first that has proved to be the party");
    check(&mut world, 1, stranger(3), &plain());
    assert_eq!(world.leg(1).remote_rtp, Some(stranger(2)));
    assert_eq!(deliver(&mut world, stranger(1), &mut stream), dropped(DropReason::ForeignSource));
    assert_eq!(deliver(&mut world, party(1), &mut stream), dropped(DropReason::ForeignSource));
    for valid in [stranger(2), stranger(3)] {
        assert!(matches!(deliver(&mut world, valid, &mut stream), Verdict::Forwarded(_)));
        assert_eq!(world.leg(1).remote_rtp, Some(valid), "media goes to where it comes from");
    }
    assert!(!world.leg(1).latched);
    check(&mut world, 1, stranger(2), &nominating());
    assert_eq!(deliver(&mut world, stranger(3), &mut stream), dropped(DropReason::ForeignSource));
    assert!(matches!(deliver(&mut world, stranger(2), &mut stream), Verdict::Forwarded(_)));
}

#[test]
fn a_stream_that_flows_is_not_cut_by_a_check_from_elsewhere() {
    let mut world = talking();
    let mut stream = Stream::of(1);
    world.talk(1, &mut stream, 3);
    assert!(world.leg(1).latched);
    check(&mut world, 1, stranger(1), &plain());
    let packet = stream.packet();
    assert!(matches!(world.send(1, &packet), Verdict::Forwarded(_)));
    check(&mut world, 1, stranger(1), &nominating());
    let packet = stream.packet();
    assert_eq!(world.send(1, &packet), dropped(DropReason::ForeignSource));
}

#[test]
fn a_restart_keeps_what_was_nominated_until_the_party_nominates_anew() {
    let mut world = talking();
    let mut stream = Stream::of(1);
    let deliver = |world: &mut World, from, stream: &mut Stream| {
        let packet = stream.packet();
        world.deliver(1, Component::Rtp, from, &packet)
    };
    check(&mut world, 1, stranger(1), &nominating());
    world.must(&[set_ice(1, ice(2, Some("anew")))]);
    world.forget();
    assert!(world.leg(1).ice.is_some_and(|ice| !ice.nominated));
    assert!(matches!(deliver(&mut world, stranger(1), &mut stream), Verdict::Forwarded(_)));
    assert_eq!(deliver(&mut world, stranger(2), &mut stream), dropped(DropReason::ForeignSource));
    // The party's consent on the old path is refreshed, but nothing more comes of the old credentials.
    assert_eq!(check(&mut world, 1, stranger(1), &plain()), SUCCESS);
    assert_eq!(check(&mut world, 1, stranger(2), &nominating()), SUCCESS);
    assert_eq!(deliver(&mut world, stranger(2), &mut stream), dropped(DropReason::ForeignSource));
    assert!(!world.events().iter().any(|event| matches!(event, Event::Latched { .. })));

    let anew = |nominates| Check { username: Some("ours2:anew"), pwd: Some(pwd(2)), nominates, ..plain() };
    assert_eq!(check(&mut world, 1, stranger(2), &anew(false)), SUCCESS);
    assert!(
        matches!(deliver(&mut world, stranger(2), &mut stream), Verdict::Forwarded(_)),
        "it has proved to be the party"
    );
    assert!(matches!(deliver(&mut world, stranger(1), &mut stream), Verdict::Forwarded(_)), "and so had this one");
    world.forget();
    assert_eq!(check(&mut world, 1, stranger(2), &anew(true)), SUCCESS);
    assert_eq!(world.events(), [Event::Latched { leg: LegId(1), source: stranger(2) }]);
    assert_eq!(deliver(&mut world, stranger(1), &mut stream), dropped(DropReason::ForeignSource));
    assert_eq!(check(&mut world, 1, stranger(1), &plain()), Some(Some(401)), "the old credentials are gone");
    world.assert_balanced();
}

#[test]
fn the_same_credentials_again_are_no_restart() {
    let mut world = World::with_legs([1, 2]);
    world.must(&[set_ice(1, ice(1, None))]);
    check(&mut world, 1, stranger(1), &nominating());
    world.must(&[set_ice(1, ice(1, Some("them")))]);
    assert!(world.leg(1).ice.is_some_and(|ice| ice.nominated), "who it was is only known by now");
    world.must(&[set_ice(1, ice(1, Some("them")))]);
    assert!(world.leg(1).ice.is_some_and(|ice| ice.nominated));
    world.must(&[set_ice(1, ice(1, Some("other")))]);
    assert!(world.leg(1).ice.is_some_and(|ice| !ice.nominated), "somebody else has answered");
}

#[test]
fn signalling_does_not_move_what_was_nominated_but_the_end_of_ice_does() {
    let mut world = talking();
    check(&mut world, 1, stranger(1), &nominating());
    world.must(&[Command::SetRemote { leg: LegId(1), rtp: stranger(5), rtcp: None }]);
    assert_eq!(world.leg(1).remote_rtp, Some(stranger(1)));
    world.must(&[set_ice(1, None)]);
    let snapshot = world.leg(1);
    assert_eq!((snapshot.latched, snapshot.remote_rtp), (false, Some(stranger(5))));
}

#[test]
fn components_have_sources_of_their_own() {
    let mut world = World::new();
    let rtcp_port = |leg| SocketAddr::new(local(leg).ip(), local(leg).port() + 1);
    let spec = |leg| LegSpec { local_rtcp: Some(rtcp_port(leg)), ..spec(leg) };
    world.must(&[add(spec(1)), add(spec(2))]);
    world.bridge(1, 2);
    world.must(&[set_ice(1, ice(1, None))]);
    let (media, control) = (stranger(1), stranger(2));
    check(&mut world, 1, media, &nominating());
    let bytes = nominating().bytes();
    assert_eq!(world.deliver(1, Component::Rtcp, control, &bytes), Verdict::Consumed);
    assert_eq!(answer(&mut world, 1, Component::Rtcp, control, &bytes), SUCCESS);
    assert_eq!(world.leg(1).remote_rtp, Some(media), "the second component says nothing of the first");

    let (mut first, mut second) = (Stream::of(1), Stream::of(2));
    world.deliver(1, Component::Rtp, media, &first.packet());
    let report = rtcp::sender_report(&first, 1, 160, b"first@example");
    for intruder in [media, party(1), SocketAddr::new(control.ip(), 1), stranger(3)] {
        let verdict = world.deliver(1, Component::Rtcp, intruder, &report);
        assert_eq!(verdict, dropped(DropReason::ForeignSource), "{intruder}");
    }
    assert_eq!(world.deliver(1, Component::Rtcp, control, &report), Verdict::Consumed);
    world.send(2, &second.packet());
    world.forget();
    let report = rtcp::sender_report(&second, 1, 160, b"second@example");
    let from = SocketAddr::new(party(2).ip(), party(2).port() + 1);
    assert_eq!(world.deliver(2, Component::Rtcp, from, &report), Verdict::Consumed);
    let heard = world.rtcp(1);
    assert_eq!(heard.iter().map(|heard| (heard.component, heard.to)).collect::<Vec<_>>(), [(Component::Rtcp, control)]);
    world.assert_balanced();
}

#[test]
fn muxed_rtcp_goes_where_rtp_goes() {
    let mut world = World::new();
    // Signalling has named an address for RTCP that nobody listens on.
    world.must(&[add(LegSpec { remote_rtcp: Some(party(1)), ..spec(1) }), add(spec(2))]);
    world.bridge(1, 2);
    world.must(&[set_ice(1, ice(1, None))]);
    check(&mut world, 1, stranger(1), &nominating());
    let mut second = Stream::of(2);
    world.send(2, &second.packet());
    world.forget();
    world.send(2, &rtcp::sender_report(&second, 1, 160, b"second@example"));
    assert_eq!(world.rtcp(1).pop().map(|heard| heard.to), Some(stranger(1)));
    let report = rtcp::sender_report(&Stream::of(1), 1, 160, b"first@example");
    assert_eq!(world.send(1, &report), dropped(DropReason::ForeignSource));
    assert_eq!(world.deliver(1, Component::Rtp, stranger(1), &report), Verdict::Consumed);
}

#[test]
fn legs_that_are_relayed_unread_have_ice_too() {
    let mut world = World::new();
    let opaque = |leg| LegSpec { relaying: Relaying::Opaque, ..spec(leg) };
    world.must(&[add(opaque(1)), add(opaque(2))]);
    world.bridge(1, 2);
    // Without ICE of the relay's own the parties' checks pass.
    let bytes = nominating().bytes();
    assert!(matches!(world.send(1, &bytes), Verdict::Forwarded(_)));
    assert_eq!(world.take(2).pop().map(|heard| heard.bytes), Some(bytes.clone()));
    world.must(&[set_ice(1, ice(1, Some("them")))]);
    assert_eq!(check(&mut world, 1, stranger(1), &nominating()), SUCCESS);
    assert!(world.take(2).is_empty());
    assert!(matches!(world.deliver(1, Component::Rtp, stranger(1), b"\x80unread"), Verdict::Forwarded(_)));
    for intruder in [party(1), stranger(2)] {
        let verdict = world.deliver(1, Component::Rtp, intruder, b"\x80unread");
        assert_eq!(verdict, dropped(DropReason::ForeignSource));
    }
    // T.38 begins with a sequence number (ITU-T T.38 9.1), as STUN does with zeros.
    assert!(matches!(world.deliver(1, Component::Rtp, stranger(1), &[0, 1, 2, 0, 0, 0]), Verdict::Forwarded(_)));
    world.assert_balanced();
}

#[test]
fn credentials_that_no_sdp_can_carry_are_refused() {
    let mut world = World::with_legs([1]);
    let right = ice(1, Some("them")).expect("some");
    for wrong in [
        IceCredentials { local_ufrag: "abc".into(), ..right.clone() },
        IceCredentials { local_ufrag: "ab cd".into(), ..right.clone() },
        IceCredentials { local_pwd: "x".repeat(21), ..right.clone() },
        IceCredentials { local_pwd: "x".repeat(257), ..right.clone() },
        IceCredentials { remote_ufrag: Some("a bc".into()), ..right.clone() },
    ] {
        let (index, refusal) = world.refused(&[set_ice(1, Some(wrong))]);
        assert!(index == 0 && matches!(refusal, Refusal::BadIce { leg: LegId(1), .. }), "{refusal:?}");
    }
    assert!(matches!(world.refused(&[set_ice(9, Some(right.clone()))]), (0, Refusal::UnknownLeg(LegId(9)))));
    assert!(!format!("{:?}", set_ice(1, Some(right))).contains(&pwd(1)), "a password is shown to nobody");
}

#[test]
fn a_removed_leg_takes_its_answers_with_it() {
    let mut world = talking();
    check(&mut world, 1, stranger(1), &nominating());
    world.must(&[Command::RemoveLeg { leg: LegId(1) }]);
    world.must(&[add(spec(3))]);
    assert_eq!(world.send(3, &nominating().bytes()), dropped(DropReason::UnexpectedProtocol));
    assert_eq!(world.leg(3).remote_rtp, Some(party(3)));
}
