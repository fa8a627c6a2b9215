//! Codecs and keys: lists of words with a meaning of their own.

use crate::value::normal;

/// `codec`: names of codecs or their specifications (`opus/48000/2`), in the order given; `all` and `full` stand among them
/// as they came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Codecs {
    /// Taken out.
    pub strip: Vec<String>,
    /// Kept though all are taken out, and in this order.
    pub offer: Vec<String>,
    /// Kept though all are taken out.
    pub except: Vec<String>,
    /// Taken out towards the receiver, and accepted from the sender.
    pub mask: Vec<String>,
    /// Added.
    pub transcode: Vec<String>,
    /// As `mask`, and transcoded in any case.
    pub consume: Vec<String>,
    /// Accepted from the sender though the receiver refuses it.
    pub accept: Vec<String>,
    /// Options of a codec.
    pub set: Vec<String>,
    /// As if it were not in the SDP.
    pub ignore: Vec<String>,
}

impl Codecs {
    /// The list of a word in its normal spelling.
    pub(super) fn list(&mut self, word: &str) -> Option<&mut Vec<String>> {
        Some(match word {
            "strip" => &mut self.strip,
            "offer" => &mut self.offer,
            "except" => &mut self.except,
            "mask" => &mut self.mask,
            "transcode" => &mut self.transcode,
            "consume" => &mut self.consume,
            "accept" => &mut self.accept,
            "set" => &mut self.set,
            "ignore" => &mut self.ignore,
            _ => return None,
        })
    }
}

/// `SDES` (RFC 4568). Suites are spelled as they came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sdes {
    /// It is neither offered nor accepted.
    pub off: bool,
    /// No suite is added to an offer.
    pub nonew: bool,
    /// Base64 of keys keeps its padding.
    pub pad: bool,
    /// Keys say their lifetime.
    pub lifetime: bool,
    /// `static`: the suite stays over a re-offer.
    pub fixed: bool,
    /// It goes before DTLS if both are offered.
    pub prefer: bool,
    /// `no-SUITE`: these are not offered.
    pub no: Vec<String>,
    /// `only-SUITE`: no others are offered. Goes before [`Sdes::no`].
    pub only: Vec<String>,
    /// `order:SUITE;SUITE`: these come first.
    pub order: Vec<String>,
    /// `offerer_pref:SUITE;SUITE`: these are chosen of an offer.
    pub offerer_pref: Vec<String>,
    /// `unencrypted_srtp` or, if false, `encrypted_srtp`.
    pub unencrypted_srtp: Option<bool>,
    /// `unencrypted_srtcp` or, if false, `encrypted_srtcp`.
    pub unencrypted_srtcp: Option<bool>,
    /// `unauthenticated_srtp` or, if false, `authenticated_srtp`.
    pub unauthenticated_srtp: Option<bool>,
}

impl Sdes {
    /// Does what a word says; `false`: it says nothing.
    pub(super) fn set(&mut self, word: &str) -> bool {
        let said = normal(word);
        match &*said {
            "off" | "no" | "disable" => self.off = true,
            "nonew" | "no-new" => self.nonew = true,
            "pad" => self.pad = true,
            "lifetime" => self.lifetime = true,
            "static" => self.fixed = true,
            "prefer" => self.prefer = true,
            "unencrypted-srtp" => self.unencrypted_srtp = Some(true),
            "encrypted-srtp" => self.unencrypted_srtp = Some(false),
            "unencrypted-srtcp" => self.unencrypted_srtcp = Some(true),
            "encrypted-srtcp" => self.unencrypted_srtcp = Some(false),
            "unauthenticated-srtp" => self.unauthenticated_srtp = Some(true),
            "authenticated-srtp" => self.unauthenticated_srtp = Some(false),
            _ => return self.suites(word, &said),
        }
        true
    }

    /// A word with suites behind it. `said` is the word in its normal spelling, and as long.
    fn suites(&mut self, word: &str, said: &str) -> bool {
        let lists = [
            ("no-", &mut self.no),
            ("only-", &mut self.only),
            ("order:", &mut self.order),
            ("offerer-pref:", &mut self.offerer_pref),
        ];
        for (prefix, list) in lists {
            if said.starts_with(prefix) {
                let suites = word.trim()[prefix.len()..].split(';').filter(|suite| !suite.is_empty());
                list.extend(suites.map(str::to_owned));
                return true;
            }
        }
        false
    }
}

/// `OSRTP` (RFC 8643).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Osrtp {
    /// `offer` or `offer-RFC`: keys are added to an offer of plain RTP.
    pub offer: bool,
    /// Each media section is written twice, as plain RTP and as SRTP.
    pub offer_legacy: bool,
    /// `accept` or `accept-RFC`: keys in an offer of plain RTP are accepted though the receiver has none.
    pub accept: bool,
    /// `accept` or `accept-legacy`: media sections that come twice are one.
    pub accept_legacy: bool,
    /// None of it.
    pub off: bool,
}

impl Osrtp {
    /// Does what a word in its normal spelling says; `false`: it says nothing.
    pub(super) fn set(&mut self, said: &str) -> bool {
        match said {
            "offer" | "offer-rfc" => self.offer = true,
            "offer-legacy" => self.offer_legacy = true,
            "accept" => (self.accept, self.accept_legacy) = (true, true),
            "accept-rfc" => self.accept = true,
            "accept-legacy" => self.accept_legacy = true,
            "off" | "no" | "disable" => self.off = true,
            _ => return false,
        }
        true
    }
}
