//! A worker's flows, in the memory that it shares with the program.

#![allow(unsafe_code, reason = "entries are found by their address")]

use core::fmt;
use core::net::SocketAddr;
use std::collections::BTreeSet;
use std::sync::Arc;

use crossbeam::channel::Receiver;
use patchcord_relay::flow::{Flow, Obstacle, Offload, Progress};
use patchcord_relay::time::MonoTime;

use super::layout::Entry;
use crate::bpf::Map;
use crate::clock::Clock;
use crate::mapping::Mapping;
use crate::network::frame::Header;
use crate::network::hops::{Hops, Told};
use crate::network::{Hop, Way};
use crate::port::PortKey;

/// For how long an orphan's party may be silent.
const ORPHAN_NANOS: u64 = 30_000_000_000;
/// No slot.
const NONE: u32 = u32::MAX;

/// The [`Offload`] of one worker.
pub(crate) struct Table {
    flows: Flows,
    places: Map<PortKey, u32>,
    /// Entries with flows of a process that was killed, and their ports.
    orphans: Vec<(PortKey, u32)>,
    /// This worker or another one has had some.
    is_adopted: bool,
    hops: Hops,
    /// Interfaces that have the program.
    interfaces: Vec<u32>,
    news: Receiver<Vec<u32>>,
    dscp: u8,
    ttl: u8,
}

/// The flows by slots, and by the ways that they take.
struct Flows {
    memory: Arc<Mapping>,
    /// Entries of this worker that nobody has.
    free: Vec<u32>,
    slots: Box<[Slot]>,
    /// The first slot of each list of those whose flows' ways have the same hash.
    lists: Box<[u32]>,
}

/// What is known of a leg that sends.
#[derive(Clone, Copy)]
struct Slot {
    /// Its port, and the entry that the program finds by it.
    place: Option<(PortKey, u32)>,
    /// The way of its flow, while there is one.
    way: Option<(Way, Hop)>,
    /// The neighbours in the same list.
    next: u32,
    previous: u32,
    obstacle: Obstacle,
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table").field("free", &self.flows.free.len()).finish_non_exhaustive()
    }
}

/// What a table is made of.
pub(super) struct Parts {
    pub(super) memory: Arc<Mapping>,
    pub(super) first: u32,
    pub(super) len: u32,
    pub(super) places: Map<PortKey, u32>,
    /// Ports whose flows belong to a process that was killed, and the indices of these.
    pub(super) orphans: Vec<(PortKey, u32)>,
    /// This worker or another one may have some.
    pub(super) is_adopted: bool,
    pub(super) hops: Hops,
    pub(super) interfaces: Vec<u32>,
    pub(super) news: Receiver<Vec<u32>>,
    pub(super) dscp: u8,
    pub(super) ttl: u8,
}

impl Table {
    pub(super) fn new(parts: Parts) -> Self {
        let Parts { memory, first, len, places, orphans, is_adopted, hops, interfaces, news, dscp, ttl } = parts;
        let empty = Slot { place: None, way: None, next: NONE, previous: NONE, obstacle: Obstacle::NotFollowed };
        let lists = (len as usize).next_power_of_two();
        let (slots, lists) = (vec![empty; len as usize].into(), vec![NONE; lists].into());
        // The lowest first: memory that was never used is not touched.
        let taken: BTreeSet<u32> = orphans.iter().map(|&(_, entry)| entry).collect();
        let free = (first..first + len).rev().filter(|entry| !taken.contains(entry)).collect();
        Self {
            flows: Flows { memory, free, slots, lists },
            places,
            orphans,
            is_adopted,
            hops,
            interfaces,
            news,
            dscp,
            ttl,
        }
    }

    fn try_begin(&mut self, slot: u32, flow: &Flow) -> Result<(), Obstacle> {
        let way = Way { from: flow.sink_local.ip(), to: flow.to.ip() };
        let hop = self.hops.get(way).ok_or(Obstacle::NoHop)?;
        if !self.interfaces.contains(&hop.interface) {
            return Err(Obstacle::NoProgram);
        }
        let dscp = flow.dscp.unwrap_or(self.dscp);
        let header = Header::new(&hop, flow.sink_local, flow.to, dscp, self.ttl).ok_or(Obstacle::Families)?;
        let entry = self.place(slot, PortKey::from(flow.local))?;
        self.flows.at(entry).arm(flow, hop.interface, &header);
        self.flows.link(slot, way, hop);
        Ok(())
    }

    /// Puts a port where the program finds it, and gives it an entry. Both stay as long as the leg does.
    fn place(&mut self, slot: u32, key: PortKey) -> Result<u32, Obstacle> {
        if let Some((placed, entry)) = self.flows.slots[slot as usize].place {
            if placed == key {
                return Ok(entry);
            }
            self.displace(slot);
        }
        let entry = self.flows.free.pop().ok_or(Obstacle::Full)?;
        self.flows.at(entry).vacate();
        if self.places.insert(&key, &entry, Map::<PortKey, u32>::ANY).is_err() {
            self.flows.free.push(entry);
            return Err(Obstacle::Full);
        }
        self.flows.slots[slot as usize].place = Some((key, entry));
        Ok(entry)
    }

    fn displace(&mut self, slot: u32) {
        if let Some((key, entry)) = self.flows.slots[slot as usize].place.take() {
            // That it is not there cannot be; and then there is nothing to be done.
            let _ = self.places.remove(&key);
            self.flows.free.push(entry);
        }
    }

    /// Ends orphans whose parties have fallen silent, a few at a time: each takes a system call.
    fn end_silent_orphans(&mut self) {
        const AT_ONCE: usize = 64;
        let Self { orphans, flows, places, .. } = self;
        let now = Clock.now();
        let is_silent =
            |progress: Progress| now.nanos_since(MonoTime::from_nanos(progress.last_packet_at)) > ORPHAN_NANOS;
        let mut ended = 0;
        orphans.retain(|(key, entry)| {
            if ended == AT_ONCE || flows.at(*entry).peek().is_some_and(|progress| !is_silent(progress)) {
                return true;
            }
            ended += 1;
            flows.at(*entry).take_back();
            let _ = places.remove(key);
            flows.free.push(*entry);
            false
        });
    }
}

impl Flows {
    /// The entry of a slot whose flow has begun.
    fn entry(&self, slot: u32) -> Option<&Entry> {
        self.slots[slot as usize].place.map(|(_, entry)| self.at(entry))
    }

    fn at(&self, entry: u32) -> &Entry {
        let at = self.memory.at(entry as usize * size_of::<Entry>());
        // SAFETY: the map has this entry, and its memory, which is of whole pages, lives as long as `self`. All bits are valid, and what
        // others may write lies in atomics and cells.
        unsafe { at.cast().as_ref() }
    }

    fn give_up(&self, slot: u32) {
        if let Some(entry) = self.entry(slot) {
            entry.give_up();
        }
    }

    fn list(&self, way: &Way) -> usize {
        // Parties differ in their last bytes.
        let hash = |address| u128::from_be_bytes(crate::port::mapped(address)) as u64;
        let mixed = (hash(way.from) ^ hash(way.to).rotate_left(17)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed >> 32) as usize & (self.lists.len() - 1)
    }

    fn link(&mut self, slot: u32, way: Way, hop: Hop) {
        let list = self.list(&way);
        let next = core::mem::replace(&mut self.lists[list], slot);
        if let Some(next) = self.slots.get_mut(next as usize) {
            next.previous = slot;
        }
        let entry = &mut self.slots[slot as usize];
        (entry.way, entry.next, entry.previous) = (Some((way, hop)), next, NONE);
    }

    fn unlink(&mut self, slot: u32) {
        let Slot { way, next, previous, .. } = self.slots[slot as usize];
        let Some((way, _)) = way else { return };
        self.slots[slot as usize].way = None;
        if let Some(next) = self.slots.get_mut(next as usize) {
            next.previous = previous;
        }
        match self.slots.get_mut(previous as usize) {
            Some(previous) => previous.next = next,
            None => {
                let list = self.list(&way);
                self.lists[list] = next;
            }
        }
    }

    /// The flows that take a way, each with its hop.
    fn of(&self, way: Way) -> impl Iterator<Item = (u32, Hop)> + '_ {
        let there_is = |slot: u32| (slot != NONE).then_some(slot);
        let first = there_is(self.lists[self.list(&way)]);
        core::iter::successors(first, move |&slot| there_is(self.slots[slot as usize].next)).filter_map(move |slot| {
            let (taken, hop) = self.slots[slot as usize].way?;
            (taken == way).then_some((slot, hop))
        })
    }

    /// The flows of a way end unless its hop is still the same.
    fn divert(&self, way: Way, hop: Option<Hop>) {
        for (slot, _) in self.of(way).filter(|&(_, taken)| Some(taken) != hop) {
            self.give_up(slot);
        }
    }

    /// One flow of a way ends, and begins again with the next packet: that one goes by the kernel, which sees then whether the neighbour is
    /// still there. It has not seen those that were forwarded. Whether there is a flow at all.
    fn probe(&self, way: Way) -> bool {
        let probe = self.of(way).next();
        if let Some((slot, _)) = probe {
            self.give_up(slot);
        }
        probe.is_some()
    }
}

impl Offload for Table {
    fn begin(&mut self, slot: u32, flow: &Flow) -> Result<(), Obstacle> {
        let begun = self.try_begin(slot, flow);
        if let Err(obstacle) = begun {
            self.flows.slots[slot as usize].obstacle = obstacle;
        }
        begun
    }

    fn progress(&self, slot: u32) -> Option<Progress> {
        self.flows.entry(slot)?.peek()
    }

    fn obstacle(&self, slot: u32) -> Obstacle {
        self.flows.slots[slot as usize].obstacle
    }

    fn end(&mut self, slot: u32) -> Option<Progress> {
        let progress = self.flows.entry(slot).and_then(Entry::take_back);
        self.flows.unlink(slot);
        progress
    }

    fn forget(&mut self, slot: u32) {
        self.displace(slot);
    }

    fn has_another(&self, local: SocketAddr) -> bool {
        // Of ours, there is none at a port that is about to be opened.
        self.is_adopted && self.places.get(&PortKey::from(local)).is_some()
    }

    fn keep_house(&mut self) {
        if !self.orphans.is_empty() {
            self.end_silent_orphans();
        }
        if let Some(interfaces) = self.news.try_iter().last() {
            self.interfaces = interfaces;
            for slot in 0..self.flows.slots.len() as u32 {
                let lost = |(_, hop): (Way, Hop)| !self.interfaces.contains(&hop.interface);
                if self.flows.slots[slot as usize].way.is_some_and(lost) {
                    self.flows.give_up(slot);
                }
            }
        }
        let Self { hops, flows, .. } = self;
        hops.listen(|told| match told {
            Told::Hop(way, hop) => {
                flows.divert(way, hop);
                true
            }
            // The others go on meanwhile. Should the answer be another one, they end then.
            Told::Forget(way) => flows.probe(way),
        });
    }
}

#[cfg(test)]
mod tests {
    use core::net::Ipv4Addr;
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    const SLOTS: u32 = 16;

    fn flows() -> Flows {
        let memory = Arc::new(Mapping::new(SLOTS as usize * size_of::<Entry>()).expect("memory"));
        let empty = Slot { place: None, way: None, next: NONE, previous: NONE, obstacle: Obstacle::NotFollowed };
        // Two lists for four ways: some share one.
        Flows { memory, free: Vec::new(), slots: vec![empty; SLOTS as usize].into(), lists: vec![NONE; 2].into() }
    }

    fn way(number: u8) -> Way {
        Way { from: Ipv4Addr::new(10, 0, 0, 1).into(), to: Ipv4Addr::new(10, 0, 1, number).into() }
    }

    proptest! {
        #[test]
        fn the_flows_of_a_way_are_those_that_have_begun_and_not_ended(
            steps in prop::collection::vec((0..SLOTS, 0_u8..4), 0..200),
        ) {
            let mut flows = flows();
            let mut model = BTreeMap::new();
            for (slot, number) in steps {
                let hop = Hop { interface: slot, mtu: 1500, near: [0; 6], far: [number; 6] };
                if model.remove(&slot).is_some() {
                    flows.unlink(slot);
                } else {
                    model.insert(slot, number);
                    flows.link(slot, way(number), hop);
                }
                for number in 0..4 {
                    let mut of: Vec<u32> = flows.of(way(number)).map(|(slot, _)| slot).collect();
                    of.sort_unstable();
                    let expected: Vec<u32> =
                        model.iter().filter(|(_, taken)| **taken == number).map(|(&slot, _)| slot).collect();
                    prop_assert_eq!(of, expected);
                }
            }
        }
    }
}
