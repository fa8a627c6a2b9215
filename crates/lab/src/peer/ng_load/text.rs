//! The result as plain text.

use std::fmt::Write;

use super::{NgComparison, NgPhase, NgWindow};
use crate::report::LatencyUs;

const HEADING: &str = "daemon       round  phase       pairs/s  CPU us/pair  daemon %  client %  offer p50/p99 us  answer p50/p99 us  \
                       delete p50/p99 us  repeated  RSS KiB  foreign %\n";

/// The windows and the summary of a comparison.
#[must_use]
pub fn ng_comparison_text(comparison: &NgComparison) -> String {
    let settings = &comparison.settings;
    let mut text = format!(
        "{} calls alive, {} in the making, daemon on CPU {}, client on CPU {}\n\n{HEADING}",
        settings.calls, settings.in_flight, settings.relay_cpu, settings.load_cpu
    );
    for window in &comparison.windows {
        text.push_str(&line(window));
    }
    text.push('\n');
    for summary in &comparison.daemons {
        let [low, high] = summary.pairs_per_s_range;
        let _ = writeln!(
            text,
            "{:<12} {:>7.0} pairs/s ({low:.0} to {high:.0}) with a delete each, {:.1} us of CPU a pair; {:.0} pairs/s while filling; \
             offers at {}/s: p50 {:.0} us, p99 {:.0} us; {} KiB{}{}",
            summary.daemon,
            summary.pairs_per_s,
            summary.cpu_us_per_pair,
            summary.filling_pairs_per_s,
            settings.paced_per_s,
            summary.paced_offer_p50_us,
            summary.paced_offer_p99_us,
            summary.rss_kib,
            if summary.client_cpu_max > CLIENT_LIMIT { ", LIMITED BY THE CLIENT" } else { "" },
            match summary.disturbed_windows {
                0 => String::new(),
                windows => format!(", DISTURBED in {windows} windows"),
            },
        );
    }
    if let (Some(ratio), Some(cpu_ratio), [first, second, ..]) =
        (comparison.ratio, comparison.cpu_ratio, &comparison.daemons[..])
    {
        let (first, second) = (&first.daemon, &second.daemon);
        let _ = writeln!(
            text,
            "{first} : {second} = {ratio:.2} in pairs a second, {cpu_ratio:.2} in pairs for a CPU-second"
        );
    }
    text
}

/// A client that uses more of its CPU than this may be what limits the rate.
const CLIENT_LIMIT: f64 = 0.9;

fn line(window: &NgWindow) -> String {
    let latency = |latency: &Option<LatencyUs>| match latency {
        Some(latency) => format!("{:.0}/{:.0}", latency.p50, latency.p99),
        None => "-".to_owned(),
    };
    let phase = match window.phase {
        NgPhase::Filling => "filling",
        NgPhase::FullSpeed => "full speed",
        NgPhase::Paced => "paced",
    };
    format!(
        "{:<12} {:>5}  {:<10} {:>8.0} {:>12.1} {:>9.1} {:>9.1} {:>17} {:>18} {:>18} {:>9} {:>8} {:>10.1}{}\n",
        window.daemon,
        window.round,
        phase,
        window.pairs_per_s,
        window.cpu_us_per_pair,
        window.daemon_cpu * 100.0,
        window.client_cpu * 100.0,
        latency(&window.offer_us),
        latency(&window.answer_us),
        latency(&window.delete_us),
        window.repeated,
        window.rss_kib,
        window.foreign * 100.0,
        if window.disturbed { "  disturbed" } else { "" },
    )
}
