//! `serve` as a process: start, readiness, drain, end.

mod support;

use std::os::unix::net::UnixDatagram;

use rustix::process::Signal;
use support::{Relay, patchcord, run, stderr};

#[test]
fn it_starts_answers_and_ends_on_sigterm() {
    let mut relay = Relay::start(&["--interface", "lo/127.0.0.1", "--ports", "21000-21010"]);
    assert_eq!((relay.status("/healthz"), relay.status("/readyz")), (200, 200));
    relay.signal(Signal::TERM);
    let (status, log) = relay.wait();
    assert!(status.success(), "{status}\n{log}");
    for part in ["backend", "kernel", "lo/127.0.0.1", "21000-21010", &relay.url, "privileges", "all calls had ended"] {
        assert!(log.contains(part), "{part} is missing in\n{log}");
    }
}

#[test]
fn a_draining_relay_takes_no_new_calls_and_ends_with_the_last_one() {
    let mut relay = Relay::start(&["--set", "drain.deadline_s=60"]);
    relay.ok(&["create", "c1"]);
    relay.signal(Signal::TERM);
    relay.wait_until_draining();
    let refused = relay.client(&["create", "c2"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(stderr(&refused).contains("draining"), "{}", stderr(&refused));
    // The running call goes on as if nothing had happened.
    relay.ok(&["leg", "c1", "a", "--remote", "127.0.0.1:9", "--codec", "PCMU"]);
    assert!(relay.is_running());
    let last = relay.json(&["delete", "c1"]);
    assert_eq!(last["call"], "c1", "the answer to the last request arrives");
    let (status, log) = relay.wait();
    assert!(status.success() && log.contains("all calls had ended"), "{status}\n{log}");
}

#[test]
fn a_second_signal_ends_it_at_once_and_so_does_the_deadline() {
    let mut relay = Relay::start(&[]);
    relay.ok(&["create", "c1"]);
    relay.signal(Signal::TERM);
    relay.wait_until_draining();
    relay.signal(Signal::INT);
    let (status, log) = relay.wait();
    assert!(status.success() && log.contains("a second signal ended 1 calls"), "{status}\n{log}");

    let mut relay = Relay::start(&["--set", "drain.deadline_s=0"]);
    relay.ok(&["create", "c1"]);
    relay.signal(Signal::TERM);
    let (status, log) = relay.wait();
    assert!(status.success() && log.contains("the deadline ended 1 calls"), "{status}\n{log}");
}

#[test]
fn the_service_manager_is_told() {
    let path = std::env::temp_dir().join(format!("patchcord-notify-{}", std::process::id()));
    let socket = UnixDatagram::bind(&path).expect("a socket");
    socket.set_read_timeout(Some(support::PATIENCE)).expect("a timeout");
    let relay = Relay::start_with(patchcord().env("NOTIFY_SOCKET", &path));
    let mut word = [0; 64];
    let len = socket.recv(&mut word).expect("a word");
    assert_eq!(&word[..len], b"READY=1");
    relay.signal(Signal::TERM);
    let len = socket.recv(&mut word).expect("a word");
    assert_eq!(&word[..len], b"STOPPING=1");
    std::fs::remove_file(&path).expect("the socket's file");
}

#[test]
fn what_cannot_be_had_at_start_is_said() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("its address").to_string();
    let output = run(&["serve", "--http", &address]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains(&address) && stderr(&output).contains("--http"), "{}", stderr(&output));

    // TEST-NET-1 (RFC 5737) is nobody's.
    let output = run(&["serve", "--http", "127.0.0.1:0", "--interface", "192.0.2.1"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("192.0.2.1"), "{}", stderr(&output));
}

#[test]
fn a_relay_with_a_token_wants_it() {
    let relay = Relay::start(&["--set", "http.token=secret"]);
    let output = relay.client(&["calls"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("--token"), "{}", stderr(&output));
    relay.ok(&["calls", "--token", "secret"]);
}

#[test]
fn json_logs_are_json() {
    let mut relay = Relay::start(&["--set", "log.format=json"]);
    relay.signal(Signal::TERM);
    let (_, log) = relay.wait();
    assert!(log.lines().count() >= 3, "{log}");
    for line in log.lines() {
        serde_json::from_str::<serde_json::Value>(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    }
}
