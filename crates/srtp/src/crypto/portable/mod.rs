//! The crates of `RustCrypto`: what runs where the CPU has nothing better, and what the other forms are compared with.

mod aes;
mod ghash;

pub(super) use aes::Aes;
pub(super) use ghash::Ghash;
pub(super) use sha1::block_api::compress as sha1_compress;
