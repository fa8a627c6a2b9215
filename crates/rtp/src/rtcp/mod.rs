//! RTCP: compounds as views over bytes, and a writer that fills a buffer.
//!
//! A [`Compound`] is split into [`RtcpPacket`]s, whose [`RtcpPacket::view`] is the typed packet. Parsing checks all
//! lengths, so iterators over what was parsed yield everything and cannot fail.

mod bye;
mod compound;
mod feedback;
mod report;
mod report_block;
mod source_description;
mod writer;

pub use bye::{App, Bye, Ssrcs};
pub use compound::{Compound, Packets, RtcpPacket, RtcpView};
pub use feedback::{Feedback, FeedbackKind, Nack, Nacks};
pub use report::{ReceiverReport, ReportBlocks, SenderInfo, SenderReport};
pub use report_block::ReportBlock;
pub use source_description::{SdesChunk, SdesChunks, SdesItem, SdesItems, SourceDescription};
pub use writer::CompoundWriter;

/// RTCP packet types, the second byte of a packet.
pub mod kind {
    /// Sender report (RFC 3550 6.4.1).
    pub const SENDER_REPORT: u8 = 200;
    /// Receiver report (RFC 3550 6.4.2).
    pub const RECEIVER_REPORT: u8 = 201;
    /// Source description (RFC 3550 6.5).
    pub const SOURCE_DESCRIPTION: u8 = 202;
    /// Goodbye (RFC 3550 6.6).
    pub const BYE: u8 = 203;
    /// Application-defined (RFC 3550 6.7).
    pub const APP: u8 = 204;
    /// Transport layer feedback (RFC 4585 6.2).
    pub const TRANSPORT_FEEDBACK: u8 = 205;
    /// Payload-specific feedback (RFC 4585 6.3).
    pub const PAYLOAD_FEEDBACK: u8 = 206;
    /// Extended report (RFC 3611).
    pub const EXTENDED_REPORT: u8 = 207;
}

/// Types of items in a source description (RFC 3550 6.5).
pub mod sdes_item {
    /// Canonical end-point identifier: the one that each source must send.
    pub const CNAME: u8 = 1;
    /// User name.
    pub const NAME: u8 = 2;
    /// Electronic mail address.
    pub const EMAIL: u8 = 3;
    /// Phone number.
    pub const PHONE: u8 = 4;
    /// Geographic user location.
    pub const LOC: u8 = 5;
    /// Application or tool name.
    pub const TOOL: u8 = 6;
    /// Notice or status.
    pub const NOTE: u8 = 7;
    /// Private extensions.
    pub const PRIV: u8 = 8;
}

/// Bytes in the header of every RTCP packet.
const HEADER_LEN: usize = 4;
/// What the 5 bits of the count field can say.
const MAX_COUNT: usize = 31;

/// The big-endian word that `bytes` begins with, and the rest.
const fn split_u32(bytes: &[u8]) -> Option<(u32, &[u8])> {
    match bytes.split_first_chunk::<4>() {
        Some((word, rest)) => Some((u32::from_be_bytes(*word), rest)),
        None => None,
    }
}
