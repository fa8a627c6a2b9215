//! SRTP and SRTCP: packets protected and unprotected in place, one at a time or in batches of different keys.
//!
//! | module | what it is | source |
//! |---|---|---|
//! | [`Suite`], [`MasterKey`] | what two sides agree on | RFC 3711, 6188, 7714; names of RFC 4568 |
//! | [`SessionKeys`] | what is derived from it, ready for use | RFC 3711 4.3 |
//! | [`Sender`], [`Receiver`] | which packets there were: roll-over counters, replay windows, re-keying | RFC 3711 3.2, 3.3 |
//! | [`protect_batch`], [`unprotect_batch`] | the transforms | RFC 3711 4.1, 4.2, RFC 7714 8, 9 |
//! | [`sdes`] | keys in SDP | RFC 4568 |
//!
//! A packet is protected in two steps, so that a batch can hold packets of many legs: [`Sender::claim`] gives it an index that is
//! never given twice, and [`protect_batch`] works with keys and indices alone. Unprotecting has three: [`Receiver::expect`],
//! [`unprotect_batch`], and [`Receiver::accept`] for what has proved to be authentic.
//!
//! Nothing here allocates once keys are made, knows a clock, or does I/O. Keys are zeroed when they are dropped, and no `Debug`
//! shows them.

mod context;
mod crypto;
mod error;
mod index;
mod keys;
pub mod sdes;
mod suite;
mod transform;

pub use context::{Receiver, Sender, StreamState};
pub use crypto::Backend;
pub use error::{KeyError, SrtpError};
pub use index::PacketIndex;
pub use keys::{MKI_LEN_MAX, MasterKey, Mki, Protections, SessionKeys};
pub use suite::Suite;
pub use transform::{
    OVERHEAD_MAX, ProtectJob, UnprotectJob, protect_batch, protect_rtcp, protect_rtp, rtcp_index, unprotect_batch,
    unprotect_rtcp, unprotect_rtp,
};
