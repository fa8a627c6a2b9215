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

use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use patchcord_dataplane::{BackendChoice, Config, Dataplane, OffloadChoice, Workers, XdpMode};

use stage::{Caller, Stage, steps, stream, swap_sources, take_frames_of_programs};
use support::{Relay, eventually, io, rtp};

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

fn in_front_of_the_stack() -> Option<Config> {
    af_xdp(XdpMode::Generic)
}

#[test]
fn what_is_not_in_one_frame_takes_the_way_through_the_stack() {
    let Some(config) = in_front_of_the_stack() else { return };
    let stage = Stage::new();
    let mut relay = stage.start(&config);
    for v6 in [false, true] {
        let (a, b) = stage.call(&mut relay, v6);
        settle(&mut relay, &a, &b, &mut 0);
        let before = by_af_xdp(&mut relay);
        a.talks_in_fragments_to(&b, 1000);
        let after = by_af_xdp(&mut relay);
        assert_eq!((after.0 - before.0, after.1 - before.1), (50, 50), "the others");
    }
}

#[test]
fn a_flood_of_one_port_is_no_other_ports_loss() {
    // Room for the shares of two windows, one right behind the other.
    let Some(config) = in_front_of_the_stack().map(|config| Config { af_xdp_frames: 16_384, ..config }) else { return };
    let stage = Stage::new();
    let mut relay = stage.start(&config);
    stage.flood(&mut relay);
}

#[test]
fn a_full_ring_is_counted_and_all_goes_on_afterwards() {
    let Some(config) = in_front_of_the_stack().map(|config| Config { af_xdp_frames: 16, ..config }) else { return };
    let stage = Stage::new();
    let mut relay = stage.start(&config);
    let (a, b) = stage.call(&mut relay, false);
    let mut number = 0;
    settle(&mut relay, &a, &b, &mut number);
    let count = |relay: &mut Relay| {
        let worker = relay.worker();
        [io(&worker, "received_af_xdp"), io(&worker, "kernel_dropped"), io(&worker, "flood_dropped")]
    };
    let before = count(&mut relay)[0];
    let mut sent = 0;
    eventually("more comes than there are frames for", || {
        for _ in 0..200 {
            sent += u64::from(a.socket.send(&rtp(7, number)).is_ok());
        }
        eventually("each is counted once", || {
            let [received, dropped, flooded] = count(&mut relay);
            let counted = received - before + dropped + flooded;
            assert!(counted <= sent, "{received} received, {dropped} dropped, {flooded} flooded of {sent}");
            counted == sent
        });
        count(&mut relay)[1] > 100
    });
    // What the other party heard of it.
    let begin = number + 1;
    a.send(&rtp(7, begin));
    while b.receive() != rtp(7, begin) {}
    a.talks_to(&b, begin + 1, 500);
}

#[test]
fn workers_share_the_queues_of_an_interface() {
    const PACKETS: u64 = 5000;
    let config = in_front_of_the_stack().map(|config| Config { workers: Workers::Count(2), ..config });
    let Some(config) = config else { return };
    let stage = Stage::new();
    let mut relay = stage.start(&config);
    let handles = relay.dataplane.handles();
    let calls: Vec<(Caller, Caller, u16)> = handles
        .iter()
        .map(|handle| {
            relay.handle = handle.clone();
            let (a, b) = stage.call(&mut relay, false);
            let mut number = 0;
            settle(&mut relay, &a, &b, &mut number);
            (a, b, number)
        })
        .collect();
    let heard = [AtomicU64::new(0), AtomicU64::new(0)];
    let stop = [AtomicBool::new(false), AtomicBool::new(false)];
    std::thread::scope(|scope| {
        let talks = calls.iter().zip(&heard).zip(&stop).map(|(((a, b, number), heard), stop)| {
            scope.spawn(move || {
                let (sent, numbers) = stream(a, b, 7, *number, stop, heard);
                assert_eq!((numbers.len() as u64, steps(&numbers)), (sent, 0), "each number once and in order");
            })
        });
        for ((talk, heard), stop) in talks.collect::<Vec<_>>().iter().zip(&heard).zip(&stop) {
            while heard.load(Ordering::Relaxed) < PACKETS && !talk.is_finished() {
                std::thread::yield_now();
            }
            stop.store(true, Ordering::Relaxed);
        }
    });
    for (handle, heard) in handles.iter().zip(&heard) {
        relay.handle = handle.clone();
        let (received, sent) = by_af_xdp(&mut relay);
        let heard = heard.load(Ordering::Relaxed);
        assert!(received >= heard && sent >= heard, "{heard} heard, {received} received and {sent} sent by AF_XDP");
        assert_eq!(io(&relay.worker(), "kernel_dropped"), 0);
    }
}

#[test]
fn changes_of_the_way_are_followed() {
    let Some(config) = in_front_of_the_stack() else { return };
    let stage = Stage::new();
    let mut relay = stage.start(&config);
    let (a, b) = stage.call(&mut relay, false);
    let mut number = 0;
    settle(&mut relay, &a, &b, &mut number);
    stage.change_the_way(&a, &b, &mut number, || by_af_xdp(&mut relay).1);
    // The new interface is heard by AF_XDP too.
    let before = by_af_xdp(&mut relay).0;
    eventually("what comes by the new interface comes by AF_XDP", || {
        number += 1;
        b.send(&rtp(8, number));
        by_af_xdp(&mut relay).0 > before
    });
}

#[test]
fn a_cut_over_in_full_flow_loses_and_doubles_nothing() {
    const CUTS: u16 = 100;
    let Some(config) = in_front_of_the_stack() else { return };
    let stage = Stage::new();
    let mut relay = stage.start(&config);
    let (a, b) = stage.call(&mut relay, false);
    let (c, _d) = stage.call(&mut relay, false);
    let mut number = 0;
    settle(&mut relay, &a, &b, &mut number);
    let (heard, sources) = swap_sources(&mut relay, [&a, &b, &c], CUTS, number);
    assert_eq!((steps(&heard), sources.len()), (0, 1), "one SSRC, every number once and in order");
    assert!(heard.len() as u64 > 5 * u64::from(CUTS), "{} packets", heard.len());
}

#[test]
fn a_program_of_others_is_left_alone_and_no_ethernet_is_said() {
    let Some(config) = in_front_of_the_stack() else { return };
    let stage = Stage::new();
    let first = stage.start(&config);
    let (sender, _replies) = crossbeam::channel::unbounded();
    let refused = stage.host.run(|| Dataplane::start(&config, sender.clone())).expect("entered");
    let words = refused.expect_err("all interfaces are taken").to_string();
    assert!(words.contains("af-xdp is not available") && words.contains("another XDP program"), "{words}");
    drop(first);
    let mut second = stage.start(&config);
    let (a, b) = stage.call(&mut second, false);
    settle(&mut second, &a, &b, &mut 0);
    let refused = support::alone(|| Dataplane::start(&config, sender));
    let words = refused.expect_err("there is the loopback alone").to_string();
    assert!(words.contains("no interface of Ethernet has a media address"), "{words}");
}

#[test]
fn the_automatic_choice_is_af_xdp_where_an_interface_can_and_nobody_else_has_it() {
    let Some(config) = in_front_of_the_stack() else { return };
    let auto = Config { backend: BackendChoice::Auto, offload: OffloadChoice::Auto, ..config };
    let stage = Stage::new();
    let mut relay = stage.start(&auto);
    assert_eq!(relay.dataplane.backend().0, "af-xdp", "{:?}", relay.dataplane.speeds());
    assert!(relay.dataplane.offload().available);
    let (a, b) = stage.call(&mut relay, false);
    a.talks_to(&b, 0, 100);
    // The first one has all interfaces.
    let mut second = stage.start(&auto);
    assert_eq!(second.dataplane.backend().0, "steered");
    let [af_xdp, steered] = second.dataplane.speeds() else { panic!("{:?}", second.dataplane.speeds()) };
    assert!(!af_xdp.available && af_xdp.reason.contains("another XDP program"), "{af_xdp:?}");
    assert!(steered.available);
    let (a, b) = stage.call(&mut second, false);
    a.talks_to(&b, 0, 100);
    drop((relay, second));
    // Without a program for flows there is none for this either.
    let relay = stage.start(&Config { offload: OffloadChoice::Off, ..auto });
    assert_eq!(relay.dataplane.backend().0, "steered");
}
