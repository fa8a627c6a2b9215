//! AES block by block; the crate `aes` takes 8 or more blocks at once where it is given them.

use ::aes::cipher::{BlockCipherEncrypt as _, KeyInit as _};
use ::aes::{Aes128, Aes192, Aes256, Block};

use super::super::BLOCK;

/// Blocks of keystream made at once: an RTP packet of 20 ms of G.711 has ten.
const STRIDE: usize = 8;

/// An expanded key, overwritten when it is dropped (`aes`' feature `zeroize`).
pub(in super::super) enum Aes {
    Bits128(Aes128),
    Bits192(Aes192),
    Bits256(Aes256),
}

impl Aes {
    /// The key has 16, 24 or 32 bytes.
    pub(in super::super) fn new(key: &[u8]) -> Self {
        const OF_A_LENGTH: &str = "AesKey::new looks at the length";
        match key.len() {
            16 => Self::Bits128(Aes128::new_from_slice(key).expect(OF_A_LENGTH)),
            24 => Self::Bits192(Aes192::new_from_slice(key).expect(OF_A_LENGTH)),
            _ => Self::Bits256(Aes256::new_from_slice(key).expect(OF_A_LENGTH)),
        }
    }

    pub(in super::super) fn encrypt_block(&self, block: [u8; BLOCK]) -> [u8; BLOCK] {
        let mut blocks = [Block::from(block)];
        self.encrypt_blocks(&mut blocks);
        let [block] = blocks;
        block.into()
    }

    pub(in super::super) fn apply_ctr(&self, iv: [u8; BLOCK], data: &mut [u8]) {
        let [front @ .., a, b, c, d] = iv;
        let mut counter = u32::from_be_bytes([a, b, c, d]);
        let mut first = [0; BLOCK];
        first[..front.len()].copy_from_slice(&front);
        for chunk in data.chunks_mut(STRIDE * BLOCK) {
            let mut keystream = [Block::from(first); STRIDE];
            let keystream = &mut keystream[..chunk.len().div_ceil(BLOCK)];
            for block in &mut *keystream {
                block[front.len()..].copy_from_slice(&counter.to_be_bytes());
                counter = counter.wrapping_add(1);
            }
            self.encrypt_blocks(keystream);
            for (byte, key) in chunk.iter_mut().zip(keystream.iter().flatten()) {
                *byte ^= key;
            }
        }
    }

    fn encrypt_blocks(&self, blocks: &mut [Block]) {
        match self {
            Self::Bits128(key) => key.encrypt_blocks(blocks),
            Self::Bits192(key) => key.encrypt_blocks(blocks),
            Self::Bits256(key) => key.encrypt_blocks(blocks),
        }
    }
}
