//! TLS to a server of `PostgreSQL`.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::Problem;

/// Whom the system trusts.
const SYSTEM: &str = "/etc/ssl/certs/ca-certificates.crt";

/// For connections to a server for which `ca` vouches, or whom the system trusts.
pub(super) fn connector(ca: Option<&Path>) -> Result<MakeRustlsConnect, Problem> {
    let mut roots = RootCertStore::empty();
    let file = ca.unwrap_or(Path::new(SYSTEM));
    match CertificateDer::pem_file_iter(file) {
        Ok(certificates) => drop(roots.add_parsable_certificates(certificates.filter_map(Result::ok))),
        Err(error) if ca.is_some() => {
            let text = format!("cannot read the certificates of `records.ca` {}: {error}", file.display());
            return Err(Problem::of_the_database(text));
        }
        // Nobody is vouched for, and the handshake says so.
        Err(_) => {}
    }
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| Problem::of_the_database(format!("no TLS: {error}")))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}
