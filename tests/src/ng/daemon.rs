//! Daemons that speak ng.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::ng::client::NgClient;
use crate::ports::{Ports, free_ports};
use crate::process::{Process, Tool};
use crate::relay::program;
use crate::wait::eventually;

/// Ports for media; a scenario gives back what it took.
const PORTS: u16 = 400;

const RTPENGINE: Tool = Tool { program: "rtpengine", package: "rtpengine-daemon" };

/// A process that answers ng over UDP. Dropping it ends it.
#[derive(Debug)]
pub struct Daemon {
    process: Process,
    address: SocketAddr,
    ports: Ports,
    name: String,
}

impl Daemon {
    /// Debian's rtpengine in user space.
    ///
    /// # Panics
    /// If it is not installed, or does not answer.
    #[must_use]
    pub fn rtpengine(arguments: &[&str]) -> Self {
        Self::start("rtpengine", &mut RTPENGINE.command(), arguments)
    }

    /// `patchcord rtpengine-compat` with the same command line.
    ///
    /// # Panics
    /// If it has not been built, or does not answer.
    #[must_use]
    pub fn patchcord(arguments: &[&str]) -> Self {
        let mut command = Command::new(program());
        // What the user has configured for a relay of his own is not meant for this one.
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("PATCHCORD_")) {
            command.env_remove(name);
        }
        Self::start("patchcord", command.env_remove("NOTIFY_SOCKET").arg("rtpengine-compat"), arguments)
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where its media comes from.
    pub(super) const fn ports(&self) -> Ports {
        self.ports
    }

    /// What it is called in failures.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it has written on stderr.
    #[must_use]
    pub fn stderr(&self) -> String {
        self.process.stderr()
    }

    fn start(name: &str, command: &mut Command, arguments: &[&str]) -> Self {
        // One after the other: where they look for a port that is free, each finds what the one before has taken.
        static ONE_STARTS: Mutex<()> = Mutex::new(());
        let _alone = ONE_STARTS.lock().unwrap_or_else(PoisonError::into_inner);
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_ports(2).first));
        let ports = free_ports(PORTS);
        command
            .args(["--config-file=none", "--table=-1", "--foreground", "--log-stderr", "--log-level=5"])
            // One thread takes packets in the order in which they come: what was sent before a packet that has arrived
            // has been dealt with.
            .arg("--num-threads=1")
            .arg(format!("--listen-ng={address}"))
            .arg(format!("--port-min={}", ports.first))
            .arg(format!("--port-max={}", ports.last))
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        let mut process = Process::start(name, command);
        let client = NgClient::new(address);
        eventually(&format!("{name} answers a ping"), || {
            assert_eq!(process.ended(), None, "{name} ended: {}", process.stderr());
            client.try_raw(b"d7:command4:pinge", Duration::from_millis(500))
        });
        Self { process, address, ports, name: name.to_owned() }
    }
}
