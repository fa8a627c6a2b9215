//! Processes that a test starts and ends.

use std::fmt;
use std::io::Read;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::wait::eventually;

/// How long a process may take to end after SIGTERM before it is killed.
const END: Duration = Duration::from_secs(5);

/// A child process whose stderr is kept. Dropping it ends it: SIGTERM first, SIGKILL if that does not help.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    stderr: Arc<Mutex<String>>,
    reader: Option<JoinHandle<()>>,
    status: Option<ExitStatus>,
}

/// A program that must be installed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tool {
    /// Its name on the `PATH`.
    pub program: &'static str,
    /// Debian's package.
    pub package: &'static str,
}

impl Tool {
    /// A command for it.
    ///
    /// # Panics
    /// If it is not installed.
    #[must_use]
    pub fn command(self) -> Command {
        let found = std::env::var_os("PATH")
            .is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(self.program).is_file()));
        assert!(found, "{self} is not installed: apt-get install {}", self.package);
        Command::new(self.program)
    }
}

impl fmt::Display for Tool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.program)
    }
}

impl Process {
    /// Starts a command and keeps what it writes on stderr. `name` is for error texts.
    ///
    /// # Panics
    /// If the system cannot start it.
    #[must_use]
    pub fn start(name: &str, command: &mut Command) -> Self {
        let mut child = command
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {name} ({command:?}): {error}"));
        let stderr = Arc::new(Mutex::new(String::new()));
        let reader = child.stderr.take().map(|pipe| {
            let stderr = Arc::clone(&stderr);
            thread::spawn(move || keep(pipe, &stderr))
        });
        Self { name: name.to_owned(), child, stderr, reader, status: None }
    }

    /// Its number.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The child, for its pipes.
    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// What it has written on stderr so far.
    #[must_use]
    pub fn stderr(&self) -> String {
        self.stderr.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sends SIGTERM.
    ///
    /// # Panics
    /// If the process has been waited for already.
    pub fn terminate(&self) {
        assert_eq!(self.status, None, "{} has ended already", self.name);
        let pid = Pid::from_child(&self.child);
        // It may have ended by itself: then nobody needs the signal.
        let _ = kill_process(pid, Signal::TERM);
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        if self.status.is_none()
            && let Ok(Some(status)) = self.child.try_wait()
        {
            self.status = Some(status);
            if let Some(reader) = self.reader.take() {
                // A panic of the reader has been printed already.
                let _ = reader.join();
            }
        }
        self.status
    }

    /// Waits until it has ended.
    ///
    /// # Panics
    /// If it does not.
    pub fn wait(&mut self) -> ExitStatus {
        let what = format!("the end of {}", self.name);
        eventually(&what, || self.ended())
    }

    fn end(&mut self) {
        if self.ended().is_some() {
            return;
        }
        self.terminate();
        let deadline = Instant::now() + END;
        while self.ended().is_none() {
            if Instant::now() > deadline {
                // Nobody could do anything about a failure here.
                let _ = self.child.kill();
                self.status = self.child.wait().ok();
                return;
            }
            thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
        if thread::panicking() {
            write_out(&format!("--- what {} said ---\n{}---\n", self.name, self.stderr()));
        }
    }
}

/// Prints where the test's own output goes.
#[allow(clippy::print_stderr, reason = "a failing test shows what its processes said")]
fn write_out(text: &str) {
    eprint!("{text}");
}

fn keep(mut pipe: impl Read, into: &Mutex<String>) {
    let mut chunk = [0; 4096];
    while let Ok(len) = pipe.read(&mut chunk) {
        if len == 0 {
            return;
        }
        into.lock().unwrap_or_else(PoisonError::into_inner).push_str(&String::from_utf8_lossy(&chunk[..len]));
    }
}
