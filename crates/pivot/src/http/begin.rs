//! The request that begins a transfer.

use core::time::Duration;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::call::TransferCommand;
use crate::call::plan::{Method, OnFail, Shown};
use crate::call::trunk::CallerId;
use crate::message::{Address, Header};

/// How it is done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TransferMethod {
    /// The pivot dials the target and connects it.
    #[default]
    Invite,
    /// The transferee is sent a REFER.
    Refer,
    /// The transferor talks with the target first.
    Warm,
}

/// What becomes of the transferee when no target could be had.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OnFailName {
    /// Back to the transferor.
    #[default]
    Resume,
    /// Everybody is hung up.
    HangUp,
}

/// Whom the target is shown as its caller.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Show {
    /// Whoever is transferred.
    Transferee,
    /// Whoever transfers.
    Transferor,
    /// Somebody else: a SIP or tel URI.
    #[serde(untagged)]
    Uri(String),
}

/// A transfer of a call of the pivot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BeginTransfer {
    /// Chosen by the client: the same id with the same content begins nothing again.
    #[schema(min_length = 1, max_length = 128)]
    pub id: String,
    /// The call, by its Call-ID.
    pub call: String,
    /// Whom to, or whom in turn: numbers, or sip:, sips: and tel: URIs; 16 at most.
    pub targets: Vec<String>,
    /// How.
    #[serde(default)]
    pub method: TransferMethod,
    /// Who is transferred, by its name in the call; absent: the caller; the number in a call of direction `termination`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transferee: Option<String>,
    /// All targets at the same time: whoever answers first has it.
    #[serde(default)]
    pub at_once: bool,
    /// Whom targets are shown; absent: as the trunk has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub show: Option<Show>,
    /// Header fields of the targets' INVITEs; their names begin with `X-`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// How long each may ring, seconds; absent: `pivot.ring_timeout_s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 600)]
    pub ring_timeout_s: Option<u32>,
    /// Connect only once a human was heard at the target, within so many milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 500, maximum = 60_000)]
    pub detection_timeout_ms: Option<u32>,
    /// What the transferee hears meanwhile: a named audio of the relay; absent: as the trunk has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold_audio: Option<String>,
    /// When no target could be had.
    #[serde(default)]
    pub on_fail: OnFailName,
}

impl BeginTransfer {
    /// The command to the call; who is transferred is still to be found.
    ///
    /// # Errors
    /// What is out of range, in a sentence.
    pub fn to_command(&self) -> Result<TransferCommand, String> {
        if self.id.is_empty() || self.id.len() > patchcord_control::api::ID_LEN_MAX {
            return Err("an `id` has 1 to 128 bytes".to_owned());
        }
        let within = |name: &str, value: Option<u32>, range: core::ops::RangeInclusive<u32>| match value {
            Some(value) if !range.contains(&value) => {
                Err(format!("`{name}` must be from {} to {}, not {value}", range.start(), range.end()))
            }
            _ => Ok(()),
        };
        within("ring_timeout_s", self.ring_timeout_s, 1..=600)?;
        within("detection_timeout_ms", self.detection_timeout_ms, 500..=60_000)?;
        if let Some(name) = self.headers.keys().find(|name| !name.to_ascii_uppercase().starts_with("X-")) {
            return Err(format!("header {name:?}: only header fields whose name begins with X- can be set"));
        }
        let method = match self.method {
            TransferMethod::Invite => Method::Invite,
            TransferMethod::Refer => Method::Refer,
            TransferMethod::Warm => Method::Warm,
        };
        Ok(TransferCommand {
            method,
            transferee: None,
            targets: self.targets.iter().map(|target| target.as_str().into()).collect(),
            at_once: self.at_once,
            shown: self.show.as_ref().map(|show| match show {
                Show::Transferee => Shown::Party(CallerId::Transferee),
                Show::Transferor => Shown::Party(CallerId::Transferor),
                Show::Uri(uri) => Shown::Address(Address { display: Box::default(), uri: uri.as_str().into() }),
            }),
            headers: self
                .headers
                .iter()
                .map(|(name, value)| Header { name: name.as_str().into(), value: value.as_str().into() })
                .collect(),
            ring: self.ring_timeout_s.map(|seconds| Duration::from_secs(seconds.into())),
            detection: self.detection_timeout_ms.map(|ms| Duration::from_millis(ms.into())),
            hold_audio: self.hold_audio.as_deref().map(Into::into),
            on_fail: match self.on_fail {
                OnFailName::Resume => OnFail::Resume,
                OnFailName::HangUp => OnFail::HangUp,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<TransferCommand, String> {
        serde_json::from_str::<BeginTransfer>(json).map_err(|error| error.to_string())?.to_command()
    }

    #[test]
    fn a_transfer_is_read() {
        let command =
            read(r#"{"id": "1", "call": "c", "targets": ["tel:+1555"], "show": "transferor", "ring_timeout_s": 20}"#);
        let command = command.expect("it can be read");
        assert_eq!((command.method, command.shown), (Method::Invite, Some(Shown::Party(CallerId::Transferor))));
        let command = read(r#"{"id": "1", "call": "c", "targets": ["x"], "show": "sip:a@b", "on_fail": "hang-up"}"#);
        let command = command.expect("it can be read");
        assert!(matches!(command.shown, Some(Shown::Address(Address { uri, .. })) if &*uri == "sip:a@b"));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (json, why) in [
            (r#"{"id": "", "call": "c", "targets": ["x"]}"#, "1 to 128"),
            (r#"{"id": "1", "call": "c", "targets": ["x"], "ring_timeout_s": 0}"#, "ring_timeout_s"),
            (r#"{"id": "1", "call": "c", "targets": ["x"], "headers": {"Route": "y"}}"#, "X-"),
            (r#"{"id": "1", "call": "c", "targets": ["x"], "fast": 1}"#, "fast"),
            (r#"{"id": "1", "call": "c", "targets": ["x"], "method": "cold"}"#, "cold"),
        ] {
            let error = read(json).expect_err(json);
            assert!(error.contains(why), "{json}: {error}");
        }
    }
}
