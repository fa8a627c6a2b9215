//! Calls that nothing happens to, and somebody who wants to listen in or talk.

use patchcord_tests::sip::Media;
use patchcord_tests::{free_port, free_ports};

use crate::stage::{IPS, Stage, media_of, must_talk};

#[test]
fn a_call_is_heard_both_ways_and_leaves_nothing_behind() {
    let stage = Stage::new();
    let (mut caller, mut callee) = stage.talking();
    for _ in 0..5 {
        must_talk(&mut caller, &mut callee);
    }
    let call = stage.call(caller.call.id());
    let parties: Vec<_> = call["parties"].as_array().unwrap().iter().map(|party| party.as_str().unwrap()).collect();
    assert_eq!(parties.len(), 2, "both go by their tags: {parties:?}");
    assert!(parties[0].starts_with("caller") && parties[1].starts_with("callee"), "{parties:?}");
    callee.phone.request(&mut callee.call, "BYE", "", "");
    let _bye = caller.phone.must_take("BYE");
    stage.must_be_idle();
}

#[test]
fn an_intruder_gets_nothing_through_before_the_parties_have_spoken_or_after() {
    let stage = Stage::new();
    let (mut caller, mut callee) = stage.talking();
    let mut intruder = Media::bind(IPS[2]);
    for _ in 0..20 {
        intruder.send(caller.relay);
        intruder.send(callee.relay);
    }
    must_talk(&mut caller, &mut callee);
    caller.phone.media.must_not_hear(&intruder);
    callee.phone.media.must_not_hear(&intruder);
    callee.phone.media.forget();
    for _ in 0..20 {
        intruder.send(caller.relay);
        intruder.send(callee.relay);
        must_talk(&mut caller, &mut callee);
    }
    caller.phone.media.must_not_hear(&intruder);
    callee.phone.media.must_not_hear(&intruder);
    caller.say();
    callee.say();
    intruder.must_not_hear(&caller.phone.media);
    intruder.must_not_hear(&callee.phone.media);
    let call = stage.call(caller.call.id());
    for leg in call["legs"].as_array().unwrap() {
        assert_eq!(leg["drops"]["foreign_source"].as_u64(), Some(40), "{call}");
    }
}

#[test]
fn fifty_calls_at_a_time_do_not_mix() {
    let (ng, ports) = (free_port(), free_ports(400).to_string());
    let stage = Stage::with(ng, ng, &["--ports", &ports]);
    let mut calls: Vec<_> = (0..50).map(|_| stage.talking()).collect();
    assert_eq!(stage.calls().len(), 50);
    for (caller, callee) in &mut calls {
        must_talk(caller, callee);
    }
    for (caller, callee) in &mut calls {
        caller.say();
        callee.say();
    }
    for (caller, callee) in &calls {
        caller.phone.media.must_hear(&callee.phone.media);
        callee.phone.media.must_hear(&caller.phone.media);
    }
    for (mut caller, callee) in calls {
        caller.phone.request(&mut caller.call, "BYE", "", "");
        let _bye = callee.phone.must_take("BYE");
    }
    stage.must_be_idle();
}

#[test]
fn an_offer_may_come_late() {
    let stage = Stage::new();
    let mut caller = stage.phone("caller", IPS[0]);
    let mut callee = stage.phone("callee", IPS[1]);
    let mut out = caller.invite(&callee.uri(), "", "");
    let (inbound, nothing) = callee.ring();
    assert_eq!(nothing, "");
    callee.respond(&inbound, "200 OK", &callee.media.sdp(""));
    // The offer comes with the 200, the answer goes with the ACK.
    let offer = caller.must_get(&mut out, 200, None);
    let sdp = caller.media.sdp("");
    caller.acknowledge(&out, 200, &sdp);
    let answer = callee.must_take("ACK").body;
    let (to_caller, to_callee) = (media_of(&offer), media_of(&answer));
    caller.media.send(to_caller);
    callee.media.must_hear(&caller.media);
    callee.media.send(to_callee);
    caller.media.must_hear(&callee.media);
}
