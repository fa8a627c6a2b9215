//! The transforms: from plain packets to protected ones and back, in place.

mod context;
mod rtcp;
mod rtp;

#[cfg(test)]
mod tests;

pub use rtcp::{protect_rtcp, rtcp_index, unprotect_rtcp};
pub use rtp::{ProtectJob, UnprotectJob, protect_batch, protect_rtp, unprotect_batch, unprotect_rtp};

use subtle::ConstantTimeEq as _;

use crate::error::SrtpError;
use crate::keys::MKI_LEN_MAX;

/// The most bytes that protecting adds: index, the longest MKI, the longest tag.
pub const OVERHEAD_MAX: usize = 4 + MKI_LEN_MAX + TAG_LEN_MAX;

/// The longest tag: that of GCM.
const TAG_LEN_MAX: usize = 16;

/// Whether a tag is the right one, without telling by the time it takes how much of it is.
fn check_tag(expected: &[u8], tag: &[u8]) -> Result<(), SrtpError> {
    // A tag of no bytes is that of RTP which is not authenticated.
    if expected.ct_eq(tag).into() { Ok(()) } else { Err(SrtpError::Authentication) }
}

/// AES-CM's first counter block (RFC 3711 4.1.1): salt, SSRC and index.
#[inline]
fn counter_iv(salt: &[u8; 14], ssrc: u32, index: u64) -> [u8; 16] {
    let mut padded = [0; 16];
    padded[..14].copy_from_slice(salt);
    (u128::from_be_bytes(padded) ^ u128::from(ssrc) << 64 ^ u128::from(index) << 16).to_be_bytes()
}

/// AES-GCM's initialisation vector (RFC 7714 8.1, 9.1): salt, SSRC and index.
#[inline]
fn gcm_iv(salt: &[u8; 14], ssrc: u32, index: u64) -> [u8; 12] {
    let mut padded = [0; 16];
    padded[4..].copy_from_slice(&salt[..12]);
    let iv = u128::from_be_bytes(padded) ^ u128::from(ssrc) << 48 ^ u128::from(index);
    let mut bytes = [0; 12];
    bytes.copy_from_slice(&iv.to_be_bytes()[4..]);
    bytes
}
