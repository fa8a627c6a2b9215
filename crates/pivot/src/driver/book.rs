//! What is kept of calls and transfers, and the line that an operator reads.

use core::pin::pin;
use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use super::timeline::Heard;
use crate::call::TransferId;
use crate::call::record::{CallRecord, TransferRecord};
use crate::call::words::Receipt;
use crate::webhook::Asked;

/// So many calls are kept; the oldest goes first.
const CALLS_MAX: usize = 10_000;

/// So much is kept of what a call's parties heard: some hundred transfers.
const HEARD_MAX: usize = 1024;
/// A transfer that a call has begun is kept by then.
const KEPT_WITHIN: Duration = Duration::from_secs(1);

/// The calls of this process, with their transfers.
#[derive(Debug, Default)]
pub struct Book {
    calls: Mutex<BTreeMap<u64, Kept>>,
    changed: Notify,
}

/// A call and its transfers.
#[derive(Clone, Debug)]
pub struct Kept {
    /// What the relay knows it by.
    pub name: Arc<str>,
    /// The call, once it was answered or is over.
    pub call: Option<CallRecord>,
    /// Its transfers.
    pub transfers: BTreeMap<TransferId, TransferRecord>,
    /// What its parties heard, in the order of time.
    pub heard: Vec<Heard>,
    /// What came of asking a webhook about them.
    pub asked: BTreeMap<TransferId, Arc<Asked>>,
}

impl Book {
    /// All that is kept, the oldest first, by the number of the call.
    #[must_use]
    pub fn all(&self) -> Vec<(u64, Kept)> {
        self.calls().iter().map(|(number, kept)| (*number, kept.clone())).collect()
    }

    /// One call.
    #[must_use]
    pub fn get(&self, number: u64) -> Option<Kept> {
        self.calls().get(&number).cloned()
    }

    pub(super) fn call(&self, name: &Arc<str>, number: u64, record: CallRecord) {
        if record.ended.is_some() {
            say_over(name, &record);
        }
        self.keep(name, number, |kept| kept.call = Some(record));
    }

    /// `true`: it stands otherwise than before.
    pub(super) fn transfer(&self, name: &Arc<str>, number: u64, record: TransferRecord) -> bool {
        if record.state.is_over() {
            say(name, &record);
        }
        let mut is_news = true;
        self.keep(name, number, |kept| {
            let (id, state) = (record.id, record.state);
            let former = kept.transfers.insert(id, record);
            is_news = former.as_ref().is_none_or(|former| former.state != state);
            let proven = former.map(|former| former.receipts).unwrap_or_default();
            if let Some(record) = kept.transfers.get_mut(&id) {
                let later = proven.into_iter().filter(|receipt| !record.receipts.contains(receipt)).collect::<Vec<_>>();
                record.receipts.extend(later);
            }
        });
        is_news
    }

    /// Parties hear something else.
    pub(super) fn heard(&self, name: &Arc<str>, number: u64, news: Vec<Heard>) {
        self.keep(name, number, |kept| {
            let room = HEARD_MAX.saturating_sub(kept.heard.len());
            kept.heard.extend(news.into_iter().take(room));
        });
    }

    /// Something was proven after the transfer to this target was done.
    pub(super) fn receipt(&self, number: u64, target: &Arc<str>, receipt: Receipt) {
        if let Some(kept) = self.calls().get_mut(&number)
            && let Some(record) =
                kept.transfers.values_mut().rev().find(|record| record.target.as_ref() == Some(target))
        {
            record.receipts.push(receipt);
        }
    }

    /// A webhook was asked about a transfer.
    pub(super) fn asked(&self, name: &Arc<str>, number: u64, id: TransferId, asked: Asked) {
        say_asked(name, id, &asked);
        self.keep(name, number, |kept| drop(kept.asked.insert(id, Arc::new(asked))));
    }

    /// Waits until a transfer stands as wished, at most until then, and gives it as it stands; none: there is no such transfer.
    pub async fn until(
        &self,
        number: u64,
        id: TransferId,
        end: Instant,
        is_so: impl Fn(&TransferRecord) -> bool,
    ) -> Option<TransferRecord> {
        // Its call says that it has begun it before it is kept.
        let kept_by = end.max(Instant::now() + KEPT_WITHIN);
        loop {
            let mut changed = pin!(self.changed.notified());
            // What changes from here on is noticed.
            changed.as_mut().enable();
            let record = self.get(number).and_then(|mut kept| kept.transfers.remove(&id));
            let (is_settled, until) = record.as_ref().map_or((false, kept_by), |record| (is_so(record), end));
            if is_settled || timeout_at(until, changed).await.is_err() {
                return record;
            }
        }
    }

    fn keep(&self, name: &Arc<str>, number: u64, change: impl FnOnce(&mut Kept)) {
        let mut calls = self.calls();
        if calls.len() >= CALLS_MAX && !calls.contains_key(&number) {
            calls.pop_first();
        }
        let new = || Kept {
            name: Arc::clone(name),
            call: None,
            transfers: BTreeMap::new(),
            heard: Vec::new(),
            asked: BTreeMap::new(),
        };
        change(calls.entry(number).or_insert_with(new));
        drop(calls);
        self.changed.notify_waiters();
    }

    fn calls(&self) -> MutexGuard<'_, BTreeMap<u64, Kept>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The line that an operator reads when somebody complains about a call.
fn say_over(call: &Arc<str>, record: &CallRecord) {
    let CallRecord { caller, callee, began, answered, ended, reason, refused, transfers, .. } = record;
    let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let duration_ms = ms(ended.unwrap_or_default().saturating_sub(*began));
    let talked_ms = answered.zip(*ended).map(|(answered, ended)| ms(ended.saturating_sub(answered)));
    let reason = reason.as_ref().map(|reason| format!("{} {}", reason.protocol, reason.cause));
    tracing::info!(call = %call, from = %caller.uri, to = %callee.uri, duration_ms, talked_ms, refused, reason,
        transfers = transfers.len(), "call over");
}

/// The line that an operator reads when a webhook does not do what it should.
fn say_asked(call: &Arc<str>, id: TransferId, asked: &Asked) {
    let Asked { delivery, tries, took, outcome } = asked;
    let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    match outcome {
        Ok(answer) => {
            let ignored = (!answer.ignored.is_empty()).then(|| answer.ignored.join(", "));
            tracing::info!(call = %call, transfer = id.0, %delivery, tries, took_ms, %answer, ignored, "webhook");
        }
        Err(why) => {
            tracing::warn!(call = %call, transfer = id.0, %delivery, tries, took_ms, why = %why, "webhook without an answer");
        }
    }
}

/// The line that an operator reads when somebody complains about a transfer.
fn say(call: &Arc<str>, record: &TransferRecord) {
    let TransferRecord { id, method, transferor, transferee, refer_to, state, failures, receipts, .. } = record;
    let (state, method) = (state.as_str(), method.as_str());
    let gap_us = receipts.iter().find(|receipt| receipt.party == *transferee).and_then(|receipt| receipt.gap_us);
    match record.explain() {
        Some(explanation) => {
            let why = explanation.sentence;
            let code = failures.last().map(|failure| failure.status.code);
            tracing::warn!(call = %call, transfer = id.0, method, %transferor, %transferee, to = %refer_to, state, code, why, "transfer");
        }
        None => {
            let target = record.target.as_deref();
            tracing::info!(call = %call, transfer = id.0, method, %transferor, %transferee, to = %refer_to, state, target, gap_us, "transfer");
        }
    }
}
