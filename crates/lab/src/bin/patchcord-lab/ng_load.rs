//! `ng-load`: calls set up a second.

use std::time::Duration;

use clap::{Args, ValueEnum};
use patchcord_lab::peer::{self, NgDaemon, NgLoadSettings, NgWindow, PeerError, ng_comparison_text};

use crate::{Programs, say, show};

/// Its arguments.
#[derive(Debug, Args)]
pub(crate) struct NgLoad {
    /// Daemons in the order of the rounds; the ratio is that of the first to the second.
    #[arg(long = "relay", value_enum, default_values = ["patchcord", "rtpengine"])]
    daemons: Vec<Daemon>,
    /// Rounds: fresh processes of each daemon.
    #[arg(long, default_value_t = 3)]
    rounds: u32,
    /// How often a window is measured again in which others used too much CPU.
    #[arg(long, default_value_t = 2)]
    retries: u32,
    /// Calls alive while it is measured.
    #[arg(long, default_value_t = 1_000)]
    calls: u32,
    /// Calls that are being set up at the same time.
    #[arg(long, default_value_t = 32)]
    in_flight: u32,
    /// Length of a window in seconds.
    #[arg(long, default_value_t = 5.0)]
    window_s: f64,
    /// Time at full speed before the first window, in seconds.
    #[arg(long, default_value_t = 1.0)]
    warmup_s: f64,
    /// New calls a second in the paced window.
    #[arg(long, default_value_t = 1_000)]
    paced_per_s: u32,
    /// Exit with 1 if the first daemon sets up fewer calls a second than this.
    #[arg(long)]
    require_pairs: Option<f64>,
    /// Exit with 1 if the ratio is below this.
    #[arg(long)]
    require_ratio: Option<f64>,
    /// Share of the CPU time, in percent, that others may use in a window.
    #[arg(long, default_value_t = 3.0)]
    foreign_max: f64,
    #[command(flatten)]
    programs: Programs,
    /// Writes the result as JSON instead of text.
    #[arg(long)]
    json: bool,
}

/// Those that can be driven by ng.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Daemon {
    /// `patchcord serve`.
    Patchcord,
    /// The same with other arguments.
    PatchcordB,
    /// Debian's rtpengine without its kernel module.
    Rtpengine,
}

impl NgLoad {
    fn settings(&self) -> Result<NgLoadSettings, PeerError> {
        let seconds = |seconds: f64| Duration::from_secs_f64(seconds.clamp(0.1, 3_600.0));
        Ok(NgLoadSettings {
            calls: self.calls.max(1),
            in_flight: self.in_flight.clamp(1, 10_000),
            window: seconds(self.window_s),
            warmup: seconds(self.warmup_s),
            paced_per_s: self.paced_per_s.max(1),
            rounds: self.rounds,
            foreign_max: self.foreign_max / 100.0,
            retries: self.retries,
            ..NgLoadSettings::new()?
        })
    }

    fn daemon(&self, daemon: Daemon) -> NgDaemon {
        let programs = &self.programs;
        let patchcord = NgDaemon::patchcord(&programs.patchcord);
        match daemon {
            Daemon::Patchcord => NgDaemon { arguments: programs.patchcord_args.clone(), ..patchcord },
            Daemon::PatchcordB => {
                NgDaemon { name: "patchcord-b".to_owned(), arguments: programs.patchcord_b_args.clone(), ..patchcord }
            }
            Daemon::Rtpengine => NgDaemon::rtpengine(&programs.rtpengine),
        }
    }

    pub(crate) fn run(&self) -> Result<bool, PeerError> {
        let daemons: Vec<NgDaemon> = self.daemons.iter().map(|&daemon| self.daemon(daemon)).collect();
        let comparison = peer::ng_load(&daemons, &self.settings()?, |window| {
            let NgWindow { round, daemon, phase, pairs_per_s, disturbed, .. } = window;
            let disturbed = if *disturbed { " (disturbed)" } else { "" };
            say(&format!("round {round}: {daemon} {phase:?} {pairs_per_s:.0} pairs/s{disturbed}\n"));
        })?;
        show(&comparison, self.json, ng_comparison_text);
        let pairs = comparison.daemons.first().map_or(0.0, |first| first.pairs_per_s);
        Ok(self.require_pairs.is_none_or(|required| pairs >= required)
            && self.require_ratio.is_none_or(|required| comparison.ratio.is_some_and(|ratio| ratio >= required)))
    }
}
