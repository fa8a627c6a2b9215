//! MESSAGE-INTEGRITY (RFC 8489 14.5).

use core::fmt;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha1::Sha1;

/// Bytes of the value: of a SHA-1.
pub(crate) const INTEGRITY_LEN: usize = 20;

/// What both sides know, ready for use: two blocks of SHA-1 for each message are saved.
#[derive(Clone)]
pub struct Key(Hmac<Sha1>);

impl Key {
    /// The key of a short-term credential (RFC 8489 9.1.1): the password itself. ICE's passwords are of letters and digits
    /// (RFC 8839 5.4), so that preparing them as text changes nothing.
    #[must_use]
    pub fn new(password: &[u8]) -> Self {
        Self(Hmac::new_from_slice(password).expect("a key of HMAC may be of any length"))
    }

    /// The value for a message: of its bytes before the attribute, with a header whose length ends with the attribute.
    pub(crate) fn sign(&self, before: &[u8], length: u16) -> [u8; INTEGRITY_LEN] {
        self.over(before, length).finalize().into_bytes().into()
    }

    /// Whether `value` is that for the message, compared in constant time.
    pub(crate) fn verify(&self, before: &[u8], length: u16, value: &[u8]) -> bool {
        self.over(before, length).verify_slice(value).is_ok()
    }

    fn over(&self, before: &[u8], length: u16) -> Hmac<Sha1> {
        let mut hmac = self.0.clone();
        let (kind, rest) = before.split_at(2);
        hmac.update(kind);
        hmac.update(&length.to_be_bytes());
        hmac.update(&rest[2..]);
        hmac
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}
