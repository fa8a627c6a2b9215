//! AES and its counter mode (RFC 3711 4.1.1).

use super::backend::Backend;
#[cfg(target_arch = "x86_64")]
use super::x86;
use super::{BLOCK, portable};

/// An expanded key of 128, 192 or 256 bits, overwritten when it is dropped.
pub(crate) struct AesKey(Schedule);

#[allow(clippy::large_enum_variant, reason = "the large one is what is used, and a box would cost a miss of the cache")]
enum Schedule {
    /// In a box, because the portable form is thrice as large as the others.
    Portable(Box<portable::Aes>),
    #[cfg(target_arch = "x86_64")]
    X86(x86::Aes),
}

impl AesKey {
    /// Expands a key of 16, 24 or 32 bytes.
    ///
    /// # Panics
    /// If the key has another length.
    pub(crate) fn new(key: &[u8], backend: Backend) -> Self {
        assert!(matches!(key.len(), 16 | 24 | 32), "an AES key of {} bytes", key.len());
        #[cfg(target_arch = "x86_64")]
        if let Some(aes) = backend.features.aes {
            return Self(Schedule::X86(x86::Aes::new(key, aes, backend.features.vaes)));
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = backend;
        Self(Schedule::Portable(Box::new(portable::Aes::new(key))))
    }

    /// One block, as key derivation and f8 need it.
    #[inline]
    pub(crate) fn encrypt_block(&self, block: [u8; BLOCK]) -> [u8; BLOCK] {
        match &self.0 {
            Schedule::Portable(key) => key.encrypt_block(block),
            #[cfg(target_arch = "x86_64")]
            Schedule::X86(key) => key.encrypt_block(u128::from_le_bytes(block)).to_le_bytes(),
        }
    }

    /// Encrypts or decrypts with the keystream that begins with the encryption of `iv`.
    ///
    /// The last 32 bits of the block count up, big-endian. For SRTP, whose counter has 16 bits and starts at 0, that is the
    /// same: a datagram has fewer than 2^16 blocks. For GCM it is the counter.
    #[inline]
    pub(crate) fn apply_ctr(&self, iv: [u8; BLOCK], data: &mut [u8]) {
        match &self.0 {
            Schedule::Portable(key) => key.apply_ctr(iv, data),
            #[cfg(target_arch = "x86_64")]
            Schedule::X86(key) => key.apply_ctr(u128::from_le_bytes(iv), data),
        }
    }

    /// Brings the key to the cache before it is used.
    #[inline]
    pub(crate) fn prefetch(&self) {
        #[cfg(target_arch = "x86_64")]
        if let Schedule::X86(key) = &self.0 {
            key.prefetch();
        }
    }
}

/// One packet's share of a [`ctr_batch`].
pub(crate) struct CtrJob<'a> {
    /// The packet's key.
    pub(crate) key: &'a AesKey,
    /// The first counter block.
    pub(crate) iv: [u8; BLOCK],
    /// What is encrypted or decrypted in place.
    pub(crate) data: &'a mut [u8],
}

/// [`AesKey::apply_ctr`] for several packets.
pub(crate) fn ctr_batch(jobs: &mut [CtrJob<'_>]) {
    for job in &*jobs {
        job.key.prefetch();
    }
    for job in jobs {
        job.key.apply_ctr(job.iv, job.data);
    }
}
