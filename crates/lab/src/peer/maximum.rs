//! The highest rate that a relay forwards: bisection.

use std::time::Duration;

use serde::Serialize;

use super::session::Session;
use super::window::measure;
use super::{PeerError, Relay, Settings, Topology, Window};
use crate::search::Search;

/// A rate is too high if more than this share of the packets is lost.
const LOSS_MAX: f64 = 0.001;
/// Or if half of the packets take longer than this, in microseconds.
const P50_MAX_US: f64 = 5_000.0;
/// The generator is the limit if it leaves out more than this share of what is due.
const MISSED_MAX: f64 = 0.02;
/// Rates above this are not tried, in packets/s a direction: one every 50 us is no telephone any more.
const RATE_MAX: u32 = 20_000;
/// At a new rate, before it is measured.
const RAMP: Duration = Duration::from_millis(500);
/// Between two rates, for queues to drain.
const PAUSE: Duration = Duration::from_secs(1);

/// The highest rate that was forwarded.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Maximum {
    /// The relay's name.
    pub relay: String,
    /// The load, but for the rate.
    pub settings: Settings,
    /// The highest rate that was forwarded, in packets/s a direction of a call.
    pub packets_per_s: u32,
    /// Packets/s in all directions of all calls at that rate, as sent.
    pub total_packets_per_s: f64,
    /// The generator could not send more: the relay's limit is higher than this.
    pub generator_limited: bool,
    /// A higher rate failed while others used too much CPU: the relay's limit may be higher than this.
    pub disturbed: bool,
    /// All rates that were tried, in that order.
    pub steps: Vec<Step>,
}

/// One rate that was tried.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Step {
    /// In packets/s a direction of a call.
    pub packets_per_s: u32,
    /// What was measured.
    pub window: Window,
    /// Whether the relay forwarded it: loss at most 0.1 %, half of the packets within 5 ms.
    pub forwarded: bool,
    /// Whether the generator sent it.
    pub generated: bool,
}

/// Searches the highest rate: doubles it until it is too high, then halves the interval.
///
/// # Errors
/// The relay could not be started, refused a call, or died.
pub fn maximum(relay: &dyn Relay, settings: &Settings, progress: impl FnMut(&Step)) -> Result<Maximum, PeerError> {
    let topology = Topology::create()?;
    maximum_in(relay, settings, &topology, progress)
}

pub(super) fn maximum_in(
    relay: &dyn Relay,
    settings: &Settings,
    topology: &Topology,
    mut progress: impl FnMut(&Step),
) -> Result<Maximum, PeerError> {
    let warm = || -> Result<Session<'_>, PeerError> {
        let mut session = Session::start(relay, topology, settings)?;
        session.run_at(settings.packets_per_s, settings.warmup)?;
        Ok(session)
    };
    let mut session = warm()?;
    let mut steps: Vec<Step> = Vec::new();
    let mut search = Search::from(settings.packets_per_s, RATE_MAX);
    while let Some(packets_per_s) = search.next() {
        let mut tries = 0;
        let good = loop {
            session.run_at(0, PAUSE)?;
            session.run_at(packets_per_s, RAMP)?;
            let window = measure(&mut session, settings, settings.window, relay.name(), steps.len() as u32)?;
            let step = Step::of(packets_per_s, window);
            progress(&step);
            let good = step.forwarded && step.generated;
            if !good {
                // Some relays never recover from a rate that was too high: the next rate gets a fresh one.
                drop(session);
                session = warm()?;
            }
            // What others do can only make a rate look worse than it is.
            let again = !good && step.window.disturbed && tries < settings.retries;
            steps.push(step);
            if !again {
                break good;
            }
            tries += 1;
        };
        search.tried(packets_per_s, good);
    }
    let best = steps.iter().filter(|step| step.forwarded && step.generated).max_by_key(|step| step.packets_per_s);
    let worse = steps.iter().filter(|step| step.packets_per_s > search.good);
    Ok(Maximum {
        relay: relay.name().to_owned(),
        settings: settings.clone(),
        packets_per_s: search.good,
        total_packets_per_s: best.map_or(0.0, |step| step.window.offered_per_s()),
        // No higher rate failed because of the relay.
        generator_limited: worse.clone().next().is_some() && worse.clone().all(|step| !step.generated),
        disturbed: worse.clone().any(|step| step.window.disturbed),
        steps,
    })
}

impl Step {
    fn of(packets_per_s: u32, window: Window) -> Self {
        let quick = window.latency_us.is_some_and(|latency| latency.p50 <= P50_MAX_US);
        Self {
            packets_per_s,
            forwarded: window.loss <= LOSS_MAX && quick,
            generated: window.missed as f64 <= window.sent as f64 * MISSED_MAX,
            window,
        }
    }
}
