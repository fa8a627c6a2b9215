//! Where a route sends a call: a URI whose user part may take parts of the INVITE.
//!
//! What is taken is written by whoever calls. It fills the user part and nothing else: what a user part cannot have is escaped (RFC 3261 25.1),
//! and the filled URI has to read as the written one with that user part, or nobody is called.

use core::fmt;
use core::str::FromStr;
use std::sync::Arc;

use super::number::Number;
use super::refer_to::is_extra;
use super::route::{Routed, Rule, Via, route};
use super::sipfrag::status;
use super::trunk::Trunk;
use super::uri::{Scheme, Uri, UriError};
use crate::message::{Incoming, Status};

/// What is taken for one placeholder has no more bytes.
const LONGEST: usize = 128;

/// A route's `to`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    written: Box<str>,
    scheme: Scheme,
    /// What the user part is made of.
    user: Vec<Piece>,
    /// What stands behind it, from `@` or the parameters of a tel URI on.
    rest: Box<str>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    /// As written.
    Text(Box<str>),
    /// `{user}`: the user part of the request URI.
    User,
    /// `{to}`: the user part of To.
    To,
    /// `{header:X-NAME}`: the value of a header field.
    Header(Box<str>),
}

/// Why a text is no destination.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DestinationError {
    /// The URI, with what stands for a placeholder.
    #[error("{0:?} is no URI that can be called: {1}")]
    Uri(Box<str>, UriError),
    /// A brace without the other one.
    #[error("{0:?} has a brace without the other one; a placeholder is written {{user}}")]
    Brace(Box<str>),
    /// A placeholder that is not known.
    #[error(
        "{0:?} has the placeholder {{{1}}}; there are {{user}} (the user part of the request URI), {{to}} (that of To) and {{header:X-NAME}} (a header field \
         of the INVITE whose name begins with X-)"
    )]
    Unknown(Box<str>, Box<str>),
    /// A placeholder in the host, a parameter or a header, or a password.
    #[error(
        "{0:?} has a placeholder outside of the user part: it stands between the scheme and @, or is the number of a tel URI, without a password"
    )]
    Place(Box<str>),
}

/// Why an INVITE fills no destination.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FillError {
    /// It is not there.
    #[error("the INVITE has no {0}, which the route takes")]
    Missing(Box<str>),
    /// It is there twice.
    #[error("the INVITE has more than one {0}, and the route takes one")]
    Several(Box<str>),
    /// It can be in no user part.
    #[error(
        "{0} of the INVITE can be in no user part: it is empty, has a control character or more than {LONGEST} bytes, or cannot be read"
    )]
    Unfit(Box<str>),
    /// It is no number, and the route calls numbers.
    #[error("{0:?} is no telephone number, and the route calls numbers")]
    Number(Box<str>),
}

impl FillError {
    /// What the INVITE is refused with: 400 with what is wrong, or 404 for somebody who is no number.
    #[must_use]
    pub fn status(&self) -> Status {
        let phrase = match self {
            Self::Missing(what) => format!("Missing {what}"),
            Self::Several(what) => format!("More Than One {what}"),
            Self::Unfit(what) => format!("Unusable {what}"),
            Self::Number(_) => return status(404),
        };
        Status { code: 400, phrase: phrase.into() }
    }
}

impl Destination {
    /// Whether it is the same for each call.
    #[must_use]
    pub fn is_fixed(&self) -> bool {
        self.user.iter().all(|piece| matches!(piece, Piece::Text(_)))
    }

    /// Whether it is a number of the telephone network, to be dialled as the trunk has it.
    #[must_use]
    pub fn is_number(&self) -> bool {
        self.scheme == Scheme::Tel
    }

    /// The URI for an INVITE.
    ///
    /// # Errors
    /// [`FillError`]: what of the INVITE cannot be used.
    pub fn fill(&self, incoming: &Incoming) -> Result<Uri, FillError> {
        let mut user = String::new();
        let mut name: Box<str> = "the user part".into();
        for piece in &self.user {
            let (taken, of) = match piece {
                Piece::Text(text) => {
                    user.push_str(text);
                    continue;
                }
                Piece::User => (user_of(&incoming.request_uri), "user part in the request URI".into()),
                Piece::To => (user_of(&incoming.to.uri), "user part in To".into()),
                Piece::Header(name) => (header(incoming, name)?, name.clone()),
            };
            let taken = taken.ok_or_else(|| FillError::Missing(of.clone()))?;
            if taken.is_empty() || taken.len() > LONGEST || taken.chars().any(char::is_control) {
                return Err(FillError::Unfit(of));
            }
            if self.scheme == Scheme::Tel {
                let number = Number::of(&escape(&taken)).ok_or_else(|| FillError::Number(taken.as_str().into()))?;
                user.push_str(number.as_str());
            } else {
                user.push_str(&escape(&taken));
            }
            name = of;
        }
        let scheme = self.scheme.as_str();
        let filled = format!("{scheme}:{user}{}", self.rest).parse::<Uri>();
        // Nothing but the user part is another one than in what was written.
        let sample = format!("{scheme}:0{}", self.rest).parse::<Uri>();
        match (filled, sample) {
            (Ok(uri), Ok(sample))
                if uri.user.as_deref() == Some(&*user)
                    && (Uri { user: sample.user.clone(), ..uri.clone() }) == sample =>
            {
                Ok(uri)
            }
            (Ok(uri), _) if self.is_fixed() => Ok(uri),
            _ => Err(FillError::Unfit(name)),
        }
    }
}

impl FromStr for Destination {
    type Err = DestinationError;

    fn from_str(text: &str) -> Result<Self, DestinationError> {
        let text = text.trim();
        let sample = |text: &str| text.parse::<Uri>().map_err(|error| DestinationError::Uri(text.into(), error));
        let place = || DestinationError::Place(text.into());
        if !text.contains(['{', '}']) {
            let uri = sample(text)?;
            let scheme = uri.scheme;
            let rest = text.split_once(':').map_or("", |(_, rest)| rest);
            return Ok(Self { written: text.into(), scheme, user: Vec::new(), rest: rest.into() });
        }
        let (scheme, rest) = text.split_once(':').filter(|(scheme, _)| !scheme.contains('{')).ok_or_else(place)?;
        let is_tel = scheme.eq_ignore_ascii_case("tel");
        let end =
            if is_tel { rest.find([';', '?']).unwrap_or(rest.len()) } else { rest.find('@').ok_or_else(place)? };
        let (user, rest) = rest.split_at(end);
        if rest.contains(['{', '}']) {
            return Err(place());
        }
        let user = pieces(user, text)?;
        // A password would end the user part.
        if user.iter().any(|piece| matches!(piece, Piece::Text(text) if text.contains([':', '?']))) {
            return Err(place());
        }
        let shown: String = user.iter().map(|piece| if let Piece::Text(text) = piece { text } else { "0" }).collect();
        let uri = sample(&format!("{scheme}:{shown}{rest}"))?;
        Ok(Self { written: text.into(), scheme: uri.scheme, user, rest: rest.into() })
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

fn pieces(mut user: &str, whole: &str) -> Result<Vec<Piece>, DestinationError> {
    let brace = || DestinationError::Brace(whole.into());
    let mut pieces = Vec::new();
    while !user.is_empty() {
        let (text, behind) = user.split_once('{').map_or((user, None), |(text, behind)| (text, Some(behind)));
        if text.contains('}') {
            return Err(brace());
        }
        if !text.is_empty() {
            pieces.push(Piece::Text(text.into()));
        }
        let Some(behind) = behind else { break };
        let (name, behind) = behind.split_once('}').ok_or_else(brace)?;
        pieces.push(match name {
            "user" => Piece::User,
            "to" => Piece::To,
            _ => match name.strip_prefix("header:").filter(|name| is_extra(name)) {
                Some(name) => Piece::Header(name.into()),
                None => return Err(DestinationError::Unknown(whole.into(), name.into())),
            },
        });
        user = behind;
    }
    Ok(pieces)
}

/// The user part of a URI without its parameters, unescaped; nothing where two readers could read two.
pub(crate) fn user_of(uri: &str) -> Option<String> {
    uri.parse::<Uri>().ok()?.plain_user()
}

fn header(incoming: &Incoming, name: &str) -> Result<Option<String>, FillError> {
    let mut found = incoming.extra.iter().filter(|header| header.name.eq_ignore_ascii_case(name));
    let value = found.next().map(|header| header.value.trim().to_owned());
    found.next().map_or(Ok(value), |_| Err(FillError::Several(name.into())))
}

/// As it can stand in a user part, whatever the next one who reads it takes for a separator.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.!~*'()+".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    escaped
}

/// Where a call that came by `caller` goes by the trunk `by`: hosts are that trunk's own, its proxy's, its foreign domains, and what the operator
/// has written in the route; numbers are dialled by the trunk, if neither trunk forbids them. A SIP URI is called as it is.
///
/// # Errors
/// The rule that forbids it.
pub fn destined(target: &Uri, written: &[&str], caller: &Trunk, by: &Trunk) -> Result<Routed, Rule> {
    let is_number = target.scheme == Scheme::Tel;
    let (mut asking, mut numbers) = (caller.clone(), by.clone());
    let proxy = format!("sip:{}", by.numbers_at).parse::<Uri>().map(|uri| uri.host).ok();
    asking.foreign_domains = by.foreign_domains.clone();
    asking.foreign_domains.extend(by.own_domains.iter().cloned().chain(proxy));
    asking.foreign_domains.extend(written.iter().map(|host| Box::from(*host)));
    if !is_number {
        // A number at an agent platform's host names an agent, and is none of the telephone network.
        asking.own_domains.clear();
        numbers.own_domains.clear();
    }
    let routed = route(target, &asking, &numbers)?;
    let called = routed.request_uri.parse::<Uri>().map_err(|_| Rule::Malformed)?;
    if [caller, by].iter().any(|trunk| trunk.is_ourselves(&called.host, called.port)) {
        return Err(Rule::Loop);
    }
    Ok(Routed { via: Via::Trunk(Arc::clone(&by.name)), ..routed })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::message::{Address, Header, Origin, Transport};

    fn incoming(request_uri: &str, headers: &[(&str, &str)]) -> Incoming {
        let somebody = |uri: &str| Address { display: "".into(), uri: uri.into() };
        let header = |&(name, value): &(&str, &str)| Header { name: name.into(), value: value.into() };
        Incoming {
            request_uri: request_uri.into(),
            from: somebody("sip:a@b"),
            to: somebody("sip:called@b"),
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
            extra: headers.iter().map(header).collect(),
            offer: None,
        }
    }

    fn filled(to: &str, incoming: &Incoming) -> Result<String, FillError> {
        to.parse::<Destination>().expect(to).fill(incoming).map(|uri| uri.to_string())
    }

    #[test]
    fn parts_of_the_invite_are_filled_in_and_escaped() {
        let call = incoming("sip:+1%20555;isub=7:secret@pivot.example", &[("x-call-id", " call_1@x;y?z ")]);
        for (to, uri) in [
            ("sip:agent@a.example;transport=tcp", "sip:agent@a.example;transport=tcp"),
            ("sip:a.example", "sip:a.example"),
            ("sip:{user}@A.example:5070;transport=tcp", "sip:+1%20555@a.example:5070;transport=tcp"),
            ("sip:x-{to};y=z@a.example", "sip:x-called;y=z@a.example"),
            ("sips:{header:X-Call-ID}@a.example", "sips:call_1%40x%3By%3Fz@a.example"),
            ("tel:{user}", "tel:+1555"),
            ("tel:{user};phone-context=+1", "tel:+1555;phone-context=+1"),
        ] {
            assert_eq!(filled(to, &call).as_deref(), Ok(uri), "{to}");
        }
        assert_eq!(filled("sip:{user}@b", &incoming("tel:+1-555", &[])).as_deref(), Ok("sip:+1-555@b"));
    }

    #[test]
    fn what_cannot_be_filled_in_is_named() {
        let long = format!("sip:{}@p", "1".repeat(129));
        let twice = [("X-A", "1"), ("x-a", "2")];
        for (to, call, code, why) in [
            ("sip:{user}@b", incoming("sip:p", &[]), 400, "no user part in the request URI"),
            ("sip:{user}@b", incoming("sip:a@evil.example@p", &[]), 400, "no user part in the request URI"),
            ("sip:{user}@b", incoming("sip:a%0D%0AVia@p", &[]), 400, "no user part in the request URI"),
            ("sip:{user}@b", incoming(&long, &[]), 400, "more than 128 bytes"),
            ("sip:{header:X-A}@b", incoming("sip:a@p", &[]), 400, "no X-A"),
            ("sip:{header:X-A}@b", incoming("sip:a@p", &[("X-A", "  ")]), 400, "it is empty"),
            ("sip:{header:X-A}@b", incoming("sip:a@p", &twice), 400, "more than one X-A"),
            ("tel:{user}", incoming("sip:alice@p", &[]), 404, "\"alice\" is no telephone number"),
        ] {
            let error = filled(to, &call).expect_err(to);
            assert!(error.to_string().contains(why) && error.status().code == code, "{to}: {error}");
        }
    }

    #[test]
    fn what_is_no_destination_is_refused_with_what_there_is() {
        for (to, why) in [
            ("agent@a.example", "no URI that can be called"),
            ("http://{user}@a.example", "no URI that can be called"),
            ("sip:{number}@a.example", "{header:X-NAME}"),
            ("sip:{header:Route}@a.example", "{to}"),
            ("sip:{header:X-}@a.example", "{to}"),
            ("sip:{}@a.example", "the placeholder {}"),
            ("sip:{user@a.example", "brace"),
            ("sip:user}@a.example", "brace"),
            ("sip:a@{user}", "outside of the user part"),
            ("sip:a@b;x={user}", "outside of the user part"),
            ("sip:a@b?X-A={user}", "outside of the user part"),
            ("sip:{user}", "outside of the user part"),
            ("sip:a:{user}@b", "outside of the user part"),
            ("tel:1;phone-context={user}", "outside of the user part"),
            ("{user}:a@b", "outside of the user part"),
        ] {
            let error = to.parse::<Destination>().expect_err(to).to_string();
            assert!(error.contains(why), "{to}: {error}");
        }
    }

    fn trunk(name: &str, domain: &str, numbers_at: &str) -> Trunk {
        let mut trunk = Trunk::new(name, domain);
        (trunk.numbers_at, trunk.ourselves) = (numbers_at.into(), ["pivot.example".into()].into());
        trunk
    }

    #[test]
    fn the_rules_hold_for_whoever_is_called() {
        let agents = trunk("agents", "agents.example", "agents.example");
        let mut carrier = trunk("carrier", "carrier.example", "192.0.2.7:5070");
        carrier.foreign_domains = ["other.example".into()].into();
        let judged = |target: &str, agents: &Trunk, carrier: &Trunk| {
            let routed = destined(&target.parse().expect(target), &["written.example"], agents, carrier);
            routed.map(|routed| {
                assert_eq!(routed.via, Via::Trunk("carrier".into()));
                routed.request_uri.to_string()
            })
        };
        for (target, uri) in [
            ("tel:+1-555", Ok("sip:+1555@192.0.2.7:5070;user=phone")),
            ("sip:+1555@carrier.example;transport=tcp", Ok("sip:+1555@carrier.example;transport=tcp")),
            ("sip:a@192.0.2.7", Ok("sip:a@192.0.2.7")),
            ("sip:a@written.example", Ok("sip:a@written.example")),
            ("sip:a@other.example?X-A=b", Ok("sip:a@other.example")),
            ("sip:a@agents.example", Err(Rule::ForeignDomain)),
            ("sip:a@elsewhere.example", Err(Rule::ForeignDomain)),
            ("sip:a@carrier.example;maddr=192.0.2.8", Err(Rule::ForeignDomain)),
            ("sip:a@pivot.example", Err(Rule::Loop)),
            ("tel:911", Err(Rule::Emergency)),
            ("sip:%39%31%31@carrier.example", Err(Rule::Emergency)),
            ("tel:abc1", Err(Rule::Malformed)),
        ] {
            assert_eq!(judged(target, &agents, &carrier), uri.map(str::to_owned), "{target}");
        }
        for no_pstn in [(false, true), (true, false)] {
            let (agents, carrier) = (
                Trunk { pstn_transfers: no_pstn.0, ..agents.clone() },
                Trunk { pstn_transfers: no_pstn.1, ..carrier.clone() },
            );
            assert_eq!(judged("tel:+1555", &agents, &carrier), Err(Rule::PstnOff));
            assert!(judged("sip:+1555@carrier.example", &agents, &carrier).is_ok());
        }
        // A trunk whose domain is the pivot's own has numbers only behind a proxy.
        assert_eq!(judged("tel:+1555", &agents, &trunk("carrier", "pivot.example", "pivot.example")), Err(Rule::Loop));
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

        #[test]
        fn whatever_is_filled_in_changes_the_user_part_alone(
            value in prop_oneof![any::<String>(), "[a-z0-9@:;?&=<>\"/%\\\\ #{}|,]{0,20}", "sip:[a-z%@;?:0-9]{0,12}@[a-z.@]{1,8}"]
        ) {
            let call = incoming(&value, &[("X-A", &value)]);
            for to in ["sip:{header:X-A}@b.example:5070;transport=tcp", "sip:p{user};x=y@b.example:5070;transport=tcp"] {
                let destination: Destination = to.parse().expect(to);
                let Ok(uri) = destination.fill(&call) else { continue };
                let text = uri.to_string();
                prop_assert_eq!(text.matches('@').count(), 1);
                prop_assert!(text.ends_with("@b.example:5070;transport=tcp") && uri.headers.is_empty(), "{}", text);
                prop_assert!(text.is_ascii() && !text.contains([' ', '<', '>', '"', '?', '\r', '\n']), "{}", text);
                if to.contains("header") {
                    prop_assert_eq!(uri.plain_user(), Some(value.trim().to_owned()));
                }
            }
            let to: Destination = "tel:{header:X-A}".parse().expect("a destination");
            if let Ok(uri) = to.fill(&call) {
                prop_assert!(uri.params.is_empty() && uri.headers.is_empty() && uri.host.is_empty());
            }
        }
    }
}
