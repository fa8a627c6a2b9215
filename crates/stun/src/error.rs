//! What can be wrong with a message.

/// Why bytes are no STUN message, or why one cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StunError {
    /// Shorter than the header.
    #[error("{len} bytes are too few for STUN: its header alone has 20")]
    TooShort {
        /// Bytes in the datagram.
        len: usize,
    },
    /// The first two bits or the magic cookie are not STUN's (RFC 8489 5).
    #[error("the first bits or the magic cookie are not those of STUN")]
    NotStun,
    /// The length field is no multiple of 4, or not what follows the header.
    #[error("the header says that {said} bytes follow, but {len} do")]
    Length {
        /// What the length field says.
        said: usize,
        /// Bytes behind the header.
        len: usize,
    },
    /// An attribute goes beyond the message.
    #[error("the attribute {kind:#06x} at byte {at} goes beyond the message")]
    Attribute {
        /// Its type.
        kind: u16,
        /// Where it begins.
        at: usize,
    },
    /// MESSAGE-INTEGRITY or FINGERPRINT of a wrong length, or FINGERPRINT not at the end (RFC 8489 14.7).
    #[error("the attribute {kind:#06x} at byte {at} has a length or a place that it must not have")]
    Misplaced {
        /// Its type.
        kind: u16,
        /// Where it begins.
        at: usize,
    },
    /// FINGERPRINT is not that of the message: it is damaged, or no STUN.
    #[error("FINGERPRINT is not that of the message")]
    Fingerprint,
    /// The buffer to write to is full.
    #[error("no room: the message needs at least {need} bytes, the buffer has {room}")]
    NoRoom {
        /// Bytes that the message needs at least.
        need: usize,
        /// Bytes of the buffer.
        room: usize,
    },
}
