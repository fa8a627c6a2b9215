//! Keys of tones for listeners that know events: told as events, and gone from the audio.

mod support;

use patchcord_codec::dtmf::{self, Detector, Digit, Event};
use patchcord_media::Transcoder;
use patchcord_rtp::{RtpHeader, TelephoneEvent};
use support::{EVENT, EVENT_48, G722, Heard, L16, OPUS, PCMA, PCMU, Random, Source, codec, frame, speech, transcoder};

/// A key of an event, as the listener is told: which, where, for how long and how loud.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Key {
    digit: char,
    at_ms: u64,
    length_ms: u64,
    volume: u8,
}

/// The events that a listener is told; each has to begin with a marker, grow, and end three times.
fn told(heard: &Heard, number: u8) -> Vec<Key> {
    let first = heard.packets[0].0.timestamp;
    let clock = u64::from(if number == EVENT_48 { 48_000_u32 } else { 8000 });
    let events: Vec<(RtpHeader, TelephoneEvent)> = heard
        .of_number(number)
        .map(|(header, payload)| (*header, TelephoneEvent::read(payload).expect("an event")))
        .collect();
    let keys = events.chunk_by(|one, next| one.0.timestamp == next.0.timestamp);
    let keys = keys.map(|key| {
        let (header, event) = key[0];
        let ends = key.iter().filter(|(_, event)| event.end).count();
        assert_eq!((header.marker, ends), (true, 3), "{key:?}");
        assert!(key[1..].iter().all(|(header, _)| !header.marker), "{key:?}");
        assert!(key.windows(2).all(|pair| pair[0].1.duration <= pair[1].1.duration), "{key:?}");
        assert!(key.iter().all(|(_, other)| (other.event, other.volume) == (event.event, event.volume)));
        Key {
            digit: Digit::from_event(event.event).expect("a key").as_char(),
            at_ms: u64::from(header.timestamp.wrapping_sub(first)) * 1000 / clock,
            length_ms: u64::from(key[key.len() - 1].1.duration) * 1000 / clock,
            volume: event.volume,
        }
    });
    keys.collect()
}

/// What is left of keys in the audio.
fn tones(heard: &Heard, number: u8) -> usize {
    let rate = codec(number).sample_rate_for(16_000);
    let mut events = Vec::new();
    Detector::new(rate).expect("a rate").process(&heard.audio(number, rate), &mut events);
    events.iter().filter(|event| matches!(event, Event::Began(_))).count()
}

fn digit(sign: char) -> Digit {
    Digit::from_char(sign).expect("a key")
}

fn silence(rate: u32, ms: u32) -> Vec<i16> {
    vec![0; (rate * ms / 1000) as usize]
}

/// What a telephone sends that has no events: it speaks, presses `keys` for `length_ms` each, and speaks again.
fn party(rate: u32, keys: &str, length_ms: u32) -> Vec<i16> {
    let said = speech(rate);
    let part = rate as usize / 5;
    let mut samples = said[..part].to_vec();
    for key in keys.chars() {
        samples.extend(dtmf::samples(digit(key), -10.0, length_ms, rate));
        samples.extend(silence(rate, 60));
    }
    samples.extend(&said[part..3 * part]);
    samples
}

const EVENTS: fn(u8) -> u8 = |number| if number == OPUS { EVENT_48 } else { EVENT };

#[test]
fn a_tone_is_an_event_and_not_heard_whatever_the_codecs() {
    for (from, to) in
        [(PCMU, PCMA), (PCMU, OPUS), (OPUS, PCMU), (PCMA, G722), (G722, PCMU), (G722, OPUS), (OPUS, G722), (L16, PCMU)]
    {
        let mut source = Source::new(from, 8000);
        let samples = party(source.rate(), "5", 100);
        let packets = source.say_all(&samples, if from == L16 { 10 } else { 20 });
        let mut transcoder = transcoder(&[from], &[to, EVENTS(to)]);
        let heard = Heard::of(&mut transcoder, &packets);
        heard.check(to);
        let keys = told(&heard, EVENTS(to));
        let [key] = &keys[..] else { panic!("{from} to {to}: {keys:?}") };
        // Opus begins it late, and a packet with audio before it ends first.
        assert_eq!(key.digit, '5');
        assert!((190..=230).contains(&key.at_ms), "{from} to {to}: {key:?}");
        assert!(key.length_ms.abs_diff(100) <= 10, "{from} to {to}: {key:?}");
        assert!(key.volume.abs_diff(10) <= 1, "{from} to {to}: {key:?}");
        assert_eq!(tones(&heard, to), 0, "{from} to {to}: it is heard too");
        assert_eq!(transcoder.counts().keys_told, 1);
        // The pause for the key, and nothing else is left out.
        let last = heard.places(to).pop().expect("audio") / frame(to);
        let missing = last as usize + 1 - heard.of_number(to).count();
        let ms = missing * frame(to) as usize * 1000 / codec(to).clock_rate() as usize;
        assert!((80..=160).contains(&ms), "{from} to {to}: {ms} ms are left out");
    }
}

#[test]
fn keys_one_after_the_other_are_told_in_order_whatever_the_packets() {
    for ptime_ms in [10, 20, 30, 60, 200] {
        for length_ms in [50, 70, 250] {
            let mut source = Source::new(PCMU, 8000);
            let samples = party(8000, "0123456789*#ABCD5", length_ms);
            let packets = source.say_all(&samples, ptime_ms);
            let heard = Heard::of(&mut transcoder(&[PCMU], &[PCMA, EVENT]), &packets);
            let keys = told(&heard, EVENT);
            let digits: String = keys.iter().map(|key| key.digit).collect();
            assert_eq!(digits, "0123456789*#ABCD5", "{length_ms} ms in packets of {ptime_ms}");
            assert!(keys.iter().all(|key| key.length_ms.abs_diff(length_ms.into()) <= 10), "{keys:?}");
            assert_eq!(tones(&heard, PCMA), 0, "{length_ms} ms in packets of {ptime_ms}");
        }
    }
}

#[test]
fn what_is_said_is_heard_whole_and_as_if_nobody_listened_for_keys() {
    let mut source = Source::new(PCMU, 8000);
    let packets = source.say_all(&speech(8000), 20);
    let (mut plain, mut listening) = (transcoder(&[PCMU], &[PCMA]), transcoder(&[PCMU], &[PCMA, EVENT]));
    let (mut heard, mut expected) = (Heard::default(), Heard::default());
    let (mut held, mut most) = (0, 0);
    for packet in &packets {
        heard.push(&mut listening, packet);
        expected.push(&mut plain, packet);
        let behind = expected.packets.len() - heard.packets.len();
        held += usize::from(behind > 0);
        most = most.max(behind);
    }
    assert!(expected.packets.starts_with(&heard.packets), "the same packets, if later");
    assert!(packets.len() > 200 && most <= 3, "{most} packets are held back");
    assert!(held * 20 < packets.len(), "{held} of {} packets come late", packets.len());
    assert_eq!(listening.counts().keys_told, 0);
}

#[test]
fn a_steady_tone_that_is_no_key_is_held_back_for_a_moment_only() {
    // 750 and 1250 Hz: both are more than 1.5 % off their keys.
    let tone = |n: usize| {
        let sine = |hz: f64| (n as f64 * hz * core::f64::consts::TAU / 8000.0).sin() * 6000.0;
        (sine(750.0) + sine(1250.0)) as i16
    };
    let samples: Vec<i16> = (0..8000).map(tone).collect();
    let packets = Source::new(PCMU, 8000).say_all(&samples, 20);
    let heard = Heard::of(&mut transcoder(&[PCMU], &[PCMA, EVENT]), &packets);
    assert_eq!((heard.packets.len(), heard.of_number(EVENT).count()), (packets.len(), 0));
}

#[test]
fn a_key_ends_where_the_source_stops_or_begins_anew() {
    let rate = 8000;
    let mut samples = speech(rate)[..1600].to_vec();
    samples.extend(dtmf::samples(digit('9'), -10.0, 2000, rate));
    let held = 1600 + rate as usize / 5;
    let anew = |source: &mut Source, what: usize| match what {
        // A pause, other numbers, another source.
        0 => source.timestamp = source.timestamp.wrapping_add(8000),
        1 => (source.sequence, source.timestamp) = (source.sequence ^ 0x8000, source.timestamp ^ 0x8000_0000),
        _ => source.ssrc ^= 1,
    };
    for what in 0..3 {
        let mut source = Source::new(PCMU, rate);
        let mut packets = source.say_all(&samples[..held], 20);
        anew(&mut source, what);
        packets.extend(source.say_all(&speech(rate)[..1600], 20));
        let heard = Heard::of(&mut transcoder(&[PCMU], &[PCMA, EVENT]), &packets);
        let keys = told(&heard, EVENT);
        let [key] = &keys[..] else { panic!("{what}: {keys:?}") };
        assert!(key.digit == '9' && key.length_ms.abs_diff(200) <= 10, "{what}: {key:?}");
        // Other numbers are believed from the second packet on.
        let heard_after = 20 - usize::from(what == 1);
        assert_eq!((tones(&heard, PCMA), heard.of_number(PCMA).count()), (0, heard_after), "{what}");
    }
}

#[test]
fn a_listener_that_has_heard_something_else_is_told_nothing_of_before() {
    let mut samples = speech(8000)[..1600].to_vec();
    samples.extend(dtmf::samples(digit('9'), -10.0, 100, 8000));
    let mut source = Source::new(PCMU, 8000);
    let packets = source.say_all(&samples, 20);
    let mut transcoder = transcoder(&[PCMU], &[PCMA, EVENT]);
    let before = Heard::of(&mut transcoder, &packets);
    assert!(before.of_number(EVENT).count() > 0);
    transcoder.resume();
    let after = Heard::of(&mut transcoder, &source.say_all(&speech(8000)[..1600], 20));
    assert_eq!((after.of_number(EVENT).count(), after.of_number(PCMA).count()), (0, 10));
}

#[test]
fn keys_survive_loss() {
    let seed = 7;
    let mut random = Random(seed);
    let mut source = Source::new(PCMU, 8000);
    let packets = source.say_all(&party(8000, &"147".repeat(20), 100), 20);
    let left: Vec<_> = packets.into_iter().filter(|_| !random.percent(3)).collect();
    let heard = Heard::of(&mut transcoder(&[PCMU], &[PCMA, EVENT]), &left);
    let keys = told(&heard, EVENT);
    let right = keys.iter().filter(|key| "147".contains(key.digit)).count();
    // A lost packet within it may divide one, or make it too short.
    assert!((54..=66).contains(&keys.len()) && right == keys.len(), "seed {seed}: {} keys", keys.len());
}

#[test]
fn a_source_that_has_events_is_not_listened_to() {
    let mut source = Source::new(PCMU, 8000);
    let packets = source.say_all(&party(8000, "5", 100), 20);
    let mut transcoder: Transcoder = transcoder(&[PCMU, EVENT], &[PCMA, EVENT]);
    let heard = Heard::of(&mut transcoder, &packets);
    assert_eq!((heard.of_number(EVENT).count(), tones(&heard, PCMA)), (0, 1), "it is heard as it is");
}

#[test]
fn what_is_heard_of_a_tone_before_it_is_known_is_too_short_for_a_key() {
    // ITU-T Q.24: 23 ms are none.
    const NO_KEY: usize = 23 * 8;
    let said = speech(8000);
    let mut longest = 0;
    for (before, offset) in [false, true].into_iter().flat_map(|before| (0..160).step_by(5).map(move |at| (before, at)))
    {
        let begun = 800 + offset;
        // A steady tone lies below what is said, and nothing else is in the key.
        let mut samples = if before { said[4000..4000 + begun].to_vec() } else { vec![0; begun] };
        samples.extend(dtmf::samples(digit('8'), -10.0, 150, 8000));
        samples.resize(samples.len().next_multiple_of(160) + 800, 0);
        let packets = Source::new(PCMU, 8000).say_all(&samples, 20);
        let heard = Heard::of(&mut transcoder(&[PCMU], &[PCMA, EVENT]), &packets);
        assert_eq!(told(&heard, EVENT).len(), 1, "{before} {offset}");
        let audio = heard.audio(PCMA, 8000);
        let leaked = audio[begun..begun + 1200].iter().rposition(|sample| sample.abs() > 100).map_or(0, |at| at + 1);
        longest = longest.max(leaked);
    }
    assert!(longest < NO_KEY, "{longest} samples");
}
