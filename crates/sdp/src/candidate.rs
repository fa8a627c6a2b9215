//! `a=candidate` (RFC 8839 5.1).

use core::fmt;
use core::net::IpAddr;

/// An ICE candidate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Candidates of one base and type have one foundation.
    pub foundation: String,
    /// 1 RTP, 2 RTCP.
    pub component: u16,
    /// `UDP`, as written.
    pub transport: String,
    /// RFC 8445 5.1.2.
    pub priority: u32,
    /// Where it is.
    pub address: IpAddr,
    /// Where it is.
    pub port: u16,
    /// `host`, `srflx`, `prflx`, `relay`.
    pub kind: String,
}

impl Candidate {
    /// The value of an `a=candidate` line; what stands behind the type is left aside. `None`: malformed, or the address is a
    /// name.
    #[must_use]
    pub fn read(value: &str) -> Option<Self> {
        let mut words = value.split_ascii_whitespace();
        let mut next = || words.next();
        let candidate = Self {
            foundation: next()?.to_owned(),
            component: next()?.parse().ok()?,
            transport: next()?.to_owned(),
            priority: next()?.parse().ok()?,
            address: next()?.parse().ok()?,
            port: next()?.parse().ok()?,
            kind: (next()? == "typ").then(&mut next)??.to_owned(),
        };
        Some(candidate)
    }
}

impl fmt::Display for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { foundation, component, transport, priority, address, port, kind } = self;
        write!(f, "{foundation} {component} {transport} {priority} {address} {port} typ {kind}")
    }
}
