//! Scenarios, and what has to be running for them.

use std::net::IpAddr;

use crate::ng::daemon::Daemon;
use crate::ng::stage::Stage;

/// A course of commands and packets.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    /// What it is about.
    pub name: &'static str,
    /// How the daemon was started.
    pub setup: Setup,
    /// What is done.
    pub run: fn(&mut Stage),
}

/// How a daemon is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setup {
    /// With one interface of both families.
    Plain,
    /// With one interface of one address.
    OneAddress,
    /// With this mode of `--endpoint-learning`.
    Learning(&'static str),
    /// With two interfaces `int` and `ext`, of which `ext` advertises another address.
    Interfaces,
}

/// What `ext` says its address is, and what it is.
const ADVERTISED: (IpAddr, IpAddr) =
    (IpAddr::V4(std::net::Ipv4Addr::new(203, 0, 113, 9)), IpAddr::V4(std::net::Ipv4Addr::new(127, 0, 0, 2)));

impl Setup {
    /// The daemon's arguments.
    #[must_use]
    pub fn arguments(self) -> Vec<&'static str> {
        match self {
            Self::Plain => vec!["--interface=127.0.0.1", "--interface=::1"],
            Self::OneAddress => vec!["--interface=127.0.0.1"],
            Self::Learning("off") => vec!["--interface=127.0.0.1", "--endpoint-learning=off"],
            Self::Learning("immediate") => vec!["--interface=127.0.0.1", "--endpoint-learning=immediate"],
            Self::Learning("heuristic") => vec!["--interface=127.0.0.1", "--endpoint-learning=heuristic"],
            Self::Learning(_) => vec!["--interface=127.0.0.1", "--endpoint-learning=delayed"],
            Self::Interfaces => {
                vec!["--interface=int/127.0.0.1", "--interface=ext/127.0.0.2!203.0.113.9", "--interface=ext/::1"]
            }
        }
    }

    fn advertised(self) -> &'static [(IpAddr, IpAddr)] {
        match self {
            Self::Plain | Self::OneAddress | Self::Learning(_) => &[],
            Self::Interfaces => &[ADVERTISED],
        }
    }
}

/// What comes of a scenario at a daemon.
///
/// # Panics
/// If the daemon stops answering or relaying.
#[must_use]
pub fn transcript(scenario: &Scenario, daemon: &Daemon) -> Vec<String> {
    let mut stage = Stage::new(daemon.address(), scenario.setup.advertised()).only_from(daemon.ports());
    (scenario.run)(&mut stage);
    stage.finish()
}
