//! What a worker needs from the operating system. Implementations: [`crate::io_uring`], [`crate::mmsg`], [`crate::steered`], [`crate::af_xdp`].

use core::net::SocketAddr;
use core::time::Duration;
use std::io;
use std::net::UdpSocket;

use arrayvec::ArrayVec;
use patchcord_relay::ids::PortId;
use patchcord_relay::{Datagram, Transmit};

use patchcord_relay::time::MonoTime;

use crate::clock::Arrival;
use crate::counters::Counters;
use crate::socket::SocketOptions;

/// Datagrams that go through the engine together. Larger batches save little (a system call costs as much as a tenth of
/// one packet's way through the UDP stack) and make the first datagram of a batch wait for the last.
pub(crate) const BATCH: usize = 128;

/// Bytes of one receive buffer: the largest datagram of an Ethernet (1472 bytes), what the kernel puts in front of it
/// (100 bytes with io_uring), and room for the engine to make it longer.
pub(crate) const BUFFER_BYTES: usize = 2048;

/// Received datagrams on their way through the engine.
pub(crate) type Batch<'a> = ArrayVec<Datagram<'a>, BATCH>;

/// Sockets, and the way datagrams come from them and go to them.
///
/// A worker's turn is: [`Backend::receive`], the engine, [`Sender::send`], [`Backend::release`]; or [`Backend::wait`] if
/// there was nothing to do.
pub(crate) trait Backend {
    /// The half that sends, usable while a batch borrows the half that receives.
    type Sender: Sender;
    /// An address that was taken and is not a port yet.
    type Opening;

    /// The name in configuration, logs and snapshots.
    const NAME: &'static str;

    /// Takes an address for a port that does not exist yet, so that what cannot be had is known before anything is done. Dropped,
    /// it gives the address back.
    ///
    /// # Errors
    /// The address is taken, or not this host's, or there is no room: the system's words.
    fn bind(&mut self, addr: SocketAddr, options: &SocketOptions) -> io::Result<Self::Opening>;

    /// Makes a port of an address that [`Backend::bind`] took. A port that is open already is replaced.
    fn open(&mut self, port: PortId, opening: Self::Opening);

    /// Closes ports; those that are not open are skipped. When this returns their addresses can be bound again.
    fn close(&mut self, ports: &[PortId]);

    /// Takes datagrams that have arrived, up to a batch, without waiting. No socket can keep others from being heard.
    fn receive<'a>(&'a mut self, batch: &mut Batch<'a>, arrival: Arrival, now: MonoTime) -> &'a mut Self::Sender;

    /// Gives the buffers of the last batch back. To be called once the datagrams that lie in them are sent.
    fn release(&mut self);

    /// The half that sends.
    fn sender(&mut self) -> &mut Self::Sender;

    /// Waits until a datagram has arrived, the worker's [`crate::wake::Wake`] is signalled, or `timeout` is over
    /// (`None`: no end). It may return early.
    fn wait(&mut self, timeout: Option<Duration>);

    /// The sockets that receive: one for each open port, or one for many.
    fn sockets(&self) -> impl Iterator<Item = &UdpSocket>;

    /// How long the receive queue of a socket is where one for each port would be `per_port` bytes long, as in `SO_RCVBUF`.
    fn queue_bytes(per_port: usize) -> usize {
        per_port
    }

    /// The shortest that such a queue may be cut to in an overload.
    const QUEUE_BYTES_MIN: usize = crate::overload::QUEUED_BYTES;

    /// Gives the receive queue of every socket another size, in bytes as in `SO_RCVBUF`.
    fn resize_queues(&self, bytes: usize) {
        for socket in self.sockets() {
            crate::socket::resize_queue(socket, bytes);
        }
    }

    /// Now and then: restarts what had failed.
    fn housekeep(&mut self) {}

    /// Sockets have stopped receiving and wait for the next [`Backend::receive`] to start them again: no time to rest.
    fn has_stopped_receives(&self) -> bool {
        false
    }
}

/// The sending half of a backend.
pub(crate) trait Sender {
    /// Hands packets to the kernel, in order for each port. When this returns the kernel has copied what it took; what it
    /// did not take is dropped and counted.
    fn send<'p>(&mut self, packets: impl Iterator<Item = Transmit<'p>>);

    /// What this backend has counted; the worker's loop counts here too.
    fn counters(&mut self) -> &mut Counters;
}

/// A backend that cannot be set up, in words for the operator: what was refused, why, what to do.
#[derive(Debug, thiserror::Error)]
#[error("{reason}")]
pub(crate) struct Unavailable {
    pub(crate) reason: String,
}

impl Unavailable {
    pub(crate) fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into() }
    }

    pub(crate) fn io(what: &str, error: &io::Error) -> Self {
        Self::new(format!("{what}: {error}"))
    }
}
