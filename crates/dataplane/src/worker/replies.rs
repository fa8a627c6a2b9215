//! The way back to whoever asked.

use std::sync::Arc;

use crossbeam::channel::{Sender, TrySendError};
use patchcord_relay::event::Event;
use patchcord_relay::exchange::{Overheard, Reply};
use patchcord_relay::time::MonoTime;
use patchcord_relay::{Handshake, Heard};

use crate::counters::{Counters, Io};

/// Replies that may wait when another copy of a packet is queued. Who takes them has fallen behind far enough then.
const COPIES_MAX: usize = 1 << 14;

/// Wakes whoever takes the replies.
pub(crate) type Told = Arc<dyn Fn() + Send + Sync>;

/// One worker's replies and events.
pub(crate) struct Replies {
    worker: usize,
    sender: Sender<(usize, Reply)>,
    told: Told,
    /// Something was queued that nobody has been told of.
    untold: bool,
}

impl Replies {
    pub(crate) fn new(worker: usize, sender: Sender<(usize, Reply)>, told: Told) -> Self {
        Self { worker, sender, told, untold: false }
    }

    /// Whether whoever takes the replies keeps up well enough to be sent copies of packets too.
    pub(super) fn has_room_for_copies(&self) -> bool {
        self.sender.len() < COPIES_MAX
    }

    /// A packet for a recorder.
    pub(super) fn overheard(&mut self, heard: &Heard<'_>, counters: &mut Counters) {
        if !self.has_room_for_copies() {
            return counters.count(Io::RecordingLost);
        }
        let Heard { leg, at, bytes, .. } = *heard;
        self.send(Reply::Overheard(Box::new(Overheard { leg, at, rtp: bytes.into() })), counters);
    }

    /// Nobody listens any more: the calls go on. A queue that is full, if it has a limit, does not stop the packets.
    pub(super) fn send(&mut self, reply: Reply, counters: &mut Counters) {
        self.untold = true;
        if let Err(TrySendError::Full(_)) = self.sender.try_send((self.worker, reply)) {
            counters.count(Io::RepliesLost);
        }
    }

    pub(super) fn events(&mut self, at: MonoTime, events: impl Iterator<Item = Event>, counters: &mut Counters) {
        for event in events {
            self.send(Reply::Event { at, event }, counters);
        }
    }

    /// Datagrams for whoever does the handshakes.
    pub(super) fn handshakes<'a>(&mut self, handshakes: impl Iterator<Item = Handshake<'a>>, counters: &mut Counters) {
        for Handshake { leg, association, from, bytes } in handshakes {
            self.send(Reply::Handshake { leg, association, from, datagram: bytes.into() }, counters);
        }
    }

    /// Says that something is in the queue, once for all of it: each wake-up of another thread costs as much as the rest of a
    /// reply.
    pub(super) fn tell(&mut self) {
        if core::mem::take(&mut self.untold) {
            (self.told)();
        }
    }
}
