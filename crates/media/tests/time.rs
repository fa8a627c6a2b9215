//! Timestamps and sequence numbers: pauses, new beginnings, and long calls.

mod support;

use patchcord_codec::analysis::{SILENCE_DBFS, rms_dbfs};
use patchcord_codec::tone::sine;
use support::{G722, Heard, L16, OPUS, OPUS_DTX, PCMA, PCMU, Source, hum, packet, speech, transcoder};

#[test]
fn a_pause_of_the_source_is_one_of_the_stream() {
    for (from, to) in [(PCMU, OPUS), (OPUS, PCMU), (PCMU, G722), (L16, PCMA)] {
        let mut source = Source::new(from, 16_000);
        let said = speech(source.rate());
        let clock_rate = support::codec(from).clock_rate();
        let mut packets = source.say_all(&said[..source.rate() as usize], 20);
        source.timestamp = source.timestamp.wrapping_add(3 * clock_rate);
        packets.extend(source.say_all(&said[..source.rate() as usize], 20));
        let mut transcoder = transcoder(&[from], &[to]);
        let heard = Heard::of(&mut transcoder, &packets);
        heard.check(to);
        let (places, clock_rate) = (heard.places(to), support::codec(to).clock_rate());
        assert_eq!(places[49..51], [49 * clock_rate / 50, 4 * clock_rate], "{from} to {to}");
        assert_eq!((places.len(), heard.markers()), (100, vec![0, 50]));
        assert_eq!(transcoder.counts().concealed, 0);
    }
}

#[test]
fn what_is_left_of_a_talkspurt_is_not_joined_to_the_next() {
    for to in [PCMA, OPUS, G722] {
        let mut source = Source::new(PCMU, 8000);
        // 90 ms, and later silence.
        let mut packets = source.say_all(&sine(400.0, -10.0, 90, 8000).samples, 30);
        source.timestamp = source.timestamp.wrapping_add(8000);
        packets.extend(source.say_all(&[0; 800], 10));
        let heard = Heard::of(&mut transcoder(&[PCMU], &[to]), &packets);
        heard.check(to);
        let unit = support::codec(to).clock_rate() / 100;
        assert_eq!(heard.places(to), [0, 2, 4, 6, 8, 109, 111, 113, 115, 117].map(|tens: u32| tens * unit));
        let audio = heard.audio(to, 8000);
        let rate = support::codec(to).sample_rate_for(8000) as usize;
        assert!(rms_dbfs(&audio[rate / 100 * 7..rate / 100 * 9]) > -25.0);
        // The encoder of Opus is 6.5 ms behind: so much of the first talkspurt is in the second.
        assert!(rms_dbfs(&audio[rate / 100 * 112..]) < -60.0, "{to}");
    }
}

#[test]
fn silence_that_opus_need_not_send_is_not_sent() {
    let mut said = speech(8000)[..16_000].to_vec();
    said.resize(48_000, 0);
    said.extend(&speech(8000)[..16_000]);
    let packets = Source::new(PCMU, 8000).say_all(&said, 20);
    let mut transcoder = transcoder(&[PCMU], &[OPUS_DTX]);
    let heard = Heard::of(&mut transcoder, &packets);
    heard.check(OPUS_DTX);
    assert!(heard.packets.len() < packets.len() - 50, "{} of {}", heard.packets.len(), packets.len());
    assert!(heard.markers().len() > 1);
    assert_eq!(heard.places(OPUS_DTX).last(), Some(&(399 * 960)));
    assert_eq!(transcoder.counts().packets_out, heard.packets.len() as u64);
}

#[test]
fn a_source_with_silence_suppression_is_heard_in_its_time() {
    let mut said = speech(16_000)[..32_000].to_vec();
    said.resize(96_000, 0);
    said.extend(&speech(16_000)[..32_000]);
    let packets = Source::new(OPUS_DTX, 16_000).say_all(&said, 20);
    assert!(packets.len() < 350);
    let mut transcoder = transcoder(&[OPUS_DTX], &[PCMU]);
    let heard = Heard::of(&mut transcoder, &packets);
    heard.check(PCMU);
    assert_eq!((heard.packets.len(), heard.places(PCMU).last()), (packets.len(), Some(&(399 * 160))));
    assert_eq!(transcoder.counts().concealed + transcoder.counts().lost, 0);
}

#[test]
fn another_source_goes_on_one_packet_later() {
    let mut transcoder = transcoder(&[PCMU], &[PCMA]);
    let mut packets: Vec<_> = (0..10).map(|n| hum(PCMU, 65_530_u16.wrapping_add(n), u32::from(n) * 160, 1)).collect();
    packets.extend((0..10).map(|n| hum(PCMU, 1000 + n, 0x8000_0000 + u32::from(n) * 160, 2)));
    packets.extend((0..10).map(|n| hum(PCMU, 65_530 + n, u32::from(n) * 160, 1)).take(5));
    let heard = Heard::of(&mut transcoder, &packets);
    heard.check(PCMA);
    assert_eq!(heard.places(PCMA), (0..25).map(|n| n * 160).collect::<Vec<u32>>());
    assert_eq!((heard.markers(), transcoder.counts().restarts), (vec![0, 10, 20], 2));
}

#[test]
fn a_packet_that_waits_is_heard_before_another_source() {
    let mut transcoder = transcoder(&[PCMU], &[PCMA]);
    let packets = [hum(PCMU, 0, 0, 1), hum(PCMU, 2, 320, 1), hum(PCMU, 7, 7, 2)];
    let heard = Heard::of(&mut transcoder, &packets);
    heard.check(PCMA);
    assert_eq!(heard.places(PCMA), [0, 160, 320, 480]);
    assert_eq!((transcoder.counts().concealed, transcoder.counts().restarts), (1, 1));
}

#[test]
fn numbers_out_of_range_twice_are_a_new_beginning() {
    let mut transcoder = transcoder(&[PCMU], &[PCMA]);
    let mut packets: Vec<_> = (0..10).map(|n| hum(PCMU, n, u32::from(n) * 160, 1)).collect();
    packets.push(hum(PCMU, 30_000, 5, 1));
    packets.extend((10..20).map(|n| hum(PCMU, n, u32::from(n) * 160, 1)));
    packets.extend((0..10).map(|n| hum(PCMU, 30_000 + n, 0x7000_0000 + u32::from(n) * 160, 1)));
    let heard = Heard::of(&mut transcoder, &packets);
    heard.check(PCMA);
    // The stray one and the first of the new ones are left out (RFC 3550 A.1).
    assert_eq!(heard.places(PCMA), (0..29).map(|n| n * 160).collect::<Vec<u32>>());
    assert_eq!((transcoder.counts().late, transcoder.counts().restarts), (2, 1));
}

#[test]
fn timestamps_of_another_time_are_a_new_beginning() {
    for other in [0x7000_0000, 0x9000_0000, 8000 * 3600, 0_u32.wrapping_sub(8000)] {
        let mut transcoder = transcoder(&[PCMU], &[PCMA]);
        let at = |n: u16| u32::from(n) * 160;
        let mut packets: Vec<_> = (0..10).map(|n| hum(PCMU, n, at(n), 1)).collect();
        packets.extend((10..20).map(|n| hum(PCMU, n, at(n).wrapping_add(other), 1)));
        let heard = Heard::of(&mut transcoder, &packets);
        heard.check(PCMA);
        assert_eq!(heard.places(PCMA), (0..20).map(|n| n * 160).collect::<Vec<u32>>());
        assert_eq!((heard.markers(), transcoder.counts().restarts), (vec![0, 10], 1), "{other}");
    }
}

#[test]
fn a_source_that_counts_less_than_it_sends_is_heard_whole() {
    let mut transcoder = transcoder(&[PCMU], &[PCMA]);
    // 30 ms that say they are 20.
    let packets: Vec<_> = (0..30).map(|n: u16| packet(false, PCMU, n, u32::from(n) * 160, 1, &[0xff; 240])).collect();
    let heard = Heard::of(&mut transcoder, &packets);
    heard.check(PCMA);
    assert_eq!(heard.places(PCMA), (0..45).map(|n| n * 160).collect::<Vec<u32>>());
    assert_eq!(transcoder.counts().restarts, 0);
}

#[test]
fn ten_hours_of_talkspurts_do_not_drift() {
    for (from, to) in [(PCMU, PCMA), (L16, PCMA), (PCMU, L16), (PCMU, OPUS)] {
        let mut transcoder = transcoder(&[from], &[to]);
        let [clock_rate, other] = [from, to].map(|number| support::codec(number).clock_rate());
        // 20 ms and a third of 20 ms more than a second.
        let step = clock_rate + clock_rate / 150;
        let payload = vec![0x55; if from == L16 { 2 * 882 } else { 160 }];
        // Of 20 ms, which may be two packets.
        let (each, frame) = (20 / support::codec(to).packet_ms(0), support::frame(to));
        let (mut first, mut count) = (None, 0_u32);
        let packets = 10 * 3600_u32;
        for n in 0..packets {
            let timestamp = n.wrapping_mul(step).wrapping_sub(100_000);
            let packet = packet(false, from, n as u16, timestamp, 1, &payload);
            transcoder.push(&packet, &mut |header, _| {
                let place = header.timestamp.wrapping_sub(*first.get_or_insert(header.timestamp));
                let (talkspurt, within) = (u64::from(count / each), count % each * frame);
                let expected = talkspurt * u64::from(step) * u64::from(other) / u64::from(clock_rate);
                assert_eq!(place, expected as u32 + within, "{from} to {to} after {count}");
                count += 1;
            });
        }
        assert_eq!((count, transcoder.counts().restarts), (packets * each, 0));
    }
}

#[test]
fn ten_hours_without_a_pause_do_not_drift() {
    let mut transcoder = transcoder(&[PCMU], &[PCMA]);
    let mut last = None;
    let packets = 10 * 3600 * 1000 / 60_u32;
    let payload = [0x55; 480];
    let start = u32::MAX - 100_000;
    let mut expected = 0;
    for n in 0..packets {
        let packet = packet(false, PCMU, n as u16, start.wrapping_add(n.wrapping_mul(480)), 1, &payload);
        transcoder.push(&packet, &mut |header, _| {
            assert!(last.is_none_or(|last| header.timestamp.wrapping_sub(last) == 160));
            last = Some(header.timestamp);
            expected += 1;
        });
    }
    assert_eq!(expected, 3 * packets);
}

#[test]
fn a_stream_may_go_round_all_its_numbers() {
    let mut transcoder = transcoder(&[OPUS], &[PCMA]);
    let mut source = Source::new(OPUS, 8000);
    source.timestamp = u32::MAX - 960 * 1000;
    let frame = vec![0; 160];
    let mut heard = Heard::default();
    for _ in 0..70_000 {
        if let Some(packet) = source.say(&frame) {
            heard.push(&mut transcoder, &packet);
        }
    }
    heard.check(PCMA);
    assert_eq!(heard.places(PCMA).last(), Some(&(69_999 * 160)));
    assert!(rms_dbfs(&heard.audio(PCMA, 8000)) < SILENCE_DBFS.max(-60.0));
}

#[test]
fn what_comes_after_the_source_was_relayed_begins_at_once_in_the_sources_time() {
    // 40 ms of 60 wait when the source is relayed: they are not heard any more.
    let mut transcoder = support::transcoder_at(&[PCMU, PCMA], &[PCMA], 60, None);
    let mut sent = Vec::new();
    let mut push = |transcoder: &mut patchcord_media::Transcoder, numbers: core::ops::Range<u16>| {
        for number in numbers {
            let packet = hum(PCMU, number, u32::from(number) * 160, 5);
            transcoder.push(&packet, &mut |header, payload| sent.push((*header, payload.len())));
        }
    };
    push(&mut transcoder, 0..5);
    transcoder.resume();
    push(&mut transcoder, 40..46);
    transcoder.resume();
    push(&mut transcoder, 46..49);
    let [first, rest @ ..] = &sent[..] else { panic!("nothing was made") };
    assert_eq!(rest.iter().map(|(header, _)| header.timestamp.0).collect::<Vec<_>>(), [6400, 6880, 7360]);
    assert!(sent.windows(2).all(|pair| pair[1].0.sequence == pair[0].0.sequence.next()), "numbers go on");
    assert!(sent.iter().all(|(header, len)| *len == 480 && header.ssrc == first.0.ssrc));
    assert_eq!(sent.iter().map(|(header, _)| header.marker).collect::<Vec<_>>(), [true, true, false, true]);
    let counts = transcoder.counts();
    assert_eq!((counts.lost, counts.concealed, counts.restarts), (0, 0, 0), "{counts:?}");
}

#[test]
fn another_clock_than_the_sources_goes_on_from_where_it_was() {
    let mut transcoder = transcoder(&[PCMU], &[OPUS]);
    let mut sent = Vec::new();
    for number in [0, 1, 50, 51] {
        if number == 50 {
            transcoder.resume();
        }
        let packet = hum(PCMU, number, u32::from(number) * 160, 5);
        transcoder.push(&packet, &mut |header, _| sent.push(header.timestamp.0));
    }
    let steps: Vec<_> = sent.windows(2).map(|pair| pair[1].wrapping_sub(pair[0])).collect();
    assert_eq!(steps, [960, 960, 960]);
}
