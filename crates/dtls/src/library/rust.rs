//! dimpl: DTLS 1.2 and 1.3 in Rust.
//!
//! A server of dimpl takes the first hello for that of its only client, starts the clock, asks for the cookie again and again, and takes an
//! error for the end. So until there is a cookie only hellos are shown to it, and one of another client is shown to a new server.

use std::sync::Arc;
use std::time::{Duration, Instant};

use dimpl::{
    CertificateError, CryptoError, CryptoOperation, Dtls, DtlsCertificate, Error, Output, SecurityError,
    UnexpectedMessageError,
};

use super::visitors::{Visitor, Visitors};
use super::{Step, is_cookie};
use crate::records::records;
use crate::{Endpoint, HandshakeError, KeyingMaterial, Role, SrtpProfile};

/// dimpl's way to say never is ten years.
const NEVER: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// The alert of a peer with which no cipher suite is shared.
const HANDSHAKE_FAILURE: u8 = 40;

/// One association.
pub(crate) struct Rust {
    endpoint: Arc<Endpoint>,
    role: Role,
    dtls: Dtls,
    /// Time never goes back for dimpl.
    now: Instant,
    /// Something other than a cookie has been sent.
    committed: bool,
    visitors: Visitors,
}

impl Rust {
    pub(crate) fn new(endpoint: &Arc<Endpoint>, role: Role, now: Instant) -> Result<Self, HandshakeError> {
        Ok(Self {
            endpoint: Arc::clone(endpoint),
            role,
            dtls: fresh(endpoint, role, now)?,
            now,
            committed: role == Role::Client,
            visitors: Visitors::default(),
        })
    }

    /// Takes one record.
    pub(crate) fn handle(&mut self, record: &[u8], now: Instant) -> Result<(), HandshakeError> {
        if self.committed {
            self.handle_timeout(now)?;
        } else {
            self.now = self.now.max(now);
            if !self.welcome(record)? {
                return Ok(());
            }
        }
        match self.dtls.handle_packet(record) {
            Err(error) if !self.committed && is_strangers(&error) => {
                self.visitors.forget();
                Ok(())
            }
            Err(error) if !is_noise(&error) => Err(self.explain(&error)),
            _ => Ok(()),
        }
    }

    /// Whether a server that has no client yet should look at this record.
    fn welcome(&mut self, record: &[u8]) -> Result<bool, HandshakeError> {
        let visitor = self.visitors.judge(record, self.now);
        if visitor == Visitor::Stranger {
            return Ok(false);
        }
        // Here alone time goes on for dimpl, which would ask for the cookie again by itself.
        if visitor == Visitor::New || self.dtls.handle_timeout(self.now).is_err() {
            self.dtls = fresh(&self.endpoint, self.role, self.now)?;
        }
        Ok(true)
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) -> Result<(), HandshakeError> {
        self.now = self.now.max(now);
        if !self.committed {
            return Ok(());
        }
        self.dtls.handle_timeout(self.now).map_err(|error| self.explain(&error))
    }

    pub(crate) fn poll(&mut self, buffer: &mut [u8]) -> Result<Step, HandshakeError> {
        loop {
            let room = buffer.len();
            let step = match self.dtls.poll_output(buffer) {
                Output::Packet(packet) => {
                    self.committed |= !records(packet).all(is_cookie);
                    Step::Transmit(packet.len())
                }
                Output::PeerCert(der) => Step::Certificate(der.to_vec()),
                Output::KeyingMaterial(exported, profile) => {
                    Step::Keys(KeyingMaterial::new(ours(profile)?, self.role, &exported)?)
                }
                Output::Connected => Step::Connected,
                Output::CloseNotify => Step::Closed,
                Output::Timeout(_) if !self.committed => Step::Wait(None),
                Output::Timeout(at) => Step::Wait((at < self.now + NEVER).then_some(at)),
                Output::BufferTooSmall { needed } => return self.poll_large(needed, room),
                // No data channels here: what a peer sends into one is none of the relay's business.
                _ => continue,
            };
            return Ok(step);
        }
    }

    /// A certificate can be longer than a datagram, and data may be. dimpl bounds both by what it queues.
    fn poll_large(&mut self, need: usize, room: usize) -> Result<Step, HandshakeError> {
        let mut large = vec![0; need];
        match self.dtls.poll_output(&mut large) {
            Output::PeerCert(der) => Ok(Step::Certificate(der.to_vec())),
            Output::Packet(_) => Err(HandshakeError::Buffer { need, room }),
            // At worst a timer is looked at too early.
            _ => Ok(Step::Wait(Some(self.now))),
        }
    }

    pub(crate) fn close(&mut self) {
        // A session that cannot say goodbye is over all the same.
        let _ = self.dtls.close();
    }

    fn explain(&self, error: &Error) -> HandshakeError {
        match error {
            Error::SecurityError(SecurityError::FatalAlert { description: HANDSHAKE_FAILURE })
                if self.role == Role::Client =>
            {
                HandshakeError::CipherSuites
            }
            Error::SecurityError(SecurityError::FatalAlert { description }) => HandshakeError::Alert(*description),
            Error::SecurityError(
                SecurityError::NoMutuallyAcceptableCipherSuite | SecurityError::NoCommonCipherSuite,
            ) => HandshakeError::CipherSuites,
            Error::CertificateError(CertificateError::NoClientCertificateReceived) => HandshakeError::NoCertificate,
            Error::CryptoError(
                CryptoError::UnsupportedPublicKeyAlgorithm
                | CryptoError::UnsupportedSignatureAlgorithm(_)
                | CryptoError::UnsupportedEcCurve,
            ) => HandshakeError::UnsupportedCertificate,
            Error::Timeout(_) => HandshakeError::TimedOut,
            other => HandshakeError::protocol(other),
        }
    }
}

fn fresh(endpoint: &Endpoint, role: Role, now: Instant) -> Result<Dtls, HandshakeError> {
    let identity = endpoint.identity();
    let certificate =
        DtlsCertificate { certificate: identity.certificate_der().to_vec(), private_key: identity.key_der().to_vec() };
    let mut dtls = if endpoint.settings().dtls_1_3 {
        Dtls::new_auto(endpoint.config(), certificate, now)
    } else {
        Dtls::new_12(endpoint.config(), certificate, now)
    };
    dtls.set_active(role == Role::Client);
    dtls.handle_timeout(now).map_err(|error| HandshakeError::protocol(&error))?;
    Ok(dtls)
}

/// Errors that leave dimpl as it was: the record is as good as lost.
fn is_noise(error: &Error) -> bool {
    matches!(
        error,
        Error::ReceiveQueueFull
            | Error::UnexpectedMessage(UnexpectedMessageError::UnrecognizedAutoServerResponse)
            // RFC 6347 4.1.2.7: what is not authentic is to be dropped. dimpl does so only once the handshake is complete.
            | Error::CryptoError(CryptoError::OperationFailed(CryptoOperation::Decrypt))
    )
}

/// Errors that another client's hello, or a forged one, can bring about before there is a cookie.
fn is_strangers(error: &Error) -> bool {
    matches!(
        error,
        Error::ReceiveQueueFull
            | Error::TooManyClientHelloFragments
            | Error::SecurityError(SecurityError::InvalidCookieInClientHello)
    )
}

fn ours(profile: dimpl::SrtpProfile) -> Result<SrtpProfile, HandshakeError> {
    match profile {
        dimpl::SrtpProfile::AES128_CM_SHA1_80 => Ok(SrtpProfile::Aes128CmSha1_80),
        dimpl::SrtpProfile::AEAD_AES_128_GCM => Ok(SrtpProfile::AeadAes128Gcm),
        dimpl::SrtpProfile::AEAD_AES_256_GCM => Ok(SrtpProfile::AeadAes256Gcm),
        other => Err(HandshakeError::protocol(&format!("the unknown profile {other}"))),
    }
}
