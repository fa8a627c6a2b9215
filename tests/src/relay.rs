//! The relay under test, as a process.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::{io, thread};

use crate::client::Client;
use crate::events::Events;
use crate::ports::free_ports;
use crate::process::Process;

/// Ports of a relay whose test does not say how many it needs.
const PORTS: u16 = 100;

/// `patchcord serve` on loopback with free ports. Dropping it ends it.
#[derive(Debug)]
pub struct Relay {
    process: Process,
    client: Client,
}

/// How a relay ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Its exit status.
    pub status: ExitStatus,
    /// All it wrote on stderr.
    pub stderr: String,
}

impl Relay {
    /// Starts a relay with these arguments and waits until it listens. Without `--ports` it gets some that are free; its
    /// deadline for draining is 0 unless `arguments` set one, so that one SIGTERM ends it.
    ///
    /// # Panics
    /// If the program has not been built, or the relay ends before it listens.
    #[must_use]
    pub fn start(arguments: &[&str]) -> Self {
        Self::try_start(arguments).unwrap_or_else(|ended| panic!("the relay did not start: {ended:?}"))
    }

    /// [`Relay::start`] for one that may refuse.
    ///
    /// # Errors
    /// How it ended, if it did before it listened.
    ///
    /// # Panics
    /// If the program has not been built.
    pub fn try_start(arguments: &[&str]) -> Result<Self, Ended> {
        let mut command = Command::new(program());
        command.arg("serve");
        let ports = free_ports(PORTS).to_string();
        for (flag, value) in [("--http", "127.0.0.1:0"), ("--ng", "127.0.0.1:0"), ("--ports", ports.as_str())] {
            if !arguments.contains(&flag) {
                command.args([flag, value]);
            }
        }
        if !arguments.iter().any(|argument| argument.starts_with("drain.deadline_s=")) {
            command.args(["--set", "drain.deadline_s=0"]);
        }
        // What the user has configured for a relay of his own is not meant for this one.
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("PATCHCORD_")) {
            command.env_remove(name);
        }
        command.env_remove("NOTIFY_SOCKET");
        let command = command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut process = Process::start("the relay", command);
        let stdout = process.child().stdout.take().expect("it is piped");
        let mut stdout = BufReader::new(stdout);
        let mut line = String::new();
        // A failure to read is told below: there is no line then.
        let _ = stdout.read_line(&mut line);
        let Some(base) = line.trim_end().strip_prefix("listening ") else {
            let status = process.wait();
            return Err(Ended { status, stderr: process.stderr() });
        };
        // It prints nothing else; a full pipe must not be able to stop it all the same.
        thread::spawn(move || io::copy(&mut stdout, &mut io::sink()));
        Ok(Self { client: Client::new(base), process })
    }

    /// Its HTTP API.
    #[must_use]
    pub const fn client(&self) -> &Client {
        &self.client
    }

    /// Its events from now on, of all calls.
    ///
    /// # Panics
    /// If it does not answer.
    #[must_use]
    pub fn events(&self) -> Events {
        self.client.events()
    }

    /// The number of its process.
    #[must_use]
    pub fn process_id(&self) -> u32 {
        self.process.id()
    }

    /// Sends SIGTERM: it drains.
    pub fn terminate(&self) {
        self.process.terminate();
    }

    /// Ends it with SIGKILL, and waits until it is gone.
    ///
    /// # Panics
    /// If it was gone already.
    pub fn kill(&mut self) {
        self.process.child().kill().expect("it runs");
        self.process.wait();
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        self.process.ended().is_none()
    }

    /// Waits until it has ended.
    ///
    /// # Panics
    /// If it does not.
    pub fn wait(&mut self) -> Ended {
        let status = self.process.wait();
        Ended { status, stderr: self.process.stderr() }
    }

    /// What a client command of the same program prints, which must succeed.
    ///
    /// # Panics
    /// If it does not.
    #[must_use]
    pub fn ask(&self, arguments: &[&str]) -> String {
        let output = Command::new(program()).args(arguments).args(["--server", self.client.base()]).output();
        let output = output.expect("the program starts");
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).expect("text")
    }

    /// Begins a client command that goes on for a while.
    ///
    /// # Panics
    /// The program does not start.
    #[must_use]
    pub fn begin(&self, arguments: &[&str]) -> Child {
        let mut command = Command::new(program());
        command.args(arguments).args(["--server", self.client.base()]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().expect("the program starts")
    }

    /// Whatever it has written on stderr.
    #[must_use]
    pub fn stderr(&self) -> String {
        self.process.stderr()
    }
}

/// What a command of the same program does that needs no relay.
///
/// # Panics
/// The program has not been built.
#[must_use]
pub fn run(arguments: &[&str]) -> std::process::Output {
    let mut command = Command::new(program());
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("PATCHCORD_")) {
        command.env_remove(name);
    }
    command.args(arguments).stdin(Stdio::null()).output().expect("the program starts")
}

/// The relay's program: built in the same profile as the test, it lies two folders up, in `target/PROFILE/`.
pub(crate) fn program() -> PathBuf {
    let test = std::env::current_exe().expect("the system tells a process its own file");
    let folder = test.parent().and_then(Path::parent).expect("a test lies in target/PROFILE/deps");
    let program = folder.join("patchcord");
    let profile = match folder.file_name().and_then(|name| name.to_str()) {
        Some("release") => " --release",
        _ => "",
    };
    assert!(program.is_file(), "{} is missing: build it with `cargo build -p patchcord{profile}`", program.display());
    program
}
