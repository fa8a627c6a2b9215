//! Daemons that speak ng.

use std::process::Command;
use std::time::Duration;

use patchcord_ng::Dict;

use crate::peer::rtpengine::{CONTROL, ask};

/// A daemon that takes rtpengine's command line: rtpengine itself, or `patchcord rtpengine-compat`.
#[derive(Debug, Clone)]
pub struct NgDaemon {
    /// What the results call it.
    pub name: String,
    /// The executable.
    pub program: String,
    /// What comes before rtpengine's arguments.
    pub subcommand: Option<String>,
    /// Appended to its arguments.
    pub arguments: Vec<String>,
}

impl NgDaemon {
    /// Debian's rtpengine without its kernel module.
    #[must_use]
    pub fn rtpengine(program: &str) -> Self {
        Self { name: "rtpengine".to_owned(), program: program.to_owned(), subcommand: None, arguments: Vec::new() }
    }

    /// Patchcord with the same command line.
    #[must_use]
    pub fn patchcord(program: &str) -> Self {
        Self {
            name: "patchcord".to_owned(),
            program: program.to_owned(),
            subcommand: Some("rtpengine-compat".to_owned()),
            arguments: Vec::new(),
        }
    }

    pub(super) fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(&self.subcommand)
            .args(["--config-file=none", "--table=-1", "--foreground", "--log-stderr", "--log-level=4"])
            .args(["--num-threads=1", "--delete-delay=0", "--port-min=10000", "--port-max=60000"])
            .arg("--interface=127.0.0.1")
            .arg(format!("--listen-ng={CONTROL}"))
            .args(&self.arguments);
        command
    }

    pub(super) fn is_ready() -> bool {
        let ping = Dict::new().with("command", "ping");
        ask("ping", &ping, Duration::from_millis(200))
            .is_ok_and(|reply| reply.text("result").as_deref() == Some("pong"))
    }
}
