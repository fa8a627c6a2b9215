//! The library that does the handshake, behind one face.

#[cfg(feature = "openssl")]
mod open_ssl;
mod rust;
mod visitors;

use std::sync::Arc;
use std::time::Instant;

#[cfg(feature = "openssl")]
use open_ssl::OpenSsl;
#[cfg(feature = "openssl")]
pub(crate) use open_ssl::Shared as OpenSslShared;
use rust::Rust;

use crate::{Endpoint, HandshakeError, KeyingMaterial, Role};

/// Which library does the handshakes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Library {
    /// dimpl, in Rust: DTLS 1.2 and 1.3, no RSA.
    #[default]
    Rust,
    /// OpenSSL: DTLS 1.2, peers with RSA certificates too.
    #[cfg(feature = "openssl")]
    OpenSsl,
}

/// One association of either.
pub(crate) enum Association {
    Rust(Box<Rust>),
    #[cfg(feature = "openssl")]
    OpenSsl(Box<OpenSsl>),
}

impl Association {
    pub(crate) fn new(endpoint: &Arc<Endpoint>, role: Role, now: Instant) -> Result<Self, HandshakeError> {
        match endpoint.settings().library {
            Library::Rust => Ok(Self::Rust(Box::new(Rust::new(endpoint, role, now)?))),
            #[cfg(feature = "openssl")]
            Library::OpenSsl => Ok(Self::OpenSsl(Box::new(OpenSsl::new(endpoint, role, now)?))),
        }
    }

    /// Takes one record.
    pub(crate) fn handle(&mut self, record: &[u8], now: Instant) -> Result<(), HandshakeError> {
        match self {
            Self::Rust(it) => it.handle(record, now),
            #[cfg(feature = "openssl")]
            Self::OpenSsl(it) => it.handle(record, now),
        }
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) -> Result<(), HandshakeError> {
        match self {
            Self::Rust(it) => it.handle_timeout(now),
            #[cfg(feature = "openssl")]
            Self::OpenSsl(it) => it.handle_timeout(now),
        }
    }

    pub(crate) fn poll(&mut self, buffer: &mut [u8]) -> Result<Step, HandshakeError> {
        match self {
            Self::Rust(it) => it.poll(buffer),
            #[cfg(feature = "openssl")]
            Self::OpenSsl(it) => it.poll(buffer),
        }
    }

    pub(crate) fn close(&mut self) {
        match self {
            Self::Rust(it) => it.close(),
            #[cfg(feature = "openssl")]
            Self::OpenSsl(it) => it.close(),
        }
    }
}

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

/// Whether a server's record asks for a cookie: `HelloVerifyRequest` (RFC 6347 4.2.1) or `HelloRetryRequest` (RFC
/// 8446 4.1.3, a `ServerHello` with a fixed random).
fn is_cookie(record: &[u8]) -> bool {
    const RECORD_HEADER: usize = 13;
    const HELLO_VERIFY_REQUEST: u8 = 3;
    const SERVER_HELLO: u8 = 2;
    /// Behind the headers of the record and of the message, and the version.
    const RANDOM_AT: usize = RECORD_HEADER + 12 + 2;
    const RETRY: [u8; 32] = [
        0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91, 0xc2, 0xa2,
        0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c,
    ];
    match record.get(RECORD_HEADER) {
        Some(&HELLO_VERIFY_REQUEST) => true,
        Some(&SERVER_HELLO) => record.get(RANDOM_AT..).is_some_and(|rest| rest.starts_with(&RETRY)),
        _ => false,
    }
}
