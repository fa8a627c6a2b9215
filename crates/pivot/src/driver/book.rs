//! What is kept of calls and transfers, and the line that an operator reads.

use core::pin::pin;
use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::Notify;
use tokio::time::timeout_at;

use super::archive::{Archive, Filter};
use super::bill;
use super::commanding::TransferKey;
use super::media_facts::MediaBook;
use super::timeline::Heard;
use crate::call::TransferId;
use crate::call::record::{CallRecord, TransferRecord};
use crate::call::words::Receipt;
use crate::http::{CallView, MediaView, TransferView};
use crate::webhook::Asked;

/// So many calls that are over are kept; the oldest goes first.
const CALLS_MAX: usize = 10_000;

/// So much is kept of what a call's parties heard: some hundred transfers.
const HEARD_MAX: usize = 1024;

/// The calls of this process, with their transfers.
#[derive(Debug)]
pub struct Book {
    /// Tells this process's records from those of all others.
    process: Box<str>,
    /// When time began for what is kept.
    started: Instant,
    archive: Option<Arc<dyn Archive>>,
    media: Arc<MediaBook>,
    shelf: Mutex<Shelf>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Shelf {
    calls: BTreeMap<u64, Kept>,
    /// In the order in which they ended.
    over: VecDeque<u64>,
    /// Transfers by when they were asked for.
    begun: BTreeSet<(Duration, u64, TransferId)>,
}

/// A call and its transfers.
#[derive(Clone, Debug)]
pub struct Kept {
    /// What the relay knows it by.
    pub name: Arc<str>,
    /// When time began for its records.
    pub clock: SystemTime,
    /// The call, once it was answered or is over.
    pub call: Option<CallRecord>,
    /// Its transfers.
    pub transfers: BTreeMap<TransferId, TransferRecord>,
    /// What its parties heard, in the order of time.
    pub heard: Vec<Heard>,
    /// What came of asking a webhook about them.
    pub asked: BTreeMap<TransferId, Arc<Asked>>,
}

impl Kept {
    /// A time of its records, milliseconds since 1970.
    pub(crate) fn at(&self, time: Duration) -> u64 {
        let since = (self.clock + time).duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    /// What the caller knows it by, as far as that is known yet.
    fn call_id(&self) -> &str {
        self.call.as_ref().map_or(&self.name, |call| &call.call_id)
    }
}

impl Book {
    pub(super) fn new(archive: Option<Arc<dyn Archive>>, media: Arc<MediaBook>, started: Instant) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        // Two that start in the same millisecond are told apart by chance.
        let chance = RandomState::new().hash_one(std::process::id()) & 0xffff_ffff;
        Self {
            process: format!("{now:011x}{chance:08x}").into(),
            started,
            archive,
            media,
            shelf: Mutex::default(),
            changed: Notify::new(),
        }
    }

    /// The id of a call's record: this process's own name, and the number of the call.
    #[must_use]
    pub fn id_of(&self, number: u64) -> String {
        format!("{}-{number}", self.process)
    }

    /// The id of a transfer's record.
    #[must_use]
    pub fn name_of(&self, key: TransferKey) -> String {
        format!("{}-{key}", self.process)
    }

    /// The transfer of this process that has this id. The short form, `7-1`, is one of this process.
    #[must_use]
    pub fn key_of(&self, id: &str) -> Option<TransferKey> {
        self.own(id).unwrap_or(id).parse().ok()
    }

    /// The number of this process's call with this id.
    #[must_use]
    pub fn number_of(&self, id: &str) -> Option<u64> {
        self.own(id)?.parse().ok()
    }

    fn own<'a>(&self, id: &'a str) -> Option<&'a str> {
        id.strip_prefix(&*self.process)?.strip_prefix('-')
    }

    /// Where records outlive this process.
    #[must_use]
    pub fn archive(&self) -> Option<&Arc<dyn Archive>> {
        self.archive.as_ref()
    }

    /// One call.
    #[must_use]
    pub fn get(&self, number: u64) -> Option<Kept> {
        self.shelf().calls.get(&number).cloned()
    }

    /// A transfer as clients see it, with what its media did.
    #[must_use]
    pub fn transfer_view(&self, key: TransferKey) -> Option<TransferView> {
        let shelf = self.shelf();
        let kept = shelf.calls.get(&key.call)?;
        let media = self.media.of(key.call).zip(kept.transfers.get(&key.transfer));
        let media = media.map(|(media, record)| MediaView::new(record, &media, kept.clock));
        self.view(key, kept).map(|view| TransferView { media, ..view })
    }

    /// When the first packet of each party of a call came, since the driver's beginning of time.
    pub(crate) fn first_packets(&self, number: u64) -> BTreeMap<Arc<str>, Duration> {
        let media = self.media.of(number).unwrap_or_default();
        // The latest facts know of everybody.
        let facts = media.transfers.values().chain(&media.end).flat_map(|facts| &facts.parties);
        facts.filter_map(|party| Some((Arc::clone(&party.party), party.first_packet?))).collect()
    }

    /// A call as clients see it, once it was answered or is over.
    #[must_use]
    pub fn call_view(&self, number: u64) -> Option<CallView> {
        let shelf = self.shelf();
        self.view_call(number, shelf.calls.get(&number)?)
    }

    /// The latest transfers that are wanted.
    #[must_use]
    pub fn transfers(&self, filter: &Filter) -> Vec<TransferView> {
        let shelf = self.shelf();
        let wanted = shelf.begun.iter().rev().filter_map(|(began, call, transfer)| {
            let kept = shelf.calls.get(call)?;
            let record = kept.transfers.get(transfer)?;
            let id = filter.call.as_ref().map(|_| self.id_of(*call)).unwrap_or_default();
            let is_wanted = filter.takes(kept.at(*began), &[&id, kept.call_id(), &kept.name])
                && filter.state.as_ref().is_none_or(|state| state == record.state.as_str());
            is_wanted.then_some((TransferKey { call: *call, transfer: *transfer }, kept))
        });
        wanted.take(filter.limit as usize).filter_map(|(key, kept)| self.view(key, kept)).collect()
    }

    /// The latest calls that are wanted.
    #[must_use]
    pub fn calls(&self, filter: &Filter) -> Vec<CallView> {
        let shelf = self.shelf();
        let wanted = shelf.calls.iter().rev().filter(|(number, kept)| {
            let id = filter.call.as_ref().map(|_| self.id_of(**number)).unwrap_or_default();
            let began = kept.call.as_ref().map(|call| kept.at(call.began));
            began.is_some_and(|began| filter.takes(began, &[&id, kept.call_id(), &kept.name]))
        });
        wanted.take(filter.limit as usize).filter_map(|(number, kept)| self.view_call(*number, kept)).collect()
    }

    pub(super) fn call(&self, name: &Arc<str>, number: u64, record: CallRecord) {
        let is_over = record.ended.is_some();
        if is_over {
            say_over(name, &record);
        }
        self.keep(name, number, |kept| kept.call = Some(record));
        if is_over {
            self.shelf().end(number);
        }
        self.tell_call(number);
    }

    /// `true`: it stands otherwise than before.
    pub(super) fn transfer(&self, name: &Arc<str>, number: u64, record: TransferRecord) -> bool {
        let key = TransferKey { call: number, transfer: record.id };
        if record.state.is_over() {
            say(name, &self.name_of(key), &record);
        }
        let began = record.began;
        let mut is_news = true;
        let is_late = self.keep(name, number, |kept| {
            let (id, state) = (record.id, record.state);
            let former = kept.transfers.insert(id, record);
            is_news = former.as_ref().is_none_or(|former| former.state != state);
            let proven = former.map(|former| former.receipts).unwrap_or_default();
            if let Some(record) = kept.transfers.get_mut(&id) {
                let later = proven.into_iter().filter(|receipt| !record.receipts.contains(receipt)).collect::<Vec<_>>();
                record.receipts.extend(later);
            }
            kept.call.as_ref().is_some_and(|call| call.ended.is_some())
        });
        self.shelf().begun.insert((began, number, key.transfer));
        self.tell_transfer(key);
        if is_late {
            self.tell_call(number);
        }
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
        let mut shelf = self.shelf();
        let Some(kept) = shelf.calls.get_mut(&number) else { return };
        let Some(record) = kept.transfers.values_mut().rev().find(|record| record.target.as_ref() == Some(target))
        else {
            return;
        };
        record.receipts.push(receipt);
        let transfer = record.id;
        drop(shelf);
        self.tell_transfer(TransferKey { call: number, transfer });
    }

    fn tell_call(&self, number: u64) {
        if let Some(archive) = &self.archive
            && let Some(view) = self.call_view(number)
        {
            archive.call(view);
        }
    }

    /// A webhook was asked about a transfer.
    pub(super) fn asked(&self, name: &Arc<str>, number: u64, id: TransferId, asked: Asked) {
        say_asked(name, id, &asked);
        self.keep(name, number, |kept| drop(kept.asked.insert(id, Arc::new(asked))));
        self.tell_transfer(TransferKey { call: number, transfer: id });
    }

    /// Waits until a transfer stands as wished, at most until then, and gives it as it stands; none: there is no such transfer.
    pub async fn until(
        &self,
        number: u64,
        id: TransferId,
        end: tokio::time::Instant,
        is_so: impl Fn(&TransferRecord) -> bool,
    ) -> Option<TransferRecord> {
        loop {
            let mut changed = pin!(self.changed.notified());
            // What changes from here on is noticed.
            changed.as_mut().enable();
            let is_settled = is_so(self.shelf().calls.get(&number)?.transfers.get(&id)?);
            if is_settled || timeout_at(end, changed).await.is_err() {
                return self.shelf().calls.get(&number)?.transfers.get(&id).cloned();
            }
        }
    }

    /// More is known of all transfers of a call than their records say.
    pub(super) fn tell_transfers(&self, call: u64) {
        if self.archive.is_none() {
            return;
        }
        let transfers = self.shelf().calls.get(&call).map(|kept| kept.transfers.keys().copied().collect::<Vec<_>>());
        for transfer in transfers.into_iter().flatten() {
            self.tell_transfer(TransferKey { call, transfer });
        }
    }

    /// More is known of a transfer than its record says.
    pub(super) fn tell_transfer(&self, key: TransferKey) {
        if let Some(archive) = &self.archive
            && let Some(view) = self.transfer_view(key)
        {
            archive.transfer(view);
        }
    }

    fn view(&self, key: TransferKey, kept: &Kept) -> Option<TransferView> {
        let record = kept.transfers.get(&key.transfer)?;
        let view = TransferView::new(self.name_of(key), self.id_of(key.call), kept, record);
        Some(view.decided_by(kept.asked.get(&key.transfer)))
    }

    fn view_call(&self, number: u64, kept: &Kept) -> Option<CallView> {
        let id = self.id_of(number);
        let components = bill::components(&id, kept);
        CallView::new(id, kept, components)
    }

    fn keep<T>(&self, name: &Arc<str>, number: u64, change: impl FnOnce(&mut Kept) -> T) -> T {
        let mut shelf = self.shelf();
        let new = || Kept {
            name: Arc::clone(name),
            clock: SystemTime::now() - self.started.elapsed(),
            call: None,
            transfers: BTreeMap::new(),
            heard: Vec::new(),
            asked: BTreeMap::new(),
        };
        let changed = change(shelf.calls.entry(number).or_insert_with(new));
        drop(shelf);
        self.changed.notify_waiters();
        changed
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shelf {
    /// A call is over: it is kept as long as there is room. Those that go on are always kept.
    fn end(&mut self, number: u64) {
        self.over.push_back(number);
        if self.over.len() <= CALLS_MAX {
            return;
        }
        let Some(kept) = self.over.pop_front().and_then(|oldest| Some((oldest, self.calls.remove(&oldest)?))) else {
            return;
        };
        for record in kept.1.transfers.values() {
            self.begun.remove(&(record.began, kept.0, record.id));
        }
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
fn say(call: &Arc<str>, id: &str, record: &TransferRecord) {
    let TransferRecord { method, transferor, transferee, refer_to, state, failures, receipts, .. } = record;
    let (state, method) = (state.as_str(), method.as_str());
    let gap_us = receipts.iter().find(|receipt| receipt.party == *transferee).and_then(|receipt| receipt.gap_us);
    match record.explain() {
        Some(explanation) => {
            let why = explanation.sentence;
            let code = failures.last().map(|failure| failure.status.code);
            tracing::warn!(call = %call, transfer = %id, method, %transferor, %transferee, to = %refer_to, state, code, why, "transfer");
        }
        None => {
            let target = record.target.as_deref();
            tracing::info!(call = %call, transfer = %id, method, %transferor, %transferee, to = %refer_to, state, target, gap_us, "transfer");
        }
    }
}
