//! Transfers between real telephones: for the relay the call that a REFER brings about is another one.

use patchcord_tests::sip::{Baresip, Linphone, Switch};
use patchcord_tests::{eventually, voices};

use crate::support::{CALLEE, CALLER, LOOPBACK, TALK, TARGET};

/// RFC 5589 6.1: the agent refers the transferee to `to`, where the target is, and leaves. `examine` sees both calls, each with the
/// party that the transferee talks with.
pub(crate) fn transfer_blindly(switch: &Switch, phones: [Baresip; 3], to: &str, examine: impl Fn(&str, &str)) {
    let [mut transferee, mut agent, mut target] = phones;
    transferee.call(&mut agent);
    let first = switch.only_call();
    switch.wait_for_talk(&first, TALK);
    examine("agent", &first);

    agent.command("transfer", to);
    for phone in [&mut transferee, &mut target] {
        phone.wait_for("CALL_ESTABLISHED");
    }
    agent.wait_for("CALL_CLOSED");
    eventually("the first call is gone", || (!switch.calls().contains(&first)).then_some(()));
    let second = switch.only_call();
    switch.wait_for_talk(&second, TALK);
    examine("target", &second);

    target.command("hangup", "");
    transferee.wait_for("CALL_CLOSED");
    switch.must_be_idle();
    let heard = transferee.put_down();
    assert_eq!(heard.len(), 2, "two calls, one after the other");
    voices::must_be_heard(&heard[0], &["agent"]);
    voices::must_be_heard(&heard[1], &["target"]);
    for phone in [agent, target] {
        let heard = phone.put_down();
        assert_eq!(heard.len(), 1);
        voices::must_be_heard(&heard[0], &["transferee"]);
    }
}

#[test]
fn a_blind_transfer_by_baresip() {
    let switch = Switch::start(&[]);
    let proxy = switch.kamailio.address();
    let phones = ["transferee", "agent", "target"].map(|name| Baresip::start(name, LOOPBACK, proxy));
    let to = phones[2].uri();
    transfer_blindly(&switch, phones, &to, |_, _| ());
}

/// RFC 5589 7: the agent holds the transferee, talks with the target, and refers the transferee to it with Replaces (RFC
/// 3891): the target's telephone puts the transferee's call in the place of the agent's.
#[test]
fn an_attended_transfer_by_linphone() {
    let switch = Switch::start(&[]);
    let proxy = switch.kamailio.address();
    let mut transferee = Linphone::start("transferee", CALLER, proxy);
    let mut agent = Linphone::start("agent", CALLEE, proxy);
    let mut target = Linphone::start("target", TARGET, proxy);
    for user in ["transferee", "agent", "target"] {
        switch.kamailio.wait_for_registration(user);
    }
    transferee.say(&format!("call {}", agent.uri()));
    for phone in [&mut transferee, &mut agent] {
        phone.wait_for("Media streams established");
    }
    let first = switch.only_call();
    switch.wait_for_talk(&first, TALK);

    agent.say("pause");
    agent.wait_for("is now paused");
    agent.say(&format!("call {}", target.uri()));
    for phone in [&mut agent, &mut target] {
        phone.wait_for("Media streams established");
    }
    let calls = switch.calls();
    assert_eq!(calls.len(), 2, "{calls:?}");
    let second = calls.into_iter().find(|call| *call != first).unwrap();
    switch.wait_for_talk(&second, TALK);

    agent.say("transfer 1 --to-call 2");
    agent.wait_for("has been transfered");
    for phone in [&mut transferee, &mut target] {
        phone.wait_for("Media streams established");
    }
    eventually("both of the agent's calls are gone", || {
        let calls = switch.calls();
        (!calls.contains(&first) && !calls.contains(&second)).then_some(())
    });
    let third = switch.only_call();
    switch.wait_for_talk(&third, TALK);
    agent.say("calls");
    agent.wait_for("No active call");

    target.say("terminate");
    transferee.wait_for("Call 2 with");
    switch.must_be_idle();
    // The agent's telephone plays its file to whom it holds. One recording has all that a telephone heard.
    voices::must_be_heard_in_order(&transferee.put_down(), &["agent", "target"]);
    voices::must_be_heard_in_order(&target.put_down(), &["agent", "transferee"]);
    voices::must_be_heard_in_order(&agent.put_down(), &["transferee", "target"]);
}
