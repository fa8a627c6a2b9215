//! What every call through a profile has: somebody calls, the agent answers, the target takes the agent's place.

use patchcord_tests::sip::Message;
use serde_json::Value;
use toml::Table;

use crate::page::{Page, on_loopback};
use crate::stage::{Side, Stage, media_of};

/// Who calls in every test but one, as carriers write numbers.
pub(crate) const CALLER: &str = "+15550111";

/// A stage with a page's profile.
pub(crate) fn stage(page: &str) -> Stage {
    stage_with(page, 0, CALLER, |_| {})
}

/// The same with the configuration of that number, another caller, and something changed.
pub(crate) fn stage_with(page: &str, number: usize, caller: &'static str, change: impl FnOnce(&mut Table)) -> Stage {
    let mut profile = Page::of(page).profile(number);
    change(&mut profile);
    Stage::configured(caller, |pivot, agent, target| on_loopback(profile, pivot, agent, target))
}

/// What a carrier says with its INVITE.
pub(crate) struct Incoming<'a> {
    /// The number that is called, with what the carrier puts behind it.
    pub(crate) number: &'a str,
    /// From, without a tag.
    pub(crate) from: &'a str,
    /// More header fields, a line each.
    pub(crate) headers: &'a str,
    /// The formats of its m= line.
    pub(crate) formats: &'a str,
}

impl Default for Incoming<'_> {
    fn default() -> Self {
        Self { number: "+15550100", from: "<sip:+15550111@carrier.example>", headers: "", formats: "0 101" }
    }
}

/// A call that the agent has answered with G.711, and the INVITE that reached it.
pub(crate) fn talking(stage: &mut Stage, incoming: &Incoming<'_>) -> (Side, Side, Message) {
    let pivot = stage.uri();
    let (_, pivot) = pivot.split_once('@').unwrap();
    let (number, behind) = incoming.number.split_once(';').unwrap_or((incoming.number, ""));
    let behind = if behind.is_empty() { String::new() } else { format!(";{behind}") };
    let sdp = stage.caller.media.sdp("").replace("RTP/AVP 0 101", &format!("RTP/AVP {}", incoming.formats));
    let mut out =
        stage.caller.invite_as(incoming.from, &format!("sip:{number}@{pivot}{behind}"), &sdp, incoming.headers);
    let (inbound, offer) = stage.agent.ring();
    let invite = inbound.invite().clone();
    stage.agent.respond(&inbound, "200 OK", &stage.agent.media.sdp(""));
    let answer = stage.caller.must_get(&mut out, 200, Some(""));
    let _ack = stage.agent.must_take("ACK");
    let caller = Side { call: out, relay: media_of(&answer) };
    let agent = Side { call: inbound, relay: media_of(&offer) };
    stage.must_talk(&caller, &agent);
    (caller, agent, invite)
}

/// The agent sends a REFER with these header fields, which is accepted, and is told so.
pub(crate) fn refer(stage: &Stage, agent: &mut Side, headers: &str) {
    stage.agent.request(&mut agent.call, "REFER", "", headers);
    stage.agent.must_be_answered(&agent.call, "REFER", 202);
    must_be_told(stage, "100 Trying", "active");
}

/// The agent is told how its transfer goes on, the first of its call or a later one.
pub(crate) fn must_be_told(stage: &Stage, status: &str, state: &str) -> Message {
    stage.must_be_told(&format!("SIP/2.0 {status}\r\n"), state)
}

/// A REFER that is not accepted.
pub(crate) fn must_be_refused(stage: &Stage, agent: &mut Side, headers: &str, status: u16) {
    stage.agent.request(&mut agent.call, "REFER", "", headers);
    stage.agent.must_be_answered(&agent.call, "REFER", status);
}

/// The caller and the target hear each other; the caller hangs up, and nothing is left.
pub(crate) fn finish(stage: &mut Stage, mut caller: Side) {
    stage.caller.media.send(caller.relay);
    stage.target.media.must_hear(&stage.caller.media);
    stage.caller.bye(&mut caller.call);
    let _bye = stage.target.must_take("BYE");
    stage.must_be_idle();
}

/// The transfer did not come to be, and caller and agent have each other again: they hang up.
pub(crate) fn part(stage: &mut Stage, caller: &mut Side) {
    stage.caller.bye(&mut caller.call);
    let _bye = stage.agent.must_take("BYE");
    stage.must_be_idle();
}

/// The first failure of the latest transfer, once there is one.
pub(crate) fn failure(stage: &Stage) -> Value {
    patchcord_tests::eventually("a transfer has failed", || {
        let name = stage.latest()["transfer"].as_str()?.to_owned();
        let transfer = stage.relay.client().get(&format!("/v1/transfers/{name}"));
        let failure = transfer["failures"][0].clone();
        (!failure.is_null()).then_some(failure)
    })
}

/// A page says, in the words of the program, what a failure is explained by.
pub(crate) fn must_be_explained(page: &str, failure: &Value, cause: &str) {
    let causes = failure["causes"].as_array().unwrap();
    assert!(causes.iter().any(|known| known["what"] == cause), "{failure:#}");
    let text = Page::of(page).text.replace('\n', " ");
    assert!(text.contains(cause), "docs/providers/{page}.md does not say: {cause}");
}
