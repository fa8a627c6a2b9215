//! What an m= line and those below it mean.

use core::net::IpAddr;
use core::ops::Range;

use crate::candidate::Candidate;
use crate::codec::Codec;
use crate::error::SdpError;
use crate::line::Line;
use crate::session::{Session, connection};

/// Who sends, seen from the author (RFC 8866 6.7).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Direction {
    /// Both.
    #[default]
    SendRecv,
    /// The author.
    SendOnly,
    /// The other side.
    RecvOnly,
    /// Nobody.
    Inactive,
}

/// Where RTCP goes (RFC 3605).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rtcp {
    /// The port.
    pub port: u16,
    /// The address, where it is not that of the media.
    pub address: Option<IpAddr>,
}

/// An m= line with what belongs to it.
#[derive(Clone, Debug)]
pub struct Media {
    /// `audio`, `video`, `image`, `application`.
    pub kind: String,
    /// 0: disabled.
    pub port: u16,
    /// `RTP/AVP`.
    pub protocol: String,
    /// Payload types, or whatever the protocol has instead.
    pub formats: Vec<String>,
    /// `c=` of this section.
    pub own_address: Option<IpAddr>,
    /// `c=` of this section, else of the session.
    pub address: Option<IpAddr>,
    /// Of this section, else of the session; `sendrecv` where neither says anything.
    pub direction: Direction,
    /// `a=rtcp`.
    pub rtcp: Option<Rtcp>,
    /// `a=rtcp-mux` (RFC 5761).
    pub rtcp_mux: bool,
    /// `a=mid`.
    pub mid: Option<String>,
    /// `a=ptime`, milliseconds.
    pub ptime_ms: Option<u32>,
    /// `a=maxptime`, milliseconds.
    pub maxptime_ms: Option<u32>,
    /// The codecs of the formats whose meaning is known, in the order of the m= line.
    pub codecs: Vec<Codec>,
    /// Of this section, else of the session.
    pub ice_ufrag: Option<String>,
    /// Of this section, else of the session.
    pub ice_pwd: Option<String>,
    /// Candidates that can be read.
    pub candidates: Vec<Candidate>,
    /// Names and values of all attributes, in their order.
    pub attributes: Vec<(String, String)>,
    /// Indices of its lines in the description.
    pub(crate) lines: Range<usize>,
}

impl Direction {
    /// The name as an attribute.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SendRecv => "sendrecv",
            Self::SendOnly => "sendonly",
            Self::RecvOnly => "recvonly",
            Self::Inactive => "inactive",
        }
    }

    pub(crate) fn read(name: &str) -> Option<Self> {
        match name {
            "sendrecv" => Some(Self::SendRecv),
            "sendonly" => Some(Self::SendOnly),
            "recvonly" => Some(Self::RecvOnly),
            "inactive" => Some(Self::Inactive),
            _ => None,
        }
    }
}

impl Media {
    pub(crate) fn read(text: &str, lines: &[Line], range: Range<usize>, session: &Session) -> Result<Self, SdpError> {
        let mut media = Self::first_line(&lines[0], text, range)?;
        let mut own_direction = None;
        let mut rtpmaps = Vec::new();
        let mut fmtps = Vec::new();
        for line in &lines[1..] {
            if line.kind == b'c' {
                media.own_address = Some(connection(line, text)?);
            }
            let Some((name, value)) = line.attribute(text) else { continue };
            match name {
                "rtpmap" => rtpmaps.extend(Codec::read(value)),
                "fmtp" => fmtps.extend(parameters(value)),
                "rtcp" => media.rtcp = rtcp(value),
                "rtcp-mux" => media.rtcp_mux = true,
                "mid" => media.mid = Some(value.to_owned()),
                "ptime" => media.ptime_ms = value.trim().parse().ok(),
                "maxptime" => media.maxptime_ms = value.trim().parse().ok(),
                "ice-ufrag" => media.ice_ufrag = Some(value.to_owned()),
                "ice-pwd" => media.ice_pwd = Some(value.to_owned()),
                "candidate" => media.candidates.extend(Candidate::read(value)),
                _ => own_direction = Direction::read(name).or(own_direction),
            }
            media.attributes.push((name.to_owned(), value.to_owned()));
        }
        media.address = media.own_address.or(session.address);
        media.direction = own_direction.or(session.direction).unwrap_or_default();
        media.ice_ufrag = media.ice_ufrag.or_else(|| session.ice_ufrag.clone());
        media.ice_pwd = media.ice_pwd.or_else(|| session.ice_pwd.clone());
        if media.is_rtp() {
            // A number that comes again says nothing new.
            let mut seen = [false; 128];
            let codec = |format: &String| {
                let number: u8 = format.parse().ok()?;
                if core::mem::replace(seen.get_mut(usize::from(number))?, true) {
                    return None;
                }
                let known = rtpmaps.iter().find(|codec| codec.payload_type == number).cloned();
                let fmtp = fmtps.iter().find(|(of, _)| *of == format).map(|(_, fmtp)| (*fmtp).to_owned());
                Some(Codec { fmtp, ..known.or_else(|| Codec::of_static(number))? })
            };
            media.codecs = media.formats.iter().filter_map(codec).collect();
        }
        Ok(media)
    }

    /// Whether its formats are RTP payload types.
    #[must_use]
    pub fn is_rtp(&self) -> bool {
        self.protocol.contains("RTP/")
    }

    /// Whether its RTP is encrypted (RFC 3711, RFC 5764).
    #[must_use]
    pub fn is_secure(&self) -> bool {
        self.protocol.contains("RTP/SAVP")
    }

    /// The value of the first attribute of this name; empty where it has none.
    #[must_use]
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    fn first_line(line: &Line, text: &str, lines: Range<usize>) -> Result<Self, SdpError> {
        let bad = || SdpError::Malformed { line: line.number, what: "m=" };
        let mut words = line.value(text).split_ascii_whitespace();
        let kind = words.next().ok_or_else(bad)?.to_owned();
        // A number of ports may stand behind a slash (RFC 8866 5.14).
        let port = words.next().and_then(|port| port.split('/').next()?.parse().ok()).ok_or_else(bad)?;
        let protocol = words.next().ok_or_else(bad)?.to_owned();
        let formats = words.map(str::to_owned).collect();
        Ok(Self {
            kind,
            port,
            protocol,
            formats,
            own_address: None,
            address: None,
            direction: Direction::default(),
            rtcp: None,
            rtcp_mux: false,
            mid: None,
            ptime_ms: None,
            maxptime_ms: None,
            codecs: Vec::new(),
            ice_ufrag: None,
            ice_pwd: None,
            candidates: Vec::new(),
            attributes: Vec::new(),
            lines,
        })
    }
}

/// `96 useinbandfec=1`: the format, and what is said of it.
fn parameters(value: &str) -> Option<(&str, &str)> {
    let (format, parameters) = value.trim_ascii_start().split_once(|c: char| c.is_ascii_whitespace())?;
    Some((format, parameters.trim())).filter(|(_, parameters)| !parameters.is_empty())
}

/// `4001`, or `4001 IN IP4 192.0.2.1`; one that is malformed is none: RTCP has a usual place to go.
fn rtcp(value: &str) -> Option<Rtcp> {
    let mut words = value.split_ascii_whitespace();
    let port = words.next()?.parse().ok()?;
    let address = match words.nth(2) {
        Some(address) => Some(address.parse().ok()?),
        None => None,
    };
    Some(Rtcp { port, address })
}
