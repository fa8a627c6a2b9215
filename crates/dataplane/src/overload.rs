//! Keeping what is relayed fresh when there is more than can be relayed.
//!
//! The sockets' queues in the kernel are the only queues. With n ports of q packets each and r packets relayed a second,
//! full queues are a delay of n * q / r: 2000 * 30 / 400,000/s = 150 ms. No size of queue suits both a burst on one port
//! and an overload on all, so the bound is one of time: while the worker is overloaded, datagrams that are older than the
//! youngest at hand by more than [`OVERLOAD_AGE`] are dropped and counted. Dropping costs only the reception, about a third
//! of relaying, so the worker comes around to every queue before all in it is old. What it relays has then an age between
//! nothing and [`OVERLOAD_AGE`], evenly spread, so the median is half of that.
//!
//! Age counts from the youngest at hand so that even a hopeless overload, in which everything is old, relays something.

use core::time::Duration;

use patchcord_relay::time::MonoTime;

use crate::backend::Batch;

/// How much older than the youngest a datagram may be in an overload.
pub const OVERLOAD_AGE: Duration = Duration::from_millis(5);

/// A worker that has not rested for this long is overloaded. A shorter time without rest is catching up, for instance
/// after the host has let it wait, and nothing is dropped then: late packets are better than none.
const BUSY_NANOS: u64 = 100_000_000;

/// Watches over one worker.
#[derive(Clone, Debug)]
pub(crate) struct Overload {
    busy_since: MonoTime,
}

impl Overload {
    pub(crate) const fn new(now: MonoTime) -> Self {
        Self { busy_since: now }
    }

    /// Nothing is waiting to be received.
    pub(crate) const fn rested(&mut self, now: MonoTime) {
        self.busy_since = now;
    }

    /// Drops what is too old, and says how many that were.
    pub(crate) fn shed(&self, batch: &mut Batch<'_>, now: MonoTime) -> usize {
        if now.nanos_since(self.busy_since) < BUSY_NANOS {
            return 0;
        }
        let youngest = batch.iter().map(|datagram| datagram.arrived).max().unwrap_or_default();
        let before = batch.len();
        let age_max = OVERLOAD_AGE.as_nanos() as u64;
        batch.retain(|datagram| youngest.nanos_since(datagram.arrived) <= age_max);
        before - batch.len()
    }
}

#[cfg(test)]
mod tests {
    use super::{BUSY_NANOS, OVERLOAD_AGE, Overload};
    use crate::backend::Batch;
    use patchcord_relay::Datagram;
    use patchcord_relay::ids::{Component, PortId};
    use patchcord_relay::time::MonoTime;

    const NOW: MonoTime = MonoTime::from_nanos(60_000_000_000);

    /// Ages of what is left of datagrams of these ages, in milliseconds.
    fn left(overload: &Overload, ages_ms: &[u64]) -> Vec<u64> {
        let mut buffers = vec![[0; 4]; ages_ms.len()];
        let mut batch = Batch::new();
        for (buffer, age) in buffers.iter_mut().zip(ages_ms) {
            let arrived = MonoTime::from_nanos(NOW.as_nanos() - age * 1_000_000);
            let from = "192.0.2.1:9".parse().expect("a literal");
            batch.push(Datagram::new(PortId::new(0, Component::Rtp), from, arrived, buffer, 4));
        }
        let shed = overload.shed(&mut batch, NOW);
        assert_eq!(shed + batch.len(), ages_ms.len());
        batch.iter().map(|datagram| NOW.nanos_since(datagram.arrived) / 1_000_000).collect()
    }

    #[test]
    fn a_worker_that_catches_up_drops_nothing() {
        let overload = Overload::new(MonoTime::from_nanos(NOW.as_nanos() - BUSY_NANOS + 1));
        assert_eq!(left(&overload, &[500, 90, 0]), [500, 90, 0]);
    }

    #[test]
    fn an_overloaded_worker_drops_what_is_old() {
        let mut overload = Overload::new(MonoTime::ZERO);
        let limit = OVERLOAD_AGE.as_millis() as u64;
        assert_eq!(left(&overload, &[500, limit + 1, limit, 1, 0]), [limit, 1, 0]);
        overload.rested(NOW);
        assert_eq!(left(&overload, &[500, 0]), [500, 0]);
    }

    #[test]
    fn something_is_always_relayed() {
        let overload = Overload::new(MonoTime::ZERO);
        assert_eq!(left(&overload, &[900, 500]), [500]);
        assert_eq!(left(&overload, &[]), []);
    }
}
