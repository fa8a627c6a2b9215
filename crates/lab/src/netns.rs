//! Network namespaces joined by veth pairs: several hosts on one, for measurements that must not take the loopback's short cuts.
//!
//! ```no_run
//! use patchcord_lab::netns::Namespace;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let caller = Namespace::create("caller")?;
//! let relay = Namespace::create("relay")?;
//! caller.connect("10.0.0.2/24".parse()?, &relay, "10.0.0.1/24".parse()?)?;
//! let socket = caller.run(|| std::net::UdpSocket::bind("10.0.0.2:0"))??;
//! # Ok(())
//! # }
//! ```

use std::fmt;
use std::fs::{self, File};
use std::io;
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::process::{Child, Command, Stdio};
use std::str::FromStr;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::sys;

/// Makes the names of one process differ.
static CREATED: AtomicU32 = AtomicU32::new(0);

/// A network namespace with its loopback up, removed with all its interfaces when dropped.
#[derive(Debug)]
pub struct Namespace {
    name: String,
    file: File,
}

/// An address with the length of its network's prefix, as in `10.0.0.1/24`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    /// The host's address.
    pub address: IpAddr,
    /// Bits of the prefix.
    pub prefix_len: u8,
}

/// The two ends of a veth pair, by the names of their interfaces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// In the namespace that was asked to connect.
    pub own: String,
    /// In the other one.
    pub others: String,
}

/// An Ethernet address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mac(pub [u8; 6]);

/// Why a namespace could not be had or used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NetnsError {
    /// The process may not create namespaces.
    #[error(
        "network namespaces need CAP_SYS_ADMIN and CAP_NET_ADMIN, which this process does not have: run it as root (in a container: \
         with --privileged)"
    )]
    Privileges,
    /// A program that is needed could not be started.
    #[error("cannot run `{command}`: {source}; it comes with the package iproute2")]
    Start {
        /// The command line.
        command: String,
        /// What the system said.
        source: io::Error,
    },
    /// `ip` refused.
    #[error("`{command}` failed: {stderr}")]
    Refused {
        /// The command line.
        command: String,
        /// What it printed.
        stderr: String,
    },
    /// The namespace could not be opened or entered.
    #[error("cannot enter the network namespace {name}: {source}")]
    Enter {
        /// Its name.
        name: String,
        /// What the system said.
        source: io::Error,
    },
}

impl Namespace {
    /// Creates a namespace whose name is made of this process, a number and `label`.
    ///
    /// # Errors
    /// [`NetnsError::Privileges`] without root; else what `ip netns` said.
    pub fn create(label: &str) -> Result<Self, NetnsError> {
        if !may_create() {
            return Err(NetnsError::Privileges);
        }
        let number = CREATED.fetch_add(1, Ordering::Relaxed);
        let name = format!("patchcord-{}-{number}-{label}", std::process::id());
        ip(&["netns", "add", &name])?;
        let path = format!("/run/netns/{name}");
        let file = match File::open(path) {
            Ok(file) => file,
            Err(source) => {
                // Not left behind; that it could not be opened is the error to tell.
                let _ = ip(&["netns", "del", &name]);
                return Err(NetnsError::Enter { name, source });
            }
        };
        let namespace = Self { name, file };
        ip(&["-n", &namespace.name, "link", "set", "lo", "up"])?;
        Ok(namespace)
    }

    /// Its name, as `ip netns` shows it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Lays a veth pair between this namespace and another and gives each end its address. The interfaces' names are new.
    ///
    /// # Errors
    /// What `ip` said.
    pub fn connect(&self, own: Network, other: &Self, others: Network) -> Result<Link, NetnsError> {
        // Interface names have at most 15 characters and must differ within a namespace.
        let number = CREATED.fetch_add(1, Ordering::Relaxed);
        let (near, far) = (format!("pc{number}a"), format!("pc{number}b"));
        ip(&["link", "add", &near, "netns", &self.name, "type", "veth", "peer", "name", &far, "netns", &other.name])?;
        for (namespace, interface, network) in [(self, &near, own), (other, &far, others)] {
            // An IPv6 address is usable at once only without duplicate address detection.
            let detection: &[&str] = if network.address.is_ipv6() { &["nodad"] } else { &[] };
            let network = network.to_string();
            ip(&[&["-n", &namespace.name, "addr", "add", &network, "dev", interface], detection].concat())?;
            ip(&["-n", &namespace.name, "link", "set", interface, "up"])?;
        }
        Ok(Link { own: near, others: far })
    }

    /// Gives an interface this Ethernet address.
    ///
    /// # Errors
    /// What `ip` said.
    pub fn set_mac(&self, interface: &str, mac: Mac) -> Result<(), NetnsError> {
        ip(&["-n", &self.name, "link", "set", "dev", interface, "address", &mac.to_string()])
    }

    /// Says once and for all which Ethernet address a neighbour has, so that nobody is asked.
    ///
    /// # Errors
    /// What `ip` said.
    pub fn know_neighbour(&self, interface: &str, neighbour: IpAddr, mac: Mac) -> Result<(), NetnsError> {
        let (neighbour, mac) = (neighbour.to_string(), mac.to_string());
        ip(&["-n", &self.name, "neigh", "replace", &neighbour, "lladdr", &mac, "dev", interface, "nud", "permanent"])
    }

    /// Sends whatever is for none of its own networks to this neighbour.
    ///
    /// # Errors
    /// What `ip` said.
    pub fn route_by_default(&self, neighbour: IpAddr) -> Result<(), NetnsError> {
        ip(&["-n", &self.name, "route", "add", "default", "via", &neighbour.to_string()])
    }

    /// Runs a closure in a thread of its own inside the namespace and waits for it. Sockets that it opens stay in the namespace,
    /// as do threads and processes that it starts.
    ///
    /// # Errors
    /// [`NetnsError::Enter`] if the thread could not enter. A panic of the closure goes on in the caller.
    pub fn run<T: Send>(&self, inside: impl FnOnce() -> T + Send) -> Result<T, NetnsError> {
        let entered = std::thread::scope(|scope| {
            let thread = scope.spawn(|| sys::enter_network_namespace(self.file.as_fd()).map(|()| inside()));
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        });
        entered.map_err(|source| NetnsError::Enter { name: self.name.clone(), source })
    }

    /// Starts a command inside the namespace.
    ///
    /// # Errors
    /// The inner error is that of starting the command.
    pub fn spawn(&self, command: &mut Command) -> Result<io::Result<Child>, NetnsError> {
        self.run(|| command.spawn())
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // Nobody could do anything about a failure here.
        let _ = ip(&["netns", "del", &self.name]);
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix_len)
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

/// What is wrong with the text of a [`Network`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an address with a prefix length, such as 10.0.0.1/24")]
pub struct NotANetwork(String);

impl FromStr for Network {
    type Err = NotANetwork;

    fn from_str(text: &str) -> Result<Self, NotANetwork> {
        let parsed = text.split_once('/').and_then(|(address, prefix_len)| {
            let network = Self { address: address.parse().ok()?, prefix_len: prefix_len.parse().ok()? };
            let bits = if network.address.is_ipv4() { 32 } else { 128 };
            (network.prefix_len <= bits).then_some(network)
        });
        parsed.ok_or_else(|| NotANetwork(text.to_owned()))
    }
}

/// Whether this process has the capabilities, by the effective set in /proc (capabilities(7)).
#[must_use]
pub fn may_create() -> bool {
    const CAP_NET_ADMIN: u32 = 12;
    const CAP_SYS_ADMIN: u32 = 21;
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let effective = effective.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok()).unwrap_or(0);
    [CAP_NET_ADMIN, CAP_SYS_ADMIN].into_iter().all(|capability| effective >> capability & 1 == 1)
}

fn ip(arguments: &[&str]) -> Result<(), NetnsError> {
    let command = || format!("ip {}", arguments.join(" "));
    let output = Command::new("ip")
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .map_err(|source| NetnsError::Start { command: command(), source })?;
    if output.status.success() {
        return Ok(());
    }
    let stderr = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(NetnsError::Refused { command: command(), stderr })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_read_and_written() {
        for text in ["10.0.0.1/24", "2001:db8::1/64"] {
            assert_eq!(text.parse::<Network>().map(|network| network.to_string()), Ok(text.to_owned()));
        }
        for text in ["10.0.0.1", "10.0.0.1/33", "10.0.0/24", "/24", ""] {
            let error = text.parse::<Network>().expect_err("not a network");
            assert!(error.to_string().contains("such as 10.0.0.1/24"));
        }
    }
}
