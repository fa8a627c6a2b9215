//! Transcoding, for one packet of 20 ms: Opus of 48 kHz to PCMU and back, beside what libopus alone takes for the same frames.
//!
//! Names read `transcoding/WAY/WHO`. `libopus` decodes as Opus is announced (48 kHz), or encodes 8 kHz with the same options; `relay` is
//! all that is done for a packet between two rings.

#![allow(missing_docs, reason = "criterion's macros make items without documentation")]
#![allow(clippy::unwrap_used, reason = "a benchmark may stop at what it did not expect")]

use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use patchcord_codec::codec::OpusParameters;
use patchcord_codec::{Codec, Decoder, Encoder, EncoderOptions, Law, music, resample};
use patchcord_media::{Format, Transcoder};
use patchcord_rtp::{PayloadType, RtpHeader, RtpTimestamp, SequenceNumber, Ssrc};

criterion_group!(benches, transcoding);
criterion_main!(benches);

/// A second of it, again and again.
const PACKETS: usize = 50;

fn transcoding(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("transcoding/opus-to-pcmu");
    group.throughput(Throughput::Elements(1)).warm_up_time(Duration::from_millis(500));
    group.measurement_time(Duration::from_secs(3));
    let melody = music::hold_melody();
    let opus = Codec::Opus(OpusParameters::default());
    let payloads = encoded(opus, 48_000, &resample::resample(&melody, 48_000).unwrap().samples);
    group.bench_function(BenchmarkId::from_parameter("relay"), |bencher| {
        let mut stream = Stream::new(Way::OpusToPcmu, &payloads);
        bencher.iter(|| stream.transcode());
    });
    for rate in [48_000, 8000] {
        group.bench_function(BenchmarkId::from_parameter(format!("libopus at {rate} Hz")), |bencher| {
            let mut decoder = Decoder::new(opus, rate).unwrap();
            let (mut next, mut samples) = (payloads.iter().cycle(), Vec::new());
            bencher.iter(|| {
                samples.clear();
                decoder.decode(next.next().unwrap(), &mut samples).unwrap();
                black_box(samples.len())
            });
        });
    }
    group.finish();

    let mut group = criterion.benchmark_group("transcoding/pcmu-to-opus");
    group.throughput(Throughput::Elements(1)).warm_up_time(Duration::from_millis(500));
    group.measurement_time(Duration::from_secs(3));
    let payloads = encoded(Codec::G711(Law::Mu), 8000, &melody.samples);
    group.bench_function(BenchmarkId::from_parameter("relay"), |bencher| {
        let mut stream = Stream::new(Way::PcmuToOpus, &payloads);
        bencher.iter(|| stream.transcode());
    });
    group.bench_function(BenchmarkId::from_parameter("libopus at 8000 Hz"), |bencher| {
        let mut encoder = Encoder::new(opus, 8000, EncoderOptions::default()).unwrap();
        let (mut frames, mut bytes) = (melody.samples[..160 * PACKETS].chunks_exact(160).cycle(), Vec::new());
        bencher.iter(|| {
            bytes.clear();
            encoder.encode(frames.next().unwrap(), &mut bytes).unwrap();
            black_box(bytes.len())
        });
    });
    group.finish();
}

fn encoded(codec: Codec, rate: usize, samples: &[i16]) -> Vec<Vec<u8>> {
    let mut encoder = Encoder::new(codec, rate as u32, EncoderOptions::default()).unwrap();
    let frames = samples.chunks_exact(rate / 50).take(PACKETS);
    frames
        .map(|frame| {
            let mut payload = Vec::new();
            encoder.encode(frame, &mut payload).unwrap();
            payload
        })
        .collect()
}

#[derive(Clone, Copy)]
enum Way {
    OpusToPcmu,
    PcmuToOpus,
}

/// A party that speaks without end, and what is made of it.
struct Stream<'a> {
    transcoder: Transcoder,
    payloads: std::iter::Cycle<std::slice::Iter<'a, Vec<u8>>>,
    header: RtpHeader,
    frame_ts_units: u32,
    packet: Vec<u8>,
}

impl<'a> Stream<'a> {
    fn new(way: Way, payloads: &'a [Vec<u8>]) -> Self {
        let number = |number| PayloadType::new(number).unwrap();
        let opus = Format::of(number(96), "opus", 48_000, 2, None);
        let pcmu = Format::of(number(0), "PCMU", 8000, 1, None);
        let (from, to, payload_type, frame_ts_units) = match way {
            Way::OpusToPcmu => (opus, pcmu, 96, 960),
            Way::PcmuToOpus => (pcmu, opus, 0, 160),
        };
        let header = RtpHeader {
            marker: false,
            payload_type: number(payload_type),
            sequence: SequenceNumber(1),
            timestamp: RtpTimestamp(1),
            ssrc: Ssrc(7),
        };
        let transcoder = Transcoder::new(&[from], &[to], 1).unwrap();
        Self { transcoder, payloads: payloads.iter().cycle(), header, frame_ts_units, packet: vec![0; 1500] }
    }

    fn transcode(&mut self) -> usize {
        let payload = self.payloads.next().unwrap();
        let header_len = self.header.build(&mut self.packet);
        self.packet[header_len..header_len + payload.len()].copy_from_slice(payload);
        self.header.sequence = self.header.sequence.wrapping_add(1);
        self.header.timestamp = self.header.timestamp.wrapping_add(self.frame_ts_units);
        let mut made = 0;
        self.transcoder.push(&self.packet[..header_len + payload.len()], &mut |_, payload| made += payload.len());
        black_box(made)
    }
}
