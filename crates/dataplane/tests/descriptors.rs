//! Nothing leaks a descriptor. A single test, because it counts those of its process.

use std::fs;
use std::net::UdpSocket;

use crossbeam::channel;
use patchcord_dataplane::{BackendChoice, Config, Dataplane, OffloadChoice, probe};
use patchcord_relay::command::{Command, EgressMode, LatchPolicy, LegSpec, Refusal, Relaying};
use patchcord_relay::exchange::{Reply, Request};
use patchcord_relay::ids::LegId;
use patchcord_relay::media::Direction;

#[test]
fn descriptors_are_returned() {
    let mut choices = vec![BackendChoice::Mmsg];
    if probe::io_uring().usable {
        choices.push(BackendChoice::IoUring);
    }
    if probe::steered().usable {
        choices.push(BackendChoice::Steered);
    }
    let before = open_descriptors();
    for backend in choices {
        // A steered port has no socket.
        let sockets = if backend == BackendChoice::Steered { 0 } else { 16 };
        let (sender, replies) = channel::unbounded();
        let offload = OffloadChoice::Off;
        let config = Config { backend, offload, legs_max_per_worker: 16, ..Config::default() };
        let dataplane = Dataplane::start(&config, sender).expect("the backend was probed");
        let handle = dataplane.handles().remove(0);
        let once = |commands| {
            handle.send(Request::Apply { ticket: 0, commands }).expect("the worker runs");
            match replies.recv().expect("an answer") {
                (0, Reply::Applied { result, .. }) => result,
                other => panic!("{other:?}"),
            }
        };
        // The system knows nothing of steered ports, and may choose one for another leg.
        let apply = |commands: Vec<Command>| loop {
            match once(commands.clone()) {
                Err((0..8, Refusal::PortUnavailable { busy: true, .. })) => {}
                result => return result,
            }
        };
        let running = open_descriptors();
        let occupant = UdpSocket::bind("127.0.0.1:0").expect("loopback");
        for round in 0..10_u64 {
            let leg = |index| spec(round * 100 + index);
            let good: Vec<Command> = (0..8).map(leg).map(|spec| Command::AddLeg(Box::new(spec))).collect();
            // Eight legs with two ports each, and then one that cannot be: by its port, or by its name.
            let mut bad = leg(8);
            bad.local_rtp = occupant.local_addr().expect("bound");
            let refused = apply([good.clone(), vec![Command::AddLeg(Box::new(bad))]].concat());
            assert!(matches!(refused, Err((8, Refusal::PortUnavailable { busy: true, .. }))), "{refused:?}");
            let refused = apply([good.clone(), vec![Command::RemoveLeg { leg: LegId(u64::MAX) }]].concat());
            assert_eq!(refused, Err((8, Refusal::UnknownLeg(LegId(u64::MAX)))));
            assert_eq!(open_descriptors(), running + 1, "{backend:?}: after refusals, round {round}");

            apply(good).expect("the ports are free again");
            assert_eq!(open_descriptors(), running + 1 + sockets, "{backend:?}: sockets of eight legs");
            apply((0..8).map(|index| Command::RemoveLeg { leg: leg(index).id }).collect()).expect("all are there");
            assert_eq!(open_descriptors(), running + 1, "{backend:?}: after deletions, round {round}");
        }
        // Some legs are left for the shutdown to close.
        apply((0..8).map(|index| Command::AddLeg(Box::new(spec(10_000 + index)))).collect()).expect("free ports");
        drop(occupant);
        dataplane.shutdown();
        // A handle keeps the worker's eventfd.
        drop(handle);
        assert_eq!(open_descriptors(), before, "{backend:?}: after shutdown");
    }
}

/// A leg on any two ports: the system chooses for port 0.
fn spec(id: u64) -> LegSpec {
    let any = "127.0.0.1:0".parse().expect("a literal");
    LegSpec {
        id: LegId(id),
        local_rtp: any,
        local_rtcp: Some(any),
        remote_rtp: None,
        remote_rtcp: None,
        codecs: Vec::new(),
        direction: Direction::SendRecv,
        latch: LatchPolicy::default(),
        egress_mode: EgressMode::Continuity,
        media_timeout: None,
        relaying: Relaying::Rtp,
        dscp: None,
    }
}

fn open_descriptors() -> usize {
    fs::read_dir("/proc/self/fd").expect("procfs").count()
}
