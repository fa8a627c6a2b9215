//! Which backend it is to be: the fastest that works here, or the one that was asked for.

use crate::backend::{Backend, Unavailable};
use crate::claims::{self, Claim};
use crate::config::{BackendChoice, Config, MediaPorts, OffloadChoice};
use crate::dataplane::{StartError, ports_max};
use crate::io_uring::IoUring;
use crate::mmsg::Mmsg;
use crate::probe;
use crate::steered::{Steered, Steering};
use crate::xdp::Xdp;

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
    Steered,
    IoUring,
    Mmsg,
}

impl Kind {
    pub(crate) const fn name(self) -> &'static str {
        match self {
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
    /// For [`Kind::Steered`].
    pub(crate) steering: Option<Steering>,
}

/// Looks at the backends from the fastest on and takes the first that works; if a certain one was asked for, that one or none.
pub(crate) fn choose(config: &Config, workers: usize) -> Result<Choice, StartError> {
    let others = claims::others(&config.media);
    if let Some(Claim { ports, process, .. }) = others.iter().find(|claim| claim.steered) {
        let MediaPorts { address, first, last } = *ports;
        return Err(StartError::Taken { process: *process, address, first, last });
    }
    let ports = ports_max(config).saturating_mul(workers);
    let one = |kind: Kind, reason: String, steering| Choice { kind, speeds: vec![kind.is(true, reason)], steering };
    match config.backend {
        BackendChoice::Mmsg => Ok(one(Kind::Mmsg, "recvmmsg and sendmmsg, as configured".to_owned(), None)),
        BackendChoice::Steered => {
            let steering = undisputed(&others).and_then(|()| Steering::start(workers, ports));
            let steering = steering.map_err(|unavailable| Kind::Steered.refuses(unavailable))?;
            Ok(one(Kind::Steered, works(), Some(steering)))
        }
        BackendChoice::IoUring => {
            let probe = probe::io_uring();
            if !probe.usable {
                return Err(Kind::IoUring.refuses(Unavailable::new(probe.reason)));
            }
            Ok(one(Kind::IoUring, probe.reason, None))
        }
        BackendChoice::Auto => {
            let harmless = undisputed(&others).and_then(|()| harmless(&config.media));
            Ok(fastest(harmless, workers, ports))
        }
    }
}

fn fastest(harmless: Result<(), Unavailable>, workers: usize, ports: usize) -> Choice {
    let mut speeds = Vec::new();
    match harmless.and_then(|()| Steering::start(workers, ports)) {
        Ok(steering) => {
            speeds.push(Kind::Steered.is(true, works()));
            return Choice { kind: Kind::Steered, speeds, steering: Some(steering) };
        }
        Err(unavailable) => speeds.push(Kind::Steered.is(false, unavailable.reason)),
    }
    let probe = probe::io_uring();
    let fallback = format!("recvmmsg and sendmmsg, because io_uring is not available: {}", probe.reason);
    speeds.push(Kind::IoUring.is(probe.usable, probe.reason));
    if probe.usable {
        return Choice { kind: Kind::IoUring, speeds, steering: None };
    }
    speeds.push(Kind::Mmsg.is(true, fallback));
    Choice { kind: Kind::Mmsg, speeds, steering: None }
}

/// Whether flows are forwarded by XDP, and the means to do it.
pub(crate) fn offload(config: &Config, workers: usize) -> Result<(Speed, Option<Xdp>), StartError> {
    let speed = |available, reason| Speed { name: XDP, available, reason };
    let started = match config.offload {
        OffloadChoice::Off => return Ok((speed(false, "as configured".to_owned()), None)),
        OffloadChoice::Xdp => Xdp::start(config, workers)
            .map_err(|unavailable| StartError::Backend { name: XDP, reason: unavailable.reason })?,
        OffloadChoice::Auto => {
            match untracked("what is forwarded by XDP would pass it by", "--offload xdp")
                .and_then(|()| Xdp::start(config, workers))
            {
                Ok(xdp) => xdp,
                Err(unavailable) => return Ok((speed(false, unavailable.reason), None)),
            }
        }
    };
    Ok((speed(true, format!("flows that need no decision are forwarded at {}", started.description())), Some(started)))
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
