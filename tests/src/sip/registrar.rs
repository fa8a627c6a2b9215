//! Kamailio as a provider's edge that asks for credentials: tests/kamailio/registrar.cfg.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use super::proxy;
use crate::folder::Folder;
use crate::ports::free_port_on;
use crate::process::{Process, Tool};
use crate::wait::eventually;

/// A running Kamailio that registers `pivot` by the password `secret`, over UDP and TCP.
#[derive(Debug)]
pub struct Registrar {
    address: SocketAddr,
    process: Process,
    _runtime: Folder,
}

impl Registrar {
    /// Starts it on a free port of 127.0.0.5, an address that nobody else has.
    ///
    /// # Panics
    /// If it does not start.
    #[must_use]
    pub fn start() -> Self {
        let ip = Ipv4Addr::new(127, 0, 0, 5);
        let free = || free_port_on(ip.into());
        let address = (0..16).map(|_| free()).find(|address| TcpListener::bind(address).is_ok());
        let address = address.expect("a port that is free for UDP and TCP");
        let runtime = Folder::create(&std::env::temp_dir().to_string_lossy(), &format!("registrar-{}", address.port()));
        let configuration = concat!(env!("CARGO_MANIFEST_DIR"), "/kamailio/registrar.cfg");
        let mut command = Tool { program: "kamailio", package: "kamailio" }.command();
        command.args(["-f", configuration, "-DD", "-E", "-m", "64", "-M", "8"]);
        for (name, transport) in [("UDP_PLACE", "udp"), ("TCP_PLACE", "tcp")] {
            command.args(["-A", &format!("{name}={transport}:{address}")]);
        }
        command.arg("-Y").arg(runtime.path()).arg("-P").arg(runtime.path().join("pid"));
        command.stdout(std::process::Stdio::null());
        let mut process = Process::start("Kamailio", &mut command);
        eventually("Kamailio answers OPTIONS", || {
            assert!(process.ended().is_none(), "Kamailio has ended: {}", process.stderr());
            proxy::answers(address)
        });
        Self { address, process, _runtime: runtime }
    }

    /// Where it takes requests.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether somebody has registered as `pivot`.
    #[must_use]
    pub fn has_pivot(&self) -> bool {
        let reply = proxy::options(self.address, &format!("pivot@{}", super::DOMAIN));
        reply.is_some_and(|reply| !reply.contains(" 404 "))
    }

    /// What it has written on stderr so far.
    #[must_use]
    pub fn stderr(&self) -> String {
        self.process.stderr()
    }
}
