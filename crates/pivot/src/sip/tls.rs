//! TLS of SIP (RFC 3261 26.3.1): the certificate of listeners, and who vouches for those that are called.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::config::{Certificate, StackError};

/// Where Debian keeps whom it trusts.
const SYSTEM: &str = "/etc/ssl/certs/ca-certificates.crt";

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, StackError> {
    let failed = |what: String| StackError::Pem { path: path.to_owned(), what };
    let certificates = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| failed(format!("cannot read certificates: {error}: give a PEM file that may be read")))?;
    if certificates.is_empty() {
        return Err(failed("no certificate is in it: give a PEM file with BEGIN CERTIFICATE".to_owned()));
    }
    Ok(certificates)
}

/// For listeners.
pub(super) fn acceptor(certificate: &Certificate) -> Result<TlsAcceptor, StackError> {
    let chain = certificates(&certificate.chain)?;
    let failed = |what: String| StackError::Pem { path: certificate.key.clone(), what };
    let key = PrivateKeyDer::from_pem_file(&certificate.key)
        .map_err(|error| failed(format!("cannot read the key: {error}: give its PEM file, without a password")))?;
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
        .map_err(|error| failed(format!("key and certificate: {error}: give the key of this certificate")))?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Who vouches for servers that are called. Without `ca` and without the system's file nobody does.
pub(super) fn roots(ca: Option<&PathBuf>) -> Result<RootCertStore, StackError> {
    let mut roots = RootCertStore::empty();
    let trusted = match ca {
        Some(path) => certificates(path)?,
        None => certificates(Path::new(SYSTEM)).unwrap_or_default(),
    };
    // Of a file with hundreds some are always too old for rustls.
    roots.add_parsable_certificates(trusted);
    Ok(roots)
}

/// For calls. Where nobody is vouched for, every handshake fails with that reason.
pub(crate) fn connector(ca: Option<&PathBuf>) -> Result<TlsConnector, StackError> {
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| StackError::Stack(error.to_string()))?
        .with_root_certificates(roots(ca)?)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}
