//! A measuring window.

use std::time::{Duration, Instant};

use serde::Serialize;

use super::Settings;
use super::flood::Flood;
use crate::frames::{Histogram, Span};
use crate::peer::PeerError;
use crate::peer::cpu::{self, Usage};
use crate::peer::relay::{self, Process};
use crate::sys;

/// Until a window begins, so that everyone knows of it by then.
const NOTICE: Duration = Duration::from_millis(5);
/// No process has this number.
const NOBODY: u32 = u32::MAX;
/// Packets that arrive later than this after a window's end are lost.
const LATE_MAX: Duration = Duration::from_millis(100);

/// What was measured in a window.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Window {
    /// The speed's name.
    pub speed: String,
    /// What it was for.
    pub purpose: &'static str,
    /// The rate that was asked for, in packets/s over all streams.
    pub wanted_per_s: u32,
    /// How long it was, in seconds.
    pub seconds: f64,
    /// Packets that were sent.
    pub sent: u64,
    /// Packets that were due but left out: the generator could not keep up.
    pub missed: u64,
    /// Packets of the window that arrived.
    pub received: u64,
    /// Share of the packets sent that did not arrive.
    pub loss: f64,
    /// Packets that overtook others of their stream.
    pub late: u64,
    /// Datagrams that arrived but were none of ours.
    pub strange: u64,
    /// Latencies, from the making of a frame to the sink.
    pub latency: Histogram,
    /// CPU time of the relay's tasks, in nanoseconds.
    pub relay_cpu_ns: u64,
    /// CPU time that the generator's CPU and the kernel's packet threads spent on packets, in nanoseconds.
    pub load_cpu_ns: u64,
    /// Resident memory of the relay at the end, in KiB.
    pub rss_kib: u64,
    /// Share of all CPUs' time that others used.
    pub foreign: f64,
    /// Share of all CPUs' time that other machines on the same hardware took.
    pub steal: f64,
    /// Others on this machine and other machines together used more than the limit.
    pub disturbed: bool,
}

impl Window {
    /// Packets sent a second.
    #[must_use]
    pub fn sent_per_s(&self) -> f64 {
        self.sent as f64 / self.seconds
    }

    /// CPU time of the relay's tasks for a packet, in nanoseconds.
    #[must_use]
    pub fn relay_ns(&self) -> f64 {
        per(self.relay_cpu_ns, self.received)
    }

    /// CPU time of all that was done for a packet, in nanoseconds.
    #[must_use]
    pub fn all_ns(&self) -> f64 {
        per(self.relay_cpu_ns + self.load_cpu_ns, self.received)
    }

    /// The latency in microseconds that so large a share of the packets did not exceed; 0 if none arrived.
    #[must_use]
    pub fn latency_us(&self, share: f64) -> f64 {
        self.latency.quantile_ns(share).unwrap_or(0.0) / 1e3
    }
}

fn per(ns: u64, packets: u64) -> f64 {
    if packets == 0 { 0.0 } else { ns as f64 / packets as f64 }
}

/// Measures what a flood does at the rate that is set; again, if it is disturbed and may be.
pub(super) fn measure(
    flood: &mut Flood,
    settings: &Settings,
    label: (&str, &'static str, u32),
    length: Duration,
    mut progress: impl FnMut(&Window),
) -> Result<Window, PeerError> {
    let mut tries = 0;
    loop {
        let window = once(flood, settings, label, length)?;
        progress(&window);
        if !window.disturbed || tries == settings.retries {
            return Ok(window);
        }
        tries += 1;
        await_quiet(flood.process.as_ref(), settings)?;
    }
}

/// Waits until others use little CPU, or for as long as one may wait for that.
pub(super) fn await_quiet(process: Option<&Process>, settings: &Settings) -> Result<(), PeerError> {
    const LOOK: Duration = Duration::from_millis(500);
    let process = process.map_or(NOBODY, Process::id);
    let until = Instant::now() + settings.patience;
    while Instant::now() < until {
        let (usage, begun) = (Usage::now(process), Instant::now());
        relay::pause(LOOK)?;
        let usage = Usage::now(process).since(usage);
        if others(usage, begun.elapsed().as_secs_f64()) <= settings.foreign_max {
            break;
        }
    }
    Ok(())
}

/// Share of all CPUs' time that others on this machine and other machines used.
fn others(usage: Usage, seconds: f64) -> f64 {
    share(usage.foreign_ns() + usage.steal_ns, seconds)
}

fn share(ns: u64, seconds: f64) -> f64 {
    let cpus = std::thread::available_parallelism().map_or(1, usize::from) as f64;
    ns as f64 / 1e9 / (seconds * cpus)
}

/// Measures once.
pub(super) fn once(
    flood: &mut Flood,
    settings: &Settings,
    (speed, purpose, wanted_per_s): (&str, &'static str, u32),
    length: Duration,
) -> Result<Window, PeerError> {
    let process = flood.process.as_ref().map(Process::id);
    let before = flood.counted()?;
    let span = Span::after(NOTICE, length);
    flood.count_in(span)?;
    let (usage, seconds) = stopwatch(span, process)?;
    relay::pause(LATE_MAX)?;
    flood.still_runs()?;
    let after = flood.counted()?;
    let (sent, arrived) = (after.0.since(before.0), after.1.since(&before.1));
    Ok(Window {
        speed: speed.to_owned(),
        purpose,
        wanted_per_s,
        seconds: length.as_secs_f64(),
        sent: sent.sent,
        missed: sent.missed,
        received: arrived.received,
        loss: if sent.sent == 0 { 0.0 } else { sent.sent.saturating_sub(arrived.received) as f64 / sent.sent as f64 },
        late: arrived.late,
        strange: arrived.strange,
        latency: arrived.latency,
        relay_cpu_ns: usage.relay_ns,
        load_cpu_ns: sent.busy_ns + usage.softirq_ns,
        rss_kib: process.map_or(0, cpu::resident_kib),
        foreign: share(usage.foreign_ns(), seconds),
        steal: share(usage.steal_ns, seconds),
        disturbed: others(usage, seconds) > settings.foreign_max,
    })
}

/// CPU time used in a span, and how long it was looked at. In a thread that goes before everything else, so that nothing comes in
/// between the clocks.
fn stopwatch(span: Span, process: Option<u32>) -> Result<(Usage, f64), PeerError> {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            // Where that is not allowed, a quiet machine does as well.
            let _ = sys::go_first();
            let process = process.unwrap_or(NOBODY);
            std::thread::sleep(span.left()[0]);
            let (usage, begun) = (Usage::now(process), Instant::now());
            relay::pause(span.left()[1])?;
            Ok((Usage::now(process).since(usage), begun.elapsed().as_secs_f64()))
        });
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}
