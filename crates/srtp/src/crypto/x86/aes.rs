//! AES by AES-NI, eight blocks in flight, or by VAES, sixteen.

use std::arch::x86_64::{
    __m128i, __m256i, _mm_add_epi32, _mm_aesenc_si128, _mm_aesenclast_si128, _mm_cvtsi128_si32, _mm_set_epi32,
    _mm_set_epi64x, _mm_set1_epi32, _mm_setzero_si128, _mm_shuffle_epi8, _mm_xor_si128, _mm256_add_epi32,
    _mm256_aesenc_epi128, _mm256_aesenclast_epi128, _mm256_broadcastsi128_si256, _mm256_set_epi32, _mm256_shuffle_epi8,
    _mm256_xor_si256,
};

use zeroize::{Zeroize, ZeroizeOnDrop};

use super::features::{AesNi, Vaes};
use super::memory::{load, load_wide, prefetch, store, store_wide};
use crate::crypto::BLOCK;

/// Round keys of the longest key.
const ROUND_KEYS_MAX: usize = 15;
/// Bytes that a vector of two blocks has.
const WIDE: usize = 2 * BLOCK;

/// A block that comes in the CPU's registers, its bytes as a little-endian number: what has just been written to memory in
/// pieces could not be read as a whole without waiting.
#[inline]
#[target_feature(enable = "sse2")]
fn from_words(block: u128) -> __m128i {
    _mm_set_epi64x(((block >> 64) as u64).cast_signed(), (block as u64).cast_signed())
}

/// An expanded key, overwritten when it is dropped. It begins a line of the cache, and all that a key of 128 bits needs lies in
/// three of them.
#[derive(Zeroize, ZeroizeOnDrop)]
#[repr(C, align(64))]
pub(in crate::crypto) struct Aes {
    #[zeroize(skip)]
    size: Size,
    #[zeroize(skip)]
    vaes: Option<Vaes>,
    round_keys: [__m128i; ROUND_KEYS_MAX],
}

/// How long the key is.
#[derive(Clone, Copy)]
enum Size {
    Bits128,
    Bits192,
    Bits256,
}

impl Aes {
    /// The key has 16, 24 or 32 bytes.
    pub(in crate::crypto) fn new(key: &[u8], _: AesNi, vaes: Option<Vaes>) -> Self {
        let size = match key.len() {
            16 => Size::Bits128,
            24 => Size::Bits192,
            _ => Size::Bits256,
        };
        // SAFETY: the argument of type AesNi proves that the CPU has what the function needs.
        let round_keys = unsafe { expand(key) };
        Self { size, vaes, round_keys }
    }

    /// Brings a key of 128 bits to the cache before it is used.
    #[inline]
    pub(in crate::crypto) fn prefetch(&self) {
        for line in 0..3 {
            prefetch(self, line);
        }
    }

    pub(in crate::crypto) fn encrypt_block(&self, block: u128) -> u128 {
        // SAFETY: a key cannot have been made without the proof that the CPU has AES-NI.
        unsafe { self.encrypt_block_ni(block) }
    }

    pub(in crate::crypto) fn apply_ctr(&self, iv: u128, data: &mut [u8]) {
        if self.vaes.is_some() {
            // SAFETY: that there is a Vaes proves that the CPU has what the function needs.
            unsafe { self.apply_ctr_vaes(iv, data) }
        } else {
            // SAFETY: a key cannot have been made without the proof that the CPU has AES-NI.
            unsafe { self.apply_ctr_ni(iv, data) }
        }
    }

    #[inline]
    #[target_feature(enable = "aes,ssse3,sse4.1")]
    fn encrypt_block_ni(&self, block: u128) -> u128 {
        let blocks = [from_words(block)];
        let [encrypted] = match self.size {
            Size::Bits128 => encrypt::<10, 1>(&self.round_keys, blocks),
            Size::Bits192 => encrypt::<12, 1>(&self.round_keys, blocks),
            Size::Bits256 => encrypt::<14, 1>(&self.round_keys, blocks),
        };
        let mut block = [0; BLOCK];
        store(&mut block, encrypted);
        u128::from_le_bytes(block)
    }

    #[inline]
    #[target_feature(enable = "aes,ssse3,sse4.1")]
    fn apply_ctr_ni(&self, iv: u128, data: &mut [u8]) {
        match self.size {
            Size::Bits128 => ctr::<10>(&self.round_keys, from_words(iv), data),
            Size::Bits192 => ctr::<12>(&self.round_keys, from_words(iv), data),
            Size::Bits256 => ctr::<14>(&self.round_keys, from_words(iv), data),
        }
    }

    #[inline]
    #[target_feature(enable = "aes,avx2,vaes")]
    fn apply_ctr_vaes(&self, iv: u128, data: &mut [u8]) {
        match self.size {
            Size::Bits128 => ctr_wide::<10>(&self.round_keys, from_words(iv), data),
            Size::Bits192 => ctr_wide::<12>(&self.round_keys, from_words(iv), data),
            Size::Bits256 => ctr_wide::<14>(&self.round_keys, from_words(iv), data),
        }
    }
}

/// Key expansion (FIPS 197 5.2) without a table: a table's lines in the cache would tell of the key.
#[target_feature(enable = "aes,ssse3,sse4.1")]
fn expand(key: &[u8]) -> [__m128i; ROUND_KEYS_MAX] {
    /// Words of the longest schedule.
    const WORDS: usize = 4 * ROUND_KEYS_MAX;
    let mut words = [0; WORDS];
    let (key, _) = key.as_chunks();
    for (word, &bytes) in words.iter_mut().zip(key) {
        *word = u32::from_le_bytes(bytes);
    }
    let mut constant = 1_u32;
    for at in key.len()..4 * (key.len() + 7) {
        let mut word = words[at - 1];
        if at % key.len() == 0 {
            word = sub_word(word).rotate_right(8) ^ constant;
            constant = (constant << 1) ^ (0x11b * (constant >> 7));
        } else if key.len() > 6 && at % key.len() == 4 {
            word = sub_word(word);
        }
        words[at] = words[at - key.len()] ^ word;
    }
    let mut round_keys = [_mm_setzero_si128(); ROUND_KEYS_MAX];
    for (round_key, chunk) in round_keys.iter_mut().zip(words.as_chunks::<4>().0) {
        let mut bytes = [0; BLOCK];
        for (bytes, word) in bytes.as_chunks_mut().0.iter_mut().zip(chunk) {
            *bytes = word.to_le_bytes();
        }
        *round_key = load(&bytes);
        bytes.zeroize();
    }
    words.zeroize();
    round_keys
}

/// The S-box of each byte: the last round of AES does nothing else to a block of four equal columns, as shifting rows
/// changes none of it.
#[inline]
#[target_feature(enable = "aes,sse4.1")]
fn sub_word(word: u32) -> u32 {
    _mm_cvtsi128_si32(_mm_aesenclast_si128(_mm_set1_epi32(word.cast_signed()), _mm_setzero_si128())).cast_unsigned()
}

/// Blocks in one go: as many as `N`, each instruction for all of them before the next.
#[inline]
#[target_feature(enable = "aes,sse4.1")]
fn encrypt<const ROUNDS: usize, const N: usize>(
    round_keys: &[__m128i; ROUND_KEYS_MAX],
    mut blocks: [__m128i; N],
) -> [__m128i; N] {
    for block in &mut blocks {
        *block = _mm_xor_si128(*block, round_keys[0]);
    }
    for round_key in &round_keys[1..ROUNDS] {
        for block in &mut blocks {
            *block = _mm_aesenc_si128(*block, *round_key);
        }
    }
    for block in &mut blocks {
        *block = _mm_aesenclast_si128(*block, round_keys[ROUNDS]);
    }
    blocks
}

/// Counter mode over all of `data`.
#[inline]
#[target_feature(enable = "aes,ssse3,sse4.1")]
fn ctr<const ROUNDS: usize>(round_keys: &[__m128i; ROUND_KEYS_MAX], iv: __m128i, data: &mut [u8]) {
    let mut counter = _mm_shuffle_epi8(iv, swap_counter());
    let (strides, rest) = data.as_chunks_mut::<{ 8 * BLOCK }>();
    for stride in strides {
        counter = ctr_some::<ROUNDS, 8>(round_keys, counter, stride);
    }
    match rest.len().div_ceil(BLOCK) {
        0 => counter,
        1 => ctr_some::<ROUNDS, 1>(round_keys, counter, rest),
        2 => ctr_some::<ROUNDS, 2>(round_keys, counter, rest),
        3 => ctr_some::<ROUNDS, 3>(round_keys, counter, rest),
        4 => ctr_some::<ROUNDS, 4>(round_keys, counter, rest),
        5 => ctr_some::<ROUNDS, 5>(round_keys, counter, rest),
        6 => ctr_some::<ROUNDS, 6>(round_keys, counter, rest),
        7 => ctr_some::<ROUNDS, 7>(round_keys, counter, rest),
        _ => ctr_some::<ROUNDS, 8>(round_keys, counter, rest),
    };
}

/// `N` blocks, of which the last may be a part; gives the next counter.
#[inline]
#[target_feature(enable = "aes,ssse3,sse4.1")]
fn ctr_some<const ROUNDS: usize, const N: usize>(
    round_keys: &[__m128i; ROUND_KEYS_MAX],
    mut counter: __m128i,
    data: &mut [u8],
) -> __m128i {
    let mut keystream = [_mm_setzero_si128(); N];
    for block in &mut keystream {
        *block = _mm_shuffle_epi8(counter, swap_counter());
        counter = _mm_add_epi32(counter, _mm_set_epi32(1, 0, 0, 0));
    }
    let keystream = encrypt::<ROUNDS, N>(round_keys, keystream);
    let (chunks, rest) = data.as_chunks_mut();
    for (chunk, key) in chunks.iter_mut().zip(keystream) {
        store(chunk, _mm_xor_si128(load(chunk), key));
    }
    if !rest.is_empty() {
        let mut last = [0; BLOCK];
        last[..rest.len()].copy_from_slice(rest);
        let masked = _mm_xor_si128(load(&last), keystream[N - 1]);
        store(&mut last, masked);
        rest.copy_from_slice(&last[..rest.len()]);
    }
    counter
}

/// Exchanges the counter's big-endian bytes for the CPU's, and back.
#[inline]
#[target_feature(enable = "sse2")]
fn swap_counter() -> __m128i {
    _mm_set_epi32(0x0c0d_0e0f, 0x0b0a_0908, 0x0706_0504, 0x0302_0100)
}

/// [`encrypt`] with two blocks a vector.
#[inline]
#[target_feature(enable = "avx2,vaes")]
fn encrypt_wide<const ROUNDS: usize, const N: usize>(
    round_keys: &[__m128i; ROUND_KEYS_MAX],
    mut blocks: [__m256i; N],
) -> [__m256i; N] {
    let first = _mm256_broadcastsi128_si256(round_keys[0]);
    for block in &mut blocks {
        *block = _mm256_xor_si256(*block, first);
    }
    for round_key in &round_keys[1..ROUNDS] {
        let round_key = _mm256_broadcastsi128_si256(*round_key);
        for block in &mut blocks {
            *block = _mm256_aesenc_epi128(*block, round_key);
        }
    }
    let last = _mm256_broadcastsi128_si256(round_keys[ROUNDS]);
    for block in &mut blocks {
        *block = _mm256_aesenclast_epi128(*block, last);
    }
    blocks
}

/// [`ctr`] with two blocks a vector: the ten blocks of 20 ms of G.711 are one go of five vectors.
#[inline]
#[target_feature(enable = "aes,avx2,vaes")]
fn ctr_wide<const ROUNDS: usize>(round_keys: &[__m128i; ROUND_KEYS_MAX], iv: __m128i, data: &mut [u8]) {
    let first = _mm_shuffle_epi8(iv, swap_counter());
    let mut counter = _mm256_add_epi32(_mm256_broadcastsi128_si256(first), _mm256_set_epi32(1, 0, 0, 0, 0, 0, 0, 0));
    let (strides, rest) = data.as_chunks_mut::<{ 8 * WIDE }>();
    for stride in strides {
        counter = ctr_some_wide::<ROUNDS, 8>(round_keys, counter, stride);
    }
    match rest.len().div_ceil(WIDE) {
        0 => counter,
        1 => ctr_some_wide::<ROUNDS, 1>(round_keys, counter, rest),
        2 => ctr_some_wide::<ROUNDS, 2>(round_keys, counter, rest),
        3 => ctr_some_wide::<ROUNDS, 3>(round_keys, counter, rest),
        4 => ctr_some_wide::<ROUNDS, 4>(round_keys, counter, rest),
        5 => ctr_some_wide::<ROUNDS, 5>(round_keys, counter, rest),
        6 => ctr_some_wide::<ROUNDS, 6>(round_keys, counter, rest),
        7 => ctr_some_wide::<ROUNDS, 7>(round_keys, counter, rest),
        _ => ctr_some_wide::<ROUNDS, 8>(round_keys, counter, rest),
    };
}

/// `N` vectors, of which the last may be a part; gives the next counters.
#[inline]
#[target_feature(enable = "aes,avx2,vaes")]
fn ctr_some_wide<const ROUNDS: usize, const N: usize>(
    round_keys: &[__m128i; ROUND_KEYS_MAX],
    mut counter: __m256i,
    data: &mut [u8],
) -> __m256i {
    let swap = _mm256_broadcastsi128_si256(swap_counter());
    let mut keystream = [counter; N];
    for block in &mut keystream {
        *block = _mm256_shuffle_epi8(counter, swap);
        counter = _mm256_add_epi32(counter, _mm256_set_epi32(2, 0, 0, 0, 2, 0, 0, 0));
    }
    let keystream = encrypt_wide::<ROUNDS, N>(round_keys, keystream);
    let (chunks, rest) = data.as_chunks_mut();
    for (chunk, key) in chunks.iter_mut().zip(keystream) {
        store_wide(chunk, _mm256_xor_si256(load_wide(chunk), key));
    }
    if !rest.is_empty() {
        let mut last = [0; WIDE];
        last[..rest.len()].copy_from_slice(rest);
        let masked = _mm256_xor_si256(load_wide(&last), keystream[N - 1]);
        store_wide(&mut last, masked);
        rest.copy_from_slice(&last[..rest.len()]);
    }
    counter
}
