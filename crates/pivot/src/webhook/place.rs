//! Where a webhook is.

use core::fmt;
use core::str::FromStr;

use hyper::http::Uri;

/// Where a webhook is: an http or https URL (RFC 9110 4.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub(super) is_secure: bool,
    /// As it is connected to: an IPv6 address has no brackets.
    pub(super) host: Box<str>,
    pub(super) port: u16,
    /// What `Host` says.
    pub(super) authority: Box<str>,
    /// The path, with the query if there is one.
    pub(super) path: Box<str>,
}

/// Why a text is no place of a webhook.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PlaceError {
    /// It cannot be read.
    #[error("{0:?} is no URL: {1}; it is written http://HOST[:PORT]/PATH")]
    Form(Box<str>, Box<str>),
    /// Neither http nor https.
    #[error("{0:?} begins with neither http:// nor https://")]
    Scheme(Box<str>),
    /// A user or a password in it.
    #[error("{0:?} has a user before the host: name the host alone, and have the webhook check the signature")]
    User(Box<str>),
}

impl Place {
    /// Whether it is reached by TLS.
    #[must_use]
    pub const fn is_secure(&self) -> bool {
        self.is_secure
    }

    /// What `Host` says.
    pub(crate) fn authority(&self) -> &str {
        &self.authority
    }

    /// What is put before other paths: its own, without a slash at its end.
    pub(crate) fn base(&self) -> &str {
        self.path.trim_end_matches('/')
    }

    /// Whether it has a query.
    #[must_use]
    pub fn has_query(&self) -> bool {
        self.path.contains('?')
    }
}

impl FromStr for Place {
    type Err = PlaceError;

    fn from_str(text: &str) -> Result<Self, PlaceError> {
        let uri: Uri = text.parse().map_err(|error| PlaceError::Form(text.into(), format!("{error}").into()))?;
        let is_secure = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(PlaceError::Scheme(text.into())),
        };
        let authority = uri.authority().map_or("", |authority| authority.as_str());
        if authority.contains('@') {
            return Err(PlaceError::User(text.into()));
        }
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
        let port = uri.port_u16();
        // What cannot be a port is left out by `Uri`.
        if host.is_empty() || (port.is_none() && uri.host() != Some(authority)) {
            return Err(PlaceError::Form(text.into(), "host or port is missing".into()));
        }
        Ok(Self {
            is_secure,
            host: host.into(),
            port: port.unwrap_or(if is_secure { 443 } else { 80 }),
            authority: authority.into(),
            path: uri.path_and_query().map_or("/", |path| path.as_str()).into(),
        })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_secure { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.authority, self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read() {
        for (text, secure, host, port, path) in [
            ("http://hooks.example", false, "hooks.example", 80, "/"),
            ("https://hooks.example/refer?x=1", true, "hooks.example", 443, "/refer?x=1"),
            ("http://[2001:db8::1]:8080/a", false, "2001:db8::1", 8080, "/a"),
        ] {
            let place: Place = text.parse().expect(text);
            assert_eq!((place.is_secure, &*place.host, place.port, &*place.path), (secure, host, port, path));
        }
        for (text, why) in [
            ("hooks.example/refer", "no URL"),
            ("/refer", "neither"),
            ("ftp://hooks.example/", "neither"),
            ("http://user:password@hooks.example/", "user"),
            ("http://:80/", "no URL"),
            ("http://hooks.example:x/", "no URL"),
            ("", "no URL"),
        ] {
            let error = text.parse::<Place>().expect_err(text).to_string();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
