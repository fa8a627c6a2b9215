//! Datagrams that nobody should send.

#![allow(clippy::unwrap_used, reason = "a test may stop at what it did not expect")]

mod support;

use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use patchcord_dtls::{Endpoint, Role};
use proptest::prelude::*;
use support::{Network, Random, Side, announced, assert_same_keys, endpoint_of, run};

/// Without DTLS 1.3, and with it.
static ENDS: LazyLock<[Arc<Endpoint>; 2]> = LazyLock::new(|| [endpoint_of(false, 1), endpoint_of(true, 2)]);

fn client(dtls_1_3: bool, now: Instant) -> Side {
    let end = &ENDS[usize::from(dtls_1_3)];
    Side::new(end, Role::Client, announced(end), now)
}

/// Both with the same certificate, which is no matter here.
fn sides(dtls_1_3: bool, now: Instant) -> (Side, Side) {
    let end = &ENDS[usize::from(dtls_1_3)];
    (client(dtls_1_3, now), Side::new(end, Role::Server, announced(end), now))
}

/// What a stranger makes of a datagram that was sent in earnest.
#[derive(Clone, Copy, Debug)]
enum Tampering {
    /// Nothing that it knows: any bytes, or a record's header and any bytes.
    Garbage,
    Header,
    /// The front of it.
    Truncated,
    /// It, once more.
    Replayed,
    /// One that came earlier.
    Old,
    /// It with more behind it.
    Longer,
}

const HARMLESS: [Tampering; 6] = [
    Tampering::Garbage,
    Tampering::Header,
    Tampering::Truncated,
    Tampering::Replayed,
    Tampering::Old,
    Tampering::Longer,
];

fn tampered(how: Tampering, datagram: &[u8], earlier: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let bytes = |random: &mut Random| -> Vec<u8> {
        let len = random.below(200);
        (0..len).map(|_| random.next() as u8).collect()
    };
    match how {
        Tampering::Garbage => bytes(random),
        Tampering::Header => {
            let body = bytes(random);
            // Application data and what does not exist: handshake, alert and change of cipher are another test's.
            let kind = 23 + random.below(41) as u8;
            let mut record = vec![kind, 0xfe, 0xfd, 0, random.below(4) as u8, 0, 0, 0, 0, 0, random.next() as u8];
            record.extend((body.len() as u16).to_be_bytes());
            record.extend(body);
            record
        }
        Tampering::Truncated => datagram[..random.below(datagram.len() as u64) as usize].to_vec(),
        Tampering::Replayed => datagram.to_vec(),
        Tampering::Old => earlier[random.below(earlier.len() as u64) as usize].clone(),
        Tampering::Longer => [datagram, &bytes(random)].concat(),
    }
}

/// A handshake in which before or behind each datagram `noise` others come. Afterwards as many come again.
fn run_with_noise(dtls_1_3: bool, noise: u64, random: &mut Random) {
    let start = Instant::now();
    let (mut client, mut server) = sides(dtls_1_3, start);
    let mut now = start;
    let mut earlier: [Vec<Vec<u8>>; 2] = [Vec::new(), Vec::new()];
    for _ in 0..200 {
        let sent = [client.drain(), server.drain()];
        for (from, datagrams) in sent.into_iter().enumerate() {
            for datagram in datagrams {
                earlier[from].push(datagram.clone());
                let at = random.below(noise + 1);
                let receiver = if from == 0 { &mut server } else { &mut client };
                for which in 0..=noise {
                    let datagram = if which == at {
                        datagram.clone()
                    } else {
                        let how = HARMLESS[random.below(HARMLESS.len() as u64) as usize];
                        tampered(how, &datagram, &earlier[from], random)
                    };
                    receiver.session.handle(&datagram, now);
                }
            }
        }
        if client.is_settled() && server.is_settled() {
            break;
        }
        now += Duration::from_millis(100);
        client.session.handle_timeout(now);
        server.session.handle_timeout(now);
    }
    assert_same_keys(&client, &server);
    for from in [0, 1] {
        for datagram in earlier[from].clone() {
            let receiver = if from == 0 { &mut server } else { &mut client };
            for how in HARMLESS {
                receiver.answer(&tampered(how, &datagram, &earlier[from], random), now);
            }
        }
    }
    assert!(client.session.is_connected() && server.session.is_connected());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// What is garbage, cut off or was there before does not even hold a handshake up.
    #[test]
    fn noise_is_harmless(dtls_1_3: bool, noise in 1u64..6, seed: u64) {
        run_with_noise(dtls_1_3, noise, &mut Random(seed));
    }

    /// Where a bit is not what it was, the handshake may fail. It does not panic, and it does not give keys that differ.
    #[test]
    fn damage_gives_no_wrong_keys(dtls_1_3: bool, percent in 1u64..60, seed: u64) {
        let mut random = Random(seed);
        let start = Instant::now();
        let (mut client, mut server) = sides(dtls_1_3, start);
        let mut now = start;
        for _ in 0..150 {
            let sent = [client.drain(), server.drain()];
            for (from, datagrams) in sent.into_iter().enumerate() {
                for mut datagram in datagrams {
                    let bits = if random.chance(percent) { 1 + random.below(8) } else { 0 };
                    for _ in 0..bits {
                        let at = random.below(datagram.len() as u64) as usize;
                        datagram[at] ^= 1 << random.below(8);
                    }
                    let receiver = if from == 0 { &mut server } else { &mut client };
                    receiver.session.handle(&datagram, now);
                }
            }
            now += Duration::from_millis(250);
            client.session.handle_timeout(now);
            server.session.handle_timeout(now);
        }
        if client.keys.is_some() && server.keys.is_some() {
            assert_same_keys(&client, &server);
        }
    }

    /// Any bytes behind the header of any record.
    #[test]
    fn any_datagram_is_survived(
        dtls_1_3: bool,
        datagrams in proptest::collection::vec(
            (20u8..64, 0u8..4, proptest::collection::vec(any::<u8>(), 0..120), 0u8..30),
            0..40,
        ),
    ) {
        let now = Instant::now();
        let (mut client, mut server) = sides(dtls_1_3, now);
        client.drain();
        for (kind, epoch, body, message) in datagrams {
            let mut record = vec![kind, 0xfe, 0xfd, 0, epoch, 0, 0, 0, 0, 0, 0];
            record.extend((body.len() as u16).to_be_bytes());
            record.extend(body);
            if let Some(kind) = record.get_mut(13) {
                *kind = message;
            }
            client.answer(&record, now);
            server.answer(&record, now);
        }
        prop_assert!(client.keys.is_none() && server.keys.is_none());
    }
}

/// What a server says to a hello of which it has never seen the cookie.
fn first_flight(side: &mut Side) -> Vec<u8> {
    let mut sent = side.drain();
    assert_eq!(sent.len(), 1);
    sent.remove(0)
}

/// Bytes of a part of a hello.
const HALF: usize = 100;

/// A hello with another random, and so of another client.
fn forged(hello: &[u8], random: &mut Random) -> Vec<u8> {
    let mut forged = hello.to_vec();
    for byte in &mut forged[27..59] {
        *byte = random.next() as u8;
    }
    forged
}

#[test]
fn a_flood_of_forged_hellos_gets_less_than_it_sends_and_keeps_nobody_out() {
    for dtls_1_3 in [false, true] {
        let start = Instant::now();
        let (mut forger, mut server) = sides(dtls_1_3, start);
        let hello = first_flight(&mut forger);
        let mut random = Random(7);
        let mut now = start;
        for _ in 0..5_000 {
            let datagram = forged(&hello, &mut random);
            let answer = server.answer(&datagram, now);
            let bytes: usize = answer.iter().map(Vec::len).sum();
            assert!(bytes < datagram.len(), "{bytes} bytes for {}", datagram.len());
            now += Duration::from_millis(20);
        }
        // Far beyond the limit in time of a handshake that has begun.
        assert!(now - start > 3 * ENDS[1].settings().handshake_limit);
        let mut client = client(dtls_1_3, now);
        let took = run(&mut client, &mut server, Network::default(), 0, now);
        assert_same_keys(&client, &server);
        assert!(took < Duration::from_secs(1), "{took:?}");
    }
}

#[test]
fn a_flood_of_first_halves_of_hellos_keeps_nobody_out() {
    for dtls_1_3 in [false, true] {
        let start = Instant::now();
        let (mut forger, mut server) = sides(dtls_1_3, start);
        let hello = first_flight(&mut forger);
        let mut random = Random(8);
        for _ in 0..2_000 {
            let mut half = forged(&hello, &mut random)[..HALF].to_vec();
            // The lengths of the record and of the fragment in it.
            half[11..13].copy_from_slice(&(HALF as u16 - 13).to_be_bytes());
            half[22..25].copy_from_slice(&(HALF as u32 - 25).to_be_bytes()[1..]);
            server.answer(&half, start);
        }
        let mut client = client(dtls_1_3, start);
        run(&mut client, &mut server, Network::default(), 0, start);
        assert_same_keys(&client, &server);
    }
}

/// A stranger's hello decides which version the server awaits. A client of the other one is served all the same.
#[test]
fn a_forged_hello_of_another_version_keeps_nobody_out() {
    for forged_1_3 in [false, true] {
        let start = Instant::now();
        let ends = [!forged_1_3, true].map(|has| &ENDS[usize::from(has)]);
        let mut server = Side::new(ends[1], Role::Server, announced(ends[0]), start);
        server.answer(&first_flight(&mut client(forged_1_3, start)), start);
        let mut client = Side::new(ends[0], Role::Client, announced(ends[1]), start);
        run(&mut client, &mut server, Network::default(), 0, start);
        assert!(client.keys.is_some() && server.keys.is_some(), "{:?} {:?}", client.failure, server.failure);
    }
}
