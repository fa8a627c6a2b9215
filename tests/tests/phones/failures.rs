//! Calls that come to nothing leave no port behind.

use patchcord_tests::sip::Switch;

use crate::support::sipp;

#[test]
fn ten_callers_give_up_while_it_rings() {
    let switch = Switch::start(&[]);
    let (mut caller, callee) = sipp(&switch, 10, "caller-cancels", "callee-rings");
    let calls = caller.wait_for("hears it ring");
    assert_eq!(switch.calls().len(), 10);
    for call in &calls {
        caller.cue(call);
    }
    // It has had its 487.
    caller.must_succeed();
    callee.must_succeed();
    switch.must_be_idle();
}

#[test]
fn ten_callees_are_busy() {
    let switch = Switch::start(&[]);
    let mut events = switch.relay.events();
    let (caller, callee) = sipp(&switch, 10, "caller-finds-it-busy", "callee-is-busy");
    for _ in 0..10 {
        events.wait_for("call-created", patchcord_tests::PATIENCE);
    }
    caller.must_succeed();
    callee.must_succeed();
    switch.must_be_idle();
}
