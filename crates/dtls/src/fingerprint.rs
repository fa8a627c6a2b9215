//! What SDP says of a certificate: `a=fingerprint` (RFC 8122 5).

use core::fmt;
use core::str::FromStr;

use sha1::{Digest as _, Sha1};
use sha2::{Sha224, Sha256, Sha384, Sha512};
use subtle::ConstantTimeEq as _;

/// The hash functions of RFC 8122 that can still be told from a forgery, weakest first. SHA-1 is here because old endpoints
/// announce nothing else; MD5 and MD2 must not be used (RFC 8122 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HashFunction {
    /// `sha-1`: 20 bytes.
    Sha1,
    /// `sha-224`: 28 bytes.
    Sha224,
    /// `sha-256`: 32 bytes; what this side announces, and what every implementation must know (RFC 8122 5).
    Sha256,
    /// `sha-384`: 48 bytes.
    Sha384,
    /// `sha-512`: 64 bytes.
    Sha512,
}

impl HashFunction {
    const ALL: [Self; 5] = [Self::Sha1, Self::Sha224, Self::Sha256, Self::Sha384, Self::Sha512];

    /// Its name in SDP.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sha1 => "sha-1",
            Self::Sha224 => "sha-224",
            Self::Sha256 => "sha-256",
            Self::Sha384 => "sha-384",
            Self::Sha512 => "sha-512",
        }
    }

    /// Bytes of a value.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a hash function has values of one length, and none is empty")]
    pub const fn len(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha224 => 28,
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }

    fn of(self, bytes: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha1 => Sha1::digest(bytes).to_vec(),
            Self::Sha224 => Sha224::digest(bytes).to_vec(),
            Self::Sha256 => Sha256::digest(bytes).to_vec(),
            Self::Sha384 => Sha384::digest(bytes).to_vec(),
            Self::Sha512 => Sha512::digest(bytes).to_vec(),
        }
    }
}

impl fmt::Display for HashFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for HashFunction {
    type Err = FingerprintError;

    /// Names are compared without regard to case (RFC 8122 5).
    fn from_str(name: &str) -> Result<Self, FingerprintError> {
        Self::ALL
            .into_iter()
            .find(|function| function.name().eq_ignore_ascii_case(name))
            .ok_or_else(|| FingerprintError::HashFunction(name.to_owned()))
    }
}

/// The hash of a certificate's DER, with the function that made it. Written as in SDP: `sha-256 4A:AD:B9:...`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Fingerprint {
    function: HashFunction,
    value: Vec<u8>,
}

impl Fingerprint {
    /// The fingerprint of a certificate.
    #[must_use]
    pub fn of(function: HashFunction, certificate_der: &[u8]) -> Self {
        Self { function, value: function.of(certificate_der) }
    }

    /// The function that made it.
    #[must_use]
    pub const fn function(&self) -> HashFunction {
        self.function
    }

    /// The first `N` bytes, at most 20.
    pub(crate) fn leading<const N: usize>(&self) -> [u8; N] {
        let mut leading = [0; N];
        leading.copy_from_slice(&self.value[..N]);
        leading
    }

    /// Whether it is that of the certificate. Takes the same time whether it is or not.
    #[must_use]
    pub fn matches(&self, certificate_der: &[u8]) -> bool {
        self.function.of(certificate_der).ct_eq(&self.value).into()
    }

    /// Whether the certificate is one that `announced` means. Of several fingerprints only those with the strongest function
    /// count (RFC 8122 5.1): else the weakest would decide what is believed.
    #[must_use]
    pub fn any_matches(announced: &[Self], certificate_der: &[u8]) -> bool {
        let strongest = announced.iter().map(Self::function).max();
        announced.iter().filter(|one| Some(one.function) == strongest).any(|one| one.matches(certificate_der))
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.function)?;
        for (at, byte) in self.value.iter().enumerate() {
            write!(f, "{}{byte:02X}", if at == 0 { ' ' } else { ':' })?;
        }
        Ok(())
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

impl FromStr for Fingerprint {
    type Err = FingerprintError;

    /// The value of `a=fingerprint`, without the attribute's name. Small hex digits are taken too, although RFC 8122 wants
    /// capitals: nothing else can be meant by them.
    fn from_str(text: &str) -> Result<Self, FingerprintError> {
        let (name, hex) = text.trim().split_once(' ').ok_or(FingerprintError::Form)?;
        let function: HashFunction = name.parse()?;
        let value = hex.trim().split(':').map(hex_pair).collect::<Option<Vec<u8>>>().ok_or(FingerprintError::Form)?;
        if value.len() != function.len() {
            return Err(FingerprintError::Length { function, len: value.len() });
        }
        Ok(Self { function, value })
    }
}

fn hex_pair(pair: &str) -> Option<u8> {
    // from_str_radix would take "+A" too.
    let both_are_hex = pair.len() == 2 && pair.bytes().all(|byte| byte.is_ascii_hexdigit());
    both_are_hex.then(|| u8::from_str_radix(pair, 16).ok()).flatten()
}

/// Why a text is no fingerprint.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FingerprintError {
    /// Not `FUNCTION XX:XX:...`.
    #[error("a fingerprint is a hash function, a space and pairs of hex digits with colons, as in sha-256 4A:AD:B9")]
    Form,
    /// A hash function that is unknown or must not be used.
    #[error("the hash function {0:?} is not one that is trusted: sha-256 is what every endpoint can send")]
    HashFunction(String),
    /// Too many or too few bytes for the function.
    #[error("a fingerprint by {function} has {} bytes, not {len}", function.len())]
    Length {
        /// The function it names.
        function: HashFunction,
        /// The bytes it has.
        len: usize,
    },
}
