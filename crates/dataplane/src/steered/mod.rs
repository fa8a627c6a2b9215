//! The steered backend: one socket a worker for all its ports of an address family.
//!
//! ```text
//!   datagrams to any port                                    datagrams from any port
//!        |                                                         ^
//!   BPF `steer`: whose port is it?                           BPF `egress`: writes the source port
//!        |                                                         |
//!   the worker's socket --- recvmmsg ---> engine --- sendmmsg --> the worker's socket
//! ```
//!
//! Where the way to a party is known ([`crate::network`]), what is sent to it goes as a whole frame by a packet socket instead, past
//! `egress` and past the kernel's routing and UDP.
//!
//! A port then costs an entry in a BPF map in place of a socket: 20,000 ports need no more open files than one. And a batch is one
//! system call each way, however many ports its datagrams came to and leave from. It takes `CAP_BPF`, `CAP_NET_ADMIN`
//! and `CAP_NET_RAW`.
//!
//! What a flood of one port must not do to others, the program sees to: a port has its share and no more (`bpf/lease.h`).

mod control;
mod doors;
mod egress;
mod frames;
mod layout;
mod receive;
mod send;
mod steering;
mod table;

use core::net::SocketAddr;
use core::time::Duration;
use std::io;
use std::net::UdpSocket;
use std::sync::Arc;

use patchcord_relay::ids::PortId;
use patchcord_relay::time::MonoTime;

use crate::backend::{Backend, Batch, Unavailable};
use crate::clock::Arrival;
use crate::counters::Io;
use crate::socket::SocketOptions;
use crate::wake::Wake;
pub(crate) use doors::Doors;
use doors::Parts;
pub(crate) use doors::{Addresses, Flooded};
#[cfg(test)]
pub(crate) use layout::{Lease, WINDOW_DATAGRAMS};
pub(crate) use receive::Inbound;
pub(crate) use send::{Opening, Outbound};
pub(crate) use steering::Steering;

/// How many ports' queues the one queue of all ports is as long as. With the default of 64 KiB a port it holds 2000 to 10,000
/// packets, some milliseconds of all that a worker can relay.
const QUEUES: usize = 128;

/// See the module's documentation.
pub(crate) struct Steered {
    pub(crate) inbound: Inbound,
    pub(crate) outbound: Outbound,
    pub(crate) addresses: Addresses,
    pub(crate) flooded: Flooded,
    pub(crate) wake: Arc<Wake>,
}

impl Steered {
    /// The options of a worker's sockets, made of those for a socket a port.
    pub(crate) const fn options(ports: &SocketOptions) -> SocketOptions {
        SocketOptions {
            receive_buffer_bytes: ports.receive_buffer_bytes.saturating_mul(QUEUES),
            send_buffer_bytes: ports.send_buffer_bytes.saturating_mul(QUEUES),
            dscp: None,
        }
    }

    /// A backend for port indices below `ports`, woken by `wake`.
    pub(crate) fn new(ports: usize, doors: Doors, wake: Arc<Wake>) -> Result<Self, Unavailable> {
        let inbound = Inbound::new().map_err(|error| Unavailable::io("mapping receive buffers", &error))?;
        let Parts { sockets, addresses, flooded, hops, frames } = doors.split();
        Ok(Self { inbound, outbound: Outbound::new(ports, sockets, hops, frames), addresses, flooded, wake })
    }
}

impl Backend for Steered {
    type Sender = Outbound;
    type Opening = Opening;

    const NAME: &'static str = "steered";

    fn bind(&mut self, addr: SocketAddr, options: &SocketOptions) -> io::Result<Opening> {
        self.addresses.open(addr, options)
    }

    fn open(&mut self, port: PortId, opening: Opening) {
        self.outbound.close(port);
        self.outbound.open(port, opening);
    }

    fn close(&mut self, ports: &[PortId]) {
        ports.iter().for_each(|&port| self.outbound.close(port));
    }

    fn receive<'a>(&'a mut self, batch: &mut Batch<'a>, arrival: Arrival, now: MonoTime) -> &'a mut Outbound {
        let Self { inbound, outbound, .. } = self;
        outbound.listen();
        inbound.fill(outbound, batch, arrival, now);
        outbound
    }

    fn release(&mut self) {
        self.inbound.release();
    }

    fn sender(&mut self) -> &mut Outbound {
        &mut self.outbound
    }

    fn sockets(&self) -> impl Iterator<Item = &UdpSocket> {
        self.outbound.sockets.iter().flatten()
    }

    /// Some 2000 packets, which a worker relays in 4 ms: a shorter queue for all ports would drop what a short stall lets gather.
    const QUEUE_BYTES_MIN: usize = 1 << 20;

    fn queue_bytes(per_port: usize) -> usize {
        per_port.saturating_mul(QUEUES)
    }

    fn housekeep(&mut self) {
        self.inbound.look_for_drops(&mut self.outbound);
        let flooded = self.flooded.take();
        self.outbound.counters.add(Io::FloodDropped, flooded);
    }

    fn wait(&mut self, timeout: Option<Duration>) {
        self.wake.wait(self.outbound.listening_fds(), timeout);
    }
}
