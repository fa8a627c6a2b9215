//! Which implementation does the work.

use std::sync::OnceLock;

#[cfg(target_arch = "x86_64")]
use super::x86::Features;

/// An implementation of the crate's cryptography. There is none but for what this CPU has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backend {
    #[cfg(target_arch = "x86_64")]
    pub(super) features: Features,
}

impl Backend {
    /// That of `RustCrypto`, on any CPU.
    pub const PORTABLE: Self = Self {
        #[cfg(target_arch = "x86_64")]
        features: Features::NONE,
    };

    /// The fastest that this CPU has; found out once.
    #[must_use]
    pub fn best() -> Self {
        static BEST: OnceLock<Backend> = OnceLock::new();
        *BEST.get_or_init(|| Self::available().pop().unwrap_or(Self::PORTABLE))
    }

    /// All that this CPU has, from the slowest to the fastest.
    #[must_use]
    pub fn available() -> Vec<Self> {
        let mut all = vec![Self::PORTABLE];
        #[cfg(target_arch = "x86_64")]
        all.extend(Features::steps().map(|features| Self { features }));
        all
    }

    /// What to call it in a log or a benchmark.
    #[must_use]
    pub fn name(self) -> &'static str {
        #[cfg(target_arch = "x86_64")]
        return self.features.name();
        #[cfg(not(target_arch = "x86_64"))]
        "portable"
    }

    /// What could be faster on another CPU.
    #[cfg(test)]
    pub(super) fn missing(self) -> Vec<&'static str> {
        #[cfg(target_arch = "x86_64")]
        return self.features.missing();
        #[cfg(not(target_arch = "x86_64"))]
        vec!["x86-64 instructions"]
    }
}
