//! Transfers as the signalling sees them: a REFER that the proxy passes, and the native swap under a proxy's call.

use serde_json::json;

use crate::stage::{IPS, Stage, Talker, media_of, must_talk};

/// RFC 5589 6.1: the transferor refers the transferee to the target; the transferee calls it, which for the proxy and the
/// relay is another call; the first one ends.
#[test]
fn a_refer_through_the_proxy_moves_the_call() {
    let stage = Stage::new();
    let (mut transferee, mut transferor) = stage.talking();
    must_talk(&mut transferee, &mut transferor);
    let target = stage.phone("target", IPS[2]);
    let first = transferee.call.id().to_owned();

    transferor.phone.request(&mut transferor.call, "REFER", "", &format!("Refer-To: <{}>\r\n", target.uri()));
    let refer = transferee.phone.must_take_with("REFER", "202 Accepted");
    let referred_to = refer.uri("Refer-To").unwrap().to_owned();
    assert_eq!(referred_to, target.uri());
    let mut out = transferee.phone.invite(&referred_to, &transferee.phone.media.sdp(""), "");
    let (inbound, offer) = target.ring();
    target.respond(&inbound, "200 OK", &target.media.sdp(""));
    let answer = transferee.phone.must_get(&mut out, 200, Some(""));
    let _ack = target.must_take("ACK");
    transferor.phone.request(&mut transferor.call, "BYE", "", "");
    let _bye = transferee.phone.must_take("BYE");

    let mut transferee = Talker { call: out, phone: transferee.phone, relay: media_of(&answer) };
    let mut target = Talker { call: inbound, phone: target, relay: media_of(&offer) };
    for _ in 0..3 {
        must_talk(&mut transferee, &mut target);
    }
    patchcord_tests::eventually("the first call is gone", || (!stage.calls().contains(&first)).then_some(()));
    assert_eq!(stage.calls(), [target.call.id().to_owned()]);
}

/// The transferee's telephone hears nothing of the transfer: one stream, the next number, no re-INVITE.
#[test]
fn the_native_swap_moves_a_proxys_call() {
    let stage = Stage::new();
    let (mut transferee, mut transferor) = stage.talking();
    must_talk(&mut transferee, &mut transferor);
    transferor.say();
    let before = transferee.phone.media.must_hear(&transferor.phone.media);
    let call = transferee.call.id().to_owned();
    let state = stage.call(&call);
    let (survivor, old) = (state["parties"][0].clone(), state["parties"][1].clone());
    let mut target = stage.phone("target", IPS[2]);
    let created = stage.relay.client().command(
        &call,
        json!({"command": "leg-create", "party": "target", "remote": target.media.address().to_string(), "codecs": ["PCMU"]}),
    );
    let local = created[0]["local"].as_str().unwrap().parse().unwrap();
    stage.relay.client().command(&call, json!({"command": "swap", "survivor": survivor, "old": old, "new": "target"}));
    target.media.send(local);
    let after = transferee.phone.media.must_hear(&target.media);
    assert_eq!((after.ssrc, after.sequence.0), (before.ssrc, before.sequence.0.wrapping_add(1)));
    transferee.say();
    target.media.must_hear(&transferee.phone.media);

    // A session refresh by the proxy's own parties undoes nothing.
    let (offer, answer) = (transferee.phone.media.sdp(""), transferor.phone.media.sdp(""));
    transferee.phone.request(&mut transferee.call, "INVITE", &offer, "");
    let _offer = transferor.phone.reinvited(&mut transferor.call);
    transferor.phone.respond(&transferor.call, "200 OK", &answer);
    let _answer = transferee.phone.must_get(&mut transferee.call, 200, Some(""));
    target.media.send(local);
    transferee.phone.media.must_hear(&target.media);
    transferee.say();
    target.media.must_hear(&transferee.phone.media);
}
