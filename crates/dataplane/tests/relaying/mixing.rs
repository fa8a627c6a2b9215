//! Parties that hear several others, and of whom it is found out what they say: by real sockets, with the thread beside the worker.

use std::time::{Duration, Instant};

use patchcord_codec::analysis::tone_dbfs;
use patchcord_codec::dtmf;
use patchcord_codec::tone::sine;
use patchcord_codec::{Codec, Decoder, Encoder, EncoderOptions, Law};
use patchcord_relay::command::{Command, Overlay, Prompt, Source, Talker};
use patchcord_relay::detection::What;
use patchcord_relay::event::Event;
use patchcord_relay::ids::LegId;
use patchcord_relay::media::{self, Frames, Repeat};
use patchcord_relay::overhearing::{Detecting, Ears};

use crate::support::{LOOPBACKS, Party, Relay, codec, cut_over, over_all, sequence};

const HZ: [f64; 3] = [440.0, 700.0, 1100.0];
const LEVEL_DBFS: f64 = -15.0;
const PTIME: Duration = Duration::from_millis(20);

fn pcmu() -> Vec<media::Codec> {
    vec![codec(0, "PCMU"), codec(101, "telephone-event")]
}

fn packet(payload_type: u8, number: u16, timestamp: u32, ssrc: u32, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x80, payload_type];
    packet.extend(number.to_be_bytes());
    packet.extend(timestamp.to_be_bytes());
    packet.extend(ssrc.to_be_bytes());
    packet.extend(payload);
    packet
}

/// Each party speaks its tone for so long, in real time: a mixer goes by the clock.
fn speak(parties: &[(Party, std::net::SocketAddr)], packets: u16) {
    let codec = Codec::G711(Law::Mu);
    let mut encoders: Vec<_> =
        parties.iter().map(|_| Encoder::new(codec, 8000, EncoderOptions::default()).expect("PCMU")).collect();
    let tones: Vec<_> = HZ.iter().map(|&hz| sine(hz, LEVEL_DBFS, 1000, 8000).samples).collect();
    let start = Instant::now();
    for number in 0..packets {
        for (at, (party, local)) in parties.iter().enumerate() {
            let from = usize::from(number) * 160 % 8000;
            let mut payload = Vec::new();
            encoders[at].encode(&tones[at][from..from + 160], &mut payload).expect("20 ms");
            party.send(&packet(0, number, u32::from(number) * 160, at as u32 + 1, &payload), *local);
        }
        let due = PTIME * u32::from(number + 1);
        std::thread::sleep(due.saturating_sub(start.elapsed()));
    }
}

over_all!(each_hears_the_others_in_one_stream_and_not_itself, |config| {
    let mut relay = Relay::start(&config);
    let mut parties = Vec::new();
    let mut legs = Vec::new();
    for _ in HZ {
        let party = Party::new(LOOPBACKS[0]);
        let (leg, local) = relay.add(LOOPBACKS[0], Some(party.addr()));
        relay.apply(vec![Command::SetCodecs { leg, codecs: pcmu() }]).expect("it is there");
        parties.push((party, local));
        legs.push(leg);
    }
    let others = |own: LegId| -> Vec<Talker> {
        legs.iter().filter(|leg| **leg != own).map(|&leg| Talker { leg, gain_db: 0 }).collect()
    };
    let conference = legs.iter().map(|&leg| (leg, Source::Mix(others(leg)))).collect();
    relay.apply(vec![cut_over(conference)]).expect("they can be mixed");
    speak(&parties, 75);
    for (own, (party, _)) in parties.iter().enumerate() {
        let heard: Vec<_> = party.receive_all().into_iter().filter(|packet| packet[1] & 0x7f == 0).collect();
        for pair in heard.windows(2) {
            assert_eq!(sequence(&pair[1]), sequence(&pair[0]).wrapping_add(1));
            assert_eq!(pair[1][8..12], pair[0][8..12], "one SSRC");
        }
        let mut decoder = Decoder::new(Codec::G711(Law::Mu), 8000).expect("PCMU");
        let mut samples = Vec::new();
        heard.iter().for_each(|packet| decoder.decode(&packet[12..], &mut samples).expect("PCMU"));
        // A host that takes the CPU away for longer than a jitter buffer waits leaves gaps: the loudest half second counts.
        let pieces: Vec<_> = samples.chunks_exact(4000).collect();
        let loudest = |hz: f64| pieces.iter().map(|piece| tone_dbfs(piece, 8000, hz)).fold(f64::MIN, f64::max);
        for (other, &hz) in HZ.iter().enumerate() {
            let level = loudest(hz);
            if other == own {
                assert!(level < LEVEL_DBFS - 20.0, "party {own} hears itself with {level} dB");
            } else {
                assert!((level - LEVEL_DBFS).abs() < 2.0, "party {own} hears party {other} with {level} dB");
            }
        }
    }
    let worker = relay.worker();
    assert!(worker.io.iter().any(|(name, count)| *name == "media_made" && *count > 150), "{:?}", worker.io);
});

over_all!(what_a_party_says_and_presses_is_told, |config| {
    let mut relay = Relay::start(&config);
    let party = Party::new(LOOPBACKS[0]);
    let (leg, local) = relay.add(LOOPBACKS[0], Some(party.addr()));
    let by = Ears { detector: Some(Detecting { answers: 1 }), ..Ears::NONE };
    let commands = vec![Command::SetCodecs { leg, codecs: pcmu() }, Command::SetOverheard { leg, by, listening: None }];
    relay.apply(commands).expect("it is there");
    let key = packet(101, 0, 0, 1, &[5, 0x80 | 10, 0x03, 0x20]);
    for _ in 0..3 {
        party.send(&key, local);
    }
    let event = relay.event(|event| matches!(event, Event::Detected { .. }));
    let Event::Detected { leg: of, detection } = event else { unreachable!("it was waited for") };
    assert_eq!((of, detection.what), (leg, What::Key { event: 5, volume: 10, in_band: false }));
    assert_eq!(detection.duration_ms, 100);
    // In the audio it is a tone: CNG, half a second of 1100 Hz, then silence (ITU-T T.30).
    let mut samples = sine(1100.0, LEVEL_DBFS, 500, 8000).samples;
    samples.resize(24_000, 0);
    let mut encoder = Encoder::new(Codec::G711(Law::Mu), 8000, EncoderOptions::default()).expect("PCMU");
    let start = Instant::now();
    for (number, samples) in samples.chunks_exact(160).enumerate() {
        let mut payload = Vec::new();
        encoder.encode(samples, &mut payload).expect("20 ms");
        party.send(&packet(0, number as u16 + 1, number as u32 * 160, 1, &payload), local);
        std::thread::sleep((PTIME * (number as u32 + 1)).saturating_sub(start.elapsed()));
    }
    relay.event(|event| matches!(event, Event::Detected { detection, .. } if detection.what == What::FaxCng));
    let again = relay.events.iter().filter(
        |event| matches!(event, Event::Detected { detection, .. } if matches!(detection.what, What::Key { .. })),
    );
    assert_eq!(again.count(), 1, "a key is told once");
});

/// Keys in the audio of these packets.
fn tones(heard: &[Vec<u8>], law: Law) -> String {
    let audio: Vec<u8> = heard.iter().flat_map(|packet| packet[12..].to_vec()).collect();
    let mut events = Vec::new();
    dtmf::Detector::new(8000).expect("a rate").process(&law.decode(&audio), &mut events);
    let began = events.iter().filter_map(|event| match event {
        dtmf::Event::Began(heard) => Some(heard.digit.as_char()),
        dtmf::Event::Ended(_) => None,
    });
    began.collect()
}

over_all!(keys_are_events_for_who_knows_them_and_tones_for_others_mixed_and_transcoded, |config| {
    let mut relay = Relay::start(&config);
    let formats =
        [pcmu(), vec![codec(0, "PCMU"), codec(96, "telephone-event")], vec![codec(8, "PCMA")], vec![codec(8, "PCMA")]];
    let mut parties = Vec::new();
    for codecs in formats {
        let party = Party::new(LOOPBACKS[0]);
        let (leg, local) = relay.add(LOOPBACKS[0], Some(party.addr()));
        relay.apply(vec![Command::SetCodecs { leg, codecs }]).expect("it is there");
        parties.push((party, local, leg));
    }
    let [first, knows, hears, transcoded] = [0, 1, 2, 3].map(|at| parties[at].2);
    let both = |other| Source::Mix([first, other].map(|leg| Talker { leg, gain_db: 0 }).to_vec());
    let sources = vec![(knows, both(hears)), (hears, both(knows)), (transcoded, Source::Leg(first))];
    relay.apply(vec![cut_over(sources)]).expect("they can be mixed");
    let (party, local, _) = &parties[0];
    let start = Instant::now();
    let mut number = 0;
    for at in 0..40_u32 {
        let event = |ms: u32, end: u8| {
            let [high, low] = u16::to_be_bytes((ms * 8) as u16);
            [7, end | 10, high, low]
        };
        let mut send = |payload_type, timestamp, payload: &[u8]| {
            party.send(&packet(payload_type, number, timestamp, 1, payload), *local);
            number += 1;
        };
        match at {
            15..20 => send(101, 15 * 160, &event((at - 14) * 20, 0)),
            _ => {
                if at == 20 {
                    (0..3).for_each(|_| send(101, 15 * 160, &event(100, 0x80)));
                }
                send(0, at * 160, &[0xff; 160]);
            }
        }
        std::thread::sleep((PTIME * (at + 1)).saturating_sub(start.elapsed()));
    }
    let heard = [1, 2, 3].map(|at| parties[at].0.receive_all());
    for packets in &heard {
        for pair in packets.iter().filter(|packet| packet[1] & 0x7f != 72).collect::<Vec<_>>().windows(2) {
            assert_eq!(sequence(pair[1]), sequence(pair[0]).wrapping_add(1));
            assert_eq!(pair[1][8..12], pair[0][8..12], "one SSRC");
        }
    }
    let (events, audio): (Vec<_>, Vec<_>) = heard[0]
        .iter()
        .filter(|packet| [0, 96].contains(&(packet[1] & 0x7f)))
        .cloned()
        .partition(|packet| packet[1] & 0x7f == 96);
    assert_eq!(tones(&audio, Law::Mu), "", "not twice");
    assert!(events.iter().all(|packet| packet[12] == 7 && packet[4..8] == events[0][4..8]));
    assert_eq!(events.iter().filter(|packet| packet[1] & 0x80 != 0).count(), 1);
    assert_eq!(events.iter().rev().take_while(|packet| packet[13] & 0x80 != 0).count(), 3);
    for heard in &heard[1..] {
        let audio: Vec<_> = heard.iter().filter(|packet| packet[1] & 0x7f == 8).cloned().collect();
        assert_eq!(tones(&audio, Law::A), "7");
    }
});

over_all!(a_prompt_is_heard_over_who_speaks_and_its_end_is_told, |config| {
    const PROMPT_HZ: f64 = 1900.0;
    let mut relay = Relay::start(&config);
    let mut parties = Vec::new();
    let mut legs = Vec::new();
    for _ in 0..2 {
        let party = Party::new(LOOPBACKS[0]);
        let (leg, local) = relay.add(LOOPBACKS[0], Some(party.addr()));
        relay.apply(vec![Command::SetCodecs { leg, codecs: pcmu() }]).expect("it is there");
        parties.push((party, local));
        legs.push(leg);
    }
    let mut bytes = Vec::new();
    let mut encoder = Encoder::new(Codec::G711(Law::Mu), 8000, EncoderOptions::default()).expect("PCMU");
    let tone = sine(PROMPT_HZ, LEVEL_DBFS, 1000, 8000).samples;
    tone.chunks_exact(160).for_each(|samples| encoder.encode(samples, &mut bytes).expect("20 ms"));
    let frames = Frames::new("PCMU", 8000, 20, 160, &bytes).expect("whole frames");
    let prompt = Prompt { id: 1, frames, repeat: Repeat::Times(1), gain_db: 0 };
    let overlay = Overlay { talkers: vec![Talker { leg: legs[1], gain_db: -12 }], under: None, prompt };
    relay.apply(vec![cut_over(vec![(legs[0], Source::Overlay(Box::new(overlay)))])]).expect("it can be mixed");
    speak(&parties, 85);
    relay.event(|event| *event == Event::PlayFinished { leg: legs[0] });
    let mut decoder = Decoder::new(Codec::G711(Law::Mu), 8000).expect("PCMU");
    let mut samples = Vec::new();
    let heard: Vec<_> = parties[0].0.receive_all().into_iter().filter(|packet| packet[1] & 0x7f == 0).collect();
    heard.iter().for_each(|packet| decoder.decode(&packet[12..], &mut samples).expect("PCMU"));
    let pieces: Vec<_> = samples.chunks_exact(2000).collect();
    let loudest = |hz: f64| pieces.iter().map(|piece| tone_dbfs(piece, 8000, hz)).fold(f64::MIN, f64::max);
    assert!((loudest(PROMPT_HZ) - LEVEL_DBFS).abs() < 2.0, "the prompt has {} dB", loudest(PROMPT_HZ));
    assert!((loudest(HZ[1]) - LEVEL_DBFS + 12.0).abs() < 2.0, "the other has {} dB", loudest(HZ[1]));
    // Behind it the other alone is heard.
    let last = pieces.last().expect("more than a second");
    assert!(tone_dbfs(last, 8000, PROMPT_HZ) < LEVEL_DBFS - 30.0);
});
