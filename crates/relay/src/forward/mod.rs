//! The packet path: what happens to each received datagram.

mod events;
mod rtcp;
mod rtp;

pub(crate) use rtp::SourcePacket;

use patchcord_rtp::{Protocol, classify};

use crate::datagram::{Datagram, Verdict};
use crate::ids::Component;
use crate::shard::Shard;
use crate::time::MonoTime;
use crate::verdict::DropReason;

impl Shard {
    pub(crate) fn forward_batch(&mut self, batch: &mut [Datagram<'_>], now: MonoTime) {
        self.counters.batches.saturating_record(batch.len() as u64);
        self.warm_up(batch);
        for datagram in batch {
            datagram.verdict = self.judge(datagram, now);
            self.account(datagram);
        }
    }

    /// Loads the records that the batch will need. The loads do not depend on each other, so the processor fetches them
    /// side by side; the packets behind find them in its cache. With 20,000 legs this halves the time of a packet.
    fn warm_up(&self, batch: &[Datagram<'_>]) {
        let mut touched = 0;
        for datagram in batch {
            if let Some(ingress) = self.legs.ingress.get(datagram.port.slot() as usize) {
                touched ^= ingress.first_sink;
            }
        }
        core::hint::black_box(touched);
    }

    fn judge(&mut self, datagram: &mut Datagram<'_>, now: MonoTime) -> Verdict {
        let at = datagram.port.slot() as usize;
        let Some(ingress) = self.legs.ingress.get_mut(at).filter(|ingress| ingress.is_live()) else {
            return Verdict::Dropped(DropReason::NoLeg);
        };
        ingress.datagrams += 1;
        if datagram.truncated {
            return Verdict::Dropped(DropReason::Truncated);
        }
        match classify(datagram.packet()) {
            Protocol::Rtp if datagram.port.component() == Component::Rtp => self.forward_rtp(datagram, now),
            Protocol::Rtcp => self.forward_rtcp(datagram),
            Protocol::Unknown => Verdict::Dropped(DropReason::UnknownProtocol),
            _ => Verdict::Dropped(DropReason::UnexpectedProtocol),
        }
    }

    /// Every datagram is counted once: relayed, used up, or dropped by name.
    fn account(&mut self, datagram: &Datagram<'_>) {
        self.counters.datagrams += 1;
        match datagram.verdict {
            Verdict::Forwarded(_) => {
                self.counters.forwarded += 1;
                self.counters.forwarded_bytes += datagram.len as u64;
            }
            Verdict::Consumed => self.counters.consumed += 1,
            Verdict::Dropped(reason) => {
                self.counters.drops.count(reason);
                if let Some(cold) = self.legs.cold.get_mut(datagram.port.slot() as usize) {
                    cold.drops.count(reason);
                }
            }
            Verdict::Pending => debug_assert!(false, "judged datagrams have a verdict"),
        }
    }
}
