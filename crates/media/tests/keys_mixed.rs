//! Keys through a mix: events for those who know them, tones for the others, one at a time, and never one's own.

mod support;

use patchcord_codec::Decoder;
use patchcord_codec::dtmf::{Detector, Event};
use patchcord_codec::tone::sine;
use patchcord_media::{Mixer, TICK};
use patchcord_rtp::{RtpHeader, TelephoneEvent};
use proptest::prelude::*;
use support::{EVENT, EVENT_48, G722, L16, OPUS, PCMA, PCMU, Source, codec, format, frame, packet};

const START_NS: u64 = 1_000_000_000;
const TICK_NS: u64 = TICK.as_nanos() as u64;

/// What each listener was sent: in which tick, header and payload.
type Sent = Vec<(u64, RtpHeader, Vec<u8>)>;

/// Parties that speak and press keys; each hears all the others.
struct Room {
    mixer: Mixer<usize, usize>,
    formats: Vec<Vec<u8>>,
    speech: Vec<Vec<Vec<u8>>>,
    sent: Vec<Sent>,
    tick: u64,
}

impl Room {
    fn new(formats: &[&[u8]]) -> Self {
        let mut mixer = Mixer::new();
        for (name, numbers) in formats.iter().enumerate() {
            mixer.set_voice(name, &numbers.iter().copied().map(format).collect::<Vec<_>>());
        }
        let speech = formats.iter().map(|numbers| {
            let mut source = Source::new(numbers[0], 16_000);
            let tone = sine(300.0, -20.0, 3000, source.rate());
            source.say_all(&tone.samples, 20)
        });
        let speech = speech.collect();
        let sent = vec![Vec::new(); formats.len()];
        let formats = formats.iter().map(|numbers| numbers.to_vec()).collect();
        let mut room = Self { mixer, formats, speech, sent, tick: 0 };
        (0..room.sent.len()).for_each(|listener| room.listen(listener, &[]));
        room
    }

    /// All the others but some.
    fn listen(&mut self, listener: usize, without: &[usize]) {
        let to: Vec<_> = self.formats[listener].iter().copied().map(format).collect();
        let others = (0..self.formats.len()).filter(|other| *other != listener && !without.contains(other));
        self.mixer.listen(listener, &to, others.map(|other| (other, 0)), listener as u64).expect("it can be encoded");
    }

    /// A party tells that a key has been down for so long since `timestamp`.
    fn tell(&mut self, party: usize, key: u8, timestamp: u32, ms: u32, end: bool) {
        let number = *self.formats[party].iter().find(|number| [EVENT, EVENT_48].contains(number)).expect("events");
        let duration = (ms * if number == EVENT { 8 } else { 48 }) as u16;
        let mut payload = [0; 4];
        TelephoneEvent { event: key, end, volume: 10, duration }.write(&mut payload);
        let packet = packet(false, number, 0, timestamp, 0x5eed, &payload);
        self.mixer.push(party, &packet, START_NS + self.tick * TICK_NS, &mut |_, _| {});
    }

    /// One tick, in which all speak but those who are pressing.
    fn pass(&mut self, pressing: &[usize]) {
        let now = START_NS + self.tick * TICK_NS;
        for (name, packets) in self.speech.iter().enumerate() {
            if !pressing.contains(&name) {
                self.mixer.push(name, &packets[self.tick as usize], now, &mut |_, _| {});
            }
        }
        let (sent, tick) = (&mut self.sent, self.tick);
        let mut emit =
            |name: usize, header: &RtpHeader, payload: &[u8]| sent[name].push((tick, *header, payload.to_vec()));
        self.mixer.tick(now, &mut emit, &mut |_, _| {});
        self.tick += 1;
    }

    fn pass_many(&mut self, ticks: usize) {
        (0..ticks).for_each(|_| self.pass(&[]));
    }

    /// A party presses a key in the place of its audio, and others do meanwhile.
    fn press(&mut self, party: usize, key: u8, ms: u32, mut meanwhile: impl FnMut(&mut Self, u32)) {
        let timestamp = (self.tick as u32) * 160 + 1;
        for at in (0..ms).step_by(20) {
            self.tell(party, key, timestamp, at + 20, false);
            meanwhile(self, at);
            self.pass(&[party]);
        }
        for _ in 0..3 {
            self.tell(party, key, timestamp, ms, true);
        }
    }

    /// Events that a listener was sent, as (tick, marker, timestamp, event).
    fn events(&self, listener: usize) -> Vec<(u64, bool, u32, TelephoneEvent)> {
        let packets =
            self.sent[listener].iter().filter(|(_, header, _)| header.payload_type.get() != self.formats[listener][0]);
        packets
            .map(|(tick, header, payload)| {
                (*tick, header.marker, header.timestamp.0, TelephoneEvent::read(payload).expect("an event"))
            })
            .collect()
    }

    /// Keys in the audio that a listener was sent, and how long they were, in milliseconds.
    fn tones(&self, listener: usize) -> Vec<(char, u64)> {
        let codec = codec(self.formats[listener][0]);
        let mut decoder = Decoder::new(codec, codec.sample_rate_for(16_000)).expect("its rate");
        let rate = decoder.sample_rate();
        let mut samples = Vec::new();
        for (_, header, payload) in &self.sent[listener] {
            if header.payload_type.get() == self.formats[listener][0] {
                decoder.decode(payload, &mut samples).expect("what the mixer makes can be decoded");
            }
        }
        let mut events = Vec::new();
        Detector::new(rate).expect("a rate").process(&samples, &mut events);
        let ended = events.into_iter().filter_map(|event| match event {
            Event::Ended(key) => Some((key.digit.as_char(), (key.duration * 1000 / u64::from(rate) + 10) / 20 * 20)),
            Event::Began(_) => None,
        });
        ended.collect()
    }

    /// One stream: one SSRC, each number the next, timestamps that never go back, and audio that never overlaps.
    fn check(&self) {
        for (sent, numbers) in self.sent.iter().zip(&self.formats) {
            for pair in sent.windows(2) {
                let [(_, before, _), (_, after, _)] = pair else { continue };
                assert_eq!((before.ssrc, before.sequence.next()), (after.ssrc, after.sequence));
                assert!(after.timestamp.wrapping_sub(before.timestamp) < 1 << 31, "{before:?} {after:?}");
            }
            let audio: Vec<_> = sent.iter().filter(|(_, header, _)| header.payload_type.get() == numbers[0]).collect();
            let frame = frame(numbers[0]);
            for pair in audio.windows(2) {
                let step = pair[1].1.timestamp.wrapping_sub(pair[0].1.timestamp);
                assert!(step == frame || step > frame && pair[1].1.marker, "{step}");
            }
        }
    }
}

fn assert_press(events: &[(u64, bool, u32, TelephoneEvent)], key: u8, clock: u32, ms: u32) {
    let (_, _, timestamp, _) = events[0];
    assert!(
        events.iter().all(|(_, _, at, event)| (*at, event.event, event.volume) == (timestamp, key, 10)),
        "{events:?}"
    );
    let markers: Vec<_> = events.iter().map(|(_, marker, ..)| *marker).collect();
    assert!(markers[0] && !markers[1..].contains(&true), "{events:?}");
    let told: Vec<_> = events.iter().map(|(.., event)| (u32::from(event.duration) * 1000 / clock, event.end)).collect();
    let updates = (20..=ms).step_by(20).map(|ms| (ms, false));
    assert_eq!(told, updates.chain([(ms, true); 3]).collect::<Vec<_>>());
}

#[test]
fn who_knows_events_hears_these_and_who_does_not_hears_a_tone() {
    let mut room = Room::new(&[&[PCMU, EVENT], &[OPUS, EVENT, EVENT_48], &[PCMA], &[G722], &[OPUS], &[L16, EVENT]]);
    room.pass_many(50);
    room.press(0, 5, 100, |_, _| {});
    room.pass_many(50);
    room.check();
    assert_press(&room.events(1), 5, 48_000, 100);
    assert_press(&room.events(5), 5, 8000, 100);
    for listener in [2, 3, 4] {
        assert_eq!(room.tones(listener), [('5', 100)], "{:?}", room.formats[listener]);
        assert_eq!(room.sent[listener].len(), 105, "in the place of audio");
        assert_eq!(room.events(listener), []);
    }
    assert_eq!((room.events(0), room.tones(0)), (vec![], vec![]), "nobody hears his own keys");
    for listener in [1, 5] {
        assert_eq!(room.tones(listener), [], "not twice");
        let events = room.events(listener);
        let audio = |tick| {
            room.sent[listener]
                .iter()
                .any(|(at, header, _)| *at == tick && header.payload_type.get() == room.formats[listener][0])
        };
        assert!((0..105).all(|tick| audio(tick) != (events[0].0..events[0].0 + 5).contains(&tick)), "audio around it");
        let (_, behind, _) =
            room.sent[listener].iter().find(|(tick, ..)| *tick == events[7].0 && *tick > 0).expect("the end");
        assert_eq!(behind.timestamp.0, events[0].2);
    }
}

#[test]
fn the_first_of_two_who_press_at_once_is_heard() {
    let mut room = Room::new(&[&[PCMU, EVENT], &[PCMU, EVENT], &[PCMA], &[PCMU, EVENT]]);
    room.pass_many(20);
    room.press(0, 1, 200, |room, at| {
        // The other one begins later and lasts longer.
        if at >= 40 {
            room.tell(1, 9, 77, at - 20, false);
        }
    });
    for at in (180..400).step_by(20) {
        room.tell(1, 9, 77, at, false);
        room.pass(&[1]);
    }
    room.tell(1, 9, 77, 400, true);
    room.pass_many(20);
    room.check();
    assert_press(&room.events(3), 1, 8000, 200);
    assert_eq!(room.tones(2), [('1', 200)]);
    // Each of the two hears the other.
    assert_press(&room.events(1), 1, 8000, 200);
    assert_press(&room.events(0), 9, 8000, 400);
    // What is pressed behind it is heard.
    room.press(1, 8, 60, |_, _| {});
    room.pass_many(20);
    assert_eq!(room.tones(2), [('1', 200), ('8', 60)]);
    room.check();
}

#[test]
fn an_end_that_is_lost_and_a_talker_that_goes_end_a_key() {
    let mut room = Room::new(&[&[PCMU, EVENT], &[PCMU, EVENT], &[PCMA]]);
    room.pass_many(20);
    for at in [20, 40, 60] {
        room.tell(0, 3, 55, at, false);
        room.pass(&[0]);
    }
    room.pass_many(30);
    let events = room.events(1);
    assert_eq!(events.iter().filter(|(.., event)| event.end).count(), 3);
    assert!(events.last().is_some_and(|(.., event)| event.duration <= 160 * 8), "{events:?}");
    assert_eq!(room.events(1).iter().filter(|(_, marker, ..)| *marker).count(), 1);
    // Who is no longer heard has let go; and who comes to hear somebody in the middle of a key does not hear that.
    room.tell(0, 4, 9000, 20, false);
    room.pass(&[0]);
    room.listen(1, &[0]);
    room.tell(0, 4, 9000, 40, false);
    room.pass(&[0]);
    room.listen(1, &[]);
    room.tell(0, 4, 9000, 60, true);
    room.pass_many(20);
    room.check();
    let behind = room.events(1).split_off(events.len());
    assert_press(&behind, 4, 8000, 20);
}

#[test]
fn a_long_key_goes_in_segments() {
    let mut room = Room::new(&[&[PCMU, EVENT], &[OPUS, EVENT_48]]);
    room.press(0, 7, 2000, |_, _| {});
    room.pass_many(20);
    room.check();
    let events = room.events(1);
    let mut starts: Vec<u32> = events.iter().map(|(_, _, timestamp, _)| *timestamp).collect();
    starts.dedup();
    assert_eq!(starts.windows(2).map(|pair| pair[1].wrapping_sub(pair[0])).collect::<Vec<_>>(), [0xffff]);
    assert_eq!(events.iter().filter(|(_, marker, ..)| *marker).count(), 1);
    let last: Vec<_> = events.iter().rev().take(3).map(|(.., event)| (event.end, event.duration)).collect();
    assert_eq!(last, [(true, (2 * 48_000 - 0xffff) as u16); 3]);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn whatever_is_pressed_each_stream_can_be_followed(
        told in prop::collection::vec((0..2_usize, 0..18_u8, 0..4_u32, 0..500_u32, any::<bool>(), 0..4_usize), 0..40),
    ) {
        let mut room = Room::new(&[&[PCMU, EVENT], &[OPUS, EVENT_48], &[PCMA]]);
        for (party, key, timestamp, ms, end, ticks) in told {
            room.tell(party, key, timestamp * 4000, ms, end);
            room.pass_many(ticks.min(149 - room.tick as usize));
        }
        let before = room.sent[2].len();
        prop_assert_eq!(before as u64, room.tick, "a packet a tick for who knows no events");
        room.check();
        for listener in [0, 1] {
            let events = room.events(listener);
            let presses = events.iter().filter(|(_, marker, ..)| *marker).count();
            let ends = events.iter().filter(|(.., event)| event.end).count();
            prop_assert!(ends == 3 * presses || ends + 3 == 3 * presses, "{} ends of {} keys", ends, presses);
        }
    }
}
