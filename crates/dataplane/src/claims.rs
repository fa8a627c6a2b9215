//! Which process has which ports, told to whoever starts later in the same network namespace.
//!
//! A port with a socket is the system's to refuse to others; a steered one is not. So every data plane holds a socket with a name
//! that says what it has (an abstract one, unix(7): it belongs to the network namespace and goes with the process), and reads the
//! names of others before it starts.

use core::net::IpAddr;
use core::str::FromStr;
use std::fs;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use crate::config::MediaPorts;

const PREFIX: &str = "patchcord/media";

/// What this process has, as long as this lives.
#[derive(Debug)]
pub(crate) struct Claims {
    _sockets: Vec<UnixDatagram>,
}

/// What a process has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Claim {
    pub(crate) steered: bool,
    pub(crate) ports: MediaPorts,
    pub(crate) process: u32,
}

impl Claims {
    /// Tells others.
    pub(crate) fn make(all: &[MediaPorts], steered: bool) -> io::Result<Self> {
        let process = std::process::id();
        let socket = |&ports: &MediaPorts| {
            let name = Claim { steered, ports, process }.to_string();
            UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(name)?)
        };
        Ok(Self { _sockets: all.iter().map(socket).collect::<io::Result<_>>()? })
    }
}

/// What others have of these ports.
pub(crate) fn others(of: &[MediaPorts]) -> Vec<Claim> {
    // The names of all sockets in this network namespace, an abstract one behind an `@`.
    let Ok(sockets) = fs::read_to_string("/proc/thread-self/net/unix") else { return Vec::new() };
    let claims = sockets.lines().filter_map(|line| line.split_whitespace().last()?.strip_prefix('@')?.parse().ok());
    claims
        .filter(|claim: &Claim| claim.process != std::process::id())
        .filter(|claim| of.iter().any(|ports| ports.overlap(&claim.ports)))
        .collect()
}

impl core::fmt::Display for Claim {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let Self { steered, ports: MediaPorts { address, first, last }, process } = self;
        let how = if *steered { "steered" } else { "sockets" };
        write!(f, "{PREFIX}/{how}/{address}/{first}-{last}/{process}")
    }
}

impl FromStr for Claim {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let rest = text.strip_prefix(PREFIX).and_then(|rest| rest.strip_prefix('/')).ok_or(())?;
        let [how, address, ports, process] =
            <[&str; 4]>::try_from(rest.split('/').collect::<Vec<_>>()).map_err(|_| ())?;
        let (first, last) = ports.split_once('-').ok_or(())?;
        let port = |text: &str| text.parse::<u16>().map_err(|_| ());
        let address: IpAddr = address.parse().map_err(|_| ())?;
        Ok(Self {
            steered: how == "steered",
            ports: MediaPorts { address, first: port(first)?, last: port(last)? },
            process: process.parse().map_err(|_| ())?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Claim, Claims, others};
    use crate::config::MediaPorts;

    fn ports(address: &str, first: u16, last: u16) -> MediaPorts {
        MediaPorts { address: address.parse().expect("a literal"), first, last }
    }

    #[test]
    fn a_claim_survives_its_name() {
        for address in ["192.0.2.1", "2001:db8::1"] {
            let claim = Claim { steered: true, ports: ports(address, 30000, 40000), process: 7 };
            assert_eq!(claim.to_string().parse(), Ok(claim));
        }
        for garbage in ["", "patchcord/media", "patchcord/media/steered/x/1-2/3", "patchcord/media/steered/::1/12/3/4"]
        {
            assert_eq!(garbage.parse::<Claim>(), Err(()), "{garbage}");
        }
    }

    #[test]
    fn ports_overlap_on_one_address_or_on_all() {
        let mine = ports("192.0.2.1", 30000, 40000);
        assert!(mine.overlap(&ports("192.0.2.1", 40000, 40001)));
        assert!(mine.overlap(&ports("0.0.0.0", 1, 65535)));
        assert!(!mine.overlap(&ports("192.0.2.1", 40001, 40002)));
        assert!(!mine.overlap(&ports("192.0.2.2", 30000, 40000)));
        assert!(!mine.overlap(&ports("::", 30000, 40000)));
    }

    #[test]
    fn what_this_process_has_is_no_others() {
        let mine = [ports("192.0.2.77", 1000, 1001)];
        let claims = Claims::make(&mine, true).expect("a free name");
        assert_eq!(others(&mine), []);
        assert!(Claims::make(&mine, true).is_err(), "the name is held");
        drop(claims);
        Claims::make(&mine, true).expect("the name is free again");
    }
}
