//! Forwarding in XDP: flows that need no decision never reach a socket. The same program gives the rest to the workers' AF_XDP sockets, if
//! they have some ([`crate::af_xdp`]).
//!
//! ```text
//!                        +-------------------------- a worker ---------------------------+
//!                        |  engine --begin, end--> table (`Offload`)                     |
//!                        +-------^-----------------------|-------------------------------+
//!     what is for the engine     |                       | memory that both have
//!        +-----------------------+                       v
//!   packet --> `fast` (driver) --- whose flow? --> flow: headers, offsets, RFC 3550's counts --> packet
//! ```
//!
//! The engine and the program take turns: a flow is the program's from [`Offload::begin`] to [`Offload::end`], and either side
//! may end it with one atomic operation ([`layout`]). No system call is in the way of a cut-over.
//!
//! The next hop is the resolver's ([`crate::network`]) and not `bpf_fib_lookup`'s, which answers only on hosts that forward IP.
//!
//! If so configured the program, where it is attached, and the flows outlive a process that is killed ([`crate::bpf::Pins`]). The next one takes them over:
//! it gives the same flows another program, and lets those of the former go on as *orphans*, of which no engine knows, until nothing comes
//! any more.
//!
//! [`Offload::begin`]: patchcord_relay::flow::Offload::begin
//! [`Offload::end`]: patchcord_relay::flow::Offload::end

mod attach;
mod layout;
mod table;
#[cfg(test)]
mod tests;

use core::fmt;
use core::net::IpAddr;
use std::fs;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::sync::Arc;

use crossbeam::channel::{self, Receiver};

use crate::af_xdp::{Opener, SocketNews};
use crate::backend::Unavailable;
use crate::background::Background;
use crate::bpf::{Map, Object, Pins, Shared, not_loaded};
use crate::config::{BackendChoice, Config, PinConfig, XdpMode};
use crate::dataplane::buffers;
use crate::mapping::Mapping;
use crate::network::hops::Hops;
use crate::network::links::Links;
use crate::network::{default_ttl, resolver};
use crate::port::PortKey;
use crate::wake::Wake;
use attach::Attached;
use table::Parts;
pub(crate) use table::Table;

static FAST: &[u8] = include_bytes!("../../bpf/objects/fast.o");

/// The Linux that brought the youngest of what it uses: compare and swap in programs.
const SINCE: &str = "5.12";

/// What the program is for.
pub(crate) struct Purpose {
    /// It forwards flows.
    pub(crate) flows: bool,
    /// It gives packets to AF_XDP sockets of these.
    pub(crate) listeners: Option<Listeners>,
}

/// The workers that have AF_XDP sockets.
pub(crate) struct Listeners {
    /// By these maps the program knows whose port it is.
    pub(crate) leases: Shared,
    /// Each is woken when there is an interface more, or less.
    pub(crate) wakes: Vec<Arc<Wake>>,
}

/// The program, attached, and for each worker a table or news of its sockets, or both. Unless it is pinned the kernel detaches it when the
/// process ends, however it ends.
pub(crate) struct Xdp {
    tables: Vec<Option<Table>>,
    socket_news: Vec<Option<Receiver<SocketNews>>>,
    description: String,
    sockets: Result<String, String>,
    _background: Vec<Background>,
    /// After the thread that attaches: what it has pinned is gone when this is given up.
    _pinned: Option<Pinned>,
}

/// A folder of pinned objects that this process has to itself.
struct Pinned {
    pins: Pins,
    _claim: UnixListener,
}

impl Pinned {
    fn open(config: &PinConfig) -> Result<Self, Unavailable> {
        let folder = config.folder.display();
        let namespace = fs::metadata("/proc/thread-self/ns/net").map(|namespace| namespace.ino());
        let namespace = namespace.map_err(|error| Unavailable::io("/proc/thread-self/ns/net", &error))?;
        // Interfaces are those of a network namespace, and so are names of this kind, which nobody else may have at the same time.
        let claim = SocketAddr::from_abstract_name(format!("patchcord/xdp/{folder}"))
            .and_then(|name| UnixListener::bind_addr(&name))
            .map_err(|error| Unavailable::new(format!("another relay has the flows in {folder}: {error}")))?;
        let pins = Pins::at(&config.folder.join(format!("netns-{namespace}"))).map_err(|error| {
            Unavailable::new(format!("flows cannot outlive the process: {error} (mount -t bpf bpf /sys/fs/bpf)"))
        })?;
        if !config.adopt {
            pins.clear();
        }
        Ok(Self { pins, _claim: claim })
    }
}

impl fmt::Debug for Xdp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Xdp").field("description", &self.description).finish_non_exhaustive()
    }
}

impl Xdp {
    /// Loads the program and attaches it to the interfaces that have media addresses.
    pub(crate) fn start(config: &Config, workers: usize, purpose: Purpose) -> Result<Self, Unavailable> {
        const LASTING: [&str; 2] = ["places", "flows"];
        let legs = config.legs_max_per_worker.max(1) as usize;
        let entries = if purpose.flows { legs.saturating_mul(workers) } else { 1 };
        let mut sizes = LASTING.map(|name| (name, entries)).to_vec();
        if purpose.listeners.is_some() {
            sizes.extend(Opener::sizes(workers));
        }
        let pinned = config.pins.as_ref().filter(|_| purpose.flows).map(Pinned::open).transpose()?;
        let (shared, wakes) = match purpose.listeners {
            Some(Listeners { leases, wakes }) => (leases, Some(wakes)),
            None => (Shared::new(), None),
        };
        let (object, is_adopted) = match &pinned {
            Some(pinned) => Object::load_pinned(FAST, &sizes, shared, &LASTING, &pinned.pins),
            None => Object::load_sharing(FAST, &sizes, shared).map(|object| (object, false)),
        }
        .map_err(|error| not_loaded(&error, SINCE))?;
        let addresses: Vec<IpAddr> = config.media.iter().map(|ports| ports.address).collect();
        let pins = pinned.as_ref().map(|pinned| pinned.pins.clone());
        let links = Links::listen()?;
        let flows = if purpose.flows { Some(Flows::find(&object, entries, is_adopted)?) } else { None };
        let (opener, socket_news) = if let Some(wakes) = wakes {
            // Drivers that are to write into that memory begin their queues anew: not for whoever has not asked for it.
            let zero_copy = config.backend == BackendChoice::AfXdp && config.xdp_mode != XdpMode::Generic;
            let frames = u32::from(buffers(config.af_xdp_frames));
            let (opener, news) = Opener::new(&object, wakes, frames, zero_copy);
            (Some(opener), news.into_iter().map(Some).collect())
        } else {
            (None, Vec::new())
        };
        let attached = Attached::new(object, config.xdp_mode, addresses, pins, opener)?;
        let (description, sockets) = (attached.describe(), attached.describe_sockets());
        let mut background = Vec::new();
        let (mut tells, mut tables) = (Vec::new(), Vec::new());
        if let Some(flows) = flows {
            let (resolver, hops) = resolver::start(workers, legs)?;
            background.push(resolver);
            for (worker, hops) in hops.into_iter().enumerate() {
                let (tell, news) = channel::unbounded();
                tells.push(tell);
                tables.push(Some(flows.table(worker, legs, hops, attached.indices(), news, config.dscp)));
            }
        }
        background.push(attached.watch(links, tells)?);
        Ok(Self { tables, socket_news, description, sockets, _background: background, _pinned: pinned })
    }

    /// Loads the program and lets it go.
    pub(crate) fn try_program() -> Result<(), Unavailable> {
        Object::load(FAST, &[("places", 1), ("flows", 1)]).map(drop).map_err(|error| not_loaded(&error, SINCE))
    }

    /// In one line: where the program is.
    pub(crate) fn description(&self) -> &str {
        &self.description
    }

    /// In one line: on which interfaces there are AF_XDP sockets; or why on none.
    pub(crate) fn sockets(&self) -> Result<&str, &str> {
        self.sockets.as_deref().map_err(String::as_str)
    }

    /// What a worker's engine offloads to, if it does; once for each.
    pub(crate) fn table(&mut self, worker: usize) -> Option<Table> {
        self.tables.get_mut(worker)?.take()
    }

    /// What tells a worker of its AF_XDP sockets, if it has some; once for each.
    pub(crate) fn socket_news(&mut self, worker: usize) -> Option<Receiver<SocketNews>> {
        self.socket_news.get_mut(worker)?.take()
    }
}

/// The memory of all flows, and those that are there already.
struct Flows {
    memory: Arc<Mapping>,
    places: Map<PortKey, u32>,
    orphans: Vec<(PortKey, u32)>,
    is_adopted: bool,
    ttl: u8,
}

impl Flows {
    fn find(object: &Object, entries: usize, is_adopted: bool) -> Result<Self, Unavailable> {
        let memory = object.memory("flows", entries);
        let memory = Arc::new(memory.map_err(|error| Unavailable::io("mapping the flows", &error))?);
        let places: Map<PortKey, u32> = object.map("places");
        let mut orphans: Vec<(PortKey, u32)> = Vec::new();
        if is_adopted {
            orphans.extend(places.keys().into_iter().filter_map(|key| Some((key, places.get(&key)?))));
            tracing::info!(flows = orphans.len(), "flows of a relay that was killed go on");
        }
        Ok(Self { memory, places, orphans, is_adopted, ttl: default_ttl() })
    }

    /// The part of a worker, which has `legs` entries.
    fn table(
        &self,
        worker: usize,
        legs: usize,
        hops: Hops,
        interfaces: Vec<u32>,
        news: Receiver<Vec<u32>>,
        dscp: Option<u8>,
    ) -> Table {
        Table::new(Parts {
            memory: Arc::clone(&self.memory),
            first: (worker * legs) as u32,
            len: legs as u32,
            places: self.places.clone(),
            orphans: self.orphans.iter().filter(|(_, entry)| *entry as usize / legs == worker).copied().collect(),
            is_adopted: self.is_adopted,
            hops,
            interfaces,
            news,
            dscp: dscp.unwrap_or(0),
            ttl: self.ttl,
        })
    }
}
