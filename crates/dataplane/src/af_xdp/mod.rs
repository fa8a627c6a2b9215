//! The AF_XDP backend: packets come to the worker's memory before the kernel's network stack has seen them, and leave from there.
//!
//! ```text
//!   packets of any port                                            packets from any port
//!        |                                                               ^
//!   BPF `fast`: whose port is it? -- no socket here --> the stack        |
//!        |                                               |               |
//!   AF_XDP socket of the queue                     `steer`, socket       |
//!        |                                               |               |
//!        +--- received ring ---> engine <--- recvmmsg ---+               |
//!                                  |                                     |
//!                                  +--- headers in front, sent ring -----+
//! ```
//!
//! It is the steered backend with a shorter way: whatever cannot come or go by AF_XDP (fragments, tunnels, VLANs, the loopback,
//! interfaces without sockets, queues beyond their limit) takes the way that it takes there. So nothing depends on all interfaces being able to do
//! it, nor on their staying there.
//!
//! Each interface has its memory ([`umem`]), and each worker a socket on each of its queues ([`xsks`]): whichever queue a packet comes
//! by, `fast` gives it to the worker whose port it is. What is sent by the interface that it came by is sent in the frame that it came in.
//!
//! It takes what the steered backend takes, and the interface's XDP program must be ours.

#![allow(unsafe_code, reason = "batches borrow their frames by hand")]

mod opener;
mod ring;
mod send;
mod socket;
#[cfg(test)]
mod tests;
mod umem;
mod xsks;

use core::net::SocketAddr;
use core::time::Duration;
use std::io;
use std::net::UdpSocket;
use std::os::fd::AsRawFd;
use std::sync::Arc;

use crossbeam::channel::Receiver;
use patchcord_relay::ids::PortId;
use patchcord_relay::time::MonoTime;

use crate::backend::{BATCH, Backend, Batch, Unavailable};
use crate::clock::Arrival;
use crate::counters::Io;
use crate::socket::SocketOptions;
use crate::steered::{Addresses, Doors, Flooded, Inbound, Opening, Steered};
use crate::wake::Wake;
#[cfg(test)]
pub(crate) use opener::QueueKey;
pub(crate) use opener::{Opener, SocketNews, try_socket};
use send::Outbound;
#[cfg(test)]
pub(crate) use socket::Socket;
use xsks::Xsks;

/// While much comes by AF_XDP, one turn in this many looks at the other sockets too.
const TURNS: u32 = 4;

/// See the module's documentation.
pub(crate) struct AfXdp {
    inbound: Inbound,
    outbound: Outbound,
    addresses: Addresses,
    flooded: Flooded,
    wake: Arc<Wake>,
    news: Receiver<SocketNews>,
    /// What is waited for: the wake-up, the two other sockets, those of AF_XDP. No epoll: the kernel would call it for each packet that was
    /// sent.
    waits: Vec<libc::pollfd>,
    turn: u32,
    /// The last turn has taken as much as there is room for in one.
    was_full: bool,
}

impl AfXdp {
    /// A backend for port indices below `ports`, woken by `wake`, that is told of its sockets.
    pub(crate) fn new(
        ports: usize,
        doors: Doors,
        news: Receiver<SocketNews>,
        wake: Arc<Wake>,
    ) -> Result<Self, Unavailable> {
        let steered = Steered::new(ports, doors, wake)?;
        let Steered { inbound, outbound, addresses, flooded, wake } = steered;
        let outbound = Outbound { steered: outbound, xsks: Vec::new() };
        Ok(Self { inbound, outbound, addresses, flooded, wake, news, waits: Vec::new(), turn: 0, was_full: false })
    }

    /// Takes news of interfaces.
    fn listen(&mut self) {
        while let Ok(news) = self.news.try_recv() {
            let interface = match &news {
                SocketNews::Open(xsks) => xsks.umem.interface,
                SocketNews::Gone(interface) => *interface,
            };
            self.outbound.xsks.retain(|xsks| xsks.umem.interface != interface);
            if let SocketNews::Open(xsks) = news {
                self.outbound.xsks.push(*xsks);
            }
        }
    }
}

impl Backend for AfXdp {
    type Sender = Outbound;
    type Opening = Opening;

    const NAME: &'static str = "af-xdp";
    const QUEUE_BYTES_MIN: usize = Steered::QUEUE_BYTES_MIN;

    fn bind(&mut self, addr: SocketAddr, options: &SocketOptions) -> io::Result<Opening> {
        self.addresses.open(addr, options)
    }

    fn open(&mut self, port: PortId, opening: Opening) {
        self.outbound.steered.close(port);
        self.outbound.steered.open(port, opening);
    }

    fn close(&mut self, ports: &[PortId]) {
        ports.iter().for_each(|&port| self.outbound.steered.close(port));
    }

    fn receive<'a>(&'a mut self, batch: &mut Batch<'a>, arrival: Arrival, now: MonoTime) -> &'a mut Outbound {
        self.listen();
        let Self { inbound, outbound, turn, was_full, .. } = self;
        outbound.steered.listen();
        *turn = turn.wrapping_add(1);
        // What waits there is older, if it is of the same source at all: it came before there was a shorter way.
        if !*was_full || *turn % TURNS == 0 {
            inbound.fill(&mut outbound.steered, batch, arrival, now);
        }
        let before = batch.len();
        for xsks in &mut outbound.xsks {
            // SAFETY: the batch borrows `self`, so that `release` cannot be called while it lives.
            unsafe { xsks.receive(&mut outbound.steered, batch, now) };
        }
        *was_full = batch.len() - before > BATCH / 2;
        // Interfaces take turns.
        if outbound.xsks.len() > 1 {
            outbound.xsks.rotate_left(1);
        }
        outbound
    }

    fn release(&mut self) {
        self.inbound.release();
        self.outbound.xsks.iter_mut().for_each(Xsks::release);
    }

    fn sender(&mut self) -> &mut Outbound {
        &mut self.outbound
    }

    fn sockets(&self) -> impl Iterator<Item = &UdpSocket> {
        self.outbound.steered.sockets.iter().flatten()
    }

    fn queue_bytes(per_port: usize) -> usize {
        Steered::queue_bytes(per_port)
    }

    fn housekeep(&mut self) {
        let Self { inbound, outbound, flooded, .. } = self;
        inbound.look_for_drops(&mut outbound.steered);
        let dropped = outbound.xsks.iter_mut().map(Xsks::take_dropped).sum();
        outbound.steered.counters.add(Io::KernelDropped, dropped);
        outbound.steered.counters.add(Io::FloodDropped, flooded.take());
    }

    fn wait(&mut self, timeout: Option<Duration>) {
        // Who has sent them before it was known that we sleep has woken nobody.
        if !self.news.is_empty() {
            return;
        }
        let Self { waits, outbound, wake, .. } = self;
        waits.clear();
        waits.push(Wake::watched(-1));
        waits.extend(outbound.steered.listening_fds().into_iter().flatten().map(Wake::watched));
        waits.extend(outbound.xsks.iter().flat_map(Xsks::fds).map(|fd| Wake::watched(fd.as_raw_fd())));
        wake.wait_among(waits, timeout);
    }
}
