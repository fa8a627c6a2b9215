//! What a handshake costs each side, and what a session costs that is kept: `cargo run --release -p patchcord-dtls --example cost`.

#![allow(clippy::print_stdout, reason = "it is what the example is for")]
#![allow(clippy::unwrap_used, reason = "an example may stop at what it did not expect")]

use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use patchcord_dtls::{Endpoint, HashFunction, Identity, Output, Role, Session, Settings, SrtpProfile};

const HANDSHAKES: u32 = 500;

/// Time that the process has had a CPU: on a busy machine the clock on the wall says more than it costs.
fn cpu_time() -> Duration {
    let schedstat = fs::read_to_string("/proc/self/schedstat").unwrap();
    Duration::from_nanos(schedstat.split_whitespace().next().unwrap().parse().unwrap())
}

/// A session, and the time that it has worked, which others may have had part of.
struct Side {
    session: Session,
    worked: Duration,
    longest: Duration,
    connected: bool,
}

impl Side {
    fn new(endpoint: &Arc<Endpoint>, role: Role) -> Self {
        let announced = vec![endpoint.identity().fingerprint(HashFunction::Sha256)];
        let start = Instant::now();
        let session = Session::new(endpoint, role, announced, &SrtpProfile::ALL, start).unwrap();
        let worked = start.elapsed();
        Self { session, worked, longest: worked, connected: false }
    }

    /// Takes what the other side has sent, and gives what it sends.
    fn step(&mut self, received: &[Vec<u8>]) -> Vec<Vec<u8>> {
        let mut sent = Vec::new();
        let mut buffer = [0; Session::DATAGRAM_LEN];
        let start = Instant::now();
        for datagram in received {
            self.session.handle(datagram, start);
        }
        loop {
            match self.session.poll(&mut buffer) {
                Output::Transmit(datagram) => sent.push(datagram.to_vec()),
                Output::Connected(_) => self.connected = true,
                Output::Timeout(_) => break,
                other => panic!("{other:?}"),
            }
        }
        let took = start.elapsed();
        self.worked += took;
        self.longest = self.longest.max(took);
        sent
    }
}

/// Bytes of memory that the process has in use.
fn resident() -> usize {
    let statm = fs::read_to_string("/proc/self/statm").unwrap();
    statm.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

fn main() {
    for dtls_1_3 in [true, false] {
        let mut settings = Settings::default();
        settings.dtls_1_3 = dtls_1_3;
        let endpoint = Endpoint::new(Identity::generate(SystemTime::now()).unwrap(), settings).unwrap();
        let (before, cpu) = (resident(), cpu_time());
        let mut pairs = Vec::new();
        for _ in 0..HANDSHAKES {
            let (mut client, mut server) = (Side::new(&endpoint, Role::Client), Side::new(&endpoint, Role::Server));
            let mut from_server = Vec::new();
            while !(client.connected && server.connected) {
                let from_client = client.step(&from_server);
                from_server = server.step(&from_client);
            }
            pairs.push((client, server));
        }
        let cpu = (cpu_time() - cpu) / HANDSHAKES;
        let name = if dtls_1_3 { "1.3" } else { "1.2" };
        println!("DTLS {name}: {} us of CPU a handshake, both sides together", cpu.as_micros());
        let clients: Vec<&Side> = pairs.iter().map(|(client, _)| client).collect();
        let servers: Vec<&Side> = pairs.iter().map(|(_, server)| server).collect();
        for (name, sides) in [("client", clients), ("server", servers)] {
            let mut worked: Vec<_> = sides.iter().map(|side| side.worked.as_micros()).collect();
            let mut longest: Vec<_> = sides.iter().map(|side| side.longest.as_micros()).collect();
            worked.sort_unstable();
            longest.sort_unstable();
            let median = sides.len() / 2;
            println!("  {name}: median {} us, {} us of it in the longest step", worked[median], longest[median]);
        }
        let kept = resident().saturating_sub(before) / (2 * HANDSHAKES as usize);
        println!("  a session that is kept: {} KiB", kept / 1024);
    }
}
