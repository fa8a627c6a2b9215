//! Receiving: one multishot receive a socket, all into one ring of buffers.

#![allow(unsafe_code, reason = "received buffers are memory that the kernel filled")]

use std::collections::VecDeque;

use arrayvec::ArrayVec;
use io_uring::cqueue;
use patchcord_relay::Datagram;
use patchcord_relay::ids::PortId;
use patchcord_relay::time::MonoTime;

use super::buffers::Buffers;
use super::send::Outbound;
use super::token::{Generation, Token};
use crate::address::{self, SOCKADDR_BYTES};
use crate::ancillary::{self, ANCILLARY_BYTES};
use crate::backend::{BATCH, Batch};
use crate::clock::Arrival;
use crate::counters::{Counters, Io};

/// ```text
/// 0         16               44                100
/// | header  | sender's addr  | control data    | datagram ...
/// ```
/// Header (`struct io_uring_recvmsg_out`): lengths of address, control data and datagram, and flags, 32 bits each.
const NAME_AT: usize = 16;
const CONTROL_AT: usize = NAME_AT + SOCKADDR_BYTES;
const PAYLOAD_AT: usize = CONTROL_AT + ANCILLARY_BYTES;

/// What the kernel takes from one socket before it turns to the next (`MULTISHOT_MAX_RETRY`).
const DATAGRAMS_AT_ONCE: usize = 32;

/// A datagram in a buffer that the worker has not looked at yet.
#[derive(Clone, Copy, Debug)]
struct Arrived {
    port: PortId,
    generation: Generation,
    buffer: u16,
}

/// The receiving half.
pub(super) struct Inbound {
    pub(super) buffers: Buffers,
    /// Completions come faster than batches are worked off; never more than there are buffers.
    inbox: VecDeque<Arrived>,
    /// Buffers that the present batch lies in.
    lent: ArrayVec<u16, BATCH>,
    /// Ports whose multishot has ended, those that have waited longest first.
    rearm: VecDeque<PortId>,
    /// Likewise, but with an error that may well come again at once.
    rearm_later: Vec<PortId>,
    /// The poll of the eventfd has ended.
    pub(super) wake_ended: bool,
}

impl Inbound {
    pub(super) fn new(buffers: Buffers, count: u16, ports: usize) -> Self {
        Self {
            buffers,
            inbox: VecDeque::with_capacity(count.into()),
            lent: ArrayVec::new(),
            rearm: VecDeque::with_capacity(ports),
            rearm_later: Vec::with_capacity(ports),
            wake_ended: true,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.inbox.is_empty()
    }

    /// Enough for a batch is there.
    pub(super) fn is_full(&self) -> bool {
        self.inbox.len() >= BATCH
    }

    /// How many receives may be started anew at present. A receive begins with what is in the socket's queue: more of them
    /// than there are buffers for would end at once, and all of this for nothing.
    pub(super) fn rearm_max(&self) -> usize {
        let free = self.buffers.count().saturating_sub(self.inbox.len());
        (free / DATAGRAMS_AT_ONCE).max(1)
    }

    /// The next port whose receive has to be started anew.
    pub(super) fn take_rearm(&mut self) -> Option<PortId> {
        self.rearm.pop_front()
    }

    /// Some receives have to be started anew.
    pub(super) fn has_ended(&self) -> bool {
        !self.rearm.is_empty()
    }

    /// Some receives have to be started anew, but not at once.
    pub(super) fn has_failed(&self) -> bool {
        !self.rearm_later.is_empty()
    }

    /// Gives ports that failed another chance.
    pub(super) fn retry_failed(&mut self) {
        self.rearm.extend(self.rearm_later.drain(..));
    }

    /// Sorts what has completed.
    pub(super) fn reap(&mut self, outbound: &mut Outbound) {
        let Outbound { ring, ports, counters, .. } = outbound;
        for completion in ring.completions() {
            let result = completion.result();
            match Token::unpack(completion.user_data()) {
                Token::Receive { port, generation } => {
                    let state = &mut ports[port.index()];
                    let current = state.generation == generation && state.socket.is_some();
                    state.heard |= result != -libc::ECANCELED;
                    if let Some(buffer) = cqueue::buffer_select(completion.flags()) {
                        if current && result >= 0 {
                            self.inbox.push_back(Arrived { port, generation, buffer });
                        } else {
                            counters.count(Io::ReceivedAfterClose);
                            self.buffers.give_back(buffer);
                        }
                    }
                    if current && !cqueue::more(completion.flags()) {
                        state.armed = false;
                        self.ended(port, result, counters);
                    }
                }
                Token::Send => counters.send_failed(-result),
                Token::Wake => self.wake_ended |= !cqueue::more(completion.flags()),
                Token::Cancel => {}
            }
        }
    }

    fn ended(&mut self, port: PortId, result: i32, counters: &mut Counters) {
        if result < 0 && result != -libc::ECANCELED {
            counters.receive_failed(-result);
        }
        match -result {
            // An error that belongs to one datagram, and the end of the buffers, pass by; so does a datagram without
            // content, which ends a multishot too.
            libc::ENOBUFS | libc::ECONNREFUSED | ..=0 => self.rearm.push_back(port),
            // Anything else might end the next one at once: not before the next housekeeping.
            _ => self.rearm_later.push(port),
        }
    }

    /// Moves what has arrived into `batch`.
    pub(super) fn fill<'a>(
        &'a mut self,
        outbound: &mut Outbound,
        batch: &mut Batch<'a>,
        arrival: Arrival,
        now: MonoTime,
    ) {
        let Outbound { ports, counters, .. } = outbound;
        while !batch.is_full() {
            let Some(Arrived { port, generation, buffer }) = self.inbox.pop_front() else { break };
            let state = &mut ports[port.index()];
            if state.generation != generation {
                counters.count(Io::ReceivedAfterClose);
                self.buffers.give_back(buffer);
                continue;
            }
            // SAFETY: the buffer's number came from a completion and left the inbox just now; it is given back
            // either below, when the reference is gone, or by `release`, which cannot be called while the batch borrows
            // `self`.
            let bytes = unsafe { self.buffers.get(buffer) };
            let Some((datagram, dropped)) = read(port, bytes, arrival, now) else {
                counters.count(Io::ReceiveMalformed);
                self.buffers.give_back(buffer);
                continue;
            };
            if let Some(dropped) = dropped {
                counters.add(Io::KernelDropped, dropped.wrapping_sub(state.dropped).into());
                state.dropped = dropped;
            }
            counters.count(Io::Received);
            batch.push(datagram);
            self.lent.push(buffer);
        }
    }

    /// Gives the buffers of the last batch back to the kernel.
    pub(super) fn release(&mut self) {
        for buffer in self.lent.drain(..) {
            self.buffers.give_back(buffer);
        }
        self.buffers.publish();
    }
}

/// A datagram and the socket's drop count, from a buffer that the kernel filled.
fn read(port: PortId, bytes: &mut [u8], arrival: Arrival, now: MonoTime) -> Option<(Datagram<'_>, Option<u32>)> {
    let (head, payload) = bytes.split_at_mut_checked(PAYLOAD_AT)?;
    let word = |index: usize| Some(u32::from_ne_bytes(*head.get(index * 4..)?.first_chunk()?));
    let (name_len, control_len, payload_len) = (word(0)? as usize, word(1)? as usize, word(2)? as usize);
    let truncated = word(3)? & libc::MSG_TRUNC as u32 != 0;
    let from = address::read(&head[NAME_AT..NAME_AT + name_len.min(SOCKADDR_BYTES)])?;
    let ancillary = ancillary::read(&head[CONTROL_AT..CONTROL_AT + control_len.min(ANCILLARY_BYTES)]);
    let arrived = arrival.at(ancillary.wall_nanos, now);
    let mut datagram = Datagram::new(port, from, arrived, payload, payload_len);
    datagram.truncated = truncated;
    Some((datagram, ancillary.dropped))
}
