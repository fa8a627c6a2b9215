//! Crypto-suites: what is agreed on by one name.

use core::fmt;
use core::str::FromStr;

use crate::error::KeyError;

/// A crypto-suite by its registered name (RFC 4568 6.2, RFC 6188 4, RFC 7714 14.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Suite {
    /// `AES_CM_128_HMAC_SHA1_80`: what everybody has.
    AesCm128HmacSha1_80,
    /// `AES_CM_128_HMAC_SHA1_32`: six bytes less a packet, and a forger succeeds once in four thousand million times.
    AesCm128HmacSha1_32,
    /// `AES_192_CM_HMAC_SHA1_80`.
    AesCm192HmacSha1_80,
    /// `AES_192_CM_HMAC_SHA1_32`.
    AesCm192HmacSha1_32,
    /// `AES_256_CM_HMAC_SHA1_80`.
    AesCm256HmacSha1_80,
    /// `AES_256_CM_HMAC_SHA1_32`.
    AesCm256HmacSha1_32,
    /// `AEAD_AES_128_GCM`.
    AeadAes128Gcm,
    /// `AEAD_AES_256_GCM`.
    AeadAes256Gcm,
    /// `F8_128_HMAC_SHA1_80`: of 3GPP's, hardly used.
    F8_128HmacSha1_80,
    /// `F8_128_HMAC_SHA1_32`.
    F8_128HmacSha1_32,
    /// `NULL_HMAC_SHA1_80`: authenticated, and readable by everybody.
    NullHmacSha1_80,
    /// `NULL_HMAC_SHA1_32`.
    NullHmacSha1_32,
}

/// How the payload is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cipher {
    /// AES in counter mode (RFC 3711 4.1.1).
    Counter,
    /// AES-GCM (RFC 7714).
    Gcm,
    /// AES in f8 mode (RFC 3711 4.1.2).
    F8,
    /// Not at all.
    Null,
}

impl Suite {
    /// All of them, in the order in which they are offered: longest keys first, and what is not to be offered last.
    pub const ALL: [Self; 12] = [
        Self::AeadAes256Gcm,
        Self::AeadAes128Gcm,
        Self::AesCm256HmacSha1_80,
        Self::AesCm256HmacSha1_32,
        Self::AesCm192HmacSha1_80,
        Self::AesCm192HmacSha1_32,
        Self::AesCm128HmacSha1_80,
        Self::AesCm128HmacSha1_32,
        Self::F8_128HmacSha1_80,
        Self::F8_128HmacSha1_32,
        Self::NullHmacSha1_80,
        Self::NullHmacSha1_32,
    ];

    /// The registered name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::AesCm128HmacSha1_80 => "AES_CM_128_HMAC_SHA1_80",
            Self::AesCm128HmacSha1_32 => "AES_CM_128_HMAC_SHA1_32",
            Self::AesCm192HmacSha1_80 => "AES_192_CM_HMAC_SHA1_80",
            Self::AesCm192HmacSha1_32 => "AES_192_CM_HMAC_SHA1_32",
            Self::AesCm256HmacSha1_80 => "AES_256_CM_HMAC_SHA1_80",
            Self::AesCm256HmacSha1_32 => "AES_256_CM_HMAC_SHA1_32",
            Self::AeadAes128Gcm => "AEAD_AES_128_GCM",
            Self::AeadAes256Gcm => "AEAD_AES_256_GCM",
            Self::F8_128HmacSha1_80 => "F8_128_HMAC_SHA1_80",
            Self::F8_128HmacSha1_32 => "F8_128_HMAC_SHA1_32",
            Self::NullHmacSha1_80 => "NULL_HMAC_SHA1_80",
            Self::NullHmacSha1_32 => "NULL_HMAC_SHA1_32",
        }
    }

    /// Bytes of the master key.
    #[must_use]
    pub const fn key_len(self) -> usize {
        match self {
            Self::AesCm192HmacSha1_80 | Self::AesCm192HmacSha1_32 => 24,
            Self::AesCm256HmacSha1_80 | Self::AesCm256HmacSha1_32 | Self::AeadAes256Gcm => 32,
            _ => 16,
        }
    }

    /// Bytes of the master salt, and of the session salt.
    #[must_use]
    pub const fn salt_len(self) -> usize {
        match self {
            Self::AeadAes128Gcm | Self::AeadAes256Gcm => 12,
            _ => 14,
        }
    }

    /// Bytes of the authentication tag of RTP.
    #[must_use]
    pub const fn rtp_tag_len(self) -> usize {
        match self {
            Self::AeadAes128Gcm | Self::AeadAes256Gcm => 16,
            Self::AesCm128HmacSha1_32
            | Self::AesCm192HmacSha1_32
            | Self::AesCm256HmacSha1_32
            | Self::F8_128HmacSha1_32
            | Self::NullHmacSha1_32 => 4,
            _ => 10,
        }
    }

    /// Bytes of the authentication tag of RTCP, which the names with 32 do not shorten (RFC 4568 6.2.2).
    #[must_use]
    pub const fn rtcp_tag_len(self) -> usize {
        match self {
            Self::AeadAes128Gcm | Self::AeadAes256Gcm => 16,
            _ => 10,
        }
    }

    /// Whether encryption and authentication are one transform (RFC 7714), neither of which can be left out.
    #[must_use]
    pub const fn is_aead(self) -> bool {
        matches!(self.cipher(), Cipher::Gcm)
    }

    /// Whether this one is for compatibility alone: nothing is encrypted, or by what nobody looks at any more.
    #[must_use]
    pub const fn is_for_compatibility(self) -> bool {
        matches!(self.cipher(), Cipher::F8 | Cipher::Null)
    }

    pub(crate) const fn cipher(self) -> Cipher {
        match self {
            Self::AeadAes128Gcm | Self::AeadAes256Gcm => Cipher::Gcm,
            Self::F8_128HmacSha1_80 | Self::F8_128HmacSha1_32 => Cipher::F8,
            Self::NullHmacSha1_80 | Self::NullHmacSha1_32 => Cipher::Null,
            _ => Cipher::Counter,
        }
    }
}

impl fmt::Display for Suite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// By the registered name; letters of either case, as rtpengine and others have them, and RFC 6188's names in the order of RFC
/// 3711's too (`AES_CM_256_HMAC_SHA1_80`), which some telephones write.
impl FromStr for Suite {
    type Err = KeyError;

    fn from_str(name: &str) -> Result<Self, KeyError> {
        let is = |known: &str| name.eq_ignore_ascii_case(known);
        let found = Self::ALL.into_iter().find(|suite| is(suite.name()));
        let found = found.or(match () {
            () if is("AES_CM_192_HMAC_SHA1_80") => Some(Self::AesCm192HmacSha1_80),
            () if is("AES_CM_192_HMAC_SHA1_32") => Some(Self::AesCm192HmacSha1_32),
            () if is("AES_CM_256_HMAC_SHA1_80") => Some(Self::AesCm256HmacSha1_80),
            () if is("AES_CM_256_HMAC_SHA1_32") => Some(Self::AesCm256HmacSha1_32),
            () => None,
        });
        found.ok_or_else(|| KeyError::UnknownSuite(name.chars().take(64).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_suite_has_a_name_of_its_own_that_reads_back() {
        for suite in Suite::ALL {
            assert_eq!(suite.name().parse(), Ok(suite));
            assert_eq!(suite.name().to_ascii_lowercase().parse(), Ok(suite));
        }
        assert_eq!("AES_CM_256_HMAC_SHA1_80".parse(), Ok(Suite::AesCm256HmacSha1_80));
        assert_eq!("AES_CM_129".parse::<Suite>(), Err(KeyError::UnknownSuite("AES_CM_129".to_owned())));
    }

    #[test]
    fn nothing_for_compatibility_alone_comes_before_what_protects() {
        let first = Suite::ALL.iter().position(|suite| suite.is_for_compatibility());
        let last = Suite::ALL.iter().rposition(|suite| !suite.is_for_compatibility());
        assert!(first > last);
    }
}
