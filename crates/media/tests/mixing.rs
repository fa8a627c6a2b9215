//! Several parties heard at once: who hears whom, how loud, at which rate, and what the network does to it.

mod support;

use patchcord_codec::Decoder;
use patchcord_codec::analysis::{rms_dbfs, tone_dbfs};
use patchcord_codec::dtmf::{self, Digit};
use patchcord_codec::tone::sine;
use patchcord_media::{Mixer, Noticed, Prompt, TICK, detect};
use patchcord_rtp::RtpHeader;
use proptest::prelude::*;
use support::{Announcement, EVENT, G722, L16, OPUS, PCMA, PCMU, Source, codec, format};

/// Microphones of the parties, in Hz: all of them pass telephony.
const HZ: [f64; 4] = [440.0, 700.0, 1100.0, 1900.0];
const LEVEL_DBFS: f64 = -15.0;
const START_NS: u64 = 1_000_000_000;

/// What a listener was sent.
struct Ear {
    decoder: Decoder,
    samples: Vec<i16>,
    headers: Vec<RtpHeader>,
}

impl Ear {
    fn new(number: u8) -> Self {
        let codec = codec(number);
        let decoder = Decoder::new(codec, codec.sample_rate_for(16_000)).expect("one of its rates");
        Self { decoder, samples: Vec::new(), headers: Vec::new() }
    }

    fn hear(&mut self, header: &RtpHeader, payload: &[u8]) {
        self.decoder.decode(payload, &mut self.samples).expect("what the mixer makes can be decoded");
        self.headers.push(*header);
    }

    /// How loud each party's tone is in the last second.
    fn levels(&self) -> [f64; 4] {
        let rate = self.decoder.sample_rate();
        let last = &self.samples[self.samples.len() - rate as usize..];
        HZ.map(|hz| tone_dbfs(last, rate, hz))
    }
}

/// Parties that each speak a tone of their own, and hear what the mixer makes.
struct Room {
    mixer: Mixer<usize, usize>,
    sources: Vec<Source>,
    ears: Vec<Ear>,
    tick: u64,
}

impl Room {
    fn new(numbers: &[u8]) -> Self {
        let mut mixer = Mixer::new();
        let sources = numbers.iter().map(|&number| Source::new(number, 16_000)).collect();
        let ears = numbers.iter().map(|&number| Ear::new(number)).collect();
        for (name, &number) in numbers.iter().enumerate() {
            mixer.set_voice(name, &[number, EVENT].map(format));
        }
        Self { mixer, sources, ears, tick: 0 }
    }

    fn listen(&mut self, listener: usize, to: u8, talkers: &[(usize, i32)]) {
        self.mixer
            .listen(listener, &[to, EVENT].map(format), talkers.iter().copied(), listener as u64)
            .expect("it can be encoded");
    }

    /// Each hears all the others.
    fn conference(&mut self, numbers: &[u8]) {
        for (name, &number) in numbers.iter().enumerate() {
            let others: Vec<_> = (0..numbers.len()).filter(|&other| other != name).map(|other| (other, 0)).collect();
            self.listen(name, number, &others);
        }
    }

    /// Lets so many seconds pass; `reaches` says which packets of whom arrive, and how many nanoseconds late.
    fn pass(&mut self, seconds: usize, reaches: impl Fn(usize, u64) -> Option<u64>) {
        let said: Vec<Vec<Vec<u8>>> = self
            .sources
            .iter_mut()
            .enumerate()
            .map(|(name, source)| {
                let rate = source.rate();
                let tone = sine(HZ[name], LEVEL_DBFS, 1000, rate);
                (0..seconds).flat_map(|_| source.say_all(&tone.samples, 20)).collect()
            })
            .collect();
        let mut arriving: Vec<(u64, usize, &[u8])> = Vec::new();
        let tick = TICK.as_nanos() as u64;
        for (name, packets) in said.iter().enumerate() {
            for (at, packet) in packets.iter().enumerate() {
                if let Some(late) = reaches(name, at as u64) {
                    let sent = START_NS + (self.tick + at as u64) * tick + name as u64 * 3_000_000;
                    arriving.push((sent + late, name, packet));
                }
            }
        }
        arriving.sort();
        let mut arriving = arriving.into_iter().peekable();
        for _ in 0..50 * seconds {
            let now = START_NS + self.tick * tick + 7_000_000;
            while let Some((at, name, packet)) = arriving.next_if(|(at, ..)| *at <= now) {
                self.mixer.push(name, packet, at, &mut |_, _| {});
            }
            let ears = &mut self.ears;
            self.mixer.tick(now, &mut |name, header, payload| ears[name].hear(header, payload), &mut |_, _| {});
            self.tick += 1;
        }
    }
}

fn assert_heard(levels: [f64; 4], expected: [Option<f64>; 4]) {
    for (at, (level, expected)) in levels.into_iter().zip(expected).enumerate() {
        match expected {
            Some(expected) => {
                assert!((level - expected).abs() < 1.5, "party {at}: {level} dB, not {expected}: {levels:?}");
            }
            None => assert!(level < -45.0, "party {at} is heard with {level} dB: {levels:?}"),
        }
    }
}

#[test]
fn each_hears_the_others_and_not_itself_whatever_the_codecs() {
    let formats = [PCMU, OPUS, G722, L16];
    let mut room = Room::new(&formats);
    room.conference(&formats);
    room.pass(3, |_, _| Some(0));
    for (name, ear) in room.ears.iter().enumerate() {
        let mut expected = [Some(LEVEL_DBFS); 4];
        expected[name] = None;
        assert_heard(ear.levels(), expected);
    }
}

#[test]
fn each_stream_has_one_ssrc_and_goes_on_evenly_through_joins_and_leaves() {
    let formats = [PCMU, OPUS, PCMA];
    let mut room = Room::new(&formats);
    room.listen(0, PCMU, &[(1, 0)]);
    room.pass(2, |_, _| Some(0));
    assert_heard(room.ears[0].levels(), [None, Some(LEVEL_DBFS), None, None]);
    room.listen(0, PCMU, &[(1, 0), (2, 0)]);
    room.pass(2, |_, _| Some(0));
    assert_heard(room.ears[0].levels(), [None, Some(LEVEL_DBFS), Some(LEVEL_DBFS), None]);
    room.mixer.remove_voice(1);
    room.pass(2, |_, _| Some(0));
    assert_heard(room.ears[0].levels(), [None, None, Some(LEVEL_DBFS), None]);
    let headers = &room.ears[0].headers;
    assert_eq!(headers.len(), 300);
    for (at, pair) in headers.windows(2).enumerate() {
        assert_eq!(pair[1].ssrc, pair[0].ssrc);
        assert_eq!(pair[1].sequence.0.wrapping_sub(pair[0].sequence.0), 1);
        assert_eq!(pair[1].timestamp.wrapping_sub(pair[0].timestamp), 160, "packet {at}");
    }
    assert_eq!(headers.iter().filter(|header| header.marker).count(), 1);
}

#[test]
fn a_whisper_is_heard_by_one_and_a_gain_is_what_it_says() {
    let formats = [PCMU, PCMU, PCMU];
    let mut room = Room::new(&formats);
    room.listen(0, PCMU, &[(1, 0), (2, -12)]);
    room.listen(1, PCMU, &[(0, 6)]);
    room.pass(3, |_, _| Some(0));
    assert_heard(room.ears[0].levels(), [None, Some(LEVEL_DBFS), Some(LEVEL_DBFS - 12.0), None]);
    assert_heard(room.ears[1].levels(), [Some(LEVEL_DBFS + 6.0), None, None, None]);
    assert!(room.ears[2].samples.is_empty());
}

#[test]
fn loss_and_jitter_are_made_good_for_all_who_hear_it() {
    let formats = [PCMU, OPUS, PCMA];
    let mut room = Room::new(&formats);
    room.conference(&formats);
    // One packet in 20 is lost, and each is up to 30 ms late, of a sequence that repeats after 97.
    let late = |name: usize, at: u64| {
        let number = at * 31 + name as u64 * 7;
        (!number.is_multiple_of(20)).then(|| number % 97 * 310_000)
    };
    room.pass(5, late);
    for (name, ear) in room.ears.iter().enumerate() {
        let mut expected = [Some(LEVEL_DBFS), Some(LEVEL_DBFS), Some(LEVEL_DBFS), None];
        expected[name] = None;
        assert_heard(ear.levels(), expected);
        assert_eq!(ear.headers.len(), 250);
    }
}

#[test]
fn what_is_too_loud_together_is_limited_and_not_wrapped_around() {
    let mut mixer: Mixer<u8, u8> = Mixer::new();
    let mut sources = [L16, L16, L16].map(|format| Source::new(format, 16_000));
    for name in 0..3 {
        mixer.set_voice(name, &[format(L16)]);
    }
    mixer.listen(9, &[format(L16)], [(0, 24), (1, 24), (2, 24)], 1).expect("L16");
    let rate = sources[0].rate();
    let loud = sine(300.0, -0.1, 1000, rate);
    let packets: Vec<_> = sources.iter_mut().map(|source| source.say_all(&loud.samples, 20)).collect();
    let mut ear = Ear::new(L16);
    for at in 0..50 {
        let now = START_NS + at * TICK.as_nanos() as u64;
        for (name, packets) in packets.iter().enumerate() {
            mixer.push(name as u8, &packets[at as usize], now, &mut |_, _| {});
        }
        mixer.tick(now, &mut |_, header, payload| ear.hear(header, payload), &mut |_, _| {});
    }
    let last = &ear.samples[ear.samples.len() - rate as usize / 4..];
    assert!(last.contains(&i16::MAX) && last.contains(&i16::MIN));
    // What wraps around jumps from one end to the other; this stays there for most of a period.
    let jumps = last.windows(2).filter(|pair| (i32::from(pair[0]) - i32::from(pair[1])).abs() > 65_000).count();
    assert!(jumps <= 150, "{jumps} jumps in a quarter of a second of 300 Hz");
}

#[test]
fn ticks_that_were_missed_are_missing_in_the_time_and_not_in_the_numbers() {
    let mut room = Room::new(&[PCMU, PCMU]);
    room.listen(0, PCMU, &[(1, 0)]);
    room.pass(1, |_, _| Some(0));
    room.mixer.skip(7);
    room.pass(1, |_, _| Some(0));
    let headers = &room.ears[0].headers;
    assert_eq!(headers[50].timestamp.wrapping_sub(headers[49].timestamp), 8 * 160);
    assert_eq!(headers[50].sequence.0.wrapping_sub(headers[49].sequence.0), 1);
    assert!(headers[50].marker);
}

#[test]
fn who_cannot_be_encoded_for_is_refused_and_who_is_unknown_is_silent() {
    let mut mixer: Mixer<u8, u8> = Mixer::new();
    assert!(mixer.is_idle());
    assert!(mixer.listen(1, &[format(EVENT)], [(2, 0)], 0).is_err());
    assert!(mixer.is_idle());
    mixer.listen(1, &[format(PCMU)], [(2, 0)], 0).expect("PCMU");
    mixer.push(2, &[0x80; 172], 0, &mut |_, _| {});
    let mut made = Vec::new();
    mixer.tick(START_NS, &mut |_, _, payload| made.push(payload.to_vec()), &mut |_, _| {});
    assert_eq!(made, [vec![0xff; 160]], "silence");
    mixer.end(1);
    assert!(mixer.is_idle());
}

const PROMPT_HZ: f64 = 2500.0;

/// A tone of its own, as loud as those who speak.
fn announcement(number: u8, seconds: usize, rounds: u64, frame_ms: u32, gain_db: i32) -> Prompt {
    let tone = |rate| sine(PROMPT_HZ, LEVEL_DBFS, 1000, rate).samples.repeat(seconds);
    let said = Announcement::of(number, frame_ms, rounds, tone);
    Prompt::new(codec(number), frame_ms, Box::new(said), gain_db).expect("a decoder")
}

/// How loud the prompt is in each second of what was heard.
fn prompt_levels(ear: &Ear) -> Vec<f64> {
    let rate = ear.decoder.sample_rate();
    ear.samples.chunks_exact(rate as usize).map(|second| tone_dbfs(second, rate, PROMPT_HZ)).collect()
}

#[test]
fn a_prompt_is_heard_over_those_who_speak_and_they_under_it_until_it_ends() {
    for (to, of) in [(PCMU, PCMU), (OPUS, OPUS), (PCMA, G722), (L16, PCMU)] {
        let mut room = Room::new(&[to, PCMU]);
        room.listen(0, to, &[(1, -12)]);
        room.mixer.overlay(0, announcement(of, 1, 3, 20, -3));
        room.pass(3, |_, _| Some(0));
        assert_heard(room.ears[0].levels(), [None, Some(LEVEL_DBFS - 12.0), None, None]);
        let levels = prompt_levels(&room.ears[0]);
        // A codec's delay is in the first second.
        assert!(
            (levels[1] - LEVEL_DBFS + 3.0).abs() < 1.5 && (levels[2] - LEVEL_DBFS + 3.0).abs() < 1.5,
            "{of} to {to}: {levels:?}"
        );
        // It is over; the voices are as loud as the listener is told next, by the same stream.
        room.listen(0, to, &[(1, 0)]);
        room.pass(2, |_, _| Some(0));
        assert_heard(room.ears[0].levels(), [None, Some(LEVEL_DBFS), None, None]);
        assert!(prompt_levels(&room.ears[0])[4] < -45.0);
        let headers = &room.ears[0].headers;
        assert_eq!(headers.len(), 5000 / codec(to).packet_ms(0) as usize);
        assert!(headers.windows(2).all(|pair| pair[1].sequence.0.wrapping_sub(pair[0].sequence.0) == 1));
    }
}

#[test]
fn a_prompt_goes_on_while_talkers_come_and_go_and_leaves_out_what_nobody_played() {
    let mut room = Room::new(&[OPUS, PCMU, OPUS]);
    room.listen(0, OPUS, &[(1, 0)]);
    // Four seconds in frames that are no ticks.
    room.mixer.overlay(0, announcement(PCMU, 4, 1, 30, 0));
    room.pass(1, |_, _| Some(0));
    // From 8 to 16 kHz.
    room.listen(0, OPUS, &[(1, 0), (2, 0)]);
    room.pass(1, |_, _| Some(0));
    assert_heard(room.ears[0].levels(), [None, Some(LEVEL_DBFS), Some(LEVEL_DBFS), None]);
    room.mixer.skip(50);
    room.listen(0, OPUS, &[]);
    room.pass(2, |_, _| Some(0));
    let levels = prompt_levels(&room.ears[0]);
    // Of the fourth second the third was left out.
    assert!(levels[..3].iter().all(|level| (level - LEVEL_DBFS).abs() < 1.5), "{levels:?}");
    assert!(levels[3] < -40.0, "{levels:?}");
}

#[test]
fn a_prompt_that_cannot_be_decoded_takes_its_time_and_one_without_end_goes_on() {
    let mut room = Room::new(&[PCMU, PCMU]);
    room.listen(0, PCMU, &[(1, 0)]);
    let odd = Announcement { frames: vec![vec![1], vec![]], rounds: u64::MAX };
    room.mixer.overlay(0, Prompt::new(codec(L16), 20, Box::new(odd), 0).expect("a decoder"));
    room.mixer.skip(u64::MAX);
    room.pass(1, |_, _| Some(0));
    assert_heard(room.ears[0].levels(), [None, Some(LEVEL_DBFS), None, None]);
    room.mixer.overlay(1, announcement(PCMU, 1, 1, 20, 0));
    room.mixer.end(1);
    room.pass(1, |_, _| Some(0));
    assert!(room.ears[1].samples.is_empty());
}

fn any_packet() -> impl Strategy<Value = Vec<u8>> {
    let number = prop_oneof![Just(PCMU), Just(OPUS), Just(G722), Just(L16), Just(EVENT)];
    let looks_like_rtp =
        (number, any::<[u8; 10]>(), prop::collection::vec(any::<u8>(), 0..300)).prop_map(|(number, rest, payload)| {
            let mut packet = vec![0x80, number];
            packet.extend(rest);
            packet.extend(payload);
            packet
        });
    prop_oneof![looks_like_rtp, prop::collection::vec(any::<u8>(), 0..100)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn whatever_arrives_each_listener_gets_its_packet_a_tick(
        packets in prop::collection::vec((0..3_u8, any_packet(), 0..3_000_000_000_u64, any::<bool>()), 0..120),
    ) {
        let mut mixer: Mixer<u8, u8> = Mixer::new();
        let all = [PCMU, OPUS, G722, L16].map(format);
        for name in 0..3 {
            mixer.set_voice(name, &all);
            let others = (0..3).filter(|other| *other != name).map(|other| (other, 3));
            mixer.listen(name, &all[usize::from(name)..], others, 5).expect("each has one");
        }
        let mut now = START_NS;
        for (name, packet, at, ticks) in packets {
            mixer.push(name, &packet, START_NS + at, &mut |_, _| {});
            if ticks {
                let mut made = 0;
                mixer.tick(now, &mut |_, _, payload| made += usize::from(!payload.is_empty()), &mut |_, _| {});
                prop_assert_eq!(made, 3);
                now += TICK.as_nanos() as u64;
            }
        }
    }
}

#[test]
fn what_a_voice_says_and_presses_is_noticed_whoever_listens() {
    let mut mixer: Mixer<u8, u8> = Mixer::new();
    mixer.set_voice(1, &[PCMU, EVENT].map(format));
    mixer.detect(1, Some(&detect::Settings::default()));
    assert!(!mixer.is_idle());
    // A fax machine calls: 1100 Hz for half a second, then silence (ITU-T T.30). Behind it somebody presses 7 within the audio.
    let mut said = sine(1100.0, LEVEL_DBFS, 500, 8000).samples;
    said.resize(16_000, 0);
    said.extend(dtmf::samples(Digit::from_char('7').expect("a key"), -8.0, 120, 8000));
    said.resize(24_000, 0);
    let packets = Source::new(PCMU, 8000).say_all(&said, 20);
    let mut noticed = Vec::new();
    let mut now = START_NS;
    for (at, packet) in packets.iter().enumerate() {
        mixer.push(1, packet, now, &mut |_, noticed| panic!("{noticed:?}"));
        // An event of three packets is one key; its last packet is sent thrice.
        if at == 10 {
            for (duration, end) in [(160, 0), (400, 0x80), (400, 0x80), (400, 0x80)] {
                let [high, low] = u16::to_be_bytes(duration);
                let event = support::packet(false, EVENT, 9, 77, 0x5eed, &[11, end | 12, high, low]);
                mixer.push(1, &event, now, &mut |voice, key| noticed.push((voice, key)));
            }
        }
        mixer.tick(now, &mut |_, _, _| {}, &mut |voice, heard| noticed.push((voice, heard)));
        now += TICK.as_nanos() as u64;
    }
    let keys: Vec<_> = noticed
        .iter()
        .filter_map(|(voice, noticed)| match noticed {
            Noticed::Key { digit, in_band, .. } => Some((*voice, digit.as_char(), *in_band)),
            Noticed::Heard(..) => None,
        })
        .collect();
    assert_eq!(keys, [(1, '#', false), (1, '7', true)]);
    assert!(noticed.iter().any(|(_, noticed)| {
        matches!(noticed, Noticed::Key { digit, duration_ms: 50, volume: 12, in_band: false } if digit.as_char() == '#')
    }));
    let faxes = noticed.iter().filter(|(_, noticed)| {
        matches!(noticed, Noticed::Heard(heard, ago) if heard.what == detect::What::FaxCng && (500..1000).contains(ago))
    });
    assert_eq!(faxes.count(), 1, "{noticed:?}");
    mixer.detect(1, None);
    assert!(mixer.is_idle());
}

#[test]
fn who_is_silent_is_heard_as_the_noise_that_it_tells_of() {
    let mut room = Room::new(&[PCMU, G722, PCMA]);
    room.listen(2, PCMA, &[(0, 0)]);
    room.pass(1, |_, _| Some(0));
    let last_second = |room: &Room| rms_dbfs(&room.ears[2].samples[room.ears[2].samples.len() - 8000..]);
    assert!((last_second(&room) - LEVEL_DBFS).abs() < 1.0, "{}", last_second(&room));
    // Nothing is told: silence.
    room.pass(2, |name, _| (name != 0).then_some(0));
    assert!(last_second(&room) < -70.0, "{}", last_second(&room));
    let noise = room.sources[0].comfort_noise(35);
    let now = START_NS + room.tick * TICK.as_nanos() as u64;
    room.mixer.push(0, &noise, now, &mut |_, _| {});
    room.pass(2, |name, _| (name != 0).then_some(0));
    assert!((last_second(&room) + 35.0).abs() < 1.5, "{}", last_second(&room));
    // It speaks again, and then sends nothing and tells nothing.
    room.pass(1, |_, _| Some(0));
    assert!((last_second(&room) - LEVEL_DBFS).abs() < 1.5, "{}", last_second(&room));
    room.pass(2, |name, _| (name != 0).then_some(0));
    assert!(last_second(&room) < -70.0, "{}", last_second(&room));
}
