//! Receiving: recvmmsg from one socket for all ports of an address family.

#![allow(unsafe_code, reason = "slots are borrowed by hand")]

use std::io;
use std::os::fd::AsRawFd;

use patchcord_relay::Datagram;
use patchcord_relay::time::MonoTime;

use super::send::Outbound;
use crate::backend::Batch;
use crate::clock::Arrival;
use crate::counters::{Counters, Io};
use crate::mmsg::Slots;
use crate::socket;

/// The receiving half.
pub(crate) struct Inbound {
    slots: Slots,
    /// `SO_RXQ_OVFL` of each socket as last seen.
    dropped: [u32; 2],
    /// The socket to ask first: they take turns, so that a batch that one fills keeps the other waiting for one batch only.
    first: usize,
}

impl Inbound {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self { slots: Slots::new()?, dropped: [0; 2], first: 0 })
    }

    /// Moves what has arrived into `batch`, which is empty.
    pub(crate) fn fill<'a>(
        &'a mut self,
        outbound: &mut Outbound,
        batch: &mut Batch<'a>,
        arrival: Arrival,
        now: MonoTime,
    ) {
        let first = self.first;
        self.first = 1 - first;
        for family in [first, 1 - first] {
            if self.slots.room() == 0 {
                break;
            }
            let Some(socket) = outbound.listening(family).map(AsRawFd::as_raw_fd) else { continue };
            let room = self.slots.room();
            for slot in self.slots.receive(socket, room, &mut outbound.counters) {
                // SAFETY: the slot was filled just now and is read here only; it is not filled again before `release`, which
                // cannot be called while the batch borrows `self`.
                let received = unsafe { self.slots.get(slot) };
                if let Some(dropped) = received.ancillary.dropped {
                    count_drops(&mut self.dropped[family], dropped, &mut outbound.counters);
                }
                let (Some(from), Some(local)) = (received.from, received.ancillary.local) else {
                    outbound.counters.count(Io::ReceiveMalformed);
                    continue;
                };
                let arrived = arrival.at(received.ancillary.wall_nanos, now);
                // What came before the port was opened was meant for whoever had it before.
                let Some(port) = outbound.port_at(local, arrived) else {
                    outbound.counters.count(Io::ReceivedAfterClose);
                    continue;
                };
                outbound.counters.count(Io::Received);
                let mut datagram = Datagram::new(port, from, arrived, received.bytes, received.len);
                datagram.truncated = received.truncated;
                batch.push(datagram);
            }
        }
    }

    /// Counts what the sockets have dropped although nothing has come from them since.
    pub(crate) fn look_for_drops(&mut self, outbound: &mut Outbound) {
        for (socket, seen) in outbound.sockets.iter().zip(&mut self.dropped) {
            if let Some(dropped) = socket.as_ref().and_then(socket::dropped) {
                count_drops(seen, dropped, &mut outbound.counters);
            }
        }
    }

    /// Makes the slots of the last batch ready for the next.
    pub(crate) fn release(&mut self) {
        self.slots.release();
    }
}

fn count_drops(seen: &mut u32, dropped: u32, counters: &mut Counters) {
    let more = dropped.wrapping_sub(*seen);
    // A datagram tells the count of when it was queued, and the socket has been asked since then: that one is the later.
    if more <= u32::MAX / 2 {
        counters.add(Io::KernelDropped, more.into());
        *seen = dropped;
    }
}

#[cfg(test)]
mod tests {
    use super::count_drops;
    use crate::counters::{Counters, Io};

    #[test]
    fn an_older_count_is_no_news_and_the_counter_may_wrap() {
        let (mut seen, mut counters) = (0, Counters::default());
        for (dropped, total) in [(5, 5), (3, 5), (8, 8)] {
            count_drops(&mut seen, dropped, &mut counters);
            assert_eq!(counters.get(Io::KernelDropped), total);
        }
        seen = u32::MAX - 1;
        count_drops(&mut seen, 3, &mut counters);
        assert_eq!((counters.get(Io::KernelDropped), seen), (13, 3));
    }
}
