//! Reports as a table of plain text.

use super::{Gap, Report};

const COLUMNS: [&str; 12] = [
    "party",
    "packets",
    "lost",
    "reord",
    "dup",
    "jitter ms",
    "ssrcs",
    "markers",
    "breaks",
    "gap ms",
    "p50 us",
    "p99 us",
];

/// A table with a line for each report. Columns are as wide as their widest entry; the text has no colours and ends in a line feed.
#[must_use]
pub fn table<'a>(reports: impl IntoIterator<Item = &'a Report>) -> String {
    let mut lines: Vec<Vec<String>> = vec![COLUMNS.map(str::to_owned).to_vec()];
    lines.extend(reports.into_iter().map(cells));
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..COLUMNS.len()).map(width).collect();
    let mut text = String::new();
    for line in &lines {
        let padded: Vec<String> = line
            .iter()
            .zip(&widths)
            .enumerate()
            // Names to the left, numbers to the right.
            .map(
                |(column, (cell, &width))| {
                    if column == 0 { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
                },
            )
            .collect();
        text.push_str(padded.join("  ").trim_end());
        text.push('\n');
    }
    text
}

fn cells(report: &Report) -> Vec<String> {
    let latency = |pick: fn(&super::LatencyUs) -> f64| {
        report.relay_latency_us.as_ref().map_or_else(|| "-".to_owned(), |latency| format!("{:.0}", pick(latency)))
    };
    let gap_ms = |gap: &Gap| format!("{:.1}", gap.gap_us as f64 / 1_000.0);
    vec![
        report.party.clone(),
        report.packets.to_string(),
        report.lost.to_string(),
        report.reordered.to_string(),
        report.duplicates.to_string(),
        format!("{:.2}", report.jitter_ms),
        report.ssrcs.len().to_string(),
        report.markers.to_string(),
        report.breaks().count().to_string(),
        report.largest_gap.as_ref().map_or_else(|| "-".to_owned(), gap_ms),
        latency(|latency| latency.p50),
        latency(|latency| latency.p99),
    ]
}
