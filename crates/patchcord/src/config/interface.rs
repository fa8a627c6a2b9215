//! `[NAME/]IP[!ADVERTISED]`: where media is received, and what the other side is told.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The name of an interface that is given none.
pub(crate) const DEFAULT_NAME: &str = "default";

/// A local address that legs can be opened on.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Interface {
    /// What `leg-create` calls it.
    pub(crate) name: String,
    /// Where the sockets are bound.
    pub(crate) address: IpAddr,
    /// What the other side is told instead, where a NAT maps it to `address`.
    pub(crate) advertised: Option<IpAddr>,
}

impl FromStr for Interface {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = |what: &str| format!("interface `{text}`: {what}; it is written [NAME/]IP[!ADVERTISED]");
        let (name, rest) = text.split_once('/').unwrap_or((DEFAULT_NAME, text));
        let is_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if name.is_empty() || !name.chars().all(is_word) {
            return Err(bad("the name may have letters, digits, `-`, `_` and `.`"));
        }
        let (address, advertised) = match rest.split_once('!') {
            Some((address, advertised)) => (address, Some(advertised)),
            None => (rest, None),
        };
        let ip = |part: &str| {
            let bare = part.strip_prefix('[').and_then(|p| p.strip_suffix(']')).unwrap_or(part);
            bare.parse::<IpAddr>().map_err(|_| bad(&format!("`{part}` is not an IP address")))
        };
        let address = ip(address)?;
        let advertised = advertised.map(ip).transpose()?;
        if address.is_unspecified() && advertised.is_none() {
            return Err(bad("nobody can send to a wildcard: name one address, or the one to advertise behind a `!`"));
        }
        if address.is_multicast() {
            return Err(bad("a multicast address cannot receive a call"));
        }
        if advertised.is_some_and(|a| a.is_ipv4() != address.is_ipv4()) {
            return Err(bad("both addresses must be of the same family"));
        }
        Ok(Self { name: name.to_owned(), address, advertised })
    }
}

impl TryFrom<String> for Interface {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Interface> for String {
    fn from(interface: Interface) -> Self {
        interface.to_string()
    }
}

impl fmt::Display for Interface {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.name, self.address)?;
        match self.advertised {
            Some(advertised) => write!(f, "!{advertised}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_read_and_written() {
        for (text, name, address, advertised) in [
            ("127.0.0.1", "default", "127.0.0.1", None),
            ("public/10.0.0.5!203.0.113.7", "public", "10.0.0.5", Some("203.0.113.7")),
            ("10.0.0.5!203.0.113.7", "default", "10.0.0.5", Some("203.0.113.7")),
            ("six/2001:db8::1", "six", "2001:db8::1", None),
            ("six/[2001:db8::1]!2001:db8::2", "six", "2001:db8::1", Some("2001:db8::2")),
        ] {
            let interface: Interface = text.parse().expect(text);
            assert_eq!(interface.name, name, "{text}");
            assert_eq!(interface.address.to_string(), address, "{text}");
            assert_eq!(interface.advertised.map(|a| a.to_string()).as_deref(), advertised, "{text}");
            assert_eq!(interface.to_string().parse::<Interface>().as_ref(), Ok(&interface), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, part) in [
            ("", "not an IP address"),
            ("eth0", "`eth0` is not an IP address"),
            ("/10.0.0.1", "the name may have"),
            ("a b/10.0.0.1", "the name may have"),
            ("10.0.0.1!", "`` is not an IP address"),
            ("10.0.0.1!::1", "same family"),
            ("0.0.0.0", "wildcard"),
            ("224.0.0.1", "multicast"),
        ] {
            let error = text.parse::<Interface>().expect_err(text);
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
