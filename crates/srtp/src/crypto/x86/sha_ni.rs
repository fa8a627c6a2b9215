//! SHA-1 (FIPS 180-4 6.1.2) by the CPU's instructions for it, for one message or for two side by side.

use std::arch::x86_64::{
    __m128i, _mm_add_epi32, _mm_cvtsi32_si128, _mm_extract_epi32, _mm_set_epi64x, _mm_setzero_si128,
    _mm_sha1msg1_epu32, _mm_sha1msg2_epu32, _mm_sha1nexte_epu32, _mm_sha1rnds4_epu32, _mm_shuffle_epi8,
    _mm_shuffle_epi32, _mm_slli_si128, _mm_xor_si128,
};

use super::features::ShaNi;
use super::memory::{load, store};
use crate::crypto::hmac::{SHA1_BLOCK, State};

/// Takes in the blocks of one message.
pub(in crate::crypto) fn compress(state: &mut State, blocks: &[[u8; SHA1_BLOCK]], _: ShaNi) {
    // SAFETY: the argument of type ShaNi proves that the CPU has what the function needs.
    unsafe { compress_ni([state], blocks.iter().map(|block| [block])) }
}

/// Takes in a block of each of two messages.
pub(in crate::crypto) fn compress_two<'a>(
    states: [&mut State; 2],
    blocks: impl Iterator<Item = [&'a [u8; SHA1_BLOCK]; 2]>,
    _: ShaNi,
) {
    // SAFETY: the argument of type ShaNi proves that the CPU has what the function needs.
    unsafe { compress_ni(states, blocks) }
}

/// The working variables of one message: the first four with `a` in the highest word, and the fifth, which the instructions
/// want as what `a` was four rounds earlier.
#[derive(Clone, Copy)]
struct Working {
    abcd: __m128i,
    e: __m128i,
}

#[target_feature(enable = "sha,ssse3,sse4.1")]
fn compress_ni<'a, const N: usize>(states: [&mut State; N], blocks: impl Iterator<Item = [&'a [u8; SHA1_BLOCK]; N]>) {
    let mut working = [Working { abcd: _mm_setzero_si128(), e: _mm_setzero_si128() }; N];
    for (working, state) in working.iter_mut().zip(&states) {
        *working = unpack(state);
    }
    for blocks in blocks {
        rounds(&mut working, blocks);
    }
    for (working, state) in working.into_iter().zip(states) {
        pack(working, state);
    }
}

#[inline]
#[target_feature(enable = "sse4.1")]
fn unpack(state: &State) -> Working {
    let mut bytes = [0; 16];
    for (bytes, word) in bytes.as_chunks_mut().0.iter_mut().zip(state) {
        *bytes = word.to_le_bytes();
    }
    let e = _mm_slli_si128::<12>(_mm_cvtsi32_si128(state[4].cast_signed()));
    Working { abcd: _mm_shuffle_epi32::<0x1b>(load(&bytes)), e }
}

#[inline]
#[target_feature(enable = "sse4.1")]
fn pack(working: Working, state: &mut State) {
    let mut bytes = [0; 16];
    store(&mut bytes, _mm_shuffle_epi32::<0x1b>(working.abcd));
    for (word, bytes) in state.iter_mut().zip(bytes.as_chunks().0) {
        *word = u32::from_le_bytes(*bytes);
    }
    state[4] = _mm_extract_epi32::<3>(working.e).cast_unsigned();
}

/// All eighty rounds, four at a time.
#[inline]
#[target_feature(enable = "sha,ssse3,sse4.1")]
fn rounds<const N: usize>(working: &mut [Working; N], blocks: [&[u8; SHA1_BLOCK]; N]) {
    let before = *working;
    let swap = _mm_set_epi64x(0x0001_0203_0405_0607, 0x0809_0a0b_0c0d_0e0f);
    // The four last quadruples of the message schedule, as a ring.
    let mut schedule = [[_mm_setzero_si128(); 4]; N];
    // What `abcd` was a step earlier.
    let mut earlier = [_mm_setzero_si128(); N];
    macro_rules! four_rounds {
        ($function:literal: $($step:literal)*) => {$(
            for lane in 0..N {
                let w = &mut schedule[lane];
                let words = if $step < 4 {
                    let (quarters, _) = blocks[lane].as_chunks();
                    _mm_shuffle_epi8(load(&quarters[$step % 4]), swap)
                } else {
                    let sum = _mm_xor_si128(_mm_sha1msg1_epu32(w[$step % 4], w[($step + 1) % 4]), w[($step + 2) % 4]);
                    _mm_sha1msg2_epu32(sum, w[($step + 3) % 4])
                };
                w[$step % 4] = words;
                let working = &mut working[lane];
                let e = if $step == 0 {
                    _mm_add_epi32(working.e, words)
                } else {
                    _mm_sha1nexte_epu32(earlier[lane], words)
                };
                earlier[lane] = working.abcd;
                working.abcd = _mm_sha1rnds4_epu32::<$function>(working.abcd, e);
            }
        )*};
    }
    four_rounds!(0: 0 1 2 3 4);
    four_rounds!(1: 5 6 7 8 9);
    four_rounds!(2: 10 11 12 13 14);
    four_rounds!(3: 15 16 17 18 19);
    for lane in 0..N {
        working[lane].e = _mm_sha1nexte_epu32(earlier[lane], before[lane].e);
        working[lane].abcd = _mm_add_epi32(working[lane].abcd, before[lane].abcd);
    }
}
