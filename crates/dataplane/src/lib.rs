//! Pinned workers that drive one engine shard each through a backend: AF_XDP, steered sockets, io_uring or recvmmsg/sendmmsg; and past
//! them, flows that need no decision, forwarded in XDP.
//!
//! A [`Dataplane`] owns the workers. Whoever has a [`WorkerHandle`] sends [`Request`]s; answers and events come back over
//! one queue for all workers. A worker's thread has its shard, its sockets and its backend to itself: nothing on the packet
//! path locks, allocates, logs, or makes a system call for one packet alone.
//!
//! The code map: `dataplane` starts and stops; `worker` is the loop; `backend` says what a backend must do, `af_xdp`, `steered`, `io_uring`
//! and `mmsg` do it; `xdp` forwards what need not come here at all; `wait` and `overload` decide how to rest and what to drop; `socket`, `address`, `ancillary`, `clock`,
//! `affinity`, `wake` and `mapping` are the system's edges; `counters` counts; [`probe`] says what the machine allows.
//!
//! [`Request`]: patchcord_relay::exchange::Request

mod address;
mod af_xdp;
mod affinity;
mod ancillary;
mod backend;
#[cfg(test)]
mod backend_tests;
mod background;
mod bpf;
mod choice;
mod claims;
mod clock;
mod config;
mod counters;
mod dataplane;
mod io_uring;
mod mapping;
mod mmsg;
mod network;
mod overload;
mod port;
pub mod probe;
mod socket;
mod steered;
mod wait;
mod wake;
mod worker;
mod xdp;

pub use choice::Speed;
pub use clock::Clock;
pub use config::{BackendChoice, Config, MediaPorts, OffloadChoice, PinConfig, Wait, Workers, XdpMode};
pub use dataplane::{Dataplane, StartError, WorkerHandle};
pub use overload::OVERLOAD_AGE;
