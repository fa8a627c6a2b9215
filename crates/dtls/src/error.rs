//! What can go wrong.

use crate::{Fingerprint, SrtpProfile};

/// Why there is no certificate or no configuration. Only a broken system gives these: they are for the start of the process.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EndpointError {
    /// The system gives no random numbers.
    #[error("no random numbers for a private key: {0}")]
    Random(String),
    /// The certificate cannot be built: the clock is beyond what a certificate can say.
    #[error("no certificate can be made: {0}; is the system's clock right?")]
    Certificate(String),
    /// A setting is out of range, or the library fails its own tests.
    #[error("DTLS cannot be used with these settings: {0}")]
    Settings(String),
}

/// Why a handshake has failed. Nothing can be done with its session any more; a new attempt is a new session.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HandshakeError {
    /// The certificate is not the one that signalling announced (RFC 5763 5): no keys have been given away.
    #[error(
        "the peer's certificate is {actual}, which its SDP does not announce: somebody else answers there, or the SDP was \
         changed on the way"
    )]
    Fingerprint {
        /// The fingerprint of the certificate that the peer has shown.
        actual: Fingerprint,
    },
    /// The certificate's key is of a kind that the library cannot check.
    #[error(
        "the peer's certificate is not an ECDSA one (P-256 or P-384), most likely an RSA certificate, which cannot be checked \
         here: give the peer an ECDSA certificate, or use OpenSSL (`dtls.library`)"
    )]
    UnsupportedCertificate,
    /// A client has shown no certificate.
    #[error(
        "the peer sent no certificate: DTLS-SRTP needs one of both sides, and a peer that has an RSA certificate only \
         sends none, because this side cannot check it: give the peer an ECDSA certificate, or use OpenSSL (`dtls.library`)"
    )]
    NoCertificate,
    /// No cipher suite in common.
    #[error(
        "the peer has no cipher suite in common with this side, which has ECDHE_ECDSA with AES-GCM or ChaCha20: a peer with \
         an RSA certificate needs an ECDSA one, or this side OpenSSL (`dtls.library`)"
    )]
    CipherSuites,
    /// The handshake is complete, but without `use_srtp`.
    #[error("the peer negotiated no SRTP profile (use_srtp, RFC 5764 4.1): it speaks DTLS, but not DTLS-SRTP")]
    NoSrtp,
    /// A profile was negotiated that was not asked for.
    #[error("{0} was negotiated, which is not among the profiles that are allowed here")]
    Profile(SrtpProfile),
    /// The peer has ended the handshake.
    #[error("the peer ended the handshake with the alert {0} (see the TLS alerts of IANA)")]
    Alert(u8),
    /// Not complete in time.
    #[error("the handshake was not complete in time: the peer does not answer, or its packets get lost")]
    TimedOut,
    /// The caller's buffer is too small for a datagram.
    #[error("a buffer of {room} bytes has no room for a datagram of {need}")]
    Buffer {
        /// Bytes of the datagram.
        need: usize,
        /// Bytes of the buffer.
        room: usize,
    },
    /// The peer breaks the protocol, or uses of it what the library does not know.
    #[error("the handshake failed: {0}")]
    Protocol(String),
}

impl HandshakeError {
    pub(crate) fn protocol(what: &impl ToString) -> Self {
        Self::Protocol(what.to_string())
    }
}
