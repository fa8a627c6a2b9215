//! Pinned workers that drive one engine shard each through a backend: io_uring or recvmmsg/sendmmsg.

mod address;
mod affinity;
mod ancillary;
mod backend;
#[cfg(test)]
mod backend_tests;
mod clock;
mod config;
mod counters;
mod io_uring;
mod mapping;
mod mmsg;
mod socket;
mod wake;

pub use clock::Clock;
pub use config::{BackendChoice, Config, Wait, Workers};
