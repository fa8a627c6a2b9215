//! A route: which calls it is for, and whom it has dialled.

use core::str::FromStr;
use std::borrow::Cow;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::call::billing::Direction;
use crate::call::number::{Emergency, Number};
use crate::call::sipfrag::status;
use crate::call::uri::{Uri, user_of};
use crate::message::{Incoming, Status};
use crate::webhook;

/// Octets of a user part that is filled in: no number and no id of a call is longer.
const USER_LEN_MAX: usize = 255;

/// Where a call goes.
#[derive(Clone, Debug)]
pub struct Route {
    /// The trunk that it comes by.
    pub from: Arc<str>,
    /// The user part that it is for; `*` at its end stands for any rest.
    pub number: Box<str>,
    /// Who answers. A route with a webhook may leave that to it.
    pub to: Option<Callee>,
    /// The trunk that it goes by.
    pub by: Arc<str>,
    /// From the telephone network, or to it: whose trunk dials the numbers that the call is transferred to, and what it is billed as.
    pub direction: Direction,
    /// Who is asked whom to call. Without an answer that is `to`: its `on_fail` has no effect.
    pub webhook: Option<webhook::Settings>,
}

/// Who answers: a SIP URI whose user part may have places that each call fills in.
///
/// `{user}` is the user part that the call is for, `{header:NAME}` the value of that header field of its INVITE. Only the user part can have
/// them, so that no caller chooses a host, a parameter or a header field.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Callee {
    /// `sip:` or `sips:`.
    scheme: Box<str>,
    user: Vec<Part>,
    /// What is behind the user part, the `@` included.
    rest: Box<str>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(Box<str>),
    /// `{user}`
    User,
    /// `{header:NAME}`
    Header(Box<str>),
}

/// Why a text is no [`Callee`].
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum BadCallee {
    /// It does not begin like one.
    #[error("{0:?} is no SIP URI such as sip:agent@198.51.100.20")]
    NoUri(String),
    /// A brace has no partner, or is outside of the user part.
    #[error("{0:?}: only what is between `sip:` and `@` can have {{user}} or {{header:X-NAME}}, each with both braces")]
    Braces(String),
    /// There is no such place.
    #[error(
        "{{{0}}} is nothing that a call has: there are {{user}} and {{header:X-NAME}}, of a field whose name begins with X-"
    )]
    Unknown(String),
}

/// Why a call that comes in goes nowhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unroutable {
    /// What its INVITE is answered with.
    pub status: Status,
    /// For the log.
    pub why: Cow<'static, str>,
}

impl Unroutable {
    pub(super) fn new(code: u16, why: impl Into<Cow<'static, str>>) -> Self {
        Self { status: status(code), why: why.into() }
    }
}

impl FromStr for Callee {
    type Err = BadCallee;

    fn from_str(text: &str) -> Result<Self, BadCallee> {
        let no_uri = || BadCallee::NoUri(text.to_owned());
        let (scheme, rest) = text.split_once(':').ok_or_else(no_uri)?;
        if !["sip", "sips"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) || rest.is_empty() {
            return Err(no_uri());
        }
        let braces = || BadCallee::Braces(text.to_owned());
        let (user, rest) = rest.rfind('@').map_or(("", rest), |at| rest.split_at(at));
        if rest.contains(['{', '}']) {
            return Err(braces());
        }
        let (mut parts, mut left) = (Vec::new(), user);
        while let Some((before, behind)) = left.split_once('{') {
            let (place, behind) = behind.split_once('}').ok_or_else(braces)?;
            if before.contains('}') {
                return Err(braces());
            }
            parts.extend((!before.is_empty()).then(|| Part::Text(before.into())));
            parts.push(match place.split_once(':') {
                None if place == "user" => Part::User,
                Some(("header", name)) if is_extra(name) => Part::Header(name.into()),
                _ => return Err(BadCallee::Unknown(place.to_owned())),
            });
            left = behind;
        }
        if left.contains('}') {
            return Err(braces());
        }
        parts.extend((!left.is_empty()).then(|| Part::Text(left.into())));
        Ok(Self { scheme: format!("{scheme}:").into(), user: parts, rest: rest.into() })
    }
}

impl TryFrom<String> for Callee {
    type Error = BadCallee;

    fn try_from(text: String) -> Result<Self, BadCallee> {
        text.parse()
    }
}

impl From<Callee> for String {
    fn from(callee: Callee) -> Self {
        callee.to_string()
    }
}

impl core::fmt::Display for Callee {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(&self.scheme)?;
        for part in &self.user {
            match part {
                Part::Text(text) => f.write_str(text)?,
                Part::User => f.write_str("{user}")?,
                Part::Header(name) => write!(f, "{{header:{name}}}")?,
            }
        }
        f.write_str(&self.rest)
    }
}

impl Callee {
    /// The URI for a call. An emergency number is dialled only by a route that names it: who fills it in may be anywhere.
    pub(super) fn for_call(&self, incoming: &Incoming, emergency: &Emergency) -> Result<Box<str>, Unroutable> {
        let refused = |code, why: String| Err(Unroutable::new(code, why));
        let mut user = String::new();
        let mut is_filled_in = false;
        for part in &self.user {
            let (value, what) = match part {
                Part::Text(text) => {
                    user += text;
                    continue;
                }
                Part::User => (user_of(&incoming.request_uri), "user part"),
                Part::Header(name) => {
                    let of_name = |header: &&crate::message::Header| header.name.eq_ignore_ascii_case(name);
                    match incoming.extra.iter().find(of_name) {
                        Some(header) => (header.value.trim(), &**name),
                        None => return refused(400, format!("its route needs {name}, and the INVITE has none")),
                    }
                }
            };
            if value.is_empty() {
                return refused(404, format!("its route needs the {what} of the INVITE, and that is empty"));
            }
            escape(value, &mut user);
            is_filled_in = true;
        }
        if user.len() > USER_LEN_MAX {
            return refused(
                414,
                format!("with what its route fills in the user part has more than {USER_LEN_MAX} octets"),
            );
        }
        if is_filled_in && emergency.is_reached_by(&user) {
            return refused(403, format!("{user:?} is an emergency number, which only a route that names it dials"));
        }
        Ok(format!("{}{user}{}", self.scheme, self.rest).into())
    }

    /// Its host, which is the same for all calls; none, if there is none that can be read.
    pub(super) fn host(&self) -> Option<Box<str>> {
        let uri = format!("{}{}", self.scheme, self.rest.trim_start_matches('@')).parse::<Uri>();
        uri.ok().map(|uri| uri.host)
    }
}

impl Route {
    /// Whether it is for this user part: numbers are compared without separators.
    pub(super) fn fits(&self, user: &str) -> bool {
        let plain = |text: &str| Number::of(text).map_or_else(|| text.to_owned(), |number| number.as_str().to_owned());
        match self.number.strip_suffix('*') {
            Some("") => true,
            Some(beginning) => plain(user).starts_with(&plain(beginning)),
            None => plain(user) == plain(&self.number),
        }
    }
}

/// Only header fields of nobody's standard come as far as here.
fn is_extra(name: &str) -> bool {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(&byte);
    name.len() > 2 && name[..2].eq_ignore_ascii_case("X-") && name.bytes().all(is_token)
}

/// Writes a value so that it is nothing but a user part (RFC 3261 25.1). What is escaped already stays so.
fn escape(value: &str, out: &mut String) {
    let mut bytes = value.bytes();
    while let Some(byte) = bytes.next() {
        let mut ahead = bytes.clone();
        let is_escape = byte == b'%' && (0..2).all(|_| ahead.next().is_some_and(|digit| digit.is_ascii_hexdigit()));
        if is_escape || byte.is_ascii_alphanumeric() || b"-_.!~*'()&=+$,".contains(&byte) {
            out.push(char::from(byte));
        } else {
            *out += &format!("%{byte:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::message::{Address, Header, Origin, Transport};

    fn incoming(uri: &str, extra: &[(&str, &str)]) -> Incoming {
        let nobody = || Address { display: "".into(), uri: "sip:x@y".into() };
        Incoming {
            request_uri: uri.into(),
            from: nobody(),
            to: nobody(),
            call_id: "c".into(),
            from_tag: "f".into(),
            to_tag: "t".into(),
            origin: Origin { address: ([192, 0, 2, 1], 5060).into(), transport: Transport::Udp },
            user: None,
            asserted: Vec::new(),
            replaces: Vec::new(),
            referred_by: None,
            allow: None,
            supported: Vec::new(),
            extra: extra.iter().map(|(name, value)| Header { name: (*name).into(), value: (*value).into() }).collect(),
            offer: None,
        }
    }

    fn dialled(to: &str, uri: &str, extra: &[(&str, &str)]) -> Result<String, u16> {
        let callee: Callee = to.parse().expect("a callee");
        assert_eq!(callee.to_string(), to);
        let uri = callee.for_call(&incoming(uri, extra), &Emergency::default());
        uri.map(String::from).map_err(|unroutable| unroutable.status.code)
    }

    #[test]
    fn a_route_is_found_by_its_number() {
        let route = |number: &str| Route {
            from: "a".into(),
            number: number.into(),
            to: None,
            by: "b".into(),
            direction: Direction::Origination,
            webhook: None,
        };
        for (number, user, fits) in [
            ("*", "anything", true),
            ("+1555*", "+1-555-0100", true),
            ("+1555*", "+15560100", false),
            ("+15550100", "+1 555 0100", true),
            ("+15550100", "+155501001", false),
            ("sales", "sales", true),
            ("sales", "sale", false),
        ] {
            assert_eq!(route(number).fits(user), fits, "{number} {user}");
        }
    }

    #[test]
    fn the_user_part_is_filled_in() {
        let id = [("x-call-id", " call_7/a ")];
        for (to, uri, dials) in [
            ("sip:agent@h:5070;transport=tcp", "sip:+1555@p", Ok("sip:agent@h:5070;transport=tcp")),
            ("sip:h.example", "sip:+1555@p", Ok("sip:h.example")),
            ("sip:{user}@h;transport=tls", "sip:+1555;x=1@p;y", Ok("sip:+1555@h;transport=tls")),
            ("sips:9{user}-x@h", "tel:+1-555;phone-context=a", Ok("sips:9+1-555-x@h")),
            ("sip:{user}@h", "sip:a%40b:secret@p", Ok("sip:a%40b@h")),
            ("sip:{header:X-Call-Id}@h", "sip:1@p", Ok("sip:call_7%2Fa@h")),
            ("sip:{user}.{header:X-Call-Id}@h", "sip:1@p", Ok("sip:1.call_7%2Fa@h")),
            ("sip:{user}@h", "sip:p", Err(404)),
            ("sip:{header:X-Other}@h", "sip:1@p", Err(400)),
            ("sip:{user}@h", "sip:9-1-1@p", Err(403)),
            ("sip:9{user}@h", "sip:911@p", Err(403)),
            ("sip:911@h", "sip:911@p", Ok("sip:911@h")),
        ] {
            assert_eq!(dialled(to, uri, &id), dials.map(ToOwned::to_owned), "{to} for {uri}");
        }
        for (to, host) in
            [("sips:{user}@H.example:5070;transport=tls", Some("h.example")), ("sip:h", Some("h")), ("sip:a@", None)]
        {
            assert_eq!(to.parse::<Callee>().expect(to).host().as_deref(), host, "{to}");
        }
        assert_eq!(dialled("sip:{user}@h", &format!("sip:{}@p", "1".repeat(300)), &[]), Err(414));
    }

    #[test]
    fn what_is_no_callee_says_why() {
        for (text, why) in [
            ("agent@h", "no SIP URI"),
            ("tel:+1555", "no SIP URI"),
            ("sip:", "no SIP URI"),
            ("sip:a@{user}", "both braces"),
            ("sip:{user@h", "both braces"),
            ("sip:user}@h", "both braces"),
            ("sip:a}{user}@h", "both braces"),
            ("sip:{number}@h", "{number} is nothing that a call has"),
            ("sip:{header:From}@h", "begins with X-"),
            ("sip:{header:X-A b}@h", "{header:X-A b} is nothing"),
        ] {
            let found = text.parse::<Callee>().map_err(|error| error.to_string());
            assert!(found.as_ref().is_err_and(|error| error.contains(why)), "{text}: {found:?}");
        }
    }

    proptest! {
        #[test]
        fn nobody_chooses_more_than_a_user_part(value in "[ -~\u{e4}\u{4e00}]{1,80}") {
            if let Ok(uri) = dialled("sip:{header:X-A}@h.example;transport=tls", "sip:1@p", &[("X-A", &value)]) {
                let user = uri.strip_prefix("sip:").and_then(|rest| rest.strip_suffix("@h.example;transport=tls"));
                let user = user.expect("all else is as configured");
                prop_assert!(user.bytes().all(|byte| byte.is_ascii_graphic()) && !user.contains(['@', ';', ':', '?', '<', '>', '"']), "{user}");
            }
        }
    }
}
