//! The program beside the engine's rules in Rust: the same packets, the same bytes and counts.

#![allow(clippy::print_stderr, reason = "a skipped test says why")]
#![allow(unsafe_code, reason = "entries are found by their address")]

use core::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::sync::{LazyLock, Mutex, PoisonError};

use patchcord_relay::flow::{Flow, Progress, Step};
use patchcord_relay::time::MonoTime;
use patchcord_rtp::{PayloadType, ReceiverState, RtpHeader, RtpTimestamp, SequenceNumber, Ssrc};
use proptest::prelude::*;
use proptest::test_runner::Config;

use super::layout::{ACTIVE, ARMED, ENDED, Entry, UP};
use super::{FAST, SINCE};
use crate::af_xdp::{QueueKey, Socket};
use crate::bpf::{Map, Object, not_loaded};
use crate::clock::Clock;
use crate::mapping::Mapping;
use crate::network::Hop;
use crate::network::frame::{HEADER_MAX, Header};
use crate::port::PortKey;
use crate::steered::{Lease, WINDOW_DATAGRAMS};

/// What XDP programs return (linux/bpf.h).
const XDP_DROP: u32 = 1;
const XDP_PASS: u32 = 2;
const XDP_TX: u32 = 3;
const XDP_REDIRECT: u32 = 4;
/// The interface that frames of a test run come in by: the loopback's index in every network namespace.
const CAME_BY: u32 = 1;
const MTU: u32 = 1500;
const SOURCE: Ssrc = Ssrc(0xaabb_ccdd);

/// The program with room for one flow, and that flow.
struct Bench {
    object: Object,
    memory: Mapping,
}

/// Loaded once: the verifier takes its time.
static BENCH: LazyLock<Option<Mutex<Bench>>> = LazyLock::new(|| Bench::new().map(Mutex::new));

impl Bench {
    /// `None`: this takes privileges, and there are none.
    fn new() -> Option<Self> {
        let object = match Object::load(FAST, &[("places", 4), ("flows", 4)]) {
            Ok(object) => object,
            Err(error) => {
                let unavailable = not_loaded(&error, SINCE);
                assert!(std::env::var_os("CI").is_none(), "{unavailable}");
                eprintln!("skipped: {unavailable}");
                return None;
            }
        };
        let memory = object.memory("flows", 4).expect("the map is made to be mapped");
        Some(Self { object, memory })
    }

    fn entry(&self) -> &Entry {
        // SAFETY: the mapping has four entries, and lives as long as `self`.
        unsafe { self.memory.at(2 * size_of::<Entry>()).cast().as_ref() }
    }

    fn place(&self, flow: &Flow) {
        let places: Map<PortKey, u32> = self.object.map("places");
        places.insert(&PortKey::from(flow.local), &2, Map::<PortKey, u32>::ANY).expect("there is room");
    }

    fn run(&self, frame: &[u8]) -> (u32, Vec<u8>) {
        let mut buffer = vec![0; 2048];
        buffer[..frame.len()].copy_from_slice(frame);
        let (action, len) = self.object.test_run("fast", &mut buffer, frame.len()).expect("a test run");
        buffer.truncate(len);
        (action, buffer)
    }
}

/// Where everybody is.
#[derive(Clone, Copy, Debug)]
struct Ends {
    party: SocketAddr,
    local: SocketAddr,
    sink_local: SocketAddr,
    listener: SocketAddr,
}

fn ends(v6: bool) -> Ends {
    let parse = |text: &str| text.parse().expect("a literal");
    if v6 {
        Ends {
            party: parse("[2001:db8::2]:4000"),
            local: parse("[2001:db8::1]:30000"),
            sink_local: parse("[2001:db8:1::1]:30002"),
            listener: parse("[2001:db8:1::2]:5000"),
        }
    } else {
        Ends {
            party: parse("192.0.2.2:4000"),
            local: parse("192.0.2.1:30000"),
            sink_local: parse("198.51.100.1:30002"),
            listener: parse("198.51.100.2:5000"),
        }
    }
}

const fn hop(interface: u32) -> Hop {
    Hop { interface, mtu: MTU, near: [2, 0, 0, 0, 0, 1], far: [2, 0, 0, 0, 0, 2] }
}

fn outgoing(ends: Ends, interface: u32) -> Header {
    Header::new(&hop(interface), ends.sink_local, ends.listener, 46, 64).expect("one family")
}

/// A flow after its first packet, which had this number and timestamp.
fn flow(ends: Ends, sequence: u16, timestamp: u32, offsets: (u16, u32), payload_types: [u8; 128]) -> Flow {
    let now = 1_000_000_000;
    let mut receiver = ReceiverState::new(8000);
    receiver.observe(&header(0, sequence, timestamp), now);
    let newest = (1 << 16) + u64::from(sequence.wrapping_add(offsets.0));
    let mut progress = Progress { reception: receiver.reception(), last_packet_at: now, ..Progress::default() };
    progress.sending.newest = newest;
    progress.sending.first = newest;
    progress.sending.sent_window = 1;
    progress.sending.timestamp = timestamp.wrapping_add(offsets.1);
    progress.sending.frame_ts_units_max = 1000;
    Flow {
        from: ends.party,
        local: ends.local,
        sink: 7,
        sink_local: ends.sink_local,
        to: ends.listener,
        dscp: None,
        payload_types,
        sequence_offset: offsets.0,
        timestamp_offset: offsets.1,
        ssrc: Ssrc(0x1234_5678),
        progress,
    }
}

fn header(payload_type: u8, sequence: u16, timestamp: u32) -> RtpHeader {
    RtpHeader {
        marker: false,
        payload_type: PayloadType::new(payload_type).expect("below 128"),
        sequence: SequenceNumber(sequence),
        timestamp: RtpTimestamp(timestamp),
        ssrc: SOURCE,
    }
}

fn rtp(header: &RtpHeader, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0; 12];
    header.build(&mut packet);
    packet.extend_from_slice(payload);
    packet
}

/// A frame from the party, as a device receives it.
fn frame(from: SocketAddr, to: SocketAddr, packet: &[u8]) -> Vec<u8> {
    let header = Header::new(&hop(9), from, to, 0, 57).expect("one family");
    let mut headers = [0; HEADER_MAX];
    let len = header.write(packet, &mut headers);
    [&headers[..len], packet].concat()
}

/// One packet of the party's, by how it differs from the newest one.
#[derive(Clone, Debug)]
struct Sent {
    ahead: i16,
    payload_type: u8,
    marker: bool,
    timestamp_step: u32,
    payload: Vec<u8>,
    oddity: Oddity,
}

#[derive(Clone, Copy, Debug)]
enum Oddity {
    None,
    OtherSsrc,
    OtherPort,
    OtherHost,
    Padding,
    Extension,
    Rtcp,
    Stun,
    NoChecksum,
    PartialChecksum,
    WrongChecksum,
}

fn sent() -> impl Strategy<Value = Sent> {
    let ahead = prop_oneof![
        12 => Just(1_i16),
        3 => 2_i16..5,
        2 => -3_i16..=0,
        1 => -70_i16..70,
        1 => 2990_i16..3010,
        1 => any::<i16>(),
    ];
    let payload_type = prop_oneof![20 => Just(0_u8), 4 => Just(8_u8), 1 => 0_u8..128];
    let oddity = prop_oneof![
        30 => Just(Oddity::None),
        1 => Just(Oddity::OtherSsrc),
        1 => Just(Oddity::OtherPort),
        1 => Just(Oddity::OtherHost),
        1 => Just(Oddity::Padding),
        1 => Just(Oddity::Extension),
        1 => Just(Oddity::Rtcp),
        1 => Just(Oddity::Stun),
        4 => Just(Oddity::NoChecksum),
        4 => Just(Oddity::PartialChecksum),
        1 => Just(Oddity::WrongChecksum),
    ];
    let step = prop_oneof![8 => Just(160_u32), 1 => 0_u32..3000, 1 => any::<u32>()];
    let payload =
        prop_oneof![8 => prop::collection::vec(any::<u8>(), 160), 2 => prop::collection::vec(any::<u8>(), 0..1480)];
    (ahead, payload_type, prop::bool::weighted(0.1), step, payload, oddity).prop_map(
        |(ahead, payload_type, marker, timestamp_step, payload, oddity)| Sent {
            ahead,
            payload_type,
            marker,
            timestamp_step,
            payload,
            oddity,
        },
    )
}

/// The frame, and the packet in it; and where it comes from.
fn build(sent: &Sent, ends: Ends, newest: u16, timestamp: u32) -> (Vec<u8>, Vec<u8>, SocketAddr) {
    let sequence = newest.wrapping_add_signed(sent.ahead);
    let mut header = header(sent.payload_type, sequence, timestamp.wrapping_add(sent.timestamp_step));
    header.marker = sent.marker;
    let mut from = ends.party;
    match sent.oddity {
        Oddity::OtherSsrc => header.ssrc = Ssrc(!SOURCE.0),
        Oddity::OtherPort => from.set_port(4001),
        Oddity::OtherHost => {
            from.set_ip(if from.is_ipv4() { "203.0.113.9".parse() } else { "2001:db8::9".parse() }.expect("a literal"));
        }
        _ => {}
    }
    let mut packet = rtp(&header, &sent.payload);
    match sent.oddity {
        Oddity::Padding => packet[0] |= 0x20,
        Oddity::Extension => packet[0] |= 0x10,
        Oddity::Rtcp => packet[1] = 200,
        Oddity::Stun => packet[0] = 0,
        _ => {}
    }
    let mut frame = frame(from, ends.local, &packet);
    let check = frame.len() - packet.len() - 2;
    match sent.oddity {
        Oddity::NoChecksum => frame[check..check + 2].fill(0),
        Oddity::WrongChecksum => frame[check] ^= 0x10,
        // What a sender leaves to its device: the sum of the pseudo header, not inverted.
        Oddity::PartialChecksum => {
            let addresses = if ends.party.is_ipv4() { &frame[26..34] } else { &frame[22..54] };
            let len = (packet.len() + 8) as u32;
            let sum = crate::network::frame::fold(crate::network::frame::sum(addresses) + 17 + len);
            frame[check..check + 2].copy_from_slice(&sum.to_be_bytes());
        }
        _ => {}
    }
    (frame, packet, from)
}

proptest! {
    #![proptest_config(Config { cases: 300, failure_persistence: None, ..Config::default() })]

    #[test]
    fn program_does_what_the_engine_would(
        v6: bool,
        sequence: u16,
        timestamp: u32,
        offsets: (u16, u32),
        turns_around: bool,
        is_first_source: bool,
        packets in prop::collection::vec(sent(), 1..60),
    ) {
        let Some(bench) = BENCH.as_ref() else { return Ok(()) };
        let bench = bench.lock().unwrap_or_else(PoisonError::into_inner);
        let ends = ends(v6);
        let interface = if turns_around { CAME_BY } else { CAME_BY + 1 };
        let mut payload_types: [u8; 128] = core::array::from_fn(|number| number as u8);
        payload_types[8] = 96;
        payload_types[101] = Flow::ENGINE;
        let mut flow = flow(ends, sequence, timestamp, offsets, payload_types);
        if is_first_source {
            // What was sent before the first packet may come behind it.
            flow.progress.sending.first = 0;
        }
        let out = outgoing(ends, interface);
        let entry = bench.entry();
        // A case before this one may have left it at that.
        entry.take_back();
        bench.place(&flow);
        entry.arm(&flow, interface, &out);
        // The engine has handled the first; the program must have seen that it was given it.
        let first = frame(ends.party, ends.local, &rtp(&header(0, sequence, timestamp), &[0xff; 160]));
        prop_assert_eq!(bench.run(&first), (XDP_PASS, first.clone()));
        prop_assert_eq!(entry.state(), ARMED);

        let mut timestamp = timestamp;
        for sent in &packets {
            let newest = flow.progress.reception.extended_highest as u16;
            let (frame, packet, from) = build(sent, ends, newest, timestamp);
            timestamp = timestamp.wrapping_add(sent.timestamp_step);
            let before = entry.peek();
            let (action, after) = bench.run(&frame);
            let progress = entry.peek();
            let now = MonoTime::from_nanos(progress.map_or(0, |progress| progress.last_packet_at));
            let mut expected = packet.clone();
            // What was damaged on its way the kernel drops; without a checksum IPv6 knows no datagram.
            let is_damaged = matches!(sent.oddity, Oddity::WrongChecksum) || (v6 && matches!(sent.oddity, Oddity::NoChecksum));
            let is_too_long = packet.len() + if v6 { 48 } else { 28 } > MTU as usize;
            let step = if is_damaged || is_too_long { Step::NotOurs } else { flow.step(from, &mut expected, now) };
            match step {
                Step::NotOurs => {
                    prop_assert_eq!((action, &after), (XDP_PASS, &frame));
                    if is_too_long && entry.state() == ENDED {
                        return Ok(());
                    }
                    prop_assert_eq!(progress, before);
                }
                Step::Descend => {
                    prop_assert_eq!((action, &after), (XDP_PASS, &frame));
                    if entry.state() == ENDED {
                        prop_assert_eq!(entry.take_back(), Some(flow.progress));
                    } else {
                        // The first one of all: nothing has been forwarded yet. A foreign one has not ended it.
                        prop_assert_eq!((before, entry.take_back()), (None, None));
                    }
                    prop_assert_eq!(entry.state(), UP);
                    return Ok(());
                }
                Step::Duplicate => {
                    prop_assert_eq!(action, XDP_DROP);
                    prop_assert_eq!(progress, Some(flow.progress));
                }
                Step::Forward => {
                    let mut headers = [0; HEADER_MAX];
                    let len = out.write(&expected, &mut headers);
                    prop_assert_eq!(action, if turns_around { XDP_TX } else { XDP_REDIRECT });
                    prop_assert_eq!(after, [&headers[..len], &expected].concat());
                    prop_assert_eq!(progress, Some(flow.progress));
                    prop_assert_eq!(entry.state(), ACTIVE);
                }
            }
        }
    }
}

/// A frame, and how it is changed.
type Change = (&'static str, fn(&mut Vec<u8>));

/// Ethernet, and the parts of an IPv4 packet behind it.
const IP: usize = 14;
const UDP: usize = IP + 20;

/// A changed IPv4 header gets the checksum that belongs to it.
fn with_checksum(frame: &mut [u8]) {
    frame[IP + 10..IP + 12].fill(0);
    let checksum = !crate::network::frame::fold(crate::network::frame::sum(&frame[IP..IP + 20]));
    frame[IP + 10..IP + 12].copy_from_slice(&checksum.to_be_bytes());
}

/// Branch by branch, what is no plain datagram of RTP to a flow's port.
const NOT_OURS: &[Change] = &[
    ("shorter than Ethernet", |frame| frame.truncate(14)),
    ("shorter than IP", |frame| frame.truncate(IP + 12)),
    ("shorter than UDP", |frame| frame.truncate(UDP + 4)),
    ("shorter than RTP", |frame| frame.truncate(UDP + 12)),
    ("shorter than it says", |frame| frame.truncate(UDP + 100)),
    ("ARP", |frame| frame[12..14].copy_from_slice(&[0x08, 0x06])),
    ("a VLAN tag", |frame| drop(frame.splice(12..12, [0x81, 0, 0, 5]))),
    ("IP options", |frame| {
        frame[IP] = 0x46;
        with_checksum(frame);
    }),
    ("TCP", |frame| {
        frame[IP + 9] = 6;
        with_checksum(frame);
    }),
    ("a first fragment", |frame| {
        frame[IP + 6] = 0x20;
        with_checksum(frame);
    }),
    ("a later fragment", |frame| {
        frame[IP + 7] = 1;
        with_checksum(frame);
    }),
    ("a wrong checksum of IP", |frame| frame[IP + 10] ^= 1),
    ("another length in UDP than in IP", |frame| frame[UDP + 5] ^= 1),
    ("another port", |frame| frame[UDP + 3] ^= 1),
    ("another address", |frame| {
        frame[IP + 19] ^= 0x40;
        with_checksum(frame);
    }),
    ("version 1", |frame| frame[UDP + 8] = 0x40),
    ("RTCP", |frame| frame[UDP + 9] = 201),
];

#[test]
fn what_is_no_plain_rtp_to_a_port_passes_as_it_is_and_ends_no_flow() {
    let Some(bench) = BENCH.as_ref() else { return };
    let bench = bench.lock().unwrap_or_else(PoisonError::into_inner);
    let ends = ends(false);
    let flow = flow(ends, 100, 1_000, (7, 9), core::array::from_fn(|number| number as u8));
    let entry = bench.entry();
    entry.vacate();
    bench.place(&flow);
    entry.arm(&flow, CAME_BY, &outgoing(ends, CAME_BY));
    let numbered =
        |number| frame(ends.party, ends.local, &rtp(&header(0, number, 160 * u32::from(number)), &[0xff; 160]));
    assert_eq!(bench.run(&numbered(100)).0, XDP_PASS, "the last one that the engine handles");
    assert_eq!(bench.run(&numbered(101)).0, XDP_TX);
    let progress = entry.peek();
    for (what, change) in NOT_OURS {
        let mut frame = numbered(102);
        change(&mut frame);
        assert_eq!(bench.run(&frame), (XDP_PASS, frame.clone()), "{what}");
        assert_eq!((entry.state(), entry.peek()), (ACTIVE, progress), "{what}");
    }
    assert_eq!(bench.run(&numbered(102)).0, XDP_TX, "the next one is forwarded as if nothing had been");
    entry.vacate();
    assert_eq!(bench.run(&numbered(103)).0, XDP_PASS, "and none after the end");
}

#[test]
fn what_is_for_the_engine_goes_to_the_socket_of_its_queue_and_worker() {
    let sizes = [("places", 1), ("flows", 1), ("ports", 2), ("flooded", 4), ("queues", 1), ("rings", 4)];
    let object = match Object::load(FAST, &sizes) {
        Ok(object) => object,
        Err(error) => return eprintln!("skipped: {}", not_loaded(&error, SINCE)),
    };
    let ends = ends(false);
    let number = |number| frame(ends.party, ends.local, &rtp(&header(0, number, 0), &[0xff; 160]));
    let run = |frame: &[u8]| {
        let mut buffer = vec![0; 2048];
        buffer[..frame.len()].copy_from_slice(frame);
        let before = Clock.now().as_nanos();
        let (action, len) = object.test_run("fast", &mut buffer, frame.len()).expect("a test run");
        let (time, same) = buffer[..len].split_at(len - frame.len());
        assert_eq!(same, frame, "as it is");
        if action == XDP_REDIRECT {
            let time = u64::from_ne_bytes(time.try_into().expect("the time is in front of it"));
            assert!((before..=Clock.now().as_nanos()).contains(&time), "{time}");
        }
        action
    };
    assert_eq!(run(&number(1)), XDP_PASS, "a port of nobody's");
    // The second worker's IPv4 socket.
    let ports: Map<PortKey, Lease> = object.map("ports");
    ports.insert(&PortKey::from(ends.local), &Lease::of(2), Map::<PortKey, Lease>::ANY).expect("there is room");
    assert_eq!(run(&number(2)), XDP_PASS, "a queue that nobody listens to");
    let queues: Map<QueueKey, u32> = object.map("queues");
    let queue = QueueKey { interface: CAME_BY, index: 0 };
    queues.insert(&queue, &2, Map::<QueueKey, u32>::ANY).expect("there is room");
    assert_eq!(run(&number(3)), XDP_PASS, "a worker that has no socket");
    let socket = Socket::new().expect("root");
    let rings: Map<u32, u32> = object.map("rings");
    let put = |place: u32| rings.insert(&place, &(socket.as_raw_fd() as u32), Map::<u32, u32>::ANY).expect("a place");
    put(2);
    assert_eq!(run(&number(4)), XDP_PASS, "another worker's");
    put(3);
    assert_eq!(run(&number(5)), XDP_REDIRECT);
    let control = frame(ends.party, ends.local, &[0x80, 201, 0, 2, 0, 0, 0, 7, 0, 0, 0, 0]);
    assert_eq!(run(&control), XDP_REDIRECT, "RTCP");
    for (what, change) in
        NOT_OURS.iter().filter(|(what, _)| !matches!(*what, "version 1" | "RTCP" | "shorter than it says"))
    {
        let mut frame = number(6);
        change(&mut frame);
        assert_eq!(run(&frame), XDP_PASS, "{what}");
    }
    // All but one of the share of a window; it may end meanwhile.
    let flooded: Map<u32, u64> = object.map("flooded");
    let dropped = (0..3 * WINDOW_DATAGRAMS).filter(|_| run(&number(7)) == XDP_DROP).count();
    assert!(dropped > 0);
    assert_eq!(flooded.get(&2), Some(dropped as u64));
}

#[test]
fn a_kernel_that_lacks_what_the_program_calls_says_so_in_one_line() {
    /// A call of a helper, whose number follows (Linux: Documentation/bpf/standardization/instruction-set.rst).
    const CALL: [u8; 4] = [0x85, 0, 0, 0];
    let mut object = FAST.to_vec();
    let call =
        object.chunks_exact_mut(8).find(|instruction| instruction[..4] == CALL).expect("the program calls helpers");
    // No kernel has such a helper yet, as an older one has not those that we call.
    call[4..].copy_from_slice(&0xffff_u32.to_le_bytes());
    let error = Object::load(&object, &[("places", 4), ("flows", 4)]).expect_err("there is no such helper");
    if error.errno() == Some(libc::EPERM) {
        let unavailable = not_loaded(&error, SINCE);
        assert!(std::env::var_os("CI").is_none(), "{unavailable}");
        return eprintln!("skipped: {unavailable}");
    }
    let line = not_loaded(&error, SINCE).to_string();
    assert!(
        line.contains("the program `fast`") && line.contains("the verifier: ") && line.contains("#65535"),
        "{line}"
    );
    assert!(line.contains("it takes Linux 5.12 or later"), "{line}");
    assert_eq!(line.lines().count(), 1, "{line}");
}
