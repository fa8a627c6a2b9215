//! The ng control protocol on the wire: bencode and JSON, cookies, flags.
//!
//! Nothing here knows a socket, a file or a clock. A [`Message`] is `cookie SP dictionary`; its dictionary is decoded to a
//! [`Dict`], from which [`Options`] reads everything that modifies a command; the reply is a [`Dict`] again.
//! [`Cookies`] remembers replies, so that a repeated request does nothing twice.

#![forbid(unsafe_code)]

pub mod bencode;
pub mod command;
pub mod cookies;
pub mod json;
pub mod message;
pub mod options;
pub mod reason;
mod request;
pub mod stream;
pub mod value;

pub use command::Command;
pub use cookies::{Cookies, Key, REMEMBERED_MS, REPLIES_BYTES_MAX, REPLIES_MAX, Seen};
pub use message::{COOKIE_LEN_MAX, Format, Message, MessageError};
pub use options::{
    AddressFamily, All, Codecs, Dtls, Flags, Ice, IceLite, Learning, MediaEcho, Options, Osrtp, Replace, RtcpMux, Sdes,
    SipMessage, Tos, UNKNOWN_MAX,
};
pub use request::{Request, Transport};
pub use stream::{Splitter, StreamError};
pub use value::{Dict, NotAByte, Value, normal};

/// The longest message, in bytes: what a datagram can hold.
pub const MESSAGE_LEN_MAX: usize = 64 * 1024;
/// Lists and dictionaries within each other.
pub const DEPTH_MAX: usize = 32;
/// Values in one message, keys not counted.
pub const VALUES_MAX: usize = 16 * 1024;
