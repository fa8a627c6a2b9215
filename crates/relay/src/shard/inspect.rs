//! Copies of the engine's state for those who ask.

use hdrhistogram::Histogram;
use patchcord_rtp::ReceiverState;

use crate::flow::Sending;
use crate::leg::{Slot, SourceSlot};
use crate::shard::Shard;
use crate::snapshot::{EgressStats, IngressStats, LatencySummary, LegSnapshot, SourceSnapshot, WorkerSnapshot};
use crate::time::MonoTime;
use crate::verdict::{DropReason, Drops};

impl Shard {
    pub(super) fn leg_snapshot(&self, slot: Slot, now: MonoTime) -> LegSnapshot {
        let at = slot as usize;
        let (egress, cold) = (&self.legs.egress[at], &self.legs.cold[at]);
        let Standing { receiver, bytes, last_packet_at, sending, drops } = self.standing(slot);
        let refused = drops.nonzero().filter(|(reason, _)| reason.precedes_reception());
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
                SourceSlot::Mix => SourceSnapshot::Mix,
                SourceSlot::Player => SourceSnapshot::Player,
            },
            transcoded: egress.is_made() && egress.source != SourceSlot::Mix,
            pending: cold.pending,
            ingress: IngressStats {
                datagrams: receiver.packets() + cold.rtcp_received + cold.stragglers + checks + handshakes + unreceived,
                packets: receiver.packets(),
                bytes,
                rtcp_packets: cold.rtcp_received,
                lost: receiver.lost(),
                reordered: receiver.reordered(),
                duplicates: receiver.duplicates(),
                jitter_ms: receiver.jitter_ms(),
                ssrc: receiver.ssrc(),
                idle_ms: last_packet_at.map(|at| now.nanos_since(at) / 1_000_000),
            },
            egress: EgressStats {
                packets: sending.packets,
                bytes: sending.bytes,
                rtcp_packets: cold.rtcp_sent,
                ssrc: egress.ssrc(),
                next_sequence: egress.ssrc().map(|_| (sending.newest as u16).wrapping_add(1)),
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
            offload: self.legs.flows.has_offload().then(|| self.legs.obstacle(slot)),
            drops,
            last_cut_over: cold.last_receipt,
        }
    }

    /// Where a leg stands, be it that the engine forwards for it or the offload.
    fn standing(&self, slot: Slot) -> Standing {
        let (ingress, egress) = (&self.legs.ingress[slot as usize], &self.legs.egress[slot as usize]);
        let mut standing = Standing {
            receiver: ingress.receiver,
            bytes: ingress.bytes,
            last_packet_at: ingress.last_packet_at(),
            sending: egress.sending(),
            drops: self.legs.cold[slot as usize].drops,
        };
        let [from, to] = self.legs.progress_of(slot);
        if let Some((from, counters)) = from {
            standing.receiver.resume(&from.reception);
            standing.bytes = from.bytes;
            standing.last_packet_at = Some(MonoTime::from_nanos(from.last_packet_at));
            standing.drops.add(DropReason::Duplicate, counters.duplicates());
        }
        if let Some((to, _)) = to {
            standing.sending = to.sending;
        }
        standing
    }

    pub(super) fn worker_snapshot(&self) -> WorkerSnapshot {
        let (made, made_bytes) = self.outbox.totals();
        let counters = &self.counters;
        let flows = self.legs.flow_counters();
        let mut drops = counters.drops;
        drops.add(DropReason::Duplicate, flows.duplicates());
        WorkerSnapshot {
            backend: String::new(),
            legs: self.legs.in_use(),
            legs_max: self.legs.capacity(),
            datagrams: counters.datagrams + flows.datagrams,
            forwarded: counters.forwarded + flows.forwarded,
            consumed: counters.consumed,
            sent: counters.forwarded + flows.forwarded + made,
            sent_bytes: counters.forwarded_bytes + flows.forwarded_bytes + made_bytes,
            flows: self.legs.flows.count(),
            climbs: flows.climbs,
            offloaded: flows.forwarded,
            drops,
            events_lost: self.outbox.events_lost(),
            latency: summary(&counters.latency_us),
            cut_over_gap: summary(&counters.gap_us),
            batch: summary(&counters.batches),
            io: Vec::new(),
        }
    }
}

/// What moves with each packet.
struct Standing {
    receiver: ReceiverState,
    bytes: u64,
    last_packet_at: Option<MonoTime>,
    sending: Sending,
    drops: Drops,
}

fn summary(histogram: &Histogram<u64>) -> LatencySummary {
    LatencySummary {
        count: histogram.len(),
        p50_us: histogram.value_at_quantile(0.5),
        p99_us: histogram.value_at_quantile(0.99),
        p999_us: histogram.value_at_quantile(0.999),
    }
}
