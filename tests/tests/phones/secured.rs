//! Telephones that speak SRTP with telephones that do not: the relay is an end of SRTP towards the one, and speaks RTP with the
//! other.

use patchcord_tests::sip::Keying::{Dtls, None, Sdes};
use patchcord_tests::sip::{Baresip, Keying, Linphone, Switch};
use patchcord_tests::{eventually, voices};
use serde_json::Value;

use crate::support::{CALLEE, CALLER, LOOPBACK, TALK};
use crate::transfers::transfer_blindly;

/// baresip 1.0 offers the one, and takes the other of those that the relay offers: its first.
const SUITES: [&str; 2] = ["AES_CM_128_HMAC_SHA1_80", "AEAD_AES_256_GCM"];

fn start(name: &'static str, keying: Keying, switch: &Switch) -> Baresip {
    Baresip::start_keyed(name, LOOPBACK, switch.kamailio.address(), keying)
}

/// The caller's leg and the callee's are as they should be: SRTP in both directions with keys that work, or none.
fn must_be_keyed(switch: &Switch, call: &str, keyings: [Keying; 2]) {
    let state = switch.call(call);
    let legs = state["legs"].as_array().unwrap();
    assert_eq!(legs.len(), 2, "{state}");
    for ((party, keying), suite) in state["parties"].as_array().unwrap().iter().zip(keyings).zip(SUITES) {
        let leg = legs.iter().find(|leg| leg["party"] == *party).unwrap();
        let suites = [&leg["srtp"]["receive"]["suite"], &leg["srtp"]["send"]["suite"]];
        match keying {
            None => assert_eq!(leg["srtp"], Value::Null, "{leg}"),
            Sdes => assert_eq!(suites, [suite; 2], "{leg}"),
            Dtls => assert!(suites.iter().all(|suite| suite.is_string()), "{leg}"),
        }
        // What comes before its answer does not count, nor baresip's first RTCP packet, which is in the clear.
        for reason in ["srtp_unauthentic", "srtp_replayed"] {
            assert_eq!(leg["drops"][reason], Value::Null, "{state}");
        }
    }
}

/// A call between two, and what both hear of it.
fn must_hear_each_other(arguments: &[&str], keyings: [Keying; 2], examine: impl FnOnce(&Switch, &str)) {
    let switch = Switch::start(arguments);
    let mut caller = start("transferee", keyings[0], &switch);
    let mut callee = start("agent", keyings[1], &switch);
    caller.call(&mut callee);
    let call = switch.only_call();
    switch.wait_for_talk(&call, TALK);
    examine(&switch, &call);
    caller.command("hangup", "");
    callee.wait_for("CALL_CLOSED");
    switch.must_be_idle();
    for (phone, other) in [(caller, "agent"), (callee, "transferee")] {
        let recordings = phone.put_down();
        assert_eq!(recordings.len(), 1, "one call");
        voices::must_be_heard(&recordings[0], &[other]);
    }
}

#[test]
fn baresip_with_srtp_and_baresip_without_hear_each_other() {
    for keyings in [[Sdes, None], [None, Sdes], [Sdes, Sdes]] {
        must_hear_each_other(&[], keyings, |switch, call| {
            switch.must_have_relayed_everything(call);
            must_be_keyed(switch, call, keyings);
        });
    }
}

/// baresip 1.0 has a certificate with an RSA key and no other, so that the relay needs OpenSSL for it.
#[cfg(feature = "openssl")]
#[test]
fn baresip_with_dtls_hears_who_has_it_and_who_has_not() {
    for keyings in [[Dtls, None], [None, Dtls], [Dtls, Sdes], [Sdes, Dtls], [Dtls, Dtls]] {
        must_hear_each_other(&["--set", "dtls.library=openssl"], keyings, |switch, call| {
            must_be_keyed(switch, call, keyings);
        });
    }
}

/// Without OpenSSL there are no keys, and whoever reads the log learns why. baresip hangs up then.
#[test]
fn a_certificate_that_the_relay_cannot_check_is_named() {
    let switch = Switch::start(&[]);
    let mut caller = start("transferee", None, &switch);
    // It begins the handshake, and would have to show its certificate.
    let mut callee = start("agent", Dtls, &switch);
    // The handshake can fail before the call is established, which then never is.
    caller.command("dial", &callee.uri_with_profile());
    eventually("the relay says why", || {
        let said = switch.relay.stderr();
        said.lines().any(|line| line.contains("no DTLS") && line.contains("RSA")).then_some(())
    });
    callee.wait_for("CALL_CLOSED");
    switch.must_be_idle();
}

/// Either side holds and resumes: its re-INVITE says nothing of what the other side must be offered, which stays as it was.
#[test]
fn a_hold_keeps_what_is_secured() {
    let switch = Switch::start(&[]);
    let mut caller = start("transferee", Sdes, &switch);
    let mut callee = start("agent", None, &switch);
    caller.call(&mut callee);
    let call = switch.only_call();
    switch.wait_for_talk(&call, TALK);
    let parties = switch.call(&call)["parties"].clone();
    let client = switch.relay.client();
    for (index, phone) in [&mut caller, &mut callee].into_iter().enumerate() {
        let party = parties[index].as_str().unwrap();
        phone.command("hold", "");
        client.wait_for_leg(&call, party, "the hold", |leg| leg["direction"] == "sendonly");
        phone.command("resume", "");
        client.wait_for_leg(&call, party, "the end of the hold", |leg| leg["direction"] == "sendrecv");
        switch.wait_for_talk(&call, TALK);
        must_be_keyed(&switch, &call, [Sdes, None]);
    }
    callee.command("hangup", "");
    caller.wait_for("CALL_CLOSED");
    switch.must_be_idle();
    // baresip 1.0 stops recording when a call is held: this is what was heard until then.
    for (phone, other) in [(caller, "agent"), (callee, "transferee")] {
        voices::must_be_heard(&phone.put_down()[0], &[other]);
    }
}

/// The transferee goes from a telephone without SRTP to one with it, or the other way round.
#[test]
fn a_blind_transfer_may_lead_to_srtp_or_out_of_it() {
    for [transferee_is, agent_is, target_is] in [[None, None, Sdes], [Sdes, Sdes, None], [Sdes, None, Sdes]] {
        let switch = Switch::start(&[]);
        let phones = [("transferee", transferee_is), ("agent", agent_is), ("target", target_is)];
        let phones = phones.map(|(name, keying)| start(name, keying, &switch));
        let to = phones[2].uri_with_profile();
        transfer_blindly(&switch, phones, &to, |with, call| {
            let other_is = if with == "agent" { agent_is } else { target_is };
            must_be_keyed(&switch, call, [transferee_is, other_is]);
        });
    }
}

#[test]
fn linphone_with_srtp_and_linphone_without_hear_each_other() {
    let switch = Switch::start(&[]);
    let proxy = switch.kamailio.address();
    let mut caller = Linphone::start("transferee", CALLER, proxy);
    let mut callee = Linphone::start_secured("agent", CALLEE, proxy);
    for user in ["transferee", "agent"] {
        switch.kamailio.wait_for_registration(user);
    }
    caller.say(&format!("call {};media=RTP/SAVP", callee.uri()));
    for phone in [&mut caller, &mut callee] {
        phone.wait_for("Media streams established");
    }
    let call = switch.only_call();
    switch.wait_for_talk(&call, TALK);
    let state = switch.call(&call);
    let of =
        |party: usize| state["legs"].as_array().unwrap().iter().find(|leg| leg["party"] == state["parties"][party]);
    assert_eq!(of(0).unwrap()["srtp"], Value::Null, "{state}");
    for direction in ["receive", "send"] {
        assert_eq!(of(1).unwrap()["srtp"][direction]["ssrcs"], 1, "{state}");
    }
    caller.say("terminate");
    callee.wait_for("Call 1 with");
    switch.must_be_idle();
    voices::must_be_heard_in_order(&caller.put_down(), &["agent"]);
    voices::must_be_heard_in_order(&callee.put_down(), &["transferee"]);
}
