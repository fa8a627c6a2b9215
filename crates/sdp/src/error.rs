//! Why something is no session description.

use thiserror::Error;

use crate::{LEN_MAX, LINES_MAX, MEDIA_MAX};

/// Why a description cannot be used. Lines count from 1.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SdpError {
    /// It is larger than a datagram.
    #[error("{0} bytes; at most {LEN_MAX} are possible")]
    TooLong(usize),
    /// Bytes that are no UTF-8 (RFC 8866 5).
    #[error("byte {at} is no UTF-8")]
    NotText {
        /// Where.
        at: usize,
    },
    /// More lines than any real one has.
    #[error("more than {LINES_MAX} lines")]
    TooManyLines,
    /// More m= lines than any real one has.
    #[error("more than {MEDIA_MAX} m= lines")]
    TooManyMedia,
    /// A line that is not `letter=value`.
    #[error("line {line} is not of the form \"letter=value\"")]
    NotALine {
        /// Which.
        line: usize,
    },
    /// A line whose value is malformed.
    #[error("line {line} is no valid {what} line")]
    Malformed {
        /// Which.
        line: usize,
        /// What it should be: `m=`, `c=`.
        what: &'static str,
    },
}
