//! How transfers end, told a webhook: reports wait in a queue of their own, one after another, so that no call waits for whoever is told.

use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use core::time::Duration;
use std::sync::Arc;

use serde::Serialize;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use super::TransferKey;
use super::book::{Book, Kept};
use crate::call::record::{TransferRecord, TransferState};
use crate::call::route::Rule;
use crate::http::code_of;
use crate::webhook::{About, Counts, Fault, Reporter};

/// Reports that wait; more are dropped.
const WAITING_MAX: usize = 1024;
/// The pause before the second try; each further one is twice as long, up to the longest.
const PAUSE: Duration = Duration::from_millis(200);
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// A report that could not be told for so long is given up.
const PATIENCE: Duration = Duration::from_secs(3600);

/// The way to whoever is told.
pub(super) struct Reports {
    queue: mpsc::Sender<Letter>,
    waiting: Arc<AtomicUsize>,
    counts: Arc<Counts>,
    all_states: bool,
    /// Reports so far.
    begun: AtomicU64,
}

/// A report on its way.
struct Letter {
    id: String,
    body: String,
    since: Instant,
}

/// How a transfer stands, as it is told.
#[derive(Debug, Serialize)]
struct Report<'a> {
    id: &'a str,
    event: &'static str,
    transfer: &'a str,
    call: &'a str,
    call_record: &'a str,
    state: &'static str,
    is_over: bool,
    code: &'static str,
    method: &'static str,
    chosen_by: &'static str,
    transferor: &'a str,
    transferee: &'a str,
    target: Option<&'a str>,
    refer_to: &'a str,
    rule: Option<&'static str>,
    sip_status: Option<u16>,
    sip_phrase: Option<&'a str>,
    explanation: Option<String>,
    began_ms: u64,
    connected_ms: Option<u64>,
    ended_ms: Option<u64>,
    duration_ms: Option<u64>,
    waited_ms: u64,
    gap_us: Option<u64>,
}

impl Reports {
    /// Begins to tell; the task ends with what it gives back.
    pub(super) fn begin(reporter: Reporter, counts: Arc<Counts>) -> (Self, JoinHandle<()>) {
        let (queue, letters) = mpsc::channel(WAITING_MAX);
        let waiting = Arc::<AtomicUsize>::default();
        let all_states = reporter.settings().states;
        let task = tokio::spawn(deliver(reporter, letters, Arc::clone(&waiting), Arc::clone(&counts)));
        (Self { queue, waiting, counts, all_states, begun: AtomicU64::new(0) }, task)
    }

    /// Has it told how a transfer stands, if that is wanted. Never waits.
    pub(super) fn tell(&self, book: &Book, key: TransferKey) {
        let kept = book.get(key.call);
        let Some((kept, record)) = kept.as_ref().and_then(|kept| Some((kept, kept.transfers.get(&key.transfer)?)))
        else {
            return;
        };
        if !self.all_states && !record.state.is_over() {
            return;
        }
        let (transfer, call_record) = (book.name_of(key), book.id_of(key.call));
        // A transfer may be in one state twice.
        let id = format!("{transfer}-{}-{}", record.state.as_str(), self.begun.fetch_add(1, Ordering::Relaxed));
        let report = Report::new(&id, &transfer, &call_record, kept, record);
        // A record has nothing that JSON has not.
        let Ok(body) = serde_json::to_string(&report) else { return };
        self.waiting.fetch_add(1, Ordering::Relaxed);
        if self.queue.try_send(Letter { id, body, since: Instant::now() }).is_err() {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            self.counts.count(About::Status, "dropped");
        }
    }

    /// Whether some are still on their way.
    pub(super) fn is_busy(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0
    }
}

impl<'a> Report<'a> {
    fn new(id: &'a str, transfer: &'a str, call_record: &'a str, kept: &'a Kept, record: &'a TransferRecord) -> Self {
        let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let is_done = record.state == TransferState::Done;
        let failure = record.failures.last().filter(|_| record.state.is_over() && !is_done);
        let of_transferee = record.receipts.iter().find(|receipt| receipt.party == record.transferee);
        Self {
            id,
            event: "transfer",
            transfer,
            call: &kept.name,
            call_record,
            state: record.state.as_str(),
            is_over: record.state.is_over(),
            code: code_of(record),
            method: record.method.as_str(),
            chosen_by: record.chosen_by.as_str(),
            transferor: &record.transferor,
            transferee: &record.transferee,
            target: record.target.as_deref(),
            refer_to: &record.refer_to,
            rule: record.rule.map(Rule::as_str),
            sip_status: failure.map(|failure| failure.status.code).or_else(|| is_done.then_some(200)),
            sip_phrase: failure.map(|failure| &*failure.status.phrase).or_else(|| is_done.then_some("OK")),
            explanation: record.explain().map(|explanation| explanation.sentence.into()),
            began_ms: kept.at(record.began),
            connected_ms: record.connected.map(|at| kept.at(at)),
            ended_ms: record.ended.map(|at| kept.at(at)),
            duration_ms: record.ended.map(|ended| ms(ended.saturating_sub(record.began))),
            waited_ms: ms(record.waited),
            gap_us: of_transferee.and_then(|receipt| receipt.gap_us),
        }
    }
}

/// Tells one report after another, each until it is taken.
async fn deliver(
    reporter: Reporter,
    mut letters: mpsc::Receiver<Letter>,
    waiting: Arc<AtomicUsize>,
    counts: Arc<Counts>,
) {
    let place = reporter.settings().place.to_string();
    // Whether the log has it that reports are not taken.
    let mut is_told = false;
    while let Some(letter) = letters.recv().await {
        let mut pause = PAUSE;
        let outcome = loop {
            let (why, is_final) = match reporter.tell(&letter.id, &letter.body).await {
                Ok(()) => break "delivered",
                Err(Fault::Again(why)) => (why, letter.since.elapsed() >= PATIENCE),
                Err(Fault::Final(why)) => (why, true),
            };
            if !core::mem::replace(&mut is_told, true) {
                let waits = waiting.load(Ordering::Relaxed);
                tracing::warn!(webhook = %place, %why, report = %letter.id, waits, is_final,
                    "`pivot.status_webhook` does not take reports of transfers; {WAITING_MAX} wait at most, and further failures are counted in /metrics alone");
            }
            if is_final {
                break "failed";
            }
            sleep(pause).await;
            pause = PAUSE_MAX.min(pause * 2);
        };
        counts.count(About::Status, outcome);
        waiting.fetch_sub(1, Ordering::Relaxed);
        if outcome == "delivered" && core::mem::take(&mut is_told) {
            tracing::info!(webhook = %place, "`pivot.status_webhook` takes reports of transfers again");
        }
    }
}
