//! How fast relays are, under frames that the kernel makes: [`crate::frames`].
//!
//! ```text
//!  caller namespace           relay namespace           callee namespace
//!  10.211.1.2 ---------- 10.211.1.1 | 10.211.2.1 ---------- 10.211.2.2
//!  sink                       the relay                            sink
//!
//!  generator of both directions (load CPU); the relay (relay CPU)
//! ```
//!
//! A *speed* is a relay with certain arguments: rtpengine, or `patchcord serve` with one of its backends. A *trial* is one speed with
//! a number of calls, in a fresh process:
//!
//! - **The maximum** is found by bisection: the highest rate with at most 0.1 % of loss and half of the packets within 5 ms (deep
//!   buffers fake capacity). Queues drain between two rates; a process that has not recovered from a rate that was too high is
//!   replaced. Where the generator's CPU is the limit, which it shares with what the kernel does for the relay, the result says so.
//! - **CPU of the relay** is what the scheduler charged to its tasks. What the sink costs there is in it, for all relays alike.
//! - **CPU of the machine** is that and all that the load's CPU did for a packet, less what generator and sink take for it
//!   without a relay between them, at the same rate in the same trial. It is what a relay in the kernel costs, whose process does
//!   nothing, and contains the kernel's receiving for those that have sockets. The generator knows when it is not waiting.
//! - **Latency** is that at half of the maximum, and under a light load that is the same for all.
//! - **Memory** is that of the process.
//!
//! With [`Settings::callee_suite`] the relay encrypts what callers send; then callees send nothing.
//!
//! Rounds alternate between the speeds. A window in which others used more than 3 % of the CPUs is measured again, and marked
//! if it never gets quiet.

mod bed;
mod flood;
mod machine;
mod markdown;
mod plot;
mod report;
mod speed;
mod svg;
mod trial;
mod window;

pub use machine::Machine;
pub use markdown::markdown;
pub use plot::{growth_plots, speed_plots};
pub use report::{Latencies, LoadSummary, Range, Report, Summary, report};
pub use speed::{NotASpeed, Speed, Unavailable};
pub use trial::{Load, Maximum, Step, Trial};
pub use window::Window;

use std::time::Duration;

use patchcord_srtp::Suite;
use serde::{Serialize, Serializer};

use crate::peer::relay::GroupPriority;
use crate::peer::{self, PeerError};

/// What is the same for all speeds of a run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Settings {
    /// Numbers of calls; every speed is tried with each of them.
    pub calls: Vec<u32>,
    /// Trials of each speed with each number of calls.
    pub rounds: u32,
    /// Length of a measuring window.
    pub window: Duration,
    /// Callees are spoken to in SRTP with this suite, and only callers send: the generator encrypts nothing.
    #[serde(serialize_with = "suite_name")]
    pub callee_suite: Option<Suite>,
    /// Packets a second in all, of the light load.
    pub light_packets_per_s: u32,
    /// Share of all CPU time that others may use in a window, 0 to 1.
    pub foreign_max: f64,
    /// How often a disturbed window is measured again.
    pub retries: u32,
    /// How long others may be waited for to get quiet before that.
    pub patience: Duration,
    /// The CPU of the relay.
    pub relay_cpu: usize,
    /// The CPU of the generator.
    pub load_cpu: usize,
}

impl Settings {
    /// 500 calls, three rounds, windows of a second, a light load of 250 telephone calls, on the first and the last CPU that this process may use.
    ///
    /// # Errors
    /// [`PeerError::Cpus`] if there are not two.
    pub fn new() -> Result<Self, PeerError> {
        let peer::Settings { foreign_max, relay_cpu, load_cpu, .. } = peer::Settings::new()?;
        Ok(Self {
            calls: vec![500],
            callee_suite: None,
            rounds: 3,
            window: Duration::from_secs(1),
            light_packets_per_s: 25_000,
            foreign_max,
            retries: 3,
            patience: Duration::from_secs(10),
            relay_cpu,
            load_cpu,
        })
    }
}

fn suite_name<S: Serializer>(suite: &Option<Suite>, serializer: S) -> Result<S::Ok, S::Error> {
    suite.map(Suite::name).serialize(serializer)
}

/// What happens, while it happens.
#[derive(Debug, Clone, Copy)]
pub enum Progress<'a> {
    /// A window was measured, one that does not count included.
    Window(&'a Window),
    /// A trial is over.
    Trial(&'a Trial),
    /// A speed cannot be had here.
    Unavailable(&'a Unavailable),
}

/// Tries all speeds in each round, one after the other, and sums up. Ratios are to the first speed.
///
/// # Errors
/// Namespaces, generator or sinks could not be had, or a relay died. One that does not start or refuses a call is no error.
pub fn speeds(
    speeds: &[Speed],
    settings: &Settings,
    mut progress: impl FnMut(Progress<'_>),
) -> Result<Report, PeerError> {
    let bed = bed::Bed::lay()?;
    let _first = GroupPriority::raise();
    let alone = trial::generator_alone(&bed, settings)?;
    let mut trials: Vec<Trial> = Vec::new();
    let mut unavailable: Vec<Unavailable> = Vec::new();
    for round in 0..settings.rounds {
        for &calls in &settings.calls {
            for speed in speeds {
                if unavailable.iter().any(|one| one.is_of(&speed.name, calls)) {
                    continue;
                }
                let earlier = trials.iter().rfind(|trial| trial.speed == speed.name);
                let near = earlier.map(|trial| trial.maximum.packets_per_s);
                match trial::run(speed, &bed, settings, calls, round, near, |window| progress(Progress::Window(window)))
                {
                    Ok(trial) => {
                        progress(Progress::Trial(&trial));
                        trials.push(trial);
                    }
                    Err(error) => {
                        let one = Unavailable::of(speed, calls, &error).ok_or(error)?;
                        progress(Progress::Unavailable(&one));
                        unavailable.push(one);
                    }
                }
            }
        }
    }
    Ok(report(speeds, settings, alone, trials, unavailable))
}
