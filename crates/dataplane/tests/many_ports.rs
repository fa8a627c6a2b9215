//! Twenty thousand ports under a limit of 1,024 open files. A test program of its own, because the limit is that of a process.

#![allow(unsafe_code, reason = "setrlimit has no safe wrapper in std")]
#![allow(clippy::print_stderr, reason = "a skipped test says why")]

use core::time::Duration;
use std::net::UdpSocket;
use std::time::Instant;

#[path = "relaying/support.rs"]
#[allow(
    dead_code,
    unused_macros,
    unused_imports,
    reason = "shared with the tests on loopback, which use the rest of it"
)]
mod support;

use patchcord_dataplane::Config;
use patchcord_relay::command::{Command, LegSpec};
use patchcord_relay::ids::LegId;
use support::{Relay, alone, eventually, rtp, spec, steered};

const LEGS: u16 = 10_000;

#[test]
fn twenty_thousand_ports_are_open_under_a_limit_of_1024_files() {
    let Some(config) = steered() else { return };
    limit_open_files(1024);
    alone(|| open_and_hear(&Config { legs_max_per_worker: LEGS.into(), ..config }));
}

fn open_and_hear(config: &Config) {
    let mut relay = Relay::start(config);
    let leg = |index: u16| -> LegSpec {
        let mut spec = spec(([127, 0, 0, 1], 10_000 + 2 * index).into(), None);
        spec.local_rtcp = Some(([127, 0, 0, 1], 10_001 + 2 * index).into());
        spec
    };
    let start = Instant::now();
    let mut legs: Vec<LegId> = Vec::new();
    for first in (0..LEGS).step_by(100) {
        let specs: Vec<LegSpec> = (first..first + 100).map(leg).collect();
        legs.extend(specs.iter().map(|spec| spec.id));
        let commands = specs.into_iter().map(|spec| Command::AddLeg(Box::new(spec))).collect();
        relay.apply(commands).expect("room for all");
    }
    eprintln!("{} ports opened in {:?}", 2 * LEGS, start.elapsed());
    let files = std::fs::read_dir("/proc/self/fd").expect("procfs").count();
    assert!(files < 100, "{files} open files");

    // Every port is heard, RTP and RTCP.
    let party = UdpSocket::bind("127.0.0.1:0").expect("loopback");
    let mut sent = 0;
    for index in 0..LEGS {
        party.send_to(&rtp(1, index), ("127.0.0.1", 10_000 + 2 * index)).expect("it leaves");
        party.send_to(&[0x80, 201, 0, 1, 0, 0, 0, 1], ("127.0.0.1", 10_001 + 2 * index)).expect("it leaves");
        sent += 2;
        if sent % 1000 == 0 {
            eventually("all have arrived", || relay.worker().datagrams == sent);
        }
    }
    for leg in legs {
        relay.apply(vec![Command::RemoveLeg { leg }]).expect("it is there");
    }
    // Nobody has them any more.
    party.set_read_timeout(Some(Duration::from_secs(5))).expect("a timeout");
    party.connect(("127.0.0.1", 10_000)).expect("a route");
    party.send(b"x").expect("it leaves");
    assert_eq!(party.recv(&mut [0; 16]).expect_err("nobody is there").kind(), std::io::ErrorKind::ConnectionRefused);
}

fn limit_open_files(limit: u64) {
    let limit = libc::rlimit { rlim_cur: limit, rlim_max: limit };
    // SAFETY: `limit` is a valid rlimit to read from.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) }, 0);
}
