//! Keys of events for listeners that know none: tones in the audio.

mod support;

use patchcord_codec::dtmf::{Detector, Event};
use patchcord_rtp::TelephoneEvent;
use support::{EVENT, EVENT_48, G722, Heard, L16, OPUS, PCMA, PCMU, Source, codec, frame, packet, speech, transcoder};

const KEY: &str = "5";

/// A party that speaks and presses the key 5.
struct Party {
    source: Source,
    events: u8,
    packets: Vec<Vec<u8>>,
    said: Vec<i16>,
}

impl Party {
    fn new(number: u8) -> Self {
        let source = Source::new(number, 8000);
        let said = speech(source.rate());
        Self { source, events: if number == OPUS { EVENT_48 } else { EVENT }, packets: Vec::new(), said }
    }

    fn clock(&self) -> u32 {
        codec(self.source.number).clock_rate()
    }

    /// So many packets of 20 ms.
    fn say(&mut self, count: usize) {
        let frame = self.source.rate() as usize / 50;
        let said: Vec<i16> = self.said.drain(..count * frame).collect();
        let packets = self.source.say_all(&said, 20);
        self.packets.extend(packets);
    }

    fn event(&mut self, marker: bool, timestamp: u32, ms: u32, end: bool) {
        let duration = (ms * self.clock() / 1000) as u16;
        let mut payload = [0; 4];
        TelephoneEvent { event: 5, end, volume: 10, duration }.write(&mut payload);
        let source = &mut self.source;
        self.packets.push(packet(marker, self.events, source.sequence, timestamp, source.ssrc, &payload));
        source.sequence = source.sequence.wrapping_add(1);
    }

    /// The key for `ms` in the place of audio.
    fn press(&mut self, ms: u32) {
        let timestamp = self.source.timestamp;
        for at in (20..=ms).step_by(20) {
            self.event(at == 20, timestamp, at, false);
        }
        for _ in 0..3 {
            self.event(false, timestamp, ms, true);
        }
        self.source.timestamp = timestamp.wrapping_add(ms * self.clock() / 1000);
    }
}

/// Keys in what is heard: which, when it began, how long it was, in milliseconds; its level.
fn keys(heard: &Heard, number: u8) -> Vec<(String, u64, u64, f64)> {
    let rate = codec(number).sample_rate_for(16_000);
    let mut samples = heard.audio(number, rate);
    samples.resize(samples.len() + rate as usize / 10, 0);
    let mut events = Vec::new();
    Detector::new(rate).expect("a rate").process(&samples, &mut events);
    let ms = |samples: u64| samples * 1000 / u64::from(rate);
    let ended = events.into_iter().filter_map(|event| match event {
        Event::Ended(key) => Some((key.digit.to_string(), ms(key.start), ms(key.duration), key.level_dbm0)),
        Event::Began(_) => None,
    });
    ended.collect()
}

fn assert_key(heard: &Heard, number: u8, at_ms: u64, length_ms: u64) {
    let keys = keys(heard, number);
    let [(digit, start, length, level)] = &keys[..] else { panic!("{number}: {keys:?}") };
    assert_eq!(digit, KEY);
    assert!(start.abs_diff(at_ms) <= 12, "{number}: it begins at {start} ms, not {at_ms}");
    assert!(length.abs_diff(length_ms) <= 12, "{number}: it lasts {length} ms, not {length_ms}");
    assert!((level + 10.0).abs() < 1.0, "{number}: {level} dBm0");
}

#[test]
fn a_key_is_a_tone_of_its_length_and_volume_whatever_the_codecs() {
    for (from, to) in
        [(PCMU, PCMA), (PCMU, OPUS), (OPUS, PCMU), (PCMA, G722), (G722, PCMU), (G722, OPUS), (OPUS, G722), (PCMU, L16)]
    {
        let mut party = Party::new(from);
        party.say(10);
        party.press(100);
        party.say(10);
        let mut transcoder = transcoder(&[from, party.events], &[to]);
        let heard = Heard::of(&mut transcoder, &party.packets);
        heard.check(to);
        assert_eq!(heard.markers(), [0], "{from} to {to}: the audio goes on evenly");
        assert_key(&heard, to, 200, 100);
        let frame = frame(to);
        // The last packet may wait for what comes.
        let places: Vec<u32> = (0..24).map(|n| n * frame).collect();
        assert_eq!(heard.places(to)[..24], places, "{from} to {to}");
        let counts = transcoder.counts();
        assert_eq!((counts.keys_sounded, counts.events_out, counts.concealed, counts.restarts), (1, 0, 0, 0));
    }
}

#[test]
fn audio_beside_a_key_is_not_heard_and_nothing_is_doubled() {
    // Audio that comes before it is told whether the key is still down is taken to be beside it: up to a packet.
    for (length, offset, heard_ms) in [(100, 0, 100), (90, 0, 100), (100, -40, 100), (105, 7, 105)] {
        let mut party = Party::new(PCMU);
        party.say(10);
        let timestamp = party.source.timestamp.wrapping_add_signed(offset * 8);
        for at in 0..5 {
            party.event(at == 0, timestamp, (20 * at + 20).min(length), false);
            party.say(1);
        }
        for _ in 0..3 {
            party.event(false, timestamp, length, true);
        }
        party.say(15);
        let mut transcoder = transcoder(&[PCMU, EVENT], &[PCMA]);
        let heard = Heard::of(&mut transcoder, &party.packets);
        heard.check(PCMA);
        assert_eq!(heard.markers(), [0]);
        // 600 ms were said, with and without the key.
        assert_eq!(heard.packets.len(), 30, "{length} ms at {offset}");
        assert_key(&heard, PCMA, 200, heard_ms);
    }
}

#[test]
fn a_key_whose_end_is_lost_ends_all_the_same() {
    let mut party = Party::new(PCMU);
    party.say(10);
    let begun = party.packets.len();
    party.press(100);
    let end = party.packets.len();
    party.say(20);
    for (lost, length) in
        [(end - 3..end, 160), (begun..begun + 1, 100), (begun..end - 1, 100), (begun + 1..end - 3, 100)]
    {
        let mut transcoder = transcoder(&[PCMU, EVENT], &[PCMA]);
        let left = party.packets.iter().enumerate().filter(|(at, _)| !lost.contains(at)).map(|(_, packet)| packet);
        let heard = Heard::of(&mut transcoder, left);
        heard.check(PCMA);
        assert_key(&heard, PCMA, 200, length);
        assert_eq!(heard.packets.len(), 35, "{lost:?}: time goes on as it should");
        assert_eq!(transcoder.counts().keys_sounded, 1);
    }
}

#[test]
fn keys_one_after_the_other_are_as_many() {
    let mut party = Party::new(PCMU);
    party.say(5);
    for _ in 0..30 {
        party.press(80);
        party.say(4);
    }
    party.say(5);
    let mut transcoder = transcoder(&[PCMU, EVENT], &[PCMA]);
    let heard = Heard::of(&mut transcoder, &party.packets);
    heard.check(PCMA);
    let keys = keys(&heard, PCMA);
    assert_eq!(keys.len(), 30, "{keys:?}");
    assert!(keys.windows(2).all(|pair| (pair[1].1 - pair[0].1).abs_diff(160) <= 15), "{keys:?}");
    assert_eq!(heard.packets.len(), 5 + 30 * 8 + 5, "nothing is shifted");
}

#[test]
fn a_source_that_does_not_speak_is_heard_pressing() {
    let mut party = Party::new(PCMU);
    party.press(120);
    party.source.timestamp = party.source.timestamp.wrapping_add(8000);
    party.press(60);
    // A long one in segments (RFC 4733 2.5.1.3), of which no more is sent at once than was told.
    party.source.timestamp = party.source.timestamp.wrapping_add(8000);
    let start = party.source.timestamp;
    for at in (20..=8180).step_by(20) {
        party.event(at == 20, start, at, false);
    }
    let next = start.wrapping_add(0xffff);
    party.event(false, next, 100, true);
    let mut transcoder = transcoder(&[PCMU, EVENT], &[PCMA]);
    let heard = Heard::of(&mut transcoder, &party.packets);
    heard.check(PCMA);
    assert_eq!(heard.markers().len(), 3, "each is a talkspurt");
    let lengths: Vec<u64> = keys(&heard, PCMA).iter().map(|key| (key.2 + 10) / 20 * 20).collect();
    assert_eq!(lengths, [120, 60, 8280]);
    let mut hostile = Party::new(PCMU);
    hostile.event(true, hostile.source.timestamp, 8000, false);
    let mut transcoder = support::transcoder(&[PCMU, EVENT], &[PCMA]);
    assert!(Heard::of(&mut transcoder, &hostile.packets).packets.len() <= 10, "one packet is not made 400");
}
