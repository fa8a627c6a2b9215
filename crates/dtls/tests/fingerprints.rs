//! Fingerprints as SDP has them, and what openssl says that they are.

#![allow(clippy::unwrap_used, reason = "a test may stop at what it did not expect")]

use std::time::{Duration, SystemTime};

use patchcord_dtls::{Fingerprint, FingerprintError, HashFunction, Identity};
use proptest::prelude::*;

const ALL: [HashFunction; 5] =
    [HashFunction::Sha1, HashFunction::Sha224, HashFunction::Sha256, HashFunction::Sha384, HashFunction::Sha512];

#[test]
fn a_fingerprint_is_written_as_rfc_8122_wants_it() {
    // Of no bytes: what every table of test vectors begins with.
    let empty = Fingerprint::of(HashFunction::Sha1, b"");
    assert_eq!(empty.to_string(), "sha-1 DA:39:A3:EE:5E:6B:4B:0D:32:55:BF:EF:95:60:18:90:AF:D8:07:09");
    for function in ALL {
        let written = Fingerprint::of(function, b"a certificate").to_string();
        let read: Fingerprint = written.parse().unwrap();
        assert!(read.matches(b"a certificate") && !read.matches(b"another"));
        assert_eq!(read.to_string(), written);
        assert_eq!(written.to_uppercase().parse(), Ok(read.clone()));
        assert_eq!(format!("  {} ", written.to_lowercase()).parse(), Ok(read));
        assert_eq!(written.len(), function.name().len() + 3 * function.len());
    }
}

#[test]
fn what_is_no_fingerprint_is_refused_with_the_reason() {
    let refusal = |text: &str| text.parse::<Fingerprint>().unwrap_err();
    for text in ["", "sha-256", "sha-1 ", "sha-1 0", "sha-1 +A", "sha-1 0A:", "sha-1 0AB", "sha-1 0A 0B", "sha-1 ÄÖ"]
    {
        assert_eq!(refusal(text), FingerprintError::Form, "{text:?}");
    }
    for text in ["md5 0A", "md2 0A", "sha256 0A"] {
        assert!(matches!(refusal(text), FingerprintError::HashFunction(_)), "{text:?}");
    }
    let short = refusal("sha-256 0A:0B");
    assert_eq!(short.to_string(), "a fingerprint by sha-256 has 32 bytes, not 2");
}

#[test]
fn of_several_fingerprints_the_strongest_function_decides() {
    let right = |function| Fingerprint::of(function, b"right");
    let wrong = |function| Fingerprint::of(function, b"wrong");
    let any = |announced: &[Fingerprint]| Fingerprint::any_matches(announced, b"right");
    assert!(!any(&[]), "nothing announced is nothing known");
    assert!(any(&[wrong(HashFunction::Sha1), right(HashFunction::Sha256)]));
    assert!(!any(&[right(HashFunction::Sha1), wrong(HashFunction::Sha256)]));
    assert!(any(&[wrong(HashFunction::Sha256), right(HashFunction::Sha256)]), "several certificates");
}

#[test]
fn every_identity_is_another_one() {
    let now = SystemTime::now();
    let (one, other) = (Identity::generate(now).unwrap(), Identity::generate(now).unwrap());
    assert_ne!(one.fingerprint(HashFunction::Sha256), other.fingerprint(HashFunction::Sha256));
    assert!(one.fingerprint(HashFunction::Sha512).matches(one.certificate_der()));
}

#[test]
fn a_clock_that_is_wrong_costs_no_identity() {
    for now in [SystemTime::UNIX_EPOCH, SystemTime::UNIX_EPOCH + Duration::from_secs(80 * 365 * 86400)] {
        assert!(Identity::generate(now).is_ok(), "{now:?}");
    }
    // Beyond the year 9999 there is nothing to be written.
    let beyond = SystemTime::UNIX_EPOCH + Duration::from_secs(9000 * 365 * 86400);
    let error = Identity::generate(beyond).unwrap_err().to_string();
    assert!(error.contains("is the system's clock right?"), "{error}");
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text: String) {
        let _ = text.parse::<Fingerprint>();
    }
}
