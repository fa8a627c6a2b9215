//! What a transfer's media did, as clients see it.

use core::net::SocketAddr;
use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;
use utoipa::ToSchema;

use super::view::ms;
use crate::call::record::TransferRecord;
use crate::driver::{CallMedia, MediaFacts, PartyMedia};

/// What the media of a transfer did, as the relay has seen it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct MediaView {
    /// How long the transferee heard hold audio, a ringing tone or early media.
    pub waited_ms: u64,
    /// When the first packet of the target came, milliseconds since 1970.
    pub first_target_packet_ms: Option<u64>,
    /// As it stood when the transfer was over.
    pub when_over: Option<MediaFactsView>,
    /// As it stood when the call was over.
    pub at_call_end: Option<MediaFactsView>,
}

/// The media of all parties at one time.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct MediaFactsView {
    /// When, milliseconds since 1970.
    pub taken_ms: u64,
    /// Parties from which no packet has come.
    #[schema(value_type = Vec<String>)]
    pub one_way: Vec<Arc<str>>,
    /// Packets of SRTP that were refused.
    pub srtp_failures: u64,
    /// Packets that came when their listener had another source already.
    pub stale: u64,
    /// Those that had left, then those that were there.
    pub parties: Vec<PartyMediaView>,
}

/// A party's media.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct PartyMediaView {
    /// Whose.
    #[schema(value_type = String)]
    pub party: Arc<str>,
    /// It has left; the rest is how it stood then.
    pub has_left: bool,
    /// Where it was sent to at last.
    #[schema(value_type = Option<String>)]
    pub remote: Option<SocketAddr>,
    /// Its codecs as rtpmap values.
    pub codecs: Vec<String>,
    /// Whether it spoke SRTP.
    pub srtp: bool,
    /// When its first packet came, milliseconds since 1970.
    pub first_packet_ms: Option<u64>,
    /// RTP packets that came from it and were accepted.
    pub received: u64,
    /// RTP packets that it was sent.
    pub sent: u64,
    /// Packets lost on the way to the relay (RFC 3550 A.3).
    pub lost: u64,
    /// Interarrival jitter (RFC 3550 A.8).
    pub jitter_ms: f64,
    /// From the relay to the party and back.
    pub round_trip_us: Option<u64>,
    /// Its packets of SRTP that were refused.
    pub srtp_failures: u64,
    /// Its packets that came when their listener had another source already.
    pub stale: u64,
    /// Datagrams that were not relayed, by reason.
    pub drops: BTreeMap<String, u32>,
}

impl MediaView {
    /// Of a transfer; `clock` is when the driver's time began.
    #[must_use]
    pub fn new(record: &TransferRecord, media: &CallMedia, clock: SystemTime) -> Self {
        let over = media.transfers.get(&record.id).map(|facts| &**facts);
        let end = media.end.as_deref();
        let of_target = |party: &&PartyMedia| record.target.as_ref() == Some(&party.party);
        let parties = [over, end].into_iter().flatten().flat_map(|facts| &facts.parties);
        let first = parties.filter(of_target).find_map(|party| party.first_packet);
        Self {
            waited_ms: ms(record.waited),
            first_target_packet_ms: first.map(|first| since_1970(first, clock)),
            when_over: over.map(|facts| MediaFactsView::new(facts, clock)),
            at_call_end: end.map(|facts| MediaFactsView::new(facts, clock)),
        }
    }
}

impl MediaFactsView {
    fn new(facts: &MediaFacts, clock: SystemTime) -> Self {
        let sum = |count: fn(&PartyMedia) -> u64| facts.parties.iter().map(count).sum();
        let one_way = facts.parties.iter().filter(|party| party.received == 0).map(|party| Arc::clone(&party.party));
        Self {
            taken_ms: since_1970(facts.taken, clock),
            one_way: one_way.collect(),
            srtp_failures: sum(PartyMedia::srtp_failures),
            stale: sum(PartyMedia::stale),
            parties: facts.parties.iter().map(|party| PartyMediaView::new(party, clock)).collect(),
        }
    }
}

impl PartyMediaView {
    fn new(party: &PartyMedia, clock: SystemTime) -> Self {
        Self {
            party: Arc::clone(&party.party),
            has_left: party.has_left,
            remote: party.remote,
            codecs: party.codecs.clone(),
            srtp: party.is_secure,
            first_packet_ms: party.first_packet.map(|first| since_1970(first, clock)),
            received: party.received,
            sent: party.sent,
            lost: party.lost,
            jitter_ms: party.jitter_ms,
            round_trip_us: party.round_trip_us,
            srtp_failures: party.srtp_failures(),
            stale: party.stale(),
            drops: party.drops.clone(),
        }
    }
}

fn since_1970(at: Duration, clock: SystemTime) -> u64 {
    ms((clock + at).duration_since(UNIX_EPOCH).unwrap_or_default())
}
