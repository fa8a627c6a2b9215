//! Somebody on another host who sends to the relay's ports before, while and after the parties begin to speak.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use patchcord_codec::{Audio, Law, TELEPHONE_RATE, tone};
use patchcord_lab::netns::Namespace;
use patchcord_rtp::{PayloadType, RTP_HEADER_LEN, RtpHeader, RtpTimestamp, SequenceNumber, Ssrc};
use patchcord_tests::sip::{Baresip, Switch};
use patchcord_tests::{eventually, privileged, voices};

use crate::support::TALK;

/// What baresip's jitter buffer may hold back, and then some: half a second.
const DELAY: usize = TELEPHONE_RATE as usize / 2;

/// Four hosts. No packet goes from one telephone to the other: the one in the middle does not route.
struct Hosts {
    middle: Namespace,
    caller: Namespace,
    callee: Namespace,
    stranger: Namespace,
}

/// Addresses of the caller, the callee and the stranger; that of the middle ends in 1.
const fn address(network: u8, host: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 77, network, host)
}

impl Hosts {
    fn new() -> Self {
        let [middle, caller, callee, stranger] =
            ["middle", "caller", "callee", "stranger"].map(|name| Namespace::create(name).unwrap());
        for (network, host) in [(1, &caller), (2, &callee), (3, &stranger)] {
            let (own, gateway) = (address(network, 2), address(network, 1));
            let [own, others] = [own, gateway].map(|address| format!("{address}/24").parse().unwrap());
            host.connect(own, &middle, others).unwrap();
            host.route_by_default(gateway.into()).unwrap();
        }
        Self { middle, caller, callee, stranger }
    }
}

/// A loud tone to each of these ports, fifty times a second.
struct Stranger {
    socket: UdpSocket,
    stop: Arc<AtomicBool>,
    sender: Option<JoinHandle<()>>,
}

impl Stranger {
    fn intrude(ip: Ipv4Addr, relay: IpAddr, ports: impl Iterator<Item = u16> + Clone + Send + 'static) -> Self {
        let socket = UdpSocket::bind((ip, 0)).unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let (sends, stops) = (socket.try_clone().unwrap(), Arc::clone(&stop));
        let sender = thread::spawn(move || {
            let tone = Law::Mu.encode(&tone::sine(1000.0, -9.0, 20, TELEPHONE_RATE).samples);
            let mut packet = [0; RTP_HEADER_LEN + 160];
            packet[RTP_HEADER_LEN..].copy_from_slice(&tone);
            for number in 0_u16.. {
                if stops.load(Ordering::Relaxed) {
                    return;
                }
                let header = RtpHeader {
                    marker: false,
                    payload_type: PayloadType::new(0).unwrap(),
                    sequence: SequenceNumber(number),
                    timestamp: RtpTimestamp(u32::from(number) * 160),
                    ssrc: Ssrc(0xbad0_bad0),
                };
                header.build(&mut packet);
                for port in ports.clone() {
                    // Before the call most ports are closed, which the system tells.
                    let _ = sends.send_to(&packet, SocketAddr::new(relay, port));
                }
                thread::sleep(Duration::from_millis(20));
            }
        });
        socket.set_nonblocking(true).unwrap();
        Self { socket, stop, sender: Some(sender) }
    }

    /// Packets that have come since it was asked last.
    fn received(&self) -> usize {
        let mut buffer = [0; 2048];
        (0..).take_while(|_| self.socket.recv(&mut buffer).is_ok()).count()
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(sender) = self.sender.take() {
            // A panic of it has been printed already.
            let _ = sender.join();
        }
    }
}

/// Whatever it may gain before the parties speak, from their first packets on it neither says nor hears anything.
#[test]
fn a_stranger_gets_nothing_through_and_takes_nothing_over() {
    if !privileged("telephones on hosts of their own are in network namespaces") {
        return;
    }
    let hosts = Hosts::new();
    hosts.middle.run(|| intrude(&hosts)).unwrap();
}

fn intrude(hosts: &Hosts) {
    let middle = IpAddr::V4(address(1, 1));
    let switch = Switch::at(middle);
    let proxy = switch.kamailio.address();
    let start =
        |host: &Namespace, name, network| host.run(|| Baresip::start(name, address(network, 2), proxy)).unwrap();
    let mut transferee = start(&hosts.caller, "transferee", 1);
    let mut agent = start(&hosts.callee, "agent", 2);
    // The first call gets the first ports.
    let ports = switch.ports();
    let attacked = ports.first..ports.first + 8;
    let stranger = hosts.stranger.run(|| Stranger::intrude(address(3, 2), middle, attacked)).unwrap();

    transferee.call(&mut agent);
    let call = switch.only_call();
    let parties = switch.call(&call)["parties"].clone();
    let parties = [0, 1].map(|party| parties[party].as_str().unwrap().to_owned());
    let client = switch.relay.client();
    for (party, network) in parties.iter().zip(1..) {
        let host = format!("{}:", address(network, 2));
        client.wait_for_leg(&call, party, "its telephone is its source", |leg| {
            leg["latched"] == true && leg["remote"].as_str().is_some_and(|remote| remote.starts_with(&host))
        });
    }
    // It has been heard from now on; what came before may still be in the telephones' buffers.
    let marks = [transferee.samples_heard(), agent.samples_heard()].map(|samples| samples + DELAY);
    let _before = stranger.received();
    let refused = |party: &str| client.leg(&call, party)["drops"]["foreign_source"].as_u64().unwrap_or(0);
    let before = [refused(&parties[0]), refused(&parties[1])];
    switch.wait_for_talk(&call, 2 * TALK);
    for (party, before) in parties.iter().zip(before) {
        eventually("the relay refuses what the stranger sends", || (refused(party) > before + TALK).then_some(()));
    }
    assert_eq!(stranger.received(), 0, "the stranger was sent media");

    transferee.command("hangup", "");
    agent.wait_for("CALL_CLOSED");
    switch.must_be_idle();
    for ((phone, other), mark) in [(transferee, "agent"), (agent, "transferee")].into_iter().zip(marks) {
        let heard = phone.put_down().remove(0);
        let samples = heard.samples.get(mark..).unwrap_or_default().to_vec();
        assert!(samples.len() > TELEPHONE_RATE as usize, "it was recorded for long enough");
        voices::must_be_heard(&Audio::telephone(samples), &[other]);
    }
}
