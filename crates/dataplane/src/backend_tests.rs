//! What every backend must do, tried over real sockets on loopback: each test runs over all.

#![allow(clippy::print_stderr, reason = "a skipped test says why")]

use core::net::SocketAddr;
use core::time::Duration;
use std::net::UdpSocket;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Instant;

use patchcord_relay::Transmit;
use patchcord_relay::ids::{Component, PortId};

use crate::backend::{BATCH, Backend, Batch, Sender, Unavailable};
use crate::clock::{Arrival, Clock};
use crate::counters::Io;
use crate::io_uring::IoUring;
use crate::mmsg::Mmsg;
use crate::socket::SocketOptions;
use crate::steered::{Steered, Steering};
use crate::wake::Wake;

#[path = "../tests/relaying/alone.rs"]
mod alone;

/// Held by whoever starts processes: one that is started holds all open sockets until its program begins, and ports that a test has just
/// closed would be busy for that time.
pub(crate) static PROCESSES: RwLock<()> = RwLock::new(());

const PORTS: usize = 64;
const BUFFERS: u16 = 16;
const OPTIONS: SocketOptions =
    SocketOptions { receive_buffer_bytes: 256 << 10, send_buffer_bytes: 256 << 10, dscp: None };
const PATIENCE: Duration = Duration::from_secs(5);
const LOOPBACKS: [&str; 2] = ["127.0.0.1:0", "[::1]:0"];

/// Runs the body as three tests, `io_uring`, `mmsg` and `steered`.
macro_rules! over_all {
    ($name:ident, |$backend:ident: $ty:ident, $wake:ident| $body:block) => {
        mod $name {
            use super::*;

            fn body<$ty: Backend>($backend: $ty, $wake: Arc<Wake>) {
                let mut $backend = $backend;
                $body
            }

            #[test]
            fn io_uring() {
                let _quiet = PROCESSES.read().unwrap_or_else(PoisonError::into_inner);
                if let Some((backend, wake)) = available(|wake| IoUring::new(PORTS, BUFFERS, wake)) {
                    body(backend, wake);
                }
            }

            #[test]
            fn mmsg() {
                let _quiet = PROCESSES.read().unwrap_or_else(PoisonError::into_inner);
                if let Some((backend, wake)) = available(|wake| Mmsg::new(PORTS, wake)) {
                    body(backend, wake);
                }
            }

            #[test]
            fn steered() {
                over_steered(body);
            }
        }
    };
}

over_all!(datagrams_come_and_go_intact, |backend: B, _wake| {
    for loopback in LOOPBACKS {
        let party = Party::new(loopback);
        let (near, far) = (port(0), port(1));
        let near_addr = open(&mut backend, near, loopback);
        let far_addr = open(&mut backend, far, loopback);
        let content: Vec<u8> = (0..1472).map(|index| index as u8).collect();
        let before = Clock.now();
        party.send(&content, near_addr);
        let mut heard = Vec::new();
        collect(&mut backend, 1, |datagram| {
            heard.push((datagram.port, datagram.from, datagram.arrived, datagram.packet().to_vec()));
        });
        let (at, from, arrived, packet) = heard.pop().expect("one datagram");
        assert_eq!((at, from), (near, party.addr()));
        assert_eq!(packet, content);
        assert!(arrived.as_nanos() + 1_000_000 > before.as_nanos(), "the arrival lies before the sending");
        // Out by the other port.
        let reply = Transmit { port: far, to: party.addr(), bytes: &content };
        backend.sender().send([reply].into_iter());
        assert_eq!(party.receive(), (content, far_addr));
        backend.close(&[near, far]);
    }
});

over_all!(a_closed_port_can_be_bound_at_once, |backend: B, _wake| {
    let addr = open(&mut backend, port(0), LOOPBACKS[0]);
    for _ in 0..20 {
        backend.close(&[port(0)]);
        let opening = backend.bind(addr, &OPTIONS).expect("nobody else has the port");
        backend.open(port(0), opening);
    }
    let party = Party::new(LOOPBACKS[0]);
    party.send(b"still there", addr);
    collect(&mut backend, 1, |datagram| assert_eq!(datagram.packet(), b"still there"));
});

over_all!(what_arrived_before_the_close_is_not_heard_after_it, |backend: B, _wake| {
    let addr = open(&mut backend, port(0), LOOPBACKS[0]);
    let party = Party::new(LOOPBACKS[0]);
    collect(&mut backend, 0, |_| {});
    for _ in 0..5 {
        party.send(b"to the old socket", addr);
    }
    backend.close(&[port(0)]);
    let addr = open(&mut backend, port(0), LOOPBACKS[0]);
    party.send(b"to the new socket", addr);
    collect(&mut backend, 1, |datagram| assert_eq!(datagram.packet(), b"to the new socket"));
});

#[test]
fn more_than_a_batch_can_be_late() {
    // With buffers for all of them, one call takes in what all sockets hold.
    let Some((mut backend, _wake)) = available(|wake| IoUring::new(PORTS, 1024, wake)) else { return };
    let party = Party::new(LOOPBACKS[0]);
    for _ in 0..3 {
        let addrs: Vec<_> = (0..16).map(|index| open(&mut backend, port(index), LOOPBACKS[0])).collect();
        collect(&mut backend, 0, |_| {});
        for &addr in addrs.iter().cycle().take(16 * 30) {
            party.send(b"late", addr);
        }
        take(&mut backend, |datagram| assert_eq!(datagram.packet(), b"late"));
        backend.close(&(0..16).map(port).collect::<Vec<_>>());
        let addr = open(&mut backend, port(0), LOOPBACKS[0]);
        party.send(b"in time", addr);
        collect(&mut backend, 1, |datagram| assert_eq!(datagram.packet(), b"in time"));
    }
    assert!(backend.sender().counters().get(Io::ReceivedAfterClose) > BATCH as u64, "the test tests nothing");
}

over_all!(empty_datagrams_end_nothing, |backend: B, _wake| {
    let addr = open(&mut backend, port(0), LOOPBACKS[0]);
    let party = Party::new(LOOPBACKS[0]);
    for _ in 0..3 {
        party.send(b"", addr);
        party.send(b"content", addr);
        let mut lens = Vec::new();
        collect(&mut backend, 2, |datagram| lens.push(datagram.len));
        lens.sort_unstable();
        assert_eq!(lens, [0, 7]);
    }
});

over_all!(a_burst_beyond_all_buffers_is_received_whole, |backend: B, _wake| {
    let addrs: Vec<_> = (0..8).map(|index| open(&mut backend, port(index), LOOPBACKS[0])).collect();
    let party = Party::new(LOOPBACKS[0]);
    let per_port = 50;
    for round in 0..per_port {
        for &addr in &addrs {
            party.send(&[round], addr);
        }
    }
    let mut next = [0; 8];
    let mut least_at_first_end = None;
    collect(&mut backend, 8 * usize::from(per_port), |datagram| {
        let expected = &mut next[datagram.port.slot() as usize];
        assert_eq!(datagram.packet(), [*expected], "order within a port");
        *expected += 1;
        if *expected == per_port && least_at_first_end.is_none() {
            least_at_first_end = next.iter().min().copied();
        }
    });
    // One queue for all is served in the order of arrival.
    let fair = B::NAME == "steered" || least_at_first_end > Some(per_port / 4);
    assert!(fair, "one port was through when another was at {least_at_first_end:?}");
    assert_eq!(backend.sender().counters().get(Io::KernelDropped), 0);
    assert_eq!(backend.sender().counters().get(Io::Received), 8 * u64::from(per_port));
    if B::NAME == "io-uring" {
        assert!(backend.sender().counters().get(Io::RecvEnobufs) > 0, "16 buffers cannot have been enough");
    }
});

over_all!(no_socket_keeps_others_from_being_heard, |backend: B, _wake| {
    let loud = open(&mut backend, port(0), LOOPBACKS[0]);
    let quiet = open(&mut backend, port(1), LOOPBACKS[0]);
    let party = Party::new(LOOPBACKS[0]);
    for _ in 0..300 {
        party.send(b"loud", loud);
    }
    party.send(b"quiet", quiet);
    let mut before = 0;
    let mut heard = false;
    collect(&mut backend, 301, |datagram| match datagram.port.slot() {
        0 if !heard => before += 1,
        0 => {}
        _ => heard = true,
    });
    // In one queue for all it is heard in its turn; what keeps a flood from filling that queue is tested with the programs.
    assert!(heard && (before < 300 || B::NAME == "steered"), "the quiet one was heard after {before} of 300");
});

over_all!(oversized_datagrams_are_marked, |backend: B, _wake| {
    let addr = open(&mut backend, port(0), LOOPBACKS[0]);
    Party::new(LOOPBACKS[0]).send(&[7; 5000], addr);
    collect(&mut backend, 1, |datagram| {
        assert!(datagram.truncated);
        assert!(datagram.packet().iter().all(|&byte| byte == 7));
    });
});

over_all!(a_full_queue_is_counted, |backend: B, _wake| {
    let small = SocketOptions { receive_buffer_bytes: 2048, ..OPTIONS };
    let addr = open_with(&mut backend, port(0), LOOPBACKS[0], &small);
    if B::NAME == "steered" {
        // One queue for all ports has one size.
        backend.resize_queues(small.receive_buffer_bytes);
    }
    collect(&mut backend, 0, |_| {});
    let party = Party::new(LOOPBACKS[0]);
    let sent = 500;
    for _ in 0..sent {
        party.send(&[0; 172], addr);
    }
    collect_until_quiet(&mut backend);
    // Its last drops come to light when the socket is asked: now and then if it is that of many ports, else at its end.
    backend.housekeep();
    backend.close(&[port(0)]);
    let counters = backend.sender().counters();
    assert!(counters.get(Io::KernelDropped) > 0);
    assert_eq!(counters.get(Io::Received) + counters.get(Io::KernelDropped), sent);
});

over_all!(queues_can_be_cut_and_given_back, |backend: B, _wake| {
    let addr = open(&mut backend, port(0), LOOPBACKS[0]);
    collect(&mut backend, 0, |_| {});
    let sockets = if B::NAME == "steered" { 2 } else { 1 };
    assert_eq!(backend.sockets().count(), sockets);
    let party = Party::new(LOOPBACKS[0]);
    let burst = |backend: &mut B| {
        (0..100).for_each(|_| party.send(&[0; 172], addr));
        let mut got = 0;
        loop {
            match take(backend, |_| {}) {
                0 => return got,
                more => got += more,
            }
        }
    };
    backend.resize_queues(1);
    let got = burst(&mut backend);
    assert!((1..10).contains(&got), "{got} packets in the shortest queue");
    backend.resize_queues(OPTIONS.receive_buffer_bytes);
    assert_eq!(burst(&mut backend), 100);
    backend.close(&[port(0)]);
    assert_eq!(backend.sockets().count(), if B::NAME == "steered" { 2 } else { 0 });
});

over_all!(failed_sends_have_names, |backend: B, _wake| {
    open(&mut backend, port(0), LOOPBACKS[0]);
    let party = Party::new(LOOPBACKS[0]);
    let packets = [
        // An IPv6 destination by an IPv4 socket, one without a route from loopback, one too large; the last is fine.
        Transmit { port: port(0), to: "[::1]:9".parse().expect("a literal"), bytes: b"x" },
        Transmit { port: port(0), to: "192.0.2.1:9".parse().expect("a literal"), bytes: b"x" },
        Transmit { port: port(0), to: party.addr(), bytes: &[0; 65535] },
        Transmit { port: port(9), to: party.addr(), bytes: b"x" },
        Transmit { port: port(0), to: party.addr(), bytes: b"fine" },
    ];
    backend.sender().send(packets.into_iter());
    assert_eq!(party.receive().0, b"fine");
    collect_until_quiet(&mut backend);
    let counters = backend.sender().counters();
    assert_eq!(counters.get(Io::SendEmsgsize), 1);
    assert_eq!(counters.get(Io::SendNoPort), 1);
    let failed: u64 =
        counters.named().iter().filter(|(name, _)| name.starts_with("send_")).map(|(_, count)| count).sum();
    assert_eq!(failed, 4, "{:?}", counters.named());
});

over_all!(a_closed_peer_ends_nothing, |backend: B, _wake| {
    let addr = open(&mut backend, port(0), LOOPBACKS[0]);
    let gone = Party::new(LOOPBACKS[0]).addr();
    let party = Party::new(LOOPBACKS[0]);
    for _ in 0..10 {
        backend.sender().send([Transmit { port: port(0), to: gone, bytes: b"x" }].into_iter());
        party.send(b"y", addr);
        collect(&mut backend, 1, |datagram| assert_eq!(datagram.packet(), b"y"));
    }
});

over_all!(more_packets_than_one_submission_takes, |backend: B, _wake| {
    open(&mut backend, port(0), LOOPBACKS[0]);
    let party = Party::new(LOOPBACKS[0]);
    let bytes: Vec<[u8; 2]> = (0..1000_u16).map(u16::to_be_bytes).collect();
    for chunk in bytes.chunks(250) {
        let to = party.addr();
        // Three copies each, so that neighbours leave by one port.
        let packets = chunk.iter().flat_map(|bytes| [bytes; 3]).map(|bytes| Transmit { port: port(0), to, bytes });
        backend.sender().send(packets);
        for bytes in chunk.iter().flat_map(|bytes| [bytes; 3]) {
            assert_eq!(party.receive().0, bytes);
        }
    }
});

over_all!(waiting_ends_with_a_datagram_a_wake_or_the_timeout, |backend: B, wake| {
    let addr = open(&mut backend, port(0), LOOPBACKS[0]);
    collect(&mut backend, 0, |_| {});
    let before = Instant::now();
    backend.wait(Some(Duration::from_millis(20)));
    assert!(before.elapsed() >= Duration::from_millis(20), "nothing had happened");

    let party = Party::new(LOOPBACKS[0]);
    party.send(b"x", addr);
    // Without the datagram this would never end; the loop is for wake-ups without a reason, which are allowed.
    let mut count = 0;
    while count == 0 {
        backend.wait(None);
        count = take(&mut backend, |_| {});
    }

    let waker = Arc::clone(&wake);
    wake.fall_asleep();
    let thread = std::thread::spawn(move || waker.wake());
    backend.wait(Some(PATIENCE));
    assert!(before.elapsed() < PATIENCE, "the wake-up was not felt");
    thread.join().expect("wake does not panic");
});

/// In a network namespace of its own.
fn over_steered(body: fn(Steered, Arc<Wake>)) {
    let tested = alone::alone(|| {
        let mut steering = Steering::start(1, PORTS)?;
        let (backend, wake) = available(|wake| {
            let doors = steering.doors(0, &Steered::options(&OPTIONS))?;
            Steered::new(PORTS, doors, wake)
        })
        .expect("the programs are there");
        body(backend, wake);
        Ok(())
    });
    privileged(tested.unwrap_or_else(|error| Err(Unavailable::io("a network namespace", &error))));
}

/// Runs `make`, or says in one line why the test is skipped.
fn available<B>(make: impl FnOnce(Arc<Wake>) -> Result<B, Unavailable>) -> Option<(B, Arc<Wake>)> {
    let wake = Arc::new(Wake::new().expect("an eventfd"));
    match make(Arc::clone(&wake)) {
        Ok(backend) => Some((backend, wake)),
        Err(unavailable) => {
            eprintln!("skipped: {unavailable}");
            None
        }
    }
}

fn port(slot: u32) -> PortId {
    PortId::new(slot, Component::Rtp)
}

fn open<B: Backend>(backend: &mut B, port: PortId, addr: &str) -> SocketAddr {
    open_with(backend, port, addr, &OPTIONS)
}

/// Opens a port where there is a free one.
fn open_with<B: Backend>(backend: &mut B, port: PortId, addr: &str, options: &SocketOptions) -> SocketAddr {
    for _ in 0..100 {
        let free = Party::new(addr).addr();
        // Another test can be faster.
        if let Ok(opening) = backend.bind(free, options) {
            backend.open(port, opening);
            return free;
        }
    }
    panic!("no free port in 100 attempts");
}

/// What needs privileges, or one line that says why the test is skipped; in CI, where there are some, a failure.
fn privileged<T>(tried: Result<T, Unavailable>) -> Option<T> {
    match tried {
        Ok(value) => Some(value),
        Err(unavailable) => {
            assert!(std::env::var_os("CI").is_none(), "CI runs as root: {unavailable}");
            eprintln!("skipped: {unavailable}");
            None
        }
    }
}

/// One turn.
fn take<B: Backend>(backend: &mut B, mut each: impl FnMut(&patchcord_relay::Datagram<'_>)) -> usize {
    let mut batch = Batch::new();
    backend.receive(&mut batch, Arrival::measure(), Clock.now());
    let count = batch.len();
    batch.iter().for_each(&mut each);
    drop(batch);
    backend.release();
    count
}

/// Turns until `count` datagrams have come.
fn collect<B: Backend>(backend: &mut B, count: usize, mut each: impl FnMut(&patchcord_relay::Datagram<'_>)) {
    let start = Instant::now();
    let mut got = take(backend, &mut each);
    while got < count {
        assert!(start.elapsed() < PATIENCE, "only {got} of {count} datagrams came");
        backend.wait(Some(Duration::from_millis(100)));
        got += take(backend, &mut each);
    }
    assert_eq!(got, count);
}

/// Turns until nothing comes any more. What is sent on loopback is in the receiver's queue when the send returns.
fn collect_until_quiet<B: Backend>(backend: &mut B) {
    while take(backend, |_| {}) > 0 {}
}

struct Party(UdpSocket);

impl Party {
    fn new(addr: &str) -> Self {
        let socket = UdpSocket::bind(addr).expect("loopback");
        socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        socket2::SockRef::from(&socket).set_recv_buffer_size(1 << 20).expect("SO_RCVBUF");
        Self(socket)
    }

    fn addr(&self) -> SocketAddr {
        self.0.local_addr().expect("bound")
    }

    fn send(&self, bytes: &[u8], to: SocketAddr) {
        self.0.send_to(bytes, to).expect("loopback takes it");
    }

    fn receive(&self) -> (Vec<u8>, SocketAddr) {
        let mut buffer = [0; 65536];
        let (len, from) = self.0.recv_from(&mut buffer).expect("a datagram");
        (buffer[..len].to_vec(), from)
    }
}
