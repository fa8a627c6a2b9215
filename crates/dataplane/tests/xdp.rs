//! Forwarding in XDP between network namespaces: nobody can tell that most packets never reach the relay, and none is lost on the way
//! up or down.

#![allow(clippy::print_stderr, reason = "a skipped test says why")]

#[path = "relaying/stage.rs"]
#[allow(dead_code, reason = "shared with the tests of steered sockets")]
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
use std::net::UdpSocket;

use patchcord_dataplane::{BackendChoice, Config, Dataplane, OffloadChoice, XdpMode};
use patchcord_relay::command::Command;
use patchcord_relay::flow::Obstacle;
use patchcord_relay::media::Direction;

use stage::{Caller, Stage, steps, stream, swap_sources, take_frames_of_programs};
use support::{Relay, eventually, rtp};

/// Fails in CI where it cannot be had.
fn xdp(backend: BackendChoice, xdp_mode: XdpMode) -> Option<Config> {
    support::steered().map(|config| Config { backend, offload: OffloadChoice::Xdp, xdp_mode, ..config })
}

fn generic() -> Option<Config> {
    xdp(BackendChoice::IoUring, XdpMode::Generic)
}

fn offloaded(relay: &mut Relay) -> u64 {
    relay.worker().offloaded
}

/// One packet at a time each way until the kernel forwards both.
fn climb(relay: &mut Relay, a: &Caller, b: &Caller, number: &mut u16) {
    eventually("the kernel forwards both ways", || {
        a.talks_to(b, *number, 1);
        b.talks_to(a, *number, 1);
        *number += 1;
        [a.leg, b.leg].iter().all(|&leg| relay.leg(leg).expect("it is there").offload == Some(Ok(())))
    });
}

fn forwards_all(config: &Config) {
    let stage = Stage::new();
    if config.xdp_mode == XdpMode::Native {
        take_frames_of_programs(&stage.left);
        take_frames_of_programs(&stage.right);
    }
    let mut relay = stage.start(config);
    assert!(relay.dataplane.offload().available, "{:?}", relay.dataplane.offload());
    for v6 in [false, true] {
        let (a, b) = stage.call(&mut relay, v6);
        let mut number = 0;
        climb(&mut relay, &a, &b, &mut number);
        assert!(number > 2, "the first packets of each way found no hop yet");
        let before = offloaded(&mut relay);
        a.talks_to(&b, number, 500);
        assert_eq!(offloaded(&mut relay) - before, 500, "the kernel has forwarded all of them");
        let leg = relay.leg(a.leg).expect("it is there");
        assert_eq!((leg.ingress.packets, leg.ingress.lost), (u64::from(number) + 500, 0));
        assert_eq!(relay.leg(b.leg).expect("it is there").egress.packets, u64::from(number) + 500);
    }
    let worker = relay.worker();
    assert_eq!((worker.flows, worker.drops.total()), (4, 0));
}

#[test]
fn kernel_forwards_what_needs_no_decision_beside_io_uring() {
    if let Some(config) = generic() {
        forwards_all(&config);
    }
}

#[test]
fn kernel_forwards_what_needs_no_decision_beside_steered_sockets() {
    if let Some(config) = xdp(BackendChoice::Steered, XdpMode::Generic) {
        forwards_all(&config);
    }
}

#[test]
fn kernel_forwards_what_needs_no_decision_beside_af_xdp() {
    if let Some(config) = xdp(BackendChoice::AfXdp, XdpMode::Native) {
        forwards_all(&config);
    }
}

#[test]
fn kernel_forwards_what_needs_no_decision_in_the_driver() {
    if let Some(config) = xdp(BackendChoice::Mmsg, XdpMode::Native) {
        forwards_all(&config);
    }
}

#[test]
fn a_driver_that_would_drop_what_it_is_given_does_without_the_program() {
    let Some(config) = xdp(BackendChoice::IoUring, XdpMode::Auto) else { return };
    let stage = Stage::new();
    let relay = stage.start(&config);
    let generic = relay.dataplane.offload().reason.clone();
    assert!(generic.contains("(generic)") && !generic.contains("in its driver"), "{generic}");
    drop(relay);
    take_frames_of_programs(&stage.left);
    take_frames_of_programs(&stage.right);
    let mut relay = stage.start(&config);
    let native = relay.dataplane.offload().reason.clone();
    assert!(native.contains("in its driver") && !native.contains("(generic)"), "{native}");
    let (a, b) = stage.call(&mut relay, false);
    climb(&mut relay, &a, &b, &mut 0);
}

#[test]
fn a_thousand_climbs_and_descents_under_load_lose_and_double_nothing() {
    if let Some(config) = generic() {
        climb_and_descend_under_load(&config);
    }
}

#[test]
fn a_thousand_climbs_and_descents_beside_af_xdp_lose_and_double_nothing() {
    if let Some(config) = xdp(BackendChoice::AfXdp, XdpMode::Generic) {
        climb_and_descend_under_load(&config);
    }
}

fn climb_and_descend_under_load(config: &Config) {
    const DESCENTS: u64 = 1000;
    let stage = Stage::new();
    let mut relay = stage.start(config);
    let (a, b) = stage.call(&mut relay, false);
    let mut number = 0;
    climb(&mut relay, &a, &b, &mut number);
    let (stop, heard) = (AtomicBool::new(false), AtomicU64::new(0));
    let (sent, numbers) = std::thread::scope(|scope| {
        let talker = scope.spawn(|| stream(&a, &b, 7, number, &stop, &heard));
        let before = relay.worker().climbs;
        // The direction is what it was; but a command about a leg takes its flows back first.
        let mut commands = 0_u64;
        while relay.worker().climbs - before < DESCENTS {
            let direction = Direction::SendRecv;
            relay.apply(vec![Command::SetDirection { leg: a.leg, direction }]).expect("it is there");
            commands += 1;
            let arrived = heard.load(Ordering::Relaxed);
            eventually("some more arrive", || heard.load(Ordering::Relaxed) > arrived + 2 || talker.is_finished());
            assert!(!talker.is_finished() && commands < 100 * DESCENTS, "{commands} commands");
        }
        stop.store(true, Ordering::Relaxed);
        talker.join().expect("it talks")
    });
    let by_kernel = offloaded(&mut relay);
    eprintln!("{sent} packets, {by_kernel} of them by the kernel, in {DESCENTS} climbs");
    assert_eq!(numbers.len() as u64, sent);
    assert_eq!(steps(&numbers), 0, "each number once and in order");
    assert!(by_kernel > DESCENTS, "{by_kernel}");
    let worker = relay.worker();
    assert_eq!(worker.datagrams, worker.forwarded + worker.consumed + worker.drops.total());
    assert_eq!(relay.leg(a.leg).expect("it is there").ingress.lost, 0);
}

#[test]
fn a_cut_over_in_full_flow_loses_and_doubles_nothing() {
    const CUTS: u16 = 200;
    let Some(config) = generic() else { return };
    let stage = Stage::new();
    let mut relay = stage.start(&config);
    let (a, b) = stage.call(&mut relay, false);
    let (c, _d) = stage.call(&mut relay, false);
    let mut number = 0;
    climb(&mut relay, &a, &b, &mut number);
    let (heard, sources) = swap_sources(&mut relay, [&a, &b, &c], CUTS, number);
    assert_eq!((steps(&heard), sources.len()), (0, 1), "one SSRC, every number once and in order");
    assert!(heard.len() as u64 > 5 * u64::from(CUTS), "{} packets", heard.len());
    let worker = relay.worker();
    assert!(worker.climbs >= u64::from(CUTS) / 2, "{} climbs", worker.climbs);
}

#[test]
fn changes_of_the_way_are_followed() {
    let Some(config) = generic() else { return };
    let stage = Stage::new();
    let mut relay = stage.start(&config);
    let (a, b) = stage.call(&mut relay, false);
    let mut number = 0;
    climb(&mut relay, &a, &b, &mut number);
    stage.change_the_way(&a, &b, &mut number, || offloaded(&mut relay));
}

#[test]
fn a_program_of_others_is_left_alone() {
    let Some(config) = generic() else { return };
    let stage = Stage::new();
    let first = stage.start(&config);
    assert!(first.dataplane.offload().available);
    // To the second, the first one's program is another's.
    let (sender, _replies) = crossbeam::channel::unbounded();
    let refused = stage.host.run(|| Dataplane::start(&config, sender.clone())).expect("entered");
    let words = refused.expect_err("all interfaces are taken").to_string();
    assert!(words.contains("another XDP program"), "{words}");
    let auto = Config { offload: OffloadChoice::Auto, ..config.clone() };
    let second = stage.host.run(|| Dataplane::start(&auto, sender)).expect("entered").expect("it does without");
    assert!(!second.offload().available && second.offload().reason.contains("another XDP program"));
    drop(second);
    // Whoever ends takes his own away, and nobody else's.
    let mut first = first;
    let (a, b) = stage.call(&mut first, false);
    climb(&mut first, &a, &b, &mut 0);
    drop(first);
    let third = stage.start(&config);
    assert!(third.dataplane.offload().available, "nothing was left behind");
}

#[test]
fn what_is_not_one_of_a_flows_packets_reaches_the_engine_and_the_flow_goes_on() {
    let Some(config) = generic() else { return };
    let stage = Stage::new();
    let mut relay = stage.start(&config);
    let (a, b) = stage.call(&mut relay, false);
    let mut number = 0;
    climb(&mut relay, &a, &b, &mut number);
    // RTCP beside RTP, an intruder, and what is nothing at all.
    let report = [0x80, 201, 0, 1, 0, 0, 0, 7];
    a.send(&report);
    assert_eq!(b.receive(), report);
    let intruder = stage.left.run(|| UdpSocket::bind("10.77.1.2:0").expect("its address")).expect("entered");
    let at = a.socket.peer_addr().expect("connected");
    intruder.send_to(&rtp(7, number), at).expect("it leaves");
    a.send(&[0xff; 40]);
    eventually("both were dropped", || relay.worker().drops.total() == 2);
    assert_eq!(relay.leg(a.leg).expect("there").offload, Some(Ok(())), "none of it has ended the flow");
    // Padding is for the engine to look at; and the next packet is the kernel's again.
    let mut padded = rtp(7, number);
    padded[0] |= 0x20;
    *padded.last_mut().expect("not empty") = 4;
    a.send(&padded);
    assert_eq!(b.receive(), padded);
    assert_eq!(relay.leg(a.leg).expect("there").offload, Some(Err(Obstacle::Armed)));
    a.talks_to(&b, number + 1, 10);
    assert_eq!(relay.leg(a.leg).expect("there").offload, Some(Ok(())));
}
