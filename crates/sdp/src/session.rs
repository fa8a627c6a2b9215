//! What holds for all media of a description.

use core::net::IpAddr;

use crate::error::SdpError;
use crate::line::Line;
use crate::media::Direction;

/// The part before the first m= line.
#[derive(Clone, Debug, Default)]
pub struct Session {
    /// `c=`.
    pub address: Option<IpAddr>,
    /// The address of `o=`, where it is one.
    pub origin: Option<IpAddr>,
    /// `a=sendrecv` and its like.
    pub direction: Option<Direction>,
    /// `a=ice-ufrag`.
    pub ice_ufrag: Option<String>,
    /// `a=ice-pwd`.
    pub ice_pwd: Option<String>,
    /// `a=ice-lite`.
    pub ice_lite: bool,
    /// Names and values of all attributes, in their order.
    pub attributes: Vec<(String, String)>,
    /// The version of `o=`.
    pub origin_version: Option<u64>,
    /// `v=`.
    pub version: Option<u32>,
    /// Index of the line `o=`.
    pub(crate) origin_line: Option<usize>,
}

impl Session {
    pub(crate) fn read(text: &str, lines: &[Line]) -> Result<Self, SdpError> {
        let mut session = Self::default();
        for (index, line) in lines.iter().enumerate() {
            match line.kind {
                b'c' => session.address = Some(connection(line, text)?),
                b'o' => {
                    session.origin_line = Some(index);
                    session.origin_version =
                        line.value(text).split_ascii_whitespace().nth(2).and_then(|v| v.parse().ok());
                    session.origin = line.value(text).split_ascii_whitespace().nth(5).and_then(|ip| ip.parse().ok());
                }
                b'v' => session.version = line.value(text).parse().ok(),
                b'a' => session.attribute(line.attribute(text).unwrap_or_default()),
                _ => {}
            }
        }
        Ok(session)
    }

    /// The value of the first attribute of this name.
    #[must_use]
    pub fn attribute_value(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    fn attribute(&mut self, (name, value): (&str, &str)) {
        match name {
            "ice-ufrag" => self.ice_ufrag = Some(value.to_owned()),
            "ice-pwd" => self.ice_pwd = Some(value.to_owned()),
            "ice-lite" => self.ice_lite = true,
            _ => self.direction = Direction::read(name).or(self.direction),
        }
        self.attributes.push((name.to_owned(), value.to_owned()));
    }
}

/// `IN IP4 192.0.2.1`, with a TTL of multicast behind a slash left aside (RFC 8866 5.7).
pub(crate) fn connection(line: &Line, text: &str) -> Result<IpAddr, SdpError> {
    let bad = SdpError::Malformed { line: line.number, what: "c=" };
    let mut words = line.value(text).split_ascii_whitespace();
    let (Some(_), Some(family), Some(address), None) = (words.next(), words.next(), words.next(), words.next()) else {
        return Err(bad);
    };
    let address = address.split('/').next().unwrap_or_default();
    let address: IpAddr = address.parse().map_err(|_| bad.clone())?;
    let same = match family {
        "IP4" => address.is_ipv4(),
        "IP6" => address.is_ipv6(),
        _ => false,
    };
    if same { Ok(address) } else { Err(bad) }
}
