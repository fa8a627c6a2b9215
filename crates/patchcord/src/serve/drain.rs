//! The end: after the first signal the running calls go on, after the second nothing does.

use std::time::{Duration, Instant};

use patchcord_control::Control;
use patchcord_pivot::driver::Pivot;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;

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
    /// Fires when stdin ends; never where nobody asked for that.
    stdin_end: oneshot::Receiver<()>,
    /// Held so that the other end does not fire.
    _stdin_open: Option<oneshot::Sender<()>>,
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
    /// Stdin ended, and nobody is left to drain for.
    Stdin,
}

impl Signals {
    /// Takes SIGTERM and SIGINT from now on, and the end of stdin if that is to count.
    pub(super) fn listen(until_stdin_ends: bool) -> Result<Self, Failure> {
        let listen =
            |kind| signal(kind).map_err(|error| Failure::failed(format!("cannot listen for signals: {error}")));
        let (sender, stdin_end) = oneshot::channel();
        let mut stdin_open = Some(sender);
        if until_stdin_ends {
            let ended = stdin_open.take();
            // A thread and not a task: reading stdin cannot be cancelled.
            std::thread::spawn(move || {
                let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
                ended.map(|ended| ended.send(()))
            });
        }
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            stdin_end,
            _stdin_open: stdin_open,
        })
    }

    /// The next signal; `None`: stdin has ended.
    async fn next(&mut self) -> Option<&'static str> {
        tokio::select! {
            _ = self.terminate.recv() => Some("SIGTERM"),
            _ = self.interrupt.recv() => Some("SIGINT"),
            _ = &mut self.stdin_end => None,
        }
    }
}

/// Whose calls are waited for: those of the relay, and those of a pivot whose media is elsewhere.
pub(super) struct Calls<'a> {
    pub(super) control: &'a Control,
    pub(super) elsewhere: Option<&'a Pivot>,
}

impl Calls<'_> {
    fn running(&self) -> usize {
        self.control.list().calls.len() + self.elsewhere.map_or(0, Pivot::calls)
    }

    fn drain(&self) {
        self.control.drain();
        self.elsewhere.inspect(|pivot| pivot.drain());
    }

    fn is_idle(&self) -> bool {
        self.control.is_idle() && self.elsewhere.is_none_or(|pivot| pivot.calls() == 0)
    }
}

/// Waits for a signal, drains, and returns when it is over.
pub(super) async fn until_over(calls: &Calls<'_>, mut signals: Signals, deadline: Duration) -> End {
    let signal = signals.next().await;
    calls.drain();
    let Some(signal) = signal else { return End::Stdin };
    notify::notify("STOPPING=1");
    tracing::info!(
        signal,
        calls = calls.running(),
        deadline_s = deadline.as_secs(),
        "draining: no new calls; a second signal ends at once"
    );
    let drained = async {
        while !calls.is_idle() {
            tokio::time::sleep(LOOK).await;
        }
    };
    tokio::select! {
        // A relay without calls has drained, whatever the deadline.
        biased;
        () = drained => End::Drained,
        () = tokio::time::sleep(deadline) => End::Deadline,
        signal = signals.next() => if signal.is_some() { End::Second } else { End::Stdin },
    }
}

/// What the relay has done, in one line.
pub(super) async fn summary(calls: &Calls<'_>, started: Instant, end: End) -> String {
    let running = calls.running();
    // Their JSON is the one description of the workers' counters that there is.
    let workers = serde_json::to_value(calls.control.workers().await).and_then(serde_json::from_value::<Workers>);
    let workers = workers.map(|answer| answer.workers).unwrap_or_default();
    let sum = |count: fn(&crate::client::model::Worker) -> u64| workers.iter().map(count).sum::<u64>();
    let why = match end {
        End::Drained => "all calls had ended".to_owned(),
        End::Deadline => format!("the deadline ended {running} calls"),
        End::Second => format!("a second signal ended {running} calls"),
        End::Stdin => format!("the end of stdin ended {running} calls"),
    };
    let shed =
        workers.iter().flat_map(|worker| &worker.io).filter(|(name, count)| name.ends_with("dropped") && **count > 0);
    let shed: String = shed.map(|(name, count)| format!(", {name} {count}")).collect();
    format!(
        "patchcord ends after {}: {why}; {} datagrams received, {} forwarded, {} packets sent, {} dropped{shed}",
        age(u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX)),
        sum(|worker| worker.datagrams),
        sum(|worker| worker.forwarded),
        sum(|worker| worker.sent),
        sum(|worker| worker.drops.values().sum()),
    )
}
