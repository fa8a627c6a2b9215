//! Challenges of ours (RFC 3261 22.4, RFC 8760): who calls or refers from certain origins must have a password.

use core::fmt;
use core::hash::BuildHasher as _;
use std::hash::RandomState;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use rsipstack::sip::headers::auth::{Algorithm, AuthQop};
use rsipstack::sip::{DigestGenerator, Request, Uri};

use super::digest::field_parameter;
use super::text;
use crate::message::Origin;

/// How long a challenge may be answered, in seconds.
const FRESH_S: u64 = 60;

/// Knows the password of a user name at an origin.
pub type Passwords = Arc<dyn Fn(&Origin, &str) -> Option<Box<str>> + Send + Sync>;

/// Who has to prove who they are when they call or refer outside of a dialog, and by what.
#[derive(Clone)]
pub struct Accounts {
    /// The realm of the challenges.
    pub realm: Box<str>,
    /// Whether an origin has to.
    pub is_needed: Arc<dyn Fn(&Origin) -> bool + Send + Sync>,
    /// The password of a user name at an origin; none if there is no such account.
    pub password: Passwords,
}

impl fmt::Debug for Accounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Accounts").field("realm", &self.realm).finish_non_exhaustive()
    }
}

/// What is thought of a request's credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Proof {
    Good,
    /// None, or wrong ones.
    Missing,
    /// They were right, and answer a challenge of long ago.
    Stale,
}

impl Accounts {
    /// Judges the credentials of a request.
    pub(super) fn judge(&self, request: &Request, from: &Origin, secret: &RandomState) -> Proof {
        if !(self.is_needed)(from) {
            return Proof::Good;
        }
        let mut best = Proof::Missing;
        for value in text::values(&request.headers, "Authorization") {
            match self.judge_one(value, request, from, secret) {
                Some(Proof::Good) => return Proof::Good,
                Some(Proof::Stale) => best = Proof::Stale,
                _ => {}
            }
        }
        best
    }

    fn judge_one(&self, value: &str, request: &Request, from: &Origin, secret: &RandomState) -> Option<Proof> {
        let get = |name| field_parameter(value, name);
        let uri = get("uri")?;
        // It must be what was asked for, or it could be used for something else.
        if get("realm")? != &*self.realm || uri != request.uri.to_string() {
            return None;
        }
        let algorithm = match get("algorithm").map(str::to_ascii_uppercase).as_deref() {
            None | Some("MD5") => Algorithm::Md5,
            Some("SHA-256") => Algorithm::Sha256,
            Some(_) => return None,
        };
        let nonce = get("nonce")?;
        let (issued, _) = nonce.split_once('-')?;
        let issued = u64::from_str_radix(issued, 16).ok()?;
        if nonce != self.nonce(issued, from, secret) {
            return None;
        }
        let count = u32::from_str_radix(get("nc")?, 16).ok()?;
        get("qop").filter(|qop| qop.eq_ignore_ascii_case("auth"))?;
        let is_fresh = now_s().saturating_sub(issued) <= FRESH_S;
        // rsipstack counts to 255.
        let Ok(nc) = u8::try_from(count) else { return Some(Proof::Stale) };
        let username = get("username")?;
        let password = (self.password)(from, username)?;
        let expected = DigestGenerator {
            username,
            password: &password,
            nonce,
            uri: &Uri::try_from(uri).ok()?,
            realm: &self.realm,
            method: &request.method,
            qop: Some(&AuthQop::Auth { cnonce: get("cnonce")?.to_owned(), nc }),
            algorithm,
        }
        .compute();
        // The hash of a nonce that is used once is nothing to find out by time.
        let is_right = expected.eq_ignore_ascii_case(get("response")?);
        is_right.then_some(if is_fresh { Proof::Good } else { Proof::Stale })
    }

    /// The challenges, the better first.
    pub(super) fn challenges(&self, from: &Origin, is_stale: bool, secret: &RandomState) -> [String; 2] {
        let nonce = self.nonce(now_s(), from, secret);
        let stale = if is_stale { ", stale=true" } else { "" };
        ["SHA-256", "MD5"].map(|algorithm| {
            let realm = self.realm.replace(['"', '\\'], "'");
            format!("Digest realm=\"{realm}\", nonce=\"{nonce}\", algorithm={algorithm}, qop=\"auth\"{stale}")
        })
    }

    /// Good for one address and for a while; nothing has to be remembered.
    fn nonce(&self, issued: u64, from: &Origin, secret: &RandomState) -> String {
        format!("{issued:x}-{:016x}", secret.hash_one((issued, from.address.ip(), &self.realm)))
    }
}

fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map(|since| since.as_secs()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use rsipstack::sip::Response;

    use super::*;
    use crate::message::{Credentials, Transport};
    use crate::sip::{digest, text::field};

    fn origin(ip: &str) -> Origin {
        Origin { address: format!("{ip}:5060").parse().expect("an address"), transport: Transport::Udp }
    }

    #[test]
    fn only_fresh_answers_of_who_was_asked_are_good() {
        let accounts = Accounts {
            realm: "r".into(),
            is_needed: Arc::new(|from| from.address.ip().to_string() != "192.0.2.9"),
            password: Arc::new(|_, name| (name == "u").then(|| "p".into())),
        };
        let secret = RandomState::new();
        let here = origin("192.0.2.1");
        let blank = Request::try_from("INVITE sip:b@h;x=1 SIP/2.0\r\n\r\n").expect("a request");
        assert_eq!(accounts.judge(&blank, &here, &secret), Proof::Missing);
        assert_eq!(accounts.judge(&blank, &origin("192.0.2.9"), &secret), Proof::Good);
        let mut challenged = Response::try_from("SIP/2.0 401 No\r\n\r\n").expect("a response");
        for challenge in accounts.challenges(&here, false, &secret) {
            challenged.headers.push(field("WWW-Authenticate", &challenge));
        }
        for (password, proof) in [("p", Proof::Good), ("q", Proof::Missing)] {
            let mut request = blank.clone();
            let credentials = Credentials { username: "u".into(), password: password.into(), realm: None };
            digest::authorize(&mut request, &challenged, &credentials).expect("it can be answered");
            assert_eq!(accounts.judge(&request, &here, &secret), proof);
            assert_eq!(accounts.judge(&request, &origin("192.0.2.2"), &secret), Proof::Missing);
            request.uri = Uri::try_from("sip:c@h").expect("a URI");
            assert_eq!(accounts.judge(&request, &here, &secret), Proof::Missing);
        }
        let old = accounts.nonce(now_s() - FRESH_S - 1, &here, &secret);
        let mut stale = Response::try_from("SIP/2.0 401 No\r\n\r\n").expect("a response");
        stale.headers.push(field("WWW-Authenticate", &format!("Digest realm=\"r\", nonce=\"{old}\", qop=\"auth\"")));
        let mut request = blank;
        let credentials = Credentials { username: "u".into(), password: "p".into(), realm: None };
        digest::authorize(&mut request, &stale, &credentials).expect("it can be answered");
        assert_eq!(accounts.judge(&request, &here, &secret), Proof::Stale);
    }
}
