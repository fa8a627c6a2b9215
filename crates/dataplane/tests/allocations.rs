//! Relaying a packet allocates nothing. A single test, because it counts the allocations of its process.

#![allow(unsafe_code, reason = "an allocator that counts is an unsafe trait")]

use core::net::SocketAddr;
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;
use std::alloc::{GlobalAlloc, Layout, System};
use std::net::UdpSocket;

use crossbeam::channel;
use patchcord_dataplane::{BackendChoice, Config, Dataplane, OffloadChoice, Wait, probe};
use patchcord_lab::netns::Namespace;
use patchcord_relay::command::{
    Command, CutOver, EgressMode, LatchPolicy, LegSpec, Relaying, Source, SourceChange, Trigger,
};
use patchcord_relay::exchange::{Reply, Request};
use patchcord_relay::ids::{CutOverId, LegId};
use patchcord_relay::media::Direction;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

/// Whether this thread is a worker. The test's own may allocate, and so may those that look after interfaces and neighbours now and then.
fn is_worker() -> bool {
    let mut name = [0_u8; 16];
    // SAFETY: there is room for the 16 bytes of a thread's name.
    unsafe { libc::prctl(libc::PR_GET_NAME, name.as_mut_ptr()) };
    name.starts_with(b"patchcord-0\0")
}

struct Counting;

// SAFETY: everything is passed on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if is_worker() {
            ALLOCATIONS.fetch_add(1, Ordering::SeqCst);
        }
        // SAFETY: as the caller promised.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as the caller promised.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

#[test]
fn relaying_allocates_nothing() {
    let mut backends = vec![BackendChoice::Mmsg];
    if probe::io_uring().usable {
        backends.push(BackendChoice::IoUring);
    }
    if probe::steered().usable {
        backends.push(BackendChoice::Steered);
    }
    for backend in backends {
        relay_over(backend, &[0; 2].map(|_| socket_at("127.0.0.1:0")), [0; 2].map(|_| free("127.0.0.1:0")));
    }
    if probe::steered().usable {
        // By an interface: the parties are behind it.
        let [parties, host] = ["parties", "relay"].map(|name| Namespace::create(name).expect("root"));
        host.connect("10.77.1.1/24".parse().expect("one"), &parties, "10.77.1.2/24".parse().expect("one"))
            .expect("ip link");
        let sockets = parties.run(|| [0; 2].map(|_| socket_at("10.77.1.2:0"))).expect("entered");
        host.run(|| relay_over(BackendChoice::AfXdp, &sockets, [0; 2].map(|_| free("10.77.1.1:0")))).expect("entered");
    }
}

/// Between two parties and by two ports that are free.
fn relay_over(backend: BackendChoice, [party, listener]: &[UdpSocket; 2], [near, far]: [SocketAddr; 2]) {
    for wait in [Wait::Sleep, Wait::Tick { period: Duration::from_micros(200) }, Wait::Adaptive] {
        let config = Config { backend, wait, offload: OffloadChoice::Off, legs_max_per_worker: 8, ..Config::default() };
        let (sender, replies) = channel::unbounded();
        let dataplane = Dataplane::start(&config, sender).expect("the backend was probed");
        let handle = dataplane.handles().remove(0);
        let before_any = ALLOCATIONS.load(Ordering::SeqCst);
        let bridge = CutOver {
            id: CutOverId(1),
            changes: vec![SourceChange { sink: LegId(2), source: Source::Leg(LegId(1)) }],
            trigger: Trigger::Immediate,
        };
        let commands = vec![
            Command::AddLeg(Box::new(spec(1, near, party))),
            Command::AddLeg(Box::new(spec(2, far, listener))),
            Command::CutOver(bridge),
        ];
        handle.send(Request::Apply { ticket: 1, commands }).expect("the worker runs");
        let (_, reply) = replies.recv().expect("an answer");
        assert!(matches!(reply, Reply::Applied { result: Ok(_), .. }), "{reply:?}");
        let relay = |packets: core::ops::Range<u16>| {
            let mut buffer = [0; 2048];
            for sequence in packets {
                let mut packet = [0x80; 172];
                packet[1] = 0;
                packet[2..4].copy_from_slice(&sequence.to_be_bytes());
                party.send_to(&packet, near).expect("loopback takes it");
                // Bursts of up to ten, so that there are batches.
                if sequence % 10 == 9 {
                    (0..10).for_each(|_| assert_eq!(listener.recv(&mut buffer).expect("relayed"), 172));
                }
            }
        };
        // The first packet makes events, and they are allowed to.
        relay(0..100);
        let before = ALLOCATIONS.load(Ordering::SeqCst);
        assert!(before > before_any, "the counting allocator counts nothing");
        relay(100..2100);
        let allocations = ALLOCATIONS.load(Ordering::SeqCst) - before;
        assert_eq!(allocations, 0, "{backend:?}, {wait:?}: allocations for 2000 packets");
        dataplane.shutdown();
    }
}

fn socket_at(address: &str) -> UdpSocket {
    let socket = UdpSocket::bind(address).expect("its address");
    socket.set_read_timeout(Some(Duration::from_secs(5))).expect("a timeout");
    socket
}

/// A port that was free a moment ago.
fn free(address: &str) -> SocketAddr {
    socket_at(address).local_addr().expect("bound")
}

fn spec(id: u64, local: SocketAddr, party: &UdpSocket) -> LegSpec {
    LegSpec {
        id: LegId(id),
        local_rtp: local,
        local_rtcp: None,
        remote_rtp: Some(party.local_addr().expect("bound")),
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
