//! RTP made and counted in the kernel, for relays that are faster than any load of sockets.
//!
//! A [`Generator`] is a thread that runs an XDP program (bpf/generate.c) on frames that really go out: it makes the G.711 packets
//! of all streams in turn, each when it is due, with the time of sending in the RTP timestamp. A [`Sink`] is an XDP program
//! (bpf/sink.c) on the device at which they arrive after the relay: it counts them, by their time of sending also those of a
//! [`Span`], keeps a histogram of their latencies and looks at their order.
//!
//! - **Loss** is exact: a packet belongs to the span in which it was sent, for the generator and for the sink, by one clock.
//! - **Latency** is the time from the making of a frame to the sink, up to 4.29 s: 32 bits of nanoseconds. It contains what is
//!   left of the generator's batch, both veth pairs and the relay.
//! - A veth accepts such frames only if its other end has generic receive offload or an XDP program: see [`accept_frames`].
//!
//! Frames are put out on the generator's CPU, and so are the receiving half of the relay's IP stack and its XDP programs. What the
//! relay sends reaches the sink on the CPU of the thread that sends it.

mod generator;
mod histogram;
mod sink;
mod template;

pub use generator::{Batch, Generator, SentFrames};
pub use histogram::Histogram;
pub use sink::{Arrivals, Expected, Sink};
pub use template::{Host, StreamPlan, port};

use std::io;
use std::time::Duration;

use crate::netns::{Namespace, NetnsError};
use crate::sys::{self, Feature};

/// Why frames could not be made or counted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FramesError {
    /// The namespace.
    #[error(transparent)]
    Namespace(#[from] NetnsError),
    /// A system call.
    #[error("cannot {what}: {source}")]
    System {
        /// What was to be done.
        what: String,
        /// What the system said.
        source: io::Error,
    },
    /// A BPF program or map.
    #[error("cannot {what}: {reason}; BPF needs root and Linux 5.18 or later")]
    Bpf {
        /// What was to be done.
        what: &'static str,
        /// What the kernel or the loader said, with its causes.
        reason: String,
    },
}

impl FramesError {
    fn system(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        |source| Self::System { what, source }
    }

    fn bpf<E: std::error::Error>(what: &'static str) -> impl FnOnce(E) -> Self {
        move |error| {
            let mut reason = error.to_string();
            let mut cause = error.source();
            while let Some(source) = cause {
                reason = format!("{reason}: {source}");
                cause = source.source();
            }
            Self::Bpf { what, reason }
        }
    }
}

/// A device in a namespace.
#[derive(Debug, Clone, Copy)]
pub struct End<'a> {
    /// Where the device is.
    pub namespace: &'a Namespace,
    /// Its name there.
    pub device: &'a str,
}

/// Time in which packets are counted by when they were sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    begin_ns: u64,
    end_ns: u64,
}

impl Span {
    /// A span that begins in a while.
    #[must_use]
    pub fn after(wait: Duration, length: Duration) -> Self {
        let ns = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX / 4);
        let begin_ns = sys::monotonic_ns().saturating_add(ns(wait));
        Self { begin_ns, end_ns: begin_ns.saturating_add(ns(length)) }
    }

    /// Time until it begins and until it ends; zero if that is past.
    #[must_use]
    pub fn left(&self) -> [Duration; 2] {
        let now = sys::monotonic_ns();
        [self.begin_ns, self.end_ns].map(|at| Duration::from_nanos(at.saturating_sub(now)))
    }
}

/// Makes a veth take the frames that its other end's generator sends it.
///
/// # Errors
/// The device does not exist, or the system refused.
pub fn accept_frames(end: End<'_>) -> Result<(), FramesError> {
    let set = end.namespace.run(|| sys::set_feature(end.device, Feature::Gro, true))?;
    set.map_err(FramesError::system(format!("switch GRO of {} on", end.device)))
}

/// Makes the kernel compute the checksums of what it sends by this device; on a veth they are otherwise left out.
///
/// # Errors
/// The device does not exist, or the system refused.
pub fn compute_checksums(end: End<'_>) -> Result<(), FramesError> {
    let set = end.namespace.run(|| sys::set_feature(end.device, Feature::SendChecksums, false))?;
    set.map_err(FramesError::system(format!("switch the checksum offload of {} off", end.device)))
}

/// A BPF object, aligned as the headers in it are read.
#[repr(align(8))]
struct Aligned<T: ?Sized>(T);
