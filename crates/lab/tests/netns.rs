//! Namespaces need root. Without it the test says so and passes, but not in continuous integration.

#![allow(clippy::print_stderr, reason = "a skipped test names its reason")]

mod needs;

use std::net::UdpSocket;
use std::process::{Command, Stdio};
use std::time::Duration;

use patchcord_lab::endpoint::{EndpointOptions, Endpoints, Playback};
use patchcord_lab::netns::Namespace;
use patchcord_lab::report::Report;
use patchcord_lab::stream::RtpStream;
use patchcord_rtp::{PayloadType, Ssrc};

#[test]
fn parties_in_two_namespaces_hear_each_other() -> Result<(), Box<dyn std::error::Error>> {
    if !needs::root("a network namespace") {
        return Ok(());
    }
    let left = Namespace::create("left")?;
    let right = Namespace::create("right")?;
    left.connect("10.0.0.1/24".parse()?, &right, "10.0.0.2/24".parse()?)?;
    left.connect("fd00::1/64".parse()?, &right, "fd00::2/64".parse()?)?;

    let endpoints = Endpoints::start()?;
    for (left_address, right_address) in [("10.0.0.1:0", "10.0.0.2:0"), ("[fd00::1]:0", "[fd00::2]:0")] {
        let (left_address, right_address) = (left_address.parse()?, right_address.parse()?);
        let alice = left.run(|| endpoints.add("alice", left_address, EndpointOptions::default()))??;
        let bob = right.run(|| endpoints.add("bob", right_address, EndpointOptions::default()))??;
        alice.set_remote(bob.local_addr());
        let stream = RtpStream::from_frames(Ssrc(1), PayloadType::default(), 8_000, 160, (0..10).map(|n| [n; 160]));
        alice.play(stream.into(), Playback::default())?;
        bob.wait_for_packets(10, Duration::from_secs(20))?;
        let report = Report::of(&bob.recording(), &[&alice.sent()]);
        assert_eq!((report.lost, report.heard.len()), (0, 1));
    }
    // The addresses exist only in the namespaces.
    assert!(UdpSocket::bind("10.0.0.1:0").is_err() || UdpSocket::bind("10.0.0.2:0").is_err());
    Ok(())
}

#[test]
fn commands_run_inside_and_nothing_is_left_behind() -> Result<(), Box<dyn std::error::Error>> {
    if !needs::root("a network namespace") {
        return Ok(());
    }
    let namespace = Namespace::create("lonely")?;
    let name = namespace.name().to_owned();
    let child = namespace.spawn(Command::new("ip").args(["-o", "link"]).stdout(Stdio::piped()))??;
    let links = String::from_utf8(child.wait_with_output()?.stdout)?;
    assert_eq!(links.lines().count(), 1, "only the loopback: {links}");
    assert!(links.contains("UP"), "{links}");

    let listed = || Command::new("ip").args(["netns", "list"]).output().map(|output| output.stdout);
    assert!(String::from_utf8(listed()?)?.contains(&name));
    drop(namespace);
    assert!(!String::from_utf8(listed()?)?.contains(&name));
    Ok(())
}
