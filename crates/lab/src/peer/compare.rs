//! Packets for a CPU-second, relay against relay.

use serde::Serialize;

use super::session::Session;
use super::window::measure;
use super::{PeerError, Relay, Settings, Topology, Window};

/// Relays under the same load, round by round.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// The load.
    pub settings: Settings,
    /// All windows that counted, in the order in which they were measured.
    pub windows: Vec<Window>,
    /// A summary for each relay, in the order given.
    pub relays: Vec<RelaySummary>,
    /// Packets for a CPU-second of the first relay, divided by those of the second: the median of the rounds' ratios. `None` with
    /// fewer than two relays.
    pub ratio: Option<f64>,
}

/// One relay over all rounds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RelaySummary {
    /// Its name.
    pub relay: String,
    /// The median of its windows.
    pub packets_per_cpu_s: f64,
    /// The lowest and the highest of its windows.
    pub packets_per_cpu_s_range: [f64; 2],
    /// Share of all packets of all windows that did not arrive.
    pub loss: f64,
    /// The median of the windows' median latencies.
    pub latency_p50_us: f64,
    /// The median of the windows' 99th percentiles.
    pub latency_p99_us: f64,
    /// The largest resident memory at a window's end, in KiB.
    pub rss_kib: u64,
    /// Memory that a call takes before its first packet, in KiB.
    pub kib_per_call: f64,
    /// Windows in which others used too much CPU, though they were repeated.
    pub disturbed_windows: u64,
}

/// Measures each relay in each round, one after the other; `progress` is called with each window, those that do not count included.
///
/// # Errors
/// A relay could not be started, refused a call, or died.
pub fn compare(
    relays: &[&dyn Relay],
    settings: &Settings,
    mut progress: impl FnMut(&Window),
) -> Result<Comparison, PeerError> {
    let topology = Topology::create()?;
    let mut windows: Vec<Window> = Vec::new();
    let mut kib_per_call = vec![Vec::new(); relays.len()];
    for round in 0..settings.rounds {
        for (index, relay) in relays.iter().enumerate() {
            let mut session = Session::start(*relay, &topology, settings)?;
            let kib = session.idle_rss_kib.saturating_sub(session.empty_rss_kib);
            kib_per_call[index].push(kib as f64 / f64::from(settings.calls.max(1)));
            session.run_at(settings.packets_per_s, settings.warmup)?;
            let mut tries = 0;
            let window = loop {
                let window = measure(&mut session, settings, settings.window, relay.name(), round)?;
                progress(&window);
                if !window.disturbed || tries == settings.retries {
                    break window;
                }
                tries += 1;
            };
            windows.push(window);
        }
    }
    let summaries =
        relays.iter().zip(&kib_per_call).map(|(relay, kib)| RelaySummary::of(relay.name(), &windows, kib)).collect();
    Ok(Comparison { settings: settings.clone(), relays: summaries, ratio: ratio(relays, &windows), windows })
}

impl RelaySummary {
    fn of(relay: &str, windows: &[Window], kib_per_call: &[f64]) -> Self {
        let own = || windows.iter().filter(|window| window.relay == relay);
        let latency = |pick: fn(&crate::report::LatencyUs) -> f64| {
            median(own().filter_map(|window| window.latency_us.as_ref().map(pick)))
        };
        let efficiency = || own().map(|window| window.packets_per_cpu_s);
        let (sent, received) =
            own().fold((0, 0), |(sent, received), window| (sent + window.sent, received + window.received));
        Self {
            relay: relay.to_owned(),
            packets_per_cpu_s: median(efficiency()),
            packets_per_cpu_s_range: [efficiency().fold(f64::MAX, f64::min), efficiency().fold(0.0, f64::max)],
            loss: if sent == 0 { 0.0 } else { sent.saturating_sub(received) as f64 / sent as f64 },
            latency_p50_us: latency(|latency| latency.p50),
            latency_p99_us: latency(|latency| latency.p99),
            rss_kib: own().map(|window| window.rss_kib).max().unwrap_or(0),
            kib_per_call: median(kib_per_call.iter().copied()),
            disturbed_windows: own().filter(|window| window.disturbed).count() as u64,
        }
    }
}

/// The median of the ratios of the first relay to the second in the same round.
fn ratio(relays: &[&dyn Relay], windows: &[Window]) -> Option<f64> {
    let [first, second, ..] = relays else { return None };
    let of = |relay: &dyn Relay| {
        let own: Vec<f64> = windows
            .iter()
            .filter(|window| window.relay == relay.name())
            .map(|window| window.packets_per_cpu_s)
            .collect();
        own
    };
    let ratios: Vec<f64> =
        of(*first).into_iter().zip(of(*second)).filter(|(_, second)| *second > 0.0).map(|(a, b)| a / b).collect();
    (!ratios.is_empty()).then(|| median(ratios.into_iter()))
}

/// The median; 0 of nothing.
pub(crate) fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => 0.0,
        len if len % 2 == 1 => values[len / 2],
        len => f64::midpoint(values[len / 2 - 1], values[len / 2]),
    }
}

#[cfg(test)]
mod tests {
    use super::median;

    #[test]
    fn medians() {
        assert_eq!(median([3.0, 1.0, 2.0].into_iter()), 2.0);
        assert_eq!(median([4.0, 1.0, 2.0, 3.0].into_iter()), 2.5);
        assert_eq!(median(std::iter::empty()), 0.0);
    }
}
