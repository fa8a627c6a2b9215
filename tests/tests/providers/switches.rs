//! Asterisk and FreeSWITCH where the agent is a dial plan of theirs. Each imitates what their source sends and is not the switch.

use serde_json::json;

use crate::scene::{
    Incoming, failure, finish, must_be_explained, must_be_refused, must_be_told, part, refer, stage, talking,
};

/// Imitates Asterisk; it is not Asterisk. `Transfer()` puts its argument into Refer-To as it is, and its own From or To into Referred-By.
#[test]
fn asterisk_refers_with_its_argument_as_it_is() {
    let mut stage = stage("asterisk");
    let (caller, mut agent, _) = talking(&mut stage, &Incoming { formats: "0 8 101", ..Incoming::default() });
    let referred_by = "\"Agent\" <sip:agent@198.51.100.20>";
    refer(
        &stage,
        &mut agent,
        &format!(
            "Refer-To: sip:+15550199@carrier.example\r\nReferred-By: {referred_by}\r\nSupported: replaces, norefersub\r\n"
        ),
    );
    let (inbound, offer) = stage.target.ring();
    assert_eq!(inbound.invite().header("Referred-By"), Some(referred_by));
    stage.target_answers(&inbound, &offer);
    must_be_told(&stage, "200 OK", "terminated");
    stage.agent.bye(&mut agent.call);
    finish(&mut stage, caller);
}

/// Imitates Asterisk; it is not Asterisk. It takes sip: and sips: in a Refer-To and answers 400 to tel:.
#[test]
fn asterisk_takes_no_tel() {
    let mut stage = stage("asterisk");
    let (mut caller, _agent, _) = talking(&mut stage, &Incoming::default());
    let body = json!({"id": "1", "call": caller.call.id(), "targets": ["tel:+15550199"], "method": "refer", "transferee": "agent"});
    let answer = stage.relay.client().request("POST", "/v1/transfers", &body.to_string());
    assert_eq!(answer.status, 202, "{}", answer.body);
    let referred = stage.agent.must_take_with("REFER", "400 Bad Request");
    assert!(referred.header("Refer-To").unwrap().contains("tel:+15550199"), "{:?}", referred.header("Refer-To"));
    let failure = failure(&stage);
    assert_eq!(failure["code"], 400);
    must_be_explained("asterisk", &failure, "the carrier wants another form of Refer-To");
    part(&mut stage, &mut caller);
}

/// Imitates FreeSWITCH; it is not FreeSWITCH. `deflect` with a number alone puts FreeSWITCH's own address behind it, and its Contact into
/// Referred-By; after the last NOTIFY it ends the call. A `deflect` to another domain is refused by the pivot.
#[test]
fn freeswitch_names_itself_and_hangs_up() {
    let mut stage = stage("freeswitch");
    let (caller, mut agent, _) = talking(&mut stage, &Incoming { formats: "0 8 101", ..Incoming::default() });
    must_be_refused(&stage, &mut agent, "Refer-To: sip:someone@elsewhere.example\r\n", 403);
    must_be_explained("freeswitch", &failure(&stage), "the domain is not on the trunk's list of allowed domains");
    let at = stage.agent.address();
    refer(&stage, &mut agent, &format!("Refer-To: sip:+15550199@{}\r\nReferred-By: <sip:mod_sofia@{at}>\r\n", at.ip()));
    let (inbound, offer) = stage.target.ring();
    let start = &inbound.invite().start;
    assert!(start.contains(&format!("sip:+15550199@{}", stage.target.address())), "by the carrier: {start}");
    stage.target_answers(&inbound, &offer);
    must_be_told(&stage, "200 OK", "terminated");
    stage.agent.bye(&mut agent.call);
    finish(&mut stage, caller);
}
