//! Two sessions and the network between them, in simulated time.

#![allow(dead_code, reason = "each test uses a part of it")]

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use patchcord_dtls::{
    Endpoint, Fingerprint, HandshakeError, HashFunction, Identity, KeyingMaterial, Output, Role, Session, Settings,
    SrtpProfile,
};

/// An endpoint whose hello is always the same.
pub(crate) fn endpoint(seed: u64) -> Arc<Endpoint> {
    endpoint_of(true, seed)
}

/// One with or without DTLS 1.3.
pub(crate) fn endpoint_of(dtls_1_3: bool, seed: u64) -> Arc<Endpoint> {
    let mut settings = Settings::default();
    settings.dtls_1_3 = dtls_1_3;
    settings.seed = Some(seed);
    Endpoint::new(Identity::generate(SystemTime::now()).unwrap(), settings).unwrap()
}

pub(crate) fn announced(endpoint: &Endpoint) -> Vec<Fingerprint> {
    vec![endpoint.identity().fingerprint(HashFunction::Sha256)]
}

/// A session with what it has said so far.
pub(crate) struct Side {
    pub(crate) session: Session,
    pub(crate) keys: Option<KeyingMaterial>,
    pub(crate) failure: Option<HandshakeError>,
    pub(crate) closed: bool,
    pub(crate) due: Option<Instant>,
}

impl Side {
    pub(crate) fn new(endpoint: &Arc<Endpoint>, role: Role, announced: Vec<Fingerprint>, now: Instant) -> Self {
        let session = Session::new(endpoint, role, announced, &SrtpProfile::ALL, now).unwrap();
        Self { session, keys: None, failure: None, closed: false, due: None }
    }

    /// Everything that it wants to send now.
    pub(crate) fn drain(&mut self) -> Vec<Vec<u8>> {
        let mut buffer = [0; Session::DATAGRAM_LEN];
        let mut sent = Vec::new();
        loop {
            match self.session.poll(&mut buffer) {
                Output::Transmit(datagram) => sent.push(datagram.to_vec()),
                Output::Connected(keys) => assert!(self.keys.replace(keys).is_none(), "keys were given twice"),
                Output::Closed => self.closed = true,
                Output::Failed(error) => assert!(self.failure.replace(error).is_none(), "a failure was told twice"),
                Output::Timeout(due) => {
                    self.due = due;
                    return sent;
                }
            }
            assert!(sent.len() < 100, "it does not stop sending");
        }
    }

    /// What it sends as an answer to a datagram.
    pub(crate) fn answer(&mut self, datagram: &[u8], now: Instant) -> Vec<Vec<u8>> {
        self.session.handle(datagram, now);
        self.drain()
    }

    pub(crate) fn is_settled(&self) -> bool {
        self.keys.is_some() || self.failure.is_some()
    }
}

/// A small generator of random numbers (SplitMix64): a seed is a run.
pub(crate) struct Random(pub u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// True in `percent` of cases.
    pub(crate) fn chance(&mut self, percent: u64) -> bool {
        self.next() % 100 < percent
    }

    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }
}

/// What the network does to datagrams, in percent.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Network {
    pub(crate) loss: u64,
    pub(crate) duplication: u64,
    /// So many are late by up to half a second.
    pub(crate) reordering: u64,
}

/// Runs until both sides are settled, or nothing more happens. Gives the time that it took.
pub(crate) fn run(client: &mut Side, server: &mut Side, network: Network, seed: u64, start: Instant) -> Duration {
    let mut random = Random(seed);
    let mut now = start;
    // When, order of sending, to the server, what.
    let mut under_way: Vec<(Instant, u64, bool, Vec<u8>)> = Vec::new();
    let mut count = 0;
    for _ in 0..10_000 {
        for (to_server, sent) in [(true, client.drain()), (false, server.drain())] {
            for datagram in sent {
                let copies = 1 + u64::from(random.chance(network.duplication));
                for _ in 0..copies {
                    if random.chance(network.loss) {
                        continue;
                    }
                    let late = if random.chance(network.reordering) { random.below(500) } else { 0 };
                    count += 1;
                    under_way.push((now + Duration::from_millis(20 + late), count, to_server, datagram.clone()));
                }
            }
        }
        if client.is_settled() && server.is_settled() {
            break;
        }
        let arrives = under_way.iter().map(|(at, ..)| *at).min();
        let Some(next) = [arrives, client.due, server.due].into_iter().flatten().min() else { break };
        now = now.max(next);
        client.session.handle_timeout(now);
        server.session.handle_timeout(now);
        under_way.sort();
        let (arrived, rest): (Vec<_>, Vec<_>) = under_way.into_iter().partition(|(at, ..)| *at <= now);
        under_way = rest;
        for (_, _, to_server, datagram) in arrived {
            let side = if to_server { &mut *server } else { &mut *client };
            side.session.handle(&datagram, now);
        }
    }
    now - start
}

/// Both sides have keys, and the same.
pub(crate) fn assert_same_keys(one: &Side, other: &Side) {
    let (Some(one_keys), Some(other_keys)) = (&one.keys, &other.keys) else {
        panic!("no keys: {:?} and {:?}", one.failure, other.failure);
    };
    assert_eq!(one_keys.profile, other_keys.profile);
    assert!(one_keys.local == other_keys.remote && one_keys.remote == other_keys.local, "the keys differ");
    assert!(one_keys.local != one_keys.remote, "both directions have one key");
}
