//! The end: after the first signal the running calls go on, after the second nothing does.

use std::time::{Duration, Instant};

use patchcord_control::Control;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::notify;
use crate::client::model::Workers;
use crate::client::show::age;
use crate::failure::Failure;

/// How often it is looked whether the last call has ended.
const LOOK: Duration = Duration::from_millis(20);

/// The signals that end the relay.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

/// Why the relay ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The last call has ended.
    Drained,
    /// The deadline came first.
    Deadline,
    /// A second signal came.
    Second,
}

impl Signals {
    /// Takes SIGTERM and SIGINT from now on.
    pub(super) fn listen() -> Result<Self, Failure> {
        let listen =
            |kind| signal(kind).map_err(|error| Failure::failed(format!("cannot listen for signals: {error}")));
        Ok(Self { terminate: listen(SignalKind::terminate())?, interrupt: listen(SignalKind::interrupt())? })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

/// Waits for a signal, drains, and returns when it is over.
pub(super) async fn until_over(control: &Control, mut signals: Signals, deadline: Duration) -> End {
    let signal = signals.next().await;
    control.drain();
    notify::notify("STOPPING=1");
    let calls = control.list().calls.len();
    tracing::info!(
        signal,
        calls,
        deadline_s = deadline.as_secs(),
        "draining: no new calls; a second signal ends at once"
    );
    let drained = async {
        while !control.is_idle() {
            tokio::time::sleep(LOOK).await;
        }
    };
    tokio::select! {
        () = drained => End::Drained,
        () = tokio::time::sleep(deadline) => End::Deadline,
        _ = signals.next() => End::Second,
    }
}

/// What the relay has done, in one line.
pub(super) async fn summary(control: &Control, started: Instant, end: End) -> String {
    let running = control.list().calls.len();
    // Their JSON is the one description of the workers' counters that there is.
    let workers = serde_json::to_value(control.workers().await).and_then(serde_json::from_value::<Workers>);
    let workers = workers.map(|answer| answer.workers).unwrap_or_default();
    let sum = |count: fn(&crate::client::model::Worker) -> u64| workers.iter().map(count).sum::<u64>();
    let why = match end {
        End::Drained => "all calls had ended".to_owned(),
        End::Deadline => format!("the deadline ended {running} calls"),
        End::Second => format!("a second signal ended {running} calls"),
    };
    format!(
        "patchcord ends after {}: {why}; {} datagrams received, {} forwarded, {} packets sent, {} dropped",
        age(u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX)),
        sum(|worker| worker.datagrams),
        sum(|worker| worker.forwarded),
        sum(|worker| worker.sent),
        sum(|worker| worker.drops.values().sum()),
    )
}
