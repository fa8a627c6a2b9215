//! Twice the maximum, and what is left of it a second later.

use std::time::Duration;

use serde::Serialize;

use super::maximum::maximum_in;
use super::session::Session;
use super::window::measure;
use super::{PeerError, Relay, Settings, Step, Topology, Window, cpu};

/// How long after the overload the relay must be itself again.
const RECOVERY: Duration = Duration::from_secs(1);
/// Memory may differ by this much and still be flat, in KiB.
const RSS_SLACK_KIB: u64 = 1_024;

/// How a relay takes an overload.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Overload {
    /// The relay's name.
    pub relay: String,
    /// The load.
    pub settings: Settings,
    /// The highest rate it forwards, in packets/s a direction; given or searched before.
    pub maximum_packets_per_s: u32,
    /// What was really offered, in multiples of the highest rate: less than 2 where the generator could not send more.
    pub offered_times_maximum: f64,
    /// At twice that rate.
    pub during: Window,
    /// At the settings' rate, from one second after the overload on.
    pub after: Window,
    /// Memory before, at the end of the overload, and at the end, in KiB.
    pub rss_kib: [u64; 3],
    /// Half of the packets that were forwarded during the overload took at most 5 ms.
    pub latency_held: bool,
    /// Nothing was lost after it.
    pub recovered: bool,
    /// Memory did not grow.
    pub memory_flat: bool,
}

/// Overloads a relay for `length`. `maximum` is its highest rate in packets/s a direction; without it, it is searched first.
///
/// # Errors
/// The relay could not be started, refused a call, or died.
pub fn overload(
    relay: &dyn Relay,
    settings: &Settings,
    length: Duration,
    maximum: Option<u32>,
    progress: impl FnMut(&Step),
) -> Result<Overload, PeerError> {
    let topology = Topology::create()?;
    let maximum = match maximum {
        Some(maximum) => maximum,
        None => maximum_in(relay, settings, &topology, progress)?.packets_per_s,
    };
    let mut session = Session::start(relay, &topology, settings)?;
    session.run_at(settings.packets_per_s, settings.warmup)?;
    let before_kib = cpu::resident_kib(session.process.id());

    session.desk.set_packets_per_s(maximum.saturating_mul(2));
    let during = measure(&mut session, settings, length, relay.name(), 0)?;
    session.run_at(0, RECOVERY)?;
    session.desk.set_packets_per_s(settings.packets_per_s);
    let after = measure(&mut session, settings, settings.window, relay.name(), 1)?;
    let maximum_total = f64::from(maximum) * 2.0 * f64::from(settings.calls);
    Ok(Overload {
        offered_times_maximum: during.offered_per_s() / maximum_total.max(1.0),
        relay: relay.name().to_owned(),
        settings: settings.clone(),
        maximum_packets_per_s: maximum,
        rss_kib: [before_kib, during.rss_kib, after.rss_kib],
        latency_held: during.latency_us.is_some_and(|latency| latency.p50 <= 5_000.0),
        recovered: after.loss == 0.0,
        memory_flat: during.rss_kib.max(after.rss_kib) <= before_kib + RSS_SLACK_KIB,
        during,
        after,
    })
}
