//! DTLS-SRTP keying (RFC 5764): a handshake without I/O that ends in SRTP keys.
//!
//! Nothing here has a socket, a clock or a thread: datagrams and times are arguments, and what is to be sent and when to be woken
//! is given back. A handshake's way through the crate:
//!
//! 1. An [`Endpoint`] is made at start: an [`Identity`] (a key and a certificate) and [`Settings`]. Its [`Fingerprint`] goes into
//!    SDP, with a [`Setup`] and a [`TlsId`].
//! 2. When the [`Role`] is settled, a [`Session`] begins the handshake.
//! 3. [`Session::handle`] takes the peer's datagrams (first byte 20 to 63, RFC 7983); [`Session::poll`] says what to do.
//! 4. [`Output::Connected`] gives the [`KeyingMaterial`], once the peer's certificate is the one that its SDP announces.
//!
//! # What the library can do
//!
//! [dimpl](https://docs.rs/dimpl) speaks DTLS 1.3 and 1.2, whichever the peer prefers: ECDHE (X25519, P-256, P-384), ECDSA (P-256,
//! P-384), AES-GCM and ChaCha20-Poly1305, always with extended master secrets. It has no DTLS 1.0, no resumption, no renegotiation
//! and no RSA:
//!
//! - A server that has an RSA certificate only finds no common cipher suite: [`HandshakeError::CipherSuites`].
//! - A client that has an RSA certificate only sends none, or one that cannot be checked: [`HandshakeError::NoCertificate`] or
//!   [`HandshakeError::UnsupportedCertificate`].
//!
//! With the feature `openssl` there is `Library::OpenSsl` beside it, which has RSA, and DTLS 1.2 alone.
//!
//! dimpl offers AES-GCM with 256 bits, with 128 bits and AES-CM with HMAC-SHA1 and 80 bits, in this order, and as a server takes the
//! first of these that the client has. Neither can be changed; the `profiles` of a session say only which result is accepted.
//!
//! # What a stranger can do
//!
//! A server asks for a cookie first (`HelloVerifyRequest`, RFC 6347 4.2.1; `HelloRetryRequest` with DTLS 1.3). What it sends until
//! it comes is less than what it got. It awaits one client's cookie at a time, for 0.3 s at least: hellos from forged sources make
//! nothing grow and start no limit in time, and the true client is served when they end. After that at most thirty records wait for
//! one that is missing. What is not DTLS, is cut off, was there before or is not authentic is dropped.
//!
//! As with every DTLS 1.2, whoever can send from the peer's address before there are keys can end the handshake, by an alert for
//! instance: then there are none, never wrong ones. So a caller should give a session only what comes from where ICE or SDP
//! says that the peer is.
//!
//! # The code map
//!
//! `session` is the state machine, `library` what does the cryptography for it; `endpoint` and `identity` are what sessions
//! share; `records` takes datagrams apart; `fingerprint`, `setup` and `tls_id` are SDP's words; `keys` and `profile` what comes out.

#![forbid(unsafe_code)]

mod endpoint;
mod error;
mod fingerprint;
mod identity;
mod keys;
mod library;
mod profile;
mod records;
mod session;
mod setup;
mod tls_id;

pub use endpoint::{Endpoint, Settings};
pub use error::{EndpointError, HandshakeError};
pub use fingerprint::{Fingerprint, FingerprintError, HashFunction};
pub use identity::Identity;
pub use keys::KeyingMaterial;
pub use library::Library;
pub use profile::SrtpProfile;
pub use session::{Output, Session};
pub use setup::{Role, Setup, SetupError};
pub use tls_id::{TlsId, TlsIdError};
