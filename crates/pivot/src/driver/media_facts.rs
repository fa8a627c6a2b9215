//! What the relay has seen of a call's media: taken when a transfer is over, when a party leaves, and when the call ends.

use core::net::SocketAddr;
use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use patchcord_control::api::{CallEvent, CallState, EventKind, LegState};

use super::task::Task;
use super::{Shared, TransferKey};
use crate::call::TransferId;
use crate::call::record::TransferState;

/// So many calls are kept; the oldest goes first.
const CALLS_MAX: usize = 10_000;

/// So many transfers of a call, and parties that have left it; the oldest goes first.
const TRANSFERS_MAX: usize = 32;
const GONE_MAX: usize = 64;

/// A party's media.
#[derive(Clone, Debug, PartialEq)]
pub struct PartyMedia {
    /// Whose.
    pub party: Arc<str>,
    /// It has left; the rest is how it stood then.
    pub has_left: bool,
    /// Where it was sent to at last.
    pub remote: Option<SocketAddr>,
    /// Its codecs as rtpmap values.
    pub codecs: Vec<String>,
    /// Whether it spoke SRTP.
    pub is_secure: bool,
    /// When its first packet came, since the driver's beginning of time.
    pub first_packet: Option<Duration>,
    /// RTP packets that came from it and were accepted.
    pub received: u64,
    /// RTP packets that it was sent.
    pub sent: u64,
    /// Packets lost on the way here (RFC 3550 A.3).
    pub lost: u64,
    /// Interarrival jitter (RFC 3550 A.8).
    pub jitter_ms: f64,
    /// From the relay to the party and back.
    pub round_trip_us: Option<u64>,
    /// Datagrams that were not relayed, by reason.
    pub drops: BTreeMap<String, u32>,
}

impl PartyMedia {
    fn new(leg: &LegState, first_packet: Option<Duration>) -> Self {
        Self {
            party: Arc::clone(&leg.party),
            has_left: false,
            remote: leg.remote,
            codecs: leg.codecs.clone(),
            is_secure: leg.srtp.is_some(),
            first_packet,
            received: leg.packets,
            sent: leg.sent.packets,
            lost: leg.lost,
            jitter_ms: leg.jitter_ms,
            round_trip_us: leg.round_trip_us,
            drops: leg.drops.clone(),
        }
    }

    /// Packets of SRTP that were refused: not authentic, replayed, or not SRTP where it has to be.
    #[must_use]
    pub fn srtp_failures(&self) -> u64 {
        self.dropped(|reason| reason.starts_with("srtp_"))
    }

    /// Packets that came when their listener had another source already.
    #[must_use]
    pub fn stale(&self) -> u64 {
        self.dropped(|reason| reason == "stale_after_cutover")
    }

    fn dropped(&self, is_counted: impl Fn(&str) -> bool) -> u64 {
        self.drops.iter().filter(|(reason, _)| is_counted(reason)).map(|(_, count)| u64::from(*count)).sum()
    }
}

/// The media of all that were in a call, as it stood at one time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MediaFacts {
    /// When, since the driver's beginning of time.
    pub taken: Duration,
    /// Those that had left, then those that were there.
    pub parties: Vec<PartyMedia>,
}

/// What is kept of a call's media.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CallMedia {
    /// When a transfer was over.
    pub transfers: BTreeMap<TransferId, Arc<MediaFacts>>,
    /// When the call was over.
    pub end: Option<Arc<MediaFacts>>,
}

/// The media of calls that had transfers, by their numbers.
#[derive(Debug, Default)]
pub struct MediaBook(Mutex<BTreeMap<u64, CallMedia>>);

impl MediaBook {
    /// What is kept of a call.
    #[must_use]
    pub fn of(&self, call: u64) -> Option<CallMedia> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&call).cloned()
    }

    fn keep(&self, call: u64, change: impl FnOnce(&mut CallMedia)) {
        let mut calls = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        change(calls.entry(call).or_default());
        if calls.len() > CALLS_MAX {
            calls.pop_first();
        }
    }
}

/// What a call gathers while it goes on.
#[derive(Debug, Default)]
pub(super) struct Facts {
    /// There was a transfer: of other calls nobody asks.
    is_wanted: bool,
    gone: Vec<PartyMedia>,
    first_packets: BTreeMap<Arc<str>, Duration>,
    /// Transfers of which evidence is written: once more when the call is over.
    failed: Vec<TransferId>,
}

impl Facts {
    /// The relay says something about the call.
    pub(super) fn note(&mut self, event: &CallEvent, now: Duration) {
        if let (EventKind::FirstPacket { .. }, Some(party)) = (&event.kind, &event.party) {
            self.first_packets.entry(Arc::clone(party)).or_insert(now);
        }
    }

    /// What another call has gathered is of this one, by other names.
    pub(super) fn take_in(&mut self, other: Self, renames: &BTreeMap<Arc<str>, Arc<str>>) {
        let named = |name: Arc<str>| renames.get(&name).cloned().unwrap_or(name);
        self.is_wanted |= other.is_wanted;
        self.first_packets.extend(other.first_packets.into_iter().map(|(party, at)| (named(party), at)));
        // Who had left there has no name here that is its own.
        let room = GONE_MAX.saturating_sub(self.gone.len());
        self.gone.extend(other.gone.into_iter().take(room));
    }

    fn of(&self, state: Option<&CallState>, now: Duration) -> MediaFacts {
        let legs = state.map_or(&[][..], |state| &state.legs);
        let there = legs.iter().map(|leg| PartyMedia::new(leg, self.first_packets.get(&leg.party).copied()));
        MediaFacts { taken: now, parties: self.gone.iter().cloned().chain(there).collect() }
    }

    fn leaves(&mut self, party: &str, state: &CallState) {
        let Some(leg) = state.legs.iter().find(|leg| *leg.party == *party) else { return };
        if self.gone.len() >= GONE_MAX {
            self.gone.remove(0);
        }
        let media = PartyMedia::new(leg, self.first_packets.get(&leg.party).copied());
        self.gone.push(PartyMedia { has_left: true, ..media });
    }

    /// The call is over.
    pub(super) fn end(&self, shared: &Shared, number: u64, state: Option<&CallState>) {
        if self.is_wanted {
            let facts = Arc::new(self.of(state, shared.started.elapsed()));
            shared.media.keep(number, |kept| kept.end = Some(facts));
            shared.book.tell_transfers(number);
        }
        for transfer in &self.failed {
            shared.write_evidence(number, *transfer);
        }
    }
}

impl Task {
    /// A transfer's record is in the book, in this state.
    pub(super) async fn transfer_is_kept(&mut self, transfer: TransferId, state: TransferState) {
        self.facts.is_wanted = true;
        let key = TransferKey { call: self.number, transfer };
        self.shared.watch_rtp(key, &self.name, state.is_over());
        if !state.is_over() {
            return;
        }
        let stands = self.legs.state().await;
        let facts = Arc::new(self.facts.of(stands.as_ref(), self.now()));
        self.shared.media.keep(self.number, |kept| {
            // What is said of it later changes nothing of how it stood when it was over.
            kept.transfers.entry(transfer).or_insert(facts);
            if kept.transfers.len() > TRANSFERS_MAX {
                kept.transfers.pop_first();
            }
        });
        self.shared.book.tell_transfer(key);
        if state == TransferState::Failed {
            self.shared.write_evidence(self.number, transfer);
            if self.facts.failed.len() < TRANSFERS_MAX && !self.facts.failed.contains(&transfer) {
                self.facts.failed.push(transfer);
            }
        }
    }

    /// A party is about to leave, and its leg with it.
    pub(super) async fn party_leaves(&mut self, party: &str) {
        if self.facts.is_wanted
            && let Some(state) = self.legs.state().await
        {
            self.facts.leaves(party, &state);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn party(drops: &[(&str, u32)]) -> PartyMedia {
        PartyMedia {
            party: "a".into(),
            has_left: false,
            remote: None,
            codecs: Vec::new(),
            is_secure: true,
            first_packet: None,
            received: 0,
            sent: 0,
            lost: 0,
            jitter_ms: 0.0,
            round_trip_us: None,
            drops: drops.iter().map(|(reason, count)| ((*reason).to_owned(), *count)).collect(),
        }
    }

    #[test]
    fn drops_are_counted_by_what_they_tell() {
        let party = party(&[
            ("muted", 1),
            ("srtp_unauthentic", 2),
            ("srtp_required", 4),
            ("stale_after_cutover", 8),
            ("too_old", 16),
        ]);
        assert_eq!((party.srtp_failures(), party.stale()), (6, 8));
    }

    #[test]
    fn the_oldest_call_goes_first() {
        let book = MediaBook::default();
        for call in 0..=CALLS_MAX as u64 {
            book.keep(call, |kept| kept.end = Some(Arc::default()));
        }
        assert!(book.of(0).is_none() && book.of(1).is_some() && book.of(CALLS_MAX as u64).is_some());
    }
}
