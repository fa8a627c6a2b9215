//! The io_uring backend: multishot receives into a ring of buffers, batched sends without completions.
//!
//! ```text
//!   socket ... socket            one multishot RECVMSG each, armed once
//!        \    |    /
//!      completion queue ------->  inbox  ------->  batch  --->  engine
//!             ^                                                   |
//!        buffer ring  <------- release, after the submit <-----  SEND, one entry a packet, one submit a batch
//! ```
//!
//! A buffer travels once around this circle. It goes back to the kernel after the submission that carried the sends out of
//! it has returned, and that is soon enough: see [`send`].

#![allow(unsafe_code, reason = "submission entries point to the message header of the receives")]

mod buffers;
mod diagnosis;
mod receive;
mod ring;
mod send;
mod token;

use core::net::SocketAddr;
use core::time::Duration;
use std::io;
use std::net::UdpSocket;
use std::os::fd::AsRawFd;
use std::sync::Arc;

use io_uring::types::Fd;
use io_uring::{opcode, squeue};
use patchcord_relay::ids::PortId;
use patchcord_relay::time::MonoTime;

use crate::address::SOCKADDR_BYTES;
use crate::ancillary::ANCILLARY_BYTES;
use crate::backend::{BUFFER_BYTES, Backend, Batch, Unavailable};
use crate::clock::Arrival;
use crate::counters::Io;
use crate::socket::{self, SocketOptions};
use crate::wake::Wake;
use buffers::Buffers;
pub(crate) use diagnosis::features;
use receive::Inbound;
use ring::{Ring, SUBMISSIONS};
use send::Outbound;
use token::Token;

/// How often a cancellation is looked for before it is given up; the kernel does it within one call.
const CANCEL_ATTEMPTS: usize = 1000;

/// Room for completions from which the kernel has as many buckets for waiting receives as it ever has, 256
/// (`io_uring_create` in `io_uring/io_uring.c` of Linux). To cancel one it walks the bucket: with 64 of them, that was a fifth of
/// a worker's time where thousands of calls came and went.
const COMPLETIONS_MIN: u32 = 1 << 13;

/// How long a wait may last while a receive is to be tried again.
const RETRY: Duration = Duration::from_millis(50);

/// See the module's documentation. It must stay in the thread that made it.
pub(crate) struct IoUring {
    // The order matters: the ring is dropped before the buffers that it writes to.
    outbound: Outbound,
    inbound: Inbound,
    /// Read by the kernel when a receive is armed: how much of a buffer is for the sender's address and control data.
    header: Box<libc::msghdr>,
    wake: Arc<Wake>,
}

impl IoUring {
    /// A backend for port indices below `ports`, with `buffers` receive buffers (a power of two), woken by
    /// `wake`.
    pub(crate) fn new(ports: usize, buffers: u16, wake: Arc<Wake>) -> Result<Self, Unavailable> {
        // Every buffer can wait in a completion, and every send of a submission can fail.
        let completions = (u32::from(buffers) + 2 * SUBMISSIONS).next_power_of_two().max(COMPLETIONS_MIN);
        let ring = Ring::new(completions)?;
        let size = usize::from(buffers) * BUFFER_BYTES;
        let mut memory = Buffers::new(buffers)
            .map_err(|error| Unavailable::io(&format!("mapping {size} bytes of receive buffers"), &error))?;
        memory.register(&ring.submitter()).map_err(|error| {
            Unavailable::io("registering a ring of provided buffers (Linux 5.19; seccomp: io_uring_register)", &error)
        })?;
        Ok(Self {
            outbound: Outbound::new(ring, ports),
            inbound: Inbound::new(memory, buffers, ports),
            header: Box::new(header()),
            wake,
        })
    }

    /// Starts receives that are not running, as many as there is room for and those that have waited longest first. They are
    /// submitted by the next system call.
    fn arm(&mut self) {
        for _ in 0..self.inbound.rearm_max() {
            let Some(port) = self.inbound.take_rearm() else { break };
            let state = &self.outbound.ports[port.index()];
            if state.socket.is_some() && !state.armed {
                self.outbound.counters.count(Io::RecvRearmed);
                self.arm_port(port);
            }
        }
        self.arm_wake();
    }

    fn arm_wake(&mut self) {
        if self.inbound.wake_ended {
            self.inbound.wake_ended = false;
            let poll = opcode::PollAdd::new(Fd(self.wake.as_raw_fd()), libc::POLLIN as u32).multi(true).build();
            // SAFETY: a poll points to no memory.
            unsafe { self.outbound.ring.push(&poll.user_data(Token::Wake.pack())) };
        }
    }

    fn arm_port(&mut self, port: PortId) {
        let state = &mut self.outbound.ports[port.index()];
        let Some(socket) = &state.socket else { return };
        let token = Token::Receive { port, generation: state.generation };
        let entry = opcode::RecvMsgMulti::new(Fd(socket.as_raw_fd()), &raw const *self.header, buffers::GROUP)
            .build()
            .user_data(token.pack());
        state.armed = true;
        // SAFETY: the header is boxed and lives as long as the ring; the kernel copies it when the entry is submitted.
        unsafe { self.outbound.ring.push(&entry) };
    }

    fn cancel(&mut self, port: PortId) {
        let state = &self.outbound.ports[port.index()];
        if !state.armed {
            return;
        }
        let token = Token::Receive { port, generation: state.generation };
        let entry = opcode::AsyncCancel::new(token.pack())
            .build()
            .flags(squeue::Flags::SKIP_SUCCESS)
            .user_data(Token::Cancel.pack());
        // SAFETY: a cancellation points to no memory.
        unsafe { self.outbound.ring.push(&entry) };
    }
}

impl Backend for IoUring {
    type Sender = Outbound;
    type Opening = UdpSocket;

    const NAME: &'static str = "io-uring";

    fn bind(&mut self, addr: SocketAddr, options: &SocketOptions) -> io::Result<UdpSocket> {
        socket::bind(addr, options)
    }

    fn open(&mut self, port: PortId, socket: UdpSocket) {
        self.close(&[port]);
        let state = &mut self.outbound.ports[port.index()];
        state.socket = Some(socket);
        (state.dropped, state.heard) = (0, false);
        self.arm_port(port);
    }

    fn close(&mut self, ports: &[PortId]) {
        for &port in ports {
            self.cancel(port);
        }
        // A receive holds its socket open, and with it the port, until the kernel has let go of it. Until it comes to that
        // it may bring in what other sockets have; if the buffers run out over it, those receives are started anew.
        for _ in 0..CANCEL_ATTEMPTS {
            if ports.iter().all(|port| !self.outbound.ports[port.index()].armed) {
                break;
            }
            if !self.outbound.ring.poll_all() {
                std::thread::yield_now();
            }
            self.inbound.reap(&mut self.outbound);
        }
        for &port in ports {
            let state = &mut self.outbound.ports[port.index()];
            let (seen, heard) = (state.dropped, state.heard);
            state.armed = false;
            let socket = self.outbound.take(port).filter(|_| heard);
            if let Some(dropped) = socket.as_ref().and_then(socket::dropped) {
                self.outbound.counters.add(Io::KernelDropped, dropped.wrapping_sub(seen).into());
            }
        }
    }

    fn receive<'a>(&'a mut self, batch: &mut Batch<'a>, arrival: Arrival, now: MonoTime) -> &'a mut Outbound {
        self.arm();
        // One call brings what some twenty sockets have: the kernel limits itself.
        while !self.inbound.is_full() && self.outbound.ring.poll() {
            self.inbound.reap(&mut self.outbound);
        }
        let Self { inbound, outbound, .. } = self;
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
        self.outbound.ports.iter().filter_map(|port| port.socket.as_ref())
    }

    fn wait(&mut self, timeout: Option<Duration>) {
        if !self.inbound.is_empty() || self.inbound.has_ended() {
            return;
        }
        self.arm_wake();
        let timeout =
            if self.inbound.has_failed() { Some(timeout.map_or(RETRY, |limit| limit.min(RETRY))) } else { timeout };
        self.outbound.ring.wait(timeout);
        self.inbound.reap(&mut self.outbound);
    }

    fn has_stopped_receives(&self) -> bool {
        self.inbound.has_ended()
    }

    fn housekeep(&mut self) {
        self.inbound.retry_failed();
    }
}

impl Drop for IoUring {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // What is queued may point to packets that are gone: nothing may be submitted any more.
            return;
        }
        let open = |index: &u32| self.outbound.ports[*index as usize].socket.is_some();
        let ports: Vec<PortId> = (0..self.outbound.ports.len() as u32).filter(open).map(PortId::from_index).collect();
        self.close(&ports);
    }
}

fn header() -> libc::msghdr {
    // SAFETY: msghdr consists of pointers and integers, for which all zeroes means absent.
    let mut header: libc::msghdr = unsafe { core::mem::zeroed() };
    header.msg_namelen = SOCKADDR_BYTES as libc::socklen_t;
    header.msg_controllen = ANCILLARY_BYTES;
    header
}
