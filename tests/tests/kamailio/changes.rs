//! Calls that change: hold and resume, another port, another address family.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::stage::{IPS, Stage, Talker, media_of, must_talk, other_media};

/// One side sends a re-INVITE, the other answers it.
fn reinvite(one: &mut Talker, other: &mut Talker, offer: &str, answer: &str) {
    one.phone.request(&mut one.call, "INVITE", offer, "");
    let offered = other.phone.reinvited(&mut other.call);
    other.phone.respond(&other.call, "200 OK", answer);
    let answered = one.phone.must_get(&mut one.call, 200, Some(""));
    let _ack = other.phone.must_take("ACK");
    let ports = (media_of(&answered).port(), media_of(&offered).port());
    assert_eq!(ports, (one.relay.port(), other.relay.port()), "the relay's ports stay");
}

#[test]
fn hold_by_direction_silences_the_held_side_and_resume_brings_it_back() {
    let stage = Stage::new();
    let (mut caller, mut callee) = stage.talking();
    must_talk(&mut caller, &mut callee);
    let (offer, answer) = (caller.phone.media.sdp("a=sendonly\r\n"), callee.phone.media.sdp("a=recvonly\r\n"));
    reinvite(&mut caller, &mut callee, &offer, &answer);
    // The one who holds may play music; of the other nothing is heard.
    caller.say();
    callee.phone.media.must_hear(&caller.phone.media);
    callee.say();
    caller.phone.media.must_not_hear(&callee.phone.media);
    let (offer, answer) = (caller.phone.media.sdp("a=inactive\r\n"), callee.phone.media.sdp("a=inactive\r\n"));
    reinvite(&mut caller, &mut callee, &offer, &answer);
    caller.say();
    callee.phone.media.must_not_hear(&caller.phone.media);
    // The held side may resume as well.
    let (offer, answer) = (callee.phone.media.sdp("a=sendrecv\r\n"), caller.phone.media.sdp(""));
    reinvite(&mut callee, &mut caller, &offer, &answer);
    for _ in 0..3 {
        must_talk(&mut caller, &mut callee);
    }
}

#[test]
fn hold_by_the_zero_address_is_undone_by_the_address_of_before() {
    let stage = Stage::new();
    let (mut caller, mut callee) = stage.talking();
    must_talk(&mut caller, &mut callee);
    let zero = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    caller.phone.request(&mut caller.call, "INVITE", &caller.phone.media.sdp_at(zero, ""), "");
    let offered = callee.phone.reinvited(&mut callee.call);
    assert!(offered.contains("c=IN IP4 0.0.0.0"), "it is passed on: {offered}");
    callee.phone.respond(&callee.call, "200 OK", &callee.phone.media.sdp("a=recvonly\r\n"));
    let _answer = caller.phone.must_get(&mut caller.call, 200, Some(""));
    let _ack = callee.phone.must_take("ACK");
    callee.say();
    caller.phone.media.must_not_hear(&callee.phone.media);
    let (offer, answer) = (caller.phone.media.sdp(""), callee.phone.media.sdp(""));
    reinvite(&mut caller, &mut callee, &offer, &answer);
    for _ in 0..3 {
        must_talk(&mut caller, &mut callee);
    }
}

#[test]
fn a_telephone_that_moves_to_another_port_goes_on_as_one_stream() {
    let stage = Stage::new();
    let (mut caller, mut callee) = stage.talking();
    must_talk(&mut caller, &mut callee);
    caller.say();
    let before = callee.phone.media.must_hear(&caller.phone.media);
    caller.phone.media = other_media(&caller.phone);
    let (offer, answer) = (caller.phone.media.sdp(""), callee.phone.media.sdp(""));
    reinvite(&mut caller, &mut callee, &offer, &answer);
    caller.say();
    let after = callee.phone.media.must_hear(&caller.phone.media);
    assert_eq!(after.ssrc, before.ssrc, "one SSRC for life");
    assert_eq!(after.sequence.0, before.sequence.0.wrapping_add(1), "and the next number");
    must_talk(&mut caller, &mut callee);
}

#[test]
fn ipv4_talks_with_ipv6() {
    let ng = patchcord_tests::free_port();
    let interfaces = ["--interface", "127.0.0.1", "--interface", "::1"];
    let stage = Stage::with(ng, ng, &interfaces);
    let caller = stage.phone("caller", IPS[0]);
    let callee = stage.phone("callee", IpAddr::V6(Ipv6Addr::LOCALHOST));
    let mut out = caller.invite(&callee.uri(), &caller.media.sdp(""), "X-Media: address-family=IP6\r\n");
    let (inbound, offer) = callee.ring();
    callee.respond(&inbound, "200 OK", &callee.media.sdp(""));
    let answer = caller.must_get(&mut out, 200, Some(""));
    let (mut one, mut other) = (
        Talker { call: out, phone: caller, relay: media_of(&answer) },
        Talker { call: inbound, phone: callee, relay: media_of(&offer) },
    );
    assert!(one.relay.is_ipv4() && other.relay.is_ipv6(), "{} {}", one.relay, other.relay);
    must_talk(&mut one, &mut other);
}
