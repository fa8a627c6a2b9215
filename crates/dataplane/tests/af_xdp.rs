//! AF_XDP between network namespaces: packets come and go past the kernel's network stack, and what cannot takes the way through it.

#![allow(clippy::print_stderr, reason = "a skipped test says why")]

#[path = "relaying/stage.rs"]
#[allow(dead_code, reason = "shared with the tests of steered sockets and XDP")]
mod stage;
#[path = "relaying/support.rs"]
#[allow(
    dead_code,
    unused_macros,
    unused_imports,
    reason = "shared with the tests on loopback, which use the rest of it"
)]
mod support;

use patchcord_dataplane::{BackendChoice, Config, OffloadChoice, XdpMode};

use stage::{Caller, Stage, take_frames_of_programs};
use support::{Relay, eventually, io};

/// Fails in CI where it cannot be had.
fn af_xdp(xdp_mode: XdpMode) -> Option<Config> {
    support::steered().map(|config| Config {
        backend: BackendChoice::AfXdp,
        offload: OffloadChoice::Off,
        xdp_mode,
        ..config
    })
}

/// Packets that came and went by AF_XDP.
fn by_af_xdp(relay: &mut Relay) -> (u64, u64) {
    let worker = relay.worker();
    (io(&worker, "received_af_xdp"), io(&worker, "sent_af_xdp"))
}

/// One packet at a time each way until both ways are known.
fn settle(relay: &mut Relay, a: &Caller, b: &Caller, number: &mut u16) {
    let before = by_af_xdp(relay).1;
    eventually("packets are sent by AF_XDP", || {
        a.talks_to(b, *number, 1);
        b.talks_to(a, *number, 1);
        *number += 1;
        by_af_xdp(relay).1 >= before + 4
    });
}

fn relays_all(config: &Config) {
    let stage = Stage::new();
    if config.xdp_mode == XdpMode::Native {
        take_frames_of_programs(&stage.left);
        take_frames_of_programs(&stage.right);
    }
    let mut relay = stage.start(config);
    for v6 in [false, true] {
        let (a, b) = stage.call(&mut relay, v6);
        let mut number = 0;
        settle(&mut relay, &a, &b, &mut number);
        let before = by_af_xdp(&mut relay);
        // Several times as many as there are frames.
        a.talks_to(&b, number, 5000);
        let after = by_af_xdp(&mut relay);
        assert_eq!((after.0 - before.0, after.1 - before.1), (5000, 5000));
    }
    let worker = relay.worker();
    assert_eq!((worker.drops.total(), io(&worker, "kernel_dropped")), (0, 0));
}

#[test]
fn packets_come_and_go_in_front_of_the_network_stack() {
    if let Some(config) = af_xdp(XdpMode::Generic) {
        relays_all(&config);
    }
}

#[test]
fn packets_come_and_go_by_the_driver() {
    if let Some(config) = af_xdp(XdpMode::Native) {
        relays_all(&config);
    }
}
