//! What this machine allows, and why not more: asked once at start, and by whoever diagnoses a machine.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use core::time::Duration;
use std::fs;
use std::net::UdpSocket;
use std::sync::Arc;
use std::thread::JoinHandle;

use patchcord_relay::Transmit;
use patchcord_relay::ids::{Component, PortId};

use crate::af_xdp;
use crate::backend::{Backend, Batch, Sender, Unavailable};
use crate::clock::{Arrival, Clock};
use crate::io_uring::{IoUring, features};
use crate::socket::SocketOptions;
use crate::steered::Steering;
use crate::wake::Wake;
use crate::xdp::Xdp;

/// What was found out about a speed that takes privileges.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// Whether it works here.
    pub usable: bool,
    /// In one line: what was tried, or what failed, why, and what to do about it.
    pub reason: String,
}

impl Probe {
    fn of<T>(tried: Result<T, Unavailable>, works: &str) -> Self {
        match tried {
            Ok(_) => Self { usable: true, reason: format!("{works} on Linux {}", kernel()) },
            Err(unavailable) => Self { usable: false, reason: unavailable.reason },
        }
    }
}

/// Tries steered sockets: their programs are really loaded and attached, and are gone again. It takes some milliseconds.
#[must_use]
pub fn steered() -> Probe {
    Probe::of(Steering::start(1, 2), "BPF programs can be attached")
}

/// Lets the kernel look at the XDP program. It is attached nowhere: some drivers lose packets while one is attached.
#[must_use]
pub fn xdp() -> Probe {
    Probe::of(Xdp::try_program(), "the XDP program can be loaded")
}

/// Opens an AF_XDP socket, on no interface.
#[must_use]
pub fn af_xdp() -> Probe {
    Probe::of(af_xdp::try_socket(), "AF_XDP sockets can be opened")
}

/// What was found out about io_uring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IoUringProbe {
    /// Whether the io_uring backend works here: a datagram was really sent and received through a ring.
    pub usable: bool,
    /// In one line: what was tried, or what failed, why, and what to do about it.
    pub reason: String,
    /// Its features, as far as a ring could be made.
    pub features: Vec<Feature>,
}

/// A feature of io_uring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Feature {
    /// The kernel's name for it.
    pub name: &'static str,
    /// What it is good for.
    pub purpose: &'static str,
    /// The Linux version that brought it.
    pub since: &'static str,
    /// The backend does not work without it.
    pub needed: bool,
    /// It is there.
    pub present: bool,
}

/// Tries io_uring. It takes about a millisecond, and 100 at worst.
#[must_use]
pub fn io_uring() -> IoUringProbe {
    // In a thread of its own: the kernel interrupts whoever made a ring once more after it is closed, and the caller may
    // then be in a system call that would fail with EINTR.
    let probed = std::thread::Builder::new().name("patchcord-probe".to_owned()).spawn(probe).map(JoinHandle::join);
    let failed = |reason: String| IoUringProbe { usable: false, reason, features: Vec::new() };
    match probed {
        Ok(Ok(probe)) => probe,
        Ok(Err(_)) => failed("trying io_uring ended in a panic; it is on standard error".to_owned()),
        Err(error) => failed(format!("cannot start a thread to try io_uring in: {error}")),
    }
}

fn probe() -> IoUringProbe {
    let features = features();
    match attempt() {
        Ok(()) => {
            let reason = format!("io_uring works on Linux {}: multishot receive and batched send tried", kernel());
            IoUringProbe { usable: true, reason, features }
        }
        Err(unavailable) => IoUringProbe { usable: false, reason: unavailable.reason, features },
    }
}

/// The kernel's release, for instance `6.18.4-amd64`.
#[must_use]
pub fn kernel() -> String {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease");
    release.map_or_else(|_| "of unknown release".to_owned(), |release| release.trim().to_owned())
}

/// Whether the network namespace tracks UDP connections (`nf_conntrack`): a datagram is sent, and the count of connections grows.
/// Others may make it grow too, so it counts only if it does each time.
#[must_use]
pub fn is_tracked() -> bool {
    let count = || -> Option<u64> {
        fs::read_to_string("/proc/sys/net/netfilter/nf_conntrack_count").ok()?.trim().parse().ok()
    };
    (0..3).all(|_| {
        let Some(before) = count() else { return false };
        let Ok(socket) = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)) else { return false };
        // To itself, from where nothing was sent before.
        let sent = socket.local_addr().and_then(|addr| socket.send_to(b"patchcord", addr));
        sent.is_ok() && count().is_some_and(|after| after > before)
    })
}

/// Whether the system may give a port between these to a program that asks for any: those within `net.ipv4.ip_local_port_range`,
/// unless they are within one range of `net.ipv4.ip_local_reserved_ports`.
#[must_use]
pub fn are_given_out(first: u16, last: u16) -> bool {
    let read = |name: &str| fs::read_to_string(format!("/proc/sys/net/ipv4/{name}")).unwrap_or_default();
    gives_out(&read("ip_local_port_range"), &read("ip_local_reserved_ports"), first, last)
}

/// As [`are_given_out`], with what the two sysctls say.
#[must_use]
pub fn gives_out(local_range: &str, reserved: &str, first: u16, last: u16) -> bool {
    let mut bounds = local_range.split_whitespace().map(str::parse);
    let (Some(Ok(lowest)), Some(Ok(highest))) = (bounds.next(), bounds.next()) else { return false };
    let (first, last) = (first.max(lowest), last.min(highest));
    let is_reserved = reserved
        .split(',')
        .filter_map(|item| {
            let (low, high) = item.trim().split_once('-').unwrap_or((item.trim(), item.trim()));
            Some((low.parse::<u16>().ok()?, high.parse::<u16>().ok()?))
        })
        .any(|(low, high)| low <= first && last <= high);
    first <= last && !is_reserved
}

/// Sends a datagram from a port to itself. Where a system call filter lets rings be made but not used, only this tells.
fn attempt() -> Result<(), Unavailable> {
    let wake = Arc::new(Wake::new().map_err(|error| Unavailable::io("eventfd", &error))?);
    let mut backend = IoUring::new(2, 8, wake)?;
    let options = SocketOptions { receive_buffer_bytes: 16 << 10, send_buffer_bytes: 16 << 10, dscp: None };
    let loopbacks = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
    let Some(socket) = loopbacks.into_iter().find_map(|ip| backend.bind(SocketAddr::new(ip, 0), &options).ok()) else {
        // Without a loopback there is nothing to try it on.
        return Ok(());
    };
    let port = PortId::new(0, Component::Rtp);
    let addr = socket.local_addr().map_err(|error| Unavailable::io("getsockname", &error))?;
    backend.open(port, socket);
    backend.sender().send([Transmit { port, to: addr, bytes: b"patchcord" }].into_iter());
    for _ in 0..10 {
        let mut batch = Batch::new();
        backend.receive(&mut batch, Arrival::measure(), Clock.now());
        if batch.iter().any(|datagram| datagram.packet() == b"patchcord") {
            return Ok(());
        }
        drop(batch);
        backend.release();
        backend.wait(Some(Duration::from_millis(10)));
    }
    let counts: Vec<String> = backend
        .sender()
        .counters()
        .named()
        .iter()
        .filter(|(_, count)| *count > 0)
        .map(|(name, count)| format!("{name} {count}"))
        .collect();
    Err(Unavailable::new(format!(
        "io_uring is there but a datagram sent through it on loopback did not come back on Linux {} ({}): multishot \
         RECVMSG needs Linux 6.0, and a packet filter must let {addr} reach itself",
        kernel(),
        counts.join(", "),
    )))
}

#[cfg(test)]
mod tests {
    use super::{gives_out, io_uring};

    #[test]
    fn ports_are_given_out_unless_they_are_reserved_or_elsewhere() {
        const RANGE: &str = "32768\t60999\n";
        assert!(gives_out(RANGE, "", 30000, 40000));
        assert!(gives_out(RANGE, "8080,32768-39999", 30000, 40000));
        assert!(!gives_out(RANGE, "8080,30000-40000", 30000, 40000));
        assert!(!gives_out(RANGE, "", 10000, 32767));
        assert!(!gives_out("", "", 30000, 40000), "nobody knows");
    }

    #[test]
    fn the_answer_is_consistent() {
        let probe = io_uring();
        assert!(!probe.reason.is_empty() && !probe.reason.contains('\n'), "{:?}", probe.reason);
        let complete = probe.features.iter().all(|feature| feature.present || !feature.needed);
        assert!(!probe.usable || (complete && !probe.features.is_empty()), "{probe:?}");
    }
}
