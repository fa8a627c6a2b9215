//! The library that does the handshake, behind one face.

mod rust;

use std::time::Instant;

pub(crate) use rust::Rust;

use crate::KeyingMaterial;

/// What a library has to say next.
pub(crate) enum Step {
    /// A datagram of so many bytes is in the buffer.
    Transmit(usize),
    /// The peer has shown this certificate, and that it has the key of it.
    Certificate(Vec<u8>),
    /// The keys, if the peer speaks DTLS-SRTP.
    Keys(KeyingMaterial),
    /// The handshake is complete.
    Connected,
    /// The peer has ended the association.
    Closed,
    /// Nothing more before this time.
    Wait(Option<Instant>),
}
