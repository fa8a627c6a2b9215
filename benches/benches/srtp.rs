//! SRTP, for one packet: 1,000 sessions with keys of their own in turn, in batches as a worker has them, and one by one.
//!
//! Names read `srtp/SUITE LEN DIRECTION/WHO`; times are for one packet (criterion's throughput is in packets). With the feature
//! `libsrtp` the same packets go through libsrtp built on OpenSSL, which must make the same bytes of them. Both sides do all
//! that a relay needs: roll-over counter and replay window included.

#![allow(missing_docs, reason = "criterion's macros make items without documentation")]
#![allow(clippy::unwrap_used, reason = "a benchmark may stop at what it did not expect")]

use std::hint::black_box;
use std::time::Duration;

use arrayvec::ArrayVec;
use criterion::measurement::WallTime;
use criterion::{BatchSize, BenchmarkGroup, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use patchcord_rtp::{PayloadType, RtpHeader, RtpTimestamp, SequenceNumber, Ssrc};
use patchcord_srtp::{
    MasterKey, OVERHEAD_MAX, ProtectJob, Protections, Receiver, Sender, SessionKeys, Suite, UnprotectJob,
    protect_batch, unprotect_batch,
};

/// Their keys do not fit the first level's cache.
const SESSIONS: usize = 1_000;
/// Sessions are visited in an order that no prefetcher guesses; coprime to their number.
const STRIDE: usize = 377;
/// Packets a batch.
const BATCH: usize = 16;
/// Batches whose packets are made at once, outside of what is measured: few, as a relay's packets are in the cache.
const PREPARED: u64 = 4;
/// 20 ms of G.711, and what a video's packet has.
const LENS: [usize; 2] = [172, 1200];
const SUITES: [Suite; 2] = [Suite::AesCm128HmacSha1_80, Suite::AeadAes128Gcm];

criterion_group!(benches, srtp);
criterion_main!(benches);

fn srtp(criterion: &mut Criterion) {
    for suite in SUITES {
        for len in LENS {
            let mut group = criterion.benchmark_group(format!("srtp/{} {len} protect", suite.name()));
            set_up(&mut group);
            protect(&mut group, suite, len);
            #[cfg(feature = "libsrtp")]
            libsrtp::protect(&mut group, suite, len);
            group.finish();
            let mut group = criterion.benchmark_group(format!("srtp/{} {len} unprotect", suite.name()));
            set_up(&mut group);
            unprotect(&mut group, suite, len);
            #[cfg(feature = "libsrtp")]
            libsrtp::unprotect(&mut group, suite, len);
            group.finish();
        }
    }
}

fn set_up(group: &mut BenchmarkGroup<'_, WallTime>) {
    group.throughput(Throughput::Elements(BATCH as u64));
    group.warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
}

fn protect(group: &mut BenchmarkGroup<'_, WallTime>, suite: Suite, len: usize) {
    for (name, at_once) in [("batches", BATCH), ("one by one", 1)] {
        let mut senders = senders(suite);
        let mut traffic = Traffic::new(suite, len);
        group.bench_function(BenchmarkId::from_parameter(format!("patchcord, {name}")), |bencher| {
            bencher.iter_batched_ref(
                || traffic.batch(),
                |packets| {
                    for packets in packets.chunks_mut(at_once) {
                        protect_all(&mut senders, packets);
                    }
                },
                BatchSize::NumIterations(PREPARED),
            );
        });
    }
}

fn unprotect(group: &mut BenchmarkGroup<'_, WallTime>, suite: Suite, len: usize) {
    for (name, at_once) in [("batches", BATCH), ("one by one", 1)] {
        let mut senders = senders(suite);
        let mut receivers: Vec<Receiver> = (0..SESSIONS).map(|session| Receiver::new(keys(suite, session))).collect();
        let mut traffic = Traffic::new(suite, len);
        group.bench_function(BenchmarkId::from_parameter(format!("patchcord, {name}")), |bencher| {
            bencher.iter_batched_ref(
                || traffic.protected(&mut senders),
                |packets| {
                    for packets in packets.chunks_mut(at_once) {
                        unprotect_all(&mut receivers, packets);
                    }
                },
                BatchSize::NumIterations(PREPARED),
            );
        });
    }
}

fn senders(suite: Suite) -> Vec<Sender> {
    (0..SESSIONS).map(|session| Sender::new(keys(suite, session))).collect()
}

/// At most a batch.
fn protect_all(senders: &mut [Sender], packets: &mut [Packet]) {
    let mut indices = ArrayVec::<_, BATCH>::new();
    for packet in &*packets {
        indices.push(senders[packet.session].claim(&packet.header()).unwrap());
    }
    let mut jobs = ArrayVec::<_, BATCH>::new();
    for (packet, index) in packets.iter_mut().zip(indices) {
        jobs.push(ProtectJob::new(senders[packet.session].keys(), index, &mut packet.bytes, packet.len));
    }
    protect_batch(&mut jobs);
    for job in &jobs {
        job.outcome.unwrap();
        black_box(job.len);
    }
}

/// At most a batch of protected packets.
fn unprotect_all(receivers: &mut [Receiver], packets: &mut [Packet]) {
    let mut ids = ArrayVec::<_, BATCH>::new();
    let mut jobs = ArrayVec::<_, BATCH>::new();
    for packet in packets {
        let receiver = &receivers[packet.session];
        let header = packet.header();
        let index = receiver.expect(&header).unwrap();
        ids.push((packet.session, header.ssrc, index));
        jobs.push(UnprotectJob::new(receiver.keys(), index, &mut packet.bytes));
    }
    unprotect_batch(&mut jobs);
    for job in &jobs {
        black_box(job.outcome.unwrap());
    }
    drop(jobs);
    for (session, ssrc, index) in ids {
        receivers[session].accept(ssrc, index).unwrap();
    }
}

fn key_and_salt(suite: Suite, session: usize) -> Vec<u8> {
    let len = suite.key_len() + suite.salt_len();
    (0..len).map(|at| (session * 31 + session / 256 + at * 7).to_le_bytes()[0]).collect()
}

fn keys(suite: Suite, session: usize) -> SessionKeys {
    let master = MasterKey::new(suite, &key_and_salt(suite, session)).unwrap();
    SessionKeys::derive(&master, None, Protections::ALL).unwrap()
}

/// What a session sends.
#[derive(Clone)]
struct Packet {
    session: usize,
    /// The packet, and room for what protecting adds.
    bytes: Vec<u8>,
    /// Bytes of the plain packet.
    len: usize,
}

impl Packet {
    fn header(&self) -> RtpHeader {
        RtpHeader::read_srtp(&self.bytes).unwrap()
    }
}

/// Packets of all sessions in turn, each with the next sequence number of its session.
struct Traffic {
    suite: Suite,
    next: usize,
    sequences: Vec<u16>,
    len: usize,
}

impl Traffic {
    fn new(suite: Suite, len: usize) -> Self {
        Self { suite, next: 0, sequences: vec![0; SESSIONS], len }
    }

    fn batch(&mut self) -> Vec<Packet> {
        (0..BATCH).map(|_| self.packet()).collect()
    }

    fn protected(&mut self, senders: &mut [Sender]) -> Vec<Packet> {
        let mut packets = self.batch();
        protect_all(senders, &mut packets);
        packets
    }

    fn packet(&mut self) -> Packet {
        let session = self.next;
        self.next = (self.next + STRIDE) % SESSIONS;
        let sequence = self.sequences[session];
        self.sequences[session] = sequence.wrapping_add(1);
        // With the room that libsrtp wants.
        let mut bytes = Vec::with_capacity(self.len + 4 * OVERHEAD_MAX);
        bytes.resize(self.len + self.suite.rtp_tag_len(), 0xd5);
        let header = RtpHeader {
            marker: false,
            payload_type: PayloadType::new(8).unwrap(),
            sequence: SequenceNumber(sequence),
            timestamp: RtpTimestamp(u32::from(sequence) * 160),
            ssrc: Ssrc(u32::try_from(session).unwrap() + 1),
        };
        header.build(&mut bytes[..self.len]);
        Packet { session, bytes, len: self.len }
    }
}

/// The peer.
#[cfg(feature = "libsrtp")]
mod libsrtp {
    use std::slice;

    use criterion::measurement::WallTime;
    use criterion::{BatchSize, BenchmarkGroup, BenchmarkId};
    use patchcord_srtp::{Sender, Suite};
    use srtp::{CryptoPolicy, Session, StreamPolicy};

    use super::{PREPARED, Packet, SESSIONS, Traffic, key_and_salt, keys, protect_all, senders};

    const NAME: &str = "libsrtp";

    pub(super) fn protect(group: &mut BenchmarkGroup<'_, WallTime>, suite: Suite, len: usize) {
        must_agree(suite, len);
        let mut sessions = sessions(suite);
        let mut traffic = Traffic::new(suite, len);
        group.bench_function(BenchmarkId::from_parameter(NAME), |bencher| {
            bencher.iter_batched_ref(
                || plain(traffic.batch()),
                |packets| {
                    for packet in packets {
                        sessions[packet.session].protect(&mut packet.bytes).unwrap();
                    }
                },
                BatchSize::NumIterations(PREPARED),
            );
        });
    }

    pub(super) fn unprotect(group: &mut BenchmarkGroup<'_, WallTime>, suite: Suite, len: usize) {
        let mut senders = senders(suite);
        let mut sessions = sessions(suite);
        let mut traffic = Traffic::new(suite, len);
        group.bench_function(BenchmarkId::from_parameter(NAME), |bencher| {
            bencher.iter_batched_ref(
                || traffic.protected(&mut senders),
                |packets| {
                    for packet in packets {
                        sessions[packet.session].unprotect(&mut packet.bytes).unwrap();
                    }
                },
                BatchSize::NumIterations(PREPARED),
            );
        });
    }

    /// libsrtp knows a packet by its buffer's length.
    fn plain(mut packets: Vec<Packet>) -> Vec<Packet> {
        for packet in &mut packets {
            packet.bytes.truncate(packet.len);
        }
        packets
    }

    /// The same packet becomes the same bytes on both sides.
    fn must_agree(suite: Suite, len: usize) {
        for packet in Traffic::new(suite, len).batch() {
            let mut sender = Sender::new(keys(suite, packet.session));
            let mut peer = session(suite, packet.session);
            let mut ours = Packet { session: 0, ..packet.clone() };
            protect_all(slice::from_mut(&mut sender), slice::from_mut(&mut ours));
            let mut theirs = plain(vec![packet]);
            peer.protect(&mut theirs[0].bytes).unwrap();
            assert_eq!(ours.bytes, theirs[0].bytes, "{}", suite.name());
        }
    }

    fn sessions(suite: Suite) -> Vec<Session> {
        (0..SESSIONS).map(|number| session(suite, number)).collect()
    }

    fn session(suite: Suite, number: usize) -> Session {
        let policy = match suite {
            Suite::AeadAes128Gcm => CryptoPolicy::aes_gcm_128_16_auth(),
            Suite::AesCm128HmacSha1_80 => CryptoPolicy::aes_cm_128_hmac_sha1_80(),
            other => unreachable!("not compared: {}", other.name()),
        };
        let key = key_and_salt(suite, number);
        let mut session = Session::new().unwrap();
        let ssrc = u32::try_from(number).unwrap() + 1;
        session.add_stream(ssrc, StreamPolicy { rtp: policy, rtcp: policy, key: &key, ..Default::default() }).unwrap();
        session
    }
}
