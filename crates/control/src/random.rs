//! What nobody can guess: from the system's randomness.

use rustix::io::Errno;
use rustix::rand::{GetRandomFlags, getrandom};

use crate::error::{ApiError, ErrorCode};

/// Fills a buffer.
///
/// # Errors
/// The system has none to give.
pub(crate) fn fill_random(bytes: &mut [u8]) -> Result<(), ApiError> {
    let mut filled = 0;
    while filled < bytes.len() {
        match getrandom(&mut bytes[filled..], GetRandomFlags::empty()) {
            Ok(more) => filled += more,
            Err(Errno::INTR) => {}
            Err(error) => {
                let why = format!("no keys and no credentials without randomness: getrandom(2) says {error}");
                return Err(ApiError::new(ErrorCode::Refused, why));
            }
        }
    }
    Ok(())
}
