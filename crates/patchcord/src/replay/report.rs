//! What came through.

use patchcord_lab::report::Report as Received;
use serde::Serialize;

use super::calls::{ReplayedCall, ReplayedParty};
use super::conversations::Conversation;
use crate::evidence::{Evidence, latency_us};
use crate::table::Table;

/// With more legs than this the table shows the worst ones only.
const LEGS_SHOWN: usize = 20;

/// The whole report; the names of the fields are those of the JSON.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    calls: usize,
    streams: Vec<Stream>,
    total: Leg,
    legs: Vec<Leg>,
}

/// A stream as it was captured.
#[derive(Debug, Serialize)]
struct Stream {
    file: String,
    source: Option<String>,
    destination: Option<String>,
    ssrc: String,
    payload_type: u8,
    clock_rate: u32,
    packets: usize,
    duration_ms: u128,
    lost: u64,
    reordered: u64,
    duplicates: u64,
}

/// What one party received, or all of them together.
#[derive(Debug, Default, Serialize)]
struct Leg {
    call: String,
    party: String,
    /// Packets that the peer sent.
    sent: u64,
    packets: u64,
    /// Sent by the peer and never received.
    lost: u64,
    /// Sequence numbers that the capture did not have either.
    lost_before_relay: u64,
    reordered: u64,
    duplicates: u64,
    jitter_ms: f64,
    /// From the peer's system call to the arrival at the receiver's socket.
    relay_latency_us: Option<Latency>,
    /// Places where the SSRC changed or the sequence number or timestamp did not go on, those of the capture included.
    breaks: u64,
    /// SSRC, sequence numbers and timestamps of all packets are those that were sent.
    untouched: bool,
    ssrcs: Vec<String>,
    #[serde(skip)]
    latencies_ns: Vec<u64>,
}

#[derive(Clone, Copy, Debug, Serialize)]
struct Latency {
    p50: f64,
    p99: f64,
    p999: f64,
    max: f64,
}

impl Report {
    pub(super) fn of(conversations: &[Conversation], calls: &[ReplayedCall]) -> Self {
        let mut legs: Vec<Leg> = Vec::new();
        for call in calls {
            let [a, b] = &call.parties;
            legs.extend([(a, b), (b, a)].into_iter().filter(|(_, peer)| !peer.sent.packets.is_empty()).map(leg));
        }
        Self {
            calls: calls.len(),
            streams: conversations.iter().flat_map(streams).collect(),
            total: total(&legs),
            legs,
        }
    }

    /// Nothing came through.
    pub(super) fn is_empty(&self) -> bool {
        self.total.packets == 0
    }

    /// For people.
    pub(super) fn text(&self) -> String {
        let mut text = "Streams in the files\n".to_owned();
        let mut table = Table::new(&[
            "FILE",
            "FROM",
            "TO",
            "SSRC",
            ">PT",
            ">PACKETS",
            ">SECONDS",
            ">LOST",
            ">REORDERED",
            ">DUPLICATES",
        ]);
        for stream in &self.streams {
            table.row([
                stream.file.clone(),
                stream.source.clone().unwrap_or_default(),
                stream.destination.clone().unwrap_or_default(),
                stream.ssrc.clone(),
                stream.payload_type.to_string(),
                stream.packets.to_string(),
                format!("{:.1}", stream.duration_ms as f64 / 1e3),
                stream.lost.to_string(),
                stream.reordered.to_string(),
                stream.duplicates.to_string(),
            ]);
        }
        text.push_str(&table.render(2));
        text.push_str(&format!("\nReceived through the relay, {} calls\n", self.calls));
        let mut table = Table::new(&[
            "CALL",
            "PARTY",
            ">SENT",
            ">RECEIVED",
            ">LOST",
            ">LOST BEFORE",
            ">REORDERED",
            ">DUPL",
            ">JITTER ms",
            ">p50 us",
            ">p99 us",
            ">p99.9 us",
            ">max us",
            "NUMBERS",
        ]);
        let mut worst: Vec<&Leg> = self.legs.iter().collect();
        if worst.len() > LEGS_SHOWN {
            worst.sort_by_key(|leg| core::cmp::Reverse(leg.lost));
            worst.truncate(LEGS_SHOWN);
        }
        for leg in worst.into_iter().chain([&self.total]) {
            let latency = |pick: fn(Latency) -> f64| {
                leg.relay_latency_us.map_or_else(|| "-".to_owned(), |latency| format!("{:.0}", pick(latency)))
            };
            table.row([
                leg.call.clone(),
                leg.party.clone(),
                leg.sent.to_string(),
                leg.packets.to_string(),
                leg.lost.to_string(),
                leg.lost_before_relay.to_string(),
                leg.reordered.to_string(),
                leg.duplicates.to_string(),
                format!("{:.2}", leg.jitter_ms),
                latency(|latency| latency.p50),
                latency(|latency| latency.p99),
                latency(|latency| latency.p999),
                latency(|latency| latency.max),
                if leg.untouched { "as sent" } else { "changed" }.to_owned(),
            ]);
        }
        text.push_str(&table.render(2));
        if self.legs.len() > LEGS_SHOWN {
            text.push_str(&format!("  (the {LEGS_SHOWN} legs with the most loss of {})\n", self.legs.len()));
        }
        text
    }
}

fn streams(conversation: &Conversation) -> Vec<Stream> {
    let back = conversation.back.as_ref().map(|(back, _)| back);
    let stream = |stream: &std::sync::Arc<patchcord_lab::stream::RtpStream>| Stream {
        file: conversation.file.clone(),
        source: stream.source.map(|address| address.to_string()),
        destination: stream.destination.map(|address| address.to_string()),
        ssrc: stream.ssrc.to_string(),
        payload_type: stream.payload_type.get(),
        clock_rate: stream.clock_rate,
        packets: stream.packets.len(),
        duration_ms: stream.duration().as_millis(),
        lost: stream.lost,
        reordered: stream.reordered,
        duplicates: stream.duplicates,
    };
    [Some(&conversation.forth), back].into_iter().flatten().map(stream).collect()
}

fn leg((party, peer): (&ReplayedParty, &ReplayedParty)) -> Leg {
    let senders = [&peer.sent];
    let received = Received::of(&party.recording, &senders);
    let evidence = Evidence::of(&party.recording, &senders);
    let sent = peer.sent.packets.len() as u64 + peer.sent.beyond_limit;
    let untouched = evidence.pieces.iter().all(|piece| piece.passage.is_some_and(|passage| passage.untouched));
    let latencies_ns: Vec<u64> = evidence.latencies_ns().collect();
    Leg {
        call: party.call.clone(),
        party: party.name.to_owned(),
        sent,
        packets: received.packets,
        lost: sent.saturating_sub(received.packets - received.duplicates.min(received.packets)),
        lost_before_relay: evidence.missing_before_relay,
        reordered: received.reordered,
        duplicates: received.duplicates,
        jitter_ms: received.jitter_ms,
        relay_latency_us: latency(latencies_ns.clone()),
        breaks: received.breaks().count() as u64,
        untouched: untouched && !evidence.pieces.is_empty(),
        ssrcs: received.ssrcs,
        latencies_ns,
    }
}

fn total(legs: &[Leg]) -> Leg {
    let mut total = Leg { call: "all".to_owned(), untouched: !legs.is_empty(), ..Leg::default() };
    for leg in legs {
        total.sent += leg.sent;
        total.packets += leg.packets;
        total.lost += leg.lost;
        total.lost_before_relay += leg.lost_before_relay;
        total.reordered += leg.reordered;
        total.duplicates += leg.duplicates;
        total.jitter_ms = total.jitter_ms.max(leg.jitter_ms);
        total.breaks += leg.breaks;
        total.untouched &= leg.untouched;
        total.latencies_ns.extend(&leg.latencies_ns);
    }
    total.relay_latency_us = latency(total.latencies_ns.clone());
    total
}

fn latency(latencies_ns: Vec<u64>) -> Option<Latency> {
    latency_us(latencies_ns, [0.5, 0.99, 0.999, 1.0]).map(|[p50, p99, p999, max]| Latency { p50, p99, p999, max })
}
