//! The BPF programs of steered sockets: loaded once a process, attached to its network namespace and to all interfaces.

use core::fmt;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd};

use super::doors::Doors;
use super::egress;
use super::layout::Lease;
use crate::backend::Unavailable;
use crate::background::Background;
use crate::bpf::{Link, Map, Object, Shared, not_loaded, refused};
use crate::network::hops::Hops;
use crate::network::resolver;
use crate::port::PortKey;
use crate::socket::{self, SocketOptions};

static STEER: &[u8] = include_bytes!("../../bpf/objects/steer.o");
static EGRESS: &[u8] = include_bytes!("../../bpf/objects/egress.o");

/// The Linux that brought the youngest of what they use, tcx.
pub(super) const SINCE: &str = "6.6";
/// Sockets of a worker: one for each address family.
pub(super) const FAMILIES: u32 = 2;

/// The programs. As long as this lives they are attached; the kernel detaches them when the process ends, however it ends.
pub(crate) struct Steering {
    ports: Map<PortKey, Lease>,
    sockets: Map<u32, u32>,
    flooded: Map<u32, u64>,
    senders: Map<u64, u32>,
    /// Of the workers that have not asked for their doors yet.
    hops: Vec<Option<Hops>>,
    _steer: Link,
    _background: [Background; 2],
}

impl fmt::Debug for Steering {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Steering").finish_non_exhaustive()
    }
}

impl Steering {
    /// Loads and attaches the programs, with room for `ports` open ports of `workers` workers.
    pub(crate) fn start(workers: usize, ports: usize) -> Result<Self, Unavailable> {
        let sockets = workers.saturating_mul(FAMILIES as usize);
        let egress = Object::load(EGRESS, &[("senders", sockets)]).map_err(|error| not_loaded(&error, SINCE))?;
        let steer = Object::load(STEER, &[("ports", ports + sockets), ("sockets", sockets), ("flooded", sockets)])
            .map_err(|error| not_loaded(&error, SINCE))?;
        let (resolver, hops) = resolver::start(workers, ports / workers.max(1))?;
        let senders = egress.map("senders");
        // What is sent must be right before anything is received.
        let egress = egress::start(egress)?;
        let link =
            attach(&steer).map_err(|error| refused("attaching `steer` to the network namespace", &error, SINCE))?;
        Ok(Self {
            ports: steer.map("ports"),
            sockets: steer.map("sockets"),
            flooded: steer.map("flooded"),
            senders,
            hops: hops.into_iter().map(Some).collect(),
            _steer: link,
            _background: [egress, resolver],
        })
    }

    /// Whose ports are whose, for whoever steers by other means too.
    pub(crate) fn leases(&self) -> io::Result<Shared> {
        Ok([("ports", self.ports.share()?), ("flooded", self.flooded.share()?)].into())
    }

    /// The sockets of a worker and its part of the maps.
    pub(crate) fn doors(&mut self, worker: usize, options: &SocketOptions) -> Result<Doors, Unavailable> {
        let first = worker as u32 * FAMILIES;
        let hops = self.hops.get_mut(worker).and_then(Option::take);
        let hops = hops.ok_or_else(|| Unavailable::new(format!("worker {worker} has its sockets already")))?;
        let doors = Doors::new(first, options, self.ports.clone(), self.flooded.clone(), hops)
            .map_err(|error| Unavailable::io("opening the sockets that ports are steered to", &error))?;
        for (socket, index) in doors.sockets() {
            self.sockets
                .insert(&index, &(socket.as_raw_fd() as u32), Map::<u32, u32>::ANY)
                .map_err(|error| refused("putting a socket where `steer` finds it", &error, SINCE))?;
            socket::cookie(socket)
                .and_then(|cookie| self.senders.insert(&cookie, &0, Map::<u64, u32>::ANY))
                .map_err(|error| refused("putting a socket where `egress` finds it", &error, SINCE))?;
        }
        Ok(doors)
    }
}

fn attach(steer: &Object) -> io::Result<Link> {
    // A thread can be in a network namespace of its own; those that it starts are in the same.
    let namespace = File::open("/proc/thread-self/ns/net")?;
    Link::socket_lookup(steer.program("steer"), namespace.as_fd())
}
