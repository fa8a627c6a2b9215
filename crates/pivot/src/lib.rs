//! The pivot: a back-to-back user agent between a trunk, a voice-agent platform and a proxy. It answers calls, accepts REFER, dials the
//! transfer target, has the media moved by bridge commands, reports truthfully and leaves a record.
//!
//! ```text
//!   SIP <-> sip (rsipstack) <-> message::{Event, Action} <-> the driver <-> call (sans-IO)
//!                                                              |
//!                                                     bridge commands
//! ```
//!
//! [`call`] decides: it takes what has happened and says what is to be done, and knows no socket, no clock and no SDP. [`sip`] speaks SIP.
//! [`message`] has the words of both. [`webhook`] asks somebody else what is to become of a REFER.

#![forbid(unsafe_code)]

pub mod call;
pub mod driver;
pub mod http;
pub mod media;
pub mod message;
pub mod replay;
pub mod sip;
pub mod webhook;
