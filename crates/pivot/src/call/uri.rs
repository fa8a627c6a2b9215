//! SIP, SIPS and tel URIs (RFC 3261 19.1, RFC 3966) as far as a transfer's target takes them.
//!
//! Stricter than the grammar where two readers could disagree on who is called: a `?` in the user part and a second `@` are refused.
//! Whoever dials by this reading dials by what was checked.

use core::fmt;
use core::str::FromStr;

/// No URI that somebody is called by is longer.
const LONGEST: usize = 2048;

/// No URI has more parameters, or more headers.
const MOST: usize = 32;

/// What kind of URI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// `sip:`
    Sip,
    /// `sips:`
    Sips,
    /// `tel:`
    Tel,
}

impl Scheme {
    /// As written, without the colon.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sip => "sip",
            Self::Sips => "sips",
            Self::Tel => "tel",
        }
    }
}

/// A parameter: its name, and its value if it has one.
pub type Param = (Box<str>, Option<Box<str>>);

/// A header field that is part of a URI: its name and its value.
pub type Embedded = (Box<str>, Box<str>);

/// A URI in its parts. Each is as it was written, with its escapes, but the host, which is in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uri {
    /// What kind.
    pub scheme: Scheme,
    /// The user part with its parameters and without a password, which is not kept; a tel URI's number without its parameters.
    pub user: Option<Box<str>>,
    /// Name or address, IPv6 in brackets; empty in a tel URI.
    pub host: Box<str>,
    /// The port.
    pub port: Option<u16>,
    /// `;name=value` or `;name`.
    pub params: Vec<Param>,
    /// `?name=value&name=value`.
    pub headers: Vec<Embedded>,
}

/// Why a text is no URI that can be called.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UriError {
    /// Longer than any.
    #[error("a URI has at most {LONGEST} characters, not {0}")]
    TooLong(usize),
    /// A character that no URI has.
    #[error("a URI cannot have {0:?}; it has to be escaped with %")]
    Char(char),
    /// Another scheme, or none.
    #[error("only sip:, sips: and tel: can be called, not {0:?}")]
    Scheme(Box<str>),
    /// It is not clear where the user part ends.
    #[error("the user part must have no unescaped ? and the URI only one @")]
    Ambiguous,
    /// A tel URI without a number.
    #[error("{0:?} is no telephone number")]
    Number(Box<str>),
    /// No host.
    #[error("{0:?} is no host")]
    Host(Box<str>),
    /// No port.
    #[error("{0:?} is no port from 1 to 65535")]
    Port(Box<str>),
    /// A parameter or header without a name, or too many.
    #[error("a parameter or header has no name, or there are more than {MOST}")]
    Params,
    /// `%` that two hexadecimal digits do not follow.
    #[error("% must be followed by two hexadecimal digits")]
    Escape,
}

impl Uri {
    /// The value of a parameter; empty if it has none.
    #[must_use]
    pub fn param(&self, name: &str) -> Option<&str> {
        let found = self.params.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_deref().unwrap_or_default())
    }

    /// The user part without its parameters, unescaped.
    #[must_use]
    pub fn plain_user(&self) -> Option<String> {
        let user = self.user.as_deref()?;
        // An escaped `;` is no separator, so that it is cut first.
        unescape(user.split(';').next().unwrap_or_default()).ok()
    }
}

impl FromStr for Uri {
    type Err = UriError;

    fn from_str(text: &str) -> Result<Self, UriError> {
        let text = text.trim_matches([' ', '\t']);
        if text.len() > LONGEST {
            return Err(UriError::TooLong(text.len()));
        }
        if let Some(char) = text.chars().find(|char| !char.is_ascii_graphic() || "<>\"\\^`{|}".contains(*char)) {
            return Err(UriError::Char(char));
        }
        unescape(text)?;
        let (scheme, rest) = text.split_once(':').ok_or_else(|| UriError::Scheme("".into()))?;
        let scheme = [Scheme::Sip, Scheme::Sips, Scheme::Tel]
            .into_iter()
            .find(|known| known.as_str().eq_ignore_ascii_case(scheme))
            .ok_or_else(|| UriError::Scheme(scheme.into()))?;
        if scheme == Scheme::Tel { tel(rest) } else { sip(scheme, rest) }
    }
}

fn tel(rest: &str) -> Result<Uri, UriError> {
    if rest.contains('@') {
        return Err(UriError::Ambiguous);
    }
    let (rest, headers) = rest.split_once('?').map_or((rest, None), |(rest, headers)| (rest, Some(headers)));
    let (number, params) = rest.split_once(';').map_or((rest, None), |(number, params)| (number, Some(params)));
    // RFC 3966 3: hexadecimal digits belong to local numbers.
    let is_number = number
        .strip_prefix('+')
        .unwrap_or(number)
        .chars()
        .all(|char| char.is_ascii_hexdigit() || "*#-.()".contains(char));
    if !is_number || !number.contains(|char: char| char.is_ascii_digit() || "*#".contains(char)) {
        return Err(UriError::Number(number.into()));
    }
    Ok(Uri {
        scheme: Scheme::Tel,
        user: Some(number.into()),
        host: "".into(),
        port: None,
        params: params.map_or(Ok(Vec::new()), read_params)?,
        headers: headers.map_or(Ok(Vec::new()), read_headers)?,
    })
}

fn sip(scheme: Scheme, rest: &str) -> Result<Uri, UriError> {
    let (user, rest) = match rest.split_once('@') {
        Some((user, rest)) if user.contains('?') || rest.contains('@') => return Err(UriError::Ambiguous),
        Some((user, rest)) => {
            let user = user.split(':').next().unwrap_or_default();
            ((!user.is_empty()).then(|| user.into()), rest)
        }
        None => (None, rest),
    };
    let (rest, headers) = rest.split_once('?').map_or((rest, None), |(rest, headers)| (rest, Some(headers)));
    let (hostport, params) = rest.split_once(';').map_or((rest, None), |(host, params)| (host, Some(params)));
    let (host, port) = read_host(hostport)?;
    Ok(Uri {
        scheme,
        user,
        host: host.to_ascii_lowercase().into(),
        port,
        params: params.map_or(Ok(Vec::new()), read_params)?,
        headers: headers.map_or(Ok(Vec::new()), read_headers)?,
    })
}

fn read_host(hostport: &str) -> Result<(&str, Option<u16>), UriError> {
    let bad = || UriError::Host(hostport.into());
    let (host, port) = if hostport.starts_with('[') {
        let end = hostport.find(']').ok_or_else(bad)? + 1;
        hostport[1..end - 1].parse::<core::net::Ipv6Addr>().map_err(|_| bad())?;
        let (host, rest) = hostport.split_at(end);
        match rest.strip_prefix(':') {
            Some(port) => (host, Some(port)),
            None if rest.is_empty() => (host, None),
            None => return Err(bad()),
        }
    } else {
        hostport.split_once(':').map_or((hostport, None), |(host, port)| (host, Some(port)))
    };
    let is_name = host.starts_with('[')
        || (!host.is_empty() && host.chars().all(|char| char.is_ascii_alphanumeric() || "-._".contains(char)));
    if !is_name {
        return Err(bad());
    }
    let Some(port) = port else { return Ok((host, None)) };
    match port.parse() {
        Ok(number) if number > 0 && port.chars().all(|char| char.is_ascii_digit()) => Ok((host, Some(number))),
        _ => Err(UriError::Port(port.into())),
    }
}

fn read_params(text: &str) -> Result<Vec<Param>, UriError> {
    let params = text.split(';').map(|param| match param.split_once('=') {
        Some((name, value)) => (name.into(), Some(value.into())),
        None => (param.into(), None),
    });
    some_with_names(params.collect(), |(name, _): &(Box<str>, _)| name)
}

fn read_headers(text: &str) -> Result<Vec<Embedded>, UriError> {
    let headers = text.split('&').map(|header| {
        let (name, value) = header.split_once('=').unwrap_or((header, ""));
        (name.into(), value.into())
    });
    some_with_names(headers.collect(), |(name, _): &(Box<str>, _)| name)
}

fn some_with_names<T>(all: Vec<T>, name: impl Fn(&T) -> &str) -> Result<Vec<T>, UriError> {
    if all.len() > MOST || all.iter().any(|one| name(one).is_empty()) {
        return Err(UriError::Params);
    }
    Ok(all)
}

impl fmt::Display for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.scheme.as_str())?;
        match (&self.user, self.scheme) {
            (Some(user), Scheme::Tel) => f.write_str(user)?,
            (Some(user), _) => write!(f, "{user}@")?,
            (None, _) => {}
        }
        f.write_str(&self.host)?;
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        for (name, value) in &self.params {
            match value {
                Some(value) => write!(f, ";{name}={value}")?,
                None => write!(f, ";{name}")?,
            }
        }
        for (at, (name, value)) in self.headers.iter().enumerate() {
            write!(f, "{}{name}={value}", if at == 0 { '?' } else { '&' })?;
        }
        Ok(())
    }
}

/// What `%` escapes stand for.
///
/// # Errors
/// [`UriError::Escape`] where `%` escapes nothing or what comes out is no UTF-8, and [`UriError::Char`] for a control character: in a
/// header field it would begin another one.
pub fn unescape(text: &str) -> Result<String, UriError> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        if first != b'%' {
            bytes.push(first);
            rest = tail;
            continue;
        }
        let digits = tail.get(..2).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit)).ok_or(UriError::Escape)?;
        let digits = core::str::from_utf8(digits).map_err(|_| UriError::Escape)?;
        bytes.push(u8::from_str_radix(digits, 16).map_err(|_| UriError::Escape)?);
        rest = &tail[2..];
    }
    let text = String::from_utf8(bytes).map_err(|_| UriError::Escape)?;
    text.chars().find(|char| char.is_control()).map_or(Ok(text), |char| Err(UriError::Char(char)))
}

/// The user part of a SIP URI, or the number of a tel one, without parameters; empty if it has none.
pub(crate) fn user_of(uri: &str) -> &str {
    let (scheme, rest) = uri.split_once(':').unwrap_or(("", uri));
    let user =
        if scheme.eq_ignore_ascii_case("tel") { rest } else { rest.split_once('@').map_or("", |(user, _)| user) };
    // `sip:user:password@host` is written by somebody (RFC 3261 19.1.1).
    user.split([';', ':']).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_parts_are_as_written_and_the_host_in_lower_case() {
        let uri: Uri =
            "sip:+1555;isub=2:secret@Carrier.Example:5070;transport=tcp;lr?X-A=b%20c&X-D=".parse().expect("a URI");
        assert_eq!(uri.user.as_deref(), Some("+1555;isub=2"));
        assert_eq!((&*uri.host, uri.port), ("carrier.example", Some(5070)));
        assert_eq!((uri.param("TRANSPORT"), uri.param("lr"), uri.param("x")), (Some("tcp"), Some(""), None));
        assert_eq!(uri.plain_user().as_deref(), Some("+1555"));
        assert_eq!(uri.headers[0], ("X-A".into(), "b%20c".into()));
        assert_eq!(uri.to_string(), "sip:+1555;isub=2@carrier.example:5070;transport=tcp;lr?X-A=b%20c&X-D=");
        let six: Uri = "sips:[2001:DB8::1]:5061".parse().expect("a URI");
        assert_eq!((&*six.host, six.port, six.user), ("[2001:db8::1]", Some(5061), None));
    }

    #[test]
    fn what_two_readers_could_read_in_two_ways_is_refused() {
        for (text, error) in [
            ("sip:911?x@a.example", UriError::Ambiguous),
            ("sip:a@b@c", UriError::Ambiguous),
            ("sip:a@b?X=c@d", UriError::Ambiguous),
            ("tel:+1555@evil.example", UriError::Ambiguous),
            ("sip:a@b%0d%0a", UriError::Char('\r')),
            ("sip:a@b c", UriError::Char(' ')),
            ("sip:a@b%4", UriError::Escape),
            ("sip:a@", UriError::Host("".into())),
            ("sip:a@b:0", UriError::Port("0".into())),
            ("sip:a@b:+80", UriError::Port("+80".into())),
            ("sip:a@[::1", UriError::Host("[::1".into())),
            ("http://a", UriError::Scheme("http".into())),
            ("urn:service:sos", UriError::Scheme("urn".into())),
            ("tel:+", UriError::Number("+".into())),
            ("tel:alice", UriError::Number("alice".into())),
            ("sip:a@b;;x", UriError::Params),
        ] {
            assert_eq!(text.parse::<Uri>(), Err(error), "{text}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

        #[test]
        fn any_text_is_read_or_refused_and_what_was_read_reads_the_same_again(
            text in prop_oneof![any::<String>(), "(sips?|tel):[+0-9a-c%@:;?=&.\\[\\]-]{0,24}", "sip:[a-z0-9;%4]{0,8}@[a-z.]{1,8}(:[0-9]{1,6})?(;[a-z=]{0,6}){0,3}(\\?[a-z=&]{0,8})?"]
        ) {
            if let Ok(uri) = text.parse::<Uri>() {
                prop_assert_eq!(uri.to_string().parse::<Uri>(), Ok(uri));
            }
        }
    }
}
