//! Packet captures read into datagrams: pcap, pcapng and rtpdump, whatever their byte order and link type.
//!
//! A capture is read whole into memory: what is replayed has to be there before its first packet is due. The containers are walked
//! here rather than by a library, because a capture for a replay is often one that was cut short or taken with a small snapshot
//! length, and every packet before the damage has to come out of it.

mod bytes;
mod internet;
mod link;
mod pcap;
mod pcapng;
mod rtpdump;

use std::fmt;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use serde::Serialize;

pub use link::LinkType;

/// The formats that [`Capture::open`] reads, as an error message names them.
pub const ACCEPTED_FORMATS: &str =
    "pcap (microseconds or nanoseconds, either byte order), pcapng, rtpdump (#!rtpplay1.0)";

/// The UDP datagrams of a capture file, with what had to be left out.
#[derive(Debug, Clone, Default)]
pub struct Capture {
    /// The datagrams in the file's order.
    pub datagrams: Vec<CapturedDatagram>,
    /// Where the file is damaged, if it is. The datagrams before that place are whole.
    pub damage: Option<Damage>,
    /// What was passed over, by reason.
    pub skipped: Skipped,
}

/// One UDP datagram of a capture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CapturedDatagram {
    /// When it was captured, in nanoseconds of the capture's own clock (mostly the Unix epoch).
    pub at_ns: u64,
    /// Its sender.
    pub source: SocketAddr,
    /// Its receiver. Unspecified with port 0 in an rtpdump, which does not record it.
    pub destination: SocketAddr,
    /// The UDP payload.
    pub payload: Vec<u8>,
}

/// Packets that are in the capture but not in its datagrams.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Skipped {
    /// Packets that carry neither IPv4 nor IPv6.
    pub not_ip: u64,
    /// IP packets that carry something other than UDP.
    pub not_udp: u64,
    /// Fragments of IP packets: they are not put together.
    pub fragments: u64,
    /// Packets of which the capture holds too little (a small snapshot length), or whose length fields contradict each other.
    pub incomplete: u64,
    /// Packets of interfaces whose link type is not read here.
    pub unknown_link_type: u64,
}

impl fmt::Display for Skipped {
    /// As in "2 fragments, 1 not IP"; "nothing" if there is none.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = [
            (self.not_ip, "not IP"),
            (self.not_udp, "not UDP"),
            (self.fragments, "fragments"),
            (self.incomplete, "incomplete"),
            (self.unknown_link_type, "of an unknown link type"),
        ];
        let counts: Vec<String> =
            counts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect();
        if counts.is_empty() { f.write_str("nothing") } else { f.write_str(&counts.join(", ")) }
    }
}

/// Where and how a capture file is damaged.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Damage {
    /// The file ends in the middle of a record.
    Truncated {
        /// Offset in the file of the record that is not whole.
        at_byte: u64,
        /// Number of the packet that is not whole, counted from 0 over all records.
        packet: u64,
    },
    /// The file goes on, but not as its format says.
    Malformed {
        /// Offset in the file of the record that makes no sense.
        at_byte: u64,
        /// What is wrong with it.
        why: &'static str,
    },
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated { at_byte, packet } => {
                write!(
                    f,
                    "the file is cut short at byte {at_byte}, within packet {packet}; the packets before it were read"
                )
            }
            Self::Malformed { at_byte, why } => {
                write!(f, "the file is damaged at byte {at_byte}: {why}; the packets before it were read")
            }
        }
    }
}

/// Why a capture could not be read at all.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CaptureError {
    /// The file could not be read.
    #[error("cannot read the capture {path}: {source}")]
    Io {
        /// The file's path.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The bytes are of no known format.
    #[error("{name} is not a capture: it begins with {beginning}; accepted are {ACCEPTED_FORMATS}")]
    UnknownFormat {
        /// The file's name.
        name: String,
        /// Its first bytes in hexadecimal, or a word if there are none.
        beginning: String,
    },
    /// The file's header is cut short or makes no sense.
    #[error("{name} begins like {format} but its header is unusable: {why}")]
    BadHeader {
        /// The file's name.
        name: String,
        /// The format it seems to be.
        format: &'static str,
        /// What is wrong.
        why: &'static str,
    },
    /// The whole file is of a link type that is not read here.
    #[error(
        "{name} has link type {link_type}; read are Ethernet (1), null/loopback (0, 108), raw IP (12, 101, 228, 229), Linux cooked v1 (113) and v2 (276)"
    )]
    LinkType {
        /// The file's name.
        name: String,
        /// The number of its link type in the registry of tcpdump.org.
        link_type: u32,
    },
}

impl Capture {
    /// Reads a capture file.
    ///
    /// # Errors
    /// [`CaptureError`] if nothing can be read from it. A file that is damaged later on is no error: see [`Capture::damage`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self, CaptureError> {
        let path = path.as_ref();
        let file = fs::read(path).map_err(|source| CaptureError::Io { path: path.display().to_string(), source })?;
        Self::read(&path.display().to_string(), &file)
    }

    /// Reads a capture from memory; `name` is what error messages call it.
    ///
    /// # Errors
    /// [`CaptureError`] if nothing can be read from it.
    pub fn read(name: &str, file: &[u8]) -> Result<Self, CaptureError> {
        let bad_header = |format| move |why| CaptureError::BadHeader { name: name.to_owned(), format, why };
        let capture = if let Some(order) = pcap::recognise(file) {
            pcap::read(file, order).map_err(bad_header("pcap"))?
        } else if pcapng::recognise(file) {
            pcapng::read(file).map_err(bad_header("pcapng"))?
        } else if rtpdump::recognise(file) {
            rtpdump::read(file).map_err(bad_header("rtpdump"))?
        } else {
            return Err(CaptureError::UnknownFormat { name: name.to_owned(), beginning: beginning(file) });
        };
        match capture.only_link_type_unknown {
            Some(link_type) => Err(CaptureError::LinkType { name: name.to_owned(), link_type }),
            None => Ok(capture.capture),
        }
    }
}

/// What a format's reader hands back.
#[derive(Debug, Default)]
struct Reading {
    capture: Capture,
    /// The file's single link type, if that is one which is not read here.
    only_link_type_unknown: Option<u32>,
}

impl Reading {
    /// Takes a packet as captured on a link of type `link_type` and keeps its UDP datagram.
    fn packet(&mut self, at_ns: u64, link_type: LinkType, packet: &[u8]) {
        let skipped = &mut self.capture.skipped;
        let datagram = link::network_layer(link_type, packet).and_then(internet::udp_datagram);
        match datagram {
            Ok(udp) => self.capture.datagrams.push(CapturedDatagram {
                at_ns,
                source: udp.source,
                destination: udp.destination,
                payload: udp.payload.to_vec(),
            }),
            Err(Skip::NotIp) => skipped.not_ip += 1,
            Err(Skip::NotUdp) => skipped.not_udp += 1,
            Err(Skip::Fragment) => skipped.fragments += 1,
            Err(Skip::Incomplete) => skipped.incomplete += 1,
        }
    }

    fn truncated(&mut self, at_byte: usize, packet: u64) {
        self.capture.damage = Some(Damage::Truncated { at_byte: at_byte as u64, packet });
    }

    fn malformed(&mut self, at_byte: usize, why: &'static str) {
        self.capture.damage = Some(Damage::Malformed { at_byte: at_byte as u64, why });
    }
}

/// Why a packet of the capture yields no datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Skip {
    NotIp,
    NotUdp,
    Fragment,
    Incomplete,
}

fn beginning(file: &[u8]) -> String {
    if file.is_empty() {
        return "nothing: it is empty".to_owned();
    }
    let hex: Vec<String> = file.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    hex.join(" ")
}
