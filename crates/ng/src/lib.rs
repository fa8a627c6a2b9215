//! The ng control protocol on the wire: bencode and JSON, cookies, flags.
//!
//! Nothing here knows a socket, a file or a clock. A [`Frame`] is `cookie SP dictionary`; its dictionary is decoded to a
//! [`Dict`], from which [`Flags`] reads everything that modifies a command; the reply is a [`Dict`] again.
//! A cache of cookies remembers replies, so that a repeated request does nothing twice.

#![forbid(unsafe_code)]

pub mod bencode;
mod command;
mod error;
mod flags;
pub mod json;
mod message;
mod value;

pub use command::Command;
pub use error::{DecodeError, DecodeErrorKind, reason};
pub use flags::{
    AddressFamily, All, Codecs, Dtls, Egress, Flags, Ice, IceLite, Learning, MediaEcho, Osrtp, Replace, RtcpMux, Sdes,
    SipMessage, Switches, Tos, TransportProtocol, UNKNOWN_MAX,
};
pub use message::{Format, Frame, Request, Transport};
pub use value::{Dict, Value, same_key};

/// The longest message, in bytes: what a datagram can hold.
pub const MESSAGE_LEN_MAX: usize = 64 * 1024;
/// Lists and dictionaries within each other.
pub const DEPTH_MAX: usize = 32;
/// Values in one message, keys not counted.
pub const VALUES_MAX: usize = 16 * 1024;
