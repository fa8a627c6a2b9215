//! The hops that a worker knows, and how it comes to know more of them.

use std::collections::HashMap;
use std::sync::Arc;

use crossbeam::channel::{Receiver, Sender};
use crossbeam::queue::ArrayQueue;

use super::{Hop, Way};
use crate::wake::Wake;

/// Questions that may wait. Who finds no room asks again with the next packet.
pub(super) const ASKS_MAX: usize = 4096;

/// A worker asks for the hop of a way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ask {
    pub(super) worker: usize,
    pub(super) way: Way,
}

/// What a worker is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// The hop of a way; `None`: leave it to the UDP socket.
    Hop(Way, Option<Hop>),
    /// Ask again if you still need it.
    Forget(Way),
}

/// A worker's side of the resolver.
pub(crate) struct Hops {
    worker: usize,
    /// Ways that were asked for. `None`: no hop, or no answer yet.
    known: HashMap<Way, Option<Hop>>,
    ways_max: usize,
    asks: Arc<ArrayQueue<Ask>>,
    wake: Arc<Wake>,
    told: Receiver<Told>,
    /// Changes with everything that was told, so that what was derived from a hop can be known to be out of date.
    version: u64,
}

impl Hops {
    pub(super) fn new(
        worker: usize,
        ways_max: usize,
        asks: Arc<ArrayQueue<Ask>>,
        wake: Arc<Wake>,
        told: Receiver<Told>,
    ) -> Self {
        Self { worker, known: HashMap::with_capacity(ways_max), ways_max, asks, wake, told, version: 0 }
    }

    /// Takes what was told since the last call; costs next to nothing if that is nothing. `each` gets it, and says of a way whose answer is
    /// old whether it is still needed: then it is asked for again at once.
    pub(crate) fn listen(&mut self, mut each: impl FnMut(Told) -> bool) {
        while let Ok(told) = self.told.try_recv() {
            self.version += 1;
            let is_needed = each(told);
            match told {
                Told::Hop(way, hop) => {
                    self.known.insert(way, hop);
                }
                Told::Forget(way) => {
                    self.known.remove(&way);
                    if is_needed {
                        self.get(way);
                    }
                }
            }
        }
    }

    pub(crate) const fn version(&self) -> u64 {
        self.version
    }

    /// The hop of a way. If it was never asked for, it is now, and the answer comes with a later [`Hops::listen`].
    pub(crate) fn get(&mut self, way: Way) -> Option<Hop> {
        if let Some(&hop) = self.known.get(&way) {
            return hop;
        }
        // More than there are ports for are ways of parties that are long gone, and are about to be forgotten.
        if self.known.len() < self.ways_max && self.asks.push(Ask { worker: self.worker, way }).is_ok() {
            self.known.insert(way, None);
            self.wake.wake();
        }
        None
    }
}

/// The resolver's side of a worker.
pub(super) type Tell = Sender<Told>;
