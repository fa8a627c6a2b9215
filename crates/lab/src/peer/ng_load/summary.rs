//! All rounds of all daemons.

use serde::Serialize;

use super::{NgDaemon, NgLoadSettings, NgPhase, NgWindow};
use crate::peer::compare::median;

/// Daemons under the same load, round by round.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NgComparison {
    /// The load.
    pub settings: NgLoadSettings,
    /// All windows that counted, in the order in which they were measured.
    pub windows: Vec<NgWindow>,
    /// A summary for each daemon, in the order given.
    pub daemons: Vec<NgSummary>,
    /// Pairs a second at full speed of the first daemon, divided by those of the second: the median of the rounds' ratios. `None`
    /// with fewer than two daemons.
    pub ratio: Option<f64>,
    /// The same for pairs for a second of CPU time.
    pub cpu_ratio: Option<f64>,
}

/// One daemon over all rounds; medians of its windows.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NgSummary {
    /// Its name.
    pub daemon: String,
    /// Pairs a second while calls are set up and none ends.
    pub filling_pairs_per_s: f64,
    /// Pairs a second at full speed, with a delete for each.
    pub pairs_per_s: f64,
    /// The lowest and the highest of these.
    pub pairs_per_s_range: [f64; 2],
    /// CPU time for a pair and a delete at full speed, in microseconds.
    pub cpu_us_per_pair: f64,
    /// Median time to the reply to an offer at the fixed rate, in microseconds.
    pub paced_offer_p50_us: f64,
    /// The 99th percentile.
    pub paced_offer_p99_us: f64,
    /// The largest resident memory at a window's end, in KiB.
    pub rss_kib: u64,
    /// The largest share of its CPU that the client used at full speed.
    pub client_cpu_max: f64,
    /// Windows in which others used too much CPU, though they were repeated.
    pub disturbed_windows: u64,
}

impl NgComparison {
    pub(super) fn new(daemons: &[NgDaemon], settings: &NgLoadSettings, windows: Vec<NgWindow>) -> Self {
        let ratio = |value: fn(&NgWindow) -> f64| {
            let [first, second, ..] = daemons else { return None };
            let of = |daemon: &NgDaemon| -> Vec<f64> { full_speed(&windows, &daemon.name).map(value).collect() };
            let ratios: Vec<f64> = of(first).into_iter().zip(of(second)).map(|(a, b)| a / b).collect();
            let ratios: Vec<f64> = ratios.into_iter().filter(|ratio| ratio.is_finite()).collect();
            (!ratios.is_empty()).then(|| median(ratios.into_iter()))
        };
        Self {
            settings: settings.clone(),
            daemons: daemons.iter().map(|daemon| NgSummary::of(&daemon.name, &windows)).collect(),
            ratio: ratio(|window| window.pairs_per_s),
            cpu_ratio: ratio(|window| 1.0 / window.cpu_us_per_pair),
            windows,
        }
    }
}

impl NgSummary {
    fn of(daemon: &str, windows: &[NgWindow]) -> Self {
        let own = |phase| windows.iter().filter(move |window| window.daemon == daemon && window.phase == phase);
        let fastest = || full_speed(windows, daemon).map(|window| window.pairs_per_s);
        let paced = |pick: fn(&crate::report::LatencyUs) -> f64| {
            median(own(NgPhase::Paced).filter_map(|window| window.offer_us.as_ref().map(pick)))
        };
        Self {
            daemon: daemon.to_owned(),
            filling_pairs_per_s: median(own(NgPhase::Filling).map(|window| window.pairs_per_s)),
            pairs_per_s: median(fastest()),
            pairs_per_s_range: [fastest().fold(f64::MAX, f64::min), fastest().fold(0.0, f64::max)],
            cpu_us_per_pair: median(full_speed(windows, daemon).map(|window| window.cpu_us_per_pair)),
            paced_offer_p50_us: paced(|latency| latency.p50),
            paced_offer_p99_us: paced(|latency| latency.p99),
            rss_kib: windows.iter().filter(|w| w.daemon == daemon).map(|w| w.rss_kib).max().unwrap_or(0),
            client_cpu_max: full_speed(windows, daemon).map(|window| window.client_cpu).fold(0.0, f64::max),
            disturbed_windows: windows.iter().filter(|w| w.daemon == daemon && w.disturbed).count() as u64,
        }
    }
}

fn full_speed<'a>(windows: &'a [NgWindow], daemon: &'a str) -> impl Iterator<Item = &'a NgWindow> {
    windows.iter().filter(move |window| window.daemon == daemon && window.phase == NgPhase::FullSpeed)
}
