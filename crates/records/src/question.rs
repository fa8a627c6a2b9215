//! What can be asked of the database.

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

/// What is asked for. The answers are the documents of the records, the latest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// Calls; a state selects none.
    Calls(Filter),
    /// The call with this id.
    Call(String),
    /// Transfers.
    Transfers(Filter),
    /// The transfer with this id.
    Transfer(String),
}
