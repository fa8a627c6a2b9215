//! HMAC-SHA1 of eight messages at once: a vector holds the same word of each.
//!
//! Messages may have different keys and lengths. A lane whose message has ended keeps its state while the others go on.

use std::arch::x86_64::{
    __m256i, _mm256_add_epi32, _mm256_and_si256, _mm256_blendv_epi8, _mm256_cmpgt_epi32, _mm256_or_si256,
    _mm256_set_epi64x, _mm256_set1_epi32, _mm256_setzero_si256, _mm256_shuffle_epi8, _mm256_slli_epi32,
    _mm256_srli_epi32, _mm256_unpackhi_epi32, _mm256_unpackhi_epi64, _mm256_unpacklo_epi32, _mm256_unpacklo_epi64,
    _mm256_xor_si256,
};

use super::features::Avx2;
use super::memory::{load_halves, load_wide, store_halves, store_wide};
use crate::crypto::hmac::{Message, OUTER_BITS, SHA1_BLOCK, SHA1_LEN};

/// Messages that go through side by side.
pub(in crate::crypto) const LANES: usize = 8;

/// Words of SHA-1's state, one vector each.
type States = [__m256i; 5];

/// The whole HMAC of each.
pub(in crate::crypto) fn hmac_lanes(messages: &[Message<'_>; LANES], _: Avx2) -> [[u8; SHA1_LEN]; LANES] {
    // SAFETY: the argument of type Avx2 proves that the CPU has what the function needs.
    unsafe { hmac_avx2(messages) }
}

#[target_feature(enable = "avx2")]
fn hmac_avx2(messages: &[Message<'_>; LANES]) -> [[u8; SHA1_LEN]; LANES] {
    let lens = messages.each_ref().map(Message::len);
    let most = lens.iter().copied().max().unwrap_or(0);
    let least = lens.iter().copied().min().unwrap_or(0);
    let mut states = load_states(messages.each_ref().map(|message| &message.key.inner));
    for number in 0..least {
        compress(&mut states, &load_blocks(messages.each_ref().map(|message| message.block(number))));
    }
    if least < most {
        let lens = load_words(lens.map(|len| u32::try_from(len).unwrap_or(u32::MAX)));
        for number in least..most {
            let before = states;
            compress(&mut states, &load_blocks(messages.each_ref().map(|message| message.block(number))));
            let goes_on = _mm256_cmpgt_epi32(lens, _mm256_set1_epi32(i32::try_from(number).unwrap_or(i32::MAX)));
            for (state, before) in states.iter_mut().zip(before) {
                *state = _mm256_blendv_epi8(before, *state, goes_on);
            }
        }
    }
    // The outer run's block is the inner digest and its padding: it need not leave the lanes.
    let mut block = [_mm256_setzero_si256(); 16];
    block[..states.len()].copy_from_slice(&states);
    block[states.len()] = _mm256_set1_epi32(i32::MIN);
    block[15] = _mm256_set1_epi32(OUTER_BITS.cast_signed());
    let mut states = load_states(messages.each_ref().map(|message| &message.key.outer));
    compress(&mut states, &block);
    store_digests(states)
}

/// Takes in a block of each lane.
#[target_feature(enable = "avx2")]
fn compress(states: &mut States, block: &[__m256i; 16]) {
    let [mut a, mut b, mut c, mut d, mut e] = *states;
    let mut w = *block;
    macro_rules! round {
        ($function:ident, $constant:literal, $t:expr, $a:ident $b:ident $c:ident $d:ident $e:ident) => {
            if $t >= 16 {
                let sum = _mm256_xor_si256(
                    _mm256_xor_si256(w[($t + 13) % 16], w[($t + 8) % 16]),
                    _mm256_xor_si256(w[($t + 2) % 16], w[$t % 16]),
                );
                w[$t % 16] = _mm256_or_si256(_mm256_add_epi32(sum, sum), _mm256_srli_epi32::<31>(sum));
            }
            let added = _mm256_add_epi32(w[$t % 16], _mm256_set1_epi32($constant as i32));
            let added = _mm256_add_epi32(_mm256_add_epi32($e, added), $function($b, $c, $d));
            $e = _mm256_add_epi32(added, rotate_left::<5, 27>($a));
            $b = rotate_left::<30, 2>($b);
        };
    }
    macro_rules! rounds {
        ($function:ident, $constant:literal: $($t:literal)*) => {$(
            round!($function, $constant, $t, a b c d e);
            round!($function, $constant, $t + 1, e a b c d);
            round!($function, $constant, $t + 2, d e a b c);
            round!($function, $constant, $t + 3, c d e a b);
            round!($function, $constant, $t + 4, b c d e a);
        )*};
    }
    rounds!(choose, 0x5a82_7999_u32: 0 5 10 15);
    rounds!(parity, 0x6ed9_eba1_u32: 20 25 30 35);
    rounds!(majority, 0x8f1b_bcdc_u32: 40 45 50 55);
    rounds!(parity, 0xca62_c1d6_u32: 60 65 70 75);
    for (state, word) in states.iter_mut().zip([a, b, c, d, e]) {
        *state = _mm256_add_epi32(*state, word);
    }
}

#[inline]
#[target_feature(enable = "avx2")]
fn rotate_left<const LEFT: i32, const RIGHT: i32>(words: __m256i) -> __m256i {
    _mm256_or_si256(_mm256_slli_epi32::<LEFT>(words), _mm256_srli_epi32::<RIGHT>(words))
}

#[inline]
#[target_feature(enable = "avx2")]
fn choose(b: __m256i, c: __m256i, d: __m256i) -> __m256i {
    _mm256_xor_si256(d, _mm256_and_si256(b, _mm256_xor_si256(c, d)))
}

#[inline]
#[target_feature(enable = "avx2")]
fn parity(b: __m256i, c: __m256i, d: __m256i) -> __m256i {
    _mm256_xor_si256(b, _mm256_xor_si256(c, d))
}

#[inline]
#[target_feature(enable = "avx2")]
fn majority(b: __m256i, c: __m256i, d: __m256i) -> __m256i {
    _mm256_or_si256(_mm256_and_si256(b, c), _mm256_and_si256(d, _mm256_or_si256(b, c)))
}

/// Words of eight blocks, in the order of the CPU's bytes, by lanes.
#[inline]
#[target_feature(enable = "avx2")]
fn load_blocks(blocks: [&[u8; SHA1_BLOCK]; LANES]) -> [__m256i; 16] {
    let swap =
        _mm256_set_epi64x(0x0c0d_0e0f_0809_0a0b, 0x0405_0607_0001_0203, 0x0c0d_0e0f_0809_0a0b, 0x0405_0607_0001_0203);
    let mut words = [_mm256_setzero_si256(); 16];
    for (number, words) in words.as_chunks_mut().0.iter_mut().enumerate() {
        let mut rows = [_mm256_setzero_si256(); 4];
        for (lane, row) in rows.iter_mut().enumerate() {
            let both = load_halves(&blocks[lane].as_chunks().0[number], &blocks[lane + 4].as_chunks().0[number]);
            *row = _mm256_shuffle_epi8(both, swap);
        }
        *words = transpose(rows);
    }
    words
}

/// Midstates of eight keys by lanes.
#[inline]
#[target_feature(enable = "avx2")]
fn load_states(states: [&[u8; 32]; LANES]) -> States {
    let mut rows = [[_mm256_setzero_si256(); 4]; 2];
    for (half, rows) in rows.iter_mut().enumerate() {
        for (lane, row) in rows.iter_mut().enumerate() {
            *row = load_halves(&states[lane].as_chunks().0[half], &states[lane + 4].as_chunks().0[half]);
        }
    }
    let [front, back] = [transpose(rows[0]), transpose(rows[1])];
    [front[0], front[1], front[2], front[3], back[0]]
}

/// Digests of the lanes, in SHA-1's order of bytes.
#[inline]
#[target_feature(enable = "avx2")]
fn store_digests(states: States) -> [[u8; SHA1_LEN]; LANES] {
    let swap =
        _mm256_set_epi64x(0x0c0d_0e0f_0809_0a0b, 0x0405_0607_0001_0203, 0x0c0d_0e0f_0809_0a0b, 0x0405_0607_0001_0203);
    let mut swapped = states;
    for words in &mut swapped {
        *words = _mm256_shuffle_epi8(*words, swap);
    }
    let [a, b, c, d, e] = swapped;
    let mut last = [0; 32];
    store_wide(&mut last, e);
    let mut digests = [[0; SHA1_LEN]; LANES];
    for (digest, word) in digests.iter_mut().zip(last.as_chunks::<4>().0) {
        digest[16..].copy_from_slice(word);
    }
    let (low, high) = digests.split_at_mut(4);
    for (row, (low, high)) in transpose([a, b, c, d]).into_iter().zip(low.iter_mut().zip(high)) {
        if let (Some(low), Some(high)) = (low.first_chunk_mut(), high.first_chunk_mut()) {
            store_halves(low, high, row);
        }
    }
    digests
}

#[inline]
#[target_feature(enable = "avx2")]
fn load_words(words: [u32; LANES]) -> __m256i {
    let mut bytes = [0; 32];
    for (bytes, word) in bytes.as_chunks_mut().0.iter_mut().zip(words) {
        *bytes = word.to_le_bytes();
    }
    load_wide(&bytes)
}

/// Rows and columns of each half's square exchanged.
#[inline]
#[target_feature(enable = "avx2")]
fn transpose([a, b, c, d]: [__m256i; 4]) -> [__m256i; 4] {
    let [ab_low, ab_high] = [_mm256_unpacklo_epi32(a, b), _mm256_unpackhi_epi32(a, b)];
    let [cd_low, cd_high] = [_mm256_unpacklo_epi32(c, d), _mm256_unpackhi_epi32(c, d)];
    [
        _mm256_unpacklo_epi64(ab_low, cd_low),
        _mm256_unpackhi_epi64(ab_low, cd_low),
        _mm256_unpacklo_epi64(ab_high, cd_high),
        _mm256_unpackhi_epi64(ab_high, cd_high),
    ]
}
