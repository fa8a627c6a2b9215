//! Two telephones of one user ring.

use patchcord_tests::sip::{Baresip, Switch};
use patchcord_tests::voices;

use crate::support::{LOOPBACK, TALK};

/// The proxy cancels the one that is slower: its 487 ends its branch and nothing else.
#[test]
fn the_telephone_that_is_picked_up_gets_the_call() {
    let switch = Switch::start(&[]);
    let proxy = switch.kamailio.address();
    let mut transferee = Baresip::start("transferee", LOOPBACK, proxy);
    // Both have registered for the same user.
    let mut desk = Baresip::start_that_rings("agent", LOOPBACK, proxy);
    let mut mobile = Baresip::start_that_rings("agent", LOOPBACK, proxy);
    transferee.command("dial", &desk.uri());
    for phone in [&mut desk, &mut mobile] {
        phone.wait_for("CALL_INCOMING");
    }
    let call = switch.only_call();
    switch.relay.client().wait_for_parties(&call, 3);
    mobile.command("accept", "");
    for phone in [&mut transferee, &mut mobile] {
        phone.wait_for("CALL_ESTABLISHED");
    }
    desk.wait_for("CALL_CLOSED");
    switch.relay.client().wait_for_parties(&call, 2);
    switch.wait_for_talk(&call, TALK);
    transferee.command("hangup", "");
    mobile.wait_for("CALL_CLOSED");
    switch.must_be_idle();
    voices::must_be_heard(&transferee.put_down()[0], &["agent"]);
    voices::must_be_heard(&mobile.put_down()[0], &["transferee"]);
    assert_eq!(desk.put_down().len(), 0, "it was never in a call");
}
