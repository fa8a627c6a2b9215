//! How many calls a second a daemon sets up by the ng protocol, on one CPU.
//!
//! ```text
//!  one network namespace, loopback only
//!  client (load CPU)  --- UDP, 127.0.0.1 --->  daemon (relay CPU)
//! ```
//!
//! One thread keeps a number of calls in flight: offer, answer, and, as soon as enough calls are alive, the delete of the oldest
//! one. Its messages are those of a SIP proxy for phones with four codecs; they are made before the measurement, so that only
//! their cookies, names and ports are written in. The daemon is pinned to one CPU, the client to another. No media flows.
//!
//! Each round has three windows, with a fresh daemon for each round:
//!
//! - **filling**: from no call to all of them, as fast as answers come. Nothing is deleted.
//! - **full speed**: a delete for each new call, as fast as answers come. This is the figure that counts.
//! - **paced**: the same at a fixed rate far below the limit, for the latency.
//!
//! A **pair** is an offer and the answer to it. CPU time is what the scheduler charged to the daemon's tasks; the client's share of
//! its own CPU is shown, as a client that has nothing left would measure itself. The reply to every offer and answer is looked at:
//! one that is no `ok` ends the measurement.

mod client;
mod daemon;
mod messages;
mod summary;
mod text;

pub use daemon::NgDaemon;
pub use summary::{NgComparison, NgSummary};
pub use text::ng_comparison_text;

use std::time::{Duration, Instant};

use serde::Serialize;

use super::PeerError;
use super::cpu::{self, Usage};
use super::relay::Process;
use crate::netns::Namespace;
use crate::report::LatencyUs;
use crate::sys;

use client::{Client, Counts};

/// What is the same for all daemons of a run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NgLoadSettings {
    /// Calls alive while it is measured.
    pub calls: u32,
    /// Calls that are being set up at the same time.
    pub in_flight: u32,
    /// Length of the windows of full speed and of the paced ones.
    pub window: Duration,
    /// Time at full speed before its window begins.
    pub warmup: Duration,
    /// New calls a second in the paced windows.
    pub paced_per_s: u32,
    /// Rounds: fresh processes of each daemon.
    pub rounds: u32,
    /// Share of all CPU time that others may use in a window, 0 to 1.
    pub foreign_max: f64,
    /// How often a disturbed window is measured again.
    pub retries: u32,
    /// The CPU of the daemon.
    pub relay_cpu: usize,
    /// The CPU of the client.
    pub load_cpu: usize,
}

/// What a window is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum NgPhase {
    /// From no call to all of them.
    Filling,
    /// A delete for each new call, as fast as answers come.
    FullSpeed,
    /// The same at a fixed rate.
    Paced,
}

/// What was measured in a window.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NgWindow {
    /// The daemon's name.
    pub daemon: String,
    /// The round, from 0.
    pub round: u32,
    /// What it is about.
    pub phase: NgPhase,
    /// How long it was, in seconds.
    pub seconds: f64,
    /// Offers with their answers.
    pub pairs: u64,
    /// Calls that were deleted.
    pub deletes: u64,
    /// Pairs a second.
    pub pairs_per_s: f64,
    /// CPU time of the daemon for each pair, its share of deletes included, in microseconds.
    pub cpu_us_per_pair: f64,
    /// Share of its CPU that the daemon used.
    pub daemon_cpu: f64,
    /// Share of its CPU that the client used.
    pub client_cpu: f64,
    /// From sending an offer to its reply.
    pub offer_us: Option<LatencyUs>,
    /// The same for answers.
    pub answer_us: Option<LatencyUs>,
    /// The same for deletes.
    pub delete_us: Option<LatencyUs>,
    /// Requests that were sent again after a second.
    pub repeated: u64,
    /// Resident memory of the daemon at the end, in KiB.
    pub rss_kib: u64,
    /// Share of all CPUs' time that neither daemon nor client used, idle time not included.
    pub foreign: f64,
    /// Foreign CPU was above the limit: the numbers are not to be trusted.
    pub disturbed: bool,
}

impl NgLoadSettings {
    /// 1,000 calls, 32 in flight, 3 rounds, on the first and the last CPU that this process may use.
    ///
    /// # Errors
    /// [`PeerError::Cpus`] if there are not two.
    pub fn new() -> Result<Self, PeerError> {
        let peer = super::Settings::new()?;
        Ok(Self {
            calls: 1_000,
            in_flight: 32,
            window: Duration::from_secs(5),
            warmup: Duration::from_secs(1),
            paced_per_s: 1_000,
            rounds: 3,
            foreign_max: peer.foreign_max,
            retries: peer.retries,
            relay_cpu: peer.relay_cpu,
            load_cpu: peer.load_cpu,
        })
    }
}

/// Measures each daemon in each round, one after the other; `progress` is called with each window, those that do not count
/// included.
///
/// # Errors
/// A daemon could not be started, refused a call, or died.
pub fn ng_load(
    daemons: &[NgDaemon],
    settings: &NgLoadSettings,
    mut progress: impl FnMut(&NgWindow) + Send,
) -> Result<NgComparison, PeerError> {
    let namespace = Namespace::create("ng")?;
    let mut windows = Vec::new();
    for round in 0..settings.rounds {
        for daemon in daemons {
            let mut process =
                Process::spawn(&daemon.name, daemon.command(), NgDaemon::is_ready, &namespace, settings.relay_cpu)?;
            let run = Run { daemon: &daemon.name, process: process.id(), round, settings };
            let measured = namespace.run(|| {
                // In a thread of its own: the CPU and the priority are this thread's alone.
                sys::pin_to_cpu(settings.load_cpu).map_err(PeerError::Affinity)?;
                // Where that is not allowed, a quiet machine does as well.
                let _ = sys::go_first();
                run.all(&mut progress)
            })?;
            process.still_runs()?;
            windows.extend(measured?);
        }
    }
    Ok(NgComparison::new(daemons, settings, windows))
}

/// One daemon in one round.
struct Run<'a> {
    daemon: &'a str,
    process: u32,
    round: u32,
    settings: &'a NgLoadSettings,
}

impl Run<'_> {
    fn all(&self, progress: &mut impl FnMut(&NgWindow)) -> Result<Vec<NgWindow>, PeerError> {
        let settings = self.settings;
        let mut client = Client::new(self.daemon, settings.calls, settings.in_flight)?;
        let filling = self.measure(NgPhase::Filling, || client.fill())?;
        progress(&filling);
        client.run(settings.warmup, None)?;
        let mut windows = vec![filling];
        for (phase, rate) in [(NgPhase::FullSpeed, None), (NgPhase::Paced, Some(settings.paced_per_s))] {
            let mut tries = 0;
            windows.push(loop {
                let window = self.measure(phase, || client.run(settings.window, rate))?;
                progress(&window);
                if !window.disturbed || tries == settings.retries {
                    break window;
                }
                tries += 1;
            });
        }
        Ok(windows)
    }

    fn measure(&self, phase: NgPhase, load: impl FnOnce() -> Result<Counts, PeerError>) -> Result<NgWindow, PeerError> {
        let before = Usage::now(self.process);
        let start = Instant::now();
        let counts = load()?;
        let seconds = start.elapsed().as_secs_f64();
        let usage = Usage::now(self.process).since(before);
        let cpus = std::thread::available_parallelism().map_or(1, usize::from) as f64;
        let share = |ns: u64| ns as f64 / 1e9 / seconds;
        let foreign = share(usage.foreign_ns()) / cpus;
        Ok(NgWindow {
            daemon: self.daemon.to_owned(),
            round: self.round,
            phase,
            seconds,
            pairs: counts.pairs,
            deletes: counts.deletes,
            pairs_per_s: counts.pairs as f64 / seconds,
            cpu_us_per_pair: usage.relay_ns as f64 / 1e3 / counts.pairs.max(1) as f64,
            daemon_cpu: share(usage.relay_ns),
            client_cpu: share(usage.load_ns),
            offer_us: LatencyUs::of(&counts.offer_ns),
            answer_us: LatencyUs::of(&counts.answer_ns),
            delete_us: LatencyUs::of(&counts.delete_ns),
            repeated: counts.repeated,
            rss_kib: cpu::resident_kib(self.process),
            foreign,
            disturbed: foreign > self.settings.foreign_max,
        })
    }
}
