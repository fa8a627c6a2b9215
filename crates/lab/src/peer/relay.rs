//! What a relay has to be able to do to be measured, and its process.

use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use patchcord_srtp::Suite;

use super::Topology;
use crate::frames::FramesError;
use crate::netns::{Namespace, NetnsError};
use crate::sys;

/// How long a relay may take until it answers, and a control request.
pub(super) const CONTROL_TIMEOUT: Duration = Duration::from_secs(10);

/// A relay under measurement. All methods but `name` and `command` are called inside the relay's namespace.
pub trait Relay: Sync {
    /// What the results call it.
    fn name(&self) -> &str;

    /// Starts it with one worker, RTP on [`Topology::RELAY_TO_CALLER`] and [`Topology::RELAY_TO_CALLEE`], and its control protocol
    /// on loopback.
    fn command(&self) -> Command;

    /// Whether it answers its control protocol.
    fn is_ready(&self) -> bool;

    /// The suite of SRTP that callees speak with it; callers speak RTP.
    fn callee_suite(&self) -> Option<Suite> {
        None
    }

    /// Sets a call up and says where the relay expects each side's packets.
    ///
    /// # Errors
    /// What the relay answered.
    fn create_call(&self, plan: &CallPlan) -> Result<CallPorts, PeerError>;
}

/// The two parties of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallPlan {
    /// The call's number, from 0.
    pub number: u32,
    /// Where the caller sends from and receives.
    pub caller: SocketAddr,
    /// Where the callee sends from and receives.
    pub callee: SocketAddr,
}

/// Where the relay receives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallPorts {
    /// What the caller sends to.
    pub to_caller: SocketAddr,
    /// What the callee sends to.
    pub to_callee: SocketAddr,
}

/// Why a measurement failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PeerError {
    /// The namespaces.
    #[error(transparent)]
    Namespace(#[from] NetnsError),
    /// One CPU is not enough.
    #[error("relay and load need a CPU each, but this process may use only one: see `taskset -p $$`")]
    Cpus,
    /// The affinity could not be read or set.
    #[error("cannot read or set the CPU affinity: {0}")]
    Affinity(#[source] io::Error),
    /// SIGINT or SIGTERM.
    #[error("interrupted; relays and namespaces were removed")]
    Interrupted,
    /// The signals could not be caught.
    #[error("cannot catch SIGINT and SIGTERM: {0}")]
    Signals(#[source] io::Error),
    /// The generator or a sink of frames.
    #[error(transparent)]
    Frames(#[from] FramesError),
    /// Keys of SRTP.
    #[error("no keys for SRTP: {0}")]
    Keys(String),
    /// A socket or thread of the generator.
    #[error("the load generator cannot {what}: {source}")]
    Load {
        /// What it was doing.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The relay's executable could not be started.
    #[error("cannot start {relay} as {program:?}: {source}")]
    Start {
        /// The relay's name.
        relay: String,
        /// The executable.
        program: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The relay ended, or did not get ready.
    #[error("{relay} {what}; its output is in {log}")]
    Relay {
        /// The relay's name.
        relay: String,
        /// What happened.
        what: String,
        /// The file with what it printed.
        log: PathBuf,
    },
    /// The relay refused a control request, or answered what was not understood.
    #[error("{relay} answered {request} with: {answer}")]
    Control {
        /// The relay's name.
        relay: String,
        /// What it was asked.
        request: String,
        /// What it answered, or why that could not be read.
        answer: String,
    },
}

/// A relay's process inside the relay's namespace; killed when dropped. What it printed is kept only if it failed.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    relay: String,
    log: PathBuf,
    keeps_log: bool,
}

impl Process {
    /// Starts the relay on its CPU and waits until it is ready.
    pub(crate) fn start(relay: &dyn Relay, topology: &Topology, cpu: usize) -> Result<Self, PeerError> {
        Self::spawn(relay.name(), relay.command(), || relay.is_ready(), &topology.relay, cpu)
    }

    /// Starts a command in a namespace on a CPU and waits until it is ready, which is asked inside the namespace too.
    pub(super) fn spawn(
        name: &str,
        mut command: Command,
        is_ready: impl Fn() -> bool + Sync,
        namespace: &Namespace,
        cpu: usize,
    ) -> Result<Self, PeerError> {
        static STARTED: AtomicU32 = AtomicU32::new(0);
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let log = std::env::temp_dir().join(format!("patchcord-lab-{}-{number}-{name}.log", std::process::id()));
        let program = PathBuf::from(command.get_program());
        let failed = |source| PeerError::Start { relay: name.to_owned(), program: program.clone(), source };
        let output = File::create(&log).map_err(failed)?;
        command.stdin(Stdio::null()).stdout(output.try_clone().map_err(failed)?).stderr(output);
        sys::lead_session(&mut command);
        let spawned = namespace.run(|| {
            // The thread dies with this closure; the process that it starts inherits its CPU and its namespace.
            sys::pin_to_cpu(cpu).map_err(PeerError::Affinity)?;
            command.spawn().map_err(failed)
        });
        let child = spawned.map_err(PeerError::from).flatten().inspect_err(|_| {
            // Nobody has written anything there.
            let _ = std::fs::remove_file(&log);
        })?;
        give_group_priority(child.id(), "-20");
        let mut process = Self { child, relay: name.to_owned(), log, keeps_log: false };
        let deadline = Instant::now() + CONTROL_TIMEOUT;
        while !namespace.run(&is_ready)? {
            process.still_runs()?;
            if Instant::now() > deadline {
                return Err(process.failed(format!("was not ready after {CONTROL_TIMEOUT:?}")));
            }
            // The relay is another program: it can only be asked again.
            pause(Duration::from_millis(50))?;
        }
        Ok(process)
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// An error if it has ended.
    pub(crate) fn still_runs(&mut self) -> Result<(), PeerError> {
        match self.child.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(status)) => Err(self.failed(ended(status))),
            Err(error) => Err(self.failed(format!("cannot be waited for: {error}"))),
        }
    }

    fn failed(&mut self, what: String) -> PeerError {
        self.keeps_log = true;
        PeerError::Relay { relay: self.relay.clone(), what, log: self.log.clone() }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to kill. A log that cannot be removed does no harm.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if !self.keeps_log {
            let _ = std::fs::remove_file(&self.log);
        }
    }
}

/// Gives a process all the CPU time that it wants. With automatic grouping (sched(7)), time is shared between sessions first, so
/// that it is the session that needs the priority; without it, the measurement depends on a quiet machine.
fn give_group_priority(process: u32, nice: &str) {
    // Where there is no such file there are no groups.
    let _ = std::fs::write(format!("/proc/{process}/autogroup"), nice);
}

/// As long as it lives, the session of this process gets all the CPU time that it wants.
#[derive(Debug)]
pub(crate) struct GroupPriority {
    before: String,
}

impl GroupPriority {
    pub(crate) fn raise() -> Self {
        let group = std::fs::read_to_string("/proc/self/autogroup").unwrap_or_default();
        let before = group.split_whitespace().last().unwrap_or("0").to_owned();
        give_group_priority(std::process::id(), "-20");
        Self { before }
    }
}

impl Drop for GroupPriority {
    fn drop(&mut self) {
        give_group_priority(std::process::id(), &self.before);
    }
}

/// Sleeps, unless the whole run is to end.
pub(crate) fn pause(time: Duration) -> Result<(), PeerError> {
    let end = Instant::now() + time;
    while !sys::signalled() {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        std::thread::sleep(left.min(Duration::from_millis(100)));
    }
    Err(PeerError::Interrupted)
}

/// From now on SIGINT and SIGTERM end a measurement with [`PeerError::Interrupted`], after relays and namespaces are removed; a
/// second one ends the process at once.
///
/// # Errors
/// [`PeerError::Signals`] if the system refuses.
pub fn clean_up_on_signals() -> Result<(), PeerError> {
    sys::catch_signals().map_err(PeerError::Signals)
}

/// Lets relays that are started from now on have a socket for each of many thousand calls, as far as the system allows it.
pub fn allow_many_sockets() {
    // A relay that has too few says so.
    let _ = sys::raise_open_files();
}

fn ended(status: ExitStatus) -> String {
    format!("ended with {status}")
}
