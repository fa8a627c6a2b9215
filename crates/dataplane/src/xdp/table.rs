//! A worker's flows, in the memory that it shares with the program.

#![allow(unsafe_code, reason = "entries are found by their address")]

use core::fmt;
use std::sync::Arc;

use crossbeam::channel::Receiver;
use patchcord_relay::flow::{Flow, Obstacle, Offload, Progress};

use super::layout::Entry;
use crate::bpf::Map;
use crate::mapping::Mapping;
use crate::network::frame::Header;
use crate::network::hops::{Hops, Told};
use crate::network::{Hop, Way};
use crate::port::PortKey;

/// No slot.
const NONE: u32 = u32::MAX;

/// The [`Offload`] of one worker.
pub(crate) struct Table {
    flows: Flows,
    places: Map<PortKey, u32>,
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
    /// Index of this worker's first entry.
    first: u32,
    slots: Box<[Slot]>,
    /// The first slot of each list of those whose flows' ways have the same hash.
    lists: Box<[u32]>,
}

/// What is known of a leg that sends.
#[derive(Clone, Copy)]
struct Slot {
    /// Where its port is in the map.
    place: Option<PortKey>,
    /// The way of its flow, while there is one.
    way: Option<(Way, Hop)>,
    /// The neighbours in the same list.
    next: u32,
    previous: u32,
    obstacle: Obstacle,
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table").field("first", &self.flows.first).finish_non_exhaustive()
    }
}

/// What a table is made of.
pub(super) struct Parts {
    pub(super) memory: Arc<Mapping>,
    pub(super) first: u32,
    pub(super) len: u32,
    pub(super) places: Map<PortKey, u32>,
    pub(super) hops: Hops,
    pub(super) interfaces: Vec<u32>,
    pub(super) news: Receiver<Vec<u32>>,
    pub(super) dscp: u8,
    pub(super) ttl: u8,
}

impl Table {
    pub(super) fn new(parts: Parts) -> Self {
        let Parts { memory, first, len, places, hops, interfaces, news, dscp, ttl } = parts;
        let empty = Slot { place: None, way: None, next: NONE, previous: NONE, obstacle: Obstacle::NotFollowed };
        let lists = (len as usize).next_power_of_two();
        let (slots, lists) = (vec![empty; len as usize].into(), vec![NONE; lists].into());
        Self { flows: Flows { memory, first, slots, lists }, places, hops, interfaces, news, dscp, ttl }
    }

    fn try_begin(&mut self, slot: u32, flow: &Flow) -> Result<(), Obstacle> {
        let way = Way { from: flow.sink_local.ip(), to: flow.to.ip() };
        let hop = self.hops.get(way).ok_or(Obstacle::NoHop)?;
        if !self.interfaces.contains(&hop.interface) {
            return Err(Obstacle::NoProgram);
        }
        let dscp = flow.dscp.unwrap_or(self.dscp);
        let header = Header::new(&hop, flow.sink_local, flow.to, dscp, self.ttl).ok_or(Obstacle::Families)?;
        self.place(slot, PortKey::from(flow.local))?;
        self.flows.entry(slot).arm(flow, hop.interface, &header);
        self.flows.link(slot, way, hop);
        Ok(())
    }

    /// Puts a port where the program finds it. A port stays there as long as its leg does.
    fn place(&mut self, slot: u32, key: PortKey) -> Result<(), Obstacle> {
        if self.flows.slots[slot as usize].place != Some(key) {
            self.displace(slot);
            let index = self.flows.first + slot;
            self.places.insert(&key, &index, Map::<PortKey, u32>::ANY).map_err(|_| Obstacle::Full)?;
            self.flows.slots[slot as usize].place = Some(key);
        }
        Ok(())
    }

    fn displace(&mut self, slot: u32) {
        if let Some(key) = self.flows.slots[slot as usize].place.take() {
            // That it is not there cannot be; and then there is nothing to be done.
            let _ = self.places.remove(&key);
        }
    }
}

impl Flows {
    fn entry(&self, slot: u32) -> &Entry {
        let at = self.memory.at((self.first + slot) as usize * size_of::<Entry>());
        // SAFETY: the map has an entry for each slot of each worker, and its memory, which is of whole pages, lives as long as `self`.
        // All bits are valid, and what others may write lies in atomics and cells.
        unsafe { at.cast().as_ref() }
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
            self.entry(slot).give_up();
        }
    }

    /// One flow of a way ends, and begins again with the next packet: that one goes by the kernel, which sees then whether the neighbour is
    /// still there. It has not seen those that were forwarded. Whether there is a flow at all.
    fn probe(&self, way: Way) -> bool {
        let probe = self.of(way).next();
        if let Some((slot, _)) = probe {
            self.entry(slot).give_up();
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
        self.flows.entry(slot).peek()
    }

    fn obstacle(&self, slot: u32) -> Obstacle {
        self.flows.slots[slot as usize].obstacle
    }

    fn end(&mut self, slot: u32) -> Option<Progress> {
        let progress = self.flows.entry(slot).take_back();
        self.flows.unlink(slot);
        progress
    }

    fn forget(&mut self, slot: u32) {
        self.displace(slot);
    }

    fn keep_house(&mut self) {
        if let Some(interfaces) = self.news.try_iter().last() {
            self.interfaces = interfaces;
            for slot in 0..self.flows.slots.len() as u32 {
                let lost = |(_, hop): (Way, Hop)| !self.interfaces.contains(&hop.interface);
                if self.flows.slots[slot as usize].way.is_some_and(lost) {
                    self.flows.entry(slot).give_up();
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
        Flows { memory, first: 0, slots: vec![empty; SLOTS as usize].into(), lists: vec![NONE; 2].into() }
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
