//! What is kept of calls and transfers, and the line that an operator reads.

use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::timeline::Heard;
use crate::call::TransferId;
use crate::call::record::{CallRecord, TransferRecord};
use crate::call::words::Receipt;

/// So many calls are kept; the oldest goes first.
const CALLS_MAX: usize = 10_000;

/// So much is kept of what a call's parties heard: some hundred transfers.
const HEARD_MAX: usize = 1024;

/// The calls of this process, with their transfers.
#[derive(Debug, Default)]
pub struct Book {
    calls: Mutex<BTreeMap<u64, Kept>>,
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

    fn keep(&self, name: &Arc<str>, number: u64, change: impl FnOnce(&mut Kept)) {
        let mut calls = self.calls();
        if calls.len() >= CALLS_MAX && !calls.contains_key(&number) {
            calls.pop_first();
        }
        let new = || Kept { name: Arc::clone(name), call: None, transfers: BTreeMap::new(), heard: Vec::new() };
        change(calls.entry(number).or_insert_with(new));
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
