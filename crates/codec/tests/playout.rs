//! The jitter buffer in simulated networks. A failing seed is in the message.
#![allow(clippy::unwrap_used, reason = "tests may panic")]

use std::collections::BTreeMap;

use patchcord_codec::jitter_buffer::{Config, Counts, Inserted, JitterBuffer, PACKETS_MAX, Packet, Playout};
use proptest::prelude::*;

const MS: u64 = 1_000_000;
const PACKET_MS: u64 = 20;
const UNITS: u32 = 160;

/// Vigna's `SplitMix64`.
struct Random(u64);

impl Random {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[derive(Clone, Copy, Debug)]
struct Network {
    /// Most packets are up to so much late, evenly.
    jitter_ms: f64,
    loss: f64,
    /// Part of the packets that come twice.
    twice: f64,
    /// How much faster the sender's clock is.
    drift_ppm: f64,
    seconds: u64,
    /// The sender says nothing in every third second.
    pauses: bool,
    /// The listener says that nothing is heard.
    is_quiet: bool,
}

const QUIET: Network =
    Network { jitter_ms: 0.0, loss: 0.0, twice: 0.0, drift_ppm: 0.0, seconds: 60, pauses: false, is_quiet: false };

#[derive(Debug, Default)]
struct Outcome {
    sent: u64,
    /// Different packets that came.
    came: u64,
    played: u64,
    concealed: u64,
    silent: u64,
    /// From sending to playing, in milliseconds.
    delays_ms: Vec<u64>,
    counts: Counts,
}

impl Outcome {
    fn percentile_ms(&mut self, part: f64) -> u64 {
        self.delays_ms.sort_unstable();
        self.delays_ms[((self.delays_ms.len() - 1) as f64 * part) as usize]
    }
}

fn run(network: Network, seed: u64) -> Outcome {
    const BASE_MS: f64 = 40.0;
    let mut random = Random(seed);
    let mut outcome = Outcome::default();
    let mut arrivals: BTreeMap<(u64, u64), u64> = BTreeMap::new();
    let count = network.seconds * 1000 / PACKET_MS;
    let sent_ns = |index: u64| (index as f64 * PACKET_MS as f64 * 1e6 * (1.0 - network.drift_ppm * 1e-6)) as u64;
    let is_paused = |index: u64| network.pauses && index / 50 % 3 == 2;
    let mut sequences = BTreeMap::new();
    for index in (0..count).filter(|&index| !is_paused(index)) {
        sequences.insert(index, outcome.sent as u16);
        outcome.sent += 1;
        if random.next() < network.loss {
            continue;
        }
        outcome.came += 1;
        let copies = if random.next() < network.twice { 2 } else { 1 };
        for copy in 0..copies {
            let late_ms = BASE_MS + network.jitter_ms * random.next();
            arrivals.insert((sent_ns(index) + (late_ms * 1e6) as u64, 2 * index + copy), index);
        }
    }
    let mut buffer = JitterBuffer::new(Config::new(8000));
    let mut arrivals = arrivals.into_iter().peekable();
    let (mut last, mut now) = (None, 0);
    while now < network.seconds * 1000 * MS {
        now += PACKET_MS * MS;
        while let Some(((arrival, _), index)) = arrivals.next_if(|((arrival, _), _)| *arrival <= now) {
            let timestamp = (index as u32).wrapping_mul(UNITS).wrapping_add(u32::MAX - 100_000);
            let sequence = sequences[&index].wrapping_add(65_000);
            let payload = index.to_be_bytes();
            buffer.insert(&Packet { sequence, timestamp, units: UNITS, payload: &payload }, arrival);
        }
        match buffer.playout(now, network.is_quiet) {
            Playout::Play { payload, units } => {
                let index = u64::from_be_bytes(payload.try_into().unwrap());
                assert!(last < Some(index), "seed {seed}: {index} after {last:?}");
                assert_eq!(units, UNITS);
                last = Some(index);
                outcome.played += 1;
                outcome.delays_ms.push((now - sent_ns(index)) / MS);
            }
            Playout::Fec { .. } | Playout::Conceal { .. } => outcome.concealed += 1,
            Playout::Silence { .. } => outcome.silent += 1,
        }
        assert!(buffer.len() <= 20, "seed {seed}: {} packets wait", buffer.len());
    }
    outcome.counts = buffer.counts();
    outcome
}

#[test]
fn a_quiet_network_is_heard_whole_with_little_delay() {
    let mut outcome = run(QUIET, 1);
    assert!(outcome.concealed <= 1 && outcome.played + 5 >= outcome.sent, "{:?}", outcome.counts);
    assert!(outcome.percentile_ms(1.0) <= 40 + 20 + 20 + 5, "{}", outcome.percentile_ms(1.0));
}

#[test]
fn the_delay_follows_the_jitter() {
    for (jitter_ms, delay_ms) in [(10.0, 90), (40.0, 125), (100.0, 185), (180.0, 265)] {
        for seed in 0..10 {
            let mut outcome = run(Network { jitter_ms, twice: 0.02, ..QUIET }, seed);
            let heard = outcome.played as f64 / outcome.came as f64;
            assert!(heard > 0.94, "jitter {jitter_ms}, seed {seed}: {heard} of {:?}", outcome.counts);
            let delay = outcome.percentile_ms(0.9);
            assert!(delay <= delay_ms, "jitter {jitter_ms}, seed {seed}: {delay} ms");
        }
    }
}

#[test]
fn what_comes_of_a_network_that_loses_40_percent_is_heard() {
    for seed in 0..20 {
        let outcome = run(Network { jitter_ms: 30.0, loss: 0.4, twice: 0.05, ..QUIET }, seed);
        let heard = outcome.played as f64 / outcome.came as f64;
        assert!(heard > 0.94, "seed {seed}: {heard} of {:?}", outcome.counts);
        let ticks = outcome.sent;
        assert!(outcome.silent < ticks / 25, "seed {seed}: silent {} times", outcome.silent);
    }
}

#[test]
fn clocks_that_differ_are_followed_by_single_packets() {
    for (drift_ppm, is_quiet) in [(-200.0, false), (200.0, false), (-200.0, true), (200.0, true)] {
        for seed in 0..3 {
            let network = Network { jitter_ms: 15.0, drift_ppm, seconds: 600, is_quiet, ..QUIET };
            let mut outcome = run(network, seed);
            let Counts { skipped, stretched, late, .. } = outcome.counts;
            // 600 s at 200 ppm are 120 ms, six packets.
            let moved =
                if drift_ppm > 0.0 { skipped.saturating_sub(stretched) } else { stretched.saturating_sub(skipped) };
            assert!((4..=9).contains(&moved), "{drift_ppm}, seed {seed}: {:?}", outcome.counts);
            assert!(skipped + stretched <= 14 && late <= outcome.came / 30, "seed {seed}: {:?}", outcome.counts);
            let delay = outcome.percentile_ms(0.99);
            assert!(delay < 110, "{drift_ppm}, seed {seed}: {delay} ms");
        }
    }
}

#[test]
fn pauses_are_silent_and_cost_nothing() {
    for seed in 0..10 {
        let outcome = run(Network { jitter_ms: 30.0, pauses: true, ..QUIET }, seed);
        let heard = outcome.played as f64 / outcome.came as f64;
        assert!(heard > 0.94, "seed {seed}: {heard} of {:?}", outcome.counts);
        // 20 s without a packet are 1000 pieces, of which the first of each pause may be taken for losses.
        assert!(outcome.silent > 800, "seed {seed}: {outcome:?}");
    }
}

fn packet(sequence: u16, timestamp: u32, payload: &[u8]) -> Packet<'_> {
    Packet { sequence, timestamp, units: UNITS, payload }
}

#[test]
fn a_lost_packet_is_made_up_from_the_next_one() {
    let mut buffer = JitterBuffer::new(Config { delay_min_ms: 40, ..Config::new(8000) });
    for (sequence, at_ms) in [(1, 0), (3, 40), (4, 60)] {
        let payload = [sequence as u8];
        buffer.insert(&packet(sequence, u32::from(sequence) * UNITS, &payload), at_ms * MS);
    }
    assert_eq!(buffer.playout(20 * MS, false), Playout::Silence { units: UNITS });
    assert_eq!(buffer.playout(40 * MS, false), Playout::Play { payload: &[1], units: UNITS });
    assert_eq!(buffer.playout(60 * MS, false), Playout::Fec { next: &[3], units: UNITS });
    assert_eq!(buffer.playout(80 * MS, false), Playout::Play { payload: &[3], units: UNITS });
    assert_eq!(buffer.insert(&packet(2, 2 * UNITS, &[2]), 85 * MS), Inserted::Late);
    assert_eq!(buffer.insert(&packet(4, 4 * UNITS, &[4]), 86 * MS), Inserted::Duplicate);
}

#[test]
fn a_stream_that_goes_on_elsewhere_is_followed_at_its_second_packet() {
    let mut buffer = JitterBuffer::new(Config::new(8000));
    assert_eq!(buffer.insert(&packet(1, 1000, &[1]), 0), Inserted::Kept);
    assert_eq!(buffer.insert(&packet(2, 900_000_000, &[2]), 20 * MS), Inserted::Stray);
    assert_eq!(buffer.insert(&packet(3, 1320, &[3]), 40 * MS), Inserted::Kept, "it was only a stray one");
    assert_eq!(buffer.insert(&packet(4, 900_000_000, &[4]), 60 * MS), Inserted::Stray);
    assert_eq!(buffer.insert(&packet(5, 900_000_160, &[5]), 80 * MS), Inserted::Jumped);
    assert_eq!((buffer.len(), buffer.counts().jumped), (1, 1));
    assert_eq!(buffer.playout(101 * MS, false), Playout::Play { payload: &[5], units: UNITS });
    buffer.reset();
    assert_eq!(buffer.playout(120 * MS, false), Playout::Silence { units: UNITS });
}

#[test]
fn a_sender_whose_time_stands_still_on_hold_is_heard_again() {
    let mut buffer = JitterBuffer::new(Config::new(8000));
    let mut heard = 0;
    for tick in 0..400_u64 {
        // A second and a half without packets, whose timestamps then go on as if it had not been.
        let index = if tick < 100 { Some(tick) } else { tick.checked_sub(175) };
        if let Some(index) = index {
            buffer.insert(&packet(index as u16, index as u32 * UNITS, &[1]), tick * PACKET_MS * MS);
        }
        if let Playout::Play { .. } = buffer.playout(tick * PACKET_MS * MS + 5 * MS, false) {
            heard += 1;
        }
    }
    assert!(heard > 315, "{heard} of 325 are heard: {:?}", buffer.counts());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn any_packets_at_any_time(
        steps in proptest::collection::vec((any::<u16>(), any::<u32>(), 0_u32..10_000, any::<u64>(), any::<bool>()), 0..400),
        clock_rate in prop_oneof![Just(8000_u32), Just(48_000), any::<u32>()],
        wild: bool,
    ) {
        let mut buffer = JitterBuffer::new(Config { clock_rate, ..Config::new(8000) });
        let mut now = 0_u64;
        for (index, (sequence, timestamp, units, arrival, is_packet)) in steps.into_iter().enumerate() {
            let (timestamp, arrival) = if wild { (timestamp, arrival) } else { (index as u32 * 160, now) };
            now = if wild { arrival } else { now + arrival % 30_000_000 };
            if is_packet {
                buffer.insert(&Packet { sequence, timestamp, units, payload: &[0; 10] }, arrival);
            } else {
                let is_quiet = sequence % 2 == 0;
                match buffer.playout(now, is_quiet) {
                    Playout::Play { units, .. } | Playout::Fec { units, .. } | Playout::Conceal { units }
                        | Playout::Silence { units } => prop_assert!(units > 0),
                }
            }
            prop_assert!(buffer.len() <= PACKETS_MAX);
        }
    }
}
