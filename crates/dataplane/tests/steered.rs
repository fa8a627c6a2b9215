//! Steered sockets between network namespaces: what the parties see is what they would see of a socket a port.

#![allow(clippy::print_stderr, reason = "a skipped test says why")]

#[path = "relaying/stage.rs"]
#[allow(dead_code, reason = "shared with the tests of XDP")]
mod stage;
#[path = "relaying/support.rs"]
#[allow(
    dead_code,
    unused_macros,
    unused_imports,
    reason = "shared with the tests on loopback, which use the rest of it"
)]
mod support;

use std::fs::File;
use std::io::Read;
use std::net::UdpSocket;
use std::os::fd::AsRawFd;

use patchcord_dataplane::Config;
use patchcord_lab::netns::Namespace;
use patchcord_relay::command::{Command, Source};

use stage::{Stage, interface_with, ip, steps, swap_sources};
use support::{PATIENCE, Party, Relay, cut_over, eventually, io, rtp, sequence, spec, steered};

fn sent_frames(relay: &mut Relay) -> u64 {
    io(&relay.worker(), "sent_frames")
}

#[test]
fn packets_come_from_their_ports_by_the_socket_and_as_frames() {
    let Some(config) = steered() else { return };
    let stage = Stage::new();
    let mut relay = stage.start(&config);
    for v6 in [false, true] {
        let (a, b) = stage.call(&mut relay, v6);
        let before = sent_frames(&mut relay);
        // The first packets find no way yet and go by the UDP socket, with a source port that `egress` writes.
        let mut next = 0;
        eventually("the ways become known", || {
            a.talks_to(&b, next, 1);
            b.talks_to(&a, next, 1);
            next += 1;
            sent_frames(&mut relay) > before + 10
        });
        assert!(next > 5, "the first packets of each way went by the socket");
        let before = sent_frames(&mut relay);
        a.talks_to(&b, next, 200);
        assert_eq!(sent_frames(&mut relay) - before, 200, "all as frames now");
    }
}

#[test]
fn what_does_not_fit_into_a_frame_is_fragmented_and_comes_from_its_port() {
    let Some(config) = steered() else { return };
    let stage = Stage::new();
    let mut relay = stage.start(&config);
    for v6 in [false, true] {
        let (a, b) = stage.call(&mut relay, v6);
        a.talks_in_fragments_to(&b, 0);
    }
}

#[test]
fn a_flood_of_one_port_is_no_other_ports_loss() {
    let Some(config) = steered() else { return };
    let stage = Stage::new();
    let mut relay = stage.start(&config);
    stage.flood(&mut relay);
}

#[test]
fn an_interface_that_comes_later_is_sent_by_as_well() {
    let Some(config) = steered() else { return };
    let stage = Stage::new();
    let mut relay = stage.start(&config);
    let late = Namespace::create("late").expect("root");
    stage.connect(&late, 3);
    let party = late.run(|| UdpSocket::bind("10.77.3.2:0").expect("its address")).expect("entered");
    let remote = party.local_addr().expect("bound");
    let (leg, local) = stage.host.run(|| relay.add("10.77.3.1:0", Some(remote))).expect("entered");
    let (a, _b) = stage.call(&mut relay, false);
    relay.apply(vec![cut_over(vec![(leg, Source::Leg(a.leg))])]).expect("both exist");
    party.set_nonblocking(true).expect("nonblocking");
    let mut number = 0;
    eventually("its packets come from the right port", || {
        number += 1;
        a.send(&rtp(7, number));
        let mut buffer = [0; 2048];
        party.recv_from(&mut buffer).is_ok_and(|(_, from)| from == local)
    });
}

#[test]
fn what_leaves_by_a_tunnel_without_ethernet_comes_from_its_port() {
    let Some(config) = steered() else { return };
    let stage = Stage::new();
    let mut tunnel = stage.host.run(|| tunnel("tunnel")).expect("entered");
    ip(&stage.host, &["addr", "add", "10.78.1.1/24", "dev", "tunnel"]);
    ip(&stage.host, &["link", "set", "tunnel", "up"]);
    let mut relay = stage.start(&config);
    let (a, _) = stage.call(&mut relay, false);
    let remote = "10.78.1.2:4000".parse().expect("a literal");
    let (leg, local) = stage.host.run(|| relay.add("10.78.1.1:0", Some(remote))).expect("entered");
    relay.apply(vec![cut_over(vec![(leg, Source::Leg(a.leg))])]).expect("both exist");
    a.send(&rtp(7, 1));
    let mut packet = [0; 2048];
    // What the kernel itself says there (IPv6 routers, groups) is skipped.
    let len = loop {
        let len = tunnel.read(&mut packet).expect("a packet");
        if packet[0] == 0x45 && packet[9] == 17 {
            break len;
        }
    };
    let (header, udp) = packet[..len].split_at(20);
    assert_eq!(udp[8..], rtp(7, 1));
    assert_eq!(udp[..4], [local.port().to_be_bytes(), 4000_u16.to_be_bytes()].concat());
    // RFC 768: the sum of pseudo header, header and data is all ones.
    let covered = [&header[12..20], &[0, 17], &udp[4..6], udp].concat();
    let sum: u32 = covered.chunks(2).map(|word| u32::from(u16::from_be_bytes([word[0], word[1]]))).sum();
    assert_eq!((sum & 0xffff) + (sum >> 16), 0xffff, "the checksum was mended");
}

/// A network interface without Ethernet whose packets are read here (`Documentation/networking/tuntap.rst`).
#[allow(unsafe_code, reason = "an ioctl that std does not know")]
fn tunnel(name: &str) -> File {
    const TUNSETIFF: libc::Ioctl = 0x4004_54ca;
    let file = File::options().read(true).write(true).open("/dev/net/tun").expect("tun");
    let mut request = [0_u8; 40];
    request[..name.len()].copy_from_slice(name.as_bytes());
    request[16..18].copy_from_slice(&((libc::IFF_TUN | libc::IFF_NO_PI) as u16).to_ne_bytes());
    // SAFETY: `request` is as long as a struct ifreq, with its name and flags where that has them.
    assert_eq!(unsafe { libc::ioctl(file.as_raw_fd(), TUNSETIFF, request.as_mut_ptr()) }, 0, "root");
    file
}

#[test]
fn a_changed_route_and_a_changed_neighbour_are_followed() {
    let Some(config) = steered() else { return };
    let stage = Stage::new();
    let mut relay = stage.start(&config);
    let (a, b) = stage.call(&mut relay, false);
    let mut number = 0;
    let talk_until_framed = |relay: &mut Relay, number: &mut u16| {
        let before = sent_frames(relay);
        eventually("frames are sent", || {
            *number += 1;
            a.send(&rtp(7, *number));
            // What is on its way while the kernel looks for the neighbour may be lost, as with any socket.
            b.socket.set_read_timeout(Some(core::time::Duration::from_millis(200))).expect("a timeout");
            let mut buffer = [0; 2048];
            let heard = b.socket.recv(&mut buffer).is_ok();
            heard && sent_frames(relay) > before
        });
    };
    talk_until_framed(&mut relay, &mut number);
    // The party's interface gets another hardware address, and the kernel hears of it.
    let name = interface_with(&stage.right, "10.77.2.");
    ip(&stage.right, &["link", "set", &name, "address", "02:77:00:00:00:99"]);
    ip(&stage.host, &["neigh", "flush", "all"]);
    talk_until_framed(&mut relay, &mut number);
    // Its host moves behind another interface: the old one goes away with its routes.
    let (near, far) = ("10.77.2.1/24", "10.77.2.2/24");
    ip(&stage.right, &["link", "del", &name]);
    stage.host.connect(near.parse().expect("one"), &stage.right, far.parse().expect("one")).expect("ip link");
    talk_until_framed(&mut relay, &mut number);
    b.socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    // What the kernel had kept while it looked for the neighbour has come by now, and is in front.
    a.send(&rtp(7, number + 1));
    while sequence(&b.receive()) != number + 1 {}
    a.talks_to(&b, number + 2, 100);
}

#[test]
fn a_cut_over_between_frames_loses_and_doubles_nothing() {
    let Some(config) = steered() else { return };
    let stage = Stage::new();
    let mut relay = stage.start(&config);
    let (a, b) = stage.call(&mut relay, false);
    let (c, _) = stage.call(&mut relay, false);
    let mut number = 0;
    eventually("the way becomes known", || {
        a.talks_to(&b, number, 1);
        number += 1;
        sent_frames(&mut relay) > 10
    });
    let frames = sent_frames(&mut relay);
    let (heard, _) = swap_sources(&mut relay, [&a, &b, &c], 50, number);
    assert_eq!(steps(&heard), 0, "every number once and in order: {heard:?}");
    assert!(heard.len() > 400, "{} packets", heard.len());
    assert!(sent_frames(&mut relay) - frames >= heard.len() as u64, "all as frames");
}

#[test]
fn a_port_on_all_addresses_is_heard_on_each_and_has_its_code_point() {
    let Some(config) = steered() else { return };
    let stage = Stage::new();
    let mut relay = stage.start(&config);
    for (any, far, near) in [("0.0.0.0:0", "10.77.1.2:0", "10.77.1.1"), ("[::]:0", "[fd77:1::2]:0", "fd77:1::1")] {
        let party = stage.left.run(|| UdpSocket::bind(far).expect("its address")).expect("entered");
        party.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let mut echo = spec(stage.host.run(|| support::free_port(any)).expect("entered"), party.local_addr().ok());
        echo.dscp = Some(46);
        let (leg, port) = (echo.id, echo.local_rtp.port());
        relay
            .apply(vec![Command::AddLeg(Box::new(echo)), cut_over(vec![(leg, Source::Leg(leg))])])
            .expect("it is free");
        party.connect((near, port)).expect("a route");
        let socket = socket2::SockRef::from(&party);
        if near.contains(':') { socket.set_recv_tclass_v6(true) } else { socket.set_recv_tos_v4(true) }
            .expect("an option");
        party.send(&rtp(7, 1)).expect("it leaves");
        assert_eq!(tos_of_next(&party), Some(46 << 2), "{any}");
    }
}

/// The former TOS byte of the next datagram.
fn tos_of_next(party: &UdpSocket) -> Option<i32> {
    use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg};

    let (mut buffer, mut control) = ([0; 2048], nix::cmsg_space!(i32, i32));
    let mut parts = [std::io::IoSliceMut::new(&mut buffer)];
    let message = recvmsg::<SockaddrStorage>(party.as_raw_fd(), &mut parts, Some(&mut control), MsgFlags::empty());
    message.expect("a datagram from the relay's port").cmsgs().expect("complete").find_map(|message| match message {
        ControlMessageOwned::Ipv4Tos(tos) => Some(i32::from(tos)),
        ControlMessageOwned::Ipv6TClass(class) => Some(class),
        _ => None,
    })
}

#[test]
fn a_port_that_is_taken_is_refused() {
    let Some(config) = steered() else { return };
    support::alone(|| refuse_what_is_taken(&config));
}

fn refuse_what_is_taken(config: &Config) {
    let mut relay = Relay::start(config);
    let occupant = Party::new("127.0.0.1:0");
    let refused = relay.apply(vec![Command::AddLeg(Box::new(spec(occupant.addr(), None)))]);
    assert!(refused.expect_err("a socket has it").1.to_string().contains("another socket has the port"));
    // Two workers' programs are one: neither takes the other's port.
    let (_, local) = relay.add("127.0.0.1:0", None);
    let refused = relay.apply(vec![Command::AddLeg(Box::new(spec(local, None)))]);
    assert!(refused.is_err(), "the relay itself has it");
}
