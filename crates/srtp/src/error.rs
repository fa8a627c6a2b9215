//! What can be wrong with keys, and with packets.

use thiserror::Error;

/// Why keys cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum KeyError {
    /// Not a suite that is known here.
    #[error("unknown crypto-suite {0:?}; known are AES_CM_128_HMAC_SHA1_80 and the others of RFC 4568, 6188 and 7714")]
    UnknownSuite(String),
    /// Key and salt are not as long as the suite says.
    #[error("{suite} takes {expected} bytes of key and salt together, not {len}")]
    KeyLength {
        /// The suite.
        suite: &'static str,
        /// Bytes that it takes.
        expected: usize,
        /// Bytes that there are.
        len: usize,
    },
    /// The name of the master key is longer than RFC 4568 6.1 allows, or empty.
    #[error("an MKI has 1 to {max} bytes, not {len}", max = crate::MKI_LEN_MAX)]
    MkiLength {
        /// Its bytes.
        len: usize,
    },
    /// Encryption or authentication cannot be left out of an AEAD suite.
    #[error("{0} encrypts and authenticates in one: UNENCRYPTED and UNAUTHENTICATED do not go with it")]
    Indivisible(&'static str),
}

/// Why a packet was not protected or not accepted. It is as it was, then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SrtpError {
    /// Too short, or its header says that it is longer than it is.
    #[error("not an SRTP or SRTCP packet: it is shorter than its header, index and tag")]
    Malformed,
    /// The tag is not that of the packet under this key.
    #[error("the packet does not authenticate: wrong key, or changed on its way")]
    Authentication,
    /// It was accepted before.
    #[error("the packet was received before")]
    Replayed,
    /// So far behind the newest that whether it was accepted before is not known any more.
    #[error("the packet is older than the replay window")]
    TooOld,
    /// It was made with a master key of another name.
    #[error("the packet has another MKI")]
    Mki,
    /// Its index was used before under this key and SSRC: protecting it would use key stream twice (RFC 3711 9.1).
    #[error("the index of the packet was used before")]
    IndexUsed,
    /// As many packets were sent as a master key may protect (RFC 3711 9.2).
    #[error("the master key is used up")]
    KeyExhausted,
    /// More SSRCs under one master key than there is room for.
    #[error("too many SSRCs under one master key")]
    TooManyStreams,
    /// The buffer has no room for tag and index.
    #[error("no room for the tag behind the packet")]
    NoRoom,
}
