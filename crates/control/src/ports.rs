//! Port leases: which local UDP ports belong to which leg.
//!
//! An interface has one range. A leg with a port of its own for RTCP takes a pair: RTP on the even port, RTCP on the odd
//! one after it (RFC 3550 11). A leg with muxed RTCP takes a single port, either half of a pair. Taking and giving back are
//! O(1); what was given back last is taken last, so that late packets of a call that ended find nobody.

use core::ops::RangeInclusive;
use std::collections::VecDeque;

/// How long a port that another process holds is left alone.
pub(crate) const BUSY_MS: u64 = 60_000;

/// Ports of one leg on one interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ports {
    /// For RTP; muxed RTCP too.
    pub(crate) rtp: u16,
    /// For RTCP where it is not muxed.
    pub(crate) rtcp: Option<u16>,
}

/// How many ports of a pool are in which state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortCounts {
    /// Leased to legs.
    pub leased: u32,
    /// Left alone because another process holds them.
    pub busy: u32,
    /// Free.
    pub free: u32,
}

/// The ports of one interface.
#[derive(Debug)]
pub(crate) struct PortPool {
    /// Even port of the first pair.
    first: u16,
    /// Which halves of each pair are taken, leased or busy.
    pairs: Vec<Halves>,
    /// Whole pairs by the time since when they are free.
    whole: VecDeque<Free>,
    /// Halves of broken pairs, likewise. An entry is valid while its stamp is the one of the half.
    halves: VecDeque<Free>,
    /// Ports that another process holds, and when to look again.
    busy: VecDeque<(u64, Ports)>,
    /// Counts what is given back: the age of an entry.
    clock: u64,
    leased: u32,
    busy_ports: u32,
}

#[derive(Clone, Copy, Debug, Default)]
struct Halves {
    taken: [bool; 2],
    /// When each half became free.
    since: [u64; 2],
}

#[derive(Clone, Copy, Debug)]
struct Free {
    pair: u16,
    half: u8,
    since: u64,
}

impl PortPool {
    /// All ports of `range` that belong to a whole pair within it: an odd port at its beginning and an even one at its end
    /// are not used.
    #[must_use]
    pub(crate) fn new(range: &RangeInclusive<u16>) -> Self {
        let first = u32::from(*range.start()).next_multiple_of(2);
        let count = (u32::from(*range.end()) + 1).saturating_sub(first) / 2;
        // A range that ends before it begins has no pair; 32768 pairs are all there can be.
        let (first, count) = (u16::try_from(first).unwrap_or(u16::MAX), count.min(1 << 15) as u16);
        let whole = (0..count).map(|pair| Free { pair, half: 0, since: 0 }).collect();
        Self {
            first,
            pairs: vec![Halves::default(); count.into()],
            whole,
            halves: VecDeque::new(),
            busy: VecDeque::new(),
            clock: 0,
            leased: 0,
            busy_ports: 0,
        }
    }

    /// Leases a pair, or a single port where RTCP is `muxed`. `None`: there is none left.
    pub(crate) fn lease(&mut self, muxed: bool, now_ms: u64) -> Option<Ports> {
        self.wake_busy(now_ms);
        let ports = if muxed { self.take_single()? } else { self.take_pair()? };
        self.leased += ports.count();
        Some(ports)
    }

    /// Gives a lease back.
    pub(crate) fn release(&mut self, ports: Ports) {
        self.leased -= ports.count();
        self.put_back(ports);
    }

    /// Gives a lease back whose ports turned out to be in use by another process: they are left alone for a while.
    pub(crate) fn release_busy(&mut self, ports: Ports, now_ms: u64) {
        self.leased -= ports.count();
        self.busy_ports += ports.count();
        self.busy.push_back((now_ms + BUSY_MS, ports));
    }

    /// How many ports are in which state.
    #[must_use]
    pub(crate) fn counts(&self) -> PortCounts {
        let total = self.pairs.len() as u32 * 2;
        PortCounts { leased: self.leased, busy: self.busy_ports, free: total - self.leased - self.busy_ports }
    }

    fn wake_busy(&mut self, now_ms: u64) {
        while let Some(&(until, ports)) = self.busy.front() {
            if until > now_ms {
                break;
            }
            self.busy.pop_front();
            self.busy_ports -= ports.count();
            self.put_back(ports);
        }
    }

    fn take_pair(&mut self) -> Option<Ports> {
        let pair = self.whole.pop_front()?.pair;
        self.pairs[usize::from(pair)].taken = [true, true];
        Some(Ports { rtp: self.port(pair, 0), rtcp: Some(self.port(pair, 1)) })
    }

    /// The half that has been free for longest, of a broken pair or of a whole one.
    fn take_single(&mut self) -> Option<Ports> {
        self.skip_stale();
        let whole = self.whole.front().copied();
        let broken = self.halves.front().copied();
        let from_whole = match (whole, broken) {
            (None, None) => return None,
            (Some(whole), Some(broken)) => whole.since < broken.since,
            (Some(_), None) => true,
            (None, Some(_)) => false,
        };
        let Free { pair, half, since } = if from_whole { self.whole.pop_front()? } else { self.halves.pop_front()? };
        let halves = &mut self.pairs[usize::from(pair)];
        halves.taken[usize::from(half)] = true;
        if from_whole {
            // The other half has been free for as long: it is the oldest of all now.
            halves.since[1] = since;
            self.halves.push_front(Free { pair, half: 1, since });
        }
        Some(Ports { rtp: self.port(pair, half), rtcp: None })
    }

    /// Drops entries of halves whose pair became whole since.
    fn skip_stale(&mut self) {
        while let Some(&Free { pair, half, since }) = self.halves.front() {
            let halves = self.pairs[usize::from(pair)];
            let broken = halves.taken[usize::from(1 - half)] && !halves.taken[usize::from(half)];
            if broken && halves.since[usize::from(half)] == since {
                break;
            }
            self.halves.pop_front();
        }
    }

    fn put_back(&mut self, ports: Ports) {
        self.clock += 1;
        let (pair, half) = self.place(ports.rtp);
        let halves = &mut self.pairs[usize::from(pair)];
        let since = self.clock;
        halves.taken[usize::from(half)] = false;
        halves.since[usize::from(half)] = since;
        if ports.rtcp.is_some() {
            halves.taken = [false, false];
            halves.since = [since, since];
        }
        if halves.taken == [false, false] {
            self.whole.push_back(Free { pair, half: 0, since });
        } else {
            self.halves.push_back(Free { pair, half, since });
        }
    }

    const fn port(&self, pair: u16, half: u8) -> u16 {
        self.first + pair * 2 + half as u16
    }

    const fn place(&self, port: u16) -> (u16, u8) {
        let offset = port - self.first;
        (offset / 2, (offset % 2) as u8)
    }
}

impl Ports {
    const fn count(self) -> u32 {
        if self.rtcp.is_some() { 2 } else { 1 }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn pairs_are_even_and_odd_and_within_the_range() {
        let mut pool = PortPool::new(&(30001..=30006));
        let first = pool.lease(false, 0).expect("two pairs are free");
        assert_eq!(first, Ports { rtp: 30002, rtcp: Some(30003) });
        assert_eq!(pool.lease(false, 0), Some(Ports { rtp: 30004, rtcp: Some(30005) }));
        assert_eq!(pool.lease(false, 0), None);
    }

    #[test]
    fn muxed_legs_use_both_halves() {
        let mut pool = PortPool::new(&(30000..=30003));
        let ports: Vec<_> = core::iter::from_fn(|| pool.lease(true, 0)).map(|ports| ports.rtp).collect();
        assert_eq!(ports, [30000, 30001, 30002, 30003]);
    }

    #[test]
    fn odd_ends_of_the_port_space_are_survived() {
        assert_eq!(PortPool::new(&(65535..=65535)).lease(true, 0), None);
        assert_eq!(PortPool::new(&(1..=1)).lease(true, 0), None);
        assert_eq!(PortPool::new(&(65534..=65535)).lease(false, 0), Some(Ports { rtp: 65534, rtcp: Some(65535) }));
        assert_eq!(PortPool::new(&(0..=65535)).counts().free, 65536);
    }

    #[test]
    fn what_was_freed_last_is_used_last() {
        let mut pool = PortPool::new(&(30000..=30007));
        let first = pool.lease(false, 0).expect("four pairs are free");
        pool.release(first);
        let next: Vec<_> = (0..4).filter_map(|_| pool.lease(false, 0)).map(|ports| ports.rtp).collect();
        assert_eq!(next, [30002, 30004, 30006, 30000]);
    }

    #[test]
    fn a_busy_port_comes_back_after_a_while() {
        let mut pool = PortPool::new(&(30000..=30001));
        let ports = pool.lease(false, 0).expect("one pair is free");
        pool.release_busy(ports, 0);
        assert_eq!(pool.lease(false, BUSY_MS - 1), None);
        assert_eq!(pool.counts(), PortCounts { leased: 0, busy: 2, free: 0 });
        assert_eq!(pool.lease(false, BUSY_MS), Some(ports));
    }

    #[derive(Clone, Debug)]
    enum Step {
        Lease { muxed: bool },
        Release(usize),
        Busy(usize),
        Wait(u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => any::<bool>().prop_map(|muxed| Step::Lease { muxed }),
            3 => any::<usize>().prop_map(Step::Release),
            1 => any::<usize>().prop_map(Step::Busy),
            1 => (0..BUSY_MS).prop_map(Step::Wait),
        ]
    }

    proptest! {
        /// No port is leased twice, none is lost, and whoever is refused has found everything taken.
        #[test]
        fn no_port_leaks(steps in proptest::collection::vec(step(), 1..400)) {
            const PORTS: u32 = 12;
            let mut pool = PortPool::new(&(30000..=30011));
            let mut now = 0;
            let mut leases: Vec<Ports> = Vec::new();
            let mut busy: Vec<(u64, Ports)> = Vec::new();
            for step in steps {
                match step {
                    Step::Lease { muxed } => {
                        let lease = pool.lease(muxed, now);
                        busy.retain(|&(until, _)| until > now);
                        let taken: BTreeSet<u16> = leases
                            .iter()
                            .chain(busy.iter().map(|(_, ports)| ports))
                            .flat_map(|ports| [Some(ports.rtp), ports.rtcp])
                            .flatten()
                            .collect();
                        match lease {
                            Some(ports) => {
                                prop_assert_eq!(muxed, ports.rtcp.is_none());
                                if let Some(rtcp) = ports.rtcp {
                                    prop_assert!(ports.rtp % 2 == 0 && rtcp == ports.rtp + 1);
                                    prop_assert!(!taken.contains(&rtcp));
                                }
                                prop_assert!(!taken.contains(&ports.rtp));
                                leases.push(ports);
                            }
                            None if muxed => prop_assert_eq!(taken.len() as u32, PORTS),
                            None => {
                                let whole = (30000..30012).step_by(2).any(|port| !taken.contains(&port) && !taken.contains(&(port + 1)));
                                prop_assert!(!whole, "a whole pair is free");
                            }
                        }
                    }
                    Step::Release(index) if !leases.is_empty() => {
                        let index = index % leases.len();
                        pool.release(leases.swap_remove(index));
                    }
                    Step::Busy(index) if !leases.is_empty() => {
                        let index = index % leases.len();
                        let ports = leases.swap_remove(index);
                        pool.release_busy(ports, now);
                        busy.push((now + BUSY_MS, ports));
                    }
                    Step::Release(_) | Step::Busy(_) => {}
                    Step::Wait(ms) => now += ms,
                }
                let leased: u32 = leases.iter().map(|ports| ports.count()).sum();
                let counts = pool.counts();
                prop_assert_eq!(counts.leased, leased);
                prop_assert_eq!(counts.leased + counts.busy + counts.free, PORTS);
            }
        }
    }
}
