//! `[ng]`: where SIP proxies reach the relay, and how their calls behave.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// `[ng]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Ng {
    pub(crate) listen: Vec<Listen>,
    pub(crate) delete_delay_s: u32,
    pub(crate) timeout_s: u32,
    pub(crate) silent_timeout_s: u32,
    pub(crate) final_timeout_s: u32,
    pub(crate) max_sessions: u32,
    pub(crate) enforce_direction: bool,
    pub(crate) drop_bundle: bool,
    pub(crate) relay_unread: bool,
    pub(crate) ports_follow_remote: bool,
}

/// One entry of `ng.listen`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) enum Listen {
    /// Datagrams.
    Udp(SocketAddr),
    /// A stream of bencode.
    Tcp(SocketAddr),
    /// The same on a socket in the file system.
    Unix(PathBuf),
    /// `POST /ng` and WebSocket, apart from the HTTP API.
    Http(SocketAddr),
}

impl FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad =
            |what: &str| format!("ng.listen `{text}`: {what}; it is written [udp:|tcp:|http:]IP:PORT or unix:PATH");
        let address = |rest: &str| rest.parse::<SocketAddr>().map_err(|_| bad(&format!("`{rest}` is not IP:PORT")));
        match text.split_once(':') {
            Some(("udp", rest)) => address(rest).map(Self::Udp),
            Some(("tcp", rest)) => address(rest).map(Self::Tcp),
            Some(("http", rest)) => address(rest).map(Self::Http),
            Some(("unix", "")) => Err(bad("the path is missing")),
            Some(("unix", path)) => Ok(Self::Unix(path.into())),
            _ => address(text).map(Self::Udp),
        }
    }
}

impl Listen {
    /// `None`: it is a path.
    pub(crate) const fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Udp(address) | Self::Tcp(address) | Self::Http(address) => Some(*address),
            Self::Unix(_) => None,
        }
    }

    /// Whether only this machine reaches it: the protocol knows no password.
    pub(crate) fn is_local(&self) -> bool {
        match self {
            Self::Udp(address) | Self::Tcp(address) | Self::Http(address) => address.ip().is_loopback(),
            Self::Unix(_) => true,
        }
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Udp(address) => write!(f, "udp:{address}"),
            Self::Tcp(address) => write!(f, "tcp:{address}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Http(address) => write!(f, "http:{address}"),
        }
    }
}

impl TryFrom<String> for Listen {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Listen> for String {
    fn from(listen: Listen) -> Self {
        listen.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_read_and_written() {
        for (text, written) in [
            ("127.0.0.1:2223", "udp:127.0.0.1:2223"),
            ("[::1]:2223", "udp:[::1]:2223"),
            ("tcp:127.0.0.1:2223", "tcp:127.0.0.1:2223"),
            ("http:[::1]:8080", "http:[::1]:8080"),
            ("unix:/run/ng.sock", "unix:/run/ng.sock"),
        ] {
            let listen: Listen = text.parse().expect(text);
            assert_eq!(listen.to_string(), written);
            assert_eq!(written.parse::<Listen>().as_ref(), Ok(&listen));
        }
        for text in ["", "2223", "127.0.0.1", "sctp:127.0.0.1:1", "unix:", "udp:x:1"] {
            assert!(text.parse::<Listen>().expect_err(text).contains("ng.listen"), "{text}");
        }
        let public: Listen = "0.0.0.0:2223".parse().expect("an address");
        assert!(!public.is_local());
    }
}
