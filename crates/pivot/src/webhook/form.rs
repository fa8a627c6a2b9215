//! What a webhook is sent: form fields, and a signature over them.

use core::fmt::Write as _;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// Fields as `application/x-www-form-urlencoded`.
#[must_use]
pub fn encode(fields: &[(String, String)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish()
}

/// The value of `Patchcord-Signature`: HMAC-SHA256 (RFC 2104) over the seconds since 1970, a full stop and the body. Whoever checks it refuses old
/// times too, so that nobody can send a request again.
#[must_use]
pub fn signature(secret: &str, seconds: u64, body: &str) -> String {
    let mut text = format!("t={seconds},v1=");
    // A key may have any length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else { return text };
    mac.update(format!("{seconds}.").as_bytes());
    mac.update(body.as_bytes());
    for byte in mac.finalize().into_bytes() {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By `printf '1700000000.From=%2B1555&To=a+b' | openssl dgst -sha256 -hmac secret`.
    #[test]
    fn a_signature_is_what_openssl_says() {
        let fields = [("From".to_owned(), "+1555".to_owned()), ("To".to_owned(), "a b".to_owned())];
        let body = encode(&fields);
        assert_eq!(body, "From=%2B1555&To=a+b");
        assert_eq!(
            signature("secret", 1_700_000_000, &body),
            "t=1700000000,v1=a12d7727743748e17414b3e90801a1ecced577500d5b4806dc9bc4edde5bf00c"
        );
        assert_ne!(signature("secret", 1_700_000_001, &body), signature("secret", 1_700_000_000, &body));
        assert_ne!(signature("other", 1_700_000_000, &body), signature("secret", 1_700_000_000, &body));
    }
}
