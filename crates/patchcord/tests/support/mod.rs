//! A relay as a child process, and the binary's client commands against it.
#![allow(dead_code, reason = "each test file uses its own part of it")]

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// The longest that anything may take here. Nothing is waited for by time; this only keeps a broken test from hanging.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// The binary, without configuration from the tester's environment.
pub(crate) fn patchcord() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_patchcord"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("PATCHCORD_")) {
        command.env_remove(name);
    }
    command.env_remove("NOTIFY_SOCKET");
    command
}

/// Runs the binary to its end.
pub(crate) fn run(arguments: &[&str]) -> Output {
    patchcord().args(arguments).output().expect("the binary starts")
}

/// Runs the binary and wants exit code 0; its stdout.
pub(crate) fn ok(arguments: &[&str]) -> String {
    let output = run(arguments);
    assert!(output.status.success(), "{arguments:?}: {}\n{}", output.status, stderr(&output));
    stdout(&output)
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("UTF-8")
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("UTF-8")
}

/// A running `serve`. Dropping it kills the process.
pub(crate) struct Relay {
    pub(crate) url: String,
    process: Child,
    stderr: Option<std::thread::JoinHandle<String>>,
}

impl Relay {
    /// Starts it on a free HTTP port and waits until it listens.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::start_with(patchcord().args(arguments))
    }

    pub(crate) fn start_with(command: &mut Command) -> Self {
        // `serve` stands behind the caller's own arguments nowhere: they are serve's.
        let program = command.get_program().to_owned();
        let mut serve = Command::new(program);
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => serve.env(name, value),
                None => serve.env_remove(name),
            };
        }
        serve.args(["serve", "--http", "127.0.0.1:0", "--ng", "127.0.0.1:0"]).args(command.get_args());
        let mut process = serve
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let mut stderr = process.stderr.take().expect("it was piped");
        let stderr = std::thread::spawn(move || {
            let mut text = String::new();
            stderr.read_to_string(&mut text).expect("UTF-8");
            text
        });
        let mut line = String::new();
        BufReader::new(process.stdout.take().expect("it was piped")).read_line(&mut line).expect("a line");
        let url = line.trim().strip_prefix("listening ").unwrap_or_default().to_owned();
        let mut relay = Self { url, process, stderr: Some(stderr) };
        if relay.url.is_empty() {
            let (status, log) = relay.wait();
            panic!("the relay did not start: {status}\n{log}");
        }
        relay
    }

    /// Runs a client command against it.
    pub(crate) fn client(&self, arguments: &[&str]) -> Output {
        patchcord().args(arguments).args(["--server", &self.url]).output().expect("the binary starts")
    }

    /// Runs a client command and wants exit code 0; its stdout.
    pub(crate) fn ok(&self, arguments: &[&str]) -> String {
        let output = self.client(arguments);
        assert!(output.status.success(), "{arguments:?}: {}\n{}", output.status, stderr(&output));
        stdout(&output)
    }

    /// Runs a client command with `--json`.
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        let mut arguments = arguments.to_vec();
        arguments.push("--json");
        serde_json::from_str(&self.ok(&arguments)).expect("JSON")
    }

    /// The status of a GET without a token.
    pub(crate) fn status(&self, path: &str) -> u16 {
        let agent = ureq::Agent::config_builder().http_status_as_error(false).proxy(None).build().new_agent();
        agent.get(format!("{}{path}", self.url)).call().expect("an answer").status().as_u16()
    }

    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.process);
        rustix::process::kill_process(pid, signal).expect("the process is ours");
    }

    /// Waits until the relay says that it takes no new calls.
    pub(crate) fn wait_until_draining(&self) {
        let deadline = Instant::now() + PATIENCE;
        while self.status("/readyz") == 200 {
            assert!(Instant::now() < deadline, "it does not drain");
            std::thread::yield_now();
        }
    }

    /// Waits for its end; what it wrote on stderr.
    pub(crate) fn wait(&mut self) -> (ExitStatus, String) {
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.process.try_wait().expect("the process is ours") {
                break status;
            }
            assert!(Instant::now() < deadline, "the relay does not end");
            std::thread::sleep(Duration::from_millis(5));
        };
        let log = self.stderr.take().map(|reader| reader.join().expect("no panic")).unwrap_or_default();
        (status, log)
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.process.try_wait().expect("the process is ours").is_none()
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
