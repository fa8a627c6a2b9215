//! The engine: legs, sources, cut-over, latching and statistics, without I/O, clock or threads.
//!
//! A [`Shard`] owns a fixed number of legs. Its owner feeds it datagrams ([`Shard::ingress`]), commands ([`Shard::apply`])
//! and the passing of time ([`Shard::tick`]); each call hands back [`Outputs`], which borrow the shard, so that nothing can
//! be fed before what was produced has been taken. Time and randomness are arguments: a seed reproduces a run.

#![forbid(unsafe_code)]

pub mod command;
pub mod event;
pub mod exchange;
pub mod ids;
pub mod media;
pub mod snapshot;
pub mod time;
pub mod verdict;
