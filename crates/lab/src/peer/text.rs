//! Results as plain text.

use std::fmt::Write;

use super::{Comparison, Maximum, Overload, Settings, Window};

/// The windows and the summary of a comparison.
#[must_use]
pub fn comparison_text(comparison: &Comparison) -> String {
    let mut text = load(&comparison.settings);
    text.push_str(HEADING);
    for window in &comparison.windows {
        text.push_str(&line(window));
    }
    text.push('\n');
    for summary in &comparison.relays {
        let [low, high] = summary.packets_per_cpu_s_range;
        let _ = writeln!(
            text,
            "{:<12} {:>9.0} packets/CPU-s ({low:.0} to {high:.0}), loss {:.4} %, p50 {:.0} us, p99 {:.0} us, {} KiB, {:.1} KiB/call{}",
            summary.relay,
            summary.packets_per_cpu_s,
            summary.loss * 100.0,
            summary.latency_p50_us,
            summary.latency_p99_us,
            summary.rss_kib,
            summary.kib_per_call,
            match summary.disturbed_windows {
                0 => String::new(),
                windows => format!(", DISTURBED in {windows} windows"),
            },
        );
    }
    if let (Some(ratio), [first, second, ..]) = (comparison.ratio, &comparison.relays[..]) {
        let _ = writeln!(text, "{} : {} = {ratio:.2}", first.relay, second.relay);
    }
    text
}

/// The steps of a search and its result.
#[must_use]
pub fn maximum_text(maximum: &Maximum) -> String {
    let mut text = load(&maximum.settings);
    text.push_str(HEADING);
    for step in &maximum.steps {
        let verdict = match (step.forwarded, step.generated) {
            (true, true) => "good",
            (false, true) => "too much",
            (_, false) => "generator too slow",
        };
        let _ = write!(text, "{}", line(&step.window).replace('\n', &format!("  {verdict}\n")));
    }
    let limited = match maximum {
        Maximum { generator_limited: true, .. } => " (the generator's limit, not the relay's)",
        Maximum { disturbed: true, .. } => " (DISTURBED: others used the CPU while higher rates failed)",
        _ => "",
    };
    let _ = writeln!(
        text,
        "\n{}: {:.0} packets/s, {} packets/s a direction{limited}",
        maximum.relay, maximum.total_packets_per_s, maximum.packets_per_s
    );
    text
}

/// The two windows of an overload and its verdicts.
#[must_use]
pub fn overload_text(overload: &Overload) -> String {
    let mut text = load(&overload.settings);
    text.push_str(HEADING);
    text.push_str(&line(&overload.during));
    text.push_str(&line(&overload.after));
    let verdict = |held| if held { "yes" } else { "NO" };
    let [before, during, after] = overload.rss_kib;
    let _ = writeln!(
        text,
        "\n{}: offered {:.2} times {} packets/s a direction; p50 of the forwarded within 5 ms: {}; nothing lost 1 s later: {}; memory flat: {} \
         ({before}, {during}, {after} KiB)",
        overload.relay,
        overload.offered_times_maximum,
        overload.maximum_packets_per_s,
        verdict(overload.latency_held),
        verdict(overload.recovered),
        verdict(overload.memory_flat),
    );
    text
}

const HEADING: &str = "relay        round  offered/s  received/s    loss %  p50 us  p99 us   CPU s  packets/CPU-s  RSS KiB  \
                       foreign %  steal %  missed  drops at sink/relay\n";

fn line(window: &Window) -> String {
    let latency = |pick: fn(&crate::report::LatencyUs) -> f64| {
        window.latency_us.as_ref().map_or_else(|| "-".to_owned(), |latency| format!("{:.0}", pick(latency)))
    };
    format!(
        "{:<12} {:>5} {:>10.0} {:>11.0} {:>9.4} {:>7} {:>7} {:>7.2} {:>14.0} {:>8} {:>10.1} {:>8.1} {:>7}  {}/{}{}\n",
        window.relay,
        window.round,
        window.offered_per_s(),
        window.received as f64 / window.seconds,
        window.loss * 100.0,
        latency(|latency| latency.p50),
        latency(|latency| latency.p99),
        window.relay_cpu_s,
        window.packets_per_cpu_s,
        window.rss_kib,
        window.foreign * 100.0,
        window.steal * 100.0,
        window.missed,
        window.sink_drops,
        window.relay_socket_drops,
        if window.disturbed { "  disturbed" } else { "" },
    )
}

fn load(settings: &Settings) -> String {
    format!(
        "{} calls, {} packets/s a direction ({} packets/s in all), relay on CPU {}, load on CPU {}\n\n",
        settings.calls,
        settings.packets_per_s,
        settings.total_packets_per_s(),
        settings.relay_cpu,
        settings.load_cpu,
    )
}
