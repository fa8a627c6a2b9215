//! Handshakes over a network that loses, doubles and reorders datagrams.

#![allow(clippy::unwrap_used, reason = "a test may stop at what it did not expect")]

mod support;

use std::sync::{Arc, LazyLock};
use std::time::Instant;

use patchcord_dtls::{Endpoint, Role};
use proptest::prelude::*;
use support::{Network, Side, announced, assert_same_keys, endpoint, run};

static ENDS: LazyLock<[Arc<Endpoint>; 2]> = LazyLock::new(|| [endpoint(1), endpoint(2)]);

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// With three in ten lost a flight of a few packets gets through within the limit of 30 s as good as always.
    #[test]
    fn keys_are_agreed_on_whatever_the_network_does(
        loss in 0u64..=30,
        duplication in 0u64..=40,
        reordering in 0u64..=40,
        seed: u64,
    ) {
        let network = Network { loss, duplication, reordering };
        let [one, other] = &*ENDS;
        let now = Instant::now();
        let mut client = Side::new(one, Role::Client, announced(other), now);
        let mut server = Side::new(other, Role::Server, announced(one), now);
        run(&mut client, &mut server, network, seed, now);
        assert_same_keys(&client, &server);
    }
}
