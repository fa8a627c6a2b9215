//! Copies of the engine's state for those who ask.

use hdrhistogram::Histogram;

use crate::leg::{Slot, SourceSlot};
use crate::shard::Shard;
use crate::snapshot::{EgressStats, IngressStats, LatencySummary, LegSnapshot, SourceSnapshot, WorkerSnapshot};
use crate::time::MonoTime;

impl Shard {
    pub(super) fn leg_snapshot(&self, slot: Slot, now: MonoTime) -> LegSnapshot {
        let at = slot as usize;
        let (ingress, egress, cold) = (&self.legs.ingress[at], &self.legs.egress[at], &self.legs.cold[at]);
        let refused = cold.drops.nonzero().filter(|(reason, _)| reason.precedes_reception());
        let unreceived: u64 = refused.map(|(_, count)| u64::from(count)).sum();
        let checks = cold.ice.as_ref().map_or(0, |ice| ice.received);
        let handshakes = cold.dtls.as_ref().map_or(0, |dtls| dtls.received);
        LegSnapshot {
            leg: cold.id,
            local_rtp: cold.local_rtp,
            remote_rtp: cold.latch.remote(),
            latched: cold.latch.is_settled(),
            direction: cold.direction,
            muted: cold.muted,
            source: match egress.source {
                SourceSlot::Silence => SourceSnapshot::Silence,
                SourceSlot::Leg(source) => SourceSnapshot::Leg(self.legs.cold[source as usize].id),
                SourceSlot::Player => SourceSnapshot::Player,
            },
            pending: cold.pending,
            ingress: IngressStats {
                datagrams: ingress.receiver.packets()
                    + cold.rtcp_received
                    + cold.stragglers
                    + checks
                    + handshakes
                    + unreceived,
                packets: ingress.receiver.packets(),
                bytes: ingress.bytes,
                rtcp_packets: cold.rtcp_received,
                lost: ingress.receiver.lost(),
                reordered: ingress.receiver.reordered(),
                duplicates: ingress.receiver.duplicates(),
                jitter_ms: ingress.receiver.jitter_ms(),
                ssrc: ingress.receiver.ssrc(),
                idle_ms: ingress.last_packet_at().map(|at| now.nanos_since(at) / 1_000_000),
            },
            egress: EgressStats {
                packets: egress.packets,
                bytes: egress.bytes,
                rtcp_packets: cold.rtcp_sent,
                ssrc: egress.ssrc(),
                next_sequence: egress.next_sequence().map(|sequence| sequence.0),
                latency: cold.latency.summary(),
                reported_lost: cold.reported.map(|(lost, _)| lost),
                reported_jitter_ms: cold.reported.map(|(_, jitter)| {
                    let rate = cold.codecs.first().map_or(crate::leg::DEFAULT_CLOCK_RATE, |codec| codec.clock_rate);
                    f64::from(jitter) * 1000.0 / f64::from(rate.max(1))
                }),
            },
            round_trip_us: cold.round_trip.us(),
            ice: cold.ice.as_ref().map(|ice| ice.snapshot()),
            srtp: self.legs.srtp[at].as_ref().filter(|srtp| srtp.is_in_force()).map(|srtp| srtp.snapshot()),
            drops: cold.drops,
            last_cut_over: cold.last_receipt,
        }
    }

    pub(super) fn worker_snapshot(&self) -> WorkerSnapshot {
        let (made, made_bytes) = self.outbox.totals();
        let counters = &self.counters;
        WorkerSnapshot {
            backend: String::new(),
            legs: self.legs.in_use(),
            legs_max: self.legs.capacity(),
            datagrams: counters.datagrams,
            forwarded: counters.forwarded,
            consumed: counters.consumed,
            sent: counters.forwarded + made,
            sent_bytes: counters.forwarded_bytes + made_bytes,
            drops: counters.drops,
            events_lost: self.outbox.events_lost(),
            latency: summary(&counters.latency_us),
            cut_over_gap: summary(&counters.gap_us),
            batch: summary(&counters.batches),
            io: Vec::new(),
        }
    }
}

fn summary(histogram: &Histogram<u64>) -> LatencySummary {
    LatencySummary {
        count: histogram.len(),
        p50_us: histogram.value_at_quantile(0.5),
        p99_us: histogram.value_at_quantile(0.99),
        p999_us: histogram.value_at_quantile(0.999),
    }
}
