//! Challenges of ours (RFC 3261 22.4, RFC 8760): who calls or refers from certain origins must have a password.

use core::fmt;
use core::hash::BuildHasher as _;
use std::hash::RandomState;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use rsipstack::sip::headers::auth::{Algorithm, AuthQop};
use rsipstack::sip::{DigestGenerator, Request};

use super::build;
use super::digest::field_parameter;
use super::guard::{FRESH_S, Guard, Guesser};
use super::text;
use crate::message::{Credentials, Origin};

/// Knows the password of a user name at an origin.
pub type Passwords = Arc<dyn Fn(&Origin, &str) -> Option<Box<str>> + Send + Sync>;

/// Knows what an origin is answered with when it challenges.
pub type CredentialsOf = Arc<dyn Fn(&Origin) -> Option<Credentials> + Send + Sync>;

/// What somebody wants who may have to prove who they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Occasion {
    /// To begin a dialog: INVITE, REFER.
    Begin,
    /// To refer in a dialog that began without a proof.
    Refer,
}

/// Whether an origin has to prove who it is.
pub type IsNeeded = Arc<dyn Fn(&Origin, Occasion) -> bool + Send + Sync>;

/// Who has to prove who they are when they call or refer, and by what. Other requests in a dialog need no proof: only its parties know its tags,
/// and gateways that answer challenges to INVITE do not to BYE (RFC 3261 22.1 leaves it to the server).
#[derive(Clone)]
pub struct Accounts {
    /// The realm of the challenges.
    pub realm: Box<str>,
    /// Whether an origin has to.
    pub is_needed: IsNeeded,
    /// The password of a user name at an origin; none if there is no such account.
    pub password: Passwords,
}

impl fmt::Debug for Accounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Accounts").field("realm", &self.realm).finish_non_exhaustive()
    }
}

/// What is thought of a request's credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Proof {
    /// They are right: whose.
    Good(Box<str>),
    /// None, or wrong ones.
    Missing,
    /// They were right, and answer a challenge of long ago, or one that has been answered.
    Stale,
    /// Wrong ones, too often.
    Refused,
}

/// By what challenges are recognised when they are answered.
#[derive(Default)]
pub(super) struct Challenger {
    /// Nonces are bound by it, so that they need not be remembered.
    pub secret: RandomState,
    guard: Guard,
}

impl Accounts {
    /// Judges the credentials of a request.
    pub(super) fn judge(&self, request: &Request, from: &Origin, challenger: &Challenger) -> Proof {
        self.judge_at(request, from, challenger, now_s())
    }

    fn judge_at(&self, request: &Request, from: &Origin, challenger: &Challenger, now: u64) -> Proof {
        let mut best = Proof::Missing;
        for value in text::values(&request.headers, "Authorization") {
            match self.judge_one(value, request, from, challenger, now) {
                Some(Proof::Good(user)) => return Proof::Good(user),
                Some(Proof::Refused) => return Proof::Refused,
                Some(proof) => best = proof,
                None => {}
            }
        }
        best
    }

    /// None: it is no answer to a challenge of ours.
    fn judge_one(
        &self,
        value: &str,
        request: &Request,
        from: &Origin,
        challenger: &Challenger,
        now: u64,
    ) -> Option<Proof> {
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
        let mut parts = nonce.split('-').map(|part| u64::from_str_radix(part, 16));
        let (issued, salt) = (parts.next()?.ok()?, parts.next()?.ok()?);
        if nonce != self.nonce(issued, salt, from, &challenger.secret) {
            return None;
        }
        let count = u32::from_str_radix(get("nc")?, 16).ok()?;
        get("qop").filter(|qop| qop.eq_ignore_ascii_case("auth"))?;
        // rsipstack counts to 255.
        let Ok(nc) = u8::try_from(count) else { return Some(Proof::Stale) };
        let username = get("username")?;
        let password = (self.password)(from, username);
        // Who tries many names counts as one.
        let hash = password.as_ref().map_or(0, |_| challenger.secret.hash_one(username));
        let who: Guesser = (from.address.ip(), hash);
        if challenger.guard.is_stopped(who, now) {
            return Some(Proof::Refused);
        }
        let uri = build::as_written(uri)?;
        let cnonce = get("cnonce")?.to_owned();
        let is_right = |password: Box<str>| {
            let expected = DigestGenerator {
                username,
                password: &password,
                nonce,
                uri: &uri,
                realm: &self.realm,
                method: &request.method,
                qop: Some(&AuthQop::Auth { cnonce, nc }),
                algorithm,
            }
            .compute();
            // The hash of a nonce that is used once is nothing to find out by time.
            get("response").is_some_and(|response| expected.eq_ignore_ascii_case(response))
        };
        if !password.is_some_and(is_right) {
            if challenger.guard.fails(who, now) {
                tracing::warn!(from = %from.address, user = ?username,
                    "wrong user name or password, again and again: refused for {FRESH_S} s");
            }
            return Some(if challenger.guard.is_stopped(who, now) { Proof::Refused } else { Proof::Missing });
        }
        challenger.guard.succeeds(who);
        if now.saturating_sub(issued) > FRESH_S {
            return Some(Proof::Stale);
        }
        let named = ["Via", "Call-ID", "CSeq"].map(|name| text::value(&request.headers, name));
        let is_first = challenger.guard.uses((issued, salt), count, challenger.secret.hash_one(named), now);
        Some(if is_first { Proof::Good(username.into()) } else { Proof::Stale })
    }

    /// The challenges, the better first.
    pub(super) fn challenges(&self, from: &Origin, is_stale: bool, challenger: &Challenger) -> [String; 2] {
        let salt = challenger.secret.hash_one(challenger.guard.next());
        let nonce = self.nonce(now_s(), salt, from, &challenger.secret);
        let stale = if is_stale { ", stale=true" } else { "" };
        ["SHA-256", "MD5"].map(|algorithm| {
            let realm = self.realm.replace(['"', '\\'], "'");
            format!("Digest realm=\"{realm}\", nonce=\"{nonce}\", algorithm={algorithm}, qop=\"auth\"{stale}")
        })
    }

    /// Good for one address and for a while.
    fn nonce(&self, issued: u64, salt: u64, from: &Origin, secret: &RandomState) -> String {
        let bound = secret.hash_one((issued, salt, from.address.ip(), &self.realm));
        format!("{issued:x}-{salt:016x}-{bound:016x}")
    }
}

fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map(|since| since.as_secs()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use rsipstack::sip::{Response, Uri};

    use super::*;
    use crate::message::{Credentials, Transport};
    use crate::sip::{digest, text::field};

    fn origin(ip: &str) -> Origin {
        Origin { address: format!("{ip}:5060").parse().expect("an address"), transport: Transport::Udp }
    }

    fn accounts() -> Accounts {
        Accounts {
            realm: "r".into(),
            is_needed: Arc::new(|_, _| true),
            password: Arc::new(|_, name| (name == "u").then(|| "p".into())),
        }
    }

    fn blank() -> Request {
        Request::try_from("INVITE sip:b@h;x=1 SIP/2.0\r\nCall-ID: 1\r\n\r\n").expect("a request")
    }

    /// A request that answers the first of these.
    fn answer(challenges: &[String], username: &str, password: &str) -> Request {
        let mut challenged = Response::try_from("SIP/2.0 401 No\r\n\r\n").expect("a response");
        challenged.headers.extend(challenges.iter().map(|challenge| field("WWW-Authenticate", challenge)).collect());
        let credentials = Credentials { username: username.into(), password: password.into(), realm: None };
        let mut request = blank();
        digest::authorize(&mut request, &challenged, &credentials).expect("it can be answered");
        request
    }

    #[test]
    fn only_fresh_answers_of_who_was_asked_are_good_and_each_once() {
        let (accounts, challenger, here) = (accounts(), Challenger::default(), origin("192.0.2.1"));
        assert_eq!(accounts.judge(&blank(), &here, &challenger), Proof::Missing);
        for first in [0, 1] {
            let request = answer(&accounts.challenges(&here, false, &challenger)[first..], "u", "p");
            let mut other = request.clone();
            other.uri = Uri::try_from("sip:c@h").expect("a URI");
            assert_eq!(accounts.judge(&other, &here, &challenger), Proof::Missing);
            assert_eq!(accounts.judge(&request, &origin("192.0.2.2"), &challenger), Proof::Missing);
            let late = now_s() + FRESH_S + 1;
            assert_eq!(accounts.judge_at(&request, &here, &challenger, late), Proof::Stale);
            assert_eq!(accounts.judge(&request, &here, &challenger), Proof::Good("u".into()));
            let mut replayed = request;
            replayed.headers.retain(|field| field.name() != "Call-ID");
            replayed.headers.push(field("Call-ID", "2"));
            assert_eq!(accounts.judge(&replayed, &here, &challenger), Proof::Stale);
        }
        let again = accounts.challenges(&here, true, &challenger);
        assert!(again.iter().all(|challenge| challenge.ends_with("stale=true")), "{again:?}");
        assert_ne!(again, accounts.challenges(&here, true, &challenger));
    }

    #[test]
    fn wrong_answers_are_asked_again_and_in_the_end_refused() {
        let (accounts, challenger, here) = (accounts(), Challenger::default(), origin("192.0.2.1"));
        for (user, password) in [("u", "q"), ("v", "p")] {
            let proofs: Vec<_> = (0..6)
                .map(|_| {
                    let request = answer(&accounts.challenges(&here, false, &challenger), user, password);
                    accounts.judge(&request, &here, &challenger)
                })
                .collect();
            assert_eq!(proofs[..4], [const { Proof::Missing }; 4], "{user}");
            assert_eq!(proofs[4..], [const { Proof::Refused }; 2], "{user}");
        }
        let request = answer(&accounts.challenges(&here, false, &challenger), "u", "p");
        assert_eq!(accounts.judge(&request, &here, &challenger), Proof::Refused, "guessing on is of no use");
        let there = origin("192.0.2.2");
        let request = answer(&accounts.challenges(&there, false, &challenger), "u", "p");
        assert_eq!(accounts.judge(&request, &there, &challenger), Proof::Good("u".into()));
    }
}
