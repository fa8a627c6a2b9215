//! One speed with a number of calls.

use std::time::Duration;

use serde::Serialize;

use super::bed::Bed;
use super::flood::Flood;
use super::window::{await_quiet, measure, once};
use super::{Settings, Speed, Window};
use crate::frames::Batch;
use crate::peer::PeerError;
use crate::search::Search;

/// A rate is too high if more than this share of the packets is lost.
const LOSS_MAX: f64 = 0.001;
/// Or if half of the packets take longer than this, in microseconds.
const P50_MAX_US: f64 = 5_000.0;
/// The generator is the limit if it leaves out more than this share of what is due.
const MISSED_MAX: f64 = 0.02;
/// The first rate that is tried, in packets/s, and how fast rates grow; if the limit is known roughly, they grow slowly.
const FIRST: u32 = 50_000;
const GROWTH: f64 = 2.0;
const GROWTH_NEAR: f64 = 1.12;
/// A relay that cannot do this is not searched further, in packets/s.
const LEAST: u32 = 1_000;
/// No veth pair does more, in packets/s.
const MOST: u32 = 20_000_000;
/// At a new rate, before it is measured.
const RAMP: Duration = Duration::from_millis(100);
/// Between two rates, for queues to drain.
const PAUSE: Duration = Duration::from_millis(200);
/// How long it is looked at then, whether it is itself again.
const LOOK: Duration = Duration::from_millis(100);
/// A fresh relay has to touch its memory once.
const WARM_UP: Duration = Duration::from_millis(500);

/// The highest rate that was forwarded.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Maximum {
    /// In packets/s over all streams, as sent; 0 if none was.
    pub packets_per_s: u32,
    /// The load's CPU was the limit: it could not make, and do what the kernel does for the relay with, more packets.
    pub load_limited: bool,
    /// A higher rate failed while others used too much CPU.
    pub disturbed: bool,
}

/// What was measured of one speed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Trial {
    /// The speed's name.
    pub speed: String,
    /// The round, from 0.
    pub round: u32,
    /// Calls, with two directions each.
    pub calls: u32,
    /// Seconds until all calls were set up, one after the other.
    pub set_up_s: f64,
    /// Memory of the process before its first call, in KiB.
    pub empty_rss_kib: u64,
    /// Memory that a call takes before its first packet, in KiB.
    pub kib_per_call: f64,
    /// The highest rate.
    pub maximum: Maximum,
    /// At the highest rate, if there is one.
    pub at_maximum: Option<Load>,
    /// At half of it.
    pub at_half: Option<Load>,
    /// At the same light load for all, if that is not more than the highest rate.
    pub at_light: Option<Load>,
    /// The rates that were tried for the maximum.
    pub steps: Vec<Step>,
}

/// A load, and what it costs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Load {
    /// With the relay.
    pub window: Window,
    /// CPU time of the relay's tasks for a packet, in nanoseconds.
    pub relay_ns: f64,
    /// CPU time of the whole machine for a packet, less generator and sinks, in nanoseconds.
    pub machine_ns: f64,
    /// CPU time that generator and sinks take for a packet at this rate, in nanoseconds.
    pub harness_ns: f64,
    /// Others used too much CPU.
    pub disturbed: bool,
}

/// One rate on the way to the maximum.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Step {
    /// In packets/s over all streams.
    pub packets_per_s: u32,
    /// Packets sent.
    pub sent: u64,
    /// Packets due but left out.
    pub missed: u64,
    /// Share of the packets sent that did not arrive.
    pub loss: f64,
    /// Latency that half of the packets did not exceed, in microseconds.
    pub p50_us: f64,
    /// Whether it was forwarded: loss at most 0.1 %, half of the packets within 5 ms.
    pub forwarded: bool,
    /// Others used too much CPU.
    pub disturbed: bool,
}

/// Tries a speed; `near` is about where its maximum is expected.
pub(super) fn run(
    speed: &Speed,
    bed: &Bed,
    settings: &Settings,
    calls: u32,
    round: u32,
    near: Option<u32>,
    mut progress: impl FnMut(&Window),
) -> Result<Trial, PeerError> {
    let mut trying = Trying { speed, bed, settings, calls, flood: None };
    let flood = trying.flood()?;
    let (set_up, [empty_kib, idle_kib]) = (flood.set_up, flood.rss_kib);
    let (maximum, steps) = trying.search(near, &mut progress)?;

    let mut windows = Vec::new();
    let light = settings.light_packets_per_s;
    for (purpose, rate) in [("maximum", maximum.packets_per_s), ("half", maximum.packets_per_s / 2), ("light", light)] {
        if rate > 0 && rate <= maximum.packets_per_s {
            let label = (&*speed.name, purpose, rate);
            windows.push(measure(trying.flood_at(rate, purpose)?, settings, label, settings.window, &mut progress)?);
        }
    }
    drop(trying);
    let mut loads = loads(windows, bed, settings, calls)?.into_iter().peekable();
    let mut take = |purpose| loads.next_if(|load| load.window.purpose == purpose);
    Ok(Trial {
        speed: speed.name.clone(),
        round,
        calls,
        set_up_s: set_up.as_secs_f64(),
        empty_rss_kib: empty_kib,
        kib_per_call: idle_kib.saturating_sub(empty_kib) as f64 / f64::from(calls.max(1)),
        at_maximum: take("maximum"),
        at_half: take("half"),
        at_light: take("light"),
        maximum,
        steps,
    })
}

/// A speed with its relay, which is sometimes a fresh one.
struct Trying<'a> {
    speed: &'a Speed,
    bed: &'a Bed,
    settings: &'a Settings,
    calls: u32,
    flood: Option<Flood>,
}

impl Trying<'_> {
    fn flood(&mut self) -> Result<&mut Flood, PeerError> {
        let flood = match self.flood.take() {
            Some(flood) => flood,
            None => {
                let mut flood = Flood::through(self.speed, self.bed, self.settings, self.calls)?;
                flood.run_at(LEAST, WARM_UP)?;
                flood
            }
        };
        Ok(self.flood.insert(flood))
    }

    /// After queues have drained, at a rate.
    fn flood_at(&mut self, packets_per_s: u32, purpose: &str) -> Result<&mut Flood, PeerError> {
        let flood = self.flood()?;
        flood.run_at(0, PAUSE)?;
        flood.set_batch(batch_for(purpose, packets_per_s))?;
        flood.run_at(packets_per_s, RAMP)?;
        Ok(flood)
    }

    /// Looks whether the relay is itself again after a rate that was too high. Some never are: then the next rate gets a fresh one.
    fn recover(&mut self) -> Result<(), PeerError> {
        let (settings, name) = (self.settings, &*self.speed.name);
        let window = once(self.flood_at(LEAST, "recovery")?, settings, (name, "recovery", LEAST), LOOK)?;
        if window.received != window.sent || !is_forwarded(&window) {
            self.flood = None;
        }
        Ok(())
    }

    fn search(
        &mut self,
        near: Option<u32>,
        progress: &mut dyn FnMut(&Window),
    ) -> Result<(Maximum, Vec<Step>), PeerError> {
        let growth = if near.is_some() { GROWTH_NEAR } else { GROWTH };
        let first = near.map_or(FIRST, |near| near.max(LEAST));
        let mut search = Search { least: LEAST, growth, ..Search::from(first, MOST) };
        let mut maximum = Maximum { packets_per_s: 0, load_limited: false, disturbed: false };
        let mut steps = Vec::new();
        let (settings, name) = (self.settings, &*self.speed.name);
        while let Some(rate) = search.next() {
            let mut tries = 0;
            let (good, limited, window) = loop {
                let window = once(self.flood_at(rate, "search")?, settings, (name, "search", rate), settings.window)?;
                progress(&window);
                let good = is_forwarded(&window);
                let limited = window.missed as f64 > window.sent as f64 * MISSED_MAX;
                steps.push(Step::of(&window, good));
                if !good {
                    self.recover()?;
                }
                // What others do can only make a rate look worse than it is.
                let doubtful = limited || (!good && window.disturbed);
                if !doubtful || tries == settings.retries {
                    break (good, limited, window);
                }
                tries += 1;
                if window.disturbed {
                    await_quiet(self.flood.as_ref().and_then(|flood| flood.process.as_ref()), settings)?;
                }
            };
            maximum.disturbed |= window.disturbed && (limited || !good);
            if good && limited {
                // Asking for more would not make more.
                maximum.load_limited = true;
                search.good = search.good.max(window.sent_per_s() as u32);
                break;
            }
            search.tried(rate, good);
        }
        maximum.packets_per_s = search.good;
        Ok((maximum, steps))
    }
}

impl Step {
    fn of(window: &Window, forwarded: bool) -> Self {
        Self {
            packets_per_s: window.wanted_per_s,
            sent: window.sent,
            missed: window.missed,
            loss: window.loss,
            p50_us: window.latency_us(0.5),
            forwarded,
            disturbed: window.disturbed,
        }
    }
}

/// Large batches are for high rates, but not where latencies are what is looked at.
fn batch_for(purpose: &str, packets_per_s: u32) -> Batch {
    const HIGH: u32 = 500_000;
    let is_for_latency = ["half", "light"].contains(&purpose);
    if is_for_latency || packets_per_s < HIGH { Batch::Small } else { Batch::Large }
}

fn is_forwarded(window: &Window) -> bool {
    window.received > 0 && window.loss <= LOSS_MAX && window.latency_us(0.5) <= P50_MAX_US
}

/// Packets a second that go from the generator to sinks where the relay would be.
pub(super) fn generator_alone(bed: &Bed, settings: &Settings) -> Result<f64, PeerError> {
    let calls = settings.calls.iter().copied().max().unwrap_or(1);
    let mut flood = Flood::without_relay(bed, settings, calls)?;
    flood.set_batch(Batch::Large)?;
    flood.run_at(MOST, RAMP)?;
    let window = measure(&mut flood, settings, ("none", "generator", MOST), settings.window, |_| ())?;
    Ok(window.received as f64 / window.seconds)
}

/// Adds to windows what generator and sinks cost at the same rates.
fn loads(windows: Vec<Window>, bed: &Bed, settings: &Settings, calls: u32) -> Result<Vec<Load>, PeerError> {
    let mut flood = Flood::without_relay(bed, settings, calls)?;
    flood.run_at(0, PAUSE)?;
    let length = settings.window / 2;
    let with_harness = |window: Window| {
        flood.set_batch(batch_for(window.purpose, window.wanted_per_s))?;
        flood.run_at(window.wanted_per_s, RAMP)?;
        let label = ("none", window.purpose, window.wanted_per_s);
        let harness = measure(&mut flood, settings, label, length, |_| ())?;
        let harness_ns = harness.all_ns();
        Ok(Load {
            relay_ns: window.relay_ns(),
            machine_ns: (window.all_ns() - harness_ns).max(0.0),
            harness_ns,
            disturbed: window.disturbed || harness.disturbed,
            window,
        })
    };
    windows.into_iter().map(with_harness).collect()
}
