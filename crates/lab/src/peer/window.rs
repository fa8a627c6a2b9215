//! A measuring window.

use std::time::{Duration, Instant};

use serde::Serialize;

use super::account::Desk;
use super::cpu::{self, Usage};
use super::relay;
use super::session::Session;
use super::{PeerError, Settings};
use crate::report::LatencyUs;
use crate::sys;

/// Packets that arrive later than this after a window's end are lost.
const LATE_MAX: Duration = Duration::from_millis(500);

/// What was measured in a window.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Window {
    /// The relay's name.
    pub relay: String,
    /// The round, from 0.
    pub round: u32,
    /// How long it was, in seconds.
    pub seconds: f64,
    /// Packets that were sent, in all directions.
    pub sent: u64,
    /// Packets that were due but not sent: the generator could not keep up.
    pub missed: u64,
    /// Packets that arrived at the sinks.
    pub received: u64,
    /// Share of the packets sent that did not arrive.
    pub loss: f64,
    /// Datagrams that the sinks' own sockets dropped.
    pub sink_drops: u64,
    /// Datagrams that the relay's sockets had no room for.
    pub relay_socket_drops: u64,
    /// From the sender's clock to the sink's kernel.
    pub latency_us: Option<LatencyUs>,
    /// CPU time of the relay in the window, in seconds.
    pub relay_cpu_s: f64,
    /// Packets received for each second of the relay's CPU time.
    pub packets_per_cpu_s: f64,
    /// Resident memory of the relay at the end, in KiB.
    pub rss_kib: u64,
    /// Share of all CPUs' time that neither relay nor load used, idle time not included.
    pub foreign: f64,
    /// Share of all CPUs' time that other machines on the same hardware took.
    pub steal: f64,
    /// Foreign CPU was above the limit: the numbers are not to be trusted.
    pub disturbed: bool,
}

impl Window {
    /// Packets sent a second.
    #[must_use]
    pub fn offered_per_s(&self) -> f64 {
        self.sent as f64 / self.seconds
    }
}

/// Measures what the session does at the rate that is set.
pub(super) fn measure(
    session: &mut Session<'_>,
    settings: &Settings,
    length: Duration,
    name: &str,
    round: u32,
) -> Result<Window, PeerError> {
    let drops = |session: &Session<'_>| -> Result<(u64, u64), PeerError> {
        let sinks = session.topology.caller.run(cpu::udp_receive_drops)?
            + session.topology.callee.run(cpu::udp_receive_drops)?;
        Ok((sinks, session.topology.relay.run(cpu::udp_receive_drops)?))
    };
    let drops_before = drops(session)?;
    let relay_process = session.process.id();

    let (number, usage, seconds) = stopwatch(&session.desk, relay_process, length)?;

    relay::pause(LATE_MAX)?;
    session.process.still_runs()?;
    let account = session.desk.account(number);
    let drops_after = drops(session)?;
    let cpus = std::thread::available_parallelism().map_or(1, usize::from) as f64;
    let share = |ns: u64| ns as f64 / 1e9 / (seconds * cpus);
    let relay_cpu_s = usage.relay_ns as f64 / 1e9;
    let foreign = share(usage.foreign_ns());
    Ok(Window {
        relay: name.to_owned(),
        round,
        seconds,
        sent: account.sent,
        missed: account.missed,
        received: account.received,
        loss: account.loss(),
        sink_drops: drops_after.0 - drops_before.0,
        relay_socket_drops: drops_after.1 - drops_before.1,
        latency_us: LatencyUs::of(&account.latency_ns),
        relay_cpu_s,
        packets_per_cpu_s: if relay_cpu_s > 0.0 { account.received as f64 / relay_cpu_s } else { 0.0 },
        rss_kib: cpu::resident_kib(relay_process),
        foreign,
        steal: share(usage.steal_ns),
        disturbed: foreign > settings.foreign_max,
    })
}

/// Opens a window, closes it after `length`, and says its number, the CPU time used and how long it really was. In a thread that
/// goes before everything else: between reading the clocks and opening the window nothing may come in.
fn stopwatch(desk: &Desk, relay_process: u32, length: Duration) -> Result<(u32, Usage, f64), PeerError> {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            // Where that is not allowed, a quiet machine does as well.
            let _ = sys::go_first();
            let usage_before = Usage::now(relay_process);
            let start = Instant::now();
            let number = desk.begin_window();
            let paused = relay::pause(length);
            desk.end_window();
            let usage = Usage::now(relay_process).since(usage_before);
            paused.map(|()| (number, usage, start.elapsed().as_secs_f64()))
        });
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}
