//! A report to read.

use std::fmt::Write;

use super::report::{LoadSummary, Range};
use super::{Report, Summary};

/// The report as Markdown: the machine, the load, and a table for each thing that was measured.
#[must_use]
pub fn markdown(report: &Report) -> String {
    let mut text = String::new();
    head(&mut text, report);
    let calls = report.settings.calls.len() > 1;
    let name = |summary: &Summary| {
        if calls { format!("{} | {}", summary.calls, summary.speed) } else { summary.speed.clone() }
    };
    let mut table = |title: &str, columns: &str, row: &dyn Fn(&Summary) -> Option<String>| {
        let (columns, rule) = if calls {
            (format!("calls | speed | {columns}"), "|---|---|")
        } else {
            (format!("speed | {columns}"), "|---|")
        };
        let rows: Vec<String> = report
            .summaries
            .iter()
            .filter_map(|summary| Some(format!("| {} | {} |\n", name(summary), row(summary)?)))
            .collect();
        if rows.is_empty() {
            return;
        }
        let rest = columns.matches('|').count() + 1 - rule.matches("---").count();
        let _ = write!(text, "\n## {title}\n\n| {columns} |\n{rule}{}\n{}", "---|".repeat(rest), rows.concat());
    };
    let reference = &report.reference;
    table(
        "The highest rate",
        &format!(
            "packets/s | times {reference} | relay, ns a packet | machine, ns a packet | machine, share of {reference}'s | notes"
        ),
        &|summary| Some(format!("{} | {}", maximum(summary), notes(summary))),
    );
    table(
        "At half of the highest rate",
        "p50 us | p99 us | p99.9 us | relay, ns a packet | machine, ns a packet",
        &|summary| summary.at_half.as_ref().map(|load| format!("{} | {}", latencies(load), cpu(load))),
    );
    let light = report.settings.light_packets_per_s;
    table(
        &format!("At {light} packets/s"),
        &format!(
            "p50 us | p99 us | p99.9 us | relay, ns a packet | machine, ns a packet | machine, share of {reference}'s"
        ),
        &|summary| {
            let load = summary.at_light.as_ref()?;
            Some(format!("{} | {} | {}", latencies(load), cpu(load), ratio(load.machine_ratio)))
        },
    );
    table("Memory and calls", "process, MiB | a call, KiB | calls set up a second", &|summary| {
        let mib = scaled(summary.empty_rss_kib, 1024.0);
        Some(format!("{} | {} | {}", range(mib, 1), range(summary.kib_per_call, 1), range(summary.set_up_per_s, 0)))
    });
    for unavailable in &report.unavailable {
        let _ = write!(text, "\n{unavailable}\n");
    }
    text
}

fn head(text: &mut String, report: &Report) {
    let (machine, settings) = (&report.machine, &report.settings);
    let directions = settings.callee_suite.map_or_else(
        || "with two directions each".to_owned(),
        |suite| format!("from callers, who speak RTP, to callees, who speak SRTP ({})", suite.name()),
    );
    let _ = write!(
        text,
        "Measured on: {}, {} CPUs{}, {} MiB, Linux {}. Relays: {}. Mitigations: {}.\n\n\
         Load: {} calls {}, G.711 with 172 bytes of RTP, {} rounds, windows of {} s, relay on CPU {}, \
         generator on CPU {}. Each number is the median of the rounds and, in brackets, the lowest and the highest; ratios are \
         those of the same round. Only ratios mean something elsewhere. Generator and sinks alone: {:.0} packets/s.\n",
        machine.processor,
        machine.cpus,
        if machine.is_virtual { " of a virtual machine" } else { "" },
        machine.memory_mib,
        machine.kernel,
        listed(&machine.versions),
        listed(&machine.mitigations),
        settings.calls.iter().map(u32::to_string).collect::<Vec<_>>().join(", "),
        directions,
        settings.rounds,
        settings.window.as_secs_f64(),
        settings.relay_cpu,
        settings.load_cpu,
        report.generator_packets_per_s,
    );
}

fn listed(texts: &[String]) -> String {
    if texts.is_empty() { "none".to_owned() } else { texts.join("; ") }
}

fn maximum(summary: &Summary) -> String {
    let (relay, machine, share) = summary.at_maximum.as_ref().map_or_else(
        || ("-".to_owned(), "-".to_owned(), "-".to_owned()),
        |load| (range(load.relay_ns, 0), range(load.machine_ns, 0), ratio(load.machine_ratio)),
    );
    format!("{} | {} | {relay} | {machine} | {share}", range(summary.packets_per_s, 0), ratio(summary.ratio))
}

fn notes(summary: &Summary) -> String {
    let mut notes = Vec::new();
    if summary.load_limited > 0 {
        notes.push(format!("the generator's CPU was the limit in {} of {}", summary.load_limited, summary.rounds));
    }
    if summary.disturbed > 0 {
        notes.push(format!("DISTURBED in {} of {}", summary.disturbed, summary.rounds));
    }
    notes.join("; ")
}

fn latencies(load: &LoadSummary) -> String {
    let latencies = &load.latencies;
    [latencies.p50_us, latencies.p99_us, latencies.p999_us].map(|latency| range(latency, 1)).join(" | ")
}

fn cpu(load: &LoadSummary) -> String {
    format!("{} | {}", range(load.relay_ns, 0), range(load.machine_ns, 0))
}

fn ratio(ratio: Option<Range>) -> String {
    ratio.map_or_else(|| "-".to_owned(), |ratio| range(ratio, 2))
}

fn scaled(range: Range, by: f64) -> Range {
    Range { median: range.median / by, least: range.least / by, most: range.most / by }
}

fn range(range: Range, digits: usize) -> String {
    let Range { median, least, most } = range;
    // One round has no range.
    if least == most {
        return format!("{median:.digits$}");
    }
    format!("{median:.digits$} ({least:.digits$} to {most:.digits$})")
}

#[cfg(test)]
mod tests {
    use super::markdown;
    use crate::speeds::report::tests::example;
    use patchcord_srtp::Suite;

    #[test]
    fn tables_have_as_many_columns_as_headings() {
        for calls in [&[500][..], &[10, 1_000]] {
            let text = markdown(&example(calls));
            let mut columns = None;
            for line in text.lines() {
                let count = line.starts_with('|').then(|| line.matches('|').count());
                assert!(columns.is_none() || count.is_none() || columns == count, "{line}");
                columns = count;
            }
            assert!(text.contains("265000 (200000 to 330000) | 2.50 (2.00 to 3.00)"), "{text}");
            assert!(text.contains("the generator's CPU was the limit in 2 of 2"), "{text}");
            assert!(text.contains("steered: not available: no <such> thing"), "{text}");
            assert!(text.contains(" calls with two directions each, "), "{text}");
            assert!(!text.contains("packets/s\n\n|") || text.contains("## At"), "no table without rows: {text}");
        }
    }
    #[test]
    fn a_report_says_who_speaks_srtp() {
        let mut report = example(&[500]);
        report.settings.callee_suite = Some(Suite::AesCm128HmacSha1_80);
        let text = markdown(&report);
        assert!(text.contains("to callees, who speak SRTP (AES_CM_128_HMAC_SHA1_80)"), "{text}");
    }
}
