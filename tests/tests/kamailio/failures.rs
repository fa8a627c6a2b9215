//! Calls that come to nothing leave no port behind.

use crate::stage::{IPS, Stage};

#[test]
fn cancel_while_it_rings() {
    let stage = Stage::new();
    let (caller, callee) = (stage.phone("caller", IPS[0]), stage.phone("callee", IPS[1]));
    let mut out = caller.invite(&callee.uri(), &caller.media.sdp(""), "");
    let (inbound, _offer) = callee.ring();
    callee.respond(&inbound, "180 Ringing", "");
    let _ringing = caller.must_get(&mut out, 180, None);
    assert_eq!(stage.calls().len(), 1);
    caller.cancel(&out);
    let _cancel = callee.must_take("CANCEL");
    callee.respond(&inbound, "487 Request Terminated", "");
    let _terminated = caller.must_get(&mut out, 487, Some(""));
    stage.must_be_idle();
}

#[test]
fn failures_of_every_kind() {
    let stage = Stage::new();
    for (code, status) in
        [(404, "404 Not Found"), (486, "486 Busy Here"), (503, "503 Service Unavailable"), (603, "603 Decline")]
    {
        let (caller, callee) = (stage.phone("caller", IPS[0]), stage.phone("callee", IPS[1]));
        let mut out = caller.invite(&callee.uri(), &caller.media.sdp(""), "");
        let (inbound, _offer) = callee.ring();
        assert_eq!(stage.calls().len(), 1);
        callee.respond(&inbound, status, "");
        // RFC 3261 16.7 has a proxy answer 500 for a 503.
        let told = if code == 503 { 500 } else { code };
        let _failure = caller.must_get(&mut out, told, Some(""));
        stage.must_be_idle();
    }
}
