//! Forwarding in XDP: flows that need no decision never reach a socket.
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

use crossbeam::channel;

use crate::backend::Unavailable;
use crate::background::Background;
use crate::bpf::{Map, Object, Pins, not_loaded};
use crate::config::{Config, PinConfig};
use crate::network::links::Links;
use crate::network::{default_ttl, resolver};
use crate::port::PortKey;
use attach::Attached;
use table::Parts;
pub(crate) use table::Table;

static FAST: &[u8] = include_bytes!("../../bpf/objects/fast.o");

/// The Linux that brought the youngest of what it uses: compare and swap in programs.
const SINCE: &str = "5.12";

/// The program, attached, and a table for each worker. Unless it is pinned the kernel detaches it when the process ends, however it ends.
pub(crate) struct Xdp {
    tables: Vec<Option<Table>>,
    description: String,
    _background: [Background; 2],
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
    pub(crate) fn start(config: &Config, workers: usize) -> Result<Self, Unavailable> {
        let legs = config.legs_max_per_worker.max(1) as usize;
        let entries = legs.saturating_mul(workers);
        let sizes = [("places", entries), ("flows", entries)];
        let pinned = config.pins.as_ref().map(Pinned::open).transpose()?;
        let (object, is_adopted) = match &pinned {
            Some(pinned) => Object::load_pinned(FAST, &sizes, &pinned.pins),
            None => Object::load(FAST, &sizes).map(|object| (object, false)),
        }
        .map_err(|error| not_loaded(&error, SINCE))?;
        let memory = object.memory("flows", entries);
        let memory = Arc::new(memory.map_err(|error| Unavailable::io("mapping the flows", &error))?);
        let places: Map<PortKey, u32> = object.map("places");
        let mut orphans: Vec<(PortKey, u32)> = Vec::new();
        if is_adopted {
            orphans.extend(places.keys().into_iter().filter_map(|key| Some((key, places.get(&key)?))));
            tracing::info!(flows = orphans.len(), "flows of a relay that was killed go on");
        }
        let addresses: Vec<IpAddr> = config.media.iter().map(|ports| ports.address).collect();
        let links = Links::listen()?;
        let attached =
            Attached::new(object, config.xdp_mode, addresses, pinned.as_ref().map(|pinned| pinned.pins.clone()))?;
        let (resolver, hops) = resolver::start(workers, legs)?;
        let (description, interfaces) = (attached.describe(), attached.indices());
        let ttl = default_ttl();
        let (tells, tables) = hops
            .into_iter()
            .enumerate()
            .map(|(worker, hops)| {
                let (tell, news) = channel::unbounded();
                let table = Table::new(Parts {
                    memory: Arc::clone(&memory),
                    first: (worker * legs) as u32,
                    len: legs as u32,
                    places: places.clone(),
                    orphans: orphans.iter().filter(|(_, entry)| *entry as usize / legs == worker).copied().collect(),
                    is_adopted,
                    hops,
                    interfaces: interfaces.clone(),
                    news,
                    dscp: config.dscp.unwrap_or(0),
                    ttl,
                });
                (tell, Some(table))
            })
            .unzip();
        let watch = attached.watch(links, tells)?;
        Ok(Self { tables, description, _background: [watch, resolver], _pinned: pinned })
    }

    /// Loads the program and lets it go.
    pub(crate) fn try_program() -> Result<(), Unavailable> {
        Object::load(FAST, &[("places", 1), ("flows", 1)]).map(drop).map_err(|error| not_loaded(&error, SINCE))
    }

    /// In one line: where the program is.
    pub(crate) fn description(&self) -> &str {
        &self.description
    }

    /// What a worker's engine offloads to; once for each.
    pub(crate) fn table(&mut self, worker: usize) -> Option<Table> {
        self.tables.get_mut(worker)?.take()
    }
}
