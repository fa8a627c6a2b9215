//! A relay between two network namespaces, and parties on both sides.

use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use core::time::Duration;
use std::collections::BTreeSet;
use std::net::UdpSocket;
use std::os::fd::AsRawFd;
use std::process::Command as Process;
use std::time::Instant;

use patchcord_dataplane::Config;
use patchcord_lab::netns::Namespace;
use patchcord_relay::command::Source;
use patchcord_relay::ids::LegId;

use crate::support::{PATIENCE, Relay, cut_over, eventually, io, rtp, sequence};

/// ```text
///  left --- veth --- relay --- veth --- right
/// ```
pub(crate) struct Stage {
    pub(crate) left: Namespace,
    pub(crate) host: Namespace,
    pub(crate) right: Namespace,
}

impl Stage {
    pub(crate) fn new() -> Self {
        let [left, host, right] = ["left", "relay", "right"].map(|name| Namespace::create(name).expect("root"));
        let stage = Self { left, host, right };
        stage.connect(&stage.left, 1);
        stage.connect(&stage.right, 2);
        stage
    }

    pub(crate) fn connect(&self, to: &Namespace, network: u8) {
        for (near, far) in [
            (format!("10.77.{network}.1/24"), format!("10.77.{network}.2/24")),
            (format!("fd77:{network}::1/64"), format!("fd77:{network}::2/64")),
        ] {
            let near = near.parse().expect("a network");
            self.host.connect(near, to, far.parse().expect("a network")).expect("ip link");
        }
    }

    pub(crate) fn start(&self, config: &Config) -> Relay {
        self.host.run(|| Relay::start(config)).expect("the namespace can be entered")
    }

    /// Two parties, one on each side, that hear nobody but the relay: their sockets are connected to it.
    pub(crate) fn call(&self, relay: &mut Relay, v6: bool) -> (Caller, Caller) {
        let address = |network: u8, host: u8| {
            if v6 { format!("[fd77:{network}::{host}]:0") } else { format!("10.77.{network}.{host}:0") }
        };
        let parties = [(&self.left, 1), (&self.right, 2)].map(|(namespace, network)| {
            let party = namespace.run(|| UdpSocket::bind(address(network, 2)).expect("its address")).expect("entered");
            party.set_read_timeout(Some(PATIENCE)).expect("a timeout");
            let remote = party.local_addr().expect("bound");
            let (leg, local) = self.host.run(|| relay.add(&address(network, 1), Some(remote))).expect("entered");
            party.connect(local).expect("a route");
            Caller { socket: party, leg }
        });
        relay.bridge(parties[0].leg, parties[1].leg);
        parties.into()
    }

    /// Floods one port, far beyond its share, in front of and between the packets of another call, until it is cut. None of those is lost.
    pub(crate) fn flood(&self, relay: &mut Relay) {
        let (a, b) = self.call(relay, false);
        let (loud, _) = self.call(relay, false);
        let (mut number, mut floods) = (0, 0_u64);
        eventually("a flood is cut to its share", || {
            for _ in 0..20_000 {
                floods += u64::from(loud.socket.send(&rtp(9, number)).is_ok());
            }
            a.talks_to(&b, number, 1);
            number += 1;
            io(&relay.worker(), "flood_dropped") > 10_000
        });
        let worker = relay.worker();
        eprintln!("{floods} flooded, {} dropped by the program", io(&worker, "flood_dropped"));
        assert_eq!(io(&worker, "kernel_dropped"), 0, "the queue was never full");
    }

    /// Changes what the way from `a` to `b` depends on, one after the other, and waits each time until `count` counts their packets again.
    pub(crate) fn change_the_way(&self, a: &Caller, b: &Caller, number: &mut u16, mut count: impl FnMut() -> u64) {
        let mut goes_on = |number: &mut u16, what: &str| {
            let before = count();
            b.socket.set_read_timeout(Some(Duration::from_millis(100))).expect("a timeout");
            eventually(what, || {
                *number += 1;
                a.send(&rtp(7, *number));
                // What is on its way while the kernel looks for the neighbour may be lost, as with any socket.
                let heard = b.socket.recv(&mut [0; 2048]).is_ok();
                heard && count() > before + 3
            });
        };
        // The party's interface gets another hardware address, and the kernel hears of it.
        let name = interface_with(&self.right, "10.77.2.");
        ip(&self.right, &["link", "set", &name, "address", "02:77:00:00:00:99"]);
        ip(&self.host, &["neigh", "flush", "all"]);
        goes_on(number, "the neighbour's new address is used");
        // The relay's own end goes down, and comes up again.
        let near = interface_with(&self.host, "10.77.2.");
        ip(&self.host, &["link", "set", &near, "down"]);
        for _ in 0..20 {
            *number += 1;
            a.send(&rtp(7, *number));
        }
        ip(&self.host, &["link", "set", &near, "up"]);
        goes_on(number, "the interface that was down is used again");
        // Longer packets than the way takes go in fragments, by the engine; and the others by the kernel again.
        ip(&self.host, &["link", "set", &near, "mtu", "1280"]);
        goes_on(number, "the way with the smaller MTU is used");
        let mut long = rtp(7, *number);
        long.resize(1400, 0x55);
        // Until the new MTU is known to the flow, what is too long is lost, as it is at any router.
        eventually("a long packet comes in one piece", || {
            *number += 1;
            long[2..4].copy_from_slice(&number.to_be_bytes());
            a.send(&long);
            let mut buffer = [0; 2048];
            b.socket.recv(&mut buffer).is_ok_and(|len| buffer[..len] == long)
        });
        goes_on(number, "packets that fit are forwarded by the kernel again");
        // The party's host moves behind another interface: the old one goes away with its routes.
        ip(&self.right, &["link", "del", &name]);
        let (near, far) = ("10.77.2.1/24", "10.77.2.2/24");
        self.host.connect(near.parse().expect("one"), &self.right, far.parse().expect("one")).expect("ip link");
        goes_on(number, "the new interface has the program");
    }
}

pub(crate) struct Caller {
    pub(crate) socket: UdpSocket,
    pub(crate) leg: LegId,
}

impl Caller {
    pub(crate) fn send(&self, bytes: &[u8]) {
        self.socket.send(bytes).expect("it leaves");
    }

    pub(crate) fn receive(&self) -> Vec<u8> {
        let mut buffer = [0; 4096];
        let len = self.socket.recv(&mut buffer).expect("a datagram from the relay's port");
        buffer[..len].to_vec()
    }

    /// Fifty packets, and after each one that fits into no frame, come out at the other end.
    pub(crate) fn talks_in_fragments_to(&self, other: &Self, from: u16) {
        for number in (from..from + 100).step_by(2) {
            self.talks_to(other, number, 1);
            let mut large = rtp(7, number + 1);
            large.resize(1900, 0x55);
            self.send(&large);
            assert_eq!(other.receive(), large);
        }
    }

    /// Packets with these sequence numbers come out at the other end, whole and in order.
    pub(crate) fn talks_to(&self, other: &Self, from: u16, count: u16) {
        for number in from..from + count {
            self.send(&rtp(7, number));
            assert_eq!(other.receive(), rtp(7, number));
        }
    }
}

/// Whether it is RTCP, which shares the port (RFC 5761, section 4).
pub(crate) fn is_rtcp(packet: &[u8]) -> bool {
    (192..224).contains(&packet[1])
}

/// RTP packets that a leg's party has sent, and been sent.
pub(crate) fn packets(relay: &mut Relay, leg: LegId) -> (u64, u64) {
    let leg = relay.leg(leg).expect("it is there");
    (leg.ingress.packets, leg.egress.packets)
}

/// `a`, who has sent `number` packets, and `c`, who has sent none, talk all the time; `b` hears one of them, and then the other, and so
/// on. The numbers that it has heard, and under which SSRCs.
pub(crate) fn swap_sources(
    relay: &mut Relay,
    [a, b, c]: [&Caller; 3],
    rounds: u16,
    mut number: u16,
) -> (Vec<u16>, BTreeSet<Vec<u8>>) {
    let (begin, before) = (number, packets(relay, b.leg).1);
    let (mut heard, mut sources) = (Vec::new(), BTreeSet::new());
    for round in 0..rounds {
        let source = if round % 2 == 0 { c.leg } else { a.leg };
        for burst in 0..10 {
            a.send(&rtp(7, number));
            c.send(&rtp(8, number));
            number += 1;
            if burst == 5 {
                relay.apply(vec![cut_over(vec![(b.leg, Source::Leg(source))])]).expect("both exist");
            }
        }
        eventually("all arrive", || {
            let arrived = (packets(relay, a.leg).0, packets(relay, c.leg).0);
            arrived == (u64::from(number), u64::from(number - begin))
        });
        while (heard.len() as u64) < packets(relay, b.leg).1 - before {
            let packet = b.receive();
            // Reports tell of the new source.
            if !is_rtcp(&packet) {
                heard.push(sequence(&packet));
                sources.insert(packet[8..12].to_vec());
            }
        }
    }
    (heard, sources)
}

/// Sends numbered packets with no more than some under way, and counts what comes out; ends when `stop` is true. How many were sent.
pub(crate) fn stream(
    from: &Caller,
    to: &Caller,
    ssrc: u32,
    first: u16,
    stop: &AtomicBool,
    heard: &AtomicU64,
) -> (u64, Vec<u16>) {
    const UNDER_WAY: u64 = 32;
    // A port that gets more than 4096 in a window of 67 ms is taken for flooded where a program says whose it is (bpf/lease.h): less than
    // half of that in windows of our own, of which one of the program's may touch two.
    const WINDOW: Duration = Duration::from_millis(67);
    const IN_WINDOW: u32 = 2000;
    let mut numbers = Vec::new();
    let (mut sent, mut in_window, mut window_since) = (0, 0, Instant::now());
    std::thread::scope(|scope| {
        let listener = scope.spawn(|| {
            let mut numbers = Vec::new();
            let mut buffer = [0; 2048];
            to.socket.set_read_timeout(Some(Duration::from_millis(300))).expect("a timeout");
            while let Ok(len) = to.socket.recv(&mut buffer) {
                if len > 12 && !is_rtcp(&buffer) {
                    numbers.push(sequence(&buffer[..len]));
                    heard.fetch_add(1, Ordering::Relaxed);
                }
            }
            numbers
        });
        let begin = heard.load(Ordering::Relaxed);
        while !stop.load(Ordering::Relaxed) {
            if window_since.elapsed() > WINDOW {
                (in_window, window_since) = (0, Instant::now());
            }
            if in_window < IN_WINDOW && begin + sent < heard.load(Ordering::Relaxed) + UNDER_WAY {
                from.send(&rtp(ssrc, first.wrapping_add(sent as u16)));
                (sent, in_window) = (sent + 1, in_window + 1);
            } else {
                std::thread::yield_now();
            }
            assert!(!listener.is_finished(), "nothing came for a while, {sent} were sent");
        }
        numbers = listener.join().expect("it listens");
    });
    (sent, numbers)
}

/// How often a number is not the next one.
pub(crate) fn steps(numbers: &[u16]) -> usize {
    numbers.windows(2).filter(|pair| pair[1] != pair[0].wrapping_add(1)).count()
}

pub(crate) fn ip(namespace: &Namespace, args: &[&str]) {
    let output = Process::new("ip").args(["-n", namespace.name()]).args(args).output().expect("ip");
    assert!(output.status.success(), "ip {args:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// The interface with an IPv4 address that begins so.
pub(crate) fn interface_with(namespace: &Namespace, address: &str) -> String {
    let output = Process::new("ip").args(["-n", namespace.name(), "-o", "-4", "addr"]).output().expect("ip");
    let text = String::from_utf8(output.stdout).expect("text");
    let line = text.lines().find(|line| line.contains(address)).expect("an address");
    line.split_whitespace().nth(1).expect("a name").trim_end_matches(':').to_owned()
}

/// A veth's end takes what a program sends to it only if GRO is on there.
#[allow(unsafe_code, reason = "an ioctl that std does not know")]
pub(crate) fn take_frames_of_programs(namespace: &Namespace) {
    #[repr(C)]
    struct Value {
        command: u32,
        data: u32,
    }
    const ETHTOOL_SGRO: u32 = 0x2c;
    const SIOCETHTOOL: libc::Ioctl = 0x8946;
    namespace
        .run(|| {
            let socket = UdpSocket::bind("0.0.0.0:0").expect("a socket");
            for interface in &nix::net::if_::if_nameindex().expect("interfaces") {
                let mut value = Value { command: ETHTOOL_SGRO, data: 1 };
                let mut request = [0_u8; 40];
                let name = interface.name().to_bytes();
                request[..name.len()].copy_from_slice(name);
                request[16..24].copy_from_slice(&(&raw mut value as usize).to_ne_bytes());
                // SAFETY: a struct ifreq with a name and a pointer to a struct ethtool_value, which lives until after the call.
                let result = unsafe { libc::ioctl(socket.as_raw_fd(), SIOCETHTOOL, request.as_mut_ptr()) };
                assert_eq!(result, 0, "GRO of {:?}: {}", interface.name(), std::io::Error::last_os_error());
            }
        })
        .expect("entered");
}
