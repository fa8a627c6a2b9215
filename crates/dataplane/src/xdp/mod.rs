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
//! [`Offload::begin`]: patchcord_relay::flow::Offload::begin
//! [`Offload::end`]: patchcord_relay::flow::Offload::end

mod attach;
mod layout;
mod table;
#[cfg(test)]
mod tests;

use core::fmt;
use core::net::IpAddr;
use std::sync::Arc;

use crossbeam::channel;

use crate::backend::Unavailable;
use crate::background::Background;
use crate::bpf::{Object, not_loaded};
use crate::config::Config;
use crate::network::{default_ttl, resolver};
use attach::Attached;
use table::Parts;
pub(crate) use table::Table;

static FAST: &[u8] = include_bytes!("../../bpf/objects/fast.o");

/// The Linux that brought the youngest of what it uses: compare and swap in programs.
const SINCE: &str = "5.12";

/// The program, attached, and a table for each worker. The kernel detaches it when the process ends, however it ends.
pub(crate) struct Xdp {
    tables: Vec<Option<Table>>,
    description: String,
    _background: [Background; 2],
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
        let object = Object::load(FAST, &[("places", entries), ("flows", entries)])
            .map_err(|error| not_loaded(&error, SINCE))?;
        let memory = object.memory("flows", entries);
        let memory = Arc::new(memory.map_err(|error| Unavailable::io("mapping the flows", &error))?);
        let places = object.map("places");
        let addresses: Vec<IpAddr> = config.media.iter().map(|ports| ports.address).collect();
        let attached = Attached::new(object, config.xdp_mode, addresses)?;
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
                    hops,
                    interfaces: interfaces.clone(),
                    news,
                    dscp: config.dscp.unwrap_or(0),
                    ttl,
                });
                (tell, Some(table))
            })
            .unzip();
        let watch = attached.watch(tells)?;
        Ok(Self { tables, description, _background: [watch, resolver] })
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
