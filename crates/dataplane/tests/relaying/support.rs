//! A data plane, parties, and the few commands that the tests need.

use core::cell::Cell;
use core::net::SocketAddr;
use core::sync::atomic::{AtomicU16, AtomicU64, Ordering};
use core::time::Duration;
use std::net::UdpSocket;
use std::time::Instant;

use crossbeam::channel::{self, Receiver};
use patchcord_dataplane::{BackendChoice, Config, Dataplane, OffloadChoice, WorkerHandle, probe};
use patchcord_relay::command::{
    Command, CutOver, EgressMode, LatchPolicy, LegSpec, Refusal, Relaying, Source, SourceChange, Trigger,
};
use patchcord_relay::event::Event;
use patchcord_relay::exchange::{Applied, Reply, Request};
use patchcord_relay::ids::{CutOverId, LegId};
use patchcord_relay::media::{Codec, Direction, EncodingName, Sending};
use patchcord_relay::snapshot::{LegSnapshot, WorkerSnapshot};
use patchcord_rtp::PayloadType;

#[path = "alone.rs"]
mod alone;

/// No test waits longer for anything; all of it takes milliseconds.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);
pub(crate) const LOOPBACKS: [&str; 2] = ["127.0.0.1:0", "[::1]:0"];

/// Runs the body as three tests, `io_uring`, `mmsg` and `steered`, with a configuration for each.
macro_rules! over_all {
    ($name:ident, |$config:ident| $body:block) => {
        mod $name {
            use super::*;

            fn body($config: patchcord_dataplane::Config) $body

            #[test]
            fn io_uring() {
                if let Some(config) = crate::support::io_uring() {
                    crate::support::apart(|| body(config));
                }
            }

            #[test]
            fn mmsg() {
                crate::support::apart(|| body(crate::support::mmsg()));
            }

            #[test]
            fn steered() {
                if let Some(config) = crate::support::steered() {
                    crate::support::alone(|| body(config));
                }
            }
        }
    };
}
pub(crate) use over_all;

pub(crate) fn io_uring() -> Option<Config> {
    let probe = probe::io_uring();
    if !probe.usable {
        eprintln!("skipped: {}", probe.reason);
        return None;
    }
    Some(Config {
        backend: BackendChoice::IoUring,
        offload: OffloadChoice::Off,
        legs_max_per_worker: 64,
        ..Config::default()
    })
}

/// Runs a test where no other can take a port that it has just found free, as far as the user may have such a place.
pub(crate) fn apart<T: Send>(test: impl FnOnce() -> T + Send) -> T {
    if patchcord_lab::netns::may_create() { alone(test) } else { test() }
}

/// Runs a test in a network namespace of its own.
pub(crate) fn alone<T: Send>(test: impl FnOnce() -> T + Send) -> T {
    alone::alone(|| {
        ALONE.set(true);
        test()
    })
    .expect("root")
}

thread_local! {
    static ALONE: Cell<bool> = const { Cell::new(false) };
}

/// Fails in CI where it cannot be had.
pub(crate) fn steered() -> Option<Config> {
    let probe = probe::steered();
    if !probe.usable {
        assert!(std::env::var_os("CI").is_none(), "CI runs as root: {}", probe.reason);
        eprintln!("skipped: {}", probe.reason);
        return None;
    }
    Some(Config {
        backend: BackendChoice::Steered,
        offload: OffloadChoice::Off,
        legs_max_per_worker: 64,
        ..Config::default()
    })
}

pub(crate) fn mmsg() -> Config {
    Config { backend: BackendChoice::Mmsg, offload: OffloadChoice::Off, legs_max_per_worker: 64, ..Config::default() }
}

/// A running data plane and what it said.
pub(crate) struct Relay {
    pub(crate) dataplane: Dataplane,
    pub(crate) handle: WorkerHandle,
    replies: Receiver<(usize, Reply)>,
    ticket: u64,
    /// Everything unasked, in order.
    pub(crate) events: Vec<Event>,
}

impl Relay {
    pub(crate) fn start(config: &Config) -> Self {
        let (sender, replies) = channel::unbounded();
        let dataplane = Dataplane::start(config, sender).expect("the backend was probed");
        let handle = dataplane.handles().remove(0);
        Self { dataplane, handle, replies, ticket: 0, events: Vec::new() }
    }

    pub(crate) fn apply(&mut self, commands: Vec<Command>) -> Result<Applied, (usize, Refusal)> {
        let ticket = self.ask(|ticket| Request::Apply { ticket, commands });
        self.answer(|reply| match reply {
            Reply::Applied { ticket: of, result } if of == ticket => Ok(result),
            other => Err(other),
        })
    }

    pub(crate) fn leg(&mut self, leg: LegId) -> Option<LegSnapshot> {
        let ticket = self.ask(|ticket| Request::Legs { ticket, legs: vec![leg] });
        self.answer(|reply| match reply {
            Reply::Legs { ticket: of, legs } if of == ticket => Ok(legs),
            other => Err(other),
        })
        .pop()
    }

    pub(crate) fn worker(&mut self) -> WorkerSnapshot {
        let ticket = self.ask(|ticket| Request::Worker { ticket });
        *self.answer(|reply| match reply {
            Reply::Worker { ticket: of, worker } if of == ticket => Ok(worker),
            other => Err(other),
        })
    }

    /// Waits for an event.
    pub(crate) fn event(&mut self, mut is: impl FnMut(&Event) -> bool) -> Event {
        let mut seen = 0;
        loop {
            if let Some(event) = self.events[seen..].iter().find(|event| is(event)) {
                return *event;
            }
            seen = self.events.len();
            match self.replies.recv_timeout(PATIENCE).expect("the event comes") {
                (_, Reply::Event { event, .. }) => self.events.push(event),
                (_, other) => panic!("unasked: {other:?}"),
            }
        }
    }

    /// A leg on a port of the system's choice, already talking to `remote`; its id and address.
    pub(crate) fn add(&mut self, loopback: &str, remote: Option<SocketAddr>) -> (LegId, SocketAddr) {
        for _ in 0..100 {
            let spec = spec(free_port(loopback), remote);
            let (leg, local) = (spec.id, spec.local_rtp);
            match self.apply(vec![Command::AddLeg(Box::new(spec))]) {
                Ok(_) => return (leg, local),
                // Another test was faster.
                Err((_, Refusal::PortUnavailable { busy: true, .. })) => {}
                Err(other) => panic!("{other:?}"),
            }
        }
        panic!("no free port in 100 attempts");
    }

    /// Makes two legs each other's source.
    pub(crate) fn bridge(&mut self, a: LegId, b: LegId) {
        self.apply(vec![cut_over(vec![(a, Source::Leg(b)), (b, Source::Leg(a))])]).expect("both exist");
    }

    /// Two parties on two bridged legs.
    pub(crate) fn call(&mut self, loopback: &str) -> Call {
        let (a, b) = (Party::new(loopback), Party::new(loopback));
        let (leg_a, at_a) = self.add(loopback, Some(a.addr()));
        let (leg_b, at_b) = self.add(loopback, Some(b.addr()));
        self.bridge(leg_a, leg_b);
        Call { a, b, leg_a, leg_b, at_a, at_b }
    }

    fn ask(&mut self, request: impl FnOnce(u64) -> Request) -> u64 {
        self.ticket += 1;
        self.handle.send(request(self.ticket)).expect("the worker runs");
        self.ticket
    }

    fn answer<T>(&mut self, mut pick: impl FnMut(Reply) -> Result<T, Reply>) -> T {
        loop {
            let (_, reply) = self.replies.recv_timeout(PATIENCE).expect("the worker answers");
            match pick(reply) {
                Ok(answer) => return answer,
                Err(Reply::Event { event, .. }) => self.events.push(event),
                Err(other) => panic!("unasked: {other:?}"),
            }
        }
    }
}

/// Two parties that talk.
pub(crate) struct Call {
    pub(crate) a: Party,
    pub(crate) b: Party,
    pub(crate) leg_a: LegId,
    pub(crate) leg_b: LegId,
    /// Where the relay listens for a.
    pub(crate) at_a: SocketAddr,
    /// And for b.
    pub(crate) at_b: SocketAddr,
}

pub(crate) struct Party(UdpSocket);

impl Party {
    pub(crate) fn new(loopback: &str) -> Self {
        let socket = UdpSocket::bind(loopback).expect("loopback");
        socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        socket2::SockRef::from(&socket).set_recv_buffer_size(4 << 20).expect("SO_RCVBUF");
        Self(socket)
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.0.local_addr().expect("bound")
    }

    pub(crate) fn send(&self, bytes: &[u8], to: SocketAddr) {
        self.0.send_to(bytes, to).expect("loopback takes it");
    }

    /// Waits for a datagram and says where it came from.
    pub(crate) fn receive(&self) -> (Vec<u8>, SocketAddr) {
        let mut buffer = [0; 2048];
        let (len, from) = self.0.recv_from(&mut buffer).expect("a datagram");
        (buffer[..len].to_vec(), from)
    }

    /// What has come already.
    pub(crate) fn receive_all(&self) -> Vec<Vec<u8>> {
        self.0.set_nonblocking(true).expect("nonblocking");
        let mut buffer = [0; 2048];
        let mut all = Vec::new();
        while let Ok(len) = self.0.recv(&mut buffer) {
            all.push(buffer[..len].to_vec());
        }
        self.0.set_nonblocking(false).expect("blocking");
        all
    }

    pub(crate) fn try_clone(&self) -> Self {
        Self(self.0.try_clone().expect("a descriptor"))
    }
}

/// A format of one channel at 8 kHz.
pub(crate) fn codec(number: u8, name: &str) -> Codec {
    Codec {
        payload_type: PayloadType::new(number).expect("7 bits"),
        encoding: EncodingName::new(name).expect("a short name"),
        clock_rate: 8000,
        channels: 1,
        fmtp: None,
        sending: Sending::default(),
    }
}

/// An RTP packet of payload type 0 with 160 bytes that follow from its sequence number.
pub(crate) fn rtp(ssrc: u32, sequence: u16) -> Vec<u8> {
    let mut packet = vec![0x80, 0];
    packet.extend(sequence.to_be_bytes());
    packet.extend((u32::from(sequence) * 160).to_be_bytes());
    packet.extend(ssrc.to_be_bytes());
    packet.extend((0..160).map(|index| (index as u16).wrapping_mul(7).wrapping_add(sequence) as u8));
    packet
}

pub(crate) fn sequence(packet: &[u8]) -> u16 {
    u16::from_be_bytes([packet[2], packet[3]])
}

pub(crate) fn spec(local: SocketAddr, remote: Option<SocketAddr>) -> LegSpec {
    LegSpec {
        id: LegId(unique()),
        local_rtp: local,
        local_rtcp: None,
        remote_rtp: remote,
        remote_rtcp: None,
        codecs: Vec::new(),
        direction: Direction::SendRecv,
        latch: LatchPolicy::default(),
        egress_mode: EgressMode::Continuity,
        media_timeout: None,
        relaying: Relaying::Rtp,
        dscp: None,
    }
}

pub(crate) fn cut_over(changes: Vec<(LegId, Source)>) -> Command {
    Command::CutOver(CutOver {
        id: CutOverId(unique()),
        changes: changes.into_iter().map(|(sink, source)| SourceChange { sink, source }).collect(),
        trigger: Trigger::Immediate,
    })
}

/// A port that was free a moment ago. The system, which does not know of those that are steered, is not asked for one where tests are
/// alone.
pub(crate) fn free_port(loopback: &str) -> SocketAddr {
    static NEXT: AtomicU16 = AtomicU16::new(10_000);
    if !ALONE.get() {
        return UdpSocket::bind(loopback).and_then(|socket| socket.local_addr()).expect("loopback");
    }
    let ip = loopback.parse::<SocketAddr>().expect("a literal").ip();
    loop {
        let port = NEXT.fetch_add(1, Ordering::Relaxed);
        assert!(port < 32_000, "all ports were given out");
        if UdpSocket::bind((ip, port)).is_ok() {
            return (ip, port).into();
        }
    }
}

/// Repeats `attempt` until it says yes.
pub(crate) fn eventually(what: &str, mut attempt: impl FnMut() -> bool) {
    let start = Instant::now();
    while !attempt() {
        assert!(start.elapsed() < PATIENCE, "never: {what}");
        std::thread::yield_now();
    }
}

pub(crate) fn io(worker: &WorkerSnapshot, name: &str) -> u64 {
    worker.io.iter().find(|(counter, _)| *counter == name).map(|&(_, count)| count).expect("a known counter")
}

fn unique() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}
