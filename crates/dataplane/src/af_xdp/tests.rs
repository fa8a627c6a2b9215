//! Frames go round: none is lost, whatever becomes of the packet in it.

#![allow(clippy::print_stderr, reason = "a skipped test says why, and a random one its seed")]

use core::time::Duration;
use std::net::UdpSocket;
use std::sync::{Arc, PoisonError};
use std::time::Instant;

use patchcord_lab::netns::{Namespace, may_create};
use patchcord_relay::Transmit;
use patchcord_relay::ids::{Component, PortId};

use super::AfXdp;
use super::xsks::Xsks;
use crate::backend::{Backend, Batch, Sender};
use crate::backend_tests::PROCESSES;
use crate::clock::{Arrival, Clock};
use crate::config::{Config, OffloadChoice, XdpMode};
use crate::counters::Io;
use crate::dataplane::socket_options;
use crate::steered::{Steered, Steering};
use crate::wake::Wake;
use crate::xdp::{Listeners, Purpose, Xdp};

const PORTS: usize = 8;
const FRAMES: u16 = 256;

/// Frames that nobody has lost: ours, those that are to be had, and those that the kernel receives into.
fn found(xsks: &mut Xsks) -> usize {
    xsks.exchange_frames();
    let filled: u32 = xsks.umem.queues.iter().map(|queue| queue.take().expect("one worker").fill.waiting()).sum();
    xsks.idle.len() + xsks.batch.len() + xsks.umem.spare.len() + filled as usize
}

/// xorshift64.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

#[test]
fn no_frame_is_lost_whatever_becomes_of_packets() {
    if !may_create() {
        assert!(std::env::var_os("CI").is_none(), "CI runs as root");
        return eprintln!("skipped: network namespaces take root");
    }
    let seed = std::env::var("SEED").ok().and_then(|text| text.parse().ok()).unwrap_or_else(|| Clock.unix_nanos());
    eprintln!("SEED={seed}");
    let starting = PROCESSES.write().unwrap_or_else(PoisonError::into_inner);
    let [left, host, right] = ["left", "relay", "right"].map(|name| Namespace::create(name).expect("root"));
    for (party, network) in [(&left, 1), (&right, 2)] {
        let [near, far] = [1, 2].map(|host| format!("10.79.{network}.{host}/24").parse().expect("a network"));
        host.connect(near, party, far).expect("ip link");
    }
    drop(starting);
    let parties = [(&left, 1), (&right, 2)].map(|(namespace, network)| {
        namespace.run(|| UdpSocket::bind(format!("10.79.{network}.2:0")).expect("its address")).expect("entered")
    });
    let found = host.run(|| go_round(&parties, Random(seed | 1))).expect("entered");
    let _ending = PROCESSES.write().unwrap_or_else(PoisonError::into_inner);
    drop([left, host, right]);
    for (found, all) in found {
        assert_eq!(found, all);
    }
}

/// How many frames each interface has at the end, and should have.
fn go_round(parties: &[UdpSocket; 2], mut random: Random) -> Vec<(usize, usize)> {
    const PACKETS: u64 = 20_000;
    let config =
        Config { offload: OffloadChoice::Off, xdp_mode: XdpMode::Generic, af_xdp_frames: FRAMES, ..Config::default() };
    let mut steering = Steering::start(1, PORTS).expect("root");
    let doors = steering.doors(0, &Steered::options(&socket_options(&config))).expect("sockets");
    let wake = Arc::new(Wake::new().expect("an eventfd"));
    let (leases, wakes) = (steering.leases().expect("descriptors"), vec![Arc::clone(&wake)]);
    let purpose = Purpose { flows: false, listeners: Some(Listeners { leases, wakes }) };
    let mut xdp = Xdp::start(&config, 1, purpose).expect("two interfaces");
    let news = xdp.socket_news(0).expect("there is one worker");
    let mut backend = AfXdp::new(PORTS, doors, news, wake).expect("memory");
    let ports = [0, 1].map(|slot| PortId::new(slot, Component::Rtp));
    let locals = [(ports[0], "10.79.1.1:20000"), (ports[1], "10.79.2.1:20000")];
    for ((port, local), party) in locals.into_iter().zip(parties) {
        let opening = backend.bind(local.parse().expect("a literal"), &socket_options(&config)).expect("it is free");
        backend.open(port, opening);
        party.connect(local).expect("a route");
        party.set_nonblocking(true).expect("nonblocking");
    }
    let remotes = [0, 1].map(|side| parties[side].local_addr().expect("bound"));
    let mut packets = 0;
    let start = Instant::now();
    while packets < PACKETS {
        assert!(start.elapsed() < Duration::from_secs(60), "{packets} packets");
        for (party, network) in parties.iter().zip(0_u8..) {
            for _ in 0..random.below(40) {
                let _ = party.send(&[network; 172]);
            }
            let mut buffer = [0; 2048];
            while party.recv(&mut buffer).is_ok() {}
        }
        let mut batch = Batch::new();
        let sender = backend.receive(&mut batch, Arrival::measure(), Clock.now());
        packets += batch.len() as u64;
        // Nobody hears it, one does, or several: on either side.
        let mut out = Vec::new();
        for datagram in &batch {
            for _ in 0..random.below(4) {
                let side = random.below(2) as usize;
                out.push(Transmit { port: ports[side], to: remotes[side], bytes: datagram.packet() });
            }
        }
        sender.send(out.into_iter());
        drop(batch);
        backend.release();
    }
    let counters = backend.sender().counters();
    let [received, sent] = [Io::ReceivedAfXdp, Io::SentAfXdp].map(|what| counters.get(what));
    eprintln!("{received} received and {sent} sent by AF_XDP");
    assert!(received > PACKETS / 2 && sent > PACKETS / 2);
    // What has come meanwhile.
    let mut batch = Batch::new();
    for _ in 0..20 {
        backend.receive(&mut batch, Arrival::measure(), Clock.now());
        batch = Batch::new();
        backend.release();
    }
    drop(batch);
    assert_eq!(backend.outbound.xsks.len(), 2);
    let interfaces = backend.outbound.xsks.iter_mut();
    interfaces.map(|xsks| (found(xsks), xsks.umem.frames())).collect()
}
