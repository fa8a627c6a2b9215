//! Datagrams that do not belong to the call: each is dropped under its name, and the call goes on unharmed.

use std::net::UdpSocket;

use patchcord_lab::endpoint::{Endpoints, Playback};
use patchcord_lab::report::Report;
use patchcord_rtp::{PayloadType, RtpHeader, RtpTimestamp, SequenceNumber, Ssrc};
use patchcord_tests::stage::{address, join, numbered_stream};
use patchcord_tests::{PATIENCE, Relay, eventually, in_a_namespace, kernel};
use serde_json::json;

/// Packets that each party sends.
const PACKETS: u32 = 150;

/// An RTP packet with a header of its own.
fn rtp(ssrc: u32, sequence: u16) -> Vec<u8> {
    let header = RtpHeader {
        marker: false,
        payload_type: PayloadType::default(),
        sequence: SequenceNumber(sequence),
        timestamp: RtpTimestamp(u32::from(sequence) * 160),
        ssrc: Ssrc(ssrc),
    };
    let mut packet = vec![0; 12];
    header.build(&mut packet);
    packet.resize(172, 0xd5);
    packet
}

fn garbage_and_spoofed_packets(backend: &str) {
    let relay = Relay::start(&["--workers", "1", "--backend", backend]);
    let client = relay.client();
    let mut events = relay.events();
    client.create_call("c1");
    let endpoints = Endpoints::start().unwrap();
    let alice = join(client, "c1", &endpoints, "alice");
    let bob = join(client, "c1", &endpoints, "bob");
    client.command("c1", json!({"command": "bridge", "a": "alice", "b": "bob"}));
    alice.play(numbered_stream(1, PACKETS), Playback::default()).unwrap();
    bob.play(numbered_stream(2, PACKETS), Playback::default()).unwrap();
    for party in ["alice", "bob"] {
        events.wait_for_that("latched", PATIENCE, |event| event["party"] == party);
    }
    let [at_alice, at_bob] = ["alice", "bob"].map(|party| address(&client.leg("c1", party), "local"));

    // A stranger who knows both ports. One of the packets even carries the SSRC and a fitting sequence number of alice's.
    let stranger = UdpSocket::bind("127.0.0.2:0").unwrap();
    let ssrc_of_alice = numbered_stream(1, 1).ssrc.0;
    let mut sender_report = vec![0x80, 200, 0, 6];
    sender_report.extend([0; 24]);
    let sent: [(&str, Vec<u8>); 12] = [
        ("foreign_source", rtp(0xbad, 1)),
        ("foreign_source", rtp(ssrc_of_alice, PACKETS as u16 + 1)),
        ("foreign_source", sender_report),
        ("unknown_protocol", Vec::new()),
        ("unknown_protocol", vec![0xff; 200]),
        ("unknown_protocol", b"garbage".map(|byte| byte | 0x80 | 0x40).to_vec()),
        // A binding request of STUN, a client hello of DTLS, channel data of TURN.
        ("unexpected_protocol", [&[0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42][..], &[7; 12]].concat()),
        ("unexpected_protocol", [&[22, 254, 253][..], &[0; 40]].concat()),
        ("unexpected_protocol", vec![0x40; 30]),
        // RTP with a header that is not all there, or that promises more than there is.
        ("malformed", vec![0x80, 0, 0, 1]),
        ("malformed", [&[0x8f, 0][..], &[0; 12]].concat()),
        // Longer than any packet of audio: more than the relay's buffers hold.
        ("truncated", [&rtp(0xbad, 2)[..], &[0; 9000]].concat()),
    ];
    const ROUNDS: u32 = 20;
    for _ in 0..ROUNDS {
        // Not faster than the sockets' queues can take them.
        alice.wait_for_more_packets(2, PATIENCE).unwrap();
        for (_, datagram) in &sent {
            for to in [at_alice, at_bob] {
                stranger.send_to(datagram, to).unwrap();
            }
        }
    }

    for party in [&alice, &bob] {
        party.wait_until_played(PATIENCE).unwrap();
        party.wait_for_packets(PACKETS.into(), PATIENCE).unwrap();
    }
    let total = u64::from(PACKETS) + u64::from(ROUNDS) * sent.len() as u64;
    for party in ["alice", "bob"] {
        let leg = client.wait_for_leg("c1", party, "all datagrams", |leg| leg["datagrams"] == total);
        for name in ["foreign_source", "unknown_protocol", "unexpected_protocol", "malformed", "truncated"] {
            let count = sent.iter().filter(|(drop, _)| *drop == name).count() as u64;
            assert_eq!(leg["drops"][name], u64::from(ROUNDS) * count, "{backend}: {party}: {name}: {leg}");
        }
        assert_eq!(leg["packets"], PACKETS, "{leg}");
        assert_eq!(leg["lost"], 0, "{leg}");
    }
    // Whatever could be forwarded to somebody has arrived before the last of the parties' own packets.
    for (listener, speaker) in [(&alice, &bob), (&bob, &alice)] {
        let heard = Report::of(&listener.recording(), &[&speaker.sent()]);
        assert_eq!((heard.packets, heard.lost, heard.duplicates), (u64::from(PACKETS), 0, 0), "{heard:?}");
        assert_eq!((heard.unrecognised, heard.other_datagrams, heard.breaks().count()), (0, 0, 0), "{heard:?}");
    }
    assert!(events.others().iter().all(|event| event["event"] != "ssrc-changed"), "{:?}", events.others());
    // Nobody answers a stranger.
    stranger.set_nonblocking(true).unwrap();
    assert!(stranger.recv(&mut [0; 100]).is_err());
}

#[test]
fn garbage_and_spoofed_packets_are_counted_by_name_with_io_uring() {
    garbage_and_spoofed_packets("io-uring");
}

#[test]
fn garbage_and_spoofed_packets_are_counted_by_name_with_mmsg() {
    garbage_and_spoofed_packets("mmsg");
}

#[test]
fn garbage_and_spoofed_packets_are_counted_by_name_with_steered_sockets() {
    in_a_namespace("BPF programs steer ports", || garbage_and_spoofed_packets("steered"));
}

#[test]
fn a_party_that_nobody_can_reach_does_not_stop_the_others() {
    let relay = Relay::start(&["--workers", "1"]);
    let client = relay.client();
    client.create_call("c1");
    let endpoints = Endpoints::start().unwrap();
    let alice = join(client, "c1", &endpoints, "alice");
    // Where the dead party receives, the kernel answers with ICMP errors: each may surface at the relay's socket.
    let closed = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let dead = json!({"command": "leg-create", "party": "dead", "codecs": ["PCMU"], "remote": closed.to_string()});
    client.command("c1", dead);
    client.command("c1", json!({"command": "bridge", "a": "alice", "b": "dead"}));
    alice.play(numbered_stream(1, 100), Playback::default()).unwrap();
    alice.wait_until_played(PATIENCE).unwrap();
    client.wait_for_leg("c1", "dead", "100 packets sent to it", |leg| leg["sent"]["packets"] == 100);

    let bob = join(client, "c1", &endpoints, "bob");
    client.command(
        "c1",
        json!({"command": "swap", "survivor": "alice", "old": "dead", "new": "bob", "trigger": "immediate"}),
    );
    alice.play(numbered_stream(3, 50), Playback { sequence_offset: 100, ..Playback::default() }).unwrap();
    bob.wait_for_packets(50, PATIENCE).unwrap();
    let heard = Report::of(&bob.recording(), &[&alice.sent()]);
    assert_eq!((heard.packets, heard.lost, heard.duplicates), (50, 0, 0), "{heard:?}");
    eventually("the worker answers", || Some(client.workers()));
}

/// The last datagram of a burst may be the last for long: the worker must find its rest, and obey, all the same. Those
/// without content end the io_uring operation that receives them.
fn rests_after_every_burst(backend: &str) {
    let relay = Relay::start(&["--workers", "1", "--backend", backend, "--set", "log.level=warn"]);
    let client = relay.client();
    client.create_call("c1");
    for party in ["alice", "bob"] {
        client.command("c1", json!({"command": "leg-create", "party": party, "codecs": ["PCMU"]}));
    }
    let ports = ["alice", "bob"].map(|party| address(&client.leg("c1", party), "local"));
    let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut sent = 0;
    for burst in 0..300 {
        for index in 0..1 + burst % 13 {
            let datagram: &[u8] = if index % 3 == 2 { b"garbage" } else { b"" };
            for port in ports {
                stranger.send_to(datagram, port).unwrap();
                sent += 1;
            }
        }
        // A worker that does not answer within a second is told as an error.
        assert_eq!(client.workers().len(), 1, "burst {burst}");
    }
    eventually("the queues are empty", || (kernel::unread_by(relay.process_id()) == 0).then_some(()));
    // What was read last may still be looked at; and the kernel tells of its last drops only when a port is closed.
    assert_eq!(client.workers().len(), 1);
    client.delete_call("c1");
    let io = client.workers().remove(0)["io"].clone();
    let counted = ["received", "kernel_dropped"].map(|name| io[name].as_u64().unwrap());
    assert_eq!(counted.iter().sum::<u64>(), sent, "{backend}: {io}");
}

#[test]
fn a_worker_rests_after_every_burst_with_io_uring() {
    rests_after_every_burst("io-uring");
}

#[test]
fn a_worker_rests_after_every_burst_with_mmsg() {
    rests_after_every_burst("mmsg");
}

#[test]
fn a_worker_rests_after_every_burst_with_steered_sockets() {
    in_a_namespace("BPF programs steer ports", || rests_after_every_burst("steered"));
}
