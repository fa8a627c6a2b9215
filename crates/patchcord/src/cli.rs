//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::client::args::{ClientCommand, ServerArgs};
use crate::config::{ConfigError, Layer};

/// An RTP media relay for call transfers.
///
/// Exit codes: 0 done, 1 failed, 2 wrong usage.
#[derive(Parser, Debug)]
#[command(name = "patchcord", version, propagate_version = true, disable_help_subcommand = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// Run the relay.
    Serve(ServeArgs),
    /// Run the relay under rtpengine's command line and with its behaviour on the wire.
    RtpengineCompat(CompatArgs),
    /// See a call being transferred, and the proof that nobody lost a packet.
    Demo(DemoArgs),
    /// Play the RTP streams of captures through a relay, and report what came through.
    Replay(ReplayArgs),
    /// Examine this machine: what keeps the relay from working well, and the fix.
    Doctor(DoctorArgs),
    /// Examine a trunk of the pivot: what keeps calls by it from working, and the fix. Nobody is called.
    #[command(subcommand)]
    Trunk(TrunkCommand),
    /// Watch a relay: calls, legs, jitter, latency, cut-overs.
    Top(TopArgs),
    #[command(flatten)]
    Client(ClientCommand),
}

/// `serve`. Every other key of the configuration is reached by --set.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct ServeArgs {
    /// Configuration file; see default.toml for the keys.
    #[arg(long, value_name = "FILE", env = "PATCHCORD_CONFIG")]
    pub(crate) config: Option<PathBuf>,
    /// Address to receive media on; repeat for more.
    #[arg(long = "interface", value_name = "[NAME/]IP[!ADVERTISED]")]
    pub(crate) interfaces: Vec<String>,
    /// UDP ports for media, both ends included.
    #[arg(long, value_name = "FIRST-LAST")]
    pub(crate) ports: Option<String>,
    /// Address of the HTTP API; port 0 takes a free one.
    #[arg(long, value_name = "ADDR")]
    pub(crate) http: Option<String>,
    /// Where SIP proxies reach the relay by the ng protocol; repeat for more, empty for none.
    #[arg(long = "ng", value_name = "[udp:|tcp:|http:]ADDR|unix:PATH")]
    pub(crate) ng: Vec<String>,
    /// Number of workers.
    #[arg(long, value_name = "N", conflicts_with = "cpus")]
    pub(crate) workers: Option<u32>,
    /// CPUs to pin one worker each to.
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub(crate) cpus: Vec<u32>,
    /// auto, af-xdp, steered, io-uring or mmsg.
    #[arg(long)]
    pub(crate) backend: Option<String>,
    /// auto, xdp or off: what forwards the media that nobody need look at.
    #[arg(long)]
    pub(crate) offload: Option<String>,
    /// Any key of the configuration, such as `media.latch=off`; repeat for more.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
    /// Print the configuration that results from file, environment and flags, and end.
    #[arg(long)]
    pub(crate) print_config: bool,
    /// End at once when stdin ends: a relay that is started for somebody ends with him.
    #[arg(long, hide = true)]
    pub(crate) until_stdin_ends: bool,
}

/// `rtpengine-compat`
#[derive(Args, Clone, Debug)]
pub(crate) struct CompatArgs {
    /// Print the configuration that results, and end.
    #[arg(long)]
    pub(crate) print_config: bool,
    /// End at once when stdin ends.
    #[arg(long, hide = true)]
    pub(crate) until_stdin_ends: bool,
    /// rtpengine's options: -i, -n, -m, -M, --endpoint-learning and so on; and --lax-source, to accept media from anywhere.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "OPTION")]
    pub(crate) args: Vec<String>,
}

impl ServeArgs {
    /// The flags as the uppermost layer of the configuration.
    pub(crate) fn layer(&self) -> Result<Layer, ConfigError> {
        let mut layer = Layer::flags();
        for assignment in &self.set {
            layer.set(assignment)?;
        }
        if !self.interfaces.is_empty() {
            layer.put("interfaces", self.interfaces.clone());
        }
        if let Some(ports) = &self.ports {
            layer.put("ports", ports.as_str());
        }
        if let Some(http) = &self.http {
            layer.put("http.listen", http.as_str());
        }
        if !self.ng.is_empty() {
            layer.put("ng.listen", self.ng.iter().filter(|place| !place.is_empty()).cloned().collect::<Vec<_>>());
        }
        if let Some(workers) = self.workers {
            layer.put("workers.count", i64::from(workers));
            // A flag that asks for a number of workers must not lose to a file's list of CPUs.
            layer.put("workers.cpus", Vec::<i64>::new());
        }
        if !self.cpus.is_empty() {
            layer.put("workers.cpus", self.cpus.iter().map(|&cpu| i64::from(cpu)).collect::<Vec<_>>());
        }
        if let Some(backend) = &self.backend {
            layer.put("workers.backend", backend.as_str());
        }
        if let Some(offload) = &self.offload {
            layer.put("workers.offload", offload.as_str());
        }
        Ok(layer)
    }
}

/// `doctor`
#[derive(Args, Clone, Debug)]
pub(crate) struct DoctorArgs {
    /// The configuration file that `serve` will be given.
    #[arg(long, value_name = "FILE", env = "PATCHCORD_CONFIG")]
    pub(crate) config: Option<PathBuf>,
    /// The UDP ports that `serve` will be given.
    #[arg(long, value_name = "FIRST-LAST")]
    pub(crate) ports: Option<String>,
    /// Print the findings as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// `trunk`
#[derive(Subcommand, Clone, Debug)]
pub(crate) enum TrunkCommand {
    /// Try name, connection, certificate, OPTIONS and credentials, and show which targets would be dialled how.
    Check(TrunkCheckArgs),
}

/// `trunk check`
#[derive(Args, Clone, Debug)]
pub(crate) struct TrunkCheckArgs {
    /// The trunk: NAME in [pivot.trunks.NAME].
    pub(crate) name: String,
    /// The configuration file that `serve` is given.
    #[arg(long, value_name = "FILE", env = "PATCHCORD_CONFIG")]
    pub(crate) config: Option<PathBuf>,
    /// Any key of the configuration that `serve` is given so; repeat for more.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
    /// How long each answer is waited for, seconds.
    #[arg(long, value_name = "N", default_value = "5", value_parser = clap::value_parser!(u32).range(1..=300))]
    pub(crate) timeout: u32,
    /// Print the findings as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// `top`
#[derive(Args, Clone, Debug)]
pub(crate) struct TopArgs {
    #[command(flatten)]
    pub(crate) relay: ServerArgs,
    /// Print one frame as text and end.
    #[arg(long)]
    pub(crate) once: bool,
    /// The frame's size with --once.
    #[arg(long, value_name = "WIDTHxHEIGHT", default_value = "80x24", value_parser = crate::top::parse_size)]
    pub(crate) size: (u16, u16),
}

/// `demo`
#[derive(Args, Clone, Debug)]
pub(crate) struct DemoArgs {
    /// A warm transfer: the agent, who has Opus alone, calls the target, tells it who is calling, and leaves a conference of all three.
    #[arg(long)]
    pub(crate) warm: bool,
    /// Every party speaks SRTP, each with a suite of its own.
    #[arg(long)]
    pub(crate) srtp: bool,
    /// Print the result as JSON.
    #[arg(long)]
    pub(crate) json: bool,
    /// Folder for the WAV files of what each party heard and the relay's log.
    #[arg(long, value_name = "DIR", default_value = "demo-output")]
    pub(crate) output: PathBuf,
}

/// `replay`
#[derive(Args, Clone, Debug)]
pub(crate) struct ReplayArgs {
    /// pcap, pcapng or rtpdump files.
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// How many calls; the files' conversations are taken in turn. One for each conversation if absent.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) calls: Option<u32>,
    /// Start a relay of its own on free ports instead of using the one at --server.
    #[arg(long = "self", conflicts_with_all = ["server", "token"])]
    pub(crate) own_relay: bool,
    /// Local address of the parties; found by the way to the server if absent.
    #[arg(long, value_name = "IP")]
    pub(crate) bind: Option<std::net::IpAddr>,
    /// Folder for WAV files of what each party received.
    #[arg(long, value_name = "DIR")]
    pub(crate) wav: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) relay: ServerArgs,
    /// Print the report as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}
