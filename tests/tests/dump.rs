//! `patchcord dump`: a file with what the parties sent and heard, whatever moves it.

#![allow(clippy::unwrap_used, reason = "a test may stop at what it did not expect")]

use std::net::UdpSocket;
use std::path::Path;
use std::process::{Child, Command};

use patchcord_lab::capture::Capture;
use patchcord_tests::hosts::{Hosts, hear, rtp};
use patchcord_tests::{Folder, Relay, eventually};
use serde_json::json;

/// Packets of each party.
const PACKETS: u16 = 50;

fn begin(hosts: &Hosts, relay: &Relay, arguments: &[&str], file: &Path) -> Child {
    let arguments = [&["dump", "c1", file.to_str().unwrap()], arguments].concat();
    let dump = hosts.relay.run(|| relay.begin(&arguments)).unwrap();
    eventually("the dump begins", || std::fs::metadata(file).ok().filter(|file| file.len() > 0));
    dump
}

/// What it said when it had ended by itself.
fn end(dump: Child) -> String {
    let output = dump.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stderr).unwrap()
}

fn talk(from: &UdpSocket, to: &UdpSocket, first: u16) {
    for number in first..first + PACKETS {
        from.send(&rtp(number)).unwrap();
        hear(to);
    }
}

/// Numbers of RTP from one socket to another.
fn numbers(capture: &Capture, from: &str, to: &str) -> Vec<u16> {
    let is_rtp = |payload: &[u8]| payload.len() > 1 && !(192..224).contains(&payload[1]);
    let of_them = capture.datagrams.iter().filter(|datagram| {
        (datagram.source.to_string(), datagram.destination.to_string()) == (from.to_owned(), to.to_owned())
            && is_rtp(&datagram.payload)
    });
    of_them.map(|datagram| u16::from_be_bytes([datagram.payload[2], datagram.payload[3]])).collect()
}

fn dumps_a_transfer(speed: &str, arguments: &[&str], climbs: bool) {
    let Some(hosts) = Hosts::new() else { return };
    let folder = Folder::create(env!("CARGO_TARGET_TMPDIR"), &format!("dump-{speed}"));
    let file = folder.path().join("c1.pcapng");
    let relay = hosts.start(arguments);
    let call = hosts.call(&relay, "c1");
    let [alice, bob] = &call;
    let mut number = 0;
    if climbs {
        number = hosts.climb(&relay, "c1", &call);
    }
    let dump = begin(&hosts, &relay, &[], &file);
    talk(alice, bob, number);
    number += PACKETS;
    if climbs {
        let leg = hosts.leg(&relay, "c1", "alice");
        assert_eq!(
            (&leg["offload"]["active"], &leg["offload"]["obstacle"]),
            (&json!(false), &json!("it is being dumped"))
        );
    }
    // Who joins while it is dumped is in it.
    let carol = hosts.party(&relay, "c1", "carol");
    let swap = json!({"command": "swap", "survivor": "alice", "old": "bob", "new": "carol"});
    hosts.relay.run(|| relay.client().command("c1", swap)).unwrap();
    talk(&carol, alice, 1000);
    talk(alice, &carol, number);
    let local = |party: &str| hosts.leg(&relay, "c1", party)["local"].as_str().unwrap().to_owned();
    let [of_alice, of_bob, of_carol] = ["alice", "bob", "carol"].map(local);
    hosts.relay.run(|| relay.client().delete_call("c1")).unwrap();
    let said = end(dump);
    let capture = Capture::open(&file).unwrap();
    assert!(capture.damage.is_none(), "{:?}", capture.damage);
    assert!(said.contains(&format!("{} packets", capture.datagrams.len())), "{said}: {}", capture.datagrams.len());
    let at = |socket: &UdpSocket| socket.local_addr().unwrap().to_string();
    let from_alice: Vec<u16> = (number - PACKETS..number + PACKETS).collect();
    assert_eq!(numbers(&capture, &at(alice), &of_alice), from_alice, "what alice sent");
    // And then the audio of somebody on hold.
    let heard = numbers(&capture, &of_bob, &at(bob));
    assert_eq!(heard[..PACKETS as usize], from_alice[..PACKETS as usize], "what bob heard of it");
    assert_eq!(numbers(&capture, &of_carol, &at(&carol)).len(), PACKETS as usize, "and carol");
    assert_eq!(
        numbers(&capture, &at(&carol), &of_carol),
        (1000..1000 + PACKETS).collect::<Vec<_>>(),
        "what carol sent"
    );
    assert_eq!(numbers(&capture, &of_alice, &at(alice)).len(), PACKETS as usize, "and alice heard");
    let times: Vec<u64> = capture.datagrams.iter().map(|datagram| datagram.at_ns).collect();
    assert!(times[0] > 1_600_000_000_000_000_000, "since 1970: {}", times[0]);
    reads_without_complaint(&file);
}

/// Another reader of such files: it knows who is who, and finds the checksums right.
fn reads_without_complaint(file: &Path) {
    let tshark = |arguments: &[&str]| {
        let output =
            Command::new("tshark").arg("-r").arg(file).args(arguments).output().expect("scripts/test installs it");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let wrong = ["-o", "ip.check_checksum:TRUE", "-o", "udp.check_checksum:TRUE", "-Y"];
    let wrong = tshark(
        &[&wrong[..], &["ip.checksum.status == \"Bad\" or udp.checksum.status == \"Bad\" or _ws.malformed"]].concat(),
    );
    assert_eq!(wrong, "");
    let names = tshark(&["-T", "fields", "-e", "frame.interface_name"]);
    for party in ["alice", "bob", "carol"] {
        assert!(names.lines().any(|name| name == party), "{party} in {names}");
    }
}

#[test]
fn a_transfer_is_dumped_with_io_uring() {
    dumps_a_transfer("io-uring", &["--backend", "io-uring", "--offload", "off"], false);
}

#[test]
fn a_transfer_is_dumped_with_steered_sockets() {
    dumps_a_transfer("steered", &["--backend", "steered", "--offload", "off"], false);
}

#[test]
fn a_transfer_is_dumped_with_af_xdp() {
    dumps_a_transfer("af-xdp", &["--backend", "af-xdp", "--offload", "off"], false);
}

#[test]
fn a_transfer_is_dumped_with_xdp() {
    dumps_a_transfer("xdp", &["--backend", "mmsg", "--offload", "xdp"], true);
}

#[test]
fn a_dump_ends_when_its_time_is_over_and_the_call_climbs_again() {
    let Some(hosts) = Hosts::new() else { return };
    let folder = Folder::create(env!("CARGO_TARGET_TMPDIR"), "dump-twice");
    let relay = hosts.start(&["--offload", "xdp"]);
    let call = hosts.call(&relay, "c1");
    let number = hosts.climb(&relay, "c1", &call);
    let files = ["first", "second"].map(|name| folder.path().join(name));
    let first = begin(&hosts, &relay, &["--seconds", "1"], &files[0]);
    let mut second = begin(&hosts, &relay, &[], &files[1]);
    talk(&call[0], &call[1], number);
    // One reader is left.
    assert!(end(first).contains(&format!("{} packets", 2 * PACKETS)));
    talk(&call[0], &call[1], number + PACKETS);
    assert_eq!(hosts.leg(&relay, "c1", "alice")["offload"]["obstacle"], "it is being dumped");
    second.kill().unwrap();
    second.wait().unwrap();
    let capture = Capture::open(&files[1]).unwrap();
    assert!(capture.damage.is_none(), "it is a file whenever its writer ends: {:?}", capture.damage);
    // Nobody reads any more: the worker hears of it at the next packet that it cannot get rid of.
    let _ = hosts.climb_from(number + 2 * PACKETS, &relay, "c1", &call);
    let missing = hosts.relay.run(|| relay.client().request("GET", "/v1/calls/nobody/dump", "").status).unwrap();
    assert_eq!(missing, 404);
}
