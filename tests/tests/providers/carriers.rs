//! Carriers: their calls come in, and targets are dialled through them. Each imitates the carrier's documented messages and is not the
//! carrier.

use patchcord_tests::sip::Call;

use crate::page::{trunk, trunks};
use crate::scene::{
    CALLER, Incoming, failure, finish, must_be_explained, must_be_refused, must_be_told, part, refer, stage,
    stage_with, talking,
};
use crate::stage::{Side, Stage};

/// Twilio puts `region` behind the request URI and its own names of the call into X- header fields.
const TWILIO: Incoming<'_> = Incoming {
    number: "+15550100;region=us1",
    from: "<sip:+15550111@example.pstn.twilio.com>",
    headers: "X-Twilio-AccountSid: AC0\r\nX-Twilio-CallSid: CA0\r\n",
    formats: "0 8 101",
};

/// Imitates Twilio; it is not Twilio. The target is shown the Twilio number, as Twilio takes no number that is not the account's.
#[test]
fn twilio_is_shown_a_number_of_its_own() {
    let mut stage = stage("twilio");
    let (caller, mut agent, invite) = talking(&mut stage, &TWILIO);
    assert_eq!(invite.header("X-Twilio-CallSid"), Some("CA0"), "the platform can name the carrier's call");
    refer(&stage, &mut agent, "Refer-To: <sip:+15550199@example.pstn.twilio.com>\r\n");
    let (inbound, offer) = stage.target.ring();
    assert_eq!(inbound.invite().uri("From"), Some("sip:+15550100@example.pstn.twilio.com;user=phone"));
    stage.target_answers(&inbound, &offer);
    stage.agent.bye(&mut agent.call);
    finish(&mut stage, caller);
}

/// Imitates Twilio; it is not Twilio. With the caller's own number it answers 403, and the explanation says what to do.
#[test]
fn twilio_refuses_a_foreign_number() {
    let mut stage = stage_with("twilio", 0, CALLER, |profile| {
        let (carrier, _) = trunks(profile);
        trunk(profile, &carrier).insert("caller_id".to_owned(), "transferee".into());
    });
    let (mut caller, mut agent, _) = talking(&mut stage, &TWILIO);
    refer(&stage, &mut agent, "Refer-To: <tel:+15550199>\r\n");
    let (inbound, _) = stage.target.ring();
    assert_eq!(inbound.invite().uri("From"), Some("sip:+15550111@example.pstn.twilio.com;user=phone"));
    stage.target.respond(&inbound, "403 Caller ID is unauthorized", "");
    let _ack = stage.target.must_take("ACK");
    let failure = failure(&stage);
    assert_eq!((&failure["code"], &failure["phrase"]), (&403.into(), &"Caller ID is unauthorized".into()));
    must_be_explained("twilio", &failure, "the caller's number is none of the account's");
    must_be_told(&stage, "403 Caller ID is unauthorized", "terminated");
    part(&mut stage, &mut caller);
}

/// Imitates Twilio; it is not Twilio. The REFER goes on to it, it tells how that goes, and waits for a BYE after its last NOTIFY.
#[test]
fn twilio_does_a_transfer_itself_if_the_refer_is_forwarded() {
    let mut stage = stage_with("twilio", 0, CALLER, |profile| {
        let (_, platform) = trunks(profile);
        trunk(profile, &platform).insert("refer".to_owned(), "forward".into());
    });
    let (mut caller, mut agent, _) = talking(&mut stage, &TWILIO);
    let refer_to = "<sip:+15550199@example.pstn.twilio.com>";
    stage.agent.request(&mut agent.call, "REFER", "", &format!("Refer-To: {refer_to}\r\n"));
    let referred = stage.caller.must_take_with("REFER", "202 Accepted");
    assert_eq!(referred.header("Refer-To"), Some(refer_to), "as it came");
    stage.agent.must_be_answered(&agent.call, "REFER", 202);
    stage.caller.notify(&mut caller.call, "active;expires=60", "100 Trying");
    stage.caller.notify(&mut caller.call, "terminated;reason=noresource", "200 OK");
    must_be_told(&stage, "100 Trying", "active");
    must_be_told(&stage, "200 OK", "terminated");
    let _bye = stage.caller.must_take("BYE");
    stage.agent.bye(&mut agent.call);
    stage.must_be_idle();
}

/// Imitates Twilio's Programmable Voice as the agent platform; it is not Twilio. `<Refer>` names a SIP URI of the customer's.
#[test]
fn twilio_refers_to_a_uri_of_the_customers() {
    let mut stage = stage_with("twilio", 1, CALLER, |_| {});
    let (caller, mut agent, invite) = talking(&mut stage, &Incoming::default());
    assert!(invite.start.starts_with("INVITE sip:agent@"), "{}", invite.start);
    refer(&stage, &mut agent, "Refer-To: <sip:+15550199@carrier.example>\r\n");
    let (inbound, offer) = stage.target.ring();
    stage.target_answers(&inbound, &offer);
    must_be_told(&stage, "200 OK", "terminated");
    stage.agent.bye(&mut agent.call);
    finish(&mut stage, caller);
}

/// Imitates Telnyx; it is not Telnyx. Short names, two Record-Routes of which one is of its inside, and a Diversion that it demands; what
/// it cannot match with a call it rejects.
#[test]
fn telnyx_gets_a_diversion_and_short_names_are_read() {
    let mut stage = stage("telnyx");
    stage.caller.use_short_names();
    let at = stage.caller.address();
    let headers =
        format!("Record-Route: <sip:{at};r2=on;lr;ftag=1>\r\nRecord-Route: <sip:198.51.100.1;r2=on;lr;ftag=1>\r\n");
    let from = "\"+15550111\" <sip:+15550111@sip.telnyx.com>";
    let (mut caller, mut agent, _) =
        talking(&mut stage, &Incoming { from, headers: &headers, formats: "9 0 8 101", ..Incoming::default() });
    refer(&stage, &mut agent, "Refer-To: <sip:+15550198@sip.telnyx.com>\r\n");
    let (rejected, _) = stage.target.ring();
    stage.target.respond(&rejected, "403 Forbidden", "");
    let _ack = stage.target.must_take("ACK");
    must_be_told(&stage, "403 Forbidden", "terminated");
    must_be_explained("telnyx", &failure(&stage), "the caller's number is none of the account's");

    refer(&stage, &mut agent, "Refer-To: <sip:+15550199@sip.telnyx.com>\r\n");
    let (mut inbound, offer) = stage.target.ring();
    let invite = inbound.invite();
    assert_eq!(invite.header("Diversion"), Some("<sip:+15550100@sip.telnyx.com>"));
    assert_eq!(invite.uri("From"), Some("sip:+15550111@sip.telnyx.com;user=phone"), "the caller's own number");
    stage.target_answers(&inbound, &offer);
    stage.agent.bye(&mut agent.call);
    stage.target.bye(&mut inbound);
    let bye = stage.caller.must_take("BYE");
    let routes: Vec<_> = bye.all("Route").collect();
    assert_eq!(routes.len(), 2, "the way back is the way that Telnyx asked for: {routes:?}");
    assert!(routes[0].contains(&at.to_string()), "{routes:?}");
    let _ = &mut caller;
    stage.must_be_idle();
}

/// The INVITE of a call that has been challenged, with an answer to that.
fn challenged(stage: &Stage, inbound: &Call) -> (Call, String) {
    let challenge = "Proxy-Authenticate: Digest realm=\"vonage\", nonce=\"n1\", algorithm=MD5, qop=\"auth\"";
    stage.target.respond(inbound, &format!("407 Proxy Authentication Required\r\n{challenge}"), "");
    let _ack = stage.target.must_take("ACK");
    stage.target.ring()
}

/// Imitates Vonage; it is not Vonage. Numbers without +, and digest for the INVITE that it is sent.
#[test]
fn vonage_is_answered_its_challenge() {
    let mut stage = stage_with("vonage", 0, "447700900111", |_| {});
    let incoming = Incoming {
        number: "447700900000",
        from: "<sip:447700900111@yourcompany.sip-us.vonage.com>",
        formats: "8 0 9 101",
        ..Incoming::default()
    };
    let (caller, mut agent, _) = talking(&mut stage, &incoming);
    refer(&stage, &mut agent, "Refer-To: <sip:447700900199@yourcompany.sip-us.vonage.com>\r\n");
    let (first, _) = stage.target.ring();
    assert_eq!(first.invite().header("Proxy-Authorization"), None);
    assert!(first.invite().start.starts_with("INVITE sip:447700900199@"), "{}", first.invite().start);
    let (inbound, offer) = challenged(&stage, &first);
    let said = inbound.invite().header("Proxy-Authorization").unwrap();
    assert!(said.contains("username=\"yourcompany\"") && said.contains("realm=\"vonage\""), "{said}");
    stage.target_answers(&inbound, &offer);
    stage.agent.bye(&mut agent.call);
    finish(&mut stage, caller);
}

/// Imitates Vonage; it is not Vonage. A second challenge to the same answer means that the password is wrong.
#[test]
fn vonage_refuses_a_wrong_password() {
    let mut stage = stage_with("vonage", 0, "447700900111", |_| {});
    let incoming = Incoming { number: "447700900000", ..Incoming::default() };
    let (mut caller, mut agent, _) = talking(&mut stage, &incoming);
    refer(&stage, &mut agent, "Refer-To: <tel:447700900199;phone-context=+44>\r\n");
    let (first, _) = stage.target.ring();
    let (second, _) = challenged(&stage, &first);
    let challenge = "Proxy-Authenticate: Digest realm=\"vonage\", nonce=\"n2\", algorithm=MD5, qop=\"auth\"";
    stage.target.respond(&second, &format!("407 Proxy Authentication Required\r\n{challenge}"), "");
    let _ack = stage.target.must_take("ACK");
    must_be_explained("vonage", &failure(&stage), "user name, password or realm are wrong");
    let _notify = stage.agent.must_take("NOTIFY");
    part(&mut stage, &mut caller);
}

/// Imitates Sinch; it is not Sinch. A number at the trunk's own domain is one of the telephone network; another domain is refused.
#[test]
fn sinch_knows_numbers_by_its_domain() {
    let mut stage = stage("sinch");
    let incoming = Incoming { from: "<sip:+15550111@my-company.pstn.sinch.com>", ..Incoming::default() };
    let (caller, mut agent, _) = talking(&mut stage, &incoming);
    must_be_refused(&stage, &mut agent, "Refer-To: <sip:+15550199@elsewhere.example>\r\n", 403);
    must_be_explained("sinch", &failure(&stage), "the domain is not on the trunk's list of allowed domains");
    refer(&stage, &mut agent, "Refer-To: <sip:+15550199@my-company.pstn.sinch.com>\r\n");
    let (inbound, offer) = stage.target.ring();
    assert!(inbound.invite().start.starts_with("INVITE sip:+15550199@"), "{}", inbound.invite().start);
    stage.target_answers(&inbound, &offer);
    let Side { call, .. } = &mut agent;
    stage.agent.bye(call);
    finish(&mut stage, caller);
}
