//! More packets than the relay can take: the excess is dropped and counted, the memory stays flat, the API answers, and a
//! second later all is as before.

#![allow(clippy::unwrap_used, reason = "a test may stop at what it did not expect")]

use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use patchcord_lab::endpoint::{Endpoint, Endpoints, Playback};
use patchcord_lab::report::Report;
use patchcord_rtp::{PayloadType, RtpHeader, RtpTimestamp, SequenceNumber, Ssrc};
use patchcord_tests::stage::{FRAME_LEN, address, join, leg_create, numbered_stream};
use patchcord_tests::{Client, PATIENCE, Relay, eventually, in_a_namespace, kernel};
use serde_json::{Value, json};

/// How long too much is sent.
const OVERLOAD: Duration = Duration::from_secs(2);

/// After this all must be as before.
const RECOVERY: Duration = Duration::from_secs(1);

/// So many times what the relay forwards must be sent, or it is no overload. More threads are tried until it is.
const EXCESS: f64 = 2.0;
const THREADS: [usize; 3] = [2, 4, 8];

/// Pairs of legs over which a thread spreads its packets.
const PAIRS: usize = 4;

/// Packets of the ordinary call before and after.
const PACKETS: u32 = 100;

/// One after the other: two overloads at a time would measure each other.
static ONE_LOAD: Mutex<()> = Mutex::new(());

#[test]
fn an_overload_is_survived_with_io_uring() {
    survive("io-uring");
}

#[test]
fn an_overload_is_survived_with_mmsg() {
    survive("mmsg");
}

#[test]
fn an_overload_is_survived_with_steered_sockets() {
    in_a_namespace("BPF programs steer ports", || survive("steered"));
}

fn survive(backend: &str) {
    let _alone = ONE_LOAD.lock().unwrap_or_else(PoisonError::into_inner);
    let relay = Relay::start(&["--workers", "1", "--backend", backend, "--set", "log.level=warn"]);
    let client = relay.client();
    client.create_call("ordinary");
    let endpoints = Endpoints::start().unwrap();
    let parties = ["alice", "bob"].map(|party| join(client, "ordinary", &endpoints, party));
    client.command("ordinary", json!({"command": "bridge", "a": "alice", "b": "bob"}));
    assert_eq!(lost_in_a_stream(&parties, 0), [0, 0], "{backend}: without any load");
    // Every buffer has been used once before the memory is looked at.
    Load::run(&relay, "warm-up", 2, || thread::sleep(Duration::from_millis(300)));

    for threads in THREADS {
        let resident_kib = kernel::resident_kib(relay.process_id());
        let before = Counts::of(client);
        let mut answers = 0;
        let sent = Load::run(&relay, &format!("load-{threads}"), threads, || answers = use_the_api(client));
        let ended = Instant::now();
        let counts = Counts::of(client).since(&before);
        check_counts(backend, threads, sent, &counts);
        assert!(answers > 0, "{backend}: the API answers during the overload");
        let grown = kernel::resident_kib(relay.process_id()) as f64 / resident_kib as f64;
        assert!(grown <= 1.1, "{backend}: the memory grew from {resident_kib} KiB by a factor of {grown}");

        // The time itself is what is tested here: it is a bound, not a wait for something.
        thread::sleep(RECOVERY.saturating_sub(ended.elapsed()));
        assert_eq!(lost_in_a_stream(&parties, 1 + threads as u32), [0, 0], "{backend}: after the overload");
        if sent as f64 >= EXCESS * counts.forwarded as f64 {
            return;
        }
    }
    panic!("{backend}: this machine cannot send {EXCESS} times what the relay forwards");
}

/// All that was sent was relayed or dropped and counted.
#[allow(clippy::print_stdout, reason = "what was measured is worth reading with --nocapture")]
fn check_counts(backend: &str, threads: usize, sent: u64, counts: &Counts) {
    let Counts { forwarded, received, kernel_dropped, overload_dropped, datagrams, .. } = *counts;
    println!(
        "{backend}: {threads} threads sent {sent}, {forwarded} forwarded, {kernel_dropped} dropped by the kernel, \
         {overload_dropped} by the worker; p50 {} us, p99 {} us in the relay",
        counts.latency_us["p50"], counts.latency_us["p99"]
    );
    assert_eq!(
        received + kernel_dropped,
        sent,
        "{backend}: what was sent arrived or is counted as dropped: {counts:?}"
    );
    assert_eq!(datagrams + overload_dropped, received, "{backend}: what arrived was looked at or dropped: {counts:?}");
    assert_eq!(forwarded + counts.consumed + counts.drops, datagrams, "{backend}: {counts:?}");
    assert!(kernel_dropped + overload_dropped > 0, "{backend}: too much was sent: {counts:?}");
    assert!(forwarded > 0, "{backend}: {counts:?}");
}

/// Uses the API until the time of the overload is over; returns how often it answered.
#[allow(clippy::print_stdout, reason = "what was measured is worth reading with --nocapture")]
fn use_the_api(client: &Client) -> u32 {
    let begin = Instant::now();
    let mut longest = Duration::ZERO;
    let mut rounds = 0;
    while begin.elapsed() < OVERLOAD {
        let round = Instant::now();
        assert_eq!(client.request("GET", "/healthz", "").status, 200);
        // These have to be answered by the worker that is overloaded.
        assert_eq!(client.workers().len(), 1);
        let create = json!({"command": "leg-create", "party": "late", "codecs": ["PCMU"]});
        client.command("ordinary", create);
        client.command("ordinary", json!({"command": "leg-delete", "party": "late"}));
        rounds += 1;
        longest = longest.max(round.elapsed());
    }
    println!("{rounds} rounds of 4 requests, the longest took {longest:?}");
    rounds
}

/// Plays a stream each way and gives how many packets did not arrive.
fn lost_in_a_stream(parties: &[Endpoint; 2], take: u32) -> [u64; 2] {
    let before = parties.each_ref().map(|party| party.progress().received);
    for (party, number) in parties.iter().zip(1..) {
        let playback = Playback { sequence_offset: (take * PACKETS) as u16, ..Playback::default() };
        party.play(numbered_stream(number, PACKETS), playback).unwrap();
    }
    let arrived = |party: &Endpoint, before: u64| party.progress().received - before;
    for (party, before) in parties.iter().zip(before) {
        party.wait_until_played(PATIENCE).unwrap();
        // What is lost is counted below.
        let _ = party.wait_for_packets(before + u64::from(PACKETS), Duration::from_secs(1));
    }
    for party in parties {
        let report = Report::of(&party.recording(), &[]);
        assert_eq!((report.duplicates, report.reordered), (0, 0), "{report:?}");
    }
    [0, 1].map(|index| u64::from(PACKETS) - arrived(&parties[index], before[index]))
}

/// A call whose parties send as fast as they can.
struct Load {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<u64>>,
}

impl Load {
    /// Runs a load beside `meanwhile` and gives the number of packets sent. The call and its ports are gone then, and with
    /// them every drop has been counted.
    fn run(relay: &Relay, call: &str, threads: usize, meanwhile: impl FnOnce()) -> u64 {
        let client = relay.client();
        client.create_call(call);
        // Nobody reads what arrives here: it is dropped by the kernel, after it was forwarded.
        let sink = UdpSocket::bind("127.0.0.1:0").unwrap();
        let ports: Vec<Vec<SocketAddr>> = (0..threads)
            .map(|thread| (0..PAIRS).map(|pair| lease_pair(client, call, thread * PAIRS + pair, &sink)).collect())
            .collect();
        let mut load = Self { stop: Arc::default(), threads: Vec::new() };
        for to in ports.clone() {
            let stop = Arc::clone(&load.stop);
            load.threads.push(thread::spawn(move || flood(&to, &stop)));
        }
        meanwhile();
        let sent = load.end();
        eventually("the relay has taken what waited in the queues", || {
            (kernel::unread_by(relay.process_id()) == 0).then_some(())
        });
        // What was read last may still be looked at.
        assert_eq!(client.workers().len(), 1);
        client.delete_call(call);
        sent
    }

    fn end(&mut self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.threads.drain(..).map(|thread| thread.join().unwrap()).sum()
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// Two parties that hear each other; gives the relay's port for the one that will send.
fn lease_pair(client: &Client, call: &str, number: usize, sink: &UdpSocket) -> SocketAddr {
    let [from, to] = ["from", "to"].map(|side| format!("{side}-{number}"));
    let mut speaker = json!({"command": "leg-create", "party": from, "codecs": ["PCMU"]});
    speaker["latch"] = json!({"mode": "first-packet"});
    let listener = leg_create(&to, sink.local_addr().unwrap());
    let bridge = json!({"command": "bridge", "a": from, "b": to});
    let results = client.command(call, json!({"commands": [speaker, listener, bridge]}));
    address(&results[0], "local")
}

/// Sends until it is stopped; returns how many packets the kernel took.
fn flood(to: &[SocketAddr], stop: &AtomicBool) -> u64 {
    let sockets: Vec<UdpSocket> = to
        .iter()
        .map(|to| {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            socket.connect(to).unwrap();
            socket
        })
        .collect();
    let mut packet = [0x55; 12 + FRAME_LEN];
    let mut sent = 0;
    let mut sequence = 0_u16;
    while !stop.load(Ordering::Relaxed) {
        sequence = sequence.wrapping_add(1);
        for (socket, ssrc) in sockets.iter().zip(1..) {
            let header = RtpHeader {
                marker: false,
                payload_type: PayloadType::default(),
                sequence: SequenceNumber(sequence),
                timestamp: RtpTimestamp(u32::from(sequence) * FRAME_LEN as u32),
                ssrc: Ssrc(ssrc),
            };
            header.build(&mut packet);
            sent += u64::from(socket.send(&packet).is_ok());
        }
    }
    sent
}

/// What the only worker has counted.
#[derive(Clone, Debug)]
struct Counts {
    datagrams: u64,
    forwarded: u64,
    consumed: u64,
    drops: u64,
    received: u64,
    kernel_dropped: u64,
    overload_dropped: u64,
    latency_us: Value,
}

impl Counts {
    fn of(client: &Client) -> Self {
        let worker = client.workers().remove(0);
        let count = |value: &Value| value.as_u64().unwrap_or_else(|| panic!("a counter is missing: {worker}"));
        let io = &worker["io"];
        Self {
            datagrams: count(&worker["datagrams"]),
            forwarded: count(&worker["forwarded"]),
            consumed: count(&worker["consumed"]),
            drops: worker["drops"].as_object().unwrap().values().map(count).sum(),
            received: count(&io["received"]),
            // A steered port that is flooded gets its share; the rest is dropped before it is queued.
            kernel_dropped: count(&io["kernel_dropped"]) + count(&io["flood_dropped"]),
            overload_dropped: count(&io["overload_dropped"]),
            latency_us: worker["relay_latency_us"].clone(),
        }
    }

    fn since(self, before: &Self) -> Self {
        Self {
            datagrams: self.datagrams - before.datagrams,
            forwarded: self.forwarded - before.forwarded,
            consumed: self.consumed - before.consumed,
            drops: self.drops - before.drops,
            received: self.received - before.received,
            kernel_dropped: self.kernel_dropped - before.kernel_dropped,
            overload_dropped: self.overload_dropped - before.overload_dropped,
            latency_us: self.latency_us,
        }
    }
}
