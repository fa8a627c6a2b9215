//! Two telephones ring, one is answered: the other one's 487 is none of its business.

use crate::stage::{IPS, Stage, Talker, media_of, must_talk};

#[test]
fn the_losers_487_leaves_the_winner_alone() {
    let stage = Stage::new();
    let caller = stage.phone("caller", IPS[0]);
    let (desk, mobile) = (stage.phone("desk", IPS[1]), stage.phone("mobile", IPS[2]));
    let telephones = format!("X-Telephones: {},{}\r\n", desk.uri(), mobile.uri());
    let mut out = caller.invite("sip:fork@127.0.0.1", &caller.media.sdp(""), &telephones);
    let (at_desk, desk_offer) = desk.ring();
    let (at_mobile, mobile_offer) = mobile.ring();
    assert_ne!(media_of(&desk_offer), media_of(&mobile_offer), "each branch has ports of its own");
    desk.respond(&at_desk, "180 Ringing", "");
    mobile.respond(&at_mobile, "180 Ringing", "");
    for _ in [&desk, &mobile] {
        // A proxy has several processes: it cancels only whom it knows to ring (RFC 3261 9.1).
        let _ringing = caller.must_get(&mut out, 180, None);
    }
    mobile.respond(&at_mobile, "200 OK", &mobile.media.sdp(""));
    let answer = caller.must_get(&mut out, 200, Some(""));
    let _cancel = desk.must_take("CANCEL");
    desk.respond(&at_desk, "487 Request Terminated", "");
    let _ack = desk.must_take("ACK");
    let call = out.id().to_owned();
    let mut one = Talker { call: out, phone: caller, relay: media_of(&answer) };
    let mut other = Talker { call: at_mobile, phone: mobile, relay: media_of(&mobile_offer) };
    for _ in 0..3 {
        must_talk(&mut one, &mut other);
    }
    stage.relay.client().wait_for_parties(&call, 2);
    must_talk(&mut one, &mut other);
    one.phone.request(&mut one.call, "BYE", "", "");
    let _bye = other.phone.must_take("BYE");
    stage.must_be_idle();
}
