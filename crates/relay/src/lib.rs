//! The engine: legs, sources, cut-over, latching and statistics, without I/O, clock or threads.
//!
//! A [`Shard`] owns a fixed number of legs. Its owner feeds it datagrams ([`Shard::ingress`]), commands ([`Shard::apply`])
//! and the passing of time ([`Shard::tick`]); each call hands back [`Outputs`], which borrow the shard, so that nothing can
//! be fed before what was produced has been taken. Time and randomness are arguments: a seed reproduces a run.
//!
//! The code map: `command`, `event`, `snapshot`, `exchange`, `media` and `scope` are the vocabulary; `shard` is the door; `leg` holds
//! a leg's state (hot ingress and egress, cold rest); [`flow`] is what others forward in the engine's place, [`transcoding`] what others make
//! for listeners without a common format; `forward` is the packet path; `cut_over` changes sources; `player`, `dtmf`
//! and `housekeeping` are what time brings about.

#![forbid(unsafe_code)]

pub mod command;
pub mod detection;
pub mod event;
pub mod exchange;
pub mod flow;
pub mod ids;
pub mod media;
pub mod mixing;
pub mod overhearing;
pub mod overlay;
pub mod scope;
pub mod snapshot;
pub mod time;
pub mod transcoding;
pub mod verdict;

mod by_packet;
mod cut_over;
mod datagram;
mod dtmf;
mod forward;
mod hand_out;
mod histogram;
mod housekeeping;
mod leg;
mod outbox;
mod player;
mod rng;
mod sending;
mod shard;

pub use datagram::{Datagram, Hop, Verdict};
pub use hand_out::{HandOut, Heard};
pub use outbox::{Handshake, Outputs, Transmit};
pub use shard::{Shard, ShardConfig};
