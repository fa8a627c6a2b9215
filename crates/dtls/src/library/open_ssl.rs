//! OpenSSL: DTLS 1.2, with peers that have RSA certificates too.
//!
//! It reads and writes through a pair of queues. Its clock for retransmissions is its own: it looks at it whenever it is asked to go
//! on, and so it is asked several times a second until the handshake is complete.

use core::ffi::c_ulong;
use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use openssl::error::ErrorStack;
use openssl::ex_data::Index;
use openssl::pkey::PKey;
use openssl::ssl::{ErrorCode, Ssl, SslContext, SslMethod, SslOptions, SslStream, SslVerifyMode, SslVersion};
use openssl::x509::X509;

use super::Step;
use super::visitors::{Visitor, Visitors};
use crate::{Endpoint, EndpointError, HandshakeError, Identity, KeyingMaterial, Role, SrtpProfile};

/// What RFC 5764 4.2 exports keys under.
const EXPORTER: &str = "EXTRACTOR-dtls_srtp";
/// How often OpenSSL is to look at its clock.
const LOOK: Duration = Duration::from_millis(100);
/// Names of the profiles in OpenSSL, in our order of preference.
const PROFILES: &str = "SRTP_AEAD_AES_256_GCM:SRTP_AEAD_AES_128_GCM:SRTP_AES128_CM_SHA1_80:SRTP_AES128_CM_SHA1_32";
/// Reason codes of OpenSSL for alerts of the peer are the alerts' numbers plus this (openssl/sslerr.h).
const ALERT_REASONS: i32 = 1000;
const COOKIE_LEN: usize = 32;

/// What the sessions of an endpoint share.
pub(crate) struct Shared {
    context: SslContext,
    cookie: Index<Ssl, [u8; COOKIE_LEN]>,
}

impl Shared {
    pub(crate) fn new(identity: &Identity) -> Result<Self, EndpointError> {
        Self::build(identity).map_err(|error| EndpointError::Settings(error.to_string()))
    }

    fn build(identity: &Identity) -> Result<Self, ErrorStack> {
        let cookie = Ssl::new_ex_index::<[u8; COOKIE_LEN]>()?;
        let mut context = SslContext::builder(SslMethod::dtls())?;
        context.set_min_proto_version(Some(SslVersion::DTLS1_2))?;
        context.set_certificate(&*X509::from_der(identity.certificate_der())?)?;
        context.set_private_key(&*PKey::private_key_from_pkcs8(identity.key_der())?)?;
        // Whose certificate it has to be is told by SDP: any that is signed by its own key is good so far.
        context.set_verify_callback(SslVerifyMode::PEER | SslVerifyMode::FAIL_IF_NO_PEER_CERT, |_, _| true);
        context.set_tlsext_use_srtp(PROFILES)?;
        context.set_options(SslOptions::NO_QUERY_MTU | SslOptions::COOKIE_EXCHANGE | SslOptions::NO_TICKET);
        context.set_cookie_generate_cb(move |ssl, room| {
            let cookie = ssl.ex_data(cookie).copied().unwrap_or_default();
            room[..COOKIE_LEN].copy_from_slice(&cookie);
            Ok(COOKIE_LEN)
        });
        context.set_cookie_verify_cb(move |ssl, shown| ssl.ex_data(cookie).is_some_and(|cookie| cookie[..] == *shown));
        Ok(Self { context: context.build(), cookie })
    }
}

/// Datagrams that have come and that are to be sent.
#[derive(Debug, Default)]
struct Wire {
    inbox: VecDeque<Vec<u8>>,
    outbox: VecDeque<Vec<u8>>,
}

impl Read for Wire {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let datagram = self.inbox.pop_front().ok_or(io::ErrorKind::WouldBlock)?;
        let len = datagram.len().min(room.len());
        room[..len].copy_from_slice(&datagram[..len]);
        Ok(len)
    }
}

impl Write for Wire {
    fn write(&mut self, datagram: &[u8]) -> io::Result<usize> {
        self.outbox.push_back(datagram.to_vec());
        Ok(datagram.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// One association.
pub(crate) struct OpenSsl {
    endpoint: Arc<Endpoint>,
    role: Role,
    stream: SslStream<Wire>,
    visitors: Visitors,
    /// When the handshake began: with the hello of a client that has brought its cookie.
    begun: Option<Instant>,
    complete: bool,
    closed: bool,
    now: Instant,
    news: VecDeque<Step>,
}

impl OpenSsl {
    pub(crate) fn new(endpoint: &Arc<Endpoint>, role: Role, now: Instant) -> Result<Self, HandshakeError> {
        let mut new = Self {
            endpoint: Arc::clone(endpoint),
            role,
            stream: fresh(endpoint, role)?,
            visitors: Visitors::default(),
            begun: (role == Role::Client).then_some(now),
            complete: false,
            closed: false,
            now,
            news: VecDeque::new(),
        };
        if role == Role::Client {
            new.go_on()?;
        }
        Ok(new)
    }

    pub(crate) fn handle(&mut self, record: &[u8], now: Instant) -> Result<(), HandshakeError> {
        self.now = self.now.max(now);
        if self.begun.is_none() {
            match self.visitors.judge(record, self.now) {
                Visitor::Stranger => return Ok(()),
                Visitor::Known => {}
                Visitor::New => self.stream = fresh(&self.endpoint, self.role)?,
            }
        }
        self.stream.get_mut().inbox.push_back(record.to_vec());
        match self.go_on() {
            // A hello that nobody can answer was a stranger's.
            Err(_) if self.begun.is_none() => {
                self.visitors.forget();
                self.stream = fresh(&self.endpoint, self.role)?;
                Ok(())
            }
            result => result,
        }
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) -> Result<(), HandshakeError> {
        self.now = self.now.max(now);
        let Some(begun) = self.begun.filter(|_| !self.complete) else { return Ok(()) };
        if self.now >= begun + self.endpoint.settings().handshake_limit {
            return Err(HandshakeError::TimedOut);
        }
        self.go_on()
    }

    pub(crate) fn poll(&mut self, buffer: &mut [u8]) -> Result<Step, HandshakeError> {
        if let Some(datagram) = self.stream.get_mut().outbox.pop_front() {
            let (need, room) = (datagram.len(), buffer.len());
            let to = buffer.get_mut(..need).ok_or(HandshakeError::Buffer { need, room })?;
            to.copy_from_slice(&datagram);
            return Ok(Step::Transmit(need));
        }
        if let Some(news) = self.news.pop_front() {
            return Ok(news);
        }
        Ok(Step::Wait(self.begun.filter(|_| !self.complete && !self.closed).map(|_| self.now + LOOK)))
    }

    pub(crate) fn close(&mut self) {
        self.closed = true;
        // A session that cannot say goodbye is over all the same.
        let _ = self.stream.shutdown();
    }

    /// Lets OpenSSL do what it can do.
    fn go_on(&mut self) -> Result<(), HandshakeError> {
        if !self.complete {
            let result = self.stream.do_handshake();
            // A server that has sent more than a request for a cookie has found its client.
            if self.begun.is_none() && self.stream.get_ref().outbox.iter().any(|sent| !super::is_cookie(sent)) {
                self.begun = Some(self.now);
            }
            match result {
                Ok(()) => self.conclude()?,
                Err(error) if is_waiting(&error) => return Ok(()),
                Err(error) => return Err(self.explain(&error)),
            }
        }
        // Retransmissions of the peer, and its goodbye; data are none of the relay's business.
        let mut data = [0; 64];
        loop {
            match self.stream.ssl_read(&mut data) {
                Ok(_) => {}
                Err(error) if error.code() == ErrorCode::ZERO_RETURN => {
                    if !core::mem::replace(&mut self.closed, true) {
                        self.news.push_back(Step::Closed);
                    }
                    return Ok(());
                }
                Err(error) if is_waiting(&error) => return Ok(()),
                Err(error) => return Err(self.explain(&error)),
            }
        }
    }

    /// The handshake is complete.
    fn conclude(&mut self) -> Result<(), HandshakeError> {
        self.complete = true;
        let ssl = self.stream.ssl();
        let certificate = ssl.peer_certificate().ok_or(HandshakeError::NoCertificate)?;
        let der = certificate.to_der().map_err(|error| HandshakeError::protocol(&error))?;
        self.news.push_back(Step::Certificate(der));
        if let Some(profile) = ssl.selected_srtp_profile() {
            let number = profile.id().as_raw();
            let ours = SrtpProfile::ALL.into_iter().find(|ours| c_ulong::from(ours.number()) == number);
            let profile = ours.ok_or_else(|| HandshakeError::protocol(&format!("the unknown profile {number}")))?;
            let mut exported = zeroize::Zeroizing::new(vec![0; profile.material_len()]);
            ssl.export_keying_material(&mut exported, EXPORTER, None)
                .map_err(|error| HandshakeError::protocol(&error))?;
            self.news.push_back(Step::Keys(KeyingMaterial::new(profile, self.role, &exported)?));
        }
        self.news.push_back(Step::Connected);
        Ok(())
    }

    fn explain(&self, error: &openssl::ssl::Error) -> HandshakeError {
        let Some(stack) = error.ssl_error() else { return HandshakeError::protocol(error) };
        for error in stack.errors() {
            let reason = error.reason().unwrap_or_default();
            match (error.reason_code(), self.role) {
                _ if reason == "no shared cipher" => return HandshakeError::CipherSuites,
                _ if reason == "peer did not return a certificate" => return HandshakeError::NoCertificate,
                (code, _) if (ALERT_REASONS..ALERT_REASONS + 256).contains(&code) => {
                    return HandshakeError::Alert((code - ALERT_REASONS) as u8);
                }
                _ => {}
            }
        }
        HandshakeError::protocol(stack)
    }
}

fn fresh(endpoint: &Endpoint, role: Role) -> Result<SslStream<Wire>, HandshakeError> {
    let shared = endpoint.open_ssl().ok_or_else(|| HandshakeError::protocol(&"the endpoint is not OpenSSL's"))?;
    let new = || {
        let mut ssl = Ssl::new(&shared.context)?;
        let mut cookie = [0; COOKIE_LEN];
        openssl::rand::rand_bytes(&mut cookie)?;
        ssl.set_ex_data(shared.cookie, cookie);
        ssl.set_mtu(u32::try_from(endpoint.settings().mtu).unwrap_or(u32::MAX))?;
        match role {
            Role::Client => ssl.set_connect_state(),
            Role::Server => ssl.set_accept_state(),
        }
        SslStream::new(ssl, Wire::default())
    };
    new().map_err(|error: ErrorStack| HandshakeError::protocol(&error))
}

fn is_waiting(error: &openssl::ssl::Error) -> bool {
    matches!(error.code(), ErrorCode::WANT_READ | ErrorCode::WANT_WRITE)
}
