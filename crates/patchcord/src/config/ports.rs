//! `30000-40000`: the UDP ports that legs are given.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A range of ports, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct PortRange {
    /// The lowest port.
    pub(crate) first: u16,
    /// The highest port.
    pub(crate) last: u16,
}

impl PortRange {
    /// How many ports there are: a leg takes one, or a pair where RTCP is not muxed.
    pub(crate) const fn count(self) -> u32 {
        self.last as u32 - self.first as u32 + 1
    }

    /// Whether the two have a port in common.
    pub(crate) const fn overlaps(self, other: Self) -> bool {
        self.first <= other.last && other.first <= self.last
    }
}

impl FromStr for PortRange {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = |what: &str| format!("ports `{text}`: {what}; they are written FIRST-LAST, such as 30000-40000");
        let (first, last) = text.split_once('-').ok_or_else(|| bad("there is no `-`"))?;
        let port = |part: &str| {
            part.trim().parse::<u16>().map_err(|_| bad(&format!("`{}` is not a port number", part.trim())))
        };
        let range = Self { first: port(first)?, last: port(last)? };
        if range.first == 0 {
            return Err(bad("port 0 does not exist"));
        }
        if range.first > range.last {
            return Err(bad("the first is above the last"));
        }
        Ok(range)
    }
}

impl TryFrom<String> for PortRange {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<PortRange> for String {
    fn from(range: PortRange) -> Self {
        range.to_string()
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.first, self.last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_and_counted() {
        let range = |text: &str| text.parse::<PortRange>().expect("a range");
        assert_eq!(range("30000-40000").count(), 10_001);
        assert_eq!(range("1-65535").count(), 65_535);
        assert!(range("30000-40000").overlaps(range("32768-60999")));
        assert!(!range("30000-32767").overlaps(range("32768-60999")));
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, part) in [
            ("30000", "no `-`"),
            ("a-2", "`a` is not a port"),
            ("40000-30000", "above the last"),
            ("0-10", "port 0"),
            ("1-65536", "`65536` is not a port"),
        ] {
            let error = text.parse::<PortRange>().expect_err(text);
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
