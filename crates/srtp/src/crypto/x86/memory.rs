//! Vectors read from and written to arrays of their size, wherever these lie.

use std::arch::x86_64::{
    __m128i, __m256i, _MM_HINT_T0, _mm_loadu_si128, _mm_prefetch, _mm_storeu_si128, _mm256_loadu_si256,
    _mm256_loadu2_m128i, _mm256_storeu_si256, _mm256_storeu2_m128i,
};

#[inline(always)]
pub(super) fn load(from: &[u8; 16]) -> __m128i {
    // SAFETY: the array has the vector's 16 bytes, and the instruction asks for no alignment; SSE2 is part of x86-64.
    unsafe { _mm_loadu_si128(from.as_ptr().cast()) }
}

#[inline(always)]
pub(super) fn store(to: &mut [u8; 16], vector: __m128i) {
    // SAFETY: the array has room for the vector's 16 bytes, and the instruction asks for no alignment; SSE2 is part of x86-64.
    unsafe { _mm_storeu_si128(to.as_mut_ptr().cast(), vector) }
}

#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn load_wide(from: &[u8; 32]) -> __m256i {
    // SAFETY: the array has the vector's 32 bytes, and the instruction asks for no alignment.
    unsafe { _mm256_loadu_si256(from.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn store_wide(to: &mut [u8; 32], vector: __m256i) {
    // SAFETY: the array has room for the vector's 32 bytes, and the instruction asks for no alignment.
    unsafe { _mm256_storeu_si256(to.as_mut_ptr().cast(), vector) }
}

/// One vector of two halves from different places.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn load_halves(low: &[u8; 16], high: &[u8; 16]) -> __m256i {
    // SAFETY: each array has the 16 bytes of a half, and the instructions ask for no alignment.
    unsafe { _mm256_loadu2_m128i(high.as_ptr().cast(), low.as_ptr().cast()) }
}

/// The two halves of one vector to different places.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn store_halves(low: &mut [u8; 16], high: &mut [u8; 16], vector: __m256i) {
    // SAFETY: each array has room for the 16 bytes of a half, and the instructions ask for no alignment.
    unsafe { _mm256_storeu2_m128i(high.as_mut_ptr().cast(), low.as_mut_ptr().cast(), vector) }
}

/// Asks for a line of the cache, counted from where the value begins.
#[inline(always)]
pub(in crate::crypto) fn prefetch<T>(value: &T, line: usize) {
    let address = std::ptr::from_ref(value).cast::<i8>().wrapping_add(64 * line);
    // SAFETY: the instruction reads nothing that the program sees, and any address is allowed.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(address) }
}
