//! Keeping what is relayed fresh when there is more than can be relayed.
//!
//! The sockets' queues in the kernel are the only queues. With n ports of q packets each and r packets relayed a second,
//! full queues are a delay of n * q / r: 2000 * 170 / 600,000/s = 570 ms. No size of queue suits both a burst on one port
//! and an overload on all, so while a worker is overloaded two things change:
//!
//! - Every queue is cut to its share of what can be relayed within [`OVERLOAD_AGE`]: q = r * age / n. What does not fit is
//!   dropped where it arrives, which costs the worker nothing, and counted as `kernel_dropped`. From there on the size
//!   follows the load: half when much is too old, twice when the worker has found all queues empty. When it is back to
//!   what it was the overload is over, a second at most after its cause is gone.
//! - Datagrams older than [`OVERLOAD_AGE`] are dropped after reception, which costs a third of relaying them, and counted
//!   as `overload_dropped`. So whatever is relayed is younger than that, whatever the number of ports.

use core::time::Duration;

use patchcord_relay::time::MonoTime;

use crate::backend::Batch;

/// The age up to which datagrams are relayed during an overload.
pub const OVERLOAD_AGE: Duration = Duration::from_millis(4);

const AGE_NANOS: u64 = OVERLOAD_AGE.as_nanos() as u64;
/// A worker that has not rested for this long and finds old datagrams is overloaded. A shorter time without rest is
/// catching up, for instance after the host has let it wait; nothing is dropped then, for late packets are better than none.
const BUSY_NANOS: u64 = 100_000_000;
/// Likewise, shortly after an overload.
const BUSY_AGAIN_NANOS: u64 = 20_000_000;
/// What "shortly after" means.
const RELAPSE_NANOS: u64 = 2_000_000_000;
/// What a queued packet of ordinary audio takes, and the shortest queue: below it the kernel has its own minimum, which lies between
/// one and three packets. In terms of `SO_RCVBUF`, whose doubling by the kernel makes it 1024 bytes.
pub(crate) const QUEUED_BYTES: usize = 512;
/// How often the size of the queues is reconsidered: several times longer than a datagram can wait in one,
const WINDOW_NANOS: u64 = 20_000_000;
/// and, because it takes about 200 ns to change one, long enough for that to be a hundredth of the time.
const WINDOW_NANOS_PER_PORT: u64 = 20_000;
/// The queues are too long if more than one datagram in this many is too old.
const TOO_OLD_ONE_IN: u64 = 16;

/// Watches over one worker.
#[derive(Clone, Debug)]
pub(crate) struct Overload {
    /// The size of the queues, as in `SO_RCVBUF`, while there is no overload.
    bytes_max: usize,
    /// And the least that it may be.
    bytes_min: usize,
    busy_since: MonoTime,
    /// Datagrams received since.
    received: u64,
    ended_at: Option<MonoTime>,
    present: Option<Present>,
}

/// An overload that goes on.
#[derive(Clone, Debug)]
struct Present {
    queue_bytes: usize,
    window_until: MonoTime,
    seen: u64,
    shed: u64,
    rested: bool,
}

impl Overload {
    /// `bytes_max`: the size of the queues as in `SO_RCVBUF`, unless there is an overload; `bytes_min`: the least in one.
    pub(crate) const fn new(bytes_max: usize, bytes_min: usize, now: MonoTime) -> Self {
        Self { bytes_max, bytes_min, busy_since: now, received: 0, ended_at: None, present: None }
    }

    pub(crate) const fn is_on(&self) -> bool {
        self.present.is_some()
    }

    /// Looks at a batch, finds that an overload begins, or drops what is too old because there is one. How many it dropped.
    pub(crate) fn shed(&mut self, batch: &mut Batch<'_>, now: MonoTime) -> u64 {
        self.received += batch.len() as u64;
        if self.present.is_none() && self.begins(batch, now) {
            // The first window is over at once: the queues are cut by `resize`.
            let queue_bytes = self.bytes_max;
            self.present = Some(Present { queue_bytes, window_until: now, seen: 0, shed: 0, rested: false });
        }
        let Some(present) = &mut self.present else { return 0 };
        present.seen += batch.len() as u64;
        let before = batch.len();
        batch.retain(|datagram| now.nanos_since(datagram.arrived) <= AGE_NANOS);
        let shed = (before - batch.len()) as u64;
        present.shed += shed;
        shed
    }

    /// Notes that all queues are empty.
    pub(crate) const fn rests(&mut self, now: MonoTime) {
        if let Some(present) = &mut self.present {
            present.rested = true;
        }
        self.works(now);
    }

    /// Notes the end of a rest.
    pub(crate) const fn works(&mut self, now: MonoTime) {
        self.busy_since = now;
        self.received = 0;
    }

    /// Now and then during an overload, and at its end: the size to give to all queues. `ports`: how many there are; asked
    /// only then.
    pub(crate) fn resize(&mut self, now: MonoTime, ports: impl FnOnce() -> usize) -> Option<usize> {
        let present = self.present.as_mut().filter(|present| now >= present.window_until)?;
        let ports = ports().max(1);
        let before = present.queue_bytes;
        present.queue_bytes = if before == self.bytes_max {
            // It has just begun.
            let packets = self.received.saturating_mul(AGE_NANOS) / now.nanos_since(self.busy_since).max(1);
            (packets as usize / ports * QUEUED_BYTES).clamp(self.bytes_min, (self.bytes_max / 2).max(self.bytes_min))
        } else if present.shed > present.seen / TOO_OLD_ONE_IN {
            (before / 2).max(self.bytes_min)
        } else if present.rested {
            before.saturating_mul(2)
        } else {
            before
        };
        let after = present.queue_bytes.min(self.bytes_max);
        present.window_until = now.after_nanos(WINDOW_NANOS + ports as u64 * WINDOW_NANOS_PER_PORT);
        (present.seen, present.shed, present.rested) = (0, 0, false);
        if after == self.bytes_max {
            self.present = None;
            self.ended_at = Some(now);
        }
        (after != before).then_some(after)
    }

    fn begins(&self, batch: &Batch<'_>, now: MonoTime) -> bool {
        let relapse = self.ended_at.is_some_and(|ended| now.nanos_since(ended) < RELAPSE_NANOS);
        let busy_enough = if relapse { BUSY_AGAIN_NANOS } else { BUSY_NANOS };
        now.nanos_since(self.busy_since) >= busy_enough
            && batch.iter().any(|datagram| now.nanos_since(datagram.arrived) > AGE_NANOS)
    }
}

#[cfg(test)]
mod tests {
    use super::{
        AGE_NANOS, BUSY_AGAIN_NANOS, BUSY_NANOS, Overload, QUEUED_BYTES, RELAPSE_NANOS, WINDOW_NANOS,
        WINDOW_NANOS_PER_PORT,
    };
    use crate::backend::Batch;
    use patchcord_relay::Datagram;
    use patchcord_relay::ids::{Component, PortId};
    use patchcord_relay::time::MonoTime;

    const NOW: MonoTime = MonoTime::from_nanos(60_000_000_000);
    const AGE_MS: u64 = AGE_NANOS / 1_000_000;
    const NORMAL: usize = 64 << 10;

    /// What is left of datagrams of these ages, in milliseconds.
    fn left(overload: &mut Overload, ages_ms: &[u64], now: MonoTime) -> Vec<u64> {
        let mut buffers = vec![[0; 4]; ages_ms.len()];
        let mut batch = Batch::new();
        for (buffer, age) in buffers.iter_mut().zip(ages_ms) {
            let arrived = MonoTime::from_nanos(now.as_nanos() - age * 1_000_000);
            let from = "192.0.2.1:9".parse().expect("a literal");
            batch.push(Datagram::new(PortId::new(0, Component::Rtp), from, arrived, buffer, 4));
        }
        let shed = overload.shed(&mut batch, now);
        assert_eq!(shed as usize + batch.len(), ages_ms.len());
        batch.iter().map(|datagram| now.nanos_since(datagram.arrived) / 1_000_000).collect()
    }

    /// An overload that has just begun on `ports` ports, and the size of their queues from now on.
    fn begun(ports: usize) -> (Overload, usize) {
        let mut overload = Overload::new(NORMAL, QUEUED_BYTES, MonoTime::from_nanos(NOW.as_nanos() - 1_000_000_000));
        overload.received = 599_999;
        left(&mut overload, &[500], NOW);
        assert!(overload.is_on());
        let bytes = overload.resize(NOW, || ports).expect("the queues are cut at once");
        (overload, bytes)
    }

    #[test]
    fn a_worker_that_catches_up_drops_nothing() {
        let mut overload = Overload::new(NORMAL, QUEUED_BYTES, MonoTime::from_nanos(NOW.as_nanos() - BUSY_NANOS + 1));
        assert_eq!(left(&mut overload, &[500, 90, 0], NOW), [500, 90, 0]);
    }

    #[test]
    fn a_busy_worker_that_keeps_up_drops_nothing() {
        let mut overload = Overload::new(NORMAL, QUEUED_BYTES, MonoTime::ZERO);
        assert_eq!(left(&mut overload, &[AGE_MS, 0], NOW), [AGE_MS, 0]);
        assert_eq!(overload.resize(NOW, || 100), None);
    }

    #[test]
    fn a_worker_that_slept_has_not_been_busy() {
        let mut overload = Overload::new(NORMAL, QUEUED_BYTES, MonoTime::ZERO);
        overload.works(NOW);
        assert_eq!(left(&mut overload, &[500, 0], NOW), [500, 0]);
    }

    #[test]
    fn an_overloaded_worker_relays_what_is_young() {
        let mut overload = Overload::new(NORMAL, QUEUED_BYTES, MonoTime::ZERO);
        assert_eq!(left(&mut overload, &[500, AGE_MS + 1, AGE_MS, 0], NOW), [AGE_MS, 0]);
    }

    #[test]
    fn queues_share_what_can_be_relayed_in_time() {
        // 600,000 a second are 2400 in 4 ms.
        assert_eq!(begun(100).1, 24 * QUEUED_BYTES);
        assert_eq!(begun(10_000).1, QUEUED_BYTES);
        // Never more than half of the normal size: that would be no change.
        assert_eq!(begun(0).1, NORMAL / 2);
    }

    #[test]
    fn a_queue_for_many_ports_is_not_cut_to_that_of_one() {
        let mut overload =
            Overload::new(NORMAL, 8 * QUEUED_BYTES, MonoTime::from_nanos(NOW.as_nanos() - 1_000_000_000));
        overload.received = 1000;
        left(&mut overload, &[500], NOW);
        assert_eq!(overload.resize(NOW, || 2), Some(8 * QUEUED_BYTES));
    }

    #[test]
    fn queues_follow_the_load_until_it_is_over() {
        let ports = 100;
        let (mut overload, mut bytes) = begun(ports);
        let window = WINDOW_NANOS + ports as u64 * WINDOW_NANOS_PER_PORT;
        let mut now = NOW;
        assert_eq!(overload.resize(now.after_nanos(window - 1), || ports), None, "not before the window is over");
        // Too much is too old: shorter, down to a limit.
        for _ in 0..10 {
            now = now.after_nanos(window);
            assert_eq!(left(&mut overload, &[500, 500, 0], now), [0]);
            let shorter = (bytes / 2).max(QUEUED_BYTES);
            assert_eq!(overload.resize(now, || ports), (shorter != bytes).then_some(shorter));
            bytes = shorter;
        }
        // Neither too old nor idle: as it is.
        now = now.after_nanos(window);
        left(&mut overload, &[1; 20], now);
        assert_eq!(overload.resize(now, || ports), None);
        // The worker rests: longer, until it is over.
        while bytes < NORMAL {
            overload.rests(now);
            now = now.after_nanos(window);
            bytes = (2 * bytes).min(NORMAL);
            assert_eq!(overload.resize(now, || ports), Some(bytes));
        }
        assert!(!overload.is_on());
        overload.works(now);
        assert_eq!(left(&mut overload, &[500], now), [500]);
    }

    #[test]
    fn a_relapse_is_noticed_sooner() {
        let (mut overload, _) = begun(1);
        let mut now = NOW;
        while overload.is_on() {
            overload.rests(now);
            now = now.after_nanos(1_000_000_000);
            overload.resize(now, || 1);
        }
        overload.works(now);
        let soon = now.after_nanos(BUSY_AGAIN_NANOS);
        let mut relapsed = overload.clone();
        left(&mut relapsed, &[500], soon);
        assert!(relapsed.is_on());
        let mut recovered = overload;
        let later = now.after_nanos(RELAPSE_NANOS);
        recovered.works(later);
        left(&mut recovered, &[500], later.after_nanos(BUSY_AGAIN_NANOS));
        assert!(!recovered.is_on(), "after a while all is forgotten");
    }
}
