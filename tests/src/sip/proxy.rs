//! Kamailio with the configuration that the documentation shows.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};

use super::DOMAIN;
use crate::folder::Folder;
use crate::ports::free_port_on;
use crate::process::{Process, Tool};
use crate::wait::eventually;

/// A running Kamailio.
#[derive(Debug)]
pub struct Kamailio {
    address: SocketAddr,
    process: Process,
    _runtime: Folder,
}

impl Kamailio {
    /// Starts it on a free port of loopback, with the relay at this ng address.
    ///
    /// # Panics
    /// If it does not start.
    #[must_use]
    pub fn start(ng: SocketAddr) -> Self {
        Self::start_on(Ipv4Addr::LOCALHOST.into(), ng)
    }

    /// [`Kamailio::start`] on another address of this host, or of the network namespace that the thread is in.
    ///
    /// # Panics
    /// If it does not start.
    #[must_use]
    pub fn start_on(ip: IpAddr, ng: SocketAddr) -> Self {
        let address = free_port_on(ip);
        let runtime = Folder::create(&std::env::temp_dir().to_string_lossy(), &format!("kamailio-{}", address.port()));
        let configuration = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/kamailio/kamailio.cfg");
        let mut command = Tool { program: "kamailio", package: "kamailio" }.command();
        command.args(["-f", configuration, "-DD", "-E", "-m", "64", "-M", "8"]);
        command.args(["-A", &format!("LISTEN=udp:{address}"), "-A", &format!("RELAY=\"udp:{ng}\"")]);
        command.arg("-Y").arg(runtime.path()).arg("-P").arg(runtime.path().join("pid"));
        command.stdout(std::process::Stdio::null());
        let mut process = Process::start("Kamailio", &mut command);
        eventually("Kamailio answers OPTIONS", || {
            assert!(process.ended().is_none(), "Kamailio has ended: {}", process.stderr());
            answers(address)
        });
        Self { address, process, _runtime: runtime }
    }

    /// Where it takes requests.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits until a telephone has registered for this user.
    ///
    /// # Panics
    /// If none does.
    pub fn wait_for_registration(&self, user: &str) {
        let registered = || options(self.address, &format!("{user}@{DOMAIN}")).filter(|reply| !reply.contains(" 404 "));
        eventually(&format!("{user} has registered"), || registered().map(drop));
    }

    /// What it has written on stderr so far.
    #[must_use]
    pub fn stderr(&self) -> String {
        self.process.stderr()
    }
}

pub(super) fn answers(proxy: SocketAddr) -> Option<()> {
    // It sends the request on to its addressee, which is this socket, or answers: either way it lives.
    options(proxy, "").map(drop)
}

/// Asks for a user, or for nobody at the socket that asks, and gives what comes first.
pub(super) fn options(proxy: SocketAddr, user: &str) -> Option<String> {
    let socket = UdpSocket::bind((proxy.ip(), 0)).expect("it has free ports");
    let own = socket.local_addr().expect("it is bound");
    socket.set_read_timeout(Some(std::time::Duration::from_millis(100))).expect("a timeout");
    let user = if user.is_empty() { format!("nobody@{own}") } else { user.to_owned() };
    let port = own.port();
    let options = format!(
        "OPTIONS sip:{user} SIP/2.0\r\nVia: SIP/2.0/UDP {own};branch=z9hG4bKready{port};rport\r\nMax-Forwards: 5\r\n\
         From: <sip:a@{own}>;tag=r\r\nTo: <sip:{user}>\r\nCall-ID: ready{port}@{own}\r\nCSeq: 1 OPTIONS\r\n\
         Content-Length: 0\r\n\r\n"
    );
    socket.send_to(options.as_bytes(), proxy).ok()?;
    let mut buffer = [0; 2048];
    let len = socket.recv(&mut buffer).ok()?;
    Some(String::from_utf8_lossy(&buffer[..len]).into_owned())
}
