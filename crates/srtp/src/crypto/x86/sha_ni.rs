//! HMAC-SHA1 by the CPU's instructions for SHA-1 (FIPS 180-4 6.1.2), of one message or of up to four side by side.
//!
//! Four rounds wait six cycles for the four before them, but the unit could begin others every second cycle: three messages
//! take hardly longer than one.

use std::arch::x86_64::{
    __m128i, _mm_add_epi32, _mm_or_si128, _mm_set_epi32, _mm_set_epi64x, _mm_setzero_si128, _mm_sha1msg1_epu32,
    _mm_sha1msg2_epu32, _mm_sha1nexte_epu32, _mm_sha1rnds4_epu32, _mm_shuffle_epi8, _mm_shuffle_epi32, _mm_slli_si128,
    _mm_xor_si128,
};

use super::features::ShaNi;
use super::memory::{load, store};
use crate::crypto::hmac::{Message, Midstate, OUTER_BITS, SHA1_BLOCK, SHA1_LEN};

/// Messages side by side, at most: with more, what does not fit the registers costs more than is won.
pub(in crate::crypto) const STREAMS_MAX: usize = 4;

/// The working variables: the first four with `a` in the highest word, and in the highest word the fifth, which stands for
/// what `a` was four rounds earlier.
#[derive(Clone, Copy)]
struct Working {
    abcd: __m128i,
    e: __m128i,
}

/// Sixteen words of a block, the first of each four in the highest place.
type Words = [__m128i; 4];

impl Working {
    #[inline]
    #[target_feature(enable = "sse2")]
    fn of(midstate: &Midstate) -> Self {
        let (halves, _) = midstate.as_chunks();
        // The fifth word is followed by zeros.
        Self { abcd: _mm_shuffle_epi32::<0x1b>(load(&halves[0])), e: _mm_slli_si128::<12>(load(&halves[1])) }
    }

    #[inline]
    #[target_feature(enable = "ssse3")]
    fn digest(self) -> [u8; SHA1_LEN] {
        let mut digest = [0; SHA1_LEN];
        let mut last = [0; 16];
        store(&mut last, _mm_shuffle_epi8(self.e, swap_bytes()));
        digest[16..].copy_from_slice(&last[..4]);
        if let Some(front) = digest.first_chunk_mut() {
            store(front, _mm_shuffle_epi8(self.abcd, swap_bytes()));
        }
        digest
    }

    /// The outer run's only block: the inner digest, which is here already, and its padding.
    #[inline]
    #[target_feature(enable = "sse2")]
    fn outer_words(self) -> Words {
        let begins_padding = _mm_or_si128(self.e, _mm_set_epi32(0, i32::MIN, 0, 0));
        [self.abcd, begins_padding, _mm_setzero_si128(), _mm_set_epi32(0, 0, 0, OUTER_BITS.cast_signed())]
    }
}

#[inline]
#[target_feature(enable = "ssse3")]
fn words_of(block: &[u8; SHA1_BLOCK]) -> Words {
    // No `map` here or below: a closure that uses an instruction set is not made part of a function that does not.
    let mut words = [_mm_setzero_si128(); 4];
    for (words, quarter) in words.iter_mut().zip(block.as_chunks().0) {
        *words = _mm_shuffle_epi8(load(quarter), swap_bytes());
    }
    words
}

/// A quarter of a block's bytes from the last to the first.
#[inline]
#[target_feature(enable = "sse2")]
fn swap_bytes() -> __m128i {
    _mm_set_epi64x(0x0001_0203_0405_0607, 0x0809_0a0b_0c0d_0e0f)
}

/// The HMACs of messages, the ones with the most blocks first.
pub(in crate::crypto) fn hmac_streams<const N: usize>(messages: [Message<'_>; N], _: ShaNi) -> [[u8; SHA1_LEN]; N] {
    debug_assert!(messages.is_sorted_by(|a, b| a.len() >= b.len()), "the longest first");
    // SAFETY: the argument of type ShaNi proves that the CPU has what the function needs.
    unsafe { run(&messages) }
}

#[target_feature(enable = "sha,ssse3,sse4.1")]
fn run<const N: usize>(messages: &[Message<'_>; N]) -> [[u8; SHA1_LEN]; N] {
    const { assert!(N >= 1 && N <= STREAMS_MAX, "a number of streams that `run` has an arm for") };
    let mut working = [Working { abcd: _mm_setzero_si128(), e: _mm_setzero_si128() }; N];
    for (working, message) in working.iter_mut().zip(messages) {
        *working = Working::of(&message.key.inner);
    }
    let mut done = 0;
    // Those at the end are ready first.
    for unready in (1..=N).rev() {
        while done < messages[unready - 1].len() {
            match unready {
                1 => step::<1>(&mut working, messages, done),
                2 => step::<2>(&mut working, messages, done),
                3 => step::<3>(&mut working, messages, done),
                _ => step::<STREAMS_MAX>(&mut working, messages, done),
            }
            done += 1;
        }
    }
    let mut words = [[_mm_setzero_si128(); 4]; N];
    for ((words, working), message) in words.iter_mut().zip(&mut working).zip(messages) {
        *words = working.outer_words();
        *working = Working::of(&message.key.outer);
    }
    rounds(&mut working, words);
    let mut digests = [[0; SHA1_LEN]; N];
    for (digest, working) in digests.iter_mut().zip(working) {
        *digest = working.digest();
    }
    digests
}

/// Takes in a block of each of the first messages.
#[inline]
#[target_feature(enable = "sha,ssse3,sse4.1")]
fn step<const N: usize>(working: &mut [Working], messages: &[Message<'_>], number: usize) {
    if let (Some(working), Some(messages)) = (working.first_chunk_mut::<N>(), messages.first_chunk::<N>()) {
        let mut words = [[_mm_setzero_si128(); 4]; N];
        for (words, message) in words.iter_mut().zip(messages) {
            *words = words_of(message.block(number));
        }
        rounds(working, words);
    }
}

/// All eighty rounds, four at a time.
#[inline]
#[target_feature(enable = "sha,ssse3,sse4.1")]
fn rounds<const N: usize>(working: &mut [Working; N], mut words: [Words; N]) {
    let before = *working;
    // What `abcd` was a step earlier.
    let mut earlier = [_mm_setzero_si128(); N];
    macro_rules! four_rounds {
        ($function:literal: $($step:literal)*) => {$(
            for stream in 0..N {
                // The last sixteen words of the message schedule, as a ring.
                let ring = &mut words[stream];
                if $step >= 4 {
                    let sum = _mm_sha1msg1_epu32(ring[$step % 4], ring[($step + 1) % 4]);
                    let sum = _mm_xor_si128(sum, ring[($step + 2) % 4]);
                    ring[$step % 4] = _mm_sha1msg2_epu32(sum, ring[($step + 3) % 4]);
                }
                let now = ring[$step % 4];
                let Working { abcd, e } = &mut working[stream];
                let e = if $step == 0 { _mm_add_epi32(*e, now) } else { _mm_sha1nexte_epu32(earlier[stream], now) };
                earlier[stream] = *abcd;
                *abcd = _mm_sha1rnds4_epu32::<$function>(*abcd, e);
            }
        )*};
    }
    four_rounds!(0: 0 1 2 3 4);
    four_rounds!(1: 5 6 7 8 9);
    four_rounds!(2: 10 11 12 13 14);
    four_rounds!(3: 15 16 17 18 19);
    for stream in 0..N {
        working[stream].e = _mm_sha1nexte_epu32(earlier[stream], before[stream].e);
        working[stream].abcd = _mm_add_epi32(working[stream].abcd, before[stream].abcd);
    }
}
