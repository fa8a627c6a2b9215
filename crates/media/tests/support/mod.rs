//! What several tests need: a source that speaks, and a listener that checks what it gets.
#![allow(dead_code, clippy::unwrap_used, reason = "each test uses a part, and may panic")]

use std::path::PathBuf;

use patchcord_codec::{Audio, Codec, Decoder, Encoder, EncoderOptions, Law};
use patchcord_media::{Clip, Format, Transcoder};
use patchcord_rtp::{PayloadType, RtpHeader, RtpTimestamp, SequenceNumber, Ssrc};

pub(crate) const PCMU: u8 = 0;
pub(crate) const PCMA: u8 = 8;
pub(crate) const G722: u8 = 9;
pub(crate) const CN: u8 = 13;
pub(crate) const EVENT: u8 = 101;
pub(crate) const EVENT_48: u8 = 102;
pub(crate) const L16: u8 = 110;
pub(crate) const OPUS: u8 = 111;
pub(crate) const OPUS_FEC: u8 = 112;
pub(crate) const OPUS_DTX: u8 = 113;
pub(crate) const UNKNOWN: u8 = 120;

/// The format that a number above has in these tests.
pub(crate) fn format(number: u8) -> Format {
    let (encoding, clock_rate, channels, fmtp) = match number {
        PCMU => ("PCMU", 8000, 1, None),
        PCMA => ("PCMA", 8000, 1, None),
        G722 => ("G722", 8000, 1, None),
        CN => ("CN", 8000, 1, None),
        EVENT => ("telephone-event", 8000, 1, Some("0-16")),
        EVENT_48 => ("telephone-event", 48_000, 1, Some("0-16")),
        L16 => ("L16", 44_100, 1, None),
        OPUS => ("opus", 48_000, 2, None),
        OPUS_FEC => ("opus", 48_000, 2, Some("useinbandfec=1")),
        OPUS_DTX => ("opus", 48_000, 2, Some("usedtx=1")),
        other => panic!("no format has number {other}"),
    };
    Format::of(PayloadType::new(number).unwrap(), encoding, clock_rate, channels, fmtp)
}

pub(crate) fn codec(number: u8) -> Codec {
    match format(number).meaning {
        patchcord_media::Meaning::Audio(codec) => codec,
        other => panic!("{other:?} is no audio"),
    }
}

/// Timestamp units of a packet that who asks for nothing is sent: of 20 ms, where that is not too long for the network.
pub(crate) fn frame(number: u8) -> u32 {
    let codec = codec(number);
    codec.clock_rate() * codec.packet_ms(0) / 1000
}

pub(crate) fn transcoder(from: &[u8], to: &[u8]) -> Transcoder {
    transcoder_at(from, to, 0, None)
}

/// For a listener that asks for packets of so many milliseconds; 0: it does not. It is sent so many bit/s, where that can be chosen.
pub(crate) fn transcoder_at(from: &[u8], to: &[u8], ptime_ms: u32, bitrate: Option<u32>) -> Transcoder {
    let [from, to] = [from, to].map(|numbers| numbers.iter().map(|&number| format(number)).collect::<Vec<_>>());
    let to: Vec<_> = to.into_iter().map(|format| format.encoded(ptime_ms, bitrate)).collect();
    Transcoder::new(&from, &to, 7).unwrap()
}

pub(crate) fn packet(marker: bool, number: u8, sequence: u16, timestamp: u32, ssrc: u32, payload: &[u8]) -> Vec<u8> {
    let header = RtpHeader {
        marker,
        payload_type: PayloadType::new(number).unwrap(),
        sequence: SequenceNumber(sequence),
        timestamp: RtpTimestamp(timestamp),
        ssrc: Ssrc(ssrc),
    };
    let mut bytes = vec![0; 12];
    header.build(&mut bytes);
    bytes.extend_from_slice(payload);
    bytes
}

/// The next packet of a stream of G.711 in 20 ms, of a steady sound.
pub(crate) fn hum(number: u8, sequence: u16, timestamp: u32, ssrc: u32) -> Vec<u8> {
    let payload: Vec<u8> = (0..160_u32).map(|n| Law::Mu.encode_sample(((n % 40) * 200) as i16 - 4000)).collect();
    packet(false, number, sequence, timestamp, ssrc, &payload)
}

/// A source of audio. It can be given other numbers at any time.
pub(crate) struct Source {
    pub(crate) number: u8,
    pub(crate) sequence: u16,
    pub(crate) timestamp: u32,
    pub(crate) ssrc: u32,
    encoder: Encoder,
}

impl Source {
    /// Its samples have the codec's rate that is nearest to `rate`.
    pub(crate) fn new(number: u8, rate: u32) -> Self {
        let codec = codec(number);
        let options = EncoderOptions { expected_loss_percent: 20, bitrate: Some(24_000), ..EncoderOptions::default() };
        let encoder = Encoder::new(codec, codec.sample_rate_for(rate), options).unwrap();
        Self { number, sequence: 65_500, timestamp: u32::MAX - 20_000, ssrc: 0x5eed, encoder }
    }

    pub(crate) fn rate(&self) -> u32 {
        self.encoder.sample_rate()
    }

    /// One packet; none if there is silence that need not be sent.
    pub(crate) fn say(&mut self, samples: &[i16]) -> Option<Vec<u8>> {
        let mut payload = Vec::new();
        self.encoder.encode(samples, &mut payload).unwrap();
        let said = packet(false, self.number, self.sequence, self.timestamp, self.ssrc, &payload);
        let units = self.encoder.codec().timestamp_units(samples.len() as u64, self.rate());
        self.timestamp = self.timestamp.wrapping_add(units as u32);
        if payload.is_empty() {
            return None;
        }
        self.sequence = self.sequence.wrapping_add(1);
        Some(said)
    }

    /// That it is silent, and how loud that sounds, in -dBov.
    pub(crate) fn comfort_noise(&mut self, level: u8) -> Vec<u8> {
        let told = packet(false, CN, self.sequence, self.timestamp, self.ssrc, &[level]);
        self.sequence = self.sequence.wrapping_add(1);
        told
    }

    /// Packets of `ptime_ms`.
    pub(crate) fn say_all(&mut self, samples: &[i16], ptime_ms: u32) -> Vec<Vec<u8>> {
        self.say_all_in(samples, (self.rate() * ptime_ms / 1000) as usize)
    }

    /// Packets of so many samples.
    pub(crate) fn say_all_in(&mut self, samples: &[i16], frame: usize) -> Vec<Vec<u8>> {
        samples.chunks_exact(frame).filter_map(|frame| self.say(frame)).collect()
    }
}

/// What a listener gets.
#[derive(Default)]
pub(crate) struct Heard {
    pub(crate) packets: Vec<(RtpHeader, Vec<u8>)>,
    /// The packet time that it has asked for; 0: none.
    pub(crate) ptime_ms: u32,
}

impl Heard {
    pub(crate) fn push(&mut self, transcoder: &mut Transcoder, packet: &[u8]) {
        transcoder.push(packet, &mut |header, payload| self.packets.push((*header, payload.to_vec())));
    }

    pub(crate) fn of<'p>(transcoder: &mut Transcoder, packets: impl IntoIterator<Item = &'p Vec<u8>>) -> Self {
        let mut heard = Self::default();
        packets.into_iter().for_each(|packet| heard.push(transcoder, packet));
        heard
    }

    /// Timestamps of packets of one number, from the first packet on.
    pub(crate) fn places(&self, number: u8) -> Vec<u32> {
        let first = self.packets[0].0.timestamp;
        self.of_number(number).map(|(header, _)| header.timestamp.wrapping_sub(first)).collect()
    }

    pub(crate) fn of_number(&self, number: u8) -> impl Iterator<Item = &(RtpHeader, Vec<u8>)> {
        self.packets.iter().filter(move |(header, _)| header.payload_type.get() == number)
    }

    pub(crate) fn markers(&self) -> Vec<usize> {
        self.packets.iter().enumerate().filter_map(|(at, (header, _))| header.marker.then_some(at)).collect()
    }

    /// One source, no number left out, audio that never overlaps.
    pub(crate) fn check_order(&self, number: u8) {
        for pair in self.packets.windows(2) {
            assert_eq!(pair[0].0.ssrc, pair[1].0.ssrc);
            assert_eq!(pair[0].0.sequence.next(), pair[1].0.sequence);
        }
        for (before, after, step) in self.steps(number) {
            assert!(step >= 1, "{step} frames from {before:?} to {after:?}");
        }
    }

    /// As [`Self::check_order`], and what does not follow on has the marker, as the first packet has.
    pub(crate) fn check(&self, number: u8) {
        self.check_order(number);
        assert!(self.of_number(number).next().is_none_or(|(first, _)| first.marker), "the first begins a talkspurt");
        for (before, after, step) in self.steps(number) {
            assert!(step == 1 || after.marker, "{step} frames from {before:?} to {after:?} without a marker");
        }
    }

    /// Each packet of audio and the next one, with the frames between: 1 only where it is exactly that, 0 for less, 2 for more.
    fn steps(&self, number: u8) -> impl Iterator<Item = (RtpHeader, RtpHeader, u8)> {
        let codec = codec(number);
        let frame = (codec.clock_rate() * codec.packet_ms(self.ptime_ms) / 1000) as i32;
        let headers: Vec<RtpHeader> = self.of_number(number).map(|&(header, _)| header).collect();
        (1..headers.len()).map(move |at| {
            let (before, after) = (headers[at - 1], headers[at]);
            let step = after.timestamp.wrapping_sub(before.timestamp).cast_signed();
            (before, after, (step.cmp(&frame) as i8 + 1) as u8)
        })
    }

    /// What is played by the timestamps, with silence in the pauses.
    pub(crate) fn audio(&self, number: u8, rate: u32) -> Vec<i16> {
        let codec = codec(number);
        let mut decoder = Decoder::new(codec, codec.sample_rate_for(rate)).unwrap();
        let mut samples = Vec::new();
        for ((_, payload), place) in self.of_number(number).zip(self.places(number)) {
            samples.resize(codec.samples(place.into(), decoder.sample_rate()) as usize, 0);
            decoder.decode(payload, &mut samples).unwrap();
        }
        samples
    }
}

/// The speech of a committed capture, as long as that is and at any rate.
pub(crate) fn speech(rate: u32) -> Vec<i16> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../captures/transferee.pcap");
    let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut rest = &bytes[24..];
    let mut samples = Vec::new();
    while let Some((header, after)) = rest.split_first_chunk::<16>() {
        let length = u32::from_le_bytes(*header[8..].first_chunk().unwrap()) as usize;
        // Ethernet, IPv4, UDP and RTP headers.
        samples.extend(Law::Mu.decode(&after[14 + 20 + 8 + 12..length]));
        rest = &after[length..];
    }
    patchcord_codec::resample::resample(&Audio::telephone(samples), rate).unwrap().samples
}

/// `SplitMix64`.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn percent(&mut self, percent: u64) -> bool {
        self.next() % 100 < percent
    }
}

/// What a prompt is made of, played so often.
#[derive(Debug)]
pub(crate) struct Announcement {
    pub(crate) frames: Vec<Vec<u8>>,
    pub(crate) rounds: u64,
}

impl Announcement {
    /// `said` gives the samples at the codec's rate.
    pub(crate) fn of(number: u8, frame_ms: u32, rounds: u64, said: impl FnOnce(u32) -> Vec<i16>) -> Self {
        let codec = codec(number);
        let rate = codec.sample_rate_for(16_000);
        let mut encoder = Encoder::new(codec, rate, EncoderOptions::default()).unwrap();
        let encode = |samples: &[i16]| {
            let mut frame = Vec::new();
            encoder.encode(samples, &mut frame).unwrap();
            frame
        };
        Self { frames: said(rate).chunks_exact((rate * frame_ms / 1000) as usize).map(encode).collect(), rounds }
    }
}

impl Clip for Announcement {
    fn frame(&self, index: u64) -> Option<&[u8]> {
        let count = self.frames.len() as u64;
        (index / count < self.rounds).then(|| &*self.frames[(index % count) as usize])
    }
}
