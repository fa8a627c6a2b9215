//! Handshakes over a network that loses, doubles and reorders datagrams.

#![allow(clippy::unwrap_used, reason = "a test may stop at what it did not expect")]

mod support;

use std::sync::{Arc, LazyLock};
use std::time::Instant;

use patchcord_dtls::{Endpoint, Role};
use proptest::prelude::*;
use support::{Network, Side, announced, assert_same_keys, endpoint_of, run};

/// Without DTLS 1.3, and with it.
static ENDS: LazyLock<[Arc<Endpoint>; 2]> = LazyLock::new(|| [endpoint_of(false, 1), endpoint_of(true, 2)]);

/// A handshake between ends with and without DTLS 1.3.
fn handshake(has_dtls_1_3: [bool; 2], network: Network, seed: u64) -> (Side, Side) {
    let [one, other] = has_dtls_1_3.map(|has| &ENDS[usize::from(has)]);
    let now = Instant::now();
    let mut client = Side::new(one, Role::Client, announced(other), now);
    let mut server = Side::new(other, Role::Server, announced(one), now);
    run(&mut client, &mut server, network, seed, now);
    (client, server)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// One in twenty lost is what a call hardly survives: a handshake does.
    #[test]
    fn keys_are_agreed_on_whatever_the_network_does(
        loss in 0u64..=5,
        duplication in 0u64..=40,
        reordering in 0u64..=40,
        has_dtls_1_3: [bool; 2],
        seed: u64,
    ) {
        let (client, server) = handshake(has_dtls_1_3, Network { loss, duplication, reordering }, seed);
        assert_same_keys(&client, &server);
    }
}

#[test]
fn with_a_quarter_of_all_datagrams_lost_nearly_all_handshakes_succeed_in_time() {
    for has_dtls_1_3 in [[false; 2], [true; 2]] {
        let succeeds = |seed: &u64| {
            let network = Network { loss: 25, duplication: 5, reordering: 10 };
            let (client, server) = handshake(has_dtls_1_3, network, *seed);
            client.keys.is_some() && server.keys.is_some()
        };
        let succeeded = (0..300).filter(succeeds).count();
        assert!(succeeded > 290, "only {succeeded} of 300, DTLS 1.3: {has_dtls_1_3:?}");
    }
}
