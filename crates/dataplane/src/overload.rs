//! Keeping what is relayed fresh when there is more than can be relayed.
//!
//! The sockets' queues in the kernel are the only queues. With n ports of q packets each and r packets relayed a second,
//! full queues are a delay of n * q / r: 2000 * 170 / 600,000/s = 570 ms. No size of queue suits both a burst on one port
//! and an overload on all, so while a worker is overloaded two things change:
//!
//! - Every queue is cut to its share of what can be relayed within [`OVERLOAD_AGE`]: q = r * age / n, and never less than
//!   the kernel's minimum of one to three packets. What does not fit is dropped where it arrives, which costs the worker
//!   nothing, and counted as `kernel_dropped`.
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
/// An overload is over when for a time, which grows from relapse to relapse, the worker has rested at least this often.
const STRETCH_NANOS: u64 = 10_000_000;
const CALM_NANOS_MIN: u64 = 100_000_000;
/// Nothing may be lost any more one second after the load is gone.
const CALM_NANOS_MAX: u64 = 800_000_000;
/// What a queued packet of ordinary audio takes of `SO_RCVBUF`, whose doubling by the kernel makes it 1024 bytes.
const QUEUED_BYTES: usize = 512;

/// Watches over one worker.
#[derive(Clone, Debug)]
pub(crate) struct Overload {
    is_on: bool,
    busy_since: MonoTime,
    /// Datagrams received since.
    received: u64,
    /// During an overload: when the worker last had to work for long without rest.
    strained_at: MonoTime,
    calm_nanos: u64,
    ended_at: Option<MonoTime>,
}

impl Overload {
    pub(crate) const fn new(now: MonoTime) -> Self {
        Self {
            is_on: false,
            busy_since: now,
            received: 0,
            strained_at: now,
            calm_nanos: CALM_NANOS_MIN,
            ended_at: None,
        }
    }

    pub(crate) const fn is_on(&self) -> bool {
        self.is_on
    }

    /// Whether an overload begins with this batch; then says how many packets can be relayed within [`OVERLOAD_AGE`].
    pub(crate) fn begins(&mut self, batch: &Batch<'_>, now: MonoTime) -> Option<u64> {
        self.received += batch.len() as u64;
        let busy_nanos = now.nanos_since(self.busy_since);
        let relapse = self.ended_at.is_some_and(|ended| now.nanos_since(ended) < RELAPSE_NANOS);
        let is_old = |arrived: MonoTime| now.nanos_since(arrived) > AGE_NANOS;
        if self.is_on
            || busy_nanos < if relapse { BUSY_AGAIN_NANOS } else { BUSY_NANOS }
            || !batch.iter().any(|datagram| is_old(datagram.arrived))
        {
            return None;
        }
        self.is_on = true;
        self.strained_at = now;
        self.calm_nanos = if relapse { CALM_NANOS_MAX.min(2 * self.calm_nanos) } else { CALM_NANOS_MIN };
        Some(self.received.saturating_mul(AGE_NANOS) / busy_nanos)
    }

    /// During an overload, drops what is too old, and says how many that were.
    pub(crate) fn shed(&self, batch: &mut Batch<'_>, now: MonoTime) -> usize {
        if !self.is_on {
            return 0;
        }
        let before = batch.len();
        batch.retain(|datagram| now.nanos_since(datagram.arrived) <= AGE_NANOS);
        before - batch.len()
    }

    /// Notes that nothing is waiting to be received; whether an overload ends with that.
    pub(crate) fn rests(&mut self, now: MonoTime) -> bool {
        if now.nanos_since(self.busy_since) > STRETCH_NANOS {
            self.strained_at = now;
        }
        let ends = self.is_on && now.nanos_since(self.strained_at) >= self.calm_nanos;
        if ends {
            self.is_on = false;
            self.ended_at = Some(now);
        }
        self.works(now);
        ends
    }

    /// Notes the end of a rest.
    pub(crate) const fn works(&mut self, now: MonoTime) {
        self.busy_since = now;
        self.received = 0;
    }
}

/// The size, as in `SO_RCVBUF`, of each of `ports` queues that together hold `packets`.
pub(crate) fn queue_bytes(packets: u64, ports: usize) -> usize {
    // 0 would be no size; the kernel makes the least that it allows of anything small.
    (packets as usize / ports.max(1)).max(1) * QUEUED_BYTES
}

#[cfg(test)]
mod tests {
    use super::{
        AGE_NANOS, BUSY_AGAIN_NANOS, BUSY_NANOS, CALM_NANOS_MAX, CALM_NANOS_MIN, Overload, RELAPSE_NANOS,
        STRETCH_NANOS, queue_bytes,
    };
    use crate::backend::Batch;
    use patchcord_relay::Datagram;
    use patchcord_relay::ids::{Component, PortId};
    use patchcord_relay::time::MonoTime;

    const NOW: MonoTime = MonoTime::from_nanos(60_000_000_000);
    const AGE_MS: u64 = AGE_NANOS / 1_000_000;

    /// What is left of datagrams of these ages, in milliseconds, and whether an overload began with them.
    fn left(overload: &mut Overload, ages_ms: &[u64], now: MonoTime) -> (Vec<u64>, bool) {
        let mut buffers = vec![[0; 4]; ages_ms.len()];
        let mut batch = Batch::new();
        for (buffer, age) in buffers.iter_mut().zip(ages_ms) {
            let arrived = MonoTime::from_nanos(now.as_nanos() - age * 1_000_000);
            let from = "192.0.2.1:9".parse().expect("a literal");
            batch.push(Datagram::new(PortId::new(0, Component::Rtp), from, arrived, buffer, 4));
        }
        let begins = overload.begins(&batch, now).is_some();
        let shed = overload.shed(&mut batch, now);
        assert_eq!(shed + batch.len(), ages_ms.len());
        (batch.iter().map(|datagram| now.nanos_since(datagram.arrived) / 1_000_000).collect(), begins)
    }

    /// Rests often until the overload ends; how long that takes.
    fn calm_down(overload: &mut Overload, now: &mut MonoTime) -> u64 {
        let from = *now;
        while !overload.rests(*now) {
            *now = now.after_nanos(STRETCH_NANOS);
            assert!(now.nanos_since(from) <= CALM_NANOS_MAX, "it never ends");
        }
        now.nanos_since(from)
    }

    #[test]
    fn a_worker_that_catches_up_drops_nothing() {
        let mut overload = Overload::new(MonoTime::from_nanos(NOW.as_nanos() - BUSY_NANOS + 1));
        assert_eq!(left(&mut overload, &[500, 90, 0], NOW), (vec![500, 90, 0], false));
    }

    #[test]
    fn a_busy_worker_that_keeps_up_drops_nothing() {
        let mut overload = Overload::new(MonoTime::ZERO);
        assert_eq!(left(&mut overload, &[AGE_MS, 0], NOW), (vec![AGE_MS, 0], false));
    }

    #[test]
    fn an_overloaded_worker_relays_what_is_young() {
        let mut overload = Overload::new(MonoTime::ZERO);
        assert_eq!(left(&mut overload, &[500, AGE_MS + 1, AGE_MS, 0], NOW), (vec![AGE_MS, 0], true));
        assert_eq!(left(&mut overload, &[500, 0], NOW), (vec![0], false), "it begins once");
    }

    #[test]
    fn an_overload_ends_when_the_worker_rests_often_for_a_while() {
        let mut overload = Overload::new(MonoTime::ZERO);
        let mut now = NOW;
        assert!(left(&mut overload, &[500], now).1);
        // A rest now and then is not enough.
        for _ in 0..2 * CALM_NANOS_MIN / STRETCH_NANOS {
            now = now.after_nanos(STRETCH_NANOS + 1);
            assert!(!overload.rests(now));
        }
        assert_eq!(calm_down(&mut overload, &mut now), CALM_NANOS_MIN);
        assert_eq!(left(&mut overload, &[500], now), (vec![500], false));
    }

    #[test]
    fn a_long_rest_is_a_rest() {
        let mut overload = Overload::new(MonoTime::ZERO);
        let mut now = NOW;
        assert!(left(&mut overload, &[500], now).1);
        overload.rests(now);
        now = now.after_nanos(CALM_NANOS_MIN);
        overload.works(now);
        now = now.after_nanos(1000);
        assert!(overload.rests(now));
    }

    #[test]
    fn relapses_come_faster_and_last_longer() {
        let mut overload = Overload::new(MonoTime::ZERO);
        let mut now = NOW;
        assert!(left(&mut overload, &[500], now).1);
        let mut calm = calm_down(&mut overload, &mut now);
        while calm < CALM_NANOS_MAX {
            now = now.after_nanos(BUSY_AGAIN_NANOS);
            assert!(left(&mut overload, &[500], now).1);
            let longer = calm_down(&mut overload, &mut now);
            assert_eq!(longer, 2 * calm);
            calm = longer;
        }
        now = now.after_nanos(RELAPSE_NANOS);
        overload.works(now);
        now = now.after_nanos(BUSY_AGAIN_NANOS);
        assert!(!left(&mut overload, &[500], now).1, "all is forgotten");
        now = now.after_nanos(BUSY_NANOS);
        assert!(left(&mut overload, &[500], now).1);
        assert_eq!(calm_down(&mut overload, &mut now), CALM_NANOS_MIN);
    }

    #[test]
    fn queues_share_what_can_be_relayed_in_time() {
        let mut overload = Overload::new(MonoTime::from_nanos(NOW.as_nanos() - 1_000_000_000));
        overload.received = 600_000;
        let mut buffer = [0; 4];
        let mut batch = Batch::new();
        let from = "192.0.2.1:9".parse().expect("a literal");
        batch.push(Datagram::new(PortId::new(0, Component::Rtp), from, MonoTime::ZERO, &mut buffer, 4));
        // 600,000 a second are 2400 in 4 ms: 24 on each of 100 ports.
        assert_eq!(overload.begins(&batch, NOW), Some(2400));
        assert_eq!(queue_bytes(2400, 100), 24 * 512);
        assert_eq!((queue_bytes(2400, 10_000), queue_bytes(2400, 0)), (512, 2400 * 512));
    }
}
