//! Mixing, for one tick of 20 ms: conferences in which each party hears all the others.
//!
//! Names read `mixing/CODEC/PARTIES`; a tick takes a packet of each party, and makes one for each. `mixing/CODEC/alone` is two parties
//! of whom one hears the other, and `mixing/CODEC/overlay` the same with a prompt over it.

#![allow(missing_docs, reason = "criterion's macros make items without documentation")]
#![allow(clippy::unwrap_used, reason = "a benchmark may stop at what it did not expect")]

use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use patchcord_codec::{Codec, Encoder, EncoderOptions, music, resample};
use patchcord_media::{Clip, Format, Meaning, Mixer, Prompt, TICK};
use patchcord_rtp::{PayloadType, RtpHeader, RtpTimestamp, SequenceNumber, Ssrc};

criterion_group!(benches, mixing);
criterion_main!(benches);

/// A second of it, again and again.
const PACKETS: usize = 50;

fn mixing(criterion: &mut Criterion) {
    for (number, encoding, clock_rate, channels) in
        [(0, "PCMU", 8000, 1), (9, "G722", 8000, 1), (96, "opus", 48_000, 2)]
    {
        let mut group = criterion.benchmark_group(format!("mixing/{encoding}"));
        group.warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
        let format = Format::of(PayloadType::new(number).unwrap(), encoding, clock_rate, channels, None);
        for parties in [3, 6, 12] {
            group.throughput(Throughput::Elements(parties));
            group.bench_function(BenchmarkId::from_parameter(parties), |bencher| {
                let mut conference = Conference::new(format, parties as usize);
                bencher.iter(|| conference.tick());
            });
        }
        group.throughput(Throughput::Elements(1));
        for (name, overlay) in [("alone", false), ("overlay", true)] {
            group.bench_function(name, |bencher| {
                let mut pair = Conference::new(format, 2);
                pair.mixer.end(1);
                if overlay {
                    let frames = pair.payloads.clone();
                    let prompt = Prompt::new(pair.codec, 20, Box::new(Frames(frames)), 0).unwrap();
                    pair.mixer.overlay(0, prompt);
                }
                bencher.iter(|| pair.tick());
            });
        }
        group.finish();
    }
}

/// A prompt without an end.
#[derive(Debug)]
struct Frames(Vec<Vec<u8>>);

impl Clip for Frames {
    fn frame(&self, index: u64) -> Option<&[u8]> {
        self.0.get(index as usize % self.0.len()).map(Vec::as_slice)
    }
}

struct Conference {
    mixer: Mixer<usize, usize>,
    codec: Codec,
    payloads: Vec<Vec<u8>>,
    header: RtpHeader,
    parties: usize,
    now_ns: u64,
    ticks: usize,
    packet: Vec<u8>,
}

impl Conference {
    fn new(format: Format, parties: usize) -> Self {
        let Meaning::Audio(codec) = format.meaning else { panic!("{format:?}") };
        let rate = codec.sample_rate_for(16_000);
        let melody = resample::resample(&music::hold_melody(), rate).unwrap();
        let mut encoder = Encoder::new(codec, rate, EncoderOptions::default()).unwrap();
        let mut encode = |frame: &[i16]| {
            let mut payload = Vec::new();
            encoder.encode(frame, &mut payload).unwrap();
            payload
        };
        let payloads = melody.samples.chunks_exact(rate as usize / 50).take(PACKETS).map(&mut encode).collect();
        let mut mixer = Mixer::new();
        for name in 0..parties {
            mixer.set_voice(name, &[format]);
        }
        for name in 0..parties {
            let others = (0..parties).filter(|&other| other != name).map(|other| (other, 0));
            mixer.listen(name, &[format], others, 1).unwrap();
        }
        let header = RtpHeader {
            marker: false,
            payload_type: format.payload_type,
            sequence: SequenceNumber(1),
            timestamp: RtpTimestamp(1),
            ssrc: Ssrc(7),
        };
        Self { mixer, codec, payloads, header, parties, now_ns: 1_000_000_000, ticks: 0, packet: vec![0; 1500] }
    }

    fn tick(&mut self) -> usize {
        let payload = &self.payloads[self.ticks % PACKETS];
        let header_len = self.header.build(&mut self.packet);
        self.packet[header_len..header_len + payload.len()].copy_from_slice(payload);
        for name in 0..self.parties {
            self.mixer.push(name, &self.packet[..header_len + payload.len()], self.now_ns, &mut |_, _| {});
        }
        self.header.sequence = self.header.sequence.wrapping_add(1);
        self.header.timestamp = self.header.timestamp.wrapping_add(self.codec.clock_rate() / 50);
        self.now_ns += TICK.as_nanos() as u64;
        self.ticks += 1;
        let mut made = 0;
        self.mixer.tick(self.now_ns, &mut |_, _, payload| made += payload.len(), &mut |_, _| {});
        black_box(made)
    }
}
