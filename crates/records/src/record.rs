//! What is kept: a call, the parent; its transfers, the children; and what they are billed as.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Something to be kept. Times are milliseconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Record {
    /// A call.
    Call(Box<Call>),
    /// A transfer.
    Transfer(Box<Transfer>),
}

/// A call.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// Its own, in all processes.
    pub id: String,
    /// The Call-ID of whoever called.
    pub call_id: String,
    /// `origination` or `termination`.
    pub direction: String,
    /// Who called, a URI.
    pub from: String,
    /// Who was called, a URI.
    pub to: String,
    /// The trunk that it came by.
    pub from_trunk: String,
    /// The trunk that it went by.
    pub to_trunk: String,
    /// When it came.
    pub began_ms: u64,
    /// When it was answered.
    pub answered_ms: Option<u64>,
    /// When it was over.
    pub ended_ms: Option<u64>,
    /// Why it ended, if somebody said: `Q.850 16`.
    pub cause: Option<String>,
    /// The SIP code, if it was not answered.
    pub refused: Option<u16>,
    /// The ids of its transfers.
    pub transfers: Vec<String>,
    /// What it is billed as, its transfers included; known at its end.
    pub components: Vec<Component>,
    /// All that is known, as it is given back.
    pub whole: Value,
}

/// A transfer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transfer {
    /// Its own, in all processes.
    pub id: String,
    /// The id of its call.
    pub call: String,
    /// The Call-ID of that call.
    pub call_id: String,
    /// How it was made.
    pub method: String,
    /// Who said so.
    pub chosen_by: String,
    /// Who transferred.
    pub transferor: String,
    /// Who was transferred.
    pub transferee: String,
    /// Who took the place.
    pub target: Option<String>,
    /// `Refer-To`.
    pub refer_to: String,
    /// How it stands.
    pub state: String,
    /// The rule that refused it.
    pub rule: Option<String>,
    /// When it was asked for.
    pub began_ms: u64,
    /// When the target took the place.
    pub connected_ms: Option<u64>,
    /// When it was over.
    pub ended_ms: Option<u64>,
    /// The SIP code of the latest target that could not be had.
    pub code: Option<u16>,
    /// Why it failed, in one sentence.
    pub explanation: Option<String>,
    /// What the transferee missed, microseconds.
    pub gap_us: Option<u64>,
    /// All that is known, as it is given back.
    pub whole: Value,
}

/// Something that is paid for by time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Component {
    /// The transfer whose it is; none: the call's own.
    pub transfer: Option<String>,
    /// By which price: `origination` or `termination`.
    pub service: String,
    /// From whom, by their part in the call: `A`, `B`, `C`.
    pub from_role: String,
    /// To whom.
    pub to_role: String,
    /// Their URIs.
    pub from: String,
    /// Likewise.
    pub to: String,
    /// From whom the record is that it belongs to.
    pub log_from: String,
    /// To whom.
    pub log_to: String,
    /// From when it is paid for.
    pub began_ms: u64,
    /// Until when.
    pub ended_ms: u64,
}

impl Record {
    /// Its id, with its kind: one names one row.
    pub(crate) fn key(&self) -> (bool, &str) {
        match self {
            Self::Call(call) => (true, &call.id),
            Self::Transfer(transfer) => (false, &transfer.id),
        }
    }
}
