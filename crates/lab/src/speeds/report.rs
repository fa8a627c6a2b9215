//! Trials summed up.

use serde::Serialize;

use super::{Load, Machine, Settings, Speed, Trial, Unavailable};
use crate::peer::compare::median;

/// Everything that a run has shown.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// Where it ran.
    pub machine: Machine,
    /// The load.
    pub settings: Settings,
    /// The speed that all ratios are to.
    pub reference: String,
    /// What the generator and the sinks do without a relay between them, in packets/s: no speed can be measured that is faster.
    pub generator_packets_per_s: f64,
    /// A summary of each speed with each number of calls, in the order given.
    pub summaries: Vec<Summary>,
    /// Speeds that could not be had, and why.
    pub unavailable: Vec<Unavailable>,
    /// All trials, in the order in which they ran.
    pub trials: Vec<Trial>,
}

/// The median of the rounds, and what it lies between.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Range {
    /// The median.
    pub median: f64,
    /// The lowest.
    pub least: f64,
    /// The highest.
    pub most: f64,
}

impl Range {
    /// `None` of nothing.
    #[must_use]
    pub fn of(values: impl Iterator<Item = f64> + Clone) -> Option<Self> {
        let least = values.clone().min_by(f64::total_cmp)?;
        let most = values.clone().max_by(f64::total_cmp)?;
        Some(Self { median: median(values), least, most })
    }
}

/// Latencies in microseconds that 50, 99 and 99.9 % of the packets did not exceed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Latencies {
    /// Half of the packets.
    pub p50_us: Range,
    /// 99 %.
    pub p99_us: Range,
    /// 99.9 %.
    pub p999_us: Range,
}

/// A load over all rounds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct LoadSummary {
    /// CPU time of the relay's tasks for a packet, in nanoseconds.
    pub relay_ns: Range,
    /// CPU time of the whole machine for a packet, less generator and sinks, in nanoseconds.
    pub machine_ns: Range,
    /// Shares of the reference's CPU time of the whole machine, round by round.
    pub machine_ratio: Option<Range>,
    /// Latencies.
    pub latencies: Latencies,
}

/// One speed with one number of calls, over all rounds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary {
    /// The speed's name.
    pub speed: String,
    /// Calls.
    pub calls: u32,
    /// Trials.
    pub rounds: usize,
    /// The highest rate, in packets/s over all streams.
    pub packets_per_s: Range,
    /// How many times the reference's, round by round.
    pub ratio: Option<Range>,
    /// Rounds in which the load's CPU was the limit.
    pub load_limited: usize,
    /// At the highest rate.
    pub at_maximum: Option<LoadSummary>,
    /// At half of it.
    pub at_half: Option<LoadSummary>,
    /// At the light load that is the same for all.
    pub at_light: Option<LoadSummary>,
    /// Memory of the process before its first call, in KiB.
    pub empty_rss_kib: Range,
    /// Memory that a call takes before its first packet, in KiB.
    pub kib_per_call: Range,
    /// Calls set up a second, one after the other.
    pub set_up_per_s: Range,
    /// Rounds in which others used too much CPU, though windows were repeated.
    pub disturbed: usize,
}

/// Sums up. The first speed is the reference of all ratios.
#[must_use]
pub fn report(
    speeds: &[Speed],
    settings: &Settings,
    generator_packets_per_s: f64,
    trials: Vec<Trial>,
    unavailable: Vec<Unavailable>,
) -> Report {
    let reference = speeds.first().map(|speed| &*speed.name);
    let summaries = settings.calls.iter().flat_map(|&calls| {
        let trials = &trials;
        speeds.iter().filter_map(move |speed| Summary::of(&speed.name, calls, reference, trials))
    });
    let summaries = summaries.collect();
    let (machine, settings) = (Machine::this(speeds), settings.clone());
    let reference = reference.unwrap_or_default().to_owned();
    Report { machine, settings, reference, generator_packets_per_s, summaries, unavailable, trials }
}

impl Summary {
    fn of(speed: &str, calls: u32, reference: Option<&str>, trials: &[Trial]) -> Option<Self> {
        let of = |name: &str, round: Option<u32>| {
            let name = name.to_owned();
            trials.iter().filter(move |trial| {
                trial.speed == name && trial.calls == calls && round.is_none_or(|round| trial.round == round)
            })
        };
        let own: Vec<&Trial> = of(speed, None).collect();
        // Each trial beside the reference's of the same round.
        let pairs: Vec<(&Trial, &Trial)> = match reference {
            Some(name) if name != speed => {
                own.iter().filter_map(|&trial| Some((trial, of(name, Some(trial.round)).next()?))).collect()
            }
            _ => Vec::new(),
        };
        let range = |value: fn(&Trial) -> f64| Range::of(own.iter().map(|trial| value(trial)));
        let load = |pick: fn(&Trial) -> Option<&Load>| LoadSummary::of(&own, &pairs, pick);
        let disturbed = |trial: &&&Trial| {
            let loads = [&trial.at_maximum, &trial.at_half, &trial.at_light];
            trial.maximum.disturbed || loads.into_iter().flatten().any(|load| load.disturbed)
        };
        let rate = |trial: &Trial| f64::from(trial.maximum.packets_per_s);
        Some(Self {
            speed: speed.to_owned(),
            calls,
            rounds: own.len(),
            packets_per_s: range(|trial| f64::from(trial.maximum.packets_per_s))?,
            ratio: Range::of(pairs.iter().filter(|pair| rate(pair.1) > 0.0).map(|pair| rate(pair.0) / rate(pair.1))),
            load_limited: own.iter().filter(|trial| trial.maximum.load_limited).count(),
            at_maximum: load(|trial| trial.at_maximum.as_ref()),
            at_half: load(|trial| trial.at_half.as_ref()),
            at_light: load(|trial| trial.at_light.as_ref()),
            empty_rss_kib: range(|trial| trial.empty_rss_kib as f64)?,
            kib_per_call: range(|trial| trial.kib_per_call)?,
            set_up_per_s: range(|trial| f64::from(trial.calls) / trial.set_up_s.max(1e-9))?,
            disturbed: own.iter().filter(disturbed).count(),
        })
    }
}

impl LoadSummary {
    fn of(own: &[&Trial], pairs: &[(&Trial, &Trial)], pick: fn(&Trial) -> Option<&Load>) -> Option<Self> {
        let range = |value: &dyn Fn(&Load) -> f64| Range::of(own.iter().filter_map(|trial| pick(trial)).map(value));
        let ratios = pairs.iter().filter_map(|pair| Some((pick(pair.0)?.machine_ns, pick(pair.1)?.machine_ns)));
        Some(Self {
            relay_ns: range(&|load| load.relay_ns)?,
            machine_ns: range(&|load| load.machine_ns)?,
            machine_ratio: Range::of(ratios.filter(|pair| pair.1 > 0.0).map(|(own, reference)| own / reference)),
            latencies: Latencies {
                p50_us: range(&|load| load.window.latency_us(0.5))?,
                p99_us: range(&|load| load.window.latency_us(0.99))?,
                p999_us: range(&|load| load.window.latency_us(0.999))?,
            },
        })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::frames::Histogram;
    use crate::speeds::{Maximum, Window};

    /// A trial that could have been; for the texts and pictures made of it.
    pub(in crate::speeds) fn trial(speed: &str, round: u32, calls: u32, packets_per_s: u32) -> Trial {
        let window = |purpose, wanted_per_s| Window {
            speed: speed.to_owned(),
            purpose,
            wanted_per_s,
            seconds: 1.0,
            sent: u64::from(wanted_per_s),
            missed: 0,
            received: u64::from(wanted_per_s),
            loss: 0.0,
            late: 0,
            strange: 0,
            latency: Histogram::of([1_000, 2_000, 900_000]),
            relay_cpu_ns: 900_000_000,
            load_cpu_ns: 1_000_000_000,
            rss_kib: 1_000,
            foreign: 0.01,
            steal: 0.0,
            disturbed: false,
        };
        let load = |purpose, wanted_per_s| Load {
            relay_ns: 9e8 / f64::from(wanted_per_s),
            machine_ns: 1e9 / f64::from(wanted_per_s),
            harness_ns: 100.0,
            disturbed: false,
            window: window(purpose, wanted_per_s),
        };
        Trial {
            speed: speed.to_owned(),
            round,
            calls,
            set_up_s: 2.0,
            empty_rss_kib: 10_240,
            kib_per_call: 8.0,
            maximum: Maximum { packets_per_s, load_limited: speed == "xdp", disturbed: false },
            at_maximum: Some(load("maximum", packets_per_s)),
            at_half: Some(load("half", packets_per_s / 2)),
            at_light: None,
            steps: Vec::new(),
        }
    }

    /// Two speeds in two rounds, one of them twice and thrice as fast as the other, and one that cannot be had.
    pub(in crate::speeds) fn example(calls: &[u32]) -> Report {
        let settings = Settings {
            calls: calls.to_vec(),
            callee_suite: None,
            rounds: 2,
            window: std::time::Duration::from_secs(1),
            light_packets_per_s: 50_000,
            foreign_max: 0.03,
            retries: 0,
            patience: std::time::Duration::ZERO,
            relay_cpu: 0,
            load_cpu: 1,
        };
        let speeds: Vec<Speed> = ["rtpengine", "xdp", "steered"].iter().filter_map(|name| name.parse().ok()).collect();
        let trials = calls.iter().flat_map(|&calls| {
            [("rtpengine", 0, 100), ("xdp", 0, 200), ("rtpengine", 1, 110), ("xdp", 1, 330)]
                .map(|(speed, round, rate)| trial(speed, round, calls, rate * 1_000))
        });
        let steered = Unavailable { speed: "steered".to_owned(), calls: None, reason: "no <such> thing".to_owned() };
        report(&speeds, &settings, 1e6, trials.collect(), vec![steered])
    }

    #[test]
    fn ratios_are_those_of_the_same_round() {
        let report = example(&[500]);
        let [rtpengine, xdp] = &report.summaries[..] else { panic!("{:?}", report.summaries) };
        assert_eq!((rtpengine.ratio, rtpengine.rounds, rtpengine.load_limited), (None, 2, 0));
        assert_eq!(xdp.ratio, Some(Range { median: 2.5, least: 2.0, most: 3.0 }));
        assert_eq!(xdp.packets_per_s, Range { median: 265_000.0, least: 200_000.0, most: 330_000.0 });
        assert_eq!(xdp.load_limited, 2);
        let at_maximum = xdp.at_maximum.as_ref().expect("it was measured");
        assert!(at_maximum.machine_ratio.is_some_and(|ratio| (ratio.most - 0.5).abs() < 1e-9), "{at_maximum:?}");
        assert!(at_maximum.latencies.p50_us.median < at_maximum.latencies.p999_us.median);
        assert_eq!(xdp.set_up_per_s.median, 250.0);
        assert!(xdp.at_light.is_none());
    }
}
