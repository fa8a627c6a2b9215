//! GHASH (NIST SP 800-38D 6.4) by carry-less multiplication.
//!
//! Bits of a block are in the reverse order of the CPU's. Blocks are turned byte by byte; that the bits of each byte are still
//! reversed costs nothing, since the product of reversed factors is the reversed product, but for one shift, which is made
//! once, in the key: its powers are kept multiplied by x. Blocks are multiplied by a power each and reduced together.

use std::arch::x86_64::{
    __m128i, __m256i, _mm_clmulepi64_si128, _mm_set_epi64x, _mm_setzero_si128, _mm_shuffle_epi8, _mm_shuffle_epi32,
    _mm_xor_si128, _mm256_broadcastsi128_si256, _mm256_castsi256_si128, _mm256_clmulepi64_epi128,
    _mm256_extracti128_si256, _mm256_setzero_si256, _mm256_shuffle_epi8, _mm256_xor_si256, _mm256_zextsi128_si256,
};

use zeroize::{Zeroize, ZeroizeOnDrop};

use super::features::{AesNi, Vaes};
use super::memory::{load, load_wide, store};
use crate::crypto::BLOCK;

/// Blocks that are reduced together: an RTP packet of 20 ms of G.711 has twelve, header and lengths included, and some more
/// with an extension of its header.
const POWERS: usize = 16;
/// x^128 + x^7 + x^2 + x + 1, reversed and shifted as the key is.
const POLYNOMIAL: u128 = 0xc200_0000_0000_0000_0000_0000_0000_0001;
/// Bytes of a pair of blocks.
const WIDE: usize = 2 * BLOCK;

/// The powers of `H`; overwritten when they are dropped.
#[derive(Zeroize, ZeroizeOnDrop)]
#[repr(C, align(64))]
pub(in crate::crypto) struct Ghash {
    /// From the highest to the first, and a zero, so that the first can be read as one of a pair.
    powers: [[u8; BLOCK]; POWERS + 1],
    #[zeroize(skip)]
    vaes: Option<Vaes>,
}

impl Ghash {
    pub(in crate::crypto) fn new(h: [u8; BLOCK], _: AesNi, vaes: Option<Vaes>) -> Self {
        // SAFETY: the argument of type AesNi proves that the CPU has what the function needs.
        let powers = unsafe { powers_of(h) };
        Self { powers, vaes }
    }

    /// Of both parts, each padded to a block, and their lengths.
    pub(in crate::crypto) fn of(&self, aad: &[&[u8]], ciphertext: &[u8]) -> [u8; BLOCK] {
        if self.vaes.is_some() {
            if let [aad] = aad
                && aad.len().div_ceil(BLOCK) + ciphertext.len().div_ceil(BLOCK) < POWERS
            {
                // SAFETY: that there is a Vaes proves that the CPU has what the function needs.
                return unsafe { self.of_few(aad, ciphertext) };
            }
            // SAFETY: that there is a Vaes proves that the CPU has what the function needs.
            unsafe { self.of_wide(aad, ciphertext) }
        } else {
            // SAFETY: a key cannot have been made without the proof that the CPU has what the function needs.
            unsafe { self.of_narrow(aad, ciphertext) }
        }
    }

    /// Fewer blocks than there are powers: nothing is reduced but the whole sum.
    #[target_feature(enable = "pclmulqdq,avx2,vpclmulqdq")]
    fn of_few(&self, aad: &[u8], ciphertext: &[u8]) -> [u8; BLOCK] {
        let swap = _mm256_broadcastsi128_si256(swap_bytes());
        let mut next = POWERS - 1 - aad.len().div_ceil(BLOCK) - ciphertext.len().div_ceil(BLOCK);
        let zero = _mm256_setzero_si256();
        let mut sums = [zero; 3];
        for part in [aad, ciphertext] {
            let (pairs, rest) = part.as_chunks::<WIDE>();
            for pair in pairs {
                add_pair(&mut sums, &self.powers, next, _mm256_shuffle_epi8(load_wide(pair), swap));
                next += 2;
            }
            if !rest.is_empty() {
                let mut pair = [0; WIDE];
                if let Ok(header) = <&[u8; 12]>::try_from(rest) {
                    pair[..12].copy_from_slice(header);
                } else {
                    pair[..rest.len()].copy_from_slice(rest);
                }
                // If it is one block, the other is zero.
                add_pair(&mut sums, &self.powers, next, _mm256_shuffle_epi8(load_wide(&pair), swap));
                next += rest.len().div_ceil(BLOCK);
            }
        }
        add_pair(&mut sums, &self.powers, next, _mm256_zextsi128_si256(lengths(aad.len(), ciphertext.len())));
        let [low, middle, high] = sums;
        let mut hash = [0; BLOCK];
        store(&mut hash, _mm_shuffle_epi8(reduce(fold(low), fold(middle), fold(high)), swap_bytes()));
        hash
    }

    #[target_feature(enable = "pclmulqdq,ssse3,sse4.1")]
    fn of_narrow(&self, aad: &[&[u8]], ciphertext: &[u8]) -> [u8; BLOCK] {
        let mut sum = Sum::new(&self.powers, aad, ciphertext);
        sum.add_pieces(aad);
        let (blocks, rest) = ciphertext.as_chunks();
        for block in blocks {
            sum.add(swapped(block));
        }
        sum.add_rest(rest);
        sum.finish(aad, ciphertext)
    }

    #[target_feature(enable = "pclmulqdq,avx2,vpclmulqdq")]
    fn of_wide(&self, aad: &[&[u8]], ciphertext: &[u8]) -> [u8; BLOCK] {
        let mut sum = Sum::new(&self.powers, aad, ciphertext);
        sum.add_pieces(aad);
        let (mut blocks, rest) = ciphertext.as_chunks();
        while !blocks.is_empty() {
            blocks = sum.add_pairs(blocks);
            if let Some((block, others)) = blocks.split_first() {
                sum.add(swapped(block));
                blocks = others;
            }
        }
        sum.add_rest(rest);
        sum.finish(aad, ciphertext)
    }
}

/// A sum of products that waits for its reduction.
struct Sum<'a> {
    powers: &'a [[u8; BLOCK]; POWERS + 1],
    /// The power that the next block is multiplied by, as its place in `powers`.
    next: usize,
    /// What came out of the last reduction: belongs to the next block.
    carry: __m128i,
    low: __m128i,
    middle: __m128i,
    high: __m128i,
}

impl<'a> Sum<'a> {
    #[inline]
    #[target_feature(enable = "pclmulqdq,ssse3,sse4.1")]
    fn new(powers: &'a [[u8; BLOCK]; POWERS + 1], aad: &[&[u8]], ciphertext: &[u8]) -> Self {
        // All blocks but the one of the lengths. The last group ends with the first power, so that the first is what is over.
        let blocks = len_of(aad).div_ceil(BLOCK) + ciphertext.len().div_ceil(BLOCK);
        let zero = _mm_setzero_si128();
        Self { powers, next: POWERS - 1 - blocks % POWERS, carry: zero, low: zero, middle: zero, high: zero }
    }

    /// One block, turned.
    #[inline]
    #[target_feature(enable = "pclmulqdq,ssse3,sse4.1")]
    fn add(&mut self, block: __m128i) {
        let block = _mm_xor_si128(block, self.carry);
        self.carry = _mm_setzero_si128();
        let power = load(&self.powers[self.next]);
        let [low, middle, high] = multiply(block, power);
        self.low = _mm_xor_si128(self.low, low);
        self.middle = _mm_xor_si128(self.middle, middle);
        self.high = _mm_xor_si128(self.high, high);
        self.advance(1);
    }

    /// As many pairs of blocks as there are before the next reduction; gives what is left over.
    #[inline]
    #[target_feature(enable = "pclmulqdq,avx2,vpclmulqdq")]
    fn add_pairs<'b>(&mut self, blocks: &'b [[u8; BLOCK]]) -> &'b [[u8; BLOCK]] {
        let swap = _mm256_broadcastsi128_si256(swap_bytes());
        let zero = _mm256_setzero_si256();
        let mut sums = [zero; 3];
        let count = blocks.len().min(POWERS - self.next) / 2 * 2;
        let (now, later) = blocks.split_at(count);
        let mut carry = _mm256_zextsi128_si256(self.carry);
        let mut next = self.next;
        for pair in now.as_flattened().as_chunks().0 {
            let pair = _mm256_xor_si256(_mm256_shuffle_epi8(load_wide(pair), swap), carry);
            carry = zero;
            add_pair(&mut sums, self.powers, next, pair);
            next += 2;
        }
        self.carry = _mm256_castsi256_si128(carry);
        self.low = _mm_xor_si128(self.low, fold(sums[0]));
        self.middle = _mm_xor_si128(self.middle, fold(sums[1]));
        self.high = _mm_xor_si128(self.high, fold(sums[2]));
        self.advance(count);
        later
    }

    /// Additional data: padding comes only after the last piece.
    #[target_feature(enable = "pclmulqdq,ssse3,sse4.1")]
    fn add_pieces(&mut self, pieces: &[&[u8]]) {
        let mut block = [0; BLOCK];
        let mut used = 0;
        for &byte in pieces.iter().copied().flatten() {
            block[used] = byte;
            used += 1;
            if used == BLOCK {
                self.add(swapped(&block));
                used = 0;
            }
        }
        self.add_rest(&block[..used]);
    }

    /// The part of a block that a part ends with, if any.
    #[target_feature(enable = "pclmulqdq,ssse3,sse4.1")]
    fn add_rest(&mut self, rest: &[u8]) {
        if !rest.is_empty() {
            let mut block = [0; BLOCK];
            block[..rest.len()].copy_from_slice(rest);
            self.add(swapped(&block));
        }
    }

    #[inline]
    #[target_feature(enable = "pclmulqdq,ssse3,sse4.1")]
    fn finish(mut self, aad: &[&[u8]], ciphertext: &[u8]) -> [u8; BLOCK] {
        self.add(lengths(len_of(aad), ciphertext.len()));
        let mut hash = [0; BLOCK];
        store(&mut hash, _mm_shuffle_epi8(self.carry, swap_bytes()));
        hash
    }

    #[inline]
    #[target_feature(enable = "pclmulqdq,ssse3,sse4.1")]
    fn advance(&mut self, blocks: usize) {
        self.next += blocks;
        if self.next == POWERS {
            self.next = 0;
            self.carry = reduce(self.low, self.middle, self.high);
            let zero = _mm_setzero_si128();
            (self.low, self.middle, self.high) = (zero, zero, zero);
        }
    }
}

fn len_of(pieces: &[&[u8]]) -> usize {
    pieces.iter().map(|piece| piece.len()).sum()
}

#[target_feature(enable = "pclmulqdq,ssse3,sse4.1")]
fn powers_of(h: [u8; BLOCK]) -> [[u8; BLOCK]; POWERS + 1] {
    let h = u128::from_be_bytes(h);
    let carry = h >> 127;
    let first = load(&((h << 1) ^ (POLYNOMIAL * carry)).to_le_bytes());
    let mut powers = [[0; BLOCK]; POWERS + 1];
    let mut power = first;
    for place in powers[..POWERS].iter_mut().rev() {
        store(place, power);
        let [low, middle, high] = multiply(power, first);
        power = reduce(low, middle, high);
    }
    powers
}

/// The block of the lengths in bits, turned.
#[inline]
#[target_feature(enable = "sse2")]
fn lengths(aad: usize, ciphertext: usize) -> __m128i {
    _mm_set_epi64x((aad as u64 * 8).cast_signed(), (ciphertext as u64 * 8).cast_signed())
}

/// A block, turned.
#[inline]
#[target_feature(enable = "ssse3")]
fn swapped(block: &[u8; BLOCK]) -> __m128i {
    _mm_shuffle_epi8(load(block), swap_bytes())
}

/// The product of 256 bits, as its lower, middle and upper part, each shifted by 64 bits from the one before.
#[inline]
#[target_feature(enable = "pclmulqdq")]
fn multiply(a: __m128i, b: __m128i) -> [__m128i; 3] {
    let low = _mm_clmulepi64_si128::<0x00>(a, b);
    let high = _mm_clmulepi64_si128::<0x11>(a, b);
    let middle = _mm_xor_si128(_mm_clmulepi64_si128::<0x01>(a, b), _mm_clmulepi64_si128::<0x10>(a, b));
    [low, middle, high]
}

/// Adds the products of a pair of blocks, turned, with two powers.
#[inline]
#[target_feature(enable = "avx2,vpclmulqdq")]
fn add_pair(sums: &mut [__m256i; 3], powers: &[[u8; BLOCK]; POWERS + 1], at: usize, pair: __m256i) {
    let Some(powers) = powers.as_flattened().get(at * BLOCK..).and_then(<[u8]>::first_chunk) else { return };
    let powers = load_wide(powers);
    let low = _mm256_clmulepi64_epi128::<0x00>(pair, powers);
    let high = _mm256_clmulepi64_epi128::<0x11>(pair, powers);
    let middle = [_mm256_clmulepi64_epi128::<0x01>(pair, powers), _mm256_clmulepi64_epi128::<0x10>(pair, powers)];
    sums[0] = _mm256_xor_si256(sums[0], low);
    sums[1] = _mm256_xor_si256(sums[1], _mm256_xor_si256(middle[0], middle[1]));
    sums[2] = _mm256_xor_si256(sums[2], high);
}

/// Modulo the polynomial: the lower part's 64 bits at a time are brought upward by a multiple of it that cancels them.
#[inline]
#[target_feature(enable = "pclmulqdq,sse4.1")]
fn reduce(low: __m128i, middle: __m128i, high: __m128i) -> __m128i {
    let polynomial = _mm_set_epi64x(0xc200_0000_0000_0000_u64.cast_signed(), 1);
    let up = |part: __m128i, next: __m128i| {
        let product = _mm_clmulepi64_si128::<0x01>(polynomial, part);
        _mm_xor_si128(_mm_xor_si128(next, product), _mm_shuffle_epi32::<0x4e>(part))
    };
    up(up(low, middle), high)
}

/// A block's bytes from the last to the first.
#[inline]
#[target_feature(enable = "sse2")]
fn swap_bytes() -> __m128i {
    _mm_set_epi64x(0x0001_0203_0405_0607, 0x0809_0a0b_0c0d_0e0f)
}

/// The sum of both halves.
#[inline]
#[target_feature(enable = "avx2")]
fn fold(wide: __m256i) -> __m128i {
    _mm_xor_si128(_mm256_castsi256_si128(wide), _mm256_extracti128_si256::<1>(wide))
}
