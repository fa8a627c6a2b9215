//! Where records outlive the process, if somewhere: what the pivot asks of it.

use core::fmt::Debug;

use serde_json::Value;

use crate::http::{CallView, TransferView};
use crate::media::Pending;

/// Keeps records, and finds them again. A record that is given again takes the place of the former with its id.
pub trait Archive: Debug + Send + Sync {
    /// Keeps a call as it stands. Never waits.
    fn call(&self, call: CallView);

    /// Keeps a transfer as it stands. Never waits.
    fn transfer(&self, transfer: TransferView);

    /// Looks for records: the views that were given, as JSON, the latest first.
    ///
    /// # Errors
    /// They cannot be had now, and why.
    fn find(&self, question: Question) -> Pending<'_, Result<Vec<Value>, String>>;
}

/// What is looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// Calls.
    Calls(Filter),
    /// The call with this id.
    Call(String),
    /// Transfers.
    Transfers(Filter),
    /// The transfer with this id.
    Transfer(String),
}

/// Which records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// So many at most, the latest.
    pub limit: u32,
    /// Of the call with this id or Call-ID.
    pub call: Option<String>,
    /// Transfers in this state.
    pub state: Option<String>,
    /// That began then or later, milliseconds since 1970.
    pub from_ms: Option<u64>,
    /// That began before.
    pub to_ms: Option<u64>,
}

impl Filter {
    /// Whether something is wanted that began then, of the call with one of these names.
    pub(super) fn takes(&self, began_ms: u64, call: &[&str]) -> bool {
        self.call.as_deref().is_none_or(|wanted| call.contains(&wanted))
            && self.from_ms.is_none_or(|from| began_ms >= from)
            && self.to_ms.is_none_or(|to| began_ms < to)
    }
}
