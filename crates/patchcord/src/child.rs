//! A relay of our own: `serve` as a child process on free loopback ports, for the demo and for `replay --self`.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::client::api::Api;
use crate::failure::Failure;

/// How long it may take to start, on any machine.
const START_TIMEOUT: Duration = Duration::from_secs(20);
/// How long it may take to end before it is killed.
const END_TIMEOUT: Duration = Duration::from_secs(5);
/// How often it is looked whether it has ended.
const LOOK: Duration = Duration::from_millis(5);

/// A running `serve`. Dropping it ends the process.
#[derive(Debug)]
pub(crate) struct RelayChild {
    process: Child,
    api: Api,
    log: Arc<Mutex<String>>,
    log_reader: Option<JoinHandle<()>>,
}

impl RelayChild {
    /// Starts the relay with its defaults and these further arguments, and waits until it listens.
    pub(crate) fn start(arguments: &[&str]) -> Result<Self, Failure> {
        let program = std::env::current_exe()
            .map_err(|error| Failure::failed(format!("cannot find this program's own file: {error}")))?;
        let mut command = Command::new(program);
        command.args(["serve", "--http", "127.0.0.1:0", "--ng", "127.0.0.1:0", "--until-stdin-ends"]).args(arguments);
        // What the user has configured for the real relay is not meant for this one.
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("PATCHCORD_")) {
            command.env_remove(name);
        }
        command.env_remove("NOTIFY_SOCKET");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = command.spawn().map_err(|error| Failure::failed(format!("cannot start a relay: {error}")))?;
        let log = Arc::new(Mutex::new(String::new()));
        let log_reader = process.stderr.take().map(|stderr| {
            let log = Arc::clone(&log);
            std::thread::spawn(move || {
                for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                    let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
                    log.push_str(&line);
                    log.push('\n');
                }
            })
        });
        let mut child = Self { process, api: Api::new("", None), log, log_reader };
        match child.address() {
            Some(address) => {
                child.api = Api::new(&address, None);
                Ok(child)
            }
            None => {
                let log = child.end();
                Err(Failure::failed(format!("the relay did not start:\n{}", log.trim_end())))
            }
        }
    }

    /// Its HTTP API.
    pub(crate) const fn api(&self) -> &Api {
        &self.api
    }

    /// Ends it at once and gives what it wrote on stderr.
    pub(crate) fn end(&mut self) -> String {
        // The end of its stdin ends it; it writes its last line then.
        drop(self.process.stdin.take());
        let deadline = Instant::now() + END_TIMEOUT;
        while matches!(self.process.try_wait(), Ok(None)) {
            if Instant::now() > deadline {
                // It has been ended already, or the system has nothing more to say about it.
                let _ = self.process.kill();
                let _ = self.process.wait();
                break;
            }
            std::thread::sleep(LOOK);
        }
        if let Some(reader) = self.log_reader.take() {
            let _ = reader.join();
        }
        self.log.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Ends it without its goodbyes, for which a pivot waits a second, and gives what it wrote on stderr.
    pub(crate) fn kill(&mut self) -> String {
        // It has ended already, or does now.
        let _ = self.process.kill();
        self.end()
    }

    /// What it says on stdout once it is ready: `listening URL`. `None` if it ends or takes too long without a word.
    fn address(&mut self) -> Option<String> {
        let stdout = self.process.stdout.take()?;
        let (sender, received) = mpsc::channel();
        std::thread::spawn(move || {
            let mut stdout = BufReader::new(stdout);
            let mut line = String::new();
            if stdout.read_line(&mut line).is_ok() {
                // Whoever waits for it may have given up.
                let _ = sender.send(line);
            }
            // It prints nothing else; a full pipe must not be able to stop it all the same.
            std::io::copy(&mut stdout, &mut std::io::sink())
        });
        let line = received.recv_timeout(START_TIMEOUT).ok()?;
        Some(line.strip_prefix("listening ")?.trim().to_owned())
    }
}

impl Drop for RelayChild {
    fn drop(&mut self) {
        self.end();
    }
}
