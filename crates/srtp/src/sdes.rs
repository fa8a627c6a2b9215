//! Keys in SDP: `a=crypto` (RFC 4568).
//!
//! ```text
//! a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj|2^20|1:4 UNENCRYPTED_SRTCP
//!          tag suite                 key and salt                            |lifetime|MKI:bytes  session parameters
//! ```

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::error::KeyError;
use crate::keys::{MKI_LEN_MAX, MasterKey, Mki, Protections};
use crate::suite::Suite;

/// The largest tag (RFC 4568 9.1: nine digits).
pub const TAG_MAX: u32 = 999_999_999;

/// Some write the padding of base64 and some do not; both are read.
const LENIENT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const PADDED: GeneralPurpose = GeneralPurpose::new(&STANDARD, LENIENT.with_encode_padding(true));
const UNPADDED: GeneralPurpose = GeneralPurpose::new(&STANDARD, LENIENT.with_encode_padding(false));

/// Why a `crypto` attribute cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SdesError {
    /// Tag, suite or key is missing.
    #[error("a=crypto needs a tag, a suite and a key: \"1 AES_CM_128_HMAC_SHA1_80 inline:...\"")]
    Incomplete,
    /// The tag is no number of one to nine digits.
    #[error("the tag of a=crypto must be a number of 1 to 9 digits, not {0:?}")]
    Tag(String),
    /// Another attribute of the section has it.
    #[error("two a=crypto lines of one section have the tag {0}; each needs its own")]
    DuplicateTag(u32),
    /// Suite or key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// Not `inline:` and base64.
    #[error("the key of a=crypto:{tag} must be \"inline:\" and base64")]
    Inline {
        /// The attribute's tag.
        tag: u32,
    },
    /// Lifetime or MKI do not read as such.
    #[error("a=crypto:{tag} has {what} that RFC 4568 does not know behind its key: {text:?}")]
    KeyParameter {
        /// The attribute's tag.
        tag: u32,
        /// What it seems to be.
        what: &'static str,
        /// As it stands.
        text: String,
    },
    /// Several master keys in one attribute.
    #[error("a=crypto:{tag} has several keys; offer one key an attribute")]
    SeveralKeys {
        /// The attribute's tag.
        tag: u32,
    },
    /// A session parameter that is not known, or not supported, and must not be ignored.
    #[error("a=crypto:{tag} has the session parameter {text:?}, which is not supported")]
    SessionParameter {
        /// The attribute's tag.
        tag: u32,
        /// As it stands.
        text: String,
    },
}

/// One `crypto` attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Crypto {
    /// Its number in the section; the answer has that of the attribute that it takes.
    pub tag: u32,
    /// Suite, key and salt.
    pub key: MasterKey,
    /// The name of the key in packets.
    pub mki: Option<Mki>,
    /// Which protections its sender wants in force.
    pub protections: Protections,
}

impl Crypto {
    /// Reads what follows `a=crypto:`. A lifetime is read and left aside: keys are used for no more packets than RFC 3711 allows
    /// anyway. So is `WSH`, a hint, and what begins with `-`.
    ///
    /// # Errors
    /// See [`SdesError`]; the texts of keys are never in it.
    pub fn parse(value: &str) -> Result<Self, SdesError> {
        let mut words = value.split_ascii_whitespace();
        let (Some(tag), Some(suite), Some(key)) = (words.next(), words.next(), words.next()) else {
            return Err(SdesError::Incomplete);
        };
        let tag = parse_tag(tag)?;
        let suite: Suite = suite.parse()?;
        let (key, mki) = parse_key(tag, suite, key)?;
        let mut protections = Protections::ALL;
        for word in words {
            parse_session_parameter(tag, word, &mut protections)?;
        }
        protections.must_go_with(suite)?;
        Ok(Self { tag, key, mki, protections })
    }

    /// What stands behind `a=crypto:`. With `padded` the base64 ends in `=` where its length asks for it, as RFC 4568 has it;
    /// some telephones cannot read that.
    #[must_use]
    pub fn to_value(&self, padded: bool) -> Zeroizing<String> {
        use core::fmt::Write as _;

        let engine = if padded { &PADDED } else { &UNPADDED };
        let suite = self.key.suite();
        let mut value = Zeroizing::new(String::with_capacity(160));
        // Writing to a string cannot fail.
        let _ = write!(value, "{} {} inline:", self.tag, suite.name());
        engine.encode_string(self.key.key_and_salt(), &mut value);
        if let Some(mki) = &self.mki {
            let bytes = mki.as_bytes();
            let number = bytes.iter().skip_while(|&&byte| byte == 0);
            let number = number.fold(0_u128, |number, &byte| number << 8 | u128::from(byte));
            let _ = write!(value, "|{number}:{}", bytes.len());
        }
        for (is_off, name) in [
            (!self.protections.encrypts_rtp, "UNENCRYPTED_SRTP"),
            (!self.protections.encrypts_rtcp, "UNENCRYPTED_SRTCP"),
            (!self.protections.authenticates_rtp, "UNAUTHENTICATED_SRTP"),
        ] {
            if is_off {
                let _ = write!(value, " {name}");
            }
        }
        value
    }

    /// Reads the `crypto` attributes of a section: those that can be used, in their order, and what is wrong with the others,
    /// which an answerer leaves aside (RFC 4568 5.1.2).
    pub fn parse_all<'a>(values: impl IntoIterator<Item = &'a str>) -> (Vec<Self>, Vec<SdesError>) {
        let (mut usable, mut faults) = (Vec::<Self>::new(), Vec::new());
        for value in values {
            match Self::parse(value) {
                Ok(crypto) if usable.iter().any(|known| known.tag == crypto.tag) => {
                    faults.push(SdesError::DuplicateTag(crypto.tag));
                }
                Ok(crypto) => usable.push(crypto),
                Err(fault) => faults.push(fault),
            }
        }
        (usable, faults)
    }
}

fn parse_tag(text: &str) -> Result<u32, SdesError> {
    let is_number = (1..=9).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = if is_number { text.parse().ok() } else { None };
    number.ok_or_else(|| SdesError::Tag(excerpt(text)))
}

fn parse_key(tag: u32, suite: Suite, text: &str) -> Result<(MasterKey, Option<Mki>), SdesError> {
    if text.contains(';') {
        return Err(SdesError::SeveralKeys { tag });
    }
    let inline = text
        .split_at_checked("inline:".len())
        .filter(|(method, _)| method.eq_ignore_ascii_case("inline:"))
        .map(|(_, inline)| inline)
        .ok_or(SdesError::Inline { tag })?;
    let mut parts = inline.split('|');
    let key_and_salt =
        Zeroizing::new(PADDED.decode(parts.next().unwrap_or_default()).map_err(|_| SdesError::Inline { tag })?);
    let key = MasterKey::new(suite, &key_and_salt)?;
    let (mut mki, mut lifetimes) = (None, 0);
    for part in parts {
        match part.split_once(':') {
            Some((number, len)) if mki.is_none() => mki = Some(parse_mki(tag, number, len)?),
            None if mki.is_none() && lifetimes == 0 && is_lifetime(part) => lifetimes += 1,
            other => {
                let what = if other.is_some() { "an MKI" } else { "a lifetime" };
                return Err(SdesError::KeyParameter { tag, what, text: excerpt(part) });
            }
        }
    }
    Ok((key, mki))
}

/// RFC 4568 9.2: a number of packets, or a power of two.
fn is_lifetime(text: &str) -> bool {
    text.strip_prefix("2^").unwrap_or(text).parse::<u64>().is_ok_and(|number| number > 0)
}

fn parse_mki(tag: u32, number: &str, len: &str) -> Result<Mki, SdesError> {
    let fault = || SdesError::KeyParameter { tag, what: "an MKI", text: excerpt(&format!("{number}:{len}")) };
    let number: u128 = number.parse().map_err(|_| fault())?;
    let len: usize = len.parse().map_err(|_| fault())?;
    let mut bytes = [0; MKI_LEN_MAX];
    bytes[MKI_LEN_MAX - size_of_val(&number)..].copy_from_slice(&number.to_be_bytes());
    let begin = MKI_LEN_MAX.checked_sub(len).filter(|&begin| bytes[..begin].iter().all(|&byte| byte == 0));
    Ok(Mki::new(&bytes[begin.ok_or_else(fault)?..])?)
}

fn parse_session_parameter(tag: u32, word: &str, protections: &mut Protections) -> Result<(), SdesError> {
    let (name, value) = word.split_once('=').map_or((word, None), |(name, value)| (name, Some(value)));
    match (name.to_ascii_uppercase().as_str(), value) {
        ("UNENCRYPTED_SRTP", None) => protections.encrypts_rtp = false,
        ("UNENCRYPTED_SRTCP", None) => protections.encrypts_rtcp = false,
        ("UNAUTHENTICATED_SRTP", None) => protections.authenticates_rtp = false,
        // A rate of 0 is what everybody does: keys are derived once.
        ("KDR", Some("0")) | ("WSH", Some(_)) => {}
        _ if name.starts_with('-') => {}
        _ => return Err(SdesError::SessionParameter { tag, text: excerpt(word) }),
    }
    Ok(())
}

/// As much of somebody's text as is good for an error.
fn excerpt(text: &str) -> String {
    text.chars().take(64).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RFC: &str = "1 AES_CM_128_HMAC_SHA1_80 inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj|2^20|1:32";

    #[test]
    fn the_example_of_the_rfc_is_read() {
        let crypto = Crypto::parse(RFC).expect("RFC 4568 6.1");
        assert_eq!((crypto.tag, crypto.key.suite()), (1, Suite::AesCm128HmacSha1_80));
        assert_eq!(crypto.key.key_and_salt(), b"wDfvg&T+)xG7@fb5jU,RaA}\\|p0%*#");
        let mki = crypto.mki.as_ref().map(|mki| mki.as_bytes().to_vec()).expect("an MKI");
        assert_eq!((mki.len(), mki[31], &mki[..31]), (32, 1, &[0; 31][..]));
        assert_eq!(crypto.protections, Protections::ALL);
        assert_eq!(crypto.to_value(true).as_str(), RFC.replace("|2^20", ""));
    }

    #[test]
    fn what_cannot_be_used_says_why() {
        let key = "d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj";
        let fault = |value: &str| Crypto::parse(value).expect_err(value).to_string();
        for (value, expected) in [
            ("1 AES_CM_128_HMAC_SHA1_80".to_owned(), "needs a tag, a suite and a key"),
            (format!("x AES_CM_128_HMAC_SHA1_80 inline:{key}"), "the tag of a=crypto must be a number"),
            (format!("1234567890 AES_CM_128_HMAC_SHA1_80 inline:{key}"), "of 1 to 9 digits"),
            (format!("1 ROT13 inline:{key}"), "unknown crypto-suite \"ROT13\""),
            (format!("1 AES_256_CM_HMAC_SHA1_80 inline:{key}"), "takes 46 bytes of key and salt together, not 30"),
            ("1 AES_CM_128_HMAC_SHA1_80 inline:d0Rm".to_owned(), "takes 30 bytes of key and salt together, not 3"),
            ("1 AES_CM_128_HMAC_SHA1_80 inline:d!Rm".to_owned(), "must be \"inline:\" and base64"),
            (format!("1 AES_CM_128_HMAC_SHA1_80 uri:{key}"), "must be \"inline:\" and base64"),
            (format!("1 AES_CM_128_HMAC_SHA1_80 inline:{key};inline:{key}"), "several keys"),
            (format!("1 AES_CM_128_HMAC_SHA1_80 inline:{key}|soon"), "a lifetime that RFC 4568 does not know"),
            (format!("1 AES_CM_128_HMAC_SHA1_80 inline:{key}|0:0"), "an MKI has 1 to 128 bytes, not 0"),
            (format!("1 AES_CM_128_HMAC_SHA1_80 inline:{key}|256:1"), "an MKI that RFC 4568 does not know"),
            (format!("1 AES_CM_128_HMAC_SHA1_80 inline:{key} KDR=3"), "the session parameter \"KDR=3\""),
            (format!("1 AES_CM_128_HMAC_SHA1_80 inline:{key} FEC_ORDER=FEC_SRTP"), "FEC_ORDER"),
        ] {
            let fault = fault(&value);
            assert!(fault.contains(expected), "{value}: {fault}");
            assert!(!fault.contains("d0R"), "the key is in {fault}");
        }
        let aead = "1 AEAD_AES_128_GCM inline:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA UNENCRYPTED_SRTP";
        assert!(fault(aead).contains("encrypts and authenticates in one"));
    }

    #[test]
    fn what_may_be_ignored_is() {
        let value = format!("{RFC} WSH=128 -X KDR=0 UNENCRYPTED_SRTCP unauthenticated_srtp");
        let crypto = Crypto::parse(&value).expect("nothing in it is to be refused");
        let expected = Protections { encrypts_rtp: true, encrypts_rtcp: false, authenticates_rtp: false };
        assert_eq!(crypto.protections, expected);
    }

    #[test]
    fn of_two_with_one_tag_the_first_is_taken() {
        let other = RFC.replacen("AES_CM_128_HMAC_SHA1_80", "AES_CM_128_HMAC_SHA1_32", 1);
        let (usable, faults) = Crypto::parse_all([RFC, &other, "2 NO_SUCH inline:AA"]);
        assert_eq!(usable, [Crypto::parse(RFC).expect("it was read before")]);
        assert_eq!(faults, [SdesError::DuplicateTag(1), KeyError::UnknownSuite("NO_SUCH".to_owned()).into()]);
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(
            tag in 1..=TAG_MAX, suite in prop::sample::select(Suite::ALL.to_vec()), bytes: [u8; 32], padded: bool,
            mki in prop::option::of(prop::collection::vec(any::<u8>(), 1..=16)), off: (bool, bool, bool),
        ) {
            let key_and_salt: Vec<u8> =
                bytes.iter().cycle().take(suite.key_len() + suite.salt_len()).copied().collect();
            let protections = match suite.is_aead() {
                true => Protections::ALL,
                false => Protections { encrypts_rtp: !off.0, encrypts_rtcp: !off.1, authenticates_rtp: !off.2 },
            };
            let crypto = Crypto {
                tag,
                key: MasterKey::new(suite, &key_and_salt).expect("the right length"),
                mki: mki.map(|mki| Mki::new(&mki).expect("of a right length")),
                protections,
            };
            let value = crypto.to_value(padded);
            prop_assert_eq!(value.contains('='), padded && !key_and_salt.len().is_multiple_of(3));
            prop_assert_eq!(Crypto::parse(&value), Ok(crypto));
        }

        #[test]
        fn any_text_is_read_or_refused(text: String) {
            let _ = Crypto::parse(&text);
            let _ = Crypto::parse(&format!("1 AES_CM_128_HMAC_SHA1_80 {text}"));
        }
    }
}
