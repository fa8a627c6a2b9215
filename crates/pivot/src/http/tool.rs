//! The arguments of a voice agent's tool call `transfer_call`, as voice-agent platforms have them.

use std::collections::BTreeMap;

use rsipstack::transaction::random_text;
use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::begin::{BeginTransfer, OnFailName, Show, TransferMethod};
use super::unknown::Unknown;

/// The header field of the INVITE to an agent that names the call.
pub(crate) const CALL_HEADER: &str = "X-Patchcord-Call";

/// A tool call to transfer a call: the arguments themselves, or `{"args": {..}, "call": {..}}` around them.
#[derive(Debug, Default, Deserialize, ToSchema)]
pub(super) struct TransferCall {
    /// The same id with the same content begins nothing again; absent: each request begins a transfer.
    #[serde(default, alias = "tool_call_id")]
    pub(super) id: Option<String>,
    /// The call, by its Call-ID, which the agent's INVITE has as `X-Patchcord-Call`; or an object with `call_id` or `custom_sip_headers`.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    call: Option<Value>,
    /// Whom to: a number, or a sip:, sips: or tel: URI.
    #[serde(default)]
    target: Option<String>,
    /// The same as platforms have it.
    #[serde(default)]
    transfer_destination: Option<Destination>,
    /// How; absent: a cold transfer by INVITE.
    #[serde(default)]
    transfer_option: TransferOption,
    /// How long the target may ring, milliseconds.
    #[serde(default)]
    transfer_ring_duration_ms: Option<u32>,
    /// Header fields for the target; their names begin with `X-`.
    #[serde(default, alias = "headers")]
    custom_sip_headers: BTreeMap<String, String>,
    /// How long the answer may wait for what comes of it, milliseconds, at most 60,000; 0: it does not.
    #[serde(default)]
    pub(super) wait_ms: u32,
    /// Numbers need not be of E.164 here.
    #[serde(default, rename = "ignore_e164_validation")]
    _ignore_e164_validation: Option<bool>,
    #[serde(flatten)]
    #[schema(ignore)]
    other: Unknown,
}

/// Whom to.
#[derive(Debug, Default, Deserialize, ToSchema)]
struct Destination {
    /// `predefined`. What is `inferred` has to be inferred by whoever calls this.
    #[serde(default, rename = "type")]
    kind: Option<String>,
    /// A number, or a URI.
    #[serde(default)]
    number: Option<String>,
    /// A SIP URI.
    #[serde(default)]
    sip_uri: Option<String>,
    #[serde(flatten)]
    #[schema(ignore)]
    other: Unknown,
}

/// Cold or warm.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Kind {
    /// The target takes the agent's place.
    #[default]
    ColdTransfer,
    /// The agent talks with the target first.
    WarmTransfer,
}

/// How a cold transfer is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum ColdMode {
    /// The transferee is sent a REFER.
    SipRefer,
    /// The pivot calls the target.
    SipInvite,
}

/// How.
#[derive(Debug, Default, Deserialize, ToSchema)]
struct TransferOption {
    /// Cold or warm.
    #[serde(default, rename = "type")]
    kind: Kind,
    /// Of a cold transfer; absent: `sip_invite`.
    #[serde(default)]
    cold_transfer_mode: Option<ColdMode>,
    /// `true`: the target is shown the transferee, `false`: the agent; absent: as the trunk has it.
    #[serde(default)]
    show_transferee_as_caller: Option<bool>,
    /// How long the target may ring, milliseconds.
    #[serde(default, alias = "ring_duration_ms")]
    transfer_ring_duration_ms: Option<u32>,
    /// Connect only once a human was heard, within so many milliseconds.
    #[serde(default)]
    agent_detection_timeout_ms: Option<u32>,
    /// No human is waited for.
    #[serde(default)]
    opt_out_human_detection: Option<bool>,
    #[serde(flatten)]
    #[schema(ignore)]
    other: Unknown,
}

/// A tool call, understood.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) transfer: BeginTransfer,
    pub(super) wait_ms: u32,
    /// Arguments that have no effect here, beside those that have none in the method.
    pub(super) warnings: Vec<String>,
}

/// The longest that an answer waits.
const WAIT_MS_MAX: u32 = 60_000;

/// What is wrong with a tool call.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unusable {
    /// Not understood.
    Arguments(String),
    /// Nobody to transfer to.
    Target(String),
}

impl TransferCall {
    /// Reads the arguments, or what is around them.
    pub(super) fn read(body: &[u8]) -> Result<Self, Unusable> {
        let arguments = |error: serde_json::Error| Unusable::Arguments(format!("body: {error}"));
        let mut fields: Map<String, Value> = serde_json::from_slice(body).map_err(arguments)?;
        if let Some(args) = fields.remove("args").or_else(|| fields.remove("arguments")) {
            let Value::Object(mut inner) = args else {
                return Err(Unusable::Arguments("body: `args` is an object of arguments".to_owned()));
            };
            for name in ["call", "id", "tool_call_id"] {
                // What the agent says itself goes before what the platform has around it.
                if let Some(outer) = fields.remove(name).filter(|_| inner.get(name).is_none_or(Value::is_null)) {
                    inner.insert(name.to_owned(), outer);
                }
            }
            fields = inner;
        }
        fields.retain(|_, value| !value.is_null());
        if fields.contains_key("id") {
            fields.remove("tool_call_id");
        }
        serde_json::from_value(Value::Object(fields)).map_err(arguments)
    }

    /// What it asks for.
    pub(super) fn wanted(self) -> Result<Wanted, Unusable> {
        let mut warnings = Vec::new();
        let target = self.target(&mut warnings)?;
        let Self { id, call, transfer_option: option, custom_sip_headers: headers, wait_ms, other, .. } = self;
        warnings.extend(other.names("", "is not known here"));
        warnings.extend(option.other.names("transfer_option.", "has no effect here"));
        if wait_ms > WAIT_MS_MAX {
            return Err(Unusable::Arguments(format!("`wait_ms` is at most {WAIT_MS_MAX}, not {wait_ms}")));
        }
        let call = call.as_ref().and_then(named).ok_or_else(|| {
            Unusable::Arguments(format!(
                "`call` is missing: the Call-ID of the call, which the agent's INVITE has as {CALL_HEADER}"
            ))
        })?;
        let method = match (option.kind, option.cold_transfer_mode) {
            (Kind::WarmTransfer, mode) => {
                warnings.extend(mode.map(|_| "cold_transfer_mode has no effect in a warm transfer".to_owned()));
                TransferMethod::Warm
            }
            (Kind::ColdTransfer, Some(ColdMode::SipRefer)) => TransferMethod::Refer,
            (Kind::ColdTransfer, Some(ColdMode::SipInvite) | None) => TransferMethod::Invite,
        };
        let is_refer = method == TransferMethod::Refer;
        let show = option.show_transferee_as_caller.map(|it| if it { Show::Transferee } else { Show::Transferor });
        let ring = option.transfer_ring_duration_ms.or(self.transfer_ring_duration_ms);
        let detects = option.opt_out_human_detection != Some(true);
        let detection_timeout_ms = option.agent_detection_timeout_ms.filter(|_| detects);
        if option.agent_detection_timeout_ms.is_some() && !detects {
            warnings.push("agent_detection_timeout_ms has no effect with opt_out_human_detection".to_owned());
        }
        let transfer = BeginTransfer {
            id: id.unwrap_or_else(|| random_text(24)),
            call,
            targets: vec![target],
            method,
            transferee: None,
            at_once: false,
            // Whoever says that it is not to be shown gets that by REFER anyway.
            show: show.filter(|show| !is_refer || *show == Show::Transferee),
            headers,
            ring_timeout_s: ring.map(|ms| ms.div_ceil(1000)),
            detection_timeout_ms,
            hold_audio: None,
            on_fail: OnFailName::Resume,
        };
        Ok(Wanted { transfer, wait_ms, warnings })
    }

    fn target(&self, warnings: &mut Vec<String>) -> Result<String, Unusable> {
        let none = || Unusable::Target("there is no `target` and no `transfer_destination` with a number".to_owned());
        let Some(destination) = &self.transfer_destination else { return self.target.clone().ok_or_else(none) };
        warnings.extend(destination.other.names("transfer_destination.", "has no effect here"));
        match destination.kind.as_deref() {
            None | Some("predefined" | "number" | "sip_uri") => {}
            Some("inferred") => {
                let why = "the destination is to be inferred: whoever calls this has to say the number as `target`";
                return Err(Unusable::Target(why.to_owned()));
            }
            Some(other) => {
                let other: String = other.chars().take(40).collect();
                return Err(Unusable::Arguments(format!("`transfer_destination.type` is {other:?}; it is predefined")));
            }
        }
        let places = [&destination.number, &destination.sip_uri, &self.target];
        let mut named = places.into_iter().flatten().filter(|text| !text.trim().is_empty());
        let first = named.next().ok_or_else(none)?;
        if named.any(|other| other != first) {
            return Err(Unusable::Arguments("the target is said twice, and differently".to_owned()));
        }
        Ok(first.clone())
    }
}

/// What a setting is named among the arguments.
pub(super) fn argument(setting: &'static str) -> &'static str {
    if setting == "ring_duration_ms" { "transfer_ring_duration_ms" } else { setting }
}

/// Which call a text or a platform's object means.
fn named(call: &Value) -> Option<String> {
    if let Value::String(name) = call {
        return Some(name.clone()).filter(|name| !name.is_empty());
    }
    // Platforms keep the INVITE's header fields, some without the X- that they begin with.
    let is_it = |name: &str| name.eq_ignore_ascii_case(CALL_HEADER) || name.eq_ignore_ascii_case(&CALL_HEADER[2..]);
    let headers = call.get("custom_sip_headers").and_then(Value::as_object).into_iter().flatten();
    let by_header = headers.filter(|(name, _)| is_it(name)).find_map(|(_, value)| value.as_str());
    by_header.or_else(|| call.get("call_id").and_then(Value::as_str)).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn wanted(body: &Value) -> Result<Wanted, Unusable> {
        TransferCall::read(body.to_string().as_bytes())?.wanted()
    }

    #[test]
    fn arguments_are_read_in_either_form() {
        let option = json!({"type": "cold_transfer", "cold_transfer_mode": "sip_invite", "show_transferee_as_caller": true,
            "transfer_ring_duration_ms": 20_500});
        let destination = json!({"type": "predefined", "number": "+15550199"});
        let args = json!({"call": "c@d", "id": "1", "transfer_destination": destination, "transfer_option": option, "wait_ms": 5,
            "custom_sip_headers": {"X-A": "b"}});
        let plain = wanted(&args).expect("it can be read");
        let BeginTransfer { targets, method, show, ring_timeout_s, headers, .. } = &plain.transfer;
        assert_eq!(
            (&**targets, *method, show),
            (&["+15550199".to_owned()][..], TransferMethod::Invite, &Some(Show::Transferee))
        );
        assert_eq!((*ring_timeout_s, headers["X-A"].as_str(), plain.wait_ms), (Some(21), "b", 5));
        assert!(plain.warnings.is_empty(), "{:?}", plain.warnings);
        let wrapped = wanted(&json!({"name": "transfer_call", "args": args, "call": {"call_id": "platform's"}}));
        assert_eq!(wrapped.expect("it can be read").transfer, plain.transfer, "what the agent says goes before");
    }

    #[test]
    fn the_call_is_found_in_what_a_platform_says_of_it() {
        for (call, name) in [
            (json!("c@d"), "c@d"),
            (json!({"call_id": "c@d"}), "c@d"),
            (json!({"call_id": "own", "custom_sip_headers": {"patchcord-call": "c@d"}}), "c@d"),
            (json!({"call_id": "own", "custom_sip_headers": {"x-Patchcord-Call": "c@d", "other": 1}}), "c@d"),
        ] {
            let body = json!({"args": {"target": "+1555"}, "call": call});
            assert_eq!(wanted(&body).expect("it can be read").transfer.call, name, "{body}");
        }
    }

    #[test]
    fn what_has_no_effect_is_said() {
        let body = json!({"call": "c", "target": "+1555", "execution_message": "wait", "transfer_destination": {"type": "predefined", "extension": "1"},
            "transfer_option": {"type": "warm_transfer", "cold_transfer_mode": "sip_refer", "on_hold_music": "ringtone",
            "opt_out_human_detection": true, "agent_detection_timeout_ms": 900}});
        let read = wanted(&body).expect("it can be read");
        assert_eq!((read.transfer.method, read.transfer.detection_timeout_ms), (TransferMethod::Warm, None));
        assert_eq!(
            read.warnings,
            [
                "transfer_destination.extension has no effect here",
                "execution_message is not known here",
                "transfer_option.on_hold_music has no effect here",
                "cold_transfer_mode has no effect in a warm transfer",
                "agent_detection_timeout_ms has no effect with opt_out_human_detection",
            ]
        );
        let other = (0..500)
            .map(|at| (format!("a{at}"), json!(1)))
            .chain([("call".to_owned(), json!("c")), ("target".to_owned(), json!("+1"))]);
        assert_eq!(wanted(&Value::Object(other.collect())).expect("it can be read").warnings.len(), 16);
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        for (body, why) in [
            (json!({"call": "c"}), "no `target`"),
            (json!({"call": "c", "transfer_destination": {"type": "predefined"}}), "no `target`"),
            (json!({"call": "c", "transfer_destination": {"type": "inferred", "prompt": "x"}}), "inferred"),
            (json!({"call": "c", "transfer_destination": {"type": "agent"}}), "predefined"),
            (json!({"call": "c", "target": "+1", "transfer_destination": {"number": "+2"}}), "twice"),
            (json!({"target": "+1"}), "`call` is missing"),
            (json!({"target": "+1", "call": {"call_id": 5}}), "`call` is missing"),
            (json!({"target": "+1", "call": "c", "wait_ms": 60_001}), "60000"),
            (json!({"target": "+1", "call": "c", "transfer_option": {"type": "lukewarm"}}), "lukewarm"),
            (json!({"target": 1, "call": "c"}), "invalid type"),
            (json!({"args": "x"}), "`args`"),
            (json!([]), "invalid type"),
        ] {
            let (Unusable::Arguments(error) | Unusable::Target(error)) = wanted(&body).expect_err("of no use");
            assert!(error.contains(why), "{body}: {error}");
        }
        assert!(matches!(TransferCall::read(b"{"), Err(Unusable::Arguments(_))));
    }
}
