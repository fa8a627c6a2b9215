//! The portable backend: epoll says which sockets have something, recvmmsg takes it, sendmmsg sends.
//!
//! It is there for places that forbid io_uring, which includes the default profile of most container runtimes. The UDP
//! stack is most of the cost of either; a socket with a single packet costs this one a system call more.

mod epoll;
mod receive;
mod run;
mod send;
mod slots;

use core::net::SocketAddr;
use core::time::Duration;
use std::io;
use std::net::UdpSocket;
use std::os::fd::AsRawFd;
use std::sync::Arc;

use patchcord_relay::ids::PortId;
use patchcord_relay::time::MonoTime;

use crate::backend::{Backend, Batch, Unavailable};
use crate::clock::Arrival;
use crate::counters::Io;
use crate::socket::{self, SocketOptions};
use crate::wake::Wake;
use receive::Inbound;
pub(crate) use run::{RUN_MAX, Run, send_all};
use send::Outbound;
pub(crate) use slots::Slots;

/// See the module's documentation.
pub(crate) struct Mmsg {
    inbound: Inbound,
    outbound: Outbound,
    wake: Arc<Wake>,
}

impl Mmsg {
    /// A backend for port indices below `ports`, woken by `wake`.
    pub(crate) fn new(ports: usize, wake: Arc<Wake>) -> Result<Self, Unavailable> {
        let inbound = Inbound::new().map_err(|error| Unavailable::io("setting up epoll", &error))?;
        Ok(Self { inbound, outbound: Outbound::new(ports), wake })
    }
}

impl Backend for Mmsg {
    type Sender = Outbound;
    type Opening = UdpSocket;

    const NAME: &'static str = "mmsg";

    fn bind(&mut self, addr: SocketAddr, options: &SocketOptions) -> io::Result<UdpSocket> {
        socket::bind(addr, options)
    }

    fn open(&mut self, port: PortId, socket: UdpSocket) {
        self.close(&[port]);
        match self.inbound.watch(port, &socket) {
            Ok(()) => self.outbound.ports[port.index()].socket = Some(socket),
            Err(error) => {
                // Only a system-wide limit of watches (fs.epoll.max_user_watches) can do this.
                tracing::warn!(%error, "a port cannot be watched and stays closed: raise fs.epoll.max_user_watches");
            }
        }
    }

    fn close(&mut self, ports: &[PortId]) {
        for &port in ports {
            let state = core::mem::take(&mut self.outbound.ports[port.index()]);
            let Some(socket) = state.socket else { continue };
            self.inbound.forget(port, &socket);
            if let Some(dropped) = socket::dropped(&socket) {
                self.outbound.counters.add(Io::KernelDropped, dropped.wrapping_sub(state.dropped).into());
            }
        }
    }

    fn receive<'a>(&'a mut self, batch: &mut Batch<'a>, arrival: Arrival, now: MonoTime) -> &'a mut Outbound {
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
        if self.inbound.is_idle() {
            self.wake.wait([Some(self.inbound.as_raw_fd()), None], timeout);
        }
    }
}
