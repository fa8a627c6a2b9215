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

/// What of this a backend uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::crypto) struct Features {
    pub(in crate::crypto) aes: Option<AesNi>,
    pub(in crate::crypto) vaes: Option<Vaes>,
    pub(in crate::crypto) sha: Option<ShaNi>,
    pub(in crate::crypto) avx2: Option<Avx2>,
}

impl Features {
    /// Nothing: the portable backend.
    pub(in crate::crypto) const NONE: Self = Self { aes: None, vaes: None, sha: None, avx2: None };

    /// Ever more, so that each can be tested without the ones after it; a step that this CPU lacks is left out.
    pub(in crate::crypto) fn steps() -> impl Iterator<Item = Self> {
        let aes = Self { aes: AesNi::detect(), ..Self::NONE };
        let lanes = Self { avx2: Avx2::detect(), ..aes };
        let streams = Self { sha: ShaNi::detect(), ..lanes };
        let wide = Self { vaes: Vaes::detect(), ..streams };
        let mut last = Self::NONE;
        [aes, lanes, streams, wide].into_iter().filter(move |&step| std::mem::replace(&mut last, step) != step)
    }

    pub(in crate::crypto) fn name(self) -> &'static str {
        match (self.aes.is_some(), self.avx2.is_some(), self.sha.is_some(), self.vaes.is_some()) {
            (false, false, false, _) => "portable",
            (true, false, false, _) => "aes-ni",
            (true, true, false, false) => "aes-ni, avx2",
            (true, false, true, _) => "aes-ni, sha-ni",
            (true, true, true, false) => "aes-ni, avx2, sha-ni",
            (true, true, false, true) => "vaes, avx2",
            (true, true, true, true) => "vaes, avx2, sha-ni",
            (false, true, false, _) => "avx2",
            (false, false, true, _) => "sha-ni",
            (false, true, true, _) => "avx2, sha-ni",
        }
    }

    #[cfg(test)]
    pub(in crate::crypto) fn missing(self) -> Vec<&'static str> {
        let all = [
            (self.aes.is_none(), "AES-NI"),
            (self.avx2.is_none(), "AVX2"),
            (self.sha.is_none(), "SHA-NI"),
            (self.vaes.is_none(), "VAES"),
        ];
        all.into_iter().filter_map(|(is_missing, name)| is_missing.then_some(name)).collect()
    }
}
