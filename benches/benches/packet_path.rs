//! The engine's packet path, as a cross product of what a packet meets and how many legs the shard has.
//!
//! Names read `packet_path/WHAT/legs=N`; times are for one packet (criterion's throughput is in packets). Each group has
//! a twin, `hash_map_lookup`, which does nothing but find a leg's number by its port in a `HashMap` of the same size, for
//! each packet of the batch: the ratio to it says what the machine's noise does not.

#![allow(missing_docs, reason = "criterion's macros make items without documentation")]

use std::collections::HashMap;
use std::hint::black_box;
use std::net::{Ipv4Addr, SocketAddr};

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use patchcord_relay::command::{
    Command, CutOver, EgressMode, LatchMode, LatchPolicy, LegSpec, Relaying, Source, SourceChange, Trigger,
};
use patchcord_relay::ids::{Component, CutOverId, LegId, PortId};
use patchcord_relay::media::{Codec, Direction, EncodingName, Frames, Repeat, Sending};
use patchcord_relay::time::MonoTime;
use patchcord_relay::{Datagram, Shard, ShardConfig};
use patchcord_rtp::{CompoundWriter, NtpTime, PayloadType, RtpHeader, RtpTimestamp, SenderInfo, SequenceNumber, Ssrc};

/// Datagrams a batch: what a loaded worker sees.
const BATCH: usize = 64;
/// A 20 ms G.711 packet.
const PACKET_LEN: usize = 172;
/// 1,000 legs fit a core's own cache, 20,000 do not.
const LEGS: [u32; 2] = [1_000, 20_000];

criterion_group!(benches, forward, rtcp, player, hash_map_lookup);
criterion_main!(benches);

/// Plain forwarding, statistics included: `fresh`: never cut over; `cut-over`: with sequence and timestamp offsets;
/// `payload-types`: with a translation of payload types.
fn forward(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("packet_path");
    group.throughput(Throughput::Elements(BATCH as u64));
    for legs in LEGS {
        for (name, setup) in [("forward-fresh", 0), ("forward-cut-over", 1), ("forward-payload-types", 2)] {
            let mut traffic = Traffic::new(legs);
            traffic.start(setup == 2);
            if setup == 1 {
                traffic.cut_over_all();
            }
            group.bench_function(BenchmarkId::new(name, format!("legs={legs}")), |bencher| {
                bencher.iter(|| traffic.forward_one_batch());
            });
            traffic.must_have_dropped_nothing();
        }
    }
    group.finish();
}

/// Sender reports that have to be written anew after a cut-over.
fn rtcp(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("packet_path");
    group.throughput(Throughput::Elements(BATCH as u64));
    for legs in LEGS {
        let mut traffic = Traffic::new(legs);
        traffic.start(false);
        traffic.cut_over_all();
        group.bench_function(BenchmarkId::new("rtcp", format!("legs={legs}")), |bencher| {
            bencher.iter(|| traffic.report_one_batch());
        });
        traffic.must_have_dropped_nothing();
    }
    group.finish();
}

/// Hold audio to every leg: one tick of 1 ms.
fn player(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("packet_path");
    for legs in LEGS {
        group.throughput(Throughput::Elements(u64::from(legs) / 20));
        let mut traffic = Traffic::new(legs);
        traffic.play_to_all();
        group.bench_function(BenchmarkId::new("player", format!("legs={legs}")), |bencher| {
            bencher.iter_batched(|| (), |()| traffic.tick(), BatchSize::SmallInput);
        });
    }
    group.finish();
}

/// The yardstick.
fn hash_map_lookup(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("packet_path");
    group.throughput(Throughput::Elements(BATCH as u64));
    for legs in LEGS {
        let by_port: HashMap<SocketAddr, u32> = (0..legs).map(|leg| (remote_of(leg), leg)).collect();
        let mut next = 0;
        group.bench_function(BenchmarkId::new("hash_map_lookup", format!("legs={legs}")), |bencher| {
            bencher.iter(|| {
                for _ in 0..BATCH {
                    next = (next + STRIDE) % legs;
                    black_box(by_port.get(black_box(&remote_of(next))));
                }
            });
        });
    }
    group.finish();
}

/// Legs are visited in an order that no prefetcher guesses; coprime to both numbers of legs.
const STRIDE: u32 = 7_919;

/// A shard full of bridged pairs, and what their parties send.
struct Traffic {
    shard: Shard,
    legs: u32,
    sequences: Vec<u16>,
    next: u32,
    now: MonoTime,
    /// What every second leg calls the format.
    odd_payload_type: u8,
    packets: Vec<[u8; PACKET_LEN]>,
}

impl Traffic {
    fn new(legs: u32) -> Self {
        let mut shard = Shard::new(ShardConfig { legs_max: legs, seed: 1 });
        shard.set_wallclock(NtpTime::from_unix_nanos(1_700_000_000_000_000_000), MonoTime::ZERO);
        for leg in 0..legs {
            let add = Command::AddLeg(Box::new(spec(leg, false)));
            drop(shard.apply(&[add], MonoTime::ZERO).expect("there is room"));
        }
        Self {
            shard,
            legs,
            sequences: vec![0; legs as usize],
            next: 0,
            now: MonoTime::from_nanos(1_000_000_000),
            odd_payload_type: 0,
            packets: vec![[0; PACKET_LEN]; BATCH],
        }
    }

    /// Bridges every leg with its neighbour and lets each send one packet. `other_payload_types`: every second leg calls
    /// the format by another number.
    fn start(&mut self, other_payload_types: bool) {
        for leg in (0..self.legs).step_by(2) {
            if other_payload_types {
                self.odd_payload_type = 96;
                let codecs = vec![codec(96)];
                self.apply(Command::SetCodecs { leg: LegId(u64::from(leg + 1)), codecs });
            }
            self.bridge(leg);
        }
        self.warm_up();
    }

    /// Hold audio to everybody, then back: from now on every packet has offsets.
    fn cut_over_all(&mut self) {
        self.play_to_all();
        self.tick();
        for leg in (0..self.legs).step_by(2) {
            self.bridge(leg);
        }
        self.warm_up();
    }

    /// Every leg sends, twice or so.
    fn warm_up(&mut self) {
        for _ in 0..2 * self.legs.div_ceil(BATCH as u32) {
            self.forward_one_batch();
        }
    }

    fn play_to_all(&mut self) {
        let frames = Frames::new("PCMU", 8000, 20, 160, &[0xff; 16_000]).expect("100 frames");
        for leg in 0..self.legs {
            let source = Source::Player { frames: frames.clone(), repeat: Repeat::Forever };
            self.cut_over(vec![SourceChange { sink: LegId(u64::from(leg)), source }]);
            if leg % (self.legs / 20) == 0 {
                self.now = self.now.after_nanos(1_000_000);
            }
        }
    }

    fn bridge(&mut self, leg: u32) {
        let (a, b) = (LegId(u64::from(leg)), LegId(u64::from(leg + 1)));
        self.cut_over(vec![
            SourceChange { sink: a, source: Source::Leg(b) },
            SourceChange { sink: b, source: Source::Leg(a) },
        ]);
    }

    fn cut_over(&mut self, changes: Vec<SourceChange>) {
        self.next += 1;
        let id = CutOverId(self.now.as_nanos() << 20 | u64::from(self.next));
        self.apply(Command::CutOver(CutOver { id, changes, trigger: Trigger::Immediate }));
    }

    fn apply(&mut self, command: Command) {
        drop(self.shard.apply(&[command], self.now).expect("a valid command"));
    }

    fn tick(&mut self) {
        self.now = self.now.after_nanos(1_000_000);
        black_box(self.shard.tick(self.now).transmits().len());
    }

    fn forward_one_batch(&mut self) {
        self.now = self.now.after_nanos(1_000_000);
        let (legs, now) = (self.legs, self.now);
        let payload_types = [payload_type(0), payload_type(self.odd_payload_type)];
        let mut next = self.next;
        let sequences = &mut self.sequences;
        let mut packets = self.packets.iter_mut();
        let mut batch: [Datagram<'_>; BATCH] = std::array::from_fn(|_| {
            next = (next + STRIDE) % legs;
            let sequence = &mut sequences[next as usize];
            *sequence = sequence.wrapping_add(1);
            let packet = packets.next().expect("a packet for each of the batch");
            let header = RtpHeader {
                marker: false,
                payload_type: payload_types[next as usize % 2],
                sequence: SequenceNumber(*sequence),
                timestamp: RtpTimestamp(u32::from(*sequence) * 160),
                ssrc: Ssrc(next),
            };
            header.build(packet);
            datagram(next, now, packet, PACKET_LEN)
        });
        self.next = next;
        let outputs = self.shard.ingress(&mut batch, now);
        black_box(outputs.transmits().len());
        drop(outputs);
        self.shard.sent(&batch, now.after_nanos(20_000));
        black_box(&batch);
    }

    /// A dropped packet is a cheap packet: its time would be no figure at all.
    fn must_have_dropped_nothing(&self) {
        let worker = self.shard.worker();
        let drops: Vec<_> = worker.drops.nonzero().collect();
        assert!(drops.is_empty() && worker.datagrams > 0, "the benchmark measured drops: {drops:?}");
    }

    fn report_one_batch(&mut self) {
        self.now = self.now.after_nanos(1_000_000);
        let (legs, now) = (self.legs, self.now);
        let mut next = self.next;
        let mut packets = self.packets.iter_mut();
        let mut batch: [Datagram<'_>; BATCH] = std::array::from_fn(|_| {
            next = (next + STRIDE) % legs;
            let packet = packets.next().expect("a packet for each of the batch");
            let mut writer = CompoundWriter::new(packet);
            let info = SenderInfo {
                ntp: NtpTime(1 << 40),
                rtp_timestamp: RtpTimestamp(160),
                packet_count: 1,
                octet_count: 160,
            };
            writer.sender_report(Ssrc(next), &info, []).expect("there is room");
            writer.source_description(Ssrc(next), "bench@example.org").expect("there is room");
            let len = writer.finish();
            datagram(next, now, packet, len)
        });
        self.next = next;
        let outputs = self.shard.ingress(&mut batch, now);
        black_box(outputs.transmits().len());
    }
}

fn datagram(leg: u32, now: MonoTime, packet: &mut [u8], len: usize) -> Datagram<'_> {
    Datagram::new(PortId::new(leg, Component::Rtp), remote_of(leg), now, packet, len)
}

fn spec(leg: u32, muxed: bool) -> LegSpec {
    let local = SocketAddr::from((Ipv4Addr::LOCALHOST, 30_000));
    LegSpec {
        id: LegId(u64::from(leg)),
        local_rtp: local,
        local_rtcp: muxed.then_some(local),
        remote_rtp: Some(remote_of(leg)),
        remote_rtcp: None,
        codecs: vec![codec(0)],
        direction: Direction::SendRecv,
        latch: LatchPolicy { mode: LatchMode::Off, ..LatchPolicy::default() },
        egress_mode: EgressMode::Continuity,
        media_timeout: None,
        relaying: Relaying::Rtp,
        dscp: None,
    }
}

fn codec(number: u8) -> Codec {
    let encoding = EncodingName::new("PCMU").expect("a short name");
    Codec {
        payload_type: payload_type(number),
        encoding,
        clock_rate: 8000,
        channels: 1,
        fmtp: None,
        sending: Sending::default(),
    }
}

fn payload_type(number: u8) -> PayloadType {
    PayloadType::new(number).expect("below 128")
}

fn remote_of(leg: u32) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::from(0x0a00_0000 + (leg >> 12)), 10_000 + (leg & 0xfff) as u16))
}
