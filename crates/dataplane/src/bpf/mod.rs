//! BPF programs and maps: `bpf/*.c`, compiled and committed, as the kernel has them.
//!
//! [`object`] reads what clang made and gives it to the kernel, [`map`] and [`link`] are what comes of it, [`sys`] is the system call.
//! Everything here lives as long as its descriptor: when the process ends, however it ends, the kernel takes it all away.
//!
//! The crate `aya` would do the same, but it reads the types of the whole kernel first, whatever is loaded: 250 ms at each start
//! and 15 MB for good.

mod link;
mod map;
mod object;
mod pins;
mod refusal;
mod sys;

pub(crate) use link::Link;
pub(crate) use map::{Map, Plain};
pub(crate) use object::{LoadError, Object, Shared};
pub(crate) use pins::Pins;
pub(crate) use refusal::{not_loaded, refused};
