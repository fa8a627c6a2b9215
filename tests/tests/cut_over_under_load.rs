//! 200 calls, 50 packets a second each way, all swapped on the target's first packet while the traffic runs: no packet of
//! a surviving party is lost or doubled, the stream that it hears goes on seamlessly, and the receipts say what happened.
//!
//! Everything is judged by what the parties have sent and received. Times are compared with the senders' own, and only in
//! their majority: the machine may have other things to do.

#![allow(clippy::unwrap_used, reason = "a test may stop at what it did not expect")]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use patchcord_lab::endpoint::{Endpoint, EndpointOptions, Endpoints, Fingerprint, Playback, SentLog};
use patchcord_lab::netns::Namespace;
use patchcord_lab::report::Report;
use patchcord_tests::stage::{address, leg_create, number_of, numbered_stream};
use patchcord_tests::{PATIENCE, Relay, free_ports, in_a_namespace, kernel, privileged};
use serde_json::{Value, json};

const CALLS: u32 = 200;

/// Packets of 20 ms that a stream has: more than the test needs.
const STREAM: u32 = 1_500;

/// Packets that a party has heard before the swaps begin, and hears at least after them.
const TALK: u64 = 50;

/// Between the beginnings of two calls' streams: all of them fit into a packet time.
const SPREAD: Duration = Duration::from_micros(100);

/// Between two calls' new parties: so long that a moment in which the machine does something else does not fall on all the
/// switches.
const SPREAD_OF_SWITCHES: Duration = Duration::from_millis(2);

/// The streams of the three parties of a call have these numbers.
const SURVIVOR: u32 = 0;
const OLD: u32 = 1;
const NEW: u32 = 2;
const PARTIES: [&str; 3] = ["survivor", "old", "new"];

/// Receipts that may show a gap longer than their bound: those of moments in which the machine did something else.
const LATE_MAX: f64 = 0.1;

/// By this much a receipt's gap may be longer than the time between two packets as sent, without counting as late: the
/// relay's own delay differs a little from packet to packet, and it wakes up every 500 us under load.
const DELAY_US: u64 = 2_000;

struct Call {
    name: String,
    parties: [Endpoint; 3],
}

/// One after the other: two loads at a time would measure each other.
static ONE_LOAD: Mutex<()> = Mutex::new(());

#[test]
fn calls_are_swapped_under_load_with_io_uring() {
    swap_all("io-uring", &ON_LOOPBACK);
}

#[test]
fn calls_are_swapped_under_load_with_mmsg() {
    swap_all("mmsg", &ON_LOOPBACK);
}

#[test]
fn calls_are_swapped_under_load_with_steered_sockets() {
    in_a_namespace("BPF programs steer ports", || swap_all("steered", &ON_LOOPBACK));
}

/// Past the workers, by way of an interface.
#[test]
fn calls_are_swapped_under_load_with_xdp() {
    swap_all_by_an_interface("steered", "xdp");
}

#[test]
fn calls_are_swapped_under_load_with_af_xdp() {
    swap_all_by_an_interface("af-xdp", "off");
}

/// The parties are in a network namespace of their own.
fn swap_all_by_an_interface(backend: &str, offload: &str) {
    if !privileged("XDP programs are attached to interfaces") {
        return;
    }
    let [parties, host] = ["parties", "relay"].map(|name| Namespace::create(name).unwrap());
    host.connect("10.80.1.1/24".parse().unwrap(), &parties, "10.80.1.2/24".parse().unwrap()).unwrap();
    let stage = Stage {
        arguments: &["--interface", "10.80.1.1", "--offload", offload],
        parties: Some((&parties, [10, 80, 1, 2])),
    };
    host.run(|| swap_all(backend, &stage)).unwrap();
}

/// Where the relay and its parties are.
struct Stage<'a> {
    arguments: &'a [&'a str],
    /// `None`: on loopback.
    parties: Option<(&'a Namespace, [u8; 4])>,
}

const ON_LOOPBACK: Stage<'_> = Stage { arguments: &["--offload", "off"], parties: None };

fn swap_all(backend: &str, stage: &Stage<'_>) {
    let _alone = ONE_LOAD.lock().unwrap_or_else(PoisonError::into_inner);
    kernel::raise_file_limit();
    let ports = free_ports(CALLS as u16 * 3).to_string();
    let arguments = ["--backend", backend, "--ports", &ports, "--set", "log.level=warn"];
    let relay = Relay::start(&[&arguments, stage.arguments].concat());
    let endpoints = Endpoints::start().unwrap();
    let calls: Vec<Call> = (0..CALLS).map(|number| set_up(&relay, &endpoints, stage, number)).collect();
    let streams: Vec<_> = (0..CALLS * 3).map(|number| numbered_stream(number, STREAM)).collect();
    let play = |call: &Call, number: u32, party: u32| {
        let stream = streams[(3 * number + party) as usize].clone();
        call.parties[party as usize].play(stream, Playback::default().numbered(3 * number + party)).unwrap();
    };

    for (call, number) in calls.iter().zip(0..) {
        play(call, number, SURVIVOR);
        play(call, number, OLD);
        thread::sleep(SPREAD);
    }
    for call in &calls {
        call.parties[SURVIVOR as usize].wait_for_packets(TALK, PATIENCE).unwrap();
    }
    for call in &calls {
        let swap = json!({"id": "swap", "command": "swap", "survivor": "survivor", "old": "old", "new": "new",
            "trigger": "on-first-packet", "keep_old": "mute"});
        let results = relay.client().command(&call.name, swap);
        assert_eq!(results[0]["state"], "pending", "{results:?}");
    }
    for (call, number) in calls.iter().zip(0..) {
        play(call, number, NEW);
        thread::sleep(SPREAD_OF_SWITCHES);
    }
    for call in &calls {
        call.parties[NEW as usize].wait_for_packets(TALK, PATIENCE).unwrap();
    }
    for party in calls.iter().flat_map(|call| &call.parties) {
        party.stop();
    }
    let deadline = Instant::now() + Duration::from_secs(5);
    for call in &calls {
        wait_for_the_last(call, deadline);
    }

    let sum = |what: &str| relay.client().workers().iter().map(|worker| worker[what].as_u64().unwrap()).sum::<u64>();
    let (forwarded, offloaded) = (sum("forwarded"), sum("offloaded"));
    let mut gaps = Gaps::default();
    for (call, number) in calls.iter().zip(0..) {
        check(&relay.client().delete_call(&call.name), call, number, &mut gaps);
    }
    gaps.check(backend);
    match (stage.parties, backend) {
        (None, _) => {}
        (Some(_), "af-xdp") => {
            let io =
                |what: &str| relay.client().workers().iter().map(|worker| worker["io"][what].as_u64().unwrap()).sum();
            let (received, sent): (u64, u64) = (io("received_af_xdp"), io("sent_af_xdp"));
            let fewer = received.min(sent);
            assert!(fewer > forwarded * 3 / 4, "{received} came and {sent} went by AF_XDP of {forwarded} packets");
        }
        (Some(_), _) => {
            assert!(offloaded > forwarded * 3 / 4, "the kernel forwards {offloaded} of {forwarded} packets");
        }
    }
    for worker in relay.client().workers() {
        assert_eq!(worker["backend"], backend, "{worker}");
        assert_eq!((&worker["io"]["kernel_dropped"], &worker["events_lost"]), (&json!(0), &json!(0)), "{worker}");
    }
}

fn set_up(relay: &Relay, endpoints: &Endpoints, stage: &Stage<'_>, number: u32) -> Call {
    let name = format!("c{number}");
    relay.client().create_call(&name);
    let add = |address: [u8; 4]| {
        PARTIES.map(|party| endpoints.add(party, SocketAddr::from((address, 0)), EndpointOptions::default()).unwrap())
    };
    let parties = match stage.parties {
        Some((namespace, address)) => namespace.run(|| add(address)).unwrap(),
        None => add([127, 0, 0, 1]),
    };
    let mut commands: Vec<Value> = parties.iter().map(|party| leg_create(party.name(), party.local_addr())).collect();
    commands.push(json!({"command": "bridge", "a": "survivor", "b": "old"}));
    let results = relay.client().command(&name, json!({ "commands": commands }));
    for (party, result) in parties.iter().zip(&results) {
        party.set_remote(address(result, "local"));
    }
    Call { name, parties }
}

/// Waits until the last packet of either surviving party has come to the other. If it does not come before the deadline,
/// `check` says what is missing.
fn wait_for_the_last(call: &Call, deadline: Instant) {
    let [survivor, _, new] = call.parties.each_ref();
    for (speaker, listener) in [(survivor, new), (new, survivor)] {
        let last = speaker.sent().packets.last().map(|packet| packet.fingerprint);
        let arrived = |listener: &Endpoint| {
            listener.recording().datagrams().next_back().map(|packet| Fingerprint::of(packet.payload())) == last
        };
        while !arrived(listener) && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Checks one call: what its parties heard, and what the relay says about it in the call's final state.
fn check(state: &Value, call: &Call, number: u32, gaps: &mut Gaps) {
    let [survivor, old, new] = call.parties.each_ref();
    let sent = [survivor.sent(), old.sent(), new.sent()];
    let [sent_survivor, sent_old, sent_new] = sent.each_ref().map(|log| log.packets.len() as u32);
    let name = &call.name;

    // The survivor's stream: to the old party up to the switch, to the new one from then on.
    let to_old = heard_by(old);
    let to_new = heard_by(new);
    let switched = to_old.len() as u32;
    assert_eq!(to_old, run(3 * number + SURVIVOR, 0, switched), "{name}: what the old party heard");
    assert_eq!(to_new, run(3 * number + SURVIVOR, switched, sent_survivor), "{name}: what the new party heard");

    // The survivor hears the old party up to the switch, and then all of the new one.
    let heard = heard_by(survivor);
    let of_old = heard.iter().filter(|(stream, _)| *stream == 3 * number + OLD).count() as u32;
    let expected = [run(3 * number + OLD, 0, of_old), run(3 * number + NEW, 0, sent_new)].concat();
    assert_eq!(heard, expected, "{name}: what the survivor heard");

    // It is one stream: one SSRC, every sequence number once and in order, a marker at the switch and nowhere else.
    let report = Report::of(&survivor.recording(), &sent.each_ref());
    let told = || format!("{name}: {report:?}");
    assert_eq!((report.lost, report.duplicates, report.reordered), (0, 0, 0), "{}", told());
    assert_eq!((report.ssrcs.len(), report.breaks().count()), (1, 0), "{}", told());
    let first_marker = survivor.recording().rtp().next().is_some_and(|(header, _)| header.marker);
    assert_eq!(report.markers, 1 + u64::from(first_marker), "{}", told());
    let step = report.steps.iter().find(|step| step.packet == u64::from(of_old));
    let step = step.filter(|step| step.marker && step.seq_step == 1).unwrap_or_else(|| panic!("{}", told()));
    for endpoint in [old, new] {
        let report = Report::of(&endpoint.recording(), &sent.each_ref());
        assert_eq!((report.lost, report.duplicates, report.ssrcs.len()), (0, 0, 1), "{name}: {report:?}");
        assert_eq!(report.breaks().count(), 0, "{name}: {report:?}");
    }

    // The receipts: one a direction, saying what the parties have seen.
    let cut_overs = state["cut_overs"].as_array().unwrap();
    let swap = cut_overs.iter().find(|cut_over| cut_over["id"] == "swap").unwrap();
    assert_eq!((&swap["state"], &swap["trigger"]), (&json!("done"), &json!("on-first-packet")), "{name}: {swap}");
    let receipts: BTreeMap<&str, &Value> = swap["receipts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|receipt| (receipt["party"].as_str().unwrap(), receipt))
        .collect();
    let receipt = receipts["survivor"];
    assert_eq!(receipt["trigger"], "on-first-packet", "{name}: {receipt}");
    assert_eq!((&receipt["seq_step"], &receipt["ts_step"]), (&json!(1), &json!(step.ts_step)), "{name}: {receipt}");
    // What of the old party came too late for the survivor is counted: for a while as late, then as heard by nobody.
    let drops = &state["legs"].as_array().unwrap().iter().find(|leg| leg["party"] == "old").unwrap()["drops"];
    let dropped: u64 = drops.as_object().unwrap().values().map(|count| count.as_u64().unwrap()).sum();
    assert_eq!(dropped, u64::from(sent_old - of_old), "{name}: {drops}");
    assert_eq!(receipt["stale"].as_u64(), drops["stale_after_cutover"].as_u64().or(Some(0)), "{name}: {drops}");
    let receipt_new = receipts["new"];
    assert_eq!(receipt_new["seq_step"], Value::Null, "{name}: the new party had heard nothing before: {receipt_new}");
    assert_eq!(receipts.keys().copied().collect::<Vec<_>>(), ["new", "old", "survivor"], "{name}: {swap}");

    gaps.add(receipt["gap_us"].as_u64().unwrap(), step.gap_us, &sent[OLD as usize], of_old);
}

/// Stream and place of every packet that an endpoint received, in the order of arrival.
fn heard_by(endpoint: &Endpoint) -> Vec<(u32, u32)> {
    let recording = endpoint.recording();
    recording.rtp().map(|(_, packet)| number_of(packet.payload()).unwrap_or((u32::MAX, u32::MAX))).collect()
}

fn run(stream: u32, from: u32, to: u32) -> Vec<(u32, u32)> {
    (from..to).map(|index| (stream, index)).collect()
}

/// The gaps of all switches, against the time in which the old source would have gone on.
#[derive(Default)]
struct Gaps {
    /// By how much each receipt's gap is longer than the time from the old source's last packet to its next, as sent.
    excess_us: Vec<u64>,
    receipts_us: Vec<u64>,
    /// Difference of receipt and what the survivor saw.
    differences_us: Vec<u64>,
}

impl Gaps {
    fn add(&mut self, receipt_us: u64, seen_us: u64, old: &SentLog, of_old: u32) {
        let at = |index: u32| old.packets.get(index as usize).map(|packet| packet.at_ns / 1_000);
        let packet_time_us = 20_000;
        // Nobody has heard the packet after the last one; if it was not sent, a packet time has not passed.
        let lateness_us =
            at(of_old).zip(at(of_old - 1)).map_or(0, |(next, last)| (next - last).saturating_sub(packet_time_us));
        self.excess_us.push(receipt_us.saturating_sub(packet_time_us + lateness_us));
        self.receipts_us.push(receipt_us);
        self.differences_us.push(receipt_us.abs_diff(seen_us));
    }

    #[allow(clippy::print_stdout, reason = "what was measured is worth reading with --nocapture")]
    fn check(mut self, backend: &str) {
        self.receipts_us.sort_unstable();
        self.differences_us.sort_unstable();
        let count = self.excess_us.len();
        let (median, last) = (self.receipts_us[count / 2], self.receipts_us[count - 1]);
        println!("{backend}: gap_us of {count} switches: median {median}, longest {last}");
        let late = |values: &[u64]| values.iter().filter(|&&value| value > DELAY_US).count() as f64 / count as f64;
        let (excess, difference) = (late(&self.excess_us), late(&self.differences_us));
        println!(
            "{backend}: {:.1} % longer than a packet time as sent, {:.1} % differ from what was seen",
            excess * 100.0,
            difference * 100.0
        );
        assert!(excess <= LATE_MAX, "{backend}: gaps beyond a packet time by, in us: {:?}", self.excess_us);
        assert!(
            difference <= LATE_MAX,
            "{backend}: receipts and recordings differ by, in us: {:?}",
            self.differences_us
        );
    }
}
