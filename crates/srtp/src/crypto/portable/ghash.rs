//! GHASH over additional data and ciphertext (NIST SP 800-38D 6.4).

use ::ghash::GHash;
use ::ghash::universal_hash::UniversalHash as _;

use super::super::BLOCK;

/// A key of GHASH with nothing hashed yet, overwritten when it is dropped (`ghash`'s feature `zeroize`).
pub(in super::super) struct Ghash(GHash);

impl Ghash {
    pub(in super::super) fn new(h: [u8; BLOCK]) -> Self {
        Self(GHash::new(&h.into()))
    }

    /// Of both parts, each padded to a block, and their lengths.
    pub(in super::super) fn of(&self, aad: &[&[u8]], ciphertext: &[u8]) -> [u8; BLOCK] {
        let mut hash = self.0.clone();
        let mut aad_len = 0;
        // Pieces are joined by blocks: padding comes only after the last.
        let mut block = [0; BLOCK];
        for &byte in aad.iter().copied().flatten() {
            block[aad_len % BLOCK] = byte;
            aad_len += 1;
            if aad_len % BLOCK == 0 {
                hash.update(&[block.into()]);
                block = [0; BLOCK];
            }
        }
        hash.update_padded(&block[..aad_len % BLOCK]);
        hash.update_padded(ciphertext);
        let bits = (aad_len as u128 * 8) << 64 | (ciphertext.len() as u128 * 8);
        hash.update(&[bits.to_be_bytes().into()]);
        hash.finalize().into()
    }
}
