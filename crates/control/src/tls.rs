//! TLS to servers of https, and who vouches for them.

use std::path::Path;
use std::sync::Arc;

use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};

/// Where Debian keeps whom it trusts.
const SYSTEM: &str = "/etc/ssl/certs/ca-certificates.crt";

/// For requests to servers for which a PEM file vouches, or whom the system trusts if there is none. What a server shows is always
/// verified: where nobody vouches, every handshake fails with that reason.
///
/// # Errors
/// The file that `ca` names cannot be read, or has no certificate.
pub fn tls_config(ca: Option<&Path>) -> Result<TlsConfig, String> {
    let trusted = match ca {
        Some(path) => certificates(path)?,
        None => certificates(Path::new(SYSTEM)).unwrap_or_default(),
    };
    Ok(TlsConfig::builder()
        .root_certs(RootCerts::from(trusted))
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .build())
}

fn certificates(path: &Path) -> Result<Vec<Certificate<'static>>, String> {
    let failed = |what: String| format!("{}: {what}", path.display());
    let pem = std::fs::read(path).map_err(|error| failed(format!("cannot read it: {error}")))?;
    let mut certificates = Vec::new();
    for item in parse_pem(&pem) {
        // A key beside it vouches for nobody.
        if let PemItem::Certificate(certificate) =
            item.map_err(|error| failed(format!("it is no PEM file: {error}")))?
        {
            certificates.push(certificate);
        }
    }
    if certificates.is_empty() {
        return Err(failed("no certificate is in it: give a PEM file with BEGIN CERTIFICATE".to_owned()));
    }
    Ok(certificates)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_vouches_for_nobody_is_told() {
        let file = std::env::temp_dir().join(format!("patchcord-ca-{}.pem", std::process::id()));
        let missing = tls_config(Some(&file)).expect_err("it is not there");
        assert!(missing.contains("cannot read it") && missing.contains("patchcord-ca-"), "{missing}");
        std::fs::write(&file, "nothing of the kind").expect("a file");
        let empty = tls_config(Some(&file)).expect_err("nothing is in it");
        std::fs::remove_file(&file).expect("it is there");
        assert!(empty.contains("no certificate is in it"), "{empty}");
        let RootCerts::Specific(trusted) = tls_config(None).expect("the system").root_certs().clone() else {
            panic!("nobody else vouches");
        };
        assert_eq!(trusted.is_empty(), !Path::new(SYSTEM).exists());
    }
}
