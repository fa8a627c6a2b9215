//! STUN messages (RFC 8489) with what ICE (RFC 8445) needs of them, as views over bytes.
//!
//! Nothing here does I/O, reads a clock or panics on input, and nothing but [`Key::new`] does more work than a message is
//! long. Reading and writing do not allocate. A message's way through the crate:
//!
//! 1. [`is_stun`] tells it from whatever else comes to the port.
//! 2. [`Message::parse`] checks it as a whole, the FINGERPRINT included; its attributes are read where they lie.
//! 3. [`Message::has_integrity_by`] says whether the sender knows the password.
//! 4. [`MessageWriter`] writes the answer into a given buffer.
//!
//! The code map: `message` reads, `writer` writes; `attribute` has the numbers and the views of single values; `key` is
//! MESSAGE-INTEGRITY, `fingerprint` is FINGERPRINT.

#![forbid(unsafe_code)]

mod address;
mod attribute;
mod error;
mod fingerprint;
mod key;
mod message;
mod writer;

pub use attribute::{Attribute, Attributes, ErrorCode, IceRole, kind};
pub use error::StunError;
pub use key::Key;
pub use message::{BINDING, Class, HEADER_LEN, Message, TransactionId, is_stun};
pub use writer::MessageWriter;
