//! The packet path: what happens to each received datagram.

mod dtls;
mod events;
mod ice;
mod opaque;
mod rtcp;
mod rtp;
mod srtp;

pub(crate) use events::{END_PACKETS, EVENT_PACKET_LEN, build_event, is_event_remembered};
pub(crate) use rtp::SourcePacket;

use patchcord_rtp::{Protocol, classify};

use crate::datagram::{Datagram, Verdict};
use crate::ids::{Component, PortId};
use crate::leg::NO_SLOT;
use crate::leg::ingress::Ingress;
use crate::outbox::Seal;
use crate::shard::Shard;
use crate::time::MonoTime;
use crate::verdict::DropReason;

impl Shard {
    pub(crate) fn forward_batch(&mut self, batch: &mut [Datagram<'_>], now: MonoTime) {
        self.counters.batches.saturating_record(batch.len() as u64);
        if self.warm_up(batch) {
            self.lead_through_doors(batch);
            self.unprotect(batch, now);
        }
        let mut seals = false;
        for datagram in batch.iter_mut() {
            if datagram.verdict == Verdict::Pending {
                datagram.verdict = self.judge(datagram, now);
            }
            seals |= datagram.seal != Seal::Unsealed;
        }
        if seals {
            self.protect(batch);
        }
        for datagram in batch {
            self.account(datagram);
        }
    }

    /// Loads the records that the batch will need: first those of the senders, then those of their listeners. The loads
    /// of one round do not depend on each other, so the processor fetches them side by side, and each packet finds its
    /// records in the cache instead of waiting for them in turn. Says whether any of it is to be unprotected.
    fn warm_up(&self, batch: &[Datagram<'_>]) -> bool {
        let mut touched = 0;
        let mut secured = false;
        for datagram in batch {
            if let Some(ingress) = self.legs.ingress.get(datagram.port.slot() as usize) {
                touched ^= ingress.first_sink;
                secured |= ingress.is_secured() || ingress.is_door();
            }
        }
        for datagram in batch {
            let sink =
                self.legs.ingress.get(datagram.port.slot() as usize).map_or(NO_SLOT, |ingress| ingress.first_sink);
            if let Some(egress) = self.legs.egress.get(sink as usize) {
                touched ^= egress.next_sink;
            }
        }
        core::hint::black_box(touched);
        secured
    }

    /// What has come in by the port of a leg that is a door has come in by that of the leg behind it from here on, and counts
    /// there.
    fn lead_through_doors(&self, batch: &mut [Datagram<'_>]) {
        for datagram in batch {
            let slot = datagram.port.slot();
            if !self.legs.ingress.get(slot as usize).is_some_and(Ingress::is_door) {
                continue;
            }
            match self.legs.behind_door(slot) {
                Some(into) => datagram.port = PortId::new(into, datagram.port.component()),
                None => datagram.verdict = Verdict::Dropped(DropReason::NoLeg),
            }
        }
    }

    fn judge(&mut self, datagram: &mut Datagram<'_>, now: MonoTime) -> Verdict {
        let at = datagram.port.slot() as usize;
        if !self.legs.ingress.get(at).is_some_and(Ingress::is_live) {
            return Verdict::Dropped(DropReason::NoLeg);
        }
        if datagram.truncated {
            return Verdict::Dropped(DropReason::Truncated);
        }
        let protocol = classify(datagram.packet());
        if protocol == Protocol::Stun
            && let Some(verdict) = self.answer_check(datagram)
        {
            return verdict;
        }
        if self.legs.ingress[at].is_opaque() {
            return self.forward_opaque(datagram, now);
        }
        match protocol {
            Protocol::Rtp if datagram.port.component() == Component::Rtp => self.forward_rtp(datagram, now),
            Protocol::Rtcp => self.forward_rtcp(datagram, now),
            Protocol::Dtls => self.hand_out(datagram, now),
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
