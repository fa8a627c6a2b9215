//! The SIP traces of calls: every message of their dialogs in the order in which it was seen, without secrets, and within bounds.
//!
//! A message is a call's if its Call-ID is that of a dialog of the call; all others go, so that nobody pushes out what calls have. The
//! INVITE that begins a call comes before the call: those of trunks wait for it, a few and not for long.

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::message::{DialogId, Transport};
use crate::sip::{Traced, Tracer};

/// Messages of a Call-ID that wait for its call: an INVITE that comes again, and what was answered.
const EARLY_MESSAGES_MAX: usize = 16;

/// Dialogs that one Call-ID may be of: more than one if a call comes back to the pivot as another one.
const OWNERS_MAX: usize = 4;

/// How much is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceLimits {
    /// Octets of all calls, what they are kept in included. The oldest calls go first. 0: there is no trace.
    pub bytes: usize,
    /// Octets of a call.
    pub call_bytes: usize,
    /// Messages of a call.
    pub call_messages: usize,
    /// Calls.
    pub calls: usize,
}

impl TraceLimits {
    /// So many octets in all, and as much for a call as some tens of transfers need.
    #[must_use]
    pub const fn of_bytes(bytes: usize) -> Self {
        Self { bytes, call_bytes: 256 << 10, call_messages: 512, calls: 10_000 }
    }
}

/// A message of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceMessage {
    /// When, since the driver's beginning of time.
    pub at: Duration,
    /// We sent it.
    pub is_outgoing: bool,
    /// The party whose dialog it is of.
    pub party: Arc<str>,
    /// By what.
    pub transport: Transport,
    /// Our address.
    pub local: SocketAddr,
    /// The other's.
    pub remote: SocketAddr,
    /// Its Call-ID.
    pub call_id: Arc<str>,
    /// What it says, without credentials and keys.
    pub bytes: Arc<[u8]>,
}

impl TraceMessage {
    /// The request line or status line.
    #[must_use]
    pub fn first_line(&self) -> Cow<'_, str> {
        let end = self.bytes.iter().position(|byte| matches!(byte, b'\r' | b'\n')).unwrap_or(self.bytes.len());
        String::from_utf8_lossy(&self.bytes[..end])
    }

    /// The value of `CSeq`; empty if it has none.
    #[must_use]
    pub fn cseq(&self) -> Cow<'_, str> {
        let lines = self.bytes.split(|byte| *byte == b'\n').take_while(|line| !matches!(*line, b"" | b"\r"));
        let is_named = |line: &&[u8]| {
            let colon = line.iter().position(|byte| *byte == b':');
            colon.is_some_and(|colon| line[..colon].trim_ascii().eq_ignore_ascii_case(b"CSeq"))
        };
        let value = lines.skip(1).find(is_named).map(|line| line.splitn(2, |byte| *byte == b':').nth(1));
        String::from_utf8_lossy(value.flatten().unwrap_or_default().trim_ascii())
    }

    /// What it takes in memory.
    fn size(&self) -> usize {
        self.bytes.len() + size_of::<Self>()
    }
}

/// What was said in a call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallTrace {
    /// The first and the latest, in the order in which they were seen.
    pub messages: Vec<TraceMessage>,
    /// So many between them are not kept.
    pub left_out: u64,
    /// In front of this one they are missing.
    pub left_out_at: usize,
}

/// The traces of calls.
pub struct Traces {
    limits: TraceLimits,
    started: Instant,
    /// Whose INVITEs may become calls.
    is_known: Box<dyn Fn(IpAddr) -> bool + Send + Sync>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    calls: BTreeMap<u64, Kept>,
    /// Octets of all calls.
    bytes: usize,
    /// By Call-ID.
    owners: HashMap<Arc<str>, Vec<Owner>>,
    /// Dialogs that are about to begin.
    awaited: BTreeMap<DialogId, Owner>,
    early: Early,
}

/// Whose a message is.
#[derive(Clone)]
struct Owner {
    call: u64,
    party: Arc<str>,
}

/// What there is of a call.
#[derive(Default)]
struct Kept {
    head: Vec<TraceMessage>,
    head_bytes: usize,
    tail: VecDeque<TraceMessage>,
    tail_bytes: usize,
    left_out: u64,
    call_ids: Vec<Arc<str>>,
    id_bytes: usize,
}

/// Messages that wait for their call, the oldest first.
#[derive(Default)]
struct Early {
    next: u64,
    bytes: usize,
    by_number: BTreeMap<u64, (Arc<str>, Vec<TraceMessage>)>,
    by_call_id: HashMap<Arc<str>, u64>,
}

impl core::fmt::Debug for Traces {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Traces").field("limits", &self.limits).finish_non_exhaustive()
    }
}

impl Traces {
    /// Nothing yet. `started` is the driver's beginning of time; `is_known` says whose INVITEs may become calls.
    pub(super) fn new(
        limits: TraceLimits,
        started: Instant,
        is_known: impl Fn(IpAddr) -> bool + Send + Sync + 'static,
    ) -> Self {
        Self { limits, started, is_known: Box::new(is_known), state: Mutex::default() }
    }

    /// Whether nothing is kept.
    #[must_use]
    pub const fn is_off(&self) -> bool {
        self.limits.bytes == 0
    }

    /// What was said in a call, by its number; `None`: nothing is kept of it.
    #[must_use]
    pub fn of(&self, call: u64) -> Option<CallTrace> {
        let state = self.state();
        let kept = state.calls.get(&call)?;
        let messages = kept.head.iter().chain(&kept.tail).cloned().collect();
        Some(CallTrace { messages, left_out: kept.left_out, left_out_at: kept.head.len() })
    }

    /// A call comes in: what was said under this Call-ID is its, and what will be.
    pub(super) fn begins(&self, call: u64, call_id: &str, party: &Arc<str>) {
        if self.is_off() {
            return;
        }
        let mut state = self.state();
        let call_id = call_id.trim();
        let early = state.early.take(call_id).unwrap_or_else(|| state.since_latest_invite(call_id));
        state.own(call_id.into(), Owner { call, party: Arc::clone(party) }, &self.limits);
        for message in early {
            state.push(call, TraceMessage { party: Arc::clone(party), ..message }, &self.limits);
        }
    }

    /// It comes to no call.
    pub(super) fn refused(&self, call_id: &str) {
        if !self.is_off() {
            self.state().early.take(call_id.trim());
        }
    }

    /// A dialog of the call is about to begin, with this party.
    pub(super) fn awaits(&self, dialog: DialogId, call: u64, party: &Arc<str>) {
        if !self.is_off() {
            self.state().awaited.insert(dialog, Owner { call, party: Arc::clone(party) });
        }
    }

    /// It has begun, or will not.
    pub(super) fn awaits_no_more(&self, dialog: DialogId) {
        self.state().awaited.remove(&dialog);
    }

    /// A call was taken into another one: what was said in it was said there, by parties of other names.
    pub(super) fn merge(&self, into: u64, from: u64, renames: &BTreeMap<Arc<str>, Arc<str>>) {
        if !self.is_off() {
            self.state().merge(into, from, renames, &self.limits);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tracer for Traces {
    fn message(&self, traced: &Traced<'_>) {
        if traced.call_id.is_empty() || self.is_off() {
            return;
        }
        let mut state = self.state();
        let known = state.owners.get_key_value(traced.call_id);
        // One call's, mostly: then there are no others, and their list takes no memory.
        let known = known.and_then(|(call_id, owners)| {
            let (latest, others) = owners.split_last()?;
            Some((Arc::clone(call_id), Some(latest.clone()), others.to_vec()))
        });
        let is_early = known.is_none() && state.early.by_call_id.contains_key(traced.call_id);
        let may_begin = || !traced.is_outgoing && traced.is_request("INVITE") && (self.is_known)(traced.address.ip());
        if known.is_none() && !is_early && !may_begin() {
            return;
        }
        let (call_id, latest, others) = known.unwrap_or_else(|| (traced.call_id.into(), None, Vec::new()));
        let message = TraceMessage {
            at: self.started.elapsed(),
            is_outgoing: traced.is_outgoing,
            party: latest.as_ref().map_or_else(|| "".into(), |owner| Arc::clone(&owner.party)),
            transport: traced.transport,
            local: traced.local,
            remote: traced.address,
            call_id,
            bytes: traced.bytes().into(),
        };
        let Some(Owner { call, .. }) = latest else { return state.early.push(message, self.limits.bytes / 8) };
        for Owner { call, party } in others {
            state.push(call, TraceMessage { party, ..message.clone() }, &self.limits);
        }
        state.push(call, message, &self.limits);
    }

    fn dialog(&self, dialog: DialogId, call_id: &str) {
        let mut state = self.state();
        if let Some(owner) = state.awaited.remove(&dialog) {
            state.own(call_id.into(), owner, &self.limits);
        }
    }
}

impl State {
    /// What is said under this Call-ID is of that party.
    fn own(&mut self, call_id: Arc<str>, owner: Owner, limits: &TraceLimits) {
        let owners = self.owners.entry(Arc::clone(&call_id)).or_default();
        if owners.iter().any(|known| known.call == owner.call) {
            return;
        }
        let call = owner.call;
        owners.push(owner);
        if owners.len() > OWNERS_MAX {
            owners.remove(0);
        }
        let kept = self.calls.entry(call).or_insert_with(|| {
            self.bytes += Kept::default().bytes();
            Kept::default()
        });
        self.bytes -= kept.bytes();
        kept.id_bytes += call_id.len() + size_of::<(Arc<str>, Owner)>();
        kept.call_ids.push(call_id);
        self.bytes += kept.bytes();
        self.fit(limits);
    }

    fn merge(&mut self, into: u64, from: u64, renames: &BTreeMap<Arc<str>, Arc<str>>, limits: &TraceLimits) {
        let Some(gone) = self.calls.remove(&from) else { return };
        self.bytes -= gone.bytes();
        let named = |name: Arc<str>| renames.get(&name).cloned().unwrap_or(name);
        for call_id in gone.call_ids {
            let owners = self.owners.get_mut(&call_id).into_iter().flatten();
            let Some(owner) = owners.into_iter().find(|owner| owner.call == from) else { continue };
            let moved = Owner { call: into, party: named(Arc::clone(&owner.party)) };
            if let Some(owners) = self.owners.get_mut(&call_id) {
                owners.retain(|owner| owner.call != from);
            }
            self.own(call_id, moved, limits);
        }
        // In the order of time with what this call has.
        let kept = self.calls.remove(&into);
        self.bytes -= kept.as_ref().map_or(0, Kept::bytes);
        let kept = kept.unwrap_or_default();
        let mut left_out = kept.left_out + gone.left_out;
        let theirs = gone.head.into_iter().chain(gone.tail);
        let theirs = theirs.map(|message| TraceMessage { party: named(Arc::clone(&message.party)), ..message });
        let mut messages: Vec<_> = kept.head.into_iter().chain(kept.tail).chain(theirs).collect();
        messages.sort_by_key(|message| message.at);
        let mut both = Kept { call_ids: kept.call_ids, id_bytes: kept.id_bytes, ..Kept::default() };
        for message in messages {
            both.push(message, limits);
        }
        left_out += core::mem::take(&mut both.left_out);
        both.left_out = left_out;
        self.bytes += both.bytes();
        self.calls.insert(into, both);
        self.fit(limits);
    }

    fn push(&mut self, call: u64, message: TraceMessage, limits: &TraceLimits) {
        let Some(kept) = self.calls.get_mut(&call) else { return };
        self.bytes -= kept.bytes();
        kept.push(message, limits);
        self.bytes += kept.bytes();
        self.fit(limits);
    }

    fn fit(&mut self, limits: &TraceLimits) {
        while self.bytes > limits.bytes || self.calls.len() > limits.calls {
            let Some((oldest, kept)) = self.calls.pop_first() else { return };
            self.bytes -= kept.bytes();
            for call_id in kept.call_ids {
                if let Some(owners) = self.owners.get_mut(&call_id) {
                    owners.retain(|owner| owner.call != oldest);
                    if owners.is_empty() {
                        self.owners.remove(&call_id);
                    }
                }
            }
        }
    }

    /// A call of ours has come back to us: its INVITE, and what followed, is the other call's too.
    fn since_latest_invite(&self, call_id: &str) -> Vec<TraceMessage> {
        let owner = self.owners.get(call_id).and_then(|owners| owners.first());
        let Some(kept) = owner.and_then(|owner| self.calls.get(&owner.call)) else { return Vec::new() };
        let is_its = |message: &&TraceMessage| *message.call_id == *call_id;
        let mut messages: Vec<_> = kept.head.iter().chain(&kept.tail).filter(is_its).cloned().collect();
        let is_invite = |message: &TraceMessage| !message.is_outgoing && message.bytes.starts_with(b"INVITE ");
        let first = messages.iter().rposition(is_invite).unwrap_or(messages.len());
        messages.split_off(first)
    }
}

impl Kept {
    fn bytes(&self) -> usize {
        self.head_bytes + self.tail_bytes + self.id_bytes + size_of::<Self>()
    }

    /// Half is for the first, half for the latest.
    fn push(&mut self, message: TraceMessage, limits: &TraceLimits) {
        let (bytes, messages) = (limits.call_bytes / 2, limits.call_messages / 2);
        let size = message.size();
        if size > bytes {
            self.left_out += 1;
            return;
        }
        let is_beginning = self.tail.is_empty() && self.left_out == 0;
        if is_beginning && self.head_bytes + size <= bytes && self.head.len() < messages {
            self.head_bytes += size;
            self.head.push(message);
            return;
        }
        self.tail_bytes += size;
        self.tail.push_back(message);
        while self.tail_bytes > bytes || self.tail.len() > messages {
            let Some(gone) = self.tail.pop_front() else { return };
            self.tail_bytes -= gone.size();
            self.left_out += 1;
        }
    }
}

impl Early {
    fn push(&mut self, message: TraceMessage, limit: usize) {
        let call_id = Arc::clone(&message.call_id);
        let size = message.size();
        let number = *self.by_call_id.entry(Arc::clone(&call_id)).or_insert_with(|| {
            self.next += 1;
            self.next
        });
        let (_, messages) = self.by_number.entry(number).or_insert_with(|| (call_id, Vec::new()));
        if messages.len() >= EARLY_MESSAGES_MAX {
            return;
        }
        messages.push(message);
        self.bytes += size;
        while self.bytes > limit {
            let Some((_, (call_id, messages))) = self.by_number.pop_first() else { return };
            self.by_call_id.remove(&call_id);
            self.bytes -= messages.iter().map(TraceMessage::size).sum::<usize>();
        }
    }

    fn take(&mut self, call_id: &str) -> Option<Vec<TraceMessage>> {
        let number = self.by_call_id.remove(call_id)?;
        let (_, messages) = self.by_number.remove(&number)?;
        self.bytes -= messages.iter().map(TraceMessage::size).sum::<usize>();
        Some(messages)
    }
}

#[cfg(test)]
mod tests;
