//! The BPF programs of steered sockets: loaded once a process, attached to its network namespace and to all interfaces.

use core::fmt;
use std::fs::File;
use std::os::fd::AsFd;

use aya::maps::{HashMap, MapData, SockMap};
use aya::programs::{ProgramError, SchedClassifier, SkLookup};
use aya::{Ebpf, EbpfError, EbpfLoader, include_bytes_aligned};

use super::doors::Doors;
use super::egress::Egress;
use crate::backend::Unavailable;
use crate::network::hops::Hops;
use crate::network::resolver::Resolver;
use crate::probe;
use crate::socket::SocketOptions;

static STEER: &[u8] = include_bytes_aligned!("../../bpf/objects/steer.o");
static EGRESS: &[u8] = include_bytes_aligned!("../../bpf/objects/egress.o");

/// Sockets of a worker: one for each address family.
pub(super) const FAMILIES: u32 = 2;

/// The programs. As long as this lives they are attached; the kernel detaches them when the process ends, however it ends.
pub(crate) struct Steering {
    sockets: SockMap<MapData>,
    senders: HashMap<MapData, u64, u32>,
    steer: Ebpf,
    /// Of the workers that have not asked for their doors yet.
    hops: Vec<Option<Hops>>,
    _egress: Egress,
    _resolver: Resolver,
}

impl fmt::Debug for Steering {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Steering").finish_non_exhaustive()
    }
}

impl Steering {
    /// Loads and attaches the programs, with room for `ports` open ports of `workers` workers.
    pub(crate) fn start(workers: usize, ports: usize) -> Result<Self, Unavailable> {
        let (resolver, hops) = Resolver::start(workers, ports / workers.max(1))?;
        let sockets = (workers as u32).saturating_mul(FAMILIES);
        let mut egress = EbpfLoader::new()
            .btf(None)
            .map_max_entries("senders", sockets)
            .load(EGRESS)
            .map_err(|error| refused("loading the program `egress`", &error))?;
        let senders = take(&mut egress, "senders")?;
        let mut steer = EbpfLoader::new()
            .btf(None)
            .map_max_entries("ports", ports.try_into().unwrap_or(u32::MAX))
            .map_max_entries("sockets", sockets)
            .map_max_entries("flooded", sockets)
            .load(STEER)
            .map_err(|error| refused("loading the program `steer`", &error))?;
        let sockets = take(&mut steer, "sockets")?;
        // What is sent must be right before anything is received.
        let egress = Egress::start(egress)?;
        attach(&mut steer).map_err(|error| refused("attaching `steer` to the network namespace", &error.into()))?;
        let hops = hops.into_iter().map(Some).collect();
        Ok(Self { sockets, senders, steer, hops, _egress: egress, _resolver: resolver })
    }

    /// The sockets of a worker and its part of the maps.
    pub(crate) fn doors(&mut self, worker: usize, options: &SocketOptions) -> Result<Doors, Unavailable> {
        let failed = |what: &str, error: &dyn std::fmt::Display| Unavailable::new(format!("{what}: {error}"));
        let first = worker as u32 * FAMILIES;
        let hops = self.hops.get_mut(worker).and_then(Option::take);
        let hops = hops.ok_or_else(|| Unavailable::new(format!("worker {worker} has its sockets already")))?;
        let doors = Doors::new(first, options, shared(&self.steer, "ports")?, shared(&self.steer, "flooded")?, hops)
            .map_err(|error| Unavailable::io("opening the sockets that ports are steered to", &error))?;
        for (socket, index) in doors.sockets() {
            self.sockets
                .set(index, socket, 0)
                .map_err(|error| failed("putting a socket where `steer` finds it", &error))?;
            let cookie = crate::socket::cookie(socket).map_err(|error| Unavailable::io("SO_COOKIE", &error))?;
            self.senders
                .insert(cookie, 0, 0)
                .map_err(|error| failed("putting a socket where `egress` finds it", &error))?;
        }
        Ok(doors)
    }
}

fn attach(steer: &mut Ebpf) -> Result<(), ProgramError> {
    let program: &mut SkLookup = steer.program_mut("steer").expect("steer.c has it").try_into()?;
    program.load()?;
    // A thread can be in a network namespace of its own; those that it starts are in the same.
    let namespace = File::open("/proc/thread-self/ns/net").map_err(ProgramError::IOError)?;
    program.attach(namespace)?;
    Ok(())
}

/// The classifier of `egress`, loaded.
pub(super) fn classifier(egress: &mut Ebpf) -> Result<&mut SchedClassifier, ProgramError> {
    let program: &mut SchedClassifier = egress.program_mut("egress").expect("egress.c has it").try_into()?;
    Ok(program)
}

/// A map for this process alone.
fn take<M: TryFrom<aya::maps::Map>>(program: &mut Ebpf, name: &str) -> Result<M, Unavailable> {
    let map = program.take_map(name).expect("the program has the map");
    M::try_from(map).map_err(|_| Unavailable::new(format!("the map `{name}` is not of its kind")))
}

/// A map as seen by one more worker: the same one, by a descriptor of its own.
fn shared<M: TryFrom<aya::maps::Map>>(program: &Ebpf, name: &str) -> Result<M, Unavailable> {
    use aya::maps::Map;

    let failed = |error: &dyn std::fmt::Display| Unavailable::new(format!("the map `{name}`: {error}"));
    let map = program.map(name).expect("the program has the map");
    let again = |data: &MapData| {
        let fd = data.fd().as_fd().try_clone_to_owned().map_err(|error| failed(&error))?;
        MapData::from_fd(fd).map_err(|error| failed(&error))
    };
    let map = match map {
        Map::HashMap(data) => Map::HashMap(again(data)?),
        Map::Array(data) => Map::Array(again(data)?),
        _ => return Err(failed(&"not of its kind")),
    };
    M::try_from(map).map_err(|_| failed(&"not of its kind"))
}

/// Why the kernel takes no program, and what to do.
pub(super) fn refused(what: &str, error: &EbpfError) -> Unavailable {
    let words = words(error);
    let advice = if words.contains("os error 1)") {
        "; it takes CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON (systemd: AmbientCapabilities; containers: --cap-add), or root"
    } else if words.contains("os error 22)") || words.contains("os error 95)") {
        "; it takes Linux 6.6 or later"
    } else {
        ""
    };
    Unavailable::new(format!("{what}: {words}{advice} (Linux {})", probe::kernel()))
}

/// An error and its causes, on one line. Of the verifier's log, which takes pages, what it objects to in the end.
fn words(error: &dyn std::error::Error) -> String {
    let mut all: Vec<String> = Vec::new();
    let mut cause = Some(error);
    while let Some(error) = cause {
        let text = error.to_string();
        // Behind the objection there are only figures of what the verifier has done.
        const FIGURES: [&str; 3] = ["verification time", "stack depth", "processed"];
        let mut lines = text.lines().map(str::trim).filter(|line| !FIGURES.iter().any(|figure| line.starts_with(figure)));
        let first = lines.next().unwrap_or_default().trim_end_matches([':', ' ']).to_owned();
        let line = match lines.filter(|line| !line.is_empty()).last() {
            Some(last) => format!("{first} ... {last}"),
            None => first,
        };
        if !all.last().is_some_and(|last| last.contains(&line)) {
            all.push(line);
        }
        cause = error.source();
    }
    all.join(": ")
}
