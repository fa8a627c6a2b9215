//! Which backend it is to be: the fastest that works here, or the one that was asked for.

use std::sync::Arc;

use crate::af_xdp::AfXdp;
use crate::backend::{Backend, Unavailable};
use crate::claims::{self, Claim};
use crate::config::{BackendChoice, Config, MediaPorts, OffloadChoice};
use crate::dataplane::{StartError, ports_max};
use crate::io_uring::IoUring;
use crate::mmsg::Mmsg;
use crate::probe;
use crate::steered::{Steered, Steering};
use crate::wake::Wake;
use crate::xdp::{Listeners, Purpose, Xdp};

/// A backend and what was found out about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Speed {
    /// Its name in configuration, logs and snapshots.
    pub name: &'static str,
    /// It works here.
    pub available: bool,
    /// In one line: what was tried, or what failed, why, and what to do about it.
    pub reason: String,
}

/// What the offload is called.
const XDP: &str = "xdp";

/// The backends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    AfXdp,
    Steered,
    IoUring,
    Mmsg,
}

impl Kind {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::AfXdp => AfXdp::NAME,
            Self::Steered => Steered::NAME,
            Self::IoUring => IoUring::NAME,
            Self::Mmsg => Mmsg::NAME,
        }
    }

    /// The error of whoever asked for this one.
    pub(crate) fn refuses(self, unavailable: Unavailable) -> StartError {
        StartError::Backend { name: self.name(), reason: unavailable.reason }
    }

    fn is(self, available: bool, reason: String) -> Speed {
        Speed { name: self.name(), available, reason }
    }
}

/// What came of it.
pub(crate) struct Choice {
    pub(crate) kind: Kind,
    /// Those that were looked at, from the fastest to the chosen one.
    pub(crate) speeds: Vec<Speed>,
    /// For [`Kind::AfXdp`] and [`Kind::Steered`].
    pub(crate) steering: Option<Steering>,
    /// Whether flows that need no decision are forwarded past the workers.
    pub(crate) offload: Speed,
    /// The means to do that, and for [`Kind::AfXdp`].
    pub(crate) xdp: Option<Xdp>,
}

/// What moves the datagrams.
struct Mover {
    kind: Kind,
    speeds: Vec<Speed>,
    steering: Option<Steering>,
}

/// Looks at the backends from the fastest on and takes the first that works; if a certain one was asked for, that one or none. Likewise
/// for the offload.
pub(crate) fn choose(config: &Config, wakes: &[Arc<Wake>]) -> Result<Choice, StartError> {
    let workers = wakes.len();
    let Mover { mut kind, mut speeds, steering } = mover(config, workers)?;
    // Whoever wants no XDP program for flows has not asked for one for this either.
    let may_be_faster =
        kind == Kind::Steered && config.backend == BackendChoice::Auto && config.offload != OffloadChoice::Off;
    let leases = steering.as_ref().filter(|_| kind == Kind::AfXdp || may_be_faster).map(Steering::leases).transpose();
    let leases = leases.map_err(|error| kind.refuses(Unavailable::io("sharing the ports", &error)))?;
    let listeners = leases.map(|leases| Listeners { leases, wakes: wakes.to_vec() });
    let (offload, xdp) = offload(config, workers, listeners)?;
    if kind == Kind::AfXdp || may_be_faster {
        let sockets = xdp.as_ref().map_or(Err(offload.reason.as_str()), Xdp::sockets);
        match sockets {
            Ok(sockets) => {
                kind = Kind::AfXdp;
                speeds = vec![kind.is(true, format!("packets come and go by AF_XDP sockets at {sockets}"))];
            }
            Err(refusal) if may_be_faster => speeds.insert(0, Kind::AfXdp.is(false, refusal.to_owned())),
            Err(refusal) => return Err(kind.refuses(Unavailable::new(refusal))),
        }
    }
    Ok(Choice { kind, speeds, steering, offload, xdp })
}

fn mover(config: &Config, workers: usize) -> Result<Mover, StartError> {
    let others = claims::others(&config.media);
    if let Some(Claim { ports, process, .. }) = others.iter().find(|claim| claim.steered) {
        let MediaPorts { address, first, last } = *ports;
        return Err(StartError::Taken { process: *process, address, first, last });
    }
    let ports = ports_max(config).saturating_mul(workers);
    let one = |kind: Kind, reason: String| Mover { kind, speeds: vec![kind.is(true, reason)], steering: None };
    let steering = |kind: Kind| {
        let steering = undisputed(&others).and_then(|()| Steering::start(workers, ports));
        steering.map(Some).map_err(|unavailable| kind.refuses(unavailable))
    };
    match config.backend {
        BackendChoice::Mmsg => Ok(one(Kind::Mmsg, "recvmmsg and sendmmsg, as configured".to_owned())),
        BackendChoice::AfXdp => Ok(Mover { kind: Kind::AfXdp, speeds: Vec::new(), steering: steering(Kind::AfXdp)? }),
        BackendChoice::Steered => Ok(Mover { steering: steering(Kind::Steered)?, ..one(Kind::Steered, works()) }),
        BackendChoice::IoUring => {
            let probe = probe::io_uring();
            if !probe.usable {
                return Err(Kind::IoUring.refuses(Unavailable::new(probe.reason)));
            }
            Ok(one(Kind::IoUring, probe.reason))
        }
        BackendChoice::Auto => {
            let harmless = undisputed(&others).and_then(|()| harmless(&config.media));
            Ok(fastest(harmless, workers, ports))
        }
    }
}

fn fastest(harmless: Result<(), Unavailable>, workers: usize, ports: usize) -> Mover {
    let mut speeds = Vec::new();
    match harmless.and_then(|()| Steering::start(workers, ports)) {
        Ok(steering) => {
            speeds.push(Kind::Steered.is(true, works()));
            return Mover { kind: Kind::Steered, speeds, steering: Some(steering) };
        }
        Err(unavailable) => speeds.push(Kind::Steered.is(false, unavailable.reason)),
    }
    let probe = probe::io_uring();
    let fallback = format!("recvmmsg and sendmmsg, because io_uring is not available: {}", probe.reason);
    speeds.push(Kind::IoUring.is(probe.usable, probe.reason));
    if probe.usable {
        return Mover { kind: Kind::IoUring, speeds, steering: None };
    }
    speeds.push(Kind::Mmsg.is(true, fallback));
    Mover { kind: Kind::Mmsg, speeds, steering: None }
}

/// Whether flows are forwarded by XDP, and the means to do it, and to give packets to the AF_XDP sockets of these listeners.
fn offload(config: &Config, workers: usize, listeners: Option<Listeners>) -> Result<(Speed, Option<Xdp>), StartError> {
    let speed = |available, reason| Speed { name: XDP, available, reason };
    let has_listeners = listeners.is_some();
    let wanted = match config.offload {
        OffloadChoice::Off => Err("as configured".to_owned()),
        OffloadChoice::Xdp => Ok(()),
        OffloadChoice::Auto => untracked("what is forwarded by XDP would pass it by", "--offload xdp")
            .map_err(|unavailable| unavailable.reason),
    };
    match wanted {
        Err(reason) if !has_listeners => return Ok((speed(false, reason), None)),
        _ => {}
    }
    match Xdp::start(config, workers, Purpose { flows: wanted.is_ok(), listeners }) {
        Ok(xdp) => {
            let offload = match wanted {
                Ok(()) => speed(true, format!("flows that need no decision are forwarded at {}", xdp.description())),
                Err(reason) => speed(false, reason),
            };
            Ok((offload, Some(xdp)))
        }
        Err(unavailable) if config.backend == BackendChoice::AfXdp => Err(Kind::AfXdp.refuses(unavailable)),
        Err(unavailable) if config.offload == OffloadChoice::Xdp => {
            Err(StartError::Backend { name: XDP, reason: unavailable.reason })
        }
        Err(unavailable) => Ok((speed(false, unavailable.reason), None)),
    }
}

fn works() -> String {
    format!("BPF programs steer all ports to one socket a worker on Linux {}", probe::kernel())
}

/// Ports on which another process has sockets, or may open some, would be taken from it.
fn undisputed(others: &[Claim]) -> Result<(), Unavailable> {
    let Some(Claim { ports: MediaPorts { address, first, last }, process, .. }) = others.first() else { return Ok(()) };
    Err(Unavailable::new(format!(
        "process {process} uses the ports {first}-{last} of {address} too, and would hear nothing on those steered here: choose \
         other ports (--ports)"
    )))
}

/// Nobody who has not asked for it gets what other programs or a firewall may take amiss.
fn harmless(media: &[MediaPorts]) -> Result<(), Unavailable> {
    if let Some(MediaPorts { first, last, .. }) =
        media.iter().find(|ports| probe::are_given_out(ports.first, ports.last))
    {
        return Err(Unavailable::new(format!(
            "the system may give ports of {first}-{last} to other programs, which would then hear nothing: reserve them \
             (sysctl -w net.ipv4.ip_local_reserved_ports={first}-{last}, and the same line in /etc/sysctl.d)"
        )));
    }
    untracked("they would be seen to leave from a wrong port", "--backend steered")
}

/// Where connections are tracked, packets may be translated or filtered by that.
fn untracked(consequence: &str, option: &str) -> Result<(), Unavailable> {
    if probe::is_tracked() {
        return Err(Unavailable::new(format!(
            "this network namespace tracks connections, and {consequence}: exempt the media ports (nftables: notrack) and accept \
             them by number, then ask for it ({option})"
        )));
    }
    Ok(())
}
