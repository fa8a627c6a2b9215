//! The same sound in another format, whatever the two are.

mod packet_times;
#[path = "../support/mod.rs"]
mod support;

use patchcord_codec::Law;
use patchcord_codec::analysis::{correlation, find, tone_dbfs};
use patchcord_codec::tone::sine;
use patchcord_media::{CannotTranscode, Format, Transcoder};
use support::{CN, EVENT, G722, Heard, L16, OPUS, OPUS_FEC, PCMA, PCMU, Source, format, speech, transcoder};

#[test]
fn law_to_law_is_packet_to_packet() {
    for (from, to, law) in [(PCMU, PCMA, Law::A), (PCMA, PCMU, Law::Mu)] {
        let said = speech(8000);
        let packets = Source::new(from, 8000).say_all(&said, 20);
        let heard = Heard::of(&mut transcoder(&[from], &[to]), &packets);
        heard.check(to);
        assert_eq!(heard.packets.len(), packets.len());
        assert_eq!(heard.markers(), [0]);
        let source_law = if law == Law::A { Law::Mu } else { Law::A };
        for (packet, (_, payload)) in packets.iter().zip(&heard.packets) {
            let expected: Vec<u8> = source_law.decode(&packet[12..]).iter().map(|&x| law.encode_sample(x)).collect();
            assert_eq!(*payload, expected);
        }
    }
}

#[test]
fn speech_stays_the_same_speech_of_the_same_length() {
    for (from, to, alike) in [
        (OPUS, PCMU, 0.9),
        (PCMU, OPUS, 0.9),
        (G722, PCMA, 0.97),
        (PCMA, G722, 0.97),
        (OPUS, G722, 0.9),
        (G722, OPUS, 0.9),
        (L16, OPUS, 0.9),
        (OPUS, L16, 0.9),
        (L16, PCMU, 0.97),
        (OPUS_FEC, PCMA, 0.9),
    ] {
        let mut source = Source::new(from, 16_000);
        let said = speech(source.rate());
        let packets = source.say_all(&said, 20);
        let mut transcoder = transcoder(&[from], &[to]);
        let heard = Heard::of(&mut transcoder, &packets);
        heard.check(to);
        let ms = support::codec(to).packet_ms(0) as usize;
        assert_eq!(heard.packets.len(), packets.len() * 20 / ms, "{from} to {to}");
        assert_eq!((transcoder.from(), *transcoder.to()), (&support::codec(from), support::codec(to)));
        let audio = heard.audio(to, 16_000);
        let rate = support::codec(to).sample_rate_for(16_000);
        let said = speech(rate);
        assert!(audio.len().abs_diff(said.len()) < rate as usize / 50, "{from} to {to}");
        let (second, mut all, mut count) = (rate as usize, 0.0, 0);
        for at in (second..audio.len() - 2 * second).step_by(second) {
            let part = &audio[at..at + second];
            // No further off than the codecs' and the resampler's delay.
            let near = &said[at - second / 20..at + second + second / 100];
            let Some(found) = find(part, near) else { continue };
            all += found.correlation;
            count += 1;
        }
        assert!(count >= 3 && all / f64::from(count) > alike, "{from} to {to}: {} in {count}", all / f64::from(count));
    }
}

#[test]
fn tones_keep_their_level() {
    for from in [PCMU, PCMA, G722, L16, OPUS] {
        for to in [PCMU, PCMA, G722, L16, OPUS] {
            for hz in [440.0, 1000.0, 2500.0] {
                let mut source = Source::new(from, 48_000);
                let packets = source.say_all(&sine(hz, -15.0, 2000, source.rate()).samples, 20);
                let heard = Heard::of(&mut transcoder(&[from], &[to]), &packets);
                let audio = heard.audio(to, 48_000);
                let rate = support::codec(to).sample_rate_for(48_000);
                let level = tone_dbfs(&audio[rate as usize / 2..rate as usize * 3 / 2], rate, hz);
                assert!((level + 15.0).abs() < 1.5, "{hz} Hz from {from} to {to}: {level} dBFS");
            }
        }
    }
}

#[test]
fn packets_of_every_length_become_packets_of_20_ms() {
    for (from, to) in [(PCMU, PCMA), (OPUS, PCMU), (PCMA, OPUS), (G722, PCMU), (OPUS, G722)] {
        for ptime_ms in [10, 20, 30, 40, 60] {
            if (from, ptime_ms) == (OPUS, 30) {
                continue;
            }
            let mut source = Source::new(from, 16_000);
            let said = speech(source.rate());
            let packets = source.say_all(&said[..source.rate() as usize * 6], ptime_ms);
            let mut transcoder = transcoder(&[from], &[to]);
            let heard = Heard::of(&mut transcoder, &packets);
            heard.check(to);
            let frame = support::codec(to).clock_rate() / 50;
            let places: Vec<u32> = (0..300).map(|n| n * frame).collect();
            assert_eq!(heard.places(to), places, "{from} to {to}, {ptime_ms} ms");
            assert_eq!(transcoder.counts().lost + transcoder.counts().restarts, 0);
        }
    }
}

#[test]
fn how_a_source_cuts_its_audio_is_not_heard() {
    let said = speech(8000);
    let [whole, cut] = [20, 30].map(|ptime_ms| {
        let packets = Source::new(PCMU, 8000).say_all(&said[..48_000], ptime_ms);
        Heard::of(&mut transcoder(&[PCMU], &[G722]), &packets).audio(G722, 16_000)
    });
    assert_eq!(whole, cut);
    assert!(correlation(&whole, &cut) > 0.999);
}

#[test]
fn a_source_may_change_its_codec() {
    let said = speech(8000);
    let (mut first, mut second) = (Source::new(PCMU, 8000), Source::new(PCMA, 8000));
    let mut packets = first.say_all(&said[..16_000], 20);
    (second.sequence, second.timestamp) = (first.sequence, first.timestamp);
    packets.extend(second.say_all(&said[16_000..32_000], 20));
    let mut to_opus = transcoder(&[PCMU, PCMA, G722], &[OPUS]);
    let mut heard = Heard::of(&mut to_opus, &packets);
    assert_eq!(to_opus.from(), &support::codec(PCMA));
    // A wider band: libopus encodes it.
    let mut third = Source::new(G722, 16_000);
    (third.sequence, third.timestamp) = (second.sequence, second.timestamp);
    third.say_all(&speech(16_000)[64_000..96_000], 20).iter().for_each(|packet| heard.push(&mut to_opus, packet));
    heard.check(OPUS);
    assert_eq!(heard.places(OPUS), (0..300).map(|n| n * 960).collect::<Vec<u32>>());
    assert_eq!(heard.markers(), [0]);
    let audio = heard.audio(OPUS, 8000);
    for at in [4000, 20_000, 36_000] {
        let found = find(&audio[at..at + 8000], &said[at - 400..at + 8400]).expect("audible");
        assert!(found.correlation > 0.85, "{found:?} at {at}");
    }
}

#[test]
fn a_change_of_the_clock_goes_on_one_packet_later() {
    let said = speech(8000);
    let (mut first, mut second) = (Source::new(OPUS, 8000), Source::new(PCMU, 8000));
    let mut packets = first.say_all(&said[..16_000], 20);
    (second.sequence, second.timestamp) = (first.sequence, 12_345);
    packets.extend(second.say_all(&said[16_000..32_000], 20));
    let mut transcoder = transcoder(&[OPUS, PCMU], &[PCMA]);
    let heard = Heard::of(&mut transcoder, &packets);
    heard.check(PCMA);
    assert_eq!(heard.places(PCMA), (0..200).map(|n| n * 160).collect::<Vec<u32>>());
    assert_eq!((heard.markers(), transcoder.counts().restarts), (vec![0, 100], 1));
}

#[test]
fn who_has_nothing_to_transcode_is_told() {
    let [pcmu, event, noise] = [PCMU, EVENT, CN].map(format);
    let refused = |from: &[Format], to: &[Format]| Transcoder::new(from, to, 1).expect_err("no audio");
    assert_eq!(refused(&[event], &[pcmu]), CannotTranscode::NoSource);
    assert_eq!(refused(&[noise, pcmu], &[event]), CannotTranscode::NoListener);
    assert_eq!(
        CannotTranscode::NoSource.to_string(),
        "the source has no format that can be decoded: it must have PCMU, PCMA, G722, L16 or opus"
    );
    const fn is_send<T: Send>() {}
    is_send::<Transcoder>();
}

#[test]
fn the_seed_says_where_a_stream_begins() {
    let first = |seed| {
        let mut transcoder = Transcoder::new(&[format(PCMU)], &[format(PCMA)], seed).expect("both are known");
        let mut heard = Heard::default();
        heard.push(&mut transcoder, &support::hum(PCMU, 1, 1, 1));
        heard.packets[0].0
    };
    assert_eq!(first(1), first(1));
    let [one, other] = [first(1), first(2)];
    assert!(one.ssrc != other.ssrc && one.sequence != other.sequence && one.timestamp != other.timestamp);
}
