//! What can be changed in a description.

use core::net::IpAddr;

use crate::codec::Codec;
use crate::media::Direction;

/// Changes to a description. What is `None` or empty stays as it is.
#[derive(Clone, Debug, Default)]
pub struct Edit {
    /// The address of `o=`.
    pub origin: Option<IpAddr>,
    /// The user name of `o=`.
    pub origin_username: Option<String>,
    /// The version of `o=`.
    pub origin_version: Option<u64>,
    /// `s=`.
    pub session_name: Option<String>,
    /// `c=` of the session. Where a relayed section has no `c=` of its own, its address is put there without being asked.
    pub connection: Option<IpAddr>,
    /// Names of the session's attributes that are left out: `group`.
    pub without: Vec<&'static str>,
    /// Attributes that are added to the session: `ice-lite`.
    pub attributes: Vec<String>,
    /// One entry for each m= line; those without one stay as they are.
    pub media: Vec<MediaEdit>,
}

/// What becomes of a media section.
#[derive(Clone, Debug, Default)]
pub enum MediaEdit {
    /// It stays.
    #[default]
    Keep,
    /// Port 0; of the lines only `m=`, `c=` and `a=mid` stay.
    Disable {
        /// For its `c=`, if it has one.
        address: Option<IpAddr>,
    },
    /// It is relayed.
    Relay(Box<Relay>),
}

/// How a relayed media section is to be.
#[derive(Clone, Debug)]
pub struct Relay {
    /// For its `c=`, or that of the session if it has none; a `c=` of its own is added where the session's is another one's
    /// then. `None`: it stays, as the zero address does.
    pub address: Option<IpAddr>,
    /// Where media is received.
    pub port: u16,
    /// Instead of the protocol that stands there.
    pub protocol: Option<String>,
    /// Formats that are left out, with their attributes.
    pub formats_without: Vec<String>,
    /// The formats in their order, in place of those that stand there; [`Relay::formats_without`] says nothing then. Nothing else may be
    /// in the section's `m=` line, so that there should be one at least.
    pub formats: Option<Vec<Format>>,
    /// `a=mid`, where it has none.
    pub mid: Option<String>,
    /// Who sends; `None`: no such line.
    pub direction: Option<Direction>,
    /// `a=rtcp`.
    pub rtcp: Option<RtcpAttribute>,
    /// `a=rtcp-mux`.
    pub rtcp_mux: bool,
    /// `a=ptime`, milliseconds.
    pub ptime_ms: Option<u32>,
    /// `a=maxptime` goes: it is of another side's packets.
    pub without_maxptime: bool,
    /// Instead of everything that stands there about keys; `None`: that stays.
    pub keys: Option<Keys>,
    /// What becomes of ICE.
    pub ice: Ice,
}

/// One format of a section whose formats are given as a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Format {
    /// It stands there, and its attributes stay: the word in the `m=` line.
    Kept(String),
    /// It is another one's, or has another meaning than what stands there under its number.
    Own(Codec),
}

/// What a section says of keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keys {
    /// Values of `a=crypto` (RFC 4568).
    pub crypto: Vec<String>,
    /// DTLS-SRTP.
    pub dtls: Option<Dtls>,
}

/// What a section says of DTLS (RFC 5763, RFC 8842).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dtls {
    /// `a=setup`.
    pub setup: String,
    /// `a=fingerprint`.
    pub fingerprint: String,
    /// `a=tls-id`, where it is to be said.
    pub tls_id: Option<String>,
}

/// `a=rtcp` (RFC 3605).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RtcpAttribute {
    /// The port.
    pub port: u16,
    /// The address, where it is to be said.
    pub address: Option<IpAddr>,
}

/// What becomes of the ICE attributes of a section.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Ice {
    /// All of them go.
    #[default]
    Remove,
    /// They stay as they are.
    Keep,
    /// Of our own.
    Own {
        /// `a=ice-ufrag`.
        ufrag: String,
        /// `a=ice-pwd`.
        pwd: String,
        /// `a=ice-options:trickle` (RFC 8840 4.1.1).
        trickle: bool,
        /// `a=candidate`.
        candidates: Vec<crate::Candidate>,
        /// `a=end-of-candidates` (RFC 8840 8.2).
        end_of_candidates: bool,
    },
}
