//! What time brings about: frames of players, key presses, timed cut-overs, media timeouts, sender reports.

use core::time::Duration;

use crate::event::Event;
use crate::leg::{Slot, SourceSlot};
use crate::shard::Shard;
use crate::time::MonoTime;

/// Every leg is looked at once a second, a twentieth of them at a time: no tick is long.
const ROUND: Duration = Duration::from_secs(1);
const STEPS_PER_ROUND: u32 = 20;
/// RFC 3550 6.2 asks for at least 5 s between the reports of one participant, on average.
const REPORT_INTERVAL_NANOS: u64 = 5_000_000_000;

impl Shard {
    pub(crate) fn keep_house(&mut self, now: MonoTime) {
        self.play_due(now);
        self.dial_due(now);
        self.fire_timed(now);
        self.end_prompts(now);
        // After a stall one step is enough: what it finds is found by its times, not by how often it looks.
        if self.legs.in_use() > 0 && now >= self.next_inspection {
            self.next_inspection = now.after(ROUND / STEPS_PER_ROUND);
            let slots = self.legs.slots_end();
            for _ in 0..slots.div_ceil(STEPS_PER_ROUND) {
                let slot = self.inspected % slots;
                self.inspected = slot + 1;
                self.inspect(slot, now);
            }
        }
    }

    /// When something is next to be done.
    pub(crate) fn next_chore(&self) -> Option<MonoTime> {
        let inspection = (self.legs.in_use() > 0).then_some(self.next_inspection);
        let prompt_end = self.legs.prompt_ends.first().map(|(at, _)| *at);
        let due = [self.wheel.next_due(), self.dials.next_due(), self.next_timed, prompt_end, inspection];
        due.into_iter().flatten().min()
    }

    fn inspect(&mut self, slot: Slot, now: MonoTime) {
        let at = slot as usize;
        self.legs.catch_up(slot);
        let ingress = &self.legs.ingress[at];
        if !ingress.is_live() {
            return;
        }
        if let Some(srtp) = &mut self.legs.srtp[at] {
            srtp.provide();
        }
        let cold = &mut self.legs.cold[at];
        if let Some(timeout) = cold.media_timeout_ms {
            let silent = now.nanos_since(ingress.last_packet_at().unwrap_or(cold.created_at));
            if silent < u64::from(timeout) * 1_000_000 {
                cold.timed_out = false;
            } else if !cold.timed_out {
                cold.timed_out = true;
                self.outbox.event(Event::MediaTimeout { leg: cold.id, silent_ms: silent / 1_000_000 });
            }
        }
        // A leg fed by another one gets that one's reports; a player, and what is transcoded, has nobody to speak for it.
        let egress = &self.legs.egress[at];
        let is_of_our_own = egress.source == SourceSlot::Player || egress.is_made();
        if is_of_our_own && now >= self.legs.cold[at].next_report_at {
            // RFC 3550 6.3.1: between half and one and a half of the interval, so that reports do not bunch.
            let spread = self.rng.next_u64() % REPORT_INTERVAL_NANOS;
            self.legs.cold[at].next_report_at = now.after_nanos(REPORT_INTERVAL_NANOS / 2 + spread);
            self.report_to(slot, now);
        }
    }
}
