//! Which implementation does the work.

use std::sync::OnceLock;

/// An implementation of the crate's cryptography. A value other than `Portable` is proof that this CPU can run it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// RustCrypto's, on any CPU.
    Portable,
}

impl Backend {
    /// The fastest that this CPU has; found out once.
    pub fn best() -> Self {
        static BEST: OnceLock<Backend> = OnceLock::new();
        *BEST.get_or_init(|| Self::available().pop().unwrap_or(Self::Portable))
    }

    /// All that this CPU has, from the slowest to the fastest.
    pub fn available() -> Vec<Self> {
        vec![Self::Portable]
    }

    /// What to call it in a log or a benchmark.
    pub fn name(self) -> &'static str {
        match self {
            Self::Portable => "portable",
        }
    }
}
