//! A worker's sockets on one interface: one for each of its queues. Whatever comes or goes is in frames of the interface's memory.

#![allow(unsafe_code, reason = "frames are borrowed by hand")]

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use arrayvec::ArrayVec;
use patchcord_relay::Datagram;
use patchcord_relay::time::MonoTime;

use super::ring::{Consumer, Descriptor, Producer};
use super::socket::Socket;
use super::umem::{FRAME_BYTES, Umem, frame_at};
use crate::backend::{BATCH, Batch};
use crate::counters::{Counters, Io};
use crate::network::datagram;
use crate::network::frame::Header;
use crate::steered::Outbound as Steered;

/// Frames that each worker keeps for what it sends and has not received: copies for further listeners, players, parties behind other interfaces.
pub(super) const RESERVE: usize = 512;

/// See the module's documentation.
pub(crate) struct Xsks {
    sockets: Box<[Xsk]>,
    pub(super) umem: Arc<Umem>,
    /// The one that packets are sent by: workers have different ones as far as there are enough.
    sends: usize,
    /// The one to hear first: they take turns.
    first: usize,
    /// Frames that this worker has and nothing is in.
    pub(super) idle: Vec<u32>,
    /// Frames of the present batch,
    pub(super) batch: Vec<u32>,
    /// and of all frames, whether they are that and have not been sent.
    is_in_batch: Box<[bool]>,
}

/// A socket on one queue.
pub(super) struct Xsk {
    pub(super) socket: Socket,
    pub(super) received: Consumer<Descriptor>,
    pub(super) sent: Producer<Descriptor>,
    /// Packets that it has dropped, as last seen.
    pub(super) dropped: u64,
}

impl Xsks {
    pub(super) fn new(umem: Arc<Umem>, sockets: Box<[Xsk]>, worker: usize) -> Self {
        let frames = umem.frames();
        Self {
            sends: worker % sockets.len(),
            sockets,
            first: 0,
            idle: Vec::with_capacity(frames),
            batch: Vec::with_capacity(BATCH),
            is_in_batch: vec![false; frames].into(),
            umem,
        }
    }

    pub(super) fn fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.sockets.iter().map(|xsk| xsk.socket.as_fd())
    }

    /// Moves what has arrived into `batch`, as far as there is room.
    ///
    /// # Safety
    /// What is in the batch must not live on to the next [`Xsks::release`].
    pub(super) unsafe fn receive(&mut self, steered: &mut Steered, batch: &mut Batch<'_>, now: MonoTime) {
        let Self { umem, sockets, first, batch: taken, is_in_batch, .. } = self;
        let mut arrived: ArrayVec<Descriptor, BATCH> = ArrayVec::new();
        let count = sockets.len();
        *first = (*first + 1) % count;
        for queue in (*first..count).chain(0..*first) {
            let room = batch.remaining_capacity() - arrived.len();
            sockets[queue].received.take(room, |descriptor| arrived.push(descriptor));
        }
        // Another CPU has written them. All of them are on their way here before the first one is looked at.
        for &Descriptor { at, .. } in &arrived {
            prefetch(umem, at as usize);
        }
        for &Descriptor { at, len, .. } in &arrived {
            let frame = frame_at(at);
            taken.push(frame);
            is_in_batch[frame as usize] = true;
            let start = umem.memory.at(frame as usize * FRAME_BYTES).as_ptr();
            // SAFETY: the kernel has given the frame to us, and nothing else refers to it until it is given back by `release`.
            let memory = unsafe { core::slice::from_raw_parts_mut(start, FRAME_BYTES) };
            match datagram_in(memory, at as usize % FRAME_BYTES, len as usize, steered, now) {
                Ok(datagram) => {
                    steered.counters.count(Io::Received);
                    steered.counters.count(Io::ReceivedAfXdp);
                    batch.push(datagram);
                }
                Err(why) => steered.counters.count(why),
            }
        }
    }

    /// Puts a packet into the ring of those to be sent; `false` if there is no room for it.
    pub(super) fn put(&mut self, header: &Header, payload: &[u8]) -> bool {
        let head_len = header.len();
        if head_len + payload.len() > FRAME_BYTES || self.sockets[self.sends].sent.room(1) == 0 {
            return false;
        }
        let start = self.umem.memory.at(0).as_ptr() as usize;
        let offset = (payload.as_ptr() as usize).wrapping_sub(start);
        // What came in one of our frames is sent in it, if there is still room for the headers in front of it.
        let own = (offset < self.umem.memory.len() && offset % FRAME_BYTES >= head_len)
            .then(|| core::mem::take(&mut self.is_in_batch[offset / FRAME_BYTES]));
        let at = if own == Some(true) {
            offset - head_len
        } else {
            let Some(frame) = self.idle.pop() else { return false };
            let at = frame as usize * FRAME_BYTES;
            let to = self.umem.memory.at(at + head_len).as_ptr();
            // SAFETY: the frame is idle, so that nothing else refers to it, and has room for both parts.
            unsafe { core::ptr::copy_nonoverlapping(payload.as_ptr(), to, payload.len()) };
            at
        };
        // SAFETY: the frame has room for the headers in front of the payload, and nothing refers to that part of it.
        let head = unsafe { core::slice::from_raw_parts_mut(self.umem.memory.at(at).as_ptr(), head_len) };
        header.write_to(payload, head);
        let len = (head_len + payload.len()) as u32;
        self.sockets[self.sends].sent.put(Descriptor { at: at as u64, len, options: 0 });
        true
    }

    /// Sends what was put.
    pub(super) fn flush(&mut self, counters: &mut Counters) {
        /// In no frame: skipped.
        const BLANK: Descriptor = Descriptor { at: u64::MAX, len: 0, options: 0 };
        let put = self.sockets[self.sends].sent.publish();
        if put == 0 {
            return;
        }
        if !self.umem.copies {
            let Xsk { socket, sent, .. } = &self.sockets[self.sends];
            if sent.needs_wakeup() {
                socket.send();
            }
            return counters.add(Io::SentAfXdp, put.into());
        }
        let mut lost = 0;
        // Packets that the kernel has taken and dropped without saying so in the ring: it does with the next that it sends.
        let mut dropped = 0;
        let mut waiting = self.sockets[self.sends].sent.waiting();
        while waiting > dropped {
            let Xsk { socket, sent, .. } = &mut self.sockets[self.sends];
            let errno = socket.send();
            let before = core::mem::replace(&mut waiting, sent.waiting());
            let went_on = waiting < before;
            if went_on {
                dropped = 0;
            }
            if errno == libc::EBUSY {
                // The device would not have this one; its frame comes back as if it had been sent.
                counters.send_failed(errno);
                lost += 1;
                dropped += u32::from(!went_on);
            } else if !went_on {
                // For want of places in the completion ring?
                let idle = self.idle.len();
                self.exchange_frames();
                if self.idle.len() > idle {
                    continue;
                }
                // They would be late when they are sent at last.
                let Self { sockets, sends, idle, .. } = self;
                sockets[*sends].sent.blank(dropped, BLANK, |unsent| {
                    if unsent != BLANK {
                        idle.push(frame_at(unsent.at));
                        lost += 1;
                        counters.send_failed(if errno == 0 { libc::EAGAIN } else { errno });
                    }
                });
                break;
            }
        }
        counters.add(Io::SentAfXdp, u64::from(put).saturating_sub(lost));
    }

    /// Gives back the frames of the last batch, but for those that are being sent.
    pub(super) fn release(&mut self) {
        let Self { batch, is_in_batch, idle, .. } = self;
        for frame in batch.drain(..) {
            if core::mem::take(&mut is_in_batch[frame as usize]) {
                idle.push(frame);
            }
        }
        self.exchange_frames();
    }

    /// Takes back frames that were sent, and gives the kernel others to receive into.
    pub(super) fn exchange_frames(&mut self) {
        let Self { umem, sockets, idle, first, .. } = self;
        let at = |frame: u32| u64::from(frame) * FRAME_BYTES as u64;
        for index in (*first..umem.queues.len()).chain(0..*first) {
            let Some(mut rings) = umem.queues[index].take() else { continue };
            rings.completion.take(usize::MAX, |at| idle.push(frame_at(at)));
            while idle.len() < RESERVE
                && let Some(frame) = umem.spare.pop()
            {
                idle.push(frame);
            }
            let more = idle.len().saturating_sub(RESERVE) as u32;
            for _ in 0..rings.fill.room(more) {
                let Some(frame) = idle.pop() else { break };
                rings.fill.put(at(frame));
            }
            if rings.fill.publish() > 0 && rings.fill.needs_wakeup() {
                sockets[index].socket.receive();
            }
        }
        // There may be more than there is room for: what one worker sends comes back to another, or that one has the rings just now.
        while idle.len() > RESERVE
            && let Some(frame) = idle.pop()
        {
            let _ = umem.spare.push(frame);
        }
    }

    /// Packets that the sockets have dropped since the last call.
    pub(super) fn take_dropped(&mut self) -> u64 {
        let each = self.sockets.iter_mut().map(|xsk| {
            let dropped = xsk.socket.dropped();
            dropped - core::mem::replace(&mut xsk.dropped, dropped)
        });
        each.sum()
    }
}

/// Has the processor fetch the time in front of a packet, its headers, and what is in it as far as it is audio.
fn prefetch(umem: &Umem, at: usize) {
    const LINE: usize = 64;
    for line in 0..5 {
        let at = umem.memory.at(at - LINE + line * LINE).as_ptr();
        #[cfg(target_arch = "x86_64")]
        // SAFETY: it reads nothing that a program could see.
        unsafe {
            core::arch::x86_64::_mm_prefetch::<{ core::arch::x86_64::_MM_HINT_T0 }>(at.cast());
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = at;
    }
}

/// The datagram that a frame has from `at` on, in `len` bytes; or what it is to be counted as. In front of it is the time.
fn datagram_in<'a>(
    memory: &'a mut [u8],
    at: usize,
    len: usize,
    steered: &Steered,
    now: MonoTime,
) -> Result<Datagram<'a>, Io> {
    let frame = memory.get(at..at + len).ok_or(Io::ReceiveMalformed)?;
    let headers = datagram::read(frame).ok_or(Io::ReceiveMalformed)?;
    let time = at.checked_sub(8).and_then(|before| memory[before..].first_chunk()).copied();
    let arrived = MonoTime::from_nanos(time.map_or(0, u64::from_ne_bytes)).min(now);
    // What came before the port was opened was meant for whoever had it before.
    let port = steered.port_at(headers.to, arrived).ok_or(Io::ReceivedAfterClose)?;
    let payload = headers.payload;
    Ok(Datagram::new(port, headers.from, arrived, &mut memory[at + payload.start..], payload.len()))
}
