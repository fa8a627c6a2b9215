//! AES-GCM as SRTP uses it (RFC 7714): 12 bytes of IV, 16 bytes of tag.
//!
//! Tag and encryption are apart, so that a packet is decrypted only after it has authenticated itself.

use super::aes::AesKey;
use super::backend::Backend;
#[cfg(target_arch = "x86_64")]
use super::x86;
use super::{BLOCK, portable};

/// Bytes of the initialisation vector.
pub(crate) const IV_LEN: usize = 12;

/// A key of AES-GCM, overwritten when it is dropped.
pub(crate) struct GcmKey {
    aes: AesKey,
    hash: Hash,
}

/// What multiplies by `H`.
#[allow(clippy::large_enum_variant, reason = "the large one is what is used, and a box would cost a miss of the cache")]
enum Hash {
    Portable(Box<portable::Ghash>),
    #[cfg(target_arch = "x86_64")]
    X86(x86::Ghash),
}

impl Hash {
    fn new(h: [u8; BLOCK], backend: Backend) -> Self {
        #[cfg(target_arch = "x86_64")]
        if let Some(aes) = backend.features.aes {
            return Self::X86(x86::Ghash::new(h, aes, backend.features.vaes));
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = backend;
        Self::Portable(Box::new(portable::Ghash::new(h)))
    }

    fn of(&self, aad: &[&[u8]], ciphertext: &[u8]) -> [u8; BLOCK] {
        match self {
            Self::Portable(hash) => hash.of(aad, ciphertext),
            #[cfg(target_arch = "x86_64")]
            Self::X86(hash) => hash.of(aad, ciphertext),
        }
    }
}

impl GcmKey {
    /// Expands a key of 16 or 32 bytes.
    ///
    /// # Panics
    /// If it is no AES key by its length.
    pub(crate) fn new(key: &[u8], backend: Backend) -> Self {
        let aes = AesKey::new(key, backend);
        let hash = Hash::new(aes.encrypt_block([0; BLOCK]), backend);
        Self { aes, hash }
    }

    /// The tag over what is encrypted already; `aad` is authenticated only and may lie in several pieces.
    pub(crate) fn tag(&self, iv: &[u8; IV_LEN], aad: &[&[u8]], ciphertext: &[u8]) -> [u8; BLOCK] {
        let hash = self.hash.of(aad, ciphertext);
        let mask = self.aes.encrypt_block(counter(iv, 1));
        (u128::from_ne_bytes(hash) ^ u128::from_ne_bytes(mask)).to_ne_bytes()
    }

    /// Encrypts or decrypts.
    pub(crate) fn apply_ctr(&self, iv: &[u8; IV_LEN], data: &mut [u8]) {
        self.aes.apply_ctr(counter(iv, 2), data);
    }
}

/// The counter block of a number: 1 is for the tag, the data begin at 2.
#[inline]
fn counter(iv: &[u8; IV_LEN], number: u32) -> [u8; BLOCK] {
    let &[a, b, c, d, e, f, g, h, i, j, k, l] = iv;
    let front = u64::from_le_bytes([a, b, c, d, e, f, g, h]);
    let back = u64::from(u32::from_le_bytes([i, j, k, l])) | u64::from(u32::from_le_bytes(number.to_be_bytes())) << 32;
    (u128::from(front) | u128::from(back) << 64).to_le_bytes()
}
