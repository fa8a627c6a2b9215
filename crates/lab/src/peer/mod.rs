//! Relays side by side, under the same load, in the same run.
//!
//! ```text
//!  caller namespace           relay namespace           callee namespace
//!  10.211.1.2 ---------- 10.211.1.1 | 10.211.2.1 ---------- 10.211.2.2
//!  generator, sink            the relay                 generator, sink
//!  (load CPU)                 (relay CPU)               (load CPU)
//! ```
//!
//! Three network namespaces are joined by two veth pairs, so that every packet takes the whole way through the kernel's IP stack
//! twice. A relay process, pinned to one CPU, gets a number of calls by its own control protocol. A thread on each side, pinned to
//! another CPU, sends each call's G.711 packets (172 bytes of RTP) with `sendmmsg` in batches of a millisecond and receives what
//! the relay sends.
//!
//! - **Loss** is exact: every packet carries the number of its measuring window, and sinks count by it. Packets that the sinks' own
//!   sockets dropped are shown, so that they are not held against the relay.
//! - **Latency** is the time from the sender's clock, read just before `sendmmsg`, to the time stamp of the sink's kernel
//!   (`SO_TIMESTAMPNS`): it contains the sender's batch, both veth pairs and the relay, but not the waking-up of the sink.
//! - **CPU** is what the scheduler charged to the tasks of the relay (/proc/PID/task/*/schedstat), kernel workers of io_uring
//!   included, user and system time together.
//! - **Foreign CPU** is what others used meanwhile (/proc/stat less relay, generator and ksoftirqd). A window with more than the
//!   limit does not count and is repeated; if it never gets quiet the windows are kept and marked as disturbed. Relay and load go
//!   before ordinary processes (the relay's scheduling group at nice -20, the load as `SCHED_FIFO`), so that others take little of
//!   their time; caches they still share.
//!
//! Rounds alternate between the relays (A B A B ...), each with a fresh process, so that what drifts hits both alike.
//! [`ng_load`] measures the control protocol instead: one namespace, no packets, offers and answers as fast as they are
//! answered.
//!
//! The executable `patchcord-lab` runs this as `compare`, `max`, `overload` and `ng-load`; it needs root.

mod account;
pub(crate) mod compare;
pub(crate) mod cpu;
mod http;
mod load;
mod maximum;
mod ng_load;
mod overload;
mod patchcord;
pub(crate) mod relay;
mod rtpengine;
mod secured;
mod session;
mod text;
mod topology;
mod window;

pub use compare::{Comparison, RelaySummary, compare};
pub use maximum::{Maximum, Step, maximum};
pub use ng_load::{NgComparison, NgDaemon, NgLoadSettings, NgPhase, NgSummary, NgWindow, ng_comparison_text, ng_load};
pub use overload::{Overload, overload};
pub use patchcord::Patchcord;
pub use relay::{CallPlan, CallPorts, PeerError, Relay, allow_many_sockets, clean_up_on_signals};
pub use rtpengine::Rtpengine;
pub use text::{comparison_text, maximum_text, overload_text};
pub use topology::Topology;
pub use window::Window;

use std::time::Duration;

use serde::Serialize;

/// What is the same for all relays of a run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Settings {
    /// Calls; each has two directions.
    pub calls: u32,
    /// Packets a second in each direction of each call.
    pub packets_per_s: u32,
    /// Time under load before a window begins.
    pub warmup: Duration,
    /// Length of a measuring window.
    pub window: Duration,
    /// Measuring windows for each relay.
    pub rounds: u32,
    /// Share of all CPU time that others may use in a window, 0 to 1.
    pub foreign_max: f64,
    /// How often a disturbed window is measured again.
    pub retries: u32,
    /// The CPU of the relay.
    pub relay_cpu: usize,
    /// The CPU of generators and sinks.
    pub load_cpu: usize,
}

impl Settings {
    /// 500 calls at 50 packets/s, 3 rounds of 10 s, on the first and the last CPU that this process may use.
    ///
    /// # Errors
    /// [`PeerError::Cpus`] if there are not two.
    pub fn new() -> Result<Self, PeerError> {
        let cpus = crate::sys::allowed_cpus().map_err(PeerError::Affinity)?;
        let (Some(&relay_cpu), Some(&load_cpu)) = (cpus.first(), cpus.last()) else { return Err(PeerError::Cpus) };
        if relay_cpu == load_cpu {
            return Err(PeerError::Cpus);
        }
        Ok(Self {
            calls: 500,
            packets_per_s: 50,
            warmup: Duration::from_secs(4),
            window: Duration::from_secs(10),
            rounds: 3,
            foreign_max: 0.03,
            retries: 2,
            relay_cpu,
            load_cpu,
        })
    }

    /// Packets a second in all directions of all calls.
    #[must_use]
    pub fn total_packets_per_s(&self) -> u64 {
        u64::from(self.calls) * 2 * u64::from(self.packets_per_s)
    }
}
