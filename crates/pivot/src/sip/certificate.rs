//! What a TLS server shows of itself, looked at without trusting it: nothing but the handshake is sent.

use core::net::SocketAddr;
use core::time::Duration;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use tokio_rustls::rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::server::ParsedCertificate;
use tokio_rustls::rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};
use x509_cert::Certificate;
use x509_cert::der::Decode as _;

use super::tls;

/// A server's certificate, and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// Whom it is for, as the certificate has it.
    pub subject: String,
    /// Who says so.
    pub issuer: String,
    /// From when to when it is good.
    pub validity: (SystemTime, SystemTime),
    /// Certificates that were sent, its own among them.
    pub chain: usize,
    /// `TLSv1_3`.
    pub protocol: String,
    /// What a call would fail by; nothing, if it would not.
    pub flaws: Vec<Flaw>,
}

/// What is wrong with a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// Its time is over.
    Expired,
    /// Its time has not come.
    NotYet,
    /// It is for other names: for which.
    OtherName(Vec<String>),
    /// Nobody vouches for it but itself.
    SelfSigned,
    /// Nobody vouches for it who is trusted.
    UnknownIssuer,
    /// Something else, as the library says it.
    Other(String),
}

/// Why there is nothing to look at.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotShown {
    /// No connection.
    #[error("{0}")]
    Unreachable(String),
    /// A connection, but no TLS.
    #[error("{0}")]
    Handshake(String),
    /// The file of those who vouch cannot be read, or the host can have no certificate.
    #[error("{0}")]
    Here(String),
}

/// Opens a connection and closes it: how long that took.
///
/// # Errors
/// What the system says.
pub async fn connect(to: SocketAddr, patience: Duration) -> Result<(TcpStream, Duration), String> {
    let began = tokio::time::Instant::now();
    let opened = tokio::time::timeout(patience, TcpStream::connect(to)).await;
    let socket = opened.map_err(|_| "no answer".to_owned())?.map_err(|error| error.to_string())?;
    Ok((socket, began.elapsed()))
}

/// Looks at the certificate of the server at `to`, which must be for `host`, by those who vouch in `ca`, or whom the system trusts.
///
/// # Errors
/// [`NotShown`]: why there is none to look at.
pub async fn examine(to: SocketAddr, host: &str, ca: Option<&PathBuf>, patience: Duration) -> Result<Shown, NotShown> {
    let roots = tls::roots(ca).map_err(|error| NotShown::Here(error.to_string()))?;
    let name = ServerName::try_from(host.to_owned()).map_err(|error| NotShown::Here(format!("{host}: {error}")))?;
    let provider = Arc::new(ring::default_provider());
    let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| NotShown::Here(error.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Onlooker(Arc::clone(&provider))))
        .with_no_client_auth();
    let (socket, _) = connect(to, patience).await.map_err(NotShown::Unreachable)?;
    let connector = TlsConnector::from(Arc::new(config));
    let shaken = tokio::time::timeout(patience, connector.connect(name.clone(), socket)).await;
    let shaken = shaken.map_err(|_| NotShown::Handshake("it says nothing".to_owned()))?;
    let stream = shaken.map_err(|error| NotShown::Handshake(error.to_string()))?;
    let (_, session) = stream.get_ref();
    let chain = session.peer_certificates().unwrap_or_default();
    let protocol = session.protocol_version().map(|version| format!("{version:?}")).unwrap_or_default();
    judge(chain, &name, &roots, &provider, protocol).map_err(NotShown::Handshake)
}

fn judge(
    chain: &[CertificateDer<'_>],
    name: &ServerName<'_>,
    roots: &RootCertStore,
    provider: &CryptoProvider,
    protocol: String,
) -> Result<Shown, String> {
    let (own, others) = chain.split_first().ok_or("it shows no certificate")?;
    let read = Certificate::from_der(own).map_err(|error| format!("its certificate cannot be read: {error}"))?;
    let read = read.tbs_certificate();
    let from = read.validity().not_before.to_unix_duration();
    let to = read.validity().not_after.to_unix_duration();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut flaws = Vec::new();
    if now > to {
        flaws.push(Flaw::Expired);
    } else if now < from {
        flaws.push(Flaw::NotYet);
    }
    let parsed = ParsedCertificate::try_from(own).map_err(|error| error.to_string())?;
    // At a time when it is good: that it is not has been found already.
    let at = UnixTime::since_unix_epoch(now.clamp(from, to.max(from)));
    let algorithms = provider.signature_verification_algorithms.all;
    match verify_server_cert_signed_by_trust_anchor(&parsed, roots, others, at, algorithms) {
        Ok(()) => {}
        Err(Error::InvalidCertificate(CertificateError::UnknownIssuer)) if read.issuer() == read.subject() => {
            flaws.push(Flaw::SelfSigned);
        }
        Err(Error::InvalidCertificate(CertificateError::UnknownIssuer)) => flaws.push(Flaw::UnknownIssuer),
        Err(error) => flaws.push(Flaw::Other(error.to_string())),
    }
    match verify_server_name(&parsed, name) {
        Ok(()) => {}
        Err(Error::InvalidCertificate(CertificateError::NotValidForNameContext { presented, .. })) => {
            flaws.push(Flaw::OtherName(presented));
        }
        Err(Error::InvalidCertificate(CertificateError::NotValidForName)) => flaws.push(Flaw::OtherName(Vec::new())),
        Err(error) => flaws.push(Flaw::Other(error.to_string())),
    }
    Ok(Shown {
        subject: read.subject().to_string(),
        issuer: read.issuer().to_string(),
        validity: (UNIX_EPOCH + from, UNIX_EPOCH + to),
        chain: chain.len(),
        protocol,
        flaws,
    })
}

/// Takes every certificate, as it is only looked at; that the server has the key to it is checked as ever.
#[derive(Debug)]
struct Onlooker(Arc<CryptoProvider>);

impl ServerCertVerifier for Onlooker {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
