//! A worker's sockets, and the addresses that are steered to them.

use core::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::io;
use std::net::UdpSocket;

use socket2::{Domain, Protocol, Socket, Type};

use super::frames::Frames;
use super::layout::Lease;
use super::send::Opening;
use super::steering::FAMILIES;
use crate::bpf::Map;
use crate::clock::Clock;
use crate::network::hops::Hops;
use crate::port::PortKey;
use crate::socket::{self, SocketOptions};

/// The addresses of all workers.
type Ports = Map<PortKey, Lease>;

/// What a worker is given at its start.
pub(crate) struct Doors {
    /// IPv4 and IPv6; either may be missing where the kernel does not have it.
    pub(super) sockets: [Option<UdpSocket>; FAMILIES as usize],
    first: u32,
    ports: Ports,
    flooded: Map<u32, u64>,
    hops: Hops,
    send_buffer_bytes: usize,
}

/// What a worker makes of it.
pub(super) struct Parts {
    pub(super) sockets: [Option<UdpSocket>; FAMILIES as usize],
    pub(super) addresses: Addresses,
    pub(super) flooded: Flooded,
    pub(super) hops: Hops,
    pub(super) frames: Frames,
}

impl Doors {
    /// Opens the sockets. `first`: the index of the IPv4 one in the program's map.
    pub(super) fn new(
        first: u32,
        options: &SocketOptions,
        ports: Ports,
        flooded: Map<u32, u64>,
        hops: Hops,
    ) -> io::Result<Self> {
        let open = |addr: SocketAddr| match socket::bind_steered(addr, options) {
            Ok(socket) => Ok(Some(socket)),
            // A kernel without IPv6, or a namespace where it is disabled.
            Err(error) if matches!(error.raw_os_error(), Some(libc::EAFNOSUPPORT | libc::EADDRNOTAVAIL)) => Ok(None),
            Err(error) => Err(error),
        };
        // On all addresses, so that the kernel can choose the one that a port on all addresses sends from.
        let v4 = open((Ipv4Addr::UNSPECIFIED, 0).into())?;
        let v6 = open((Ipv6Addr::UNSPECIFIED, 0).into())?;
        // What is sent to their own ports is for nobody.
        for socket in [&v4, &v6].into_iter().flatten() {
            ports.insert(&PortKey::from(socket.local_addr()?), &Lease::CLOSED, Ports::ANY)?;
        }
        Ok(Self { sockets: [v4, v6], first, ports, flooded, hops, send_buffer_bytes: options.send_buffer_bytes })
    }

    /// The sockets with their indices in the program's map.
    pub(super) fn sockets(&self) -> impl Iterator<Item = (&UdpSocket, u32)> {
        self.sockets.iter().zip(self.first..).filter_map(|(socket, index)| Some((socket.as_ref()?, index)))
    }

    /// To be called in the worker's thread.
    pub(super) fn split(self) -> Parts {
        Parts {
            sockets: self.sockets,
            addresses: Addresses { ports: self.ports, first: self.first },
            flooded: Flooded { counts: self.flooded, first: self.first, seen: 0 },
            hops: self.hops,
            frames: Frames::new(self.send_buffer_bytes),
        }
    }
}

/// The addresses that are steered to this worker.
pub(crate) struct Addresses {
    ports: Ports,
    first: u32,
}

impl Addresses {
    /// An address for a port that does not exist yet.
    ///
    /// # Errors
    /// As of [`Backend::bind`](crate::backend::Backend::bind).
    pub(crate) fn open(&self, addr: SocketAddr, options: &SocketOptions) -> io::Result<Opening> {
        Ok(Opening::new(self.claim(addr)?, options.dscp, Clock.now()))
    }

    /// Takes an address; port 0 stands for any that is free.
    ///
    /// # Errors
    /// `EADDRINUSE`: a socket or another worker has it; `EADDRNOTAVAIL`: it is not this host's; others by the kernel's words.
    fn claim(&self, addr: SocketAddr) -> io::Result<Claim> {
        // Whoever has the port would lose it to the program, which goes first: it is bound to see whether it is free.
        let probe = Socket::new(Domain::for_address(addr), Type::DGRAM.cloexec(), Some(Protocol::UDP))?;
        if addr.is_ipv6() {
            probe.set_only_v6(true)?;
        }
        probe.bind(&addr.into())?;
        let addr = if addr.port() == 0 { probe.local_addr()?.as_socket().unwrap_or(addr) } else { addr };
        let lease = Lease::of(self.first + u32::from(addr.is_ipv6()));
        self.ports.insert(&PortKey::from(addr), &lease, Ports::NEW).map_err(|error| as_of_a_socket(&error))?;
        Ok(Claim { addr, ports: self.ports.clone() })
    }
}

/// An address that is steered to this worker until this is dropped.
pub(crate) struct Claim {
    pub(super) addr: SocketAddr,
    ports: Ports,
}

impl Drop for Claim {
    fn drop(&mut self) {
        // It is there: nobody else removes it.
        let _ = self.ports.remove(&PortKey::from(self.addr));
    }
}

/// How many datagrams the program has dropped because their port had more than its share.
pub(crate) struct Flooded {
    counts: Map<u32, u64>,
    first: u32,
    seen: u64,
}

impl Flooded {
    /// Those since the last call.
    pub(crate) fn take(&mut self) -> u64 {
        let count: u64 = (self.first..self.first + FAMILIES).filter_map(|index| self.counts.get(&index)).sum();
        count - core::mem::replace(&mut self.seen, count)
    }
}

/// What the kernel would have said of a socket.
fn as_of_a_socket(error: &io::Error) -> io::Error {
    io::Error::from_raw_os_error(match error.raw_os_error() {
        Some(libc::EEXIST) => libc::EADDRINUSE,
        // The map is full.
        Some(libc::E2BIG) => libc::ENOBUFS,
        other => other.unwrap_or(libc::EIO),
    })
}
