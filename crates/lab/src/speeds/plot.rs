//! Plots of a report: throughput, CPU a packet, latency; and how they change with the number of calls.

use super::report::{LoadSummary, Range};
use super::svg::{Anchor, COLOURS, Picture, number};
use super::{Report, Summary};

const WIDTH: f64 = 760.0;
/// Left of bars and curves, and right of them.
const LEFT: f64 = 110.0;
const RIGHT: f64 = 160.0;
/// Above and below.
const TOP: f64 = 40.0;
const BOTTOM: f64 = 50.0;
const BAR: f64 = 22.0;
const GREY: &str = "#444444";

/// A name and what belongs to it, with a part of it that is told apart.
struct Bar {
    name: String,
    value: Range,
    part: Option<f64>,
}

/// The plots of one number of calls, by name.
#[must_use]
pub fn speed_plots(report: &Report) -> Vec<(&'static str, String)> {
    let summaries = &report.summaries;
    let rates =
        summaries.iter().map(|summary| Bar { name: summary.speed.clone(), value: summary.packets_per_s, part: None });
    let cpu = summaries.iter().filter_map(|summary| {
        let load = summary.at_maximum.as_ref()?;
        Some(Bar { name: summary.speed.clone(), value: load.machine_ns, part: Some(load.relay_ns.median) })
    });
    vec![
        ("throughput", bars("The highest rate with at most 0.1 % of loss, packets/s", &rates.collect::<Vec<_>>())),
        (
            "cpu",
            bars(
                "CPU of the machine for a packet at that rate, ns (darker: the relay's tasks)",
                &cpu.collect::<Vec<_>>(),
            ),
        ),
        (
            "latency",
            latencies("Latency at half of the highest rate, us", summaries, |summary| summary.at_half.as_ref()),
        ),
    ]
}

/// How things change with the number of calls, by name.
#[must_use]
pub fn growth_plots(report: &Report) -> Vec<(&'static str, String)> {
    let curve = |title: &str, value: &dyn Fn(&Summary) -> Option<f64>| {
        let mut curves: Vec<Curve> = Vec::new();
        for summary in &report.summaries {
            let Some(y) = value(summary) else { continue };
            let point = (f64::from(summary.calls), y);
            match curves.iter_mut().find(|curve| curve.name == summary.speed) {
                Some(curve) => curve.points.push(point),
                None => curves.push(Curve { name: summary.speed.clone(), points: vec![point] }),
            }
        }
        chart(title, &curves, number)
    };
    let at_light = |pick: fn(&LoadSummary) -> f64| move |summary: &Summary| summary.at_light.as_ref().map(pick);
    vec![
        ("throughput", curve("The highest rate by calls, packets/s", &|summary| Some(summary.packets_per_s.median))),
        (
            "cpu",
            curve(
                "CPU of the machine for a packet by calls, at the same light load, ns",
                &at_light(|load| load.machine_ns.median),
            ),
        ),
        (
            "latency",
            curve(
                "p99 of the latency by calls, at the same light load, us",
                &at_light(|load| load.latencies.p99_us.median),
            ),
        ),
        (
            "memory",
            curve("Memory of the process with all calls, MiB", &|summary| {
                Some((summary.empty_rss_kib.median + summary.kib_per_call.median * f64::from(summary.calls)) / 1024.0)
            }),
        ),
    ]
}

/// Bars from 0, each with the line between the lowest and the highest.
fn bars(title: &str, bars: &[Bar]) -> String {
    let most = bars.iter().map(|bar| bar.value.most).fold(f64::MIN_POSITIVE, f64::max);
    let to_x = |value: f64| LEFT + value / most * (WIDTH - LEFT - RIGHT);
    let height = TOP + bars.len() as f64 * BAR * 1.5 + 10.0;
    let mut picture = Picture::new(WIDTH, height, title);
    for (index, bar) in bars.iter().enumerate() {
        let y = TOP + index as f64 * BAR * 1.5;
        let middle = y + BAR / 2.0;
        let Range { median, least, most } = bar.value;
        picture.text(LEFT - 8.0, middle + 4.0, Anchor::End, &bar.name);
        picture.rectangle(LEFT, y, to_x(median) - LEFT, BAR, if bar.part.is_some() { "#a6cee3" } else { COLOURS[0] });
        if let Some(part) = bar.part {
            picture.rectangle(LEFT, y, to_x(part.min(median)) - LEFT, BAR, COLOURS[0]);
        }
        picture.line(&[(to_x(least), middle), (to_x(most), middle)], GREY, 1.5);
        picture.text(to_x(most) + 8.0, middle + 4.0, Anchor::Start, number(median));
    }
    picture.finish()
}

struct Curve {
    name: String,
    points: Vec<(f64, f64)>,
}

/// A curve for each speed over p50, p99 and p99.9.
fn latencies(title: &str, summaries: &[Summary], pick: fn(&Summary) -> Option<&LoadSummary>) -> String {
    let curves: Vec<Curve> = summaries
        .iter()
        .filter_map(|summary| {
            let latencies = pick(summary)?.latencies;
            let values = [latencies.p50_us, latencies.p99_us, latencies.p999_us].map(|range| range.median);
            // One in 2, in 100, in 1,000 is slower.
            let points = [2.0, 100.0, 1_000.0].into_iter().zip(values).collect();
            Some(Curve { name: summary.speed.clone(), points })
        })
        .collect();
    chart(title, &curves, |x| if x < 10.0 { "p50".to_owned() } else { format!("p{}", 100.0 - 100.0 / x) })
}

/// Curves over logarithmic axes, with a mark at each value of x.
fn chart(title: &str, curves: &[Curve], x_name: fn(f64) -> String) -> String {
    const HEIGHT: f64 = 380.0;
    let mut picture = Picture::new(WIDTH, HEIGHT, title);
    let mut xs: Vec<f64> = curves.iter().flat_map(|curve| curve.points.iter().map(|point| point.0)).collect();
    xs.sort_by(f64::total_cmp);
    xs.dedup();
    let ys = || curves.iter().flat_map(|curve| curve.points.iter().map(|point| point.1)).filter(|&y| y > 0.0);
    let low = ys().fold(f64::MAX, f64::min).log10().floor();
    let high = ys().fold(f64::MIN_POSITIVE, f64::max).log10().ceil().max(low + 1.0);
    let (Some(first), Some(last)) = (xs.first().copied(), xs.last().copied()) else { return picture.finish() };
    let span = (last / first).log10().max(f64::MIN_POSITIVE);
    let to_x = |x: f64| LEFT + (x / first).log10() / span * (WIDTH - LEFT - RIGHT);
    let to_y = |y: f64| {
        let y = y.max(10.0_f64.powf(low)).log10();
        HEIGHT - BOTTOM - (y - low) / (high - low) * (HEIGHT - BOTTOM - TOP)
    };
    for power in low as i32..=high as i32 {
        let y = 10.0_f64.powi(power);
        picture.line(&[(LEFT, to_y(y)), (WIDTH - RIGHT, to_y(y))], "#dddddd", 1.0);
        picture.text(LEFT - 8.0, to_y(y) + 4.0, Anchor::End, number(y));
    }
    for &x in &xs {
        picture.line(&[(to_x(x), TOP), (to_x(x), HEIGHT - BOTTOM)], "#dddddd", 1.0);
        picture.text(to_x(x), HEIGHT - BOTTOM + 20.0, Anchor::Middle, x_name(x));
    }
    for (index, curve) in curves.iter().enumerate() {
        let colour = COLOURS[index % COLOURS.len()];
        let points: Vec<(f64, f64)> = curve.points.iter().map(|&(x, y)| (to_x(x), to_y(y))).collect();
        picture.line(&points, colour, 2.0);
        for &(x, y) in &points {
            picture.dot(x, y, colour);
        }
        let y = TOP + 10.0 + index as f64 * 20.0;
        picture.rectangle(WIDTH - RIGHT + 20.0, y - 8.0, 16.0, 8.0, colour);
        picture.text(WIDTH - RIGHT + 42.0, y, Anchor::Start, &curve.name);
    }
    picture.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::speeds::report::tests::example;

    #[test]
    fn plots_have_all_speeds_within_their_frame() {
        let plots = [speed_plots(&example(&[500])), growth_plots(&example(&[10, 1_000]))].concat();
        assert_eq!(plots.len(), 7);
        for (name, svg) in plots {
            assert!(svg.starts_with("<svg") && svg.ends_with("</svg>\n"), "{name}");
            // At the light load nothing was measured.
            let empty = !svg.contains("rtpengine");
            assert_eq!(empty, svg.contains("light load"), "{name}: {svg}");
            assert_eq!(empty, !svg.contains(">xdp<"), "{name}: {svg}");
            for bad in ["NaN", "inf", "=\"-"] {
                assert!(!svg.contains(bad), "{name}: {bad} in {svg}");
            }
        }
    }
}
