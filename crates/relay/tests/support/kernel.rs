//! An offload as a kernel has it: it sees packets before the shard does, and forwards those of its flows by the rules of
//! [`Flow::step`].

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use patchcord_relay::flow::{Flow, Obstacle, Offload, Progress, Step};
use patchcord_relay::ids::{Component, PortId};
use patchcord_relay::time::MonoTime;
use patchcord_relay::verdict::DropReason;
use patchcord_relay::{Hop, Verdict};
use patchcord_rtp::RtpHeader;

/// The flows, by the slots of the legs that send. Copies are the same kernel.
#[derive(Clone, Debug, Default)]
pub(crate) struct Kernel(Arc<Mutex<Flows>>);

#[derive(Debug, Default)]
struct Flows {
    flows: BTreeMap<u32, (State, Flow)>,
    /// Number of the last packet that the shard was given of each.
    passed: BTreeMap<u32, u16>,
    forwarded: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Armed,
    Active,
    /// It has come to a packet that is for the shard.
    Ended,
}

impl Kernel {
    fn lock(&self) -> MutexGuard<'_, Flows> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Packets that the shard has never seen.
    pub(crate) fn forwarded(&self) -> u64 {
        self.lock().forwarded
    }

    /// What becomes of a packet before the shard sees it; `None`: it goes there.
    pub(crate) fn see(&self, port: PortId, from: SocketAddr, datagram: &mut [u8], now: MonoTime) -> Option<Verdict> {
        if port.component() != Component::Rtp {
            return None;
        }
        let mut flows = self.lock();
        let number = RtpHeader::read(datagram).ok().map(|header| header.sequence.0);
        let passed = flows.passed.get(&port.slot()).copied();
        let step = match flows.flows.get_mut(&port.slot()) {
            Some((state, flow)) => {
                let handled = flow.progress.reception.extended_highest as u16;
                if *state == State::Armed && passed == Some(handled) {
                    *state = State::Active;
                }
                if *state == State::Active { flow.step(from, datagram, now) } else { Step::Descend }
            }
            None => Step::Descend,
        };
        match (step, flows.flows.get_mut(&port.slot())) {
            (Step::Forward, Some((_, flow))) => {
                let hop = Hop { port: PortId::new(flow.sink, Component::Rtp), to: flow.to };
                flows.forwarded += 1;
                Some(Verdict::Forwarded(hop))
            }
            (Step::Duplicate, _) => Some(Verdict::Dropped(DropReason::Duplicate)),
            (Step::NotOurs, _) => None,
            (Step::Descend | Step::Forward, flow) => {
                if let Some((state, _)) = flow.filter(|(state, _)| *state == State::Active) {
                    *state = State::Ended;
                }
                if let Some(number) = number {
                    flows.passed.insert(port.slot(), number);
                }
                None
            }
        }
    }
}

impl Offload for Kernel {
    fn begin(&mut self, slot: u32, flow: &Flow) -> Result<(), Obstacle> {
        let before = self.lock().flows.insert(slot, (State::Armed, flow.clone()));
        assert_eq!(before, None, "the flow of {slot} was never ended");
        Ok(())
    }

    fn progress(&self, slot: u32) -> Option<Progress> {
        let flows = self.lock();
        let (state, flow) = flows.flows.get(&slot).expect("a flow that was begun");
        (*state != State::Armed).then_some(flow.progress)
    }

    fn obstacle(&self, _: u32) -> Obstacle {
        Obstacle::NotFollowed
    }

    fn end(&mut self, slot: u32) -> Option<Progress> {
        let (state, flow) = self.lock().flows.remove(&slot).expect("a flow that was begun");
        (state != State::Armed).then_some(flow.progress)
    }

    fn forget(&mut self, slot: u32) {
        let mut flows = self.lock();
        assert!(!flows.flows.contains_key(&slot), "the flow of {slot} was never ended");
        flows.passed.remove(&slot);
    }

    fn has_another(&self, _: SocketAddr) -> bool {
        false
    }

    fn keep_house(&mut self) {}
}
