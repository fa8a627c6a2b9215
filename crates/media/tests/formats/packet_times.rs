//! Packets of one length made into packets of another: nothing is lost, nothing is heard twice, and the time is right.

use patchcord_codec::Law;
use patchcord_codec::analysis::{rms_dbfs, tone_dbfs};
use patchcord_codec::tone::sine;
use patchcord_codec::{Codec, Decoder};
use patchcord_media::{Counts, Format, Mixer, TICK};
use patchcord_rtp::{RtpHeader, TelephoneEvent};

use crate::support::{
    EVENT, G722, Heard, L16, OPUS, OPUS_FEC, PCMA, PCMU, Random, Source, codec, format, packet, speech, transcoder_at,
};

const PTIMES_MS: [u32; 5] = [10, 20, 30, 40, 60];
const HZ: f64 = 440.0;

/// A source's packets, in one packet time, as a listener is sent them in another; both in milliseconds.
fn heard(from: u8, from_ms: u32, to: u8, to_ms: u32, said: impl Fn(u32) -> Vec<i16>) -> (Heard, Counts) {
    let mut source = Source::new(from, 16_000);
    let packets = source.say_all(&said(source.rate()), from_ms);
    let mut transcoder = transcoder_at(&[from], &[to], to_ms, Some(48_000));
    let mut heard = Heard { ptime_ms: to_ms, ..Heard::default() };
    packets.iter().for_each(|packet| heard.push(&mut transcoder, packet));
    (heard, transcoder.counts())
}

/// By how much a tone of [`HZ`] is louder than all else, in dB.
fn tone_to_noise(samples: &[i16], rate: u32) -> f64 {
    let power = |db: f64| 10_f64.powf(db / 10.0);
    let tone = power(tone_dbfs(samples, rate, HZ));
    // A sine's level and its RMS are 3 dB apart where a full sine is 0 dB.
    let full = sine(HZ, -15.0, 1000, rate).samples;
    let offset = tone_dbfs(&full, rate, HZ) - rms_dbfs(&full);
    let all = power(rms_dbfs(samples) + offset);
    10.0 * (tone / (all - tone).max(tone * 1e-9)).log10()
}

#[test]
fn each_sample_comes_once_whatever_the_packet_times() {
    let said = speech(8000)[..8000 * 3].to_vec();
    for from_ms in PTIMES_MS {
        for to_ms in [10, 20, 30, 40, 50, 60] {
            let (heard, counts) = heard(PCMU, from_ms, PCMA, to_ms, |_| said.clone());
            heard.check(PCMA);
            assert_eq!(heard.markers(), [0]);
            let units = to_ms * 8;
            let count = (said.len() - said.len() % (from_ms as usize * 8)) as u32 / units;
            assert_eq!(
                heard.places(PCMA),
                (0..count).map(|n| n * units).collect::<Vec<_>>(),
                "{from_ms} to {to_ms} ms"
            );
            let sent: Vec<u8> = heard.packets.iter().flat_map(|(_, payload)| payload.clone()).collect();
            let expected = said.iter().map(|&sample| {
                let [sample] = Law::Mu.decode(&[Law::Mu.encode_sample(sample)])[..] else {
                    panic!("one byte is one sample")
                };
                Law::A.encode_sample(sample)
            });
            assert_eq!(sent, expected.take(sent.len()).collect::<Vec<_>>(), "{from_ms} to {to_ms} ms");
            assert_eq!((counts.concealed, counts.lost, counts.restarts), (0, 0, 0));
        }
    }
}

#[test]
fn a_tone_stays_clean_between_all_packet_times_and_codecs() {
    let formats = [(PCMU, 30.0), (G722, 30.0), (OPUS, 25.0), (L16, 30.0)];
    for (from, _) in formats {
        for (to, _) in formats {
            let clean = formats.iter().filter(|(number, _)| [from, to].contains(number)).map(|(_, db)| *db);
            let clean = clean.fold(f64::INFINITY, f64::min);
            for (from_ms, to_ms) in [(10, 60), (40, 30)] {
                let (heard, counts) = heard(from, from_ms, to, to_ms, |rate| sine(HZ, -15.0, 3000, rate).samples);
                heard.check(to);
                let audio = heard.audio(to, 16_000);
                let rate = codec(to).sample_rate_for(16_000);
                let part = &audio[rate as usize..2 * rate as usize];
                let (level, noise) = (tone_dbfs(part, rate, HZ), tone_to_noise(part, rate));
                assert!((level + 15.0).abs() < 1.5, "{from} at {from_ms} to {to} at {to_ms} ms: {level} dBFS");
                assert!(noise > clean, "{from} at {from_ms} to {to} at {to_ms} ms: {noise} dB");
                assert_eq!(counts.concealed + counts.restarts, 0);
            }
        }
    }
}

#[test]
fn a_pause_is_one_and_a_lost_packet_is_filled_in_the_listeners_time() {
    for to_ms in PTIMES_MS {
        let mut source = Source::new(PCMU, 8000);
        let mut packets = source.say_all(&speech(8000)[..8000], 20);
        source.timestamp = source.timestamp.wrapping_add(3 * 8000);
        packets.extend(source.say_all(&speech(8000)[..8000], 20));
        packets.remove(70);
        packets.remove(20);
        let mut transcoder = transcoder_at(&[PCMU], &[PCMA], to_ms, None);
        let mut heard = Heard { ptime_ms: to_ms, ..Heard::default() };
        packets.iter().for_each(|packet| heard.push(&mut transcoder, packet));
        heard.check(PCMA);
        assert_eq!((transcoder.counts().concealed, transcoder.counts().lost), (2, 2));
        let places = heard.places(PCMA);
        let marked = heard.markers();
        assert_eq!(marked.len(), 2, "{to_ms} ms: {marked:?}");
        // The second talkspurt begins where it began, 4 s after the first.
        assert_eq!(places[marked[1]], 4 * 8000, "{to_ms} ms");
    }
}

/// Parties that send in packets of so many samples, mixed for one listener.
struct Room {
    mixer: Mixer<usize, usize>,
    tick: u64,
    sent: Vec<(u64, RtpHeader, Vec<u8>)>,
}

const TICK_NS: u64 = TICK.as_nanos() as u64;
const START_NS: u64 = 1_000_000_000;

impl Room {
    /// One talker, in the formats `from`, and one listener in the formats `to`, which asks for packets of `to_ms`.
    fn new(from: &[u8], to: &[u8], to_ms: u32) -> Self {
        let formats = |numbers: &[u8]| numbers.iter().copied().map(format).collect::<Vec<_>>();
        let mut mixer = Mixer::new();
        mixer.set_voice(0, &formats(from));
        let to: Vec<Format> = formats(to).into_iter().map(|format| format.encoded(to_ms, None)).collect();
        mixer.listen(9, &to, [(0, 0)], 1).expect("it can be encoded");
        Self { mixer, tick: 0, sent: Vec::new() }
    }

    /// Passes the time until each of these packets has come, with the nanoseconds from the beginning to its arrival.
    fn pass(&mut self, packets: &[(u64, Vec<u8>)]) {
        let mut arriving = packets.iter().peekable();
        while arriving.peek().is_some() {
            let now = START_NS + self.tick * TICK_NS;
            while let Some((at, packet)) = arriving.next_if(|(at, _)| START_NS + at <= now) {
                self.mixer.push(0, packet, START_NS + at, &mut |_, _| {});
            }
            self.one(now);
        }
    }

    fn one(&mut self, now: u64) {
        let (sent, tick) = (&mut self.sent, self.tick);
        let mut emit = |_, header: &RtpHeader, payload: &[u8]| sent.push((tick, *header, payload.to_vec()));
        self.mixer.tick(now, &mut emit, &mut |_, _| {});
        self.tick += 1;
    }

    /// What was sent of a number, from the first packet's timestamp on.
    fn audio(&self, number: u8) -> (Vec<i16>, u32) {
        let codec = codec(number);
        let mut decoder = Decoder::new(codec, codec.sample_rate_for(16_000)).expect("its rate");
        let mut samples = Vec::new();
        for (_, header, payload) in &self.sent {
            if header.payload_type.get() == number {
                decoder.decode(payload, &mut samples).expect("what the mixer makes can be decoded");
            }
        }
        (samples, decoder.sample_rate())
    }

    /// All audio follows on, in packets of so many milliseconds.
    fn assert_even(&self, codec: &Codec, ms: u32) {
        for pair in self.sent.windows(2) {
            let [(_, before, _), (_, after, _)] = pair else { panic!("two") };
            assert_eq!(after.sequence, before.sequence.next());
            assert_eq!(after.timestamp.wrapping_sub(before.timestamp), codec.clock_rate() * ms / 1000);
        }
    }
}

#[test]
fn talkers_of_every_packet_time_are_heard_clean_in_a_mix() {
    let usual = PTIMES_MS.map(|ms| ms * 10);
    let of_opus = [25, 50, 100, 200, 400, 600, 800, 1000, 1200];
    for (from, tenths_of_ms) in [(PCMU, &usual[..]), (G722, &usual), (L16, &[100, 200]), (OPUS, &of_opus)] {
        for &tenths in tenths_of_ms {
            let mut source = Source::new(from, 16_000);
            let frame = (source.rate() * tenths / 10_000) as usize;
            let said = sine(HZ, -15.0, 5000, source.rate()).samples;
            let packets = source.say_all_in(&said, frame);
            // What the codec itself leaves of the tone.
            let mut decoder = Decoder::new(codec(from), source.rate()).expect("its rate");
            let mut direct = Vec::new();
            for packet in &packets {
                decoder.decode(&packet[12..], &mut direct).expect("it was encoded");
            }
            let rate = source.rate() as usize;
            let clean = tone_to_noise(&direct[2 * rate..4 * rate], source.rate()).min(30.0) - 3.0;
            let sent_at = |n: usize| (n as u64 + 1) * u64::from(tenths) * 100_000;
            let packets: Vec<_> = packets.into_iter().enumerate().map(|(n, packet)| (sent_at(n), packet)).collect();
            let mut room = Room::new(&[from], &[PCMU], 0);
            room.pass(&packets);
            let (audio, rate) = room.audio(PCMU);
            let part = &audio[2 * rate as usize..audio.len() - rate as usize / 2];
            let (level, noise) = (tone_dbfs(part, rate, HZ), tone_to_noise(part, rate));
            assert!((level + 15.0).abs() < 1.5, "{from} in {tenths} tenths of ms: {level} dBFS");
            assert!(noise > clean, "{from} in {tenths} tenths of ms: {noise}, not {clean} dB");
        }
    }
}

#[test]
fn listeners_of_every_packet_time_hear_a_mix_clean_and_evenly() {
    for to in [PCMU, G722, L16, OPUS] {
        for to_ms in PTIMES_MS {
            let mut source = Source::new(PCMA, 8000);
            let packets = source.say_all(&sine(HZ, -15.0, 4000, 8000).samples, 30);
            let packets: Vec<_> =
                packets.into_iter().zip((30_000_000..).step_by(30_000_000)).map(|(p, at)| (at, p)).collect();
            let mut room = Room::new(&[PCMA], &[to], to_ms);
            room.pass(&packets);
            let ms = codec(to).packet_ms(to_ms);
            room.assert_even(&codec(to), ms);
            assert!(room.sent[0].1.marker && room.sent[1..].iter().all(|(_, header, _)| !header.marker));
            assert_eq!(room.sent.len() as u64, room.tick * 20 / u64::from(ms));
            let (audio, rate) = room.audio(to);
            let part = &audio[2 * rate as usize..3 * rate as usize];
            let (level, noise) = (tone_dbfs(part, rate, HZ), tone_to_noise(part, rate));
            assert!((level + 15.0).abs() < 1.5 && noise > 24.0, "{to} in {to_ms} ms: {level} dBFS, {noise} dB");
        }
    }
}

#[test]
fn losses_jitter_and_drift_are_made_good_in_every_packet_time() {
    const SEED: u64 = 0x9a11;
    let mut random = Random(SEED);
    for (from, ms) in [(PCMU, 10_u32), (PCMU, 30), (PCMA, 60), (OPUS_FEC, 40), (OPUS_FEC, 60)] {
        for ppm in [-200_i64, 200] {
            let mut source = Source::new(from, 16_000);
            let said = sine(HZ, -15.0, 12_000, source.rate()).samples;
            let mut packets = Vec::new();
            for (n, packet) in source.say_all(&said, ms).into_iter().enumerate() {
                let at = (n as i64 + 1) * i64::from(ms) * (1_000_000 + ppm);
                let late = random.next() % 15_000_000;
                if !random.percent(4) {
                    packets.push((at as u64 + late, packet));
                }
            }
            packets.sort();
            let mut room = Room::new(&[from], &[G722], 30);
            room.pass(&packets);
            room.assert_even(&codec(G722), 30);
            let (audio, rate) = room.audio(G722);
            for second in audio.chunks_exact(rate as usize).skip(2) {
                let level = rms_dbfs(second);
                let full = rms_dbfs(&sine(HZ, -15.0, 1000, rate).samples);
                // A packet that is concealed may be softer.
                assert!(
                    (level - full).abs() < 2.5,
                    "seed {SEED:#x}: {from} in {ms} ms at {ppm} ppm: {level}, not {full} dBFS"
                );
            }
        }
    }
}

#[test]
fn keys_in_a_mix_leave_the_time_of_other_packets_as_it_is() {
    for (to, to_ms) in
        [(&[PCMU, EVENT][..], 10), (&[PCMU, EVENT], 30), (&[PCMU, EVENT], 40), (&[PCMU, EVENT], 60), (&[PCMU], 40)]
    {
        let mut room = Room::new(&[PCMU, EVENT], to, to_ms);
        let mut source = Source::new(PCMU, 8000);
        let said = sine(300.0, -20.0, 4000, 8000).samples;
        let mut speech = source.say_all(&said, 20).into_iter();
        let key = |room: &mut Room, number: u64, ms: u32, timestamp: u32, end: bool| {
            let mut payload = [0; 4];
            let duration = (ms * 8) as u16;
            TelephoneEvent { event: 5, end, volume: 10, duration }.write(&mut payload);
            let packet = packet(false, EVENT, number as u16, timestamp, 0x5eed, &payload);
            room.mixer.push(0, &packet, START_NS + room.tick * TICK_NS, &mut |_, _| {});
        };
        for round in 0..3_u32 {
            // Keys begin at different places of a packet.
            for _ in 0..20 + round {
                let now = START_NS + room.tick * TICK_NS;
                room.mixer.push(0, &speech.next().expect("enough"), now, &mut |_, _| {});
                room.one(now);
            }
            for at in 0..6 {
                key(&mut room, 0, (at + 1) * 20, 1 + round * 9999, false);
                room.one(START_NS + room.tick * TICK_NS);
                speech.next();
            }
            key(&mut room, 0, 120, 1 + round * 9999, true);
        }
        for _ in 0..20 {
            let now = START_NS + room.tick * TICK_NS;
            room.mixer.push(0, &speech.next().expect("enough"), now, &mut |_, _| {});
            room.one(now);
        }
        let is_audio = |header: &RtpHeader| header.payload_type.get() == PCMU;
        let audio: Vec<&(u64, RtpHeader, Vec<u8>)> =
            room.sent.iter().filter(|(_, header, _)| is_audio(header)).collect();
        let first = audio[0].1.timestamp;
        let frame = to_ms * 8;
        for pair in audio.windows(2) {
            let step = pair[1].1.timestamp.wrapping_sub(pair[0].1.timestamp);
            assert!(step >= frame && (step == frame || pair[1].1.marker), "{to:?} {to_ms} ms: a step of {step}");
        }
        for (tick, header, payload) in &audio {
            assert_eq!(payload.len() as u32, frame);
            // A packet ends in the tick in which it is sent: what was sent is as long as the time that has passed.
            let end = u64::from(header.timestamp.wrapping_sub(first)) + u64::from(frame);
            let passed = (tick + 1) * 160;
            assert!(end <= passed + u64::from(frame) && passed < end + 160, "{to:?} {to_ms} ms: {end} at {passed}");
        }
        for pair in room.sent.windows(2) {
            assert_eq!(pair[1].1.sequence, pair[0].1.sequence.next());
        }
    }
}
