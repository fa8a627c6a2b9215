//! What the CPU has, as values that only exist where it has it.

use std::arch::is_x86_feature_detected;

/// AES-NI, and carry-less multiplication for GHASH.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::crypto) struct AesNi(());

impl AesNi {
    pub(in crate::crypto) fn detect() -> Option<Self> {
        let has = is_x86_feature_detected!("aes")
            && is_x86_feature_detected!("pclmulqdq")
            && is_x86_feature_detected!("ssse3")
            && is_x86_feature_detected!("sse4.1");
        has.then_some(Self(()))
    }
}

/// The same with vectors of 256 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::crypto) struct Vaes(());

impl Vaes {
    pub(in crate::crypto) fn detect() -> Option<Self> {
        let has = AesNi::detect().is_some()
            && Avx2::detect().is_some()
            && is_x86_feature_detected!("vaes")
            && is_x86_feature_detected!("vpclmulqdq");
        has.then_some(Self(()))
    }
}

/// Eight 32-bit words at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::crypto) struct Avx2(());

impl Avx2 {
    pub(in crate::crypto) fn detect() -> Option<Self> {
        is_x86_feature_detected!("avx2").then_some(Self(()))
    }
}

/// Instructions for SHA-1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::crypto) struct ShaNi(());

impl ShaNi {
    pub(in crate::crypto) fn detect() -> Option<Self> {
        let has =
            is_x86_feature_detected!("sha") && is_x86_feature_detected!("ssse3") && is_x86_feature_detected!("sse4.1");
        has.then_some(Self(()))
    }
}
