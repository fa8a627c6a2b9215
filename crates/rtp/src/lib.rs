//! RTP, RTCP, RFC 4733 and first-byte demultiplexing as views over bytes, and RFC 3550 receiver and sender state.
//!
//! Nothing here does I/O, reads a clock, allocates or panics on input: bytes and times come in as arguments, views and
//! numbers come out. A datagram's way through the crate:
//!
//! 1. [`classify`] says by its first bytes what it is (RFC 7983).
//! 2. [`RtpHeader::read`] checks an RTP packet as a whole and gives its fixed header; [`RtpPacket`] gives all the rest.
//! 3. [`ReceiverState::observe`] keeps the statistics of RFC 3550 appendix A.
//! 4. [`RtpHeader::rewrite`] puts other numbers into the packet in place; [`SenderState`] counts what leaves.
//! 5. [`Compound`] and [`CompoundWriter`] read and write RTCP.

#![forbid(unsafe_code)]

mod demux;
mod error;
mod header;
mod ids;
mod packet;
mod receiver;
mod rtcp;
mod sender;
mod sequence;
mod telephone_event;
mod time;

pub use demux::{Protocol, classify};
pub use error::{RtcpError, RtpError};
pub use header::{RTP_HEADER_LEN, RtpHeader};
pub use ids::{PayloadType, Ssrc};
pub use packet::{Csrcs, Extension, ExtensionElement, ExtensionElements, RtpPacket};
pub use receiver::{Arrival, LastSenderReport, ReceiverState, Reception};
pub use rtcp::{
    App, Bye, Compound, CompoundWriter, Feedback, FeedbackKind, Nack, Nacks, Packets, ReceiverReport, ReportBlock,
    ReportBlocks, RtcpPacket, RtcpView, SdesChunk, SdesChunks, SdesItem, SdesItems, SenderInfo, SenderReport,
    SourceDescription, Ssrcs, kind, sdes_item,
};
pub use sender::SenderState;
pub use sequence::SequenceNumber;
pub use telephone_event::TelephoneEvent;
pub use time::{NtpTime, RtpTimestamp};
