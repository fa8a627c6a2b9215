//! Telephone-events and comfort noise beside the audio.

mod support;

use patchcord_media::Counts;
use patchcord_rtp::TelephoneEvent;
use support::{CN, EVENT, EVENT_48, Heard, OPUS, PCMA, PCMU, Source, UNKNOWN, hum, packet, speech, transcoder};

fn event(end: bool, duration: u16) -> [u8; 4] {
    let mut payload = [0; 4];
    TelephoneEvent { event: 5, end, volume: 10, duration }.write(&mut payload);
    payload
}

fn read(heard: &Heard, number: u8) -> Vec<(bool, u32, bool, u16)> {
    let events = heard.of_number(number).zip(heard.places(number));
    events
        .map(|((header, payload), place)| {
            let event = TelephoneEvent::read(payload).expect("an event");
            assert_eq!((event.event, event.volume, payload.len()), (5, 10, 4));
            (header.marker, place, event.end, event.duration)
        })
        .collect()
}

#[test]
fn events_are_in_the_time_and_the_clock_of_the_stream() {
    for (from, from_event, to, to_event) in
        [(PCMU, EVENT, OPUS, EVENT_48), (OPUS, EVENT_48, PCMU, EVENT), (PCMA, EVENT, PCMU, EVENT)]
    {
        let (clock, other) = (support::codec(from).clock_rate(), support::codec(to).clock_rate());
        let mut source = Source::new(from, 8000);
        let said = speech(8000);
        let mut packets = source.say_all(&said[..1600], 20);
        // 60 ms of a key instead of audio; the end is sent three times.
        for (n, end) in [(1, false), (2, false), (3, true), (3, true), (3, true)] {
            let duration = (clock / 50 * n) as u16;
            let marker = (n, end) == (1, false);
            let bytes =
                packet(marker, from_event, source.sequence, source.timestamp, source.ssrc, &event(end, duration));
            source.sequence = source.sequence.wrapping_add(1);
            packets.push(bytes);
        }
        source.timestamp = source.timestamp.wrapping_add(3 * clock / 50);
        packets.extend(source.say_all(&said[..1600], 20));
        let both = [EVENT, EVENT_48, to];
        let mut transcoder = transcoder(&[from, from_event], &both);
        let heard = Heard::of(&mut transcoder, &packets);
        heard.check(to);
        let (key, frame) = (other / 5, other / 50);
        assert_eq!(
            read(&heard, to_event),
            [
                (true, key, false, frame as u16),
                (false, key, false, 2 * frame as u16),
                (false, key, true, 3 * frame as u16),
                (false, key, true, 3 * frame as u16),
                (false, key, true, 3 * frame as u16),
            ],
            "{from} to {to}"
        );
        let audio: Vec<u32> = (0..10).chain(13..23).map(|n| n * frame).collect();
        assert_eq!(heard.places(to), audio, "{from} to {to}");
        assert_eq!(transcoder.counts().events_out, 5);
    }
}

#[test]
fn audio_goes_on_beside_an_event() {
    let mut transcoder = transcoder(&[PCMU, EVENT], &[PCMA, EVENT]);
    let mut packets = Vec::new();
    for n in 0..20_u32 {
        packets.push(hum(PCMU, 2 * n as u16, n * 160, 1));
        packets.push(packet(n == 0, EVENT, 2 * n as u16 + 1, 80, 1, &event(n == 19, (n * 160) as u16)));
    }
    let heard = Heard::of(&mut transcoder, &packets);
    heard.check(PCMA);
    assert_eq!(heard.places(PCMA), (0..20).map(|n| n * 160).collect::<Vec<u32>>());
    assert!(read(&heard, EVENT).iter().all(|&(_, place, ..)| place == 80));
    assert_eq!(heard.packets.len(), 40);
}

#[test]
fn a_duration_beyond_16_bits_stays_at_its_most() {
    let mut transcoder = transcoder(&[PCMU, EVENT], &[OPUS, EVENT_48]);
    let packets = [8000, 0xffff].map(|duration| packet(false, EVENT, duration, 0, 1, &event(false, duration)));
    let mut heard = Heard::of(&mut transcoder, &packets[..1]);
    assert_eq!(read(&heard, EVENT_48), [(false, 0, false, 48_000)]);
    heard.push(&mut transcoder, &packet(false, EVENT, 8001, 0, 1, &event(false, 0xffff)));
    assert_eq!(read(&heard, EVENT_48)[1], (false, 0, false, 0xffff));
}

#[test]
fn events_of_another_clock_are_placed_where_the_audio_is() {
    // The event's 8000 Hz are not the audio's 48000 Hz, and its timestamp is of a time of its own.
    let mut source = Source::new(OPUS, 8000);
    let mut packets = source.say_all(&speech(8000)[..1600], 20);
    for n in 0..3 {
        packets.push(packet(n == 0, EVENT, source.sequence, 0x6000_0000, source.ssrc, &event(n == 2, 160 * (n + 1))));
        source.sequence += 1;
    }
    packets.extend(source.say_all(&speech(8000)[1600..3200], 20));
    let mut transcoder = transcoder(&[OPUS, EVENT], &[PCMU, EVENT]);
    let heard = Heard::of(&mut transcoder, &packets);
    heard.check(PCMU);
    assert_eq!(read(&heard, EVENT), [(true, 1600, false, 160), (false, 1600, false, 320), (false, 1600, true, 480)]);
    assert_eq!(heard.places(PCMU), (0..20).map(|n| n * 160).collect::<Vec<u32>>());
    assert_eq!(transcoder.counts().restarts, 0);
}

#[test]
fn a_stream_may_begin_with_an_event_and_what_follows_is_after_it() {
    let mut transcoder = transcoder(&[PCMU, EVENT], &[OPUS, EVENT_48]);
    let packets = [
        packet(true, EVENT, 1, 5000, 1, &event(true, 800)),
        hum(PCMU, 2, 5800, 1),
        packet(true, EVENT, 3, 5960, 1, &event(true, 800)),
        // Another source before the event is over.
        hum(PCMU, 900, 77, 2),
    ];
    let heard = Heard::of(&mut transcoder, &packets);
    heard.check(OPUS);
    assert_eq!((heard.places(EVENT_48), heard.places(OPUS)), (vec![0, 5760], vec![4800, 10_560]));
}

#[test]
fn comfort_noise_passes_where_it_is_understood() {
    let with = |to: &[u8]| {
        let mut transcoder = transcoder(&[PCMU, CN], to);
        let mut packets: Vec<_> = (0..10).map(|n| hum(PCMU, n, u32::from(n) * 160, 1)).collect();
        packets.push(packet(false, CN, 10, 1600, 1, &[60, 3, 4]));
        packets.push(packet(false, CN, 11, 9600, 1, &[61, 3, 4]));
        packets.extend((12..20).map(|n| hum(PCMU, n, 16_000 + u32::from(n - 12) * 160, 1)));
        (Heard::of(&mut transcoder, &packets), transcoder.counts())
    };
    let (heard, counts) = with(&[PCMA, CN]);
    heard.check(PCMA);
    assert_eq!(heard.places(CN), [1600, 9600]);
    assert_eq!(heard.of_number(CN).map(|(_, payload)| payload[0]).collect::<Vec<u8>>(), [60, 61]);
    assert_eq!(heard.places(PCMA)[9..11], [1440, 16_000]);
    assert_eq!((heard.markers(), counts.untranslated, counts.concealed), (vec![0, 12], 0, 0));
    for to in [&[PCMA][..], &[OPUS, CN]] {
        let (heard, counts) = with(to);
        heard.check(to[0]);
        assert_eq!((heard.packets.len(), counts.untranslated, counts.concealed), (18, 2, 0));
        assert_eq!(heard.markers(), [0, 10]);
    }
}

#[test]
fn what_the_listener_cannot_have_is_counted_and_leaves_no_gap() {
    let mut transcoder = transcoder(&[PCMU, EVENT], &[PCMA]);
    let packets = [
        hum(PCMU, 1, 0, 1),
        packet(false, EVENT, 2, 0, 1, &[16, 10, 0, 160]),
        packet(false, UNKNOWN, 3, 0, 1, &[1, 2, 3]),
        hum(PCMU, 4, 160, 1),
        packet(false, EVENT, 5, 0, 1, &[1, 2]),
        packet(false, UNKNOWN, 6, 0, 9, &[1, 2, 3]),
        vec![0x80; 11],
        hum(PCMU, 6, 320, 1),
    ];
    let heard = Heard::of(&mut transcoder, &packets);
    heard.check(PCMA);
    assert_eq!(heard.places(PCMA), [0, 160, 320]);
    assert_eq!(
        transcoder.counts(),
        Counts { packets_in: 8, packets_out: 3, untranslated: 1, unknown: 2, malformed: 2, ..Counts::default() }
    );
}
