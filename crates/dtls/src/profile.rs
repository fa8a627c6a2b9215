//! Protection profiles (RFC 5764 4.1.2, RFC 7714 14.2).

use core::fmt;

use patchcord_srtp::Suite;

/// How SRTP protects packets, as `use_srtp` negotiates it. Those that leave media unencrypted are not among them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SrtpProfile {
    /// AES-CM with HMAC-SHA1 and a tag of 80 bits: what every implementation has.
    Aes128CmSha1_80,
    /// The same with a tag of 32 bits. dimpl does not negotiate it.
    Aes128CmSha1_32,
    /// AES-GCM with 128 bits.
    AeadAes128Gcm,
    /// AES-GCM with 256 bits.
    AeadAes256Gcm,
}

impl SrtpProfile {
    /// All that there are, the preferred one first.
    pub const ALL: [Self; 4] = [Self::AeadAes256Gcm, Self::AeadAes128Gcm, Self::Aes128CmSha1_80, Self::Aes128CmSha1_32];

    /// Its number in `use_srtp`.
    #[must_use]
    pub const fn number(self) -> u16 {
        match self {
            Self::Aes128CmSha1_80 => 0x0001,
            Self::Aes128CmSha1_32 => 0x0002,
            Self::AeadAes128Gcm => 0x0007,
            Self::AeadAes256Gcm => 0x0008,
        }
    }

    /// Its name in IANA's registry.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Aes128CmSha1_80 => "SRTP_AES128_CM_HMAC_SHA1_80",
            Self::Aes128CmSha1_32 => "SRTP_AES128_CM_HMAC_SHA1_32",
            Self::AeadAes128Gcm => "SRTP_AEAD_AES_128_GCM",
            Self::AeadAes256Gcm => "SRTP_AEAD_AES_256_GCM",
        }
    }

    /// The suite that does it.
    #[must_use]
    pub const fn suite(self) -> Suite {
        match self {
            Self::Aes128CmSha1_80 => Suite::AesCm128HmacSha1_80,
            Self::Aes128CmSha1_32 => Suite::AesCm128HmacSha1_32,
            Self::AeadAes128Gcm => Suite::AeadAes128Gcm,
            Self::AeadAes256Gcm => Suite::AeadAes256Gcm,
        }
    }

    /// Bytes of a master key.
    #[must_use]
    pub const fn key_len(self) -> usize {
        self.suite().key_len()
    }

    /// Bytes of a master salt.
    #[must_use]
    pub const fn salt_len(self) -> usize {
        self.suite().salt_len()
    }

    /// Bytes that are exported from the handshake: key and salt of either side.
    #[must_use]
    pub const fn material_len(self) -> usize {
        2 * (self.key_len() + self.salt_len())
    }
}

impl fmt::Display for SrtpProfile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
