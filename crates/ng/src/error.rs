//! What can be wrong with a message, and the texts of `error-reason` that clients know.

/// Reasons that other programs recognise or operators look for, in the words that they are known by.
pub mod reason {
    /// No such call.
    pub const UNKNOWN_CALL: &str = "Unknown call-id";
    /// The request has no `call-id`.
    pub const NO_CALL_ID: &str = "No call-id in message";
    /// The request has no `from-tag`.
    pub const NO_FROM_TAG: &str = "No from-tag in message";
    /// The request has no `to-tag`.
    pub const NO_TO_TAG: &str = "No to-tag in message";
    /// The request has no `sdp`.
    pub const NO_SDP: &str = "No SDP body in message";
    /// The SDP cannot be read.
    pub const BAD_SDP: &str = "Failed to parse SDP";
    /// The SDP lacks what relaying needs.
    pub const INCOMPLETE_SDP: &str = "Incomplete SDP specification";
    /// The tags are not two sides of one dialogue.
    pub const BAD_DIALOGUE: &str = "Invalid dialogue association";
    /// A command that nobody knows.
    pub const UNKNOWN_COMMAND: &str = "Unrecognized command";
    /// The request has no `command`.
    pub const NO_COMMAND: &str = "Dictionary contains no key \"command\"";
    /// No more calls: Kamailio tries another relay on exactly this text.
    pub const TOO_MANY_CALLS: &str = "Parallel session limit reached";
    /// No more ports: Kamailio tries another relay on exactly this text.
    pub const NO_PORTS: &str = "Ran out of ports";
    /// The `warning` of a `delete` that found nothing to delete.
    pub const NOTHING_DELETED: &str = "Call-ID not found or tags didn't match";
}

/// Why bytes are not a message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("byte {at}: {what}")]
pub struct DecodeError {
    /// Where, in bytes from the beginning of what was decoded.
    pub at: usize,
    /// What is wrong there.
    pub what: DecodeErrorKind,
}

/// What is wrong with a message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeErrorKind {
    /// The bytes end within a value.
    #[error("the message ends within a value")]
    Truncated,
    /// A byte that begins or ends nothing here.
    #[error("unexpected byte 0x{0:02x}, expected {1}")]
    Unexpected(u8, &'static str),
    /// A number that is none or does not fit.
    #[error("not a number of at most 64 bits")]
    Number,
    /// More than [`MESSAGE_LEN_MAX`](crate::MESSAGE_LEN_MAX) bytes.
    #[error("longer than {} bytes", crate::MESSAGE_LEN_MAX)]
    TooLong,
    /// Lists and dictionaries within each other.
    #[error("nested deeper than {}", crate::DEPTH_MAX)]
    TooDeep,
    /// More than [`VALUES_MAX`](crate::VALUES_MAX) values.
    #[error("more than {} values", crate::VALUES_MAX)]
    TooMany,
    /// Bytes after the value.
    #[error("bytes after the end of the value")]
    Trailing,
    /// The value is not a dictionary.
    #[error("not a dictionary")]
    NotADictionary,
    /// No blank between a cookie and a dictionary.
    #[error("no cookie before the dictionary")]
    NoCookie,
    /// JSON that cannot be read, in the parser's words.
    #[error("{0}")]
    Json(String),
}
