//! AES in f8 mode (RFC 3711 4.1.2): rare enough to have no form but this one.

use super::BLOCK;
use super::aes::AesKey;

/// Encrypts or decrypts. `masked` is the key with the mask of 4.1.2.1 added, the salt and bytes of 0x55 after it.
pub(crate) fn apply_f8(key: &AesKey, masked: &AesKey, iv: [u8; BLOCK], data: &mut [u8]) {
    let iv = u128::from_be_bytes(masked.encrypt_block(iv));
    let mut keystream = 0;
    for (counter, chunk) in (0..).zip(data.chunks_mut(BLOCK)) {
        keystream = u128::from_be_bytes(key.encrypt_block((iv ^ counter ^ keystream).to_be_bytes()));
        for (byte, key) in chunk.iter_mut().zip(keystream.to_be_bytes()) {
            *byte ^= key;
        }
    }
}
