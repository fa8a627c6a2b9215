//! `speeds` and `growth`: what relays can do under frames that the kernel makes.

use std::fmt::Display;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use patchcord_lab::peer::PeerError;
use patchcord_lab::speeds::{self, Progress, Report, Settings, Speed, growth_plots, markdown, speed_plots};

use patchcord_srtp::Suite;

use crate::say;

/// Arguments of both commands.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// A speed: rtpengine, one of Patchcord's backends, or NAME=ARGUMENT,ARGUMENT... for other arguments of `patchcord serve`; can be
    /// repeated. Ratios are to the first one. All known ones by default.
    #[arg(long = "speed", value_name = "SPEED")]
    speeds: Vec<Speed>,
    /// Callees are spoken to in SRTP, with this suite of RFC 4568 or 7714: the relay encrypts what callers send. Callees send nothing.
    #[arg(long, value_name = "SUITE", num_args = 0..=1, default_missing_value = "AES_CM_128_HMAC_SHA1_80")]
    srtp: Option<Suite>,
    /// Length of a measuring window in seconds.
    #[arg(long, default_value_t = 1.0)]
    window_s: f64,
    /// Packets a second, over all streams, of the light load that is the same for all.
    #[arg(long, default_value_t = 25_000)]
    light: u32,
    /// Share of the CPU time, in percent, that others may use in a window.
    #[arg(long, default_value_t = 3.0)]
    foreign_max: f64,
    /// How often a window is measured again in which others used too much CPU.
    #[arg(long, default_value_t = 3)]
    retries: u32,
    /// How long others may be waited for to get quiet before that, in seconds.
    #[arg(long, default_value_t = 10.0)]
    patience_s: f64,
    /// The CPU of the relay; the first one by default.
    #[arg(long)]
    relay_cpu: Option<usize>,
    /// The CPU of the generator; the last one by default.
    #[arg(long)]
    load_cpu: Option<usize>,
    /// Patchcord's executable.
    #[arg(long, default_value = "patchcord")]
    patchcord: String,
    /// Rtpengine's executable.
    #[arg(long, default_value = "rtpengine")]
    rtpengine: String,
    /// Writes the report into this folder as Markdown and JSON, with plots.
    #[arg(long)]
    output: Option<PathBuf>,
}

impl Options {
    /// Measures with these numbers of calls; files of the report begin with `name`.
    pub(crate) fn run(&self, name: &str, calls: &[u32], rounds: u32) -> Result<bool, PeerError> {
        let defaults = Settings::new()?;
        let settings = Settings {
            calls: calls.iter().map(|&calls| calls.max(1)).collect(),
            callee_suite: self.srtp,
            rounds: rounds.max(1),
            window: Duration::from_secs_f64(self.window_s.clamp(0.1, 3_600.0)),
            light_packets_per_s: self.light.max(1),
            foreign_max: self.foreign_max / 100.0,
            retries: self.retries,
            patience: Duration::from_secs_f64(self.patience_s.clamp(0.0, 3_600.0)),
            relay_cpu: self.relay_cpu.unwrap_or(defaults.relay_cpu),
            load_cpu: self.load_cpu.unwrap_or(defaults.load_cpu),
        };
        let mut chosen = if self.speeds.is_empty() { Speed::all() } else { self.speeds.clone() };
        for speed in &mut chosen {
            speed.program = if speed.is_own { self.patchcord.clone() } else { self.rtpengine.clone() };
        }
        let report = speeds::speeds(&chosen, &settings, tell)?;
        if let Some(folder) = &self.output
            && let Err(error) = write(folder, name, &report)
        {
            say(&format!("patchcord-lab: {error}\n"));
            return Ok(false);
        }
        crate::print(&markdown(&report));
        Ok(true)
    }
}

fn tell(progress: Progress<'_>) {
    match progress {
        Progress::Window(window) => say(&format!(
            "  {} {}: {} packets/s wanted, {:.0} sent, loss {:.3} %, p50 {:.1} us, relay {:.0} ns a packet{}{}\n",
            window.speed,
            window.purpose,
            window.wanted_per_s,
            window.sent_per_s(),
            window.loss * 100.0,
            window.latency_us(0.5),
            window.relay_ns(),
            if window.missed > 0 { format!(", {} left out", window.missed) } else { String::new() },
            if window.disturbed {
                format!(", others {:.1} %, other machines {:.1} %", window.foreign * 100.0, window.steal * 100.0)
            } else {
                String::new()
            },
        )),
        Progress::Trial(trial) => say(&format!(
            "round {}: {} with {} calls: {} packets/s\n",
            trial.round, trial.speed, trial.calls, trial.maximum.packets_per_s
        )),
        Progress::Unavailable(unavailable) => say(&format!("{unavailable}\n")),
    }
}

fn write(folder: &Path, name: &str, report: &Report) -> Result<(), String> {
    let failed = |path: &Path, error: &dyn Display| format!("cannot write {}: {error}", path.display());
    fs::create_dir_all(folder).map_err(|error| failed(folder, &error))?;
    let json = serde_json::to_string_pretty(report).map_err(|error| failed(folder, &error))?;
    let plots = if report.settings.calls.len() > 1 { growth_plots(report) } else { speed_plots(report) };
    let mut text = markdown(report);
    for (plot, _) in &plots {
        text += &format!("\n![{plot}]({name}-{plot}.svg)\n");
    }
    let plots = plots.into_iter().map(|(plot, svg)| (format!("{name}-{plot}.svg"), svg));
    let files = [(format!("{name}.json"), json + "\n"), (format!("{name}.md"), text)].into_iter().chain(plots);
    for (file, content) in files {
        let path = folder.join(file);
        fs::write(&path, content).map_err(|error| failed(&path, &error))?;
    }
    Ok(())
}
