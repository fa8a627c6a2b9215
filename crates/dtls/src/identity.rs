//! Who this side is: a key and a certificate that it signs itself.

use core::fmt;
use core::str::FromStr as _;
use core::time::Duration;
use std::time::SystemTime;

use p256::ecdsa::{DerSignature, SigningKey};
use p256::elliptic_curve::Generate as _;
use p256::pkcs8::EncodePrivateKey as _;
use x509_cert::builder::profile::BuilderProfile;
use x509_cert::builder::{self, Builder as _, CertificateBuilder};
use x509_cert::certificate::TbsCertificate;
use x509_cert::der::Encode as _;
use x509_cert::der::asn1::GeneralizedTime;
use x509_cert::ext::Extension;
use x509_cert::name::Name;
use x509_cert::serial_number::SerialNumber;
use x509_cert::spki::{EncodePublicKey as _, SubjectPublicKeyInfo, SubjectPublicKeyInfoRef};
use x509_cert::time::{Time, Validity};
use zeroize::Zeroizing;

use crate::{EndpointError, Fingerprint, HashFunction};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The fingerprint is what a peer goes by, but some look at the dates too: valid from yesterday, for clocks that are behind,
/// and for longer than a process runs.
const BEFORE: Duration = DAY;
const AFTER: Duration = DAY.saturating_mul(3650);

/// A private key of ECDSA P-256 (the one that RFC 8827 6.5 asks for) and its certificate. Made at start and never stored: a
/// fingerprint that outlives the process would only make calls traceable.
pub struct Identity {
    certificate: Vec<u8>,
    /// PKCS #8. Sessions hand copies of it to the library, which does not overwrite them.
    key: Zeroizing<Vec<u8>>,
}

impl Identity {
    /// A new one. `now` is for the dates in the certificate.
    pub fn generate(now: SystemTime) -> Result<Self, EndpointError> {
        let key = SigningKey::try_generate().map_err(|error| EndpointError::Random(error.to_string()))?;
        let certificate = certificate(&key, now).map_err(|error| EndpointError::Certificate(error.to_string()))?;
        let key = key.to_pkcs8_der().map_err(|error| EndpointError::Certificate(error.to_string()))?;
        Ok(Self { certificate, key: Zeroizing::new(key.as_bytes().to_vec()) })
    }

    /// What SDP announces.
    #[must_use]
    pub fn fingerprint(&self, function: HashFunction) -> Fingerprint {
        Fingerprint::of(function, &self.certificate)
    }

    /// The certificate in DER.
    #[must_use]
    pub fn certificate_der(&self) -> &[u8] {
        &self.certificate
    }

    pub(crate) fn key_der(&self) -> &[u8] {
        &self.key
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({})", self.fingerprint(HashFunction::Sha256))
    }
}

fn certificate(key: &SigningKey, now: SystemTime) -> Result<Vec<u8>, builder::Error> {
    let public = SubjectPublicKeyInfo::from_key(key.verifying_key())?;
    // Firefox wants serial numbers that are unique: a hash of a random key is.
    let serial = Fingerprint::of(HashFunction::Sha256, key.verifying_key().to_public_key_der()?.as_bytes());
    let mut serial: [u8; 16] = serial.leading();
    // An integer with the top bit set would be negative.
    serial[0] &= 0x7f;
    let now = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    // The builder writes it as UTCTime where RFC 5280 4.1.2.5 wants that.
    let at = |unix: Duration| GeneralizedTime::from_unix_duration(unix).map(Time::GeneralTime);
    let validity = Validity::new(at(now.saturating_sub(BEFORE))?, at(now.saturating_add(AFTER))?);
    CertificateBuilder::new(SelfSigned(Name::from_str("CN=patchcord")?), SerialNumber::new(&serial)?, validity, public)?
        .build::<_, DerSignature>(key)?
        .to_der()
        .map_err(builder::Error::from)
}

/// A certificate that says nothing but its name: peers look at its fingerprint only.
struct SelfSigned(Name);

impl BuilderProfile for SelfSigned {
    fn get_issuer(&self, subject: &Name) -> Name {
        subject.clone()
    }

    fn get_subject(&self) -> Name {
        self.0.clone()
    }

    fn build_extensions(
        &self,
        _: SubjectPublicKeyInfoRef<'_>,
        _: SubjectPublicKeyInfoRef<'_>,
        _: &TbsCertificate,
    ) -> builder::Result<Vec<Extension>> {
        Ok(Vec::new())
    }
}
