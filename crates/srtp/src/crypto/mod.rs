//! The ciphers and the authentication that SRTP needs, and nothing else.
//!
//! What is here knows keys, bytes and counters, but no packet: AES in counter mode and in f8 mode (RFC 3711 4.1),
//! HMAC-SHA1 (4.2.1), AES-GCM (RFC 7714). Each comes in a portable form, which is that of `RustCrypto`, and in forms for what the
//! CPU has ([`Backend`]); all give the same bytes, which `tests` holds. Work on several packets at once is a slice of jobs:
//! packets of different keys go through the vector units together.
//!
//! Nothing here allocates but making a key, and secrets are overwritten when they are dropped.

mod aes;
mod backend;
mod f8;
mod gcm;
mod hmac;
mod portable;
#[cfg(target_arch = "x86_64")]
mod side_by_side;
#[cfg(test)]
mod tests;
#[cfg(target_arch = "x86_64")]
mod x86;

pub(crate) use aes::{AesKey, CtrJob, ctr_batch};
pub use backend::Backend;
pub(crate) use f8::apply_f8;
pub(crate) use gcm::GcmKey;
pub(crate) use hmac::{HmacSha1Key, MacJob, mac_batch};

/// Bytes of a block of AES.
pub(crate) const BLOCK: usize = 16;
