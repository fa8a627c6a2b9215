//! Requests to the workers, and their answers by ticket.

use core::fmt;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use core::time::Duration;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use patchcord_relay::command::{Command, Refusal};
use patchcord_relay::exchange::{Applied, Reply, Request, Ticket};
use patchcord_relay::ids::LegId;
use patchcord_relay::snapshot::{LegSnapshot, WorkerSnapshot};
use tokio::runtime::Handle;
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;

use crate::error::{ApiError, ErrorCode};

/// How long an answer to a question is waited for. A worker answers between two batches of packets, so that milliseconds
/// are long already.
const QUESTION_TIMEOUT: Duration = Duration::from_secs(1);

const GONE_OR_FULL: &str = "takes no requests: it is gone or its queue is full";

/// The ticket of a request whose answer nobody waits for.
const NOBODY: Ticket = 0;

/// Somebody who owns an engine shard and takes requests for it.
pub trait Worker: Send + Sync {
    /// Hands a request over without waiting for its answer, which comes back through
    /// [`Control::accept`](crate::Control::accept). It may lie there until [`Worker::wake`].
    ///
    /// # Errors
    /// The request itself, if the worker is gone or its queue is full.
    fn send(&self, request: Request) -> Result<(), Request>;

    /// Has the worker look at what it was sent. Called soon after a request, and once for all that were sent meanwhile.
    fn wake(&self) {}
}

/// All workers.
pub(crate) struct Engine {
    workers: Vec<Arc<dyn Worker>>,
    alarm: Arc<Alarm>,
    waking: JoinHandle<()>,
    tickets: Mutex<HashMap<Ticket, oneshot::Sender<Reply>>>,
    next_ticket: AtomicU64,
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("workers", &self.workers.len()).finish_non_exhaustive()
    }
}

/// Wakes workers when the tasks that are ready have had their turn. Proxies' requests come in bursts: a worker that was woken for
/// the first of them would take the CPU from whoever takes the next, or have gone to sleep again by then.
#[derive(Debug)]
struct Alarm {
    rung: Notify,
    /// Which workers are to be woken.
    due: Vec<AtomicBool>,
}

impl Alarm {
    fn ring(&self, worker: usize) {
        if !self.due[worker].swap(true, Ordering::AcqRel) {
            self.rung.notify_one();
        }
    }

    async fn wake(&self, workers: &[Arc<dyn Worker>]) {
        loop {
            self.rung.notified().await;
            for (worker, due) in workers.iter().zip(&self.due) {
                if due.swap(false, Ordering::AcqRel) {
                    worker.wake();
                }
            }
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.waking.abort();
    }
}

impl Engine {
    pub(crate) fn new(workers: Vec<Arc<dyn Worker>>, runtime: &Handle) -> Self {
        let due = workers.iter().map(|_| AtomicBool::new(false)).collect();
        let alarm = Arc::new(Alarm { rung: Notify::new(), due });
        let (rung, sleepers) = (Arc::clone(&alarm), workers.clone());
        let waking = runtime.spawn(async move { rung.wake(&sleepers).await });
        Self { workers, alarm, waking, tickets: Mutex::default(), next_ticket: AtomicU64::new(1) }
    }

    pub(crate) fn workers(&self) -> usize {
        self.workers.len()
    }

    /// Has a batch applied. There is no time limit: once it is sent, only the worker knows what became of it.
    ///
    /// # Errors
    /// The outer one: the worker took no request, nothing was applied. The inner one: the engine refused the batch.
    pub(crate) async fn apply(
        &self,
        worker: usize,
        commands: Vec<Command>,
    ) -> Result<Result<Applied, (usize, Refusal)>, ApiError> {
        let (_, answer) = self.ask(worker, |ticket| Request::Apply { ticket, commands })?;
        match answer.await {
            Ok(Reply::Applied { result, .. }) => Ok(result),
            _ => Err(unavailable(worker, "stopped while it had a request")),
        }
    }

    /// Has a batch applied, and does not ask what became of it.
    ///
    /// # Errors
    /// The worker takes no requests.
    pub(crate) fn tell(&self, worker: usize, commands: Vec<Command>) -> Result<(), ApiError> {
        if commands.is_empty() {
            return Ok(());
        }
        let request = Request::Apply { ticket: NOBODY, commands };
        self.workers[worker].send(request).map_err(|_| unavailable(worker, GONE_OR_FULL))?;
        self.alarm.ring(worker);
        Ok(())
    }

    /// Copies of these legs' state, unknown ones left out.
    pub(crate) async fn legs(&self, worker: usize, legs: Vec<LegId>) -> Result<Vec<LegSnapshot>, ApiError> {
        match self.question(worker, |ticket| Request::Legs { ticket, legs }).await? {
            Reply::Legs { legs, .. } => Ok(legs),
            _ => Err(unavailable(worker, "gave an answer to another question")),
        }
    }

    /// Copies of these legs' state, and right after that a batch. Both are on their way before either is answered, so that the
    /// worker is woken once. There is no time limit, as for [`Engine::apply`].
    ///
    /// # Errors
    /// As for [`Engine::apply`].
    pub(crate) async fn legs_and_apply(
        &self,
        worker: usize,
        legs: Vec<LegId>,
        commands: Vec<Command>,
    ) -> Result<(Vec<LegSnapshot>, Result<Applied, (usize, Refusal)>), ApiError> {
        let (_, snapshots) = self.ask(worker, |ticket| Request::Legs { ticket, legs })?;
        let (_, applied) = self.ask(worker, |ticket| Request::Apply { ticket, commands })?;
        match (snapshots.await, applied.await) {
            (Ok(Reply::Legs { legs, .. }), Ok(Reply::Applied { result, .. })) => Ok((legs, result)),
            _ => Err(unavailable(worker, "stopped while it had a request")),
        }
    }

    /// The worker's counters.
    pub(crate) async fn worker(&self, worker: usize) -> Result<WorkerSnapshot, ApiError> {
        match self.question(worker, |ticket| Request::Worker { ticket }).await? {
            Reply::Worker { worker, .. } => Ok(*worker),
            _ => Err(unavailable(worker, "gave an answer to another question")),
        }
    }

    /// An answer has come. One that nobody waits for any more is dropped.
    pub(crate) fn resolve(&self, ticket: Ticket, reply: Reply) {
        let waiting = self.tickets.lock().unwrap_or_else(PoisonError::into_inner).remove(&ticket);
        if let Some(waiting) = waiting {
            // The asker may have given up between the two lines: then nobody needs the answer.
            drop(waiting.send(reply));
        }
    }

    async fn question(&self, worker: usize, request: impl FnOnce(Ticket) -> Request) -> Result<Reply, ApiError> {
        let (ticket, answer) = self.ask(worker, request)?;
        if let Ok(Ok(reply)) = tokio::time::timeout(QUESTION_TIMEOUT, answer).await {
            return Ok(reply);
        }
        self.tickets.lock().unwrap_or_else(PoisonError::into_inner).remove(&ticket);
        Err(unavailable(worker, "does not answer"))
    }

    fn ask(
        &self,
        worker: usize,
        request: impl FnOnce(Ticket) -> Request,
    ) -> Result<(Ticket, oneshot::Receiver<Reply>), ApiError> {
        let ticket = self.next_ticket.fetch_add(1, Ordering::Relaxed);
        let (sender, receiver) = oneshot::channel();
        // The ticket must be known before the worker can answer.
        self.tickets.lock().unwrap_or_else(PoisonError::into_inner).insert(ticket, sender);
        if self.workers[worker].send(request(ticket)).is_err() {
            self.tickets.lock().unwrap_or_else(PoisonError::into_inner).remove(&ticket);
            return Err(unavailable(worker, GONE_OR_FULL));
        }
        self.alarm.ring(worker);
        Ok((ticket, receiver))
    }
}

fn unavailable(worker: usize, what: &str) -> ApiError {
    ApiError::new(ErrorCode::WorkerUnavailable, format!("worker {worker} {what}; look at /v1/workers and the log"))
}

/// A leg that was just added, as a worker tells of it.
#[cfg(test)]
pub(crate) fn new_leg(id: LegId) -> LegSnapshot {
    use patchcord_relay::command::{Command, EgressMode, LatchPolicy, LegSpec, Relaying};
    use patchcord_relay::{Shard, ShardConfig};

    let mut shard = Shard::new(ShardConfig { legs_max: 1, seed: 1 });
    let spec = LegSpec {
        id,
        local_rtp: ([127, 0, 0, 1], 30_000).into(),
        local_rtcp: None,
        remote_rtp: None,
        remote_rtcp: None,
        codecs: Vec::new(),
        direction: patchcord_relay::media::Direction::SendRecv,
        latch: LatchPolicy::default(),
        egress_mode: EgressMode::Continuity,
        media_timeout: None,
        relaying: Relaying::Rtp,
        dscp: None,
    };
    let now = patchcord_relay::time::MonoTime::ZERO;
    assert!(shard.apply(&[Command::AddLeg(Box::new(spec))], now).is_ok(), "there is room for one");
    shard.leg(id, now).expect("it was added")
}
