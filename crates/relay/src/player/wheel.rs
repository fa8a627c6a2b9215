//! When each player is due: a timing wheel of one-millisecond slots, without a heap and without an allocation.

use crate::leg::{NO_SLOT, Slot};
use crate::media::Frames;
use crate::time::MonoTime;

/// Slots of the wheel. A player is due at most [`Frames::PTIME_MS_MAX`] ahead, so that one turn suffices.
const TICKS: u64 = 256;
const _: () = assert!(TICKS > Frames::PTIME_MS_MAX as u64 + 1);
const NANOS_PER_TICK: u64 = 1_000_000;

/// Which legs have a frame due in which millisecond. A leg is on the wheel at most once.
#[derive(Debug)]
pub(crate) struct Wheel {
    /// First leg of each tick's list.
    heads: [Slot; TICKS as usize],
    /// One bit for each tick that has a list.
    occupied: [u64; TICKS as usize / 64],
    nodes: Vec<Node>,
    /// The next tick to be served.
    cursor: u64,
    len: u32,
}

#[derive(Clone, Copy, Debug)]
struct Node {
    before: Slot,
    after: Slot,
    /// Index into `heads`; [`OFF`] while the leg is not on the wheel.
    tick: u16,
}

const OFF: u16 = u16::MAX;

impl Wheel {
    pub(crate) fn new(legs_max: u32) -> Self {
        Self {
            heads: [NO_SLOT; TICKS as usize],
            occupied: [0; TICKS as usize / 64],
            nodes: Vec::with_capacity(legs_max as usize),
            cursor: 0,
            len: 0,
        }
    }

    /// Makes room for one more slot of the leg tables; within the capacity reserved at start.
    pub(crate) fn cover(&mut self, slot: Slot) {
        while self.nodes.len() <= slot as usize {
            self.nodes.push(Node { before: NO_SLOT, after: NO_SLOT, tick: OFF });
        }
    }

    /// Puts a leg on the wheel, or moves it. `due` must not be past and at most [`Frames::PTIME_MS_MAX`] ahead; it is
    /// rounded up to the tick: never early, at most 1 ms late.
    pub(crate) fn insert(&mut self, slot: Slot, due: MonoTime) {
        self.remove(slot);
        let tick = due.as_nanos().div_ceil(NANOS_PER_TICK);
        // The cursor may stand anywhere up to the earliest leg; from there the wheel sees TICKS ahead.
        self.cursor = if self.len == 0 { tick } else { self.earliest().min(tick) };
        // Only after a stall of the owner can a leg be due beyond that; it is then served early rather than lost.
        let tick = tick.min(self.cursor + TICKS - 1);
        let at = (tick % TICKS) as usize;
        let head = self.heads[at];
        self.nodes[slot as usize] = Node { before: NO_SLOT, after: head, tick: at as u16 };
        if head != NO_SLOT {
            self.nodes[head as usize].before = slot;
        }
        self.heads[at] = slot;
        self.occupied[at / 64] |= 1 << (at % 64);
        self.len += 1;
    }

    /// Takes a leg off, if it is on.
    pub(crate) fn remove(&mut self, slot: Slot) {
        let node = self.nodes[slot as usize];
        if node.tick == OFF {
            return;
        }
        let at = usize::from(node.tick);
        if node.before == NO_SLOT {
            self.heads[at] = node.after;
        } else {
            self.nodes[node.before as usize].after = node.after;
        }
        if node.after != NO_SLOT {
            self.nodes[node.after as usize].before = node.before;
        }
        if self.heads[at] == NO_SLOT {
            self.occupied[at / 64] &= !(1 << (at % 64));
        }
        self.nodes[slot as usize].tick = OFF;
        self.len -= 1;
    }

    /// Takes off a leg that is due by `now`.
    pub(crate) fn pop_due(&mut self, now: MonoTime) -> Option<Slot> {
        if self.len == 0 {
            return None;
        }
        let tick = self.earliest();
        if tick * NANOS_PER_TICK > now.as_nanos() {
            return None;
        }
        self.cursor = tick;
        let slot = self.heads[(tick % TICKS) as usize];
        self.remove(slot);
        Some(slot)
    }

    /// When the next leg is due.
    pub(crate) fn next_due(&self) -> Option<MonoTime> {
        (self.len > 0).then(|| MonoTime::from_nanos(self.earliest() * NANOS_PER_TICK))
    }

    /// The first tick from the cursor on that has a list; the wheel must not be empty.
    fn earliest(&self) -> u64 {
        let start = self.cursor % TICKS;
        let words = self.occupied.len() as u64;
        for step in 0..=words {
            let word = (start / 64 + step) % words;
            let mut bits = self.occupied[word as usize];
            if step == 0 {
                bits &= u64::MAX << (start % 64);
            } else if step == words {
                bits &= !(u64::MAX << (start % 64));
            }
            if bits != 0 {
                let at = word * 64 + u64::from(bits.trailing_zeros());
                return self.cursor + (at + TICKS - start) % TICKS;
            }
        }
        self.cursor
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> MonoTime {
        MonoTime::from_nanos(ms * NANOS_PER_TICK)
    }

    #[test]
    fn legs_come_off_in_the_order_of_their_times() {
        let mut wheel = Wheel::new(8);
        wheel.cover(7);
        for (slot, due) in [(0, 1030), (1, 1010), (2, 1200), (3, 1010), (4, 1199)] {
            wheel.insert(slot, ms(due));
        }
        wheel.remove(4);
        assert_eq!(wheel.next_due(), Some(ms(1010)));
        assert_eq!(wheel.pop_due(ms(1009)), None);
        let mut first = [wheel.pop_due(ms(1010)), wheel.pop_due(ms(1010))];
        first.sort_unstable();
        assert_eq!(first, [Some(1), Some(3)]);
        assert_eq!(wheel.pop_due(ms(1029)), None);
        assert_eq!(wheel.pop_due(ms(5000)), Some(0), "late is late, not lost");
        assert_eq!(wheel.pop_due(ms(5000)), Some(2));
        assert_eq!((wheel.pop_due(ms(5000)), wheel.next_due()), (None, None));
    }

    #[test]
    fn every_player_of_a_long_run_is_served_on_time() {
        let mut wheel = Wheel::new(64);
        wheel.cover(63);
        let mut due: Vec<u64> = (0..64).map(|slot| 500 + slot * 3 % 20).collect();
        for slot in 0..64 {
            wheel.insert(slot, ms(due[slot as usize]));
        }
        for now in 500..3000 {
            while let Some(slot) = wheel.pop_due(ms(now)) {
                assert_eq!(due[slot as usize], now, "slot {slot}");
                due[slot as usize] += 20 + u64::from(slot) * 2;
                wheel.insert(slot, ms(due[slot as usize]));
            }
        }
        assert!(due.iter().all(|&due| due >= 3000));
    }
}
