//! Measures relays side by side: see `patchcord_lab::peer` and `patchcord_lab::speeds` for how.

mod ng_load;
mod speeds;

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use patchcord_lab::peer::{
    self, Patchcord, PeerError, Relay, Rtpengine, Settings, comparison_text, maximum_text, overload_text,
};
use patchcord_srtp::Suite;
use serde::Serialize;

/// Measures media relays under load: three network namespaces, real packets, one CPU for the relay. Needs root.
#[derive(Debug, Parser)]
#[command(name = "patchcord-lab", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Packets for a CPU-second of several relays, in interleaved rounds.
    Compare {
        /// Relays in the order of the rounds; the ratio is that of the first to the second.
        #[arg(long = "relay", value_enum, default_values = ["patchcord", "rtpengine"])]
        relays: Vec<Peer>,
        /// Rounds: windows for each relay.
        #[arg(long, default_value_t = 3)]
        rounds: u32,
        /// How often a window is measured again in which others used too much CPU.
        #[arg(long, default_value_t = 2)]
        retries: u32,
        /// Exit with 1 if the ratio is below this.
        #[arg(long)]
        require_ratio: Option<f64>,
        #[command(flatten)]
        common: Common,
    },
    /// The highest rate that a relay forwards with at most 0.1 % loss and half of the packets within 5 ms.
    Max {
        /// The relay.
        #[arg(long, value_enum, default_value = "patchcord")]
        relay: Peer,
        #[command(flatten)]
        common: Common,
    },
    /// Twice the highest rate, then the usual one a second later; exit with 1 if the relay does not take it well.
    Overload {
        /// The relay.
        #[arg(long, value_enum, default_value = "patchcord")]
        relay: Peer,
        /// The highest rate in packets/s a direction of a call, as `max` has found it; without it, it is searched first.
        #[arg(long)]
        maximum: Option<u32>,
        /// Length of the overload in seconds.
        #[arg(long, default_value_t = 5.0)]
        overload_s: f64,
        #[command(flatten)]
        common: Common,
    },
    /// Calls set up a second by the ng protocol on one CPU, in interleaved rounds; no media.
    NgLoad(ng_load::NgLoad),
    /// The highest rate, CPU a packet and latency of each speed under frames that the kernel makes, in interleaved rounds.
    Speeds {
        /// Calls, with two directions each.
        #[arg(long, default_value_t = 500)]
        calls: u32,
        /// Rounds: fresh processes of each speed.
        #[arg(long, default_value_t = 3)]
        rounds: u32,
        #[command(flatten)]
        options: speeds::Options,
    },
    /// The same with more and more calls.
    Growth {
        /// Numbers of calls.
        #[arg(long, value_delimiter = ',', default_values_t = [10, 100, 1_000, 5_000, 20_000])]
        calls: Vec<u32>,
        /// Rounds: fresh processes of each speed with each number of calls.
        #[arg(long, default_value_t = 1)]
        rounds: u32,
        #[command(flatten)]
        options: speeds::Options,
    },
}

#[derive(Debug, Args)]
struct Common {
    /// Calls, with two directions each.
    #[arg(long, default_value_t = 500)]
    calls: u32,
    /// Packets a second in each direction of a call.
    #[arg(long, default_value_t = 50)]
    packets_per_s: u32,
    /// Length of a window in seconds.
    #[arg(long, default_value_t = 10.0)]
    window_s: f64,
    /// Time under load before the first window, in seconds.
    #[arg(long, default_value_t = 4.0)]
    warmup_s: f64,
    /// Share of the CPU time, in percent, that others may use in a window.
    #[arg(long, default_value_t = 3.0)]
    foreign_max: f64,
    /// The CPU of the relay; the first one by default.
    #[arg(long)]
    relay_cpu: Option<usize>,
    /// The CPU of the load; the last one by default.
    #[arg(long)]
    load_cpu: Option<usize>,
    #[command(flatten)]
    programs: Programs,
    /// Writes the result as JSON instead of text.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct Programs {
    /// Patchcord's executable.
    #[arg(long, default_value = "patchcord")]
    patchcord: String,
    /// An argument for Patchcord, as in `--patchcord-arg=--backend=mmsg`; can be repeated.
    #[arg(long = "patchcord-arg", allow_hyphen_values = true)]
    patchcord_args: Vec<String>,
    /// Arguments for the second Patchcord of a comparison with itself (`--relay patchcord --relay patchcord-b`).
    #[arg(long = "patchcord-b-arg", allow_hyphen_values = true)]
    patchcord_b_args: Vec<String>,
    /// Rtpengine's executable.
    #[arg(long, default_value = "rtpengine")]
    rtpengine: String,
}

/// The relays that can be measured.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Peer {
    /// `patchcord serve`.
    Patchcord,
    /// The same with other arguments.
    PatchcordB,
    /// `patchcord serve` with callees that speak SRTP (`AES_CM_128_HMAC_SHA1_80`).
    PatchcordSrtp,
    /// Debian's rtpengine without its kernel module.
    Rtpengine,
}

fn main() -> ExitCode {
    let command = Arguments::parse().command;
    peer::allow_many_sockets();
    match peer::clean_up_on_signals().and_then(|()| run(command)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            say(&format!("patchcord-lab: {error}\n"));
            ExitCode::FAILURE
        }
    }
}

/// Runs a command; `false` if the relay does not do what was required of it.
fn run(command: Command) -> Result<bool, PeerError> {
    match command {
        Command::Compare { relays, rounds, retries, require_ratio, common } => {
            let settings = Settings { rounds, retries, ..common.settings()? };
            let relays: Vec<Box<dyn Relay>> = relays.into_iter().map(|peer| common.relay(peer)).collect();
            let relays: Vec<&dyn Relay> = relays.iter().map(|relay| &**relay).collect();
            let comparison = peer::compare(&relays, &settings, |window| {
                let disturbed = if window.disturbed { " (disturbed)" } else { "" };
                say(&format!(
                    "round {}: {} {:.0} packets/CPU-s{disturbed}\n",
                    window.round, window.relay, window.packets_per_cpu_s
                ));
            })?;
            show(&comparison, common.json, comparison_text);
            Ok(require_ratio.is_none_or(|required| comparison.ratio.is_some_and(|ratio| ratio >= required)))
        }
        Command::Max { relay, common } => {
            let maximum = peer::maximum(&*common.relay(relay), &common.settings()?, step)?;
            show(&maximum, common.json, maximum_text);
            Ok(true)
        }
        Command::Overload { relay, maximum, overload_s, common } => {
            let length = Duration::from_secs_f64(overload_s.max(0.1));
            let overload = peer::overload(&*common.relay(relay), &common.settings()?, length, maximum, step)?;
            show(&overload, common.json, overload_text);
            Ok(overload.latency_held && overload.recovered && overload.memory_flat)
        }
        Command::NgLoad(load) => load.run(),
        Command::Speeds { calls, rounds, options } => options.run("speeds", &[calls], rounds),
        Command::Growth { calls, rounds, options } => options.run("growth", &calls, rounds),
    }
}

fn step(step: &peer::Step) {
    say(&format!(
        "{} packets/s a direction: loss {:.3} %{}{}\n",
        step.packets_per_s,
        step.window.loss * 100.0,
        if step.forwarded { "" } else { ", too much" },
        if step.generated { "" } else { ", generator too slow" },
    ));
}

impl Common {
    fn settings(&self) -> Result<Settings, PeerError> {
        let defaults = Settings::new()?;
        let seconds = |seconds: f64| Duration::from_secs_f64(seconds.clamp(0.1, 3_600.0));
        Ok(Settings {
            calls: self.calls.max(1),
            packets_per_s: self.packets_per_s.max(1),
            warmup: seconds(self.warmup_s),
            window: seconds(self.window_s),
            foreign_max: self.foreign_max / 100.0,
            relay_cpu: self.relay_cpu.unwrap_or(defaults.relay_cpu),
            load_cpu: self.load_cpu.unwrap_or(defaults.load_cpu),
            ..defaults
        })
    }

    fn relay(&self, peer: Peer) -> Box<dyn Relay> {
        let patchcord = |name: &str, arguments: &[String]| Patchcord {
            name: name.to_owned(),
            program: self.programs.patchcord.clone(),
            arguments: arguments.to_vec(),
            callee_suite: None,
        };
        match peer {
            Peer::Patchcord => Box::new(patchcord("patchcord", &self.programs.patchcord_args)),
            Peer::PatchcordB => Box::new(patchcord("patchcord-b", &self.programs.patchcord_b_args)),
            Peer::PatchcordSrtp => Box::new(Patchcord {
                callee_suite: Some(Suite::AesCm128HmacSha1_80),
                ..patchcord("patchcord-srtp", &self.programs.patchcord_args)
            }),
            Peer::Rtpengine => Box::new(Rtpengine { program: self.programs.rtpengine.clone(), ..Rtpengine::default() }),
        }
    }
}

fn show<T: Serialize>(result: &T, json: bool, text: fn(&T) -> String) {
    let text = if json {
        serde_json::to_string_pretty(result).map_or_else(|error| error.to_string(), |json| json + "\n")
    } else {
        text(result)
    };
    print(&text);
}

fn print(text: &str) {
    // A reader that went away does not want the result.
    let _ = std::io::stdout().write_all(text.as_bytes());
}

/// Progress and errors go where they do not mix with the result.
fn say(text: &str) {
    let _ = std::io::stderr().write_all(text.as_bytes());
}
